"""Comparisons that are kept, and checks of claims."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.core.comparison.claims import Claim, read_number
from service.core.comparison.listing import explained_first_difference, explained_origins, judged_figures
from service.core.comparison.verdicts import JUDGED, TOLERANCES, Tolerance, Verdict
from service.core.errors import InvalidInputs, InvalidRequest, KeyReused, LimitExceeded, NotFound
from service.settings import Limits
from service.usecases.comparisons import (
    Compared,
    check_claims,
    create_comparison,
    get_comparison,
    list_comparisons,
    read_tolerance,
)
from service.usecases.context import Context
from service.usecases.graphs import create_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.recordings import record_run
from service.usecases.runs import create_run, get_run, list_runs, run_backward

SEED = "e = a + b; f = e * c; F = f / d"
INPUTS = {name: np.array(figure) for name, figure in {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}.items()}
SLIP = {"F": 1.0, "f": -3.0, "d": 108.0, "e": 6.0, "c": -18.0, "a": 6.0, "b": 6.0}


@pytest.fixture
def graph(context: Context) -> str:
    """The seed example's graph."""
    return create_graph(context, "g", expression=SEED, tags={})[0].id


@pytest.fixture
def ours(context: Context, graph: str) -> str:
    """Its run."""
    return create_run(context, graph, INPUTS, tags={}).record.id


def record(
    context: Context, graph: str, values: Any = (), gradients: Any = (), inputs: Any = INPUTS, **options: Any
) -> str:
    """Record a run; its id."""
    given = {
        kind: {name: np.asarray(figure, dtype=np.float64) for name, figure in dict(figures).items()}
        for kind, figures in (("values", values), ("gradients", gradients))
    }
    return record_run(context, graph, inputs, by="somebody", **given, tags={}, **options).record.id


def compare(context: Context, *runs: str, **options: Any) -> Compared:
    """Compare two runs."""
    return create_comparison(context, *runs, **{"names": {}, **options})[0]


def verdicts(compared: Compared) -> dict[str, str]:
    """The verdicts, by phase and node."""
    nodes = compared.found.candidate.graph.nodes
    return {
        f"{phase.name} {nodes[position].name}": Verdict(int(phase.verdicts[position])).name.lower()
        for phase, position in compared.found.places(*JUDGED)
    }


def names(compared: Compared, only: str | None = None, order: str = "topological") -> list[str]:
    """The figures of a view."""
    nodes = compared.found.candidate.graph.nodes
    figures = judged_figures(compared.found, compared.listing(only, order))
    return [f"{figure.phase.name} {nodes[figure.position].name}" for figure in figures]


# --- comparisons --------------------------------------------------------------------------------------------------


def test_a_comparison_is_kept_with_what_was_asked_and_found(context: Context, graph: str, ours: str) -> None:
    slip = record(context, graph, gradients=SLIP)
    compared, new = create_comparison(context, ours, slip, tolerance={"rtol": 1e-6}, names={"a": "a"})
    assert new
    again = get_comparison(context, compared.record.id)
    assert again.record == compared.record
    assert (again.record.baseline_id, again.record.candidate_id) == (ours, slip)
    assert (again.record.tolerance, again.record.names) == ({"rtol": 1e-6}, {"a": "a"})
    assert (again.record.verdict, again.record.backward) == ("differ", True)
    assert again.record.counts == {"same": 5, "origin": 2, "inherited": 4, "compensated": 0, "convention": 0}
    assert verdicts(again) == verdicts(compared)
    assert [name for name, verdict in verdicts(again).items() if verdict == "origin"] == ["backward f", "backward d"]
    assert compare(context, ours, ours).record.verdict == "same"


def test_a_comparison_is_computed_once_and_again_after_a_restart(context: Context, graph: str, ours: str) -> None:
    compared = compare(context, ours, record(context, graph, gradients=SLIP))
    again = get_comparison(context, compared.record.id)
    assert again.found is compared.found
    assert again.listing("differences", "relative_error") is compared.listing("differences", "relative_error")
    restarted = get_comparison(Context(context.database, context.limits), compared.record.id)
    assert restarted.found is not compared.found
    assert verdicts(restarted) == verdicts(compared)
    for order in ("topological", "relative_error"):
        assert names(restarted, None, order) == names(compared, None, order)


def test_comparisons_are_listed_by_run(context: Context, graph: str, ours: str) -> None:
    other = record(context, graph, {"e": 6.0})
    first, second = compare(context, ours, other).record, compare(context, other, other).record

    def listed(run: str | None = None, after: str | None = None, limit: int = 10) -> list[Any]:
        return list_comparisons(context, run=run, after=after, limit=limit)

    assert listed() == [second, first]
    assert listed(ours) == [first]
    assert listed(other) == [second, first]
    assert listed(after=second.id) == [first]
    assert listed(limit=1) == [second]


def test_gradients_that_come_later_change_no_comparison(context: Context, graph: str) -> None:
    runs = [create_run(context, graph, INPUTS, backward=False, tags={}).record.id for _ in range(2)]
    compared = compare(context, *runs)
    assert (compared.record.backward, compared.record.verdict) == (False, "same")
    before = verdicts(compared)
    run_backward(context, runs[0])
    run_backward(context, runs[1], seed=np.array(2.0))
    again = get_comparison(context, compared.record.id)
    assert verdicts(again) == before
    assert again.record == compared.record
    with pytest.raises(InvalidRequest, match="different seeds"):
        compare(context, *runs)


def test_of_many_origins_the_first_hundred_are_explained(context: Context) -> None:
    wide = "; ".join(f"y{position} = x + {position + 1}" for position in range(120))
    graph = create_graph(context, "wide", expression=wide, tags={})[0].id
    run = create_run(context, graph, {"x": np.array(1.0)}, backward=False, tags={}).record.id
    wrong = record(
        context, graph, {f"y{position}": -(position + 2.0) for position in range(120)}, inputs={"x": np.array(1.0)}
    )
    origins = explained_origins(compare(context, run, wrong).found)
    assert len(origins) == 120
    assert [len(origin.hypotheses) > 0 for origin in origins] == [True] * 100 + [False] * 20


def test_the_first_difference_is_an_origin_or_rounding(context: Context, graph: str, ours: str) -> None:
    assert explained_first_difference(compare(context, ours, ours).found) is None
    slip = explained_first_difference(compare(context, ours, record(context, graph, gradients=SLIP)).found)
    assert slip is not None
    assert slip.hypotheses[0].name == "reciprocal of the local gradient"
    rounded = {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0, "e": 6.0, "f": -12.0, "F": 4.000001}
    half = record(context, graph, rounded, dtype="float32")
    grown = explained_first_difference(compare(context, ours, half, tolerance="float64").found)
    assert grown is not None
    assert [hypothesis.name for hypothesis in grown.hypotheses] == ["rounding"]


def test_views_of_the_figures(context: Context, graph: str, ours: str) -> None:
    compared = compare(context, ours, record(context, graph, gradients=SLIP))
    values = [f"forward {name}" for name in "abcd"]
    gradients = [f"backward {name}" for name in ("F", "f", "e", "d", "c", "b", "a")]
    assert names(compared) == values + gradients
    assert names(compared, "differences") == gradients[1:]
    assert names(compared, "origins") == ["backward f", "backward d"]
    # The relative errors: d 80, the others 8, those of the rest 0.
    by_error = names(compared, None, "relative_error")
    assert by_error[0] == "backward d"
    assert set(by_error[1:6]) == {f"backward {name}" for name in "fecba"}
    assert by_error[6:] == [*values, "backward F"]
    assert names(compared, "origins", "relative_error") == ["backward d", "backward f"]


def test_tensors_are_ordered_by_the_error_that_is_shown(context: Context) -> None:
    graph = create_graph(context, "t", expression="p = x; q = y; r = z", tags={})[0].id
    inputs = {"x": np.array([1e9, 1.0]), "y": np.array([1.0, 1.0]), "z": np.zeros(0)}
    run = create_run(context, graph, inputs, backward=False, tags={}).record.id
    wrong = inputs | {"x": np.array([1e9 + 0.1, 1.5]), "y": np.array([1.0, 1.25])}
    compared = compare(context, run, create_run(context, graph, wrong, backward=False, tags={}).record.id)
    assert names(compared, "origins", "relative_error") == ["forward x", "forward y"]
    assert names(compared, None, "relative_error")[:2] == ["forward x", "forward p"]
    assert names(compared, None, "relative_error")[-2:] == ["forward z", "forward r"]


def test_what_cannot_be_compared_is_not_kept(context: Context, graph: str, ours: str) -> None:
    with pytest.raises(NotFound, match="no run"):
        compare(context, ours, "nothing")
    with pytest.raises(NotFound, match="no run"):
        compare(context, "nothing", ours)
    with pytest.raises(InvalidRequest, match="no figure in common"):
        compare(context, record(context, graph, {"e": 1.0}, inputs={}), record(context, graph, {"f": 1.0}, inputs={}))
    with pytest.raises(InvalidRequest, match="no node 'x'"):
        compare(context, ours, ours, names={"x": "a"})
    with pytest.raises(InvalidRequest, match="a tolerance is one of"):
        compare(context, ours, ours, tolerance="float8")
    with pytest.raises(NotFound, match="no comparison"):
        get_comparison(context, "nothing")
    small = Context(context.database, Limits(run_elements=6))
    with pytest.raises(LimitExceeded, match="at most 6 elements"):
        compare(small, ours, record(context, graph, {"e": 6.0}))
    assert list_comparisons(context, run=None, after=None, limit=10) == []


def test_two_versions_are_compared(context: Context, graph: str, ours: str) -> None:
    second = create_graph(context, "g", expression="s = a + b; f = s + c; F = f / d", tags={})[0].id
    other = create_run(context, second, INPUTS, tags={}).record.id
    compared = compare(context, ours, other, names={"s": "e"})
    assert (compared.found.only_in_baseline, compared.found.only_in_candidate) == ((), ())
    assert [hypothesis.name for hypothesis in explained_origins(compared.found)[0].hypotheses] == ["definition"]
    again = get_comparison(context, compared.record.id)
    assert verdicts(again) == verdicts(compared)


def test_under_one_key_a_comparison_is_kept_once(context: Context, ours: str) -> None:
    key = IdempotencyKey("k", "f")
    first, new = create_comparison(context, ours, ours, names={}, key=key)
    again, newer = create_comparison(context, ours, ours, names={}, key=key)
    assert (new, newer) == (True, True)  # the answer is the first one's
    assert again.record == first.record
    assert len(list_comparisons(context, run=None, after=None, limit=10)) == 1
    with pytest.raises(KeyReused):
        create_comparison(context, ours, ours, names={}, key=IdempotencyKey("k", "another"))


# --- tolerances ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        *TOLERANCES.items(),
        ({"rtol": 1e-3}, Tolerance(1e-3, 0.0)),
        ({"atol": 2}, Tolerance(0.0, 2.0)),
        ({"rtol": 0, "atol": 1e300}, Tolerance(0.0, 1e300)),
    ],
)
def test_tolerances(given: Any, read: Tolerance) -> None:
    assert read_tolerance(given) == read


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("float8", ("tolerance",)),
        ({}, ("tolerance",)),
        ({"rtol": 1.0, "ulps": 3}, ("tolerance",)),
        ([1.0], ("tolerance",)),
        (None, ("tolerance",)),
        (1e-3, ("tolerance",)),
        ({"rtol": -1e-3}, ("tolerance", "rtol")),
        ({"rtol": 1.0, "atol": "1"}, ("tolerance", "atol")),
        ({"atol": True}, ("tolerance", "atol")),
        ({"atol": None}, ("tolerance", "atol")),
        ({"atol": float("nan")}, ("tolerance", "atol")),
        ({"atol": float("inf")}, ("tolerance", "atol")),
    ],
)
def test_what_is_no_tolerance(given: Any, where: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_tolerance(given)
    assert [fault.location for fault in caught.value.faults] == [where]


# --- claims -------------------------------------------------------------------------------------------------------


def claims(given: Mapping[str, Any]) -> dict[str, Claim]:
    """Claims from numbers, lists and texts."""
    read = {}
    for name, figure in given.items():
        value, slack = read_number(figure) if isinstance(figure, str) else (figure, np.zeros(np.shape(figure)))
        read[name] = Claim(np.asarray(value, dtype=np.float64), np.asarray(slack, dtype=np.float64))
    return read


def check(context: Context, graph: str, values: Any = (), gradients: Any = (), **options: Any) -> tuple[Compared, bool]:
    """Check claims about the seed example."""
    given = {"values": claims(dict(values)), "gradients": claims(dict(gradients))}
    return check_claims(context, graph, options.pop("inputs", INPUTS), **given, by="the tutorial", **options)


def kept(context: Context) -> tuple[int, int]:
    """How many runs and comparisons are kept."""
    runs = list_runs(context, graph=None, label=None, tag=None, recorded_by=None, after=None, limit=100)
    return len(runs), len(list_comparisons(context, run=None, after=None, limit=100))


def test_claims_are_run_recorded_and_compared(context: Context, graph: str) -> None:
    compared, new = check(context, graph, {"e": 6}, SLIP)
    assert new and kept(context) == (2, 1)
    found = verdicts(compared)
    assert [name for name, verdict in found.items() if verdict == "origin"] == ["backward f", "backward d"]
    assert [name for name, verdict in found.items() if verdict == "inherited"] == [
        "backward e",
        "backward c",
        "backward b",
        "backward a",
    ]
    baseline, candidate = (get_run(context, run) for run in (compared.record.baseline_id, compared.record.candidate_id))
    assert (baseline.record.source, candidate.record.source) == ("computed", "recorded")
    assert (candidate.record.recorded_by, candidate.record.has_values) == ("the tutorial", True)
    assert baseline.gradients is not None and baseline.gradients.present is None
    assert verdicts(get_comparison(context, compared.record.id)) == found


def test_a_claim_of_values_needs_no_backward_pass(context: Context) -> None:
    graph = create_graph(context, "two", expression="p = x * 2; q = x * 3", tags={})[0].id
    compared, _ = check(context, graph, {"p": "2.0", "q": 3.5}, inputs={"x": np.array(1.0)})
    assert not compared.record.backward
    found = verdicts(compared)
    assert (found["forward p"], found["forward q"]) == ("same", "origin")
    assert get_run(context, compared.record.baseline_id).gradients is None


def test_rounded_claims_are_right_to_their_last_digit(context: Context, graph: str) -> None:
    compared, _ = check(context, graph, {}, {"f": "-0.333", "d": "4/3", "e": "0.667", "a": "0.66", "b": "0.67"})
    differing = {name for name, verdict in verdicts(compared).items() if verdict != "same"}
    assert differing == {"backward a"}


def test_output_seed_and_tolerance_are_passed_on(context: Context, graph: str) -> None:
    compared, _ = check(
        context, graph, {}, {"e": -4.01, "f": 2}, output="f", seed=np.array(2.0), tolerance={"rtol": 0.1}
    )
    assert (compared.record.verdict, compared.record.tolerance) == ("same", {"rtol": 0.1})
    run = get_run(context, compared.record.baseline_id).record
    assert run.output == "f" and run.seed is not None and float(run.seed) == 2.0


@pytest.mark.parametrize(
    ("values", "gradients", "location"),
    [
        ({"x": 1.0}, {}, ("claims", "values", "x")),
        ({}, {"x": 1.0}, ("claims", "gradients", "x")),
        ({}, {}, ("claims",)),
        ({"e": [1.0, 2.0]}, {}, ("claims", "values", "e")),
        ({"a": [1.0, 2.0]}, {}, ("claims", "values", "a")),
        ({}, {"a": [1.0, 2.0]}, ("claims", "gradients", "a")),
    ],
)
def test_nothing_is_kept_of_claims_that_are_refused(
    context: Context, graph: str, values: Any, gradients: Any, location: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInputs) as caught:
        check(context, graph, values, gradients)
    assert caught.value.faults[0].location == location
    with pytest.raises(InvalidRequest):
        check(context, graph, {"e": 1.0}, tolerance="none")
    with pytest.raises(InvalidInputs):
        check(context, graph, {"e": 1.0}, inputs={"a": np.array(1.0)})
    with pytest.raises(InvalidRequest):
        check(context, graph, {}, {"e": 1.0}, output="x")
    with pytest.raises(NotFound):
        check(context, "nothing", {"e": 1.0})
    assert kept(context) == (0, 0)


def test_under_one_key_claims_are_checked_once(context: Context, graph: str) -> None:
    key = IdempotencyKey("k", "f")
    first, _ = check(context, graph, {"e": 6}, key=key)
    again, new = check(context, graph, {"e": 6}, key=key)
    assert new and again.record == first.record
    assert kept(context) == (2, 1)
    assert verdicts(again) == verdicts(first)
    with pytest.raises(KeyReused):
        check(context, graph, {"e": 6}, key=IdempotencyKey("k", "another"))
    assert kept(context) == (2, 1)
    # A key of another request is no part of this one's.
    check(context, graph, {"e": 6}, key=IdempotencyKey("k run", "f"))
    assert kept(context) == (4, 2)
