"""The frame of a plot: scales with round ticks, axes, and labels that hide little. Plots are SVG to stand within a page
or alone."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from service.core.figures.figures import FloatArray
from service.core.figures.text import short_number
from service.web.captions import text_width

WIDTH, RIGHT, TOP = 600.0, 586.0, 14.0
SIZE = 12.0  # of the labels
_BOTTOM, _NARROWEST = 30.0, 44.0  # below the frame, and left of it
_PADDING = 0.05  # of a range
_TICKS_OVER, TICKS_UP = 10, 6  # at most
# Values with a pole are shown as far as this many times the span of most of them.
_REACH, _MOST = 3.0, (0.1, 0.9)
FINEST = 1e-300  # the narrowest range: quotients and logarithms of one are finite
_WITHIN_DECADES = (1, 2, 5)  # of a logarithmic scale
DOT = Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="5"/>')
TEXT = Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>')
PATH = Markup('<path class="{}" d="{}"/>')
_LINE = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')

Box = tuple[float, float, float, float]  # left, right, top, bottom
Place = tuple[float, float, bool]  # of a label: how far right of a point and below it, and whether it ends there
_PLACES: Sequence[Place] = ((-9, -9, True), (9, 19, False), (9, -9, False), (-9, 19, True), (0, -12, False))
_FARTHER: Sequence[Place] = ((9, 36, False), (-9, 36, True), (9, -26, False), (-9, -26, True))


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of values along an axis, `low` below `high`; of a logarithmic one both are positive."""

    low: float
    high: float
    logarithmic: bool = False

    def share(self, value: FloatArray | float) -> FloatArray:
        """Where values stand, 0 at the low end and 1 at the high one."""
        if self.logarithmic:
            low, high = math.log(self.low), math.log(self.high)
            return np.asarray((np.log(value) - low) / (high - low))
        # Halves do not overflow.
        return np.asarray((np.asarray(value) / 2 - self.low / 2) / (self.high / 2 - self.low / 2))

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round numbers within the range, at most so many save by one, each as it is written."""
        return list(self._powers(most) if self.logarithmic and self.high > 10 * self.low else self._multiples(most))

    def _multiples(self, most: int) -> Iterator[tuple[float, str]]:
        """Multiples of 1, 2 or 5 times 10ᵏ."""
        least = self.high / most - self.low / most
        power = 10.0 ** math.floor(math.log10(least))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
        for count in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1):
            yield count * step, _tick(count * step, step)

    def _powers(self, most: int) -> Iterator[tuple[float, str]]:
        """Powers of ten; between them twice and five times them, if there is room."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = -(-(last - first) // most)
        factors = _WITHIN_DECADES if len(_WITHIN_DECADES) * (last - first) <= most else (1,)
        for power in range(first, min(last, sys.float_info.max_10_exp) + 1, every):
            for factor in factors:
                value = factor * 10.0**power
                if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9):
                    yield value, short_number(value)


def most_of(values: FloatArray) -> tuple[float, float]:
    """The range of finite values, one or more: of all of them, or of most where some lie far out, as near a pole."""
    with np.errstate(over="ignore", invalid="ignore"):
        lower, upper = np.quantile(values, _MOST)
        reach = _REACH * (upper - lower)
        held = values[(values >= lower - reach) & (values <= upper + reach)] if reach > 0 else values
    return float(held.min()), float(held.max())


def spread(low: float, high: float) -> tuple[float, float]:
    """The same range, wide enough to be drawn and narrow enough to be computed with."""
    low, high = max(low, -1e300), min(high, 1e300)
    size = max(abs(low), abs(high))
    if high - low > max(1e-12 * size, FINEST):
        return low, high
    margin = size / 2 if size > FINEST else 1.0
    return low - margin, high + margin


def padded(low: float, high: float) -> tuple[float, float]:
    """A range that can be drawn, with some room below `low` and above `high`."""
    low, high = spread(low, high)
    padding = _PADDING * (high - low)
    return low - padding, high + padding


def _tick(value: float, step: float) -> str:
    if not 1e-4 <= step < 1e5:
        return short_number(value)
    return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown, by its two scales, and where the frame's left, right and lower edges stand."""

    x: Scale
    y: Scale
    left: float
    right: float
    foot: float

    def across(self, x: FloatArray | float) -> FloatArray:
        """Where a value of the variable stands."""
        return self.left + self.x.share(x) * (self.right - self.left)

    def up(self, y: FloatArray | float) -> FloatArray:
        """Where a value of the function stands; beyond the frame, at most its height away from it."""
        return self.foot - np.clip(self.y.share(y), -1.0, 2.0) * (self.foot - TOP)


def fit_frame(x: Scale, y: Scale, *, height: float, right: float = RIGHT) -> Frame:
    """A frame in a picture of that height, with room on its left for what is written at the ticks."""
    labels = [text for _, text in y.ticks(TICKS_UP)]
    left = 14.0 + max((text_width(label, SIZE) for label in labels), default=0.0)
    return Frame(x, y, max(_NARROWEST, left), right, height - _BOTTOM)


def draw_axes(frame: Frame, over: str, of: str, *, open_ground: bool = True) -> Iterator[Markup]:
    """The ticks of both axes, lines across from the vertical one's where the ground is open, and both names."""
    for value, text in frame.y.ticks(TICKS_UP):
        y = float(frame.up(value))
        kind, right = ("grid", frame.right) if open_ground else ("axis", frame.left - 4)
        yield _LINE.format(kind, frame.left, right, y, y)
        yield TEXT.format("end", frame.left - 8, y + 4, text)
    for value, text in frame.x.ticks(_TICKS_OVER):
        x = float(frame.across(value))
        yield _LINE.format("axis", x, x, frame.foot, frame.foot + 4)
        yield TEXT.format("mid", x, frame.foot + 17, text)
    yield _LINE.format("axis", frame.left, frame.right, frame.foot, frame.foot)
    yield TEXT.format("ax", 6.0, 12.0, of)
    yield TEXT.format("ax end", frame.right, frame.foot - 8 if open_ground else frame.foot + 33, over)


def no_value(frame: Frame) -> Markup:
    """What an empty frame says."""
    return TEXT.format("mid", (frame.left + frame.right) / 2, (frame.foot + TOP) / 2, "no value anywhere here")


def cut_off(frame: Frame, drawn: Sequence[Markup]) -> Markup:
    """What is drawn, cut off at the frame, which an inner `<svg>` does."""
    width, height = frame.right - frame.left, frame.foot - TOP
    place = f"{frame.left - 6:.1f} {TOP - 6:g} {width + 12:.1f} {height + 12:g}"
    x, y, wide, high = place.split()
    opened = Markup('<svg x="{}" y="{}" width="{}" height="{}" viewBox="{}">').format(x, y, wide, high, place)
    return Markup("").join([opened, *drawn, Markup("</svg>")])


def set_beside(
    label: str, kind: str, path: FloatArray, hidden: FloatArray, frame: Frame, places: Sequence[Place] = _PLACES
) -> tuple[Markup, Box]:
    """A label beside some point of a path, at that which hides the least, and the box that it takes."""
    width, best = text_width(label, SIZE), (math.inf, 0.0, 0.0, "", (0.0, 0.0, 0.0, 0.0))
    for share in (0.85, 0.7, 0.5, 0.3, 0.15):
        at, level = path[int(share * (len(path) - 1))]
        for away, down, end in places:
            x, y = at + away, level + down
            left = x - width if end else x
            box = (left, left + width, y - SIZE, y + 3)
            outside = max(frame.left - box[0], box[1] - frame.right, TOP - 12 - box[2], box[3] - frame.foot + 2, 0.0)
            inside = (hidden[:, 0] > box[0] - 4) & (hidden[:, 0] < box[1] + 4)
            inside &= (hidden[:, 1] > box[2] - 2) & (hidden[:, 1] < box[3] + 2)
            cost = float(np.count_nonzero(inside)) + 100 * outside
            if cost < best[0]:
                best = (cost, x, y, " end" if end else "", box)
    _, x, y, end_class, box = best
    return TEXT.format(f"{kind}{end_class}", x, y, label), box


@dataclass(frozen=True, slots=True)
class PointNote:
    """A point that is marked, and what is said of it."""

    x: float
    y: float
    words: str


def draw_named(frame: Frame, named: Sequence[PointNote], hidden: FloatArray) -> tuple[list[Markup], FloatArray]:
    """What is said of points, each beside its point and off the points `hidden`, and those with what it hides too."""
    at = [np.array([_place(frame, each)]) for each in named]
    hidden, texts = np.concatenate([hidden, *at]), []
    for each, point in zip(named, at, strict=True):
        text, box = set_beside(each.words, "ink halo", point, hidden, frame, (*_PLACES, *_FARTHER))
        texts.append(text)
        hidden = np.concatenate([hidden, fill_box(box)])
    return texts, hidden


def draw_dots(frame: Frame, named: Sequence[PointNote]) -> list[Markup]:
    """The points that are marked."""
    return [DOT.format(*_place(frame, each)) for each in named]


def _place(frame: Frame, named: PointNote) -> tuple[float, float]:
    """Where a point stands; on the frame, if its value is beyond it."""
    return float(frame.across(named.x)), float(np.clip(frame.up(named.y), TOP, frame.foot))


def draw_crosses(x: FloatArray, y: FloatArray) -> Markup:
    """Crosses, where values are not finite."""
    strokes = (f"M{a - 2:.1f} {b - 2:.1f}l4 4m0-4l-4 4" for a, b in zip(x, y, strict=True))
    return PATH.format("cross", "".join(strokes))


def fill_box(box: Box) -> FloatArray:
    """Points within a box, as hidden ones for further labels."""
    return np.stack(np.meshgrid(np.linspace(*box[:2], 20), np.linspace(*box[2:], 4)), -1).reshape(-1, 2)
