"""A pool of large buffers for figures: fresh pages from the system cost as much time as the arithmetic on them."""

from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MIN_BYTES = 1024 * 1024  # of a smaller buffer the allocator reuses the memory itself
_MAX_FREE_BYTES = 256 * 1024 * 1024

_free: deque[NDArray[np.float64]] = deque()


class _Borrowed:
    """The base object of a borrowed array: it lives as long as any view of the array, and then returns the buffer."""

    def __init__(self, buffer: NDArray[np.float64], count: int) -> None:
        self._buffer = buffer
        self.__array_interface__: dict[str, Any] = {**buffer.__array_interface__, "shape": (count,)}

    def __del__(self, free: deque[NDArray[np.float64]] = _free, bound: int = _MAX_FREE_BYTES) -> None:
        # Any thread may drop the last view: the methods of a deque are atomic.
        free.append(self._buffer)
        with suppress(IndexError):
            while sum(buffer.nbytes for buffer in tuple(free)) > bound:
                free.popleft()


def empty_vector(count: int) -> NDArray[np.float64]:
    """Return an uninitialised vector of `count` numbers, whose memory is reused once its last view is gone."""
    if count * 8 < _MIN_BYTES:
        return np.empty(count)
    with suppress(IndexError):  # another thread took the last one
        for _ in range(len(_free)):
            buffer = _free.popleft()
            if count <= len(buffer) <= 2 * count:
                return np.asarray(_Borrowed(buffer, count))
            _free.append(buffer)
    return np.asarray(_Borrowed(np.empty(count), count))
