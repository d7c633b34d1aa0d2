"""Pooling over all axes after samples and channels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.operation import EXACT, LIBRARIES, Attributes, Closed, Kinks
from service.core.rulebook.operations.broadcasting import expand_to, sum_to
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define


def _pooled_axes(x: Any) -> tuple[int, ...]:
    return tuple(range(2, np.ndim(x)))


def _global_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    if len(shape) < 3:
        raise ValueError("expected axes for samples and channels and at least one more")
    return (*shape[:2], *[1] * (len(shape) - 2))


def _mean(x: Any) -> Any:
    return np.mean(x, axis=_pooled_axes(x), keepdims=True)


define(
    "GlobalAveragePool",
    "x",
    forward=_mean,
    contributions=lambda upstream, x, z: (expand_to(upstream / np.divide(np.size(x), np.size(z)), x),),
    infer_shape=_global_shape,
    linear=True,
    wording=Wording(aliases=["global_average_pool"], rule="sum"),
)


def _is_maximum(x: Any, z: Any) -> Any:
    return x == expand_to(z, x)


def _ties(x: Any, z: Any) -> Any:
    return sum_to(select(_is_maximum(x, z), 1.0, 0.0), z)


def _one_sided(x: Any, z: Any) -> Any:
    """An element that ties moves the maximum when it grows; a single one both ways."""
    tied = _is_maximum(x, z) * 1.0
    return ((tied * (_ties(x, z) == 1.0), tied),)


define(
    "GlobalMaxPool",
    "x",
    forward=lambda x: np.max(x, axis=_pooled_axes(x), keepdims=True, initial=-np.inf),
    contributions=lambda upstream, x, z: (select(_is_maximum(x, z), expand_to(upstream / _ties(x, z), x), 0.0),),
    infer_shape=_global_shape,
    kinks=Kinks(
        where=lambda x, z: _ties(x, z) > 1.0,
        returned="ties share the gradient equally, the least-norm choice among the subgradients",
        # As by a product, which is NaN where the maximum is.
        conventions=dict.fromkeys(
            LIBRARIES, lambda upstream, x, z: (upstream * select(_is_maximum(x, z), 1.0, 0.0) / _ties(x, z),)
        ),
        one_sided=_one_sided,
    ),
    closed=Closed(passing=lambda upstream, x, z: (select(x < expand_to(z, x), 0.0, expand_to(upstream, x)),)),
    analytic=False,
    rounding=EXACT,
    wording=Wording(aliases=["global_max_pool"], rule="selection"),
)
