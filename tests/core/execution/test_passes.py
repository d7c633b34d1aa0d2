"""The two passes: against published figures, differences and complex steps, and at the edges of what is accepted."""

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given

from service.core.errors import InvalidInputs, LimitExceeded
from service.core.execution import kernel
from service.core.execution.nonfinite import FirstNonfinite, first_nonfinite_gradient, first_nonfinite_value
from service.core.execution.passes import (
    backward_pass,
    forward_pass,
    nondifferentiable_nodes,
    spread_seed,
)
from service.core.figures.figures import FloatArray, pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.graph.shapes import infer_shapes
from service.core.rulebook import registry
from service.core.rulebook.registry import define
from tests.elementwise import ANALYTIC, BROADCAST_SHAPES, NEIGHBOURHOOD
from tests.passes import Named, array_loop, arrays_of, by_name, graph_of, near, run, taken
from tests.random_graphs import Point, figures, points


@pytest.fixture(scope="module", params=["array loop", "compiled"], autouse=True)
def _loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways of running a graph of scalars; arrays have but one."""
    kernel.warm()
    with array_loop() if request.param == "array loop" else nullcontext():
        yield


# --- random graphs ------------------------------------------------------------------------------------------------


def slopes(point: Point, name: str, index: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """How each node's value changes with one element of an input, by central differences, with the doubt in them.

    Draws anew where a step carries a node over what may be a kink.
    """
    here = forward_pass(point.graph, point.inputs)
    differences = []
    for step in (1e-4, 5e-5, 2.5e-5):
        sides = []
        for signed in (step, -step):
            moved = point.inputs[name].copy()
            moved[index] += signed
            there = forward_pass(point.graph, {**point.inputs, name: moved})
            assume(np.all(np.abs(there.flat - here.flat) < NEIGHBOURHOOD))
            sides.append(there)
        differences.append([(above - below) / (2 * step) for above, below in zip(*sides, strict=True)])
    extrapolated = [(64 * n - 20 * m + w) / 45 for w, m, n in zip(*differences, strict=True)]
    return extrapolated, [np.abs(best - n) for best, n in zip(extrapolated, differences[2], strict=True)]


def assert_gradients_are_differences(point: Point) -> None:
    """From every node as output, with a seed of its shape, to every element of every input."""
    values = forward_pass(point.graph, point.inputs)
    shapes = [values.shape(position) for position in range(len(values))]
    seeds = [np.cos(np.arange(math.prod(shape))).reshape(shape) for shape in shapes]
    gradients = [
        backward_pass(point.graph, values, node.name, seed) for node, seed in zip(point.graph.nodes, seeds, strict=True)
    ]
    for name, figure in point.inputs.items():
        for index in np.ndindex(figure.shape):
            expected, doubts = slopes(point, name, index)
            for seed, slope, doubt, each in zip(seeds, expected, doubts, gradients, strict=True):
                gradient = each[point.graph.position[name]]
                assert gradient is not None
                allowed = 1e-6 * (1.0 + np.sum(np.abs(seed * slope))) + 4.0 * np.sum(doubt)
                assert abs(gradient[index] - np.sum(seed * slope)) <= allowed


@given(points())
def test_random_graphs_of_scalars_agree_with_central_differences(point: Point) -> None:
    assert_gradients_are_differences(point)


@given(points(BROADCAST_SHAPES))
def test_random_graphs_of_arrays_agree_with_central_differences(point: Point) -> None:
    assert_gradients_are_differences(point)


@given(points(BROADCAST_SHAPES, ANALYTIC, largest_graph=15))
def test_random_analytic_graphs_agree_with_complex_steps(point: Point) -> None:
    values = forward_pass(point.graph, point.inputs)
    gradients = backward_pass(point.graph, values, point.output)
    output = point.graph.position[point.output]
    for name, figure in point.inputs.items():
        gradient = gradients[point.graph.position[name]]
        assert gradient is not None
        for index in np.ndindex(figure.shape):
            moved = figure.astype(np.complex128)
            moved[index] += 1e-30j
            expected = np.sum(np.imag(evaluate(point.graph, {**point.inputs, name: moved})[output])) / 1e-30
            assert gradient[index] == near(expected, rel=1e-9, abs=1e-9)


def evaluate(graph: Graph, inputs: Named) -> list[Any]:
    """A forward pass over complex arrays."""
    values: list[Any] = []
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        if node.operation.name == "Input":
            values.append(inputs[node.name])
        elif node.operation.name == "Constant":
            values.append(np.float64(node.attributes["value"]))
        else:
            values.append(node.operation.evaluate([values[position] for position in operands], node.attributes))
    return values


@given(points(BROADCAST_SHAPES, largest_graph=12))
def test_the_same_passes_give_the_same_bits(point: Point) -> None:
    values = [forward_pass(point.graph, point.inputs) for _ in range(2)]
    assert values[0].flat.tobytes() == values[1].flat.tobytes()
    gradients = [backward_pass(point.graph, values[0], point.output, 0.3) for _ in range(2)]
    assert gradients[0].flat.tobytes() == gradients[1].flat.tobytes()


@given(points(BROADCAST_SHAPES))
def test_every_gradient_has_the_shape_of_its_value(point: Point) -> None:
    values = forward_pass(point.graph, point.inputs)
    gradients = backward_pass(point.graph, values, point.output)
    for position, node in enumerate(point.graph.nodes):
        assert (gradients[position] is None) == (node.operation.name == "Constant")
        assert gradients.shape(position) == values.shape(position)


@given(points(BROADCAST_SHAPES))
def test_shapes_are_known_before_anything_is_computed(point: Point) -> None:
    shapes = infer_shapes(point.graph, {name: figure.shape for name, figure in point.inputs.items()})
    values = forward_pass(point.graph, point.inputs)
    assert shapes == tuple(values.shape(position) for position in range(len(point.graph)))


# --- paths, outputs and seeds -------------------------------------------------------------------------------------


def test_the_same_input_twice_contributes_once_for_each_edge() -> None:
    _, gradients = run("z = x*x + max(x, x, x) + x", {"x": 3})
    assert gradients["x"] == near(6 + 1 + 1)


def test_a_square_repeated_50_times_has_two_to_the_50_paths() -> None:
    text = "; ".join(f"y{position} = y{position - 1} * y{position - 1}" for position in range(1, 51))
    values, gradients = run(text, {"y0": 1.0})
    assert values["y50"] == 1.0
    assert gradients["y0"] == 2.0**50


def test_a_chain_of_20_000_nodes() -> None:
    count = 20_000
    chain: list[dict[str, object]] = [{"name": "n0", "operation": "Input"}]
    chain += [
        {"name": f"n{position}", "operation": "Neg", "inputs": [f"n{position - 1}"]} for position in range(1, count)
    ]
    graph = build_graph(chain)
    values = forward_pass(graph, arrays_of({"n0": 2.5}))
    gradients = backward_pass(graph, values, "n19999")
    alternating = np.where(np.arange(count) % 2, -1.0, 1.0)
    np.testing.assert_array_equal(values.flat, 2.5 * alternating)
    np.testing.assert_array_equal(gradients.flat, -alternating)


def test_what_does_not_reach_the_output_has_gradient_0_and_a_constant_has_none() -> None:
    _, gradients = run("p = x * 2; q = p + y; r = exp(q); s = u", {"x": 1, "y": 2, "u": [3, 4]}, output="p")
    assert gradients == {
        "x": 2.0, "constant_1": None, "p": 1.0, "y": 0.0, "q": 0.0, "r": 0.0, "u": [0.0, 0.0], "s": [0.0, 0.0],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("x", {"x": 1.0, "c": None, "y": 0.0, "z": 0.0}),
        ("c", {"x": 0.0, "c": None, "y": 0.0, "z": 0.0}),
        ("y", {"x": 6.0, "c": None, "y": 1.0, "z": 0.0}),
        ("z", {"x": -6.0, "c": None, "y": -1.0, "z": 1.0}),
    ],
)
def test_any_node_may_be_the_output(output: str, expected: Named) -> None:
    _, gradients = run("c = 2; y = x ^ c; z = -y", {"x": 3}, output=output)
    assert gradients == expected


def test_a_scalar_seed_spreads_and_a_seed_weighs_each_element() -> None:
    inputs = {"x": [1.0, 2.0, 3.0], "k": 2.0}
    _, gradients = run("y = k * x^2", inputs, seed=10.0)
    assert (gradients["x"], gradients["k"]) == ([40.0, 80.0, 120.0], 140.0)
    _, gradients = run("y = k * x^2", inputs, seed=[1.0, 0.0, -1.0])
    assert (gradients["x"], gradients["k"]) == ([4.0, 0.0, -12.0], -8.0)
    assert gradients["y"] == [1.0, 0.0, -1.0]


@pytest.mark.parametrize("seed", [[1.0], [1.0, 1.0], [[1.0, 1.0, 1.0]]])
def test_a_seed_of_another_shape_is_refused(seed: Any) -> None:
    with pytest.raises(InvalidInputs, match=r"the seed has shape \[.*\]; the output has \[3\]") as caught:
        run("y = exp(x)", {"x": [1.0, 2.0, 3.0]}, seed=seed)
    assert caught.value.faults[0].location == ("seed",)


def test_a_seed_for_a_scalar_output_is_a_scalar() -> None:
    assert spread_seed(2.0, ()).tolist() == 2.0
    with pytest.raises(InvalidInputs, match=r"the seed has shape \[1\]; the output has \[\]"):
        spread_seed(np.ones(1), ())


# --- inputs and shapes --------------------------------------------------------------------------------------------


def test_missing_and_extra_inputs_are_named() -> None:
    with pytest.raises(InvalidInputs) as caught:
        forward_pass(graph_of("a + b * c"), arrays_of({"b": 1, "d": 2, "e": 3}))
    assert [(fault.location, fault.detail) for fault in caught.value.faults] == [
        (("inputs",), "the input 'a' is missing"),
        (("inputs",), "the input 'c' is missing"),
        (("inputs", "d"), "the graph has no input 'd'"),
        (("inputs", "e"), "the graph has no input 'e'"),
    ]


def test_a_vector_input_is_a_batch_of_points_and_a_scalar_inputs_gradient_is_summed() -> None:
    batch = [0.5, 1.0, 2.0]
    values, gradients = run("y = sin(k * x)", {"x": batch, "k": 3.0})
    assert values["y"] == near([math.sin(3 * x) for x in batch])
    assert gradients["x"] == near([3 * math.cos(3 * x) for x in batch])
    assert gradients["k"] == near(sum(x * math.cos(3 * x) for x in batch))


def test_contributions_are_summed_back_to_the_shape_of_what_was_broadcast() -> None:
    inputs = {"column": [[1.0], [2.0]], "row": [[3.0, 4.0, 5.0]], "vector": [6.0, 7.0, 8.0], "one": [9.0]}
    values, gradients = run("y = column * row + vector * one", inputs)
    assert values["y"] == [[57.0, 67.0, 77.0], [60.0, 71.0, 82.0]]
    assert gradients["column"] == [[12.0], [12.0]]
    assert gradients["row"] == [[3.0, 3.0, 3.0]]
    assert gradients["vector"] == [18.0, 18.0, 18.0]
    assert gradients["one"] == [42.0]


def test_an_empty_batch_has_gradient_0() -> None:
    values, gradients = run("y = k * exp(x)", {"x": [], "k": 2.0})
    assert (values["y"], gradients["x"], gradients["k"]) == ([], [], 0.0)


def test_shapes_that_do_not_fit_name_the_node_its_operation_and_both_shapes() -> None:
    with pytest.raises(InvalidInputs) as caught:
        run("p = exp(x); q = p + y", {"x": [1.0, 2.0], "y": [1.0, 2.0, 3.0]})
    (fault,) = caught.value.faults
    assert fault.location == ("inputs",)
    assert fault.detail == "'q' (Add) cannot take shapes [2], [3]: they cannot be broadcast to one shape"


def test_shapes_that_do_not_fit_point_to_the_input_where_it_is_an_operand() -> None:
    with pytest.raises(InvalidInputs) as caught:
        run("q = x + y", {"x": [1.0, 2.0], "y": [1.0, 2.0, 3.0]})
    assert caught.value.faults[0].location == ("inputs", "x")


def test_a_value_with_too_many_elements_is_refused_before_it_is_made() -> None:
    """10¹² elements would not fit into memory."""
    side = np.ones(10**6)
    graph = graph_of("y = column * row")
    inputs = {"column": side.reshape(-1, 1), "row": side}
    with pytest.raises(
        LimitExceeded, match=r"a node's value has at most 10000000 elements; 'y' would have 10{12}"
    ) as caught:
        forward_pass(graph, inputs, max_tensor=10**7)
    assert (caught.value.limit, caught.value.maximum, caught.value.actual) == ("tensor_elements", 10**7, 10**12)
    with pytest.raises(LimitExceeded, match="a run holds at most 10000000 elements of values") as caught:
        forward_pass(graph, inputs, max_elements=10**7)
    assert caught.value.limit == "run_elements"


@pytest.mark.parametrize("x", [1.0, [1.0]])
def test_the_elements_of_all_values_count_together(x: Any) -> None:
    graph = graph_of("z = exp(sin(x))")
    forward_pass(graph, arrays_of({"x": x}), max_elements=3)
    with pytest.raises(LimitExceeded, match="at most 2 elements"):
        forward_pass(graph, arrays_of({"x": x}), max_elements=2)


@given(figures((2, 3)))
def test_inputs_are_not_changed(figure: FloatArray) -> None:
    before = figure.copy()
    graph = graph_of("y = x * x + x")
    backward_pass(graph, forward_pass(graph, {"x": figure}), "y")
    np.testing.assert_array_equal(figure, before)


# --- what is not finite, and where there is no derivative ---------------------------------------------------------


def first_names(text: str, inputs: Named) -> tuple[str | None, str | None]:
    """The names of the first node whose value, and whose gradient, is not finite, in the order of each pass."""
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of(inputs))
    gradients = backward_pass(graph, values, graph.outputs[0])
    output = graph.outputs[0]
    found = first_nonfinite_value(graph, values), first_nonfinite_gradient(graph, gradients, output)
    forward, backward = (first and first.node for first in found)
    return forward, backward


@pytest.mark.parametrize(
    ("text", "inputs", "expected"),
    [
        ("p = exp(x); q = 1 / p", {"x": 1}, (None, None)),
        ("p = log(x); q = p * 2; r = q + 1", {"x": 0}, ("p", "x")),
        ("p = sqrt(x); q = p * 2", {"x": 0}, (None, "x")),
        ("p = sqrt(x); q = p * p; r = exp(y)", {"x": [1, 0], "y": 1}, (None, "x")),
        ("p = x - x; q = p * 2", {"x": "inf"}, ("p", None)),
        ("s = x + mask; p = exp(s); q = log(y) * p", {"x": 1, "mask": "-inf", "y": 2}, (None, None)),
        ("s = x + mask; p = exp(s); q = p * log(y)", {"x": 1, "mask": "-inf", "y": 0}, ("log_1", "p")),
        ("s = x + mask; p = s - s; q = p + 1", {"x": 1, "mask": "-inf"}, ("p", None)),
        ("s = x + mask; p = sqrt(x - 2); q = p + s", {"x": 1, "mask": "-inf"}, ("p", "sub_1")),
        ("p = exp(x); q = p * p; r = q - q", {"x": 800}, ("p", "p")),
        ("p = x * 2; q = p ^ 2", {"x": "nan"}, ("x", "p")),
        ("p = 1 / x; q = p * 0; r = q + 1", {"x": 0}, ("p", "x")),
    ],
)
def test_the_first_node_that_is_not_finite_is_named(text: str, inputs: Named, expected: tuple[str | None, ...]) -> None:
    assert first_names(text, inputs) == expected


@pytest.mark.parametrize(
    ("text", "inputs", "forward", "backward"),
    [
        ("p = log(x); q = p * 0; r = q + 1", {"x": 0}, ("p", "p", "q"), ("x", None, "x")),
        ("p = sqrt(x); q = 1 / y; r = p * q", {"x": -1, "y": 0}, ("p", "q", "p"), ("q", "p", "q")),
        (
            "s = x + mask; p = s - s; q = exp(y); r = p + q",
            {"x": 1, "mask": "-inf", "y": 800},
            ("p", "q", "p"),
            ("y", "y", None),
        ),
    ],
)
def test_the_first_of_each_kind_is_named(text: str, inputs: Named, forward: Any, backward: Any) -> None:
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of(inputs))
    gradients = backward_pass(graph, values, "r")
    assert first_nonfinite_value(graph, values) == FirstNonfinite(*forward)
    assert first_nonfinite_gradient(graph, gradients, "r") == FirstNonfinite(*backward)


def test_nan_and_infinity_flow_as_data() -> None:
    values, gradients = run("y = x * exp(k)", {"x": [math.nan, math.inf, -math.inf, -0.0], "k": 0.0})
    np.testing.assert_array_equal(values["y"], [math.nan, math.inf, -math.inf, -0.0])
    assert math.copysign(1.0, values["y"][3]) == -1.0
    assert gradients["x"] == [1.0] * 4
    assert math.isnan(gradients["k"])


def test_conditions_are_0_or_1_and_float64() -> None:
    graph = graph_of("p = x > 1; q = and(p, x < 3); y = where(q, x^2, -x)")
    values = forward_pass(graph, arrays_of({"x": [0.0, 2.0, 4.0]}))
    assert values.flat.dtype == np.float64
    assert by_name(graph, values)["p"] == [0.0, 1.0, 1.0]
    assert by_name(graph, values)["q"] == [0.0, 1.0, 0.0]
    assert by_name(graph, backward_pass(graph, values, "y"))["x"] == [-1.0, 4.0, -1.0]


def names_of_kinks(text: str, inputs: Named) -> list[str]:
    """The names of the nodes at which no derivative exists."""
    graph = graph_of(text)
    values = forward_pass(graph, arrays_of(inputs))
    return [graph.nodes[position].name for position in nondifferentiable_nodes(graph, values)]


def test_nodes_without_a_derivative_are_marked() -> None:
    text = "p = abs(x); q = relu(p - 2); r = max(q, y); s = elu(p, alpha=2); t = exp(q)"
    assert names_of_kinks(text, {"x": 0, "y": 0}) == ["p", "r", "s"]
    assert names_of_kinks(text, {"x": [1, -2, 3], "y": 0.5}) == ["q"]
    assert names_of_kinks(text, {"x": 3, "y": 2}) == []


def test_a_node_whose_figures_are_not_known_is_not_marked() -> None:
    graph = graph_of("p = abs(x); q = abs(p)")
    known = {"x": np.float64(0.0), "p": None, "q": np.float64(0.0)}
    assert nondifferentiable_nodes(graph, pack(list(known.values()))) == ()
    assert nondifferentiable_nodes(graph, pack([np.float64(0.0)] * 3)) == (1, 2)


# --- operations that are not elementwise --------------------------------------------------------------------------


@pytest.fixture
def dot_and_take(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two operations with vector-Jacobian products; for as long as a test runs."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))

    def dot_shape(shapes: Sequence[tuple[int, ...]], attributes: Named) -> tuple[int, ...]:
        if shapes[0] != shapes[1]:
            raise ValueError("the vectors differ in length")
        return ()

    define(
        "OwnDot",
        "x y",
        forward=np.dot,
        contributions=lambda upstream, x, y, z: (upstream * y, upstream * x),
        infer_shape=dot_shape,
    )
    define(
        "OwnTake",
        "x index",
        forward=lambda x, index: x[int(index)],
        contributions=lambda upstream, x, index, z: (upstream * (np.arange(len(x)) == index), None),
        infer_shape=lambda shapes, attributes: (),
    )
    yield


@pytest.mark.usefixtures("dot_and_take")
def test_vector_jacobian_products_flow_with_local_gradients() -> None:
    text = "d = owndot(x, y); t = owntake(x, i); p = d * t; z = p + j"
    values, gradients = run(text, {"x": [1, 2], "y": [3, 4], "i": 1, "j": 5})
    assert (values["d"], values["t"], values["z"]) == (11.0, 2.0, 27.0)
    assert taken(gradients, "xydtij") == [[6.0, 19.0], [2.0, 4.0], 2.0, 11.0, 0.0, 1.0]


@pytest.mark.usefixtures("dot_and_take")
def test_an_operand_to_which_no_gradient_flows_keeps_its_other_contributions() -> None:
    _, gradients = run("t = owntake(x, i); u = i * 3; z = t + u", {"x": [1, 2], "i": 1})
    assert (gradients["x"], gradients["i"]) == ([0.0, 1.0], 3.0)


@pytest.mark.usefixtures("dot_and_take")
def test_their_shapes_are_checked_even_where_all_inputs_are_given_as_scalars() -> None:
    with pytest.raises(InvalidInputs, match=r"'d' \(OwnDot\) cannot take shapes \[2\], \[3\]: the vectors differ"):
        run("d = owndot(x, y)", {"x": [1, 2], "y": [1, 2, 3]})
