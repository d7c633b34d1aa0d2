"""Write stored graphs in other languages."""

from service.core.errors import LimitExceeded
from service.core.figures.weight import Weight
from service.core.source.writing import Origin, write_source
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.tensors import write_digest

# Of each node that is written, and of each element of a Constant.
_WRITTEN_NODE, _WRITTEN_ELEMENT = Weight(200e3, 2000.0), Weight(5e3, 200.0)


def get_source(context: Context, graph_id: str, language: str) -> str:
    """Write a graph as the source code of a function in NumPy, PyTorch, JAX or C.

    Raises NotFound; InvalidRequest with a fault for each operation that the language cannot say; LimitExceeded.
    """
    record = get_graph(context, graph_id)
    graph = context.graph(record.digest)
    elements = sum(getattr(getattr(node.attributes.get("value"), "array", None), "size", 0) for node in graph.nodes)
    context.admit(_WRITTEN_NODE * len(graph) + _WRITTEN_ELEMENT * elements)
    weights = {name: write_digest(digest) for name, digest in record.weights.items()}
    text = write_source(graph, language, Origin(record.name, record.version, weights))
    most = context.limits.answer_bytes
    if len(text) > most:
        detail = f"an answer has at most {most} bytes; this source has {len(text)}"
        raise LimitExceeded("answer_bytes", most, len(text), detail)
    return text
