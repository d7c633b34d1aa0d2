"""What an expression may have meant otherwise: it is read as it stands, and its answer says so."""

import re

from service.core.graph.graph import Graph

_EULER = "e is an input here; with Euler's number e^x is written exp(x), and e itself exp(1)"


def hints_of(graph: Graph, expression: str | None) -> list[str]:
    """Hints for a graph that was written so: it has powers of an Input e, which no header such as F(e, x) lists."""
    if expression is None or "e" not in graph.inputs:
        return []
    headers = re.findall(r"\(([^()]*)\)\s*=(?!=)", expression)
    if any("e" in re.split(r"[\s,]+", listed) for listed in headers):
        return []
    raised = any(node.operation.name == "Pow" and node.inputs[0] == "e" for node in graph.nodes)
    return [_EULER] if raised else []
