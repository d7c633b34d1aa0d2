"""Slips that give a figure another shape: that of the transpose, or of a gradient not summed over a broadcast axis."""

from itertools import permutations
from math import prod

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.execution.misshapen import is_transposed
from service.core.rulebook.primitives import sum_to_shape

# Axes of which every order is tried, and elements.
_MOST_AXES, _MOST_ELEMENTS = 5, 1_000_000


def _transposed(evidence: Evidence) -> Guesses:
    figure, right = evidence.figure, evidence.expected
    if not is_transposed(figure.shape, right.shape) or right.ndim > _MOST_AXES or right.size > _MOST_ELEMENTS:
        return
    for axes in permutations(range(right.ndim)):
        turned = np.transpose(right, axes)
        if turned.shape == figure.shape and axes != tuple(range(right.ndim)):
            order = "" if right.ndim == 2 else f": its axes are in the order {list(axes)}"
            yield turned, f"It is transposed{order}."


def _unsummed(evidence: Evidence) -> Guesses:
    figure, right = evidence.figure, evidence.expected
    if evidence.forward or is_transposed(figure.shape, right.shape):
        return
    with np.errstate(all="ignore"):
        missing = np.asarray(sum_to_shape(figure, right.shape)) - right
        bound = evidence.phase.atol + evidence.phase.rtol * np.asarray(sum_to_shape(np.abs(figure), right.shape))
    if (np.abs(missing) <= bound).all():
        copies = prod(figure.shape) // prod(right.shape)
        yield figure, f"It was not summed over its {copies} broadcast copies: their contributions stand side by side."


SHAPE_SLIPS: tuple[Slip, ...] = (
    ("transposed", _transposed),
    ("not summed over the batch", _unsummed),
)


def shape_alone(evidence: Evidence) -> tuple[str, str]:
    """The slip that a figure's shape is evidence of where its numbers are not, and a sentence."""
    if is_transposed(evidence.figure.shape, evidence.expected.shape):
        return "transposed", "It has the shape of the transpose, but other numbers."
    return "not summed over the batch", "It has the shape of a gradient that was not summed, but another sum."
