"""Hypothesis strategies for operands of the operations that take, write, order and rearrange elements."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray, Shape
from tests.tensor_cases import adjoint
from tests.tensors import Drawn, draws, lengths, shapes

REDUCTIONS = ("none", "add", "mul", "max", "min")


def element_indices(draw: st.DrawFn) -> tuple[Shape, FloatArray, int, bool]:
    """A shape, indices of elements along one of its axes, that axis, and whether any two are alike."""
    shape = draw(shapes(least=1, shortest=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    at = axis % len(shape)
    several = tuple(draw(lengths(0, length)) for length in shape)
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    if draw(st.booleans()):
        order = np.argsort(generator.random(shape), at)
        indices = order[tuple(slice(length) for length in several)]
        return shape, indices - shape[at] * generator.integers(0, 2, several), axis, False
    several = (*several[:at], draw(lengths()), *several[at + 1 :])
    return shape, generator.integers(-shape[at], shape[at], several), axis, True


@draws("GatherElements")
def _gather_elements(draw: st.DrawFn) -> Drawn:
    shape, indices, axis, _ = element_indices(draw)
    return [shape, indices.astype(float)], {"axis": axis}


@draws("ScatterElements")
def _scatter_elements(draw: st.DrawFn) -> Drawn:
    shape, indices, axis, repeated = element_indices(draw)
    reduction = draw(st.sampled_from(REDUCTIONS[repeated:]))
    x, updates = _distinct(draw, shape), _distinct(draw, indices.shape) + 0.01
    return [x, indices.astype(float), updates], {"axis": axis, "reduction": reduction}


def _distinct(draw: st.DrawFn, shape: Shape) -> FloatArray:
    """Numbers of which no two are alike, so that no two tie."""
    generator, size = np.random.default_rng(draw(st.integers(0, 2**16))), math.prod(shape)
    return np.asarray(np.reshape(generator.permutation(np.linspace(-1.7, 1.9, size)), shape))


def part_indices(draw: st.DrawFn) -> tuple[Shape, FloatArray, int, bool]:
    """A shape, rows of indices that name parts of it, the number of batch axes, and whether any two are alike."""
    shape = draw(shapes(least=1, shortest=1))
    batch_dims = draw(st.integers(0, len(shape) - 1))
    named = draw(st.integers(1, len(shape) - batch_dims))
    within = shape[batch_dims : batch_dims + named]
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    repeated = draw(st.booleans())
    count = draw(lengths()) if repeated else draw(lengths(0, math.prod(within)))
    rows = np.empty((*shape[:batch_dims], count, named))
    for place in np.ndindex(*shape[:batch_dims]):
        chosen = generator.choice(math.prod(within), count, replace=repeated)
        rows[place] = np.stack(np.unravel_index(chosen, within), -1).reshape(count, named)
    return shape, rows - np.array(within) * generator.integers(0, 2, rows.shape), batch_dims, repeated


@draws("GatherND")
def _gather_nd(draw: st.DrawFn) -> Drawn:
    shape, indices, batch_dims, _ = part_indices(draw)
    return [shape, indices], {"batch_dims": batch_dims}


@draws("ScatterND")
def _scatter_nd(draw: st.DrawFn) -> Drawn:
    shape, indices, batch_dims, repeated = part_indices(draw)
    reduction = draw(st.sampled_from(REDUCTIONS[repeated:]))
    part = (*indices.shape[:-1], *shape[batch_dims + indices.shape[-1] :])
    x, updates = _distinct(draw, shape), _distinct(draw, part) + 0.01
    return [x, indices, updates], {"batch_dims": batch_dims, "reduction": reduction}


def along(draw: st.DrawFn, shortest: int = 0) -> tuple[Shape, dict[str, Any]]:
    """A shape and one of its axes."""
    shape = draw(shapes(least=1, shortest=shortest))
    return shape, {"axis": draw(st.integers(-len(shape), len(shape) - 1))}


@draws("Sort")
def _sort(draw: st.DrawFn) -> Drawn:
    shape, given = along(draw)
    return [shape], given | {"descending": draw(st.integers(0, 1)), "output": draw(st.integers(0, 1))}


@draws("TopK")
def _top_k(draw: st.DrawFn) -> Drawn:
    shape, given = along(draw)
    flags = {name: draw(st.integers(0, 1)) for name in ("largest", "sorted", "output")}
    return [shape], given | {"k": draw(st.integers(0, shape[given["axis"]]))} | flags


@draws("SumOfTies")
def _sum_of_ties(draw: st.DrawFn) -> Drawn:
    shape, given = along(draw)
    return [shape, np.random.default_rng(draw(st.integers(0, 2**16))).integers(0, 3, shape).astype(float)], given


@draws("ArgMax", "ArgMin")
def _index(draw: st.DrawFn) -> Drawn:
    shape, given = along(draw, shortest=1)
    return [shape], given | {name: draw(st.integers(0, 1)) for name in ("keepdims", "select_last_index")}


@draws("Trilu")
def _trilu(draw: st.DrawFn) -> Drawn:
    return [draw(shapes(least=2))], {"k": draw(st.integers(-3, 3)), "upper": draw(st.integers(0, 1))}


def tiling(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """A shape, and how often it is repeated along each axis."""
    shape = draw(shapes())
    return shape, {"repeats": [draw(st.integers(0, 3)) for _ in shape]}


@draws("Tile")
def _tile(draw: st.DrawFn) -> Drawn:
    shape, given = tiling(draw)
    return [shape], given


@draws("TileAdjoint")
def _tile_adjoint(draw: st.DrawFn) -> Drawn:
    return adjoint("Tile", *tiling(draw))


@draws("DepthToSpace", "SpaceToDepth")
def _blocks(draw: st.DrawFn) -> Drawn:
    size = draw(st.integers(1, 2))
    batch, channels, rows, columns = (draw(lengths(most=2)) for _ in range(4))
    shape = (batch, channels * size**2, rows * size, columns * size)
    return [shape], {"blocksize": size, "mode": draw(st.sampled_from(["DCR", "CRD"]))}
