"""The weight of derivatives and of gradient checks bounds what they hold at once, closely."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from service.core.derivatives.gradient_check import check_gradients
from service.core.derivatives.jacobian import hessian, jacobian, push_forward, push_gradients
from service.core.derivatives.one_sided import one_sided_derivatives
from service.core.derivatives.weights import weigh_check, weigh_derivatives, weigh_one_sided
from service.core.execution.passes import backward_pass, evaluate, fit_inputs, forward_pass, nondifferentiable_nodes
from service.core.figures import buffers
from service.core.figures.figures import Figures, blank_figures
from service.core.figures.weight import Weight
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


SIDES = {
    "relu": ("y = relu(x)", {"x": (50_000,)}, 0.0),
    "the greater": ("y = max(x, z)", {"x": (50_000,), "z": (50_000,)}, 1.0),
    "a pool": ("y = max_pool(x, kernel_shape=[3, 3])", {"x": (2, 2, 60, 60)}, 1.0),
    "a scalar": ("y = abs(x)", {"x": ()}, 0.0),
}


@pytest.mark.parametrize("name", SIDES)
def test_the_weight_of_derivatives_from_both_sides_bounds_their_memory(name: str) -> None:
    text, shapes, at = SIDES[name]
    graph = graph_of_expression(text)
    values = forward_pass(graph, {each: np.full(shape, at) for each, shape in shapes.items()})
    (position,) = nondifferentiable_nodes(graph, values)
    operands = [values[each] for each in graph.operands[position]]
    known = [each for each in (*operands, values[position]) if each is not None]
    weight = weigh_one_sided(graph, values, [position])
    peak = peak_of(lambda: one_sided_derivatives(graph.nodes[position], known[:-1], known[-1]))
    assert peak <= weight.nbytes <= 4.0 * peak + 10_000
    assert weigh_one_sided(graph, values, [position, position]).operations == 2 * weight.operations


def test_a_jump_has_no_derivatives_from_both_sides() -> None:
    graph = graph_of_expression("y = where(x, z, x)")
    values = forward_pass(graph, {"x": np.zeros(9), "z": np.ones(9)})
    (position,) = nondifferentiable_nodes(graph, values)
    assert weigh_one_sided(graph, values, [position]) == Weight()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["taylor", "central", "complex-step"])
@pytest.mark.parametrize("name", ["elementwise", "a sum", "a product of scalars"])
def test_the_weight_of_a_check_bounds_its_memory(name: str, method: str) -> None:
    graph, values, blank = made(name)
    positions = [graph.position[each] for each in graph.inputs]
    weight = weigh_check(graph, blank, graph.outputs[0], positions, method)
    peak = peak_of(lambda: check_gradients(graph, values, graph.outputs[0], positions, method))
    assert peak <= weight.nbytes <= 4.0 * peak + 500_000
    assert weight.operations > weigh_check(graph, blank, graph.outputs[0], positions[:0], method).operations
