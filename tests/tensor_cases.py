"""Hypothesis strategies for operands and attributes of the reductions and the operations on shapes."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray, Shape
from service.core.graph.documents import read_attributes
from tests.tensors import Drawn, arrays, draws, lengths, operation_of, shapes


@st.composite
def broadcasting(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """A shape, and one that broadcasts to it."""
    whole = draw(shapes())
    kept = whole[draw(st.integers(0, len(whole))) :]
    return whole, tuple(draw(st.sampled_from([length, 1])) for length in kept)


def axes_of(count: int, least: int = 0) -> st.SearchStrategy[list[int]]:
    """Distinct axes among `count`, some counted from the end."""
    positions = (
        st.lists(st.integers(0, count - 1), min_size=least, max_size=count, unique=True) if count else st.just([])
    )
    return positions.flatmap(
        lambda chosen: st.tuples(*[st.sampled_from([position, position - count]) for position in chosen])
    ).map(list)


@draws("SumTo")
def _sum_to(draw: st.DrawFn) -> Drawn:
    return draw(broadcasting()), {}


@draws("ExpandTo")
def _expand_to(draw: st.DrawFn) -> Drawn:
    return draw(broadcasting())[::-1], {}


@draws("ReshapeTo")
def _reshape_to(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    return (shape, draw(st.permutations(shape).map(tuple))), {}


@draws(*[f"Reduce{kind}" for kind in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp")])
def reduction(draw: st.DrawFn) -> Drawn:
    """A reduction along any axes."""
    shape = draw(shapes())
    given: dict[str, Any] = {}
    if draw(st.booleans()):
        given["axes"] = draw(axes_of(len(shape)))
    for name in ("keepdims", "noop_with_empty_axes"):
        if draw(st.booleans()):
            given[name] = draw(st.integers(0, 1))
    return [shape], given


@draws("ReduceLogSum")
def _log_sum(draw: st.DrawFn) -> Drawn:
    (shape,), given = reduction(draw)
    return [np.asarray(np.abs(draw(arrays(tuple(length or 1 for length in shape)))))], given  # of nothing it is −∞


@draws("ReduceVar", "ReduceStd")
def _variance(draw: st.DrawFn) -> Drawn:
    (shape,), given = reduction(draw)
    return [tuple(length + 2 for length in shape)], given | {"ddof": draw(st.integers(0, 1))}


@draws("Transpose")
def _transpose(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    return [shape], draw(st.sampled_from([{}, {"perm": draw(st.permutations(range(len(shape))))}]))


@draws("Unsqueeze")
def _unsqueeze(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    added = draw(st.integers(1, 2))
    axes = draw(axes_of(len(shape) + added, least=added))[:added]
    return [shape], {"axes": axes}


@draws("Size", "StopGradient")
def _any_shape(draw: st.DrawFn) -> Drawn:
    return [draw(shapes())], {}


@draws("Cast")
def _cast(draw: st.DrawFn) -> Drawn:
    """Differences find the slope 1 of no other precision: its value moves in steps."""
    return [draw(shapes())], {"to": "float64"}


@draws("Reshape")
def _reshape(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    wanted: list[int] = list(draw(st.permutations(shape)))
    if 0 in wanted:
        return [shape], {"shape": wanted, "allowzero": 1}
    if wanted and draw(st.booleans()):
        wanted[draw(st.integers(0, len(wanted) - 1))] = -1
    for position, length in enumerate(wanted):
        if length == shape[position] and draw(st.booleans()):
            wanted[position] = 0
    return [shape], {"shape": wanted}


@draws("Flatten")
def _flatten(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    return [shape], {"axis": draw(st.integers(-len(shape), len(shape)))}


@draws("Squeeze")
def _squeeze(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes())
    ones = [position for position, length in enumerate(shape) if length == 1]
    return [shape], draw(
        st.sampled_from([{}, {"axes": [position - len(shape) for position in ones[:1]]}, {"axes": ones}])
    )


@draws("Expand")
def _expand(draw: st.DrawFn) -> Drawn:
    whole, given = draw(broadcasting())
    padded = (*[0] * (len(whole) - len(given)), *given)
    wanted = [1 if one == other and draw(st.booleans()) else one for one, other in zip(whole, padded, strict=True)]
    return [given], {"shape": wanted}


@draws("CumSum", "CumProd")
def _scan(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return [shape], {"axis": axis, "exclusive": draw(st.integers(0, 1)), "reverse": draw(st.integers(0, 1))}


@draws("LinearRecurrence")
def _recurrence(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return [shape, shape], {"axis": axis, "reverse": draw(st.integers(0, 1))}


def slicing(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """A shape, and a slice of it that may reach beyond its ends."""
    shape = draw(shapes())
    axes = draw(axes_of(len(shape)))
    given: dict[str, Any] = {name: [draw(st.integers(-6, 6)) for _ in axes] for name in ("starts", "ends")}
    if axes != list(range(len(axes))) or draw(st.booleans()):
        given["axes"] = axes
    if draw(st.booleans()):
        given["steps"] = [draw(st.sampled_from([1, -1, 2, -2, 3])) for _ in axes]
    return shape, given


def parting(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """A shape, and one of the parts into which it is split."""
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    count = draw(st.integers(1, 3))
    given: dict[str, Any] = {"axis": axis, "output": draw(st.integers(0, count - 1))}
    if draw(st.booleans()):
        cuts = [0, *sorted(draw(st.integers(0, shape[axis])) for _ in range(count - 1)), shape[axis]]
        return shape, given | {"split": [end - start for start, end in pairwise(cuts)]}
    return shape, given | {"num_outputs": count}


def padding(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """A shape, and pads that add to it or remove from it."""
    mode = draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    shape = draw(shapes(shortest=0 if mode == "constant" else 1))
    axes = draw(axes_of(len(shape)))
    pads = [draw(st.integers(0, 3)) for _ in (*axes, *axes)]
    if axes and shape[axes[0]] and draw(st.booleans()):
        pads[0] = -1
    return shape, {"mode": mode, "pads": pads, "axes": axes}


def adjoint(name: str, shape: Shape, given: dict[str, Any]) -> Drawn:
    """The operands of an adjoint: an upstream gradient of the operation's shape, and the operand's shape."""
    return [operation_of(name).infer_shape([shape], read_attributes(operation_of(name), given)[0]), shape], given


@draws("Slice")
def _slice(draw: st.DrawFn) -> Drawn:
    shape, given = slicing(draw)
    return [shape], given


@draws("SliceAdjoint")
def _slice_adjoint(draw: st.DrawFn) -> Drawn:
    return adjoint("Slice", *slicing(draw))


@draws("Split")
def _split(draw: st.DrawFn) -> Drawn:
    shape, given = parting(draw)
    return [shape], given


@draws("SplitAdjoint")
def _split_adjoint(draw: st.DrawFn) -> Drawn:
    return adjoint("Split", *parting(draw))


@draws("Pad")
def _pad(draw: st.DrawFn) -> Drawn:
    shape, given = padding(draw)
    return [shape], given | {"constant_value": draw(st.sampled_from([0.0, -1.5]))}


@draws("PadAdjoint")
def _pad_adjoint(draw: st.DrawFn) -> Drawn:
    return adjoint("Pad", *padding(draw))


def joining(draw: st.DrawFn) -> tuple[list[Shape], int]:
    """Shapes that differ along one axis, and that axis."""
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    position = axis % len(shape)
    parts = [(*shape[:position], draw(lengths()), *shape[position + 1 :]) for _ in range(draw(st.integers(1, 3)))]
    return parts, axis


@draws("Concat")
def _concat(draw: st.DrawFn) -> Drawn:
    parts, axis = joining(draw)
    return parts, {"axis": axis}


@draws("ConcatAdjoint")
def _concat_adjoint(draw: st.DrawFn) -> Drawn:
    parts, axis = joining(draw)
    whole = list(parts[0])
    whole[axis] = sum(part[axis] for part in parts)
    return [tuple(whole), *parts], {"axis": axis, "operand": draw(st.integers(0, len(parts) - 1))}


def gathering(draw: st.DrawFn) -> tuple[Shape, FloatArray, int]:
    """A shape, indices along one of its axes, some of them counted from the end, and that axis."""
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    length = shape[axis]
    several = draw(shapes(most=2)) if length else (0, draw(lengths()))
    count = math.prod(several)
    row = draw(st.lists(st.integers(-length, length - 1), min_size=count, max_size=count)) if count else []
    return shape, np.reshape(np.array(row, dtype=np.float64), several), axis


@draws("Gather")
def _gather(draw: st.DrawFn) -> Drawn:
    shape, indices, axis = gathering(draw)
    return [shape, indices], {"axis": axis}


@draws("GatherAdjoint")
def _gather_adjoint(draw: st.DrawFn) -> Drawn:
    shape, indices, axis = gathering(draw)
    position = axis % len(shape)
    return [(*shape[:position], *indices.shape, *shape[position + 1 :]), shape, indices], {"axis": axis}
