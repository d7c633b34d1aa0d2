"""Operations that order the elements along an axis. No gradient flows from their indices."""

from collections.abc import Sequence
from math import log2, prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, integer, numbered
from service.core.rulebook.operation import CONVENTIONS, EXACT, Attributes, Closed, Kinks, Rounding, Rule, ShapeRule
from service.core.rulebook.operations.axes import axis_position
from service.core.rulebook.operations.broadcasting import expand_to
from service.core.rulebook.operations.ordering import sort, sum_of_ties, top_k
from service.core.rulebook.operations.scattering import scatter_elements
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

_AXIS, _OUTPUT = Attribute("axis", integer, -1), Attribute("output", numbered(2), 0)


def _sorting(times: float) -> WorkRule:
    """Of sorting so many times along an axis."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        size = prod(shapes[0])
        return Work(times * (4.0 * CALL + 20.0 * size * log2(size + 2.0)), (6.0 + 2.0 * times) * size)

    return work


_WORK = Workload(_sorting(1.0), _sorting(3.0))


def _same_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    axis_position(attributes["axis"], len(shapes[0]))
    if shapes[-1] != shapes[0]:
        raise ValueError(f"expected two operands of one shape, not {list(shapes[0])} and {list(shapes[-1])}")
    return shapes[0]


define(
    "SumOfTies",
    "x like",
    attributes=[_AXIS],
    forward=sum_of_ties,
    contributions=lambda upstream, x, like, z, axis: (sum_of_ties(upstream, like, axis), None),
    infer_shape=_same_shape,
    rounding=Rounding(
        value=lambda x, like, z, axis: sum_of_ties(np.abs(x), like, axis),
        contributions=lambda upstream, x, like, z, axis: (sum_of_ties(np.abs(upstream), like, axis), 0.0),
    ),
    analytic=False,
    work=_WORK,
    wording=Wording(aliases=["sum_of_ties"], rule="sum"),
)


def _define_order(
    name: str,
    attributes: Sequence[Attribute],
    forward: Rule,
    infer_shape: ShapeRule,
    axis_at: int,
    falls_out: Rule,
    aliases: Sequence[str] = (),
) -> None:
    """Define an operation that puts elements along an axis in order; the axis is its attribute number `axis_at`.

    falls_out(*attributes) says whether an element that ties with one that is left out is itself left out when it grows.
    """

    def spread(upstream: Any, x: Any, *given: Any) -> Any:
        """Put what flows to the elements chosen back where they stood."""
        return scatter_elements(expand_to(0.0, x), forward(x, *given[:-1], 1), upstream, given[axis_at], "add")

    def chosen_one_by_one(upstream: Any, x: Any, z: Any, *given: Any) -> Any:
        return (None,) if given[-1] else (spread(upstream, x, *given),)

    def contributions(upstream: Any, x: Any, z: Any, *given: Any) -> Any:
        """Share among ties: in whichever of their orders, the values are the same."""
        if given[-1]:
            return (None,)
        axis = given[axis_at]
        return (sum_of_ties(spread(upstream, x, *given), x, axis) / sum_of_ties(expand_to(1.0, x), x, axis),)

    def ties(x: Any, z: Any, *given: Any) -> tuple[Any, Any]:
        """Count for each element those that equal it, and how many of them are chosen."""
        axis = given[axis_at]
        chosen = sum_of_ties(spread(expand_to(1.0, z), x, *given), x, axis)
        return sum_of_ties(expand_to(1.0, x), x, axis), chosen

    def is_kink(x: Any, z: Any, *given: Any) -> Any:
        tied, chosen = ties(x, z, *given)
        return np.logical_and(np.logical_and(tied > 1.0, chosen > 0.0), given[-1] == 0)

    def one_sided(x: Any, z: Any, *given: Any) -> Any:
        tied, chosen = ties(x, z, *given)
        all_chosen, some_chosen = (select(each, 1.0, 0.0) for each in (chosen == tied, chosen > 0.0))
        return ((some_chosen, all_chosen) if falls_out(*given) else (all_chosen, some_chosen),)

    define(
        name,
        "x",
        attributes=[*attributes, _OUTPUT],
        forward=forward,
        contributions=contributions,
        infer_shape=infer_shape,
        kinks=Kinks(
            where=is_kink,
            returned="ties share the gradients of their places equally, the least-norm choice among the subgradients; "
            "torch, jax and tensorflow give each that of the place to which it was put",
            conventions=dict.fromkeys(CONVENTIONS[1:], chosen_one_by_one),
            one_sided=one_sided,
        ),
        closed=Closed(passing=contributions),
        analytic=False,
        rounding=EXACT,
        work=_WORK,
        wording=Wording(aliases=aliases, rule="selection"),
    )


def _top_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,), k, axis = shapes, attributes["k"], axis_position(attributes["axis"], len(shapes[0]))
    if not 0 <= k <= shape[axis]:
        raise ValueError(f"k is {k}, but axis {axis} has length {shape[axis]}")
    return (*shape[:axis], k, *shape[axis + 1 :])


_define_order(
    "Sort",
    [_AXIS, Attribute("descending", flag, 0)],
    sort,
    _same_shape,
    axis_at=0,
    falls_out=lambda *given: False,
)
_define_order(
    "TopK",
    [Attribute("k", integer, required=True), _AXIS, Attribute("largest", flag, 1), Attribute("sorted", flag, 1)],
    top_k,
    _top_shape,
    axis_at=1,
    falls_out=lambda k, axis, largest, *others: not largest,
    aliases=["top_k"],
)

# --- the index of the greatest or least element ---------------------------------------------------------------------


def _define_index(name: str, choose: Rule) -> None:
    def forward(x: Any, axis: int, keepdims: int, select_last_index: int) -> Any:
        if not select_last_index:
            found = choose(x, axis=axis, keepdims=bool(keepdims))
        else:
            found = np.shape(x)[axis] - 1 - choose(np.flip(x, axis), axis=axis, keepdims=bool(keepdims))
        return np.asarray(found, dtype=np.result_type(x))

    def infer_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
        (shape,), axis = shapes, axis_position(attributes["axis"], len(shapes[0]))
        if shape[axis] == 0:
            raise ValueError(f"axis {axis} has no elements")
        return (*shape[:axis], *[1] * attributes["keepdims"], *shape[axis + 1 :])

    define(
        name,
        "x",
        attributes=[
            Attribute("axis", integer, 0),
            Attribute("keepdims", flag, 1),
            Attribute("select_last_index", flag, 0),
        ],
        forward=rulebook_function(forward),
        contributions=lambda upstream, x, z, *attributes: (None,),
        infer_shape=infer_shape,
        analytic=False,
        rounding=EXACT,
    )


_define_index("ArgMax", np.argmax)
_define_index("ArgMin", np.argmin)
