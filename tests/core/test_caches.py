"""Caches in bytes under eight threads, and results that are kept on an argument."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier, Event

import pytest

from service.core.caches import Cache, memoize_on_argument

THREADS = 8


def test_eight_threads_stay_within_the_bound_and_get_right_values() -> None:
    """Values of 1 to 20 bytes under a bound of 100: most requests drop others, some of them replace or remove."""
    cache: Cache[int, bytes] = Cache(100, len)
    together = Barrier(THREADS)

    def work(seed: int) -> tuple[int, int]:
        random, computed, largest = Random(seed), 0, 0

        def compute(key: int) -> bytes:
            nonlocal computed
            computed += 1
            return bytes([key]) * (key % 20 + 1)

        together.wait(timeout=60)
        for _ in range(3000):
            key = random.randrange(40)
            act = random.randrange(20)
            if act == 0:
                cache.remove(key)
            elif act == 1:
                cache.replace(key, compute(key))
            else:
                assert cache.get(key, lambda key=key: compute(key)) == bytes([key]) * (key % 20 + 1)  # type: ignore[misc]
            largest = max(largest, cache.size)
        return computed, largest

    with ThreadPoolExecutor(THREADS) as pool:
        computed, largest = zip(*pool.map(work, range(THREADS)), strict=True)
    assert 80 < max(largest) <= 100
    assert 0 < sum(computed) < 3000 * THREADS
    left = [key for key in range(40) if cache.get(key, lambda: b"") != b""]
    assert sum(key % 20 + 1 for key in left) <= 100


def test_the_least_recently_used_goes_first() -> None:
    cache: Cache[str, str] = Cache(3, len)
    for key in ("a", "b", "c", "a", "d"):
        cache.get(key, lambda: "x")
    assert [cache.get(key, lambda: "y") for key in ("a", "c", "d")] == ["x"] * 3
    assert cache.get("b", lambda: "y") == "y"


def test_a_value_that_has_grown_is_weighed_again_when_it_is_used() -> None:
    cache: Cache[str, list[int]] = Cache(5, len, may_grow=True)
    grows = cache.get("grows", lambda: [1])
    cache.get("stays", lambda: [1])
    grows += [2, 3, 4, 5]
    assert cache.get("grows", lambda: []) == [1, 2, 3, 4, 5]
    assert "stays" not in cache and cache.size == 5


def test_a_value_larger_than_the_bound_is_kept_alone() -> None:
    cache: Cache[str, str] = Cache(3, len)
    cache.get("small", lambda: "s")
    cache.get("large", lambda: "large")
    assert cache.get("large", lambda: "computed again") == "large"
    assert cache.size == 3 and cache.get("small", lambda: "s again") == "s again"


@pytest.mark.parametrize("change", ["remove", "replace"])
def test_a_value_that_is_removed_or_replaced_while_it_is_computed_is_not_kept(change: str) -> None:
    cache: Cache[str, str] = Cache(100, len)
    computing, changed = Event(), Event()

    def compute() -> str:
        computing.set()
        assert changed.wait(timeout=60)
        return "old"

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cache.get, "key", compute)
        assert computing.wait(timeout=60)
        if change == "remove":
            cache.remove("key")
        else:
            cache.replace("key", "new")
        changed.set()
        assert asked.result(timeout=60) == "old"
    assert cache.get("key", lambda: "new") == "new"


class Owner:
    """What results are kept on."""


def test_a_result_is_kept_on_its_argument_for_the_last_other_arguments() -> None:
    calls = []

    @memoize_on_argument
    def twice(owner: Owner, number: int) -> list[int]:
        calls.append(number)
        return [2 * number]

    first, second = Owner(), Owner()
    assert twice(first, 1) is twice(first, 1) and twice(first, 1) == [2]
    assert twice(second, 1) is not twice(first, 1)
    assert (twice(first, 3), twice(first, 1), calls) == ([6], [2], [1, 1, 3, 1])


def test_eight_threads_that_ask_for_different_arguments_each_get_their_own() -> None:
    @memoize_on_argument
    def square(owner: Owner, number: int) -> int:
        return number * number

    owner, together = Owner(), Barrier(THREADS)

    def work(seed: int) -> None:
        random = Random(seed)
        together.wait(timeout=60)
        for number in (random.randrange(3) for _ in range(5000)):
            assert square(owner, number) == number * number

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_what_a_cache_had_and_what_it_lacked_is_counted() -> None:
    cache: Cache[str, int] = Cache(2, lambda value: 1)
    for key in "aabac":
        cache.get(key, lambda: 0)
    assert (cache.hits, cache.misses, cache.size, cache.max_bytes) == (2, 3, 2, 2)
