"""The points of a chunk, computed block by block.

Where each node is elementwise, a block's points are computed together, in one pass forward and one back; else one after
the other. A point's figures do not depend, to the bit, on the points beside it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.execution.batches import is_elementwise_node
from service.core.execution.passes import Fitted, backward_pass, evaluate, fit_again, fit_inputs
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.rulebook.input_types import read_input
from service.core.sweeps.sweep import Sweep

# As many numbers, values and gradients of all nodes, as fit in a common third-level cache, unless that were so few
# points that the calls of NumPy would outweigh the arithmetic; and never so many that they fill the memory.
_CACHED, _WORTH_A_CALL, _MOST = 2**20, 4096, 2**25


class Stopped(Exception):
    """The chunk was given up, since its job was stopped."""


def never() -> bool:
    """For work that nobody stops."""
    return False


def compute_chunk(graphs: Sequence[Graph], sweep: Sweep, number: int, stop: Callable[[], bool] = never) -> bytes:
    """The columns of a chunk's points, in little-endian float64, one column after the other.

    Raises Stopped soon after `stop` returns true, which is asked before each block; InvalidInputs where an operation
    refuses its operands.
    """
    points = sweep.numbers(number)
    graph = graphs[0].with_convention(sweep.convention)
    figures = np.empty((len(sweep.columns), len(points)), dtype="<f8")
    size = _points_at_once(graph)
    for begin in range(0, len(points), size):
        if stop():
            raise Stopped
        block = points[begin : begin + size]
        for row, column in zip(figures, _columns(graph, sweep, block), strict=True):
            row[begin : begin + len(block)] = column
    return figures.tobytes()


def read_chunk(sweep: Sweep, data: bytes) -> Mapping[str, FloatArray]:
    """The columns of a chunk by name, each a vector of float64 with one figure for each point; they are read-only."""
    figures = np.frombuffer(data, "<f8").reshape(len(sweep.columns), -1)
    return dict(zip(sweep.columns, figures, strict=True))


def _columns(graph: Graph, sweep: Sweep, block: range) -> Iterator[FloatArray]:
    inputs = sweep.at(np.arange(block.start, block.stop))
    compute = _together if inputs.keys() >= set(graph.inputs) and _is_pointwise(graph) else _one_by_one
    return compute(graph, sweep, inputs)


def _together(graph: Graph, sweep: Sweep, inputs: Mapping[str, FloatArray]) -> Iterator[Any]:
    """All points in one pass forward and one back."""
    read = {
        name: read_input(name, {**graph.nodes[graph.position[name]].attributes, "shape": None}, inputs[name])
        for name in graph.inputs
    }
    values = evaluate(Fitted(graph, read, ((),) * len(graph)))
    for name in sweep.outputs:
        yield values[graph.position[name]]
    if sweep.output is not None:
        gradients = backward_pass(graph, values, sweep.output)
        for name in sweep.wrt:
            yield gradients[graph.position[name]]


def _one_by_one(graph: Graph, sweep: Sweep, inputs: Mapping[str, FloatArray]) -> Iterator[Any]:
    fixed = {name: each for name, each in sweep.inputs.items() if isinstance(each, np.ndarray) and each.ndim}
    count = len(next(iter(inputs.values()), [0.0]))
    rows = np.empty((count, len(sweep.columns)))
    fitted = None
    for row in range(count):
        point = {**fixed, **{name: column[row, ...] for name, column in inputs.items()}}
        fitted = fit_again(fitted, point) if fitted else fit_inputs(graph, point)
        values = evaluate(fitted)
        found = [values[graph.position[name]] for name in sweep.outputs]
        if sweep.output is not None:
            gradients = backward_pass(graph, values, sweep.output)
            found += [gradients[graph.position[name]] for name in sweep.wrt]
        rows[row] = found
    return iter(rows.T)


@memoize_on_argument
def _is_pointwise(graph: Graph) -> bool:
    """Whether the figures of each point follow from that point's alone when all are computed together."""
    return all(map(is_elementwise_node, graph.nodes))


def _points_at_once(graph: Graph) -> int:
    each = 2 * len(graph)
    return max(1, min(max(_WORTH_A_CALL, _CACHED // each), _MOST // each))
