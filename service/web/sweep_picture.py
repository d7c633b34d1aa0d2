"""A picture of a sweep: a figure over one of the inputs that vary, or over two, with its extremes and what is not
finite."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from service.core.errors import Conflict, Fault, InvalidInputs
from service.core.figures.figures import BoolArray, FloatArray, IntArray
from service.core.figures.text import listed
from service.core.sweeps.axes import Axis, Logspace, Normal, Uniform
from service.core.sweeps.sweep import Sweep
from service.web import band, field
from service.web.frame import FINEST, most_of, padded, spread
from service.web.plot_svg import Plot
from service.web.sweep_words import Words, short
from service.web.thinning import PlacedPoints, Thinned, group, thin

_APART = 0.3  # of the scale: values in one cell that differ by more are not alike
_LOGARITHMS = (math.log(5e-324), math.log(sys.float_info.max))  # of the positive numbers
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


@dataclass(frozen=True, slots=True)
class _Ruler:
    """The cells along an axis: into which the number at each index falls, −1 if it is not finite, the bounds of the
    cells, where in them a curve passes, and the ends of the numbers."""

    cells: IntArray
    bounds: FloatArray
    middles: FloatArray
    ends: tuple[float, float]
    logarithmic: bool


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
    over = [asked.x] if asked.y is None else [asked.x, asked.y]
    most = (band.MOST_CELLS,) if asked.y is None else (field.MOST_ACROSS, field.MOST_UP)
    even = asked.y is not None and sweep.mode != "grid"
    rulers = {name: _ruler(sweep.axes[name], name, count, even) for name, count in zip(over, most, strict=True)}
    lengths = tuple(len(ruler.bounds) - 1 for ruler in rulers.values())
    found = thin(_points(sweep, chunks, asked, rulers, lengths), prod(lengths))
    shown = _shown(found)
    ends = {name: ruler.ends for name, ruler in rulers.items()}
    words = Words(sweep, asked.of, ends, asked.held, found, shown)
    kind = "g" if sweep.pairs.get(asked.of, asked.of) in sweep.gradients else "v"
    plot = (_draw_band if asked.y is None else _draw_field)(list(rulers.values()), words, kind)
    return SweepPicture(plot, words.title, words.told())


def _draw_band(rulers: Sequence[_Ruler], words: Words, kind: str) -> Plot:
    (ruler,), found, sweep = rulers, words.found, words.sweep
    scattered = sweep.mode != "grid" and any(isinstance(axis, Normal | Uniform) for axis in sweep.axes.values())
    broken = found.nonfinite > 0
    places = (ruler.middles, found.least, found.greatest, broken)
    drawn = band.Band(*places, *words.shown, not scattered, ruler.logarithmic, kind)
    over, of = short(words.over[0]), short(words.of)
    return band.draw_band(drawn, over=over, of=of, words=words.spoken, named=words.named())


def _draw_field(rulers: Sequence[_Ruler], words: Words, kind: str) -> Plot:
    (x, y), found = rulers, words.found
    shape = (len(y.bounds) - 1, len(x.bounds) - 1)
    values, broken = _typical(found, *words.shown).reshape(shape), (found.nonfinite > 0).reshape(shape)
    drawn = field.Field(values, x.bounds, y.bounds, broken, *words.shown, (x.logarithmic, y.logarithmic), kind)
    over, of = (short(words.over[0]), short(words.over[1])), short(words.of)
    return field.draw_field(drawn, over=over, of=of, words=words.spoken, named=words.named())


# --- cells --------------------------------------------------------------------------------------------------------


def _ruler(axis: Axis, name: str, most: int, even: bool) -> _Ruler:
    """At most so many cells; of points scattered over a plane they are `even`, else each has as many numbers."""
    numbers = axis.at(name, np.arange(axis.count))
    logarithmic = isinstance(axis, Logspace) and bool((numbers > 0).all()) and numbers.max() > FINEST
    finite = np.isfinite(numbers)
    distinct, inverse = _distinct(np.log(numbers[finite]) if logarithmic else numbers[finite])
    cells = np.full(len(numbers), -1)
    apart = len(distinct) > 1 and distinct[-1] / 2 - distinct[0] / 2 > FINEST
    if even or not apart:
        count = min(most, max(_FEWEST, int(np.sqrt(len(numbers))))) if apart else 1
        bounds = np.linspace(*spread(*(distinct[[0, -1]].tolist() if len(distinct) else (0.0, 1.0))), count + 1)
        cell = np.clip(np.searchsorted(bounds, distinct, side="right") - 1, 0, count - 1)
    else:
        cell, bounds = group(distinct, most)
    cells[finite] = cell[inverse]
    middles = distinct if len(distinct) == len(bounds) - 1 else (bounds[:-1] + bounds[1:]) / 2
    if logarithmic:
        bounds, middles = (np.exp(np.clip(each, *_LOGARITHMS)) for each in (bounds, middles))
    ends = numbers[finite] if finite.any() else np.zeros(1)
    return _Ruler(cells, bounds, middles, (float(ends.min()), float(ends.max())), logarithmic)


def _distinct(numbers: FloatArray) -> tuple[FloatArray, IntArray]:
    """The distinct numbers, ascending, and which of them each is; those that ascend already need not be sorted."""
    if (numbers[1:] > numbers[:-1]).all():
        return numbers, np.arange(len(numbers))
    return np.unique(numbers, return_inverse=True)


def _points(
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
