"""Both passes over a batch: an elementwise graph at many points, evaluated in blocks that fit in the cache.

An input holds either one number for all points or one for each. All nodes are evaluated on one block of points before
the next block, so that a node's figures are read while they are in the cache; each is written once, where it stays.
The loops here are their own, forward and backward, and do not call `graph/sweep.py`, for speed: a block's figures are
written in place and summed without a call for each node and edge.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from service.core.figures.buffers import empty_vector
from service.core.figures.figures import Figures, FloatArray, Shape, frozen
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import walk_forward

# The numbers in one block, values and gradients of all nodes: 8 MB fit in a common third-level cache. A block has at
# least so many points that the microsecond of overhead of each call of NumPy is small beside the arithmetic.
_BLOCK_NUMBERS = 1024 * 1024
_MIN_BLOCK_POINTS = 4096


def shape_of_batch(graph: Graph, inputs: Mapping[str, FloatArray]) -> Shape | None:
    """The one shape of all inputs that are not scalars; None where this is no batch of more than one block."""
    shapes = {array.shape for array in inputs.values()} - {()}
    if len(shapes) != 1 or prod(shape := shapes.pop()) <= _block_points(graph) or graph.float32_nodes:
        return None
    return shape if all(_is_elementwise(node) for node in graph.nodes) else None


def _is_elementwise(node: Node) -> bool:
    if node.operation.is_constant:
        return np.ndim(node.attributes["value"]) == 0
    return node.operation.is_input or node.operation.is_elementwise


def _block_points(graph: Graph) -> int:
    return max(_MIN_BLOCK_POINTS, _BLOCK_NUMBERS // (2 * len(graph)))


def evaluate_batch(graph: Graph, inputs: Mapping[str, FloatArray], shape: Shape) -> Figures:
    """The value of every node; `shape` is the batch's."""
    wide = _wide_nodes(graph, inputs)
    flat, rows, shapes = _rows(wide, shape)
    given: list[FloatArray | None] = [None] * len(graph)
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if wide[position]:
            given[position] = None if sources else inputs[node.name].reshape(-1)
        elif node.operation.is_input:
            rows[position][0] = inputs[node.name]
        else:
            with np.errstate(all="ignore"):
                rows[position][0] = node.operation.evaluate([rows[source][0] for source in sources], node.attributes)
    steps = [step for step in zip(graph.nodes, graph.operands, given, rows, wide, strict=True) if step[-1]]
    with np.errstate(all="ignore"):
        for block in _blocks(graph, prod(shape)):
            for node, sources, figures, row, _ in steps:
                if figures is not None:
                    row[block] = figures[block]
                    continue
                operands = [rows[source][block] if wide[source] else rows[source][0] for source in sources]
                if isinstance(node.operation.forward, np.ufunc):
                    node.operation.forward(*operands, out=row[block])
                else:
                    row[block] = node.operation.evaluate(operands, node.attributes)
    return frozen(flat, shapes)


def is_batch(graph: Graph, values: Figures) -> bool:
    """Whether `values` are those of a batch."""
    shapes = set(values.shapes or ()) - {()}
    return (
        len(shapes) == 1
        and prod(*shapes) > _block_points(graph)
        and values.present is None
        and not graph.float32_nodes
        and all(map(_is_elementwise, graph.nodes))
    )


def differentiate_batch(graph: Graph, values: Figures, target: int, seed: FloatArray) -> tuple[Figures, bool]:
    """The gradient of every node, from the node at position `target`, whose shape `seed` has; and whether one is NaN.

    The gradient of a node that has one number for all points is the sum over the points. A NaN at any point reaches an
    Input, or a scalar that rests on Constants: fewer to look through than all nodes.
    """
    assert values.shapes is not None
    wide = [bool(shape) for shape in values.shapes]
    shape = next(shape for shape in values.shapes if shape)
    count = prod(shape)
    known = [values.flat[values.offsets[position] : values.offsets[position + 1]] for position in range(len(graph))]
    flat, rows, shapes = _rows(wide, shape)
    seen = bytearray(len(graph))
    flow = seed.reshape(-1)
    inputs = [each for each, node in enumerate(graph.nodes) if node.operation.is_input and node.has_gradient]
    lost = False
    sums = np.full(len(graph), -0.0)  # to which any zero may be added: −0 − 0 is −0, and 0 − 0 is not
    with np.errstate(all="ignore"):
        for block in _blocks(graph, count) if wide[target] else ():
            seen = bytearray(len(graph))
            seen[target] = 1
            rows[target][block] = flow[block]
            for position in range(target, -1, -1):
                node, sources = graph.nodes[position], graph.operands[position]
                if not (sources and wide[position] and seen[position]):
                    continue
                upstream = rows[position][block]
                operands = [known[source][block] if wide[source] else known[source][0] for source in sources]
                local_gradients = node.operation.differentiate(operands, known[position][block], node.attributes)
                for source, local in zip(sources, local_gradients, strict=True):
                    if not wide[source]:
                        sums[source] += np.sum(_product(upstream, local))
                    elif seen[source]:
                        rows[source][block] += _product(upstream, local)
                    else:
                        _set_product(rows[source][block], upstream, local)
                    seen[source] = 1
            lost = lost or any(wide[each] and seen[each] and np.isnan(rows[each][block].min()) for each in inputs)
        if not wide[target]:
            seen[target], sums[target] = 1, flow[0]
        for position in range(target, -1, -1):
            node, sources = graph.nodes[position], graph.operands[position]
            if sources and seen[position] and not wide[position]:
                operands = [known[source][0] for source in sources]
                local_gradients = node.operation.differentiate(operands, known[position][0], node.attributes)
                for source, local in zip(sources, local_gradients, strict=True):
                    sums[source] += sums[position] * local
                    seen[source] = 1
    for position, node in enumerate(graph.nodes):
        if not wide[position]:
            rows[position][0] = sums[position] if seen[position] and node.has_gradient else 0.0
            lost = lost or bool(np.isnan(rows[position][0]))
        elif not (seen[position] and node.has_gradient):
            rows[position][:] = 0.0
    present = np.array([node.has_gradient for node in graph.nodes])
    return frozen(flat, shapes, None if present.all() else present), lost


def _product(upstream: FloatArray, local: Any) -> Any:
    """upstream · local; `upstream` itself where local is exactly 1."""
    return upstream if isinstance(local, float) and local == 1.0 else upstream * local


def _set_product(row: FloatArray, upstream: FloatArray, local: Any) -> None:
    if isinstance(local, float) and local == 1.0:
        row[:] = upstream
    else:
        np.multiply(upstream, local, out=row)


def _wide_nodes(graph: Graph, inputs: Mapping[str, FloatArray]) -> list[bool]:
    """For each node, whether it has a number for each point."""
    given = {graph.position[name] for name, figure in inputs.items() if figure.ndim}
    return walk_forward(graph, lambda position, operands: position in given or any(operands))


def _rows(wide: list[bool], shape: Shape) -> tuple[FloatArray, list[FloatArray], tuple[Shape, ...]]:
    """An empty vector for the figures of all nodes, the part of each node in it, and the shape of each node."""
    lengths = [prod(shape) if each else 1 for each in wide]
    flat = empty_vector(sum(lengths))
    ends = np.cumsum(lengths)
    rows = [flat[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    return flat, rows, tuple(shape if each else () for each in wide)


def _blocks(graph: Graph, count: int) -> Iterator[slice]:
    size = _block_points(graph)
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
