"""Both passes over a batch: an elementwise graph at many points, evaluated in blocks that fit in the cache.

An input holds either one number for all points or one for each. All nodes are evaluated on one block of points before
the next block, so that a node's figures are read while they are in the cache; each is written once, where it stays.
The loops here are their own, forward and backward, and do not call `graph/sweep.py`, for speed: a block's figures are
written in place and summed without a call for each node and edge.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.buffers import empty_vector
from service.core.figures.figures import BoolArray, Figures, FloatArray, Shape, frozen
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import walk_forward

# The numbers in one block, values and gradients of all nodes: 8 MB fit in a common third-level cache. A block has at
# least so many points that the microsecond of overhead of each call of NumPy is small beside the arithmetic.
_BLOCK_NUMBERS = 1024 * 1024
_MIN_BLOCK_POINTS = 4096


def shape_of_batch(graph: Graph, inputs: Mapping[str, FloatArray]) -> Shape | None:
    """The one shape of all inputs that are not scalars; None where this is no batch."""
    return _one_shape({array.shape for array in inputs.values()}) if _is_elementwise(graph) else None


def is_batch(graph: Graph, values: Figures) -> bool:
    """Whether `values` are those of a batch."""
    return values.present is None and _is_elementwise(graph) and _one_shape(set(values.shapes or ())) is not None


def evaluate_batch(graph: Graph, inputs: Mapping[str, FloatArray], shape: Shape) -> Figures:
    """The value of every node; `shape` is the batch's."""
    wide = _wide_nodes(graph, tuple(name for name, figure in inputs.items() if figure.ndim))
    count = prod(shape)
    starts, total = _starts(wide, count)
    flat = empty_vector(total)
    given: dict[int, FloatArray] = {}
    with np.errstate(all="ignore"):
        for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            if node.operation.is_input:
                given[position] = inputs[node.name].reshape(-1)
            if not wide[position]:
                operands = [flat[starts[source]] for source in sources]
                flat[starts[position]] = (
                    given[position][0] if position in given else node.operation.evaluate(operands, node.attributes)
                )
        steps = [step for step in zip(graph.nodes, graph.operands, range(len(graph)), strict=True) if wide[step[-1]]]
        for block in _blocks(graph, count):
            figures = _parts(flat, starts, wide, block)
            for node, sources, position in steps:
                if not sources:
                    figures[position][:] = given[position][block]
                    continue
                operands = [figures[source] for source in sources]
                if isinstance(node.operation.forward, np.ufunc):
                    node.operation.forward(*operands, out=figures[position])
                else:
                    figures[position][:] = node.operation.evaluate(operands, node.attributes)
    return frozen(flat, tuple([shape if each else () for each in wide]))


def differentiate_batch(graph: Graph, values: Figures, target: int, seed: FloatArray) -> tuple[Figures, bool]:
    """The gradient of every node, from the node at position `target`, whose shape `seed` has; and whether one is NaN.

    The gradient of a node that has one number for all points is the sum over the points, complete in the last block. A
    NaN at any point reaches an Input, or a scalar that rests on Constants: fewer to look through than all nodes.
    """
    assert values.shapes is not None
    wide = [bool(shape) for shape in values.shapes]
    has_gradient = _has_gradient(graph)
    count = max(map(prod, values.shapes))
    starts, total = _starts(wide, count)
    flat = empty_vector(total)
    flow = seed.reshape(-1)
    inputs = [
        position
        for position, node in enumerate(graph.nodes)
        if node.operation.is_input and wide[position] and has_gradient[position]
    ]
    lost = False
    sums: list[Any] = [-0.0] * len(graph)  # to which any zero may be added: −0 − 0 is −0, and 0 − 0 is not
    sums[target] = flow[0]
    with np.errstate(all="ignore"):
        for block in _blocks(graph, count):
            known = _parts(values.flat, starts, wide, block)
            gradients = _parts(flat, starts, wide, block)
            seen = bytearray(len(graph))
            seen[target] = 1
            if wide[target]:
                gradients[target][:] = flow[block]
            for position in range(target, -1, -1):
                sources = graph.operands[position]
                if not (sources and seen[position] and (wide[position] or block.stop == count)):
                    continue
                node = graph.nodes[position]
                upstream = gradients[position] if wide[position] else sums[position]
                operands = [known[source] for source in sources]
                local_gradients = node.operation.differentiate(operands, known[position], node.attributes)
                for source, local in zip(sources, local_gradients, strict=True):
                    if not wide[source]:
                        contribution = _product(upstream, local)
                        sums[source] += np.add.reduce(contribution) if wide[position] else contribution
                    elif seen[source]:
                        gradients[source] += _product(upstream, local)
                    else:
                        _set_product(gradients[source], upstream, local)
                    seen[source] = 1
            lost = lost or any(seen[each] and np.isnan(np.minimum.reduce(gradients[each])) for each in inputs)
    for position, start in enumerate(starts):
        if not wide[position]:
            flat[start] = sums[position] if seen[position] and has_gradient[position] else 0.0
            lost = lost or bool(np.isnan(flat[start]))
        elif not (seen[position] and has_gradient[position]):
            flat[start : start + count] = 0.0
    return frozen(flat, values.shapes, None if has_gradient.all() else has_gradient), lost


def _one_shape(shapes: set[Shape]) -> Shape | None:
    """The one of these shapes that is not a scalar's; None if there are several, or none, or it has no element."""
    wide = shapes - {()}
    return max(wide) if len(wide) == 1 and all(map(prod, wide)) else None


@memoize_on_argument
def _is_elementwise(graph: Graph) -> bool:
    """Whether each node computes one float64 from one of each operand."""
    return not graph.float32_nodes and all(map(_is_elementwise_node, graph.nodes))


def _is_elementwise_node(node: Node) -> bool:
    if node.operation.is_constant:
        return np.ndim(node.attributes["value"]) == 0
    return node.operation.is_input or node.operation.is_elementwise


@memoize_on_argument
def _has_gradient(graph: Graph) -> BoolArray:
    return np.array([node.has_gradient for node in graph.nodes])


@memoize_on_argument
def _wide_nodes(graph: Graph, names: Sequence[str]) -> Sequence[bool]:
    """For each node, whether it has a number for each point, given the names of the inputs that do."""
    given = {graph.position[name] for name in names}
    return walk_forward(graph, lambda position, operands: position in given or any(operands))


def _starts(wide: Sequence[bool], count: int) -> tuple[list[int], int]:
    """Where each node's figures start in a vector of those of all nodes, and the length of that vector."""
    *starts, total = accumulate([count if each else 1 for each in wide], initial=0)
    return starts, total


def _blocks(graph: Graph, count: int) -> Iterator[slice]:
    size = max(_MIN_BLOCK_POINTS, _BLOCK_NUMBERS // (2 * len(graph)))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _parts(flat: FloatArray, starts: Sequence[int], wide: Sequence[bool], block: slice) -> list[Any]:
    """The figures of each node at one block of points: a view, or the one number for all points."""
    return [
        flat[start + block.start : start + block.stop] if each else flat[start]
        for start, each in zip(starts, wide, strict=True)
    ]


def _product(upstream: Any, local: Any) -> Any:
    """upstream · local; `upstream` itself where local is exactly 1."""
    return upstream if isinstance(local, float) and local == 1.0 else upstream * local


def _set_product(part: FloatArray, upstream: FloatArray, local: Any) -> None:
    if isinstance(local, float) and local == 1.0:
        part[:] = upstream
    else:
        np.multiply(upstream, local, out=part)
