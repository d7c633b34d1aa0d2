"""Shape inference: the shape of every node's value, from the shapes of the inputs, before anything is allocated."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.errors import Fault, InvalidInputs, LimitExceeded
from service.core.figures.figures import Shape, element_count
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import walk_forward
from service.core.rulebook.input_types import shape_mismatch

_BROADCAST = "they cannot be broadcast to one shape"  # where NumPy says it of numbered arguments
# An operation that reduces each of these shapes to a scalar is taken to reduce every shape to one.
_PROBES: tuple[Shape, ...] = ((2,), (2, 3), (2, 3, 4), (2, 3, 4, 5))


def infer_shapes(
    graph: Graph, inputs: Mapping[str, Shape], *, max_elements: int | None = None, max_tensor: int | None = None
) -> tuple[Shape, ...]:
    """Infer the shape of every node's value from the shapes of all inputs.

    Raises InvalidInputs that names node, operation and shapes where they do not fit; LimitExceeded for a value of more
    than `max_tensor` elements, or values of more than `max_elements` together.
    """
    elements = 0

    def visit(position: int, operands: list[Shape]) -> Shape:
        nonlocal elements
        node = graph.nodes[position]
        if node.operation.is_input:
            shape = tuple(inputs[node.name])
        else:
            try:
                shape = _infer_shape(node, operands)
            except ValueError as error:
                location = ("inputs", *(name for name in node.inputs[:1] if name in inputs))
                raise InvalidInputs([Fault(location, str(error))]) from None
        size = element_count(shape)
        elements += size
        if max_tensor is not None and size > max_tensor:
            detail = f"a node's value has at most {max_tensor} elements; {node.name!r} would have {size}"
            raise LimitExceeded("tensor_elements", max_tensor, size, detail)
        _limit_elements(elements, max_elements)
        return shape

    return tuple(walk_forward(graph, visit))


def fit_shapes(
    graph: Graph, given: Mapping[int, Shape], max_elements: int | None = None
) -> tuple[dict[int, Shape], list[tuple[int, str]]]:
    """Infer what shapes follow from those `given`, by position, any of which may be missing; list the misfits.

    Raises LimitExceeded where the values whose shapes are known have more than `max_elements` together.
    """
    wrong: list[tuple[int, str]] = []
    inputs = (graph.position[name] for name in graph.inputs)
    if not any(given.values()) and all(position in given for position in inputs) and _is_of_scalars(graph):
        _limit_elements(len(graph), max_elements)
        return dict.fromkeys(range(len(graph)), ()), wrong

    def visit(position: int, operands: list[Shape | None]) -> Shape | None:
        node, own, shape = graph.nodes[position], given.get(position), None
        known = [operand for operand in operands if operand is not None]
        if node.operation.is_input:
            if own is not None and (detail := shape_mismatch(node.name, node.attributes.get("shape"), own)):
                wrong.append((position, detail))
            return own
        if len(known) == len(operands):
            try:
                shape = _infer_shape(node, known)
            except ValueError as error:
                wrong.append((position, str(error)))
        if shape is not None and own is not None and own != shape:
            wrong.append((position, f"{node.name!r} has shape {list(shape)}; the figure has {list(own)}"))
        return own if shape is None else shape

    found = dict(enumerate(walk_forward(graph, visit)))
    shapes = {position: shape for position, shape in found.items() if shape is not None}
    _limit_elements(sum(map(element_count, shapes.values())), max_elements)
    return shapes, wrong


@memoize_on_argument
def _is_of_scalars(graph: Graph) -> bool:
    """Whether all values are scalars if those of the Inputs are: nothing declares a shape or makes an array."""
    return all(operation.is_elementwise for operation in {node.operation for node in graph.nodes}) and not any(
        node.attributes.get("shape") or np.ndim(node.attributes.get("value", 0.0))
        for node in graph.nodes
        if node.attributes
    )


def known_shapes(graph: Graph) -> Sequence[Shape | None]:
    """Infer each node's shape without figures; None where it depends on an input that declares none."""
    return walk_forward(graph, lambda position, operands: known_shape(graph.nodes[position], operands))


def known_shape(node: Node, operands: Sequence[Shape | None]) -> Shape | None:
    """Infer a node's shape from those of its operands, of which some may be unknown, or from what it declares."""
    if node.operation.is_input:
        declared = node.attributes.get("shape")
        return None if declared is None or None in declared else declared
    known = [operand for operand in operands if operand is not None]
    if len(known) == len(operands):
        return _try_shape(node, known)
    probed = [_try_shape(node, [probe] * len(operands)) for probe in _PROBES]
    fitting = [shape for shape in probed if shape is not None]
    return () if len(fitting) > 1 and not any(fitting) else None


def _infer_shape(node: Node, operands: Sequence[Shape]) -> Shape:
    """Infer the shape of one operation's value; raises ValueError that names node, operation and shapes."""
    try:
        return tuple(node.operation.infer_shape(operands, node.attributes))
    except ValueError as error:
        listed = ", ".join(str(list(shape)) for shape in operands)
        why = _BROADCAST if str(error).startswith("shape mismatch") else error
        raise ValueError(f"{node.name!r} ({node.operation.name}) cannot take shapes {listed}: {why}") from None


def _try_shape(node: Node, operands: Sequence[Shape]) -> Shape | None:
    try:
        return _infer_shape(node, operands)
    except ValueError:
        return None


def _limit_elements(count: int, most: int | None) -> None:
    if most is not None and count > most:
        raise LimitExceeded("run_elements", most, count, f"a run holds at most {most} elements of values")
