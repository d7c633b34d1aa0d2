"""Sums, means, products, and changes of shape."""

from collections.abc import Sequence
from math import prod

import numpy as np

from service.core.figures.figures import Shape
from service.core.graph.graph import Node
from service.onnx.decompositions.shared import decomposes, expand, reshape, sum_along, sum_to, swapped, unsqueeze
from service.onnx.writing import Writer


@decomposes("SumTo")
def _sums_to(w: Writer, node: Node, x: Sequence[str]) -> str:
    return sum_to(w, x[0], w.shape(node.inputs[0]), w.shape(node.inputs[1]))


@decomposes("ExpandTo")
def _expands_to(w: Writer, node: Node, x: Sequence[str]) -> str:
    return w.emit("Expand", x[0], w.emit("Shape", x[1]))


@decomposes("ReshapeTo")
def _reshapes_to(w: Writer, node: Node, x: Sequence[str]) -> str:
    return w.emit("Reshape", x[0], w.emit("Shape", x[1]), allowzero=1)


@decomposes("StopGradient")
def _same(w: Writer, node: Node, x: Sequence[str]) -> str:
    return x[0]


@decomposes("MatrixTranspose")
def _matrix_transpose(w: Writer, node: Node, x: Sequence[str]) -> str:
    return swapped(w, x[0], len(w.shape(node.inputs[0])))


@decomposes("OverChannels")
def _over_channels(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape = w.shape(node.inputs[1])
    return expand(w, reshape(w, x[0], [shape[1], *[1] * (len(shape) - 2)]), shape)


@decomposes("SumOfChannels")
def _sum_of_channels(w: Writer, node: Node, x: Sequence[str]) -> str:
    return sum_along(w, x[0], [0, *range(2, len(w.shape(node.inputs[0])))])


@decomposes("MeanSquaredError")
def _mean_squared_error(w: Writer, node: Node, x: Sequence[str]) -> str:
    difference = w.emit("Sub", *x)
    return w.emit("ReduceMean", w.emit("Mul", difference, difference), keepdims=0)


@decomposes("ReduceVar", "ReduceStd")
def _variance(w: Writer, node: Node, x: Sequence[str]) -> str:
    a, shape = node.attributes, w.shape(node.inputs[0])
    axes = a["axes"] if a["axes"] else () if a["noop_with_empty_axes"] else range(len(shape))
    listed = w.constant(list(axes))
    mean = w.emit("ReduceMean", x[0], listed, keepdims=1, noop_with_empty_axes=1)
    centred = w.emit("Sub", x[0], mean)
    total = w.emit("ReduceSumSquare", centred, listed, keepdims=a["keepdims"], noop_with_empty_axes=1)
    count = prod(shape[axis] for axis in axes) - a["ddof"]
    variance = w.emit("Div", total, w.number(float(count)))
    return variance if node.operation.name == "ReduceVar" else w.emit("Sqrt", variance)


@decomposes("MatMulLeftAdjoint")
def _matmul_left(w: Writer, node: Node, x: Sequence[str]) -> str:
    (upstream, y, _), shapes = x, [w.shape(name) for name in node.inputs]
    given, shape, wanted = shapes
    if len(shape) == 1:
        made, whole = w.emit("Mul", unsqueeze(w, upstream, -1), y), (*given, *shape)
    elif len(wanted) == 1:
        product = w.emit("MatMul", y, unsqueeze(w, upstream, -1))
        made, whole = (
            w.emit("Squeeze", product, w.constant([-1])),
            (*np.broadcast_shapes(shape[:-2], given[:-1]), shape[-2]),
        )
    else:
        made = w.emit("MatMul", upstream, swapped(w, y, len(shape)))
        whole = (*np.broadcast_shapes(given[:-2], shape[:-2]), given[-2], shape[-2])
    return sum_to(w, made, whole, wanted)


@decomposes("MatMulRightAdjoint")
def _matmul_right(w: Writer, node: Node, x: Sequence[str]) -> str:
    (left, upstream, _), shapes = x, [w.shape(name) for name in node.inputs]
    shape, given, wanted = shapes
    whole: Shape
    if len(shape) == 1 and len(wanted) == 1:
        made, whole = w.emit("Mul", left, upstream), (*shape,)
    elif len(shape) == 1:
        made = w.emit("Mul", unsqueeze(w, left, -1), unsqueeze(w, upstream, -2))
        whole = (*given[:-1], shape[0], given[-1])
    elif len(wanted) == 1:
        product = w.emit("MatMul", swapped(w, left, len(shape)), unsqueeze(w, upstream, -1))
        made, whole = (
            w.emit("Squeeze", product, w.constant([-1])),
            (*np.broadcast_shapes(shape[:-2], given[:-1]), shape[-1]),
        )
    else:
        made = w.emit("MatMul", swapped(w, left, len(shape)), upstream)
        whole = (*np.broadcast_shapes(shape[:-2], given[:-2]), shape[-1], given[-1])
    return sum_to(w, made, tuple(whole), wanted)


@decomposes("Einsum")
def _einsum(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """A letter twice in the result stands for a diagonal, which ONNX has not: it is a product with a matrix of ones."""
    terms, _, result = node.attributes["equation"].partition("->")
    listed, operands, letters = terms.split(","), list(x), list[str]()
    free = (letter for letter in "zyxwvutsrqponmlkjihgfedcba" if letter not in node.attributes["equation"])
    for letter in result:
        if letter in letters and letter != ".":
            index = next(i for i, term in enumerate(listed) if letter in term)
            before, _, after = listed[index].partition(letter)
            length = w.shape(node.inputs[index])[len(before) if "." not in before else -len(after) - 1]
            other = next(free)
            operands.append(w.number(np.eye(length)))
            terms += f",{letter}{other}"
            letters.append(other)
        else:
            letters.append(letter)
    return w.emit("Einsum", *operands, equation=f"{terms}->{''.join(letters)}") if len(operands) > len(x) else None
