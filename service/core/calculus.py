"""The derivative as terms and as a graph: reverse mode over symbols, by the same rules that yield figures.

A graph of elementwise operations is differentiated as a function of scalars: at vector inputs each gradient is per
point, of the shape that its formula has there, and nothing is summed.
"""

from collections.abc import Container, Iterable, Sequence
from itertools import chain, count
from typing import Any

from service.core.equation import Formula, gradient_of
from service.core.expression import free_names
from service.core.graph import LONGEST_NAME, Graph, Node, build_graph, node_document, written_attribute
from service.core.simplification import Terms
from service.core.symbol import Application, Literal, Term, Variable, evaluation_order, local_gradient_terms
from service.core.tensor import Tensor
from service.core.writing import name_text, write_latex, write_mathml, write_text


def gradient_graph(graph: Graph, output: str, wrt: Sequence[str]) -> Graph:
    """The graph whose outputs are the gradients of `output` with respect to each of `wrt`, in that order.

    An output is named d<output>_d<node>, with a number behind it where that is taken. All inputs of `graph` are kept,
    in their order; of its other nodes those that a gradient needs, under their names. Equal sub-expressions are one
    node. The gradient with respect to a node that does not reach `output` is 0.
    """
    terms = Terms()
    gradients = _backpropagate(graph, terms, _named_terms(graph, terms), output, wrt)
    found = [gradients.get(graph.position[name], terms.literal(0.0)) for name in wrt]
    building = _Building(graph)
    names = [building.reserve(f"d{output}_d{name}") for name in wrt]
    for name, term in zip(names, found, strict=True):
        building.names.setdefault(id(term), name)
    order = evaluation_order(*found)
    needed = set(map(id, order))
    for place, term in gradients.items():
        if id(term) in needed and id(term) not in building.names:
            building.names[id(term)] = building.reserve(f"d{output}_d{graph.nodes[place].name}")
    for term in order:
        if isinstance(term, Application):
            building.add(term)
    for name, term in zip(names, found, strict=True):
        building.add_output(name, term)
    return build_graph(building.documents(), names, graph.inputs)


def formula(graph: Graph, of: str, wrt: str | None = None) -> Term:
    """A node as one term in the graph's inputs, for a reader; with `wrt`, its derivative with respect to that node."""
    terms = Terms(for_reading=True)
    known = _expanded_terms(graph, terms)
    if wrt is None:
        return known[graph.position[of]]
    gradients = _backpropagate(graph, terms, known, of, [wrt])
    return gradients.get(graph.position[wrt], terms.literal(0.0))


def write_formula(graph: Graph, of: str, wrt: str | None, most: int) -> Formula:
    """The equation that says what `formula` finds, in three languages; its text can be read as a graph.

    Raises LimitExceeded for a text of more than `most` characters.
    """
    term = formula(graph, of, wrt)
    name, subject = (of, Variable(of)) if wrt is None else (f"d{of}_d{wrt}", gradient_of(of, wrt))
    text = define_function(free_name(name, graph.inputs), graph.inputs, term, most)
    latex = f"{write_latex(subject)} = {write_latex(term, None)}"
    return Formula(text, latex, f"{write_mathml(subject)}<mo>=</mo>{write_mathml(term, None)}")


def define_function(name: str, inputs: Sequence[str], term: Term, most: int | None = None) -> str:
    """A term as a text of the expression language, name(inputs) = …, that reads as a graph with this one output.

    Raises LimitExceeded for a term of more than `most` characters.
    """
    value = write_text(term, most)
    if isinstance(term, Literal):
        value = f"identity({value})"  # a Constant alone would be no more of an output than the inputs
    return f"{name_text(name)}({', '.join(map(name_text, inputs))}) = {value}"


def free_name(wanted: str, taken: Container[str]) -> str:
    """The name wanted, cut where it is too long for one, with a number behind it where it is taken."""
    wanted = wanted if len(wanted) <= LONGEST_NAME else wanted[: LONGEST_NAME - 10]
    numbered = (f"{wanted}_{number}" for number in count(2))
    return next(name for name in chain([wanted], numbered) if name not in taken)


# --- the terms of a graph's nodes -------------------------------------------------------------------------------------


def _named_terms(graph: Graph, terms: Terms) -> list[Term]:
    """Each node by its name, one equal to an earlier node by that one's, and a Constant as its number."""
    known: list[Term] = []
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        if operands:
            parts = [known[place] for place in operands]
            known.append(terms.bind(Variable(node.name), node.operation, parts, tuple(node.attributes.items())))
        else:
            known.append(_leaf(terms, node))
    return known


def _leaf(terms: Terms, node: Node) -> Term:
    value = node.attributes.get("value")
    if isinstance(value, float):
        return terms.literal(value)
    return terms.variable(Variable(node.name))


def _expanded_terms(graph: Graph, terms: Terms) -> list[Term]:
    """Each node as a term in the graph's inputs."""
    known: list[Term] = []
    for node, operands in zip(graph.nodes, graph.operands, strict=True):
        if operands:
            parts = [known[place] for place in operands]
            known.append(terms.of(node.operation, parts, tuple(node.attributes.items())))
        elif isinstance(node.attributes.get("value"), Tensor):
            known.append(terms.of(node.operation, (), tuple(node.attributes.items())))
        else:
            known.append(_leaf(terms, node))
    return known


# --- the backward pass over terms -------------------------------------------------------------------------------------


def _backpropagate(
    graph: Graph, terms: Terms, known: Sequence[Term], output: str, wrt: Sequence[str]
) -> dict[int, Term]:
    """The gradient of `output` with respect to each node on the way to it from one of `wrt`, by the node's position.

    `known` holds the term of each node's value.
    """
    target, varying = graph.position[output], _varying(graph, wrt)
    rules: dict[Any, tuple[Sequence[Term], Sequence[Term]]] = {}
    gradients: dict[int, Term] = {target: terms.literal(1.0)} if varying[target] else {}
    for place in range(target, -1, -1):
        operands = graph.operands[place]
        slots = tuple(slot for slot, source in enumerate(operands) if varying[source])
        if place not in gradients or not slots:
            continue
        node, upstream = graph.nodes[place], gradients[place]
        key = (node.operation.name, len(operands), slots, repr(dict(node.attributes)) if node.attributes else "")
        if key not in rules:
            rules[key] = _local_rules(node, slots)
        order, locals_ = rules[key]
        values = {f"x{slot}": known[source] for slot, source in enumerate(operands)} | {"z": known[place]}
        made = terms.substitute(order, values)
        for slot, rule in zip(slots, locals_, strict=True):
            local, source = made[id(rule)], operands[slot]
            if isinstance(local, Literal) and local.value == 0.0:
                continue
            contribution = terms.named("Mul", upstream, local)
            so_far = gradients.get(source)
            gradients[source] = contribution if so_far is None else terms.named("Add", so_far, contribution)
    return gradients


def _varying(graph: Graph, wrt: Iterable[str]) -> list[bool]:
    """For each node whether it is, or depends on, one of `wrt`."""
    chosen = {graph.position[name] for name in wrt}
    varying: list[bool] = []
    for place, operands in enumerate(graph.operands):
        varying.append(place in chosen or any(varying[source] for source in operands))
    return varying


def _local_rules(node: Node, slots: Sequence[int]) -> tuple[Sequence[Term], Sequence[Term]]:
    """The local gradients by the operands at `slots` of x0, x1 … and value z: all their parts in order, and they."""
    operands = [Variable(f"x{slot}") for slot in range(len(node.inputs))]
    every = local_gradient_terms(node.operation, operands, Variable("z"), node.attributes)
    chosen = [every[slot] for slot in slots]
    return evaluation_order(*chosen), chosen


# --- from terms to nodes ----------------------------------------------------------------------------------------------


class _Building:
    """Documents of nodes made of terms, beside the nodes of a graph that these terms name."""

    def __init__(self, graph: Graph) -> None:
        self.names: dict[int, str] = {}  # by the id of the term
        self._graph = graph
        self._added: list[dict[str, Any]] = []
        self._used = set(graph.inputs)
        self._taken = set(graph.position)
        self._names_of = free_names(self._taken)
        self._constants = {
            repr(value): node.name
            for node in reversed(graph.nodes)
            if isinstance(value := node.attributes.get("value"), float)
        }

    def reserve(self, wanted: str) -> str:
        """The name wanted, or one like it that is free; it is taken from now on."""
        name = free_name(wanted, self._taken)
        self._taken.add(name)
        return name

    def add(self, term: Application) -> None:
        """A node for a term whose operands have nodes."""
        name = self.names.setdefault(id(term), "") or next(self._names_of(term.operation.name))
        self.names[id(term)] = name
        inputs = [self._name_of(operand) for operand in term.operands]
        self._added.append(node_document(Node(name, term.operation, tuple(inputs), dict(term.attributes))))

    def add_output(self, name: str, term: Term) -> None:
        """A node of that name for a term that has another, or none."""
        if isinstance(term, Literal):
            self._add_constant(name, term)
        elif not isinstance(term, Application) or self.names[id(term)] != name:
            self._added.append({"name": name, "operation": "Identity", "inputs": [self._name_of(term)]})

    def documents(self) -> list[dict[str, Any]]:
        """The nodes of the graph that are needed, and the new ones."""
        needed = set(self._used)
        for node in reversed(self._graph.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return [node_document(node) for node in self._graph.nodes if node.name in needed] + self._added

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
        attributes = {"value": written_attribute(term.value)}
        self._added.append({"name": name, "operation": "Constant", "attributes": attributes})
