"""Plots: what they say, where they break, and that names are text."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from service.web.plot import MOST_SAMPLES, Curve, Mark, describe, draw_plot, sample


def strokes(drawn: str, kind: str) -> list[list[tuple[float, float]]]:
    """The strokes of the curves of a kind, each as its points."""
    paths = [path.get("d", "") for path in ET.fromstring(drawn).iter("path") if path.get("class") == kind]
    texts = [stroke for path in paths for stroke in path.split("M")[1:]]
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", text)] for text in texts]


def texts_of(drawn: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawn).iter("text")]


def over(low: float, high: float, function: object) -> Curve:
    x = sample(low, high)
    with np.errstate(all="ignore"):
        return Curve(x, function(x))  # type: ignore[operator]


def test_a_curve_its_tangent_and_its_point_stand_where_they_belong() -> None:
    drawn = draw_plot([over(-8, -1, lambda d: -12 / d)], over="d", of="F", mark=Mark(-3, 4, 4 / 3))
    (curve,), (tangent,) = strokes(drawn, "cv"), strokes(drawn, "cg dash")
    assert len(curve) == MOST_SAMPLES
    (dot,) = ET.fromstring(drawn).iter("circle")
    x, y = float(dot.get("cx", "")), float(dot.get("cy", ""))
    assert min(abs(x - at) + abs(y - level) for at, level in curve) < 2
    (left, low), (right, high) = tangent
    at = (x - left) / (right - left)
    assert low + at * (high - low) == pytest.approx(y, abs=0.3)
    assert low > high  # it rises, as y counts downward
    texts = texts_of(drawn)
    assert {"F", "d", "−8", "−1", "F = 4 at d = −3", "slope 4/3"} <= set(texts)
    said = (
        "F over d from −8 to −1: it rises from 1.5 to 12. At d = −3 it is 4, and the tangent there has the slope 4/3."
    )
    assert f'role="img" aria-label="{said}"' in drawn


@pytest.mark.parametrize(
    ("function", "pieces"),
    [
        (lambda x: x**2, 1),
        (lambda x: 1 / x, 2),
        (np.tan, 3),
        (lambda x: np.floor(x / 2), 4),
        (lambda x: (x > 0) * 1.0, 2),
        (np.log, 1),
        (lambda x: np.where(np.abs(x) < 1, np.nan, x), 2),
        (lambda x: x * np.nan, 0),
    ],
)
def test_a_curve_breaks_at_poles_and_jumps_and_where_it_has_no_value(function: object, pieces: int) -> None:
    drawn = draw_plot([over(-4, 4, function)], over="x", of="y")
    assert len(strokes(drawn, "cv")) == pieces
    assert ("no value anywhere here" in drawn) == (pieces == 0)


def test_a_pole_does_not_flatten_the_rest() -> None:
    ticks = [text for text in texts_of(draw_plot([over(-4, 4, lambda x: 1 / x)], over="x", of="y")) if text != "y"]
    assert max(float(tick.replace("−", "-")) for tick in ticks if tick != "x") <= 10


@pytest.mark.parametrize("scale", [1e-300, 1e-7, 1.0, 1e9, 1e300])
def test_any_range_is_drawn_within_its_frame(scale: float) -> None:
    x = np.linspace(-1.0, 1.0, 9) * scale
    for y in (x, np.full(9, scale), np.where(x > 0, np.inf, x)):
        drawn = draw_plot(
            [Curve(x, y), Curve(x, -y, "cg", "its derivative")], over="x", of="y", mark=Mark(0.0, 0.0, 1.0)
        )
        points = [point for kind in ("cv", "cg") for stroke in strokes(drawn, kind) for point in stroke]
        assert points and all(0 <= at <= 600 and -340 <= level <= 680 for at, level in points)


def test_names_are_text() -> None:
    curve = Curve(sample(0, 1), sample(0, 1), label="<i>&")
    drawn = draw_plot([curve], over='x"<b>', of="<script>", mark=Mark(0.5, 0.5, 1.0))
    assert {"<script>", 'x"<b>', "<i>&"} <= set(texts_of(drawn))
    assert "<script" not in drawn and "<b>" not in drawn and "<i>" not in drawn


@pytest.mark.parametrize(
    ("function", "course"),
    [
        (np.tanh, "it rises from −0.964 to 0.964"),
        (np.negative, "it falls from 2 to −2"),
        (lambda x: x * 0 + 1 / 3, "it is 1/3"),
        (lambda x: (x - 1) ** 2, "it goes from 9 to 1, between"),
        (np.log, "and has no value in places"),
        (lambda x: x * np.nan, "it has no value there"),
    ],
)
def test_it_says_how_a_curve_runs(function: object, course: str) -> None:
    assert course in describe([over(-2, 2, function)], over="x", of="y")
    assert "first " in describe([Curve(sample(0, 1), sample(0, 1), label="first")] * 2, over="x", of="y")
