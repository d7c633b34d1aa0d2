"""Running sums and products along an axis."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, integer
from service.core.rulebook.operation import Attributes
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.registry import Wording, define, rulebook_function

_ATTRIBUTES = [
    Attribute("axis", integer, required=True),
    Attribute("exclusive", flag, 0),
    Attribute("reverse", flag, 0),
]


def _scan(accumulate: Callable[..., Any], identity: float, x: Any, axis: int, exclusive: int, reverse: int) -> Any:
    """Accumulate up to each element, itself included unless `exclusive`; from the end if `reverse`."""
    ordered = np.flip(x, axis) if reverse else x
    accumulated = accumulate(ordered, axis=axis)
    if exclusive:
        accumulated = np.roll(accumulated, 1, axis)
        np.moveaxis(accumulated, axis, 0)[:1] = identity
    return np.flip(accumulated, axis) if reverse else accumulated


@rulebook_function
def cumsum(x: Any, axis: int, exclusive: int, reverse: int) -> Any:
    """Return the running sums."""
    return _scan(np.cumsum, 0.0, x, axis, exclusive, reverse)


@rulebook_function
def cumprod(x: Any, axis: int, exclusive: int, reverse: int) -> Any:
    """Return the running products."""
    return _scan(np.cumprod, 1.0, x, axis, exclusive, reverse)


def _scan_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    axis_position(attributes["axis"], len(shapes[0]))
    return shapes[0]


define(
    "CumSum",
    "x",
    attributes=_ATTRIBUTES,
    forward=cumsum,
    contributions=lambda upstream, x, z, axis, exclusive, reverse: (cumsum(upstream, axis, exclusive, 1 - reverse),),
    infer_shape=_scan_shape,
    linear=True,
    wording=Wording(rule="sum"),
)


def _cumprod_contributions(upstream: Any, x: Any, axis: int, exclusive: int, reverse: int) -> Any:
    """Return Σ upstream × the product of all factors but this one, without a division.

    It is the product of the elements before × r, where the recurrence r = u + x·r' runs from the last element to the
    first.
    """
    u, factors = np.moveaxis(upstream, axis, 0), np.moveaxis(x, axis, 0)
    if reverse:
        u, factors = u[::-1], factors[::-1]
    gradient, after = np.zeros_like(factors), 0.0
    for position in range(len(factors) - 1, -1, -1):
        if exclusive:
            gradient[position] = after
            after = u[position] + factors[position] * after
        else:
            after = u[position] + after
            gradient[position] = after
            after = factors[position] * after
    gradient *= cumprod(factors, 0, 1, 0)
    return np.moveaxis(gradient[::-1] if reverse else gradient, 0, axis)


define(
    "CumProd",
    "x",
    attributes=_ATTRIBUTES,
    forward=cumprod,
    contributions=lambda upstream, x, z, *attributes: (_cumprod_contributions(upstream, x, *attributes),),
    infer_shape=_scan_shape,
    wording=Wording(rule="product"),
)
