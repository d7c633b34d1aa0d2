"""Chunks are measured, whatever engine computes them."""

from concurrent.futures import Future
from threading import Event
from typing import Any

import pytest

from service.jobs.engine import Unavailable
from service.jobs.measured import MeasuredEngine
from service.workers.pool import Gone, Lost


class Told:
    """An engine whose chunks end as they are told to."""

    window = 7

    def __init__(self) -> None:
        self.futures: list[Future[bytes]] = []
        self.closed = False

    def submit(self, work: Any, number: int, stop: Event) -> "Future[bytes]":
        self.futures.append(Future())
        return self.futures[-1]

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("failure", "outcomes"),
    [(None, ["done"]), (Lost(), ["failed"]), (ValueError(), ["failed"]), (Gone(), []), (Unavailable("no"), [])],
)
def test_what_was_computed_is_measured(failure: Exception | None, outcomes: list[str]) -> None:
    engine, seen = Told(), list[tuple[str, float]]()
    measured = MeasuredEngine(engine, lambda outcome, seconds: seen.append((outcome, seconds)))
    work: Any = None
    future = measured.submit(work, 0, Event())
    assert seen == [] and measured.window == 7
    if failure:
        engine.futures[0].set_exception(failure)
        assert future.exception() is failure
    else:
        engine.futures[0].set_result(b"x")
        assert future.result() == b"x"
    assert [outcome for outcome, _ in seen] == outcomes and all(seconds >= 0 for _, seconds in seen)


def test_what_was_cancelled_is_not() -> None:
    engine, seen = Told(), list[str]()
    measured = MeasuredEngine(engine, lambda outcome, _: seen.append(outcome))
    work: Any = None
    measured.submit(work, 0, Event()).cancel()
    measured.close()
    assert seen == [] and engine.closed
