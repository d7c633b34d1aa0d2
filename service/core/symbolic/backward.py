"""The backward pass over terms: the chain rule by the same rules that yield figures, applied to symbols."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidRequest
from service.core.figures.figures import Shape
from service.core.graph.graph import Graph, Node
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
    """Whether the graph is more than a function of scalars: by its operations, its constants, or what it declares."""
    return any(
        not node.operation.is_elementwise or node.attributes.get("shape") or np.shape(_value(node))
        for node in graph.nodes
    )


def backpropagate(
    graph: Graph, terms: TermTable, known: Sequence[Term], output: str, wrt: Sequence[str]
) -> Mapping[int, Term]:
    """The gradient of `output`, its seed ones, with respect to each of `wrt` and to each node between, by position.

    `known` holds the term of each node's value. Raises InvalidRequest, naming node and operation, where a rule cannot
    be applied to symbols.
    """
    target, varying = graph.position[output], _varying(graph, wrt)
    rules: dict[Any, _Rules] = {}
    gradients: dict[int, Term] = {}
    if varying[target]:
        gradients[target] = _filled(terms, 1.0, known[target])
    for position in range(target, -1, -1):
        operands = graph.operands[position]
        operand_indices = tuple(operand_index for operand_index, source in enumerate(operands) if varying[source])
        if position not in gradients or not operand_indices:
            continue
        node, upstream = graph.nodes[position], gradients[position]
        key = (node.operation, len(operands), operand_indices, repr(dict(node.attributes)) if node.attributes else "")
        if key not in rules:
            rules[key] = _read_rules(node, operand_indices)
        found = rules[key].apply(terms, upstream, [known[source] for source in operands], known[position])
        for operand_index, given in zip(operand_indices, found, strict=True):
            if given is None:
                continue
            source = operands[operand_index]
            contribution = given
            if rules[key].local and len(operands) > 1 and terms.keep_shapes:
                contribution = terms.named("SumTo", given, known[source])
            terms.set_partial_shape(contribution, terms.partial_shape(known[source]))
            so_far = gradients.get(source)
            gradients[source] = contribution if so_far is None else terms.named("Add", so_far, contribution)
    for position in map(graph.position.__getitem__, wrt):
        gradients.setdefault(position, _filled(terms, 0.0, known[position]))
    return gradients


@dataclass(frozen=True, slots=True)
class _Rules:
    """Terms in operands x0, x1 …, value z and upstream gradient u: all parts in order, and one result for each operand
    that varies. It is a local gradient where `local` says so, else a contribution; None where no gradient flows."""

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
        detail = f"there is no formula of the gradient at {node.name!r} ({operation.name}): {error}"
        raise InvalidRequest([Fault(("wrt",), detail)]) from None
    results = [every[operand_index] for operand_index in operand_indices]
    order = evaluation_order(*(result for result in results if result is not None))
    return _Rules(order, results, local=operation.is_elementwise)


def _varying(graph: Graph, wrt: Iterable[str]) -> list[bool]:
    """For each node whether it is, or depends on, one of `wrt`."""
    chosen = {graph.position[name] for name in wrt}
    varying: list[bool] = []
    for position, operands in enumerate(graph.operands):
        varying.append(position in chosen or any(varying[source] for source in operands))
    return varying


def _filled(terms: TermTable, number: float, like: Term) -> Term:
    """The number in the shape of a term."""
    return terms.named("ExpandTo", terms.literal(number), like)


# --- shapes, as far as they are known without inputs ------------------------------------------------------------------

# An operation that takes tensors of several of these and makes scalars of them all makes a scalar of any: a whole sum.
_PROBES: tuple[Shape, ...] = ((2,), (2, 3), (2, 3, 4), (2, 3, 4, 5))


def known_shapes(graph: Graph) -> Sequence[Shape | None]:
    """The shape of each node's value, None where it depends on inputs that do not declare theirs."""
    shapes: list[Shape | None] = []
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        given = [shape for source in operands if (shape := shapes[source]) is not None]
        if node.operation.is_input:
            declared = node.attributes.get("shape")
            shapes.append(None if declared is None or None in declared else declared)
        elif len(given) == len(operands):
            shapes.append(_inferred(node, given))
        else:
            found = [_inferred(node, [probe] * len(operands)) for probe in _PROBES]
            taken = [shape for shape in found if shape is not None]
            shapes.append(() if len(taken) > 1 and not any(taken) else None)
    return shapes


def _inferred(node: Node, shapes: Sequence[Shape]) -> Shape | None:
    try:
        return tuple(node.operation.infer_shape(shapes, node.attributes))
    except ValueError:
        return None


def _value(node: Node) -> Any:
    return node.attributes.get("value")
