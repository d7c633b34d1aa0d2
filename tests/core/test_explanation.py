"""How each figure came about: the tutorial's derivations word for word, and sums that are the stored gradients."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given

from service.core.differentiation import backward_pass, forward_pass, spread_seed
from service.core.edge import Passes
from service.core.explanation import BackwardStep, ForwardStep, Step, count_steps, explain
from service.core.graph import Graph
from tests.elementwise import BROADCAST_SHAPES
from tests.passes import arrays_of, graph_of
from tests.random_graphs import Point, points

TUTORIAL = "e = a + b; f = e * c; F = f / d"
AT = {"a": 5, "b": 1, "c": -2, "d": -3}


def passes_of(graph: Graph, inputs: Mapping[str, Any], seed: Any = 1.0, output: str | None = None) -> Passes:
    """Both passes of a graph from its only output."""
    values, output = forward_pass(graph, arrays_of(inputs)), output or graph.outputs[0]
    spread = spread_seed(seed, values.shape(graph.position[output]))
    return Passes(graph, values, backward_pass(graph, values, output, spread), output, spread)


def steps_of(text: str, inputs: Mapping[str, Any], **options: Any) -> list[Step]:
    """All steps of an expression."""
    passes = passes_of(graph_of(text), inputs, **options)
    return list(explain(passes, 0, count_steps(passes)))


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
    numbers = step.line.fractions or step.line.numbers
    return f"{step.line.formula.text} = {numbers.text}" if numbers else f"{step.line.formula.text}"


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
    assert step.line.numbers is not None
    assert step.line.numbers.text == "1 * -0.3333333333333333 = -0.3333333333333333"


def sums_are_the_gradients(passes: Passes) -> None:
    """Every backward step's sum has the bits of the run's gradient."""
    steps = [step for step in explain(passes, 0, count_steps(passes)) if isinstance(step, BackwardStep)]
    constants = sum(node.operation.name == "Constant" for node in passes.graph.nodes)
    assert len(steps) == len(passes.graph) - constants
    for step in steps:
        assert step.sum is not None and step.gradient is not None
        assert np.array_equal(step.sum, step.gradient, equal_nan=True), step.node.name
        assert step.difference is None, step.node.name
        assert len(step.contributions) == step.count
        assert step.line.numbers is not None


@given(points())
def test_sums_are_the_stored_gradients_over_random_graphs(point: Point) -> None:
    sums_are_the_gradients(passes_of(point.graph, point.inputs))


@given(points(shapes=BROADCAST_SHAPES))
def test_sums_are_the_stored_gradients_over_random_graphs_of_tensors(point: Point) -> None:
    sums_are_the_gradients(passes_of(point.graph, point.inputs, seed=0.7))
