"""Memory that is used again, and never while somebody still looks at it."""

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.core.figures import buffers
from service.core.figures.buffers import empty_vector
from service.core.figures.figures import FloatArray

LARGE = 200_000


@pytest.fixture(autouse=True)
def _nothing_at_hand() -> Iterator[None]:
    gc.collect()
    buffers._free.clear()
    yield
    buffers._free.clear()


def address(array: FloatArray) -> int:
    """Where its first element lies."""
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_once_its_last_view_is_gone() -> None:
    first = empty_vector(LARGE)
    position = address(first)
    part = first[10:20].reshape(2, 5)
    del first
    part[:] = 7.0
    other = empty_vector(LARGE)
    assert address(other) != position
    assert part.tolist() == [[7.0] * 5] * 2
    del part
    again = empty_vector(LARGE - 5)
    assert (address(again), again.shape, again.dtype, again.flags.writeable) == (
        position,
        (LARGE - 5,),
        np.float64,
        True,
    )


def test_much_smaller_figures_do_not_hold_large_memory() -> None:
    del (large := {"it": empty_vector(4 * LARGE)})["it"]
    assert not large
    small = empty_vector(LARGE)
    assert len(buffers._free) == 1 and len(small) == LARGE
    assert empty_vector(100).base is None


def test_what_lies_at_hand_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers._Borrowed.__del__, "__defaults__", (buffers._free, 2 * 8 * LARGE))
    taken = [empty_vector(LARGE) for _ in range(4)]
    last = address(taken[-1])
    while taken:
        taken.pop(0)
    assert [address(buffer) == last for buffer in buffers._free] == [False, True]


def test_threads_never_share_memory() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    def keeps(number: int) -> bool:
        mine = empty_vector(LARGE)
        mine[:] = number
        return bool(np.all(mine == number))

    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(keeps, range(200)))
    finally:
        sys.setswitchinterval(interval)
