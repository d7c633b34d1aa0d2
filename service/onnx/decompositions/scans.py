"""What goes along an axis: step by step, in order, or by rank."""

from collections.abc import Sequence

import numpy as np

from service.core.graph.graph import Node
from service.onnx.decompositions.shared import decomposes, expand, sum_along, transpose, unsqueeze, zeros
from service.onnx.writing import Unwritten, Writer

_LONGEST_LOOP = 1000


def _steps(w: Writer, x: str, length: int, axis: int) -> list[str]:
    if length > _LONGEST_LOOP:
        raise Unwritten(f"step by step along an axis of {length}; at most {_LONGEST_LOOP} are written out")
    return [w.emit("Slice", x, *[w.constant([each]) for each in (k, k + 1, axis)]) for k in range(length)]


def _joined(w: Writer, parts: Sequence[str], axis: int) -> str:
    return w.emit("Concat", *parts, axis=axis)


@decomposes("LinearRecurrence")
def _recurrence(w: Writer, node: Node, x: Sequence[str]) -> str:
    axis, reverse, shape = node.attributes["axis"], node.attributes["reverse"], w.shape(node.inputs[0])
    turn = slice(None, None, -1 if reverse else 1)
    u, factors = (_steps(w, each, shape[axis], axis)[turn] for each in x)
    one = list(shape)
    one[axis] = 1
    sums = [zeros(w, one)]
    for k in range(shape[axis] - 1):
        sums.append(w.emit("Add", u[k], w.emit("Mul", factors[k], sums[-1])))
    return _joined(w, sums[turn], axis) if shape[axis] else x[0]


@decomposes("CumProd")
def _cumprod(w: Writer, node: Node, x: Sequence[str]) -> str:
    a, shape = node.attributes, w.shape(node.inputs[0])
    axis, turn = a["axis"], slice(None, None, -1 if a["reverse"] else 1)
    one = list(shape)
    one[axis] = 1
    parts, products = _steps(w, x[0], shape[axis], axis)[turn], [expand(w, w.number(np.ones([1] * len(shape))), one)]
    for part in parts:
        products.append(w.emit("Mul", products[-1], part))
    chosen = products[:-1] if a["exclusive"] else products[1:]
    return _joined(w, chosen[turn], axis) if shape[axis] else x[0]


@decomposes("Sort")
def _sort(w: Writer, node: Node, x: Sequence[str]) -> str:
    a = node.attributes
    count = w.constant([w.shape(node.inputs[0])[a["axis"]]])
    values, indices = w.emit_several("TopK", [x[0], count], 2, axis=a["axis"], largest=a["descending"])
    return w.cast(indices, w.kind) if a["output"] else values


@decomposes("TopK")
def _top_k(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """In the order of the operand, if not sorted; ONNX leaves that open."""
    a = node.attributes
    if a["sorted"]:
        return None
    count, axis = w.constant([a["k"]]), a["axis"]
    _, indices = w.emit_several("TopK", [x[0], count], 2, axis=axis, largest=a["largest"])
    ordered, _ = w.emit_several("TopK", [indices, count], 2, axis=axis, largest=0)
    return w.cast(ordered, w.kind) if a["output"] else w.emit("GatherElements", x[0], ordered, axis=axis)


@decomposes("SumOfTies")
def _sum_of_ties(w: Writer, node: Node, x: Sequence[str]) -> str:
    rank = len(w.shape(node.inputs[1]))
    axis = node.attributes["axis"] % rank
    order = [*(each for each in range(rank) if each != axis), axis]
    figures, keys = (transpose(w, each, order) for each in x)
    equal = w.cast(w.emit("Equal", unsqueeze(w, keys, -1), unsqueeze(w, keys, -2)), w.kind)
    summed = sum_along(w, w.emit("Mul", equal, unsqueeze(w, figures, -2)), [-1])
    return transpose(w, summed, [order.index(each) for each in range(rank)])
