"""Composed operations: by NumPy's loops, by central differences; with `peers` by ONNX's node cases and PyTorch."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import special

from service.core.composition.building import Composing, compose_expression, compose_graph
from service.core.composition.callee import StoredGraph
from service.core.derivatives.gradient_check import CheckVerdict, check_gradients
from service.core.errors import InvalidExpression, InvalidGraph, LimitExceeded
from service.core.execution.passes import backward_pass, forward_pass
from service.core.graph.graph import Graph
from service.core.rulebook.composed import Composed, composed_operations, find_composed
from service.core.rulebook.registry import find

Arrays = Mapping[str, Any]


def composing(**changes: Any) -> Composing:
    """Compose within ordinary limits, without stored graphs."""

    def find_none(reference: str) -> StoredGraph | None:
        return None

    members: dict[str, Any] = {"find": find_none, "weigh": lambda nodes, characters: None, "max_nodes": 250_000}
    limits = {"max_tensor": 1_000_000, "max_bytes": 65_536, "max_depth": 200}
    return Composing(**{**members, **limits, **changes})


def one_use(name: str, inputs: Sequence[str], shapes: Arrays, **attributes: Any) -> Graph:
    """The graph of one use of an operation; inputs without a shape declare none, "" is left out."""
    nodes: list[dict[str, Any]] = []
    for each in filter(None, dict.fromkeys(inputs)):
        shape = shapes.get(each)
        nodes.append(
            {"name": each, "operation": "Input", "attributes": {} if shape is None else {"shape": list(shape)}}
        )
    nodes.append({"name": "z", "operation": name, "inputs": list(inputs), "attributes": attributes})
    graph, parts = compose_graph(nodes, ["z"], composing=composing())
    assert [(part.name, part.operation, part.graph) for part in parts] == [("z", name, None)]
    return graph


def random(seed: int, **shapes: tuple[int, ...]) -> dict[str, Any]:
    """Arrays of these shapes."""
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=shape) for name, shape in shapes.items()}


def value_of(graph: Graph, given: Arrays) -> Any:
    return forward_pass(graph, {name: given[name] for name in graph.inputs})[graph.position["z"]]


def run(name: str, given: Arrays, inputs: str | None = None, **attributes: Any) -> Any:
    """The value of one use, whose inputs declare their shapes."""
    named = list(given) if inputs is None else [each.strip("-") for each in inputs.split()]
    shapes = {each: np.shape(array) for each, array in given.items()}
    return value_of(one_use(name, named, shapes, **attributes), given)


SIGMOID, TANH = special.expit, np.tanh


def lstm(x: Any, w: Any, r: Any, bias: Any, h: Any, c: Any, p: Any) -> list[Any]:
    states = []
    for step in x:
        i, o, f, g = np.split(step @ w.T + h @ r.T + sum(np.split(bias, 2)), 4, axis=-1)
        pi, po, pf = np.split(p, 3)
        c_new = SIGMOID(f + pf * c) * c + SIGMOID(i + pi * c) * TANH(g)
        h, c = SIGMOID(o + po * c_new) * TANH(c_new), c_new
        states.append(h)
    return states


def gru(x: Any, w: Any, r: Any, bias: Any, h: Any, linear_before_reset: int) -> list[Any]:
    wb, rb = np.split(bias, 2)
    states = []
    for step in x:
        (xz, xr, xh), (hz, hr, hh) = np.split(step @ w.T + wb, 3, -1), np.split(h @ r.T + rb, 3, -1)
        z, reset = SIGMOID(xz + hz), SIGMOID(xr + hr)
        other = reset * hh if linear_before_reset else (reset * h) @ np.split(r, 3)[2].T + np.split(rb, 3)[2]
        h = (1 - z) * TANH(xh + other) + z * h
        states.append(h)
    return states


def test_recurrent_nets_in_both_directions_are_those_of_loops() -> None:
    given = random(1, x=(5, 2, 3), w=(2, 16, 3), r=(2, 16, 4), b=(2, 32), h=(2, 2, 4), c=(2, 2, 4), p=(2, 12))
    x, h, c = given["x"], given["h"], given["c"]
    weights = [[given[name][d] for name in "wrb"] for d in range(2)]
    inputs = "x w r b - h c p"
    forward = lstm(x, *weights[0], h[0], c[0], given["p"][0])
    backward = lstm(x[::-1], *weights[1], h[1], c[1], given["p"][1])[::-1]
    got = run("LSTM", given, inputs, direction="bidirectional", hidden_size=4)
    np.testing.assert_allclose(got, np.stack([np.stack(forward), np.stack(backward)], 1), rtol=1e-12)
    last = run("LSTM", given, inputs, direction="bidirectional", output="Y_h")
    np.testing.assert_allclose(last, np.stack([forward[-1], backward[0]]), rtol=1e-12)
    turned = {**given, "x": x.swapaxes(0, 1), "h": h.swapaxes(0, 1), "c": c.swapaxes(0, 1)}
    batch_first = run("LSTM", turned, inputs, direction="bidirectional", layout=1)
    np.testing.assert_allclose(batch_first, got.transpose(2, 0, 1, 3), rtol=1e-12)

    given = random(2, x=(4, 2, 3), w=(1, 12, 3), r=(1, 12, 4), b=(1, 24), h=(1, 2, 4))
    arrays = [given[name][0] for name in "wrb"]
    for before in (0, 1):
        expected = np.stack(gru(given["x"][::-1], *arrays, given["h"][0], before)[::-1])[:, None]
        got = run("GRU", given, "x w r b - h", direction="reverse", linear_before_reset=before)
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        short = {name: given[name] for name in "xwr"}  # no bias, and from 0
        expected = np.stack(gru(given["x"], *arrays[:2], np.zeros(24), np.zeros((2, 4)), before))[:, None]
        np.testing.assert_allclose(run("GRU", short, linear_before_reset=before), expected, rtol=1e-12)
    clipped = run("RNN", {"x": np.full((1, 1, 1), 9.0), "w": np.ones((1, 1, 1)), "r": np.ones((1, 1, 1))}, clip=2.0)
    assert clipped.item() == np.tanh(2.0)


def test_attention_and_normalizations_are_those_of_numpy() -> None:
    given = random(3, q=(2, 4, 3, 5), k=(2, 2, 6, 5), v=(2, 2, 6, 7), mask=(3, 6))
    k, v = np.repeat(given["k"], 2, 1), np.repeat(given["v"], 2, 1)
    scores = given["q"] @ k.swapaxes(2, 3) / np.sqrt(5)
    causal = np.where(np.arange(6) <= np.arange(3)[:, None], 0.0, -np.inf)
    for attributes, expected in [
        ({}, special.softmax(scores + given["mask"], -1) @ v),
        ({"is_causal": 1}, special.softmax(scores + given["mask"] + causal, -1) @ v),
        ({"softcap": 2.0}, special.softmax(2 * np.tanh(scores / 2) + given["mask"], -1) @ v),
        ({"output": "present_key"}, given["k"]),
    ]:
        np.testing.assert_allclose(run("Attention", given, **attributes), expected, rtol=1e-12)
    nothing = {**given, "mask": np.full((3, 6), -np.inf)}
    assert not run("Attention", nothing).any()
    flat = {
        name: array.swapaxes(1, 2).reshape(2, -1, array.shape[1] * array.shape[3])
        for name, array in ((name, given[name]) for name in "qkv")
    }
    expected = (special.softmax(scores, -1) @ v).swapaxes(1, 2).reshape(2, 3, -1)
    np.testing.assert_allclose(run("Attention", flat, q_num_heads=4, kv_num_heads=2), expected, rtol=1e-12)

    x, scale, bias = random(4, x=(2, 4, 3, 3), scale=(4,), bias=(4,)).values()
    affine: Callable[[Any], Any] = lambda normal: normal * scale[:, None, None] + bias[:, None, None]  # noqa: E731
    groups = x.reshape(2, 2, -1)
    normal = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    instance = (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5)
    whole = {"x": x, "scale": scale, "bias": bias}
    for got, expected in [
        (run("GroupNormalization", whole, num_groups=2), affine(normal.reshape(x.shape))),
        (run("InstanceNormalization", whole), affine(instance)),
        (
            run("RMSNormalization", {"x": x, "s": scale[:3]}),
            x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale[:3],
        ),
        (run("LpNormalization", {"x": x}, axis=1), x / np.linalg.norm(x, axis=1, keepdims=True)),
        (run("LpNormalization", {"x": x * 0}, p=1), x * 0),
        (run("MeanVarianceNormalization", {"x": x}, axes=[0, 1]), (x - x.mean((0, 1))) / (x.std((0, 1)) + 1e-9)),
    ]:
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


# The slow ones are held against PyTorch's gradients too.
_CHECKED = [
    pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.name in ("GRU", "LSTM") else [])
    for each in composed_operations()
]


@pytest.mark.parametrize("operation", _CHECKED)
def test_gradients_are_those_of_central_differences(operation: Composed) -> None:
    assert operation.summary and all(find(name) is None for name in (operation.name, *operation.aliases))
    assert find_composed(operation.aliases[-1]) is operation
    shapes, attributes = operation.example.shapes, operation.example.attributes
    graph = one_use(operation.name, list(shapes), shapes, **attributes)
    given = random(5, **{name: tuple(shape) for name, shape in shapes.items()})  # type: ignore[misc, arg-type]
    given |= {name: np.abs(given[name]) for name in ("v", "t") if name in given}  # an optimiser's squares and steps
    values = forward_pass(graph, {name: given[name] for name in graph.inputs})
    seed = np.random.default_rng(6).normal(size=np.shape(values[graph.position["z"]]))
    positions = [graph.position[name] for name in graph.inputs]
    checks = check_gradients(graph, values, "z", positions, "central", seed=seed)
    assert [check.verdict for check in checks if check.verdict is not CheckVerdict.RIGHT] == []


def fault_of(name: str, inputs: str, shapes: Arrays, **attributes: Any) -> tuple[tuple[str | int, ...], str]:
    with pytest.raises(InvalidGraph) as refused:
        one_use(name, [each.strip("-") for each in inputs.split()], shapes, **attributes)
    (fault,) = refused.value.faults
    return fault.location, fault.detail


def test_a_refusal_says_what_to_declare() -> None:
    assert fault_of("LSTM", "x w r", {"w": (1, 16, 3)}) == (
        ("nodes", 3, "inputs", 0),
        "LSTM needs the length of axis 0 of x: declare the shape of 'x'",
    )
    assert one_use("LSTM", ["x", "w", "r"], {"x": (2, None, None)}).outputs == ("z",)  # only the length is needed
    assert fault_of("GRU", "x w r - n", {"x": (2, 1, 3)}) == (
        ("nodes", 4),
        "GRU: sequence_lens can only be a Constant of 2, the length of x: leave it out",
    )
    assert fault_of("RNN", "x w r", {"x": (2, 1, 3)}, activations=["Mish"])[0] == (
        "nodes",
        3,
        "attributes",
        "activations",
    )
    assert fault_of("Attention", "q k v", {"q": (1, 3, 2, 4), "k": (1, 2, 2, 4)})[1] == (
        "Attention: 3 heads of q are no multiple of 2 of k"
    )
    nodes: list[dict[str, Any]] = [
        *({"name": name, "operation": "Input"} for name in "abwr"),
        {"name": "x", "operation": "Add", "inputs": ["a", "b"]},
        {"name": "y", "operation": "GRU", "inputs": ["x", "w", "r"]},
    ]
    with pytest.raises(InvalidGraph, match="declare the shape of 'a' and 'b'"):
        compose_graph(nodes, composing=composing())
    with pytest.raises(InvalidExpression, match="line 1, column 5: GRU needs the length of axis 0 of x"):
        compose_expression("y = gru(x, w, r)", composing=composing())
    with pytest.raises(LimitExceeded) as exceeded:
        one_use("LSTM", ["x", "w", "r"], {"x": (10**9, 1, 1)})
    assert exceeded.value.limit == "nodes" and exceeded.value.actual is not None and exceeded.value.actual > 10**9


def test_composed_operations_are_called_in_expressions_and_by_stored_shapes() -> None:
    text = "n = rms_norm(x, s); y = group_norm(reshape(v, shape=[1, 4, 2]), s, s, num_groups=2)"
    with pytest.raises(InvalidExpression, match="declare the shape of 'v'"):
        compose_expression(text, composing=composing())
    graph, parts = compose_expression(text.partition(";")[0], composing=composing())
    assert [part.operation for part in parts] == ["rms_norm"]
    assert [node.name for node in graph.nodes][-3:] == ["n/sqrt_1", "n/div_1", "n"]


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # ONNX's, where it makes its cases
def test_onnx_node_cases() -> None:
    """All cases of these operators, but those with what is refused by name."""
    from onnx import helper
    from onnx.backend.test.case.node import collect_testcases

    refused, wrong, count = ("nonpad", "padded_kv", "window", "softmax_precision"), [], 0
    for case in collect_testcases(None):
        node = case.model.graph.node[0]
        operation = find_composed(node.op_type)
        if (
            len(case.model.graph.node) > 1
            or node.domain
            or operation is None
            or any(word in case.name for word in refused)
        ):
            continue
        given, expected = case.data_sets[0]
        half = given[0].dtype != np.float32
        arrays = dict(zip(filter(None, node.input), map(_as_figures, given), strict=True))
        attributes = {each.name: _decoded(helper.get_attribute_value(each)) for each in node.attribute}
        documents = [_document(name, array) for name, array in arrays.items()]
        for output, figure in zip(filter(None, node.output), expected, strict=True):
            which = {"output": operation.outputs[list(node.output).index(output)]} if operation.outputs else {}
            use = {"name": "z", "operation": node.op_type, "inputs": list(node.input)}
            graph, _ = compose_graph(
                [*documents, {**use, "attributes": {**attributes, **which}}], ["z"], composing=composing()
            )
            got, right = value_of(graph, arrays), np.asarray(figure, dtype=np.float64)
            count += 1
            largest = np.max(np.abs(right[np.isfinite(right)]), initial=1e-30)
            bound = largest * (1e-2 if half else 1e-6)
            if got.shape != right.shape or not np.allclose(got, right, rtol=0, atol=bound):
                wrong.append((case.name, output, got.shape, right.shape))
    assert count > 100 and wrong == []


def _as_figures(array: Any) -> Any:
    """Float64; a mask of truth values as what is added."""
    return np.where(array, 0.0, -np.inf) if array.dtype == bool else np.asarray(array, dtype=np.float64)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


def _document(name: str, array: Any) -> dict[str, Any]:
    if name == "sequence_lens":
        return {"name": name, "operation": "Constant", "attributes": {"value": array.tolist()}}
    return {"name": name, "operation": "Input", "attributes": {"shape": list(array.shape)}}


@pytest.mark.peers
def test_values_and_gradients_are_pytorchs() -> None:
    import torch

    wrong = []

    def compare(what: str, name: str, given: Arrays, inputs: str, module: Any, **attributes: Any) -> None:
        """Of Σ value · seed, by all inputs."""
        tensors = {key: torch.tensor(array, dtype=torch.float64, requires_grad=True) for key, array in given.items()}
        expected = module(**tensors)
        seed = np.random.default_rng(0).normal(size=tuple(expected.shape))
        (expected * torch.tensor(seed)).sum().backward()
        named = [each.strip("-") for each in inputs.split()]
        graph = one_use(name, named, {key: np.shape(array) for key, array in given.items()}, **attributes)
        values = forward_pass(graph, {key: given[key] for key in graph.inputs})
        gradients = backward_pass(graph, values, "z", seed=seed)
        for key, got, right in [
            ("value", values[graph.position["z"]], expected.detach().numpy()),
            *((key, gradients[graph.position[key]], each.grad.numpy()) for key, each in tensors.items()),
        ]:
            if not np.allclose(got, right, rtol=1e-9, atol=1e-10):
                wrong.append((what, key, float(np.max(np.abs(got - right)))))

    def net(kind: Any, gates: Sequence[int], both: bool) -> Any:
        """PyTorch's module with ONNX's weights, whose gates `gates` orders for PyTorch."""

        def call(x: Any, w: Any, r: Any, b: Any, **states: Any) -> Any:
            module = kind(3, 4, bidirectional=both).double()
            flat = {}
            for direction in range(1 + both):
                suffix = "_reverse" if direction else ""
                chosen = [
                    torch.cat([each.chunk(len(gates))[gate] for gate in gates])
                    for each in (w[direction], r[direction], *b[direction].chunk(2))
                ]
                names = (f"{of}_l0{suffix}" for of in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
                flat.update(zip(names, chosen, strict=True))
            initial = tuple(states.values())
            y, _ = torch.func.functional_call(module, flat, (x, initial if len(initial) > 1 else initial[0]))
            return y.reshape(*y.shape[:2], 1 + both, 4).transpose(1, 2)

        return call

    for both in (False, True):
        direction, d = ("bidirectional", 2) if both else ("forward", 1)
        for name, kind, gates, states in [
            ("RNN", torch.nn.RNN, [0], {"h": (d, 2, 4)}),
            ("GRU", torch.nn.GRU, [1, 0, 2], {"h": (d, 2, 4)}),
            ("LSTM", torch.nn.LSTM, [0, 2, 3, 1], {"h": (d, 2, 4), "c": (d, 2, 4)}),
        ]:
            rows = 4 * len(gates)
            given = random(6, x=(5, 2, 3), w=(d, rows, 3), r=(d, rows, 4), b=(d, 2 * rows), **states)
            more = {"linear_before_reset": 1} if name == "GRU" else {}
            inputs = "x w r b - h c" if name == "LSTM" else "x w r b - h"
            compare(f"{name} {direction}", name, given, inputs, net(kind, gates, both), direction=direction, **more)
    attend = torch.nn.functional.scaled_dot_product_attention
    given = random(7, q=(2, 4, 3, 5), k=(2, 4, 3, 5), v=(2, 4, 3, 6))
    compare("attention", "Attention", given, "q k v", lambda q, k, v: attend(q, k, v))  # noqa: PLW0108 (its arguments have no such names)
    causal = lambda q, k, v: attend(q, k, v, is_causal=True)  # noqa: E731
    compare("causal", "Attention", given, "q k v", causal, is_causal=1)
    given = random(8, q=(2, 4, 3, 5), k=(2, 2, 6, 5), v=(2, 2, 6, 6), m=(3, 6))
    grouped = lambda q, k, v, m: attend(q, k, v, attn_mask=m, enable_gqa=True)  # noqa: E731
    compare("grouped", "Attention", given, "q k v m", grouped)
    given = random(9, x=(2, 4, 3, 3), s=(4,), b=(4,))
    functional = torch.nn.functional
    compare(
        "group", "GroupNormalization", given, "x s b", lambda x, s, b: functional.group_norm(x, 2, s, b), num_groups=2
    )
    compare(
        "instance",
        "InstanceNormalization",
        given,
        "x s b",
        lambda x, s, b: functional.instance_norm(x, weight=s, bias=b),
    )
    rows = {"x": given["x"], "s": given["s"][:3]}
    compare("rms", "RMSNormalization", rows, "x s", lambda x, s: functional.rms_norm(x, (3,), s, 1e-5))
    compare("lp", "LpNormalization", {"x": given["x"]}, "x", lambda x: functional.normalize(x, dim=1), axis=1)
    assert wrong == []
