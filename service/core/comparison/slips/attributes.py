"""An attribute taken otherwise, read from the registry: epsilon, axis, keepdims, alpha, approximate …"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations, product
from math import prod
from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.comparison.spoken_names import quoted
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Node
from service.core.rulebook.attribute import LARGEST_INTEGER, OneOf, flag, integer, number

_SMALL = (0.0, 1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Axes that are permuted, ways to share pads between the two sides, and elements that are convolved so often, at most.
_MOST_AXES, _MOST_PADS, _MOST_CONVOLVED = 4, 64, 50_000
_USUAL = (0.0, 0.01, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 2.0, -1.0)


def _variants(node: Node, operands: Sequence[FloatArray]) -> Iterator[dict[str, Any]]:
    """Other values of one attribute, or of two that are often mistaken together."""
    rank = max(map(np.ndim, operands), default=0)
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
        elif name == "perm":
            values = list(permutations(range(rank))) if rank <= _MOST_AXES else []
        elif name == "equation":
            values = list(_equations(str(now)))
        yield from ({name: value} for value in values if value != now)
    if "kernel_shape" in node.attributes and sum(operand.size for operand in operands) <= _MOST_CONVOLVED:
        yield from _windows(node, operands)
    if "starts" in node.attributes:
        shifted = [{name: _moved(node.attributes[name], by) for name in ("starts", "ends")} for by in (-1, 1)]
        yield from shifted


def _windows(node: Node, operands: Sequence[FloatArray]) -> Iterator[dict[str, Any]]:
    """Other windows of a convolution or a pool: pads on the other side, other steps, dilated with pads to match."""
    axes = max(map(np.ndim, operands)) - 2
    steps, spread = (node.attributes[name] or (1,) * axes for name in ("strides", "dilations"))
    pads = node.attributes["pads"] or (0,) * 2 * axes
    before, after = pads[:axes], pads[axes:]
    shares = [range(one + other + 1) for one, other in zip(before, after, strict=True)]
    if prod(map(len, shares)) <= _MOST_PADS:
        for share in product(*shares):
            rest = tuple(one + other - own for one, other, own in zip(before, after, share, strict=True))
            if share != before:
                yield {"pads": (*share, *rest)}
    lengths = node.attributes["kernel_shape"] or operands[1].shape[2:]
    for count in (1, 2, 3):
        each = (count,) * axes
        if each != steps:
            yield {"strides": each}
        if each != spread:
            # The window is wider by this much, which pads on both sides may make up for.
            wider = [(length - 1) * (count - own) for length, own in zip(lengths, spread, strict=True)]
            yield {"dilations": each}
            if not any(more % 2 for more in wider):
                more = tuple(pad + each // 2 for pad, each in zip(pads, wider * 2, strict=True))
                if min(more) >= 0:
                    yield {"dilations": each, "pads": more}
        if len(operands) == 1 and each != lengths:
            yield {"kernel_shape": each}


def _equations(equation: str) -> Iterator[str]:
    """The equation with one term in another order: an operand, or the result, transposed."""
    terms, arrow, result = equation.partition("->")
    parts = [*terms.split(","), result]
    for place, part in enumerate(parts):
        for letters in permutations(part) if 1 < len(part) <= _MOST_AXES and "." not in part else ():
            changed = [*parts[:place], "".join(letters), *parts[place + 1 :]]
            yield f"{','.join(changed[:-1])}{arrow}{changed[-1]}"


def _moved(indices: Sequence[int], by: int) -> tuple[int, ...]:
    return tuple(index if abs(index) >= LARGEST_INTEGER else index + by for index in indices)


def _attribute(evidence: Evidence) -> Guesses:
    if evidence.forward:
        yield from _values(evidence)
        return
    if len(evidence.edges) > 8 or any(edge.upstream.size > 100_000 for edge in evidence.edges):
        return
    for edge in evidence.edges:
        node = edge.consumer
        for changes in _variants(node, edge.operands):
            attributes = {**node.attributes, **changes}
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
                yield evidence.replaced(edge, passed), _said(node, edge.quoted, changes)


def _values(evidence: Evidence) -> Guesses:
    node, operands = evidence.node, evidence.operands
    if not operands or sum(operand.size for operand in operands) > 1_000_000:
        return
    for changes in _variants(node, operands):
        figure = _evaluated(node, operands, {**node.attributes, **changes})
        if figure is not None and np.size(figure) == evidence.figure.size:
            yield (
                np.reshape(figure, evidence.figure.shape),
                _said(node, quoted(evidence.graph, evidence.position), changes),
            )


def _evaluated(node: Node, operands: Sequence[FloatArray], attributes: dict[str, Any]) -> FloatArray | None:
    try:
        return np.asarray(node.operation.evaluate(operands, attributes), dtype=np.float64)
    except (ValueError, IndexError, TypeError, ArithmeticError):  # the operation refuses it
        return None


def _said(node: Node, called: str, changes: Mapping[str, Any]) -> str:
    defaults = {attribute.name: attribute.default for attribute in node.operation.attributes}
    now = {name: node.attributes.get(name) for name in changes}
    shown = [_shown(name, defaults[name] if each is None else each) for name, each in now.items()]
    others = [_shown(name, each) for name, each in changes.items()]
    if len(changes) == 1:
        return f"The attribute {next(iter(changes))} of {called} was taken as {others[0]}; it is {shown[0]}."
    names = " and ".join(changes)
    return f"The attributes {names} of {called} were taken as {' and '.join(others)}; they are {' and '.join(shown)}."


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "all" if name == "axes" else "left out"
    return str(list(value) if isinstance(value, tuple) else value)


ATTRIBUTE_SLIPS: tuple[Slip, ...] = (("another attribute", _attribute),)
