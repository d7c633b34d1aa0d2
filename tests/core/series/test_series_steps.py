"""The trace of a step, what is carried from one step to the next, and what is said of both."""

import numpy as np
import pytest

from service.core.figures.figures import FloatArray
from service.core.series.sentences import carry_sentence, series_sentence
from service.core.series.steps import BrokenCarry, broken_carries, faults_of_carry, trace
from tests.planted import graph_of


@pytest.mark.parametrize(
    ("figure", "norm"),
    [
        (np.array([3.0, -4.0]), 5.0),
        (np.array([[3e200], [4e200]]), 5e200),
        (np.array([3e-200, 4e-200]), 5e-200),
        (np.array(-2.0), 2.0),
        (np.zeros((0, 3)), 0.0),
        (np.array([1.0, -np.inf]), np.inf),
        (np.array([np.inf, np.nan]), np.nan),
    ],
)
def test_a_norm_neither_overflows_nor_vanishes(figure: FloatArray, norm: float) -> None:
    assert trace([figure]).norms[0] == pytest.approx(norm, rel=1e-15, nan_ok=True)


def test_digests_are_equal_for_equal_figures_alone() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64)
    figures = [np.array([0.0, np.nan]), np.array([-0.0, odd[0]]), np.array([-0.0, odd[1]]), np.array([[0.0, np.nan]])]
    first, *same, other_shape = trace(figures).digests
    assert same == [first, first] != [other_shape]
    near = trace([np.array(1.0), np.array(np.nextafter(1.0, 2.0))]).digests
    assert near[0] != near[1]


def test_a_carry_is_broken_where_another_value_is_taken() -> None:
    before, after = (trace([np.array(w), np.array(w1)]).digests for w, w1 in ((1.0, 2.0), (2.0, 3.0)))
    assert broken_carries({"w'": "w"}, ["w", "w'"], before, after) == ()
    assert broken_carries({"w'": "w"}, ["w", "w'"], after, before) == ("w'",)


def test_a_carry_leads_from_nodes_to_inputs_each_once() -> None:
    graph = graph_of("y = w * x")
    assert faults_of_carry(graph, {"y": "w", "x": "x"}) == []
    said = [(fault.location, fault.detail) for fault in faults_of_carry(graph, {"z": "w", "y": "w", "x": "y"})]
    assert said == [
        (("carry", "z"), "the graph has no node 'z'"),
        (("carry", "y"), "'w' is carried from 'z' already"),
        (("carry", "x"), "the graph has no input 'y'"),
    ]


def test_sentences() -> None:
    assert series_sentence(0, 0, None, 0) == "No step has been added yet."
    assert series_sentence(1, 0, None, 0) == "The step follows from what it took."
    assert series_sentence(9, 2, 4, 1) == (
        "2 of 9 steps have an origin; the first is step 4. "
        "1 of 9 steps has taken another value than the step before gave."
    )
    assert carry_sentence(BrokenCarry(3, "w'", "w", 1.0, 1.0 + 1e-9)) == (
        "Step 3 took w of norm 1.000000001, where the step before gave w' of norm 1: it was written in between."
    )
    assert carry_sentence(BrokenCarry(3, "w'", "w", 2.0, 2.0)) == (
        "Step 3 took w other than what the step before gave as w', of the same norm 2: it was written in between."
    )
