"""The derivative as a graph and as a formula: the backward pass over terms, and what is built from them.

A graph of elementwise operations is differentiated as a function of scalars: at vector inputs each gradient is per
point, of the shape that its formula has there, and nothing is summed. In a graph with tensors each gradient has its
node's shape, as in the backward pass from a seed of ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from service.core.derivatives.squared_norms import with_sums_of_squares
from service.core.graph.graph import Graph, Node
from service.core.graph.names import free_name, free_names
from service.core.graph.shapes import known_shapes
from service.core.graph.sweep import walk_forward
from service.core.graph.traversal import ancestors
from service.core.rulebook.operation import NO_ATTRIBUTES
from service.core.rulebook.registry import operation_of
from service.core.symbolic.backward import backpropagate, has_tensors
from service.core.symbolic.equation import Formula, equate, gradient_of
from service.core.symbolic.finite import FiniteTerms
from service.core.symbolic.names import named
from service.core.symbolic.printing import name_text, write_text
from service.core.symbolic.simplify import SCALAR, TermTable
from service.core.symbolic.term import Application, Literal, Term, Variable, evaluation_order


def gradient_graph(graph: Graph, output: str, wrt: Sequence[str]) -> Graph:
    """Build the graph whose outputs are the gradients of `output` with respect to each of `wrt`, in that order.

    An output is named d<output>_d<node>, with a number appended if that is taken. All inputs of `graph` are kept, in
    order; of its other nodes those that a gradient needs, under their names. Equal sub-expressions become one node. The
    gradient with respect to a node that does not reach `output` is 0. Raises InvalidRequest where the rule of an
    operation on the way cannot be written as terms.
    """
    graph = with_sums_of_squares(graph)
    terms = TermTable(keep_shapes=has_tensors(graph), finite=FiniteTerms(ordinary_inputs=False))
    known = _named_terms(graph, terms)
    gradients = backpropagate(graph, terms, known, output, wrt)
    found = [gradients[graph.position[name]] for name in wrt]
    builder = _GraphBuilder(graph)
    names = [builder.reserve(f"d{output}_d{name}") for name in wrt]
    for name, term in zip(names, found, strict=True):
        builder.names.setdefault(id(term), name)
    order = evaluation_order(*found)
    needed = set(map(id, order))
    for position, term in gradients.items():
        if id(term) in needed and id(term) not in builder.names:
            builder.names[id(term)] = builder.reserve(f"d{output}_d{graph.nodes[position].name}")
    for term in order:
        if isinstance(term, Application):
            builder.add(term)
    for name, term in zip(names, found, strict=True):
        builder.add_output(name, term)
    return builder.graph(names)


def formula(graph: Graph, of: str, wrt: str | None = None) -> Term:
    """A node as one term in the graph's inputs, simplified; with `wrt`, its derivative by that node.

    It overflows and underflows no sooner than the backward pass. Raises as `gradient_graph` does.
    """
    graph = graph if wrt is None else with_sums_of_squares(graph)
    finite = FiniteTerms(ordinary_inputs=True)
    terms = TermTable(for_reading=True, keep_range=True, keep_shapes=has_tensors(graph), finite=finite)
    known = _expanded_terms(graph, terms)
    if wrt is None:
        return known[graph.position[of]]
    return backpropagate(graph, terms, known, of, [wrt])[graph.position[wrt]]


@dataclass(frozen=True, slots=True)
class WrittenFormula:
    """A formula as text that the expression language reads as a graph, and as an equation for readers.

    The latter, which nobody computes with, combines quotients: −f/d² for −f/d/d.
    """

    text: str
    equation: Formula


def write_formula(graph: Graph, of: str, wrt: str | None, most: int) -> WrittenFormula:
    """Write `formula` as an equation; raises LimitExceeded for a text of more than `most` characters."""
    term = formula(graph, of, wrt)
    name, subject = of, named(of, graph.position)
    if wrt is not None:
        name, subject = f"d{of}_d{wrt}", gradient_of(of, wrt, graph.position)
    text = define_function(free_name(name, graph.inputs), graph.inputs, term, most)
    term = TermTable(for_reading=True, keep_shapes=has_tensors(graph)).add(term)[0]
    return WrittenFormula(text, replace(equate(subject, term), most=None))


def define_function(name: str, inputs: Sequence[str], term: Term, most: int | None = None) -> str:
    """Write a term in the expression language, name(inputs) = …, as a graph with this one output.

    Raises LimitExceeded for a term of more than `most` characters.
    """
    value = write_text(term, most)
    if isinstance(term, Literal) or (isinstance(term, Application) and not term.operands):
        value = f"identity({value})"  # a lone Constant would not be the default output
    return f"{name_text(name)}({', '.join(map(name_text, inputs))}) = {value}"


# --- the terms of a graph's nodes -------------------------------------------------------------------------------------


def _named_terms(graph: Graph, terms: TermTable) -> list[Term]:
    """Each node as its name, or that of an earlier equal node; a Constant as its number."""

    def make_term(node: Node, operands: Sequence[Term]) -> Term:
        if not node.operation.is_input:
            return terms.assign(Variable(node.name), node.operation, operands, tuple(node.attributes.items()))
        return terms.variable(Variable(node.name))

    return _terms_of_nodes(graph, terms, make_term)


def _expanded_terms(graph: Graph, terms: TermTable) -> list[Term]:
    """Each node as a term in the graph's inputs."""

    def make_term(node: Node, operands: Sequence[Term]) -> Term:
        if node.operation.is_input:
            return terms.variable(named(node.name, graph.position))
        return terms.of(node.operation, operands, tuple(node.attributes.items()))

    return _terms_of_nodes(graph, terms, make_term)


def _terms_of_nodes(graph: Graph, terms: TermTable, make_term: Callable[[Node, Sequence[Term]], Term]) -> list[Term]:
    """Make each node's term from left to right, with shapes where known; a scalar Constant is its number."""
    shapes = known_shapes(graph) if terms.keep_shapes else ((),) * len(graph)

    def visit(position: int, operands: list[Term]) -> Term:
        node, shape = graph.nodes[position], shapes[position]
        value = node.attributes.get("value")
        if isinstance(value, float):
            return terms.literal(value)
        term = make_term(node, operands)
        if shape is not None:
            terms.set_partial_shape(term, frozenset([shape]) if shape else SCALAR)
        return term

    return walk_forward(graph, visit)


# --- from terms to nodes ----------------------------------------------------------------------------------------------


class _GraphBuilder:
    """Build nodes from terms that name nodes of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.names: dict[int, str] = {}  # by the id of the term
        self._graph = graph
        self._added: list[Node] = []
        self._used = set(graph.inputs)
        self._taken = set(graph.position)
        self._names_of = free_names(self._taken)
        self._constants = {
            repr(value): node.name
            for node in reversed(graph.nodes)
            if isinstance(value := node.attributes.get("value"), float)
        }

    def reserve(self, wanted: str) -> str:
        """Reserve the wanted name, or a free one like it."""
        name = free_name(wanted, self._taken)
        self._taken.add(name)
        return name

    def add(self, term: Application) -> None:
        """Add a node for a term whose operands have nodes."""
        name = self.names.get(id(term)) or next(self._names_of(term.operation.name))
        self.names[id(term)] = name
        inputs = tuple(map(self._name_of, term.operands))
        attributes = MappingProxyType(dict(term.attributes)) if term.attributes else NO_ATTRIBUTES
        self._added.append(Node(name, term.operation, inputs, attributes))

    def add_output(self, name: str, term: Term) -> None:
        """Add a node of that name for a term that has no node or one of another name."""
        if isinstance(term, Literal):
            self._add_constant(name, term)
        elif not isinstance(term, Application) or self.names[id(term)] != name:
            self._added.append(Node(name, operation_of("Identity"), (self._name_of(term),)))

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The needed nodes of the old graph, then the new ones; each after its operands."""
        position = self._graph.position
        needed = ancestors(self._graph, [position[name] for name in self._used if name in position])
        kept = [node for node, wanted in zip(self._graph.nodes, needed, strict=True) if wanted]
        return Graph((*kept, *self._added), self._graph.inputs, tuple(outputs))

    def _name_of(self, term: Term) -> str:
        if isinstance(term, Application):
            return self.names[id(term)]
        if isinstance(term, Literal):
            name = self._constants.get(repr(term.value))
            if name is None:
                name = self._constants[repr(term.value)] = next(self._names_of("Constant"))
                self._add_constant(name, term)
        else:
            name = term.name
        self._used.add(name)
        return name

    def _add_constant(self, name: str, term: Literal) -> None:
        self._added.append(Node(name, operation_of("Constant"), (), MappingProxyType({"value": term.value})))
