"""Pictures of sweeps: what stands where, that extremes and what is not finite are told, what is refused."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from service.core.errors import Conflict, InvalidInputs
from service.core.rulebook.operation import MINIMUM_NORM
from service.core.sweeps.axes import Linspace, Logspace, Normal, Uniform, Values
from service.core.sweeps.chunks import compute_chunk, read_chunk
from service.core.sweeps.sweep import Sweep
from service.web import band, field
from service.web.plot_svg import inline, stand_alone
from service.web.sweep_picture import Chunk, SweepPicture, choose, draw_sweep
from tests.web.drawings import SVG, read, written
from tests.web.test_plot import strokes, texts_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "sweep.svg"
NUMBERS = r"-?\d+(?:\.\d+)?"


def sweep_of(
    expression: str, inputs: Mapping[str, Any], mode: str = "grid", **options: Any
) -> tuple[Sweep, list[Chunk]]:
    """A sweep with gradients, and its chunks."""
    graph = written(expression)
    given = {name: np.asarray(each) if isinstance(each, float) else each for name, each in inputs.items()}
    sweep = Sweep(given, mode, tuple(graph.outputs), graph.outputs[0], tuple(given), MINIMUM_NORM, **options)
    return sweep, [(number, read_chunk(sweep, compute_chunk([graph], sweep, number))) for number in range(sweep.chunks)]


def drawn(
    made: tuple[Sweep, list[Chunk]], x: str | None = None, y: str | None = None, of: str = "F", **held: int
) -> SweepPicture:
    sweep, chunks = made
    return draw_sweep(sweep, chunks, choose(sweep, of, x, y, held))


def elements(picture: SweepPicture, tag: str, kind: str) -> Iterator[ET.Element]:
    for each in ET.fromstring(inline(picture.plot)).iter(tag):
        if kind in (each.get("class") or "").split():
            yield each


def rectangles(picture: SweepPicture, kind: str) -> list[tuple[str, float, float, float, float]]:
    """The rectangles of the field, each with its opacity, left, upper, right and lower edge."""
    found = []
    for path in elements(picture, "path", kind):
        for part in re.findall(rf"M({NUMBERS}) ({NUMBERS})H({NUMBERS})V({NUMBERS})", path.get("d", "")):
            left, foot, right, top = map(float, part)
            found.append((path.get("fill-opacity", ""), left, top, right, foot))
    return found


SQUARE = sweep_of("F = a + 10 * b", {"a": Linspace(0, 3, 4), "b": Linspace(0, 2, 3)})


def test_a_grid_is_drawn_as_cells_whose_shades_the_bar_explains() -> None:
    picture = drawn(SQUARE)
    cells = rectangles(picture, "sv")
    width = max(cell[3] for cell in cells) - min(cell[1] for cell in cells)
    height = max(cell[4] for cell in cells) - min(cell[2] for cell in cells)
    area = sum((right - left) * (foot - top) for _, left, top, right, foot in cells)
    assert area == pytest.approx(width * height, rel=1e-3), "the cells fill the frame, once"
    lowest, highest = min(cells, key=lambda cell: float(cell[0])), max(cells, key=lambda cell: float(cell[0]))
    assert lowest[4] == max(cell[4] for cell in cells), "b = 0 is below"
    assert highest[2] == min(cell[2] for cell in cells), "b = 2 is above"
    bar = list(elements(picture, "rect", "sv"))
    assert {each.get("fill-opacity") for each in bar} >= {cell[0] for cell in cells}
    assert len(bar) - 1 == len({text for text in texts_of(inline(picture.plot))} & {"0", "5", "10", "15", "20"})
    assert {"min 0 at (0, 0)", "max 23 at (3, 2)", "a", "b", "F"} <= set(texts_of(inline(picture.plot)))
    assert picture.title == "F over a and b"
    assert picture.told == [
        "a from 0 to 3 and b from 0 to 2, 12 points.",
        "The least is 0, at a = 0 and b = 0; the greatest 23, at a = 3 and b = 2.",
    ]
    assert drawn(SQUARE, "b", "a").title == "F over b and a"


def test_contours_lie_where_the_function_has_their_level() -> None:
    made = sweep_of("F = a + b", {"a": Linspace(0, 1, 41), "b": Linspace(0, 1, 41)})
    picture = drawn(made)
    frame = np.array([cell[1:] for cell in rectangles(picture, "sv")])
    (left, top), (right, foot) = frame[:, :2].min(axis=0), frame[:, 2:].max(axis=0)
    levels = []
    for path in elements(picture, "path", "level"):
        points = np.array([*map(float, re.findall(NUMBERS, path.get("d", "")))]).reshape(-1, 2)
        sums = (points[:, 0] - left) / (right - left) * 1.025 + (foot - points[:, 1]) / (foot - top) * 1.025 - 0.025
        assert np.ptp(sums) < 2e-3
        levels.append(float(sums.mean()))
    nearest = np.round(np.array(levels) * 2) / 2
    assert {0.5, 1.0, 1.5} <= {*nearest.tolist()} and np.abs(levels - nearest).max() < 2e-3


def test_no_contour_follows_a_pole() -> None:
    picture = drawn(sweep_of("F = b / a", {"a": Linspace(-1, 1, 90), "b": Linspace(1, 2, 40)}))
    cells = rectangles(picture, "sv")
    pole = (min(cell[1] for cell in cells) + max(cell[3] for cell in cells)) / 2
    ends = [
        float(x) for path in elements(picture, "path", "level") for x in re.findall(r"[ML](\S+)", path.get("d", ""))
    ]
    assert ends and min(abs(end - pole) for end in ends) > 3


def test_one_point_that_is_far_off_is_seen_in_its_cell() -> None:
    made = sweep_of(
        "F = where(abs(a - 0.05) < 1e-6, 1, a) + 0 * b", {"a": Linspace(0, 1, 1001), "b": Linspace(0, 1, 3)}
    )
    cells = rectangles(drawn(made), "sv")
    left, right = min(cell[1] for cell in cells), max(cell[3] for cell in cells)
    there = [cell[0] for cell in cells if cell[1] <= left + 0.05 * (right - left) <= cell[3]]
    assert {*there} == {max((cell[0] for cell in cells), key=float)}


def test_lines_below_zero_are_dashed_and_a_rough_field_has_none() -> None:
    picture = drawn(sweep_of("F = a * b", {"a": Linspace(-1, 1, 21), "b": Linspace(-1, 1, 21)}))
    below = len(list(elements(picture, "path", "low")))
    assert 0 < below < len(list(elements(picture, "path", "level")))
    rough = drawn(sweep_of("F = sin(a * 1e4) * sin(b * 1e5)", {"a": Linspace(0, 1, 60), "b": Linspace(0, 1, 60)}))
    assert not list(elements(rough, "path", "level")) and rectangles(rough, "sv")


def test_gradients_have_their_colour_and_name() -> None:
    picture = drawn(SQUARE, of="dF/db")
    assert rectangles(picture, "sg") and not rectangles(picture, "sv")
    assert picture.told[1] == "Each value is 10."


@pytest.mark.parametrize("count", [30, 5000])
def test_one_input_makes_a_curve_whose_extremes_are_kept_at_any_number_of_points(count: int) -> None:
    made = sweep_of("F = where(abs(a - 0.625) < 1e-12, 7, sin(a * 40))", {"a": Linspace(0, 1, count // 8 * 8 + 1)})
    picture = drawn(made)
    assert any(text.startswith("max 7 at a = 0.625") for text in texts_of(inline(picture.plot)))
    (kind,) = {path.get("class", "") for path in elements(picture, "path", "cv")}
    points = [point for stroke in strokes(inline(picture.plot), kind) for point in stroke]
    assert len(points) <= 2 * band.MOST_CELLS
    at, level = min(points, key=lambda point: point[1])
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in elements(picture, "circle", "dot")]
    assert abs(min(dots, key=lambda dot: dot[1])[0] - at) < 1 and level <= min(level for _, level in dots)


def test_a_smooth_curve_of_very_many_points_does_not_go_back() -> None:
    for expression, sign in (("F = a^3", -1), ("F = -a^3", 1)):
        (curve,) = strokes(inline(drawn(sweep_of(expression, {"a": Linspace(0, 1, 10_000)})).plot), "cv thin")
        assert (np.diff([sign * level for _, level in curve]) >= 0).all()


def test_of_equal_extremes_the_first_is_named() -> None:
    made = sweep_of("F = abs(a)", {"a": Linspace(-2, 2, 41)}, chunk=7)
    assert drawn(made).told[1] == "The least is 0, at a = 0; the greatest 2, at a = −2."
    made = sweep_of("F = -abs(a)", {"a": Linspace(-2, 2, 41)}, chunk=7)
    assert drawn(made).told[1] == "The least is −2, at a = −2; the greatest −0, at a = 0."


def test_every_point_without_a_finite_value_is_marked_and_the_first_are_named() -> None:
    inputs = {"a": Linspace(-1, 1, 2001), "b": Linspace(0, 1, 3)}
    picture = drawn(sweep_of("F = b / a", inputs))
    assert len(re.findall("M", next(elements(picture, "path", "cross")).get("d", ""))) == 3
    assert picture.told[2] == (
        "3 points have no finite value (×): NaN at a = 0 and b = 0; ∞ at a = 0 and b = 0.5; ∞ at a = 0 and b = 1."
    )
    curve = drawn(sweep_of("F = b / a", inputs), "a", b=2)
    assert len(re.findall("M", next(elements(curve, "path", "cross")).get("d", ""))) == 1
    assert curve.told[2] == "1 point has no finite value (×): ∞ at a = 0."
    none = drawn(sweep_of("F = log(a) * b", {"a": Linspace(-2, -1, 30), "b": Linspace(0, 1, 3)}))
    assert "no value anywhere here" in texts_of(inline(none.plot))
    assert none.told[1:] == [
        "No point has a finite value.",
        "90 points have no finite value (×): NaN at a = −2 and b = 0; NaN at a = −2 and b = 0.5; "
        "NaN at a = −2 and b = 1; NaN at a = −57/29 and b = 0; NaN at a = −57/29 and b = 0.5; and 85 more.",
    ]
    assert len(re.findall("M", next(elements(none, "path", "hatch")).get("d", ""))) == 90


def test_a_picture_says_where_its_scale_ends_and_that_a_cell_stands_for_several_points() -> None:
    made = sweep_of("F = b / a", {"a": Linspace(-1, 1, 300), "b": Linspace(0, 1, 200)})
    cells, scale = drawn(made).told[-2:]
    assert cells.startswith("Each cell stands for several points;")
    assert re.fullmatch(r"Values are told apart from −([\d.]+) to \1\.", scale)
    assert drawn(made, "a").told[-1].startswith("Values are told apart from −")
    assert len(drawn(SQUARE).told) == 2


def test_what_else_varies_is_held_in_the_middle_or_where_it_is_asked() -> None:
    made = sweep_of(
        "F = a + b + c", {"a": Linspace(0, 1, 2), "b": Linspace(0, 4, 5), "c": Values(np.array([7.0, 9.0]))}
    )
    assert drawn(made).told[:2] == [
        "a from 0 to 1 and b from 0 to 4, 10 points, at c = 9.",
        "The least is 9, at a = 0 and b = 0; the greatest 14, at a = 1 and b = 4.",
    ]
    assert drawn(made, c=0).told[0].endswith("at c = 7.")
    assert drawn(made, "b").told[0] == "b from 0 to 4, 5 points, at a = 1 and c = 9."


@pytest.mark.parametrize(
    ("of", "x", "y", "held", "at"),
    [
        ("G", None, None, {}, "of"),
        ("F", "c", None, {}, "x"),
        ("F", "a", "a", {}, "y"),
        ("F", None, "c", {}, "y"),
        ("F", "a", "b", {"b": 0}, "hold"),
        ("F", "a", None, {"b": 3}, "hold"),
        ("F", "a", None, {"z": 0}, "hold"),
    ],
)
def test_what_a_sweep_has_not_is_refused(of: str, x: str | None, y: str | None, held: dict[str, int], at: str) -> None:
    with pytest.raises(InvalidInputs) as refused:
        choose(SQUARE[0], of, x, y, held)
    assert [fault.location for fault in refused.value.faults] == [(at,)]


def test_a_sweep_in_which_nothing_varies_has_no_picture() -> None:
    with pytest.raises(Conflict, match="varies"):
        choose(sweep_of("F = a", {"a": 2.0})[0], None, None, None, {})


def test_points_side_by_side_are_scattered() -> None:
    inputs = {"a": Normal(0, 1, 400), "b": Uniform(-1, 1, 400), "c": Normal(0, 0.1, 400, 3)}
    made = sweep_of("F = a * b + c", inputs, "zip")
    picture = drawn(made, "a")
    (path,) = elements(picture, "path", "round")
    assert path.get("d", "").count("M") == 400 and "L" not in path.get("d", "")
    assert "400 points, along which b and c vary too" in picture.told[0]
    plane = drawn(made, "a", "b")
    assert 0 < len(rectangles(plane, "sv")) <= 20 * 20


def test_a_line_side_by_side_is_a_curve() -> None:
    picture = drawn(sweep_of("F = a * b", {"a": Linspace(0, 1, 5), "b": Linspace(1, 0, 5)}, "zip"), "a")
    assert len(strokes(inline(picture.plot), "cv")[0]) == 5


def test_a_logarithmic_axis_is_drawn_as_one() -> None:
    picture = drawn(sweep_of("F = log(a)", {"a": Logspace(-3, 3, 61)}))
    assert {"0.001", "1", "1000"} <= set(texts_of(inline(picture.plot)))
    ((*curve,),) = strokes(inline(picture.plot), "cv")
    slopes = np.diff([level for _, level in curve]) / np.diff([at for at, _ in curve])
    assert np.ptp(slopes) < 0.2, "log over a logarithmic axis is straight"


@pytest.mark.parametrize(
    ("expression", "inputs", "mode"),
    [
        ("F = a", {"a": Linspace(1, 1, 1)}, "grid"),
        ("F = a * b", {"a": Linspace(2, 2, 1), "b": Linspace(0, 1, 5)}, "grid"),
        ("F = a + b", {"a": Values(np.array([np.nan, np.inf, 1.0, 1.0])), "b": Linspace(3, -3, 4)}, "grid"),
        ("F = a + b", {"a": Values(np.array([np.nan, np.nan])), "b": Linspace(3, -3, 2)}, "zip"),
        ("F = a * 1e300 * b", {"a": Linspace(-1e8, 1e8, 50), "b": Linspace(-1, 1, 50)}, "grid"),
        ("F = a * b", {"a": Linspace(-8e307, 8e307, 9), "b": Linspace(-1e-300, 1e-300, 9)}, "grid"),
        ("F = a * b", {"a": Values(np.array([-1.7e308, 0, 1.7e308])), "b": Linspace(0, 1, 2)}, "grid"),
        ("F = a * b", {"a": Values(np.array([1.0, 1 + 1e-15])), "b": Linspace(0, 1, 700)}, "grid"),
        ("F = a * b", {"a": Logspace(-300, 300, 200), "b": Logspace(2, -2, 3)}, "grid"),
        ("F = a * b", {"a": Values(np.array([-5e-324, 0, 5e-324])), "b": Linspace(-1, 1, 3)}, "grid"),
        ("F = a * b", {"a": Logspace(-323, -320, 4), "b": Logspace(1, 308, 4)}, "grid"),
        ("F = a + b", {"a": Logspace(-323, 0, 5), "b": Logspace(-320, -320, 1)}, "grid"),
    ],
)
def test_any_numbers_are_drawn_within_their_frame(expression: str, inputs: dict[str, Any], mode: str) -> None:
    made = sweep_of(expression, inputs, mode)
    for x in inputs:
        for y in (None, *(name for name in inputs if name != x)):
            text = inline(drawn(made, x, y).plot)
            for path in ET.fromstring(text).iter("path"):
                numbers = [*map(float, re.findall(NUMBERS, path.get("d", "")))]
                assert all(-400 <= number <= 1000 for number in numbers)
            assert "nan" not in text and "inf" not in text.replace("point", "")


def test_chunks_that_are_not_there_are_left_open() -> None:
    sweep, chunks = sweep_of("F = a", {"a": Linspace(0, 1, 100)}, chunk=10)
    assert drawn((sweep, chunks[:3] + chunks[5:])).told[0] == "a from 0 to 1, 80 of 100 points."
    picture = drawn((sweep, []))
    assert picture.told == ["a from 0 to 1, 0 of 100 points."]


def test_alone_it_has_its_style_its_title_and_its_words() -> None:
    picture = drawn(sweep_of("F = a / b", {"a": Linspace(0, 1, 3), "b": Linspace(0, 1, 3)}))
    root = read(stand_alone(picture.plot, "sweep-1", picture.title, picture.told))
    assert root.get("role") == "graphics-document document"
    named = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert named[root.get("aria-labelledby")] == "F over a and b"
    assert all(sentence in (named[root.get("aria-describedby")] or "") for sentence in picture.told)
    style = next(root.iter(f"{SVG}style")).text or ""
    assert "prefers-color-scheme: dark" in style and ".plot" not in style
    names = set(re.findall(r"var\((--[\w-]+)\)", style))
    assert names and all(f"{name}:" in style for name in names)
    assert all(part.lstrip().startswith("#sweep-1") for part in re.findall(r"(?<=\})[^{}@/]+(?=\{)", style))


def test_the_picture_of_the_documents_is_what_the_service_draws() -> None:
    """To make it anew: the commands of docs/sweeps.md, `curl … > examples/sweep.svg`."""
    loss = "y1 = 1 / (1 + exp(-(w + b))); y2 = 1 / (1 + exp(2 * w - b)); loss = (y1 - 0.9)^2 + (y2 - 0.2)^2"
    picture = drawn(sweep_of(loss, {"w": Linspace(-4, 4, 201), "b": Linspace(-4, 4, 201)}), of="loss")
    text = re.sub("sweep-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", EXAMPLE.read_text(encoding="utf-8"))
    assert stand_alone(picture.plot, "ID", picture.title, picture.told) == text.strip()


def test_names_are_text() -> None:
    sweep = Sweep({"<a&": Linspace(0, 1, 3)}, "grid", ("<script>",), None, (), MINIMUM_NORM)
    picture = draw_sweep(sweep, [(0, {"<script>": np.array([1.0, np.nan, 2.0])})], choose(sweep, None, None, None, {}))
    for text in (inline(picture.plot), stand_alone(picture.plot, "k", picture.title, picture.told)):
        assert "<script" not in text and "<a" not in text
        assert ET.fromstring(text) is not None


def test_a_million_points_make_a_picture_of_the_size_of_its_cells() -> None:
    sweep = Sweep({"a": Linspace(0, 1, 1000), "b": Linspace(0, 1, 1000)}, "grid", ("F",), None, (), MINIMUM_NORM)
    values = np.sin(np.arange(10_000.0))
    picture = draw_sweep(sweep, ((number, {"F": values}) for number in range(100)), choose(sweep, None, None, None, {}))
    assert len(inline(picture.plot)) < 60 * field.MOST_ACROSS * field.MOST_UP
