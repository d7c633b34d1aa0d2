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
from service.core.execution.closed_edges import has_nan
from service.core.execution.run import Backward, Run
from service.core.explanation.run_view import (
    MOST_WRITTEN,
    Consumer,
    RunView,
    consumer_at,
    edges_back,
    evaluate_at,
)
from service.core.figures.figures import FloatArray, same_bits
from service.core.figures.text import figure_text
from service.core.graph.graph import Graph, Node
from service.core.rulebook.notation import ATOM, Rendered, write_plain
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
from service.core.symbolic.names import named
from service.core.symbolic.printing import name_text
from service.core.symbolic.term import Literal, Term, Variable, application
from service.core.symbolic.textbook import operand_terms

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

    @property
    def closed(self) -> str | None:
        """That nothing passes along the edge, in words: because the consumer does not change with the operand, of a
        tensor in every element; or, where 0 · ∞ stands for it, because what the gradient is of does not depend on the
        consumer."""
        consumer, node = self.consumer, self.consumer.node
        if self.local is None or consumer.upstream is None:
            return None
        if self.operand_index in consumer.closed_operands:
            written = [Rendered(name_text(name), ATOM) for name in node.inputs]
            upstream = f"d{consumer.view.quantity}/d{node.name}"
            if not consumer.upstream.ndim:
                upstream += f" = {figure_text(consumer.upstream)}"
            what = write_plain(node.operation.notation, written).text
            return f"{node.name} = {what} is constant here: nothing of {upstream} passes"
        edges = consumer.view.open_edges
        with np.errstate(all="ignore"):
            if edges is None or not has_nan(consumer.upstream * self.local) or consumer.position in edges.reached:
                return None
        return f"{consumer.view.quantity} does not depend on {node.name} here: nothing flows back through it"


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


def count_steps(run: Run) -> int:
    """The number of steps: one for each operation and, after a backward pass, one for each node that has a
    gradient."""
    forward, backward = _order(run.graph, run.backward.output if run.backward else None)
    return len(forward) + len(backward)


def count_contributions(run: Run, start: int, stop: int) -> int:
    """The number of contributions to the gradients in the steps from `start` to before `stop`."""
    forward, backward = _order(run.graph, run.backward.output if run.backward else None)
    first, last = (max(0, each - len(forward)) for each in (start, stop))
    return sum(len(run.graph.consumers[position]) for position in backward[first:last])


def explain(run: Run, start: int, stop: int) -> Iterator[Step]:
    """The steps from `start` to before `stop`: forward in topological order, then backward in the order of the sweep.

    Nodes that stand after the output, where the sweep never comes, are last.
    """
    view = RunView(run)
    forward, backward = _order(run.graph, run.backward.output if run.backward else None)
    met: dict[tuple[int, bool], Consumer] = {}
    for index in range(start, min(stop, len(forward) + len(backward))):
        if index < len(forward):
            yield _forward_step(view, forward[index])
        elif run.backward:
            yield _backward_step(view, run.backward, backward[index - len(forward)], met)


def explain_node(run: Run, name: str) -> Iterator[Step]:
    """The forward step and the backward step of one node, as far as it has them; raises KeyError."""
    view, position = RunView(run), run.graph.position[name]
    if run.graph.operands[position]:
        yield _forward_step(view, position)
    if run.backward and run.graph.nodes[position].has_gradient:
        yield _backward_step(view, run.backward, position, {})


def nodes_explaining(graph: Graph, name: str) -> set[int]:
    """The positions of the nodes whose figures `explain_node` reads: the node, its operands, its consumers and theirs.

    A run that lacks one of their values needs all others, since the value follows from them.
    """
    position = graph.position[name]
    consumers = {consumer for consumer, _ in graph.consumers[position]}
    operands = (source for node in (position, *consumers) for source in graph.operands[node])
    return {position, *consumers, *operands}


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


def _forward_step(view: RunView, position: int) -> ForwardStep:
    graph, node = view.graph, view.graph.nodes[position]
    sources, value = graph.operands[position], view.run.values[position]
    operands = [view.value(source) for source in sources]
    found = None
    if all(operand is not None for operand in operands):
        for compiled in view.arithmetics:
            found = evaluate_at(graph, position, operands, compiled)
            if _difference(found, value) is None:
                break
    terms = operand_terms(graph, position)
    if len(terms) > MOST_WRITTEN:
        terms[MOST_WRITTEN:] = [AND_SO_ON]
    term = application(node.operation, terms, node.attributes)
    line = write_equation(named(node.name, graph.position), term, dict(zip(node.inputs, operands, strict=True)), found)
    varying = [
        operand_index for operand_index, source in enumerate(sources) if not graph.nodes[source].operation.is_constant
    ]
    return ForwardStep(node, _rule(graph, node, varying[0] if varying else 0), line, value, _difference(found, value))


def _rule(graph: Graph, node: Node, operand_index: int) -> str:
    """Name the rule by which the operand at `operand_index` is differentiated."""
    others = (name for other, name in enumerate(node.inputs) if other != operand_index)
    beside_constants = len(node.inputs) > 1 and all(_is_constant(graph, name) for name in others)
    return node.operation.rule_name(operand_index, beside_constants)


def _is_constant(graph: Graph, name: str) -> bool:
    return graph.nodes[graph.position[name]].operation.is_constant


# --- backward -----------------------------------------------------------------------------------------------------


def _backward_step(
    view: RunView, backward: Backward, position: int, met: dict[tuple[int, bool], Consumer]
) -> BackwardStep:
    """`met` caches consumers, by position and whether their figures come from the compiled loops."""
    node, gradient = view.graph.nodes[position], backward.gradients[position]
    seed = backward.seed if node.name == backward.output else None
    for compiled in view.arithmetics:
        edges, found = _sum_up(view, backward, position, met, compiled)
        difference = _difference(found, gradient)
        if difference is None:
            break
    listed = tuple(_contribution(consumer, operand_index) for consumer, operand_index in edges[:MOST_LISTED])
    line = _sum_line(gradient_of(view.quantity, node.name, view.graph.position), seed, listed, len(edges), found)
    return BackwardStep(node, seed, listed, len(edges), line, found, gradient, difference)


def _sum_up(
    view: RunView, backward: Backward, position: int, met: dict[tuple[int, bool], Consumer], compiled: bool
) -> tuple[Sequence[tuple[Consumer, int]], FloatArray | None]:
    """The out-edges of a node in the order of the backward pass, and the sum along them, None where one is unknown."""
    node, edges, complete = view.graph.nodes[position], [], True
    so_far = None
    if node.name == backward.output:
        so_far = in_precision(view.graph, position, backward.seed)
    for consumer_position, operand_index in edges_back(view, backward.output, position):
        if (key := (consumer_position, compiled)) not in met:
            met[key] = consumer_at(view, consumer_position, backward.gradients[consumer_position], compiled)
        consumer = met[key]
        if consumer.contributions is None:
            complete = False
        elif (product := consumer.contributions[operand_index]) is None:  # an index: nothing flows back to it
            continue
        else:
            so_far = product if so_far is None else np.asarray(so_far + product)
        edges.append((consumer, operand_index))
    if so_far is None:
        so_far = np.zeros(view.run.values.shape(position))
    return edges, np.asarray(so_far, dtype=np.float64) if complete else None


def _contribution(consumer: Consumer, operand_index: int) -> Contribution:
    subject, rule = consumer.local_gradient(operand_index), _rule(consumer.view.graph, consumer.node, operand_index)
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
    subject: Variable, seed: FloatArray | None, listed: Sequence[Contribution], count: int, found: Any
) -> Equation:
    """Write dL/dx = upstream · local + …, or the seed, and the same with numbers put in."""
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
