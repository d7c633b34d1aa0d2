"""Operations that take a shape from another node, for rules written before shapes are known."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.operation import EXACT, Attributes
from service.core.rulebook.primitives import sum_to_shape
from service.core.rulebook.registry import Wording, define, rulebook_function


@rulebook_function
def sum_to(x: Any, like: Any) -> Any:
    """Undo broadcasting: sum x down to the shape of `like`, which broadcasts to the shape of x."""
    return sum_to_shape(x, np.shape(like))


@rulebook_function
def expand_to(x: Any, like: Any) -> Any:
    """Broadcast x to the shape of `like`."""
    return np.broadcast_to(x, np.shape(like))


@rulebook_function
def reshape_to(x: Any, like: Any) -> Any:
    """Reshape x, row-major, to the shape of `like`."""
    return np.reshape(x, np.shape(like))


def _summed_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    if np.broadcast_shapes(given, like) != given:
        raise ValueError(f"shape {list(like)} does not broadcast to {list(given)}")
    return like


def _expanded_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    if np.broadcast_shapes(given, like) != like:
        raise ValueError(f"shape {list(given)} does not broadcast to {list(like)}")
    return like


def _reshaped_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    if np.prod(given) != np.prod(like):
        raise ValueError(f"shapes {list(given)} and {list(like)} have different numbers of elements")
    return like


define(
    "SumTo",
    "x like",
    forward=sum_to,
    contributions=lambda upstream, x, like, z: (expand_to(upstream, x), None),
    infer_shape=_summed_shape,
    linear=True,
    wording=Wording(aliases=["sum_to"]),
)

define(
    "ExpandTo",
    "x like",
    forward=expand_to,
    contributions=lambda upstream, x, like, z: (sum_to(upstream, x), None),
    infer_shape=_expanded_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(aliases=["expand_to"]),
)

define(
    "ReshapeTo",
    "x like",
    forward=reshape_to,
    contributions=lambda upstream, x, like, z: (reshape_to(upstream, x), None),
    infer_shape=_reshaped_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(aliases=["reshape_to"]),
)
