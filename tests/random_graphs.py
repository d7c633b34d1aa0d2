"""Hypothesis strategies for graphs of elementwise operations, at points where every node is differentiable."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray, Shape
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Attributes, Operation
from tests.elementwise import ELEMENTWISE, MARGIN, attribute_samples, domains, is_smooth, operand_counts

# The bound on every value of a random graph, so that differences of its output keep their digits.
LARGEST_VALUE = 30.0


@dataclass(frozen=True)
class Point:
    """A graph with one output, and inputs at which each of its nodes is smooth and of moderate value."""

    graph: Graph
    inputs: Mapping[str, FloatArray]

    @property
    def output(self) -> str:
        """The name of the last node."""
        return self.graph.outputs[0]


def figures(shape: Shape) -> st.SearchStrategy[FloatArray]:
    """An array of that shape of numbers around 0.7, which lies within most domains."""
    size = math.prod(shape)
    elements = st.integers(-200, 200).map(lambda hundredth: 0.7 + hundredth / 100)
    return st.lists(elements, min_size=size, max_size=size).map(lambda row: np.reshape(np.array(row, float), shape))


@st.composite
def points(
    draw: st.DrawFn,
    shapes: Sequence[Shape] = ((),),
    rulebook: Sequence[Operation] = ELEMENTWISE,
    largest_graph: int = 8,
) -> Point:
    """A random graph over `rulebook` with inputs of some of `shapes`, which broadcast with one another.

    A node whose operands lie outside its domain or near a kink, or whose value is large, is drawn and dropped; so no
    example is filtered out, and shrinking reduces the number of nodes.
    """
    documents: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    inputs = {}
    for position in range(draw(st.integers(1, 3))):
        name = f"x{position}"
        shape = draw(st.sampled_from(shapes))
        inputs[name] = draw(figures(shape))
        values[name] = inputs[name]
        documents.append({"name": name, "operation": "Input"})
    if draw(st.booleans()):
        values["c"] = np.float64(draw(st.sampled_from([-1.5, 0.5, 2.0, 3.0])))
        documents.append({"name": "c", "operation": "Constant", "attributes": {"value": float(values["c"])}})
    for position in range(draw(st.integers(3, largest_graph))):
        operation = draw(st.sampled_from(rulebook))
        count = draw(st.sampled_from(operand_counts(operation)))
        names = draw(st.lists(st.sampled_from(list(values)), min_size=count, max_size=count))
        attributes = draw(st.sampled_from(list(attribute_samples(operation))))
        with np.errstate(all="ignore"):
            value = _moderate_value(operation, [values[name] for name in names], attributes)
        if value is not None:
            name = f"y{position}"
            values[name] = value
            document = {"name": name, "operation": operation.name, "inputs": names, "attributes": attributes}
            documents.append(document)
    return Point(build_graph(documents, outputs=[documents[-1]["name"]]), inputs)


def _moderate_value(operation: Operation, operands: Sequence[Any], attributes: Attributes) -> Any:
    for operand, (low, high) in zip(operands, domains(operation, len(operands)), strict=True):
        if np.any(operand <= low + MARGIN) or np.any(operand >= high - MARGIN):
            return None
    if not np.all(is_smooth(operation, operands, attributes)):
        return None
    value = np.multiply(operation.evaluate(operands, attributes), 1.0)
    return value if np.all(np.abs(value) <= LARGEST_VALUE) else None
