"""The derivative as a graph and as a formula has the figures of the backward pass, and of other people's formulas."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from service.core.derivatives.gradient_graph import define_function, formula, gradient_graph, write_formula
from service.core.errors import LimitExceeded
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, node_document
from service.core.graph.names import free_name
from service.core.language.writing import write_expression
from service.core.rulebook.operation import Operation
from service.core.symbolic.printing import write_text
from tests.elementwise import attribute_samples, each_elementwise, operand_counts
from tests.examples import examples
from tests.expressions import graph_of_expression as graph_of
from tests.passes import arrays_of, near
from tests.planted import tame_graph
from tests.random_graphs import Point, points

BLOG = "F(a, b, c, d) = ((a + b) * c) / d"
TUTORIAL = "e = a + b; f = e * c; F = f / d"
TUTORIAL_POINT = {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}


def outputs_of(graph: Graph, inputs: Mapping[str, Any]) -> list[Any]:
    """The values of a graph's outputs."""
    values = forward_pass(graph, arrays_of(inputs))
    return [values[graph.position[name]] for name in graph.outputs]


def gradients_of(graph: Graph, inputs: Mapping[str, Any], output: str, wrt: Sequence[str]) -> list[Any]:
    """The gradients of the backward pass."""
    gradients = backward_pass(graph, forward_pass(graph, arrays_of(inputs)), output)
    return [gradients[graph.position[name]] for name in wrt]


def scale_of(graph: Graph, inputs: Mapping[str, Any], output: str) -> float:
    """The largest gradient of any node: what rounding in a sum of contributions is measured by."""
    gradients = backward_pass(graph, forward_pass(graph, arrays_of(inputs)), output)
    return max([1.0, *(float(np.max(np.abs(figure))) for figure in gradients if figure is not None and figure.size)])


def posted_back(graph: Graph, of: str, wrt: str | None) -> Graph:
    """The graph of what the formula prints."""
    text = define_function("the result", graph.inputs, formula(graph, of, wrt))
    back = graph_of(text)
    assert back.inputs == graph.inputs
    assert back.outputs == ("the result",)
    return back


# --- the tutorial's function ------------------------------------------------------------------------------------------


def test_the_tutorial_as_a_gradient_graph() -> None:
    derived = gradient_graph(graph_of(TUTORIAL), "F", ["a", "b", "c", "d"])
    assert derived.outputs == ("dF_da", "dF_db", "dF_dc", "dF_dd")
    assert derived.inputs == ("a", "b", "c", "d")
    assert write_expression(derived) == (
        "e = a + b; f = e * c; F = f / d; constant_1 = 1; dF_df = constant_1 / d; dF_da = dF_df * c; "
        "dF_dc = dF_df * e; div_1 = F / d; dF_dd = -div_1; dF_db = dF_da"
    )
    assert outputs_of(derived, TUTORIAL_POINT) == near([2 / 3, 2 / 3, -2, 4 / 3])


@pytest.mark.parametrize(
    ("wrt", "text", "latex"),
    [
        ("a", "c / d", r"\frac{c}{d}"),
        ("c", "(a + b) / d", r"\frac{a + b}{d}"),
        ("d", "-(a + b) * c / d / d", r"-\frac{\left(a + b\right) \cdot c}{d^{2}}"),
        ("F", "1", "1"),
        (None, "(a + b) * c / d", r"\frac{\left(a + b\right) \cdot c}{d}"),
    ],
)
def test_the_tutorial_as_formulas(wrt: str | None, text: str, latex: str) -> None:
    graph = graph_of(TUTORIAL)
    assert write_text(formula(graph, "F", wrt)) == text
    assert write_formula(graph, "F", wrt, 100).equation.latex.endswith(f" = {latex}")


def test_a_formula_is_an_equation_in_three_languages() -> None:
    graph = graph_of(TUTORIAL)
    derivative = write_formula(graph, "F", "d", 40)
    assert derivative.text == "dF_dd(a, b, c, d) = -(a + b) * c / d / d"
    assert derivative.equation.latex == r"\frac{d F}{d d} = -\frac{\left(a + b\right) \cdot c}{d^{2}}"
    assert derivative.equation.mathml.startswith(
        '<mfrac><mrow><mi mathvariant="normal">d</mi><mi>F</mi></mrow>'
        '<mrow><mi mathvariant="normal">d</mi><mi>d</mi></mrow></mfrac>'
    )
    assert "".join(derivative.equation.sides) == derivative.equation.mathml
    with pytest.raises(LimitExceeded):
        write_formula(graph, "F", "d", 19)
    assert write_formula(graph, "a", None, 20).text == "a_2(a, b, c, d) = a"


def test_third_derivatives_of_the_tutorial_are_those_of_the_book() -> None:
    """F = (a + b)c/d, so ∂³F/∂a∂c∂d = −1/d² and ∂³F/∂c∂d² = 2(a + b)/d³."""
    graph = graph_of(TUTORIAL)
    a, b, c, d = TUTORIAL_POINT.values()
    expected = {
        ("a", "c", "d"): -1 / d**2,
        ("c", "d", "d"): 2 * (a + b) / d**3,
        ("d", "d", "d"): -6 * (a + b) * c / d**4,
        ("a", "d", "d"): 2 * c / d**3,
        ("a", "a", "d"): 0.0,
    }
    for names, figure in expected.items():
        for order in set(itertools.permutations(names)):
            derived = graph
            for name in order:
                derived = gradient_graph(derived, derived.outputs[0], [name])
            assert outputs_of(derived, TUTORIAL_POINT) == near([figure])


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        (TUTORIAL, TUTORIAL_POINT),
        (
            "h1 = tanh(w1 * x + b1); h2 = sigmoid(w2 * x + b2); y = tanh(v1 * h1 + v2 * h2); L = (y - t) ^ 2",
            {"w1": 0.4, "x": 0.9, "b1": -0.2, "w2": -0.7, "b2": 0.3, "v1": 1.1, "v2": -0.6, "t": 0.25},
        ),
    ],
)
def test_third_derivatives_agree_with_differences_of_the_second(text: str, inputs: dict[str, float]) -> None:
    graph = graph_of(text)
    output, wrt = graph.outputs[0], graph.inputs[:3]
    for first, second in itertools.combinations_with_replacement(wrt, 2):
        once = gradient_graph(graph, output, [first])
        twice = gradient_graph(once, once.outputs[0], [second])
        thrice = gradient_graph(twice, twice.outputs[0], wrt)
        for name, third in zip(wrt, outputs_of(thrice, inputs), strict=True):
            step = 1e-5
            above, below = (outputs_of(twice, {**inputs, name: inputs[name] + sign * step})[0] for sign in (1.0, -1.0))
            assert third == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-6)


# --- the whole registry, random graphs --------------------------------------------------------------------------------


@each_elementwise
@np.errstate(all="ignore")
def test_every_operation_is_differentiated_as_by_the_backward_pass(operation: Operation) -> None:
    names = ["x", "y", "z", "u", "v"]
    figures = dict(zip(names, (0.7, 0.4, 1.3, -0.2, 0.9), strict=True))
    for operands, attributes in itertools.product(operand_counts(operation), attribute_samples(operation)):
        nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names[:operands]]
        made = {"name": "F", "operation": operation.name, "inputs": names[:operands], "attributes": attributes}
        graph = build_graph([*nodes, made], inputs=names[:operands])
        inputs = {name: figures[name] + (operation.domain[0][0] == 1.0) for name in graph.inputs}
        expected = gradients_of(graph, inputs, "F", graph.inputs)
        derived = gradient_graph(graph, "F", graph.inputs)
        assert derived.inputs == graph.inputs
        np.testing.assert_allclose(outputs_of(derived, inputs), expected, rtol=1e-15, atol=0.0)
        for name, figure in zip(graph.inputs, expected, strict=True):
            (read,) = outputs_of(posted_back(graph, "F", name), inputs)
            np.testing.assert_allclose(read, figure, rtol=1e-14, atol=1e-15)
        (read,) = outputs_of(posted_back(graph, "F", None), inputs)
        np.testing.assert_allclose(read, outputs_of(graph, inputs)[0], rtol=1e-14)


@pytest.mark.parametrize(
    ("seed", "digest"),
    [
        (0, "6d81c01a7e61f1baea3f5b8abfaa701674d0d5f554e1c54d32f42771c42515a6"),
        (1, "7598a8606e759e29ddaef011dd5e4fad4019837730643870fff16259fa4232b2"),
    ],
)
def test_the_gradient_graph_of_a_graph_has_the_same_digest_everywhere(seed: int, digest: str) -> None:
    graph, _ = tame_graph(seed, 150)
    assert gradient_graph(graph, graph.outputs[0], graph.inputs).digest == digest


@given(points(largest_graph=12))
@settings(max_examples=examples(60))
def test_the_gradient_graph_of_a_random_graph_has_the_figures_of_its_backward_pass(point: Point) -> None:
    graph, inputs = point.graph, point.inputs
    wrt = [node.name for node in graph.nodes if node.operation.name != "Constant"]
    derived = gradient_graph(graph, point.output, wrt)
    assert derived.inputs == graph.inputs
    assert derived.outputs == tuple(f"d{point.output}_d{name}" for name in wrt)
    again = build_graph(list(map(node_document, derived.nodes)), derived.outputs, derived.inputs)
    assert (again.digest, again.nodes) == (derived.digest, derived.nodes)
    expected = gradients_of(graph, inputs, point.output, wrt)
    scale = scale_of(graph, inputs, point.output)
    np.testing.assert_allclose(outputs_of(derived, inputs), expected, rtol=1e-12, atol=1e-13 * scale)


@given(points(largest_graph=6))
@settings(max_examples=examples(50))
def test_the_formula_of_a_random_graph_posted_back_has_the_same_figures(point: Point) -> None:
    graph, inputs = point.graph, point.inputs
    scale = scale_of(graph, inputs, point.output)
    for name in graph.inputs:
        back = posted_back(graph, point.output, name)
        expected = gradients_of(graph, inputs, point.output, [name])
        np.testing.assert_allclose(outputs_of(back, inputs), expected, rtol=1e-12, atol=1e-12 * scale)


@given(points(shapes=((4,),)))
@settings(max_examples=examples(30))
def test_a_batch_of_points_has_a_gradient_for_each(point: Point) -> None:
    graph, inputs = point.graph, point.inputs
    derived = gradient_graph(graph, point.output, graph.inputs)
    scale = scale_of(graph, inputs, point.output)
    for figure, expected in zip(
        outputs_of(derived, inputs), gradients_of(graph, inputs, point.output, graph.inputs), strict=True
    ):
        np.testing.assert_allclose(np.broadcast_to(figure, (4,)), expected, rtol=1e-12, atol=1e-13 * scale)


# --- formulas that others published -----------------------------------------------------------------------------------


def rosenbrock(x: float, y: float) -> list[float]:
    """Rosenbrock, 1960: f = 100(y − x²)² + (1 − x)²."""
    return [-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)]


def beale(x: float, y: float) -> list[float]:
    """Moré, Garbow and Hillstrom, 1981, no. 5: f = Σ (cᵢ − x(1 − yⁱ))² with c = 1.5, 2.25, 2.625."""
    residuals = [(c - x * (1 - y**i), i) for i, c in enumerate((1.5, 2.25, 2.625), 1)]
    by_x = sum(-2 * f * (1 - y**i) for f, i in residuals)
    return [by_x, sum(2 * f * x * i * y ** (i - 1) for f, i in residuals)]


def powell(x1: float, x2: float, x3: float, x4: float) -> list[float]:
    """The same, no. 13, Powell's singular function: (x₁ + 10x₂)² + 5(x₃ − x₄)² + (x₂ − 2x₃)⁴ + 10(x₁ − x₄)⁴."""
    return [
        2 * (x1 + 10 * x2) + 40 * (x1 - x4) ** 3,
        20 * (x1 + 10 * x2) + 4 * (x2 - 2 * x3) ** 3,
        10 * (x3 - x4) - 8 * (x2 - 2 * x3) ** 3,
        -10 * (x3 - x4) - 40 * (x1 - x4) ** 3,
    ]


def neuron(w: float, x: float, b: float, t: float) -> list[float]:
    """L = ½(σ(wx + b) − t)²: by the chain rule ∂L/∂w = (σ − t)·σ(1 − σ)·x."""
    y = 1 / (1 + np.exp(-(w * x + b)))
    delta = (y - t) * y * (1 - y)
    return [delta * x, delta * w, delta, t - y]


PUBLISHED = [
    ("f = 100 * (y - x ^ 2) ^ 2 + (1 - x) ^ 2", ("x", "y"), rosenbrock),
    ("f = (1.5 - x * (1 - y)) ^ 2 + (2.25 - x * (1 - y ^ 2)) ^ 2 + (2.625 - x * (1 - y ^ 3)) ^ 2", ("x", "y"), beale),
    (
        "f = (a + 10 * b) ^ 2 + 5 * (c - d) ^ 2 + (b - 2 * c) ^ 4 + 10 * (a - d) ^ 4",
        ("a", "b", "c", "d"),
        powell,
    ),
    ("f = 0.5 * (sigmoid(w * x + b) - t) ^ 2", ("w", "x", "b", "t"), neuron),
]


@pytest.mark.parametrize(("text", "names", "gradient"), PUBLISHED, ids=["Rosenbrock", "Beale", "Powell", "neuron"])
def test_published_gradients(text: str, names: tuple[str, ...], gradient: Any) -> None:
    graph = graph_of(text)
    derived = gradient_graph(graph, "f", names)
    formulas = [posted_back(graph, "f", name) for name in names]
    for figures in ((-1.2, 1.0, 0.5, 0.3), (3.0, -1.0, 0.0, 1.0), (0.1, 0.2, -0.3, 0.4)):
        inputs = dict(zip(names, figures, strict=False))
        expected = near(gradient(*inputs.values()), rel=1e-12, abs=1e-11)
        assert outputs_of(derived, inputs) == expected
        assert [outputs_of(each, inputs)[0] for each in formulas] == expected


# --- names, what is kept, what is shared ------------------------------------------------------------------------------


def test_only_what_a_gradient_needs_is_kept_but_all_inputs_are() -> None:
    graph = graph_of("F(unused, a, b) = a * b; G = sin(a)")
    derived = gradient_graph(graph, "F", ["b", "unused"])
    assert derived.inputs == ("unused", "a", "b")
    assert write_expression(derived) == "dF_db = a; dF_dunused(unused, a, b) = 0"


def test_what_the_graph_has_already_is_not_computed_again() -> None:
    graph = graph_of("s = exp(x); F = s * y")
    assert write_expression(gradient_graph(graph, "F", ["x"])) == "s = exp(x); F = s * y; dF_dx = F"
    twice = gradient_graph(graph_of("p = x * y; q = sin(y * x); F = p * q"), "F", ["x"])
    assert write_expression(twice) == (
        "p = x * y; mul_1 = y * x; q = sin(mul_1); cos_1 = cos(p); dF_dmul_1 = p * cos_1; mul_2 = dF_dmul_1 * y; "
        "mul_3 = q * y; dF_dx = mul_2 + mul_3"
    )


def test_a_name_that_is_taken_gets_a_number() -> None:
    graph = graph_of("F(x, dF_dx) = sin(x) * dF_dx; cos_1 = F")
    derived = gradient_graph(graph, "F", ["x", "dF_dx"])
    assert derived.outputs == ("dF_dx_2", "dF_ddF_dx")
    assert [node.name for node in derived.nodes if node.operation.name == "Cos"] == ["cos_2"]
    long = build_graph(
        [{"name": "x" * 256, "operation": "Input"}, {"name": "y", "operation": "Sin", "inputs": ["x" * 256]}]
    )
    (name,) = gradient_graph(long, "y", ["x" * 256]).outputs
    assert name == "dy_d" + "x" * 242
    assert free_name("x" * 300, {"x" * 246}) == "x" * 246 + "_2"


def test_the_gradient_with_respect_to_nodes_in_between_and_the_output() -> None:
    derived = gradient_graph(graph_of(TUTORIAL), "F", ["f", "F", "e"])
    assert derived.outputs == ("dF_df", "dF_dF", "dF_de")
    assert outputs_of(derived, TUTORIAL_POINT) == near([-1 / 3, 1, 2 / 3])


def test_a_node_that_does_not_reach_the_output_or_only_through_jumps_has_gradient_zero() -> None:
    graph = graph_of("F(a, b, c) = floor(a) * b; G = c")
    assert outputs_of(gradient_graph(graph, "F", ["c", "a", "b"]), {"a": 2.5, "b": 3, "c": 1}) == [0.0, 0.0, 2.0]
    assert write_text(formula(graph, "F", "c")) == "0"


def test_infinite_constants_pass_through() -> None:
    graph = graph_of("F(x) = x * Constant(value=Infinity) + Constant(value=NaN)")
    assert outputs_of(gradient_graph(graph, "F", ["x"]), {"x": 2}) == [np.inf]
    assert outputs_of(posted_back(graph, "F", "x"), {"x": 2}) == [np.inf]


def test_a_deep_graph_is_differentiated_without_recursion_and_stays_small() -> None:
    nodes: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
    for number in range(3_000):
        before = nodes[-1]["name"]
        nodes.append({"name": f"y{number}", "operation": "Mul", "inputs": [before, before]})
    derived = gradient_graph(build_graph(nodes), "y2999", ["x"])
    assert len(derived) < 3 * len(nodes)
    point: dict[str, FloatArray] = arrays_of({"x": 1.0})
    assert list(forward_pass(derived, point))[-1] == np.inf


def test_a_sum_of_many_operands_is_differentiated_once() -> None:
    names = [f"x{number}" for number in range(300)]
    nodes: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names]
    graph = build_graph([*nodes, {"name": "F", "operation": "Max", "inputs": names}], inputs=names)
    derived = gradient_graph(graph, "F", names)
    assert len(derived) < 6 * len(names)
    assert outputs_of(derived, {name: float(position) for position, name in enumerate(names)})[-1] == 1.0
