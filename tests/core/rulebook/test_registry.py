"""The registry: names, aliases, bounds, and what `define` and attributes refuse."""

import math

import numpy as np
import pytest

import service.core.rulebook.operations  # noqa: F401 (fills the registry)
from service.core.rulebook import registry
from service.core.rulebook.attribute import number
from service.core.rulebook.registry import Wording, define, find, operations


def test_every_name_and_alias_finds_its_operation() -> None:
    for operation in operations():
        assert find(operation.name) is operation
        assert [find(alias) for alias in operation.aliases] == [operation] * len(operation.aliases)
    assert find("ADD") is None


def test_names_in_lower_case_are_aliases() -> None:
    lower = {operation.name for operation in operations() if find(operation.name.lower()) is operation}
    assert {operation.name for operation in operations()} - lower == {"Sum"}  # `sum` is kept for ReduceSum


@pytest.mark.parametrize(
    ("signs", "name"),
    [
        (["+"], "Add"),
        (["-", "−"], "Sub"),
        (["*", "×", "·"], "Mul"),
        (["/", "÷"], "Div"),
        (["^", "**"], "Pow"),
        (["=="], "Equal"),
        (["!=", "≠"], "NotEqual"),
        (["<"], "Less"),
        (["<=", "≤"], "LessOrEqual"),
        ([">"], "Greater"),
        ([">=", "≥"], "GreaterOrEqual"),
    ],
)
def test_the_signs_that_people_write_are_aliases(signs: list[str], name: str) -> None:
    assert [find(sign) for sign in signs] == [find(name)] * len(signs)


def test_rules_are_called_as_people_call_them() -> None:
    called = {
        operation.name: [
            operation.rule_name(operand_index, beside)
            for operand_index in range(len(operation.operands))
            for beside in (False, True)
        ]
        for operation in operations()
    }
    assert called["Add"] == ["sum"] * 4
    assert called["Mul"] == ["product", "constant multiple"] * 2
    assert called["Div"] == ["quotient", "constant multiple", "quotient", "reciprocal"]
    assert called["Pow"] == ["power", "power", "exponential", "exponential"]
    assert called["Exp"] == ["exponential"] * 2
    assert called["Sin"] == called["Sigmoid"] == ["chain"] * 2
    assert find("Sum").rule_name(7) == "sum"  # type: ignore[union-attr]
    assert all(name for names in called.values() for name in names)


def test_the_number_of_inputs() -> None:
    bounds = {operation.name: (operation.least_inputs, operation.most_inputs) for operation in operations()}
    assert [bounds[name] for name in ("Input", "Exp", "Div", "Where", "Max")] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (1, None),
    ]


@pytest.fixture
def own_rulebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the rulebook that a test may write into."""
    for entries in ("_by_name", "_by_alias", "_by_function"):
        monkeypatch.setattr(registry, entries, dict(getattr(registry, entries)))


@pytest.mark.usefixtures("own_rulebook")
def test_define_enters_an_operation_under_all_its_names() -> None:
    cube = define(
        "Cube", "x", forward=lambda x: x**3, local_gradients=lambda x, z: (3 * x**2,), wording=Wording(aliases=["³"])
    )
    assert [find(name) for name in ("Cube", "cube", "³")] == [cube] * 3
    assert operations()[-1] is cube
    assert cube.evaluate([np.float64(2.0)]) == 8.0
    assert cube.is_nondifferentiable([np.float64(2.0)], 8.0) is False


@pytest.mark.usefixtures("own_rulebook")
@pytest.mark.parametrize(
    ("name", "aliases", "wrong"),
    [
        ("Tanh", [], "Tanh already stands for Tanh"),
        ("TANH", [], "tanh already stands for Tanh"),
        ("Plus", ["+"], r"\+ already stands for Add"),
    ],
)
def test_define_refuses_a_name_that_is_taken(name: str, aliases: list[str], wrong: str) -> None:
    before = operations()
    with pytest.raises(ValueError, match=wrong):
        define(name, "x", forward=np.tanh, wording=Wording(aliases=aliases))
    assert operations() == before
    assert find("plus") is None


def test_what_is_given_has_no_rule() -> None:
    operation = find("Input")
    assert operation is not None
    with pytest.raises(TypeError, match="its value is given"):
        operation.evaluate([])


@pytest.mark.parametrize(
    ("given_number", "read"),
    [(2, 2.0), (-0.5, -0.5), ("Infinity", math.inf), ("-Infinity", -math.inf), (2**70, 2.0**70), ("NaN", math.nan)],
)
def test_numbers_are_read(given_number: object, read: float) -> None:
    assert number(given_number) == pytest.approx(read, nan_ok=True)
    assert type(number(given_number)) is float


@pytest.mark.parametrize("wrong", [True, "5", "nan", None, [1], 1j])
def test_what_is_no_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="a number is expected"):
        number(wrong)


def test_a_whole_number_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="out of float64's range"):
        number(10**400)
