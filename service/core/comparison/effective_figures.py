"""The candidate's effective figures: what it gives, else each node's own replay from its effective figures."""

import numpy as np

from service.core.comparison.missing_figures import without_unknown
from service.core.comparison.replay import complete_gradients, complete_values
from service.core.errors import Fault, InvalidRequest
from service.core.execution.run import Backward, Run
from service.core.figures.figures import BoolArray, Figures, FloatArray, pack
from service.core.graph.graph import Graph
from service.core.graph.shapes import fit_shapes
from service.core.graph.traversal import sourceless


def effective_values(candidate: Run, baseline: Figures, max_elements: int | None) -> tuple[Graph, Figures]:
    """The candidate's effective values, and its graph without the edges to what depends on an unknown value."""
    graph, own, gradients = candidate.graph, candidate.values, candidate.gradients
    if own.present is None and own.shapes is None and (gradients is None or gradients.shapes is None):
        return graph, own
    assumed: dict[int, FloatArray] = {}
    known = given(own)
    for position in sourceless(graph)[~known[sourceless(graph)]].tolist():
        operation, figure = graph.nodes[position].operation, baseline[position]
        if operation.is_input and figure is not None:
            assumed[position] = figure
        known[position] = operation.is_constant or position in assumed
    cut = graph if known[sourceless(graph)].all() else without_unknown(graph, known)
    slopes = _shaped_gradients(candidate.graph, candidate.backward)
    # An unknown value has the shape of its gradient.
    assumed.update(
        {
            position: np.full(slopes[position].shape, np.nan)
            for position in map(int, sourceless(cut))
            if not known[position] and position in slopes
        }
    )
    known_shapes = {position: own.shape(position) for position in np.flatnonzero(given(own)).tolist()}
    known_shapes.update({position: figure.shape for position, figure in assumed.items()})
    shapes, wrong = fit_shapes(cut, known_shapes, max_elements)
    wrong += [
        (
            position,
            f"{graph.nodes[position].name!r} has shape {list(shapes[position])}; its gradient {list(slope.shape)}",
        )
        for position, slope in slopes.items()
        if position in shapes and shapes[position] != slope.shape
    ]
    if wrong:
        raise InvalidRequest([Fault(("candidate",), detail) for _, detail in wrong])
    return cut, complete_values(cut, own, assumed)


def _shaped_gradients(graph: Graph, backward: Backward | None) -> dict[int, FloatArray]:
    """The gradients that the candidate gives, by position; the output's is its seed unless that is a scalar."""
    if backward is None:
        return {}
    slopes = {position: slope for position, slope in enumerate(backward.gradients) if slope is not None}
    if backward.seed.ndim:
        slopes.setdefault(graph.position[backward.output], backward.seed)
    return slopes


def effective_gradients(graph: Graph, values: Figures, backward: Backward) -> Figures:
    """The candidate's effective gradients; a node that has none, such as a Constant, is not completed."""
    recorded = backward.gradients
    missing = np.flatnonzero(~given(recorded)).tolist()
    if not any(graph.nodes[position].has_gradient for position in missing):
        if all(values.shape(position) == () for position in missing):
            return Figures(recorded.flat, recorded.shapes)
        return pack([np.zeros(values.shape(at)) if figure is None else figure for at, figure in enumerate(recorded)])
    return complete_gradients(graph, values, recorded, backward.output, backward.seed)


def given(figures: Figures) -> BoolArray:
    """Which nodes have a figure; a new array."""
    return np.ones(len(figures), dtype=bool) if figures.present is None else figures.present.copy()
