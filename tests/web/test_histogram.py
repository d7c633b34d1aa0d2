"""Histograms of relative errors."""

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from service.web.histogram import MeasuredFigure, count_columns, draw_bars, draw_squares, draws_squares


@pytest.mark.parametrize(
    ("error", "column"),
    [
        (0.0, "none"),
        (1e-300, "10⁻¹⁶"),
        (2.2e-16, "10⁻¹⁶"),
        (3e-13, "10⁻¹²"),
        (0.02, "10⁻²"),
        (0.5, "1"),
        (8.0, "10"),
        (80.0, "100"),
        (2999.0, "10⁴"),
        (1e300, "10⁸"),
        (np.inf, "∞"),
    ],
)
def test_an_error_is_counted_at_the_nearest_power(error: float, column: str) -> None:
    assert [name for name, at in count_columns(np.array([error])) if len(at)] == [column]


def test_powers_are_shown_from_rounding_to_the_greatest_error() -> None:
    names = [name for name, _ in count_columns(np.array([0.0, 80.0]))]
    assert names == ["none", "10⁻¹⁶", "10⁻¹²", "10⁻⁸", "10⁻⁴", "10⁻²", "10⁻¹", "1", "10", "100"]
    assert [name for name, _ in count_columns(np.array([1e-9]))][-1] == "10"


def squares(svg: str) -> list[tuple[float, float, str, str]]:
    """Where each square stands, its class and its name."""
    found = re.findall(r'<rect class="(b\d)" x="([\d.]+)" y="([\d.]+)"[^>]*/><text[^>]*>([^<]*)<', svg)
    return [(float(x), float(y), kind, name) for kind, x, y, name in found]


def test_each_figure_is_a_square_with_its_mark_and_no_two_stand_in_one_place() -> None:
    verdicts = {"f": "origin", "d": "origin", "e": "inherited", "k": "convention", "s": "compensated", "F": "same"}
    figures = [
        MeasuredFigure(f"the gradient of {name}", name, verdicts[name], 8.0 * (name != "F")) for name in verdicts
    ]
    figures += [MeasuredFigure("<b>", f"n<{k}", "same", 0.0) for k in range(20)]
    drawn = draw_squares(figures)
    root = ET.fromstring(drawn)
    assert root.get("aria-label") == "Relative errors: 21 without error and 5 near 10"
    found = squares(drawn)
    assert len(found) == 26 == len({(x, y) for x, y, *_ in found})
    assert {name: kind for *_, kind, name in found if name in verdicts} == {
        **dict.fromkeys("fd", "b1"),
        **dict.fromkeys("eks", "b2"),
        "F": "b3",
    }
    lowest = max(y for _, y, *_ in found)
    assert {kind for x, y, kind, _ in found if y == lowest} == {"b1", "b3"}


def test_many_figures_are_bars_with_their_counts() -> None:
    assert draws_squares(40) and not draws_squares(41)
    root = ET.fromstring(draw_bars(np.array([0.0] * 1_500 + [0.5] * 3 + [np.inf])))
    heights = [float(bar.get("height", "")) for bar in root if bar.get("class") == "b1"]
    assert heights == [220.0, 2.0, 2.0]
    assert [text.text for text in root if text.get("class") == "mid ink"] == ["1,500", "3", "1"]
    assert root.get("aria-label") == "Relative errors: 1,500 without error, 3 near 1 and 1 infinitely far off"
