"""Elementwise operations of one or more operands, as in ONNX."""

from typing import Any

import numpy as np

from service.core.rulebook.notation import function
from service.core.rulebook.operation import Closed, Fold, Kinks
from service.core.rulebook.primitives import maximum, minimum, select
from service.core.rulebook.registry import Wording, define, operands_only

_TIES = "ties share the gradient equally, the least-norm choice among the subgradients"


def _first_tie_takes_all(*operands_and_value: Any) -> Any:
    *operands, z = operands_and_value
    shares, assigned = [], 0.0
    for x in operands:
        shares.append(select(x == z, 1.0 - assigned, 0.0))
        assigned = assigned + shares[-1]
    return tuple(shares)


define(
    "Max",
    "x",
    fold=Fold(
        step=lambda x, y: maximum(x, y),  # noqa: PLW0108 (compiled, only a call is overloaded)
        tally=lambda x, z: select(x == z, 1.0, 0.0),
        local_gradient=lambda x, z, count, total: select(x == z, 1.0 / total, 0.0),
    ),
    kinks=Kinks(where=lambda total: total > 1.0, returned=_TIES, conventions={"tensorflow": _first_tie_takes_all}),
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
    kinks=Kinks(where=lambda total: total > 1.0, returned=_TIES, conventions={"tensorflow": _first_tie_takes_all}),
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
