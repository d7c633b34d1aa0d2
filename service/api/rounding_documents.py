"""What is answered of the effect of rounding, as JSON documents."""

from typing import Any

from service.api.numbers import write_number
from service.core.graph.graph import Graph
from service.core.rounding.errors import RoundingErrors


def amplifier_document(graph: Graph, errors: RoundingErrors) -> dict[str, Any] | None:
    """The node that amplifies relative errors, and how much; None if none does much."""
    if errors.amplifier is None:
        return None
    factor = float(errors.amplification[errors.amplifier])
    return {"node": graph.nodes[errors.amplifier].name, "amplification": write_number(factor)}
