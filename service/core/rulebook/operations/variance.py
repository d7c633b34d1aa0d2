"""Variance and standard deviation along axes, or along all where none is named."""

from typing import Any

import numpy as np

from service.core.rulebook.attribute import Attribute, integer
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Kinks, Rounding, Rule
from service.core.rulebook.operations.reduction import (
    AS_NUMPY,
    Axes,
    broadcast_back,
    mean,
    norm,
    numpy_axes,
    reduced_shape,
)
from service.core.rulebook.primitives import is_traced, select
from service.core.rulebook.registry import Wording, define


def _centred(x: Any, axes: Axes) -> Any:
    """x − mean, less the mean that rounding left of it: exactly 0 where all elements are equal."""
    if is_traced(x):
        centred = x - np.mean(x, axis=axes, keepdims=True)
        return centred - np.mean(centred, axis=axes, keepdims=True)
    centred = x - mean(x, axes, True)
    return centred - mean(centred, axes, True)


def _freedom(x: Any, z: Any, ddof: int) -> Any:
    """The number of elements behind one of z, less ddof."""
    count = np.divide(np.size(x), np.size(z))
    return count - float(ddof) if ddof else count


def _variance(x: Any, axes: Axes, keepdims: int, noop: int, ddof: int) -> Any:
    along = numpy_axes(axes, noop)
    total = np.sum(np.square(_centred(x, along)), axis=along, keepdims=bool(keepdims))
    return np.divide(total, _freedom(x, total, ddof))


def _deviation(x: Any, axes: Axes, keepdims: int, noop: int, ddof: int) -> Any:
    along = numpy_axes(axes, noop)
    length = norm(_centred(x, along), along, bool(keepdims))
    return np.divide(length, np.sqrt(_freedom(x, length, ddof)))


def _variance_contributions(
    upstream: Any, x: Any, z: Any, axes: Axes, keepdims: int, noop: int, ddof: int, centred: Any = None
) -> Any:
    difference = _centred(x, numpy_axes(axes, noop)) if centred is None else centred
    return (2.0 * broadcast_back(upstream, x, axes, keepdims, noop) * difference / _freedom(x, z, ddof),)


def _deviation_contributions(
    upstream: Any, x: Any, z: Any, axes: Axes, keepdims: int, noop: int, ddof: int, centred: Any = None
) -> Any:
    """upstream · (x − mean)/(n·z), which is 0 where all elements are equal: the least of the subgradients."""
    difference = _centred(x, numpy_axes(axes, noop)) if centred is None else centred
    deviation = broadcast_back(select(z == 0.0, 1.0, z), x, axes, keepdims, noop)
    slope = difference / deviation / _freedom(x, z, ddof)
    return (broadcast_back(upstream, x, axes, keepdims, noop) * slope,)


def _deviation_divided(upstream: Any, x: Any, z: Any, axes: Axes, keepdims: int, noop: int, ddof: int) -> Any:
    along = (axes, keepdims, noop)
    slope = _centred(x, numpy_axes(axes, noop)) / broadcast_back(z, x, *along) / _freedom(x, z, ddof)
    return (broadcast_back(upstream, x, *along) * slope,)


def _deviation_from_both_sides(x: Any, z: Any, axes: Axes, keepdims: int, noop: int, ddof: int) -> Any:
    """Of n equal elements one that moves by t gives the deviation |t|·√((n − 1)/n/(n − ddof))."""
    count, freedom = _freedom(x, z, 0), _freedom(x, z, ddof)
    (slope,) = _deviation_contributions(np.ones(np.shape(z)), x, z, axes, keepdims, noop, ddof)
    leaving = np.sqrt((count - 1.0) / count / freedom)
    equal = broadcast_back(z, x, axes, keepdims, noop) == 0.0
    return (tuple(select(equal, side * leaving, slope) for side in (-1.0, 1.0)),)


def _sum_of_terms(x: Any, axes: Axes, noop: int) -> Any:
    """|x| + |mean|, what the differences x − mean were made of."""
    return np.absolute(x) + np.absolute(mean(x, numpy_axes(axes, noop), True))


def _rounding_of_differences(contributions: Rule) -> Rounding:
    """How large the terms of a value and of its contributions are: |x| + |mean| in place of x − mean."""

    def of_contributions(upstream: Any, x: Any, z: Any, axes: Axes, keepdims: int, noop: int, ddof: int) -> Any:
        terms = _sum_of_terms(x, axes, noop)
        return contributions(np.absolute(upstream), x, z, axes, keepdims, noop, ddof, centred=terms)

    def of_value(x: Any, z: Any, axes: Axes, keepdims: int, noop: int, ddof: int) -> Any:
        slopes = np.absolute(contributions(np.ones(np.shape(z)), x, z, axes, keepdims, noop, ddof)[0])
        terms = slopes * _sum_of_terms(x, axes, noop)
        return np.sum(terms, axis=numpy_axes(axes, noop), keepdims=bool(keepdims))

    return Rounding(value=of_value, contributions=of_contributions)


define(
    "ReduceVar",
    "x",
    attributes=[*AS_NUMPY, Attribute("ddof", integer, 0)],
    forward=_variance,
    contributions=_variance_contributions,
    infer_shape=reduced_shape,
    rounding=_rounding_of_differences(_variance_contributions),
    wording=Wording(aliases=["var"], notation=function("var", r"\operatorname{Var}"), rule="power"),
)

define(
    "ReduceStd",
    "x",
    attributes=[*AS_NUMPY, Attribute("ddof", integer, 0)],
    forward=_deviation,
    contributions=_deviation_contributions,
    infer_shape=reduced_shape,
    kinks=Kinks(
        where=lambda x, z, axes, keepdims, noop, ddof: np.logical_and(
            broadcast_back(z, x, axes, keepdims, noop) == 0.0, np.size(x) > np.size(z)
        ),
        returned="0 where all elements are equal, the least of the subgradients",
        conventions=dict.fromkeys(("jax", "tensorflow"), _deviation_divided),
        one_sided=_deviation_from_both_sides,
    ),
    rounding=_rounding_of_differences(_deviation_contributions),
    analytic=False,
    wording=Wording(aliases=["std"], notation=function("std"), rule="power"),
)
