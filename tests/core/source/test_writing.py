"""Single operations in each language: the text of the code, and what NumPy's computes of it."""

from typing import Any

import numpy as np
import pytest

from service.core.errors import InvalidRequest
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.source.writing import write_source
from tests.sources import ORIGIN, agrees, load
from tests.tensors import evaluate

X = np.random.default_rng(0).normal(size=(2, 3, 3))
OF_CHANNELS = np.random.default_rng(1).uniform(0.5, 1.5, size=(4, 3))
LABELS = np.array([2.0, 0.0])


def graph_of(operation: str, count: int, attributes: dict[str, Any]) -> Graph:
    names = [f"x{position}" for position in range(count)]
    node = {"name": "z", "operation": operation, "inputs": names, "attributes": attributes}
    return build_graph([*({"name": name, "operation": "Input"} for name in names), node])


def value_of(graph: Graph, language: str) -> str:
    """The expression of z in the code of a graph."""
    (line,) = [line for line in write_source(graph, language, ORIGIN).splitlines() if line.startswith("    z = ")]
    return line.removeprefix("    z = ")


@pytest.mark.parametrize(
    ("operation", "operands", "attributes", "language", "written"),
    [
        ("Einsum", [X], {"equation": "abc->abb"}, "torch", 'torch.einsum("abc,bz->abz", x0, torch.eye(x0.shape[1]))'),
        ("Einsum", [X], {"equation": "...b->...bb"}, "jax", 'jnp.einsum("...b,bz->...bz", x0, jnp.eye(x0.shape[-1]))'),
        ("ReduceLogSumExp", [X], {"axes": [1], "keepdims": 0}, "torch", "torch.logsumexp(x0, dim=1)"),
        ("ReduceLogSumExp", [X], {"axes": [1]}, "jax", "jax.nn.logsumexp(x0, axis=1, keepdims=True)"),
        ("ReduceL2", [X], {"axes": [0, 2], "keepdims": 0}, "torch", "torch.linalg.vector_norm(x0, dim=(0, 2))"),
        ("Softmax", [X], {"axis": 1}, "torch", "torch.softmax(x0, dim=1)"),
        ("LogSoftmax", [X], {"axis": 1}, "jax", "jax.nn.log_softmax(x0, axis=1)"),
        ("ReduceProd", [X], {"axes": [1], "keepdims": 0}, "torch", "prod(x0, dim=(1,))"),
        ("ReduceMax", [X], {"keepdims": 0}, "torch", "torch.amax(x0, dim=tuple(range(x0.ndim)))"),
        ("ReduceL1", [X], {"noop_with_empty_axes": 1}, "jax", "jnp.sum(jnp.abs(x0[..., None]), axis=-1)"),
        ("Transpose", [X], {"perm": [2, 0, 1]}, "torch", "x0.permute((2, 0, 1))"),
        ("Slice", [X], {"starts": [-1], "ends": [0], "axes": [1], "steps": [-1]}, "torch", "take_slices(x0, "),
        ("Slice", [X], {"starts": [1, 0], "ends": [3, 1], "axes": [-1, 0]}, "numpy", "take_slices(x0, "),
        *(
            ("LayerNormalization", [X, X[0, 0]], {"axis": axis, "output": output}, "numpy", written)
            for axis, output, written in (
                (-1, 1, "np.mean(x0, axis=tuple(range(-1, 0)), keepdims=True)"),
                (2, 2, "1.0 / np.sqrt(np.var(x0, correction=0, axis=tuple(range(2, x0.ndim)), keepdims=True) + 1e-05)"),
            )
        ),
        *(
            ("BatchNormalization", [X, *OF_CHANNELS], {"training_mode": 1, "output": output}, "numpy", written)
            for output, written in ((0, "batch_norm(x0, x1, x2, np.mean(x0, "), (1, "x3 * 0.9 + "), (2, "x4 * 0.9 + "))
        ),
        ("OneHot", [LABELS, [0.0, 1.0]], {"depth": 3, "axis": 0}, "numpy", "encoded(x0, x1, 3, 0)"),
        ("Cast", [X], {"to": "float16"}, "torch", "x0.to(torch.float16).to(x0.dtype)"),
        ("Conv", [X, X[:, :, :2]], {}, "numpy", "conv(x0, x1, None, 1, (1,) * (x0.ndim - 2), "),
        ("AveragePool", [X], {"kernel_shape": [2], "divisor_override": 3}, "numpy", "average_pool(x0, (2,), "),
    ],
)
def test_an_operation_is_written_as_a_call_and_computes_the_same(
    operation: str, operands: list[Any], attributes: dict[str, Any], language: str, written: str
) -> None:
    graph = graph_of(operation, len(operands), attributes)
    assert value_of(graph, language).startswith(written)
    computed = load(write_source(graph, "numpy", ORIGIN))(*operands)
    assert agrees(computed, evaluate(operation, *operands, **attributes))


@pytest.mark.parametrize(
    ("operation", "attributes", "language"),
    [
        ("Cast", {"to": "bfloat16"}, "numpy"),
        ("MaxPool", {"kernel_shape": [2], "output": 1}, "torch"),
        ("Digamma", {}, "c"),
    ],
)
def test_what_has_no_words_is_refused(operation: str, attributes: dict[str, Any], language: str) -> None:
    with pytest.raises(InvalidRequest, match=f"has no words here for {operation}, which 'z' is"):
        write_source(graph_of(operation, 1, attributes), language, ORIGIN)


def test_constants_and_inputs_as_they_are_declared() -> None:
    of_numbers = [
        {"name": "x", "operation": "Input"},
        {"name": "k", "operation": "Constant", "attributes": {"value": 0.5}},
        {"name": "y", "operation": "Mul", "inputs": ["x", "k"]},
        {"name": "z", "operation": "Exp", "inputs": ["x"]},
    ]
    text = write_source(build_graph(of_numbers), "c", ORIGIN)
    assert "results: y, z" in text and "void tried(double x, double *results) {\n    const double k = 0.5;" in text
    assert text.endswith("    results[0] = y;\n    results[1] = z;\n}\n")
    of_tensors = [
        {"name": "x", "operation": "Input", "attributes": {"shape": [None, 2]}},
        {"name": "k", "operation": "Constant", "attributes": {"value": [1.0, 2.0]}},
        {"name": "z", "operation": "Mul", "inputs": ["x", "k"]},
    ]
    text = write_source(build_graph(of_tensors), "torch", ORIGIN)
    assert "    x: shape [any, 2]\n" in text and "k = torch.tensor([1.0, 2.0], dtype=torch.float64)" in text
