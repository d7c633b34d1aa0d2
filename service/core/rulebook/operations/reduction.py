"""Reductions along axes, or along all where none is named."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag
from service.core.rulebook.notation import function
from service.core.rulebook.operation import CONVENTIONS, EXACT, Attributes, Closed, Kinks, Rounding, Rule
from service.core.rulebook.operations.axes import axis_positions, read_axes
from service.core.rulebook.operations.broadcasting import expand_to, reshape_to
from service.core.rulebook.operations.scan import cumprod, cumsum
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import DEFAULT_WORDING, Wording, define

Axes = tuple[int, ...] | None

_ATTRIBUTES = (
    Attribute("axes", read_axes),
    Attribute("keepdims", flag, 1),
    Attribute("noop_with_empty_axes", flag, 0),
)
# Of the reductions that are written as a call of NumPy's function.
AS_NUMPY = (
    Attribute("axes", read_axes, numpy=("axis", None)),
    Attribute("keepdims", flag, 1, numpy=("keepdims", 0)),
    Attribute("noop_with_empty_axes", flag, 0),
)


def numpy_axes(axes: Axes, noop: int) -> Axes:
    """Return the axes to reduce along in NumPy's form: None for all, () for none."""
    return axes or (() if noop else None)


def reduced_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    axes, keepdims, noop = list(attributes.values())[:3]
    chosen = numpy_axes(axes, noop)
    reduced = range(len(shape)) if chosen is None else axis_positions(chosen, len(shape))
    return tuple(
        1 if position in reduced else length
        for position, length in enumerate(shape)
        if keepdims or position not in reduced
    )


def _read_numpy_arguments(x: Any, axis: Any = None, keepdims: Any = False) -> tuple[Sequence[Any], dict[str, Any]]:
    """Read the arguments of NumPy's reductions."""
    return (x,), {"axes": axis, "keepdims": keepdims, "noop_with_empty_axes": axis == ()}


def broadcast_back(reduced: Any, x: Any, axes: Axes, keepdims: int, noop: int) -> Any:
    """Broadcast a reduction's value, or its gradient, back to the shape of x."""
    along = numpy_axes(axes, noop)
    return expand_to(reduced if keepdims or along is None else np.expand_dims(reduced, along), x)


def _define_reduction(
    name: str,
    forward: Rule,
    contribution: Rule,
    kinks: Kinks | None = None,
    wording: Wording = DEFAULT_WORDING,
    **more: Any,
) -> None:
    """Define a reduction by forward(x, axes, keepdims) and contribution(upstream, x, z, axes, count).

    `contribution` is elementwise over x: upstream gradient and value are broadcast to the elements that were reduced to
    them, `count` at a time. Axes are in NumPy's form. The conventions of `kinks` are contributions of the same form;
    its one_sided(x, z, axes) returns the derivatives from below and from above, elementwise too.
    """

    def over_elements(contribution: Rule) -> Rule:
        def contributions(upstream: Any, x: Any, z: Any, axes: Axes, keepdims: int, noop: int) -> Any:
            count = np.divide(np.size(x), np.size(z))
            upstream, z = (broadcast_back(each, x, axes, keepdims, noop) for each in (upstream, z))
            return (contribution(upstream, x, z, numpy_axes(axes, noop), count),)

        return contributions

    def one_sided(x: Any, z: Any, *along: Any) -> Any:
        assert kinks and kinks.one_sided
        return (kinks.one_sided(x, broadcast_back(z, x, *along), numpy_axes(along[0], along[2])),)

    define(
        name,
        "x",
        attributes=AS_NUMPY if wording.notation else _ATTRIBUTES,
        forward=lambda x, axes, keepdims, noop: forward(x, numpy_axes(axes, noop), bool(keepdims)),
        contributions=over_elements(contribution),
        infer_shape=reduced_shape,
        kinks=kinks
        and replace(
            kinks,
            conventions={library: over_elements(rule) for library, rule in kinks.conventions.items()},
            alternatives={library: over_elements(rule) for library, rule in kinks.alternatives.items()},
            one_sided=one_sided,
        ),
        wording=wording,
        **more,
    )


_define_reduction(
    "ReduceSum",
    lambda x, axes, keepdims: np.sum(x, axis=axes, keepdims=keepdims),
    lambda upstream, x, z, axes, count: upstream,
    linear=True,
    symbolic={np.sum: _read_numpy_arguments},
    wording=Wording(notation=function("sum"), rule="sum"),
)


def mean(x: Any, axes: Axes, keepdims: bool) -> Any:
    total = np.sum(x, axis=axes, keepdims=keepdims)
    return np.divide(total, np.divide(np.size(x), np.size(total)))


_define_reduction(
    "ReduceMean",
    mean,
    lambda upstream, x, z, axes, count: upstream / count,
    linear=True,
    symbolic={np.mean: _read_numpy_arguments},
    wording=Wording(notation=function("mean"), rule="sum"),
)


def _count_extrema(x: Any, z: Any, axes: Axes) -> Any:
    """Count the elements that equal the extremum of their reduction; z is already broadcast to the shape of x."""
    return np.sum(select(x == z, 1.0, 0.0), axis=axes, keepdims=True)


def _shared_extremum(upstream: Any, x: Any, z: Any, axes: Axes, count: Any) -> Any:
    """Share among ties by a product: 0 · ∞ toward the others, 0/0 where z is NaN."""
    return upstream * select(x == z, 1.0, 0.0) / _count_extrema(x, z, axes)


def _torch_extremum(upstream: Any, x: Any, z: Any, axes: Axes, count: Any) -> Any:
    """Choose as torch.max(x) and torch.max(x, axis) do, a NaN if there is one; along several axes torch.amax shares."""
    if axes is not None and len(axes) > 1:
        return _shared_extremum(upstream, x, z, axes, count)
    chosen = np.logical_or(x == z, x != x)  # noqa: PLR0124 (only NaN differs from itself)
    tally = select(chosen, 1.0, 0.0)
    if axes:
        return select(np.logical_and(chosen, cumsum(tally, axes[0], 1, 0) == 0.0), upstream, 0.0)
    return select(chosen, upstream / np.sum(tally, axis=axes, keepdims=True), 0.0)


def _define_extremum(
    name: str, ufunc: np.ufunc, numpy_function: Rule, initial: float, alias: str, is_passed_over: Rule
) -> None:
    def forward(x: Any, axes: Axes, keepdims: bool) -> Any:
        return ufunc.reduce(x, axis=axes, keepdims=keepdims, initial=initial)

    def one_sided(x: Any, z: Any, axes: Axes) -> Any:
        """An element that ties moves the extremum when it passes the others; a single one both ways."""
        tied = x == z
        passing, receding = tied * 1.0, np.logical_and(tied, _count_extrema(x, z, axes) == 1.0) * 1.0
        return (receding, passing) if ufunc is np.maximum else (passing, receding)

    _define_reduction(
        name,
        forward,
        lambda upstream, x, z, axes, count: select(x == z, upstream / _count_extrema(x, z, axes), 0.0),
        kinks=Kinks(
            where=lambda x, z, axes, keepdims, noop: (
                _count_extrema(x, broadcast_back(z, x, axes, keepdims, noop), numpy_axes(axes, noop)) > 1.0
            ),
            returned="ties share the gradient equally, the least-norm choice among the subgradients; torch.max and "
            "torch.min along one axis give it all to the first",
            conventions={
                "torch": _torch_extremum,
                **dict.fromkeys(("jax", "tensorflow"), _shared_extremum),
            },
            alternatives={"torch": _shared_extremum},  # torch.amax and torch.amin
            one_sided=one_sided,
        ),
        closed=Closed(
            passing=lambda upstream, x, z, axes, keepdims, noop: (
                select(
                    is_passed_over(x, broadcast_back(z, x, axes, keepdims, noop)),
                    0.0,
                    broadcast_back(upstream, x, axes, keepdims, noop),
                ),
            )
        ),
        analytic=False,
        rounding=EXACT,
        symbolic={numpy_function: _read_numpy_arguments},
        wording=Wording(notation=function(alias, rf"\{alias}"), rule="selection"),
    )


_define_extremum("ReduceMax", np.maximum, np.max, -math.inf, "max", np.less)
_define_extremum("ReduceMin", np.minimum, np.min, math.inf, "min", np.greater)


def _product_of_others(x: Any, axes: Axes) -> Any:
    """Return for each element the product of all others, without a division.

    Along each axis it is the product of the elements before times the product of those after. The next axis then takes
    the product along this one as its element.
    """
    if axes is None:
        row = np.reshape(x, (-1,))
        return reshape_to(_product_of_others(row, (0,)), x)
    products = []
    for axis in axes:
        products.append(cumprod(x, axis, 1, 0) * cumprod(x, axis, 1, 1))
        x = np.prod(x, axis=axis, keepdims=True)
    return reduce(np.multiply, products) if products else 1.0


_define_reduction(
    "ReduceProd",
    lambda x, axes, keepdims: np.prod(x, axis=axes, keepdims=keepdims),
    lambda upstream, x, z, axes, count: upstream * _product_of_others(x, axes),
    rounding=Rounding(
        value=lambda x, z, *along: np.absolute(z) * np.divide(np.size(x), np.size(z)),
        kept=lambda x, z, *along: np.absolute(z) * np.sqrt(np.divide(np.size(x), np.size(z))),
    ),
    symbolic={np.prod: _read_numpy_arguments},
    wording=Wording(aliases=["prod"], notation=function("prod", r"\prod"), rule="product"),
)

_define_reduction(
    "ReduceL1",
    lambda x, axes, keepdims: np.sum(np.absolute(x), axis=axes, keepdims=keepdims),
    lambda upstream, x, z, axes, count: upstream * np.sign(x),
    kinks=Kinks(
        where=lambda x, z, axes, keepdims, noop: x == 0.0,
        returned="0 toward an element that is 0, the least of the subgradients from -1 to 1",
        conventions={"jax": lambda upstream, x, z, axes, count: upstream * select(x == 0.0, 1.0, np.sign(x))},
        one_sided=lambda x, z, axes: tuple(select(x == 0.0, side, np.sign(x)) for side in (-1.0, 1.0)),
    ),
    analytic=False,
)


def norm(x: Any, axes: Axes, keepdims: bool) -> Any:
    """Return √Σx²; where a square would overflow or underflow, scale by the largest element first."""
    length = np.sqrt(np.sum(x * x, axis=axes, keepdims=keepdims))
    least = math.sqrt(np.finfo(length.dtype).tiny) / np.finfo(length.dtype).eps
    safe = (length > least) & (length < math.inf)
    if np.all(safe):
        return length
    largest = np.maximum.reduce(np.absolute(x), axis=axes, keepdims=True, initial=0.0)
    unit = np.where((largest > 0.0) & (largest < math.inf), largest, 1.0)
    scaled = np.sqrt(np.sum(np.square(x / unit), axis=axes, keepdims=True)) * unit
    # A norm does not depend on those beside it.
    return np.where(safe, length, np.reshape(scaled, np.shape(length)))


_define_reduction(
    "ReduceL2",
    norm,
    lambda upstream, x, z, axes, count: upstream * select(z == 0.0, 0.0, x / select(z == 0.0, 1.0, z)),
    kinks=Kinks(
        where=lambda x, z, axes, keepdims, noop: broadcast_back(z, x, axes, keepdims, noop) == 0.0,
        returned="0 at the origin, the least of the subgradients: all of norm 1 or less",
        conventions=dict.fromkeys(("jax", "tensorflow"), lambda upstream, x, z, axes, count: upstream * (x / z)),
        one_sided=lambda x, z, axes: tuple(select(z == 0.0, side, x / z) for side in (-1.0, 1.0)),
    ),
    analytic=False,
    wording=Wording(aliases=["norm"], notation=function("norm")),
)


def _relative_rounding(x: Any, axes: Axes, keepdims: bool) -> Any:
    """Return Σ|x|/|Σx|, by which a sum magnifies relative errors."""
    total = np.sum(x, axis=axes, keepdims=keepdims)
    return np.sum(np.absolute(x), axis=axes, keepdims=keepdims) / np.absolute(total)


_define_reduction(
    "ReduceSumSquare",
    lambda x, axes, keepdims: np.sum(x * x, axis=axes, keepdims=keepdims),
    lambda upstream, x, z, axes, count: 2.0 * upstream * x,
)


_define_reduction(
    "ReduceLogSum",
    lambda x, axes, keepdims: np.log(np.sum(x, axis=axes, keepdims=keepdims)),
    lambda upstream, x, z, axes, count: upstream / np.sum(x, axis=axes, keepdims=True),
    rounding=Rounding(
        value=lambda x, z, axes, keepdims, noop: _relative_rounding(x, numpy_axes(axes, noop), bool(keepdims)),
        contributions=lambda upstream, x, z, axes, keepdims, noop: (
            broadcast_back(upstream, x, axes, keepdims, noop)
            / np.sum(x, axis=numpy_axes(axes, noop), keepdims=True)
            * _relative_rounding(x, numpy_axes(axes, noop), True),
        ),
    ),
)


# --- the logarithm of a sum of exponentials -------------------------------------------------------------------------


def _log_sum_exp(x: Any, axes: Axes, keepdims: bool) -> Any:
    """Return log Σeˣ, subtracting the maximum first, so that nothing overflows."""
    greatest = np.maximum.reduce(x, axis=axes, keepdims=True, initial=-math.inf)
    shift = np.where(np.isfinite(greatest), greatest, 0.0)
    total = np.sum(np.exp(x - shift), axis=axes, keepdims=keepdims)
    return np.log(total) + np.reshape(shift, np.shape(total))


def _softmax(x: Any, z: Any, axes: Axes) -> Any:
    """Return eˣ over the sum of all; 0 where all elements are −∞.

    The sum of all e^(x − z) is 1 but for the rounding of z, which is large where z is.
    """
    powers = np.exp(x - z)
    total = select(z == math.inf, 1.0, np.sum(powers, axis=axes, keepdims=True))  # of ∞ the others are 0 all the same
    return select(z == -math.inf, 0.0, powers / total)


_define_reduction(
    "ReduceLogSumExp",
    _log_sum_exp,
    lambda upstream, x, z, axes, count: upstream * _softmax(x, z, axes),
    kinks=Kinks(
        where=lambda x, z, axes, keepdims, noop: z == -math.inf,
        returned="0 where all elements are -infinity",
        conventions=dict.fromkeys(CONVENTIONS[1:], lambda upstream, x, z, axes, count: upstream * np.exp(x - z)),
        one_sided=lambda x, z, axes: (np.exp(x - z),) * 2,
    ),
    rounding=Rounding(
        value=lambda x, z, *along: np.sum(
            np.absolute(x) * _softmax(x, broadcast_back(z, x, *along), numpy_axes(along[0], along[2])),
            axis=numpy_axes(along[0], along[2]),
            keepdims=bool(along[1]),
        ),
        # The error of x − z is of the order of |x| + |z|.
        contributions=lambda upstream, x, z, *along: (
            broadcast_back(upstream, x, *along)
            * _softmax(x, broadcast_back(z, x, *along), numpy_axes(along[0], along[2]))
            * (np.absolute(x) + np.absolute(broadcast_back(z, x, *along))),
        ),
        kept=lambda x, z, *along: 2.0 * np.ones_like(z),  # the exponentials and their sum
    ),
    wording=Wording(aliases=["logsumexp"], notation=function("logsumexp", r"\operatorname{logsumexp}")),
)
