"""Equal figures are found among others, and no other ones."""

import numpy as np

from service.core.alignment.fingerprints import FigureIndex, fingerprint, tolerance_of, unordered_fingerprint
from service.core.alignment.proposing import propose_alignment
from service.core.rulebook.tensor import Tensor
from tests.planted import graph_of, run_of

TOLERANCE = 1e-9


def test_figures_are_equal_but_for_rounding() -> None:
    figure = np.random.default_rng(0).standard_normal((3, 4))
    index = FigureIndex([fingerprint([figure, 2 * figure]), fingerprint([figure, figure])], TOLERANCE)
    near = figure * (1 + 1e-12)
    assert index.find(fingerprint([near, 2 * near])) == 0
    assert index.find(fingerprint([near, near])) == 1
    assert index.find(fingerprint([near, 3 * near])) == -1
    assert index.find(fingerprint([near * (1 + 1e-6), 2 * near])) == -1
    assert index.find(fingerprint([figure.reshape(4, 3), 2 * figure.reshape(4, 3)])) == -1


def test_what_is_not_finite_counts_by_its_place() -> None:
    figures = [np.array(row) for row in ([1.0, np.nan], [np.nan, 1.0], [1.0, np.inf], [1.0, -np.inf], [np.nan, np.nan])]
    index = FigureIndex([fingerprint([figure]) for figure in figures], TOLERANCE)
    assert sorted(index.classes) == [0, 1, 2, 3, 4]
    assert [index.find(fingerprint([figure.copy()])) for figure in figures] == index.classes
    assert fingerprint([np.float64(np.nan)]).agrees(fingerprint([np.array(np.nan)]), TOLERANCE)


def test_what_fills_a_mask_counts_as_infinite() -> None:
    one, other = np.array([0.5, -np.inf]), np.array([0.5, -3.4e38])
    assert fingerprint([one]).agrees(fingerprint([other]), TOLERANCE)
    assert not fingerprint([one]).agrees(fingerprint([np.array([0.5, 3.4e38])]), TOLERANCE)


def test_the_order_does_not_count_where_it_need_not() -> None:
    figure = np.arange(6.0).reshape(2, 3)
    assert unordered_fingerprint([figure]).agrees(unordered_fingerprint([figure.T]), TOLERANCE)
    assert not unordered_fingerprint([figure]).agrees(unordered_fingerprint([figure + 1]), TOLERANCE)


def test_numbers_rounded_to_float32_need_a_wider_tolerance() -> None:
    narrow = tolerance_of([0.1, 2.0, [1.0, np.inf, np.nan], Tensor(np.full(3, 1e-5)), np.array(0.0)], ["float64"])
    wide = tolerance_of([0.1, np.array([1.0, np.float32(np.sqrt(2))])], ["float32"])
    assert narrow < 1e-8 < wide


def test_constants_rounded_to_half_a_precision_are_no_other_function() -> None:
    """√½ is 0.70703125 in bfloat16."""
    right = run_of(graph_of("y = gelu(x)"), {"x": np.linspace(-2.0, 2.0, 7)})
    parts = graph_of("out = 0.5 * data * (1 + erf(data * 0.70703125))")
    for dtype, cuts in (("bfloat16", 0), ("float64", 1)):
        other = run_of(parts, {"data": np.linspace(-2.0, 2.0, 7)}, dtype=dtype, kind=np.float64)
        assert len(propose_alignment(right, other, {}).cuts) == cuts
