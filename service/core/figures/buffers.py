"""Memory for large figures, used again: to be given fresh pages by the system costs as much as to compute on them."""

from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 1024 * 1024  # bytes; for less, the allocator does the same
_AT_HAND = 256 * 1024 * 1024

_free: deque[NDArray[np.float64]] = deque()


class _Lease:
    """The owner, to NumPy, of an array that is lent out; it lives as long as any view of the array does."""

    def __init__(self, buffer: NDArray[np.float64], count: int) -> None:
        self._buffer = buffer
        self.__array_interface__: dict[str, Any] = {**buffer.__array_interface__, "shape": (count,)}

    def __del__(self, free: deque[NDArray[np.float64]] = _free, bound: int = _AT_HAND) -> None:
        # Any thread may be the one that lets go last: a deque's own methods are atomic.
        free.append(self._buffer)
        with suppress(IndexError):
            while sum(buffer.nbytes for buffer in tuple(free)) > bound:
                free.popleft()


def empty_vector(count: int) -> NDArray[np.float64]:
    """An uninitialised vector of `count` numbers; its memory is used again when its last view is gone."""
    if count * 8 < _LEAST:
        return np.empty(count)
    with suppress(IndexError):  # another thread has taken the last
        for _ in range(len(_free)):
            buffer = _free.popleft()
            if count <= len(buffer) <= 2 * count:
                return np.asarray(_Lease(buffer, count))
            _free.append(buffer)
    return np.asarray(_Lease(np.empty(count), count))
