"""Operations that repeat or rearrange a tensor's elements in blocks, or keep a triangle of them."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, flag, integer, integers, positive
from service.core.rulebook.operation import EXACT, Attributes, Closed
from service.core.rulebook.registry import Wording, define, rulebook_function

# --- a triangle ------------------------------------------------------------------------------------------------------


@rulebook_function
def trilu(x: Any, k: int, upper: int) -> Any:
    """Keep what is on and above diagonal k of each matrix, or on and below it; the rest is 0."""
    return np.triu(x, k) if upper else np.tril(x, k)


def _matrix_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    if len(shapes[0]) < 2:
        raise ValueError("a matrix, or a stack of them, is expected")
    return shapes[0]


define(
    "Trilu",
    "x",
    attributes=[Attribute("k", integer, 0), Attribute("upper", flag, 1)],
    forward=trilu,
    contributions=lambda upstream, x, z, k, upper: (trilu(upstream, k, upper),),
    infer_shape=_matrix_shape,
    closed=Closed(),
    linear=True,
    rounding=EXACT,
)

# --- copies side by side ---------------------------------------------------------------------------------------------


@rulebook_function
def tile(x: Any, repeats: Sequence[int]) -> Any:
    """Put so many copies of x side by side along each axis."""
    return np.tile(x, repeats)


@rulebook_function
def tile_adjoint(upstream: Any, like: Any, repeats: Sequence[int]) -> Any:
    """Add up the copies."""
    apart = np.reshape(upstream, tuple(chain.from_iterable(zip(repeats, np.shape(like), strict=True))))
    return np.sum(apart, axis=tuple(range(0, apart.ndim, 2)))


def _tile_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), repeats = shapes, attributes["repeats"]
    if len(repeats) != len(shape) or min(repeats, default=0) < 0:
        raise ValueError(f"repeats is {list(repeats)}; a number from 0 on is expected for each of {len(shape)} axes")
    return tuple(length * count for length, count in zip(shape, repeats, strict=True))


def _tile_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    upstream, like = shapes
    expected = _tile_shape([like], attributes)
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the copies have {list(expected)}")
    return like


define(
    "Tile",
    "x",
    attributes=[Attribute("repeats", integers, required=True)],
    forward=tile,
    contributions=lambda upstream, x, z, repeats: (tile_adjoint(upstream, x, repeats),),
    infer_shape=_tile_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(rule="sum"),
)

define(
    "TileAdjoint",
    "upstream like",
    attributes=[Attribute("repeats", integers, required=True)],
    forward=tile_adjoint,
    contributions=lambda flow, upstream, like, z, repeats: (tile(flow, repeats), None),
    infer_shape=_tile_adjoint_shape,
    linear=True,
    wording=Wording(aliases=["tile_adjoint"], rule="sum"),
)

# --- blocks of pixels as channels -----------------------------------------------------------------------------------


# The axes batch, channel, block row, block column, row, column as ONNX's modes arrange the channels of a block: each
# channel blocksize² times, far apart (DCR) or side by side (CRD).
_CHANNELS_AT = {"DCR": 3, "CRD": 1}


@rulebook_function
def depth_to_space(x: Any, blocksize: int, mode: str) -> Any:
    """Put the channels of each pixel side by side as a square of pixels."""
    batch, depth, height, width = np.shape(x)
    channels, at = depth // blocksize**2, _CHANNELS_AT[mode]
    blocks = np.reshape(x, (batch, *_with(channels, at, blocksize), height, width))
    apart = np.moveaxis(blocks, at, 1)  # batch, channel, block row, block column, row, column
    return np.reshape(np.transpose(apart, (0, 1, 4, 2, 5, 3)), (batch, channels, height * blocksize, width * blocksize))


@rulebook_function
def space_to_depth(x: Any, blocksize: int, mode: str) -> Any:
    """Put the pixels of each square side by side as channels of one pixel."""
    batch, channels, height, width = np.shape(x)
    rows, columns = height // blocksize, width // blocksize
    blocks = np.reshape(x, (batch, channels, rows, blocksize, columns, blocksize))
    together = np.moveaxis(np.transpose(blocks, (0, 1, 3, 5, 2, 4)), 1, _CHANNELS_AT[mode])
    return np.reshape(together, (batch, channels * blocksize**2, rows, columns))


def _with(channels: int, at: int, blocksize: int) -> Sequence[int]:
    """Return the lengths of the axes into which the channels are split."""
    return (channels, blocksize, blocksize) if at == 1 else (blocksize, blocksize, channels)


def _image(shapes: Sequence[Shape]) -> Shape:
    if len(shapes[0]) != 4:
        raise ValueError("axes for samples, channels, rows and columns are expected")
    return shapes[0]


def _space_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (batch, depth, height, width), size = _image(shapes), attributes["blocksize"]
    if depth % size**2:
        raise ValueError(f"{depth} channels cannot be spread over squares of {size} × {size} pixels")
    return batch, depth // size**2, height * size, width * size


def _depth_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (batch, channels, height, width), size = _image(shapes), attributes["blocksize"]
    if height % size or width % size:
        raise ValueError(f"{height} × {width} pixels cannot be parted into squares of {size} × {size}")
    return batch, channels * size**2, height // size, width // size


define(
    "DepthToSpace",
    "x",
    attributes=[
        Attribute("blocksize", positive, required=True),
        Attribute("mode", OneOf(tuple(_CHANNELS_AT)), "DCR"),
    ],
    forward=depth_to_space,
    contributions=lambda upstream, x, z, *attributes: (space_to_depth(upstream, *attributes),),
    infer_shape=_space_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(aliases=["depth_to_space"]),
)

define(
    "SpaceToDepth",
    "x",
    attributes=[
        Attribute("blocksize", positive, required=True),
        # ONNX's has no mode; the gradient of its DepthToSpace needs one.
        Attribute("mode", OneOf(tuple(_CHANNELS_AT)), "DCR"),
    ],
    forward=space_to_depth,
    contributions=lambda upstream, x, z, *attributes: (depth_to_space(upstream, *attributes),),
    infer_shape=_depth_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(aliases=["space_to_depth"]),
)
