"""Cast: a rounding to another precision whose gradient passes as it is."""

from typing import Any

import numpy as np
import pytest

from service.core.derivatives.gradient_check import CheckVerdict, check_gradients, worst_verdict
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
from tests.passes import graph_of, run
from tests.tensors import evaluate

RANDOM = np.random.default_rng(0)
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-40, 3.39e38, 3.3961e38, 65504.0, 65520.0, 2049.0, 1 + 2**-8]


def test_the_precisions_of_numpy() -> None:
    x = np.concatenate([EDGES, RANDOM.normal(size=200) * 10.0 ** RANDOM.uniform(-45, 39, 200)])
    with np.errstate(all="ignore"):
        for to in ("float64", "float32", "float16"):
            np.testing.assert_array_equal(evaluate("Cast", x, to=to), x.astype(to).astype(float), err_msg=to)


def test_bfloat16_is_float32_cut_to_its_upper_bits_and_rounded_to_even() -> None:
    with np.errstate(all="ignore"):
        x = np.concatenate([EDGES, RANDOM.normal(size=500) * 10.0 ** RANDOM.uniform(-42, 38.6, 500)]).astype(np.float32)
        found = evaluate("Cast", x, to="bfloat16")
    bits = x.view(np.uint32).astype(np.uint64)
    bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32)
    right = np.where(np.isnan(x), np.nan, bits.view(np.float32))
    np.testing.assert_array_equal(found, right)
    assert np.array_equal(np.signbit(found), np.signbit(right))


def test_the_gradient_passes_and_the_check_by_differences_agrees() -> None:
    values, gradients = run('h = cast(x * 3, to="float16"); F = sum(h ^ 2)', {"x": [0.1, -2.7]})
    assert values["h"] == [0.300048828125, -8.1015625]
    assert gradients["x"] == [6 * h for h in values["h"]]
    graph = graph_of('h = cast(x * 3, to="float16"); F = sum(h ^ 2)')
    inputs = {"x": np.array([0.1, -2.7])}
    found = check_gradients(graph, forward_pass(graph, inputs), "F", [graph.position[name] for name in "xh"], "central")
    assert worst_verdict(found) is CheckVerdict.RIGHT


@pytest.mark.parametrize(("to", "dtype"), [("float64", np.float64), ("float16", np.float32)])
def test_what_is_cast_to_float64_is_computed_in_it(to: str, dtype: type[np.floating[Any]]) -> None:
    documents = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "h", "operation": "Cast", "inputs": ["x"], "attributes": {"to": to}},
        {"name": "c", "operation": "Constant", "attributes": {"value": 2**-30}},
        {"name": "F", "operation": "Add", "inputs": ["h", "c"]},
    ]
    graph = build_graph(documents)
    values = forward_pass(graph, {"x": np.array(0.1)})
    assert values.flat[-1] == dtype(np.float32(0.1).astype(to)) + dtype(2.0**-30)
    assert backward_pass(graph, values, "F").flat[0] == 1.0
