"""Verdicts on recordings whose gradients are a library's choice where no derivative exists."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.comparison.judging import compare
from service.core.comparison.listing import explained_first_difference
from service.core.comparison.verdicts import TOLERANCES, Comparison, Verdict
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures, pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from tests.conventions import LIBRARIES, NAN
from tests.passes import arrays_of, graph_of


def run_at(graph: Graph, inputs: dict[str, Any]) -> Run:
    values, output = forward_pass(graph, inputs), graph.outputs[0]
    return Run(graph, values, backward=Backward(output, np.array(1.0), backward_pass(graph, values, output)))


KINKED = build_graph(
    [
        {"name": "x", "operation": "Input"},
        {"name": "w", "operation": "Input"},
        {"name": "y", "operation": "Mul", "inputs": ["w", "x"]},
        {"name": "k", "operation": "Abs", "inputs": ["y"]},
        {"name": "L", "operation": "Exp", "inputs": ["k"]},
    ]
)


def test_a_difference_that_a_convention_explains_is_called_so() -> None:
    inputs = {"x": np.float64(3.0), "w": np.float64(0.0)}
    ours, theirs = run_at(KINKED, inputs), run_at(KINKED.with_convention("jax"), inputs)
    candidate = replace(theirs, graph=KINKED)
    found = compare(ours, candidate, TOLERANCES["float64"])
    assert found.backward is not None
    assert found.conventions == {KINKED.position["y"]: ("jax",)}
    assert found.backward.positions(Verdict.CONVENTION) == [KINKED.position["y"]]
    assert found.backward.positions(Verdict.ORIGIN) == []
    assert found.backward.positions(Verdict.INHERITED) == [KINKED.position["w"]]
    assert not found.same


def test_a_wrong_gradient_beside_a_kink_is_an_origin_all_the_same() -> None:
    inputs = {"x": np.float64(3.0), "w": np.float64(0.0)}
    ours = run_at(KINKED, inputs)
    assert ours.backward is not None
    figures = ours.backward.gradients.flat.copy()
    figures[KINKED.position["y"]] = 0.75
    wrong = replace(ours, backward=replace(ours.backward, gradients=Figures(figures)))
    found = compare(ours, wrong, TOLERANCES["float64"])
    assert found.backward is not None
    assert found.backward.positions(Verdict.ORIGIN) == [KINKED.position["y"]]
    assert found.conventions == {}


def verdicts_of(found: Comparison) -> dict[str, Verdict]:
    assert found.backward is not None
    names = [node.name for node in found.candidate.graph.nodes]
    return {name: Verdict(verdict) for name, verdict in zip(names, found.backward.verdicts, strict=True)}


def against(
    graph: Graph, inputs: dict[str, Any], recorded: dict[str, Any], only: Sequence[str] | None = None
) -> Comparison:
    """Compare the graph's own run with one that has these gradients instead, of `only` these nodes if given."""
    ours = run_at(graph, arrays_of(inputs))
    assert ours.backward is not None
    gradients = [
        np.array(recorded[node.name], dtype=float) if node.name in recorded else gradient
        for node, gradient in zip(graph.nodes, ours.backward.gradients, strict=True)
    ]
    present = ours.backward.gradients.present
    if only is not None:
        present = np.array([node.name in only for node in graph.nodes])
    figures = pack([np.zeros(()) if gradient is None else gradient for gradient in gradients])
    packed = Figures(figures.flat, figures.shapes, present)
    return compare(ours, replace(ours, backward=replace(ours.backward, gradients=packed)), TOLERANCES["float64"])


def because(found: Comparison) -> str:
    first = explained_first_difference(found)
    assert first is not None
    return first.hypotheses[0].because


# The graph, its inputs, the gradients where a library differs, which of them are its choice, and why.
RECORDED: list[tuple[str, dict[str, Any], dict[str, Any], list[str], str]] = [
    (
        "r = relu(x); p = max_pool(r, kernel_shape=[2], strides=[2]); F = sum(p * p + p)",
        {"x": [[[0.0, -1.0, 3.0, 3.0]]]},
        {"r": [[[1, 0, 7, 0]]], "x": [[[0, 0, 7, 0]]]},
        ["r"],
        "It is the choice of PyTorch, JAX and TensorFlow where p has no derivative.",
    ),
    (
        "p = max_pool(x, kernel_shape=[3], strides=[1], pads=[1, 1]); F = sum(p)",
        {"x": [[[1.0, 1.0, 1.0]]]},
        {"x": [[[2, 1, 0]]]},
        ["x"],
        "It is the choice of PyTorch, JAX and TensorFlow where p has no derivative.",
    ),
    (
        "m = max(x, axis=0); F = sum(m)",
        {"x": [[1.0, 2.0], [1.0, 0.0]]},
        {"x": [[1, 1], [0, 0]]},
        ["x"],
        "It is the choice of PyTorch where m has no derivative.",
    ),
    (
        "m = max(a, b, c); F = m * 8",
        {"a": 1.0, "b": 1.0, "c": 1.0},
        {"a": 2, "b": 2, "c": 4},
        ["a", "b", "c"],
        "It is the choice of PyTorch and JAX where m has no derivative.",
    ),
    (
        "y = clip(x, min=0, max=1); F = y * 3",
        {"x": 1.0},
        {"x": 3},
        ["x"],
        "It is the choice of PyTorch and TensorFlow where y has no derivative.",
    ),
    (
        "y = logsumexp(x); F = exp(y)",
        {"x": [-np.inf, -np.inf]},
        {"x": [NAN, NAN]},
        ["x"],
        "It is the choice of PyTorch, JAX and TensorFlow where y has no derivative.",
    ),
    (
        "m = max(x); F = m * 2",
        {"x": [NAN, 1.0]},
        {"x": [2, 0]},
        ["x"],
        "It is what PyTorch returns where m is NaN.",
    ),
    (
        "m = max(x); F = m * 2",
        {"x": [NAN, 1.0]},
        {"x": [NAN, NAN]},
        ["x"],
        "It is what PyTorch, JAX and TensorFlow return where m is NaN.",
    ),
    (
        "m = max(x); F = sqrt(m)",
        {"x": [0.0, -1.0]},
        {"x": [np.inf, NAN]},
        ["x"],
        "NaN is 0 × ∞ along a closed edge, or behind it; PyTorch, JAX and TensorFlow multiply there.",
    ),
]


@pytest.mark.parametrize(("text", "inputs", "recorded", "chosen", "said"), RECORDED)
def test_a_librarys_choice_is_a_convention_and_no_origin(
    text: str, inputs: dict[str, Any], recorded: dict[str, Any], chosen: list[str], said: str
) -> None:
    found = against(graph_of(text), inputs, recorded)
    verdicts = verdicts_of(found)
    assert [name for name, verdict in verdicts.items() if verdict == Verdict.CONVENTION] == chosen
    assert Verdict.ORIGIN not in verdicts.values()
    assert because(found) == said


def test_a_library_that_chooses_by_two_functions_is_followed_in_both() -> None:
    # PyTorch: x.amax(2) shares among ties, max_pool1d takes the first.
    graph = graph_of("m = max(x, axis=2); p = max_pool(x, kernel_shape=[2], strides=[2]); F = sum(m) + sum(p)")
    found = against(graph, {"x": [[[1.0, 1.0, 0.0, 0.0]]]}, {"x": [[[1.5, 0.5, 1, 0]]]})
    assert verdicts_of(found)["x"] == Verdict.CONVENTION
    assert "torch" in found.conventions[graph.position["x"]]
    # relu6 returns 0 at its bounds, clamp 1.
    graph = graph_of("y = clip(x, min=0, max=6); p = max_pool(y, kernel_shape=[2]); F = sum(p) * 2")
    found = against(graph, {"x": [[[6.0, 6.0]]]}, {"y": [[[2, 0]]], "x": [[[2, 0]]]})
    assert verdicts_of(found)["x"] == Verdict.CONVENTION
    found = against(graph, {"x": [[[6.0, 6.0]]]}, {"y": [[[2, 0]]], "x": [[[0, 0]]]})
    assert (verdicts_of(found)["y"], verdicts_of(found)["x"]) == (Verdict.CONVENTION, Verdict.SAME)


def test_second_functions_are_followed_under_the_librarys_own_name() -> None:
    graph = graph_of("m = max(x, axis=0); F = m * 2").with_convention("torch")
    inputs = arrays_of({"x": [1.0, 1.0]})
    ours, other = run_at(graph, inputs), replace(run_at(graph.with_convention("torch", True), inputs), graph=graph)
    assert other.backward is not None and other.backward.gradients.flat[:2].tolist() == [1.0, 1.0]
    found = compare(ours, other, TOLERANCES["float64"])
    assert found.conventions == {0: ("minimum-norm", "torch", "jax", "tensorflow")}


def test_second_functions_are_followed_where_what_stands_between_is_not_recorded() -> None:
    graph = graph_of("y = w * clip(x, min=0, max=6); p = max_pool(y, kernel_shape=[2]); F = sum(p) * 2")
    inputs = {"x": [[[6.0, 6.0]]], "w": [[[1.0, 1.0]]]}
    recorded = {"w": [[[12, 0]]], "x": [[[0, 0]]]}
    found = against(graph, inputs, recorded, only=("w", "x"))
    assert verdicts_of(found)["w"] == Verdict.CONVENTION
    assert Verdict.ORIGIN not in verdicts_of(found).values()


def test_a_choice_that_shows_only_at_a_node_further_back_is_a_convention_too() -> None:
    graph = graph_of("y = x * w; p = max_pool(y, kernel_shape=[2]); F = sum(p)")
    ours = run_at(graph, arrays_of({"x": [[[1.0, 2.0]]], "w": [[[2.0, 1.0]]]}))
    theirs = run_at(graph.with_convention("torch"), arrays_of({"x": [[[1.0, 2.0]]], "w": [[[2.0, 1.0]]]}))
    assert theirs.backward is not None
    present = np.array([node.name in ("w", "x", "F") for node in graph.nodes])
    some = Figures(theirs.backward.gradients.flat, theirs.backward.gradients.shapes, present)
    candidate = replace(theirs, graph=graph, backward=replace(theirs.backward, gradients=some))
    found = compare(ours, candidate, TOLERANCES["float64"])
    verdicts = verdicts_of(found)
    assert verdicts["w"] == verdicts["x"] == Verdict.CONVENTION
    assert because(found).endswith("where a node that follows has no derivative.")


@pytest.mark.slow
@pytest.mark.parametrize(
    "pool", ["kernel_shape=[2, 2], strides=[2, 2]", "kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]"]
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_network_with_relu_before_a_pool_accuses_no_library(library: str, pool: str) -> None:
    rng = np.random.default_rng(5)
    graph = graph_of(
        f"c = conv(x, k); r = relu(c); p = max_pool(r, {pool}); m = max(p, axis=1); F = sum(m) + sum(2 * p)"
    )
    inputs = {
        "x": rng.integers(-1, 2, (2, 3, 8, 8)).astype(float),
        "k": rng.integers(-1, 2, (4, 3, 3, 3)).astype(float),
    }
    theirs = replace(run_at(graph.with_convention(library), inputs), graph=graph)
    found = compare(run_at(graph, inputs), theirs, TOLERANCES["float64"])
    verdicts = verdicts_of(found)
    assert verdicts["r"] == Verdict.CONVENTION
    assert Verdict.ORIGIN not in verdicts.values()
    assert all(library in conventions for conventions in found.conventions.values())


@pytest.mark.parametrize("wrong", [[[[0, 1, 1, 0]]], [[[1, 1, 1, 1]]], [[[1, 0, 0.5, 0.5]]]])
def test_a_choice_that_no_library_makes_is_an_origin(wrong: Any) -> None:
    graph = graph_of("p = max_pool(x, kernel_shape=[2], strides=[2]); F = sum(p)")
    found = against(graph, {"x": [[[1.0, 1.0, 2.0, 2.0]]]}, {"x": wrong})
    assert verdicts_of(found)["x"] == Verdict.ORIGIN


@pytest.mark.peers
@pytest.mark.parametrize(("length", "pad"), [(2, 0), (3, 1)])
def test_float32_networks_of_pytorchs_with_relu_before_pools_have_no_origin(length: int, pad: int) -> None:
    torch: Any = importlib.import_module("torch")
    pool = f"kernel_shape=[{length}, {length}], strides=[2, 2], pads=[{pad}, {pad}, {pad}, {pad}]"
    graph = graph_of(
        f"v = conv(x, k); c = v + b; r = relu(c); p = max_pool(r, {pool}); "
        "m = max(p, axis=1, keepdims=1); q = m * p; g = clip(q, min=0, max=1); F = sum(g)"
    )
    met = []
    for seed in range(20):
        torch.manual_seed(seed)
        shapes = {"x": (2, 3, 9, 9), "k": (4, 3, 3, 3), "b": (4, 1, 1)}
        nodes = {name: (torch.randn(*shape) / 2).requires_grad_() for name, shape in shapes.items()}
        nodes["v"] = torch.nn.functional.conv2d(nodes["x"], nodes["k"])
        nodes["c"] = nodes["v"] + nodes["b"]
        nodes["r"] = torch.relu(nodes["c"])
        nodes["p"] = torch.nn.functional.max_pool2d(nodes["r"], length, 2, pad)
        nodes["m"] = torch.max(nodes["p"], 1, keepdim=True).values
        nodes["q"] = nodes["m"] * nodes["p"] + 0.0
        nodes["g"] = torch.clamp(nodes["q"], 0, 1)
        nodes["F"] = nodes["g"].sum()
        for tensor in nodes.values():
            tensor.retain_grad()
        nodes["F"].backward()
        values, gradients = (
            pack([read(nodes[node.name]).detach().double().numpy() for node in graph.nodes])
            for read in (lambda tensor: tensor, lambda tensor: tensor.grad)
        )
        recorded = Run(graph, values, "float32", Backward("F", np.ones(()), gradients))
        ours = run_at(
            graph, {name: values_of for name in graph.inputs if (values_of := values[graph.position[name]]) is not None}
        )
        found = compare(ours, recorded, TOLERANCES["float32"])
        assert Verdict.ORIGIN not in verdicts_of(found).values()
        met.extend(found.conventions.values())
    assert met and all("torch" in libraries for libraries in met)


@pytest.mark.peers
@pytest.mark.parametrize(("length", "pad"), [(2, 0), (3, 1)])
def test_float32_networks_of_jax_with_relu_before_pools_have_no_origin(length: int, pad: int) -> None:
    jax: Any = importlib.import_module("jax")
    pool = f"kernel_shape=[{length}, {length}], strides=[2, 2], pads=[{pad}, {pad}, {pad}, {pad}]"
    graph = graph_of(
        f"v = conv(x, k); c = v + b; r = relu(c); p = max_pool(r, {pool}); m = max(p, axis=1, keepdims=1); "
        "q = m + p; g = clip(q, min=0, max=2); F = sum(g)"
    )

    def network(given: dict[str, Any]) -> Any:
        """The output, and every node; its gradient is that of a zero added to it."""
        nodes = {name: given[name] for name in "xkb"}

        def keep(name: str, value: Any) -> Any:
            nodes[name] = value + given[name] if name in given else value
            return nodes[name]

        c = keep("c", keep("v", jax.lax.conv(nodes["x"], nodes["k"], (1, 1), "VALID")) + nodes["b"])
        r = keep("r", jax.nn.relu(c))
        sides = [(0, 0), (0, 0), (pad, pad), (pad, pad)]
        p = keep("p", jax.lax.reduce_window(r, -np.inf, jax.lax.max, (1, 1, length, length), (1, 1, 2, 2), sides))
        m = keep("m", jax.numpy.max(p, 1, keepdims=True))
        q = keep("q", m + p)
        return keep("F", jax.numpy.sum(keep("g", jax.numpy.clip(q, 0, 2)))), nodes

    met = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shapes = {"x": (2, 3, 9, 9), "k": (4, 3, 3, 3), "b": (4, 1, 1)}
        leaves = {name: np.float32(rng.normal(size=shape) / 2) for name, shape in shapes.items()}
        _, nodes = network(leaves)
        zeros = {name: np.zeros(np.shape(value), np.float32) for name, value in nodes.items() if name not in leaves}
        slopes = jax.grad(network, has_aux=True)({**zeros, **leaves})[0]
        values, gradients = (
            pack([np.asarray(figures[node.name], dtype=np.float64) for node in graph.nodes])
            for figures in (nodes, slopes)
        )
        recorded = Run(graph, values, "float32", Backward("F", np.ones(()), gradients))
        ours = run_at(graph, {name: leaves[name].astype(np.float64) for name in graph.inputs})
        found = compare(ours, recorded, TOLERANCES["float32"])
        assert Verdict.ORIGIN not in verdicts_of(found).values()
        met.extend(found.conventions.values())
    assert met and all("jax" in libraries for libraries in met)


def test_a_sentence_names_the_element_that_no_convention_explains() -> None:
    graph = graph_of("s = sqrt(x); m = where(x > 0, s, 0); L = m * m; F = sum(L)")
    ours = run_at(graph, {"x": np.array([-1.0, 4.0])})
    assert ours.backward is not None
    figures = list(ours.backward.gradients)
    # d(√x)²/dx = 1 at 4; at −1, where the branch is not taken, some libraries have 0 × NaN.
    figures[graph.position["x"]] = np.array([NAN, 1.5])
    wrong = replace(ours, backward=replace(ours.backward, gradients=pack(figures)))
    first = explained_first_difference(compare(ours, wrong, TOLERANCES["float64"]))
    assert first is not None
    assert first.sentence.startswith("∂F/∂x is 1.5 at [1]; it should be ")
    # Alone the NaN is a convention.
    figures[graph.position["x"]] = np.array([NAN, 1.0])
    alone = replace(ours, backward=replace(ours.backward, gradients=pack(figures)))
    found = compare(ours, alone, TOLERANCES["float64"])
    assert found.backward is not None
    assert found.backward.positions(Verdict.CONVENTION) == [graph.position["x"]]
