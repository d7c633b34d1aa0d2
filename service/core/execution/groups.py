"""The nodes of a graph of scalars by operation: what is done to all of them at once is one call of NumPy's."""

from dataclasses import dataclass

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.figures import IntArray
from service.core.graph.graph import Graph
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """All nodes of one operation and arity: their positions, and their operands' positions, of shape (arity, count)."""

    operation: Operation
    nodes: IntArray
    operands: IntArray
    attributes: Attributes


@memoize_on_argument
def groups_of(graph: Graph) -> tuple[Group, ...]:
    """Group the nodes of a graph of elementwise operations; a group's numeric attributes may differ."""
    columns, words = graph.columns, {(): 0}
    counts, spelled = np.diff(columns.starts), np.zeros(len(graph), dtype=np.int64)
    for position, given in columns.attributes.items():
        said = tuple(value for value in given.values() if not isinstance(value, float))
        spelled[position] = words.setdefault(said, len(words))
    key = (columns.kinds * (np.int64(counts.max()) + 1) + counts) * len(words) + spelled
    positions = np.flatnonzero(counts)
    positions = positions[np.argsort(key[positions], kind="stable")]
    parts = np.split(positions, np.flatnonzero(np.diff(key[positions])) + 1)
    groups = []
    # In the order in which contributions to a node are summed: by the first node.
    for nodes in sorted((part for part in parts if part.size), key=lambda part: int(part[0])):
        first = int(nodes[0])
        attributes = {
            name: np.array([columns.attributes[position][name] for position in nodes.tolist()])
            if isinstance(value, float)
            else value
            for name, value in columns.attributes.get(first, NO_ATTRIBUTES).items()
        }
        edges = columns.starts[nodes] + np.arange(counts[first])[:, np.newaxis]
        operation = columns.operations[columns.kinds[first]]
        groups.append(Group(operation, nodes, columns.operands[edges].astype(np.int64), attributes))
    return tuple(groups)


@memoize_on_argument
def is_grouped(graph: Graph) -> bool:
    """Whether the nodes of one operation can be computed at once: all are elementwise and computed in float64."""
    return not graph.float32_nodes and all(
        operation.is_elementwise for operation in {node.operation for node in graph.nodes}
    )
