"""The rulebook compiled: what Numba needs to know so that it takes the rules, unchanged, over scalars."""

from typing import Any

from numba.extending import overload

from service.core.operation import Rule, select


def _branch(condition: Any, x: Any, y: Any) -> Rule:
    """How `select` is compiled: one branch is computed, where `np.where` over arrays computes both."""
    return lambda condition, x, y: x if condition else y


overload(select)(_branch)
