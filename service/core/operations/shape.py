"""Operations that arrange elements otherwise."""

from collections.abc import Sequence

import numpy as np

from service.core.attribute import Attribute, integers
from service.core.operation import Attributes, Shape, define
from service.core.operations.axes import places_of_axes
from service.core.operations.like import reshape_to


def _inverse(permutation: tuple[int, ...] | None) -> tuple[int, ...] | None:
    return permutation and tuple(int(place) for place in np.argsort(permutation))


def _transposed_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    permutation = attributes["perm"]
    if permutation is None:
        return shape[::-1]
    if sorted(permutation) != list(range(len(shape))):
        raise ValueError(f"{list(permutation)} is no order of {len(shape)} axes")
    return tuple(shape[place] for place in permutation)


define(
    "Transpose",
    "x",
    attributes=[Attribute("perm", integers)],
    forward=np.transpose,
    contributions=lambda upstream, x, z, perm: (np.transpose(upstream, _inverse(perm)),),
    infer_shape=_transposed_shape,
    symbolic={np.transpose: lambda x, axes=None: ((x,), {"perm": axes})},
    linear=True,
)


def _unsqueezed_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), axes = shapes, attributes["axes"]
    added = places_of_axes(axes, len(shape) + len(axes))
    lengths = iter(shape)
    return tuple(1 if place in added else next(lengths) for place in range(len(shape) + len(axes)))


define(
    "Unsqueeze",
    "x",
    attributes=[Attribute("axes", integers, required=True)],
    forward=np.expand_dims,
    contributions=lambda upstream, x, z, axes: (reshape_to(upstream, x),),
    infer_shape=_unsqueezed_shape,
    symbolic={np.expand_dims: lambda x, axis: ((x,), {"axes": axis})},
    linear=True,
)
