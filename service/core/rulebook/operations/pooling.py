"""Max and average pooling."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, flag, integers
from service.core.rulebook.operation import Attributes, Kinks
from service.core.rulebook.operations.window import window
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define, rulebook_function

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


def _inner(axes: int) -> tuple[int, ...]:
    """The axes of the positions within a window."""
    return tuple(range(-axes, 0))


def _pooled_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), given = shapes, tuple(attributes.values())
    if len(shape) != 2 + len(attributes["kernel_shape"]) or len(shape) == 2:
        raise ValueError("expected axes for samples and channels and one for each length of kernel_shape")
    slid = _window_of(given)
    if any(
        pad >= length for pads in (slid.before, slid.behind) for pad, length in zip(pads, slid.lengths, strict=True)
    ):
        raise ValueError("each pad must be smaller than the window, or a window would hold padding alone")
    return (*shape[:2], *slid.steps(shape[2:]))


def _greatest(x: Any, *attributes: Any) -> Any:
    windows = _window_of(attributes).over(x, -np.inf)
    return np.max(windows, axis=_inner(x.ndim - 2), initial=-np.inf)


def _hits(x: Any, z: Any, attributes: Sequence[Any]) -> Any:
    """1 at the maximum of each window, and at each of its ties; 0 elsewhere."""
    windows = _window_of(attributes).over(x, np.nan)  # NaN: the padding never ties, even where all elements are −∞
    return select(windows == np.expand_dims(z, _inner(x.ndim - 2)), 1.0, 0.0)


def _flow_to_greatest(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
    hits = _hits(x, z, attributes)
    flow = upstream / np.sum(hits, axis=_inner(x.ndim - 2))
    slid = _window_of(attributes)
    return (slid.put_back(lambda position: select(hits[(..., *position)] == 1.0, flow, 0.0), x.shape, upstream.dtype),)


@rulebook_function
def max_pool_ties(x: Any, z: Any, *attributes: Any) -> Any:
    """How many elements of each window equal its maximum."""
    return np.sum(_hits(x, z, attributes), axis=_inner(np.ndim(x) - 2))


define(
    "MaxPool",
    "x",
    attributes=_ATTRIBUTES,
    forward=_greatest,
    contributions=_flow_to_greatest,
    infer_shape=_pooled_shape,
    kinks=Kinks(
        where=lambda x, z, *attributes: max_pool_ties(x, z, *attributes) > 1.0,
        returned="ties share the gradient equally, the least-norm choice among the subgradients",
    ),
    analytic=False,
    wording=Wording(aliases=["max_pool"], rule="selection"),
)


def _ties_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, pooled = shapes
    _spread_shape((pooled, x), attributes)
    return pooled


define(
    "MaxPoolTies",
    "x z",
    attributes=_ATTRIBUTES,
    forward=max_pool_ties,
    contributions=lambda upstream, x, z, ties, *attributes: (None, None),
    infer_shape=_ties_shape,
    analytic=False,
)

_WITH_COUNT = (*_ATTRIBUTES, Attribute("count_include_pad", flag, 0))


def _counts(shape: Shape, attributes: Sequence[Any]) -> Any:
    """The divisor of each window's mean: the number of elements of x in it, or of all if pads count.

    A window over padding alone holds none; its mean is 0, as in ONNX Runtime.
    """
    slid = _window_of(attributes)
    if attributes[5]:
        return float(np.prod(slid.lengths))
    counts = slid.over(np.ones((1, 1, *shape[2:]))).sum(axis=_inner(len(shape) - 2))
    return np.maximum(counts, 1.0)


@rulebook_function
def average_pool(x: Any, *attributes: Any) -> Any:
    """The mean of each window."""
    sums = np.sum(_window_of(attributes).over(x), axis=_inner(np.ndim(x) - 2))
    return (sums / _counts(np.shape(x), attributes)).astype(sums.dtype, copy=False)


@rulebook_function
def average_pool_adjoint(upstream: Any, like: Any, *attributes: Any) -> Any:
    """Spread the upstream gradient of each mean equally over the elements of its window."""
    shared = (upstream / _counts(np.shape(like), attributes)).astype(np.result_type(upstream), copy=False)
    return _window_of(attributes).put_back(lambda position: shared, np.shape(like), shared.dtype)


def _spread_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    upstream, like = shapes
    expected = _pooled_shape([like], attributes)
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the pool has {list(expected)}")
    return like


define(
    "AveragePool",
    "x",
    attributes=_WITH_COUNT,
    forward=average_pool,
    contributions=lambda upstream, x, z, *attributes: (average_pool_adjoint(upstream, x, *attributes),),
    infer_shape=_pooled_shape,
    linear=True,
    wording=Wording(aliases=["average_pool"], rule="sum"),
)

define(
    "AveragePoolAdjoint",
    "upstream like",
    attributes=_WITH_COUNT,
    forward=average_pool_adjoint,
    contributions=lambda flow, upstream, like, z, *attributes: (average_pool(flow, *attributes), None),
    infer_shape=_spread_shape,
    linear=True,
    wording=Wording(rule="sum"),
)
