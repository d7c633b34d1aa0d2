"""What several origins have in common: one mistake that explains them all is one finding.

Candidates for a cause are a hypothesis that several origins share, word for word, and a gradient that the run does not
give: ∂F/∂o is linear in ∂F/∂u, base + slope · ∂F/∂u, so that the one number that the first origin asks of ∂F/∂u can be
held against the others. The cause that explains the most origins is taken first, then the next among what is left.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.comparison.evidence import gather, write_subject
from service.core.comparison.hypotheses import explain_evidence
from service.core.comparison.listing import ExplainedFigure, explained_origins
from service.core.comparison.replay import sweep_gradients
from service.core.comparison.sentences import full_statement
from service.core.comparison.verdicts import Comparison, Phase
from service.core.figures.figures import Figures, FloatArray
from service.core.figures.text import listed
from service.core.graph.traversal import reaches

# Origins and unclaimed gradients that are looked at, and the size of a graph in which the latter are sought.
_MOST_ORIGINS, _MOST_UNCLAIMED, _MOST_NODES = 100, 64, 2000
# True of several origins without being one mistake.
_NO_CAUSES = ("recorded wrong but used right", "definition", "one part wrong")


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding in a sentence, and the origins that it explains: phase and position, in the order of evaluation."""

    sentence: str
    explains: tuple[tuple[Phase, int], ...]


@memoize_on_argument
def find_causes(found: Comparison) -> tuple[Cause, ...]:
    """Part the first origins among causes: each is explained by one, an origin that shares none by its own sentence."""
    origins = explained_origins(found)[:_MOST_ORIGINS]
    shared = {**_unclaimed_gradients(found, origins), **_shared_hypotheses(found, origins)}
    left, causes = set(range(len(origins))), []
    while shared:
        because = max(shared, key=lambda text: len(shared[text] & left))
        explained = sorted(shared.pop(because) & left)
        if len(explained) < 2:
            break
        left -= set(explained)
        said = [origins[number] for number in explained]
        subjects = [write_subject(found.candidate, each.phase is found.forward, each.position) for each in said]
        causes.append(
            (
                explained[0],
                Cause(f"{listed(subjects)}: {because}", tuple(map(_place, map(origins.__getitem__, explained)))),
            )
        )
    causes += [(number, Cause(origins[number].sentence, (_place(origins[number]),))) for number in left]
    return tuple(cause for _, cause in sorted(causes, key=lambda each: each[0]))


def _place(origin: ExplainedFigure) -> tuple[Phase, int]:
    return origin.phase, origin.position


def _shared_hypotheses(found: Comparison, origins: Sequence[ExplainedFigure]) -> dict[str, set[int]]:
    shared: dict[str, set[int]] = defaultdict(set)
    for number, origin in enumerate(origins):
        for hypothesis in origin.hypotheses:
            if hypothesis.name not in _NO_CAUSES:
                shared[hypothesis.because].add(number)
    return shared


def _unclaimed_gradients(found: Comparison, origins: Sequence[ExplainedFigure]) -> dict[str, set[int]]:
    """Each gradient that the run does not give and that explains several origins, in a sentence."""
    phase, backward, graph = found.backward, found.candidate.backward, found.candidate.graph
    if phase is None or backward is None or backward.gradients.present is None or len(graph) > _MOST_NODES:
        return {}
    numbers = {origin.position: number for number, origin in enumerate(origins) if origin.phase is phase}
    left_out = {*phase.unreplayed, *phase.misshapen}
    numbers = {place: number for place, number in numbers.items() if place not in left_out}
    absent = np.flatnonzero(~backward.gradients.present & reaches(graph, backward.output)).tolist()
    unclaimed = [each for each in absent if graph.nodes[each].has_gradient and not phase.expected.shape(each)]
    if len(numbers) < 2 or len(unclaimed) > _MOST_UNCLAIMED:
        return {}
    explained = {}
    for place in reversed(unclaimed):
        if place == graph.position[backward.output]:
            continue  # its gradient is the seed
        base, slope = (_with_gradient(found, place, np.float64(number)) for number in (0.0, 1.0))
        needed = _needed(phase, numbers, base, slope)
        if len(needed[1]) > 1:
            explained[_sentence(found, phase, place, needed[0])] = {numbers[each] for each in needed[1]}
    return explained


def _with_gradient(found: Comparison, place: int, gradient: np.float64) -> Mapping[int, Any]:
    """The gradients as they follow from the run's own and this one."""
    backward, values = found.candidate.backward, found.values
    assert backward is not None

    def settle(position: int, replayed: Any) -> Any:
        given = gradient if position == place else backward.gradients[position]
        return replayed if given is None else given

    seed = np.zeros(values.shape(found.candidate.graph.position[backward.output])) + backward.seed
    return sweep_gradients(found.candidate.graph, list(values), backward.output, seed, settle)


def _needed(
    phase: Phase, numbers: Mapping[int, int], base: Mapping[int, Any], slope: Mapping[int, Any]
) -> tuple[float, list[int]]:
    """The number for a gradient that explains the most origins, and their positions."""
    best: tuple[float, list[int]] = (0.0, [])
    with np.errstate(all="ignore"):
        for first in numbers:
            figure, rise = _figure(phase.candidate, first), np.asarray(slope.get(first, 0.0)) - base.get(first, 0.0)
            if not np.any(rise):
                continue
            steepest = np.unravel_index(int(np.argmax(np.abs(rise))), np.shape(rise))
            needed = float(((figure - base.get(first, 0.0)) / rise)[steepest])
            fits = []
            for place in numbers:
                moved = np.asarray(slope.get(place, 0.0)) - base.get(place, 0.0)
                right, wanted = base.get(place, 0.0) + needed * moved, _figure(phase.candidate, place)
                if np.any(moved) and (np.abs(right - wanted) <= phase.atol + 1e-8 * np.abs(wanted)).all():
                    fits.append(place)
            if len(fits) > len(best[1]):
                best = needed, fits
    return best


def _sentence(found: Comparison, phase: Phase, place: int, gradient: float) -> str:
    evidence = gather(found, phase, place, found.candidate, np.asarray(gradient))
    hypotheses = explain_evidence(evidence)
    said = f"a figure that is not given explains them. {full_statement(evidence)}"
    return f"{said} {hypotheses[0].because}" if hypotheses else said


def _figure(figures: Figures, position: int) -> FloatArray:
    figure = figures[position]
    assert figure is not None
    return figure
