"""What the passes over a graph take, from the shapes of its nodes' values, before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from service.core.caches import memoize_on_argument
from service.core.figures.figures import Shape
from service.core.graph.graph import Graph, Node
from service.core.rulebook.work import PROPORTIONAL, Work, of_tensor_contributions, of_tensor_value


@dataclass(frozen=True, slots=True)
class GraphWork:
    """The elements of all values; of each pass its operations, and the most elements that a node takes by the way."""

    elements: int
    forward: Work
    backward: Work


def _works_of(node: Node, operands: Sequence[Shape], shape: Shape) -> tuple[Work, Work]:
    """Of the value and of the contributions. Whether an operation that is not elementwise has a derivative at its
    operands takes what its contributions do.

    Recorded figures may have shapes that do not fit: they are not computed with.
    """
    operation = node.operation
    try:
        value = operation.work_of_value(operands, shape, node.attributes)
        back = operation.work_of_contributions(operands, shape, node.attributes)
    except (ValueError, IndexError):
        return of_tensor_value(operands, shape, {}), of_tensor_contributions(operands, shape, {})
    if operation.kinks and not operation.is_elementwise:
        value = Work(value.operations + back.operations, max(value.elements, back.elements))
    return value, back


@memoize_on_argument
def work_of(graph: Graph, shapes: Sequence[Shape]) -> GraphWork:
    """Add up what the nodes take."""
    known: dict[object, tuple[Work, Work]] = {}
    forward_operations = backward_operations = forward_elements = backward_elements = 0.0
    for node, sources, shape in zip(graph.nodes, graph.operands, shapes, strict=True):
        operation, operands = node.operation, tuple(map(shapes.__getitem__, sources))
        if not operands:
            continue
        # Rules without a declaration of their own do not look at attributes.
        key = (operation, operands, shape, None if operation.work is PROPORTIONAL else id(node.attributes))
        if key not in known:
            known[key] = _works_of(node, operands, shape)
        value, back = known[key]
        forward_operations += value.operations
        backward_operations += back.operations
        forward_elements = max(forward_elements, value.elements)
        backward_elements = max(backward_elements, back.elements)
    return GraphWork(
        sum(map(prod, shapes)),
        Work(forward_operations, forward_elements),
        Work(backward_operations, backward_elements),
    )
