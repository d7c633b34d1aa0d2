"""Replays: each figure from the run's own other figures, and how far rounding may have moved it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.comparison.replay import (
    Replay,
    complete_gradients,
    complete_values,
    replay_gradients,
    replay_values,
)
from service.core.comparison.rounding import Weights
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import Figures, pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.graph.traversal import reaches, sourceless
from service.core.rulebook import registry
from service.core.rulebook.registry import define
from tests.elementwise import BROADCAST_SHAPES
from tests.planted import SEED, SEED_INPUTS, graph_of, named, tame_graph
from tests.random_graphs import Point, points

TERMS, UPSTREAM = Weights(1.0, 0.0), Weights(0.0, 1.0)
ONE = np.array(1.0)


def passes(graph: Graph, inputs: Any, output: str | None = None) -> tuple[Figures, Figures]:
    """Both passes."""
    values = forward_pass(graph, {name: np.asarray(figure, dtype=np.float64) for name, figure in inputs.items()})
    return values, backward_pass(graph, values, output or graph.outputs[0])


def scalars(graph: Graph, figures: Figures) -> dict[str, float]:
    """Figures of scalars by name."""
    return {name: float(figure) for name, figure in named(graph, figures).items()}


def slack(graph: Graph, replay: Replay) -> dict[str, float]:
    """The slack of scalars by name."""
    return dict(zip(graph.position, replay.slack.tolist(), strict=True))


def agree(first: Figures, second: Figures) -> None:
    """Figures are alike to a few units in the last place, where both have one."""
    for one, other in zip(first, second, strict=True):
        if one is not None and other is not None:
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)


def extended(gradients: Figures) -> Figures:
    """Gradients with zeros for Constants, of which there are none."""
    return Figures(gradients.flat, gradients.shapes)


# --- the seed by hand ---------------------------------------------------------------------------------------------


def test_values_and_gradients_of_the_seed() -> None:
    graph = graph_of(SEED)
    values, gradients = passes(graph, SEED_INPUTS)
    # e is recorded as 10, and the slip's gradients of F and f.
    wrong = pack([10.0 if node.name == "e" else figure for node, figure in zip(graph.nodes, values, strict=True)])
    replay = replay_values(graph, wrong, TERMS)
    assert scalars(graph, replay.expected) == {"a": 5, "b": 1, "c": -2, "d": -3, "e": 6, "f": -20, "F": 4}
    # Σ|local × input| + |value|: 5 + 1 + 6; |−2 × 10| + |10 × −2| + 20; |1/−3 × −12| + |−12/9 × −3| + 4.
    assert slack(graph, replay) == {"a": 5, "b": 1, "c": 2, "d": 3, "e": 12, "f": 60, "F": 12}
    slip = pack([-3.0 if node.name == "f" else figure for node, figure in zip(graph.nodes, gradients, strict=True)])
    replay = replay_gradients(graph, values, slip, "F", ONE, TERMS)
    assert scalars(graph, replay.expected) == pytest.approx(
        {"F": 1, "f": -1 / 3, "d": 4 / 3, "e": 6, "c": -18, "a": 2 / 3, "b": 2 / 3}, rel=1e-15
    )
    assert slack(graph, replay) == pytest.approx(
        {"F": 1, "f": 1 / 3, "d": 4 / 3, "e": 6, "c": 18, "a": 2 / 3, "b": 2 / 3}, rel=1e-15
    )
    replay = replay_gradients(graph, values, slip, "F", ONE, UPSTREAM)
    assert slack(graph, replay) == pytest.approx({"F": 0, "f": 1, "d": 1, "e": 3, "c": 3, "a": 2 / 3, "b": 2 / 3})


def test_contributions_add_and_their_magnitudes_too() -> None:
    graph = graph_of("p = x * x; q = x - p; F = q * x", ["F"])
    values, gradients = passes(graph, {"x": 3.0})
    replay = replay_gradients(graph, values, gradients, "F", ONE, TERMS)
    # p: −q̄ = −3; x: x·p̄ twice, q̄ once, q·F̄ = −6.
    assert scalars(graph, replay.expected)["x"] == -9.0 - 9.0 + 3.0 - 6.0
    assert slack(graph, replay)["x"] == 9.0 + 9.0 + 3.0 + 6.0
    assert slack(graph, replay_gradients(graph, values, gradients, "F", ONE, UPSTREAM))["x"] == 3 + 3 + 3 + 1


def test_the_seed_is_a_term_of_the_output_even_if_others_use_it() -> None:
    graph = graph_of("p = x * 2; F = p * 5", ["F"])
    values, gradients = passes(graph, {"x": 1.0}, "p")
    wrong = pack([4.0 if node.name == "F" else figure for node, figure in zip(graph.nodes, gradients, strict=True)])
    for shape in ((), (2,)):
        spread = [pack([np.broadcast_to(figure, shape) for figure in figures]) for figures in (values, extended(wrong))]
        seed = np.full(shape, -3.0)
        replay = replay_gradients(graph, spread[0], spread[1], "p", seed, TERMS)
        assert (np.asarray(named(graph, replay.expected)["p"]) == -3 + 4 * 5).all()
        position = int(replay.expected.offsets[graph.position["p"]])
        assert replay.slack[position] == 3 + 4 * 5


# --- random graphs ------------------------------------------------------------------------------------------------


@given(points(shapes=BROADCAST_SHAPES, largest_graph=12))
def test_the_replay_of_a_right_run_is_the_run(point: Point) -> None:
    values, gradients = passes(point.graph, point.inputs)
    agree(replay_values(point.graph, values, TERMS).expected, values)
    replay = replay_gradients(point.graph, values, extended(gradients), point.output, ONE, TERMS)
    agree(replay.expected, gradients)


@given(points(shapes=((),), largest_graph=12), st.randoms(use_true_random=False))
def test_tensors_are_replayed_as_their_elements_are(point: Point, random: Any) -> None:
    runs = []
    for _ in range(3):
        inputs = {name: float(figure) * random.uniform(0.9, 1.1) for name, figure in point.inputs.items()}
        values, gradients = passes(point.graph, inputs)
        noise = np.array([random.uniform(0.5, 2.0) for _ in point.graph.nodes])
        runs.append((Figures(values.flat * noise), Figures(gradients.flat * noise)))
    batch = [pack(list(np.stack([run[part].flat for run in runs], axis=1))) for part in (0, 1)]
    weights = Weights(0.25, 0.5)
    forward = replay_values(point.graph, batch[0], weights)
    backward = replay_gradients(point.graph, *batch, point.output, np.ones(3), weights)
    for each, (values, gradients) in enumerate(runs):
        single = (
            replay_values(point.graph, values, weights),
            replay_gradients(point.graph, values, gradients, point.output, ONE, weights),
        )
        for many, one in zip((forward, backward), single, strict=True):
            np.testing.assert_allclose(many.expected.flat[each::3], one.expected.flat, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(many.slack[each::3], one.slack, rtol=1e-12, atol=1e-12)


def test_a_constant_has_no_gradient_though_it_is_the_output() -> None:
    graph = graph_of("F = 2; y = x * F", ["F"])
    for x in (3.0, [3.0, 4.0]):
        values, gradients = passes(graph, {"x": x}, "F")
        replay = replay_gradients(graph, values, extended(gradients), "F", ONE, TERMS)
        assert not replay.expected.flat.any() and not replay.slack.any()


def test_a_batch_that_was_broadcast_is_summed() -> None:
    graph = graph_of("F = w * x")
    values, gradients = passes(graph, {"w": 2.0, "x": [[1.0, -2.0, 3.0]]})
    replay = replay_gradients(graph, values, gradients, "F", ONE, TERMS)
    assert float(named(graph, replay.expected)["w"]) == 2.0
    offset = int(replay.expected.offsets[graph.position["w"]])
    assert replay.slack[offset] == 1.0 + 2.0 + 3.0  # each copy of w has a contribution
    replay = replay_gradients(graph, values, gradients, "F", ONE, UPSTREAM)
    assert replay.slack[offset] == 3.0


# --- steep places -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [0.0, [0.0, 1.0]])
def test_nothing_flows_back_from_what_does_not_reach_the_output(x: Any) -> None:
    graph = graph_of("w = sqrt(x); F = x * 2", ["F"])
    values, gradients = passes(graph, {"x": x})
    for weights in (TERMS, UPSTREAM):
        replay = replay_gradients(graph, values, extended(gradients), "F", ONE, weights)
        assert (named(graph, replay.expected)["x"] == 2.0).all()
        assert np.isfinite(replay.slack).all()
    # A gradient recorded there is taken as it is.
    wrong = [
        np.ones(np.shape(x)) if node.name == "w" else figure
        for node, figure in zip(graph.nodes, gradients, strict=True)
    ]
    wrong = [0.0 if figure is None else figure for figure in wrong]
    replay = replay_gradients(graph, values, pack(wrong), "F", ONE, TERMS)
    assert np.isinf(named(graph, replay.expected)["x"]).any()


def test_no_gradient_through_an_infinite_slope_is_not_a_number_as_in_the_pass() -> None:
    graph = graph_of("w = sqrt(x); F = w * y")
    values, gradients = passes(graph, {"x": 0.0, "y": 0.0})
    assert np.isnan(scalars(graph, gradients)["x"])
    replay = replay_gradients(graph, values, gradients, "F", ONE, TERMS)
    assert np.isnan(scalars(graph, replay.expected)["x"])


def test_an_infinite_slope_at_zero_weighs_nothing() -> None:
    graph = graph_of("F = sqrt(x)")
    for x, most in ((0.0, 0.0), ([0.0, 4.0], 3.0)):
        values, _ = passes(graph, {"x": x})
        assert replay_values(graph, values, TERMS).slack.max() == max(most, np.max(x))


@pytest.mark.parametrize(("operation", "x"), [("asin", 1.0), ("acos", -1.0), ("acosh", 1.0)])
def test_an_infinite_slope_excuses_nothing(operation: str, x: float) -> None:
    graph = graph_of(f"F = {operation}(x)")
    values, _ = passes(graph, {"x": x})
    assert np.isfinite(replay_values(graph, values, TERMS).slack).all()


# --- what was not recorded ----------------------------------------------------------------------------------------


@given(points(shapes=((), (2,), (2, 1)), largest_graph=10), st.data())
def test_what_is_missing_is_replayed_from_what_is_there(point: Point, data: st.DataObject) -> None:
    graph = point.graph
    values, gradients = passes(graph, point.inputs)
    keep = np.array([data.draw(st.booleans()) for _ in graph.nodes])
    assumed = {graph.position[name]: np.asarray(figure) for name, figure in point.inputs.items()}
    part = pack([figure if kept else None for figure, kept in zip(values, keep, strict=True)])
    whole = complete_values(graph, part, assumed)
    assert whole.present is None
    agree(whole, values)
    part = pack([figure if kept else None for figure, kept in zip(gradients, keep, strict=True)])
    whole = complete_gradients(graph, values, part, point.output, ONE)
    assert whole.present is None
    agree(whole, gradients)


def test_what_is_whole_is_left_alone() -> None:
    graph = graph_of(SEED)
    values, gradients = passes(graph, SEED_INPUTS)
    assert complete_values(graph, values, {}) is values
    assert complete_gradients(graph, values, gradients, "F", ONE) is gradients


def test_the_wrong_figures_that_are_there_are_built_upon() -> None:
    graph = graph_of(SEED)
    given = pack([10.0 if node.name == "e" else None for node in graph.nodes])
    inputs = {graph.position[name]: np.array(figure) for name, figure in SEED_INPUTS.items() if name != "d"}
    effective = complete_values(graph, given, inputs)
    assert scalars(graph, effective) == pytest.approx(
        {"a": 5, "b": 1, "c": -2, "d": np.nan, "e": 10, "f": -20, "F": np.nan}, nan_ok=True
    )
    values, _ = passes(graph, SEED_INPUTS)
    given = pack([-3.0 if node.name == "f" else None for node in graph.nodes])
    assert scalars(graph, complete_gradients(graph, values, given, "F", ONE)) == pytest.approx(
        {"F": 1, "f": -3, "d": 4 / 3, "e": 6, "c": -18, "a": 6, "b": 6}
    )


def test_a_condition_that_is_missing_is_a_number() -> None:
    graph = graph_of("w = x > 1; F = -w")
    given = pack([2.0, None, None, None])
    effective = complete_values(graph, given, {})
    assert scalars(graph, effective) == {"x": 2.0, "constant_1": 1.0, "w": 1.0, "F": -1.0}


# --- the graph ----------------------------------------------------------------------------------------------------


def test_what_reaches_the_output() -> None:
    graph, _ = tame_graph(3, 120)
    for output in (graph.outputs[0], graph.nodes[60].name, graph.nodes[0].name):
        ancestors = {graph.position[output]}
        for position in range(graph.position[output], -1, -1):
            if position in ancestors:
                ancestors.update(graph.operands[position])
        assert set(np.flatnonzero(reaches(graph, output))) == ancestors


def test_nodes_without_inputs() -> None:
    graph = graph_of("y = x * 2; z = y + w")
    assert {graph.nodes[position].name for position in sourceless(graph)} == {"x", "w", "constant_1"}


# --- operations that are not elementwise --------------------------------------------------------------------------


@pytest.fixture
def own_operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The outer product, and picking one element; for as long as a test runs."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))

    def outer_shape(shapes: Sequence[tuple[int, ...]], attributes: Any) -> tuple[int, ...]:
        return shapes[0] + shapes[1]

    define(
        "OwnOuter",
        "x y",
        forward=np.multiply.outer,
        contributions=lambda upstream, x, y, z: (upstream @ y, x @ upstream),
        infer_shape=outer_shape,
    )
    define(
        "OwnPick",
        "x index",
        forward=lambda x, index: x[int(index)],
        contributions=lambda upstream, x, index, z: (upstream * (np.arange(len(x)) == index), None),
        infer_shape=lambda shapes, attributes: (),
    )
    yield


@pytest.mark.usefixtures("own_operations")
def test_vector_jacobian_products_are_replayed() -> None:
    graph = graph_of("o = ownouter(x, y); s = sin(o); F = s * 2; p = ownpick(x, i)", ["F", "p"])
    inputs = {"x": [1.0, -2.0], "y": [0.5, 1.5, 2.5], "i": 1.0}
    for output in ("F", "p"):
        values, gradients = passes(graph, inputs, output)
        forward = replay_values(graph, values, TERMS)
        agree(forward.expected, values)
        backward = replay_gradients(graph, values, extended(gradients), output, ONE, UPSTREAM)
        agree(backward.expected, gradients)
        part = pack(
            [
                figure if node.name in ("F", "p", "y") else None
                for node, figure in zip(graph.nodes, gradients, strict=True)
            ]
        )
        agree(complete_gradients(graph, values, part, output, ONE), gradients)
    # Σ|upstream|: over all that an operand was broadcast to; all there is where the shapes have nothing in common.
    values, gradients = passes(graph, inputs, "F")
    replay = replay_gradients(graph, values, extended(gradients), "F", ONE, UPSTREAM)
    upstream = np.abs(named(graph, gradients)["o"])
    start = int(replay.expected.offsets[graph.position["y"]])
    assert replay.slack[start : start + 3] == pytest.approx(upstream.sum(axis=0))
    start = int(replay.expected.offsets[graph.position["x"]])
    assert replay.slack[start : start + 2] == pytest.approx([upstream.sum()] * 2)


@pytest.mark.usefixtures("own_operations")
def test_a_graph_of_scalars_may_hold_one() -> None:
    graph = build_graph(
        [
            {"name": "x", "operation": "Input"},
            {"name": "y", "operation": "OwnOuter", "inputs": ["x", "x"]},
        ]
    )
    values = pack([3.0, 9.0])
    assert scalars(graph, replay_values(graph, values, TERMS).expected)["y"] == 9.0
