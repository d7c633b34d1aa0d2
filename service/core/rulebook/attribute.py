"""Attributes of operations: parameters that are not operands. No gradient flows to them.

A reader turns a JSON value into the canonical one, which is hashable, so that equal nodes have equal digests. It
raises ValueError that says what was expected.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LARGEST_INTEGER = 2**63 - 1  # ONNX's integers are int64


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named parameter of an operation; one that is optional with the default None may also be null.

    An `implied` one came after graphs had been stored: documents and digests hold it only where it differs from the
    default, and so does the node of an Input. `numpy` is its name, and its default, where the operation is called by
    NumPy's name.
    """

    name: str
    read: Callable[[object], Any]
    default: Any = None
    required: bool = False
    implied: bool = False
    numpy: tuple[str, Any] | None = None


def number(value: object) -> float:
    """Read a number; the strings NaN, Infinity and -Infinity are numbers too."""
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number is expected")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("the number is out of float64's range") from None


def finite(value: object) -> float:
    """Read a number that is neither NaN nor infinite."""
    read = number(value)
    if not math.isfinite(read):
        raise ValueError("a finite number is expected")
    return read


def integer(value: object) -> int:
    """Read an integer; 2.0 is one."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise ValueError("a whole number is expected")
    assert isinstance(value, (int, float))
    if not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
        raise ValueError("the whole number is out of int64's range")
    return int(value)


def positive(value: object) -> int:
    """Read an integer from 1 on."""
    number = integer(value)
    if number < 1:
        raise ValueError("a whole number from 1 on is expected")
    return number


def numbered(count: int) -> Callable[[object], int]:
    """Read which of so many, from 0."""

    def read(value: object) -> int:
        number = integer(value)
        if not 0 <= number < count:
            raise ValueError(f"a whole number from 0 to {count - 1} is expected")
        return number

    return read


def integers(value: object) -> tuple[int, ...]:
    """Read a list of integers; a single integer is a list of one."""
    if not isinstance(value, (list, tuple)):
        value = [value]
    try:
        return tuple(integer(item) for item in value)
    except ValueError as error:
        raise ValueError(f"in a list of whole numbers {error}") from None


def flag(value: object) -> int:
    """Read a boolean: 0 or 1, as in ONNX, or false or true."""
    if not isinstance(value, (bool, int, float)) or value not in (0, 1):
        raise ValueError("0 or 1 is expected")
    return int(value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Read one of several words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """Return the word; raises ValueError if it is not one of them."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"one of {', '.join(map(repr, self.words))} is expected")
        return value
