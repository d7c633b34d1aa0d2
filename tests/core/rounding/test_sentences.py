"""What rounding does, in words."""

import numpy as np
import pytest

from service.core.rounding.sentences import describe_rounding, describe_seen
from tests.core.rounding.test_errors import measured
from tests.planted import graph_of
from tests.rounded_runs import right_run


def told(text: str, inputs: dict[str, float], dtype: str = "bfloat16", bound: float = np.inf) -> str:
    run = right_run(graph_of(text), inputs)
    assert run.backward
    errors = measured(run, dtype)
    return describe_rounding(run.graph, run.backward.output, errors, errors.to_keep(bound).tolist(), 0.0)


def test_likely_and_greatest_errors_are_told_with_the_relative_one() -> None:
    assert told("L = x * y", {"x": 2.0, "y": 4.0}) == (
        "Rounding in bfloat16 likely moves L, 8, by 0.031 (0.39 %), at most by 0.031."
    )


def test_what_is_not_moved_is_said_to_stay() -> None:
    assert told("L = -x", {"x": 2.0}) == "Rounding in bfloat16 leaves L, −2, as it is."


def test_an_output_of_0_has_no_relative_error() -> None:
    assert "moves L, 0, by 0.015, at most by 0.021." in told("L = exp(x) - exp(y)", {"x": 1.0, "y": 1.0})


@pytest.mark.parametrize(
    ("text", "amplified"),
    [
        ("p = exp(x); q = exp(y); d = p - q; L = d * 2", "d = p − q amplifies relative errors 141-fold."),
        (
            "the_probability_under_the_model = exp(x); the_probability_under_the_other_model = exp(y);"
            "d = the_probability_under_the_model - the_probability_under_the_other_model; L = d * 2",
            "d (Sub) amplifies relative errors 141-fold.",
        ),
    ],
)
def test_the_amplifier_is_written_with_its_definition_if_that_is_short(text: str, amplified: str) -> None:
    assert amplified in told(text, {"x": 1.0, "y": 0.99})


def test_of_many_nodes_some_are_named() -> None:
    text = "; ".join(f"y{number} = exp(x * {number + 1.5})" for number in range(8))
    said = told(f"{text}; L = {' + '.join(f'y{number}' for number in range(8))}", {"x": 0.1}, bound=0.0)
    assert "With L, add_6, add_5, x and 20 others kept in float32, 0 is left." in said
    two = told("p = exp(x); L = p * p", {"x": 0.5}, "float32", bound=0.0)
    assert "With p and L kept in float64" in two or "With L and p kept in float64" in two


def test_of_an_infinite_output_nothing_to_keep_is_told() -> None:
    said = told("y = x * 1; L = exp(y)", {"x": 12345.6}, bound=0.0)
    assert said == "L is ∞: no error tells what rounding does to it."


def test_what_was_seen_is_held_against_what_may_be() -> None:
    assert describe_seen("∂L/∂x", "float16", 0.25, None, 0.125) == (
        "Rounding in float16 likely moves ∂L/∂x by 0.25; 0.12 was seen."
    )
    assert describe_seen("y at [1]", "float16", 0.25, 0.5, 1.0) == (
        "Rounding in float16 likely moves y at [1] by 0.25, at most by 0.5; 1 was seen, more than that."
    )
