"""The forward pass and the backward pass: pure functions over a graph.

A graph of scalars is run by the compiled loops as soon as they are warm; anything else, and before, a loop over the
nodes in NumPy, in which each node may hold an array.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidInputs, LimitExceeded
from service.core.execution import batches, kernel
from service.core.figures.figures import Figures, FloatArray, Shape, element_count, pack
from service.core.graph.graph import Graph, Node
from service.core.rulebook.input_types import read_input
from service.core.rulebook.primitives import sum_to_shape


def forward_pass(
    graph: Graph,
    inputs: Mapping[str, FloatArray],
    *,
    max_elements: int | None = None,
    max_tensor: int | None = None,
) -> Figures:
    """The value of every node, in topological order.

    `inputs` holds one array for each Input of the graph. Raises InvalidInputs for a missing or an extra one and where
    shapes do not fit, LimitExceeded where one value would have more than `max_tensor` elements or all together more
    than `max_elements`: before anything is computed.
    """
    _check_names(graph, inputs)
    program = None if any(getattr(x, "ndim", 0) for x in inputs.values()) else kernel.program_of(graph)
    within = max_elements is None or len(graph) <= max_elements
    if program and within and (loops := kernel.compiled_loops()):
        return kernel.evaluate(loops, program, inputs)
    figures = {
        node.name: read_input(node.name, node.attributes, inputs[node.name])
        for node in graph.nodes
        if node.operation.is_input
    }
    if program is None or not within:
        shapes = {name: np.shape(array) for name, array in figures.items()}
        infer_shapes(graph, shapes, max_elements=max_elements, max_tensor=max_tensor)
    if shape := batches.shape_of_batch(graph, figures):
        return batches.evaluate_batch(graph, figures, shape)
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for position, (node, operands) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            if node.operation.is_input:
                values.append(_as_kept(figures[node.name][()]))
                continue
            value = value_of(node, in_precision(graph, position, [values[source] for source in operands]))
            # A comparison yields booleans, a condition being 0 or 1.
            dtype = dtype_of(graph, position)
            values.append(_as_kept(value if value.dtype == dtype else value.astype(dtype)))
    return pack(values)


def _as_kept(figure: Any) -> Any:
    """A figure row by row in memory, as it is kept: a view, transposed or broadcast, may be multiplied in another
    order, and then what follows from the kept figures is not what was kept, to the last bit."""
    return figure if figure.flags.c_contiguous else np.ascontiguousarray(figure)


def dtype_of(graph: Graph, position: int) -> type[np.floating[Any]]:
    """In what the node at that position is computed, forward and backward."""
    return np.float32 if position in graph.float32_nodes else np.float64


def in_precision(graph: Graph, position: int, operands: Sequence[Any]) -> Sequence[Any]:
    """The operands of the node at that position in the precision in which it is computed; indices as they are."""
    if not graph.float32_nodes:
        return operands
    dtype, indices = dtype_of(graph, position), graph.nodes[position].operation.indices
    return [
        operand if operand_index < len(indices) and indices[operand_index] else np.asarray(operand, dtype=dtype)[()]
        for operand_index, operand in enumerate(operands)
    ]


def infer_shapes(
    graph: Graph, inputs: Mapping[str, Shape], *, max_elements: int | None = None, max_tensor: int | None = None
) -> tuple[Shape, ...]:
    """The shape of every node's value, from the shapes of the inputs, before anything is allocated.

    Raises InvalidInputs that names node, operation and shapes where they do not fit; LimitExceeded as `forward_pass`.
    """
    shapes: list[Shape] = []
    elements = 0
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        given = [shapes[position] for position in operands]
        try:
            if node.operation.is_input:
                shapes.append(tuple(inputs[node.name]))
            else:
                shapes.append(node.operation.infer_shape(given, node.attributes))
        except ValueError as error:
            wrong = f"{node.name!r} ({node.operation.name}) cannot take shapes {_listed(given)}: {error}"
            location = ("inputs", *([node.inputs[0]] if node.inputs and node.inputs[0] in inputs else []))
            raise InvalidInputs([Fault(location, wrong)]) from None
        size = element_count(shapes[-1])
        elements += size
        if max_tensor is not None and size > max_tensor:
            detail = f"a node's value has at most {max_tensor} elements; {node.name!r} would have {size}"
            raise LimitExceeded("tensor_elements", max_tensor, size, detail)
        if max_elements is not None and elements > max_elements:
            raise LimitExceeded(
                "run_elements", max_elements, elements, f"a run holds at most {max_elements} elements of values"
            )
    return tuple(shapes)


def backward_pass(graph: Graph, values: Figures, output: str, seed: FloatArray | float = 1.0) -> Figures:
    """The gradient of every node to which one flows: d(seed · output)/d(node), each of its node's shape.

    A scalar seed spreads to the output's shape. A node that does not reach the output has gradient 0. Raises
    InvalidInputs where the seed's shape is not the output's.
    """
    target = graph.position[output]
    spread = spread_seed(seed, values.shape(target))
    program = kernel.program_of(graph) if values.shapes is None else None
    if program and (loops := kernel.compiled_loops()):
        return kernel.differentiate(loops, program, values.flat, target, float(spread))
    if batches.is_batch(graph, values):
        return batches.differentiate_batch(graph, values, target, spread)
    arrays: list[Any] = list(values)
    if graph.float32_nodes:
        arrays = [np.asarray(array, dtype=dtype_of(graph, position)) for position, array in enumerate(arrays)]
    gradients: list[Any] = [None] * len(graph)
    summed: set[int] = set()  # whose gradients are arrays of this pass's own making, which may be added to
    gradients[target] = spread.astype(dtype_of(graph, target), copy=False)
    with np.errstate(all="ignore"):
        # In the kernel's order, in which contributions are added up, so that no bit of a sum depends on the loop.
        for position in reversed(range(target + 1) if program is None else program.nodes.tolist()):
            node, operands = graph.nodes[position], graph.operands[position]
            if gradients[position] is None or not operands:
                continue
            upstream = _as_kept(gradients[position])
            known = in_precision(graph, position, [arrays[source] for source in operands])
            value = np.asarray(arrays[position], dtype=dtype_of(graph, position))
            for source, given in zip(operands, contributions_of(node, upstream, known, value), strict=True):
                if given is None or not graph.nodes[source].has_gradient:
                    continue
                contribution = np.asarray(given, dtype=dtype_of(graph, source)) if graph.float32_nodes else given
                so_far = gradients[source]
                if so_far is None:
                    gradients[source] = contribution
                else:
                    gradients[source] = np.add(so_far, contribution, out=so_far if source in summed else None)
                    if np.ndim(gradients[source]):
                        summed.add(source)
    return pack(
        [
            None if not node.has_gradient else np.zeros(values.shape(position)) if known is None else known
            for position, (node, known) in enumerate(zip(graph.nodes, gradients, strict=True))
        ]
    )


def value_of(node: Node, operands: Sequence[Any]) -> Any:
    """The operation of a node on its operands; raises InvalidInputs where it refuses what they are, as an index out of
    range."""
    try:
        return node.operation.evaluate(operands, node.attributes)
    except ValueError as error:
        raise _refused(node, error) from None


def _refused(node: Node, error: ValueError) -> InvalidInputs:
    return InvalidInputs([Fault(("inputs",), f"{node.name!r} ({node.operation.name}): {error}")])


def contributions_of(node: Node, upstream: Any, operands: Sequence[Any], value: Any) -> Sequence[Any]:
    """The chain rule along the in-edges of one node: upstream gradient × local gradient, one for each operand.

    Each contribution has its operand's shape: where the operand was broadcast, its copies' contributions are summed.
    None stands for an operand to which no gradient flows (an index). Raises as `value_of`.
    """
    operation = node.operation
    if not operation.is_elementwise:
        try:
            # In rows: the last bits of a product of matrices may depend on how they lie.
            return operation.propagate(np.asarray(upstream, order="C"), operands, value, node.attributes)
        except ValueError as error:
            raise _refused(node, error) from None
    local_gradients = operation.differentiate(operands, value, node.attributes)
    return [
        # A local gradient that is the number 1, and no array of ones, is not multiplied by.
        sum_to_shape(upstream if type(local) is float and local == 1.0 else upstream * local, np.shape(operand))
        for local, operand in zip(local_gradients, operands, strict=True)
    ]


def spread_seed(seed: FloatArray | float, shape: Shape) -> FloatArray:
    """The seed at the output's shape; raises InvalidInputs if it is neither a scalar nor of that shape."""
    given = np.asarray(seed, dtype=np.float64)
    if given.shape == shape:
        return given
    if given.shape:
        raise InvalidInputs([Fault(("seed",), f"the seed has shape {list(given.shape)}; the output has {list(shape)}")])
    return np.broadcast_to(given, shape)


def nondifferentiable_nodes(graph: Graph, values: Figures) -> tuple[int, ...]:
    """The positions of the nodes at which, somewhere in their values, no derivative exists."""
    program = kernel.program_of(graph) if values.shapes is None and values.present is None else None
    if program and (loops := kernel.compiled_loops()):
        return kernel.find_kinks(loops, program, values.flat)
    positions = []
    arrays: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for position, node in enumerate(graph.nodes):
            if node.operation.kinks is None:
                continue
            for known in (*graph.operands[position], position):
                arrays.setdefault(known, values[known])
            operands = [arrays[source] for source in graph.operands[position]]
            if any(operand is None for operand in operands) or arrays[position] is None:
                continue
            if np.any(node.operation.is_nondifferentiable(operands, arrays[position], node.attributes)):
                positions.append(position)
    return tuple(positions)


def _check_names(graph: Graph, inputs: Mapping[str, FloatArray]) -> None:
    known = set(graph.inputs)
    if inputs.keys() == known:
        return
    missing = [name for name in graph.inputs if name not in inputs]
    extra = [name for name in inputs if name not in known]
    if missing or extra:
        raise InvalidInputs(
            [Fault(("inputs",), f"the input {name!r} is missing") for name in missing]
            + [Fault(("inputs", name), f"the graph has no input {name!r}") for name in extra]
        )


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
