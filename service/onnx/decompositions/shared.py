"""The table of decompositions, and what they share."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import Shape
from service.core.graph.graph import Node
from service.core.rulebook.registry import operation_of
from service.onnx.writing import Writer

Rule: TypeAlias = Callable[[Writer, Node, Sequence[str]], str | None]
DECOMPOSED: dict[str, Rule] = {}


def decomposes(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for these operations."""

    def enter(rule: Rule) -> Rule:
        DECOMPOSED.update(dict.fromkeys(names, rule))
        return rule

    return enter


def reshape(w: Writer, x: str, shape: Sequence[int]) -> str:
    return w.emit("Reshape", x, w.constant(list(shape)), allowzero=1)


def transpose(w: Writer, x: str, order: Sequence[int]) -> str:
    return x if list(order) == list(range(len(order))) else w.emit("Transpose", x, perm=list(order))


def sum_along(w: Writer, x: str, axes: Sequence[int], keepdims: int = 0) -> str:
    return w.emit("ReduceSum", x, w.constant(list(axes)), keepdims=keepdims) if axes else x


def sum_to(w: Writer, x: str, given: Shape, wanted: Shape) -> str:
    added = len(given) - len(wanted)
    axes = [*range(added), *(i + added for i, n in enumerate(wanted) if n == 1 != given[i + added])]
    return reshape(w, sum_along(w, x, axes, 1), wanted) if axes else x


def expand(w: Writer, x: str, shape: Sequence[int]) -> str:
    return w.emit("Expand", x, w.constant(list(shape)))


def unsqueeze(w: Writer, x: str, *axes: int) -> str:
    return w.emit("Unsqueeze", x, w.constant(list(axes)))


def zeros(w: Writer, shape: Sequence[int]) -> str:
    return expand(w, w.number(np.zeros([1] * len(shape))), shape)


def scatter_rows(w: Writer, x: str, positions: NDArray[Any] | str, shape: Sequence[int]) -> str:
    """The sums of the rows of x that go to each row of zeros of a shape."""
    index = positions if isinstance(positions, str) else w.constant(positions.reshape(-1, 1))
    return w.emit("ScatterND", zeros(w, shape), index, x, reduction="add")


def put_back(w: Writer, x: str, positions: NDArray[Any], shape: Shape) -> str:
    """The sums of the elements of x at the flat position that each came from, −1 for none, in a shape."""
    positions = positions.ravel()
    row, known = reshape(w, x, [positions.size]), positions >= 0
    if not known.all():
        row = w.emit("Gather", row, w.constant(np.flatnonzero(known)), axis=0)
    return reshape(w, scatter_rows(w, row, positions[known], [prod(shape)]), shape)


def where_from(name: str, node: Node, shape: Shape) -> NDArray[Any]:
    """For each element of an operation that moves elements the flat position that it comes from, −1 for none."""
    positions = np.arange(1.0, prod(shape) + 1.0).reshape(shape)
    operation = operation_of(name)
    given = {each.name: node.attributes.get(each.name, each.default) for each in operation.attributes}
    moved = operation.evaluate([positions], given)
    return np.asarray(np.rint(moved), dtype=np.int64) - 1


def swapped(w: Writer, x: str, rank: int) -> str:
    return transpose(w, x, [*range(rank - 2), rank - 1, rank - 2])
