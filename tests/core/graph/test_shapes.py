"""Shapes that are inferred without asking each node."""

import pytest

from service.core.errors import LimitExceeded
from service.core.graph import shapes
from service.core.graph.shapes import fit_shapes
from tests.planted import graph_of


def test_scalars_at_all_inputs_fit_without_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of("y = x * w + 2; F = tanh(y)")
    inputs = {graph.position[name]: () for name in graph.inputs}
    walked = fit_shapes(graph, {**inputs, graph.position["y"]: (2,)})[0]
    assert walked[graph.position["y"]] == ()
    monkeypatch.setattr(shapes, "walk_forward", None)
    assert fit_shapes(graph, inputs) == (walked, [])
    with pytest.raises(LimitExceeded):
        fit_shapes(graph, inputs, len(graph) - 1)
    for text in ("y = x * [1, 2]", "y = sum(x)"):
        with pytest.raises(TypeError):
            fit_shapes(graph_of(text), {0: ()})
