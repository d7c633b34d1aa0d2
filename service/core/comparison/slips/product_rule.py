"""Slips in the rules for products and quotients, whose factors may be whole expressions: u′·v′, u′/v′."""

from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.replay import sweep_gradients
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.graph.traversal import nodes_between
from service.core.symbolic.phrases import typed

_MOST_NODES, _MOST_PRODUCTS, _MOST_ELEMENTS = 64, 8, 10_000


def _multiplied(evidence: Evidence) -> Guesses:
    yield from _derivatives_joined(evidence, "Mul")
    if len(evidence.near_edges) == 2:
        first, second = evidence.near_edges
        yield np.asarray(first.contribution * second.contribution), "The contributions were multiplied, not added."


def _divided(evidence: Evidence) -> Guesses:
    yield from _derivatives_joined(evidence, "Div")


def _derivatives_joined(evidence: Evidence, name: str) -> Guesses:
    """Where the node is in both factors of a product, or in numerator and denominator: the derivatives of these two
    multiplied, or divided."""
    graph, values, backward = evidence.graph, evidence.found.values, evidence.found.candidate.backward
    if evidence.forward or backward is None or len(graph) > _MOST_NODES or values.flat.size > _MOST_ELEMENTS:
        return
    figures: list[Any] = list(values)
    output = graph.position[backward.output]
    joining = [
        position
        for position in nodes_between(graph, evidence.position, backward.output)
        if graph.nodes[position].operation.name == name and len(set(graph.operands[position])) == 2
    ]
    for position in joining[:_MOST_PRODUCTS]:
        u, v = (figures[source] for source in graph.operands[position])
        upstream = backward.seed if position == output else evidence.phase.effective[position]
        slopes = [_derivative(evidence, figures, source) for source in graph.operands[position]]
        if any(np.shape(each) != evidence.expected.shape for each in (u, v, upstream, *slopes)):
            continue
        of_u, of_v = slopes
        if name == "Mul":
            right, wrong = of_u * v + u * of_v, of_u * of_v
            said = (
                f"The derivatives were multiplied: {typed('(f·g)′')} is {typed('f′·g + f·g′')}, not {typed('f′·g′')}."
            )
        else:
            right, wrong = (of_u * v - u * of_v) / v**2, of_u / of_v
            said = (
                f"The derivatives were divided: {typed('(f/g)′')} is {typed('(f′·g − f·g′)/g²')}, not {typed('f′/g′')}."
            )
        if np.all(of_u) and np.all(of_v):
            yield evidence.expected + upstream * (wrong - right), said


def _derivative(evidence: Evidence, figures: list[Any], of: int) -> Any:
    """The derivative of another node by the node, where no elements are mixed in between; 0 if it does not depend."""
    name, seed = evidence.graph.nodes[of].name, np.ones(np.shape(figures[of]))
    sums = sweep_gradients(evidence.graph, figures, name, seed, lambda position, so_far: so_far)
    return sums.get(evidence.position, np.zeros(evidence.expected.shape))


PRODUCT_RULE_SLIPS: tuple[Slip, ...] = (
    ("derivatives multiplied", _multiplied),
    ("derivatives divided", _divided),
)
