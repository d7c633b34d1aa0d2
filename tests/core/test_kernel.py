"""The rules compiled by Numba, unchanged, over scalars: the same figures as over arrays."""

from collections.abc import Sequence

import numpy as np
from numba import njit

from service.core import kernel  # noqa: F401 (teaches Numba `select`)
from service.core.operation import Operation, Rule
from tests.elementwise import EXTREMES, attribute_samples, each_elementwise, grid


def compiled(rule: Rule) -> Rule:
    """The rule as Numba compiles it; a NumPy function is called, as the kernel will."""
    if not isinstance(rule, np.ufunc):
        return njit(error_model="numpy")(rule)
    calls: dict[int, Rule] = {1: lambda x: rule(x), 2: lambda x, y: rule(x, y)}  # noqa: PLW0108 (Numba wants functions)
    return njit(error_model="numpy")(calls[rule.nin])


def assert_compiled_agrees(rule: Rule, arguments: Sequence[Sequence[float | str]]) -> None:
    """Numba's figures over scalars are NumPy's over arrays, up to the last digits of the library behind each."""
    columns = [np.array(column) for column in zip(*arguments, strict=True)]
    over_arrays = rule(*(column if column.dtype.kind == "U" else column.astype(np.float64) for column in columns))
    scalar_rule = compiled(rule)
    over_scalars = np.multiply([scalar_rule(*row) for row in arguments], 1.0)
    if isinstance(over_arrays, tuple):
        over_arrays = np.stack([np.broadcast_to(each, len(arguments)) for each in over_arrays], axis=1)
    expected = np.broadcast_to(over_arrays, over_scalars.shape)
    np.testing.assert_allclose(over_scalars, expected, rtol=1e-13, atol=1e-320)


@each_elementwise
@np.errstate(all="ignore")
def test_numba_compiles_the_rules_unchanged(operation: Operation) -> None:
    if fold := operation.fold:
        assert_compiled_agrees(fold.step, grid(2))
        assert_compiled_agrees(fold.tally, grid(2))
        assert_compiled_agrees(fold.finish, [(x, count) for x in EXTREMES for count in (1, 2, 5)])
        arguments = [(x, z, count, total) for x, z in grid(2) for count, total in [(1, 1), (3, 1), (3, 2), (5, 3)]]
        assert_compiled_agrees(fold.local_gradient, arguments)
        if operation.nondifferentiable:
            assert_compiled_agrees(operation.nondifferentiable, [(total,) for total in (1, 2, 3)])
        return
    operands, with_value = [], []
    for attributes in attribute_samples(operation):
        rows = grid(len(operation.operands))
        values = np.multiply(operation.evaluate(np.array(rows).T, attributes), 1.0)
        operands += [(*row, *attributes.values()) for row in rows]
        with_value += [(*row, value, *attributes.values()) for row, value in zip(rows, values, strict=True)]
    assert operation.local_gradients is not None
    assert_compiled_agrees(operation.forward, operands)
    assert_compiled_agrees(operation.local_gradients, with_value)
    if operation.nondifferentiable:
        assert_compiled_agrees(operation.nondifferentiable, with_value)
