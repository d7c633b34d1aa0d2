"""The smallest graph around an origin: what is in it, and that the origin shows in it as it did in the whole."""

import numpy as np
import pytest

from service.core.alignment.alignment import Alignment
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Verdict
from service.core.errors import Conflict
from service.core.execution.outcomes import run_at
from service.core.execution.passes import fit_inputs
from service.core.execution.run import Backward, Run
from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from service.core.reproduction.smallest import Smallest, find_smallest, seeded
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, judge, only, origins, run_of, tame_graph
from tests.reproductions import LARGEST, computed, only_smallest, smallest_of


def nodes_of(small: Smallest) -> dict[str, tuple[str, ...]]:
    return {node.name: (node.operation.name, *node.inputs) for node in small.graph.nodes}


def test_the_tutorials_origins_are_one_operation_each() -> None:
    graph = graph_of(SEED)
    right = run_of(graph, SEED_INPUTS)
    found = smallest_of(right, run_of(graph, SEED_INPUTS, gradients={"f": -3.0, "d": 108.0}))
    assert [small.node for small in found] == ["f", "d"]
    for small, recorded, expected in zip(found, (-3.0, 108.0), (-1 / 3, 4 / 3), strict=True):
        assert nodes_of(small) == {"f": ("Input",), "d": ("Input",), "F": ("Div", "f", "d")}
        assert (small.inputs["f"], small.inputs["d"], small.output, small.seed) == (-12.0, -3.0, "F", 1.0)
        assert (small.recorded, small.index) == (recorded, None)
        assert small.right == pytest.approx(expected) == computed(small)


def test_operands_have_the_candidates_figures_also_where_these_are_wrong() -> None:
    graph = graph_of(SEED)
    right = run_of(graph, SEED_INPUTS)
    candidate = run_of(graph, SEED_INPUTS, values={"e": 7.0, "F": 1.0})
    error, small = smallest_of(right, candidate)
    assert (nodes_of(error)["e"], error.inputs) == (("Add", "a", "b"), {"a": 5.0, "b": 1.0})
    assert small.inputs == {"f": -14.0, "d": -3.0} and small.right == pytest.approx(14 / 3)


def test_operands_that_are_not_given_are_the_candidates_own_replays() -> None:
    graph = graph_of(SEED)
    right = run_of(graph, SEED_INPUTS)
    wrong = run_of(graph, SEED_INPUTS, values={"e": 7.0, "F": 1.0})
    _, small = smallest_of(right, only(wrong, values=("a", "b", "c", "d", "e", "F")))
    assert small.inputs == {"f": -14.0, "d": -3.0}


def test_a_gradient_of_several_uses_is_that_of_their_seeded_sum() -> None:
    graph = graph_of("u = x * y; v = sin(x); L = u * v")
    inputs = {"x": 0.5, "y": 3.0}
    right = run_of(graph, inputs)
    small = only_smallest(right, run_of(graph, inputs, gradients={"x": 9.0}))
    assert nodes_of(small)["total"] == ("Sum", "seeded_u", "seeded_v")
    assert small.inputs["upstream_u"] == right.gradients[graph.position["u"]]  # type: ignore[index]
    assert computed(small) == pytest.approx(float(small.right))


def test_many_uses_are_summed_a_hundred_at_a_time() -> None:
    graph = graph_of(
        "; ".join(f"y{i} = sin({i} * x)" for i in range(250)) + f"; L = {' + '.join(f'y{i}' for i in range(250))}"
    )
    small = only_smallest(run_of(graph, {"x": 0.1}), run_of(graph, {"x": 0.1}, gradients={"x": 1.0}))
    sums = [len(operands) for operation, *operands in nodes_of(small).values() if operation == "Sum"]
    assert sums == [100, 100, 52] and computed(small) == pytest.approx(float(small.right))


def test_a_use_that_another_use_reads_counts_once() -> None:
    graph = graph_of("u = x * x; v = u * x; L = v + u")
    small = only_smallest(run_of(graph, {"x": 2.0}), run_of(graph, {"x": 2.0}, gradients={"x": 1.0}))
    assert nodes_of(small)["u"] == ("Input",) and nodes_of(small)["u_2"] == ("Mul", "x", "x")
    assert computed(small) == float(small.right) == 3 * 4 + 2 * 2


def test_elementwise_operations_are_cut_to_the_worst_element() -> None:
    graph = graph_of("p = x * w; y = p + b; L = sum(tanh(y))")
    inputs = {"x": np.arange(6.0).reshape(2, 3), "w": np.array([1.0, 2.0, 3.0]), "b": 0.5}
    right = run_of(graph, inputs)
    value = right.values[graph.position["p"]].copy()  # type: ignore[union-attr]
    value[1, 2] = 100.0
    small = only_smallest(right, altered(right, values={"p": value}))
    assert small.index == (1, 2) and small.inputs == {"x": 5.0, "w": 3.0} and small.recorded == 100.0
    # The gradient of w is summed over the rows, that of b over everything.
    small = only_smallest(right, altered(right, gradients={"w": np.array([0.0, 0.0, 9.0])}))
    assert small.index == (2,) and small.inputs["w"] == 3.0 and small.inputs["x"].tolist() == [2.0, 5.0]
    small = only_smallest(right, altered(right, gradients={"b": 9.0}))
    assert small.inputs["p"].shape == (2, 3) and small.index is None
    assert computed(small) == pytest.approx(float(small.right))


def test_a_figure_of_another_shape_is_whole() -> None:
    graph = graph_of("y = x * b; L = sum(y)")
    right = run_of(graph, {"x": np.ones((2, 3)), "b": np.ones(3)})
    small = only_smallest(right, altered(right, gradients={"b": np.ones((2, 3))}))
    assert (small.right.shape, small.recorded.shape, small.index) == ((3,), (2, 3), None)


def test_an_output_that_does_not_depend_on_the_node_and_the_output_itself() -> None:
    graph = graph_of("L = x * x; y = 3 * x", outputs=["L", "y"])
    right = run_of(graph, {"x": 2.0}, output="L")
    beside = only_smallest(right, altered(right, gradients={"y": np.array(7.0)}))
    assert (computed(beside), beside.right, beside.recorded) == (0.0, 0.0, 7.0)
    itself = only_smallest(right, altered(right, gradients={"L": np.array(2.0), "x": np.array(8.0)}))
    assert (nodes_of(itself), itself.seed, computed(itself)) == ({"L": ("Input",)}, 1.0, 1.0)


def test_uses_with_no_gradient_are_left_out_unless_that_is_how_nan_came_about() -> None:
    graph = graph_of("u = log(x); v = x * 3; L = u * z + v")
    right = run_of(graph, {"x": 4.0, "z": 0.0})
    small = only_smallest(right, altered(right, gradients={"x": np.array(1.0)}))
    assert "u" not in small.graph.position and computed(small) == 3.0
    lost = run_of(graph, {"x": 0.0, "z": 0.0})
    small = only_smallest(lost, altered(lost, gradients={"x": np.array(3.0)}))
    assert np.isnan(small.right) and np.isnan(computed(small))


def test_precision_and_convention_are_the_graphs() -> None:
    nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "c", "operation": "Constant", "attributes": {"value": 0.1}},
        {"name": "y", "operation": "Mul", "inputs": ["x", "c"]},
    ]
    graph = build_graph(nodes)
    fitted = run_at(fit_inputs(graph, {"x": np.array(3.0)}, **LARGEST), "y")
    assert fitted.gradients is not None and fitted.seed is not None
    right = Run(graph, fitted.values, "float32", Backward("y", fitted.seed, fitted.gradients))
    small = only_smallest(right, altered(right, gradients={"x": np.array(0.2)}))
    assert len(small.graph.float32_nodes) == 3 and computed(small) == np.float32(0.1)
    graph = graph_of("y = relu(x)").with_convention("torch")
    assert find_convention(graph) == "torch"


def find_convention(graph: object) -> str:
    right = run_of(graph, {"x": 1.0})  # type: ignore[arg-type]
    return only_smallest(right, altered(right, gradients={"x": np.array(5.0)})).graph.convention


def test_an_origin_by_definition_is_that_of_the_baselines_definition() -> None:
    inputs = {"x": np.array([1.0, 2.0, 4.0]), "w": np.array([1.0, 3.0, -1.0])}
    graphs = [graph_of(f"n = {how}; L = sum(n * w)") for how in ("softmax(x)", "softmax(x * 2)", "log_softmax(x)")]
    right, scaled, other = (run_of(graph, inputs) for graph in graphs)
    small = next(each for each in smallest_of(right, other) if each.seed is None)
    assert nodes_of(small)["n"] == ("Softmax", "x")
    assert np.array_equal(computed(small), right.values[graphs[0].position["n"]])
    assert np.array_equal(small.recorded, other.values[graphs[2].position["n"]])
    for small in smallest_of(right, scaled):
        assert computed(small) == pytest.approx(small.right)


def test_an_origin_by_definition_is_cut_to_the_element_of_which_its_sentence_speaks() -> None:
    inputs = {"x": np.array([5.0, -3.0])}
    right, candidate = (run_of(graph_of(f"n = {how}(x); L = sum(n)"), inputs) for how in ("exp", "expm1"))
    assert [(small.index, small.right) for small in smallest_of(right, candidate) if small.seed is None] == [
        ((1,), pytest.approx(np.exp(-3.0)))
    ]


def test_figures_without_elements_are_operands_too() -> None:
    graph = graph_of("y = x @ w; L = sum(y)")
    right = run_of(graph, {"x": np.zeros((2, 0)), "w": np.zeros((0, 3))})
    small = only_smallest(right, altered(right, values={"y": np.ones((2, 3))}))
    assert np.array_equal(computed(small), np.zeros((2, 3))) and small.inputs["x"].shape == (2, 0)


def test_an_origin_by_definition_that_lies_otherwise_is_shown_as_the_baseline_has_it() -> None:
    first, second = graph_of("n = relu(x); L = sum(n)"), graph_of("m = leaky_relu(y); K = sum(m)")
    figure = np.array([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])
    right, candidate = run_of(first, {"x": figure}), run_of(second, {"y": figure.T})

    def propose(baseline: Run, candidate: Run, names: object) -> Alignment:
        layout = np.arange(6).reshape(2, 3).T
        return Alignment(np.arange(3), {}, np.array([1]), {0: layout, 1: layout})

    found = compare(right, candidate, TOLERANCES["float64"], propose=propose)
    ((phase, position),) = (place for place in found.places(Verdict.ORIGIN) if place[0].name == "forward")
    small = find_smallest(found, phase, position, lambda: right)
    assert (small.index, small.inputs) == ((1, 2), {"x": -6.0})
    assert (small.right, small.recorded, computed(small)) == (0.0, pytest.approx(-0.06), 0.0)


def test_an_origin_by_another_use_is_that_of_the_baselines_uses() -> None:
    inputs = {"x": 2.0, "y": 3.0}
    right = run_of(graph_of("u = x * y; L = u + x"), inputs)
    candidate = run_of(graph_of("u = x * y; L = u + 0 * x"), inputs)
    found = {(small.seed is None, small.node): small for small in smallest_of(right, candidate)}
    small = found[False, "x"]
    assert (small.right, small.recorded, computed(small)) == (4.0, 3.0, 4.0)
    assert {name for name, (operation, *_) in nodes_of(small).items() if operation != "Input"} >= {"L"}


def test_what_follows_from_nothing_is_refused() -> None:
    graph = graph_of(SEED)
    found = judge(run_of(graph, SEED_INPUTS), run_of(graph, SEED_INPUTS | {"a": 4.0}))
    ((phase, position),) = found.places(Verdict.ORIGIN)
    with pytest.raises(Conflict, match="nothing reproduces the value of 'a'"):
        find_smallest(found, phase, position, lambda: found.candidate)
    graph = graph_of("; ".join(f"y{i} = sin(x)" for i in range(1001)) + "; L = sum(y0, y1)", outputs=["L"])
    right = run_of(graph, {"x": 1.0})
    found = judge(right, altered(right, gradients={"x": np.array(9.0)}))
    ((phase, position),) = found.places(Verdict.ORIGIN)
    with pytest.raises(Conflict, match="too many nodes use it"):
        find_smallest(found, phase, position, lambda: found.candidate)


def test_the_origin_shows_in_the_small_graph_as_in_the_whole() -> None:
    for seed in range(3):
        graph, inputs = tame_graph(seed, 60, 8)
        right, random = run_of(graph, inputs), np.random.default_rng(seed)
        for position in random.integers(0, len(graph) - 1, 4).tolist():
            name = graph.nodes[position].name
            small = only_smallest(right, run_of(graph, inputs, gradients={name: lambda right: right * 1.5 + 0.3}))
            assert small.seed is not None
            assert computed(small) == pytest.approx(float(small.right), rel=1e-12, abs=1e-12)
            whole, given = seeded(small)
            assert set(given) == set(whole.inputs)
            ours = run_of(small.graph, small.inputs, output=small.output)
            ours = Run(ours.graph, ours.values, "float64", backward_of(small))
            alone = altered(ours, gradients={small.node: small.recorded})
            assert origins(judge(ours, alone), small.graph) == [("backward", name)]


def backward_of(small: Smallest) -> Backward:
    assert small.seed is not None
    made = run_at(fit_inputs(small.graph, small.inputs, **LARGEST), small.output, small.seed)
    assert made.gradients is not None and made.seed is not None
    return Backward(small.output, made.seed, pack(list(made.gradients)))
