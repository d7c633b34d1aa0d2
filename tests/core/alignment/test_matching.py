"""Figures that are not finite, or empty, and what fills a mask, −∞ or float32's lowest number."""

import numpy as np
import pytest

from service.core.alignment.proposing import propose_alignment
from service.core.comparison.causes import find_causes
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES
from tests.planted import graph_of, run_of

LOWEST = float(np.finfo(np.float32).min)
X = np.random.default_rng(5).standard_normal((3, 3))
INFINITE = {"x": X, "mask": np.where(np.tri(3) == 1, 0.0, -np.inf)}
LOW = {"data": X, "fill": np.where(np.tri(3) == 1, 0.0, LOWEST)}


def aligned(axis: int) -> tuple[list[str], list[str]]:
    """The nodes of the candidate that have a partner, and those where its causes show first."""
    right = run_of(graph_of("y = softmax(2 * x + mask, axis=-1) @ x"), INFINITE)
    other = run_of(graph_of(f"low = 2 * data + fill; p = softmax(low, axis={axis}); out = p @ data"), LOW)
    found = compare(right, other, TOLERANCES["float32"], {}, propose=propose_alignment)
    names = [node.name for node in other.graph.nodes]
    paired = [names[each] for each in np.flatnonzero(found.alignment.partners >= 0)]
    return paired, [names[cause.explains[0][1]] for cause in find_causes(found)]


@pytest.mark.parametrize("axis", [-1, 0])
def test_what_fills_a_mask_has_no_partner_and_hides_no_bug(axis: int) -> None:
    paired, causes = aligned(axis)
    assert {"low", "fill"}.isdisjoint(paired) and {"data", "p", "out"} <= {*paired}
    assert causes == ([] if axis == -1 else ["p"])


@pytest.mark.parametrize(
    "figure", [np.zeros((0, 3)), np.full(2, 1e300), np.array([np.nan, 1.0]), np.array([np.inf, -np.inf]), 0.0, np.nan]
)
def test_odd_figures_are_paired_like_others(figure: object) -> None:
    right = run_of(graph_of("y = x * x; F = sum(y)"), {"x": figure})
    other = run_of(graph_of("square = data * data; total = sum(square)"), {"data": figure})
    assert propose_alignment(right, other, {}).partners.tolist() == [0, 1, 2]
