"""The gradient graph taken twice has the second derivatives that the Hessian has, and those that mpmath finds."""

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest

from service.core.derivatives.gradient_graph import define_function, formula, gradient_graph
from service.core.derivatives.jacobian import hessian
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Attributes, Operation
from service.core.symbolic.printing import write_text
from tests.core.rulebook.test_accuracy import GAUSSIAN, NAMES
from tests.elementwise import attribute_samples, domains, each_elementwise
from tests.examples import examples
from tests.expressions import graph_of_expression as graph_of
from tests.passes import arrays_of

Inputs = Mapping[str, Any]


def outputs_of(graph: Graph, inputs: Inputs) -> list[Any]:
    """The values of a graph's outputs."""
    values = forward_pass(graph, arrays_of(inputs))
    return [values[graph.position[name]] for name in graph.outputs]


def formula_at(graph: Graph, of: str, wrt: str, inputs: Inputs) -> Any:
    """The figure of what the formula of a derivative prints, posted back."""
    return outputs_of(graph_of(define_function("the result", graph.inputs, formula(graph, of, wrt))), inputs)[0]


def second_derivatives(graph: Graph, inputs: Inputs) -> dict[str, list[Any]]:
    """Those of the output by all pairs of inputs: by the Hessian, by the gradient graph taken twice, by its backward
    pass, and by the formula of the derivative of the gradient graph."""
    output, names = graph.outputs[0], list(graph.inputs)
    once = gradient_graph(graph, output, names)
    values, first = forward_pass(graph, arrays_of(inputs)), forward_pass(once, arrays_of(inputs))
    blocks = hessian(graph, values, output, names)
    return {
        "Hessian": [blocks[one, other] for one in names for other in names],
        "twice": [x for slope in once.outputs for x in outputs_of(gradient_graph(once, slope, names), inputs)],
        "backward pass": [
            backward_pass(once, first, slope)[once.position[name]] for slope in once.outputs for name in names
        ],
        "formula": [formula_at(once, slope, name, inputs) for slope in once.outputs for name in names],
    }


BEHIND_CLOSED_EDGES = [
    ("asinh(x)", {"x": 0}, [0]),
    ("atan2(x, y)", {"x": 0, "y": 1}, [0, -1, -1, 0]),
    ("softplus(x)", {"x": 720}, [np.exp(-720)]),
    ("softplus(x)", {"x": 0}, [0.25]),  # where its rule passes from one form to the other
    ("elu(x)", {"x": 720}, [0]),
    ("selu(x)", {"x": 720}, [0]),
    ("where(x > 0, sqrt(x), x^2)", {"x": -1}, [2]),
    ("sqrt(relu(x))", {"x": -1}, [0]),
    ("sqrt(relu(x))", {"x": 4}, [-1 / 32]),
    ("sqrt(max(x, 0))", {"x": -1}, [0]),
    ("log(clip(x, max=0.5) * relu(x) + 1)", {"x": -1}, [0]),
    ("where(x > 1, 1 / x, x)", {"x": 0}, [0]),
    ("where(x > 0, exp(x) * exp(x), 0) + x^2", {"x": -800}, [2]),
    ("y * sqrt(relu(x))", {"x": -1, "y": 3}, [0, 0, 0, 0]),
]


@pytest.mark.parametrize(("text", "inputs", "expected"), BEHIND_CLOSED_EDGES)
def test_nothing_flows_behind_a_closed_edge(text: str, inputs: Inputs, expected: list[float]) -> None:
    for way, found in second_derivatives(graph_of(text), inputs).items():
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15, err_msg=way)


@pytest.mark.parametrize(
    ("text", "x", "first"),
    [
        ("sum(sqrt(relu(x)))", [-1.0, 4.0], [0.0, 0.25]),
        ("sum(sqrt(relu(x)) * [1, 2])", [-1.0, 4.0], [0.0, 0.5]),
        ("sum(sqrt(relu(x + [[0], [0]])))", [-1.0, 4.0], [0.0, 0.5]),
        ("max(sqrt(relu(x)))", [-1.0, 4.0], [0.0, 0.25]),
        ("mean(where(x > 0, log(x), 2 * x))", [-1.0, 4.0], [1.0, 0.125]),
    ],
)
def test_nothing_flows_behind_closed_edges_of_tensors(text: str, x: list[float], first: list[float]) -> None:
    graph = graph_of(f"L = {text}")
    derived = gradient_graph(graph, "L", ["x"])
    for found in (outputs_of(derived, {"x": x})[0], formula_at(graph, "L", "x", {"x": x})):
        np.testing.assert_allclose(found, first, rtol=1e-14)


def test_a_product_of_zero_and_infinity_stays_no_number() -> None:
    for text in ("sqrt(x)^2", "exp(log(x) + log(x))"):
        graph = graph_of(f"L = {text}")
        assert np.isnan(outputs_of(gradient_graph(graph, "L", ["x"]), {"x": 0})).all(), text


def test_where_no_factor_can_be_infinite_nothing_is_chosen() -> None:
    graph = graph_of("h = sin(relu(w * x + b)); L = v * h - t")  # at ordinary inputs; ∞ may be one of a graph's
    assert write_text(formula(graph, "L", "w")).count("where") == 1  # the slope of relu


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus"])
@pytest.mark.parametrize("x", [1e-9, 0.5, -3.0, 40.0, -800.0])
def test_third_derivatives_of_saturating_functions(name: str, x: float) -> None:
    function = {"sigmoid": lambda t: 1 / (1 + mpmath.exp(-t)), "tanh": mpmath.tanh}
    derived = graph_of(f"{name}(x)")
    for _ in range(3):
        derived = gradient_graph(derived, derived.outputs[0], ["x"])
    with mpmath.workdps(800 if abs(x) > 100 else 60):
        right = mpmath.diff(function.get(name, lambda t: mpmath.log(1 + mpmath.exp(t))), mpmath.mpf(x), 3)
    np.testing.assert_allclose(outputs_of(derived, {"x": x})[0], float(right), rtol=1e-12, atol=1e-15)


# --- the whole registry ---------------------------------------------------------------------------------------------

FAR_OUT = (0.0, 1e-8, 0.3, 1.0, 2.5, 8.0, 26.0, 60.0, 373.0, 710.0, 760.0, 1e5, 1e9, 1e155, 1e200)

# A sine repeats itself thrice within the step of a difference at 1e155, and rounding is no smooth function there.
# Powers of 1e155 are 0, 1 or infinite.
ONLY_NEAR = {"Sin", "Cos", "Tan", "Round", "Pow", "Mod"}


def phi(x: Any) -> Any:
    """The normal distribution."""
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def gate(x: Any) -> Any:
    """The factor of x in tanh-gelu: (1 + tanh u)/2 = 1/(1 + e^(-2u))."""
    return 1 / (1 + mpmath.exp(-2 * mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)))


IN_MPMATH = {
    "Erf": mpmath.erf,
    "Erfc": mpmath.erfc,
    "Bell": lambda x: mpmath.exp(-x * x),
    "NormalDensity": mpmath.npdf,
    "NormalDistribution": phi,
    "GeluGate": gate,
    "Lgamma": mpmath.loggamma,
    "Digamma": mpmath.digamma,
}


@pytest.fixture
def _many_digits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, theirs in NAMES.items():
        function = getattr(mpmath, theirs)
        monkeypatch.setattr(mpmath.mpf, name, lambda *numbers, call=function: call(*numbers), raising=False)
    with mpmath.workdps(700), np.errstate(all="ignore"):
        yield


def exact_second(operation: Operation, row: tuple[float, ...], attributes: Attributes) -> list[float] | None:
    """All second derivatives by differences of 40 digits' step; None where mpmath cannot evaluate the operation."""

    def value(*operands: Any) -> Any:
        if operation.name == "Gelu":
            return operands[0] * (phi if attributes["approximate"] == "none" else gate)(operands[0])
        if operation.name == "Polygamma":
            return mpmath.psi(int(attributes["n"]), operands[0])
        if operation.name == "Mod":
            x, y = operands
            cut = mpmath.ceil if attributes["fmod"] and x / y < 0 else mpmath.floor
            return x - y * cut(x / y)
        if operation.name in IN_MPMATH:
            return IN_MPMATH[operation.name](*operands)
        return np.asarray(operation.evaluate(np.array(operands, dtype=object), attributes)).item()

    def along(position: int, function: Any) -> Any:
        def quotient(*operands: Any) -> Any:
            step = abs(operands[position]) * mpmath.mpf(10) ** -40 or mpmath.mpf(10) ** -200
            above, below = (
                [*operands[:position], operands[position] + move, *operands[position + 1 :]] for move in (step, -step)
            )
            return (function(*above) - function(*below)) / (2 * step)

        return quotient

    point = list(map(mpmath.mpf, row))
    try:
        return [float(along(j, along(i, value))(*point)) for i in range(len(row)) for j in range(len(row))]
    except (ZeroDivisionError, TypeError, OverflowError):  # a pole, a complex number, erfc of 1e155
        return None


def rows_of(operation: Operation, attributes: Attributes) -> list[tuple[float, ...]]:
    """Operands near and far out at which all derivatives exist."""
    count = 2 if operation.fold else len(operation.operands)
    most = 100.0 if operation.name in ONLY_NEAR else np.inf
    numbers = sorted({sign * x for x in FAR_OUT for sign in (1.0, -1.0) if x <= most})
    rows = []
    for row in product(numbers, repeat=count):
        operands = list(map(np.float64, row))
        value = np.float64(operation.evaluate(operands, attributes))
        inside = all(low < x < high for x, (low, high) in zip(row, domains(operation, count), strict=True))
        second_kink = operation.name in ("Elu", "Celu", "Selu") and row == (0.0,)
        second_kink |= operation.name == "LogAddExp" and row[0] == row[-1]  # where log 2 is a float64
        # Where the value leaves float64, what remains of it has no digits.
        lost = operation.name in ("Pow", "Div", "Reciprocal") and not 1e-200 < abs(value) < 1e200
        if (
            inside
            and np.isfinite(value)
            and not (second_kink or lost or operation.is_nondifferentiable(operands, value, attributes))
        ):
            rows.append(row)
    return Random(operation.name).sample(rows, min(len(rows), examples(40)))


@pytest.mark.slow
@each_elementwise
@pytest.mark.usefixtures("_many_digits")
def test_every_operation_has_the_second_derivatives_that_mpmath_finds(operation: Operation) -> None:
    for attributes in list(attribute_samples(operation))[:2]:
        count = 2 if operation.fold else len(operation.operands)
        names = [f"x{position}" for position in range(count)]
        nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names]
        made = {"name": "F", "operation": operation.name, "inputs": names, "attributes": attributes}
        graph = build_graph([*nodes, made], inputs=names)
        once = gradient_graph(graph, "F", names)
        twice = [gradient_graph(once, slope, names) for slope in once.outputs]
        posted = [
            graph_of(define_function("the result", names, formula(once, slope, name)))
            for slope in once.outputs
            for name in names
        ]
        for row in rows_of(operation, attributes):
            inputs = dict(zip(names, row, strict=True))
            blocks = hessian(graph, forward_pass(graph, arrays_of(inputs)), "F", names)
            found = {
                "Hessian": [float(blocks[one, other]) for one in names for other in names],
                "twice": [float(x) for slopes in twice for x in outputs_of(slopes, inputs)],
                "formula": [float(x) for slopes in posted for x in outputs_of(slopes, inputs)],
            }
            expected = exact_second(operation, row, attributes)
            for way, figures in found.items():
                right = found["Hessian"] if expected is None else expected
                # Near 0 the terms of a second derivative that vanishes cancel, and so may a mixed one.
                least = 1e-14 if max(map(abs, row)) <= 2.5 else max(1e-250, 1e-15 * np.max(np.abs(right)))
                np.testing.assert_allclose(figures, right, rtol=1e-9, atol=least, err_msg=f"{way} at {row}")
    assert operation.name not in GAUSSIAN or operation.name in {*IN_MPMATH, "Gelu", "Polygamma"}


# --- what a formula prints ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "inputs", "wrt"),
    [
        ("a / b", {"a": 1e-268, "b": 1e-176}, "b"),
        ("a / b / c", {"a": 1e-200, "b": 1e-100, "c": 1e-190}, "b"),
        ("a * (b / c)", {"a": 1e200, "b": 1e200, "c": 1e250}, "b"),
        ("c * a * b^2", {"a": 1e300, "b": 1e-170, "c": 2.0}, "b"),
        ("c * a * a * b", {"a": 1e-170, "b": 1e200, "c": 1e200}, "c"),
        ("reciprocal(a) / b", {"a": 1e100, "b": 1e-170}, "b"),
        ("erf(a)", {"a": 5.3}, "a"),
        ("erfc(a) * b", {"a": 20.1, "b": 2.0}, "a"),
        ("gelu(a)", {"a": -11.3}, "a"),
        ('gelu(a, approximate="tanh")', {"a": -7.3}, "a"),
        ("tanh(a) / b", {"a": 30.2, "b": 3.0}, "a"),
        ("atan(a)", {"a": 1e160}, "a"),
    ],
)
def test_what_a_formula_prints_has_the_figures_of_the_run(text: str, inputs: Inputs, wrt: str) -> None:
    graph = graph_of(f"F = {text}")
    run = backward_pass(graph, forward_pass(graph, arrays_of(inputs)), "F")[graph.position[wrt]]
    assert run is not None
    assert np.isfinite(run) and run != 0.0
    np.testing.assert_allclose(formula_at(graph, "F", wrt, inputs), run, rtol=2e-15)
    value = outputs_of(graph_of(define_function("the result", graph.inputs, formula(graph, "F"))), inputs)
    np.testing.assert_allclose(value, outputs_of(graph, inputs), rtol=2e-15)


@pytest.mark.parametrize("m", [0.0, 1.0, -30.0, 1e16, -1e16, 1e300])
def test_logsumexp_of_two_equal_numbers_shares_its_gradient(m: float) -> None:
    graph = graph_of("F = logsumexp(x)")
    x = arrays_of({"x": [m, m]})
    gradient = backward_pass(graph, forward_pass(graph, x), "F")[0]
    for found in (gradient, *outputs_of(gradient_graph(graph, "F", ["x"]), x), formula_at(graph, "F", "x", x)):
        np.testing.assert_array_equal(found, [0.5, 0.5])
    np.testing.assert_allclose(second_derivatives(graph, x)["Hessian"][0], [[0.25, -0.25], [-0.25, 0.25]], rtol=1e-15)


# --- running products, pools and determinants -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("sum(cumprod(x, axis=0) * [1, 2, 3])", [2.0, 0.0, 5.0]),
        ("sum(cumprod(x, axis=0, exclusive=1, reverse=1)^2)", [2.0, -3.0, 0.5]),
        ("prod(x)", [0.0, 0.0, 3.0]),
        ("sum(max_pool(x, kernel_shape=[2], strides=[1])^3)", [[[1.0, 3.0, 2.0]]]),
        ("sum(max_pool(x, kernel_shape=[2])^2)", [[[1.0, 1.0, 2.0, 0.0]]]),
        ("det(x)", [[1.0, 2.0], [2.0, 4.0]]),
        ("det(x)", [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]),
        ("det(x)^2", np.zeros((3, 3))),
        ("sum(det(x))", [[[1.0, 2.0], [2.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]]]),
    ],
)
def test_four_ways_to_second_derivatives_of_tensors_agree(text: str, x: Any) -> None:
    x = np.asarray(x)
    graph = graph_of(f"F = {text}")
    once = gradient_graph(graph, "F", ["x"])
    along = np.linspace(-1.0, 2.0, x.size).reshape(x.shape)
    (block,) = hessian(graph, forward_pass(graph, {"x": x}), "F", ["x"]).values()
    product = np.tensordot(block, along, x.ndim)

    def slope(at: Any) -> Any:
        return outputs_of(once, {"x": at})[0]

    differences = (slope(x + 1e-6 * along) - slope(x - 1e-6 * along)) / 2e-6
    if text != "sum(max_pool(x, kernel_shape=[2])^2)":  # where elements tie there is no derivative
        np.testing.assert_allclose(product, differences, rtol=1e-7, atol=1e-7)
    twice = gradient_graph(once, "dF_dx", ["x"])
    back = backward_pass(once, forward_pass(once, {"x": x}), "dF_dx")[once.position["x"]]
    total = block.reshape(x.size, x.size).sum(axis=0).reshape(x.shape)
    for found in (back, outputs_of(twice, {"x": x})[0], formula_at(once, "dF_dx", "x", {"x": x})):
        np.testing.assert_allclose(found, total, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("text", "x", "factor"),
    [
        ("norm(x)^2", [0.0, 0.0], 2.0),
        ("norm(x)^2", [3.0, 4.0], 2.0),
        ("norm(x) * norm(x)", [0.0, 0.0], 2.0),
        ("0.5 * sum(norm(x, axis=0)^2)", [[0.0, 0.0]], 1.0),
    ],
)
def test_the_square_of_a_norm_has_second_derivatives_at_the_origin(text: str, x: Any, factor: float) -> None:
    graph = graph_of(f"F = {text}")
    values = forward_pass(graph, arrays_of({"x": x}))
    (block,) = hessian(graph, values, "F", ["x"]).values()
    np.testing.assert_allclose(np.reshape(block, (2, 2)), factor * np.eye(2), rtol=1e-15)
    once = gradient_graph(graph, "F", ["x"])
    for found in (
        outputs_of(gradient_graph(once, "dF_dx", ["x"]), {"x": x})[0],
        formula_at(once, "dF_dx", "x", {"x": x}),
        backward_pass(once, forward_pass(once, arrays_of({"x": x})), "dF_dx")[once.position["x"]],
    ):
        np.testing.assert_allclose(found, np.full(np.shape(x), factor), rtol=1e-15)
    np.testing.assert_allclose(formula_at(graph, "F", "x", {"x": x}), factor * np.asarray(x), rtol=1e-15)
