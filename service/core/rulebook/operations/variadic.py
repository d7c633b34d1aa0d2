"""Elementwise operations of one or more operands, as in ONNX."""

from typing import Any

import numpy as np

from service.core.rulebook.notation import function
from service.core.rulebook.operation import Closed, Fold, Kinks, Rule
from service.core.rulebook.primitives import maximum, minimum, select
from service.core.rulebook.registry import Wording, define, operands_only

_TIES = "ties share the gradient equally, the least-norm choice among the subgradients"


def _nested(choose: Rule, share: Rule) -> Rule:
    """Return the local gradients of a library that takes the operands two at a time, from left to right.

    share(a, b) returns the local gradients of choose(a, b) with respect to a and to b.
    """

    def local_gradients(first: Any, *others_and_value: Any) -> Any:
        chosen, shares = first, list[Any]()
        for x in others_and_value[:-1]:
            kept, taken = share(chosen, x)
            shares = [*(each * kept for each in shares), taken] if shares else [kept, taken]
            chosen = choose(chosen, x)
        return tuple(shares) or (1.0,)

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
    ),
    closed=Closed(where=lambda x, z: x < z, multiplied_by=("jax",)),
    analytic=False,
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
    ),
    closed=Closed(where=lambda x, z: x > z, multiplied_by=("jax",)),
    analytic=False,
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
