"""Windows: what lies under them without padding, and how rules over them go through samples block by block."""

from collections import Counter
from typing import Any, ClassVar

import numpy as np
import pytest

import service.core.rulebook.operations  # noqa: F401 (fills the registry)
from service.core.graph.documents import read_attributes
from service.core.rulebook.operations.window import Window, blocks, blocks_of_steps, share_of_part, window
from service.core.rulebook.registry import operation_of

PADS = {"pads": [1, 1, 1, 1]}


def value_of(name: str, *operands: Any, **given: Any) -> Any:
    """The value of an operation at operands as they are, in their precision."""
    operation = operation_of(name)
    return operation.evaluate(operands, read_attributes(operation, given)[0])


def contributions_of(name: str, upstream: Any, value: Any, *operands: Any, **given: Any) -> Any:
    operation = operation_of(name)
    return operation.propagate(upstream, operands, value, read_attributes(operation, given)[0])


class Counting(np.ndarray):
    """An array that counts which universal functions are applied to it and to what follows from it, and in which
    precision."""

    calls: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **given: Any) -> Any:
        plain = [np.asarray(each) for each in inputs]
        if out := given.get("out"):
            given["out"] = tuple(np.asarray(each) for each in out)
        result = getattr(ufunc, method)(*plain, **given)
        Counting.calls[ufunc.__name__, result.dtype.name] += 1
        return out[0] if out else np.asarray(result).view(Counting)


def counting(*arrays: Any) -> list[Any]:
    Counting.calls.clear()
    return [array.view(Counting) for array in arrays]


def whole_numbers(random: np.random.Generator, *shape: int, dtype: Any = np.float64) -> Any:
    """Numbers whose sums and products are exact, in whatever order they are added."""
    return random.integers(-4, 5, shape).astype(dtype)


def random_window(random: np.random.Generator, axes: list[int]) -> Window | None:
    lengths, strides, dilations = (random.integers(1, most, len(axes)).tolist() for most in (4, 4, 3))
    pads, ceil_mode = random.integers(0, 3, 2 * len(axes)).tolist(), int(random.integers(2))
    slid = window(axes, lengths, strides, dilations, pads, ceil_mode=ceil_mode)
    try:
        slid.steps(axes)
    except ValueError:
        return None
    return slid


@pytest.mark.parametrize("count", [1, 2, 3])
def test_elements_and_steps_that_overlap_are_those_under_the_window(count: int) -> None:
    random, seen = np.random.default_rng(count), 0
    for _ in range(60):
        axes = random.integers(1, 6, count).tolist()
        if (slid := random_window(random, axes)) is None:
            continue
        x = random.random((2, 1, *axes))
        for along in (slice(None), slice(1, 3)):
            patches, overlaps = slid.patches(x, np.nan)[:, :, along], slid.overlaps(axes, along)
            for position, (elements, steps) in zip(np.ndindex(*slid.lengths), overlaps, strict=True):
                under = np.full(patches.shape[: 2 + count], np.nan)
                under[steps] = x[elements]
                np.testing.assert_array_equal(under, patches[(..., *position)])
        seen += 1
    assert seen > 20


def test_blocks_hold_each_row_once_and_no_more_than_said() -> None:
    rows, squares = np.arange(1000), np.arange(1000) ** 2
    for held in (0, 1, 10**6, 10**9, 10**12):
        found = list(blocks(rows, squares, held=held))
        np.testing.assert_array_equal(np.concatenate([part for part, _ in found]), rows)
        np.testing.assert_array_equal(np.concatenate([part for _, part in found]), squares)
        assert all(len(part) * held / 1000 <= 256 * 1024 or len(part) == 1 for part, _ in found)
        assert max(len(part) for part, _ in found) == share_of_part(held, 1000) * 1000
    assert not list(blocks(np.empty((0, 3)), held=0))


def test_blocks_of_steps_are_samples_or_bands_of_one_sample() -> None:
    for held in (10, 3 * 10**6, 10**8):
        seen = np.zeros((6, 1, 40, 2))
        for index in blocks_of_steps(held, 6, 40):
            seen[index] += 1
            assert held * seen[index].size / seen.size <= 256 * 1024 or seen[index].shape[0] == 1
        assert (seen == 1).all()
    assert not list(blocks_of_steps(0, 0, 40))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("operation", ["Conv", "ConvTranspose"])
def test_a_convolution_of_many_samples_is_that_of_each_in_their_precision(operation: str, dtype: Any) -> None:
    random = np.random.default_rng(0)
    x, kernel = whole_numbers(random, 5, 8, 40, 40, dtype=dtype), whole_numbers(random, 8, 4, 3, 3, dtype=dtype)
    given = {"pads": [1, 0, 2, 1], "group": 2}
    value = value_of(operation, x, kernel, **given)
    upstream = whole_numbers(random, *value.shape, dtype=dtype)
    to_x, to_kernel = contributions_of(operation, upstream, value, x, kernel, **given)
    samples = [(x[i : i + 1], value[i : i + 1], upstream[i : i + 1]) for i in range(len(x))]
    alone = [contributions_of(operation, flow, z, part, kernel, **given) for part, z, flow in samples]

    assert {value.dtype, to_x.dtype, to_kernel.dtype} == {np.dtype(dtype)}
    for part, z, _ in samples:
        np.testing.assert_array_equal(value_of(operation, part, kernel, **given), z)
    np.testing.assert_array_equal(to_x, np.concatenate([each for each, _ in alone]))
    np.testing.assert_array_equal(to_kernel, sum(each for _, each in alone))


def test_a_convolution_is_one_product_of_matrices_and_so_is_each_of_its_adjoints() -> None:
    random = np.random.default_rng(0)
    x, kernel = (whole_numbers(random, *shape, dtype=np.float32) for shape in ((2, 4, 8, 8), (6, 4, 3, 3)))
    value = value_of("Conv", *counting(x, kernel), **PADS)
    assert Counting.calls == {("matmul", "float32"): 1}

    contributions_of("Conv", *counting(np.ones_like(value), value, x, kernel), **PADS)
    assert Counting.calls["matmul", "float32"] == 2
    assert {precision for _, precision in Counting.calls} == {"float32"}


def test_a_max_pool_goes_through_x_once_for_each_position_in_the_window() -> None:
    x = np.random.default_rng(0).random((2, 3, 8, 8)).astype(np.float32)
    given = {"kernel_shape": [2, 2], "strides": [2, 2]}
    z = value_of("MaxPool", *counting(x), **given)
    assert Counting.calls == {("maximum", "float32"): 4}

    contributions_of("MaxPool", *counting(np.ones_like(z), z, x), **given)
    assert Counting.calls["equal", "bool"] == 4
    assert Counting.calls["divide", "float32"] == 1
    assert not {precision for _, precision in Counting.calls} & {"float64", "int64"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ties_of_a_max_pool_take_their_share_to_the_bit_and_the_others_nothing(dtype: Any) -> None:
    x = np.array([[[1.0, 1.0, 0.0, np.nan, 2.0, 3.0, 5.0, 5.0]]], dtype=dtype)
    given = {"kernel_shape": [2], "strides": [2]}
    upstream = np.array([[[0.1, np.nan, -np.inf, np.inf]]], dtype=dtype)
    (found,) = contributions_of("MaxPool", upstream, value_of("MaxPool", x, **given), x, **given)

    half = upstream[0, 0, 0] / dtype(2)
    np.testing.assert_array_equal(found[0, 0], np.array([half, half, 0, 0, 0, -np.inf, np.inf, np.inf], dtype=dtype))
    assert found.dtype == dtype


@pytest.mark.parametrize("name", ["MaxPool", "MaxPoolTies", "MaxPoolTangent", "MaxPoolAdjoint", "AveragePool"])
def test_pools_read_arrays_in_any_order_of_memory(name: str) -> None:
    random, given = np.random.default_rng(0), {"kernel_shape": [2, 2], "strides": [2, 2]}
    x, other = (random.integers(0, 3, (2, 3, 8, 8)).astype(float) for _ in range(2))
    z = value_of("MaxPool", x, **given)
    operands = {"MaxPoolTies": [x, z], "MaxPoolTangent": [other, x], "MaxPoolAdjoint": [z, x]}.get(name, [x])
    turned = [np.asarray(each, order="F") for each in operands]
    value = value_of(name, *operands, **given)

    np.testing.assert_array_equal(value_of(name, *turned, **given), value)
    for found, expected in zip(
        contributions_of(name, np.ones_like(value), np.asarray(value, order="F"), *turned, **given),
        contributions_of(name, np.ones_like(value), value, *operands, **given),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
