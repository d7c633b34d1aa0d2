"""Second derivatives of what takes, writes, orders and rearranges elements: as quotients of the first have them."""

from typing import Any

import numpy as np

from service.core.derivatives.gradient_graph import gradient_graph
from service.core.execution.passes import backward_pass, forward_pass
from tests.expressions import graph_of_expression as graph_of

ROW, SQUARE = np.array([0.7, -1.2, 0.4]), np.array([[0.7, -1.2], [0.4, 1.9]])
# Of these the element at 2 and one update are 0: a product's derivative by one factor is that of the others.
WITH_ZEROS = np.array([0.7, -1.2, 0.0, 0.0, 1.1])
PIXELS = np.linspace(-1.0, 1.4, 8).reshape(1, 4, 1, 2)

CASES: list[tuple[str, Any]] = [
    ("gather_elements(x^3, [[1, 0], [1, 1]], axis=1) ^ 2", SQUARE),
    ("gather_nd(x^3, [[1], [1]]) ^ 2", SQUARE),
    ("gather_nd(x^3, [[[1], [0]], [[1], [1]]], batch_dims=1) ^ 2", SQUARE),
    ("scatter_elements(x^3, [2, 0], x[0:2]) ^ 2", ROW),
    ("scatter_nd(x^3, [[1]], x[0:1]) ^ 2", SQUARE),
    *(
        (f'{scatter}, x[1:4], reduction="{reduction}") ^ 2', WITH_ZEROS)
        for scatter in ("scatter_elements(x, [2, 2, 0]", "scatter_nd(x, [[2], [2], [0]]")
        for reduction in ("add", "mul")
    ),
    *((f'scatter_elements(x^3, [2, 2], x[0:2]^2, reduction="{reduction}") ^ 2', ROW) for reduction in ("max", "min")),
    ("sort(x^3) * [1, 2, 3]", ROW),
    ("top_k(x^3, k=1, axis=0) ^ 2", SQUARE),
    ("trilu(x, k=1) ^ 3", SQUARE),
    ("tile(x^2, repeats=[2, 3]) ^ 2", SQUARE),
    ("depth_to_space(x, blocksize=2) ^ 3", PIXELS),
    ('depth_to_space(x, blocksize=2, mode="CRD") ^ 3', PIXELS),
    ("one_hot([1, 0, 2], x^2, depth=3) ^ 2", ROW[:2]),
    ("argmax(x) * x^3", ROW),
]


def test_the_gradient_graph_has_the_second_derivatives_of_quotients() -> None:
    wrong = []
    for text, x in CASES:
        once = gradient_graph(graph_of(f"L = sum({text})"), "L", ["x"])
        (slope,) = once.outputs
        twice = gradient_graph(once, slope, ["x"])
        along = np.cos(np.arange(x.size)).reshape(x.shape)

        def first(at: Any, graph: Any = once, name: str = slope) -> Any:
            return forward_pass(graph, {"x": at})[graph.position[name]]

        values = forward_pass(once, {"x": x})
        found = backward_pass(once, values, slope, along)[once.position["x"]]
        step, expected = 1e-4, np.zeros(x.shape)
        for place in np.ndindex(x.shape):
            unit = np.zeros(x.shape)
            unit[place] = step
            expected[place] = np.sum(along * (first(x + unit) - first(x - unit))) / (2 * step)
        summed = forward_pass(twice, {"x": x})[twice.position[twice.outputs[0]]]
        by_ones = backward_pass(once, values, slope, np.ones(x.shape))[once.position["x"]]
        if not np.allclose(found, expected, rtol=1e-6, atol=1e-6) or not np.allclose(summed, by_ones, rtol=1e-12):
            wrong.append((text, found, expected, summed, by_ones))
    assert not wrong
