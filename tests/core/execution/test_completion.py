"""What a recording leaves out, by the compiled loops: as in the run, and as the walks in NumPy have it."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison import replay
from service.core.comparison.replay import complete_gradients, complete_values
from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import BoolArray, Figures
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS, MINIMUM_NORM
from tests.planted import graph_of, tame_graph

ONE = np.array(1.0)


@pytest.fixture(autouse=True, scope="module")
def _warm() -> None:
    kernel.warm()


def walked(function: Any, *arguments: Any) -> Figures:
    """What the walk in NumPy returns."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("complete_scalar_values", "complete_scalar_gradients"):
            patch.setattr(replay, name, lambda *_: None)
        found: Figures = function(*arguments)
    return found


def cases() -> list[tuple[Graph, Figures, Figures, BoolArray]]:
    """Random graphs, their figures, and which of these are given: none, few, half, most, all but the last."""
    found = []
    for seed, share in enumerate((0.0, 0.05, 0.5, 0.95)):
        graph, inputs = tame_graph(seed, 150)
        values = forward_pass(graph, {name: np.asarray(figure) for name, figure in inputs.items()})
        kept = np.random.default_rng(seed).random(len(graph)) < share
        found.append((graph, values, backward_pass(graph, values, graph.outputs[0]), kept))
    return found


def test_any_part_of_a_run_is_completed_to_that_run_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "value_at", None)  # no node is visited
    for graph, values, gradients, kept in cases():
        inputs = {position: values[position] for position in map(graph.position.__getitem__, graph.inputs)}
        whole = complete_values(graph, Figures(values.flat, None, kept), inputs)  # type: ignore[arg-type]
        assert whole.present is None and whole.flat.tobytes() == values.flat.tobytes()
        there = kept if gradients.present is None else kept & gradients.present
        whole = complete_gradients(graph, values, Figures(gradients.flat, None, there), graph.outputs[0], ONE)
        assert whole.present is None and whole.flat.tobytes() == gradients.flat.tobytes()


def test_what_follows_from_wrong_figures_is_what_the_walk_finds() -> None:
    for graph, values, gradients, kept in cases():
        wrong = Figures(values.flat * np.where(np.arange(len(graph)) % 3, 1.0, 1.01), None, kept)
        inputs = {position: np.array(0.5) for position in map(graph.position.__getitem__, graph.inputs[:-1])}
        found, theirs = complete_values(graph, wrong, inputs), walked(complete_values, graph, wrong, inputs)
        np.testing.assert_allclose(found.flat, theirs.flat, rtol=1e-12, atol=1e-12)
        slip = np.where(np.arange(len(graph)) % 2, gradients.flat, 0.0)
        there = kept if gradients.present is None else kept & gradients.present
        arguments = (graph, values, Figures(slip, None, there), graph.nodes[-5].name, np.array(-2.0))
        found, theirs = complete_gradients(*arguments), walked(complete_gradients, *arguments)
        np.testing.assert_allclose(found.flat, theirs.flat, rtol=1e-12, atol=1e-12)


def test_the_given_gradient_of_the_output_stands_in_place_of_the_seed() -> None:
    graph = graph_of("y = x * 3; F = y + x")
    values = forward_pass(graph, {"x": np.array(2.0)})
    given = np.array([node.name == "F" for node in graph.nodes])
    part = Figures(np.where(given, 10.0, 0.0), None, given)
    assert complete_gradients(graph, values, part, "F", ONE).flat.tolist() == [40.0, 0.0, 10.0, 10.0]


def test_a_slope_that_is_lost_is_left_to_the_walk() -> None:
    graph = graph_of("y = relu(x) * w; F = y + w")
    values = forward_pass(graph, {"x": np.array(-1.0), "w": np.array(np.inf)})
    part = Figures(np.zeros(len(graph)), None, np.zeros(len(graph), dtype=bool))
    arguments = (graph, values, part, "F", ONE)
    found = complete_gradients(*arguments)
    np.testing.assert_array_equal(found.flat, walked(complete_gradients, *arguments).flat)
    assert not np.isnan(found.flat[graph.position["x"]])


def test_noise_is_added_to_what_is_not_given() -> None:
    for graph, values, gradients, kept in cases():
        inputs = {position: values[position] for position in map(graph.position.__getitem__, graph.inputs)}
        noise = 1e-5 * np.random.default_rng(0).standard_normal(len(graph))
        arguments: Any = (graph, Figures(values.flat, None, kept), inputs, Figures(noise))
        np.testing.assert_allclose(complete_values(*arguments).flat, walked(complete_values, *arguments).flat, 1e-11)
        noisy = complete_values(*arguments)  # in which a maximum is none of its operands
        there = kept if gradients.present is None else kept & gradients.present
        arguments = (graph, noisy, Figures(gradients.flat, None, there), graph.outputs[0], ONE, Figures(noise))
        found, theirs = complete_gradients(*arguments), walked(complete_gradients, *arguments)
        np.testing.assert_allclose(found.flat, theirs.flat, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("convention", [each for each in CONVENTIONS if each != MINIMUM_NORM])
@pytest.mark.parametrize("alternative", [False, True])
def test_another_librarys_choices_at_kinks_are_completed_by_the_loops(
    convention: str, alternative: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(
        "a = relu(x - x); b = max(a, x - x, y); c = abs(y - y) * y; d = leaky_relu(b - b + c, 0.2); e = max(d, d); "
        "F = a * y + b * c + d + e * y + max(e, c) + clip(y, 3, 4) + min(y, y, b) + gelu(y)"
    )
    rival = graph.with_convention(convention, alternative)
    values = forward_pass(graph, {"x": np.array(2.0), "y": np.array(3.0)})
    under = backward_pass(rival, values, "F")
    assert np.any(under.flat != backward_pass(graph, values, "F").flat)
    rounded = Figures(
        values.flat * (1.0 + 1e-9 * (np.arange(len(graph)) == graph.position["y"]))
    )  # a maximum is none of its operands
    random = np.random.default_rng(0)
    for given in (np.zeros(len(graph), dtype=bool), random.random(len(graph)) < 0.4):
        for at, noise in ((values, None), (rounded, Figures(random.standard_normal(len(graph))))):
            part = Figures(np.where(given, under.flat + 0.1, 0.0), None, given)
            arguments = (rival, at, part, "F", ONE, noise)
            theirs = walked(complete_gradients, *arguments)
            with monkeypatch.context() as patch:
                patch.setattr(replay, "sweep_gradients", None)  # no node is visited
                found = complete_gradients(*arguments)
            have = [node.has_gradient for node in graph.nodes]
            np.testing.assert_allclose(found.flat[have], theirs.flat[have], rtol=1e-13, atol=1e-14)


def test_a_rounded_maximum_passes_its_gradient_on() -> None:
    graph = graph_of("r = tanh(x); s = sin(x); a = maximum(r, s); F = a * 3")
    values = forward_pass(graph, {"x": np.array(0.7)})
    rounded = np.where(np.arange(len(graph)) < 3, values.flat, values.flat.astype(np.float32))
    part = Figures(np.zeros(len(graph)), None, np.zeros(len(graph), dtype=bool))
    found = complete_gradients(
        graph, Figures(np.where(np.arange(len(graph)) < 3, values.flat, rounded.flat)), part, "F", ONE
    )
    assert found.flat.tolist() == backward_pass(graph, values, "F").flat.tolist()


def test_a_missing_input_may_be_an_array() -> None:
    graph = graph_of("y = x * 3")
    part = Figures(np.zeros(3), None, np.zeros(3, dtype=bool))
    assert complete_values(graph, part, {0: np.array([1.0, 2.0])}).flat.tolist() == [1.0, 2.0, 3.0, 3.0, 6.0]
