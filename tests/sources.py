"""Every operation of the registry as source code, with figures to try: what the code returns, and what we compute."""

import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.core.errors import InvalidRequest
from service.core.figures.figures import FloatArray
from service.core.graph.building import build_graph
from service.core.graph.graph import Graph, written_attribute
from service.core.rulebook.attribute import OneOf
from service.core.rulebook.operation import Operation
from service.core.source.writing import Origin, write_source
from tests.elementwise import ELEMENTWISE, attribute_samples, domains, operand_counts
from tests.tensors import TENSOR_OPERATIONS, Sample, graph_around, samples

ORIGIN = Origin("tried", 1, {})
_AT_ONCE = 8  # operations of which samples are drawn together, which is faster
# Operands of elementwise operations: some in the domain of each, and points of their pieces.
NUMBERS = (-3.0, -1.0, -0.6, -0.0, 0.0, 0.3, 0.5, 1.0, 2.5, 40.0)


def load(text: str) -> Any:
    """The function in source code, which is the last thing that it defines."""
    namespace: dict[str, Any] = {"__name__": "made"}
    exec(compile(text, "made", "exec"), namespace)
    return namespace["tried"]


def agrees(found: Any, expected: Any, most: float = 1e-11) -> bool:
    """Whether figures are equal but for rounding, in shape too."""
    ours, theirs = np.asarray(expected, dtype=np.float64), np.asarray(found, dtype=np.float64)
    if ours.shape != theirs.shape:
        return False
    scale = max(1.0, float(np.max(np.abs(ours), initial=0.0, where=np.isfinite(ours))))
    with np.errstate(invalid="ignore"):
        near = np.abs(ours - theirs) <= most * scale
    return bool(np.all(near | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))))


@cache
def elementwise_graph(language: str) -> Graph:
    """One graph of every elementwise operation that a language can say, with each of its words and some numbers.

    Its inputs are x0, x1 and x2.
    """
    nodes = [node for operation in ELEMENTWISE if not is_refused(language, operation) for node in nodes_of(operation)]
    return build_graph([*INPUTS, *nodes])


INPUTS: list[dict[str, Any]] = [{"name": f"x{i}", "operation": "Input"} for i in range(3)]


def nodes_of(operation: Operation) -> Iterator[dict[str, Any]]:
    words = all(isinstance(each.read, OneOf) for each in operation.attributes)
    for number, attributes in enumerate(attribute_samples(operation)):
        if number % 3 and not words:
            continue
        written = {name: written_attribute(value) for name, value in attributes.items()}
        for count in operand_counts(operation)[:3]:
            name, inputs = f"{operation.name}_{number}_{count}", [f"x{i}" for i in range(count)]
            yield {"name": name, "operation": operation.name, "inputs": inputs, "attributes": written}


def is_refused(language: str, operation: Operation) -> bool:
    """Whether a language has no words for an elementwise operation."""
    try:
        write_source(build_graph([*INPUTS, next(nodes_of(operation))]), language, ORIGIN)
    except InvalidRequest:
        return True
    return False


@cache
def elementwise_points() -> FloatArray:
    """Three rows of operands, each of the numbers beside each."""
    first, second = (each.ravel() for each in np.meshgrid(NUMBERS, NUMBERS))
    return np.stack([first, second, np.roll(first, 7)])


@cache
def tensor_samples(each: int) -> tuple[Sample, ...]:
    """Random samples of every operation that is not elementwise; those without elements are left out."""
    found: list[Sample] = []

    @settings(
        max_examples=each,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        found.extend(data.draw(samples(operation)) for operation in some)

    for start in range(0, len(TENSOR_OPERATIONS), _AT_ONCE):
        some = TENSOR_OPERATIONS[start : start + _AT_ONCE]
        collect()
    return tuple(sample for sample in found if all(x.size for x in sample.operands) and np.size(sample.value))


def wrong_cases(language: str, each: int, read: Any = np.asarray) -> tuple[list[str], list[str], int]:
    """The cases of the whole registry that source code gets wrong, those that are refused, and how many there are."""
    graph, points = elementwise_graph(language), elementwise_points()
    wrong, refused = [], {operation.name for operation in ELEMENTWISE if is_refused(language, operation)}
    outputs = [node for node in graph.nodes if node.name in set(graph.outputs)]
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        for node, found in zip(outputs, load(write_source(graph, language, ORIGIN))(*points), strict=True):
            operands = points[: len(node.inputs)]
            expected = np.broadcast_to(node.operation.evaluate(list(operands), node.attributes), points[0].shape)
            bounds = zip(operands, domains(node.operation, len(operands)), strict=True)
            # At a pole libraries differ, an infinity or NaN.
            tried = np.all([(low < x) | ((x == low) & np.isfinite(expected)) for x, (low, _) in bounds], axis=0)
            if not agrees(np.broadcast_to(read(found), tried.shape)[tried], expected[tried]):
                wrong.append(f"{node.name} {dict(node.attributes)}")
        for sample in tensor_samples(each):
            operation = sample.operation
            case = f"{operation.name} {[each.shape for each in sample.operands]} {dict(sample.attributes)}"
            try:
                text = write_source(graph_around(sample), language, ORIGIN)
            except InvalidRequest:
                refused.add(operation.name)
                continue
            try:
                found = read(load(text)(*sample.operands))
            except Exception as error:
                wrong.append(f"{case}: {type(error).__name__} {error}")
                continue
            if not agrees(found, sample.value):
                wrong.append(f"{case}: {np.asarray(found)!r} for {np.asarray(sample.value)!r}")
    return wrong, sorted(refused), len(outputs) + len(tensor_samples(each))
