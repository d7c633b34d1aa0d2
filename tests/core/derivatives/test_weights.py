"""The weight of derivatives and of gradient checks bounds what they hold at once, closely."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.gradient_check import check_gradients
from service.core.derivatives.jacobian import hessian, jacobian, push_forward, push_gradients
from service.core.derivatives.weights import weigh_check, weigh_derivatives
from service.core.execution.passes import backward_pass, evaluate, fit_inputs
from service.core.figures import buffers
from service.core.figures.figures import Figures, blank_figures
from service.core.graph.graph import Graph
from tests.expressions import graph_of_expression

PRODUCT = "; ".join(["p1 = x1 * x2", *(f"p{k} = p{k - 1} * x{k + 1}" for k in range(2, 30))])
GRAPHS = {
    "elementwise": ("y = exp(x) * x + sin(x)", {"x": (150,)}),
    "a sum": ("y = sum(exp(x) * x)", {"x": (80,)}),
    "matrices": ("y = w @ tanh(v @ x)", {"x": (20,), "v": (12, 20), "w": (8, 12)}),
    "softmax": ("y = sum(softmax(x) * x)", {"x": (100,)}),
    "a product of scalars": (PRODUCT, {f"x{k}": () for k in range(1, 31)}),
}
KINDS = ("jacobian", "hessian", "jvp", "hvp", "vjp")


def made(name: str) -> tuple[Graph, Figures, Figures]:
    """A graph, its values, and figures of their shapes without numbers."""
    text, shapes = GRAPHS[name]
    graph = graph_of_expression(text)
    given = {each: np.random.default_rng(1).random(shape) + np.array(0.5) for each, shape in shapes.items()}
    fitted = fit_inputs(graph, {each: np.asarray(figure) for each, figure in given.items()})
    return graph, evaluate(fitted), blank_figures(fitted.shapes, len(graph))


def peak_of(compute: Callable[[], Any]) -> int:
    """The most bytes that are held at once."""
    compute()  # what is cached is not counted
    buffers._free.clear()
    tracemalloc.start()
    try:
        kept = compute()  # noqa: F841 (held while it is measured)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def differentiate(graph: Graph, values: Figures, kind: str, of: Sequence[str], wrt: Sequence[str]) -> Any:
    """Derivatives of one of the kinds."""
    along = {name: np.ones((1, *values.shape(graph.position[name]))) for name in wrt}
    return {
        "jacobian": lambda: jacobian(graph, values, of, wrt),
        "hessian": lambda: hessian(graph, values, of[0], wrt),
        "jvp": lambda: push_forward(graph, values, along, of),
        "hvp": lambda: push_gradients(graph, values, of[0], along, wrt),
        "vjp": lambda: backward_pass(graph, values, of[0]),
    }[kind]()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GRAPHS)
def test_the_weight_of_derivatives_bounds_their_memory(name: str, kind: str) -> None:
    graph, values, blank = made(name)
    weight = weigh_derivatives(graph, blank, kind, graph.outputs, graph.inputs)
    peak = peak_of(lambda: differentiate(graph, values, kind, graph.outputs, graph.inputs))
    assert peak <= weight.nbytes <= 4.0 * peak + 200_000
    assert weight.operations > 0


@pytest.mark.parametrize("method", ["taylor", "central", "complex-step"])
@pytest.mark.parametrize("name", ["elementwise", "a sum", "a product of scalars"])
def test_the_weight_of_a_check_bounds_its_memory(name: str, method: str) -> None:
    graph, values, blank = made(name)
    positions = [graph.position[each] for each in graph.inputs]
    weight = weigh_check(graph, blank, graph.outputs[0], positions, method)
    peak = peak_of(lambda: check_gradients(graph, values, graph.outputs[0], positions, method))
    assert peak <= weight.nbytes <= 4.0 * peak + 500_000
    assert weight.operations > weigh_check(graph, blank, graph.outputs[0], positions[:0], method).operations
