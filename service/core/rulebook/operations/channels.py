"""Broadcast one number per channel over a tensor, and the adjoint. The second axis is the channels, or classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.operation import EXACT, Attributes
from service.core.rulebook.registry import Wording, define, rulebook_function


@rulebook_function
def over_channels(x: Any, like: Any) -> Any:
    """Broadcast x, with one element per channel of `like`, to the shape of `like`."""
    return np.broadcast_to(np.reshape(x, (np.shape(like)[1], *[1] * (np.ndim(like) - 2))), np.shape(like))


@rulebook_function
def sum_of_channels(x: Any, like: Any) -> Any:
    """Sum x over all axes but the second, that of the channels: the adjoint of `over_channels`.

    `like` has one element per channel, and only its shape matters.
    """
    return np.sum(x, axis=(0, *range(2, np.ndim(x))))


def _over_channels_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    if given != like[1:2] or len(like) < 2:
        raise ValueError("expected one element per channel, the second axis")
    return like


def _sum_of_channels_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    given, like = shapes
    _over_channels_shape((like, given), attributes)
    return like


define(
    "OverChannels",
    "x like",
    forward=over_channels,
    contributions=lambda upstream, x, like, z: (sum_of_channels(upstream, x), None),
    infer_shape=_over_channels_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(aliases=["over_channels"]),
)

define(
    "SumOfChannels",
    "x like",
    forward=sum_of_channels,
    contributions=lambda upstream, x, like, z: (over_channels(upstream, x), None),
    infer_shape=_sum_of_channels_shape,
    linear=True,
    wording=Wording(aliases=["sum_of_channels"]),
)
