"""How each figure came about: the tutorial's derivations word for word, and sums that are the stored gradients."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.execution import kernel
from service.core.execution.passes import backward_pass, forward_pass, spread_seed
from service.core.execution.run import Backward, Run
from service.core.explanation.run_view import RunView
from service.core.explanation.steps import (
    BackwardStep,
    ForwardStep,
    Step,
    count_steps,
    explain,
    explain_node,
    nodes_explaining,
)
from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import CONVENTIONS, Operation
from tests.elementwise import BROADCAST_SHAPES, each_elementwise, grid, operand_counts
from tests.examples import examples, spread
from tests.passes import array_loop, arrays_of, graph_of
from tests.random_graphs import Point, points
from tests.tensors import each_tensor_operation, graph_around, samples


@pytest.fixture(scope="module", params=["array loop", "compiled"])
def _either_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs of both kinds: before the compiled loops are warm, and after."""
    kernel.warm()
    with array_loop() if request.param == "array loop" else nullcontext():
        yield


TUTORIAL = "e = a + b; f = e * c; F = f / d"
AT = {"a": 5, "b": 1, "c": -2, "d": -3}


def run_of(graph: Graph, inputs: Mapping[str, Any], seed: Any = 1.0, output: str | None = None) -> Run:
    """Both passes of a graph from its only output."""
    values, output = forward_pass(graph, arrays_of(inputs)), output or graph.outputs[0]
    spread = spread_seed(seed, values.shape(graph.position[output]))
    return Run(graph, values, backward=Backward(output, spread, backward_pass(graph, values, output, spread)))


def steps_of(text: str, inputs: Mapping[str, Any], **options: Any) -> list[Step]:
    """All steps of an expression."""
    run = run_of(graph_of(text), inputs, **options)
    return list(explain(run, 0, count_steps(run)))


def told(steps: list[Step]) -> list[str]:
    """Steps as a person reads them, in fractions where there are any."""
    lines = []
    for step in steps:
        if isinstance(step, ForwardStep):
            lines.append(f"{step.rule}: {line(step)}")
            continue
        for each in step.contributions:
            lines.append(f"{step.node.name} feeds {each.consumer.node.name}, {each.rule}: {line(each)}")
        lines.append(line(step))
    return lines


def line(step: Any) -> str:
    """Formula and numbers."""
    numbers = step.equation.fractions or step.equation.numbers
    return f"{step.equation.formula.text} = {numbers.text}" if numbers else f"{step.equation.formula.text}"


def test_infinities_and_nan_are_written_as_people_do() -> None:
    forward = [
        step for step in steps_of("y = exp(x) * -2; z = y + y; F = z - z", {"x": 1000}) if isinstance(step, ForwardStep)
    ]
    assert told(forward) == [
        "exponential: exp_1 = exp(x) = exp(1000) = ∞",
        "constant multiple: neg_1 = -2 = -2",
        "product: y = exp_1 * neg_1 = ∞ * -2 = -∞",
        "sum: z = y + y = -∞ + -∞ = -∞",
        "difference: F = z - z = -∞ - -∞ = NaN",
    ]
    written = forward[2].equation.numbers
    assert written is not None
    assert written.latex == r"\infty \cdot \left(-2\right) = -\infty"
    assert written.mathml.endswith("<mo>=</mo><mrow><mo>−</mo><mn>∞</mn></mrow>")
    *_, step = explain_node(run_of(graph_of("F = x * y"), {"x": 1, "y": 2}, seed=-np.inf), "F")
    assert line(step) == "dL/dF = -∞ = -∞"


def test_the_formula_of_an_infinite_constant_is_still_an_expression() -> None:
    step, *_ = steps_of("y = x + Constant(value=-Infinity)", {"x": 1})
    assert step.equation.formula.text == "y = x + Constant(value=-Infinity)"
    assert step.equation.numbers is not None and step.equation.numbers.text == "1 + -∞ = -∞"
    assert graph_of(step.equation.formula.text).nodes[1].attributes["value"] == -np.inf


def test_the_tutorials_derivations() -> None:
    assert told(steps_of(TUTORIAL, AT)) == [
        "sum: e = a + b = 5 + 1 = 6",
        "product: f = e * c = 6 * -2 = -12",
        "quotient: F = f / d = -12 / -3 = 4",
        "dF/dF = 1 = 1",
        "f feeds F, quotient: ∂F/∂f = 1 / d = 1 / -3 = -1 / 3",
        "dF/df = dF/dF * ∂F/∂f = 1 * (-1 / 3) = -1 / 3",
        "e feeds f, product: ∂f/∂e = c = -2",
        "dF/de = dF/df * ∂f/∂e = -1 / 3 * -2 = 2 / 3",
        "d feeds F, quotient: ∂F/∂d = -f / d ^ 2 = -(-12 / (-3) ^ 2) = 4 / 3",
        "dF/dd = dF/dF * ∂F/∂d = 1 * (4 / 3) = 4 / 3",
        "c feeds f, product: ∂f/∂c = e = 6",
        "dF/dc = dF/df * ∂f/∂c = -1 / 3 * 6 = -2",
        "b feeds e, sum: ∂e/∂b = 1 = 1",
        "dF/db = dF/de * ∂e/∂b = 2 / 3 * 1 = 2 / 3",
        "a feeds e, sum: ∂e/∂a = 1 = 1",
        "dF/da = dF/de * ∂e/∂a = 2 / 3 * 1 = 2 / 3",
    ]


def test_decimals_are_always_told() -> None:
    step = steps_of(TUTORIAL, AT)[4]
    assert step.equation.numbers is not None
    assert step.equation.numbers.text == "1 * -0.3333333333333333 = -0.3333333333333333"


def sums_are_the_gradients(run: Run) -> None:
    """Every backward step's sum has the bits of the run's gradient."""
    every = list(explain(run, 0, count_steps(run)))
    assert not [step.node.name for step in every if step.difference is not None]
    steps = [step for step in every if isinstance(step, BackwardStep)]
    constants = sum(node.operation.name == "Constant" for node in run.graph.nodes)
    assert len(steps) == len(run.graph) - constants
    for step in steps:
        assert step.sum is not None and step.gradient is not None
        assert np.array_equal(step.sum, step.gradient, equal_nan=True), step.node.name
        assert len(step.contributions) == step.count
        assert step.equation.numbers is not None
        for each in (step, *step.contributions):
            assert each.equation.formula.text and each.equation.formula.latex
            ElementTree.fromstring(f"<math>{each.equation.formula.mathml}</math>")


@pytest.mark.usefixtures("_either_loop")
@given(points())
def test_sums_are_the_stored_gradients_over_random_graphs(point: Point) -> None:
    sums_are_the_gradients(run_of(point.graph, point.inputs))


@given(points(shapes=BROADCAST_SHAPES))
def test_sums_are_the_stored_gradients_over_random_graphs_of_tensors(point: Point) -> None:
    sums_are_the_gradients(run_of(point.graph, point.inputs, seed=0.7))


@pytest.mark.slow
@each_tensor_operation
@settings(max_examples=examples(5))
@given(data=st.data())
def test_sums_are_the_stored_gradients_of_each_operation_on_tensors(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    inputs = {f"x{position}": operand for position, operand in enumerate(sample.operands)}
    sums_are_the_gradients(run_of(graph_around(sample), inputs, seed=0.7))


@pytest.mark.slow
@pytest.mark.usefixtures("_either_loop")
@each_elementwise
def test_sums_are_the_stored_gradients_of_each_operation_at_its_extremes(operation: Operation) -> None:
    for count in operand_counts(operation)[:2]:
        names = [f"x{position}" for position in range(count)]
        nodes = [{"name": name, "operation": "Input"} for name in names]
        plain = build_graph([*nodes, {"name": "z", "operation": operation.name, "inputs": names}])
        for graph in {plain.with_convention(convention) for convention in CONVENTIONS}:
            for point in spread(grid(count)[:: 1 if count < 2 else 17]):
                sums_are_the_gradients(run_of(graph, dict(zip(names, point, strict=True)), seed=0.7))


def test_a_contribution_without_a_formula_stands_by_its_figure() -> None:
    """Which of equal elements a library's pool chooses is no formula of the elements."""
    graph = graph_of("p = max_pool(x, kernel_shape=[2], strides=[2]); F = sum(p)").with_convention("torch")
    (step,) = explain_node(run_of(graph, {"x": [[[1.0, 1.0, 2.0, 3.0]]]}), "x")
    assert isinstance(step, BackwardStep) and step.sum is not None
    assert step.sum.tolist() == [[[1.0, 0.0, 0.0, 1.0]]]
    assert step.equation.formula.text == "dF/dx = dF/dp * ∂p/∂x"


def test_sums_are_the_stored_gradients_in_float32() -> None:
    nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "y", "operation": "Tanh", "inputs": ["x"]},
        {"name": "z", "operation": "Mul", "inputs": ["y", "x"]},
        {"name": "F", "operation": "Div", "inputs": ["z", "y"]},
    ]
    sums_are_the_gradients(run_of(build_graph(nodes), {"x": 0.1}, seed=0.3))


def test_the_general_node_rule() -> None:
    """A node's gradient is the sum over all that it feeds, a consumer that takes it twice counting twice."""
    (step,) = explain_node(run_of(graph_of("u = x * x; v = sin(x); F = u * v"), {"x": 2.0}), "x")
    assert step.equation.formula.text == "dF/dx = dF/dv * ∂v/∂x + dF/du * ∂u/∂x[1] + dF/du * ∂u/∂x[2]"
    assert step.equation.formula.latex.startswith(
        r"\frac{d F}{d x} = \frac{d F}{d v} \cdot \frac{\partial v}{\partial x} + "
    )
    assert isinstance(step, BackwardStep) and [each.operand_index for each in step.contributions] == [0, 0, 1]


def test_formulas_are_simplified_and_constants_stand_by_their_values() -> None:
    steps = told(steps_of("y = sigmoid(x)^3 / 2", {"x": 0.0}))
    assert "pow_1 feeds y, constant multiple: ∂y/∂pow_1 = 0.5 = 0.5" in steps
    assert "sigmoid_1 feeds pow_1, power: ∂pow_1/∂sigmoid_1 = 3 * sigmoid_1 ^ 2 = 3 * 0.5 ^ 2 = 0.75" in steps
    assert steps[:3] == [
        "chain: sigmoid_1 = sigmoid(x) = sigmoid(0) = 0.5",
        "power: pow_1 = sigmoid_1 ^ 3 = 0.5 ^ 3 = 0.125",
        "constant multiple: y = pow_1 / 2 = 0.125 / 2 = 0.0625",
    ]


def test_names_are_quoted_as_expressions_have_them() -> None:
    nodes = [
        {"name": "layer 1.w", "operation": "Input"},
        {"name": "/out:0", "operation": "Exp", "inputs": ["layer 1.w"]},
    ]
    step, *_ = explain_node(run_of(build_graph(nodes), {"layer 1.w": 0.0}), "layer 1.w")
    assert step.equation.formula.text == "d`/out:0`/d`layer 1.w` = d`/out:0`/d`/out:0` * ∂`/out:0`/∂`layer 1.w`"


# --- tensors ------------------------------------------------------------------------------------------------------


def test_of_tensors_the_shapes_are_put_in() -> None:
    steps = told(steps_of("y = x * w + b", {"x": [1, 2, 3], "w": 2, "b": [[1], [1]]}))
    assert steps == [
        "product: mul_1 = x * w = [3] * 2 = [3]",
        "sum: y = mul_1 + b = [3] + [2×1] = [2×3]",
        "dL/dy = seed = [2×3]",
        "mul_1 feeds y, sum: ∂y/∂mul_1 = 1 = 1",
        "dL/dmul_1 = sum(dL/dy * ∂y/∂mul_1) = [3]",
        "b feeds y, sum: ∂y/∂b = 1 = 1",
        "dL/db = sum(dL/dy * ∂y/∂b) = [2×1]",
        "w feeds mul_1, product: ∂mul_1/∂w = x = [3]",
        "dL/dw = sum(dL/dmul_1 * ∂mul_1/∂w) = 12",
        "x feeds mul_1, product: ∂mul_1/∂x = w = 2",
        "dL/dx = dL/dmul_1 * ∂mul_1/∂x = [3] * 2 = [3]",
    ]


def test_an_operation_that_is_not_elementwise_shows_its_whole_contribution() -> None:
    steps = told(steps_of("y = mean(x, axis=0); L = sum(y)^2", {"x": [[1, 2], [3, 4]]}))
    assert "y feeds reducesum_1, sum: 1[2] * dL/dreducesum_1 = 1[2] * 10 = [2]" in steps
    assert "dL/dy = 1[2] * dL/dreducesum_1 = 1[2] * 10 = [2]" in steps
    assert steps[0] == "sum: y = mean(x, axis=0) = mean([2×2], axis=0) = [2]"


def test_products_of_matrices_are_differentiated_in_matrix_form() -> None:
    (step,) = explain_node(run_of(graph_of("C = A @ B; L = sum(C)"), {"A": [[1, 2], [3, 4]], "B": [[5], [6]]}), "A")
    assert line(step) == "dL/dA = dL/dC @ B.T = [2×1] @ [2×1].T = [2×2]"
    assert step.equation.formula.latex == r"\frac{d L}{d A} = \frac{d L}{d C} \, B^{\top}"


@pytest.mark.parametrize(
    "text",
    [
        "y = mean(x, axis=0); L = sum(y)^2",
        "y = x.T; L = max(y) * sum(x * x)",
        "y = x[0]; L = max(y) + min(y) * 3",
        "y = cumsum(x, axis=1); L = sum(exp(y) / 50 + x)",
    ],
)
def test_sums_are_the_stored_gradients_of_tensors(text: str) -> None:
    sums_are_the_gradients(run_of(graph_of(text), {"x": [[0.1, 2], [3, 4]]}, seed=0.7))


# --- what is recorded, or left out ----------------------------------------------------------------------------------


def recorded(values: Mapping[str, float], gradients: Mapping[str, float]) -> Mapping[tuple[str, str], Step]:
    """The steps of a recording of the tutorial's function, by phase and node."""
    graph = graph_of(TUTORIAL)
    figures = [pack([kind.get(node.name) for node in graph.nodes]) for kind in (values, gradients)]
    run = Run(graph, figures[0], backward=Backward("F", np.ones(()), figures[1]))
    return {
        ("forward" if isinstance(step, ForwardStep) else "backward", step.node.name): step
        for step in explain(run, 0, count_steps(run))
    }


def test_a_recording_is_explained_by_its_own_figures() -> None:
    values = {**AT, "e": 7.0, "F": 4.0}
    steps = recorded(values, {"F": 1.0, "f": -3.0, "d": 108.0, "e": 6.0})
    step = steps["forward", "e"]
    assert isinstance(step, ForwardStep)
    assert (line(step), step.value, step.difference) == ("e = a + b = 5 + 1 = 6", 7.0, 1.0)
    step = steps["forward", "f"]
    assert isinstance(step, ForwardStep)  # not recorded: it follows from e and c, as they were recorded
    assert (line(step), step.value, step.difference) == ("f = e * c = 7 * -2 = -14", None, None)
    step = steps["backward", "e"]
    assert isinstance(step, BackwardStep) and (step.sum, step.gradient, step.difference) == (6.0, 6.0, None)
    assert line(step) == "dF/de = dF/df * ∂f/∂e = -3 * -2 = 6"
    step = steps["backward", "f"]
    assert isinstance(step, BackwardStep) and (step.sum, step.gradient, step.difference) == (-1 / 3, -3.0, 8 / 3)
    step = steps["backward", "a"]
    assert isinstance(step, BackwardStep) and (step.sum, step.gradient, step.difference) == (6.0, None, None)
    assert steps["backward", "c"].equation.numbers is not None


def test_what_a_recording_does_not_tell_is_left_out() -> None:
    steps = recorded({"a": 5.0, "c": -2.0, "d": -3.0}, {"F": 1.0, "e": 6.0})
    step = steps["forward", "e"]
    assert isinstance(step, ForwardStep) and (step.value, step.equation.numbers, step.difference) == (None, None, None)
    step = steps["backward", "d"]  # 1 · −f/d² needs f, and so b
    assert isinstance(step, BackwardStep) and (step.sum, step.gradient, step.difference) == (None, None, None)
    (contribution,) = step.contributions
    assert contribution.local is contribution.product is contribution.equation.numbers is step.equation.numbers is None
    step = steps["backward", "a"]
    assert isinstance(step, BackwardStep) and step.sum is None


def test_before_a_backward_pass_there_are_forward_steps_only() -> None:
    graph = graph_of(TUTORIAL)
    run = Run(graph, forward_pass(graph, arrays_of(AT)))
    assert [step.node.name for step in explain(run, 0, count_steps(run))] == ["e", "f", "F"]
    assert list(explain_node(run, "a")) == []


def test_nodes_beside_the_output_come_last_with_gradient_0() -> None:
    run = run_of(graph_of("y = x + 1; z = y * w"), {"x": 1, "w": 2}, output="y")
    backward = [step for step in explain(run, 0, count_steps(run)) if isinstance(step, BackwardStep)]
    assert [step.node.name for step in backward] == ["y", "w", "x", "z"]
    assert line(backward[1]) == "dy/dw = 0 = 0" and backward[1].contributions == ()
    assert [float(step.gradient) for step in backward if step.gradient is not None] == [1.0, 0.0, 1.0, 0.0]


def test_the_final_quantity_is_l_where_the_seed_is_not_1() -> None:
    assert RunView(run_of(graph_of("L = x"), {"x": 1}, seed=2.0)).quantity == "L1"
    steps = told(steps_of("F = x * y", {"x": 1, "y": 3}, seed=2.0))
    assert steps[1] == "dL/dF = 2 = 2"
    assert steps[-1] == "dL/dx = dL/dF * ∂F/∂x = 2 * 3 = 6"


def test_a_page_is_the_same_part_of_the_whole() -> None:
    run = run_of(graph_of(TUTORIAL), AT)
    whole = told(list(explain(run, 0, count_steps(run))))
    assert [text for start in range(0, 12, 4) for text in told(list(explain(run, start, start + 4)))] == whole


# --- very wide graphs -----------------------------------------------------------------------------------------------


def wide(width: int) -> Graph:
    """x feeds `width` nodes, and all of them one sum."""
    nodes: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
    nodes += [{"name": f"y{position}", "operation": "Neg", "inputs": ["x"]} for position in range(width)]
    return build_graph(
        [*nodes, {"name": "F", "operation": "Sum", "inputs": [f"y{position}" for position in range(width)]}]
    )


def test_long_sums_are_cut_and_counted() -> None:
    run = run_of(wide(1500), {"x": 1.0})
    forward, _ = explain_node(run, "F")
    assert forward.equation.formula.text == f"F = Sum({', '.join(f'y{position}' for position in range(8))}, …)"
    (step,) = explain_node(run, "x")
    assert isinstance(step, BackwardStep)
    assert (len(step.contributions), step.count, step.sum, step.difference) == (1000, 1500, -1500.0, None)
    assert step.equation.numbers is not None
    assert step.equation.numbers.text == " + ".join(["1 * -1"] * 8) + " + … = -1500"
    *_, step = explain_node(run, "y7")
    assert isinstance(step, BackwardStep) and line(step.contributions[0]) == "∂F/∂y7"


def test_a_run_from_before_the_loops_were_warm_is_explained_in_its_own_arithmetic() -> None:
    """NumPy's sign of −0 is 0, the compiled one's −0; a local gradient of Abs has either, as the run had it."""
    graph = graph_of("y = abs(x)")
    with array_loop():
        before = run_of(graph, {"x": -0.0})
    kernel.warm()
    sums_are_the_gradients(before)
    sums_are_the_gradients(run_of(graph, {"x": -0.0}))


def test_contributions_are_added_up_in_the_order_of_execution() -> None:
    """A wide graph is not executed in the order in which its nodes are listed; sums of floats tell the difference."""
    nodes: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
    for position in range(40):
        operation = ("Sin", "Exp", "Tanh")[position % 3]
        nodes.append({"name": f"y{position}", "operation": operation, "inputs": ["x"]})
        nodes.append({"name": f"z{position}", "operation": "Mul", "inputs": [f"y{position}", "x"]})
    nodes.append({"name": "F", "operation": "Sum", "inputs": [f"z{position}" for position in range(40)]})
    kernel.warm()
    run = run_of(build_graph(nodes), {"x": 0.7})
    sweep = RunView(run).sweep
    assert list(sweep) != sorted(sweep)
    sums_are_the_gradients(run)


@given(points())
def test_the_figures_near_a_node_explain_it(point: Point) -> None:
    run = run_of(point.graph, point.inputs)
    for node in point.graph.nodes:
        near = nodes_explaining(point.graph, node.name)
        values, gradients = (
            pack([figure if position in near else None for position, figure in enumerate(figures)])
            for figures in (run.values, run.gradients or ())
        )
        assert run.backward is not None
        part = replace(run, values=values, backward=replace(run.backward, gradients=gradients))
        assert told(list(explain_node(part, node.name))) == told(list(explain_node(run, node.name)))


def test_names_are_typeset_as_people_write_them_unless_two_would_look_alike() -> None:
    step, *_ = steps_of("y = alpha * W1", {"alpha": 2, "W1": 3})
    assert step.equation.formula.latex == r"y = \alpha \cdot W_{1}"
    assert step.equation.formula.text == "y = alpha * W1"
    step, *_ = steps_of("y = W_1 * W1", {"W_1": 2, "W1": 3})
    assert step.equation.formula.latex == r"y = \mathrm{W\_1} \cdot \mathrm{W1}"
