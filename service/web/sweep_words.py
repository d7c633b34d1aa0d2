"""What is said of the picture of a sweep: its ranges, its extremes, and which points have no finite value."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from service.core.figures.text import figure_text, listed, short_number
from service.core.sweeps.sweep import Sweep
from service.web.captions import shorten
from service.web.frame import PointNote
from service.web.thinning import Thinned

_LONGEST = 24  # characters of a name within a picture


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of the picture of a column of a sweep over one input or two, of which `ends` has the ends.

    `held` are the indices at which other inputs are held, `shown` is the range of values that the picture tells apart.
    """

    sweep: Sweep
    of: str
    ends: Mapping[str, tuple[float, float]]
    held: Mapping[str, int]
    found: Thinned
    shown: tuple[float, float]

    @property
    def over(self) -> list[str]:
        """The inputs that are drawn over."""
        return list(self.ends)

    @property
    def title(self) -> str:
        """F over a and b."""
        return f"{self.of} over {listed(self.over)}"

    @property
    def spoken(self) -> str:
        """All that is told, for who does not see the picture."""
        return " ".join([f"{self.title}.", *self.told()])

    def told(self) -> list[str]:
        """The ranges, what is held, the extremes, which points have no finite value, what cannot be seen."""
        return [self._ranges(), *self._extremes(), *self._nonfinite(), *self._left_out()]

    def named(self) -> list[PointNote]:
        """The least and the greatest value, marked."""
        low, high = self.found.lowest, self.found.highest
        if low is None or high is None:
            return []
        return [self._named("min", *low), *([self._named("max", *high)] if high[1] > low[1] else [])]

    def _named(self, what: str, number: int, value: float) -> PointNote:
        at = self.sweep.at(np.array([number]))
        x, *others = (float(at[name][0]) for name in self.over)
        y = others[0] if others else value
        where = f"({short_number(x)}, {short_number(y)})" if others else f"{short(self.over[0])} = {short_number(x)}"
        return PointNote(x, y, f"{what} {short_number(value)} at {where}")

    def _ranges(self) -> str:
        axes, there = self.sweep.axes, self.found.points
        wanted = self.sweep.points // prod(axes[name].count for name in self.held)
        ranges = [f"{name} from {figure_text(low)} to {figure_text(high)}" for name, (low, high) in self.ends.items()]
        count = _count(there, "point") if there == wanted else f"{there:,} of {_count(wanted, 'point')}"
        held = [f"{name} = {figure_text(axes[name].at(name, np.array([k]))[0])}" for name, k in self.held.items()]
        others = [name for name in axes if name not in self.over and name not in self.held]
        along = f", along which {listed(others)} {'varies' if len(others) == 1 else 'vary'} too" if others else ""
        return f"{listed(ranges)}, {count}{f', at {listed(held)}' if held else ''}{along}."

    def _extremes(self) -> list[str]:
        low, high = self.found.lowest, self.found.highest
        if low is None or high is None:
            return ["No point has a finite value."] if self.found.points else []
        if low[1] == high[1]:
            finite = "finite " if self.found.first_nonfinite else ""
            return [f"Each {finite}value is {figure_text(low[1])}."]
        return [
            f"The least is {figure_text(low[1])}, at {self._place(low[0])}; "
            f"the greatest {figure_text(high[1])}, at {self._place(high[0])}."
        ]

    def _nonfinite(self) -> list[str]:
        count = int(self.found.nonfinite.sum())
        if not count:
            return []
        first = [f"{figure_text(value)} at {self._place(number)}" for number, value in self.found.first_nonfinite]
        more = f"; and {count - len(first):,} more" if count > len(first) else ""
        return [
            f"{_count(count, 'point')} {'has' if count == 1 else 'have'} no finite value (×): {'; '.join(first)}{more}."
        ]

    def _left_out(self) -> list[str]:
        low, high = self.found.lowest, self.found.highest
        said = []
        if len(self.over) > 1 and self.found.points > self.found.least.size:
            said.append("Each cell stands for several points; where they differ much, it shows the most extreme one.")
        if low is not None and high is not None and (low[1] < self.shown[0] or high[1] > self.shown[1]):
            said.append(f"Values are told apart from {short_number(self.shown[0])} to {short_number(self.shown[1])}.")
        return said

    def _place(self, number: int) -> str:
        return place(self.sweep, number, without=self.held)


def short(name: str) -> str:
    """A name as it stands within a picture."""
    return shorten(name, _LONGEST)


def place(sweep: Sweep, number: int, without: Container[str] = ()) -> str:
    """Where a point is: a = 1 and b = 0, the inputs that vary."""
    at = sweep.at(np.array([number]))
    return listed([f"{name} = {figure_text(at[name][0])}" for name in sweep.axes if name not in without])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
