"""Make graphs of ONNX models."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from service.core.errors import NotInstalled
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.storage.records import GraphRecord
from service.usecases.context import Context
from service.usecases.graphs import create_graph
from service.usecases.idempotency import IdempotencyKey
from service.usecases.tensors import keep_arrays
from service.usecases.weighing import BUILT_NODE

# More than a thread does at once, so that a process which can be killed reads what anybody may have sent; and of each
# byte, which is read, checked and, as a number of a constant, written as text.
_ANY_MODEL, _MODEL_BYTE = Weight(1e8, 64e6), Weight(50.0, 50.0)


def require_onnx() -> None:
    """Raise NotInstalled where the extra `onnx` is not installed."""
    if find_spec("onnx") is None:
        raise NotInstalled(
            "ONNX models need the extra onnx: pip install 'gradbook[onnx]', or in a checkout pip install "
            "--require-hashes -r requirements-onnx.lock"
        )


def import_graph(
    context: Context,
    name: str,
    model: bytes,
    *,
    shapes: Mapping[str, Sequence[int]],
    outputs: Sequence[str] | None = None,
    key: IdempotencyKey | None = None,
) -> tuple[GraphRecord, Graph, bool, Sequence[str]]:
    """Make a graph of an ONNX model, store it under `name`, and its weights as tensors.

    `shapes` are those of the model's inputs whose own are not enough, `outputs` the tensors that are outputs instead of
    the model's own. Returns as `create_graph`, and warnings. Raises NotInstalled, MalformedModel, InvalidModel,
    LimitExceeded.
    """
    require_onnx()
    context.admit(_ANY_MODEL + _MODEL_BYTE * len(model))
    from service.onnx.importing import import_model

    imported = import_model(model, context.limits, shapes, outputs)
    context.admit(_ANY_MODEL + _MODEL_BYTE * len(model) + BUILT_NODE * len(imported.nodes))
    made = create_graph(
        context,
        name,
        nodes=imported.nodes,
        outputs=imported.outputs,
        inputs=imported.inputs,
        weights=keep_arrays(context, imported.weights),
        tags={},
        key=key,
    )
    return *made, imported.warnings
