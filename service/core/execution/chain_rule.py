"""The rules of one node over arrays: its value and its contributions, in the precision in which each is computed.

Passes, replays, claims, steps and evidence all apply these, so that what they find agrees to the last bit. Here alone
is it decided what is computed in float32, what an index is, and to which nodes no gradient flows. The compiled loops
(`codegen.py`) and the batches (`batches.py`), which run float64 scalars only, apply the rules by themselves for speed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidInputs
from service.core.execution import elementwise
from service.core.graph.graph import Graph, Node


def dtype_of(graph: Graph, position: int) -> type[np.floating[Any]]:
    """The precision in which the node at `position` is computed, forward and backward."""
    return np.float32 if position in graph.float32_nodes else np.float64


def value_at(graph: Graph, position: int, operands: Sequence[Any]) -> Any:
    """Apply the operation of the node at `position` to its operands, in its precision.

    Raises InvalidInputs where the operation refuses its operands, as an index out of range.
    """
    node, dtype = graph.nodes[position], dtype_of(graph, position)
    try:
        return in_rows(
            elementwise.evaluate(node.operation, operands_at(graph, position, operands), node.attributes, dtype)
        )
    except ValueError as error:
        raise _refused(node, error) from None


def local_gradients_at(graph: Graph, position: int, operands: Sequence[Any], value: Any) -> Sequence[Any]:
    """The local gradients of an elementwise node by each operand, broadcastable to the value's shape."""
    node, known = graph.nodes[position], operands_at(graph, position, operands)
    local_gradients: Sequence[Any]
    local_gradients = node.operation.differentiate(known, in_precision(graph, position, value), node.attributes)
    return local_gradients


def contributions_at(graph: Graph, position: int, upstream: Any, operands: Sequence[Any], value: Any) -> Sequence[Any]:
    """Apply the chain rule along the in-edges of one node: upstream gradient × local gradient for each operand.

    Each contribution has its operand's shape and precision: where the operand was broadcast, its copies' contributions
    are summed. None stands for an operand to which no gradient flows: an index, a Constant, an Input of whole numbers.
    Raises as `value_at`.
    """
    node, sources = graph.nodes[position], graph.operands[position]
    upstream, value = in_precision(graph, position, upstream), in_precision(graph, position, value)
    known = operands_at(graph, position, operands)
    wanted = [dtype_of(graph, source) if graph.nodes[source].has_gradient else None for source in sources]
    contributions: Sequence[Any]
    if node.operation.is_elementwise:
        contributions = elementwise.contributions(node.operation, upstream, known, value, node.attributes, wanted)
    else:
        try:
            contributions = node.operation.propagate(in_rows(upstream), known, value, node.attributes)
        except ValueError as error:
            raise _refused(node, error) from None
    return [
        None if given is None or dtype is None else in_precision(graph, source, given)
        for source, given, dtype in zip(sources, contributions, wanted, strict=True)
    ]


def in_rows(figure: Any) -> Any:
    """The figure row by row in memory, as it is kept: NumPy multiplies a view, transposed or broadcast, in another
    order, and then what follows from the kept figures differs from what was kept in the last bits."""
    return figure if figure.flags.c_contiguous else np.ascontiguousarray(figure)


def in_precision(graph: Graph, position: int, figure: Any) -> Any:
    """The figure of the node at `position` in that node's precision."""
    return np.asarray(figure, dtype=dtype_of(graph, position)) if graph.float32_nodes else figure


def operands_at(graph: Graph, position: int, operands: Sequence[Any]) -> Sequence[Any]:
    """The operands in the precision of the node that reads them; indices as they are."""
    if not graph.float32_nodes:
        return operands
    dtype, indices = dtype_of(graph, position), graph.nodes[position].operation.indices
    return [
        operand if operand_index < len(indices) and indices[operand_index] else np.asarray(operand, dtype=dtype)[()]
        for operand_index, operand in enumerate(operands)
    ]


def _refused(node: Node, error: ValueError) -> InvalidInputs:
    return InvalidInputs([Fault(("inputs",), f"{node.name!r} ({node.operation.name}): {error}")])
