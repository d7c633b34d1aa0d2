"""Draw a function of one variable at very many points as SVG: the range of its values in each of many narrow cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from service.core.figures.figures import BoolArray, FloatArray
from service.web.frame import (
    PATH,
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
    spread,
)
from service.web.plot import Curve, path
from service.web.plot_svg import Plot

MOST_CELLS = 540  # about one for each unit of the frame's width
HEIGHT = 340.0
_ROUND = " round"  # of strokes that may have no length


@dataclass(frozen=True, slots=True)
class Band:
    """At ascending, finite `x` the least and the greatest value near it, NaN where there is none; `broken` where some
    point has no finite value. `low` and `high` are the range of values that is shown.

    Of points that are `joined` the line through them is drawn, else each by itself. `kind` is as of a Field.
    """

    x: FloatArray
    least: FloatArray
    greatest: FloatArray
    broken: BoolArray
    low: float
    high: float
    joined: bool = True
    logarithmic: bool = False
    kind: str = "v"


def draw_band(band: Band, *, over: str, of: str, words: str, named: Sequence[PointNote] = ()) -> Plot:
    """Draw what `of` names over one variable; `named` are points with a note, `words` what is told."""
    given = ~np.isnan(band.least)
    ends = (float(band.x[0]), float(band.x[-1]))
    across = Scale(*ends, band.logarithmic) if ends[0] < ends[1] else Scale(*spread(*ends))
    frame = fit_frame(across, Scale(band.low, band.high), height=HEIGHT)
    drawn = _joined(frame, band) if band.joined else _apart(frame, band)
    at = frame.across(band.x[band.broken])
    inside = [drawn, draw_crosses(at, np.full(at.shape, frame.foot - 4)), *draw_dots(frame, named)]
    hidden = [np.stack([frame.across(band.x), frame.up(y)], axis=1)[given] for y in (band.least, band.greatest)]
    texts, _ = draw_named(frame, named, np.concatenate(hidden))
    parts = [*draw_axes(frame, over, of), cut_off(frame, inside), *texts, *([] if given.any() else [no_value(frame)])]
    return Plot(Markup("").join(parts), HEIGHT, words)


def _joined(frame: Frame, band: Band) -> Markup:
    """The line through the points; where several share a cell, from their least to their greatest value or down."""
    kind = f"c{band.kind}"
    if np.array_equal(band.least, band.greatest, equal_nan=True):
        return PATH.format(kind, path(frame, Curve(band.x, band.least)))
    middles, ends = band.least / 2 + band.greatest / 2, np.stack([band.least, band.greatest], axis=1)
    falls = np.diff(middles, prepend=middles[0]) < 0
    ends[falls] = ends[falls, ::-1]
    return PATH.format(f"{kind} thin", path(frame, Curve(np.repeat(band.x, 2), ends.ravel(), in_steps=True)))


def _apart(frame: Frame, band: Band) -> Markup:
    """A stroke for each cell from its least to its greatest value, a dot where they are one."""
    given = ~np.isnan(band.least)
    low, high = frame.up(band.least[given]), frame.up(band.greatest[given])
    strokes = zip(frame.across(band.x[given]), low, high, strict=True)
    return PATH.format(f"c{band.kind}{_ROUND}", "".join(f"M{x:.1f} {a:.1f}V{b:.1f}" for x, a, b in strokes))
