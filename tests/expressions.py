"""Parse expressions into nodes and graphs."""

from collections.abc import Sequence
from typing import Any

from service.core.graph.building import assemble_graph
from service.core.graph.graph import Graph, Node, node_document
from service.core.language.expression import parse_expression


def parse(text: str) -> list[Node]:
    """Parse a text within ordinary limits."""
    return parse_expression(text, max_bytes=1_000_000, max_depth=200)


def parsed_documents(text: str) -> list[dict[str, Any]]:
    """The node documents of a text, without the operation's defaults, integral numbers as ints."""
    return [_shortened(node) for node in parse(text)]


def _shortened(node: Node) -> dict[str, Any]:
    document = node_document(node)
    defaults = {each.name: each.default for each in node.operation.attributes if not each.required}
    attributes = {
        name: int(written) if isinstance(written, float) and str(written).endswith(".0") and written else written
        for name, written in document.pop("attributes", {}).items()
        if name not in defaults or node.attributes[name] != defaults[name]
    }
    return {**document, "attributes": attributes} if attributes else document


def graph_of_expression(text: str, outputs: Sequence[str] | None = None) -> Graph:
    """The graph of a text, its inputs in the text's order, as the service builds it."""
    nodes = parse(text)
    return assemble_graph(nodes, outputs, [node.name for node in nodes if node.operation.is_input])
