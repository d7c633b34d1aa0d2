"""Write graphs as ONNX models."""

from collections.abc import Mapping

from service.core.errors import LimitExceeded
from service.core.figures.figures import Shape
from service.core.figures.weight import Weight
from service.usecases.context import Context
from service.usecases.graphs import get_graph
from service.usecases.model_imports import require_onnx
from service.usecases.tensors import load_arrays, with_weights

_WRITTEN_NODE = Weight(2e6, 20e3)  # some nodes are a dozen of ONNX's


def export_graph(context: Context, graph_id: str, *, dtype: str, shapes: Mapping[str, Shape]) -> bytes:
    """Write a graph as an ONNX model of float32 or float64; `shapes` are those of inputs that declare none.

    Weights that the graph has are in it. Raises NotInstalled, NotFound, LimitExceeded; InvalidRequest with a fault for
    each operation that ONNX cannot say, and for inputs whose shapes must be known.
    """
    require_onnx()
    record = get_graph(context, graph_id)
    graph = context.graph(record.digest)
    context.admit(_WRITTEN_NODE * len(graph))
    from service.onnx.writing import write_model

    about = f"{record.name}@{record.version}, a graph of Gradbook. Digest: {record.digest}"
    weights = load_arrays(context, with_weights(record, {}), ("weights",))
    body = write_model(graph, record.name, about, dtype=dtype, shapes=shapes, weights=weights)
    most = context.limits.answer_bytes
    if len(body) > most:
        detail = f"an answer has at most {most} bytes; this model has {len(body)}"
        raise LimitExceeded("answer_bytes", most, len(body), detail)
    return body
