"""Cached results: by key in a cache bounded in bytes, or on the object they are computed from.

Both are safe for threads. Threads that ask at once for a result that is not cached each compute it.
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
    """A cache of at most `max_bytes` in total, which drops the least recently used value first.

    `size_of` estimates the bytes of a value, anew whenever one that `may_grow` is used. A value larger than `max_bytes`
    is kept alone: were it dropped, every request for it would load it again.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[Value], int], *, may_grow: bool = False) -> None:
        self._values: LRUCache[Key, Value] = LRUCache(max_bytes, lambda value: min(size_of(value), max_bytes))
        self._may_grow = may_grow
        self._lock = Lock()
        self.max_bytes = max_bytes
        self.hits, self.misses = 0, 0  # of `get`
        self._changes = 0

    @property
    def size(self) -> int:
        """The estimated bytes of all values; one larger than the bound counts as the bound."""
        return int(self._values.currsize)

    def __contains__(self, key: Key) -> bool:
        with self._lock:
            return key in self._values

    def get(self, key: Key, compute: Callable[[], Value]) -> Value:
        """Return the cached value of a key, computing it if need be.

        A value computed while another thread removes or replaces any value is returned but not cached: it may be stale.
        """
        with self._lock:
            if key in self._values:
                self.hits += 1
                value = self._values[key]
                if self._may_grow:
                    self._values[key] = value
                return value
            self.misses += 1
            changes = self._changes
        value = compute()
        with self._lock:
            return self._values.setdefault(key, value) if changes == self._changes else value

    def replace(self, key: Key, value: Value) -> None:
        """Cache this value in place of the cached one, or of one being computed."""
        with self._lock:
            self._changes += 1
            self._values[key] = value

    def clear(self) -> None:
        """Drop all values, and those being computed."""
        with self._lock:
            self._changes += 1
            self._values.clear()

    def remove(self, key: Key) -> None:
        """Drop the cached value, or one being computed."""
        with self._lock:
            self._changes += 1
            self._values.pop(key, None)


def memoize_on_argument(
    function: Callable[Concatenate[Owner, Others], Value],
) -> Callable[Concatenate[Owner, Others], Value]:
    """Cache a function's last result in the `__dict__` of its first argument; recompute it for other arguments.

    The result lives as long as that object and counts towards its size in a cache. All arguments are positional.
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
