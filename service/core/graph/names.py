"""Names of nodes: which are valid, and which are still free."""

from collections.abc import Callable, Container, Iterator
from functools import cache
from itertools import chain, count

LONGEST_NAME = 256


def name_fault(name: object) -> str | None:
    """What is wrong with a node's name, or None."""
    if not isinstance(name, str):
        return "a node's name is a string"
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"a node's name has 1 to {LONGEST_NAME} characters; this one has {len(name)}"
    if not name.isprintable() and any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
        return "a node's name has no control characters"
    if "`" in name:
        return "a node's name has no backquote"
    return None


def free_name(wanted: str, taken: Container[str]) -> str:
    """The wanted name, cut if too long, with a number appended if taken."""
    wanted = wanted if len(wanted) <= LONGEST_NAME else wanted[: LONGEST_NAME - 10]
    numbered = (f"{wanted}_{number}" for number in count(2))
    return next(name for name in chain([wanted], numbered) if name not in taken)


def free_names(taken: Container[str]) -> Callable[[str], Iterator[str]]:
    """Return a function that yields free names for an operation, mul_1, mul_2 …, from one iterator for each."""

    @cache
    def names_of(operation: str) -> Iterator[str]:
        start = operation.lower()
        return (name for number in count(1) if (name := f"{start}_{number}") not in taken)

    return names_of


def is_generated(name: str, operation: str) -> bool:
    """Whether the name is one that `free_names` may have given to a node of this operation."""
    start, _, number = name.rpartition("_")
    return number.isdecimal() and start == operation.lower()
