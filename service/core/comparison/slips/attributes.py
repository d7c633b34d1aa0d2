"""An attribute taken otherwise, read from the registry: epsilon, axis, keepdims, alpha, approximate …"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook.attribute import OneOf, flag, integer, number

_SMALL = (0.0, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_USUAL = (0.0, 0.01, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 2.0, -1.0)


def _variants(node: Node, rank: int) -> Iterator[tuple[str, Any]]:
    for attribute in node.operation.attributes:
        name, read, now = attribute.name, attribute.read, node.attributes.get(attribute.name)
        values: Sequence[Any] = ()
        if name == "axis":
            values = [axis for axis in range(rank) if axis % rank != (now or 0) % rank]
        elif name == "axes":
            every = [axes for count in range(1, rank + 1) for axes in combinations(range(rank), count)]
            values = [*every, None]
        elif read is flag:
            values = [1 - int(now or 0)]
        elif isinstance(read, OneOf):
            values = read.words
        elif read is number:
            values = _SMALL if "eps" in name else _USUAL
        elif read is integer:
            values = range(-1, 4)
        yield from ((name, value) for value in values if value != now)


def _attribute(evidence: Evidence) -> Guesses:
    if evidence.forward:
        yield from _values(evidence)
        return
    if len(evidence.edges) > 8 or any(edge.upstream.size > 100_000 for edge in evidence.edges):
        return
    for edge in evidence.edges:
        node = edge.consumer
        for name, value in _variants(node, max(map(np.ndim, edge.operands), default=0)):
            attributes = {**node.attributes, name: value}
            try:
                result = np.asarray(node.operation.evaluate(edge.operands, attributes), dtype=np.float64)
                if node.operation.is_elementwise:
                    slopes = node.operation.differentiate(edge.operands, result, attributes)
                    passed = edge.with_local(slopes[edge.operand_index])
                else:
                    passed = node.operation.propagate(edge.upstream, edge.operands, result, attributes)[
                        edge.operand_index
                    ]
            except (ValueError, IndexError, TypeError, ArithmeticError):
                continue
            if np.shape(passed) == evidence.expected.shape:
                yield evidence.replaced(edge, passed), _said(node, name, value)


def _values(evidence: Evidence) -> Guesses:
    node, operands = evidence.node, evidence.operands
    if not operands or sum(operand.size for operand in operands) > 1_000_000:
        return
    for name, value in _variants(node, max(map(np.ndim, operands), default=0)):
        figure = _evaluated(node, operands, {**node.attributes, name: value})
        if figure is not None and np.size(figure) == evidence.figure.size:
            yield np.reshape(figure, evidence.figure.shape), _said(node, name, value)


def _evaluated(node: Node, operands: Sequence[FloatArray], attributes: dict[str, Any]) -> FloatArray | None:
    try:
        return np.asarray(node.operation.evaluate(operands, attributes), dtype=np.float64)
    except (ValueError, IndexError, TypeError, ArithmeticError):  # the operation refuses it
        return None


def _said(node: Node, name: str, value: Any) -> str:
    now = node.attributes.get(name)
    default = next(attribute.default for attribute in node.operation.attributes if attribute.name == name)
    shown, other = (
        "all" if each is None and name == "axes" else list(each) if isinstance(each, tuple) else each
        for each in (default if now is None else now, value)
    )
    return f"The attribute {name} of {node.name!r} was taken as {other}; it is {shown}."


ATTRIBUTE_SLIPS: tuple[Slip, ...] = (("another attribute", _attribute),)
