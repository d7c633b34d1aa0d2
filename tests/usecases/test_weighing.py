"""What a request may take is decided before it is done."""

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.errors import LimitExceeded
from service.core.figures.weight import Weight
from service.settings import Limits
from service.usecases.context import Context
from service.usecases.derivatives import create_derivatives
from service.usecases.gradient_checks import check_gradients
from service.usecases.graphs import create_graph
from service.usecases.runs import create_run
from service.usecases.weighing import BINARY, JSON, NeedsMore, WholeAnswer, admit


@pytest.mark.parametrize(("operations", "nbytes"), [(11, 0), (0, 101), (11, 101)])
def test_work_over_what_is_granted_asks_for_more(operations: float, nbytes: float) -> None:
    with pytest.raises(NeedsMore) as raised:
        admit(Weight(operations, nbytes), Limits(), Weight(10, 100))
    assert raised.value.weight == Weight(operations, nbytes)


def test_work_within_what_is_granted_may_begin() -> None:
    admit(Weight(10, 100), Limits(), Weight(10, 100))
    admit(Weight(1e12, 1e9), Limits(), None)


def test_what_is_too_large_anywhere_is_refused_rather_than_sent_elsewhere() -> None:
    limits = Limits(operations=10, request_memory=100, answer_bytes=1000)
    for weight, limit, estimate in ((Weight(11, 0), "operations", 11), (Weight(0, 101), "request_memory", 101)):
        with pytest.raises(LimitExceeded) as raised:
            admit(weight, limits, Weight(1, 1))
        assert (raised.value.limit, raised.value.actual) == (limit, estimate)


def test_an_answer_adds_to_the_weight_and_has_a_limit_of_its_own() -> None:
    limits = Limits(answer_bytes=1000)
    admit(Weight(), limits, None, WholeAnswer(BINARY, 100, 1))
    with pytest.raises(NeedsMore) as asked:
        admit(Weight(1, 1), limits, Weight(), WholeAnswer(JSON, 10, 1))
    assert asked.value.weight.nbytes > 1 + 10 * JSON.number
    with pytest.raises(LimitExceeded, match="as application/x-npz") as raised:
        admit(Weight(), limits, None, WholeAnswer(JSON, 100, 1))
    assert raised.value.limit == "answer_bytes" and raised.value.actual == 100 * JSON.number + JSON.item
    with pytest.raises(LimitExceeded) as raised:
        admit(Weight(), limits, None, WholeAnswer(BINARY, 1000, 1))
    assert "npz" not in raised.value.detail


def graph_of(context: Context, expression: str) -> str:
    """The id of a graph."""
    return create_graph(context, "g", expression=expression, tags={})[0].id


def refused(context: Context, act: Callable[[], Any]) -> LimitExceeded:
    """The refusal, for which next to nothing was allocated."""
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded) as raised:
            act()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    return raised.value


OVERSIZED_RUNS = {
    "windows that are copied out": ("conv(x, w)", {"x": (1, 1, 1500, 1500), "w": (1, 1, 300, 300)}),
    "a pool with large windows": ("max_pool(x, kernel_shape=[900, 900])", {"x": (1, 1, 1500, 1500)}),
    "a sum over a stack in the gradient": ("sum(x @ y)", {"x": (1000, 1000), "y": (1500, 1000, 1)}),
    "an outer product by the way": (
        "einsum(x, y, z, equation='i,j,ij->')", {"x": (3000,), "y": (3000,), "z": (3000, 3000)}
    ),
    "padding": (
        "max_pool(x, kernel_shape=[9000, 9000], pads=[8999, 8999, 8999, 8999], strides=[9000, 9000])",
        {"x": (5, 5, 2, 2)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERSIZED_RUNS)
def test_a_run_that_is_too_large_is_refused_before_it_allocates(context: Context, case: str) -> None:
    expression, shapes = OVERSIZED_RUNS[case]
    context.limits = replace(context.limits, operations=10**10, request_memory=2**29)
    graph = graph_of(context, expression)
    inputs = {name: np.broadcast_to(1.0, shape) for name, shape in shapes.items()}
    found = refused(context, lambda: create_run(context, graph, inputs, tags={}))
    assert found.limit in ("request_memory", "operations") and found.actual is not None
    assert found.actual > found.maximum


OVERSIZED_DERIVATIVES: dict[str, tuple[str, dict[str, tuple[int, ...]], Callable[..., Any]]] = {
    "a hessian": (
        "sum(exp(x) * x)",
        {"x": (3000,)},
        lambda context, graph, inputs: create_derivatives(context, graph, "hessian", inputs),
    ),
    "a jacobian": (
        "softmax(x @ w)",
        {"x": (1000,), "w": (1000, 10)},
        lambda context, graph, inputs: create_derivatives(context, graph, "jacobian", inputs, outputs=["output"]),
    ),
    "a check of every element": (
        "sum(exp(x) * x)",
        {"x": (900,)},
        lambda context, graph, inputs: check_gradients(context, graph, inputs, method="central"),
    ),
}


@pytest.mark.parametrize("case", OVERSIZED_DERIVATIVES)
def test_derivatives_that_are_too_large_are_refused_before_they_allocate(context: Context, case: str) -> None:
    expression, shapes, act = OVERSIZED_DERIVATIVES[case]
    context.limits = replace(context.limits, request_memory=2**20, answer_bytes=2**30, run_elements=10**9)
    graph = graph_of(context, expression)
    inputs = {name: np.broadcast_to(1.0, shape) for name, shape in shapes.items()}
    found = refused(context, lambda: act(context, graph, inputs))
    assert found.limit == "request_memory" and found.actual is not None and found.actual > found.maximum


def test_derivatives_that_are_too_long_are_refused(context: Context) -> None:
    context.limits = replace(context.limits, answer_bytes=10_000)
    graph = graph_of(context, "y = exp(x)")
    with pytest.raises(LimitExceeded) as raised:
        create_derivatives(context, graph, "jacobian", {"x": np.ones(30)})
    assert raised.value.limit == "answer_bytes" and raised.value.actual and raised.value.actual > 30 * 30 * 25
    assert "npz" not in raised.value.detail
    with pytest.raises(LimitExceeded, match="answer"):
        check_gradients(context, graph, {"x": np.ones(300)}, method="central")
    assert check_gradients(context, graph, {"x": np.ones(300)}, method="taylor").verdict == "right"


def test_a_large_run_asks_for_more_before_it_has_any_effect(context: Context) -> None:
    context.granted = Weight(5e7, 32 * 2**20)
    graph = graph_of(context, "F = sum(x * x)")
    assert create_run(context, graph, {"x": np.ones(1000)}, tags={}).record.id
    with pytest.raises(NeedsMore) as raised:
        create_run(context, graph, {"x": np.ones(1_000_000)}, tags={}, whole=JSON)
    assert raised.value.weight.nbytes > 1_000_000 * (4 * 8 + 2 * 25)
