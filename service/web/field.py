"""Draw a function of two variables as SVG: cells shaded by level, contours with their levels, and a bar that says both.

The stylesheet of plots has its style. Shades are one colour, opaque by level, so that they hold in light and dark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from service.core.figures.figures import BoolArray, FloatArray, IntArray
from service.web.captions import text_width
from service.web.frame import (
    PATH,
    RIGHT,
    SIZE,
    TEXT,
    TOP,
    Frame,
    PointNote,
    Scale,
    cut_off,
    draw_axes,
    draw_crosses,
    draw_dots,
    draw_named,
    fit_frame,
    no_value,
)
from service.web.plot_svg import Plot

MOST_ACROSS, MOST_UP = 100, 60  # cells
HEIGHT = 380.0
_LEVELS = 8  # at most, save by one
_NAME = 17.0  # the room below for the name of the horizontal axis
_BAR, _BESIDE, _TO_TEXT = 14.0, 18.0, 6.0  # the bar's width, its distance to the frame, and its texts'
_FAINTEST, _STRONGEST = 0.12, 0.88  # opacities
_ROUGH = 0.25  # of neighbouring cells on two sides of a contour: the field has no lines that could be followed
_APART = 36.0  # between what is written at contours, and from the frame


@dataclass(frozen=True, slots=True)
class Field:
    """Cells by row (upwards) and column, each with one value, NaN where it has none.

    Their bounds are `x` and `y`, one more than columns and rows, ascending. `broken` are cells in which some point has
    no finite value. `low` and `high` are the range of values that shades tell apart. `kind` is "v" for values, "g" for
    gradients.
    """

    values: FloatArray
    x: FloatArray
    y: FloatArray
    broken: BoolArray
    low: float
    high: float
    logarithmic: tuple[bool, bool] = (False, False)
    kind: str = "v"


def draw_field(field: Field, *, over: tuple[str, str], of: str, words: str, named: Sequence[PointNote] = ()) -> Plot:
    """Draw what `of` names over two variables; `named` are points with a note, `words` what is told."""
    scale = Scale(field.low, field.high)
    levels = scale.ticks(_LEVELS)
    labels = [text for _, text in levels]
    right = RIGHT - _BESIDE - _BAR - _TO_TEXT - max((text_width(text, SIZE) for text in labels), default=0.0)
    x, y = (
        Scale(float(ends[0]), float(ends[-1]), logarithmic)
        for ends, logarithmic in zip((field.x, field.y), field.logarithmic, strict=True)
    )
    frame = fit_frame(x, y, height=HEIGHT - _NAME, right=right)
    across, up = frame.across(field.x), frame.up(field.y)
    bounds = np.array([value for value, _ in levels])
    texts, hidden = draw_named(frame, named, np.zeros((0, 2)))
    inside = [*_shade(field, bounds, across, up), *_contours(field, levels, across, up, hidden)]
    inside += [*_marks(field, across, up), *draw_dots(frame, named)]
    parts = [
        *draw_axes(frame, *over, open_ground=False),
        cut_off(frame, inside),
        *texts,
        *_bar(frame, scale, levels, field.kind, of),
    ]
    if np.isnan(field.values).all():
        parts.append(no_value(frame))
    return Plot(Markup("").join(parts), HEIGHT, words)


def _opacity(level: int, count: int) -> str:
    return f"{_FAINTEST + (_STRONGEST - _FAINTEST) * level / max(1, count):.2f}"


def _shade(field: Field, bounds: FloatArray, across: FloatArray, up: FloatArray) -> Iterator[Markup]:
    """Cells of one shade as one path, those beside one another as one rectangle."""
    shades = np.where(np.isnan(field.values), -1, np.digitize(field.values, bounds))
    path = Markup('<path class="shade {}" fill-opacity="{}" d="{}"/>')
    drawn: dict[int, list[str]] = {}
    for row, shaded in enumerate(shades):
        cuts = [0, *(np.flatnonzero(np.diff(shaded)) + 1).tolist(), len(shaded)]
        for first, last in pairwise(cuts):
            if (shade := int(shaded[first])) >= 0:
                drawn.setdefault(shade, []).append(
                    f"M{across[first]:.1f} {up[row]:.1f}H{across[last]:.1f}V{up[row + 1]:.1f}H{across[first]:.1f}z"
                )
    for shade, parts in sorted(drawn.items()):
        yield path.format(f"s{field.kind}", _opacity(shade, len(bounds)), "".join(parts))


def _marks(field: Field, across: FloatArray, up: FloatArray) -> Iterator[Markup]:
    """Cells of which some points have no finite value are crossed, those of which none has one are hatched."""
    rows, columns = np.nonzero(field.broken & ~np.isnan(field.values))
    yield draw_crosses(_middles(across)[columns], _middles(up)[rows])
    rows, columns = np.nonzero(field.broken & np.isnan(field.values))
    corners = zip(across[columns], up[rows], across[columns + 1], up[rows + 1], strict=True)
    yield PATH.format("hatch", "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in corners))


def _bar(frame: Frame, scale: Scale, levels: Sequence[tuple[float, str]], kind: str, of: str) -> Iterator[Markup]:
    """The shades from the lowest to the highest, with the levels between them."""
    left, height = frame.right + _BESIDE, frame.foot - TOP
    bounds = frame.foot - height * np.array([0.0, *(float(scale.share(value)) for value, _ in levels), 1.0])
    rect = Markup('<rect class="shade {}" fill-opacity="{}" x="{:.1f}" y="{:.1f}" width="{:g}" height="{:.1f}"/>')
    for shade, (low, high) in enumerate(pairwise(bounds.tolist())):
        yield rect.format(f"s{kind}", _opacity(shade, len(levels)), left, high, _BAR, max(0.0, low - high))
    yield TEXT.format("ax", left, 9.0, of)
    yield Markup('<rect class="axis" fill="none" x="{:.1f}" y="{:.1f}" width="{:g}" height="{:.1f}"/>').format(
        left, TOP, _BAR, height
    )
    for (_, text), y in zip(levels, bounds[1:-1].tolist(), strict=True):
        yield TEXT.format("", left + _BAR + _TO_TEXT, y + 4, text)


# --- contours -----------------------------------------------------------------------------------------------------


def _contours(
    field: Field, levels: Sequence[tuple[float, str]], across: FloatArray, up: FloatArray, hidden: FloatArray
) -> Iterator[Markup]:
    """The lines of the levels, dashed below 0, each with its level where it is farthest from what else is written."""
    if min(field.values.shape) < 2 or _is_rough(field.values, np.array([value for value, _ in levels])):
        return
    points = np.stack(np.meshgrid(_middles(across), _middles(up)), axis=-1)
    ends = np.array([[across[0], up[-1]], [across[-1], up[0]]])
    texts = []
    for value, text in levels:
        lines = contour(points, field.values, value, field.high - field.low)
        if not len(lines):
            continue
        yield PATH.format("level low" if value < 0 else "level", _segments(lines))
        middles = lines.mean(axis=1)
        within = np.abs(middles[:, None] - ends).min(axis=(1, 2))
        away = np.sqrt(((middles[:, None] - hidden) ** 2).sum(axis=-1).min(axis=1, initial=np.inf))
        room = np.minimum(away, 2 * within)
        if room.max() >= _APART:
            at = middles[room.argmax()]
            hidden = np.vstack([hidden, at])
            texts.append(TEXT.format("mid halo", at[0], at[1] + 4, text))
    yield from texts


def contour(points: FloatArray, values: FloatArray, level: float, steepest: float) -> FloatArray:
    """Where a function crosses a level, as line segments of shape [n, 2, 2].

    It is given at the points [rows, columns, 2] of a grid, and linear over the triangles into which a diagonal parts
    each cell of the grid. Triangles with a NaN are left out, and those over which it rises by more than `steepest`, as
    at a pole.
    """
    parts = (slice(None, -1), slice(1, None))
    around = [(parts[row], parts[column]) for row, column in ((0, 0), (0, 1), (1, 1), (1, 0))]
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    places = np.stack([points[each] for each in around], axis=2)[:, :, triangles].reshape(-1, 3, 2)
    heights = np.stack([values[each] for each in around], axis=2)[:, :, triangles].reshape(-1, 3) - level
    above: BoolArray = np.asarray(heights > 0)
    with np.errstate(over="ignore"):
        smooth = np.ptp(heights, axis=1, keepdims=True) <= steepest  # False where one is NaN
    # A side, from corner k to corner k + 1, is crossed by the line; of each triangle two are, or none.
    crossed = (above ^ np.roll(above, -1, axis=1)) & smooth
    begin, end = places[crossed], np.roll(places, -1, axis=1)[crossed]
    near, far = heights[crossed], np.roll(heights, -1, axis=1)[crossed]
    return np.asarray((begin + (near / (near - far))[:, None] * (end - begin)).reshape(-1, 2, 2))


def _is_rough(values: FloatArray, levels: FloatArray) -> bool:
    """Whether so many neighbours stand on two sides of a level that lines would hide the field."""
    shades = np.digitize(values, levels)
    sides: list[IntArray] = [np.abs(np.diff(shades, axis=axis)).ravel() for axis in (0, 1)]
    steps = np.concatenate(sides)
    return bool(np.minimum(steps, 2).mean() > _ROUGH)


def _segments(lines: FloatArray) -> str:
    return "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in lines.reshape(-1, 4))


def _middles(bounds: FloatArray) -> FloatArray:
    return np.asarray((bounds[:-1] + bounds[1:]) / 2)
