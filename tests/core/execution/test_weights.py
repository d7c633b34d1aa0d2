"""The weight of a run bounds what its passes hold at once, closely."""

import tracemalloc

import numpy as np
import pytest

from service.core.execution.passes import backward_pass, evaluate, fit_inputs, nondifferentiable_nodes
from service.core.execution.weights import weigh_fit, weigh_forward, weigh_run
from service.core.figures import buffers
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.graph.work import work_of
from tests.expressions import graph_of_expression

RUNS = [
    ("y = sum(exp(x) * x + sin(x))", {"x": (300, 200)}),
    ("y = sum(relu(x @ w) @ v)", {"x": (60, 200), "w": (200, 300), "v": (300, 10)}),
    ("y = sum(gelu(x, approximate='tanh'))", {"x": (200, 300)}),
    ("y = x * z", {"x": (300, 1), "z": (1, 200)}),
    ("y = a * b * c", {"a": (200_000,), "b": (200_000,), "c": ()}),
    ("y = sum(softmax(x, axis=1) * x)", {"x": (200, 300)}),
    ("y = sum(sqrt(x) * z)", {"x": (200, 300), "z": (200, 300)}),
    ("y = einsum(x, z, equation='i,j->ij')", {"x": (300,), "z": (300,)}),
    ("y = sum(max_pool(x, kernel_shape=[5, 5]))", {"x": (2, 4, 40, 40)}),
]


def figures(shapes: dict[str, tuple[int, ...]], first: float = 0.5) -> dict[str, FloatArray]:
    """Figures of these shapes; the first element of each is `first`."""
    drawn = {name: np.random.default_rng(1).random(shape) + 0.5 for name, shape in shapes.items()}
    for figure in drawn.values():
        figure.reshape(-1)[0] = first
    return drawn


def peak_of_run(graph: Graph, given: dict[str, FloatArray], backward: bool) -> int:
    """The most bytes that are held at once while a run is made, and its figures packed as they are stored."""
    fitted = fit_inputs(graph, given)
    buffers._free.clear()  # or large vectors would cost nothing
    tracemalloc.start()
    try:
        values = evaluate(fitted)
        nondifferentiable_nodes(graph, values)
        gradients = backward_pass(graph, values, graph.outputs[0]) if backward else None
        for each in (values, gradients):
            if each is not None:
                assert each.flat.size
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("first", [0.5, np.inf])
@pytest.mark.parametrize(("expression", "shapes"), RUNS, ids=[run[0] for run in RUNS])
def test_the_weight_of_a_run_bounds_its_memory(
    expression: str, shapes: dict[str, tuple[int, ...]], first: float
) -> None:
    graph, given = graph_of_expression(expression), figures(shapes, first)
    fitted = fit_inputs(graph, given)
    for backward, weigh in ((False, weigh_forward), (True, weigh_run)):
        peak, weight = peak_of_run(graph, given, backward), weigh(graph, fitted.shapes)
        assert peak <= weight.nbytes
        assert first == np.inf or weight.nbytes <= 4 * peak
    assert weigh_run(graph, fitted.shapes).operations > weigh_forward(graph, fitted.shapes).operations > 0


def test_scalars_weigh_by_their_nodes_and_are_fitted_for_nothing() -> None:
    short, long = graph_of_expression("y = x * x + x"), graph_of_expression("y = x * x + x + x + x")
    for weigh in (weigh_forward, weigh_run):
        each = weigh(short, None).operations / len(short)
        assert each > 0 and weigh(long, None).operations == pytest.approx(each * len(long))
    assert weigh_fit(short, {"x": np.array(1.0)}).operations == 0
    assert weigh_fit(short, {"x": np.ones(2)}).operations > 0


def test_shapes_that_do_not_fit_are_weighed_by_their_elements() -> None:
    graph = graph_of_expression("y = x @ w")
    for shapes in (((2, 3), (), (2, 3)), ((2, 3, 4), (5, 4, 3), (9,))):
        assert work_of(graph, shapes).forward.operations > 0
