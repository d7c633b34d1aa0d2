"""Attributes are read into canonical values, which are hashable, and written as they were."""

from typing import Any

import pytest

from service.core.graph.documents import read_attributes
from service.core.rulebook.attribute import OneOf, flag, integer, integers, numbered
from tests.tensors import operation_of


@pytest.mark.parametrize(("given", "read"), [(2, 2), (-3, -3), (2.0, 2), (-0.0, 0), (2**63 - 1, 2**63 - 1)])
def test_whole_numbers_are_read(given: object, read: int) -> None:
    assert integer(given) == read
    assert type(integer(given)) is int


@pytest.mark.parametrize("wrong", [True, 0.5, "2", None, [1], float("nan"), float("inf")])
def test_what_is_no_whole_number_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="a whole number is expected"):
        integer(wrong)


@pytest.mark.parametrize("wrong", [2**63, -(2**63) - 1, 1e300])
def test_whole_numbers_are_those_of_int64(wrong: object) -> None:
    assert integer(-(2**63)) == -(2**63)
    with pytest.raises(ValueError, match="out of int64's range"):
        integer(wrong)


@pytest.mark.parametrize(("given", "read"), [([1, 0.0], (1, 0)), ((2,), (2,)), ([], ()), (-1, (-1,))])
def test_lists_of_whole_numbers_are_read(given: object, read: tuple[int, ...]) -> None:
    assert integers(given) == read
    assert integers(integers(given)) == read


@pytest.mark.parametrize("wrong", [[1, "2"], [[1]], "12", None, {1: 2}])
def test_other_lists_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="in a list of whole numbers a whole number is expected"):
        integers(wrong)


@pytest.mark.parametrize(("given", "read"), [(0, 0), (1, 1), (True, 1), (False, 0), (1.0, 1)])
def test_flags_are_read(given: object, read: int) -> None:
    assert flag(given) == read
    assert type(flag(given)) is int


@pytest.mark.parametrize("wrong", [2, -1, 0.5, "1", None, [0]])
def test_what_is_no_flag_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="0 or 1 is expected"):
        flag(wrong)


@pytest.mark.parametrize("wrong", [3, -1, 0.5, "1", None])
def test_what_numbers_none_of_the_outputs_is_refused(wrong: object) -> None:
    assert [numbered(3)(number) for number in (0, 1.0, 2)] == [0, 1, 2]
    with pytest.raises(ValueError, match="a whole number"):
        numbered(3)(wrong)


@pytest.mark.parametrize("wrong", ["Edge", 1, None, ["edge"]])
def test_a_word_is_one_of_some(wrong: Any) -> None:
    read = OneOf(("edge", "wrap"))
    assert read("wrap") == "wrap"
    with pytest.raises(ValueError, match="one of 'edge', 'wrap' is expected"):
        read(wrong)


@pytest.mark.parametrize("scales", [[0.0], [-1.0], [2.0, "Infinity"], ["NaN"]])
def test_scales_of_a_size_are_finite_and_positive(scales: list[Any]) -> None:
    _, faults = read_attributes(operation_of("Resize"), {"scales": scales})
    assert [fault.detail for fault in faults] == ["scales are finite and greater than 0"]
