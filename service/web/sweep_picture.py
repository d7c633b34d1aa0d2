"""A picture of a sweep: a figure over one of the inputs that vary, or over two, with its extremes and what is not
finite."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from service.core.errors import Conflict, Fault, InvalidInputs
from service.core.figures.figures import BoolArray, FloatArray, IntArray
from service.core.figures.text import figure_text, listed, short_number
from service.core.sweeps.axes import Axis, Logspace, Normal, Uniform
from service.core.sweeps.sweep import Sweep
from service.web import band, field
from service.web.frame import PointNote, most_of, padded, spread
from service.web.plot_svg import Plot
from service.web.thinning import PlacedPoints, Thinned, group, thin

_APART = 0.3  # of the scale: values in one cell that differ by more are not alike
_FEWEST = 4  # cells along an axis among whose points none stands for its neighbours

Chunk = tuple[int, Mapping[str, FloatArray]]  # its number, and the columns of its points


@dataclass(frozen=True, slots=True)
class Asked:
    """What is drawn: a column of a sweep over the input `x`, or over `x` and `y`; `held` says at which index of its
    axis each other input stays that varies in a grid."""

    of: str
    x: str
    y: str | None
    held: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SweepPicture:
    """A plot with its title, and what is told of it in sentences."""

    plot: Plot
    title: str
    told: Sequence[str]


def choose(sweep: Sweep, of: str | None, x: str | None, y: str | None, held: Mapping[str, int]) -> Asked:
    """What is drawn where something is left out: the first column, over the first two inputs that vary, or over `x`
    alone; what else varies in a grid is held in the middle. Raises InvalidInputs with the names of what is wrong, and
    Conflict where nothing varies."""
    axes, faults = sweep.axes, []
    if not axes:
        raise Conflict("no input of this sweep varies: there is nothing that it could be drawn over")
    names = listed(list(axes), "or")
    first, second, *_ = *(name for name in axes if name != y), None, None
    drawn = Asked(of or sweep.columns[0], x or first or next(iter(axes)), y if x or y else second, {})
    if drawn.of not in sweep.columns:
        faults.append(Fault(("of",), f"{listed(sweep.columns, 'or')} is expected"))
    if drawn.x not in axes:
        faults.append(Fault(("x",), f"an input that varies is expected: {names}"))
    if drawn.y is not None and (drawn.y not in axes or drawn.y == drawn.x):
        faults.append(Fault(("y",), f"another input that varies is expected: {names}"))
    others = [name for name in axes if name not in (drawn.x, drawn.y)] if sweep.mode == "grid" else []
    for name, index in held.items():
        if name not in others:
            faults.append(Fault(("hold",), f"{name} is not an input that varies in a grid and is not drawn over"))
        elif index >= axes[name].count:
            faults.append(Fault(("hold",), f"{name} has {axes[name].count} values, counted from 0"))
    if faults:
        raise InvalidInputs(faults)
    return replace(drawn, held={name: held.get(name, axes[name].count // 2) for name in others})


def draw_sweep(sweep: Sweep, chunks: Iterable[Chunk], asked: Asked) -> SweepPicture:
    """Draw the chunks that there are, which come in order."""
    over = [name for name in (asked.x, asked.y) if name is not None]
    most = (band.MOST_CELLS,) if asked.y is None else (field.MOST_ACROSS, field.MOST_UP)
    scattered = sweep.mode != "grid" and any(isinstance(axis, Normal | Uniform) for axis in sweep.axes.values())
    even = asked.y is not None and sweep.mode != "grid"
    rulers = [_ruler(sweep.axes[name], name, count, even) for name, count in zip(over, most, strict=True)]
    lengths = tuple(len(ruler.bounds) - 1 for ruler in rulers)
    found = thin(_blocks(sweep, chunks, asked, dict(zip(over, rulers, strict=True)), lengths), int(np.prod(lengths)))
    words = _Words(sweep, asked, over, rulers, found)
    kind = "g" if sweep.pairs.get(asked.of, asked.of) in sweep.gradients else "v"
    if asked.y is None:
        (ruler,) = rulers
        shape = band.Band(
            ruler.middles, found.least, found.greatest, found.nonfinite > 0, not scattered, ruler.logarithmic, kind
        )
        plot = band.draw_band(shape, over=asked.x, of=asked.of, words=words.spoken, named=words.named())
        return SweepPicture(plot, words.title, words.told(thinned=False))
    low, high = _shown(found)
    grid = field.Field(
        _typical(found, low, high).reshape(lengths[::-1]),
        rulers[0].bounds,
        rulers[1].bounds,
        (found.nonfinite > 0).reshape(lengths[::-1]),
        low,
        high,
        (rulers[0].logarithmic, rulers[1].logarithmic),
        kind,
    )
    plot = field.draw_field(grid, over=(asked.x, asked.y), of=asked.of, words=words.spoken, named=words.named())
    return SweepPicture(plot, words.title, words.told(thinned=found.points > grid.values.size))


# --- cells --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ruler:
    """The cells along an axis: into which the number at each index falls, −1 if it is not finite, the bounds of the
    cells, where in them a curve passes, and the ends of the numbers."""

    cells: IntArray
    bounds: FloatArray
    middles: FloatArray
    ends: tuple[float, float]
    logarithmic: bool


def _ruler(axis: Axis, name: str, most: int, even: bool) -> _Ruler:
    """At most so many cells; of points scattered over a plane they are `even`, else each has as many numbers."""
    numbers = axis.at(name, np.arange(axis.count))
    logarithmic = isinstance(axis, Logspace) and bool((numbers > 0).all())
    finite = np.isfinite(numbers)
    distinct, inverse = np.unique(np.log(numbers[finite]) if logarithmic else numbers[finite], return_inverse=True)
    cells = np.full(len(numbers), -1)
    if even or len(distinct) < 2:
        count = min(most, max(_FEWEST, int(np.sqrt(len(numbers))))) if len(distinct) > 1 else 1
        bounds = np.linspace(*spread(*(distinct[[0, -1]].tolist() if len(distinct) else (0.0, 1.0))), count + 1)
        cell = np.clip(np.searchsorted(bounds, distinct, side="right") - 1, 0, count - 1)
    else:
        cell, bounds = group(distinct, most)
    cells[finite] = cell[inverse]
    middles = distinct if len(distinct) == len(bounds) - 1 else (bounds[:-1] + bounds[1:]) / 2
    if logarithmic:
        bounds, middles = np.exp(bounds), np.exp(middles)
    ends = numbers[finite] if finite.any() else np.zeros(1)
    return _Ruler(cells, bounds, middles, (float(ends.min()), float(ends.max())), logarithmic)


def _blocks(
    sweep: Sweep, chunks: Iterable[Chunk], asked: Asked, rulers: Mapping[str, _Ruler], lengths: tuple[int, ...]
) -> Iterator[PlacedPoints]:
    """The points that are drawn, each with its cell, row by row."""
    for number, columns in chunks:
        numbers = np.asarray(sweep.numbers(number))
        at = sweep.indices(numbers)
        kept: BoolArray = np.ones(len(numbers), dtype=bool)
        for name, index in asked.held.items():
            kept &= at[name] == index
        cells = np.zeros(len(numbers), dtype=np.int64)
        for (name, ruler), stride in zip(rulers.items(), (1, lengths[0]), strict=False):
            along = ruler.cells[at[name]]
            kept &= along >= 0
            cells += stride * along
        yield PlacedPoints(numbers[kept], cells[kept], columns[asked.of][kept])


def _shown(found: Thinned) -> tuple[float, float]:
    given = ~np.isnan(found.least)
    values = np.concatenate([found.least[given], found.greatest[given]])
    return padded(*(most_of(values) if len(values) else (0.0, 1.0)))


def _typical(found: Thinned, low: float, high: float) -> FloatArray:
    """One value for each cell: midway between its least and greatest; where these are apart, the one farther from the
    middle of the scale, so that extremes are seen."""
    middle = low / 2 + high / 2
    with np.errstate(over="ignore"):
        farther = np.where(np.abs(found.greatest - middle) > np.abs(found.least - middle), found.greatest, found.least)
        apart = found.greatest - found.least > _APART * (high - low)
    return np.where(apart, farther, found.least / 2 + found.greatest / 2)


# --- words --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Words:
    """What is said of a picture."""

    sweep: Sweep
    asked: Asked
    over: Sequence[str]
    rulers: Sequence[_Ruler]
    found: Thinned

    @property
    def title(self) -> str:
        """F over a and b."""
        return f"{self.asked.of} over {listed(self.over)}"

    @property
    def spoken(self) -> str:
        """All that is told, for who does not see the picture."""
        return " ".join([f"{self.title}.", *self.told(thinned=False)])

    def told(self, *, thinned: bool) -> list[str]:
        """The ranges, what is held, the extremes, which points have no finite value, and what a cell shows."""
        said = [self._ranges(), *self._extremes(), *self._nonfinite()]
        if thinned:
            said.append("Each cell stands for several points; where they differ much, it shows the most extreme one.")
        return said

    def named(self) -> list[PointNote]:
        """The least and the greatest value, marked."""
        low, high = self.found.lowest, self.found.highest
        if low is None or high is None:
            return []
        return [self._named("min", *low), *([self._named("max", *high)] if high[1] > low[1] else [])]

    def _named(self, what: str, number: int, value: float) -> PointNote:
        at = self._at(number)
        x, y = at[self.over[0]], value if self.asked.y is None else at[self.asked.y]
        place = (
            f"{self.over[0]} = {short_number(x)}" if self.asked.y is None else f"({short_number(x)}, {short_number(y)})"
        )
        return PointNote(x, y, f"{what} {short_number(value)} at {place}")

    def _ranges(self) -> str:
        ranges = [
            f"{name} from {figure_text(ruler.ends[0])} to {figure_text(ruler.ends[1])}"
            for name, ruler in zip(self.over, self.rulers, strict=True)
        ]
        there, of = self.found.points, self._wanted
        count = _count(there, "point") if there == of else f"{there:,} of {_count(of, 'point')}"
        said = f"{listed(ranges)}, {count}"
        if self.asked.held:
            held = {name: self.sweep.axes[name].at(name, np.array([index])) for name, index in self.asked.held.items()}
            said += f", at {listed([f'{name} = {figure_text(each[0])}' for name, each in held.items()])}"
        elif len(self.sweep.axes) > len(self.over):
            others = [name for name in self.sweep.axes if name not in self.over]
            said += f", along which {listed(others)} {'varies' if len(others) == 1 else 'vary'} too"
        return f"{said}."

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

    @property
    def _wanted(self) -> int:
        """How many points there are to be drawn, computed or not."""
        return self.sweep.points // prod(self.sweep.axes[name].count for name in self.asked.held)

    def _at(self, number: int) -> dict[str, float]:
        return {name: float(each[0]) for name, each in self.sweep.at(np.array([number])).items()}

    def _place(self, number: int) -> str:
        return place(self.sweep, number, without=self.asked.held)


def place(sweep: Sweep, number: int, without: Container[str] = ()) -> str:
    """Where a point is: a = 1 and b = 0, the inputs that vary."""
    at = sweep.at(np.array([number]))
    return listed([f"{name} = {figure_text(at[name][0])}" for name in sweep.axes if name not in without])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
