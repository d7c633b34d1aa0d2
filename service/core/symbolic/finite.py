"""Which terms are finite wherever the graph's inputs are: a product with one of them is no 0 · ∞."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from service.core.graph.graph import Graph
from service.core.rulebook.operation import Attributes, Operation
from service.core.symbolic.term import Application, Literal, Term

# At these operands an operation that can leave the finite numbers does so: by overflow, at a pole, out of its domain.
_EXTREMES = (-1e300, -800.0, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 800.0, 1e300)

# The product of a number below the first bound and any finite number, for which the second stands, is finite.
_SMALL, _LARGE = 1e3, 1e300

_Attributes = tuple[tuple[str, Any], ...]


class FiniteTerms:
    """Tells finite terms over the nodes of one graph, whose terms are `known`."""

    def __init__(self, graph: Graph, known: Sequence[Term]) -> None:
        self._bounds: dict[int, float] = {}  # of the magnitude, by the id of a term; infinite where there is none
        for term, node, sources in zip(known, graph.nodes, graph.operands, strict=True):
            operands = [known[source] for source in sources]
            bound = self._bound(node.operation, operands, node.attributes) if operands else _bound_of_leaf(term)
            self._bounds.setdefault(id(term), bound)

    def has(self, term: Term) -> bool:
        """Whether a term is finite at finite inputs, unless a sum overflows."""
        waiting = [term]
        while waiting:
            part = waiting[-1]
            operands = part.operands if isinstance(part, Application) else ()
            missing = [x for x in operands if id(x) not in self._bounds]
            if id(part) in self._bounds or not missing:
                waiting.pop()
                if id(part) not in self._bounds:
                    self._bounds[id(part)] = self._bound_of(part)
            else:
                waiting.extend(missing)
        return self._bounds[id(term)] < np.inf

    def _bound_of(self, term: Term) -> float:
        if isinstance(term, Application) and term.operands:
            return self._bound(term.operation, term.operands, dict(term.attributes))
        return _bound_of_leaf(term)

    def _bound(self, operation: Operation, operands: Sequence[Term], attributes: Attributes) -> float:
        bounds = [self._bounds[id(x)] for x in operands]
        if operation.is_elementwise:
            at_extremes = _bound_at_extremes(operation, len(operands), tuple(attributes.items()))
            if at_extremes == 1.0:
                return at_extremes
        else:
            at_extremes = _LARGE if operation.linear else np.inf
        if max(bounds) == np.inf:
            return np.inf
        if operation.name == "Mul":
            return _LARGE if min(bounds) <= _SMALL else np.inf
        return bounds[0] if operation.name in ("ExpandTo", "ReshapeTo") else at_extremes


def _bound_of_leaf(term: Term) -> float:
    return abs(term.value) if isinstance(term, Literal) else _LARGE


@cache
def _bound_at_extremes(operation: Operation, count: int, attributes: _Attributes) -> float:
    """Bound an elementwise operation's value at finite operands."""
    operands = np.meshgrid(*[_EXTREMES] * min(count, 3))
    with np.errstate(all="ignore"):
        greatest = np.max(np.abs(np.multiply(operation.evaluate(operands, dict(attributes)), 1.0)))
    return float(greatest) if greatest <= _SMALL else _LARGE if greatest < np.inf else np.inf
