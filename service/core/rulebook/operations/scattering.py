"""Operations that take elements or parts by their indices, and those that write them: ONNX's Gather… and Scatter….

What one takes the other writes, so that each is found in the other's gradient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, integer
from service.core.rulebook.operation import Attributes, Closed, Kinks, Rounding, Rule
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.operations.broadcasting import expand_to, reshape_to
from service.core.rulebook.operations.indexing import read_indices
from service.core.rulebook.operations.ordering import sort
from service.core.rulebook.operations.scan import cumsum, linear_recurrence
from service.core.rulebook.primitives import is_traced, select
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import Work, Workload, of_tensor_contributions

_REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _define_pair(
    names: tuple[str, str],
    aliases: tuple[str, str],
    attribute: Attribute,
    pick: Rule,
    part_shape: Callable[[Shape, Shape, int], Shape],
) -> tuple[Rule, Rule]:
    """Define an operation that takes x[pick(shape of x, indices, along)], and one that writes it; return their rules.

    `along` is the value of their attribute. part_shape(shape of x, shape of the indices, along) raises ValueError where
    there is no such part.
    """

    @rulebook_function
    def gather(x: Any, indices: Any, along: int) -> Any:
        return x[pick(np.shape(x), indices, along)]

    @rulebook_function
    def scatter(x: Any, indices: Any, updates: Any, along: int, reduction: str) -> Any:
        places, whole = pick(np.shape(x), indices, along), np.array(x, dtype=np.result_type(x, updates))
        if reduction != "none":
            _REDUCTIONS[reduction].at(whole, places, updates)
            return whole
        written = np.zeros(whole.shape, dtype=np.bool_)
        written[places] = True
        if np.count_nonzero(written) < np.size(updates):  # in ONNX it is undefined which of them stays
            raise ValueError("two updates go to one element; a reduction says what becomes of them")
        whole[places] = updates
        return whole

    def scattered_shape(shapes: Sequence[Shape], given: Attributes) -> Shape:
        x, indices, updates = shapes
        expected = part_shape(x, indices, given[attribute.name])
        if updates != expected:
            raise ValueError(f"the updates have shape {list(updates)}, not {list(expected)}")
        return x

    def ties(x: Any, indices: Any, updates: Any, z: Any, along: int) -> Any:
        """Count for each element of z what equals it: of x and of the updates that go there."""
        equal = select(updates == gather(z, indices, along), 1.0, 0.0)
        return scatter(select(x == z, 1.0, 0.0), indices, equal, along, "add")

    def contributions(
        upstream: Any, x: Any, indices: Any, updates: Any, z: Any, along: int, reduction: str
    ) -> tuple[Any, ...]:
        if reduction in ("max", "min"):  # ties share equally
            share = upstream / ties(x, indices, updates, z, along)
            is_chosen = updates == gather(z, indices, along)
            return select(x == z, share, 0.0), None, select(is_chosen, gather(share, indices, along), 0.0)
        if reduction == "mul":
            targets = gather(reshape_to(_count_elements(x), x), indices, along)
            others = gather(upstream * x, indices, along) * _product_of_others(updates, targets)
            return upstream * scatter(expand_to(1.0, x), indices, updates, along, "mul"), None, others
        kept = upstream if reduction == "add" else scatter(upstream, indices, expand_to(0.0, updates), along, "none")
        return kept, None, gather(upstream, indices, along)

    def is_kink(x: Any, indices: Any, updates: Any, z: Any, along: int, reduction: str) -> Any:
        has_ties = ties(x, indices, updates, z, along) > 1.0
        return has_ties if is_traced(has_ties) or reduction in ("max", "min") else np.False_

    def one_sided(x: Any, indices: Any, updates: Any, z: Any, along: int, reduction: str) -> Any:
        """What ties moves an extremum when it passes the others; what is chosen alone both ways."""
        alone = ties(x, indices, updates, z, along) == 1.0
        tied = (x == z, updates == gather(z, indices, along))
        receding = (tied[0] & alone, tied[1] & gather(alone, indices, along))
        sides = (receding, tied) if reduction == "max" else (tied, receding)
        of_x, of_updates = (tuple(side[operand] * 1.0 for side in sides) for operand in (0, 1))
        return of_x, (np.zeros(np.shape(indices)),) * 2, of_updates

    def summed_magnitudes(x: Any, indices: Any, updates: Any, z: Any, along: int, reduction: str) -> Any:
        if reduction != "add":
            return np.absolute(z)
        return scatter(np.absolute(x), indices, np.absolute(updates), along, "add")

    define(
        names[0],
        "x indices:int",
        attributes=[attribute],
        forward=gather,
        contributions=lambda upstream, x, indices, z, along: (
            scatter(expand_to(0.0, x), indices, upstream, along, "add"),
            None,
        ),
        infer_shape=lambda shapes, given: part_shape(shapes[0], shapes[1], given[attribute.name]),
        closed=Closed(),
        linear=True,
        rounding=Rounding(in_parts=True, exact=True),
        wording=Wording(aliases=aliases[:1]),
    )
    define(
        names[1],
        "x indices:int updates",
        attributes=[attribute, Attribute("reduction", OneOf(("none", *_REDUCTIONS)), "none")],
        forward=scatter,
        contributions=contributions,
        infer_shape=scattered_shape,
        kinks=Kinks(
            where=is_kink,
            returned="of a maximum or minimum ties share the gradient equally, the least-norm choice among the "
            "subgradients",
            one_sided=one_sided,
        ),
        closed=Closed(),
        analytic=False,
        rounding=Rounding(value=summed_magnitudes),
        work=Workload(contributions=_work_of_contributions),
        wording=Wording(aliases=aliases[1:]),
    )
    return gather, scatter


def _work_of_contributions(shapes: Sequence[Shape], shape: Shape, given: Attributes) -> Work:
    """The product of the others is a recurrence, element by element."""
    work = of_tensor_contributions(shapes, shape, given)
    return Work(200.0 * work.operations, 4.0 * work.elements) if given["reduction"] == "mul" else work


def _count_elements(x: Any) -> Any:
    """Number the elements of x in a row, from 1."""
    return cumsum(np.reshape(expand_to(1.0, x), (-1,)), 0, 0, 0)


def _product_of_others(updates: Any, targets: Any) -> Any:
    """Return for each update the product of all others with its target, without a division.

    In the order of the targets, which are numbered from 1, the product of those before and that of those after are
    linear recurrences that start anew at each target.
    """
    row = np.reshape(targets, (-1,))
    order = sort(row, 0, 0, 1)
    row, factors = gather_elements(row, order, 0), gather_elements(np.reshape(updates, (-1,)), order, 0)
    nothing, product = expand_to(0.0, row), 1.0
    for reverse in (0, 1):
        continued = select(row == linear_recurrence(row, nothing, 0, reverse), 1.0, 0.0)
        passed_on = factors * linear_recurrence(continued, nothing, 0, 1 - reverse)
        started = 1.0 - continued
        product = product * (started + linear_recurrence(passed_on * started, passed_on, 0, reverse))
    return reshape_to(gather_elements(product, sort(order, 0, 0, 1), 0), updates)


# --- elements, of which each index names the position along one axis ------------------------------------------------


def _places_of_elements(shape: Shape, indices: Any, axis: int) -> tuple[Any, ...]:
    position = axis_position(axis, len(shape))
    places = list(np.ix_(*map(np.arange, np.shape(indices))))
    places[position] = read_indices(indices, shape[position], f"axis {position}")
    return tuple(places)


def _shape_of_elements(shape: Shape, indices: Shape, axis: int) -> Shape:
    position = axis_position(axis, len(shape))
    if len(indices) != len(shape):
        raise ValueError(f"the indices have {len(indices)} axes; as many as x has, {len(shape)}, are expected")
    for other, (length, most) in enumerate(zip(indices, shape, strict=True)):
        if other != position and length > most:
            raise ValueError(f"along axis {other} there are {length} indices, but x has length {most}")
    return indices


gather_elements, scatter_elements = _define_pair(
    ("GatherElements", "ScatterElements"),
    ("gather_elements", "scatter_elements"),
    Attribute("axis", integer, 0),
    _places_of_elements,
    _shape_of_elements,
)

# --- parts, of which each row of the indices names the positions along the first axes ------------------------------


def _places_of_parts(shape: Shape, indices: Any, batch_dims: int) -> tuple[Any, ...]:
    given = np.asarray(indices)
    batch = given.shape[:batch_dims]
    within = [
        np.reshape(each, (*each.shape, *[1] * (given.ndim - 1 - batch_dims))) for each in np.ix_(*map(np.arange, batch))
    ]
    named = [
        read_indices(given[..., number], shape[batch_dims + number], f"axis {batch_dims + number}")
        for number in range(given.shape[-1])
    ]
    return (*within, *named)


def _shape_of_parts(shape: Shape, indices: Shape, batch_dims: int) -> Shape:
    if not 0 <= batch_dims < min(len(shape), len(indices)):
        raise ValueError(f"batch_dims is {batch_dims}; x and the indices need more axes than that")
    if indices[:batch_dims] != shape[:batch_dims]:
        raise ValueError(f"the first {batch_dims} axes of x and of the indices must have equal lengths")
    named = batch_dims + indices[-1]
    if not batch_dims < named <= len(shape):
        raise ValueError(
            f"each row of the indices names {indices[-1]} axes; 1 to {len(shape) - batch_dims} are expected"
        )
    return (*indices[:-1], *shape[named:])


gather_nd, scatter_nd = _define_pair(
    ("GatherND", "ScatterND"),
    ("gather_nd", "scatter_nd"),
    Attribute("batch_dims", integer, 0),  # ONNX's ScatterND has none; the gradient of its GatherND needs them
    _places_of_parts,
    _shape_of_parts,
)
