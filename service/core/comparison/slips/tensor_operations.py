"""Another tensor operation: mean for max, softmax applied twice, a kernel flipped, a bias added twice."""

from collections.abc import Iterator

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip, apply, function_name
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import operation_of

# Operations that are taken for one another.
_FAMILIES = (
    ("ReduceMax", "ReduceMin", "ReduceSum", "ReduceMean"),
    ("ReduceVar", "ReduceStd"),
    ("MaxPool", "AveragePool"),
    ("GlobalMaxPool", "GlobalAveragePool"),
    ("Softmax", "LogSoftmax"),
    ("CumSum", "CumProd"),
)
_MOST_ELEMENTS = 1_000_000
_MOST_SUMMANDS = 64


def _others(node: Node) -> Iterator[tuple[Operation, Attributes]]:
    """The operations that the node's may be taken for, with its attributes as far as they have them."""
    for family in _FAMILIES:
        for name in family if node.operation.name in family else ():
            if name != node.operation.name:
                other = operation_of(name)
                known = {each.name: node.attributes.get(each.name, each.default) for each in other.attributes}
                yield other, known


def _other_operation(evidence: Evidence) -> Guesses:
    node = evidence.node
    if evidence.operands and evidence.operands[0].size <= _MOST_ELEMENTS:
        for other, attributes in _others(node):
            said = f"{function_name(other)} was taken for {function_name(node.operation)}."
            yield other.evaluate(evidence.operands, attributes), said
    for edge in evidence.edges:
        if edge.local is None and edge.operands[0].size <= _MOST_ELEMENTS:
            for other, attributes in _others(edge.consumer):
                value = other.evaluate(edge.operands, attributes)
                gradient = other.propagate(edge.upstream, edge.operands, value, attributes)[0]
                taken, right = function_name(other), function_name(edge.consumer.operation)
                yield evidence.replaced(edge, gradient), f"The gradient of {taken} was taken for that of {right}."


def _applied_twice(evidence: Evidence) -> Guesses:
    """An operation of one tensor that keeps its shape, such as softmax."""
    node = evidence.node
    if _keeps_shape(node, evidence.operands, evidence.expected) and evidence.forward:
        yield apply(node, [evidence.expected]), f"{function_name(node.operation)} was applied twice."
    for edge in evidence.edges:
        if _keeps_shape(edge.consumer, edge.operands, edge.value):
            operation, attributes = edge.consumer.operation, edge.consumer.attributes
            again = apply(edge.consumer, [edge.value])
            between = operation.propagate(edge.upstream, [edge.value], again, attributes)[0]
            gradient = operation.propagate(between, edge.operands, edge.value, attributes)[0]
            said = f"{function_name(operation)} was applied twice: the gradient is that of both."
            yield evidence.replaced(edge, gradient), said
            yield (
                evidence.replaced(edge, between),
                f"{function_name(operation)} was applied twice: its derivative was taken at {edge.spoken}, which is "
                f"{function_name(operation)} already.",
            )


def _keeps_shape(node: Node, operands: tuple[FloatArray, ...], value: FloatArray) -> bool:
    if len(operands) != 1 or node.operation.is_elementwise or value.size > _MOST_ELEMENTS:
        return False
    return bool(value.ndim) and operands[0].shape == value.shape


def _kernel_flipped(evidence: Evidence) -> Guesses:
    node = evidence.node
    if node.operation.name == "Conv" and evidence.operands:
        yield (
            apply(node, _with_flipped_kernel(evidence.operands)),
            f"The kernel {evidence.names[1]} was flipped: Conv slides it over {evidence.names[0]} as it is.",
        )
    for edge in evidence.edges:
        if edge.consumer.operation.name != "Conv" or edge.operand_index > 1:
            continue
        kernel = edge.names[1]
        if edge.operand_index:
            said = f"It is flipped: the gradient of the kernel {kernel} has the kernel's own order."
            yield evidence.replaced(edge, _flipped(edge.contribution)), said
        else:
            operands = _with_flipped_kernel(edge.operands)
            given = edge.consumer.operation.propagate(edge.upstream, operands, edge.value, edge.consumer.attributes)
            yield (
                evidence.replaced(edge, given[0]),
                f"The kernel {kernel} was not flipped: the gradient slides it over {edge.upstream_of(evidence.output)} "
                "in the reverse order.",
            )


def _with_flipped_kernel(operands: tuple[FloatArray, ...]) -> list[FloatArray]:
    return [operands[0], _flipped(operands[1]), *operands[2:]]


def _flipped(kernel: FloatArray) -> FloatArray:
    return np.flip(kernel, tuple(range(2, kernel.ndim)))


def _bias(node: Node) -> list[int]:
    """Which operands are added to the rest."""
    if node.operation.name in ("Add", "Sum"):
        return list(range(len(node.inputs))) if len(node.inputs) <= _MOST_SUMMANDS else []
    names = node.operation.operands[: len(node.inputs)]
    return [place for place, name in enumerate(names) if name in ("bias", "c")]


def _added_twice(evidence: Evidence) -> Guesses:
    for place in _bias(evidence.node) if evidence.forward and evidence.operands else ():
        operands = list(evidence.operands)
        operands[place] = 2.0 * operands[place]
        yield apply(evidence.node, operands), f"{evidence.names[place]} was added twice."


def _bias_left_out(evidence: Evidence) -> Guesses:
    node, last = evidence.node, len(evidence.operands) - 1
    if evidence.forward and node.operation.optional and last >= node.operation.least_inputs and last in _bias(node):
        yield apply(node, evidence.operands[:-1]), f"The operand {evidence.names[-1]} was left out."


TENSOR_OPERATION_SLIPS: tuple[Slip, ...] = (
    ("another operation", _other_operation),
    ("applied twice", _applied_twice),
    ("kernel flipped", _kernel_flipped),
    ("counted twice", _added_twice),
    ("operand left out", _bias_left_out),
)
