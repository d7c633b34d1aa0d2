"""The backward pass over terms: the chain rule by the rulebook's own rules, applied to symbols."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidRequest
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.symbolic.simplify import TermTable
from service.core.symbolic.term import (
    Literal,
    NotSymbolic,
    Term,
    Variable,
    contribution_terms,
    evaluation_order,
    local_gradient_terms,
)


def has_tensors(graph: Graph) -> bool:
    """Whether an operation, a Constant or a declared shape makes the graph more than a function of scalars."""
    return any(
        not node.operation.is_elementwise or node.attributes.get("shape") or np.shape(_value(node))
        for node in graph.nodes
    )


def backpropagate(
    graph: Graph, terms: TermTable, known: Sequence[Term], output: str, wrt: Sequence[str]
) -> Mapping[int, Term]:
    """The gradient of `output`, from a seed of ones, with respect to each of `wrt` and each node between, by position.

    `known` holds the term of each node's value. Raises InvalidRequest, naming node and operation, where a rule cannot
    be applied to symbols.
    """
    target, varying = graph.position[output], _varying(graph, wrt)
    rules: dict[Any, _Rules] = {}

    def contributions(position: int, upstream: Term) -> Sequence[Term | None]:
        node, operands = graph.nodes[position], graph.operands[position]
        operand_indices = tuple(operand_index for operand_index, source in enumerate(operands) if varying[source])
        found: list[Term | None] = [None] * len(operands)
        if not operand_indices:
            return found
        key = (node.operation, len(operands), operand_indices, repr(dict(node.attributes)) if node.attributes else "")
        if key not in rules:
            rules[key] = _read_rules(node, operand_indices)
        may_broadcast = rules[key].local and len(operands) > 1 and terms.keep_shapes
        given = rules[key].apply(terms, upstream, [known[source] for source in operands], known[position])
        for operand_index, contribution in zip(operand_indices, given, strict=True):
            if contribution is not None:
                like = known[operands[operand_index]]
                summed = terms.named("SumTo", contribution, like) if may_broadcast else contribution
                terms.set_partial_shape(summed, terms.partial_shape(like))
                found[operand_index] = summed
        return found

    start = {target: _filled(terms, 1.0, known[target])} if varying[target] else {}
    gradients = sweep_back(
        graph, start, contributions, add=lambda position, so_far, other: terms.named("Add", so_far, other)
    )
    for position in map(graph.position.__getitem__, wrt):
        gradients.setdefault(position, _filled(terms, 0.0, known[position]))
    return gradients


@dataclass(frozen=True, slots=True)
class _Rules:
    """Terms in operands x0, x1 …, value z and upstream gradient u: all subterms in order, and one result an operand.

    Only operands that vary have a result, a local gradient if `local`, else a contribution; None if no gradient flows.
    """

    order: Sequence[Term]
    results: Sequence[Term | None]
    local: bool

    def apply(self, terms: TermTable, upstream: Term, operands: Sequence[Term], value: Term) -> list[Term | None]:
        """The contributions."""
        values = {f"x{operand_index}": operand for operand_index, operand in enumerate(operands)} | {
            "z": value,
            "u": upstream,
        }
        made = terms.substitute(self.order, values)
        found = [made.get(id(result)) for result in self.results]
        if not self.local:
            return found
        return [
            None
            if local is None or (isinstance(local, Literal) and local.value == 0.0)
            else terms.named("Mul", upstream, local)
            for local in found
        ]


def _read_rules(node: Node, operand_indices: Sequence[int]) -> _Rules:
    operation, operands = node.operation, [Variable(f"x{operand_index}") for operand_index in range(len(node.inputs))]
    every: Sequence[Term | None]
    try:
        if not operation.is_elementwise:
            every = contribution_terms(operation, Variable("u"), operands, Variable("z"), node.attributes)
        else:
            every = local_gradient_terms(operation, operands, Variable("z"), node.attributes)
    except NotSymbolic as error:
        detail = f"there is no formula for the gradient at {node.name!r} ({operation.name}): {error}"
        raise InvalidRequest([Fault(("wrt",), detail)]) from None
    results = [every[operand_index] for operand_index in operand_indices]
    order = evaluation_order(*(result for result in results if result is not None))
    return _Rules(order, results, local=operation.is_elementwise)


def _varying(graph: Graph, wrt: Iterable[str]) -> list[bool]:
    """For each node whether it is one of `wrt` or depends on one."""
    chosen = {graph.position[name] for name in wrt}
    return walk_forward(graph, lambda position, operands: position in chosen or any(operands))


def _filled(terms: TermTable, number: float, like: Term) -> Term:
    """A number broadcast to the shape of a term."""
    return terms.named("ExpandTo", terms.literal(number), like)


def _value(node: Node) -> Any:
    return node.attributes.get("value")
