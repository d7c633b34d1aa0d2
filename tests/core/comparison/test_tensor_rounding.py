"""What rounding may do to operations that are not elementwise: it makes nobody an origin, and hides no mistake."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.comparison.hypotheses import explain
from service.core.comparison.replay import replay_gradients, replay_values
from service.core.comparison.rounding import Weights
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import Figures
from service.core.graph.documents import read_attributes
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Operation
from tests.core.comparison.test_low_precision import bfloat16
from tests.examples import examples
from tests.planted import graph_of, judge, origins, run_of
from tests.tensors import Sample, each_tensor_operation, graph_around, operation_of, samples

TERMS = Weights(1.0, 0.0)


@each_tensor_operation
@settings(max_examples=examples(10))
@given(data=st.data())
def test_a_run_in_float32_has_no_origin_in_float64(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    graph = graph_around(sample)
    inputs = {f"x{position}": np.asarray(operand, np.float32) for position, operand in enumerate(sample.operands)}
    baseline, candidate = run_of(graph, inputs), run_of(graph, inputs, dtype="float32")
    assert origins(judge(baseline, candidate), graph) == []


@pytest.mark.slow
@each_tensor_operation
@settings(max_examples=examples(10))
@given(data=st.data())
def test_a_run_whose_figures_are_rounded_to_bfloat16_has_no_origin(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    graph = graph_around(sample)
    inputs = {f"x{position}": bfloat16(operand) for position, operand in enumerate(sample.operands)}
    computed = [node.name for node in graph.nodes if node.inputs]
    rounded = run_of(
        graph,
        inputs,
        values=dict.fromkeys(computed, bfloat16),
        gradients=dict.fromkeys([*graph.inputs, *computed], bfloat16),
    )
    assert origins(judge(run_of(graph, inputs), replace(rounded, dtype="bfloat16"), "bfloat16"), graph) == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *[("BatchNormalization", {"training_mode": 1, "output": output}) for output in range(3)],
        *[("SoftmaxCrossEntropyLoss", {"output": output}) for output in range(2)],
    ],
)
def test_each_output_may_be_rounded(name: str, given: dict[str, Any]) -> None:
    operands: dict[str, list[Any]] = {
        "BatchNormalization": [[[4.3], [0.2], [-4.4]], [3.0], [-7.0], [0.1], [2.0]],
        "SoftmaxCrossEntropyLoss": [[[1.5, -2.3, 0.3], [7.1, 0.7, -1.1]], [2, 0]],
    }
    operation = operation_of(name)
    attributes, faults = read_attributes(operation, given)
    assert not faults
    inputs = {f"x{position}": bfloat16(np.asarray(operand)) for position, operand in enumerate(operands[name])}
    graph = graph_around(Sample(operation, tuple(inputs.values()), attributes))
    rounded = run_of(graph, inputs, values={"z": bfloat16})
    assert origins(judge(run_of(graph, inputs), replace(rounded, dtype="bfloat16"), "bfloat16"), graph) == []
    wrong = run_of(graph, inputs, values={"z": lambda value: value * 1.1})
    assert origins(judge(run_of(graph, inputs), replace(wrong, dtype="bfloat16"), "bfloat16"), graph)


def cancelling(count: int) -> Any:
    """Large numbers that cancel, in a random order; and a small one, which is their sum."""
    generator = np.random.default_rng(count)
    half = np.float32(1e4) * generator.standard_normal(count).astype(np.float32)
    return generator.permutation(np.concatenate([half, -half, [np.float32(1e-3)]]))


@pytest.mark.parametrize(
    "text",
    [
        "F = sum(x)",
        "F = mean(x)",
        "c = cumsum(x, axis=0); F = sum(c)",
        "F = sum(transpose(expand(x, shape=[3, 20001])) * y)",
        "F = logsumexp(x / 100)",
        "F = sum(gather(x, i))",
    ],
)
def test_sums_that_cancel_in_float32_are_nobodys_mistake(text: str) -> None:
    graph = graph_of(text)
    given = {"x": cancelling(10_000), "y": np.float32([1.0, -3.0, 2.0]), "i": np.arange(20_001.0)}
    inputs = {name: given[name] for name in graph.inputs}
    found = judge(run_of(graph, inputs), run_of(graph, inputs, dtype="float32"))
    assert origins(found, graph) == []


def slack_of(text: str, inputs: dict[str, Any], name: str) -> Any:
    """Σ|terms| of a node's value, and of its gradient."""
    graph = graph_of(text)
    values = forward_pass(graph, {name: np.asarray(figure, np.float64) for name, figure in inputs.items()})
    gradients = Figures(backward_pass(graph, values, graph.outputs[0]).flat, values.shapes)
    seed = np.ones(values.shape(graph.position[graph.outputs[0]]))
    replays = [
        replay_values(graph, values, TERMS),
        replay_gradients(graph, values, gradients, graph.outputs[0], seed, TERMS),
    ]
    start, end = values.offsets[graph.position[name] :][:2]
    return [replay.slack[start:end].tolist() for replay in replays]


@pytest.mark.parametrize(
    ("text", "inputs", "terms"),
    [
        ("F = sum(x)", {"x": [3.0, -4.0, 2.0]}, [1.0 + 9.0]),
        ("F = mean(x)", {"x": [3.0, -4.0, 1.0, 0.0]}, [0.0 + 2.0]),
        ("F = prod(x)", {"x": [3.0, -4.0, 2.0]}, [24.0 * (1 + 3)]),
        ("F = norm(x)", {"x": [3.0, -4.0]}, [5.0]),
        ("F = max(x)", {"x": [3.0, -4.0]}, [3.0]),
        ("F = logsumexp(x)", {"x": [-np.log(2.0)] * 2}, [np.log(2.0)]),
        ("F = gather(x, i, axis=0)", {"x": [3.0, -4.0], "i": [-1.0]}, [8.0]),
        ("F = cumsum(x, axis=0)", {"x": [3.0, -4.0]}, [6.0, 1.0 + 7.0]),
        ("F = size(x)", {"x": [3.0, -4.0]}, [2.0]),
    ],
)
def test_the_terms_of_a_value(text: str, inputs: dict[str, Any], terms: list[float]) -> None:
    """Σ|local × input| + |value|."""
    assert slack_of(text, inputs, "F")[0] == pytest.approx(terms, rel=1e-15, abs=1e-15)


def test_the_terms_of_contributions() -> None:
    """Those of a sum back over what was expanded; those of eˣ⁻ᶻ, whose exponent is rounded."""
    text = "e = expand(x, shape=[2, 2]); F = e * w"
    assert slack_of(text, {"x": [1.0, 1.0], "w": [[3.0, -4.0], [-3.0, 5.0]]}, "x")[1] == [6.0, 9.0]
    (slack,) = slack_of("F = logsumexp(x)", {"x": [100.0]}, "x")[1]
    assert slack == 200.0


def test_a_mistake_among_terms_that_do_not_cancel_is_found() -> None:
    graph: Graph = graph_of("s = sum(x, axis=0); m = max(s); F = prod(x) + m")
    inputs = {"x": np.float32([[1.5, 2.5], [0.5, 0.25]])}
    right = run_of(graph, inputs)
    for name in ("s", "m"):
        wrong = run_of(graph, inputs, dtype="float32", values={name: lambda value: value * np.float32(1.0001)})
        wrong = replace(wrong, backward=None)  # no program loses sight of a maximum whose value it rounds
        assert origins(judge(right, wrong), graph) == [("forward", name)]
    wrong = run_of(graph, inputs, dtype="float32", gradients={"x": lambda slope: slope.T})
    assert origins(judge(right, wrong), graph) == [("backward", "x")]


@pytest.mark.slow
@each_tensor_operation
@settings(max_examples=examples(6))
@given(data=st.data())
def test_a_mistake_is_found_and_explained(operation: Operation, data: st.DataObject) -> None:
    """In the value, or in a gradient, of whatever is not empty: ten times too large, and one more."""
    sample = data.draw(samples(operation))
    graph = graph_around(sample)
    inputs = {f"x{position}": operand for position, operand in enumerate(sample.operands)}

    def wrong(right: Any) -> Any:
        return 10.0 * right + 1.0

    baseline = run_of(graph, inputs)
    value = baseline.values[graph.position["z"]]
    if value is None or not value.size or not np.isfinite(value).all():
        return
    gradient = f"x{data.draw(st.sampled_from(range(len(sample.operands))))}"
    for phase, planted in (("forward", "z"), ("backward", gradient)):
        if phase == "backward" and not inputs[gradient].size:
            continue
        candidate = run_of(graph, inputs, **{"values" if phase == "forward" else "gradients": {planted: wrong}})
        found = judge(baseline, candidate)
        assert origins(found, graph) == [(phase, planted)]
        part = getattr(found, phase)
        assert all(each.sentence for each in explain(found, part, graph.position[planted], candidate))
