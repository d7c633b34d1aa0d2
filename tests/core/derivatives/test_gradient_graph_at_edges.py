"""Gradient graph and formula have the run's figures where some are infinite, NaN or a zero of either sign."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.derivatives.gradient_graph import define_function, formula, gradient_graph, write_formula
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression
from service.core.symbolic.printing import write_text
from tests.elementwise import ELEMENTWISE, attribute_samples, operand_counts
from tests.examples import examples
from tests.expressions import graph_of_expression as graph_of
from tests.passes import array_loop, arrays_of

INPUTS = ("x", "y", "w")
ORDINARY = (0.0, 1.0, -1.0, 0.5, 2.0)
EDGES = (*ORDINARY, -0.0, math.inf, -math.inf, math.nan)
CONSTANTS = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0)


def posted_back(graph: Graph, of: str, wrt: str | None) -> Graph:
    """The graph of what the formula prints, however long."""
    text = define_function("the result", graph.inputs, formula(graph, of, wrt))
    return assemble_graph(parse_expression(text, max_bytes=10_000_000, max_depth=1_000))


def outputs_of(graph: Graph, inputs: Any) -> list[Any]:
    """The values of a graph's outputs."""
    values = forward_pass(graph, inputs)
    return [values[graph.position[name]] for name in graph.outputs]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A graph of a few scalars over all elementwise operations, whose last node is the output."""
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in INPUTS]
    for number in range(draw(st.integers(1, 5))):
        if draw(st.booleans()):
            attributes = {"value": draw(st.sampled_from(CONSTANTS))}
            documents.append({"name": f"c{number}", "operation": "Constant", "attributes": attributes})
        operation = draw(st.sampled_from(ELEMENTWISE))
        names = [document["name"] for document in documents][-4:]
        inputs = [draw(st.sampled_from(names)) for _ in range(draw(st.sampled_from(operand_counts(operation))))]
        attributes = draw(st.sampled_from(list(attribute_samples(operation))))
        documents.append(
            {"name": f"n{number}", "operation": operation.name, "inputs": inputs, "attributes": attributes}
        )
    return build_graph(documents, [documents[-1]["name"]], INPUTS)


def assert_figures(graph: Graph, point: tuple[float, ...], of_formula: bool) -> None:
    inputs, output = arrays_of(dict(zip(INPUTS, point, strict=True))), graph.outputs[0]
    with array_loop(), np.errstate(all="ignore"):
        values = forward_pass(graph, inputs)
        gradients = backward_pass(graph, values, output)
        right = [gradients[graph.position[name]] for name in INPUTS]
        if of_formula:
            found = [outputs_of(posted_back(graph, output, name), inputs)[0] for name in (*INPUTS, None)]
            right.append(values[graph.position[output]])
        else:
            found = outputs_of(gradient_graph(graph, output, INPUTS), inputs)
    np.testing.assert_allclose(np.array(found, float), np.array(right, float), rtol=1e-9, atol=1e-9)


@given(graphs(), st.tuples(*[st.sampled_from(EDGES)] * len(INPUTS)))
@settings(max_examples=examples(60))
def test_a_gradient_graph_has_the_figures_of_the_run_at_any_inputs(graph: Graph, point: tuple[float, ...]) -> None:
    assert_figures(graph, point, of_formula=False)


@given(graphs(), st.tuples(*[st.sampled_from(ORDINARY)] * len(INPUTS)))
@settings(max_examples=examples(60))
def test_a_formula_has_the_figures_of_the_run_whatever_is_infinite_on_the_way(
    graph: Graph, point: tuple[float, ...]
) -> None:
    assert_figures(graph, point, of_formula=True)


@pytest.mark.parametrize(
    ("text", "inputs", "slope"),
    [
        ("0 * sqrt(x)", {"x": 0}, math.nan),  # 0 · ∞
        ("0 * sqrt(x)", {"x": 4}, 0),
        ("x * 0 * (1 / x)", {"x": 0}, math.nan),
        ("x^0 * log(x)", {"x": 0}, math.nan),
        ("x^0 * log(x)", {"x": 4}, 0.25),
        ("where(x > 0, sqrt(x), sqrt(-x))", {"x": 0}, -math.inf),  # √−0 has the slope ∞
        ("sqrt(floor(x))", {"x": 0}, math.nan),  # at the jump
        ("sqrt(floor(x))", {"x": 0.5}, 0),
        ("floor(sqrt(x))", {"x": 0}, math.nan),
        ("floor(sqrt(x))", {"x": 2}, 0),
        ("1 / (0 - x)", {"x": 0}, math.inf),
        ("y * relu(x)", {"x": -1, "y": math.inf}, 0),
        ("relu(x) * max(y, x)", {"x": -1, "y": math.inf}, 0),
        ("tanh(log(y)) * relu(x)", {"x": -1, "y": -1}, 0),
    ],
)
def test_a_product_with_0_is_0_only_where_the_other_factor_is_finite(
    text: str, inputs: dict[str, float], slope: float
) -> None:
    graph = graph_of(text)
    gradients = backward_pass(graph, forward_pass(graph, arrays_of(inputs)), "output")
    assert gradients[graph.position["x"]] == pytest.approx(slope, nan_ok=True)
    for derived in (gradient_graph(graph, "output", ["x"]), posted_back(graph, "output", "x")):
        assert outputs_of(derived, arrays_of(inputs))[0] == pytest.approx(slope, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "written", "latex"),
    [
        (
            "w * relu(x)",
            "where(x > 0, w, 0)",
            r"\begin{cases} w & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
        ("where(x > 0, sqrt(x), 0)", "where(x > 0, 0.5 / sqrt(x), 0)", None),
        ("where(x > 0, 0, log(x))", "where(x > 0, 0, 1 / x)", None),
        ("w * floor(x) + w * x", "w", "w"),
        ("where(x > y, w * x, y)", "where(x > y, w, 0)", None),
        ("where(floor(x) > 0, w, y)", "0", "0"),
        ("0 * sqrt(x)", "0 * (0.5 / sqrt(x))", "0"),
        ("sqrt(x^2 + y^2)", "2 * (0.5 / sqrt(x ^ 2 + y ^ 2)) * x", None),
        ("sqrt(x - y)", "0.5 / sqrt(x - y)", None),
        ("sqrt(x * y)", "0.5 / (sqrt(x * y) + 0) * y", r"\frac{0.5 \cdot y}{\sqrt{x \cdot y}}"),
    ],
)
def test_formulas_read_as_in_a_book(text: str, written: str, latex: str | None) -> None:
    graph = graph_of(text)
    assert write_text(formula(graph, "output", "x")) == written
    if latex is not None:
        assert write_formula(graph, "output", "x", 1_000).equation.latex.endswith(f"= {latex}")


@pytest.mark.parametrize(
    "text",
    [
        "F = sum(relu(softmax(slice(x, starts=[1], ends=[3], axes=[0]), axis=0)))",
        "F = sum(relu(softmax(pad(x, pads=[1, 1]), axis=0)))",
        "F = sum(relu(cumsum(slice(x, starts=[0], ends=[2], axes=[0]))))",
    ],
)
def test_what_leaves_elements_out_may_stand_before_what_is_reached_as_a_whole(text: str) -> None:
    graph, inputs = graph_of(text), arrays_of({"x": (0.5, -1.0, 2.0)})
    values = forward_pass(graph, inputs)
    (slope,) = outputs_of(gradient_graph(graph, "F", ["x"]), inputs)
    right = backward_pass(graph, values, graph.outputs[0])[graph.position["x"]]
    assert right is not None
    np.testing.assert_allclose(slope, right, rtol=1e-9, atol=1e-12)
