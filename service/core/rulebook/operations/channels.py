"""A figure for each place along the second axis, which is that of classes and channels: spread over a tensor, and
what flows back."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.operation import Attributes
from service.core.rulebook.registry import Wording, define, rulebook_function


@rulebook_function
def over_channels(x: Any, like: Any) -> Any:
    """x, a figure for each channel of `like`, in the shape of `like`."""
    return np.broadcast_to(np.reshape(x, (np.shape(like)[1], *[1] * (np.ndim(like) - 2))), np.shape(like))


@rulebook_function
def sum_of_channels(x: Any, like: Any) -> Any:
    """The sum of each channel of x, as many as `like` has elements."""
    return np.sum(x, axis=(0, *range(2, np.ndim(x))))


def _shape_of_spread(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    if given != like[1:2] or len(like) < 2:
        raise ValueError("a figure for each place along the second axis is expected")
    return like


def _shape_of_sums(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    _shape_of_spread((like, given), attributes)
    return like


define(
    "OverChannels",
    "x like",
    forward=over_channels,
    contributions=lambda upstream, x, like, z: (sum_of_channels(upstream, x), None),
    infer_shape=_shape_of_spread,
    linear=True,
    wording=Wording(aliases=["over_channels"]),
)

define(
    "SumOfChannels",
    "x like",
    forward=sum_of_channels,
    contributions=lambda upstream, x, like, z: (over_channels(upstream, x), None),
    infer_shape=_shape_of_sums,
    linear=True,
    wording=Wording(aliases=["sum_of_channels"]),
)
