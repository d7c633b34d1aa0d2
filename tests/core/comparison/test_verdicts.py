"""The rule for origins, on mistakes that were planted."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from service.core.comparison.error_measures import minimum_tolerance
from service.core.comparison.first_difference import rounding
from service.core.comparison.judging import compare
from service.core.comparison.listing import explained_origins
from service.core.comparison.replay import replay_gradients, replay_values
from service.core.comparison.rounding import Weights
from service.core.comparison.verdicts import TOLERANCES, Comparison, Tolerance, Verdict, first_difference
from service.core.errors import InvalidRequest, LimitExceeded
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Operation
from tests.elementwise import BROADCAST_SHAPES, ELEMENTWISE, attribute_samples
from tests.examples import examples
from tests.planted import (
    SEED,
    SEED_INPUTS,
    altered,
    gradients_of,
    graph_of,
    judge,
    named,
    only,
    origins,
    run_of,
    swept,
    tame_graph,
    values_of,
    verdicts,
)
from tests.random_graphs import Point, points

NAN, INF = float("nan"), float("inf")
SLIP = {"F": 1.0, "f": -3.0, "d": 108.0, "e": 6.0, "c": -18.0, "a": 6.0, "b": 6.0}


@pytest.fixture(scope="module")
def seed_graph() -> Graph:
    return graph_of(SEED)


@pytest.fixture(scope="module")
def right(seed_graph: Graph) -> Run:
    return run_of(seed_graph, SEED_INPUTS)


def faults(*sides: Run, **options: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a comparison that is refused."""
    with pytest.raises(InvalidRequest) as caught:
        judge(*sides, **options)
    return [(fault.location, fault.detail) for fault in caught.value.faults]


# --- single mistakes ----------------------------------------------------------------------------------------------


def test_the_tutorials_slip(seed_graph: Graph, right: Run) -> None:
    tutorial = only(altered(right, gradients=SLIP), values=seed_graph.inputs, gradients=tuple(SLIP))
    found = judge(right, tutorial)
    assert not found.same
    assert origins(found, seed_graph) == [("backward", "f"), ("backward", "d")]
    expected = dict.fromkeys("ecab", "inherited") | {"f": "origin", "d": "origin", "F": "same"}
    assert verdicts(found, seed_graph) == {"forward": dict.fromkeys("abcd", "same"), "backward": expected}
    assert found.backward is not None
    replayed = named(seed_graph, found.backward.expected)
    assert [float(replayed[name]) for name in "Fdecab"] == pytest.approx([1, 4 / 3, 6, -18, 6, 6], rel=1e-15)


def test_a_run_is_the_same_as_itself(seed_graph: Graph, right: Run) -> None:
    for tolerance in ("exact", "float64", "float32"):
        found = judge(right, run_of(seed_graph, SEED_INPUTS), tolerance)
        assert found.same and first_difference(found) is None
        assert set(verdicts(found, seed_graph)["forward"].values()) == {"same"}
        assert len(verdicts(found, seed_graph)["backward"]) == 7


def test_a_wrong_value_early_in_a_chain_is_the_only_origin() -> None:
    graph = graph_of("p = x * y; q = sin(p); r = q + y; s = r * r; F = exp(s)")
    inputs = {"x": 0.3, "y": 0.5}
    found = judge(run_of(graph, inputs), run_of(graph, inputs, values={"q": lambda value: value + 0.01}))
    assert origins(found, graph) == [("forward", "q")]
    assert verdicts(found, graph)["forward"] == {
        **dict.fromkeys(["x", "y", "p"], "same"),
        "q": "origin",
        **dict.fromkeys("rsF", "inherited"),
    }
    # The gradients rest on the wrong values, and on nothing else that is wrong.
    assert set(verdicts(found, graph)["backward"].values()) == {"same", "inherited"}
    assert verdicts(found, graph)["backward"]["F"] == "same"


def test_two_mistakes_that_cancel() -> None:
    graph = graph_of("p = x * x; q = p + y; F = exp(q)")
    inputs = {"x": 0.3, "y": 0.5}
    planted = {"p": lambda value: value + 0.25, "q": lambda value: value - 0.25}
    found = judge(run_of(graph, inputs), run_of(graph, inputs, values=planted))
    assert origins(found, graph) == [("forward", "p")]
    assert verdicts(found, graph)["forward"] == {
        "x": "same",
        "y": "same",
        "p": "origin",
        "q": "compensated",
        "F": "same",
    }
    assert not found.same


def test_inputs_that_differ_are_the_origins(seed_graph: Graph, right: Run) -> None:
    found = judge(right, run_of(seed_graph, SEED_INPUTS | {"a": 4.0, "c": 1.0}))
    assert origins(found, seed_graph) == [("forward", "a"), ("forward", "c")]
    assert verdicts(found, seed_graph)["forward"] == {
        **dict.fromkeys("ac", "origin"),
        **dict.fromkeys("bd", "same"),
        **dict.fromkeys("efF", "inherited"),
    }
    assert found.forward is not None
    assert float(named(seed_graph, found.forward.expected)["a"]) == 5.0


def test_a_constant_that_differs_in_the_recording_is_an_origin() -> None:
    graph = graph_of("y = x * 2")
    found = judge(run_of(graph, {"x": 3.0}), run_of(graph, {"x": 3.0}, values={"constant_1": 4.0}))
    assert origins(found, graph) == [("forward", "constant_1")]
    assert verdicts(found, graph)["backward"] == {"x": "inherited", "y": "same"}


@pytest.mark.parametrize("x", [0.0, [0.0, 1.0]])
@pytest.mark.parametrize("gradients", [None, ["x", "F"]])
def test_what_does_not_reach_the_output_is_no_origin_however_steep(x: Any, gradients: list[str] | None) -> None:
    graph = graph_of("r = sqrt(x); w = r * 3; F = x * 2", ["F"])
    run = run_of(graph, {"x": np.array(x)})
    candidate = run if gradients is None else only(run, values=["x"], gradients=gradients)
    found = judge(run, candidate)
    assert found.same
    assert set(verdicts(found, graph)["backward"].values()) == {"same"}


def test_a_gradient_recorded_where_nothing_flows_is_an_origin() -> None:
    graph = graph_of("w = x * 3; F = x * 2", ["F"])
    found = judge(run_of(graph, {"x": 1.0}), run_of(graph, {"x": 1.0}, gradients={"w": 1.0}))
    assert origins(found, graph) == [("backward", "w")]


# --- random graphs of a thousand nodes ----------------------------------------------------------------------------

GRAPHS, TRIALS = examples(30), examples(50)
WEIGHTS = Weights(1e-9, 16 * 2.0**-53)  # the float64 tolerance
each_tame_graph = pytest.mark.parametrize("seed", range(GRAPHS))


def vast(graph: Graph, inputs: dict[str, float]) -> Run:
    """A run of a graph of a thousand nodes."""
    assert len(graph) >= 1000
    return run_of(graph, inputs)


def columns(figures: list[Any]) -> list[Figures]:
    """One run's figures for each trial, of each node's figures for all trials."""
    return [Figures(column) for column in np.array(np.broadcast_arrays(*figures)).T.copy()]


def flip(positions: Any) -> Any:
    """A mistake: in each trial the sign of the figure at its place."""

    def mistake(position: int, figure: Any) -> Any:
        return np.where(positions == position, -figure, figure)

    return mistake


def choose(random: np.random.Generator, figures: Figures, slack: Any, atol: float) -> Any:
    """A place for each trial, of those whose flipped figure is outside both tolerances."""
    shift = 2 * np.abs(figures.flat)
    clear = (shift > atol + 1e-9 * np.abs(figures.flat)) & (shift > atol + slack)
    assert clear.sum() > 0.9 * len(clear)
    return random.choice(np.flatnonzero(clear), TRIALS)


@each_tame_graph
def test_one_flipped_value_is_the_only_origin(seed: int) -> None:
    graph, inputs = tame_graph(seed)
    right = vast(graph, inputs)
    slack = replay_values(graph, right.values, WEIGHTS).slack
    positions = choose(np.random.default_rng(seed), right.values, slack, 1e-12)
    wrong = values_of(graph, {name: np.full(TRIALS, x) for name, x in inputs.items()}, flip(positions))
    slopes = gradients_of(graph, wrong, graph.outputs[0])
    for position, values, gradients in zip(positions, columns(wrong), columns(slopes), strict=True):
        found = judge(right, swept(replace(right, values=values), gradients=gradients))
        assert origins(found, graph) == [("forward", graph.nodes[position].name)]


@each_tame_graph
def test_one_flipped_gradient_is_the_only_origin(seed: int) -> None:
    graph, inputs = tame_graph(seed)
    right = vast(graph, inputs)
    assert right.gradients is not None
    output = graph.outputs[0]
    slack = replay_gradients(graph, right.values, right.gradients, output, np.float64(1.0), WEIGHTS).slack
    positions = choose(np.random.default_rng(seed), right.gradients, slack, 1e-12)
    values = values_of(graph, {name: np.full(TRIALS, x) for name, x in inputs.items()})
    for position, gradients in zip(
        positions, columns(gradients_of(graph, values, output, flip(positions))), strict=True
    ):
        found = judge(right, swept(right, gradients=gradients))
        assert origins(found, graph) == [("backward", graph.nodes[position].name)]
        assert found.forward is not None and not found.forward.positions(Verdict.INHERITED, Verdict.COMPENSATED)


@pytest.mark.parametrize("text", ["L = sum(x * [1, 2])", "L = softmax_cross_entropy([x], [1])", "L = x @ [1, 2]"])
def test_a_constant_of_any_shape_has_no_gradient_to_be_judged(text: str) -> None:
    run = run_of(graph_of(text), {"x": [3.0, 4.0]})
    found = judge(run, run)
    assert found.backward is not None
    assert {name for phase in verdicts(found, run.graph).values() for name in phase.values()} == {"same"}
    assert origins(judge(run, altered(run, gradients={"x": [1.0, 5.0]})), run.graph) == [("backward", "x")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(examples(6)))
@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_with_half_the_nodes_unrecorded_the_first_recorded_wrong_figure_is_an_origin(phase: str, seed: int) -> None:
    graph, inputs = tame_graph(seed, 300)
    right = run_of(graph, inputs)
    random = np.random.default_rng(seed)
    blamed_at_once = 0
    for _ in range(examples(20)):
        position = int(random.integers(len(graph)))
        name = graph.nodes[position].name
        mistake = {name: lambda figure: figure + 1.0}
        whole = run_of(graph, inputs, **{"values" if phase == "forward" else "gradients": mistake})
        recorded = [node.name for node in graph.nodes if random.random() < 0.5]
        found = judge(right, only(whole, values=recorded, gradients=recorded))
        related = descendants(graph, position) if phase == "forward" else ancestors(graph, position)
        blamed = [graph.position[node] for where, node in origins(found, graph) if where == phase]
        assert set(blamed) <= related
        judged = found.forward if phase == "forward" else found.backward
        assert judged is not None
        wrong = judged.positions(Verdict.ORIGIN, Verdict.INHERITED)
        if wrong:
            assert blamed[0] == wrong[0]
        if name in recorded:
            assert blamed == [position]
            blamed_at_once += 1
    assert blamed_at_once


def descendants(graph: Graph, position: int) -> set[int]:
    """A node and all that rests on it."""
    found = {position}
    for later in range(position, len(graph)):
        if found & set(graph.operands[later]):
            found.add(later)
    return found


def ancestors(graph: Graph, position: int) -> set[int]:
    """A node and all that it rests on."""
    found = {position}
    for earlier in range(position, -1, -1):
        if earlier in found:
            found.update(graph.operands[earlier])
    return found


@pytest.mark.parametrize("seed", range(4))
def test_of_two_mistakes_at_once_each_is_an_origin_or_compensated(seed: int) -> None:
    graph, inputs = tame_graph(seed)
    right = run_of(graph, inputs)
    random = np.random.default_rng(seed)
    assert right.gradients is not None
    slack = replay_values(graph, right.values, WEIGHTS).slack
    pairs = np.stack([choose(random, right.values, slack, 1e-12) for _ in range(2)])
    wrong = values_of(
        graph,
        {name: np.full(TRIALS, x) for name, x in inputs.items()},
        lambda position, figure: np.where((pairs == position).any(axis=0), -figure, figure),
    )
    for pair, values in zip(pairs.T, columns(wrong), strict=True):
        found = judge(right, replace(right, values=values))
        assert found.forward is not None
        for position in pair:
            flipped = abs(2 * values.flat[position]) > 1e-8
            verdict = found.forward.verdicts[position]
            assert verdict in (Verdict.ORIGIN, Verdict.COMPENSATED) or not flipped
        assert set(found.forward.positions(Verdict.ORIGIN, Verdict.COMPENSATED)) <= set(map(int, pair))


# --- rounding is nobody's fault -----------------------------------------------------------------------------------


# SciPy has no error function of more digits.
ONLY_FLOAT64 = {"Erf", "Erfc", "Gelu"}


def rounded(point: Point, **options: Any) -> tuple[Run, Run]:
    """A run in float64, and the same computed otherwise, at inputs that float32 can hold."""
    inputs = {name: np.asarray(figure, dtype=np.float32) for name, figure in point.inputs.items()}
    return tuple(run_of(point.graph, inputs, output=point.output, **kind) for kind in ({}, options))


@settings(max_examples=examples(150))
@given(points(shapes=BROADCAST_SHAPES, largest_graph=12))
def test_a_run_in_float32_has_no_origin_in_float64(point: Point) -> None:
    baseline, candidate = rounded(point, dtype="float32")
    found = judge(baseline, candidate)
    assert origins(found, point.graph) == []
    first = first_difference(found)
    assert (first is None) == found.same
    if first is not None:
        hypothesis = rounding(found, *first, candidate)
        assert hypothesis.name == "rounding"
        assert "rounding errors below the tolerance grew" in hypothesis.sentence


@np.errstate(all="ignore")
def takes_longdouble(operation: Operation) -> bool:
    """SciPy's functions do not."""
    operands = [np.longdouble(0.5)] * max(1, operation.least_inputs)
    try:
        operation.evaluate(operands, next(attribute_samples(operation)))
    except TypeError:
        return False
    return True


WITH_MORE_DIGITS = tuple(filter(takes_longdouble, ELEMENTWISE))


@settings(max_examples=examples(80))
@given(points(shapes=BROADCAST_SHAPES, rulebook=WITH_MORE_DIGITS, largest_graph=12))
def test_a_run_with_more_digits_has_no_origin_in_float64(point: Point) -> None:
    assume(not any(node.operation.name in ONLY_FLOAT64 for node in point.graph.nodes))
    baseline, candidate = rounded(point, kind=np.longdouble)
    for tolerance in ("float64", Tolerance(0.0, 0.0)):
        assert origins(judge(baseline, candidate, tolerance), point.graph) == []


def test_errors_below_the_tolerance_that_grew_are_inherited_from_nobody() -> None:
    graph = graph_of("p = x + y; q = p - y; F = q * 1e9")
    inputs = {"x": np.float32(1e-3), "y": np.float32(3.0)}
    baseline, candidate = run_of(graph, inputs), run_of(graph, inputs, dtype="float32")
    found = judge(baseline, candidate)
    assert origins(found, graph) == [] and not found.same
    first = first_difference(found)
    assert first is not None and graph.nodes[first[1]].name == "p"
    # Were it said to be float64, its rounding would be a mistake.
    assert origins(judge(baseline, replace(candidate, dtype="float64")), graph)[0] == ("forward", "p")


def test_a_local_gradient_whose_own_formula_cancels_is_nobodys_fault() -> None:
    graph = graph_of("h = tanh(x); F = h * y")
    inputs = {"x": np.float32(6.0), "y": np.float32(3.0)}
    right, single = run_of(graph, inputs), run_of(graph, inputs, dtype="float32")
    h = np.tanh(np.float32(6.0))
    cancelled = np.float32(3.0) * (np.float32(1.0) - h * h)
    found = judge(right, altered(single, gradients={"x": cancelled}))
    assert found.backward is not None
    slope = float(named(graph, right.gradients)["x"])
    assert abs(cancelled - slope) > 32 * 2.0**-24 * slope  # more than the magnitude of the contribution excuses
    assert verdicts(found, graph)["backward"]["x"] == "inherited"
    far = altered(single, gradients={"x": slope + 32 * 2.0**-24 * 3.0})
    assert verdicts(judge(right, far), graph)["backward"]["x"] == "origin"


# --- tolerances ---------------------------------------------------------------------------------------------------

WIDEST = Tolerance(1e300, 1e300)


@pytest.mark.parametrize(
    ("candidate", "baseline", "same_under"),
    [
        (NAN, NAN, {"exact", "float64", "float32", WIDEST}),
        (INF, INF, {"exact", "float64", "float32", WIDEST}),
        (-INF, -INF, {"exact", "float64", "float32", WIDEST}),
        (INF, -INF, set()),
        (INF, 1.7e308, set()),
        (1.7e308, INF, set()),
        (NAN, 1.0, set()),
        (1.0, NAN, set()),
        (NAN, INF, set()),
        (-0.0, 0.0, {"float64", "float32", WIDEST, Tolerance(0.0, 0.0)}),
        (0.0, -0.0, {"float64", "float32", WIDEST, Tolerance(0.0, 0.0)}),
        (1.0 + 2**-52, 1.0, {"float64", "float32", WIDEST}),
        (1.0 + 1e-7, 1.0, {"float32", WIDEST}),
        (2.0, 1.0, {WIDEST}),
        (1e-13, 0.0, {"float64", "float32", WIDEST}),
        (5e-324, -5e-324, {"float64", "float32", WIDEST}),
        (1.7e308, -1.7e308, set()),  # further apart than float64 can say
    ],
)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_special_figures(candidate: float, baseline: float, same_under: set[Any], shape: tuple[int, ...]) -> None:
    graph = graph_of("y = x", ["y"])
    sides = [run_of(graph, {"x": np.full(shape, figure)}) for figure in (baseline, candidate)]
    for tolerance in ("exact", "float64", "float32", WIDEST):
        found = judge(*sides, tolerance)
        same = tolerance in same_under
        assert found.same == same
        assert verdicts(found, graph)["forward"] == {"x": "same" if same else "origin"} | (
            {"y": "same" if same else "inherited"}
        )
    if (candidate, baseline) in ((-0.0, 0.0), (0.0, -0.0)):
        assert judge(*sides, Tolerance(0.0, 0.0)).same


def test_an_infinity_that_follows_is_inherited_and_one_that_does_not_is_an_origin() -> None:
    graph = graph_of("p = exp(x); q = p + 1")
    right = run_of(graph, {"x": 1000.0})
    assert judge(right, run_of(graph, {"x": 1000.0}), "exact").same
    finite = judge(right, run_of(graph, {"x": 1000.0}, values={"p": 1e308}))
    assert verdicts(finite, graph)["forward"] == {"x": "same", "constant_1": "same", "p": "origin", "q": "inherited"}
    undefined = judge(right, run_of(graph, {"x": 1000.0}, values={"p": NAN}))
    assert verdicts(undefined, graph)["forward"]["p"] == "origin"
    assert verdicts(undefined, graph)["forward"]["q"] == "inherited"


def test_exact_asks_for_the_same_bits(seed_graph: Graph, right: Run) -> None:
    nearest = altered(right, gradients={"f": np.nextafter(-1 / 3, 0)})
    assert judge(right, nearest).same
    found = judge(right, nearest, "exact")
    # One unit in the last place is no mistake of its own.
    assert verdicts(found, seed_graph)["backward"]["f"] == "inherited"


def test_bounds_count_from_the_baseline(seed_graph: Graph, right: Run) -> None:
    near = altered(right, values={"c": -2.0 * (1 + 1e-4)})
    assert "c" not in [name for _, name in origins(judge(right, near, Tolerance(1.0001e-4, 0.0)), seed_graph)]
    assert origins(judge(right, near, Tolerance(0.9999e-4, 0.0)), seed_graph) == [("forward", "c")]
    assert verdicts(judge(right, near, Tolerance(0.0, 2.001e-4)), seed_graph)["forward"]["c"] == "same"
    assert verdicts(judge(right, near, Tolerance(0.0, 1.999e-4)), seed_graph)["forward"]["c"] == "origin"


def test_a_tiny_gradients_wrong_sign_does_not_pass() -> None:
    graph = graph_of("F = x * y")
    inputs = {"x": 1.0, "y": 1.0}
    right = run_of(graph, inputs, gradients={"F": 1e-14})
    wrong = run_of(graph, inputs, gradients={"F": 1e-14, "x": lambda gradient: -gradient})
    assert origins(judge(right, wrong), graph) == [("backward", "x")]
    assert judge(right, wrong, Tolerance(0.0, 2.1)).same  # atol counts in the largest gradient
    assert not judge(right, wrong, Tolerance(0.0, 1.9)).same


def test_a_large_gradient_does_not_widen_the_tolerance() -> None:
    graph = graph_of("F = x * 1000000 + y")
    right = run_of(graph, {"x": 1.0, "y": 1.0})
    wrong = run_of(graph, {"x": 1.0, "y": 1.0}, gradients={"y": lambda gradient: gradient + 0.01})
    assert origins(judge(right, wrong, Tolerance(0.0, 1e-3)), graph) == [("backward", "y")]


# --- tensors ------------------------------------------------------------------------------------------------------


def test_a_batch_is_judged_elementwise() -> None:
    graph = graph_of("h = tanh(w * x + b); F = v * h")
    inputs = {"x": np.linspace(-1, 1, 5), "w": 0.7, "b": 0.1, "v": 1.5}

    def one_wrong(figure: Any) -> Any:
        return np.where(np.arange(5) == 3, -figure, figure)

    right = run_of(graph, inputs)
    forward = judge(right, run_of(graph, inputs, values={"h": one_wrong}))
    assert origins(forward, graph) == [("forward", "h")]
    backward = judge(right, run_of(graph, inputs, gradients={"h": one_wrong}))
    assert origins(backward, graph) == [("backward", "h")]
    assert verdicts(backward, graph)["backward"]["w"] == "inherited"  # a sum over the batch
    assert verdicts(backward, graph)["backward"]["v"] == "same"


def test_tensors_that_are_not_recorded_are_replayed() -> None:
    graph = graph_of("p = x * y; q = sin(p); F = q + x")
    inputs = {"x": np.array([[0.1], [0.4]]), "y": np.array([0.5, 1.0, 2.0])}
    right = run_of(graph, inputs)
    wrong = run_of(graph, inputs, values={"p": lambda p: p + np.eye(2, 3)}, gradients={"q": lambda q: 2 * q})
    assert origins(judge(right, only(wrong, values=["x", "y", "F"])), graph) == [("forward", "F")]
    found = judge(right, only(wrong, values=["x", "y", "p", "q", "F"], gradients=["F", "p", "x"]))
    assert origins(found, graph) == [("forward", "p"), ("backward", "p")]
    # The sum for x has the direct part too; that y's gradient is not recorded harms nothing.
    assert verdicts(found, graph)["backward"] == {"F": "same", "p": "origin", "x": "inherited"}


def test_an_empty_batch_is_the_same_as_itself() -> None:
    graph = graph_of("F = x * 2")
    run = run_of(graph, {"x": np.zeros(0)})
    assert judge(run, run_of(graph, {"x": np.zeros(0)}), "exact").same


# --- recordings that leave figures out ----------------------------------------------------------------------------


def test_one_recorded_node_is_judged_alone(seed_graph: Graph, right: Run) -> None:
    for name, other in (("f", "F"), ("F", "a")):
        wrong = only(run_of(seed_graph, SEED_INPUTS, values={"e": 7.0}), values=[name])
        found = judge(right, wrong)
        assert verdicts(found, seed_graph) == {"forward": {name: "origin"}}
        assert other not in verdicts(found, seed_graph)["forward"]
    assert judge(right, only(right, values=["f"])).same
    assert judge(right, only(right, gradients=["f"])).same


def test_gradients_alone_are_replayed_at_the_baselines_inputs(seed_graph: Graph, right: Run) -> None:
    found = judge(right, only(altered(right, gradients=SLIP), gradients=tuple(SLIP)))
    assert found.forward is None
    assert origins(found, seed_graph) == [("backward", "f"), ("backward", "d")]


def test_a_baseline_that_leaves_figures_out_limits_what_is_judged(seed_graph: Graph, right: Run) -> None:
    wrong = run_of(seed_graph, SEED_INPUTS, values={"e": 7.0})
    found = judge(only(right, values=["a", "F"]), wrong)
    assert verdicts(found, seed_graph) == {"forward": {"a": "same", "F": "inherited"}}
    assert origins(found, seed_graph) == [] and not found.same


def test_no_figure_in_common(seed_graph: Graph, right: Run) -> None:
    problem = [(("candidate",), "the two runs give no figure in common")]
    assert faults(only(right, values=["a"]), only(right, values=["f"])) == problem
    assert faults(only(right, values=["a"]), only(right, gradients=["f"])) == problem
    assert faults(only(right, gradients=["a"]), only(right, gradients=["f"])) == problem


@pytest.mark.parametrize("x", [1.0, [1.0, 2.0]])
def test_what_rests_on_a_value_that_nobody_gives_is_held_against_the_baseline_alone(x: Any) -> None:
    graph = graph_of("p = x * y; q = p * p; r = q * p; F = r * y")
    inputs = {"x": np.array(x), "y": 3.0}
    given = ["p", "r", "F"]
    right = only(run_of(graph, inputs), values=given, gradients=given)
    assert judge(right, right).same
    # p rests on x and y and F on y, which nobody knows; q and r follow from p.
    wrong = only(run_of(graph, inputs, values={"p": lambda p: p + 1}), values=given, gradients=given)
    found = judge(right, wrong)
    assert verdicts(found, graph)["forward"] == {"p": "origin", "r": "inherited", "F": "origin"}
    slipped = only(run_of(graph, inputs, gradients={"r": lambda r: 2 * r}), values=given, gradients=given)
    found = judge(right, slipped)
    assert verdicts(found, graph)["backward"] == {"F": "same", "r": "origin", "p": "inherited"}


def test_the_shape_of_an_output_that_nobody_gives_is_its_seeds() -> None:
    graph = graph_of("F = x * w")
    right = run_of(graph, {"x": 2.0, "w": np.array([3.0, 4.0])})
    part = only(right, gradients=["x"])
    assert judge(part, altered(part, gradients={"x": 7.0})).same
    assert origins(judge(part, altered(part, gradients={"x": 8.0})), graph) == [("backward", "x")]


def test_what_only_the_baseline_gives_is_not_known_of_the_candidate() -> None:
    graph = graph_of("p = x * y; q = p * p")
    right = altered(run_of(graph, {"x": 2.0, "y": 3.0}), values={"q": 40.0})
    baseline, candidate = only(right, values=["p", "q"]), only(right, values=["q"])
    assert verdicts(judge(baseline, candidate), graph) == {"forward": {"q": "same"}}


def test_a_gradient_that_nobody_gives_is_not_guessed() -> None:
    graph = graph_of("p = x * y; q = p * z; F = q * w")
    right = run_of(graph, {"x": 1.0, "y": 2.0, "z": 3.0, "w": 4.0})
    # w is unknown, so q's gradient is; p's rests on it, though z is known.
    sparse = only(right, values=["x", "y", "z"], gradients=["p", "x"])
    wrong = altered(sparse, gradients={"p": 13.0, "x": 26.0})
    assert judge(sparse, sparse).same
    assert verdicts(judge(sparse, wrong), graph)["backward"] == {"p": "origin", "x": "inherited"}


def test_a_consumer_that_leads_nowhere_makes_no_gradient_doubtful() -> None:
    graph = graph_of("p = x * 2; side = p * y; F = p * 3", ["F"])
    right = only(run_of(graph, {"x": 1.0, "y": 2.0}), values=["x"], gradients=["F", "p", "x"])
    wrong = altered(right, gradients={"p": 4.0, "x": 8.0})
    assert verdicts(judge(right, wrong), graph)["backward"] == {"F": "same", "p": "origin", "x": "inherited"}


# --- shapes, seeds and outputs that do not fit --------------------------------------------------------------------


def test_shapes_that_differ_are_refused(seed_graph: Graph, right: Run) -> None:
    batch = run_of(seed_graph, SEED_INPUTS | {"a": np.array([5.0, 6.0])})
    assert faults(right, batch) == [
        (("candidate",), f"{name!r} has shape [2]; in the baseline []") for name in ("a", "e", "f", "F")
    ]
    wrong_gradient = only(altered(right, gradients={"f": [1.0, 2.0]}), gradients=["f"])
    assert faults(right, wrong_gradient) == [(("candidate",), "'f' has shape [2]; in the baseline []")]


def test_shapes_that_do_not_fit_one_another_are_refused(seed_graph: Graph, right: Run) -> None:
    one = only(right, values=["a"])
    clash = only(altered(right, values={"e": [1.0, 2.0], "c": [1.0, 2.0, 3.0]}), values=["a", "e", "c"])
    ((location, detail),) = faults(one, clash)
    assert location == ("candidate",)
    assert detail.startswith("'f' (Mul) cannot take shapes [2], [3]")
    jump = only(altered(right, values={"e": [1.0, 2.0], "f": [1.0, 2.0], "F": 1.0, "d": 1.0}), values=list("aefFd"))
    assert faults(one, jump) == [(("candidate",), "'F' has shape [2]; the figure has []")]
    slope = only(altered(right, values={"e": [1.0, 2.0]}), values=["a", "e"], gradients=["e"])
    assert faults(replace(one, backward=right.backward), slope) == [
        (("candidate",), "'e' has shape [2]; its gradient []")
    ]


def test_values_that_follow_are_limited() -> None:
    graph = graph_of("z = x + y")
    whole = run_of(graph, {"x": np.zeros((100, 1)), "y": np.zeros((1, 100))})
    part = only(whole, values=["x", "y"])
    assert judge(part, part).same
    with pytest.raises(LimitExceeded, match="at most 10000 elements"):
        judge_with_limit(part, 10_000)
    assert judge_with_limit(part, 10_200).same


def judge_with_limit(run: Run, most: int) -> Comparison:
    """A comparison of a run with itself, under a limit."""
    return compare(run, run, TOLERANCES["float64"], max_elements=most)


def test_gradients_of_different_outputs_or_seeds_are_refused(seed_graph: Graph, right: Run) -> None:
    other = run_of(seed_graph, SEED_INPUTS, output="f")
    assert faults(right, other) == [(("candidate",), "the candidate's gradients are of 'f', the baseline's of 'F'")]
    seeds = [(("candidate",), "the two runs' gradients have different seeds")]
    for seed in (np.array(2.0), np.array(NAN), np.array([1.0, 2.0])):
        assert faults(right, swept(right, seed=seed)) == seeds
    undefined = swept(right, seed=np.array(NAN))
    assert judge(undefined, replace(undefined), Tolerance(0.0, 0.0)).forward is not None
    batch = run_of(seed_graph, SEED_INPUTS | {"a": np.array([5.0, 6.0])})
    assert judge(batch, swept(batch, seed=np.array(1.0))).same
    assert faults(batch, swept(batch, seed=np.ones(3))) == seeds
    # Values alone have neither.
    assert judge(right, replace(other, backward=None)).same


# --- two versions of a graph --------------------------------------------------------------------------------------


def test_versions_are_aligned_by_name(seed_graph: Graph, right: Run) -> None:
    longer = graph_of("e = a + b; f = e * c; F = f / d; G = F * extra", ["F"])
    found = judge(right, run_of(longer, SEED_INPUTS | {"extra": 2.0}))
    assert found.same
    assert (found.only_in_baseline, found.only_in_candidate) == ((), ("extra", "G"))
    back = judge(run_of(longer, SEED_INPUTS | {"extra": 2.0}), right)
    assert back.same
    assert (back.only_in_baseline, back.only_in_candidate) == (("extra", "G"), ())


def test_names_map_the_candidates_nodes_to_the_baselines(right: Run) -> None:
    renamed = graph_of("sum = first + b; f = sum * c; F = f / d")
    inputs = {"first": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}
    run = run_of(renamed, inputs, values={"sum": 7.0})
    assert judge(right, run).only_in_candidate == ("first", "sum")
    found = judge(right, run, names={"sum": "e", "first": "a"})
    assert (found.only_in_baseline, found.only_in_candidate) == ((), ())
    assert origins(found, renamed) == [("forward", "sum")]
    assert set(verdicts(found, renamed)["forward"]) == {"first", "b", "c", "d", "sum", "f", "F"}
    outer = graph_of("e = a + b; f = e * c; out = f / d")
    assert judge(right, run_of(outer, SEED_INPUTS), names={"out": "F"}).same


def test_names_that_lead_nowhere_are_refused(right: Run) -> None:
    assert faults(right, right, names={"x": "a", "a": "y"}) == [
        (("names", "x"), "the candidate has no node 'x'"),
        (("names", "a"), "the baseline has no node 'y'"),
    ]
    twice = [(("names",), "two nodes of the candidate are mapped to one of the baseline")]
    assert faults(right, right, names={"a": "e", "b": "e"}) == twice


def test_a_node_defined_otherwise_whose_figure_differs_is_an_origin(right: Run) -> None:
    changed = graph_of("e = a + b; f = e + c; F = f / d")
    found = judge(right, run_of(changed, SEED_INPUTS))
    assert verdicts(found, changed) == {
        "forward": {**dict.fromkeys("abcde", "same"), "f": "origin", "F": "inherited"},
        "backward": {"F": "same", "f": "same", "d": "inherited", "e": "origin", "c": "origin"}
        | dict.fromkeys("ab", "inherited"),
    }
    assert [changed.nodes[position].name for position in found.alignment.cuts] == ["f"]
    assert found.forward is not None
    assert float(named(changed, found.forward.expected)["f"]) == -12.0


def test_a_node_defined_otherwise_whose_figure_is_the_same_is_no_origin(right: Run) -> None:
    turned = graph_of("e = b + a; f = e * c; F = f / d")
    found = judge(right, run_of(turned, SEED_INPUTS))
    assert found.same
    assert [turned.nodes[position].name for position in found.alignment.cuts] == ["e"]


def test_a_gradient_whose_consumers_differ_is_an_origin_if_it_differs() -> None:
    once, twice = graph_of("p = a * b; F = p + c"), graph_of("p = a * b; q = p + a; F = q + c")
    inputs = {"a": 2.0, "b": 3.0, "c": 4.0}
    found = judge(run_of(once, inputs), run_of(twice, inputs))
    assert verdicts(found, twice) == {
        "forward": {**dict.fromkeys("abcp", "same"), "F": "origin"},
        "backward": {**dict.fromkeys("Fcpb", "same"), "a": "origin"},
    }
    assert found.only_in_candidate == ("q",)


def test_a_missing_detach_is_seen_before_a_gradient_that_is_not_recorded() -> None:
    detached = graph_of("v = w * x; e = r - v; p = c * stop_gradient(e); F = p + e * e")
    flowing = graph_of("v = w * x; e = r - v; p = c * e; F = p + e * e")
    inputs = {"w": 2.0, "x": 3.0, "r": 4.0, "c": 0.5}
    sides = [only(run_of(graph, inputs), values=[*"wxrcvepF"], gradients=[*"wxvpF"]) for graph in (detached, flowing)]
    found = judge(*sides)
    assert origins(found, flowing) == [("backward", "v")]
    (origin,) = explained_origins(found)
    assert "used differently in the two graphs: p is c·e, in the baseline c·stop_gradient(e)" in origin.sentence


@pytest.mark.parametrize(
    ("baseline", "candidate", "origin"),
    [
        ("y = clip(x, min=0, max=1)", "y = clip(x, min=0, max=2)", "y"),
        ("y = x * Constant(value=2)", "y = x * Constant(value=3)", "constant_1"),
        ("k = 2; y = x * k", "y = x * k", "k"),
    ],
)
def test_attributes_and_inputs_belong_to_the_definition(baseline: str, candidate: str, origin: str) -> None:
    graphs = [graph_of(baseline), graph_of(candidate)]
    sides = [run_of(graph, dict.fromkeys(graph.inputs, 1.5)) for graph in graphs]
    found = judge(*sides)
    assert origins(found, graphs[1])[0] == ("forward", origin)
    assert graphs[1].position[origin] in found.alignment.cuts


def test_one_graph_built_twice_has_no_definition_that_differs() -> None:
    text = "k = Constant(value=NaN); y = x * 2; z = y + k"
    first, second = graph_of(text), graph_of("z = y + k; y = x * 2; k = Constant(value=NaN)")
    found = judge(run_of(first, {"x": 1.0}), run_of(second, {"x": 1.0}))
    assert found.same and not found.alignment.cuts.size
    third = graph_of(text + "; extra = z + 1", ["z"])
    assert not judge(run_of(first, {"x": 1.0}), run_of(third, {"x": 1.0}, output="z")).alignment.cuts.size


def test_swapped_names_within_one_graph_swap_definitions(seed_graph: Graph, right: Run) -> None:
    turned = run_of(seed_graph, SEED_INPUTS | {"a": 1.0, "b": 5.0})
    found = judge(right, turned, names={"a": "b", "b": "a"})
    assert found.same
    assert [seed_graph.nodes[position].name for position in found.alignment.cuts] == ["e"]


def test_tensors_of_two_versions_are_aligned() -> None:
    first, second = graph_of("p = x * y; F = sin(p)"), graph_of("p = x * y; q = p + 1; F = sin(p)", ["F"])
    inputs = {"x": np.array([1.0, 2.0]), "y": 3.0}
    assert judge(run_of(first, inputs), run_of(second, inputs)).same
    found = judge(run_of(first, inputs), run_of(second, inputs, values={"p": lambda p: -p}))
    assert origins(found, second) == [("forward", "p")]
    partial = judge(only(run_of(first, inputs), values=["x", "F"]), run_of(second, inputs))
    assert verdicts(partial, second)["forward"] == {"x": "same", "F": "same"}


# --- what is missing ----------------------------------------------------------------------------------------------


def missing(found: Comparison) -> list[tuple[str, str, str]]:
    return [(phase.name, found.candidate.graph.nodes[position].name, how) for phase, position, how in found.missing]


def with_none(run: Run, *names: str) -> Run:
    """The run whose gradients at these names are recorded as none."""
    absent_there = altered(run, gradients=dict.fromkeys(names))
    assert absent_there.gradients is not None
    none = np.array([node.name in names for node in run.graph.nodes])
    return swept(absent_there, gradients=replace(absent_there.gradients, none=none))


@pytest.mark.parametrize("shape", [(), (2,)])
def test_what_the_baseline_has_and_the_candidate_lacks_is_missing(shape: tuple[int, ...]) -> None:
    graph = graph_of("m = w * x; F = m + 2; u = v * 3", ["F"])
    inputs = {name: np.full(shape, 0.5) for name in "wxv"}
    right = run_of(graph, inputs)
    assert missing(judge(right, right)) == []
    part = with_none(only(right, values="wxvF", gradients="wxvFu"), "w", "v")
    found = judge(right, part)
    # ∂F/∂v is 0 in the baseline: none is the same. Nobody records a Constant's value: the graph has it.
    assert found.same
    assert missing(found) == [
        ("forward", "m", "absent"),
        ("forward", "u", "absent"),
        ("backward", "m", "absent"),
        ("backward", "w", "none"),
    ]
    assert verdicts(found, graph)["backward"] == dict.fromkeys("xvFu", "same")
    assert minimum_tolerance(found) == {"rtol": 0.0, "atol": 0.0}
    # A phase that the candidate does not record lacks nothing.
    assert missing(judge(right, only(right, values=[node.name for node in graph.nodes]))) == []
    # The names that the candidate's graph has not stand in only_in_baseline.
    smaller = graph_of("m = w * x; F = m + 2")
    found = judge(right, run_of(smaller, {name: inputs[name] for name in "wx"}))
    assert missing(found) == [] and set(found.only_in_baseline) == {"v", "u", "constant_2"}


# --- whatever is recorded -----------------------------------------------------------------------------------------


@settings(max_examples=examples(80))
@given(points(shapes=((), (2,))), st.data())
def test_any_part_of_a_right_run_is_right(point: Point, data: st.DataObject) -> None:
    names = [node.name for node in point.graph.nodes]
    some = st.lists(st.sampled_from(names), min_size=1, unique=True)
    whole = run_of(point.graph, point.inputs, output=point.output)
    part = only(whole, values=data.draw(some), gradients=[])
    slopes = [name for name in data.draw(some) if name in named(point.graph, whole.gradients)]
    part = replace(part, backward=only(whole, gradients=slopes).backward)
    assert judge(whole, part).same
    other = only(whole, values=data.draw(some), gradients=slopes)
    for baseline, candidate in ((part, other), (other, part)):
        try:
            found = judge(baseline, candidate)
        except InvalidRequest as refused:
            assert refused.faults[0].detail == "the two runs give no figure in common"
        else:
            assert found.same
            assert set().union(*(each.values() for each in verdicts(found, point.graph).values())) == {"same"}


# --- a run in float32 is replayed in float32 ----------------------------------------------------------------------


def declared_float32(text: str, names: Sequence[str]) -> Graph:
    """The graph of an expression, the named inputs of which are declared to be float32."""
    graph = graph_of(text)
    nodes = [replace(node, attributes={"dtype": "float32"}) if node.name in names else node for node in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("y = x * x", {"x": 1e30}),  # the value is beyond float32, not beyond float64
        ("y = x * x; F = y / y", {"x": 1e30}),  # NaN in float32
        ("y = x * x; F = y * x", {"x": 1e-30}),  # 0 in float32
        ("y = x * w; F = exp(y) + y * y", {"x": 50.0, "w": 2.0}),  # the local gradient is
        ("a = x * 1e30; F = a * a * 1e-38 + a", {"x": 1.0}),  # the gradient, a sum of contributions, is
        ("h = x @ w; F = sum(h * h)", {"x": np.full((2, 3), 1e25), "w": np.full((3, 2), -1e12)}),
        ("F = sum(x[0] * x[1]) * k", {"x": np.full((2, 2), 1e30), "k": 2.0}),  # float64 beside it
    ],
)
def test_a_float32_run_is_the_same_as_itself(text: str, inputs: dict[str, Any], tolerance: str) -> None:
    graph = declared_float32(text, [name for name in inputs if name != "k"])
    values = forward_pass(graph, {name: np.asarray(figure) for name, figure in inputs.items()})
    output = graph.outputs[0]
    gradients = backward_pass(graph, values, output)
    seed = np.ones(values.shape(graph.position[output]))
    run = Run(graph, values, "float32", Backward(output, seed, gradients))
    found = compare(run, run, TOLERANCES[tolerance])
    for phase in found.phases:
        assert set(phase.verdicts) <= {Verdict.SAME, Verdict.NOT_COMPARED}
        assert np.count_nonzero(phase.verdicts == Verdict.SAME) > 1


def test_what_a_float32_recording_leaves_out_follows_in_float32() -> None:
    graph = declared_float32("y = x * x; z = y * 2; F = z / y", ["x"])
    values = forward_pass(graph, {"x": np.asarray(1e30)})
    run = Run(graph, values, "float32", Backward("F", np.ones(()), backward_pass(graph, values, "F")))
    for missing in (["y"], ["y", "z"], ["x"], ["x", "z"]):
        partial = altered(run, values=dict.fromkeys(missing))
        found = judge(partial, partial)
        for phase in found.phases:
            assert set(phase.verdicts) <= {Verdict.SAME, Verdict.NOT_COMPARED}, missing
