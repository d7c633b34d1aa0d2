"""The figures of a comparison one by one: which are listed, in what order, how far each is off, what explains it."""

from dataclasses import dataclass

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.comparison.error_measures import errors, ulps, worst_elements
from service.core.comparison.first_difference import convention, rounding
from service.core.comparison.grown_rounding import grown_rounding
from service.core.comparison.hypotheses import Hypothesis, explain, finding_sentence
from service.core.comparison.verdicts import JUDGED, Comparison, Phase, Verdict, first_difference
from service.core.figures.figures import FloatArray, IntArray
from service.core.symbolic.phrases import Sentence

# Hypotheses are looked for at the first origins only: who has a hundred of them mends those first.
_EXPLAINED = 100
# How many names a sentence lists.
_SPOKEN = 8


@dataclass(frozen=True, slots=True)
class JudgedFigure:
    """A figure that both runs give; of a tensor, the errors are those of its worst element, whose index is `worst`.

    `worst` is None for a scalar, where a figure has no elements, whose errors are 0, and where it has another shape
    than the right one, so that its errors are infinite.
    """

    phase: Phase
    position: int
    verdict: Verdict
    absolute_error: float
    relative_error: float
    ulps: int | None
    worst: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class ExplainedFigure:
    """A figure with a sentence about it, and the hypotheses that explain it, the likeliest first."""

    phase: Phase
    position: int
    sentence: Sentence
    hypotheses: tuple[Hypothesis, ...]


@memoize_on_argument
def list_figures(found: Comparison, verdicts: tuple[Verdict, ...] = JUDGED, worst_first: bool = False) -> IntArray:
    """List the figures with one of these verdicts, in the order of evaluation or by falling relative error.

    Each is a number, the rank of its phase among `found.phases` × the number of nodes + its position: a page is a slice
    of the list, for `judged_figures`.
    """
    phases, count = found.phases, len(found.values)
    positions = [phase.find(*verdicts) for phase in phases]
    numbers = np.concatenate([rank * count + each for rank, each in enumerate(positions)])
    if worst_first:
        numbers = numbers[np.argsort(-relative_errors(found, numbers), kind="stable")]
    numbers.setflags(write=False)
    return numbers


def relative_errors(found: Comparison, numbers: IntArray) -> FloatArray:
    """The relative error of each figure in a list, of a tensor that of its worst element."""
    ranks, positions = np.divmod(numbers, len(found.values))
    relative = np.zeros(len(numbers))
    for rank, phase in enumerate(found.phases):
        here = ranks == rank
        relative[here] = errors(*_worst(phase, positions[here])[1:])[1]
    return relative


def judged_figures(found: Comparison, numbers: IntArray) -> list[JudgedFigure]:
    """The figures in a list, measured."""
    ranks, positions = np.divmod(numbers, len(found.values))
    judged: dict[tuple[int, int], JudgedFigure] = {}
    for rank, phase in enumerate(found.phases):
        here = positions[ranks == rank]
        elements, candidate, baseline = _worst(phase, here)
        absolute, relative = errors(candidate, baseline)
        rows = (here.tolist(), elements.tolist(), absolute.tolist(), relative.tolist(), ulps(candidate, baseline))
        for position, element, absolute_error, relative_error, distance in zip(*rows, strict=True):
            verdict, index = Verdict(int(phase.verdicts[position])), _index(phase, position, element)
            judged[rank, position] = JudgedFigure(
                phase, position, verdict, absolute_error, relative_error, distance, index
            )
    return [judged[key] for key in zip(ranks.tolist(), positions.tolist(), strict=True)]


@memoize_on_argument
def explained_origins(found: Comparison) -> tuple[ExplainedFigure, ...]:
    """Every origin in the order of evaluation, the first hundred with the hypotheses that explain them."""
    return tuple(
        _explained(
            found, phase, position, explain(found, phase, position, found.candidate) if rank < _EXPLAINED else ()
        )
        for rank, (phase, position) in enumerate(found.places(Verdict.ORIGIN))
    )


def _explained(found: Comparison, phase: Phase, position: int, hypotheses: tuple[Hypothesis, ...]) -> ExplainedFigure:
    sentence = finding_sentence(found, phase, position, found.candidate, hypotheses)
    return ExplainedFigure(phase, position, sentence, hypotheses)


def explained_first_difference(found: Comparison) -> ExplainedFigure | None:
    """The first figure that differs; unless it is an origin, `convention` or `rounding` explains it."""
    first = first_difference(found)
    if first is None:
        return None
    phase, position = first
    verdict = phase.verdicts[position]
    if verdict == Verdict.ORIGIN:
        return explained_origins(found)[0]
    because = convention if verdict == Verdict.CONVENTION else rounding
    return _explained(found, phase, position, (because(found, phase, position, found.candidate),))


def summary(found: Comparison) -> str | None:
    """What is to be said of the comparison as a whole: that the inputs differ, or that nothing arose in it."""
    if found.differing_inputs:
        return f"The inputs differ: {', '.join(found.differing_inputs[:_SPOKEN])}."
    if found.same or found.arose:
        return None
    told = "No figure is wrong by itself: every difference follows from errors below the tolerance, which grew."
    grown = grown_rounding(found)
    return told if grown is None else f"{told} {grown.sentence}"


def _worst(phase: Phase, positions: IntArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """The worst element of each figure: its offset, the candidate's and the baseline's number; −1, 0, 0 for none."""
    elements = worst_elements(phase, positions)
    there = elements >= 0
    candidate, baseline = np.zeros(len(elements)), np.zeros(len(elements))
    candidate[there], baseline[there] = phase.candidate.flat[elements[there]], phase.baseline.flat[elements[there]]
    return elements, candidate, baseline


def _index(phase: Phase, position: int, element: int) -> tuple[int, ...] | None:
    shape = phase.candidate.shape(position)
    if not shape or element < 0 or phase.has_another_shape(position):
        return None
    return tuple(int(step) for step in np.unravel_index(element - int(phase.candidate.offsets[position]), shape))
