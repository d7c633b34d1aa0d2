"""The rulebook's branch over many numbers, and the gate of tanh-gelu on both sides."""

import numpy as np
import pytest

from service.core.rulebook.gaussian import exact_product, exact_square, gelu_gate, gelu_gates
from service.core.rulebook.primitives import choose, select
from tests.elementwise import EXTREMES

MANY = np.random.default_rng(0).choice([*EXTREMES, -0.0, 0.25, 7.0], 10_000)


def bits(array: np.ndarray) -> tuple[str, bytes]:
    """What tells every two arrays apart."""
    return array.dtype.name, array.tobytes()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.complex128])
@pytest.mark.parametrize("sides", ["arrays", "an array and a number", "numbers", "a row"])
def test_select_gives_the_bits_of_where(sides: str, dtype: type) -> None:
    with np.errstate(over="ignore"):
        x, y = MANY.astype(dtype), MANY[::-1].astype(dtype)
    given = {"arrays": (x, y), "an array and a number": (x, -0.0), "numbers": (1.0, 0.0), "a row": (x, y[:1])}[sides]
    for condition in (MANY > 0.0, np.zeros(len(MANY), dtype=bool), np.ones(len(MANY), dtype=bool)):
        assert bits(select(condition, *given)) == bits(np.where(condition, *given))


def test_select_does_not_branch_on_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.where(MANY > 0.0, MANY, 0.0)
    monkeypatch.setattr(np, "where", None)
    assert bits(select(MANY > 0.0, MANY, 0.0)) == bits(expected)


def test_of_a_condition_on_an_attribute_one_function_is_called() -> None:
    assert choose(True, np.exp, lambda x: 1 / 0, 0.0) == choose(False, lambda x: 1 / 0, np.exp, 0.0) == 1.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_both_gates_at_once_have_the_bits_of_each(dtype: type) -> None:
    with np.errstate(all="ignore"):
        x = MANY.astype(dtype)
        gate, opposite = gelu_gates(x)
        assert bits(gate) == bits(gelu_gate(x)) and bits(opposite) == bits(gelu_gate(-x))


def test_a_square_and_what_it_lacks_are_those_of_the_product() -> None:
    x = np.random.default_rng(0).normal(scale=10.0, size=1000)
    assert [bits(each) for each in exact_square(x)] == [bits(each) for each in exact_product(x, x)]
    assert np.any(exact_square(x)[1])
    assert not np.any(exact_square(x.astype(np.float32))[1])
