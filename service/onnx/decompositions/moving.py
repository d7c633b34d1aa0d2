"""What only moves elements, and a cast."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
from onnx import TensorProto

from service.core.graph.graph import Node
from service.onnx.decompositions.shared import (
    decomposes,
    put_back,
    reshape,
    scatter_rows,
    transpose,
    unsqueeze,
    where_from,
)
from service.onnx.writing import Writer


@decomposes("Slice")
def _slice(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX Runtime takes no part of a scalar, not even the whole."""
    return None if node.attributes["starts"] else x[0]


@decomposes("Pad")
def _pad(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """What to pad with once elements were removed, ONNX Runtime takes from what is left: we from the whole."""
    a = node.attributes
    if not a["pads"]:
        return x[0]
    if min(a["pads"]) >= 0 or a["mode"] == "constant":
        return None
    shape = w.shape(node.inputs[0])
    return w.emit("Gather", reshape(w, x[0], [prod(shape)]), w.constant(where_from("Pad", node, shape)), axis=0)


@decomposes("SliceAdjoint", "SplitAdjoint", "PadAdjoint", "TileAdjoint")
def _moving_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape = w.shape(node.inputs[1])
    return put_back(w, x[0], where_from(node.operation.name.removesuffix("Adjoint"), node, shape), shape)


@decomposes("ConcatAdjoint")
def _concat_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    axis, number = node.attributes["axis"], node.attributes["operand"]
    lengths = [w.shape(name)[axis] for name in node.inputs[1:]]
    start = sum(lengths[:number])
    bounds = [w.constant([each]) for each in (start, start + lengths[number], axis)]
    return w.emit("Slice", x[0], *bounds)


@decomposes("GatherAdjoint")
def _gather_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape, indices = w.shape(node.inputs[1]), w.shape(node.inputs[2])
    axis, count = node.attributes["axis"] % len(shape), len(indices)
    rank = len(shape) - 1 + count
    first = list(range(axis, axis + count))
    moved = transpose(w, x[0], [*first, *(each for each in range(rank) if each not in first)])
    others = [*shape[:axis], *shape[axis + 1 :]]
    summed = scatter_rows(w, moved, unsqueeze(w, x[2], -1), [shape[axis], *others])
    return transpose(w, summed, [*range(1, axis + 1), 0, *range(axis + 1, len(shape))])


@decomposes("OneHot")
def _one_hot(w: Writer, node: Node, x: Sequence[str]) -> str:
    if (depth := node.attributes.get("depth")) is not None:
        if w.shape(node.inputs[0]):
            return w.emit("OneHot", x[0], w.constant(depth), x[1], axis=node.attributes.get("axis", -1))
        encoded = w.emit("OneHot", unsqueeze(w, x[0], 0), w.constant(depth), x[1])  # of a scalar there is none
        return w.emit("Squeeze", encoded, w.constant([0]))
    classes, ignored = w.shape(node.inputs[1])[1], node.attributes["ignore_index"]
    encoded = w.emit("OneHot", x[0], w.constant(classes), w.number([0.0, 1.0]), axis=1)
    if ignored is None:
        return encoded
    counted = w.emit("Not", w.emit("Equal", x[0], w.constant(ignored)))
    return w.emit("Mul", encoded, unsqueeze(w, w.cast(counted, w.kind), 1))


@decomposes("ScatterND")
def _scatter_nd(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX's has no batch_dims: their positions come before the others."""
    count = node.attributes["batch_dims"]
    if not count:
        return None
    shape = w.shape(node.inputs[1])
    batch = np.stack(np.broadcast_arrays(*np.indices(shape[:-1], sparse=True)[:count]), axis=-1)
    indices = w.emit("Concat", w.constant(np.broadcast_to(batch, (*shape[:-1], count))), x[1], axis=-1)
    w.write_alike(replace(node, attributes={**node.attributes, "batch_dims": 0}), [x[0], indices, x[2]])
    return node.name


@decomposes("SpaceToDepth")
def _space_to_depth(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX's has no mode."""
    if node.attributes["mode"] == "DCR":
        return None
    size, (batch, channels, height, width) = node.attributes["blocksize"], w.shape(node.inputs[0])
    blocks = reshape(w, x[0], [batch, channels, height // size, size, width // size, size])
    together = w.emit("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4])
    return reshape(w, together, [batch, channels * size**2, height // size, width // size])


@decomposes("Cast")
def _cast(w: Writer, node: Node, x: Sequence[str]) -> str:
    """Figures are of one type here: they are rounded to the other and back."""
    names = {"float64": "DOUBLE", "float32": "FLOAT", "bfloat16": "BFLOAT16", "float16": "FLOAT16"}
    return w.cast(w.cast(x[0], TensorProto.DataType.Value(names[node.attributes["to"]])), w.kind)
