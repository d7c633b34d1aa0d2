"""What a picture says: numbers to be read at a glance that are still the numbers, and names that fit."""

from typing import Any

import numpy as np
import pytest

from service.core.execution.run import Run
from service.core.figures.figures import pack
from service.core.figures.text import told_apart
from service.core.graph.building import build_graph
from service.core.rulebook.registry import operations
from service.web.captions import (
    LONGEST_SHOWN,
    Difference,
    Subject,
    full_figure,
    short_figure,
    shorten,
    sign,
    spoken_figure,
    text_width,
    write_captions,
)
from tests.web.drawings import run_of, written


def test_a_tensor_is_shown_by_its_shape_and_norm() -> None:
    figure = np.array([[3.0, 0.0], [0.0, -4.0]])
    assert short_figure(figure) == "2×2 ‖5‖"
    assert full_figure(figure) == "shape 2×2, norm 5: [[3, 0], [0, -4]]"
    assert spoken_figure(figure / 3) == "shape 2×2, norm 5/3: [[1, 0], [0, −4/3]]"
    assert short_figure(np.zeros(7)) == "[7] ‖0‖"
    assert full_figure(np.ones((3, 4, 2))) == "shape 3×4×2, norm 4.898979485566356"
    assert short_figure(np.zeros((0, 3))) == "0×3 ‖0‖"
    assert short_figure(np.array([1.0, np.nan])) == "[2] ‖NaN‖"


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    name = "/transformer/block_11/attention/MatMul_out:0"
    assert shorten(name) == "/transf…ul_out:0"
    assert len(shorten(name)) == LONGEST_SHOWN
    assert shorten("short") == "short"
    assert shorten("a\u202eb\u200b") == "ab"  # what turns the direction of writing round, or isn't seen


def test_a_long_name_stands_whole_in_the_words() -> None:
    long = "a" * 120 + "/" + "b" * 135
    nodes = [{"name": long, "operation": "Input"}, {"name": "y", "operation": "Sum", "inputs": [long] * 9}]
    subject = run_of(build_graph(nodes), {long: 1.0})
    first, second = write_captions(subject, [0, 1])
    assert first.words.startswith(f"{long} = an Input; the value of {long}: 1; ")
    assert len(second.words) < 1000


def test_operations_are_shown_by_the_signs_that_people_write() -> None:
    shown = {operation.name: sign(operation) for operation in operations()}
    assert {name: shown[name] for name in ("Add", "Sub", "Mul", "Div", "Exp")} == {
        **{"Add": "+", "Sub": "−", "Mul": "×", "Div": "÷", "Exp": "Exp"}
    }
    assert all(text_width(text, 15.0) < 250 for text in shown.values())


def test_a_constant_shows_its_value_and_a_name_that_somebody_gave_it() -> None:
    def body(name: str, value: Any) -> list[str]:
        document = {"name": name, "operation": "Constant", "attributes": {"value": value}}
        return [line.text for line in write_captions(run_of(build_graph([document])), [0])[0].body]

    assert body("constant_1", 0.5) == ["0.5"]
    assert body("half", 0.5) == ["0.5", "half"]


def test_words_tell_all_that_is_drawn_as_people_say_it() -> None:
    subject = run_of(written("y = abs(x) / 3"), {"x": 0.2})
    words = [caption.words for caption in write_captions(subject, range(len(subject.graph)))]
    assert words[0] == "x = an Input; the value of x: 0.2; the gradient of y with respect to x: 1/3"
    assert words[-1].startswith("y = abs_1 / constant_1; the value of y: 1/15; the gradient")


@pytest.mark.parametrize(
    ("one", "other", "texts"),
    [
        (-3.0, -1 / 3, ("−3", "−0.333")),
        (-1 / 3, -0.33334, ("−0.333333", "−0.33334")),
        (12345.0, 12345.25, ("12345", "12345.2")),
        (0.1, float(np.nextafter(0.1, 1.0)), ("0.10000000000000001", "0.10000000000000002")),
        (0.0, -0.0, ("0", "−0")),
        (1.0, 1.0, ("1", "1")),
        (float("nan"), float("nan"), ("NaN", "NaN")),
        (float("nan"), 1.0, ("NaN", "1")),
    ],
)
def test_numbers_are_written_with_as_many_digits_as_tell_them_apart(
    one: float, other: float, texts: tuple[str, str]
) -> None:
    assert told_apart(one, other) == texts


def test_a_difference_of_a_tensor_is_shown_at_its_worst_element() -> None:
    figure, baseline = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.00001, 4.0]])
    difference = Difference("origin", baseline, worst=(1, 0))
    graph = build_graph([{"name": "x", "operation": "Input"}])
    subject = Subject("key", "title", graph, Run(graph, pack([figure])), differences={("forward", 0): difference})
    assert "[1, 0] 3 not 3.00001" in [line.text for line in write_captions(subject, [0])[0].above]
