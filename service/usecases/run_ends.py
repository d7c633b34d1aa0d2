"""The ends of a run, which a list shows: the figures of its graph's inputs and outputs."""

from collections.abc import Mapping

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.figures import Figures, FloatArray, IntArray, element_count, pack
from service.core.graph.graph import Graph
from service.storage.records import RunEnds

# A larger tensor is null in a list; it stands whole at /v1/runs/{id}/nodes/{name}.
LARGEST_LISTED = 10_000


def ends_in(
    graph: Graph, values: Figures, gradients: Figures | None, tensors: Mapping[int, str], largest: int | None
) -> RunEnds:
    """The ends of a run of these figures, without those of more than `largest` elements; `tensors` has by position the
    digests of the values that are tensors."""
    positions, count = _end_positions(graph), len(graph.inputs)
    kinds = [(values, positions), *([] if gradients is None else [(gradients, positions[:count])])]
    named: dict[int, str] = {}
    if tensors:
        named = {number: tensors[position] for number, position in enumerate(positions[:count]) if position in tensors}
    elif all(figures.shapes is None and figures.present is None for figures, _ in kinds):
        flat = np.concatenate([figures.flat[at] for figures, at in kinds])
        return RunEnds(graph.inputs, graph.outputs, Figures(flat), named)
    shown = [if_small(figures[position], largest) for figures, at in kinds for position in at]
    for number in named:
        shown[number] = None
    return RunEnds(graph.inputs, graph.outputs, pack(shown), named)


def if_small(figure: FloatArray | None, largest: int | None = LARGEST_LISTED) -> FloatArray | None:
    """The figure, or None if it is too large for a list."""
    return figure if figure is None or largest is None or element_count(figure.shape) <= largest else None


@memoize_on_argument
def _end_positions(graph: Graph) -> IntArray:
    """The positions of the graph's inputs, then of its outputs."""
    return np.array([graph.position[name] for name in (*graph.inputs, *graph.outputs)], np.int64)
