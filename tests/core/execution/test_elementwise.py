"""Elementwise rules block by block: the same bits as over whole arrays, and small arrays on the way."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from service.core.execution import elementwise
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import Figures
from service.core.graph.building import build_graph
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from service.core.rulebook.work import BLOCK, is_in_blocks
from tests.elementwise import EXTREMES, attribute_samples, each_elementwise, operand_counts

COUNT = 2 * BLOCK + 100


def passes(
    operation: Operation, count: int, attributes: Mapping[str, object], dtype: str, numbers: int
) -> tuple[Figures, Figures]:
    """Both passes over `count` operands, of which the last `numbers` are one number each."""
    random = np.random.default_rng(3)
    pool = np.concatenate([np.repeat(EXTREMES, 40), random.normal(scale=3.0, size=5000)])
    shapes = [(COUNT,)] * (count - numbers) + [()] * numbers
    nodes: list[dict[str, object]] = [
        {"name": f"x{index}", "operation": "Input", "attributes": {"dtype": dtype}} for index in range(count)
    ]
    names = [node["name"] for node in nodes]
    nodes.append({"name": "y", "operation": operation.name, "inputs": names, "attributes": attributes})
    nodes.append({"name": "loss", "operation": "ReduceMean", "inputs": ["y"], "attributes": {"keepdims": 0}})
    graph = build_graph(nodes)
    inputs = {f"x{index}": np.asarray(random.choice(pool, shape)) for index, shape in enumerate(shapes)}
    values = forward_pass(graph, inputs)
    return values, backward_pass(graph, values, "loss")


@each_elementwise
@pytest.mark.slow
def test_blocks_give_the_same_bits_as_whole_arrays(operation: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = list(attribute_samples(operation))[-1]
    cases = [
        (count, dtype, numbers)
        for count in operand_counts(operation)[:2]
        for dtype in ("float64", "float32")
        for numbers in range(min(2, count))
    ]
    in_blocks = [passes(operation, count, attributes, dtype, numbers) for count, dtype, numbers in cases]
    monkeypatch.setattr(elementwise, "is_in_blocks", lambda shapes: False)
    for (count, dtype, numbers), found in zip(cases, in_blocks, strict=True):
        whole = passes(operation, count, attributes, dtype, numbers)
        for some, others in zip(found, whole, strict=True):
            np.testing.assert_array_equal(some.flat, others.flat)
            assert (np.signbit(some.flat) == np.signbit(others.flat))[~np.isnan(some.flat)].all()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The lengths of the arrays that rules are given."""
    lengths: list[int] = []
    evaluate, differentiate = Operation.evaluate, Operation.differentiate

    def record(self: Operation, operands: list[object], *given: object) -> object:
        lengths.append(max(map(np.size, operands)))  # type: ignore[arg-type]
        return (evaluate if len(given) == 1 else differentiate)(self, operands, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Operation, "evaluate", record)
    monkeypatch.setattr(Operation, "differentiate", record)
    yield lengths


def test_a_rule_of_several_functions_is_given_a_block_at_a_time(seen: list[int]) -> None:
    gelu, x = operation_of("Gelu"), np.linspace(-5.0, 5.0, COUNT)
    attributes = {"approximate": "none"}
    z = elementwise.evaluate(gelu, [x], attributes, np.float64)
    elementwise.contributions(gelu, np.ones(COUNT), [x], z, attributes, [np.float64])
    assert max(seen) == BLOCK


def test_a_sum_passes_its_gradient_on_without_a_copy() -> None:
    x, upstream = np.ones(COUNT), np.full(COUNT, 0.5)
    found = elementwise.contributions(operation_of("Add"), upstream, [x, x], x + x, {}, [np.float64, None])
    assert found[1] is None and np.shares_memory(found[0], upstream)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(2 * BLOCK,)], True),
        ([(2 * BLOCK - 1,)], False),
        ([(2, BLOCK), (), (2, BLOCK)], True),
        ([(2, BLOCK), (BLOCK,)], False),
        ([(), ()], False),
    ],
)
def test_blocks_are_for_large_arrays_of_one_shape_and_numbers(shapes: list[tuple[int, ...]], expected: bool) -> None:
    assert is_in_blocks(shapes) is expected
