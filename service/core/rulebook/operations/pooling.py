"""Max pooling, and what all pooling operations share."""

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, integer, integers
from service.core.rulebook.operation import EXACT, Attributes, Closed, Kinks, Rounding, Rule
from service.core.rulebook.operations.window import AUTO_PAD, Window, blocks, share_of_part, window
from service.core.rulebook.primitives import is_traced, select
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

POOL_ATTRIBUTES = (
    AUTO_PAD,
    Attribute("dilations", integers),
    Attribute("kernel_shape", integers, required=True),
    Attribute("pads", integers),
    Attribute("strides", integers),
    Attribute("ceil_mode", flag, 0, implied=True),
)
_NAMES = tuple(attribute.name for attribute in POOL_ATTRIBUTES)


def pool_window(shape: Shape, attributes: Sequence[Any]) -> Window:
    """Return the window that slides over an operand of that shape."""
    auto_pad, dilations, lengths, pads, strides, ceil_mode = attributes[: len(POOL_ATTRIBUTES)]
    return window(shape[2:], lengths, strides, dilations, pads, auto_pad, ceil_mode)


def pool_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), given = shapes, tuple(attributes.values())
    if len(shape) != 2 + len(attributes["kernel_shape"]) or len(shape) == 2:
        raise ValueError("expected axes for samples and channels and one for each length of kernel_shape")
    lengths, pads = attributes["kernel_shape"], attributes["pads"] or ()
    if any(pad >= length for pad, length in zip(pads, (*lengths, *lengths), strict=False)):
        raise ValueError("each pad must be smaller than the window, or a window would hold padding alone")
    return (*shape[:2], *pool_window(shape, given).steps(shape[2:]))


def pool_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    """Infer the shape of a pool's adjoint: that of its second operand."""
    upstream, like = shapes
    expected = pool_shape([like], attributes)
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the pool has {list(expected)}")
    return like


def pool_works(x: int, ties: float, operations: float) -> WorkRule:
    """Of a rule that goes through the positions in the window over operand `x`: so many operations for each element in
    a window, and so many times a byte held for each, of one block."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        given = shapes[x]
        pool = pool_window(given, tuple(attributes.values()))
        steps, positions = prod((*given[:2], *pool.steps(given[2:]))), prod(pool.lengths)
        share = share_of_part(prod(given), prod(given[:2]))
        held = share * ties * steps * positions / 8.0 + 4.0 * steps + 2.0 * pool.padded(given)
        return Work(CALL * (1.0 + positions / share) + operations * steps * positions + 10.0 * pool.padded(given), held)

    return work


def over_windows(function: Any, x: Any, pool: Window, initial: float) -> Any:
    """Apply a ufunc of two operands, one after the other, to the elements under the window at each step, from
    `initial` on; padding is left out."""
    results = np.full((*x.shape[:2], *pool.steps(x.shape[2:])), initial, dtype=x.dtype)
    for given, found in blocks(planes(x), planes(results), held=x.size):
        for elements, steps in pool.overlaps(x.shape[2:]):
            function(found[steps], given[elements], out=found[steps])
    return results


def planes(x: Any) -> Any:
    """Return x with one axis for samples and channels together."""
    return np.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


@rulebook_function
def max_pool(x: Any, *attributes: Any) -> Any:
    """Return the maximum of each window."""
    return over_windows(np.maximum, x, pool_window(np.shape(x), attributes), -np.inf)


Ties: TypeAlias = Sequence[tuple[Any, Any, Any]]


def _ties(x: Any, z: Any, pool: Window) -> Ties:
    """For each position in the window: an index of the elements under it, one of the steps at which they are, and
    whether each of them is its window's maximum or a tie. Padding never is, even where all elements are −∞."""
    return [(elements, steps, x[elements] == z[steps]) for elements, steps in pool.overlaps(x.shape[1:])]


def _count(ties: Ties, like: Any) -> Any:
    """Count the ties of each window: of the shape and dtype of `like`."""
    counts = np.zeros_like(like)
    for _, steps, tied in ties:
        counts[steps] += tied
    return counts


def _max_pool_contributions(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
    if is_traced(upstream) or is_traced(x):
        return (max_pool_adjoint(upstream, x, *attributes),)
    pool, gradient = pool_window(np.shape(x), attributes), np.zeros(x.shape, dtype=upstream.dtype)
    for flow, given, maxima, sums in blocks(*map(planes, (upstream, x, z, gradient)), held=x.size):
        ties = _ties(given, maxima, pool)
        share = flow / _count(ties, flow)
        for elements, steps, tied in ties:
            sums[elements] += select(tied, share[steps], 0.0)
    return (gradient,)


@rulebook_function
def max_pool_adjoint(upstream: Any, x: Any, *attributes: Any) -> Any:
    """Spread the upstream gradient of each maximum equally over its ties."""
    return _max_pool_contributions(upstream, x, max_pool(x, *attributes), *attributes)[0]


@rulebook_function
def max_pool_tangent(tangent: Any, x: Any, *attributes: Any) -> Any:
    """Return the mean of the tangents of each window's maximum and its ties: the adjoint of `max_pool_adjoint`."""
    pool, z = pool_window(np.shape(x), attributes), max_pool(x, *attributes)
    moved = np.zeros(z.shape, dtype=tangent.dtype)
    for flow, given, maxima, sums in blocks(*map(planes, (tangent, x, z, moved)), held=x.size):
        ties = _ties(given, maxima, pool)
        for elements, steps, tied in ties:
            sums[steps] += select(tied, flow[elements], 0.0)
        np.divide(sums, _count(ties, sums), out=sums)
    return moved


def _flow_to_chosen(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
    pool, reached = pool_window(np.shape(x), attributes), np.zeros(x.shape, dtype=upstream.dtype)
    for elements, steps in pool.overlaps(x.shape[2:]):
        reached[elements] += select(x[elements] < z[steps], 0.0, upstream[steps])
    return (reached,)


def _max_pool_one_sided(x: Any, z: Any, *attributes: Any) -> Any:
    """An element that ties moves the maximum of its window when it grows; one that is greatest alone both ways."""
    pool, alone, tied = pool_window(np.shape(x), attributes), np.zeros(x.shape), np.zeros(x.shape)
    ties = _ties(planes(x), planes(z), pool)
    only = _count(ties, planes(z)) == 1.0
    for elements, steps, each in ties:
        planes(tied)[elements] += each
        planes(alone)[elements] += each & only[steps]
    return ((alone, tied),)


def _choice(x: Any, pool: Window, replaces: Rule, padding_counts: bool = False) -> Any:
    """Return the number of the element of planes that is chosen in each window, going through it in order; −1 for none.

    replaces(element, chosen) says which element takes the place of the one chosen so far. The padding is left out, or
    counts as −∞.
    """
    chosen = np.full((len(x), *pool.steps(x.shape[1:])), -np.inf, dtype=x.dtype)
    place = np.full(chosen.shape, -1, dtype=np.int32)
    for number, (elements, reached) in enumerate(pool.overlaps(x.shape[1:])):
        element, steps = x[elements], reached
        if padding_counts:
            element, steps = np.full_like(chosen, -np.inf), ...
            element[reached] = x[elements]
        better = (place[steps] < 0) | replaces(element, chosen[steps])
        chosen[steps] = select(better, element, chosen[steps])
        place[steps] = select(better, number, place[steps])
    return place


def _choosing(replaces: Rule, padding_counts: bool = False) -> Rule:
    """Return the contributions of a library that chooses one element of each window."""

    def contributions(upstream: Any, x: Any, z: Any, *attributes: Any) -> Any:
        pool, gradient = pool_window(np.shape(x), attributes), np.zeros(x.shape, dtype=upstream.dtype)
        for flow, given, sums in blocks(*map(planes, (upstream, x, gradient)), held=x.size):
            place = _choice(given, pool, replaces, padding_counts)
            for number, (elements, steps) in enumerate(pool.overlaps(x.shape[2:])):
                sums[elements] += select(place[steps] == number, flow[steps], 0.0)
        return (gradient,)

    return _of_values(contributions)


def _of_values(rule: Rule) -> Rule:
    """Apply a rule to the values alone: no gradient flows to the indices."""
    return lambda *given: (None,) if given[-1] else rule(*given[:-2])


def _chosen_indices(x: Any, storage_order: int, *attributes: Any) -> Any:
    """Return where in the whole of x each maximum stands, the first of its ties.

    It is counted row-major, or column-major along the axes after the second.
    """
    pool, size = pool_window(np.shape(x), attributes), prod(x.shape[2:])
    place = _choice(planes(x), pool, np.greater)
    numbered = np.reshape(np.arange(float(size)), x.shape[2:], order="F" if storage_order else "C")
    found = np.zeros(place.shape)
    for number, (elements, steps) in enumerate(pool.overlaps(x.shape[2:])):
        found[steps] = select(place[steps] == number, numbered[elements], found[steps])
    before = size * np.arange(float(len(place)))
    return np.reshape(found + np.reshape(before, (-1, *[1] * (x.ndim - 2))), (*x.shape[:2], *place.shape[1:]))


def _max_pool_output(x: Any, *attributes: Any) -> Any:
    *sliding, storage_order, output = attributes
    return _chosen_indices(x, storage_order, *sliding) if output else max_pool(x, *sliding)


def _read_output(value: object) -> int:
    output = integer(value)
    if output not in (0, 1):
        raise ValueError("0, the maxima, or 1, their indices, is expected")
    return output


@rulebook_function
def max_pool_ties(x: Any, z: Any, *attributes: Any) -> Any:
    """Count the elements of each window that equal its maximum."""
    pool, counts = pool_window(np.shape(x), attributes), np.empty(z.shape, dtype=z.dtype)
    for given, maxima, found in blocks(*map(planes, (x, z, counts)), held=x.size):
        found[...] = _count(_ties(given, maxima, pool), found)
    return counts


define(
    "MaxPool",
    "x",
    attributes=(
        *POOL_ATTRIBUTES,
        Attribute("storage_order", flag, 0, implied=True),
        Attribute("output", _read_output, 0, implied=True),
    ),
    forward=_max_pool_output,
    contributions=_of_values(_max_pool_contributions),
    infer_shape=pool_shape,
    kinks=Kinks(
        where=lambda x, z, *attributes: False if attributes[-1] else max_pool_ties(x, z, *attributes[:-2]) > 1.0,
        returned="ties share the gradient equally, the least-norm choice among the subgradients; torch, jax and "
        "tensorflow give it all to the first",
        # They differ where elements are NaN, or −∞ beside padding.
        conventions={
            "torch": _choosing(lambda x, chosen: np.logical_or(x > chosen, np.isnan(x))),
            "jax": _choosing(lambda x, chosen: np.logical_not(chosen >= x), padding_counts=True),
            "tensorflow": _choosing(lambda x, chosen: x > chosen),
        },
        one_sided=lambda x, z, *attributes: (
            ((np.zeros(x.shape),) * 2,) if attributes[-1] else _max_pool_one_sided(x, z, *attributes[:-2])
        ),
    ),
    closed=Closed(passing=_of_values(_flow_to_chosen)),
    rounding=Rounding(
        contributions=_of_values(
            lambda upstream, x, z, *attributes: _max_pool_contributions(np.abs(upstream), x, z, *attributes)
        ),
        exact=True,
    ),
    analytic=False,
    work=Workload(pool_works(0, 0.0, 10.0), pool_works(0, 1.0, 25.0)),
    symbolic={max_pool: lambda x, *given: ((x,), dict(zip(_NAMES, given, strict=True)))},
    wording=Wording(aliases=["max_pool"], rule="selection"),
)


def _max_pool_ties_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, pooled = shapes
    pool_adjoint_shape((pooled, x), attributes)
    return pooled


define(
    "MaxPoolTies",
    "x z",
    attributes=POOL_ATTRIBUTES,
    forward=max_pool_ties,
    contributions=lambda upstream, x, z, ties, *attributes: (None, None),
    infer_shape=_max_pool_ties_shape,
    analytic=False,
    work=Workload(pool_works(0, 1.0, 15.0)),
)


def _max_pool_tangent_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    tangent, x = shapes
    if tangent != x:
        raise ValueError(f"the tangent has shape {list(tangent)}; the pool's operand has {list(x)}")
    return pool_shape([x], attributes)


# What a window's maximum is does not change with x, where it changes smoothly at all.
define(
    "MaxPoolAdjoint",
    "upstream x",
    attributes=POOL_ATTRIBUTES,
    forward=max_pool_adjoint,
    contributions=lambda flow, upstream, x, z, *attributes: (max_pool_tangent(flow, x, *attributes), None),
    infer_shape=pool_adjoint_shape,
    analytic=False,
    work=Workload(pool_works(1, 1.0, 25.0), pool_works(1, 1.0, 30.0)),
    wording=Wording(rule="selection"),
)

define(
    "MaxPoolTangent",
    "tangent x",
    attributes=POOL_ATTRIBUTES,
    forward=max_pool_tangent,
    contributions=lambda flow, tangent, x, z, *attributes: (max_pool_adjoint(flow, x, *attributes), None),
    infer_shape=_max_pool_tangent_shape,
    analytic=False,
    rounding=EXACT,
    work=Workload(pool_works(1, 1.0, 30.0), pool_works(1, 1.0, 25.0)),
    wording=Wording(rule="selection"),
)
