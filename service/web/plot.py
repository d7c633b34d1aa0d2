"""Draw curves over one variable as SVG to stand within a page, whose stylesheet has its style (class `plot`)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text, listed, short_number
from service.web.frame import (
    DOT,
    Frame,
    Scale,
    cut_off,
    draw_axes,
    fill_box,
    fit_frame,
    most_of,
    no_value,
    padded,
    set_beside,
    spread,
)
from service.web.plot_svg import Plot, inline

MOST_SAMPLES = 400
_JUMP = 20.0  # a step so many times as large as both beside it is a jump


@dataclass(frozen=True, slots=True)
class Curve:
    """Samples of a function at ascending, finite `x`; `y` is NaN or infinite where it has no value.

    `kind` is "cv" for values, "cg" for gradients; `label` stands beside the curve. Of what has values at `x` alone, as
    a sequence `in_steps`, no step is a jump.
    """

    x: FloatArray
    y: FloatArray
    kind: str = "cv"
    label: str = ""
    in_steps: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on the first curve and the slope of its tangent there, None where there is none."""

    x: float
    y: float
    slope: float | None = None


def sample(low: float, high: float, count: int = MOST_SAMPLES) -> FloatArray:
    """Where to evaluate a function that is plotted from `low` to `high`."""
    return np.linspace(low, high, count)


def draw_plot(
    curves: Sequence[Curve],
    *,
    over: str,
    of: str,
    mark: Mark | None = None,
    dots: Sequence[tuple[float, float]] = (),
    height: float = 340.0,
) -> Markup:
    """Draw one or more curves over the same range of the variable `over`; `of` names what the first one is.

    A curve is broken where it has no value, at poles and at jumps. `mark` is shown with its tangent, `dots` are points
    of no other note, as kinks. The picture's name for screen readers says how each curve runs.
    """
    frame = _fit(curves, mark, height)
    parts = [*draw_axes(frame, over, of), _inside(frame, curves, mark, dots)]
    if not any(np.isfinite(curve.y).any() for curve in curves):
        parts.append(no_value(frame))
    parts.extend(_labels(frame, curves, mark, over, of))
    words = describe(curves, over=over, of=of, mark=mark, dots=dots)
    return inline(Plot(Markup("").join(parts), height, words))


def describe(
    curves: Sequence[Curve],
    *,
    over: str,
    of: str,
    mark: Mark | None = None,
    dots: Sequence[tuple[float, float]] = (),
) -> str:
    """Say what a plot shows."""
    low, high = curves[0].x[0], curves[0].x[-1]
    ways = "; ".join(f"{curve.label or of if len(curves) > 1 else 'it'} {_course(curve)}" for curve in curves)
    told = f"{of} over {over} from {_spoken(low)} to {_spoken(high)}: {ways}."
    if dots:
        told += f" Marked at {over} = {listed([_spoken(x) for x, _ in dots])}."
    if mark is None:
        return told
    told += f" At {over} = {_spoken(mark.x)} it is {_spoken(mark.y)}"
    return f"{told}." if mark.slope is None else f"{told}, and the tangent there has the slope {_spoken(mark.slope)}."


# --- the frame ----------------------------------------------------------------------------------------------------


def _fit(curves: Sequence[Curve], mark: Mark | None, height: float) -> Frame:
    across = Scale(*spread(float(curves[0].x[0]), float(curves[0].x[-1])))
    return fit_frame(across, Scale(*_extent(curves, mark)), height=height)


def _extent(curves: Sequence[Curve], mark: Mark | None) -> tuple[float, float]:
    """The range of values to show: of all of them, or of most where some lie far out, as near a pole."""
    ends = [] if mark is None or not math.isfinite(mark.y) else [mark.y]
    for curve in curves:
        finite = curve.y[np.isfinite(curve.y)]
        if finite.size:
            ends += most_of(finite)
    return padded(min(ends, default=0.0), max(ends, default=1.0))


# --- curves -------------------------------------------------------------------------------------------------------


def _inside(frame: Frame, curves: Sequence[Curve], mark: Mark | None, dots: Sequence[tuple[float, float]]) -> Markup:
    """The curves, the tangent and the marked points."""
    drawn = [Markup('<path class="{}" d="{}"/>').format(curve.kind, path(frame, curve)) for curve in curves]
    if mark is not None and math.isfinite(mark.y):
        at, level = float(frame.across(mark.x)), float(frame.up(mark.y))
        line = Markup('<path class="axis dash" d="M{:.1f} {:.1f}V{:.1f}M{:.1f} {:.1f}H{:.1f}"/>')
        drawn.insert(0, line.format(at, level, frame.foot, frame.left, level, at))
        tangent = _tangent(frame, mark)
        if len(tangent):
            drawn.append(Markup('<path class="cg dash" d="{}"/>').format(_polyline(tangent[[0, -1]])))
        drawn.append(DOT.format(at, level))
    drawn += [DOT.format(float(frame.across(x)), float(frame.up(y))) for x, y in dots if math.isfinite(y)]
    return cut_off(frame, drawn)


def path(frame: Frame, curve: Curve) -> str:
    """The strokes of a curve, which is broken where it has no value, at poles and at jumps."""
    points = np.stack([frame.across(curve.x), frame.up(curve.y)], axis=1)
    return "".join(_polyline(points[piece]) for piece in _pieces(frame, curve))


def _polyline(points: FloatArray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _pieces(frame: Frame, curve: Curve) -> list[slice]:
    """The parts of a curve that are drawn in one stroke; one sample alone is none."""
    y, broken = curve.y, ~np.isfinite(curve.y)
    with np.errstate(all="ignore"):
        steps = np.abs(np.diff(y / 2))
        beside = np.fmax(np.append(0.0, steps[:-1]), np.append(steps[1:], 0.0))
        jumps = (steps > _JUMP * beside) & (steps > 0.01 * (frame.y.high / 2 - frame.y.low / 2))
        poles = ((y[:-1] > frame.y.high) & (y[1:] < frame.y.low)) | ((y[:-1] < frame.y.low) & (y[1:] > frame.y.high))
    if curve.in_steps:
        jumps = poles = np.zeros(len(steps), dtype=bool)
    cuts = np.flatnonzero(jumps | poles | broken[:-1] | broken[1:]) + 1
    ends = [0, *cuts.tolist(), len(y)]
    return [slice(first, last) for first, last in pairwise(ends) if last - first > 1]


def _tangent(frame: Frame, mark: Mark) -> FloatArray:
    """Points along the tangent within the frame, over half of its width; none where there is no tangent."""
    if mark.slope is None or not math.isfinite(mark.slope):
        return np.zeros((0, 2))
    reach = (frame.x.high - frame.x.low) / 2
    x = mark.x + np.linspace(-reach, reach, 201)
    y = mark.y + mark.slope * (x - mark.x)
    seen = (x >= frame.x.low) & (x <= frame.x.high) & (y >= frame.y.low) & (y <= frame.y.high)
    return np.stack([frame.across(x[seen]), frame.up(y[seen])], axis=1)


# --- labels -------------------------------------------------------------------------------------------------------


def _labels(frame: Frame, curves: Sequence[Curve], mark: Mark | None, over: str, of: str) -> Iterator[Markup]:
    """The curves' labels, the marked point's and its slope, each where it hides least."""
    paths = [np.stack([frame.across(curve.x), frame.up(curve.y)], axis=1)[np.isfinite(curve.y)] for curve in curves]
    wanted = [
        (curve.label, f"t{curve.kind[1]}", path) for curve, path in zip(curves, paths, strict=True) if curve.label
    ]
    hidden = list(paths)
    if mark is not None and math.isfinite(mark.y):
        at = np.array([[float(frame.across(mark.x)), float(frame.up(mark.y))]])
        tangent = _tangent(frame, mark)
        hidden += [tangent, at, _straight(at[0], (frame.left, at[0, 1])), _straight(at[0], (at[0, 0], frame.foot))]
        if len(tangent) and mark.slope is not None:
            wanted.insert(0, (f"slope {_spoken(mark.slope)}", "tg", tangent))
        wanted.insert(0, (f"{of} = {short_number(mark.y)} at {over} = {short_number(mark.x)}", "ink", at))
    for label, kind, path in wanted:
        if len(path):
            text, box = set_beside(label, kind, path, np.concatenate(hidden), frame)
            hidden.append(fill_box(box))
            yield text


def _straight(start: FloatArray, end: tuple[float, float]) -> FloatArray:
    return np.linspace(start, end, 60)


# --- words --------------------------------------------------------------------------------------------------------


def _course(curve: Curve) -> str:
    """How a curve runs: where it begins, ends, rises and falls, and that it has no value somewhere."""
    given = np.isfinite(curve.y)
    if not given.any():
        return "has no value there"
    y = curve.y[given]
    first, last, least, most = float(y[0]), float(y[-1]), float(y.min()), float(y.max())
    steps = np.diff(y)
    if least == most:
        said = f"is {_spoken(first)}"
    elif (steps >= 0).all():
        said = f"rises from {_spoken(first)} to {_spoken(last)}"
    elif (steps <= 0).all():
        said = f"falls from {_spoken(first)} to {_spoken(last)}"
    else:
        said = f"goes from {_spoken(first)} to {_spoken(last)}, between {_spoken(least)} and {_spoken(most)}"
    return said if given.all() else f"{said}, and has no value in places"


def _spoken(value: float) -> str:
    """A number as people say it, −1/3; one that is no simple fraction with three digits."""
    text = figure_text(value)
    return text if "/" in text else short_number(float(value))
