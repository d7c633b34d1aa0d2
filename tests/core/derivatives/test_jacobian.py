"""Derivatives of first and second order: forward mode against reverse mode over the whole registry and random graphs,
Hessians against symmetry, quadratic forms, differences, the gradient graph and published closed forms."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.core.derivatives import jacobian as sweeps
from service.core.derivatives.gradient_graph import gradient_graph
from service.core.derivatives.jacobian import (
    check_size,
    hessian,
    jacobian,
    prefers_forward,
    pull_back,
    push_forward,
    push_gradients,
)
from service.core.errors import InvalidRequest, LimitExceeded
from service.core.execution.passes import backward_pass, forward_pass, nondifferentiable_nodes
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook import registry
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import define
from tests.elementwise import (
    BROADCAST_SHAPES,
    MARGIN,
    attribute_samples,
    domains,
    each_elementwise,
    is_smooth,
    operand_counts,
)
from tests.examples import examples
from tests.passes import Named, arrays_of, graph_of
from tests.random_graphs import Point, points
from tests.tensors import each_tensor_operation, graph_around, samples

POINTS = st.sampled_from([((),), BROADCAST_SHAPES]).flatmap(lambda shapes: points(shapes, largest_graph=12))


def evaluated(text: str, inputs: Named) -> tuple[Graph, Figures]:
    graph = graph_of(text)
    return graph, forward_pass(graph, arrays_of(inputs))


def in_mode(forward: bool, graph: Graph, values: Figures, of: Sequence[str], wrt: Sequence[str]) -> sweeps.Blocks:
    """The Jacobian in the mode asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "prefers_forward", lambda *asked: forward)
        return jacobian(graph, values, of, wrt)


def assert_modes_agree(graph: Graph, values: Figures, of: Sequence[str], wrt: Sequence[str]) -> sweeps.Blocks:
    pushed, pulled = (in_mode(forward, graph, values, of, wrt) for forward in (True, False))
    assert pushed.keys() == pulled.keys() == set(product(of, wrt))
    for (name, source), block in pushed.items():
        shape = values.shape(graph.position[name]) + values.shape(graph.position[source])
        assert block.shape == pulled[name, source].shape == shape
        np.testing.assert_allclose(block, pulled[name, source], rtol=1e-9, atol=1e-9)
    return pushed


def assert_symmetric(blocks: Mapping[tuple[str, str], FloatArray], values: Figures, graph: Graph) -> None:
    for (one, other), block in blocks.items():
        rows, columns = (np.prod(values.shape(graph.position[name]), dtype=int) for name in (one, other))
        matrix, mirrored = block.reshape(rows, columns), blocks[other, one].reshape(columns, rows)
        scale = 1.0 + np.abs(matrix).max(initial=0.0)
        np.testing.assert_allclose(matrix / scale, mirrored.T / scale, rtol=0, atol=1e-9)


# --- forward mode = reverse mode ------------------------------------------------------------------------------------


@pytest.mark.slow
@each_elementwise
@settings(max_examples=examples(10), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_both_modes_agree_on_every_operation(operation: Operation, data: st.DataObject) -> None:
    count = data.draw(st.sampled_from(operand_counts(operation)))
    attributes = data.draw(st.sampled_from(list(attribute_samples(operation))))
    operands = {}
    for operand_index, (low, high) in enumerate(domains(operation, count)):
        shape = data.draw(st.sampled_from(BROADCAST_SHAPES))
        elements = st.floats(max(low + MARGIN, -4.0), min(high - MARGIN, 4.0)).map(lambda x: round(x, 6))
        row = data.draw(st.lists(elements, min_size=math.prod(shape), max_size=math.prod(shape)))
        operands[f"x{operand_index}"] = np.reshape(np.array(row), shape)
    with np.errstate(all="ignore"):
        if not np.all(is_smooth(operation, list(operands.values()), attributes)):
            return
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in operands]
    node = {"name": "y", "operation": operation.name, "inputs": list(operands), "attributes": dict(attributes)}
    graph = build_graph([*documents, node])
    values = forward_pass(graph, operands)
    blocks = assert_modes_agree(graph, values, ["y"], graph.inputs)
    total = backward_pass(graph, values, "y")
    for name in graph.inputs:
        position, rank = graph.position[name], len(values.shape(graph.position["y"]))
        summed = blocks["y", name].sum(axis=tuple(range(rank)))
        np.testing.assert_allclose(summed, np.asarray(total[position]), rtol=1e-9, atol=1e-9)
    assert_symmetric(hessian(graph, values, "y", graph.inputs), values, graph)


@settings(suppress_health_check=list(HealthCheck))
@given(point=POINTS)
def test_both_modes_agree_on_random_graphs(point: Point) -> None:
    graph = point.graph
    values = forward_pass(graph, point.inputs)
    names = [node.name for node in graph.nodes if node.has_gradient]
    blocks = assert_modes_agree(graph, values, names[-3:], names)
    gradients = backward_pass(graph, values, names[-1])
    for name in names:
        summed = blocks[names[-1], name].sum(axis=tuple(range(len(values.shape(graph.position[names[-1]])))))
        np.testing.assert_allclose(summed, np.asarray(gradients[graph.position[name]]), rtol=1e-9, atol=1e-9)


def test_the_cheaper_mode_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, wide_values = evaluated("y = x + u", {"x": [1, 2, 3], "u": 1})
    tall, tall_values = evaluated("p = x; q = x^2; y = x * w", {"x": 2, "w": [1, 2]})
    assert not prefers_forward(wide, wide_values, ["y"], ["x", "u"])
    assert not prefers_forward(wide, wide_values, ["y"], ["x"])  # as cheap
    assert prefers_forward(wide, wide_values, ["y"], ["u"])
    assert prefers_forward(tall, tall_values, ["p", "q", "y"], ["x", "w"])
    monkeypatch.setattr(sweeps, "push_forward", None)
    jacobian(wide, wide_values, ["y"], ["x", "u"])
    monkeypatch.undo()
    monkeypatch.setattr(sweeps, "pull_back", None)
    jacobian(tall, tall_values, ["p", "q", "y"], ["x", "w"])


def test_batches_of_directions_find_what_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, values = evaluated("y = tanh(x * w) + sin(u); z = y * y", {"x": [1, 2, 3], "w": [[0.1], [0.2]], "u": 0.5})
    whole = assert_modes_agree(graph, values, ["y", "z"], ["x", "w", "u"])
    curved = hessian(graph, values, "z", ["x", "w", "u"])
    monkeypatch.setattr(sweeps, "TANGENT_ELEMENTS", 60)
    for found, expected in (
        (assert_modes_agree(graph, values, ["y", "z"], ["x", "w", "u"]), whole),
        (hessian(graph, values, "z", ["x", "w", "u"]), curved),
    ):
        for pair in expected:
            np.testing.assert_array_equal(found[pair], expected[pair])


def test_intermediate_nodes_are_moved_where_they_stand() -> None:
    graph, values = evaluated("p = x * x; q = p * x", {"x": 3})
    blocks = assert_modes_agree(graph, values, ["p", "q"], ["x", "p", "q"])
    expected = {("p", "x"): 6, ("p", "p"): 1, ("p", "q"): 0, ("q", "x"): 27, ("q", "p"): 3, ("q", "q"): 1}
    assert blocks == expected
    assert hessian(graph, values, "q", ["x", "p"]) == {("x", "x"): 18, ("x", "p"): 1, ("p", "x"): 1, ("p", "p"): 0}


def test_empty_tensors() -> None:
    graph, values = evaluated("y = x * u", {"x": [], "u": 2})
    blocks = assert_modes_agree(graph, values, ["y"], ["x", "u"])
    assert {pair: block.shape for pair, block in blocks.items()} == {("y", "x"): (0, 0), ("y", "u"): (0,)}
    assert hessian(graph, values, "y", ["u", "x"])["u", "x"].shape == (0,)
    only, nothing = evaluated("y = x + x", {"x": []})
    assert hessian(only, nothing, "y", ["x"])["x", "x"].shape == (0, 0)


def test_an_infinite_slope_stays_where_it_is() -> None:
    graph, values = evaluated("y = sqrt(x) + u", {"x": [0, 4], "u": [1, 2]})
    blocks = assert_modes_agree(graph, values, ["y"], ["x", "u"])
    assert blocks["y", "x"].tolist() == [[math.inf, 0], [0, 0.25]]
    assert blocks["y", "u"].tolist() == [[1, 0], [0, 1]]


def test_what_is_not_selected_has_no_part_in_the_second_derivative() -> None:
    """The local gradient of Asinh selects between two formulas, of which one is infinite at 0."""
    graph, values = evaluated("y = asinh(x); z = where(x > 1, sqrt(x), x * x)", {"x": 0})
    assert hessian(graph, values, "y", ["x"])["x", "x"] == 0
    assert hessian(graph, values, "z", ["x"])["x", "x"] == 2


# --- operations that are not elementwise ----------------------------------------------------------------------------


@pytest.fixture
def tensor_operations(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A linear one of two operands that is affine in each, and a curved one with an index; while a test runs."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))
    define(
        "OwnJoin",
        "x y",
        forward=lambda x, y: np.concatenate([x, y]),
        contributions=lambda upstream, x, y, z: (upstream[: len(x)], upstream[len(x) :]),
        infer_shape=lambda shapes, attributes: (shapes[0][0] + shapes[1][0],),
        linear=True,
    )
    define(
        "OwnPowers",
        "x index:int",
        forward=lambda x, index: np.cumprod(x) * x[int(index)],
        contributions=lambda upstream, x, index, z: (
            np.cumsum((upstream * z)[::-1])[::-1] / x + (np.arange(len(x)) == index) * (upstream * np.cumprod(x)).sum(),
            None,
        ),
        infer_shape=lambda shapes, attributes: shapes[0],
    )
    yield


@pytest.mark.slow
@each_tensor_operation
@settings(max_examples=examples(8), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_both_modes_agree_on_every_tensor_operation(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    graph = graph_around(sample)
    values = forward_pass(graph, {f"x{position}": operand for position, operand in enumerate(sample.operands)})
    names = [f"x{position}" for position in sample.differentiable]
    if not names or nondifferentiable_nodes(graph, values):
        return
    assert_modes_agree(graph, values, ["z"], names)
    assert_symmetric(hessian(graph, values, "z", names), values, graph)


@pytest.mark.parametrize("text", ["z = std(x, ddof=1)", "z = var(x, ddof=1) + x^2"])
def test_the_second_derivative_of_what_is_nan_is_nan(text: str) -> None:
    """Of one number, with one degree of freedom less: scalars, and an operation that is not elementwise."""
    graph, values = evaluated(text, {"x": 1.5})
    assert np.isnan(hessian(graph, values, "z", ["x"])["x", "x"])


def test_a_second_derivative_that_no_rule_gives_is_refused() -> None:
    graph, values = evaluated("z = ReduceSum(sin(x))", {"x": [1.0, 2.0]})
    *before, last = graph.nodes
    rule = replace(last.operation, contributions=lambda upstream, x, z, *attributes: (np.median(x) * upstream,))
    odd = replace(graph, nodes=(*before, replace(last, operation=rule)))
    with pytest.raises(InvalidRequest, match="no second derivative through 'z': the gradient of ReduceSum is not a f"):
        hessian(odd, values, "z", ["x"])


@pytest.mark.usefixtures("tensor_operations")
def test_both_modes_agree_on_tensor_operations() -> None:
    text = "j = ownjoin(x, sin(y)); p = ownpowers(j, i); z = exp(p) * w"
    graph, values = evaluated(text, {"x": [0.5, 1.5], "y": [0.3], "i": 1, "w": [[1.0], [2.0]]})
    blocks = assert_modes_agree(graph, values, ["j", "p", "z"], ["x", "y", "i", "w", "j"])
    assert blocks["j", "x"].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert not np.any(blocks["p", "i"])
    # Three sweeps for x and y, and three for the rows of p.
    assert sweeps.forward_sweeps(graph, values, ["x", "y"]) == 6
    assert prefers_forward(graph, values, ["z", "p"], ["y"]) and not prefers_forward(graph, values, ["z"], ["x", "y"])


def test_sums_over_axes_have_second_derivatives() -> None:
    text = "s = ReduceSum(x * x, axes=[0], keepdims=0); y = ReduceSum(exp(s) * w, keepdims=0)"
    inputs = {"x": [[0.1, 0.2], [0.3, -0.4]], "w": [1.0, 2.0]}
    graph, values = evaluated(text, inputs)
    x, w = (np.array(inputs[name]) for name in "xw")
    assert_modes_agree(graph, values, ["s", "y"], ["x", "w"])
    blocks = hessian(graph, values, "y", ["x", "w"])
    assert_symmetric(blocks, values, graph)
    slope = 2 * x * np.exp((x * x).sum(axis=0))
    np.testing.assert_allclose(blocks["x", "w"], slope[:, :, None] * np.eye(2), rtol=1e-14)
    expected = np.einsum("ik,jl,kl->ikjl", 2 * x, w * slope, np.eye(2))
    expected += np.einsum("ij,kl,l->ikjl", np.eye(2), np.eye(2), 2 * w * np.exp((x * x).sum(axis=0)))
    np.testing.assert_allclose(blocks["x", "x"], expected, rtol=1e-13)


# --- second derivatives ---------------------------------------------------------------------------------------------


@settings(suppress_health_check=list(HealthCheck))
@given(point=POINTS)
def test_hessians_of_random_graphs_are_symmetric_and_those_of_the_gradient_graph(point: Point) -> None:
    graph, inputs = point.graph, point.inputs
    values = forward_pass(graph, inputs)
    blocks = hessian(graph, values, point.output, graph.inputs)
    assert_symmetric(blocks, values, graph)
    if any(map(np.ndim, inputs.values())):
        return
    gradients = gradient_graph(graph, point.output, graph.inputs)
    found = jacobian(gradients, forward_pass(gradients, inputs), gradients.outputs, gradients.inputs)
    for output, name in zip(gradients.outputs, graph.inputs, strict=True):
        for other in graph.inputs:
            bound = 1e-9 * (1.0 + abs(blocks[name, other]))
            assert found[output, other] == pytest.approx(blocks[name, other], rel=1e-8, abs=bound)


@given(data=st.data())
def test_the_hessian_of_a_quadratic_form_is_exact(data: st.DataObject) -> None:
    """Of ½ xᵀAx + bᵀx it is A: whole numbers are computed without rounding."""
    size = data.draw(st.integers(1, 5))
    whole = st.integers(-1000, 1000)
    matrix = np.reshape(data.draw(st.lists(whole, min_size=size**2, max_size=size**2)), (size, size))
    matrix = matrix + matrix.T
    names = [f"x{position}" for position in range(size)]
    squares = " + ".join(
        f"({matrix[i, j] if i < j else matrix[i, j] / 2}) * {names[i]} * {names[j]}"
        for i, j in product(range(size), repeat=2)
        if i <= j
    )
    point = dict(zip(names, data.draw(st.lists(whole, min_size=size, max_size=size)), strict=True))
    graph, values = evaluated(f"y = {squares} + {names[0]} * 3", point)
    blocks = hessian(graph, values, "y", names)
    assert [[blocks[one, other] for other in names] for one in names] == matrix.tolist()
    tangents = {name: np.arange(1.0, 4.0) * (position + 1) for position, name in enumerate(names)}
    products = push_gradients(graph, values, "y", tangents, names)
    np.testing.assert_array_equal(products, matrix @ np.array([tangents[name] for name in names]))


def test_products_are_the_matrices_times_the_vectors() -> None:
    graph, values = evaluated("p = exp(x) * w; y = p / (1 + u^2)", {"x": [0.1, 0.2], "w": [[1.0], [2.0]], "u": 0.3})
    wrt = ["x", "w", "u"]
    draw = np.random.default_rng(1).standard_normal
    tangents = {name: draw((3, *values.shape(graph.position[name]))) for name in wrt}
    blocks, curved = jacobian(graph, values, ["y"], wrt), hessian(graph, values, "y", wrt)

    def times_vector(of: str, rows: Mapping[tuple[str, str], FloatArray]) -> Any:
        return sum(
            np.tensordot(tangents[name].reshape(3, -1), rows[of, name].reshape(*values.shape(graph.position[of]), -1),
                         axes=(1, -1))
            for name in wrt
        )  # fmt: skip

    np.testing.assert_allclose(push_forward(graph, values, tangents, ["y"])[0], times_vector("y", blocks), rtol=1e-12)
    for name, product_found in zip(wrt, push_gradients(graph, values, "y", tangents, wrt), strict=True):
        np.testing.assert_allclose(product_found, times_vector(name, curved), rtol=1e-12)
    seeds = draw((3, 2, 2))
    for name, pulled in zip(wrt, pull_back(graph, values, "y", seeds, wrt), strict=True):
        expected = np.tensordot(seeds, blocks["y", name], axes=([1, 2], [0, 1]))
        np.testing.assert_allclose(pulled, expected, rtol=1e-12)


def test_too_large_derivatives_are_refused() -> None:
    graph, values = evaluated("y = x * 2", {"x": [1, 2, 3]})
    check_size(graph, values, ["y"], ["x"], 3, max_tensor=9, max_elements=21)
    check_size(graph, values, ["y"], ["x"], 3)
    with pytest.raises(LimitExceeded, match="a block has at most 8 elements; dy/dx would have 9"):
        check_size(graph, values, ["y"], ["x"], 3, max_tensor=8)
    with pytest.raises(LimitExceeded, match="at most 20 elements of values; these would take 21"):
        check_size(graph, values, ["y"], ["x"], 3, max_elements=20)


def test_a_softmax_layer() -> None:
    """−log softmax(Wx + b)·t: with p the softmax, d/db = p − t and d²/db² = diag p − ppᵀ; with respect to W, each times
    x; with respect to x, each between W's (Bridle, 1990)."""
    weights, x, b = np.array([[0.5, -1.0], [2.0, 0.3], [-0.7, 0.1]]), np.array([1.5, -0.4]), np.array([0.1, 0.0, -0.2])
    truth = np.array([0.0, 1.0, 0.0])
    p = np.exp(weights @ x + b) / np.exp(weights @ x + b).sum()
    curved = np.diag(p) - np.outer(p, p)
    for text in (
        "L = -ReduceSum(t * log(softmax(MatMul(W, x) + b)), keepdims=0)",
        "L = -ReduceSum(t * LogSoftmax(W @ x + b), keepdims=0)",
    ):
        graph, values = evaluated(f"F(W, x, b, t) = L; {text}", {"W": weights, "x": x, "b": b, "t": truth})
        first, second = jacobian(graph, values, ["L"], ["W", "x", "b"]), hessian(graph, values, "L", ["W", "x", "b"])
        near = {"rtol": 1e-12, "atol": 1e-14}
        np.testing.assert_allclose(first["L", "b"], p - truth, **near)
        np.testing.assert_allclose(first["L", "W"], np.outer(p - truth, x), **near)
        np.testing.assert_allclose(first["L", "x"], weights.T @ (p - truth), **near)
        np.testing.assert_allclose(second["b", "b"], curved, **near)
        np.testing.assert_allclose(second["W", "W"], np.einsum("ij,k,l->ikjl", curved, x, x), **near)
        np.testing.assert_allclose(second["x", "x"], weights.T @ curved @ weights, **near)
        np.testing.assert_allclose(second["W", "b"], np.einsum("ij,k->ikj", curved, x), **near)
        mixed = np.einsum("ij,jl,k->ikl", curved, weights, x) + np.einsum("i,kl->ikl", p - truth, np.eye(2))
        np.testing.assert_allclose(second["W", "x"], mixed, **near)
        assert_modes_agree(graph, values, ["L"], ["W", "x", "b"])


# --- published functions --------------------------------------------------------------------------------------------

ClosedForm = Callable[..., tuple[list[float], list[list[float]]]]


def rosenbrock(x: float, y: float) -> tuple[list[float], list[list[float]]]:
    """Rosenbrock, 1960."""
    gradient = [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]
    return gradient, [[2 - 400 * y + 1200 * x**2, -400 * x], [-400 * x, 200]]


def beale(x: float, y: float) -> tuple[list[float], list[list[float]]]:
    """Beale, 1958, as in Moré, Garbow and Hillstrom, 1981: the sum of (c − x(1 − yⁱ))² for i from 1 to 3."""
    gradient, matrix = np.zeros(2), np.zeros((2, 2))
    for power, constant in enumerate((1.5, 2.25, 2.625), 1):
        residual = constant - x * (1 - y**power)
        slope = np.array([y**power - 1, x * power * y ** (power - 1)])
        mixed = power * y ** (power - 1)
        bend = np.array([[0, mixed], [mixed, x * power * (power - 1) * y ** max(power - 2, 0)]])
        gradient += 2 * residual * slope
        matrix += 2 * np.outer(slope, slope) + 2 * residual * bend
    return gradient.tolist(), matrix.tolist()


def powell(a: float, b: float, c: float, d: float) -> tuple[list[float], list[list[float]]]:
    """Powell's singular function, 1962: (a + 10b)² + 5(c − d)² + (b − 2c)⁴ + 10(a − d)⁴."""
    cubed, fourth = 4 * (b - 2 * c) ** 3, 40 * (a - d) ** 3
    gradient = [2 * (a + 10 * b) + fourth, 20 * (a + 10 * b) + cubed, 10 * (c - d) - 2 * cubed, -10 * (c - d) - fourth]
    p, q = 12 * (b - 2 * c) ** 2, 120 * (a - d) ** 2
    return gradient, [[2 + q, 20, 0, -q], [20, 200 + p, -2 * p, 0], [0, -2 * p, 10 + 4 * p, -10], [-q, 0, -10, 10 + q]]


def neuron(w: float, x: float, b: float) -> tuple[list[float], list[list[float]]]:
    """σ(wx + b): σ′ = σ(1 − σ), σ″ = σ′(1 − 2σ)."""
    value = 1 / (1 + math.exp(-(w * x + b)))
    first = value * (1 - value)
    second = first * (1 - 2 * value)
    inner = np.array([x, w, 1])
    mixed = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    return (first * inner).tolist(), (second * np.outer(inner, inner) + first * mixed).tolist()


@pytest.mark.parametrize(
    ("text", "closed_form", "start"),
    [
        ("f(x, y) = (1 - x)^2 + 100 * (y - x^2)^2", rosenbrock, (-1.2, 1.0)),
        ("f(x, y) = (1 - x)^2 + 100 * (y - x^2)^2", rosenbrock, (1.0, 1.0)),
        ("f(x, y) = (1.5 - x*(1 - y))^2 + (2.25 - x*(1 - y^2))^2 + (2.625 - x*(1 - y^3))^2", beale, (1.0, 1.0)),
        ("f(x, y) = (1.5 - x*(1 - y))^2 + (2.25 - x*(1 - y^2))^2 + (2.625 - x*(1 - y^3))^2", beale, (3.0, 0.5)),
        ("f(a, b, c, d) = (a + 10*b)^2 + 5*(c - d)^2 + (b - 2*c)^4 + 10*(a - d)^4", powell, (3.0, -1.0, 0.0, 1.0)),
        ("f(a, b, c, d) = (a + 10*b)^2 + 5*(c - d)^2 + (b - 2*c)^4 + 10*(a - d)^4", powell, (0.0, 0.0, 0.0, 0.0)),
        ("f(w, x, b) = sigmoid(w*x + b)", neuron, (2.0, -1.0, 3.0)),
        ("f(w, x, b) = 1 / (1 + exp(-(w*x + b)))", neuron, (-0.7, 1.9, 0.1)),
    ],
)
def test_published_functions(text: str, closed_form: ClosedForm, start: tuple[float, ...]) -> None:
    graph = graph_of(text)
    names = graph.inputs
    values = forward_pass(graph, arrays_of(dict(zip(names, start, strict=True))))
    output = graph.outputs[0]
    gradient, matrix = closed_form(*start)
    first, second = jacobian(graph, values, [output], names), hessian(graph, values, output, names)
    assert [float(first[output, name]) for name in names] == pytest.approx(gradient, rel=1e-13, abs=1e-13)
    np.testing.assert_allclose([[second[i, j] for j in names] for i in names], matrix, rtol=1e-13, atol=1e-13)
