"""A histogram of relative errors as SVG: every figure a named square while they are few, bars beyond."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from service.core.figures.figures import FloatArray, IntArray
from service.core.figures.text import listed
from service.web.captions import shorten
from service.web.svg import Markup, element, text_element

# The powers of ten at which errors are counted: rounding stands near −16, and slips are told apart above 0.01.
_POWERS = (-16, -12, -8, -4, -2, -1, 0, 1, 2, 4, 8)
_LEAST_SHOWN = 1  # the greatest power that is shown even if no error is so great
_MOST_SQUARES, _HIGHEST, _LONGEST_NAME = 40, 14, 4
_COLUMN, _SQUARE, _STEP, _BAR = 44.0, 32.0, 28.0, 220.0
_LEFT, _TOP, _FOOT = 4.0, 22.0, 48.0
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NONE, INFINITE = "none", "∞"


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """A figure in words, its name, its verdict and its relative error."""

    words: str
    name: str
    verdict: str
    error: float


def draws_squares(count: int) -> bool:
    """Whether so many figures are drawn one by one."""
    return count <= _MOST_SQUARES


def draw_squares(figures: Sequence[MeasuredFigure]) -> Markup:
    """Draw each figure as a square with its name, wrong ones lowest."""
    columns = count_columns(np.array([figure.error for figure in figures]))
    order = {verdict: rank for rank, verdict in enumerate(("origin", "convention", "inherited", "compensated"))}
    stacks = [
        sorted((figures[index] for index in indices), key=lambda each: order.get(each.verdict, len(order)))
        for _, indices in columns
    ]
    # A tall stack is parted into several, side by side.
    widths = [max(1, -(-len(stack) // _HIGHEST)) for stack in stacks]
    base = _TOP + _STEP * max(min(len(stack), _HIGHEST) for stack in stacks)
    drawn, lefts = [], _lefts(widths)
    for stack, left in zip(stacks, lefts, strict=True):
        for rank, figure in enumerate(stack):
            beside, height = divmod(rank, _HIGHEST)
            drawn.append(_square(figure, left + beside * _COLUMN + _COLUMN / 2, base - _STEP * (height + 1)))
    return _frame(drawn, columns, lefts, widths, base, _told(columns))


def draw_bars(errors: FloatArray) -> Markup:
    """Draw how many figures have each error, with the counts above."""
    columns = count_columns(errors)
    most = max(len(indices) for _, indices in columns)
    widths, base = [1] * len(columns), _TOP + _BAR
    lefts, drawn = _lefts(widths), []
    for (_, indices), left in zip(columns, lefts, strict=True):
        if len(indices):
            height = max(2.0, _BAR * len(indices) / most)
            middle = left + _COLUMN / 2
            drawn.append(element("rect", class_="b1", x=left + 6, y=base - height, width=_COLUMN - 12, height=height))
            drawn.append(text_element("text", f"{len(indices):,}", class_="mid ink", x=middle, y=base - height - 6))
    return _frame(drawn, columns, lefts, widths, base, _told(columns))


def count_columns(errors: FloatArray) -> list[tuple[str, IntArray]]:
    """The columns by name, each with the indices of its errors: none, the nearest of the powers of ten, and ∞."""
    with np.errstate(divide="ignore"):
        logarithms = np.log10(errors)
    between = [(one + other) / 2 for one, other in pairwise(_POWERS)]
    nearest = np.searchsorted(between, logarithms, side="right")
    nearest[errors == 0.0], nearest[np.isinf(errors)] = -1, len(_POWERS)
    last = max([_POWERS.index(_LEAST_SHOWN), *(int(each) for each in np.unique(nearest) if each < len(_POWERS))])
    shown = [-1, *range(last + 1), *([len(_POWERS)] if np.isinf(errors).any() else [])]
    return [(_name(index), np.flatnonzero(nearest == index)) for index in shown]


def _name(index: int) -> str:
    if index < 0:
        return NONE
    if index == len(_POWERS):
        return INFINITE
    power = _POWERS[index]
    return str(10**power) if 0 <= power <= 2 else f"10{str(power).translate(_SUPERSCRIPTS)}"


def _told(columns: Sequence[tuple[str, IntArray]]) -> str:
    """The histogram in words."""
    words = {NONE: "without error", INFINITE: "infinitely far off"}
    told = [f"{len(at):,} {words.get(name, f'near {name}')}" for name, at in columns if len(at)]
    return f"Relative errors: {listed(told)}"


def _lefts(widths: Sequence[int]) -> list[float]:
    return [_LEFT + _COLUMN * sum(widths[:rank]) for rank in range(len(widths))]


def _square(figure: MeasuredFigure, middle: float, top: float) -> Markup:
    kind = {"origin": "b1", "same": "b3"}.get(figure.verdict, "b2")
    left = middle - _SQUARE / 2
    return element(
        "g",
        text_element("title", figure.words),
        element("rect", class_=kind, x=left, y=top, width=_SQUARE, height=_STEP - 4, rx=3),
        text_element(
            "text",
            _short(figure.name),
            class_="mid small on" if kind == "b1" else "mid small ink",
            x=middle,
            y=top + 16,
        ),
    )


def _short(name: str) -> str:
    """A name that fits into a square."""
    return name if len(name) <= _LONGEST_NAME else shorten(name, 3)


def _frame(
    drawn: Sequence[Markup],
    columns: Sequence[tuple[str, IntArray]],
    lefts: Sequence[float],
    widths: Sequence[int],
    base: float,
    told: str,
) -> Markup:
    width = _LEFT + _COLUMN * sum(widths) + _LEFT
    names = [
        text_element("text", name, class_="mid", x=left + _COLUMN * wide / 2, y=base + 18)
        for (name, _), left, wide in zip(columns, lefts, widths, strict=True)
    ]
    axis = element("line", class_="axis", x1=0, x2=width, y1=base, y2=base)
    meaning = "relative error, to the nearest power shown"
    caption = text_element("text", meaning, class_="mid", x=width / 2, y=base + 40)
    view = f"0 0 {width:.0f} {base + _FOOT:.0f}"
    return element(
        "svg", *drawn, axis, *names, caption, viewBox=view, class_="plot errors", role="img", aria_label=told
    )
