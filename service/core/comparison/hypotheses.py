"""Hypotheses: mistakes that may explain an origin, one small function each.

A function takes the evidence about an origin and yields the figures that the mistake would produce, each with a
sentence. Those that reproduce the run's figure within the tolerance are reported, smallest error first, then in the
order of the table `HYPOTHESES`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from service.core.comparison.differing_definitions import differing_definition
from service.core.comparison.evidence import Evidence, gather
from service.core.comparison.sentences import full_statement, statement
from service.core.comparison.slips.guess import Guesses
from service.core.comparison.slips.shapes import SHAPE_SLIPS, shape_alone
from service.core.comparison.slips.table import DOUBTFUL, FITTED, HYPOTHESES, LOCAL, NAN
from service.core.comparison.unclaimed import dependence, unrecorded, with_value
from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.errors import InvalidInputs
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray
from service.core.rounding.precision import UNIT_ROUNDOFF, relative_rounding
from service.core.symbolic.phrases import Phrase, Sentence

# Origins for which a mistake at a figure that is not given is sought.
_MOST_SOUGHT = 8
UNCLAIMED = "a figure that is not given explains"


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A mistake that would produce the figure: its name, `because`, a sentence with the numbers, and the error that
    remains. `opening` is the sentence before: what the figure is and should be."""

    name: str
    opening: Phrase
    because: Phrase
    error: float | None

    @property
    def sentence(self) -> Sentence:
        """Both sentences."""
        return Sentence(f"{self.opening} {self.because}")


def explain(found: Comparison, phase: Phase, position: int, candidate: Run) -> tuple[Hypothesis, ...]:
    """The hypotheses that reproduce the figure of an origin, the node at that position."""
    evidence = gather(found, phase, position, candidate)
    if position in phase.definitions:
        because = differing_definition(found, phase, position)
        return (Hypothesis("definition", statement(evidence), because, None),)
    own = explain_evidence(evidence)
    return own if own and own[0].name not in DOUBTFUL else (*_by_an_unclaimed_figure(evidence), *own)


def explain_evidence(evidence: Evidence) -> tuple[Hypothesis, ...]:
    """The hypotheses that reproduce a figure, the likeliest first."""
    opening = statement(evidence)
    if evidence.figure.shape != evidence.expected.shape:
        return _of_a_shape(evidence, opening)
    rtol = max(evidence.phase.rtol, relative_rounding(evidence.found.candidate.dtype))
    noise, reported = _noise(evidence, rtol), []
    for order, (rank, (name, guess)) in enumerate(HYPOTHESES):
        if best := _best(evidence, guess, rtol, noise, about_nan=rank == NAN):
            error, because = best
            # Errors that are rounding alone do not rank.
            exact = error <= 64 * UNIT_ROUNDOFF["float64"] * np.abs(evidence.figure).max(initial=0.0)
            reported.append((rank, 0.0 if exact else error, order, Hypothesis(name, opening, Phrase(because), error)))
    if rounded := _rounding(evidence, opening):
        reported.append((FITTED, rounded.error or 0.0, len(HYPOTHESES), rounded))
    reported.sort(key=lambda entry: entry[:3])
    hypotheses = tuple(entry[-1] for entry in reported)
    if evidence.forward and evidence.node.operation.is_input:
        return _of_an_input(hypotheses, opening)
    return hypotheses


def _of_a_shape(evidence: Evidence, opening: Phrase) -> tuple[Hypothesis, ...]:
    """Explain a figure of another shape."""
    rtol = max(evidence.phase.rtol, relative_rounding(evidence.found.candidate.dtype))
    noise = _noise(evidence, rtol)
    for name, guess in SHAPE_SLIPS:
        if best := _best(evidence, guess, rtol, noise):
            error, because = best
            return (Hypothesis(name, opening, Phrase(because), error),)
    name, because = shape_alone(evidence)
    return (Hypothesis(name, opening, Phrase(because), None),)


def _of_an_input(hypotheses: tuple[Hypothesis, ...], opening: Phrase) -> tuple[Hypothesis, ...]:
    """Say of each that the runs' inputs differ; that alone where nothing else explains the figure."""
    if not hypotheses:
        return (Hypothesis("inputs differ", opening, Phrase("It is an input: the inputs differ."), None),)
    return tuple(replace(each, because=Phrase(f"{each.because} So the inputs differ.")) for each in hypotheses)


def _best(
    evidence: Evidence, guess: Callable[[Evidence], Guesses], rtol: float, noise: float, about_nan: bool = False
) -> tuple[float, str] | None:
    """The least error of a hypothesis that reproduces the figure, and what it says.

    A NaN that should be a number is explained by hypotheses `about_nan` alone, since nearly any guess is NaN too where
    0 meets ∞; one that gives back the figure itself says where it is wrong, not why.
    """
    best: tuple[float, str] | None = None
    lost = not about_nan and evidence.figure.shape == evidence.expected.shape
    lost = lost and bool((np.isnan(evidence.figure) & ~np.isnan(evidence.expected)).any())
    scalar = None if evidence.figure.ndim else float(evidence.figure)
    with np.errstate(all="ignore"):
        for figure, because in _until_impossible(guess(evidence)):
            if np.shape(figure) != evidence.figure.shape or (lost and figure is not evidence.figure):
                continue
            # Most guesses about scalars are far off, which plain floats tell sooner.
            if scalar is not None and abs(scalar - float(figure)) > noise + 2.0 * rtol * abs(scalar):
                continue
            alike = (evidence.figure == figure) | (np.isnan(evidence.figure) & np.isnan(figure))
            error = np.where(alike, 0.0, np.abs(evidence.figure - figure))
            if not (np.isfinite(error) & (error <= noise + rtol * np.abs(figure)) | alike).all():
                continue
            greatest = float(error.max(initial=0.0))
            if best is None or greatest < best[0]:
                best = greatest, because
    return best


def _until_impossible(guesses: Guesses) -> Guesses:
    """The guesses before one that no figure has, as the Cholesky factor of a matrix that is not positive definite."""
    with suppress(np.linalg.LinAlgError):
        yield from guesses


def _noise(evidence: Evidence, rtol: float) -> float:
    """What rounding may move a mistake's figure by: a sum whose terms cancel, an element beside others.

    The tolerance's own `atol` would let nearly any guess explain a figure near 0.
    """
    terms = [evidence.expected, *(edge.contribution for edge in evidence.edges)]
    with np.errstate(all="ignore"):
        greatest = max(float(np.abs(term[np.isfinite(term)]).max(initial=0.0)) for term in terms)
    roundoff = 4.0 * UNIT_ROUNDOFF[evidence.found.candidate.dtype]
    return min(evidence.phase.atol, (rtol if evidence.figure.ndim else roundoff) * greatest)


def finding_sentence(
    found: Comparison, phase: Phase, position: int, candidate: Run, hypotheses: Sequence[Hypothesis]
) -> Sentence:
    """Say what a figure is, what it should be, by which rule with the numbers, and the best hypothesis if any."""
    said = full_statement(gather(found, phase, position, candidate))
    return Sentence(f"{said} {hypotheses[0].because}" if hypotheses else f"{said}")


def _rounding(evidence: Evidence, opening: Phrase) -> Hypothesis | None:
    """Explain the figure by rounding to float32, if its error is that small."""
    with np.errstate(all="ignore"):
        error = np.abs(evidence.figure - evidence.expected)
        allowed = 32 * UNIT_ROUNDOFF["float32"] * np.abs(evidence.expected)
    if not (np.isfinite(error) & (error <= allowed)).all():
        return None
    because = "The difference is no more than rounding to float32 makes."
    return Hypothesis("float32 rounding", opening, Phrase(because), float(error.max(initial=0.0)))


# --- mistakes at figures that are not given --------------------------------------------------------------------------


def _by_an_unclaimed_figure(evidence: Evidence) -> tuple[Hypothesis, ...]:
    """An exact mistake at a node on the way whose own figure the run does not give."""
    found, phase, position = evidence.found, evidence.phase, evidence.position
    first = islice(found.places(Verdict.ORIGIN), _MOST_SOUGHT)
    if (
        not evidence.replayed
        or phase.has_another_shape(position)
        or (phase.name, position) not in [(each.name, place) for each, place in first]
    ):
        return ()
    on_the_way = _value_on_the_way if evidence.forward else _gradient_on_the_way
    for place in unrecorded(found, phase, position):
        if mistaken := on_the_way(evidence, place):
            figure, because, error = mistaken
            said = full_statement(gather(found, phase, place, found.candidate, figure))
            because = f"{UNCLAIMED.capitalize()} it. {said} {because}"
            return (Hypothesis("unclaimed figure", statement(evidence), Phrase(because), error),)
    return ()


def _gradient_on_the_way(evidence: Evidence, place: int) -> tuple[FloatArray, str, float | None] | None:
    """The gradient of the node at `place` that the origin asks for, if a mistake explains it exactly."""
    found, phase = evidence.found, evidence.phase
    depends = dependence(found, phase, place)
    needed = depends and depends.solve(evidence.position, evidence.figure, phase.atol)
    if needed is None:
        return None
    hypotheses = explain_evidence(gather(found, phase, place, found.candidate, needed))
    if not hypotheses or hypotheses[0].name in DOUBTFUL:
        return None
    return needed, hypotheses[0].because.marked, hypotheses[0].error


def _value_on_the_way(evidence: Evidence, place: int) -> tuple[FloatArray, str, float | None] | None:
    """The value of the node at `place` by a mistake that explains the origin's value exactly."""
    there = gather(evidence.found, evidence.phase, place, evidence.found.candidate, evidence.found.values[place])
    rtol = max(evidence.phase.rtol, relative_rounding(evidence.found.candidate.dtype))
    noise = _noise(evidence, rtol)
    for rank, (_, guess) in HYPOTHESES:
        mistaken: dict[str, FloatArray] = {}
        if rank == LOCAL and (best := _best(evidence, partial(_followed, there, guess, mistaken), rtol, noise)):
            return mistaken[best[1]], best[1], best[0]
    return None


def _followed(
    there: Evidence, guess: Callable[[Evidence], Guesses], mistaken: dict[str, FloatArray], evidence: Evidence
) -> Guesses:
    """What follows at the origin from each mistake at a node before it; keeps that node's mistaken values."""
    for value, because in guess(there):
        if np.shape(value) == there.expected.shape:
            mistaken[because] = np.asarray(value, dtype=np.float64)
            with suppress(ValueError, IndexError, InvalidInputs):  # an operation may refuse what follows, as an index
                yield with_value(evidence.found, there.position, mistaken[because], evidence.position), because
