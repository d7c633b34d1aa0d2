"""Gradient checks where gradients are 0, or nearly: at extrema, and where the output does not depend on a node."""

import math
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.gradient_check import METHODS, NodeCheck, check_gradients
from service.core.execution.passes import forward_pass
from tests.core.derivatives.test_gradient_check import check
from tests.passes import arrays_of, graph_of

DROWNED = ("not applicable", "rounding errors are larger than what the gradient makes")

each_method = pytest.mark.parametrize("method", METHODS)

# The text, its x and other inputs, and the derivative with respect to x by hand.
FLAT: list[tuple[str, Any, dict[str, Any], Any]] = [
    ("cos(x)", 0.0, {}, 0.0),
    ("cosh(x)", 0.0, {}, 0.0),
    ("(x - 1)^3", 1.0, {}, 0.0),
    ("sin(x)", math.pi / 2, {}, 6.123233995736766e-17),
    ("sum(x^2)", [1.0, 0.0, 1.0], {}, [2.0, 0.0, 2.0]),
    ("sum((x - t)^2)", [1.0, 2.0, 4.0], {"t": [1.0, 2.0, 3.0]}, [0.0, 0.0, 2.0]),
    ("mean((x - t)^2)", [0.5, -1.5, 2.0, 3.0], {"t": [0.5, -1.5, 1.0, 3.5]}, [0.0, 0.0, 0.5, -0.25]),
]


def claim(text: str, x: Any, claimed: Any, method: str, others: dict[str, Any] | None = None) -> NodeCheck:
    """What is found of a gradient of y that is claimed for x."""
    graph = graph_of(f"y = {text}")
    values = forward_pass(graph, arrays_of({"x": x, **(others or {})}))
    gradient = np.array(np.broadcast_to(claimed, np.shape(x)), dtype=float)
    position = graph.position["x"]
    taken = {position: (gradient, np.zeros(gradient.shape))}
    return check_gradients(graph, values, "y", [position], method, claimed=taken)[0]


@each_method
@pytest.mark.parametrize(("text", "x", "others", "derivative"), FLAT)
def test_a_gradient_of_0_is_right(text: str, x: Any, others: dict[str, Any], derivative: Any, method: str) -> None:
    own = check(f"y = {text}", {"x": x, **others}, method)["x"]
    for found in (own, claim(text, x, derivative, method, others)):
        assert (found.verdict, found.reason) == ("right", None)
        assert found.estimate is not None
        np.testing.assert_allclose(found.estimate, found.gradient, rtol=1e-9, atol=1e-12)


@each_method
@pytest.mark.parametrize("off", [1e-5, -1e-3, 1.0])
@pytest.mark.parametrize(("text", "x", "others", "derivative"), FLAT)
def test_another_gradient_than_0_is_wrong(
    text: str, x: Any, others: dict[str, Any], derivative: Any, off: float, method: str
) -> None:
    assert claim(text, x, np.add(derivative, off), method, others).verdict == "wrong"


@pytest.mark.parametrize("method", ["taylor", "central"])
def test_what_rounding_drowns_is_not_said_to_bend(method: str) -> None:
    """x² moves by less than an output of 10⁸ is rounded to; a slope of 10⁻⁶ is not seen there, nor refuted."""
    found = claim("1e8 + x^2", 0.0, 1e-6, method)
    assert (found.verdict, found.reason) == DROWNED


@each_method
@pytest.mark.parametrize(
    ("text", "x", "claimed"),
    [
        ("cos(x)", 0.0, 1e-9),
        ("x * 1e-20 + 1", 1.0, 1e-18),
        ("x * 1e-20 + 1", 1.0, 1e-15),
        ("x * 1e-20 + 3", 0.0, -1e-18),
    ],
)
def test_a_claim_that_rounding_hides_is_neither_right_nor_wrong(text: str, x: Any, claimed: float, method: str) -> None:
    """The derivatives are 0 and 1e-20: an estimate that is printed would contradict what is said of the claim."""
    found = claim(text, x, claimed, method)
    assert found.verdict == "not applicable" and found.estimate is None
    if method != "taylor" or text != "cos(x)":
        assert found.reason == DROWNED[1]


def test_a_complex_step_does_not_call_rounding_a_bend() -> None:
    found = claim("cos(x)", 0.0, 1e-17, "complex-step")
    assert (found.verdict, found.reason) == DROWNED
    assert claim("x * 1e-20 + 1", 1.0, 1e-20, "complex-step").verdict == "right"


@each_method
def test_a_slope_within_the_finest_steps_is_not_taken_for_0(method: str) -> None:
    """The slope is 100, but x² ± 10⁻¹⁰ is all that longer steps than 10⁻¹² see."""
    assert claim("x^2 + 1e-10 * tanh(1e12 * x)", 0.0, 0.0, method).verdict != "right"


# --- behind closed edges --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["taylor", "central"])
@pytest.mark.parametrize(
    ("text", "x", "others", "derivative"),
    [
        ("sqrt(relu(x))", -1.0, {}, 0.0),
        ("sqrt(relu(x)) + abs(x)", -1.0, {}, -1.0),
        ("abs(relu(x)) + 3 * x", -2.0, {}, 3.0),
        ("sum(sqrt(relu(x)))", [-1.0, 4.0, 9.0], {}, [0.0, 1 / 4, 1 / 6]),
        ("where(c, abs(x), 3)", 0.0, {"c": 0.0}, 0.0),
        ("where(c, abs(x), x)", 0.0, {"c": 0.0}, 1.0),
    ],
)
def test_a_kink_that_nothing_moves_is_none(
    method: str, text: str, x: Any, others: dict[str, Any], derivative: Any
) -> None:
    own = check(f"y = {text}", {"x": x, **others}, method)["x"]
    assert (own.verdict, own.reason) == ("right", None)
    assert claim(text, x, derivative, method, others).verdict == "right"
    assert claim(text, x, np.add(derivative, 5.0), method, others).verdict == "wrong"


@each_method
@pytest.mark.parametrize(
    ("text", "x", "kink"),
    [
        ("sqrt(relu(x)) + abs(x + 1)", -1.0, "abs_1"),
        ("sum(relu(relu(x)))", [-1.0, 0.0], "relu_1"),
        ("where(x - 0.5, x, 2)", 0.5, "y"),
    ],
)
def test_a_kink_that_is_met_is_named(text: str, x: Any, kink: str, method: str) -> None:
    found = check(f"y = {text}", {"x": x}, method)["x"]
    assert (found.verdict, found.reason) == ("not applicable", f"no derivative exists at {kink!r}")
