"""Rows of the table, and clocks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

# Seconds by what was measured and by size.
Series: TypeAlias = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Row:
    """One measured figure: `detail` says what it was made of, `unit` is × for a ratio.

    The target is what it may at most be or, where `at_least`, what it should at least be; None where it is only shown.
    """

    work: str
    measured: float
    unit: str
    target: float | None = None
    detail: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def cells(self) -> tuple[str, str, str, str]:
        """The work, the figure, the target, and whether it is met."""
        figure = f"{_short(self.measured)} {self.unit}" + (f" ({self.detail})" if self.detail else "")
        if self.target is None:
            return self.work, figure, "", ""
        return (
            self.work,
            figure,
            f"{'≥' if self.at_least else '≤'} {_short(self.target)} {self.unit}",
            "met" if self.met else "**missed**",
        )


HEAD = ("work", "measured", "target", "")


def markdown_line(cells: tuple[str, ...]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def by_turns(*timed: Callable[[], object], repeats: int, clock: Callable[[], float] = time.thread_time) -> list[float]:
    """The median seconds of each callable, measured by turns; by this thread's processor time, unless another clock is
    given, since the machine may be shared."""
    seconds: list[list[float]] = [[] for _ in timed]
    for function in timed:
        function()
    for _ in range(repeats):
        for position, function in enumerate(timed):
            begin = clock()
            function()
            seconds[position].append(clock() - begin)
    return [median(taken) for taken in seconds]


def once(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """The seconds of one call."""
    begin = clock()
    function()
    return clock() - begin


def milliseconds(seconds: float) -> str:
    """Some seconds as a text in milliseconds."""
    return f"{_short(1e3 * seconds)} ms"


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
