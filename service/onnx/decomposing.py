"""Operations on tensors that ONNX lacks, as operators that it has.

Most are adjoints. What an operation moves elements by is found by applying it to their positions: its adjoint then adds
what came from each position, which is ScatterND. A rule returns the name of the value, or None where ONNX has the
operation after all.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from service.core.figures.figures import Shape
from service.core.graph.graph import Node
from service.core.rulebook.operations.interpolation import Interpolation, interpolation_weights, resized_axes
from service.core.rulebook.operations.pooling import pool_window
from service.core.rulebook.operations.transposed_convolution import transposed_window
from service.core.rulebook.operations.window import Window, window
from service.core.rulebook.registry import operation_of
from service.onnx.writing import Unwritten, Writer

Rule: TypeAlias = Callable[[Writer, Node, Sequence[str]], str | None]
DECOMPOSED: dict[str, Rule] = {}
_LONGEST_LOOP = 1000


def _decomposes(*names: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        DECOMPOSED.update(dict.fromkeys(names, rule))
        return rule

    return enter


# --- what the rules share ---------------------------------------------------------------------------------------------


def _reshape(w: Writer, x: str, shape: Sequence[int]) -> str:
    return w.emit("Reshape", x, w.constant(list(shape)), allowzero=1)


def _transpose(w: Writer, x: str, order: Sequence[int]) -> str:
    return x if list(order) == list(range(len(order))) else w.emit("Transpose", x, perm=list(order))


def _sum(w: Writer, x: str, axes: Sequence[int], keepdims: int = 0) -> str:
    return w.emit("ReduceSum", x, w.constant(list(axes)), keepdims=keepdims) if axes else x


def _sum_to(w: Writer, x: str, given: Shape, wanted: Shape) -> str:
    added = len(given) - len(wanted)
    axes = [*range(added), *(i + added for i, n in enumerate(wanted) if n == 1 != given[i + added])]
    return _reshape(w, _sum(w, x, axes, 1), wanted) if axes else x


def _expand(w: Writer, x: str, shape: Sequence[int]) -> str:
    return w.emit("Expand", x, w.constant(list(shape)))


def _unsqueeze(w: Writer, x: str, *axes: int) -> str:
    return w.emit("Unsqueeze", x, w.constant(list(axes)))


def _zeros(w: Writer, shape: Sequence[int]) -> str:
    return _expand(w, w.number(np.zeros([1] * len(shape))), shape)


def _scatter_rows(w: Writer, x: str, positions: NDArray[Any] | str, shape: Sequence[int]) -> str:
    """The sums of the rows of x that go to each row of zeros of a shape."""
    index = positions if isinstance(positions, str) else w.constant(positions.reshape(-1, 1))
    return w.emit("ScatterND", _zeros(w, shape), index, x, reduction="add")


def _put_back(w: Writer, x: str, positions: NDArray[Any], shape: Shape) -> str:
    """The sums of the elements of x at the flat position that each came from, −1 for none, in a shape."""
    positions = positions.ravel()
    row, known = _reshape(w, x, [positions.size]), positions >= 0
    if not known.all():
        row = w.emit("Gather", row, w.constant(np.flatnonzero(known)), axis=0)
    return _reshape(w, _scatter_rows(w, row, positions[known], [prod(shape)]), shape)


def _where_from(name: str, node: Node, shape: Shape) -> NDArray[Any]:
    """For each element of an operation that moves elements the flat position that it comes from, −1 for none."""
    positions = np.arange(1.0, prod(shape) + 1.0).reshape(shape)
    operation = operation_of(name)
    given = {each.name: node.attributes.get(each.name, each.default) for each in operation.attributes}
    moved = operation.evaluate([positions], given)
    return np.asarray(np.rint(moved), dtype=np.int64) - 1


# --- shapes -----------------------------------------------------------------------------------------------------------


@_decomposes("SumTo")
def _sums_to(w: Writer, node: Node, x: Sequence[str]) -> str:
    return _sum_to(w, x[0], w.shape(node.inputs[0]), w.shape(node.inputs[1]))


@_decomposes("ExpandTo")
def _expands_to(w: Writer, node: Node, x: Sequence[str]) -> str:
    return w.emit("Expand", x[0], w.emit("Shape", x[1]))


@_decomposes("ReshapeTo")
def _reshapes_to(w: Writer, node: Node, x: Sequence[str]) -> str:
    return w.emit("Reshape", x[0], w.emit("Shape", x[1]), allowzero=1)


@_decomposes("StopGradient")
def _same(w: Writer, node: Node, x: Sequence[str]) -> str:
    return x[0]


@_decomposes("MatrixTranspose")
def _matrix_transpose(w: Writer, node: Node, x: Sequence[str]) -> str:
    return _swapped(w, x[0], len(w.shape(node.inputs[0])))


def _swapped(w: Writer, x: str, rank: int) -> str:
    return _transpose(w, x, [*range(rank - 2), rank - 1, rank - 2])


@_decomposes("OverChannels")
def _over_channels(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape = w.shape(node.inputs[1])
    return _expand(w, _reshape(w, x[0], [shape[1], *[1] * (len(shape) - 2)]), shape)


@_decomposes("SumOfChannels")
def _sum_of_channels(w: Writer, node: Node, x: Sequence[str]) -> str:
    return _sum(w, x[0], [0, *range(2, len(w.shape(node.inputs[0])))])


@_decomposes("MeanSquaredError")
def _mean_squared_error(w: Writer, node: Node, x: Sequence[str]) -> str:
    difference = w.emit("Sub", *x)
    return w.emit("ReduceMean", w.emit("Mul", difference, difference), keepdims=0)


@_decomposes("ReduceVar", "ReduceStd")
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


# --- products ---------------------------------------------------------------------------------------------------------


@_decomposes("MatMulLeftAdjoint")
def _matmul_left(w: Writer, node: Node, x: Sequence[str]) -> str:
    (upstream, y, _), shapes = x, [w.shape(name) for name in node.inputs]
    given, shape, wanted = shapes
    if len(shape) == 1:
        made, whole = w.emit("Mul", _unsqueeze(w, upstream, -1), y), (*given, *shape)
    elif len(wanted) == 1:
        product = w.emit("MatMul", y, _unsqueeze(w, upstream, -1))
        made, whole = (
            w.emit("Squeeze", product, w.constant([-1])),
            (*np.broadcast_shapes(shape[:-2], given[:-1]), shape[-2]),
        )
    else:
        made = w.emit("MatMul", upstream, _swapped(w, y, len(shape)))
        whole = (*np.broadcast_shapes(given[:-2], shape[:-2]), given[-2], shape[-2])
    return _sum_to(w, made, whole, wanted)


@_decomposes("MatMulRightAdjoint")
def _matmul_right(w: Writer, node: Node, x: Sequence[str]) -> str:
    (left, upstream, _), shapes = x, [w.shape(name) for name in node.inputs]
    shape, given, wanted = shapes
    whole: Shape
    if len(shape) == 1 and len(wanted) == 1:
        made, whole = w.emit("Mul", left, upstream), (*shape,)
    elif len(shape) == 1:
        made = w.emit("Mul", _unsqueeze(w, left, -1), _unsqueeze(w, upstream, -2))
        whole = (*given[:-1], shape[0], given[-1])
    elif len(wanted) == 1:
        product = w.emit("MatMul", _swapped(w, left, len(shape)), _unsqueeze(w, upstream, -1))
        made, whole = (
            w.emit("Squeeze", product, w.constant([-1])),
            (*np.broadcast_shapes(shape[:-2], given[:-1]), shape[-1]),
        )
    else:
        made = w.emit("MatMul", _swapped(w, left, len(shape)), upstream)
        whole = (*np.broadcast_shapes(shape[:-2], given[:-2]), shape[-1], given[-1])
    return _sum_to(w, made, tuple(whole), wanted)


@_decomposes("Einsum")
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


# --- parts ------------------------------------------------------------------------------------------------------------


@_decomposes("Slice")
def _slice(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX Runtime takes no part of a scalar, not even the whole."""
    return None if node.attributes["starts"] else x[0]


@_decomposes("Pad")
def _pad(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """What to pad with once elements were removed, ONNX Runtime takes from what is left: we from the whole."""
    a = node.attributes
    if not a["pads"]:
        return x[0]
    if min(a["pads"]) >= 0 or a["mode"] == "constant":
        return None
    shape = w.shape(node.inputs[0])
    return w.emit("Gather", _reshape(w, x[0], [prod(shape)]), w.constant(_where_from("Pad", node, shape)), axis=0)


@_decomposes("SliceAdjoint", "SplitAdjoint", "PadAdjoint", "TileAdjoint")
def _moving_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape = w.shape(node.inputs[1])
    return _put_back(w, x[0], _where_from(node.operation.name.removesuffix("Adjoint"), node, shape), shape)


@_decomposes("ConcatAdjoint")
def _concat_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    axis, number = node.attributes["axis"], node.attributes["operand"]
    lengths = [w.shape(name)[axis] for name in node.inputs[1:]]
    start = sum(lengths[:number])
    bounds = [w.constant([each]) for each in (start, start + lengths[number], axis)]
    return w.emit("Slice", x[0], *bounds)


@_decomposes("GatherAdjoint")
def _gather_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape, indices = w.shape(node.inputs[1]), w.shape(node.inputs[2])
    axis, count = node.attributes["axis"] % len(shape), len(indices)
    rank = len(shape) - 1 + count
    first = list(range(axis, axis + count))
    moved = _transpose(w, x[0], [*first, *(each for each in range(rank) if each not in first)])
    others = [*shape[:axis], *shape[axis + 1 :]]
    summed = _scatter_rows(w, moved, _unsqueeze(w, x[2], -1), [shape[axis], *others])
    return _transpose(w, summed, [*range(1, axis + 1), 0, *range(axis + 1, len(shape))])


@_decomposes("OneHot")
def _one_hot(w: Writer, node: Node, x: Sequence[str]) -> str:
    if (depth := node.attributes.get("depth")) is not None:
        if w.shape(node.inputs[0]):
            return w.emit("OneHot", x[0], w.constant(depth), x[1], axis=node.attributes.get("axis", -1))
        encoded = w.emit("OneHot", _unsqueeze(w, x[0], 0), w.constant(depth), x[1])  # of a scalar there is none
        return w.emit("Squeeze", encoded, w.constant([0]))
    classes, ignored = w.shape(node.inputs[1])[1], node.attributes["ignore_index"]
    encoded = w.emit("OneHot", x[0], w.constant(classes), w.number([0.0, 1.0]), axis=1)
    if ignored is None:
        return encoded
    counted = w.emit("Not", w.emit("Equal", x[0], w.constant(ignored)))
    return w.emit("Mul", encoded, _unsqueeze(w, w.cast(counted, w.kind), 1))


@_decomposes("ScatterND")
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


@_decomposes("SpaceToDepth")
def _space_to_depth(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX's has no mode."""
    if node.attributes["mode"] == "DCR":
        return None
    size, (batch, channels, height, width) = node.attributes["blocksize"], w.shape(node.inputs[0])
    blocks = _reshape(w, x[0], [batch, channels, height // size, size, width // size, size])
    together = w.emit("Transpose", blocks, perm=[0, 1, 3, 5, 2, 4])
    return _reshape(w, together, [batch, channels * size**2, height // size, width // size])


@_decomposes("Cast")
def _cast(w: Writer, node: Node, x: Sequence[str]) -> str:
    """Figures are of one type here: they are rounded to the other and back."""
    names = {"float64": "DOUBLE", "float32": "FLOAT", "bfloat16": "BFLOAT16", "float16": "FLOAT16"}
    return w.cast(w.cast(x[0], TensorProto.DataType.Value(names[node.attributes["to"]])), w.kind)


# --- scans ------------------------------------------------------------------------------------------------------------


def _steps(w: Writer, x: str, length: int, axis: int) -> list[str]:
    if length > _LONGEST_LOOP:
        raise Unwritten(f"step by step along an axis of {length}; at most {_LONGEST_LOOP} are written out")
    return [w.emit("Slice", x, *[w.constant([each]) for each in (k, k + 1, axis)]) for k in range(length)]


def _joined(w: Writer, parts: Sequence[str], axis: int) -> str:
    return w.emit("Concat", *parts, axis=axis)


@_decomposes("LinearRecurrence")
def _recurrence(w: Writer, node: Node, x: Sequence[str]) -> str:
    axis, reverse, shape = node.attributes["axis"], node.attributes["reverse"], w.shape(node.inputs[0])
    turn = slice(None, None, -1 if reverse else 1)
    u, factors = (_steps(w, each, shape[axis], axis)[turn] for each in x)
    one = list(shape)
    one[axis] = 1
    sums = [_zeros(w, one)]
    for k in range(shape[axis] - 1):
        sums.append(w.emit("Add", u[k], w.emit("Mul", factors[k], sums[-1])))
    return _joined(w, sums[turn], axis) if shape[axis] else x[0]


@_decomposes("CumProd")
def _cumprod(w: Writer, node: Node, x: Sequence[str]) -> str:
    a, shape = node.attributes, w.shape(node.inputs[0])
    axis, turn = a["axis"], slice(None, None, -1 if a["reverse"] else 1)
    one = list(shape)
    one[axis] = 1
    parts, products = _steps(w, x[0], shape[axis], axis)[turn], [_expand(w, w.number(np.ones([1] * len(shape))), one)]
    for part in parts:
        products.append(w.emit("Mul", products[-1], part))
    chosen = products[:-1] if a["exclusive"] else products[1:]
    return _joined(w, chosen[turn], axis) if shape[axis] else x[0]


# --- order ------------------------------------------------------------------------------------------------------------


@_decomposes("Sort")
def _sort(w: Writer, node: Node, x: Sequence[str]) -> str:
    a = node.attributes
    count = w.constant([w.shape(node.inputs[0])[a["axis"]]])
    values, indices = w.emit_several("TopK", [x[0], count], 2, axis=a["axis"], largest=a["descending"])
    return w.cast(indices, w.kind) if a["output"] else values


@_decomposes("TopK")
def _top_k(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """In the order of the operand, if not sorted; ONNX leaves that open."""
    a = node.attributes
    if a["sorted"]:
        return None
    count, axis = w.constant([a["k"]]), a["axis"]
    _, indices = w.emit_several("TopK", [x[0], count], 2, axis=axis, largest=a["largest"])
    ordered, _ = w.emit_several("TopK", [indices, count], 2, axis=axis, largest=0)
    return w.cast(ordered, w.kind) if a["output"] else w.emit("GatherElements", x[0], ordered, axis=axis)


@_decomposes("SumOfTies")
def _sum_of_ties(w: Writer, node: Node, x: Sequence[str]) -> str:
    rank = len(w.shape(node.inputs[1]))
    axis = node.attributes["axis"] % rank
    order = [*(each for each in range(rank) if each != axis), axis]
    figures, keys = (_transpose(w, each, order) for each in x)
    equal = w.cast(w.emit("Equal", _unsqueeze(w, keys, -1), _unsqueeze(w, keys, -2)), w.kind)
    summed = _sum(w, w.emit("Mul", equal, _unsqueeze(w, figures, -2)), [-1])
    return _transpose(w, summed, [order.index(each) for each in range(rank)])


# --- windows ----------------------------------------------------------------------------------------------------------


class _Windows:
    """The positions under a window at each step, along one axis in place of those after samples and channels."""

    def __init__(self, w: Writer, shape: Shape, slid: Window) -> None:
        self.w, self.shape = w, shape
        size = prod(shape[2:])
        found = slid.patches(np.arange(1.0, size + 1.0).reshape(1, 1, *shape[2:]))[0, 0]
        self.steps, self.lengths = found.shape[: len(slid.lengths)], found.shape[len(slid.lengths) :]
        self.positions = np.asarray(found, dtype=np.int64).reshape(prod(self.steps), prod(self.lengths)) - 1
        self.inside = self.positions >= 0

    def gather(self, x: str, filling: float) -> str:
        """The elements of x under each window: (samples, channels, steps, lengths), each in one axis."""
        row = _reshape(self.w, x, [*self.shape[:2], prod(self.shape[2:])])
        parts = self.w.emit("Gather", row, self.w.constant(np.maximum(self.positions, 0)), axis=2)
        return (
            parts
            if self.inside.all()
            else self.w.emit("Where", self.w.constant(self.inside, bool), parts, self.w.number(filling))
        )

    def scatter(self, parts: str) -> str:
        """The sums of what lies under all windows, of that form, on each element of x."""
        flat = _reshape(self.w, parts, [*self.shape[:2], self.positions.size])
        rows = self.w.emit("Transpose", flat, perm=[2, 0, 1])
        known = self.inside.ravel()
        if not known.all():
            rows = self.w.emit("Gather", rows, self.w.constant(np.flatnonzero(known)), axis=0)
        size = prod(self.shape[2:])
        whole = _scatter_rows(self.w, rows, self.positions.ravel()[known], [size, *self.shape[:2]])
        return _reshape(self.w, self.w.emit("Transpose", whole, perm=[1, 2, 0]), self.shape)

    def row(self, x: str) -> str:
        """What there is one of at each step, its axes of steps in one."""
        return _reshape(self.w, x, [*self.shape[:2], prod(self.steps)])

    def whole(self, row: str) -> str:
        """The opposite of `row`."""
        return _reshape(self.w, row, [*self.shape[:2], *self.steps])


def _pool(w: Writer, node: Node, shape: Shape) -> _Windows:
    given = tuple(node.attributes.get(each.name, each.default) for each in node.operation.attributes)
    return _Windows(w, shape, pool_window(shape, given))


def _maxima(pool: _Windows, x: str, z: str | None = None) -> str:
    """1 at the maximum of each window and at its ties."""
    w, parts = pool.w, pool.gather(x, -np.inf)
    greatest = w.emit("ReduceMax", parts, w.constant([3]), keepdims=1) if z is None else _unsqueeze(w, pool.row(z), 3)
    equal = w.emit("Equal", parts, greatest)
    if not pool.inside.all():
        equal = w.emit("And", equal, w.constant(pool.inside, bool))
    return w.cast(equal, w.kind)


@_decomposes("MaxPoolTies")
def _max_pool_ties(w: Writer, node: Node, x: Sequence[str]) -> str:
    pool = _pool(w, node, w.shape(node.inputs[0]))
    return pool.whole(_sum(w, _maxima(pool, x[0], x[1]), [3]))


@_decomposes("MaxPoolAdjoint")
def _max_pool_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    pool = _pool(w, node, w.shape(node.inputs[1]))
    chosen = _maxima(pool, x[1])
    shared = w.emit("Div", _unsqueeze(w, pool.row(x[0]), 3), _sum(w, chosen, [3], 1))
    return pool.scatter(w.emit("Mul", chosen, shared))


@_decomposes("MaxPoolTangent")
def _max_pool_tangent(w: Writer, node: Node, x: Sequence[str]) -> str:
    pool = _pool(w, node, w.shape(node.inputs[1]))
    chosen = _maxima(pool, x[1])
    moved = _sum(w, w.emit("Mul", chosen, pool.gather(x[0], 0.0)), [3])
    return pool.whole(w.emit("Div", moved, _sum(w, chosen, [3])))


@_decomposes("AveragePoolAdjoint")
def _average_pool_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    """The divisors are what the mean of ones in one place makes of them: ours, applied to ones."""
    shape = w.shape(node.inputs[1])
    pool = _pool(w, node, shape)
    given = {each.name: node.attributes.get(each.name, each.default) for each in operation_of("AveragePool").attributes}
    means = operation_of("AveragePool").evaluate([np.ones((1, 1, *shape[2:]))], given).reshape(-1)
    counts = pool.inside.sum(axis=1)
    factors = np.where(counts > 0, means / np.maximum(counts, 1), 0.0)
    shared = w.emit("Mul", pool.row(x[0]), w.number(factors))
    return pool.scatter(_expand(w, _unsqueeze(w, shared, 3), [*shape[:2], *pool.positions.shape]))


@_decomposes("AveragePool", "MaxPool", "LpPool")
def _pool_as_it_is(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX has no divisor of one's own; and padding that is the SAME, ONNX Runtime counts without dilations."""
    a = node.attributes
    if (divisor := a.get("divisor_override")) is not None:
        pool = _pool(w, node, w.shape(node.inputs[0]))
        return pool.whole(w.emit("Div", _sum(w, pool.gather(x[0], 0.0), [3]), w.number(float(divisor))))
    if not a["auto_pad"].startswith("SAME") or max(a["dilations"] or (1,)) == 1:
        return None
    given = tuple(a.get(each.name, each.default) for each in node.operation.attributes)
    slid = pool_window(w.shape(node.inputs[0]), given)
    pads = {"auto_pad": "NOTSET", "pads": (*slid.before, *slid.after), "ceil_mode": 0}
    w.write_alike(replace(node, attributes={**a, **pads}), x)
    return node.name


# --- interpolation ----------------------------------------------------------------------------------------------------


def _along_axes(w: Writer, x: str, matrices: Sequence[tuple[int, NDArray[Any]]], rank: int) -> str:
    """Multiply by a matrix along each axis."""
    for axis, matrix in matrices:
        order = [axis, *(each for each in range(rank) if each != axis)]
        letters = "abcdefghijklmnopqrstuvwxy"[:rank]
        result = letters.replace(letters[axis], "z")
        equation = f"z{letters[order[0]]},{letters}->{result}"
        x = w.emit("Einsum", w.number(matrix), x, equation=equation)
    return x


def _interpolation(node: Node, shape: Shape) -> list[tuple[int, NDArray[Any]]]:
    given = Interpolation(*(node.attributes.get(each.name, each.default) for each in node.operation.attributes))
    extrapolates = node.operation.name == "Resize" and given.extrapolation_value != 0.0
    if given.coordinates == "tf_crop_and_resize" and extrapolates:
        raise Unwritten("with an extrapolation value ONNX Runtime does not compute what it says")
    return [(along.axis, interpolation_weights(along, given).toarray()) for along in resized_axes(shape, given)]


@_decomposes("Resize")
def _resize(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX Runtime lacks some ways: of these a matrix along each axis."""
    a = node.attributes
    rare = a["antialias"] or a["exclude_outside"] or a["keep_aspect_ratio_policy"] != "stretch"
    rare = rare or (a["mode"] != "nearest" and len(w.shape(node.inputs[0])) != 4)
    if not rare and a["coordinate_transformation_mode"] != "tf_crop_and_resize":
        return None
    shape = w.shape(node.inputs[0])
    return _along_axes(w, x[0], _interpolation(node, shape), len(shape))


@_decomposes("ResizeAdjoint")
def _resize_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape = w.shape(node.inputs[1])
    matrices = [(axis, matrix.T) for axis, matrix in _interpolation(node, shape)]
    return _along_axes(w, x[0], matrices[::-1], len(shape))


# --- convolutions: between x, whose elements lie under windows, and y, which has one element at each step ------------


def _convolution(w: Writer, node: Node, x: Shape, kernel: Shape) -> _Windows:
    a = node.attributes
    return _Windows(w, x, window(x[2:], kernel[2:], a["strides"], a["dilations"], a["pads"], a["auto_pad"]))


def _transposed(w: Writer, node: Node, y: Shape, kernel: Shape) -> _Windows:
    slid, lengths = transposed_window(y, kernel, tuple(node.attributes.values()))
    return _Windows(w, (y[0], kernel[1] * node.attributes["group"], *lengths), slid)


class _Products:
    """The three products of x, y and kernel, each in the form of one of them."""

    def __init__(self, windows: _Windows, kernel: Shape, groups: int) -> None:
        self.windows, self.kernel, self.groups = windows, kernel, groups
        self.steps, self.positions = windows.positions.shape

    def _x(self, x: str) -> str:
        shape = [self.windows.shape[0], self.groups, self.kernel[1], self.steps, self.positions]
        return _reshape(self.windows.w, self.windows.gather(x, 0.0), shape)

    def _y(self, y: str) -> str:
        shape = [self.windows.shape[0], self.groups, self.kernel[0] // self.groups, self.steps]
        return _reshape(self.windows.w, y, shape)

    def _kernel(self, kernel: str) -> str:
        shape = [self.groups, self.kernel[0] // self.groups, self.kernel[1], self.positions]
        return _reshape(self.windows.w, kernel, shape)

    def to_x(self, y: str, kernel: str) -> str:
        made = self.windows.w.emit("Einsum", self._y(y), self._kernel(kernel), equation="ngms,gmcp->ngcsp")
        return self.windows.scatter(made)

    def to_y(self, x: str, kernel: str) -> str:
        made = self.windows.w.emit("Einsum", self._x(x), self._kernel(kernel), equation="ngcsp,gmcp->ngms")
        shape = [self.windows.shape[0], self.kernel[0], *self.windows.steps]
        return _reshape(self.windows.w, made, shape)

    def to_kernel(self, x: str, y: str) -> str:
        made = self.windows.w.emit("Einsum", self._x(x), self._y(y), equation="ngcsp,ngms->gmcp")
        return _reshape(self.windows.w, made, self.kernel)


@_decomposes("ConvTranspose")
def _transposed_to_shape(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX Runtime refuses some shapes that the value is to have."""
    a = node.attributes
    padded = max(a["output_padding"] or (0,)) >= min(a["strides"] or (1,)) and any(a["output_padding"] or ())
    if a["output_shape"] is None and not padded:
        return None
    shape, kernel = (w.shape(name) for name in node.inputs[:2])
    made = _Products(_transposed(w, node, shape, kernel), kernel, node.attributes["group"]).to_x(x[0], x[1])
    if len(x) < 3:
        return made
    return w.emit("Add", made, _reshape(w, x[2], [-1, *[1] * (len(shape) - 2)]))


@_decomposes("Conv")
def _conv_as_it_is(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """Padding that is the SAME, ONNX Runtime does not take beside dilations."""
    a = node.attributes
    if not a["auto_pad"].startswith("SAME") or max(a["dilations"] or (1,)) == 1:
        return None
    shape, kernel = (w.shape(name) for name in node.inputs[:2])
    slid = window(shape[2:], kernel[2:], a["strides"], a["dilations"], a["pads"], a["auto_pad"])
    w.write_alike(replace(node, attributes={**a, "auto_pad": "NOTSET", "pads": (*slid.before, *slid.after)}), x)
    return node.name


@_decomposes("ConvInputAdjoint")
def _conv_input_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    _, kernel, shape = (w.shape(name) for name in node.inputs)
    return _Products(_convolution(w, node, shape, kernel), kernel, node.attributes["group"]).to_x(x[0], x[1])


@_decomposes("ConvKernelAdjoint")
def _conv_kernel_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape, _, kernel = (w.shape(name) for name in node.inputs)
    return _Products(_convolution(w, node, shape, kernel), kernel, node.attributes["group"]).to_kernel(x[0], x[1])


@_decomposes("ConvTransposeInputAdjoint")
def _transposed_input_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    _, kernel, shape = (w.shape(name) for name in node.inputs)
    return _Products(_transposed(w, node, shape, kernel), kernel, node.attributes["group"]).to_y(x[0], x[1])


@_decomposes("ConvTransposeKernelAdjoint")
def _transposed_kernel_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    shape, _, kernel = (w.shape(name) for name in node.inputs)
    return _Products(_transposed(w, node, shape, kernel), kernel, node.attributes["group"]).to_kernel(x[1], x[0])
