"""What several origins have in common: one mistake that explains them all is one finding.

Candidates for a cause are a hypothesis that several origins share, word for word, a definition that differs, which
shows in a value and in the gradients behind it, and a gradient that the run does not give: ∂F/∂o is linear in ∂F/∂u,
base + slope · ∂F/∂u, so that the one number that the first origin asks of ∂F/∂u can be held against the others. The
cause that explains the most origins is taken first, then the next among what is left.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.comparison.differing_definitions import cut_of, defined_differently
from service.core.comparison.evidence import gather, write_subject
from service.core.comparison.hypotheses import UNCLAIMED, explain_evidence
from service.core.comparison.listing import ExplainedFigure, explained_origins
from service.core.comparison.sentences import full_statement
from service.core.comparison.slips.table import DOUBTFUL
from service.core.comparison.unclaimed import Dependence, dependence, needed_value, unrecorded, with_value
from service.core.comparison.verdicts import Comparison, Phase
from service.core.figures.figures import Figures, FloatArray
from service.core.figures.text import listed
from service.core.graph.traversal import reaches
from service.core.symbolic.phrases import Sentence

# Origins and unclaimed gradients that are looked at, and the size of a graph in which the latter are sought.
_MOST_ORIGINS, _MOST_UNCLAIMED, _MOST_NODES = 100, 64, 2000
# True of several origins without being one mistake.
_NO_CAUSES = ("recorded wrong but used right", "one part wrong")


@dataclass(frozen=True, slots=True)
class Cause:
    """A finding in a sentence, and the origins that it explains: phase and position, in the order of evaluation."""

    sentence: Sentence
    explains: tuple[tuple[Phase, int], ...]


@memoize_on_argument
def find_causes(found: Comparison) -> tuple[Cause, ...]:
    """Part the first origins among causes: each is explained by one, an origin that shares none by its own sentence."""
    origins = explained_origins(found)[:_MOST_ORIGINS]
    unclaimed = {**_unclaimed_values(found, origins), **_unclaimed_gradients(found, origins)}
    hypotheses = _shared_hypotheses(found, origins)
    shared = {because: unclaimed.get(because, set()) | hypotheses[because] for because in (*unclaimed, *hypotheses)}
    left, causes = set(range(len(origins))), []
    while shared:
        because = max(shared, key=lambda text: len(shared[text] & left))
        explained = sorted(shared.pop(because) & left)
        if len(explained) < 2:
            break
        left -= set(explained)
        said = [origins[number] for number in explained]
        subjects = [write_subject(found.candidate, each.phase is found.forward, each.position) for each in said]
        places = tuple(_place(origin) for origin in said)
        causes.append((explained[0], Cause(Sentence(f"{listed(subjects)}: {because}"), places)))
    causes += [(number, Cause(origins[number].sentence, (_place(origins[number]),))) for number in left]
    return tuple(cause for _, cause in sorted(causes, key=lambda each: each[0]))


def _place(origin: ExplainedFigure) -> tuple[Phase, int]:
    return origin.phase, origin.position


def _shared_hypotheses(found: Comparison, origins: Sequence[ExplainedFigure]) -> defaultdict[str, set[int]]:
    shared: defaultdict[str, set[int]] = defaultdict(set)
    for number, origin in enumerate(origins):
        for hypothesis in origin.hypotheses:
            if hypothesis.name == "definition":
                cut = cut_of(found, *_place(origin))
                if cut is not None:
                    shared[defined_differently(found, cut).marked].add(number)
            elif hypothesis.name not in _NO_CAUSES:
                of_one, of_all = f"{UNCLAIMED.capitalize()} it.", f"{UNCLAIMED} them."
                shared[hypothesis.because.marked.replace(of_one, of_all)].add(number)
    return shared


def _unclaimed_gradients(found: Comparison, origins: Sequence[ExplainedFigure]) -> dict[str, set[int]]:
    """Each gradient that the run does not give and that explains several origins, in a sentence; first those that a
    mistake makes, then the nearest."""
    phase, backward, graph = found.backward, found.candidate.backward, found.candidate.graph
    if phase is None or backward is None or backward.gradients.present is None or len(graph) > _MOST_NODES:
        return {}
    numbers = _replayed(phase, origins)
    absent = np.flatnonzero(~backward.gradients.present & reaches(graph, backward.output)).tolist()
    unclaimed = [each for each in absent if graph.nodes[each].has_gradient]
    if len(numbers) < 2 or len(unclaimed) > _MOST_UNCLAIMED:
        return {}
    explained: dict[str, set[int]] = {}
    unnamed: dict[str, set[int]] = {}
    for place in unclaimed:
        depends = dependence(found, phase, place)
        if place == graph.position[backward.output] or depends is None:
            continue  # the output's gradient is the seed
        gradient, fits = _explaining_most(phase, numbers, depends)
        if gradient is not None and len(fits) > 1:
            sentence, named = _sentence(found, phase, place, gradient)
            (explained if named else unnamed)[sentence] = {numbers[each] for each in fits}
    return {**explained, **unnamed}


def _unclaimed_values(found: Comparison, origins: Sequence[ExplainedFigure]) -> dict[str, set[int]]:
    """The same of numbers among the values, of which those that are given are no affine functions."""
    phase = found.forward
    numbers = {} if phase is None else _replayed(phase, origins)
    if phase is None or len(numbers) < 2:
        return {}
    numbers = {place: number for place, number in numbers.items() if not phase.expected.shape(place)}
    explained: dict[str, set[int]] = {}
    places = {place for position in numbers for place in unrecorded(found, phase, position)}
    for place in sorted((each for each in places if not phase.expected.shape(each)), reverse=True):
        with np.errstate(all="ignore"):
            position = min(each for each in numbers if each > place)
            value = needed_value(found, place, position, float(_figure(phase.candidate, position)), phase.atol)
            fits = [] if value is None else [each for each in numbers if _follows(found, phase, place, value, each)]
        if value is not None and len(fits) > 1:
            explained[_sentence(found, phase, place, value)[0]] = {numbers[each] for each in fits}
    return explained


def _follows(found: Comparison, phase: Phase, place: int, value: FloatArray, position: int) -> bool:
    """Whether the run's value at `position` follows from one at `place`, and not from the right one."""
    wanted = _figure(phase.candidate, position)
    apart = np.abs(with_value(found, place, value, position) - wanted)
    return bool(place < position and apart <= phase.atol + 1e-8 * np.abs(wanted))


def _replayed(phase: Phase, origins: Sequence[ExplainedFigure]) -> dict[int, int]:
    """The numbers of the origins of a phase that can be replayed, by position."""
    left_out = {*phase.unreplayed, *phase.misshapen}
    numbers = {origin.position: number for number, origin in enumerate(origins) if origin.phase is phase}
    return {place: number for place, number in numbers.items() if place not in left_out}


def _sentence(found: Comparison, phase: Phase, place: int, figure: FloatArray) -> tuple[str, bool]:
    """What is said of an unclaimed figure that explains several, and whether a mistake makes it."""
    evidence = gather(found, phase, place, found.candidate, figure)
    hypotheses = explain_evidence(evidence)
    because = f" {hypotheses[0].because}" if hypotheses else ""
    named = bool(hypotheses) and hypotheses[0].name not in DOUBTFUL
    return f"{UNCLAIMED} them. {full_statement(evidence)}{because}", named


def _explaining_most(
    phase: Phase, numbers: Mapping[int, int], depends: Dependence
) -> tuple[FloatArray | None, list[int]]:
    """The gradient of an unclaimed figure that explains the most origins, and their positions."""
    best: tuple[FloatArray | None, list[int]] = (None, [])
    with np.errstate(all="ignore"):
        for first in numbers:
            needed = depends.solve(first, _figure(phase.candidate, first), phase.atol)
            if needed is None:
                continue
            fits = []
            for place in numbers:
                wanted = _figure(phase.candidate, place)
                right, moves = depends.followed(needed, place, wanted)
                if moves and (np.abs(right - wanted) <= phase.atol + 1e-8 * np.abs(wanted)).all():
                    fits.append(place)
            if len(fits) > len(best[1]):
                best = needed, fits
    return best


def _figure(figures: Figures, position: int) -> FloatArray:
    figure = figures[position]
    assert figure is not None
    return figure
