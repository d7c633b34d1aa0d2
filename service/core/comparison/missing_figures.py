"""What a recording that leaves figures out still tells: the shapes that follow, and what nothing can replay."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from service.core.errors import LimitExceeded
from service.core.figures.figures import BoolArray, IntArray, Shape, element_count
from service.core.graph.graph import Graph, Node
from service.core.graph.traversal import reaches
from service.core.rulebook.input_types import misfit
from service.core.rulebook.registry import find


def fit_shapes(
    graph: Graph, given: Mapping[int, Shape], max_elements: int | None = None
) -> tuple[dict[int, Shape], list[tuple[int, str]]]:
    """The shapes of values that follow from those `given`, by position, and what is wrong with each that does not fit.

    Raises LimitExceeded where all values that follow would have more than `max_elements`.
    """
    known: dict[int, Shape] = {}
    wrong: list[tuple[int, str]] = []
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        shape: Shape | None = None
        if not node.operation.is_input and all(source in known for source in sources):
            operands = [known[source] for source in sources]
            try:
                shape = node.operation.infer_shape(operands, node.attributes)
            except ValueError as error:
                listed = ", ".join(str(list(operand)) for operand in operands)
                wrong.append((position, f"{node.name!r} ({node.operation.name}) cannot take shapes {listed}: {error}"))
        own = given.get(position)
        declared = node.attributes.get("shape") if node.operation.is_input and own is not None else None
        if own is not None and declared is not None and (misfitting := misfit(node.name, declared, own)):
            wrong.append((position, misfitting))
        if shape is None:
            shape = own
        elif own is not None and own != shape:
            wrong.append((position, f"{node.name!r} has shape {list(shape)}; the figure has {list(own)}"))
        if shape is not None:
            known[position] = shape
    elements = sum(map(element_count, known.values()))
    if max_elements is not None and elements > max_elements:
        raise LimitExceeded(
            "run_elements", max_elements, elements, f"a run holds at most {max_elements} elements of values"
        )
    return known, wrong


def without_unknown(graph: Graph, known: BoolArray) -> Graph:
    """The graph in which nothing rests on a figure that nobody knows.

    `known` says which nodes' values are given, a Constant's among them. An operation on a value that is neither given
    nor follows from others is made an Input: nothing can replay it.
    """
    known = known.copy()
    nodes = list(graph.nodes)
    given = find("Input")
    assert given is not None
    for position, sources in enumerate(graph.operands):
        if sources and not all(known[source] for source in sources):
            nodes[position] = Node(nodes[position].name, given)
        elif sources:
            known[position] = True
    return replace(graph, nodes=tuple(nodes))


def unreplayable_gradients(graph: Graph, cut: Graph, given: BoolArray, output: str) -> IntArray:
    """The positions of the nodes whose gradient rests on a consumer that `without_unknown` has cut off, or on a
    consumer's gradient that is neither `given` nor follows from others."""
    reached = reaches(graph, output)
    doubtful = np.zeros(len(graph), dtype=bool)
    unknown = np.zeros(len(graph), dtype=bool)
    for position in range(len(graph) - 1, -1, -1):
        doubtful[position] = any(
            reached[consumer] and (not cut.operands[consumer] or unknown[consumer])
            for consumer, _ in graph.consumers[position]
        )
        unknown[position] = doubtful[position] and not given[position]
    return np.flatnonzero(doubtful)
