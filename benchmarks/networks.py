"""Graphs of tensors against PyTorch and JAX: layers and networks, in float64 and float32, every gradient kept.

PyTorch by the thread's processor time; JAX, which computes in threads of its own, by the time that passes, with one
thread for each product.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.graph_peers import jax_passes, torch_passes
from benchmarks.measuring import Row, by_turns, milliseconds
from benchmarks.scalar_graphs import both_passes
from service.core.execution import kernel
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph

Shapes = Mapping[str, Sequence[int]]
Documents = list[dict[str, Any]]
Subject = tuple[Documents, Shapes]

_BATCH = 256
_WIDTHS = (784, 512, 512, 10)
_REPEATS = 15


def rows(quick: bool = False) -> Iterator[Row]:
    """A row for each layer or network and precision."""
    kernel.warm()
    for name, (documents, shapes), *targets in _subjects():
        for precision, target in zip(("float64", "float32"), targets, strict=True):
            graph, inputs = _in_precision(documents, shapes, precision)
            yield from _against_peers(f"{name}, {precision}", graph, inputs, target, quick)


def _subjects() -> list[tuple[str, Subject, float, float]]:
    """Names, graphs, and the targets in float64 and float32."""
    return [
        ("convolution 16×32×32×32, 3×3", _convolution(), 1.2, 2.0),
        ("maximum pool 16×64×64×64, 2×2", _pool(), 1.5, 2.0),
        ("convolutional network, 16×3×32×32", _convolutional_network(), 1.5, 2.0),
        ("transformer block, 8×128×128", _transformer(), 1.3, 1.5),
        *((f"{kind} of 10⁶ numbers", _elementwise(kind), 1.1, 1.2) for kind in ("Sigmoid", "Tanh", "Exp")),
        ("network 784-512-512-10, batch of 256", _dense_network(), 1.35, 1.2),
    ]


def _against_peers(name: str, graph: Graph, inputs: Mapping[str, Any], target: float, quick: bool) -> Iterator[Row]:
    ours, theirs = by_turns(
        lambda: both_passes(graph, inputs), lambda: torch_passes(graph, inputs), repeats=3 if quick else _REPEATS
    )
    yield Row(
        f"{name}, against PyTorch's time", ours / theirs, "×", target, f"{milliseconds(ours)} / {milliseconds(theirs)}"
    )
    if not quick:
        ours, theirs = by_turns(
            lambda: both_passes(graph, inputs), jax_passes(graph, inputs), repeats=_REPEATS, clock=time.perf_counter
        )
        detail = f"{milliseconds(ours)} / {milliseconds(theirs)}"
        yield Row(f"{name}, against JAX's time", ours / theirs, "×", detail=detail)


def _in_precision(documents: Documents, shapes: Shapes, precision: str) -> tuple[Graph, dict[str, Any]]:
    """The graph with its Inputs declared, and random inputs; what is called `labels` are classes from 0 to 9."""
    random = np.random.default_rng(0)
    declared: Documents = []
    inputs: dict[str, Any] = {}
    for name, shape in shapes.items():
        labels = name == "labels"
        kind = "int64" if labels else precision
        declared.append({"name": name, "operation": "Input", "attributes": {"dtype": kind, "shape": list(shape)}})
        drawn = random.integers(0, 10, shape) if labels else random.normal(size=shape) * 0.05
        inputs[name] = drawn.astype(np.float64 if labels else precision)
    return build_graph([*declared, *documents]), inputs


def _node(name: str, operation: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "operation": operation, "inputs": list(inputs), "attributes": attributes}


def _convolution() -> Subject:
    shapes = {"x": (16, 32, 32, 32), "kernel": (32, 32, 3, 3)}
    return [_node("y", "Conv", "x", "kernel", pads=[1, 1, 1, 1]), _node("all", "ReduceSum", "y", keepdims=0)], shapes


def _pool() -> Subject:
    pool = _node("y", "MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])
    return [pool, _node("all", "ReduceSum", "y", keepdims=0)], {"x": (16, 64, 64, 64)}


def _elementwise(kind: str) -> Subject:
    return [_node("y", kind, "x"), _node("all", "ReduceSum", "y", keepdims=0)], {"x": (1_000_000,)}


def _convolutional_network() -> Subject:
    nodes, below, channels = [], "x", (3, 32, 64)
    for layer in range(1, len(channels)):
        nodes += [
            _node(f"convolved{layer}", "Conv", below, f"kernel{layer}", pads=[1, 1, 1, 1]),
            _node(f"active{layer}", "Relu", f"convolved{layer}"),
            _node(f"pooled{layer}", "MaxPool", f"active{layer}", kernel_shape=[2, 2], strides=[2, 2]),
        ]
        below = f"pooled{layer}"
    nodes += [
        _node("flat", "Reshape", below, shape=[16, 64 * 8 * 8]),
        _node("scores", "MatMul", "flat", "weights"),
        _node("loss", "SoftmaxCrossEntropyLoss", "scores", "labels"),
    ]
    shapes = {f"kernel{layer}": (b, a, 3, 3) for layer, (a, b) in enumerate(pairwise(channels), start=1)}
    return nodes, {"x": (16, 3, 32, 32), **shapes, "weights": (64 * 8 * 8, 10), "labels": (16,)}


def _transformer() -> Subject:
    """Attention of four heads and a layer of 512, each after a layer norm and beside a residual connection."""
    batch, length, width, heads = 8, 128, 128, 4
    apart = [batch, length, heads, width // heads]
    nodes = [_node("normal1", "LayerNormalization", "x", "scale1", "bias1")]
    for kind, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            _node(f"all_{kind}", "MatMul", "normal1", f"w{kind}"),
            _node(f"apart_{kind}", "Reshape", f"all_{kind}", shape=apart),
            _node(kind, "Transpose", f"apart_{kind}", perm=order),
        ]
    nodes += [
        _node("products", "MatMul", "q", "k"),
        _node("scores", "Mul", "products", "factor"),
        _node("shares", "Softmax", "scores", axis=-1),
        _node("mixed", "MatMul", "shares", "v"),
        _node("turned", "Transpose", "mixed", perm=[0, 2, 1, 3]),
        _node("together", "Reshape", "turned", shape=[batch, length, width]),
        _node("attended", "MatMul", "together", "wo"),
        _node("residual", "Add", "x", "attended"),
        _node("normal2", "LayerNormalization", "residual", "scale2", "bias2"),
        _node("wide", "MatMul", "normal2", "w1"),
        _node("active", "Gelu", "wide"),
        _node("narrow", "MatMul", "active", "w2"),
        _node("y", "Add", "residual", "narrow"),
        _node("loss", "ReduceSum", "y", keepdims=0),
    ]
    square = dict.fromkeys(("wq", "wk", "wv", "wo"), (width, width))
    flat = dict.fromkeys(("scale1", "bias1", "scale2", "bias2"), (width,))
    return nodes, {
        "x": (batch, length, width),
        **square,
        **flat,
        "factor": (),
        "w1": (width, 4 * width),
        "w2": (4 * width, width),
    }


def _dense_network() -> Subject:
    nodes, below = [], "x"
    shapes: dict[str, Sequence[int]] = {"x": (_BATCH, _WIDTHS[0])}
    for layer, (wide, narrow) in enumerate(pairwise(_WIDTHS), start=1):
        shapes |= {f"w{layer}": (wide, narrow), f"b{layer}": (narrow,)}
        nodes.append(_node(f"m{layer}", "MatMul", below, f"w{layer}"))
        nodes.append(_node(f"a{layer}", "Add", f"m{layer}", f"b{layer}"))
        nodes.append(_node(f"h{layer}", "Relu", f"a{layer}"))
        below = f"h{layer}"
    nodes[-1] = _node("loss", "SoftmaxCrossEntropyLoss", "a3", "labels")
    return nodes, {**shapes, "labels": (_BATCH,)}
