"""Write a graph as an expression that reads back as the same graph."""

import re
from collections.abc import Sequence

from service.core.figures.figures import MOST_DIMENSIONS
from service.core.figures.text import number_text
from service.core.graph.graph import Graph, Node
from service.core.rulebook.attribute import LARGEST_INTEGER
from service.core.rulebook.tensor import Tensor
from service.core.symbolic.printing import name_text, value_text, write_text
from service.core.symbolic.term import Variable, application


def write_expression(graph: Graph) -> str | None:
    """Write one statement for each node that is not an Input; reading them gives the same nodes and inputs again.

    Return None for a graph of Inputs only. The language cannot say an Input's attributes, nor outputs other than
    those that `build_graph` chooses; they are left out.
    """
    computed = [node for node in graph.nodes if not node.operation.is_input]
    if not computed:
        return None
    given = frozenset(graph.inputs)
    appearing = dict.fromkeys(name for node in computed for name in node.inputs if name in given)
    targets = [name_text(node.name) for node in computed]
    if tuple(appearing) != graph.inputs:
        targets[-1] += f"({', '.join(map(name_text, graph.inputs))})"
    return "; ".join(f"{target} = {write_node(node)}" for target, node in zip(targets, computed, strict=True))


def write_node(node: Node) -> str:
    """Write what stands to the right of `name =` for a node that is not an Input."""
    if node.operation.name == "Identity":
        return name_text(node.inputs[0])
    value = node.attributes.get("value")
    if node.operation.is_constant and isinstance(value, float) and re.match("[0-9]", number_text(value)):
        return number_text(value)  # a literal has no sign, and is finite
    if isinstance(value, Tensor) and value.lengths_text is None:
        return value_text(value)
    if node.operation.name == "Slice" and (subscripts := _subscripts(*node.attributes.values())):
        return f"{name_text(node.inputs[0])}[{subscripts}]"
    operands = [Variable(name) for name in node.inputs]
    return write_text(application(node.operation, operands, node.attributes), None)


def _subscripts(
    starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None, steps: Sequence[int] | None
) -> str | None:
    """Write a Slice as `1:3, ::2`; None where subscripts would not read back as the same Slice."""
    if not axes or not steps or not 0 <= axes[0] <= axes[-1] < MOST_DIMENSIONS or list(axes) != sorted(set(axes)):
        return None
    texts = [":"] * (axes[-1] + 1)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=False):
        first, last = (0, LARGEST_INTEGER) if step > 0 else (LARGEST_INTEGER, -LARGEST_INTEGER)
        if (start, end, step) == (0, LARGEST_INTEGER, 1):
            return None
        bounds = "".join(["" if start == first else str(start), ":", "" if end == last else str(end)])
        texts[axis] = bounds if step == 1 else f"{bounds}:{step}"
    return ", ".join(texts) if len(starts) == len(ends) == len(axes) == len(steps) else None
