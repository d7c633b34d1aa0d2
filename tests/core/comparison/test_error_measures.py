"""How far figures are apart, and the least tolerance that lets them pass."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.comparison.error_measures import errors, minimum_tolerance, ulps, worst_elements
from service.core.comparison.listing import judged_figures
from service.core.comparison.verdicts import Comparison, Phase, Tolerance
from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from tests.planted import altered, graph_of, judge, only, run_of

NAN, INF = float("nan"), float("inf")


def sides(baseline: list[Any], candidate: list[Any], phase: str = "values") -> tuple[Run, Run]:
    """Two runs of a graph of inputs alone: any figures fit."""
    names = [f"x{position}" for position in range(len(baseline))]
    graph = build_graph([{"name": name, "operation": "Input"} for name in names], names)
    seed = np.array(1.0)
    return tuple(
        Run(graph, pack(figures))
        if phase == "values"
        else Run(graph, pack(baseline), backward=Backward("x0", seed, pack(figures)))
        for figures in (baseline, candidate)
    )


def judged(baseline: list[Any], candidate: list[Any], tolerance: Any = "float64") -> Phase:
    """The forward phase of two such runs."""
    phase = judge(*sides(baseline, candidate), tolerance).forward
    assert phase is not None
    return phase


# --- units in the last place --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "apart"),
    [
        (1.0, 1.0, 0),
        (0.0, -0.0, 0),
        (1.0, 1.0 + 2**-52, 1),
        (1.0, 1.0 - 2**-53, 1),
        (-1.0, -1.0 - 2**-52, 1),
        (5e-324, -5e-324, 2),
        (1.7976931348623157e308, INF, 1),
        (0.0, 1.0, 0x3FF0_0000_0000_0000),
        (-1.0, 1.0, 2 * 0x3FF0_0000_0000_0000),
        (INF, -INF, 2 * 0x7FF0_0000_0000_0000),
        (NAN, 1.0, None),
        (1.0, NAN, None),
        (NAN, NAN, None),
    ],
)
def test_units_in_the_last_place(x: float, y: float, apart: int | None) -> None:
    assert ulps(np.array([x]), np.array([y])) == [apart] == ulps(np.array([y]), np.array([x]))


@given(st.floats(allow_nan=False, max_value=1e308), st.integers(0, 50))
def test_units_count_the_steps_between(x: float, steps: int) -> None:
    y = x
    for _ in range(steps):
        y = math.nextafter(y, INF)
    assert ulps(np.array([x]), np.array([y])) == [steps]


# --- errors -------------------------------------------------------------------------------------------------------


def test_errors_of_each_element() -> None:
    baseline = [1.0, 2.0, 0.0, NAN, NAN, INF, INF, -0.0, 4.0, INF]
    candidate = [1.5, 1.0, 0.25, NAN, 1.0, INF, -INF, 0.0, NAN, 1.0]
    absolute, relative = errors(np.array(candidate), np.array(baseline))
    assert absolute.tolist() == [0.5, 1.0, 0.25, 0.0, INF, 0.0, INF, 0.0, INF, INF]
    assert relative.tolist() == [0.5, 0.5, INF, 0.0, INF, 0.0, INF, 0.0, INF, INF]


@pytest.mark.parametrize(
    ("baseline", "candidate", "tolerance", "index"),
    [
        ([1.0, 1.0, 1.0], [1.0, 1.5, 1.25], "float64", [1]),
        # The greatest difference is within its bound, the least is not.
        ([1e9, 0.0], [1e9 + 0.5, 1e-9], "float64", [1]),
        ([1e9, 0.0], [1e9 + 0.5, 1e-9], "exact", [0]),
        ([1.0, 1.0, 1.0], [2.0, NAN, INF], "float64", [1]),
        ([NAN, 1.0, INF], [NAN, 1.0, 3.0], "float64", [2]),
        ([INF, NAN], [INF, NAN], "float64", [0]),
        ([1.0, 0.0], [1.0, -0.0], "exact", [1]),
        ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [0.0, 4.0]], "float64", [1, 0]),
    ],
)
def test_the_worst_element_of_a_tensor(baseline: Any, candidate: Any, tolerance: str, index: list[int]) -> None:
    phase = judged([0.0, np.array(baseline)], [0.0, np.array(candidate)], tolerance)
    (offset,) = worst_elements(phase, np.array([1]))
    assert offset == 1 + np.ravel_multi_index(index, np.shape(baseline))
    (figure,) = judged_figures(
        judge(*sides([0.0, np.array(baseline)], [0.0, np.array(candidate)]), tolerance), np.array([1])
    )
    assert figure.worst == tuple(index)


def test_the_worst_element_where_there_is_one_or_none() -> None:
    assert worst_elements(judged([1.0, 2.0], [1.0, 3.0]), np.array([1])).tolist() == [1]
    assert worst_elements(judged([np.zeros(0), 2.0], [np.zeros(0), 3.0]), np.array([1, 0])).tolist() == [0, -1]


# --- the least tolerance ------------------------------------------------------------------------------------------

finite = st.floats(min_value=1e-100, max_value=1e100).flatmap(lambda x: st.sampled_from([x, -x])) | st.just(0.0)
pairs = st.lists(st.tuples(finite, finite), min_size=1, max_size=6)


def is_same(runs: tuple[Run, Run], rtol: float, atol: float) -> bool:
    """Whether two runs are the same under these bounds."""
    return judge(*runs, Tolerance(rtol, atol)).same


@given(pairs, st.sampled_from(["values", "gradients"]))
@example([(1.028319671145463, 1.0284439544219626)], "values")  # a number below the quotient does
def test_the_minimum_tolerance_is_the_least_under_which_runs_are_the_same(
    pairs: list[tuple[float, float]], phase: str
) -> None:
    runs = sides([b for b, _ in pairs], [c for _, c in pairs], phase)
    least = minimum_tolerance(judge(*runs))
    for name in ("rtol", "atol"):
        bound = least[name]
        if bound is None:
            assert not is_same(runs, *((1e300, 0.0) if name == "rtol" else (0.0, 1e300)))
            continue
        assert is_same(runs, *((bound, 0.0) if name == "rtol" else (0.0, bound)))
        if bound > 0.0:
            below = math.nextafter(bound, 0.0)
            assert not is_same(runs, *((below, 0.0) if name == "rtol" else (0.0, below)))


@given(st.floats(1e-9, 1.0), st.floats(1.0, 2.0), st.floats(1e-16, 1e-8))
def test_the_minimum_tolerance_of_near_figures(baseline: float, factor: float, apart: float) -> None:
    runs = sides([baseline, baseline * factor], [baseline * (1 + apart), baseline * factor * (1 - apart)])
    least = minimum_tolerance(judge(*runs))
    assert least["rtol"] is not None
    assert is_same(runs, least["rtol"], 0.0)
    assert least["rtol"] == 0.0 or not is_same(runs, math.nextafter(least["rtol"], 0.0), 0.0)


@pytest.mark.parametrize(
    ("baseline", "candidate", "rtol", "atol"),
    [
        ([1.0, NAN, INF], [1.0, NAN, INF], 0.0, 0.0),
        ([0.0], [-0.0], 0.0, 0.0),
        ([0.0], [1.0], None, 1.0),
        ([NAN], [1.0], None, None),
        ([1.0], [NAN], None, None),
        ([INF], [1.0], None, None),
        ([1.0], [INF], None, None),
        ([INF], [-INF], None, None),
        ([4.0, 8.0], [5.0, 6.0], 0.25, 2.0),
    ],
)
def test_the_minimum_tolerance_of(
    baseline: list[float], candidate: list[float], rtol: float | None, atol: float | None
) -> None:
    assert minimum_tolerance(judge(*sides(baseline, candidate))) == {"rtol": rtol, "atol": atol}


def test_only_what_is_compared_counts() -> None:
    graph = graph_of("p = x * y; F = sin(p)")
    inputs = {"x": np.array([1.0, 2.0]), "y": 3.0}
    right = run_of(graph, inputs)
    wrong = altered(right, values={"p": np.array([3.0, 7.5]), "y": 300.0})
    found = judge(only(right, values=["x", "p"]), wrong)
    assert minimum_tolerance(found) == {"rtol": 0.25, "atol": 1.5}


def minimum_atol(found: Comparison) -> float | None:
    """The least atol."""
    return minimum_tolerance(found)["atol"]


def test_of_gradients_atol_counts_in_the_largest_of_the_baselines() -> None:
    assert minimum_atol(judge(*sides([2.0**-40, 2.0**-42], [2.0**-40, 2.0**-43], "gradients"))) == 2.0**-3
    assert minimum_atol(judge(*sides([2.0**40, 1.0], [2.0**40, 2.0], "gradients"))) == 1.0
    # Where the baseline has no gradient, none is small beside it.
    assert minimum_atol(judge(*sides([0.0, 0.0], [0.0, 1e-300], "gradients"))) is None
    assert minimum_atol(judge(*sides([0.0, 0.0], [0.0, 0.0], "gradients"))) == 0.0
    assert minimum_atol(judge(*sides([NAN], [NAN], "gradients"))) == 0.0
