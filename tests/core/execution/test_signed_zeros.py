"""Zeros have the same sign in the compiled loop, in the array loop and in batches, on every elementwise operation."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from service.core.execution import batches, kernel
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import find
from tests.elementwise import attribute_samples, each_elementwise, operand_counts
from tests.passes import array_loop

ZEROS = (-0.0, 0.0)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    kernel.warm()
    yield


def samples(operation: Operation) -> Iterator[tuple[Graph, FloatArray]]:
    """A graph of one node for each choice of attributes and number of operands, and every row of operands out of ±0."""
    for attributes in (*attribute_samples(operation), *zero_attributes(operation)):
        for count in operand_counts(operation)[:3]:
            names = [f"x{number}" for number in range(count)]
            node = {"name": "y", "operation": operation.name, "inputs": names, "attributes": attributes}
            documents = [{"name": name, "operation": "Input"} for name in names]
            yield build_graph([*documents, node]), np.array(list(product(ZEROS, repeat=count)))


def zero_attributes(operation: Operation) -> Iterator[Attributes]:
    """Each number among the attributes at ±0."""
    names = [attribute.name for attribute in operation.attributes if isinstance(attribute.default, float)]
    for chosen in product(ZEROS, repeat=len(names)) if names else ():
        yield dict(zip(names, chosen, strict=True))


def both_passes(graph: Graph, operands: FloatArray) -> list[tuple[Any, ...]]:
    """The value of y and the gradient of every node, at operands in one row or in columns."""
    inputs = dict(zip(graph.inputs, np.ascontiguousarray(operands.T), strict=True))
    values = forward_pass(graph, inputs)
    return [*values, *backward_pass(graph, values, "y")]


def signs_and_bits(figures: Any) -> Any:
    """The bits of each figure, all NaN being one."""
    figures = np.asarray(figures, dtype=np.float64)
    return np.where(np.isnan(figures), np.nan, figures).view(np.int64)


@each_elementwise
def test_both_loops_and_batches_agree_on_signed_zeros_bit_for_bit(
    operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for graph, rows in samples(operation):
        compiled = np.array([both_passes(graph, row) for row in rows])
        with array_loop():
            one_by_one = np.array([both_passes(graph, row) for row in rows])
        whole = np.array(both_passes(graph, rows)).T
        many = np.tile(rows, (20, 1))  # so many that NumPy takes several at once
        with monkeypatch.context() as patch:
            patch.setattr(batches, "_MIN_BLOCK_POINTS", 16)
            patch.setattr(batches, "_BLOCK_NUMBERS", 1)
            in_blocks = np.array(both_passes(graph, many)).T
        for found in (one_by_one, whole, *in_blocks.reshape(20, *whole.shape)):
            np.testing.assert_array_equal(signs_and_bits(found), signs_and_bits(compiled), str(graph.nodes[-1]))


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("Relu", [-0.0], 0.0),
        ("Sign", [-0.0], 0.0),
        ("Max", [-0.0, 0.0], 0.0),
        ("Max", [0.0, -0.0], 0.0),
        ("Max", [-0.0, -0.0], -0.0),
        ("Max", [-0.0, -5.0], -0.0),
        ("Min", [-0.0, 0.0], -0.0),
        ("Min", [0.0, -0.0], -0.0),
        ("Min", [0.0, 0.0], 0.0),
        ("Min", [-0.0, 5.0], -0.0),
        ("Max", [np.nan, 0.0], np.nan),
        ("Min", [-0.0, np.nan], np.nan),
    ],
)
def test_of_two_zeros_the_positive_is_the_greater(name: str, operands: list[float], expected: float) -> None:
    operation = find(name)
    assert operation is not None
    found = [
        operation.evaluate([np.float64(x) for x in operands]),
        *operation.evaluate([np.full(9, x) for x in operands]),
    ]
    assert set(signs_and_bits(found)) == {signs_and_bits(expected)[()]}


@pytest.mark.parametrize(
    ("x", "expected"), [(-0.0, 0.0), (0.0, 0.0), (-np.inf, np.inf), (np.inf, np.inf), (4.0, 2.0), (-1.0, np.nan)]
)
def test_to_the_power_one_half_every_loop_has_the_same_figure(x: float, expected: float) -> None:
    graph = build_graph(
        [
            *({"name": name, "operation": "Input"} for name in "xy"),
            {"name": "z", "operation": "Pow", "inputs": ["x", "y"]},
        ]
    )
    for xs, ys in [(np.array(x), 0.5), (np.full(9, x), 0.5), (np.array(x), [0.5] * 9), (np.full(9, x), [0.5] * 9)]:
        inputs = {"x": xs, "y": np.array(ys)}
        found = [forward_pass(graph, inputs)[2]]
        with array_loop():
            found.append(forward_pass(graph, inputs)[2])
        for figure in found:
            assert set(np.ravel(signs_and_bits(figure)).tolist()) == {signs_and_bits(expected)[()]}


@pytest.mark.parametrize("seed", [-0.0, 0.0, -1.0])
def test_a_batch_keeps_the_sign_of_a_gradient_of_zero(seed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_MIN_BLOCK_POINTS", 16)
    monkeypatch.setattr(batches, "_BLOCK_NUMBERS", 1)
    nodes = [{"name": name, "operation": "Input"} for name in "xyz"]
    nodes += [
        {"name": "n", "operation": "Neg", "inputs": ["x"]},
        {"name": "F", "operation": "Identity", "inputs": ["n"]},
        {"name": "w", "operation": "Add", "inputs": ["y", "z"]},
    ]
    graph = build_graph(nodes, ["F"])
    for x in (0.0, 1.0):
        alone = backward_pass(graph, forward_pass(graph, {name: np.array(x) for name in "xyz"}), "F", seed)
        wide = {"x": np.array(x), "y": np.full(64, x), "z": np.array(x)}
        batch = backward_pass(graph, forward_pass(graph, wide), "F", seed)
        assert [signs_and_bits(batch[position]).ravel()[0] for position in range(len(graph))] == [
            signs_and_bits(alone[position])[()] for position in range(len(graph))
        ]
