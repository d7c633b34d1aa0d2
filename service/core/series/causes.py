"""One cause for all origins of a step: what was not set to zero, or was scaled, clipped or stopped as a whole.

An origin by itself is held against its own operands alone; these mistakes show in what the origins have in common, and
in what their nodes gave in the step before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from service.core.comparison.verdicts import Comparison, Verdict
from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text, listed, short_number

# What a cause leaves unexplained is small beside the figures, whose sums may have cancelled, and beside the error.
_OF_FIGURES, _OF_ERROR = 1e-4, 1 / 50
_ROUND = 1e-5  # how near two digits the limit of a clipped norm is: PyTorch divides by the norm and 1e-6
_NAMED = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Origins:
    """The figures of the origins, those that follow from the step's inputs, and those of the step before, whose number
    is `step_before`; none of these if some are not known."""

    figures: Sequence[FloatArray]
    expected: Sequence[FloatArray]
    before: Sequence[FloatArray]
    step_before: int


# Figures as a mistake makes them of the expected ones, and what is said of one node, and of several.
_Guesses: TypeAlias = Iterator[tuple[Sequence[FloatArray], str, str]]


def find_cause(found: Comparison, before: Mapping[str, FloatArray], step_before: int) -> str | None:
    """The one cause that explains each origin of a step, in a sentence; None if none does.

    `found` compares the step with what follows from its inputs; `before` are values of the step before, by the names of
    nodes, those that are known.
    """
    places = [*found.places(Verdict.ORIGIN)]
    names = [found.candidate.graph.nodes[position].name for _, position in places]
    given = [(phase.given(position), phase.expected[position]) for phase, position in places]
    pairs = [(one, other) for one, other in given if one is not None and other is not None and _are_alike(one, other)]
    if not places or len(pairs) < len(places):
        return None
    last = [before[name] for name, (one, _) in zip(names, pairs, strict=True) if name in before]
    is_known = len(last) == len(pairs) and all(map(_are_alike, last, [one for one, _ in pairs]))
    origins = _Origins([one for one, _ in pairs], [one for _, one in pairs], last if is_known else (), step_before)
    precision = _OF_FIGURES + max(phase.rtol for phase, _ in places)
    for cause in _CAUSES:
        for guesses, of_one, of_several in cause(origins):
            if all(_explains(guess, *pair, precision) for guess, pair in zip(guesses, pairs, strict=True)):
                return f"{_subject(names)} {of_one if len(names) == 1 else of_several}"
    return None


def _are_alike(one: FloatArray, other: FloatArray) -> bool:
    return one.shape == other.shape and bool(np.isfinite(one).all() and np.isfinite(other).all())


def _explains(guess: FloatArray, figure: FloatArray, expected: FloatArray, precision: float) -> bool:
    left, error = np.linalg.norm(figure - guess), np.linalg.norm(figure - expected)
    size = sum(np.linalg.norm(each) for each in (figure, expected, guess))
    return bool(left <= precision * size and left <= _OF_ERROR * error)


def _subject(names: Sequence[str]) -> str:
    shown = names if len(names) <= _NAMED + 1 else [*names[:_NAMED], f"{len(names) - _NAMED:,} more"]
    return listed(shown)


def _stopped(origins: _Origins) -> _Guesses:
    yield (
        [np.zeros_like(figure) for figure in origins.figures],
        "is recorded as 0: nothing flowed back to it, as where a layer is frozen.",
        "are recorded as 0: nothing flowed back to them, as where a layer is frozen.",
    )


def _added(origins: _Origins) -> _Guesses:
    if origins.before:
        yield (
            [right + last for right, last in zip(origins.expected, origins.before, strict=True)],
            f"was added to that of step {origins.step_before}: it was not set to zero.",
            f"were added to those of step {origins.step_before}: they were not set to zero.",
        )


def _scaled(origins: _Origins) -> _Guesses:
    figure, expected = _joined(origins.figures), _joined(origins.expected)
    square = float(expected @ expected)
    if figure.size < 2 or not square:
        return
    factor, norm = float(figure @ expected) / square, float(np.linalg.norm(figure))
    limit, times = float(f"{norm:.1e}"), f"{short_number(factor)} times what"
    guesses = [factor * right for right in origins.expected]
    if 0.0 < factor < 1.0 and abs(norm - limit) <= _ROUND * norm:
        clipped = f"clipped to a norm of {figure_text(limit)}."
        yield guesses, f"is {times} it should be: it was {clipped}", f"are {times} they should be: they were {clipped}"
    elif len(origins.figures) > 1:  # of one, its own hypotheses say so
        yield guesses, "", f"are all {times} they should be."


def _cut(origins: _Origins) -> _Guesses:
    """Each element clipped to one limit, at which several are."""
    sizes = np.abs(_joined(origins.figures))
    limit = float(np.max(sizes, initial=0.0))
    if np.count_nonzero(sizes == limit) > 1:
        clipped = f"clipped: no element is beyond ±{figure_text(limit)}."
        yield [np.clip(right, -limit, limit) for right in origins.expected], f"was {clipped}", f"were {clipped}"


def _joined(figures: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([figure.ravel() for figure in figures])


_CAUSES: Sequence[Callable[[_Origins], _Guesses]] = (_stopped, _added, _scaled, _cut)
