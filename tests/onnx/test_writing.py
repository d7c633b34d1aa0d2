"""Graphs as ONNX models: the whole registry in ONNX Runtime, gradient graphs, and what is read back."""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from service.core.derivatives.gradient_graph import gradient_graph
from service.core.errors import InvalidRequest
from service.core.execution.passes import forward_pass
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression
from service.core.rulebook.operation import Operation
from service.onnx.importing import import_model
from service.onnx.writing import write_model
from service.settings import Limits
from tests.elementwise import ELEMENTWISE
from tests.sources import INPUTS, nodes_of, tensor_samples
from tests.tensors import graph_around

# ONNX has none of them.
REFUSED = {"Cofactors", "CofactorsAlong", "Inverse", "Solve", "Lgamma", "Digamma", "Polygamma", "Cholesky", "LogDet"}


def graph_of(expression: str, **attributes: Mapping[str, Any]) -> Graph:
    """A graph whose inputs have these attributes."""
    nodes = parse_expression(expression, max_bytes=10_000, max_depth=100)
    graph = assemble_graph(nodes, None, None, max_nodes=1000, max_tensor=1000)
    documents = [
        {"name": each.name, "operation": each.operation.name, "inputs": each.inputs, "attributes": each.attributes}
        | ({"attributes": attributes[each.name]} if each.name in attributes else {})
        for each in graph.nodes
    ]
    return build_graph(documents, graph.outputs, graph.inputs)


def written(graph: Graph, shapes: Mapping[str, Any] | None = None, dtype: str = "float32", **weights: Any) -> bytes:
    body = write_model(graph, "tried", "a test", dtype=dtype, shapes=shapes or {}, weights=weights)
    onnx.checker.check_model(onnx.load_from_string(body))
    return body


def digits(found: Any, expected: Any, *operands: Any) -> float:
    """The largest error in terms of the largest figure, operands among them.

    Infinite where shapes differ, or what is not finite.
    """
    ours, theirs = np.asarray(expected, dtype=np.float64), np.asarray(found, dtype=np.float64)
    finite = np.isfinite(ours)
    if ours.shape != theirs.shape or not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return np.inf
    if not np.array_equal(finite, np.isfinite(theirs)):
        return np.inf
    error = np.max(np.abs(ours - theirs), initial=0.0, where=finite)
    largest = [np.max(np.abs(each), initial=0.0, where=np.isfinite(each)) for each in (ours, *operands)]
    return float(error / max(*largest, 1e-30))


def elementwise_cases() -> list[tuple[Operation, Graph, list[NDArray[Any]], Any]]:
    points = np.random.default_rng(0).uniform(0.2, 0.9, (3, 50))
    cases = []
    for operation in ELEMENTWISE:
        given = points + (operation.name == "Acosh")
        if operation.name not in ("Asin", "Acos", "Atanh", "Pow", "Shrink") and operation.domain[0][0] < 0.0:
            given[:, :25] *= -3.0
        given = given.astype(np.float32).astype(np.float64)
        for node in nodes_of(operation):
            operands = list(given[: len(node["inputs"])])
            graph = build_graph([*INPUTS[: len(operands)], node], [node["name"]])
            expected = operation.evaluate(operands, graph.nodes[-1].attributes)
            cases.append((operation, graph, operands, np.broadcast_to(expected, given[0].shape)))
    return cases


def tensor_cases(each: int) -> list[tuple[Operation, Graph, list[NDArray[Any]], Any]]:
    cases = []
    for sample in tensor_samples(each):
        operands = [operand.astype(np.float32).astype(np.float64) for operand in sample.operands]
        cases.append(
            (
                sample.operation,
                graph_around(sample),
                operands,
                sample.operation.evaluate(operands, sample.attributes),
            )
        )
    return cases


@pytest.mark.peers
def test_onnx_runtime_computes_what_we_do() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="left to `make test-peers`")
    runtime.set_default_logger_severity(4)
    worst: dict[str, float] = defaultdict(float)
    wrong, refused = [], set()
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        for operation, graph, operands, expected in [*elementwise_cases(), *tensor_cases(4)]:
            shapes = {name: operand.shape for name, operand in zip(graph.inputs, operands, strict=True)}
            try:
                body = written(graph, shapes)
            except InvalidRequest:
                refused.add(operation.name)
                continue
            try:
                found = run(runtime, body, operands)
            except Exception as error:
                wrong.append(f"{operation.name} {dict(graph.nodes[-1].attributes)}: {error}")
                continue
            error = digits(found, expected, *operands)
            worst[operation.name] = max(worst[operation.name], error)
            if error > 1e-5:
                wrong.append(f"{operation.name} {dict(graph.nodes[-1].attributes)}: {error}")
    assert wrong == []
    assert refused <= REFUSED and len(worst) > 150


def run(runtime: Any, body: bytes, operands: Sequence[NDArray[Any]]) -> Any:
    session = runtime.InferenceSession(body, providers=["CPUExecutionProvider"])
    kinds = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
    inputs = session.get_inputs()
    return session.run(None, {x.name: np.asarray(y, kinds[x.type]) for x, y in zip(inputs, operands, strict=True)})[0]


NETWORK = "L = -mean(log_softmax(tanh(relu(x @ W + b) @ V), axis=1)[:,0]) + sum(W ^ 2) / 10 + max(softplus(x))"
SHAPES = {"x": (4, 3), "W": (3, 5), "b": (5,), "V": (5, 2)}


def test_a_networks_gradients_in_onnx_itself() -> None:
    """ONNX's reference evaluator runs the gradient graph, weights in the model."""
    generator = np.random.default_rng(1)
    figures = {name: generator.normal(size=shape) for name, shape in SHAPES.items()}
    graph = gradient_graph(graph_of(NETWORK), "L", list(SHAPES))
    values = forward_pass(graph, figures)
    body = written(graph, {"x": SHAPES["x"]}, "float64", **{name: figures[name] for name in ("W", "b", "V")})
    model = onnx.load_from_string(body)
    assert [each.name for each in model.graph.input] == ["x"]
    found = ReferenceEvaluator(model).run(None, {"x": figures["x"]})
    errors = [digits(each, values[graph.position[name]]) for each, name in zip(found, graph.outputs, strict=True)]
    assert max(errors) < 1e-12
    (value,) = ReferenceEvaluator(written(graph_of(NETWORK), SHAPES, "float64")).run(None, figures)
    assert value == pytest.approx(values_of(NETWORK, figures))


def values_of(expression: str, figures: Mapping[str, NDArray[Any]]) -> Any:
    graph = graph_of(expression)
    return forward_pass(graph, figures)[graph.position[graph.outputs[0]]]


@pytest.mark.parametrize(
    ("expression", "dtype"),
    [
        ("F(a, b, c, d) = ((a + b) * c) / d", "float32"),
        (
            "y = softmax(relu(x @ W + b), axis=1); z = sum(y[:,1:] * 0.5); s = sqrt(z) + sigmoid(c)",
            "float32",
        ),
        ("y = conv(x, k, pads=[1, 1, 1, 1], strides=[2, 1]); z = max_pool(y, kernel_shape=[2, 2])", "float32"),
        ("y = clip(x.T, 0, 1); z = concat(y, reshape(y, shape=[3, 2]), axis=0); s = gather(z, i, axis=0)", "float64"),
        ("y = split(x, axis=1, split=[1, 2], output=1); z = topk(y, k=1) - tile(y, repeats=[1, 1])", "float32"),
    ],
)
def test_what_is_read_back_has_the_same_digest(expression: str, dtype: str) -> None:
    shapes = {"x": [2, 3], "W": [3, 4], "b": [4], "c": [], "k": [2, 1, 2, 2], "i": [5]}
    if "conv" in expression:
        shapes["x"] = [1, 1, 6, 6]
    plain = graph_of(expression)
    attributes = {
        name: {"shape": shapes.get(name, []), **({"dtype": dtype} if dtype == "float32" else {})}
        | ({"dtype": "int64"} if name == "i" else {})
        for name in plain.inputs
    }
    graph = graph_of(expression, **attributes)
    read = import_model(written(graph, dtype=dtype), Limits(), {})
    assert build_graph(read.nodes, read.outputs, read.inputs).digest == graph.digest


def test_what_must_be_declared_and_what_onnx_cannot_say_is_named_all_at_once() -> None:
    graph = gradient_graph(graph_of("L = sum(inv(A) @ x) + sum(solve(A, x))"), "L", ["A", "x"])
    with pytest.raises(InvalidRequest) as caught:
        written(graph)
    details = [fault.detail for fault in caught.value.faults]
    assert details[0].startswith("ONNX cannot say Inverse, which 'inverse_1' is")
    assert details[1].startswith("ONNX cannot say Solve, which ")
    assert details[-1] == "the shapes of these inputs must be declared, or given as input=NAME=LENGTHS: 'A', 'x'"
    with pytest.raises(InvalidRequest, match="cannot take shapes"):
        written(graph_of("y = x @ w"), {"x": (2, 3), "w": (2, 3)})


def test_names_and_integers_stay_what_they_are() -> None:
    nodes = [
        {"name": "/block/in:0", "operation": "Input", "attributes": {"dtype": "int64", "shape": [3]}},
        {"name": "constant/1", "operation": "Constant", "attributes": {"value": 2}},
        {"name": "a b", "operation": "Expm1", "inputs": ["/block/in:0"]},
        {"name": "θ/2", "operation": "Less", "inputs": ["a b", "constant/1"]},
        {"name": "θ", "operation": "Where", "inputs": ["θ/2", "/block/in:0", "a b"]},
    ]
    body = written(build_graph(nodes))
    found = ReferenceEvaluator(body).run(None, {"/block/in:0": np.array([-1, 0, 5])})
    assert found[0] == pytest.approx([-1.0, 0.0, np.expm1(5.0)], rel=1e-6)
