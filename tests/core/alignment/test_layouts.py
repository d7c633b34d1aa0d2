"""Where the numbers of one figure lie in another."""

import numpy as np
import pytest

from service.core.alignment.layouts import layout_between

NUMBERS = [np.random.default_rng(seed).standard_normal((2, 3, 4)) for seed in range(2)]


@pytest.mark.parametrize(
    ("of", "shape"),
    [
        (lambda x: x.transpose(2, 0, 1), (4, 2, 3)),
        (lambda x: x.reshape(6, 4), (6, 4)),
        (lambda x: x.transpose(1, 0, 2).reshape(3, 8), (3, 8)),
        (lambda x: x.reshape(6, 4)[np.random.default_rng(0).permutation(6)], (6, 4)),
    ],
    ids=["transposed", "reshaped", "both", "any order"],
)
def test_the_layout_says_where_each_element_lies(of, shape) -> None:  # type: ignore[no-untyped-def]
    layout = layout_between(NUMBERS, [of(each) for each in NUMBERS], 1e-9)
    assert layout is not None
    assert layout.shape == shape
    for figure in NUMBERS:
        assert (figure.ravel()[layout] == of(figure)).all()


def test_a_layout_must_hold_at_every_probe() -> None:
    one, other = NUMBERS
    assert layout_between([one, other], [one.transpose(1, 0, 2), other.transpose(2, 0, 1)], 1e-9) is None
    assert layout_between([one], [other], 1e-9) is None
    assert layout_between([one], [one.ravel()[:-1]], 1e-9) is None


def test_infinities_and_nan_have_their_places() -> None:
    figure = np.array([[1.0, np.nan], [-np.inf, 2.0]])
    layout = layout_between([figure], [figure.T], 1e-9)
    assert layout is not None
    assert layout.tolist() == [[0, 2], [1, 3]]


def test_equal_numbers_lie_as_a_permutation_of_the_axes_has_them() -> None:
    figure = np.array([[1.0, 1.0, 2.0], [2.0, 1.0, 1.0]])
    layout = layout_between([figure], [figure.T], 1e-9)
    assert layout is not None
    assert layout.tolist() == [[0, 3], [1, 4], [2, 5]]
