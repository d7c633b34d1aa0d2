"""Operations that change a tensor's shape, or the order of its axes."""

from collections.abc import Sequence
from math import prod

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, integer, integers
from service.core.rulebook.notation import ATOM, POWER, Notation, row
from service.core.rulebook.operation import EXACT, Attributes
from service.core.rulebook.operations.axes import axis_positions, out_of_range, read_axes
from service.core.rulebook.operations.broadcasting import reshape_to, sum_to
from service.core.rulebook.registry import Wording, define

define(
    "Size",
    "x",
    forward=lambda x: np.float64(np.size(x)),
    contributions=lambda upstream, x, z: (None,),
    infer_shape=lambda shapes, attributes: (),
    rounding=EXACT,
    symbolic={np.size: lambda x: ((x,), {})},
)


def _inverse_permutation(permutation: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return permutation and tuple(int(position) for position in np.argsort(permutation))


def _transpose_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    permutation = attributes["perm"]
    if permutation is None:
        return shape[::-1]
    if sorted(permutation) != list(range(len(shape))):
        raise ValueError(f"perm {list(permutation)} is not a permutation of {len(shape)} axes")
    return tuple(shape[position] for position in permutation)


define(
    "Transpose",
    "x",
    attributes=[Attribute("perm", integers)],
    forward=np.transpose,
    contributions=lambda upstream, x, z, perm: (np.transpose(upstream, _inverse_permutation(perm)),),
    infer_shape=_transpose_shape,
    linear=True,
    rounding=EXACT,
    symbolic={np.transpose: lambda x, axes=None: ((x,), {"perm": axes})},
    wording=Wording(
        notation=Notation("%(0)s.T", r"%(0)s^{\top}", POWER, (ATOM,), (ATOM,), row("<msup>%(0)s<mo>⊤</mo></msup>"))
    ),
)


def _reshape_shape(shape: Shape, wanted: Sequence[int], allowzero: int) -> Shape:
    """Resolve the wanted shape: 0 keeps an axis's length, unless `allowzero`; -1 takes what is left."""
    if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        raise ValueError(f"invalid shape {list(wanted)}: lengths are 0 or more, and one may be -1")
    if not allowzero and 0 in wanted[len(shape) :]:
        raise ValueError(
            f"invalid shape {list(wanted)}: a 0 keeps the length of an axis, but there are only {len(shape)} axes"
        )
    lengths = [shape[position] if length == 0 and not allowzero else length for position, length in enumerate(wanted)]
    if -1 in lengths:
        known = prod(length for length in lengths if length != -1)
        if known == 0:
            raise ValueError(f"invalid shape {list(wanted)}: beside a length of 0 the -1 could be any number")
        lengths[lengths.index(-1)] = prod(shape) // known
    if prod(lengths) != prod(shape):
        raise ValueError(f"{prod(shape)} elements do not fill the shape {list(wanted)}")
    return tuple(lengths)


define(
    "Reshape",
    "x",
    attributes=[Attribute("shape", integers, required=True), Attribute("allowzero", flag, 0)],
    forward=lambda x, shape, allowzero: np.reshape(x, _reshape_shape(np.shape(x), shape, allowzero)),
    contributions=lambda upstream, x, z, shape, allowzero: (reshape_to(upstream, x),),
    infer_shape=lambda shapes, attributes: _reshape_shape(shapes[0], *attributes.values()),
    rounding=EXACT,
    symbolic={np.reshape: lambda x, shape: ((x,), {"shape": shape, "allowzero": 0 in shape})},
    linear=True,
)


def _flatten_shape(shape: Shape, axis: int) -> Shape:
    if not -len(shape) <= axis <= len(shape):
        raise ValueError(out_of_range(axis, len(shape)))
    position = axis + len(shape) if axis < 0 else axis
    return prod(shape[:position]), prod(shape[position:])


define(
    "Flatten",
    "x",
    attributes=[Attribute("axis", integer, 1)],
    forward=lambda x, axis: np.reshape(x, _flatten_shape(np.shape(x), axis)),
    contributions=lambda upstream, x, z, axis: (reshape_to(upstream, x),),
    infer_shape=lambda shapes, attributes: _flatten_shape(shapes[0], *attributes.values()),
    linear=True,
    rounding=EXACT,
)


def _squeeze_shape(shape: Shape, axes: tuple[int, ...] | None) -> Shape:
    if axes is None:
        return tuple(length for length in shape if length != 1)
    removed = axis_positions(axes, len(shape))
    for position in removed:
        if shape[position] != 1:
            raise ValueError(f"axis {position} has length {shape[position]}, not 1")
    return tuple(length for position, length in enumerate(shape) if position not in removed)


define(
    "Squeeze",
    "x",
    attributes=[Attribute("axes", read_axes)],
    forward=lambda x, axes: np.reshape(x, _squeeze_shape(np.shape(x), axes)),
    contributions=lambda upstream, x, z, axes: (reshape_to(upstream, x),),
    infer_shape=lambda shapes, attributes: _squeeze_shape(shapes[0], *attributes.values()),
    rounding=EXACT,
    symbolic={np.squeeze: lambda x, axis=None: ((x,), {"axes": axis})},
    linear=True,
)


def _unsqueeze_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), axes = shapes, attributes["axes"]
    added = axis_positions(axes, len(shape) + len(axes))
    lengths = iter(shape)
    return tuple(1 if position in added else next(lengths) for position in range(len(shape) + len(axes)))


define(
    "Unsqueeze",
    "x",
    attributes=[Attribute("axes", integers, required=True)],
    forward=np.expand_dims,
    contributions=lambda upstream, x, z, axes: (reshape_to(upstream, x),),
    infer_shape=_unsqueeze_shape,
    rounding=EXACT,
    symbolic={np.expand_dims: lambda x, axis: ((x,), {"axes": axis})},
    linear=True,
)


def _expand_shape(shape: Shape, wanted: Sequence[int]) -> Shape:
    """Broadcast both ways: where the wanted length is 1 the axis keeps its own, as in ONNX."""
    if min(wanted, default=0) < 0:
        raise ValueError(f"invalid shape {list(wanted)}: lengths are 0 or more")
    return np.broadcast_shapes(shape, tuple(wanted))


define(
    "Expand",
    "x",
    attributes=[Attribute("shape", integers, required=True)],
    forward=lambda x, shape: np.broadcast_to(x, _expand_shape(np.shape(x), shape)),
    contributions=lambda upstream, x, z, shape: (sum_to(upstream, x),),
    infer_shape=lambda shapes, attributes: _expand_shape(shapes[0], *attributes.values()),
    linear=True,
    rounding=EXACT,
)
