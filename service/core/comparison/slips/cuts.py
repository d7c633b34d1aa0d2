"""A gradient that does not flow through a node far away: it was detached there."""

from itertools import combinations
from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.replay import sweep_gradients
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.comparison.spoken_names import quoted
from service.core.comparison.verdicts import Verdict
from service.core.graph.traversal import nodes_between

_MOST_NODES, _MOST_PAIRED, _MOST_ELEMENTS = 64, 8, 100_000


def _detached(evidence: Evidence) -> Guesses:
    graph, backward = evidence.graph, evidence.found.candidate.backward
    if backward is None or evidence.forward or not evidence.replayed or len(evidence.edges) == 0:
        return
    if len(graph) > 10 * _MOST_NODES or evidence.found.values.flat.size > _MOST_ELEMENTS:
        return
    between = nodes_between(graph, evidence.position, backward.output)[1:-1]
    if len(between) > _MOST_NODES:
        return
    values = list(evidence.found.values)
    seed = np.zeros(evidence.found.values.shape(graph.position[backward.output])) + backward.seed

    def without(*cut: int) -> Any:
        def settle(position: int, replayed: Any) -> Any:
            return None if position in cut else replayed

        sums = sweep_gradients(graph, values, backward.output, seed, settle)
        return np.zeros(evidence.expected.shape) + sums.get(evidence.position, 0.0)

    consumers = {
        position for position, _ in graph.consumers[evidence.position]
    }  # one of them is a contribution missing
    inner = [position for position in between if position not in consumers]
    cuts = [(position,) for position in inner]
    paired = [position for position in between if not graph.nodes[position].operation.is_elementwise]
    for cut in [*cuts, *(combinations(paired, 2) if len(paired) <= _MOST_PAIRED else ())]:
        gradient = without(*cut)
        if any(np.allclose(gradient, evidence.replaced(edge, 0.0), rtol=1e-9, atol=0.0) for edge in evidence.edges):
            continue  # a contribution missing says the same, and where
        names = " and ".join(quoted(graph, position) for position in cut)
        yield gradient, f"No gradient flows through {names}: it was detached, taken as a constant."


def _counted_twice(evidence: Evidence) -> Guesses:
    if not evidence.forward and not _another_is_right(evidence):
        yield (
            2.0 * evidence.expected,
            "It is counted twice: the gradients of two backward passes were added, without setting them to 0 between.",
        )


def _alone_counted_twice(evidence: Evidence) -> Guesses:
    """Two backward passes double every input's gradient: where another is right, this one alone was kept."""
    if not evidence.forward and _another_is_right(evidence):
        yield (
            2.0 * evidence.expected,
            "It is counted twice, and it alone: before a second backward pass it was not set to 0, as others were.",
        )


def _another_is_right(evidence: Evidence) -> bool:
    """Whether the run has another input's gradient right, and it is not 0."""
    phase, positions = evidence.phase, (evidence.graph.position[name] for name in evidence.graph.inputs)
    right = (each for each in positions if each != evidence.position and phase.verdicts[each] == Verdict.SAME)
    return any(bool(np.any(phase.baseline[each])) for each in right)


TWICE: Slip = ("counted twice", _counted_twice)
ALONE_TWICE: Slip = ("counted twice", _alone_counted_twice)
FAR_SLIPS: tuple[Slip, ...] = (("detached", _detached),)
