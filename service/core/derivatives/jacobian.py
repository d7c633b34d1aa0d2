"""Derivatives of any nodes with respect to any others, in forward mode, in reverse mode, and of second order.

Forward mode sweeps from the inputs with a tangent for each direction, reverse mode from the outputs with an upstream
gradient for each seed. Both carry all directions, or seeds, in a leading axis, and both read the same local gradients.
Second derivatives are forward mode over reverse mode: a backward pass over duals.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from service.core.derivatives.forward_mode import Dual, Product, push, times
from service.core.derivatives.open_forward_mode import (
    Moved,
    keep_reached,
    push_along_open_edges,
    push_scalar_gradients,
    reached_part,
)
from service.core.derivatives.squared_norms import with_sums_of_squares
from service.core.errors import Fault, InvalidRequest, LimitExceeded
from service.core.execution.chain_rule import contributions_at
from service.core.execution.closed_edges import OpenEdges, has_nan
from service.core.execution.passes import backward_pass
from service.core.figures.figures import Figures, FloatArray, Shape
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.rulebook.operations.broadcasting import sum_to
from service.core.rulebook.primitives import sum_to_shape

Blocks: TypeAlias = dict[tuple[str, str], FloatArray]
Tangents: TypeAlias = Mapping[str, FloatArray]

# The elements of all nodes' tangents in one sweep.
TANGENT_ELEMENTS = 2**20


# --- the sweeps -----------------------------------------------------------------------------------------------------


def push_forward(
    graph: Graph, values: Figures, tangents: Tangents, of: Sequence[str], units: bool = False
) -> list[FloatArray]:
    """The derivative of each node `of` along each direction, of shape (count, *its shape).

    `tangents` holds the directions of some nodes, of shape (count, *their shape). Along
    `units` nothing but the elements that are not 0 moves.
    """
    last = max(graph.position[name] for name in of)
    pushed = _push_all(graph, list(values), tangents, last, np.multiply)
    found = [_tangents_of(pushed[graph.position[name]], tangents) for name in of]
    if not any(map(has_nan, found)):
        return found
    open_ = push_along_open_edges(graph, list(values), _started(graph, tangents, units), last)
    reached = (open_[graph.position[name]] for name in of)
    return [plain if moved is None else moved.tangent for plain, moved in zip(found, reached, strict=True)]


def pull_back(graph: Graph, values: Figures, of: str, seeds: FloatArray, wrt: Sequence[str]) -> list[FloatArray]:
    """For each of `seeds` the gradient of seed · of with respect to each of `wrt`.

    `seeds` has shape (count, *the shape of `of`), and a result (count, *the shape of the node in `wrt`). Nothing
    flows back from the elements of `of` at which a seed is 0.
    """
    arrays = list(values)

    def contributions(position: int, upstream: FloatArray) -> list[Any]:
        return _contributions_for_seeds(
            graph, position, upstream, [arrays[source] for source in graph.operands[position]], arrays[position]
        )

    with np.errstate(all="ignore"):
        gradients = sweep_back(graph, {graph.position[of]: seeds}, contributions)
    shapes = [(len(seeds), *values.shape(graph.position[name])) for name in wrt]
    found = [
        np.zeros(shape) + gradients.get(graph.position[name], 0.0) for name, shape in zip(wrt, shapes, strict=True)
    ]
    for row, seed in enumerate(seeds):
        if any(has_nan(each[row]) for each in found):
            edges = OpenEdges(graph, arrays, of, seed != 0.0)
            with np.errstate(all="ignore"):
                gradients = sweep_back(graph, {graph.position[of]: seed}, edges.contributions)
            for each, name in zip(found, wrt, strict=True):
                each[row] = gradients.get(graph.position[name], 0.0)
    return found


def push_gradients(
    graph: Graph, values: Figures, output: str, tangents: Tangents, of: Sequence[str], units: bool = False
) -> list[FloatArray]:
    """Hessian-vector products of the sum of the output's elements: one for each direction and node `of`.

    Each is the derivative along the direction of the gradient with respect to `of`, of shape (count, *its shape). Along
    `units` nothing but the elements that are not 0 moves.
    Raises InvalidRequest where an operation on the way has no second derivative.
    """
    graph = with_sums_of_squares(graph)
    target = graph.position[output]
    arrays = list(values)
    moved = _push_all(graph, arrays, tangents, target)

    def contributions(position: int, upstream: Any, edges: OpenEdges | None = None) -> Sequence[Any]:
        node, sources = graph.nodes[position], graph.operands[position]
        taken = [moved[source] for source in sources]
        if not node.operation.is_elementwise:
            if edges is None:
                return _propagate(node, upstream, taken, moved[position])
            reached, *part = reached_part(edges, position, upstream, taken, moved[position])
            return keep_reached(_propagate(node, *part), reached)
        local_gradients = node.operation.differentiate(taken, moved[position], node.attributes)
        return [
            sum_to(upstream * local, arrays[source]) for local, source in zip(local_gradients, sources, strict=True)
        ]

    with np.errstate(all="ignore"):
        gradients = sweep_back(graph, {target: np.ones(values.shape(target))}, contributions)
        if any(map(_has_nan, gradients.values())):
            if values.shapes is None and all(node.operation.is_elementwise for node in graph.nodes if node.inputs):
                return _push_one_by_one(graph, arrays, output, _started(graph, tangents, units), of)
            edges = OpenEdges(graph, arrays, output)
            gradients = sweep_back(
                graph,
                {target: np.ones(values.shape(target))},
                lambda position, upstream: contributions(position, upstream, edges),
            )
    found = [gradients.get(graph.position[name], np.zeros(values.shape(graph.position[name]))) for name in of]
    along = [_tangents_of(gradient, tangents) for gradient in found]
    if any(map(_has_nan, found)):
        # What is NaN has no derivative.
        first = list(backward_pass(graph, values, output))
        along = [
            np.where(np.isnan(np.asarray(first[graph.position[name]])), np.nan, each)
            for name, each in zip(of, along, strict=True)
        ]
    return along


def _push_one_by_one(
    graph: Graph, values: Sequence[Any], output: str, start: Mapping[int, Moved], of: Sequence[str]
) -> list[FloatArray]:
    """As `push_gradients`, of scalars, along the part of the directions that each node has by itself."""
    along = [np.zeros(len(each.tangent)) for each in list(start.values())[:1] for _ in of]
    for position, each in start.items():
        if each.moves.any():
            alone = {position: Moved(each.tangent[each.moves], each.moves[each.moves])}
            parts = push_scalar_gradients(graph, values, output, alone, [graph.position[name] for name in of])
            for row, part in zip(along, parts, strict=True):
                row[each.moves] += part
    return along


def _has_nan(figure: Any) -> bool:
    return has_nan(figure.primal) or has_nan(figure.tangent) if isinstance(figure, Dual) else has_nan(figure)


def _propagate(node: Node, upstream: Any, operands: Sequence[Any], value: Any) -> Sequence[Any]:
    try:
        return node.operation.propagate(upstream, operands, value, node.attributes)
    except (TypeError, AttributeError):  # the rule indexes elements, or calls a function that is not an operation
        wrong = f"no second derivative through {node.name!r}: the gradient of {node.operation.name} is not a formula"
        raise InvalidRequest([Fault(("kind",), wrong)]) from None


def _started(graph: Graph, tangents: Tangents, units: bool) -> dict[int, Moved]:
    """By position what moves at the nodes that the tangents start from: with `units`, the elements that are not 0."""
    return {
        graph.position[name]: Moved(tangent, tangent != 0.0 if units else np.ones(tangent.shape, dtype=bool))
        for name, tangent in tangents.items()
    }


def _push_all(
    graph: Graph, values: Sequence[Any], tangents: Tangents, last: int, multiply: Product = times
) -> list[Any]:
    """Push the tangents forward up to node `last`: each value as a dual, or an array where it does not vary."""
    moved = {graph.position[name]: tangent for name, tangent in tangents.items()}

    def visit(position: int, operands: list[Any]) -> Any:
        node, result = graph.nodes[position], values[position]
        if any(isinstance(operand, Dual) for operand in operands):
            result = push(node.operation, operands, node.attributes, values[position], multiply)
        if position in moved:
            so_far = result.tangent if isinstance(result, Dual) else 0.0
            result = Dual(values[position], moved[position] + so_far)
        return result

    with np.errstate(all="ignore"):
        return walk_forward(graph, visit, last + 1)


def _tangents_of(figure: Any, tangents: Tangents) -> FloatArray:
    if isinstance(figure, Dual):
        return figure.tangent
    return np.zeros((len(next(iter(tangents.values()))), *np.shape(figure)))


def _contributions_for_seeds(
    graph: Graph, position: int, upstream: FloatArray, operands: Sequence[Any], value: Any
) -> list[Any]:
    """The contributions to the gradients of a node's operands, for all seeds."""
    node, count = graph.nodes[position], len(upstream)
    if not node.operation.is_elementwise:
        rows = [contributions_at(graph, position, row, operands, value) for row in upstream]
        return [None if column[0] is None else np.stack(column) for column in zip(*rows, strict=True)]
    contributions = []
    for local, operand in zip(node.operation.differentiate(operands, value, node.attributes), operands, strict=True):
        shape = np.shape(operand)
        aligned = (count, *(1,) * (np.ndim(value) - len(shape)), *shape)
        contributions.append(sum_to_shape(upstream * local, aligned).reshape(count, *shape))
    return contributions


# --- whole matrices -------------------------------------------------------------------------------------------------


def jacobian(graph: Graph, values: Figures, of: Sequence[str], wrt: Sequence[str]) -> Blocks:
    """d of / d wrt for each pair, of shape (*shape of `of`, *shape of `wrt`), in the cheaper of the two modes."""
    if prefers_forward(graph, values, of, wrt):
        return _forward_blocks(graph, values, of, wrt, lambda tangents: push_forward(graph, values, tangents, of, True))
    blocks = {}
    for name in of:
        shape = values.shape(graph.position[name])
        rows = [pull_back(graph, values, name, seeds[name], wrt) for seeds in _unit_tangents(graph, values, [name])]
        for position, source in enumerate(wrt):
            block = np.concatenate([batch[position] for batch in rows]) if rows else np.zeros(0)
            blocks[name, source] = block.reshape((*shape, *values.shape(graph.position[source])))
    return blocks


def hessian(graph: Graph, values: Figures, output: str, wrt: Sequence[str]) -> Blocks:
    """The second derivatives of the sum of the output's elements for each pair of `wrt`.

    A block is the derivative, with respect to the second node, of the gradient with respect to the first: one
    Hessian-vector product for each element.
    """
    return _forward_blocks(
        graph, values, wrt, wrt, lambda tangents: push_gradients(graph, values, output, tangents, wrt, True)
    )


def prefers_forward(graph: Graph, values: Figures, of: Sequence[str], wrt: Sequence[str]) -> bool:
    """Whether forward mode needs fewer sweeps than reverse mode, which needs one for each element of `of`."""
    return forward_sweeps(graph, values, wrt) < _size(graph, values, of)


def forward_sweeps(graph: Graph, values: Figures, wrt: Sequence[str]) -> int:
    """How many sweeps forward mode needs.

    One for each element of `wrt`, and one for each element of a value whose operation is neither elementwise nor
    linear, since its Jacobian is known only by its vector-Jacobian products.
    """
    rows = sum(
        prod(values.shape(position))
        for position, node in enumerate(graph.nodes)
        if not node.operation.is_elementwise and not node.operation.linear
    )
    return rows + _size(graph, values, wrt)


def check_size(
    graph: Graph,
    values: Figures,
    of: Sequence[str],
    wrt: Sequence[str],
    sweeps: int,
    *,
    max_tensor: int | None = None,
    max_elements: int | None = None,
) -> None:
    """Raise LimitExceeded, before anything is allocated, for derivatives that are too large.

    That is where a block of those pairs would have more than `max_tensor` elements, or where the sweeps would compute
    more than `max_elements`.
    """
    if max_tensor is not None and of and wrt:
        name, source = (max(names, key=lambda each: _size(graph, values, [each])) for names in (of, wrt))
        size = _size(graph, values, [name]) * _size(graph, values, [source])
        if size > max_tensor:
            detail = f"a block has at most {max_tensor} elements; d{name}/d{source} would have {size}"
            raise LimitExceeded("tensor_elements", max_tensor, size, detail)
    elements = sweeps * int(values.offsets[-1])
    if max_elements is not None and elements > max_elements:
        detail = f"derivatives take at most {max_elements} elements of values; these would take {elements}"
        raise LimitExceeded("run_elements", max_elements, elements, detail)


def _forward_blocks(
    graph: Graph,
    values: Figures,
    of: Sequence[str],
    wrt: Sequence[str],
    sweep: Callable[[Tangents], list[FloatArray]],
) -> Blocks:
    """Sweep along every element of `wrt`, and cut the result into blocks."""
    batches = [sweep(tangents) for tangents in _unit_tangents(graph, values, wrt)]
    shapes = [values.shape(graph.position[name]) for name in wrt]
    ends = np.cumsum([prod(shape) for shape in shapes]).tolist()
    blocks = {}
    for position, name in enumerate(of):
        shape = values.shape(graph.position[name])
        rows = np.concatenate([batch[position] for batch in batches]) if batches else np.zeros((0, *shape))
        columns = np.moveaxis(rows, 0, -1)
        for source, last, end in zip(wrt, shapes, ends, strict=True):
            blocks[name, source] = columns[..., end - prod(last) : end].reshape(shape + last)
    return blocks


def _unit_tangents(graph: Graph, values: Figures, names: Sequence[str]) -> Iterator[Tangents]:
    """Unit directions for each element of these nodes, one after the other, in batches."""
    shapes: dict[str, Shape] = {name: values.shape(graph.position[name]) for name in names}
    starts = dict(zip(names, np.cumsum([0, *map(prod, shapes.values())])[:-1].tolist(), strict=True))
    count = _size(graph, values, names)
    size = max(1, TANGENT_ELEMENTS // max(1, int(values.offsets[-1])))
    for first in range(0, count, size):
        rows = np.arange(first, min(first + size, count))
        yield {
            name: (rows[:, None] - starts[name] == np.arange(prod(shape))).astype(float).reshape(len(rows), *shape)
            for name, shape in shapes.items()
        }


def _size(graph: Graph, values: Figures, names: Sequence[str]) -> int:
    return sum(prod(values.shape(graph.position[name])) for name in names)
