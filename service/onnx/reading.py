"""Read an ONNX model from bytes that anybody may have sent: sizes and references are checked before figures are read.

Of the package `onnx` only the message format and the schemas are used, and its inliner of local functions, on models
whose size after inlining is known.
"""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from math import prod
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, inliner, numpy_helper

from service.core.errors import Fault, InvalidModel, LimitExceeded, MalformedModel
from service.settings import Limits

OLDEST_OPSET = 7  # since which operands broadcast as in NumPy
STANDARD = ("", "ai.onnx")  # the two names of ONNX's own domain


def read_model(body: bytes, limits: Limits) -> ModelProto:
    """Read a model, its local functions inlined.

    Raises MalformedModel for bytes that are none; InvalidModel for data in other files and for an opset that is not
    read here; LimitExceeded for more nodes or a larger tensor than the limits allow.
    """
    model = ModelProto()
    try:
        model.ParseFromString(body)
    except DecodeError as error:
        raise MalformedModel(f"the body is not an ONNX model: {error}") from None
    if not model.HasField("graph") or not model.opset_import:
        raise MalformedModel("the body is not an ONNX model: it has no graph, or says no version of the operators")
    _check_names(model)
    _check_opset(model)
    _check_tensors(model, limits)
    count, size = _weigh_inlined(model)
    if count > limits.nodes:
        detail = f"a graph has at most {limits.nodes} nodes; this model has {count}"
        raise LimitExceeded("nodes", limits.nodes, count, detail)
    if size > limits.body_bytes:
        detail = (
            f"a model has at most {limits.body_bytes} bytes; with its functions in place of their calls it has {size}"
        )
        raise LimitExceeded("body_bytes", limits.body_bytes, size, detail)
    return inliner.inline_local_functions(model) if model.functions else model


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operators that the model is written in."""
    return next((each.version for each in model.opset_import if each.domain in STANDARD), OLDEST_OPSET)


def _check_opset(model: ModelProto) -> None:
    newest, opset = onnx.defs.onnx_opset_version(), opset_of(model)
    if not OLDEST_OPSET <= opset <= newest:
        detail = f"the model is of opset {opset}; those from {OLDEST_OPSET} to {newest} are read"
        raise InvalidModel([Fault(("opset_import",), detail)])


def _check_names(model: ModelProto) -> None:
    """Refuse names that are not UTF-8, which the message's reader leaves as bytes."""
    if any(isinstance(name, bytes) for part in _parts(model) for name in _names(part)):
        raise MalformedModel("the body is not an ONNX model: a name in it is not UTF-8")


def _names(part: GraphProto | FunctionProto) -> Iterator[str | bytes]:
    for node in part.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield from (attribute.name, attribute.ref_attr_name)
    if isinstance(part, FunctionProto):
        yield from (part.name, part.domain, *part.input, *part.output)
        return
    yield from (each.name for each in part.initializer)
    for value in (*part.input, *part.output):
        yield value.name
        yield from (length.dim_param for length in value.type.tensor_type.shape.dim)


# --- tensors ------------------------------------------------------------------------------------------------------


def read_tensor(tensor: TensorProto) -> NDArray[Any]:
    """The figures of a tensor; raises ValueError where their number is not that of its shape."""
    try:
        array: NDArray[Any] = numpy_helper.to_array(tensor)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"the tensor {tensor.name!r} is damaged: {error}") from None
    return array


def _check_tensors(model: ModelProto, limits: Limits) -> None:
    faults = []
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            detail = (
                f"the data of the tensor {tensor.name!r} are in another file; write one file that holds them: "
                'onnx.save(onnx.load("model.onnx"), "whole.onnx")'
            )
            faults.append(Fault(("graph", "initializer"), detail))
        elif min(tensor.dims, default=0) < 0:
            faults.append(Fault(("graph", "initializer"), f"the tensor {tensor.name!r} has a negative length"))
        elif (size := prod(tensor.dims)) > limits.tensor_elements:
            detail = f"a tensor has at most {limits.tensor_elements} elements; {tensor.name!r} has {size}"
            raise LimitExceeded("tensor_elements", limits.tensor_elements, size, detail)
    if faults:
        raise InvalidModel(faults)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    for part in _parts(model):
        if isinstance(part, GraphProto):
            yield from part.initializer
            for sparse in part.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        for attribute in _attributes(part.node):
            yield from [attribute.t] if attribute.type == AttributeProto.TENSOR else attribute.tensors


def _parts(model: ModelProto) -> Iterator[GraphProto | FunctionProto]:
    """The graph, the functions, and the graphs among the attributes of their nodes."""
    waiting: list[GraphProto | FunctionProto] = [model.graph, *model.functions]
    while waiting:
        part = waiting.pop()
        yield part
        waiting.extend(graph for node in part.node for graph in inner_graphs(node))


def _attributes(nodes: Iterable[NodeProto]) -> Iterator[AttributeProto]:
    return (attribute for node in nodes for attribute in node.attribute)


def _graphs(attribute: AttributeProto) -> list[GraphProto]:
    return [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)


def inner_graphs(node: NodeProto) -> list[GraphProto]:
    """The graphs among a node's attributes: the branches of an If, the body of a Loop."""
    return [graph for attribute in node.attribute for graph in _graphs(attribute)]


# --- local functions ----------------------------------------------------------------------------------------------


def _weigh_inlined(model: ModelProto) -> tuple[int, int]:
    """Count the nodes, and their bytes, that there are once every call of a local function is replaced by its nodes.

    Raises InvalidModel where a function calls itself, if by way of others.
    """
    functions = {(each.domain, each.name): each for each in model.functions}
    calls = {key: [_called(node) for node in _nodes(each.node)] for key, each in functions.items()}
    weights: dict[tuple[str, str], tuple[int, int]] = {}

    def weigh(nodes: Iterable[NodeProto]) -> tuple[int, int]:
        found = [weights.get(_called(node), (1, 0)) for node in _nodes(nodes)]
        return sum(count for count, _ in found), sum(size for _, size in found) + sum(each.ByteSize() for each in nodes)

    try:
        order = [*TopologicalSorter({key: set(calls[key]) & functions.keys() for key in calls}).static_order()]
    except CycleError as error:
        raise InvalidModel([Fault(("functions",), f"the function {error.args[1][0][1]!r} calls itself")]) from None
    for key in order:
        weights[key] = weigh(functions[key].node)
    return weigh(model.graph.node)


def _called(node: NodeProto) -> tuple[str, str]:
    return node.domain, node.op_type


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes and those of their inner graphs."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(each for graph in inner_graphs(node) for each in graph.node)
