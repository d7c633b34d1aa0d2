"""Reductions along axes, which are all axes where none is named."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.attribute import Attribute, flag
from service.core.notation import Notation, function
from service.core.operation import Attributes, Rule, Shape, define
from service.core.operations.axes import places_of_axes, read_axes
from service.core.operations.like import expand_to

Axes = tuple[int, ...] | None


def _reduced(axes: Axes, noop: int) -> Axes:
    """The axes to reduce along as NumPy names them: None for all, () for none."""
    return axes or (() if noop else None)


def _reduced_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    axes, keepdims, noop = attributes.values()
    named = _reduced(axes, noop)
    gone = range(len(shape)) if named is None else places_of_axes(named, len(shape))
    return tuple(1 if place in gone else length for place, length in enumerate(shape) if keepdims or place not in gone)


def _reading(x: Any, axis: Any = None, keepdims: Any = False) -> tuple[Sequence[Any], dict[str, Any]]:
    """The arguments of NumPy's reductions."""
    return (x,), {"axes": axis, "keepdims": keepdims, "noop_with_empty_axes": axis == ()}


def _define_reduction(
    name: str,
    called: Rule,
    forward: Rule,
    contribution: Rule,
    *,
    aliases: Sequence[str] = (),
    notation: Notation | None = None,
    **more: Any,
) -> None:
    """Define a reduction.

    forward(x, axes, keepdims) and contribution(upstream, x, z, axes), in which axes are as NumPy names them, and
    upstream gradient and value have been broadcast to x.
    """

    def contributions(upstream: Any, x: Any, z: Any, axes: Axes, keepdims: int, noop: int) -> Any:
        along = _reduced(axes, noop)

        def spread(reduced: Any) -> Any:
            return expand_to(reduced if keepdims or along is None else np.expand_dims(reduced, along), x)

        return (contribution(spread(upstream), x, spread(z), along),)

    define(
        name,
        "x",
        attributes=[
            Attribute("axes", read_axes),
            Attribute("keepdims", flag, 1),
            Attribute("noop_with_empty_axes", flag, 0),
        ],
        forward=lambda x, axes, keepdims, noop: forward(x, _reduced(axes, noop), bool(keepdims)),
        contributions=contributions,
        infer_shape=_reduced_shape,
        symbolic={called: _reading},
        aliases=aliases,
        notation=notation or function(name),
        **more,
    )


_define_reduction(
    "ReduceSum",
    np.sum,
    lambda x, axes, keepdims: np.sum(x, axis=axes, keepdims=keepdims),
    lambda upstream, x, z, axes: upstream,
    linear=True,
)
