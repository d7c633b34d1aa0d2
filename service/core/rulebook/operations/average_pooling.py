"""Average pooling, and pooling by a norm, whose gradient rests on sums over windows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, positive
from service.core.rulebook.operation import Kinks, Rounding
from service.core.rulebook.operations.pooling import (
    POOL_ATTRIBUTES,
    over_windows,
    planes,
    pool_adjoint_shape,
    pool_shape,
    pool_window,
    pool_works,
)
from service.core.rulebook.operations.window import blocks
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import Workload

_AVERAGE_ATTRIBUTES = (
    *POOL_ATTRIBUTES,
    Attribute("count_include_pad", flag, 0),
    Attribute("divisor_override", positive, implied=True),
)


def _divisors(shape: Shape, attributes: Sequence[Any]) -> Any:
    """Return the divisor of each window's mean: its elements of x, and those of the padding if it counts.

    The mean of a window over padding alone is 0, as in ONNX Runtime.
    """
    *sliding, include_pad, override = attributes
    if override is not None:
        return float(override)
    pool = pool_window(shape, sliding)
    if include_pad:
        padded = [
            length + before + after - beyond
            for length, before, after, beyond in zip(shape[2:], pool.before, pool.after, pool.beyond, strict=True)
        ]
        ones, pool = np.ones((1, 1, *padded)), replace(pool, before=(0,) * len(padded), after=pool.beyond)
    else:
        ones = np.ones((1, 1, *shape[2:]))
    return np.maximum(over_windows(np.add, ones, pool, 0.0), 1.0)


@rulebook_function
def average_pool(x: Any, *attributes: Any) -> Any:
    """Return the mean of each window."""
    sums = over_windows(np.add, x, pool_window(np.shape(x), attributes), 0.0)
    return (sums / _divisors(np.shape(x), attributes)).astype(sums.dtype, copy=False)


@rulebook_function
def average_pool_adjoint(upstream: Any, like: Any, *attributes: Any) -> Any:
    """Spread the upstream gradient of each mean equally over the elements of its window."""
    shared = (upstream / _divisors(np.shape(like), attributes)).astype(np.result_type(upstream), copy=False)
    gradient = np.zeros(np.shape(like), dtype=shared.dtype)
    for flow, sums in blocks(planes(shared), planes(gradient), held=gradient.size):
        for elements, steps in pool_window(np.shape(like), attributes).overlaps(gradient.shape[2:]):
            sums[elements] += flow[steps]
    return gradient


define(
    "AveragePool",
    "x",
    attributes=_AVERAGE_ATTRIBUTES,
    forward=average_pool,
    contributions=lambda upstream, x, z, *attributes: (average_pool_adjoint(upstream, x, *attributes),),
    infer_shape=pool_shape,
    linear=True,
    rounding=Rounding(in_parts=True),
    work=Workload(pool_works(0, 0.0, 10.0), pool_works(0, 0.0, 5.0)),
    wording=Wording(aliases=["average_pool"], rule="sum"),
)

define(
    "AveragePoolAdjoint",
    "upstream like",
    attributes=_AVERAGE_ATTRIBUTES,
    forward=average_pool_adjoint,
    contributions=lambda flow, upstream, like, z, *attributes: (average_pool(flow, *attributes), None),
    infer_shape=pool_adjoint_shape,
    linear=True,
    work=Workload(pool_works(1, 0.0, 5.0), pool_works(1, 0.0, 10.0)),
    wording=Wording(rule="sum"),
)


# --- the norm of each window ----------------------------------------------------------------------------------------


# Averages that are divided by 1.
_SUMS = (0, 1)


def _lp_pool(x: Any, *attributes: Any) -> Any:
    *sliding, order = attributes
    return np.power(average_pool(np.power(np.absolute(x), order), *sliding, *_SUMS), 1.0 / order)


def _signed_power(x: Any, order: int) -> Any:
    """Return the derivative of |x|^order, divided by the order."""
    if order == 1:
        return np.sign(x)
    return np.power(x, order - 1.0) if order % 2 == 0 else x * np.power(np.absolute(x), order - 2.0)


def _lp_contribution(upstream: Any, x: Any, z: Any, attributes: Sequence[Any], at_zero: float) -> Any:
    """Return the contribution, of which only the factor x^(order − 1) is not summed over the windows.

    A window of zeros alone has the factor `at_zero`.
    """
    *sliding, order = attributes
    flow = upstream
    if order > 1:
        flow = select(z == 0.0, at_zero, upstream / np.power(select(z == 0.0, 1.0, z), order - 1.0))
    return _signed_power(x, order) * average_pool_adjoint(flow, x, *sliding, *_SUMS)


def _lp_kinks(x: Any, z: Any, *attributes: Any) -> Any:
    *sliding, order = attributes
    return z == 0.0 if order > 1 else average_pool(select(x == 0.0, 1.0, 0.0), *sliding, *_SUMS) > 0.0


def _lp_one_sided(x: Any, z: Any, *attributes: Any) -> Any:
    """An element moves the norm of each window that has no other than zeros by itself; under order 1 of every one."""
    *sliding, order = attributes
    ones = np.ones(np.shape(z))
    slope = _lp_contribution(ones, x, z, attributes, 0.0)
    alone = ones if order == 1 else select(z == 0.0, 1.0, 0.0)
    moved = select(x == 0.0, average_pool_adjoint(alone, x, *sliding, *_SUMS), 0.0)
    return ((slope - moved, slope + moved),)


define(
    "LpPool",
    "x",
    attributes=(*POOL_ATTRIBUTES, Attribute("p", positive, 2)),
    forward=_lp_pool,
    contributions=lambda upstream, x, z, *attributes: (_lp_contribution(upstream, x, z, attributes, 0.0),),
    infer_shape=pool_shape,
    kinks=Kinks(
        where=_lp_kinks,
        returned="0 toward the elements of a window of zeros, and where p is 1 toward each that is 0, the least of the "
        "subgradients",
        conventions=dict.fromkeys(  # of what JAX and TensorFlow have in its place: the root of sums
            ("jax", "tensorflow"),
            lambda upstream, x, z, *attributes: (_lp_contribution(upstream, x, z, attributes, np.inf),),
        ),
        one_sided=_lp_one_sided,
    ),
    rounding=Rounding(in_parts=True),
    analytic=False,
    work=Workload(pool_works(0, 0.0, 12.0), pool_works(0, 0.0, 8.0)),
    wording=Wording(aliases=["lp_pool"]),
)
