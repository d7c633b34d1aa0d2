"""Max and average pooling."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, flag, integers
from service.core.rulebook.operation import Attributes, Closed, Kinks, Rounding, Rule
from service.core.rulebook.operations.window import window
from service.core.rulebook.primitives import is_traced, select
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

_ATTRIBUTES = (
    Attribute("auto_pad", OneOf(("NOTSET",)), "NOTSET"),
    Attribute("dilations", integers),
    Attribute("kernel_shape", integers, required=True),
    Attribute("pads", integers),
    Attribute("strides", integers),
)


def _window_of(attributes: Sequence[Any]) -> Any:
    _, dilations, lengths, pads, strides = attributes[:5]
    return window(lengths, strides, dilations, pads)


def _window_axes(axes: int) -> tuple[int, ...]:
    """Return the axes of the positions within a window."""
    return tuple(range(-axes, 0))


def _pool_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), given = shapes, tuple(attributes.values())
    if len(shape) != 2 + len(attributes["kernel_shape"]) or len(shape) == 2:
        raise ValueError("expected axes for samples and channels and one for each length of kernel_shape")
    pool = _window_of(given)
    if any(pad >= length for pads in (pool.before, pool.after) for pad, length in zip(pads, pool.lengths, strict=True)):
        raise ValueError("each pad must be smaller than the window, or a window would hold padding alone")
    return (*shape[:2], *pool.steps(shape[2:]))


def _works(x: int, windows_held: float, operations: float) -> WorkRule:
    """Of a rule over all windows of operand `x`: so many operations for each element in a window, and so many arrays
    of them at once. What goes through the positions in the window calls NumPy for each."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        pool, given = _window_of(tuple(attributes.values())), shapes[x]
        steps, positions = prod((*given[:2], *pool.steps(given[2:]))), prod(pool.lengths)
        held = windows_held * steps * positions + 4.0 * steps + 2.0 * pool.padded(given)
        return Work(CALL * (1.0 + positions) + operations * steps * positions + 10.0 * pool.padded(given), held)

    return work


def _max_pool(x: Any, *attributes: Any) -> Any:
    windows = _window_of(attributes).patches(x, -np.inf)
    return np.max(windows, axis=_window_axes(x.ndim - 2), initial=-np.inf)


def _maximum_mask(x: Any, z: Any, attributes: Sequence[Any]) -> Any:
    """Return 1 at the maximum of each window, and at each of its ties; 0 elsewhere."""
    windows = _window_of(attributes).patches(x, np.nan)  # NaN: the padding never ties, even where all elements are −∞
    return select(windows == np.expand_dims(z, _window_axes(x.ndim - 2)), 1.0, 0.0)


def _max_pool_contributions(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
    if is_traced(upstream) or is_traced(x):
        return (max_pool_adjoint(upstream, x, *attributes),)
    mask = _maximum_mask(x, z, attributes)
    flow = upstream / np.sum(mask, axis=_window_axes(x.ndim - 2))
    pool = _window_of(attributes)
    return (
        pool.scatter_add(lambda position: select(mask[(..., *position)] == 1.0, flow, 0.0), x.shape, upstream.dtype),
    )


@rulebook_function
def max_pool_adjoint(upstream: Any, x: Any, *attributes: Any) -> Any:
    """Spread the upstream gradient of each maximum equally over its ties."""
    return _max_pool_contributions(upstream, x, _max_pool(x, *attributes), *attributes)[0]


@rulebook_function
def max_pool_tangent(tangent: Any, x: Any, *attributes: Any) -> Any:
    """Return the mean of the tangents of each window's maximum and its ties: the adjoint of `max_pool_adjoint`."""
    mask = _maximum_mask(x, _max_pool(x, *attributes), attributes)
    moved = select(mask == 1.0, _window_of(attributes).patches(tangent), 0.0)
    axes = _window_axes(x.ndim - 2)
    return np.sum(moved, axis=axes) / np.sum(mask, axis=axes)


def _flow_to_chosen(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
    slid = _window_of(attributes)
    windows = slid.patches(x, -np.inf)
    return (
        slid.scatter_add(
            lambda position: select(windows[(..., *position)] < z, 0.0, upstream), x.shape, upstream.dtype
        ),
    )


def _max_pool_one_sided(x: Any, z: Any, *attributes: Any) -> Any:
    """An element that ties moves the maximum of its window when it grows; one that is greatest alone both ways."""
    tied = _maximum_mask(x, z, attributes)
    alone = tied * (np.sum(tied, axis=_window_axes(x.ndim - 2), keepdims=True) == 1.0)
    pool = _window_of(attributes)

    def summed(moved: Any) -> Any:
        return pool.scatter_add(lambda position: moved[(..., *position)], x.shape, moved.dtype)

    return ((summed(alone), summed(tied)),)


def _choosing(replaces: Rule, padding_counts: bool = False) -> Rule:
    """Return the contributions of a library that chooses one element of each window, going through it in order.

    replaces(element, chosen) says which element takes the place of the one chosen so far. The padding is left out, or
    counts as −∞.
    """

    def contributions(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
        pool = _window_of(attributes)
        windows = pool.patches(x, -np.inf)
        within = pool.patches(np.ones(x.shape), float(padding_counts))
        chosen, place = np.full(z.shape, -np.inf), np.full(z.shape, -1)
        places = {position: number for number, position in enumerate(np.ndindex(*pool.lengths))}
        for position, number in places.items():
            element = windows[(..., *position)]
            better = (within[(..., *position)] == 1.0) & ((place < 0) | replaces(element, chosen))
            chosen, place = select(better, element, chosen), select(better, number, place)
        flow = pool.scatter_add(
            lambda position: select(place == places[position], upstream, 0.0), x.shape, upstream.dtype
        )
        return (flow,)

    return contributions


@rulebook_function
def max_pool_ties(x: Any, z: Any, *attributes: Any) -> Any:
    """Count the elements of each window that equal its maximum."""
    return np.sum(_maximum_mask(x, z, attributes), axis=_window_axes(np.ndim(x) - 2))


define(
    "MaxPool",
    "x",
    attributes=_ATTRIBUTES,
    forward=_max_pool,
    contributions=_max_pool_contributions,
    infer_shape=_pool_shape,
    kinks=Kinks(
        where=lambda x, z, *attributes: max_pool_ties(x, z, *attributes) > 1.0,
        returned="ties share the gradient equally, the least-norm choice among the subgradients; torch, jax and "
        "tensorflow give it all to the first",
        # They differ where elements are NaN, or −∞ beside padding.
        conventions={
            "torch": _choosing(lambda x, chosen: np.logical_or(x > chosen, np.isnan(x))),
            "jax": _choosing(lambda x, chosen: np.logical_not(chosen >= x), padding_counts=True),
            "tensorflow": _choosing(lambda x, chosen: x > chosen),
        },
        one_sided=_max_pool_one_sided,
    ),
    closed=Closed(passing=_flow_to_chosen),
    rounding=Rounding(
        contributions=lambda upstream, x, z, *attributes: _max_pool_contributions(np.abs(upstream), x, z, *attributes)
    ),
    analytic=False,
    work=Workload(_works(0, 0.0, 10.0), _works(0, 1.5, 25.0)),
    wording=Wording(aliases=["max_pool"], rule="selection"),
)


def _max_pool_ties_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, pooled = shapes
    _average_pool_adjoint_shape((pooled, x), attributes)
    return pooled


define(
    "MaxPoolTies",
    "x z",
    attributes=_ATTRIBUTES,
    forward=max_pool_ties,
    contributions=lambda upstream, x, z, ties, *attributes: (None, None),
    infer_shape=_max_pool_ties_shape,
    analytic=False,
    work=Workload(_works(0, 1.5, 15.0)),
)


def _max_pool_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    return _average_pool_adjoint_shape(shapes, attributes)


def _max_pool_tangent_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    tangent, x = shapes
    if tangent != x:
        raise ValueError(f"the tangent has shape {list(tangent)}; the pool's operand has {list(x)}")
    return _pool_shape([x], attributes)


# What a window's maximum is does not change with x, where it changes smoothly at all.
define(
    "MaxPoolAdjoint",
    "upstream x",
    attributes=_ATTRIBUTES,
    forward=max_pool_adjoint,
    contributions=lambda flow, upstream, x, z, *attributes: (max_pool_tangent(flow, x, *attributes), None),
    infer_shape=_max_pool_adjoint_shape,
    analytic=False,
    work=Workload(_works(1, 1.5, 25.0), _works(1, 2.5, 30.0)),
    wording=Wording(rule="selection"),
)

define(
    "MaxPoolTangent",
    "tangent x",
    attributes=_ATTRIBUTES,
    forward=max_pool_tangent,
    contributions=lambda flow, tangent, x, z, *attributes: (max_pool_adjoint(flow, x, *attributes), None),
    infer_shape=_max_pool_tangent_shape,
    analytic=False,
    work=Workload(_works(1, 2.5, 30.0), _works(1, 1.5, 25.0)),
    wording=Wording(rule="selection"),
)

_AVERAGE_ATTRIBUTES = (*_ATTRIBUTES, Attribute("count_include_pad", flag, 0))


def _divisors(shape: Shape, attributes: Sequence[Any]) -> Any:
    """Return the divisor of each window's mean: its elements of x, or all its elements if the padding counts.

    The mean of a window over padding alone is 0, as in ONNX Runtime.
    """
    pool = _window_of(attributes)
    if attributes[5]:
        return float(np.prod(pool.lengths))
    counts = pool.patches(np.ones((1, 1, *shape[2:]))).sum(axis=_window_axes(len(shape) - 2))
    return np.maximum(counts, 1.0)


@rulebook_function
def average_pool(x: Any, *attributes: Any) -> Any:
    """Return the mean of each window."""
    sums = np.sum(_window_of(attributes).patches(x), axis=_window_axes(np.ndim(x) - 2))
    return (sums / _divisors(np.shape(x), attributes)).astype(sums.dtype, copy=False)


@rulebook_function
def average_pool_adjoint(upstream: Any, like: Any, *attributes: Any) -> Any:
    """Spread the upstream gradient of each mean equally over the elements of its window."""
    shared = (upstream / _divisors(np.shape(like), attributes)).astype(np.result_type(upstream), copy=False)
    return _window_of(attributes).scatter_add(lambda position: shared, np.shape(like), shared.dtype)


def _average_pool_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    upstream, like = shapes
    expected = _pool_shape([like], attributes)
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the pool has {list(expected)}")
    return like


define(
    "AveragePool",
    "x",
    attributes=_AVERAGE_ATTRIBUTES,
    forward=average_pool,
    contributions=lambda upstream, x, z, *attributes: (average_pool_adjoint(upstream, x, *attributes),),
    infer_shape=_pool_shape,
    linear=True,
    rounding=Rounding(in_parts=True),
    work=Workload(_works(0, 0.0, 10.0), _works(0, 0.0, 5.0)),
    wording=Wording(aliases=["average_pool"], rule="sum"),
)

define(
    "AveragePoolAdjoint",
    "upstream like",
    attributes=_AVERAGE_ATTRIBUTES,
    forward=average_pool_adjoint,
    contributions=lambda flow, upstream, like, z, *attributes: (average_pool(flow, *attributes), None),
    infer_shape=_average_pool_adjoint_shape,
    linear=True,
    work=Workload(_works(1, 0.0, 5.0), _works(1, 0.0, 10.0)),
    wording=Wording(rule="sum"),
)
