"""Nodes as sentences call them: by the names that people gave, and by what generated names stand for.

constant_1 is 2, pow_1 is x², slice_1 is x[0]. What is longer than a few signs keeps its name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.errors import LimitExceeded
from service.core.figures.text import figure_text
from service.core.graph.graph import Graph, Node
from service.core.graph.names import is_generated
from service.core.rulebook.attribute import LARGEST_INTEGER
from service.core.rulebook.notation import ATOM
from service.core.symbolic.names import named
from service.core.symbolic.phrases import Phrase, formula, typeset
from service.core.symbolic.printing import name_text, write_mathml, write_plain, write_text
from service.core.symbolic.term import Literal, Term, Variable, application

# Characters of an expression in place of a name, operations within one another in it, operands of each of these,
# and elements of a list of numbers.
_LONGEST, _DEEPEST, _MOST_OPERANDS, _MOST_NUMBERS = 40, 4, 4, 4


def spoken(graph: Graph, position: int) -> Phrase:
    """What a sentence calls a node: its name, or the expression that a generated name stands for."""
    found = spoken_variable(graph, position)
    return typeset(write_text(found), write_mathml(found))


def quoted(graph: Graph, position: int) -> Phrase:
    """The same, a name in quotes where it is plain text."""
    node, text = graph.nodes[position], spoken(graph, position)
    if text != name_text(node.name):
        return text
    return typeset(repr(node.name), write_mathml(spoken_variable(graph, position)))


def spoken_term(graph: Graph, position: int) -> Term:
    """The node as a term of a formula: a variable written as `spoken`, or a Constant's number."""
    node = graph.nodes[position]
    if isinstance(value := node.attributes.get("value"), float):
        return Literal(value)
    return spoken_variable(graph, position)


def spoken_variable(graph: Graph, position: int) -> Variable:
    """A variable of the node's name that is written as `spoken`."""
    known = _known(graph)
    if position not in known:
        node = graph.nodes[position]
        try:
            term = _expanded(graph, position, _DEEPEST)
            found = write_plain(term, _LONGEST)
            known[position] = Variable(node.name, None, found.text, write_mathml(term), found.binds)
        except LimitExceeded:
            known[position] = named(node.name, graph.position)
    return known[position]


def bracketed(graph: Graph, position: int) -> Phrase:
    """The node within a formula: a sum in brackets."""
    found = spoken(graph, position)
    return found if spoken_variable(graph, position).binds == ATOM else formula(f"({found})")


def told_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that a formula shows: those that are set."""
    return {name: value for name, value in attributes.items() if value is not None}


@memoize_on_argument
def _known(graph: Graph) -> dict[int, Variable]:
    """The nodes of a graph that sentences called already."""
    return {}


def _expanded(graph: Graph, position: int, depth: int) -> Term:
    """The term of a node down to the names that people gave."""
    node, sources = graph.nodes[position], graph.operands[position]
    if not is_generated(node.name, node.operation.name) or node.operation.is_input:
        return named(node.name, graph.position)
    if node.operation.is_constant:
        return _constant(node)
    if not depth or len(sources) > _MOST_OPERANDS:
        return named(node.name, graph.position)
    if node.operation.name == "Unsqueeze" and node.attributes["axes"] == (0,):  # an element of [a, b]
        return _written(node, f"[{spoken(graph, sources[0])}]")
    operands = [_expanded(graph, source, depth - 1) for source in sources]
    if subscripts := _subscripts(graph, position):
        sliced = position if node.operation.name == "Slice" else sources[0]
        return _written(node, f"{bracketed(graph, graph.operands[sliced][0])}[{subscripts}]")
    if node.operation.name == "Identity":
        return operands[0]
    return application(node.operation, operands, told_attributes(node.attributes))


def _constant(node: Node) -> Term:
    value = node.attributes["value"]
    if isinstance(value, float):
        return Literal(value)
    numbers = np.asarray(value.array)
    if numbers.ndim != 1:
        return Variable(node.name)
    shown = [figure_text(number) for number in numbers[:_MOST_NUMBERS]]
    return _written(node, f"[{', '.join([*shown, '…'][: len(numbers)])}]")


def _written(node: Node, typed: str) -> Variable:
    written = formula(typed)
    return Variable(node.name, text=str(written), mathml=written.parts[0].mathml)


def _subscripts(graph: Graph, position: int) -> str:
    """The subscripts of x[0] or x[:, 1:3], which are a Slice and, for single indices, a Squeeze; else empty."""
    node = graph.nodes[position]
    single: Sequence[int] = ()
    if node.operation.name == "Squeeze":
        single = node.attributes.get("axes") or ()
        position = graph.operands[position][0]
        node = graph.nodes[position]
    if node.operation.name != "Slice" or not is_generated(node.name, "Slice"):
        return ""
    axes = node.attributes.get("axes")
    starts, ends = node.attributes["starts"], node.attributes["ends"]
    if not axes or min(axes) < 0 or any(step != 1 for step in node.attributes.get("steps") or ()):
        return ""
    written = [":"] * (max(axes) + 1)
    for axis, start, end in zip(axes, starts, ends, strict=True):
        written[axis] = str(start) if axis in single else f"{start or ''}:{end if end < LARGEST_INTEGER else ''}"
    return ", ".join(written)
