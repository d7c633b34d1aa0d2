"""The registry's operations that are not elementwise, each as a test parameter, with random operands.

Which shapes and attributes go together depends on the operation: the modules `tests/*_cases.py` register a strategy for
each operation with `draws`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import service.core.rulebook.operations  # noqa: F401 (fills the registry)
from service.core.figures.figures import FloatArray, Shape
from service.core.graph.building import build_graph
from service.core.graph.documents import read_attributes
from service.core.graph.graph import Graph, written_attribute
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import find, operations

TENSOR_OPERATIONS = tuple(operation for operation in operations() if operation.contributions)

each_tensor_operation = pytest.mark.parametrize("operation", TENSOR_OPERATIONS, ids=lambda operation: operation.name)

each_analytic_tensor_operation = pytest.mark.parametrize(
    "operation",
    [operation for operation in TENSOR_OPERATIONS if operation.analytic],
    ids=lambda operation: operation.name,
)

# Shapes of operands, or operands themselves (indices); and attributes as a node document gives them.
Drawn = tuple[Sequence[Shape | FloatArray], dict[str, Any]]
Drawing = Callable[[st.DrawFn], Drawn]

_drawings: dict[str, Drawing] = {}


def draws(*names: str) -> Callable[[Drawing], Drawing]:
    """Register a strategy for the shapes of operands and the attributes of these operations."""

    def enter(drawing: Drawing) -> Drawing:
        _drawings.update(dict.fromkeys(names, drawing))
        return drawing

    return enter


@cache
def drawings() -> Mapping[str, Drawing]:
    """The registered strategies, by operation."""
    for module in Path(__file__).parent.glob("*_cases.py"):
        import_module(f"tests.{module.stem}")
    return _drawings


@dataclass(frozen=True)
class Sample:
    """An operation with operands that it accepts."""

    operation: Operation
    operands: tuple[FloatArray, ...]
    attributes: Attributes

    @property
    def value(self) -> Any:
        """The operation's value."""
        return self.operation.evaluate(self.operands, self.attributes)

    def moved(self, position: int, operand: FloatArray) -> Any:
        """The value with one operand replaced."""
        return self.operation.evaluate(
            [*self.operands[:position], operand, *self.operands[position + 1 :]], self.attributes
        )

    @property
    def differentiable(self) -> list[int]:
        """The indices of the operands that are not index operands."""
        indices = (*self.operation.indices, *[False] * len(self.operands))
        return [position for position in range(len(self.operands)) if not indices[position]]


def lengths(least: int = 0, most: int = 4) -> st.SearchStrategy[int]:
    """The length of an axis; sometimes 0, if allowed."""
    return st.sampled_from([length for length in (2, 3, 1, 4, 0) if least <= length <= most])


def shapes(least: int = 0, most: int = 3, shortest: int = 0) -> st.SearchStrategy[Shape]:
    """A shape of `least` to `most` axes."""
    ranks = st.sampled_from(range(least, most + 1))
    return ranks.flatmap(lambda rank: st.tuples(*[lengths(shortest)] * rank))


@st.composite
def arrays(draw: st.DrawFn, shape: Shape) -> FloatArray:
    """An array of that shape, contiguous or not, of numbers between -2 and 2, no two of them alike."""
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    size = math.prod(shape)
    # Apart from each other and from 0, so that finite differences cross no kink.
    magnitudes = generator.permutation(np.linspace(0.3, 2.0, size)) if size > 1 else generator.uniform(0.3, 2.0, size)
    row = magnitudes * generator.choice([-1.0, 1.0], size)
    layout = draw(st.sampled_from(["rows", "columns", "every other"]))
    array = np.reshape(row, shape)
    if layout == "columns" and array.ndim:
        return np.asfortranarray(array)
    if layout == "every other" and array.ndim:
        return np.repeat(array, 2, axis=-1)[..., ::2]
    return array


@st.composite
def samples(draw: st.DrawFn, operation: Operation) -> Sample:
    """An operation with random operands that it accepts."""
    drawn, given = drawings()[operation.name](draw)
    attributes, faults = read_attributes(operation, given)
    assert not faults, (operation.name, given, faults)
    operands = [draw(arrays(one)) if isinstance(one, tuple) else one for one in drawn]
    return Sample(operation, tuple(operands), attributes)


def graph_around(sample: Sample) -> Graph:
    """An Input for each operand, and the operation, named z."""
    names = [f"x{position}" for position in range(len(sample.operands))]
    attributes = {name: written_attribute(value) for name, value in sample.attributes.items()}
    node = {"name": "z", "operation": sample.operation.name, "inputs": names, "attributes": attributes}
    return build_graph([*({"name": name, "operation": "Input"} for name in names), node])


def operation_of(name: str) -> Operation:
    """The operation of that name or alias."""
    found = find(name)
    assert found is not None
    return found


def evaluate(name: str, *operands: Any, **given: Any) -> FloatArray:
    """The value of an operation, attributes given as in a node document."""
    operation = operation_of(name)
    attributes, faults = read_attributes(operation, given)
    assert not faults, faults
    arrays = [np.asarray(operand, dtype=np.float64) for operand in operands]
    operation.infer_shape([array.shape for array in arrays], attributes)
    return np.asarray(operation.evaluate(arrays, attributes))


def propagate(name: str, upstream: Any, *operands: Any, **given: Any) -> Sequence[Any]:
    """The contributions of an operation."""
    operation = operation_of(name)
    attributes, _ = read_attributes(operation, given)
    arrays = [np.asarray(operand, dtype=np.float64) for operand in operands]
    value = np.asarray(operation.evaluate(arrays, attributes))
    return operation.propagate(np.broadcast_to(np.asarray(upstream, float), value.shape), arrays, value, attributes)
