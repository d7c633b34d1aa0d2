"""The rulebook compiled: what Numba needs to know so that it takes the rules, unchanged, over scalars."""

from numba.extending import overload

from service.core.operation import select

# Compiled, only the branch that holds is computed, where `np.where` over arrays computes both.
overload(select)(lambda condition, x, y: lambda condition, x, y: x if condition else y)
