"""Read the text of a composed operation where it is used: its shapes are those that are known there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from service.core.composition.callee import Definition, needed_nodes
from service.core.errors import Fault
from service.core.figures.figures import Shape
from service.core.graph.building import assemble_graph
from service.core.graph.graph import Graph, Node
from service.core.graph.parts import Use
from service.core.graph.shapes import known_shape
from service.core.language.expression import parse_expression
from service.core.rulebook import compositions  # noqa: F401 (importing the package registers them)
from service.core.rulebook.composed import Composed, Given, OpenShape, ShapeNeeded

# Given the count of nodes, and the characters of a text, that a graph is to be made of, before it is.
Weigh: TypeAlias = Callable[[int, int], None]

_DEEPEST = 100  # brackets of a definition, which are ours


@dataclass(frozen=True, slots=True)
class Operands:
    """The nodes that stand before a use, with the shapes that are known, and who weighs what is read."""

    max_nodes: int | None
    weigh: Weigh
    nodes: dict[str, Node] = field(default_factory=dict)
    shapes: dict[str, Shape | None] = field(default_factory=dict)

    def add(self, nodes: Iterable[Node]) -> None:
        """Add nodes, each after those that it reads."""
        for node in nodes:
            self.nodes[node.name] = node
            self.shapes[node.name] = known_shape(node, [self.shapes.get(source) for source in node.inputs])

    def open_shape(self, name: str) -> OpenShape:
        """The shape of a node as far as it is known: an Input may declare some of its lengths."""
        node = self.nodes.get(name)
        declared: OpenShape = node.attributes.get("shape") if node and node.operation.is_input else None
        return self.shapes.get(name) or declared

    def undeclared(self, name: str) -> Sequence[str]:
        """The Inputs without a whole declared shape that a node depends on."""
        seen: set[str] = set()
        waiting, found = [name], []
        while waiting:
            node = self.nodes.get(waiting.pop())
            if node is None or node.name in seen:
                continue
            seen.add(node.name)
            waiting.extend(reversed(node.inputs))
            if node.operation.is_input and self.shapes[node.name] is None:
                found.append(node.name)
        return found


def define_composed(callee: Composed, use: Use, operands: Operands, count: int) -> Definition | Fault:
    """The nodes of a composed operation, or what is wrong with its use; `count` nodes are in the graph with it.

    Raises LimitExceeded.
    """
    names = {operand: name for operand, name in zip(callee.operands, use.inputs, strict=False) if name}
    values = {operand: operands.nodes[name].attributes.get("value") for operand, name in names.items()}
    given = Given(
        {operand: operands.open_shape(name) for operand, name in names.items()},
        use.attributes,
        {operand: value for operand, value in values.items() if value is not None},
        None if operands.max_nodes is None else operands.max_nodes - count,
    )
    try:
        text = callee.text(given)
    except ShapeNeeded as needed:
        inputs = operands.undeclared(names[needed.operand])
        told = " and ".join(map(repr, inputs[:3])) if inputs else repr(names[needed.operand])
        detail = f"{callee.name} needs {needed.what} of {needed.operand}: declare the shape of {told}"
        return Fault(("inputs", callee.operands.index(needed.operand)), detail)
    except ValueError as error:
        return Fault((), f"{callee.name}: {error}")
    operands.weigh(count, len(text))
    return read_definition(callee, text, use.attributes)


def example_text(operation: Composed) -> str:
    """The definition of a composed operation at the shapes and attributes of its reference."""
    return operation.text(operation.example).strip()


def read_definition(callee: Composed, text: str, attributes: Mapping[str, object]) -> Definition:
    """The nodes of a text that the value, or the chosen one of several outputs, needs."""
    graph = _read(text)
    output = str(attributes["output"]) if callee.outputs else graph.outputs[-1]
    return Definition(needed_nodes(graph, output, graph.inputs), callee.operands, output)


@lru_cache(maxsize=32)
def _read(text: str) -> Graph:
    """The graph of a text, whose last statement is an output."""
    nodes = parse_expression(text, max_bytes=len(text.encode()), max_depth=_DEEPEST)
    return assemble_graph(nodes, [nodes[-1].name])
