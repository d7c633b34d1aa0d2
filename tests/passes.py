"""Build a graph from an expression, run both passes and return the figures by node name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.building import assemble_graph
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression

Named = Mapping[str, Any]


def graph_of(text: str) -> Graph:
    """The graph of an expression."""
    return assemble_graph(parse_expression(text, max_bytes=10_000, max_depth=100))


def arrays_of(inputs: Named) -> dict[str, FloatArray]:
    """Inputs as float64 arrays."""
    return {name: np.array(figure, dtype=np.float64) for name, figure in inputs.items()}


def by_name(graph: Graph, each: Figures) -> dict[str, Any]:
    """The figures by node name: scalars as floats, None where there is none."""
    return {
        node.name: None if figure is None else figure.tolist() for node, figure in zip(graph.nodes, each, strict=True)
    }


def run(text: str, inputs: Named, output: str | None = None, seed: Any = 1.0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values and gradients of an expression, by name."""
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of(inputs))
    return by_name(graph, values), by_name(graph, backward_pass(graph, values, output or graph.outputs[0], seed))


def taken(figures_by_name: Named, names: Sequence[str]) -> list[Any]:
    """The figures of these nodes."""
    return [figures_by_name[name] for name in names]


def near(expected: Any, **tolerance: Any) -> Any:
    """Equal to 1e-12 unless told otherwise."""
    return pytest.approx(expected, **(tolerance or {"rel": 1e-12, "abs": 1e-12}))


@contextmanager
def array_loop() -> Iterator[None]:
    """Run both passes through the array loop, as before the kernel is warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "_loops", None)
        yield
