"""Elementwise operations of one or more operands, as in ONNX."""

from functools import reduce
from typing import Any

import numpy as np

from service.core.rulebook.notation import function
from service.core.rulebook.operation import EXACT, Closed, Fold, Kinks, Rule
from service.core.rulebook.primitives import maximum, minimum, select
from service.core.rulebook.registry import Wording, define, operands_only

_TIES = "ties share the gradient equally, the least-norm choice among the subgradients"


def _nested(choose: Rule, share: Rule) -> Rule:
    """Return the local gradients of a library that takes the operands two at a time, from left to right.

    share(a, b) returns the local gradients of choose(a, b) with respect to a and to b.
    """

    def local_gradients(first: Any, *others_and_value: Any) -> Any:
        chosen, shares = first, []
        for x in others_and_value[:-1]:
            shares.append(share(chosen, x))
            chosen = choose(chosen, x)
        # An operand's share is what it takes, times what each later choice keeps of that.
        found, kept_by_later = [], None
        for kept, taken in reversed(shares):
            found.append(taken if kept_by_later is None else taken * kept_by_later)
            kept_by_later = kept if kept_by_later is None else kept * kept_by_later
        return (1.0 if kept_by_later is None else kept_by_later, *reversed(found))

    return local_gradients


def _conventions(choose: Rule, wins: np.ufunc, loses: np.ufunc, keeps: np.ufunc) -> dict[str, Rule]:
    """Return what libraries do, also at NaN, where no comparison holds."""

    def torch(a: Any, b: Any) -> Any:
        return tuple(select(loses(x, y), 0.0, select(x == y, 0.5, 1.0)) for x, y in ((a, b), (b, a)))

    def jax(a: Any, b: Any) -> Any:
        return tuple(select(wins(x, y), 1.0, select(x == y, 0.5, 0.0)) for x, y in ((a, b), (b, a)))

    def tensorflow(a: Any, b: Any) -> Any:
        return select(keeps(a, b), 1.0, 0.0), select(keeps(a, b), 0.0, 1.0)

    return {library.__name__: _nested(choose, library) for library in (torch, jax, tensorflow)}


def _one_sided(left_at_ties: bool) -> Rule:
    """Return the derivatives from below and from above by one operand, the others held fixed.

    An operand that is chosen alone has slope 1 on both sides. One of several equals is chosen alone on one side of
    them, and not on the other: above them by a maximum, below them by a minimum.
    """

    def one_sided(*operands_and_value: Any) -> Any:
        *operands, z = operands_and_value
        chosen = [select(x == z, 1.0, select(np.isnan(z), np.nan, 0.0)) for x in operands]
        alone = select(reduce(np.add, chosen) == 1.0, 1.0, 0.0)
        return tuple((each, each * alone) if left_at_ties else (each * alone, each) for each in chosen)

    return one_sided


define(
    "Max",
    "x",
    fold=Fold(
        step=lambda x, y: maximum(x, y),  # noqa: PLW0108 (compiled, only a call is overloaded)
        tally=lambda x, z: select(x == z, 1.0, 0.0),
        local_gradient=lambda x, z, count, total: select(x == z, 1.0 / total, 0.0),
    ),
    kinks=Kinks(
        where=lambda total: total > 1.0,
        returned=_TIES,
        conventions=_conventions(maximum, np.greater, np.less, np.greater_equal),
        one_sided=_one_sided(left_at_ties=False),
    ),
    closed=Closed(where=lambda x, z: x < z, multiplied_by=("jax",)),
    analytic=False,
    rounding=EXACT,
    symbolic={np.maximum: operands_only},
    wording=Wording(aliases=["maximum"], notation=function("max", r"\max"), rule="selection"),
)

define(
    "Min",
    "x",
    fold=Fold(
        step=lambda x, y: minimum(x, y),  # noqa: PLW0108 (compiled, only a call is overloaded)
        tally=lambda x, z: select(x == z, 1.0, 0.0),
        local_gradient=lambda x, z, count, total: select(x == z, 1.0 / total, 0.0),
    ),
    kinks=Kinks(
        where=lambda total: total > 1.0,
        returned=_TIES,
        conventions=_conventions(minimum, np.less, np.greater, np.less_equal),
        one_sided=_one_sided(left_at_ties=True),
    ),
    closed=Closed(where=lambda x, z: x > z, multiplied_by=("jax",)),
    analytic=False,
    rounding=EXACT,
    symbolic={np.minimum: operands_only},
    wording=Wording(aliases=["minimum"], notation=function("min", r"\min"), rule="selection"),
)

define(
    "Sum",
    "x",
    fold=Fold(step=np.add, local_gradient=lambda x, z, count, total: 1.0),
    wording=Wording(notation=function("Sum"), rule="sum"),
)

define(
    "Mean",
    "x",
    fold=Fold(
        step=np.add,
        finish=lambda accumulated, count: accumulated / count,
        local_gradient=lambda x, z, count, total: 1.0 / count,
    ),
    wording=Wording(notation=function("mean"), rule="mean"),
)
