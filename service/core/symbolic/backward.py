"""The backward pass over terms: the chain rule by the rulebook's own rules, applied to symbols.

Nothing flows along a closed edge, nor behind it (`execution/closed_edges.py` says what that is): a contribution is
chosen to be 0 there wherever the product may be 0 · ∞.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidRequest
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.rulebook.registry import operation_of
from service.core.symbolic.finite import FiniteTerms
from service.core.symbolic.simplifications import complements
from service.core.symbolic.simplify import SCALAR, TermTable
from service.core.symbolic.term import (
    Application,
    Literal,
    NotSymbolic,
    Term,
    Variable,
    closed_terms,
    contribution_terms,
    evaluation_order,
    local_gradient_terms,
    passing_terms,
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
    assert terms.finite is not None
    finite = terms.finite
    zero = terms.literal(0.0)
    # The condition under which the output is reached from a node along open edges; None if it always is.
    reached: dict[int, Term | None] = {target: None}

    def contributions(position: int, upstream: Term) -> Sequence[Term | None]:
        node, operands = graph.nodes[position], graph.operands[position]
        operand_indices = tuple(operand_index for operand_index, source in enumerate(operands) if varying[source])
        found: list[Term | None] = [None] * len(operands)
        if not operand_indices:
            return found
        key = (node.operation, len(operands), operand_indices, repr(dict(node.attributes)) if node.attributes else "")
        if key not in rules:
            rules[key] = _read_rules(node, operand_indices)
        rule, flow, value = rules[key], reached[position], known[position]
        sources = [known[source] for source in operands]
        may_broadcast = rule.local and len(operands) > 1 and terms.keep_shapes
        is_steep = not rule.local and not all(map(finite.has, sources))
        is_zero = _is_zero(upstream)
        leading = None if rule.local else flow or _filled(terms, 1.0, value)
        if flow and leading and terms.partial_shape(flow) == SCALAR != terms.partial_shape(value):
            leading = terms.named("ExpandTo", flow, value)  # behind an operation that is reached as a whole
        taken = rule.where_reached(terms, sources, value, leading) if leading and is_steep and flow else sources
        given = rule.apply(terms, upstream, taken, value, leading)
        for operand_index, (factor, open_) in zip(operand_indices, given, strict=True):
            if factor is None or (rule.local and _holds(open_)):
                continue
            source, like = operands[operand_index], sources[operand_index]
            if rule.local:
                closed = None if open_ is zero else open_
                contribution = _product(terms, finite, upstream, factor, closed, flow)
                flows = _and_open(terms, flow, closed)
            else:
                flows = _behind(terms, flow, open_, rule.leaves_out)
                contribution = terms.named("Where", flows, factor, terms.literal(0.0)) if flows and is_steep else factor
            if _is_zero(contribution) or (is_zero and not rule.local and not is_steep):
                contribution = _filled(terms, 0.0, like)
            elif may_broadcast:
                contribution = terms.named("SumTo", contribution, like)
            if may_broadcast:
                spread = flows and terms.named("SumTo", terms.named("ExpandTo", flows, value), like)
                flows = spread and terms.named("Greater", spread, terms.literal(0.0))
            terms.set_partial_shape(contribution, terms.partial_shape(like))
            reached[source] = _either(terms, reached[source], flows) if source in reached else flows
            found[operand_index] = contribution
        return found

    start = {target: _filled(terms, 1.0, known[target])} if varying[target] else {}
    gradients = sweep_back(graph, start, contributions, add=lambda position, so_far, other: _sum(terms, so_far, other))
    for position in map(graph.position.__getitem__, wrt):
        gradients.setdefault(position, _filled(terms, 0.0, known[position]))
    return gradients


@dataclass(frozen=True, slots=True)
class _Rules:
    """Terms in operands x0, x1 …, value z and upstream gradient u: all subterms in order, and one result an operand.

    Only operands that vary have a result, a local gradient if `local`, else a contribution; None if no gradient flows.
    `edges` holds, if `local`, the conditions under which their edges are closed, None where they never are; else where
    they lead to any element in f, None where that is not known. `leaves_out` says that some elements may be closed.
    `leads` are such edges of all operands, where each is known.
    """

    order: Sequence[Term]
    results: Sequence[Term | None]
    edges: Sequence[Term | None]
    local: bool
    leaves_out: bool
    leads: Sequence[Term]

    def where_reached(self, terms: TermTable, operands: Sequence[Term], value: Term, flow: Term) -> Sequence[Term]:
        """The operands with 0 at the elements that lead to none in f, if it is known which: 0 · ∞ is not summed."""
        zero, values = terms.literal(0.0), {"z": value, "f": flow}
        values |= {f"x{operand_index}": operand for operand_index, operand in enumerate(operands)}
        made = terms.substitute(evaluation_order(*self.leads), values)
        finite = terms.finite
        return (
            [
                operand
                if finite is None or finite.has(operand)
                else terms.named("Where", terms.named("Greater", made[id(lead)], zero), operand, zero)
                for operand, lead in zip(operands, self.leads, strict=True)
            ]
            if self.leads
            else operands
        )

    def apply(
        self, terms: TermTable, upstream: Term, operands: Sequence[Term], value: Term, flow: Term | None
    ) -> list[tuple[Term | None, Term | None]]:
        """The results and the edges for these operands."""
        values = {f"x{operand_index}": operand for operand_index, operand in enumerate(operands)}
        values |= {"z": value, "u": upstream}
        if flow is not None:
            values["f"] = flow
        made = terms.substitute(self.order, values)
        pairs = zip(self.results, self.edges, strict=True)
        return [(made.get(id(result)), made.get(id(edge))) for result, edge in pairs]


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
    edges: Sequence[Term | None]
    if operation.is_elementwise:
        edges = closed_terms(operation, operands, Variable("z"), node.attributes) or [None] * len(operands)
    else:
        edges = passing_terms(operation, Variable("f"), operands, Variable("z"), node.attributes)
    chosen = [edges[operand_index] for operand_index in operand_indices]
    order = evaluation_order(*(term for term in (*results, *chosen) if term is not None))
    leads = [] if operation.is_elementwise or len(edges) == 1 else [edge for edge in edges if edge is not None]
    leads = leads if len(leads) == len(operands) else []
    return _Rules(order, results, chosen, operation.is_elementwise, operation.closed is not None, leads)


def _product(
    terms: TermTable, finite: FiniteTerms, upstream: Term, local: Term, closed: Term | None, reached: Term | None
) -> Term:
    """Upstream · local gradient, but 0 where the edge is closed or the output is not reached.

    The upstream gradient is 0 where the output is not reached, the local gradient where the edge is closed: only where
    the other factor may be infinite need 0 be chosen.
    """
    zero, steep = terms.literal(0.0), not finite.has(local)
    if (_is_zero(upstream) and not steep) or (_is_zero(local) and finite.has(upstream)):
        return zero
    if reached and steep:
        upstream = _where_holds(upstream, reached)
    choice = local if closed and isinstance(local, Application) and local.operation.name == "Where" else None
    if choice and closed and (complements(choice, closed) or (terms.for_reading and finite.has(upstream))):
        branches = (part if part is zero else terms.named("Mul", upstream, part) for part in choice.operands[1:])
        product = terms.named("Where", choice.operands[0], *branches)
    elif closed is None or finite.has(upstream):
        product = terms.named("Mul", upstream, local)
    else:
        product = terms.named("Where", closed, zero, terms.named("Mul", upstream, local))
    return terms.named("Where", reached, product, zero) if reached and steep else product


def _where_holds(term: Term, condition: Term) -> Term:
    """What a term is where a condition holds, if it chooses by that condition."""
    if isinstance(term, Application) and term.operation.name == "Where":
        chosen_if, then, otherwise = term.operands
        if chosen_if is condition:
            return then
        if (
            isinstance(condition, Application)
            and condition.operation.name == "Not"
            and condition.operands[0] is chosen_if
        ):
            return otherwise
    return term


def _sum(terms: TermTable, so_far: Term, other: Term) -> Term:
    """The sum of two contributions; one that is 0 throughout adds nothing."""
    for zero, term in ((so_far, other), (other, so_far)):
        if _is_zero(zero) and terms.partial_shape(zero) <= terms.partial_shape(term):
            return term
    return terms.named("Add", so_far, other)


def _is_zero(term: Term) -> bool:
    """Whether a term is 0, whatever its shape."""
    if isinstance(term, Application) and term.operation.name == "ExpandTo":
        term = term.operands[0]
    return isinstance(term, Literal) and term.value == 0.0


def _holds(closed: Term | None) -> bool:
    """Whether an edge is always closed."""
    return isinstance(closed, Literal) and closed.value != 0.0


def _and_open(terms: TermTable, reached: Term | None, closed: Term | None) -> Term | None:
    if closed is None:
        return reached
    opened = terms.named("Not", closed)
    return terms.named("And", reached, opened) if reached else opened


def _behind(terms: TermTable, reached: Term | None, passing: Term | None, leaves_out: bool) -> Term | None:
    """Where an operation that is not elementwise is reached through; from everywhere if from anywhere, if not known."""
    if passing is not None:
        return terms.named("Greater", passing, terms.literal(0.0)) if reached or leaves_out else None
    if reached is None or terms.partial_shape(reached) == SCALAR:
        return reached
    greatest = operation_of("ReduceMax")
    attributes = {attribute.name: attribute.default for attribute in greatest.attributes} | {"keepdims": 0}
    anywhere = terms.of(greatest, [reached], tuple(attributes.items()))
    terms.set_partial_shape(anywhere, SCALAR)
    return terms.named("Greater", anywhere, terms.literal(0.0))


def _either(terms: TermTable, one: Term | None, other: Term | None) -> Term | None:
    return terms.named("Or", one, other) if one and other else None


def _varying(graph: Graph, wrt: Iterable[str]) -> list[bool]:
    """For each node whether it is one of `wrt` or depends on one."""
    chosen = {graph.position[name] for name in wrt}
    return walk_forward(graph, lambda position, operands: position in chosen or any(operands))


def _filled(terms: TermTable, number: float, like: Term) -> Term:
    """A number broadcast to the shape of a term."""
    return terms.named("ExpandTo", terms.literal(number), like)


def _value(node: Node) -> Any:
    return node.attributes.get("value")
