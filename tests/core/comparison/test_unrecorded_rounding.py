"""What a recording leaves out was rounded too: a right float32 program is not accused for it, a wrong one still is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.listing import explained_origins
from tests.planted import graph_of, judge, only, origins, run_of

# b = a − c and ∂p = m − c cancel: a rounding of a or m, 2⁻²⁴ of it, is nearly 1 % of them and reaches F and ∂q.
VALUES = graph_of("a = x * y; b = a - c; d = b * 1e4; F = d * 3", ["F"])
GRADIENTS = graph_of("p = q * k; m = x * y; F = p * m - p * c", ["F"])
INDEX = graph_of("i = a / b; j = i * 2; r = gather(x, j); F = r * 3", ["F"])


def numbers(seed: int) -> dict[str, float]:
    random = np.random.default_rng(seed)
    x, y = (float(np.float32(number)) for number in random.uniform(1, 2, 2))
    return {"x": x, "y": y, "c": float(np.float32(x * y)) * (1 + 2.0**-16)}


@pytest.mark.parametrize("seed", range(20))
def test_a_value_may_be_what_an_unrecorded_rounding_has_made(seed: int) -> None:
    inputs = numbers(seed)
    inputs["c"] = float(np.float32(inputs["c"]))
    theirs = only(run_of(VALUES, inputs, dtype="float32"), values=["x", "y", "c", "F"])
    found = judge(run_of(VALUES, inputs), theirs, "float32")
    assert origins(found, VALUES) == []
    wrong = run_of(VALUES, inputs, values={"a": lambda right: right * np.float32(1.001)}, dtype="float32")
    found = judge(run_of(VALUES, inputs), only(wrong, values=["x", "y", "c", "F"]), "float32")
    assert origins(found, VALUES) == [("forward", "F")]


@pytest.mark.parametrize("seed", range(20))
def test_a_gradient_may_be_what_an_unrecorded_rounding_has_made(seed: int) -> None:
    inputs = {**numbers(seed), "q": 1.0, "k": 3e4}
    inputs = {name: float(np.float32(inputs[name])) for name in GRADIENTS.inputs}
    names = list(GRADIENTS.inputs)
    theirs = only(run_of(GRADIENTS, inputs, dtype="float32"), values=names, gradients=["F", "q"])
    found = judge(run_of(GRADIENTS, inputs), theirs, "float32")
    assert origins(found, GRADIENTS) == []
    wrong = run_of(GRADIENTS, inputs, gradients={"p": lambda right: right + np.float32(0.1)}, dtype="float32")
    found = judge(run_of(GRADIENTS, inputs), only(wrong, values=names, gradients=["F", "q"]), "float32")
    assert origins(found, GRADIENTS) == [("backward", "q")]


@pytest.mark.parametrize(("error", "accused"), [(0.0, []), (-80.0, [("backward", "x")])])
def test_a_slope_may_be_gone_where_an_unrecorded_rounding_has_parted_a_tie(
    error: float, accused: list[tuple[str, str]]
) -> None:
    graph = graph_of("a = x * y; d = a - c; F = tanh(d * 3)", ["F"])
    inputs = {"x": 25.25, "y": 39.75, "c": 25.25 * 39.75}
    parted = {"a": lambda right: right + 2.0}  # half the spacing of bfloat16
    wrong = {"x": lambda right: right + error}  # at the tie the slope is 119.25, elsewhere less
    theirs = run_of(graph, inputs, values=parted, gradients=wrong, dtype="bfloat16", kind=np.float64)
    recorded = only(theirs, values=list(inputs), gradients=["F", "x"])
    assert origins(judge(run_of(graph, inputs), recorded, "bfloat16"), graph) == accused


@pytest.mark.parametrize("seed", range(5))
def test_a_librarys_choice_may_follow_from_an_unrecorded_rounding(seed: int) -> None:
    graph = graph_of("a = selu(h); m = x * y; F = (a * m - a * c) * 3e4", ["F"])
    inputs = {"h": 0.0, **numbers(seed)}
    inputs["c"] = float(np.float32(inputs["c"] * 1.001))
    for factor, accused in ((1.0, []), (1.1, [("backward", "h")])):
        wrong = {"h": lambda right, factor=factor: right * np.float32(factor)}
        torch = run_of(graph.with_convention("torch"), inputs, gradients=wrong, dtype="float32")
        theirs = only(replace(torch, graph=graph), values=list(inputs), gradients=["F", "h"])
        found = judge(run_of(graph, inputs), theirs, "float32")
        assert origins(found, graph) == accused
        assert found.conventions == ({} if accused else {graph.position["h"]: ("torch", "jax")})


def test_an_unrecorded_index_is_not_disturbed() -> None:
    inputs = {"a": 2.0, "b": 2.0, "x": np.array([1.1, 2.2, 3.3])}
    wrong = run_of(INDEX, inputs, values={"F": 9.0}, gradients={"r": 2.0}, dtype="float32")
    recorded = only(wrong, values=["a", "b", "x", "F"], gradients=["F", "x"])
    assert origins(judge(run_of(INDEX, inputs), recorded, "float32"), INDEX) == [("forward", "F"), ("backward", "x")]
    inputs = {"a": 1.0, "b": 2.0, "x": np.array([1.1, 2.2, 3.3])}
    recorded = only(
        run_of(INDEX, inputs, values={"F": 9.0}, gradients={"r": 2.0}),
        values=["a", "b", "x", "F"],
        gradients=["F", "x"],
    )
    assert origins(judge(run_of(INDEX, inputs), recorded, "float32"), INDEX) == [("forward", "F"), ("backward", "x")]


def test_the_tolerance_is_no_rounding() -> None:
    graph = graph_of("p = x + y; q = p - y; F = q * 1e9", ["F"])
    inputs = {"x": 1e-9, "y": 1.0}
    wrong = only(run_of(graph, inputs, values={"F": 3.0}), values=["x", "y", "F"])
    assert origins(judge(run_of(graph, inputs), wrong), graph) == [("forward", "F")]


MATRICES = np.float32(np.random.default_rng(0).normal(size=(1, 2, 6))).astype(np.float64)


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("r = tanh(x); a = max_pool(r, kernel_shape=[2], strides=[2]); F = sum(a * 3)", MATRICES),
        ("r = tanh(x); a = max(r, axis=2); F = sum(a * 3)", MATRICES),
        ("r = tanh(x); a = min(r, axis=2); F = sum(a * 3)", MATRICES),
        ("r = tanh(x); s = sin(x); a = maximum(r, s); F = sum(a * 3)", MATRICES),
        ("r = tanh(x); s = sin(x); a = min(r, s); F = sum(a * 3)", MATRICES),
        ("r = tanh(x); s = sin(x); a = maximum(r, s); F = a * 3", 0.7),
        ("r = tanh(x); s = sin(x); a = min(r, s); F = a * 3", 0.7),
    ],
)
def test_a_maximum_is_found_among_operands_that_are_not_recorded(text: str, x: Any) -> None:
    graph, inputs = graph_of(text, ["F"]), {"x": x}
    theirs = run_of(graph, inputs, dtype="float32")
    given = [node.name for node in graph.nodes if node.name not in ("r", "s")]
    found = judge(run_of(graph, inputs), only(theirs, values=given, gradients=given), "float32")
    assert found.same and not found.counts["compensated"]
    wrong = run_of(graph, inputs, gradients={"x": lambda right: 2 * right}, dtype="float32")
    found = judge(run_of(graph, inputs), only(wrong, values=given, gradients=given), "float32")
    assert origins(found, graph) == [("backward", "x")]
    (origin,) = explained_origins(found)
    assert "counted twice" in [hypothesis.name for hypothesis in origin.hypotheses]


def test_a_disturbance_that_leaves_no_number_does_not_hide_the_others() -> None:
    """As in a step of Adam, where 1 − 0.999ᵗ may be disturbed below 0."""
    graph = graph_of("q = m / sqrt(v / (1 - 0.999 ^ t)); after = p - 0.01 * q")
    inputs = {"p": 0.0109375, "m": 1.0, "v": 0.001, "t": 1.0}
    moved = {"after": lambda right: right + 0.01 * 2.0**-8}
    theirs = only(run_of(graph, inputs, values=moved, dtype="bfloat16", kind=np.float64), values=[*inputs, "after"])
    assert origins(judge(run_of(graph, inputs), theirs, "bfloat16"), graph) == []
    far = {"after": lambda right: right + 1}
    theirs = only(run_of(graph, inputs, values=far, dtype="bfloat16", kind=np.float64), values=[*inputs, "after"])
    assert origins(judge(run_of(graph, inputs), theirs, "bfloat16"), graph) == [("forward", "after")]
