"""Explain each figure of a run, step by step: the rule, the formula, the numbers put in, and the result.

Formulas come from applying the rulebook to symbols, numbers from applying it to the run's own figures as the passes
do, so that the two cannot disagree. A gradient is the seed plus its contributions in the order of the backward pass:
consumers from the last to the first, each one's operands from left to right.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.execution.chain_rule import in_precision
from service.core.explanation.run_view import (
    MOST_WRITTEN,
    Consumer,
    Passes,
    consumer_at,
    edges_back,
    evaluate_at,
    operand_terms,
)
from service.core.figures.figures import FloatArray, same_bits
from service.core.graph.graph import Graph, Node
from service.core.symbolic.equation import (
    AND_SO_ON,
    Equation,
    as_variable,
    equate,
    gradient_of,
    number_term,
    summed,
    times,
    total,
    write_equation,
)
from service.core.symbolic.term import Literal, Term, Variable, application

# Contributions that a step lists.
MOST_LISTED = 1000


@dataclass(frozen=True, slots=True, eq=False)
class ForwardStep:
    """An operation applied to its operands.

    `difference` is the greatest deviation of the formula's result from the run's value; None where they have the same
    bits or one is unknown.
    """

    node: Node
    rule: str
    equation: Equation
    value: FloatArray | None
    difference: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What one out-edge contributes to a gradient: upstream × local, summed where the operand was broadcast.

    `operand_index` is the position of the node among the consumer's operands. `local` is None where the consumer's
    operation is not elementwise: its equation is then that of the product.
    """

    consumer: Consumer
    operand_index: int
    rule: str
    equation: Equation
    local: FloatArray | None
    product: FloatArray | None

    @property
    def summed(self) -> bool:
        """Whether the operand was broadcast, so that its copies' contributions are summed."""
        upstream = self.consumer.upstream
        if upstream is None or self.local is None or self.product is None:
            return False
        return self.product.shape != upstream.shape


@dataclass(frozen=True, slots=True, eq=False)
class BackwardStep:
    """A gradient as the sum of its `count` contributions, of which the first MOST_LISTED are listed.

    `seed` is None except for the output. `sum` is computed from the run's figures; `difference` is its greatest
    deviation from the run's gradient, None where they have the same bits or one is unknown.
    """

    node: Node
    seed: FloatArray | None
    contributions: tuple[Contribution, ...]
    count: int
    equation: Equation
    sum: FloatArray | None
    gradient: FloatArray | None
    difference: float | None


Step: TypeAlias = ForwardStep | BackwardStep


def count_steps(passes: Passes) -> int:
    """The number of steps: one for each operation and, after a backward pass, one for each node that has a
    gradient."""
    forward, backward = _order(passes.graph, passes.output if passes.gradients is not None else None)
    return len(forward) + len(backward)


def explain(passes: Passes, start: int, stop: int) -> Iterator[Step]:
    """The steps from `start` to before `stop`: forward in topological order, then backward in the order of the sweep.

    Nodes that stand after the output, where the sweep never comes, are last.
    """
    forward, backward = _order(passes.graph, passes.output if passes.gradients is not None else None)
    met: dict[tuple[int, bool], Consumer] = {}
    for index in range(start, min(stop, len(forward) + len(backward))):
        if index < len(forward):
            yield _forward_step(passes, forward[index])
        else:
            yield _backward_step(passes, backward[index - len(forward)], met)


def explain_node(passes: Passes, name: str) -> Iterator[Step]:
    """The forward step and the backward step of one node, as far as it has them; raises KeyError."""
    position = passes.graph.position[name]
    if passes.graph.operands[position]:
        yield _forward_step(passes, position)
    if passes.gradients is not None and passes.graph.nodes[position].has_gradient:
        yield _backward_step(passes, position, {})


@memoize_on_argument
def _order(graph: Graph, output: str | None) -> tuple[Sequence[int], Sequence[int]]:
    """The positions of the nodes of the forward steps, and of the backward steps."""
    forward = array("l", (position for position, operands in enumerate(graph.operands) if operands))
    if output is None:
        return forward, array("l")
    swept = graph.position[output] + 1
    order = chain(range(swept - 1, -1, -1), range(swept, len(graph)))
    return forward, array("l", (position for position in order if graph.nodes[position].has_gradient))


# --- forward ------------------------------------------------------------------------------------------------------


def _forward_step(passes: Passes, position: int) -> ForwardStep:
    graph, node = passes.graph, passes.graph.nodes[position]
    sources, value = graph.operands[position], passes.values[position]
    operands = [passes.value(source) for source in sources]
    found = None
    if all(operand is not None for operand in operands):
        for compiled in passes.arithmetics:
            found = evaluate_at(graph, position, operands, compiled)
            if _difference(found, value) is None:
                break
    terms = operand_terms(graph, position)
    if len(terms) > MOST_WRITTEN:
        terms[MOST_WRITTEN:] = [AND_SO_ON]
    term = application(node.operation, terms, node.attributes)
    line = write_equation(Variable(node.name), term, dict(zip(node.inputs, operands, strict=True)), found)
    varying = [
        operand_index for operand_index, source in enumerate(sources) if not graph.nodes[source].operation.is_constant
    ]
    return ForwardStep(node, _rule(graph, node, varying[0] if varying else 0), line, value, _difference(found, value))


def _rule(graph: Graph, node: Node, operand_index: int) -> str:
    """Name the rule by which the operand at `operand_index` is differentiated."""
    others = [name for other, name in enumerate(node.inputs) if other != operand_index]
    return node.operation.rule_name(operand_index, bool(others) and all(_is_constant(graph, name) for name in others))


def _is_constant(graph: Graph, name: str) -> bool:
    return graph.nodes[graph.position[name]].operation.is_constant


# --- backward -----------------------------------------------------------------------------------------------------


def _backward_step(passes: Passes, position: int, met: dict[tuple[int, bool], Consumer]) -> BackwardStep:
    """`met` holds the consumers that were met already."""
    node = passes.graph.nodes[position]
    assert passes.gradients is not None
    seed, gradient = passes.seed if node.name == passes.output else None, passes.gradients[position]
    for compiled in passes.arithmetics:
        edges, found = _sum_up(passes, position, met, compiled)
        difference = _difference(found, gradient)
        if difference is None:
            break
    listed = tuple(_contribution(consumer, operand_index) for consumer, operand_index in edges[:MOST_LISTED])
    line = _sum_line(passes.quantity, node, seed, listed, len(edges), found)
    return BackwardStep(node, seed, listed, len(edges), line, found, gradient, difference)


def _sum_up(
    passes: Passes, position: int, met: dict[tuple[int, bool], Consumer], compiled: bool
) -> tuple[Sequence[tuple[Consumer, int]], FloatArray | None]:
    """The out-edges of a node in the order of the backward pass, and the sum along them, None where one is unknown."""
    node, edges, complete = passes.graph.nodes[position], [], True
    assert passes.gradients is not None
    so_far = None
    if node.name == passes.output and passes.seed is not None:
        so_far = in_precision(passes.graph, position, passes.seed)
    for consumer_place, operand_index in edges_back(passes, position):
        if (key := (consumer_place, compiled)) not in met:
            met[key] = consumer_at(passes, consumer_place, passes.gradients[consumer_place], compiled)
        consumer = met[key]
        if consumer.contributions is None:
            complete = False
        elif (product := consumer.contributions[operand_index]) is None:  # an index: nothing flows back to it
            continue
        else:
            so_far = product if so_far is None else np.asarray(so_far + product)
        edges.append((consumer, operand_index))
    if so_far is None:
        so_far = np.zeros(passes.values.shape(position))
    return edges, np.asarray(so_far, dtype=np.float64) if complete else None


def _contribution(consumer: Consumer, operand_index: int) -> Contribution:
    subject, rule = consumer.local_gradient(operand_index), _rule(consumer.passes.graph, consumer.node, operand_index)
    local = None if consumer.locals is None else consumer.locals[operand_index]
    product = None if consumer.contributions is None else consumer.contributions[operand_index]
    term = consumer.term(operand_index)
    if term is None:
        line = Equation(equate(subject))
    elif not consumer.node.operation.is_elementwise:
        line = write_equation(None, term, consumer.all_figures, product)
    else:
        line = write_equation(subject, term, consumer.figures, local)
    return Contribution(consumer, operand_index, rule, line, local, product)


def _sum_line(
    quantity: str, node: Node, seed: FloatArray | None, listed: Sequence[Contribution], count: int, found: Any
) -> Equation:
    """Write dL/dx = upstream · local + …, or the seed, and the same with numbers put in."""
    subject = gradient_of(quantity, node.name)
    if seed is not None:  # nothing that follows from the output leads back to it
        return write_equation(subject, _SEED if seed.ndim else number_term(float(seed)), {_SEED.name: seed}, found)
    summands: list[Term] = []
    figures: dict[str, FloatArray | None] = {}
    for each in listed[:MOST_WRITTEN]:
        summand, known = _summand(each)
        summands.append(summand)
        figures.update(known)
    if count > len(summands):
        summands.append(AND_SO_ON)
    return write_equation(subject, total(summands) if summands else Literal(0.0), figures, found)


def _summand(contribution: Contribution) -> tuple[Term, Mapping[str, FloatArray | None]]:
    """Return upstream · local, or the whole contribution of a non-elementwise operation, and the figures in it."""
    consumer, operand_index = contribution.consumer, contribution.operand_index
    upstream, local = consumer.upstream_gradient, consumer.local_gradient(operand_index)
    product = times(upstream, local)
    if not consumer.node.operation.is_elementwise:
        term = consumer.term(operand_index)
        if term is not None:
            return term, consumer.all_figures
        whole = as_variable(product)
        return whole, {whole.name: contribution.product}
    if contribution.summed:
        whole = summed(product)
        return whole, {whole.name: contribution.product}
    return product, {upstream.name: consumer.upstream, local.name: contribution.local}


def _difference(found: FloatArray | None, gradient: FloatArray | None) -> float | None:
    """Return the greatest difference of two figures; None where they have the same bits or one is unknown."""
    if found is None or gradient is None or same_bits(found, gradient).all():
        return None
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(found - gradient)))


_SEED = Variable("`seed", r"\mathrm{seed}", "seed", "<mi>seed</mi>")
