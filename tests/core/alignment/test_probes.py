"""Probes stay in the domain of what is given."""

import numpy as np
import pytest

from service.core.alignment.probes import choosing, is_kept, probe
from service.core.figures.figures import FloatArray
from tests.planted import graph_of


def drawn(*given: float | list[float]) -> tuple[FloatArray, FloatArray]:
    """The figure that is given, and a probe like it."""
    figure = np.array(given, dtype=float)
    return figure, probe(figure, np.random.default_rng(1), 0.3)


def test_a_probe_is_another_figure_of_the_same_size_and_sign() -> None:
    figure, found = drawn(5.0, -300.0, 2e-3, 0.0, np.inf, -np.inf)
    assert (np.sign(found) == np.sign(figure)).all()
    finite = np.isfinite(figure) & (figure != 0)
    assert (found[finite] != figure[finite]).all()
    assert (np.abs(np.log(found[finite] / figure[finite])) < 2).all()
    assert (found[~finite] == figure[~finite]).all()


def test_a_nan_stays() -> None:
    _, found = drawn(np.nan, 5.0)
    assert np.isnan(found).tolist() == [True, False]


def test_what_lies_between_minus_one_and_one_stays_there() -> None:
    _, found = drawn(-0.999, 0.999, 0.5)
    assert (np.abs(found) < 1).all()


def test_zeros_become_small_and_positive() -> None:
    _, found = drawn(0.0, 0.0, 0.0)
    assert ((found > 0) & (found < 2)).all()


def test_rows_of_probabilities_sum_to_one() -> None:
    _, found = drawn([0.2, 0.8], [0.5, 0.5])
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)


def test_a_symmetric_matrix_stays_symmetric() -> None:
    _, found = drawn([4.0, 1.5], [1.5, 3.0])
    assert found[0, 1] == found[1, 0] != 1.5


@pytest.mark.parametrize(
    ("figure", "chooses", "kept"),
    [
        ([1.0, 0.0, 1.0], False, True),
        ([1.0, 1.0], False, True),
        ([0.0, 0.0], False, False),
        ([3.0, 7.0], True, True),
        ([3.0, 7.0], False, False),
        ([0.5, 7.0], True, False),
        (1.0, False, False),
    ],
)
def test_masks_and_whole_numbers_that_choose_are_kept(figure: object, chooses: bool, kept: bool) -> None:
    assert is_kept(np.array(figure, dtype=float), chooses) is kept


def test_an_index_chooses_by_way_of_what_passes_it_on() -> None:
    graph = graph_of("picked = gather(x, reshape(i, shape=[2])); y = where(m, picked, x) * n")
    names = {graph.nodes[place].name for place in np.flatnonzero(choosing(graph))}
    assert names & set(graph.inputs) == {"i", "m"}
