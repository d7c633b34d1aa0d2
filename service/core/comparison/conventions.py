"""Origins among gradients that follow other libraries' choices where no derivative exists, or where a figure is NaN."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from service.core.comparison.agreement import all_elements, following
from service.core.comparison.effective_figures import effective_gradients, given
from service.core.comparison.replay import Replay, replay_gradients
from service.core.comparison.rounding import Weights
from service.core.comparison.verdicts import Phase, Verdict
from service.core.execution.closed_edges import has_nan
from service.core.execution.passes import nondifferentiable_nodes
from service.core.execution.run import Backward
from service.core.figures.figures import Figures, FloatArray, IntArray
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS


def follow_conventions(
    graph: Graph,
    values: Figures,
    candidate: Backward,
    found: Phase,
    weights: Weights,
    unrecorded: Callable[[Graph, Replay], FloatArray | None],
) -> dict[int, tuple[str, ...]]:
    """The origins that agree with other libraries' choices at a kink, with those libraries; sets their verdicts.

    `unrecorded` says how far rounding of figures that are not recorded may move each replay, if it may.
    """
    origins = np.setdiff1d(found.positions(Verdict.ORIGIN), [*found.unreplayed, *found.misshapen])
    origins = _at_kinks(graph, values, found, origins)
    explained: dict[int, tuple[str, ...]] = {}
    if not origins.size:
        return explained
    for rival in _rivals(graph):
        gradients = effective_gradients(rival, values, candidate)
        replay = replay_gradients(rival, values, gradients, candidate.output, candidate.seed, weights)
        agrees = following(gradients, replay, found.atol, origins, partial(unrecorded, rival, replay))
        follows = all_elements(agrees, gradients)
        for position in map(int, origins):
            if not follows[position]:
                span = agrees[gradients.offsets[position] : gradients.offsets[position + 1]]
                found.excused[position] = span | found.excused.get(position, False)
                continue
            explained[position] = tuple(dict.fromkeys((*explained.get(position, ()), rival.convention)))
    found.verdicts[list(explained)] = Verdict.CONVENTION
    return explained


def _rivals(graph: Graph) -> Iterator[Graph]:
    """The graph with the derivatives of each other convention, and with those of libraries' second functions."""
    kinks = [operation.kinks for operation in {node.operation for node in graph.nodes} if operation.kinks]
    for convention in CONVENTIONS:
        rival = graph.with_convention(convention)
        if rival is not graph:
            yield rival
        if any(convention in each.alternatives for each in kinks):
            yield graph.with_convention(convention, True)


def _at_kinks(graph: Graph, values: Figures, found: Phase, origins: IntArray) -> IntArray:
    """The origins for which some library may choose another gradient: beside a kink, or NaN.

    A replay differs there alone, unless it rests on gradients that are replayed themselves.
    """
    if not origins.size:
        return origins
    kinks = {*nondifferentiable_nodes(graph, values), *_choices_at_nan(graph, values)}
    whole = all(
        recorded or not node.has_gradient
        for node, recorded in zip(graph.nodes, given(found.candidate).tolist(), strict=True)
    )
    if not whole:
        return origins if kinks or has_nan(found.candidate.flat) else origins[:0]
    beside = [
        has_nan(found.candidate[origin])
        or has_nan(found.expected[origin])
        or not kinks.isdisjoint(consumer for consumer, _ in graph.consumers[origin])
        for origin in map(int, origins)
    ]
    some: IntArray = origins[np.array(beside)]
    return some


def _choices_at_nan(graph: Graph, values: Figures) -> list[int]:
    """The positions of the nodes whose value has a NaN and to which some library propagates otherwise."""
    if not has_nan(values.flat):
        return []
    return [
        position
        for position, node in enumerate(graph.nodes)
        if node.operation.conventions and has_nan(values[position])
    ]
