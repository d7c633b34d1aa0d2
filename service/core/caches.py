"""Results that are kept: by key in a cache bounded in bytes, or on the object that they are computed from.

Both may be used by several threads. Threads that ask at once for a result that is not kept each compute it.
"""

from collections.abc import Callable, Hashable
from functools import wraps
from threading import Lock
from typing import Concatenate, Generic, ParamSpec, TypeVar

from cachetools import LRUCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Owner = TypeVar("Owner")
Others = ParamSpec("Others")


class Cache(Generic[Key, Value]):
    """Values by key, of at most `max_bytes` together; the least recently used is dropped first.

    `size_of` estimates the bytes of a value. A value larger than `max_bytes` is kept alone, for dropping it would have
    every request for it load it again.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[Value], int]) -> None:
        self._values: LRUCache[Key, Value] = LRUCache(max_bytes, lambda value: min(size_of(value), max_bytes))
        self._lock = Lock()
        self._changes = 0

    @property
    def size(self) -> int:
        """The estimated bytes of all values, where one that is larger than the bound counts as the bound."""
        return int(self._values.currsize)

    def get(self, key: Key, compute: Callable[[], Value]) -> Value:
        """The value of a key, computed unless it is kept.

        What is computed while any value is removed or replaced is returned but not kept: it may be that value.
        """
        with self._lock:
            if key in self._values:
                return self._values[key]
            changes = self._changes
        value = compute()
        with self._lock:
            return self._values.setdefault(key, value) if changes == self._changes else value

    def replace(self, key: Key, value: Value) -> None:
        """Keep this value in place of the one that is kept, or is being computed."""
        with self._lock:
            self._changes += 1
            self._values[key] = value

    def remove(self, key: Key) -> None:
        """Drop the value that is kept, or is being computed."""
        with self._lock:
            self._changes += 1
            self._values.pop(key, None)


def memoize_on_argument(
    function: Callable[Concatenate[Owner, Others], Value],
) -> Callable[Concatenate[Owner, Others], Value]:
    """Keep a function's last result in the `__dict__` of its first argument, and recompute it for other arguments.

    The result lives as long as that object, whose size in a cache accounts for it. The others are positional.
    """
    name = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def memoized(owner: Owner, /, *others: Others.args, **named: Others.kwargs) -> Value:
        kept: tuple[object, Value] | None = vars(owner).get(name)
        if kept is None or kept[0] != others:
            # Arguments and result in one assignment: another thread sees this pair or the one before.
            kept = vars(owner)[name] = (others, function(owner, *others, **named))
        return kept[1]

    return memoized
