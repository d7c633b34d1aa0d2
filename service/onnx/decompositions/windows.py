"""Windows that slide over the axes after samples and channels, and pooling."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from service.core.figures.figures import Shape
from service.core.graph.graph import Node
from service.core.rulebook.operations.pooling import pool_window
from service.core.rulebook.operations.window import Window
from service.core.rulebook.registry import operation_of
from service.onnx.decompositions.shared import decomposes, expand, reshape, scatter_rows, sum_along, unsqueeze
from service.onnx.writing import Writer


class Windows:
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
        row = reshape(self.w, x, [*self.shape[:2], prod(self.shape[2:])])
        parts = self.w.emit("Gather", row, self.w.constant(np.maximum(self.positions, 0)), axis=2)
        return (
            parts
            if self.inside.all()
            else self.w.emit("Where", self.w.constant(self.inside, bool), parts, self.w.number(filling))
        )

    def scatter(self, parts: str) -> str:
        """The sums of what lies under all windows, of that form, on each element of x."""
        flat = reshape(self.w, parts, [*self.shape[:2], self.positions.size])
        rows = self.w.emit("Transpose", flat, perm=[2, 0, 1])
        known = self.inside.ravel()
        if not known.all():
            rows = self.w.emit("Gather", rows, self.w.constant(np.flatnonzero(known)), axis=0)
        size = prod(self.shape[2:])
        whole = scatter_rows(self.w, rows, self.positions.ravel()[known], [size, *self.shape[:2]])
        return reshape(self.w, self.w.emit("Transpose", whole, perm=[1, 2, 0]), self.shape)

    def row(self, x: str) -> str:
        """What there is one of at each step, its axes of steps in one."""
        return reshape(self.w, x, [*self.shape[:2], prod(self.steps)])

    def whole(self, row: str) -> str:
        """The opposite of `row`."""
        return reshape(self.w, row, [*self.shape[:2], *self.steps])


def _pool(w: Writer, node: Node, shape: Shape) -> Windows:
    given = tuple(node.attributes.get(each.name, each.default) for each in node.operation.attributes)
    return Windows(w, shape, pool_window(shape, given))


def _maxima(pool: Windows, x: str, z: str | None = None) -> str:
    """1 at the maximum of each window and at its ties."""
    w, parts = pool.w, pool.gather(x, -np.inf)
    greatest = w.emit("ReduceMax", parts, w.constant([3]), keepdims=1) if z is None else unsqueeze(w, pool.row(z), 3)
    equal = w.emit("Equal", parts, greatest)
    if not pool.inside.all():
        equal = w.emit("And", equal, w.constant(pool.inside, bool))
    return w.cast(equal, w.kind)


@decomposes("MaxPoolTies")
def _max_pool_ties(w: Writer, node: Node, x: Sequence[str]) -> str:
    pool = _pool(w, node, w.shape(node.inputs[0]))
    return pool.whole(sum_along(w, _maxima(pool, x[0], x[1]), [3]))


@decomposes("MaxPoolAdjoint")
def _max_pool_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    pool = _pool(w, node, w.shape(node.inputs[1]))
    chosen = _maxima(pool, x[1])
    shared = w.emit("Div", unsqueeze(w, pool.row(x[0]), 3), sum_along(w, chosen, [3], 1))
    return pool.scatter(w.emit("Mul", chosen, shared))


@decomposes("MaxPoolTangent")
def _max_pool_tangent(w: Writer, node: Node, x: Sequence[str]) -> str:
    pool = _pool(w, node, w.shape(node.inputs[1]))
    chosen = _maxima(pool, x[1])
    moved = sum_along(w, w.emit("Mul", chosen, pool.gather(x[0], 0.0)), [3])
    return pool.whole(w.emit("Div", moved, sum_along(w, chosen, [3])))


@decomposes("AveragePoolAdjoint")
def _average_pool_adjoint(w: Writer, node: Node, x: Sequence[str]) -> str:
    """The divisors are what the mean of ones in one place makes of them: ours, applied to ones."""
    shape = w.shape(node.inputs[1])
    pool = _pool(w, node, shape)
    given = {each.name: node.attributes.get(each.name, each.default) for each in operation_of("AveragePool").attributes}
    means = operation_of("AveragePool").evaluate([np.ones((1, 1, *shape[2:]))], given).reshape(-1)
    counts = pool.inside.sum(axis=1)
    factors = np.where(counts > 0, means / np.maximum(counts, 1), 0.0)
    shared = w.emit("Mul", pool.row(x[0]), w.number(factors))
    return pool.scatter(expand(w, unsqueeze(w, shared, 3), [*shape[:2], *pool.positions.shape]))


@decomposes("AveragePool", "MaxPool", "LpPool")
def _pool_as_it_is(w: Writer, node: Node, x: Sequence[str]) -> str | None:
    """ONNX has no divisor of one's own; and padding that is the SAME, ONNX Runtime counts without dilations."""
    a = node.attributes
    if (divisor := a.get("divisor_override")) is not None:
        pool = _pool(w, node, w.shape(node.inputs[0]))
        return pool.whole(w.emit("Div", sum_along(w, pool.gather(x[0], 0.0), [3]), w.number(float(divisor))))
    if not a["auto_pad"].startswith("SAME") or max(a["dilations"] or (1,)) == 1:
        return None
    given = tuple(a.get(each.name, each.default) for each in node.operation.attributes)
    slid = pool_window(w.shape(node.inputs[0]), given)
    pads = {"auto_pad": "NOTSET", "pads": (*slid.before, *slid.after), "ceil_mode": 0}
    w.write_alike(replace(node, attributes={**a, **pads}), x)
    return node.name
