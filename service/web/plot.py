"""Draw curves over one variable as SVG to stand within a page, whose stylesheet has its style (class `plot`)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text, listed, short_number
from service.web.captions import text_width

MOST_SAMPLES = 400
_WIDTH, _RIGHT, _TOP, _BOTTOM = 600.0, 586.0, 14.0, 30.0
_SIZE = 12.0  # of the labels
_TICKS_OVER, _TICKS_UP = 10, 6  # at most
_PADDING = 0.05  # of the frame's height, above and below what is shown
# A curve with a pole is shown as far as this many times the span of most of its values.
_REACH, _MOST = 3.0, (0.1, 0.9)
_DOT = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="5"/>')
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
    parts = [*_axes(frame, over, of), _inside(frame, curves, mark, dots)]
    if not any(np.isfinite(curve.y).any() for curve in curves):
        words = '<text class="mid" x="{:.1f}" y="{:.1f}">no value anywhere here</text>'
        parts.append(Markup(words).format((frame.left + _RIGHT) / 2, (frame.foot + _TOP) / 2))
    parts.extend(_labels(frame, curves, mark, over, of))
    words = Markup('<svg class="plot floor" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(
        _WIDTH, height, describe(curves, over=over, of=of, mark=mark, dots=dots)
    )
    return Markup("").join([words, *parts, Markup("</svg>")])


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


@dataclass(frozen=True, slots=True)
class _Frame:
    """The ranges that are shown, and where their left and their lower end stand."""

    low: float
    high: float
    bottom: float
    top: float
    left: float
    foot: float

    def across(self, x: FloatArray | float) -> FloatArray:
        """Where a value of the variable stands."""
        share = (np.asarray(x) / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halves do not overflow
        return self.left + share * (_RIGHT - self.left)

    def up(self, y: FloatArray | float) -> FloatArray:
        """Where a value of the function stands; beyond the frame, at most its height away from it."""
        share = (np.asarray(y) / 2 - self.bottom / 2) / (self.top / 2 - self.bottom / 2)
        return self.foot - np.clip(share, -1.0, 2.0) * (self.foot - _TOP)


def _fit(curves: Sequence[Curve], mark: Mark | None, height: float) -> _Frame:
    low, high = _spread(float(curves[0].x[0]), float(curves[0].x[-1]))
    bottom, top = _extent(curves, mark)
    labels = [_tick(value, step) for value, step in _ticks(bottom, top, _TICKS_UP)]
    left = 14.0 + max((text_width(label, _SIZE) for label in labels), default=0.0)
    return _Frame(low, high, bottom, top, max(44.0, left), height - _BOTTOM)


def _extent(curves: Sequence[Curve], mark: Mark | None) -> tuple[float, float]:
    """The range of values to show: of all of them, or of most where some lie far out, as near a pole."""
    ends = [] if mark is None or not math.isfinite(mark.y) else [mark.y]
    for curve in curves:
        finite = curve.y[np.isfinite(curve.y)]
        if finite.size:
            lower, upper = np.quantile(finite, _MOST)
            reach = _REACH * (upper - lower)
            held = finite[(finite >= lower - reach) & (finite <= upper + reach)] if reach else finite
            ends += [float(held.min()), float(held.max())]
    bottom, top = _spread(min(ends, default=0.0), max(ends, default=1.0))
    padding = _PADDING * (top - bottom)
    return bottom - padding, top + padding


def _spread(low: float, high: float) -> tuple[float, float]:
    """The same range, wide enough to be drawn and narrow enough to be computed with."""
    low, high = max(low, -1e300), min(high, 1e300)
    if high - low > 1e-12 * max(abs(low), abs(high)):
        return low, high
    margin = abs(high) / 2 or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, most: int) -> Iterator[tuple[float, float]]:
    """Round numbers from `low` to `high`, each with the distance between them, which is 1, 2 or 5 times 10ᵏ."""
    least = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
        yield count * step, step


def _tick(value: float, step: float) -> str:
    if not 1e-4 <= step < 1e5:
        return short_number(value)
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}".replace("-", "−")


def _axes(frame: _Frame, over: str, of: str) -> Iterator[Markup]:
    line = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
    for value, step in _ticks(frame.bottom, frame.top, _TICKS_UP):
        y = float(frame.up(value))
        yield line.format("grid", frame.left, _RIGHT, y, y)
        yield text.format("end", frame.left - 8, y + 4, _tick(value, step))
    for value, step in _ticks(frame.low, frame.high, _TICKS_OVER):
        x = float(frame.across(value))
        yield line.format("axis", x, x, frame.foot, frame.foot + 4)
        yield text.format("mid", x, frame.foot + 17, _tick(value, step))
    yield line.format("axis", frame.left, _RIGHT, frame.foot, frame.foot)
    yield text.format("ax", 6.0, 12.0, of)
    yield text.format("ax end", _RIGHT, frame.foot - 8, over)


# --- curves -------------------------------------------------------------------------------------------------------


def _inside(frame: _Frame, curves: Sequence[Curve], mark: Mark | None, dots: Sequence[tuple[float, float]]) -> Markup:
    """The curves, the tangent and the marked points, cut off at the frame, which an inner `<svg>` does."""
    width, height = _RIGHT - frame.left, frame.foot - _TOP
    place = f"{frame.left - 6:.1f} {_TOP - 6:g} {width + 12:.1f} {height + 12:g}"
    x, y, wide, high = place.split()
    drawn = [Markup('<path class="{}" d="{}"/>').format(curve.kind, _path(frame, curve)) for curve in curves]
    if mark is not None and math.isfinite(mark.y):
        at, level = float(frame.across(mark.x)), float(frame.up(mark.y))
        line = Markup('<path class="axis dash" d="M{:.1f} {:.1f}V{:.1f}M{:.1f} {:.1f}H{:.1f}"/>')
        drawn.insert(0, line.format(at, level, frame.foot, frame.left, level, at))
        tangent = _tangent(frame, mark)
        if len(tangent):
            drawn.append(Markup('<path class="cg dash" d="{}"/>').format(_polyline(tangent[[0, -1]])))
        drawn.append(_DOT.format(at, level))
    drawn += [_DOT.format(float(frame.across(x)), float(frame.up(y))) for x, y in dots if math.isfinite(y)]
    opened = Markup('<svg x="{}" y="{}" width="{}" height="{}" viewBox="{}">').format(x, y, wide, high, place)
    return Markup("").join([opened, *drawn, Markup("</svg>")])


def _path(frame: _Frame, curve: Curve) -> str:
    points = np.stack([frame.across(curve.x), frame.up(curve.y)], axis=1)
    return "".join(_polyline(points[piece]) for piece in _pieces(frame, curve))


def _polyline(points: FloatArray) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _pieces(frame: _Frame, curve: Curve) -> list[slice]:
    """The parts of a curve that are drawn in one stroke; one sample alone is none."""
    y, broken = curve.y, ~np.isfinite(curve.y)
    with np.errstate(all="ignore"):
        steps = np.abs(np.diff(y / 2))
        beside = np.fmax(np.append(0.0, steps[:-1]), np.append(steps[1:], 0.0))
        jumps = (steps > _JUMP * beside) & (steps > 0.01 * (frame.top / 2 - frame.bottom / 2))
        poles = ((y[:-1] > frame.top) & (y[1:] < frame.bottom)) | ((y[:-1] < frame.bottom) & (y[1:] > frame.top))
    if curve.in_steps:
        jumps = poles = np.zeros(len(steps), dtype=bool)
    cuts = np.flatnonzero(jumps | poles | broken[:-1] | broken[1:]) + 1
    ends = [0, *cuts.tolist(), len(y)]
    return [slice(first, last) for first, last in pairwise(ends) if last - first > 1]


def _tangent(frame: _Frame, mark: Mark) -> FloatArray:
    """Points along the tangent within the frame, over half of its width; none where there is no tangent."""
    if mark.slope is None or not math.isfinite(mark.slope):
        return np.zeros((0, 2))
    reach = (frame.high - frame.low) / 2
    x = mark.x + np.linspace(-reach, reach, 201)
    y = mark.y + mark.slope * (x - mark.x)
    seen = (x >= frame.low) & (x <= frame.high) & (y >= frame.bottom) & (y <= frame.top)
    return np.stack([frame.across(x[seen]), frame.up(y[seen])], axis=1)


# --- labels -------------------------------------------------------------------------------------------------------


def _labels(frame: _Frame, curves: Sequence[Curve], mark: Mark | None, over: str, of: str) -> Iterator[Markup]:
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
            text, box = _set_beside(label, kind, path, np.concatenate(hidden), frame)
            hidden.append(np.stack(np.meshgrid(np.linspace(*box[:2], 20), np.linspace(*box[2:], 4)), -1).reshape(-1, 2))
            yield text


def _straight(start: FloatArray, end: tuple[float, float]) -> FloatArray:
    return np.linspace(start, end, 60)


def _set_beside(
    label: str, kind: str, path: FloatArray, hidden: FloatArray, frame: _Frame
) -> tuple[Markup, tuple[float, float, float, float]]:
    """A label beside some point of a path, at that which hides the least, and the box that it takes."""
    width, best = text_width(label, _SIZE), (math.inf, 0.0, 0.0, "", (0.0, 0.0, 0.0, 0.0))
    for share in (0.85, 0.7, 0.5, 0.3, 0.15):
        at, level = path[int(share * (len(path) - 1))]
        for away, down, end in ((-9, -9, True), (9, 19, False), (9, -9, False), (-9, 19, True), (0, -12, False)):
            x, y = at + away, level + down
            left = x - width if end else x
            box = (left, left + width, y - _SIZE, y + 3)
            outside = max(frame.left - box[0], box[1] - _RIGHT, _TOP - 12 - box[2], box[3] - frame.foot + 2, 0.0)
            inside = (hidden[:, 0] > box[0] - 4) & (hidden[:, 0] < box[1] + 4)
            inside &= (hidden[:, 1] > box[2] - 2) & (hidden[:, 1] < box[3] + 2)
            cost = float(np.count_nonzero(inside)) + 100 * outside
            if cost < best[0]:
                best = (cost, x, y, " end" if end else "", box)
    _, x, y, end_class, box = best
    text = Markup('<text class="{}{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, end_class, x, y, label)
    return text, box


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
