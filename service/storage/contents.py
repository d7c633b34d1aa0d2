"""Contents of graphs: nodes ↔ bytes.

Uncompressed, content is a line of JSON, {"nodes", "edges", "operations", "attributes", "ends"}; then, in little-endian
binary, which of the operations each node is, how many operands it has, and how far before it each of these stands; then
the names in UTF-8, a line each. `ends` are the positions of the inputs and outputs. Content of an older version is one
document in JSON.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.graph.columns import Names, NodeColumns, Nodes, Positions, nodes_of
from service.core.graph.graph import Graph, written_attribute
from service.core.graph.node import written_attributes
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation
from service.core.rulebook.registry import find

_KIND, _NUMBER = np.dtype("<u2"), np.dtype("<u4")


def write_content(graph: Graph) -> bytes:
    """The nodes of a graph, in their order, and where its inputs and outputs are among them."""
    columns = graph.columns
    counts = np.diff(columns.starts).astype(_NUMBER)
    back = np.repeat(np.arange(len(graph), dtype=_NUMBER), counts) - columns.operands
    header = {
        "nodes": len(graph),
        "edges": len(back),
        "operations": [operation.name for operation in columns.operations],
        "attributes": [
            (position, {name: written_attribute(value) for name, value in written.items()})
            for position, given in columns.attributes.items()
            if (written := written_attributes(columns.operations[columns.kinds[position]], given))
        ],
        "ends": sorted({graph.position[name] for name in (*graph.inputs, *graph.outputs)}),
    }
    line = json.dumps(header, separators=(",", ":")).encode()
    binary = [part.tobytes() for part in (columns.kinds.astype(_KIND), counts, back.astype(_NUMBER))]
    return zlib.compress(b"".join([line, b"\n", *binary, "\n".join(columns.names).encode()]), level=1)


def read_content(document: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
    """The graph of stored content; raises LookupError for an operation that is not in the rulebook, ValueError and
    LookupError for what is no content."""
    content = zlib.decompress(document)
    header = json.loads(content[: _end_of_line(content)])
    columns = _columns_of_document(header) if "names" in header else _columns(content, header)
    graph = Graph(nodes_of(columns), tuple(inputs), tuple(outputs))
    if isinstance(graph.nodes, Nodes):
        known = {columns.names[position]: position for position in header.get("ends", ())}
        vars(graph)["position"] = Positions(columns.names, known)
    return graph


def names_in(content: bytes) -> Sequence[str]:
    """The names of the nodes in uncompressed content, in their order; raises as `read_content`."""
    header = json.loads(content[: _end_of_line(content)])
    names: Sequence[str] = header["names"] if "names" in header else _columns(content, header).names
    return names


def _end_of_line(content: bytes) -> int:
    end = content.find(b"\n")
    return len(content) if end < 0 else end


def _columns(content: bytes, header: Mapping[str, Any]) -> NodeColumns:
    nodes, edges, offset = int(header["nodes"]), int(header["edges"]), _end_of_line(content) + 1
    columns: list[NDArray[Any]] = []
    for dtype, count in ((_KIND, nodes), (_NUMBER, nodes), (_NUMBER, edges)):
        columns.append(np.frombuffer(content, dtype, count, offset))
        offset += columns[-1].nbytes
    kinds, counts, back = columns
    names = Names(memoryview(content)[offset:])
    if len(names) != nodes or int(counts.sum()) != edges:
        raise ValueError("the columns of the content have different lengths")
    operands = np.repeat(np.arange(nodes, dtype=_NUMBER), counts) - back
    return _with_attributes(names, header["operations"], kinds, counts, operands, header["attributes"])


def _columns_of_document(document: Mapping[str, Any]) -> NodeColumns:
    """Those of an older version's content."""
    operations = list(dict.fromkeys(document["operations"]))
    kind = {name: number for number, name in enumerate(operations)}
    return _with_attributes(
        document["names"],
        operations,
        np.array([kind[name] for name in document["operations"]], dtype=_KIND),
        np.array([len(sources) for sources in document["operands"]], dtype=_NUMBER),
        np.array([*chain.from_iterable(document["operands"])], dtype=_NUMBER),
        document["attributes"],
    )


def _with_attributes(
    names: Sequence[str], operations: Sequence[str], kinds: Any, counts: Any, operands: Any, stored: Any
) -> NodeColumns:
    found = list(map(_operation, operations))
    attributes = {}
    for kind, operation in enumerate(found):
        if unwritten := _decode_attributes(operation, {}):
            attributes.update(dict.fromkeys(np.flatnonzero(kinds == kind).tolist(), unwritten))
    for position, given in stored:
        attributes[position] = _decode_attributes(found[kinds[position]], given)
    starts = np.zeros(len(names) + 1, dtype=np.uint32)
    np.cumsum(counts, out=starts[1:])
    return NodeColumns(names, found, kinds, starts, operands, attributes)


def _decode_attributes(operation: Operation, stored: Mapping[str, Any]) -> Attributes:
    """Turn stored attributes, which were checked when the graph was built, from JSON's types to the operation's."""
    values = {}
    for attribute in operation.attributes:
        if (value := stored.get(attribute.name, attribute)) is not attribute:
            values[attribute.name] = None if value is None else attribute.read(value)
        elif attribute.implied and operation.operands:
            values[attribute.name] = attribute.default
    return MappingProxyType(values) if values else NO_ATTRIBUTES


def _operation(name: str) -> Operation:
    operation = find(name)
    if operation is None:
        raise LookupError(f"a stored graph has the operation {name!r}, which is no more in the rulebook")
    return operation
