"""Equal figures are found among others, and no other ones."""

import numpy as np

from service.core.alignment.fingerprints import FigureIndex, fingerprint, tolerance_of, unordered_fingerprint
from service.core.rulebook.tensor import Tensor

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
    narrow = tolerance_of([0.1, 2.0, [1.0, np.inf, np.nan], Tensor(np.full(3, 1e-5)), np.array(0.0)])
    wide = tolerance_of([0.1, np.array([1.0, np.float32(np.sqrt(2))])])
    assert narrow < 1e-8 < wide
