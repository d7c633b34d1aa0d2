"""Running sums and products along an axis."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, integer
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.primitives import is_traced
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

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


def _stepwise(scans: int) -> WorkRule:
    """Of that many scans in Python, step by step along the axis."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        length, size = shape[axis_position(attributes["axis"], len(shape))], prod(shape)
        return Work(CALL + scans * (length * (500.0 if len(shape) == 1 else 3000.0) + 20.0 * size), 5.0 * size)

    return work


@rulebook_function
def linear_recurrence(u: Any, x: Any, axis: int, reverse: int) -> Any:
    """Return e with e₀ = 0 and eₖ = uₖ₋₁ + xₖ₋₁·eₖ₋₁ along an axis, from the end if `reverse`."""
    terms, factors = (np.moveaxis(each, axis, 0)[:: -1 if reverse else 1] for each in (u, x))
    sums, so_far = np.zeros(terms.shape, dtype=np.result_type(u, x)), 0.0
    for position in range(len(terms)):
        sums[position] = so_far
        so_far = terms[position] + factors[position] * so_far
    return np.moveaxis(sums[::-1] if reverse else sums, 0, axis)


def _recurrence_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    u, x = shapes
    if u != x:
        raise ValueError(f"expected two operands of one shape, not {list(u)} and {list(x)}")
    axis_position(attributes["axis"], len(u))
    return u


# eₖ is the sum of uᵢ·(the factors between i and k) over i < k: reversed, that is its own adjoint in u; and ∂eₖ/∂xⱼ is
# eⱼ · (the factors between j and k).
define(
    "LinearRecurrence",
    "u x",
    attributes=[_ATTRIBUTES[0], _ATTRIBUTES[2]],
    forward=linear_recurrence,
    contributions=lambda upstream, u, x, z, axis, reverse: (
        linear_recurrence(upstream, x, axis, 1 - reverse),
        z * linear_recurrence(upstream, x, axis, 1 - reverse),
    ),
    infer_shape=_recurrence_shape,
    work=Workload(_stepwise(1), _stepwise(2)),
    rounding=Rounding(
        value=lambda u, x, z, axis, reverse: linear_recurrence(np.absolute(u), np.absolute(x), axis, reverse),
        contributions=lambda upstream, u, x, z, axis, reverse: (
            linear_recurrence(np.absolute(upstream), np.absolute(x), axis, 1 - reverse),
            linear_recurrence(np.absolute(u), np.absolute(x), axis, reverse)
            * linear_recurrence(np.absolute(upstream), np.absolute(x), axis, 1 - reverse),
        ),
    ),
    wording=Wording(aliases=["linear_recurrence"], rule="product"),
)


def _cumprod_contributions(upstream: Any, x: Any, axis: int, exclusive: int, reverse: int) -> Any:
    """Return Σ upstream × the product of all factors but this one, without a division.

    It is the product of the elements before × r, where the recurrence r = u + x·r' runs from the last element to the
    first.
    """
    if is_traced(upstream) or is_traced(x):
        before, back = cumprod(x, axis, 1, reverse), 1 - reverse
        if exclusive:
            return before * linear_recurrence(upstream, x, axis, back)
        return before * (upstream + linear_recurrence(upstream * x, x, axis, back))
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
    work=Workload(contributions=_stepwise(1)),
    # Libraries divide the sum of all upstream × product by the factor.
    rounding=Rounding(
        contributions=lambda upstream, x, z, axis, exclusive, reverse: (
            np.sum(np.absolute(upstream * z), axis=axis, keepdims=True) / np.absolute(x),
        ),
    ),
    wording=Wording(rule="product"),
)
