"""How many examples a test draws or tries: a few in the quick suite, more where the suite is measured or thorough."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

QUICK, MEASURED, THOROUGH = 4, 12, 24

_Item = TypeVar("_Item")


def examples(count: int) -> int:
    """`count` in the thorough profile; in another, as many fewer as its default is below that of the thorough one."""
    return max(2, round(count * settings().max_examples / THOROUGH))


def spread(items: Sequence[_Item]) -> Sequence[_Item]:
    """All items in the thorough profile; in another as many fewer, evenly from the first to the last."""
    if len(items) <= 2:
        return items
    count = min(len(items), examples(len(items)))
    return [items[round(number * (len(items) - 1) / (count - 1))] for number in range(count)]
