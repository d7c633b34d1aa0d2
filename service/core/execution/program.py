"""A graph of scalars packed into arrays: what the compiled loops run.

Its nodes stand in an order of execution, in stretches of the same operation and the same number of operands, so that a
loop decides once a stretch, and not once a node, what to compute. A wide graph is sorted for that by level (the longest
path from a leaf) and operation; one in which that would not lengthen the stretches keeps its topological order. Figures
stay where they are, in topological order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, product, repeat
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph, Node
from service.core.rulebook.attribute import OneOf, number
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import find, operations

IntArray = NDArray[np.int32]
Places = NDArray[np.uint32]

Words = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """The packed form of one graph; all positions are topological.

    `stretches` holds, flat, for each stretch: opcode, number of operands, first and last + 1 of `nodes`, where its
    operands start, where its attributes start. `leaves` holds the Constants' values at their positions.
    """

    stretches: IntArray
    nodes: Places
    operands: Places
    attributes: FloatArray
    leaves: FloatArray
    inputs: Mapping[str, int]
    constants: NDArray[np.intp]
    present: NDArray[np.bool_] | None


@cache
def opcodes() -> Mapping[tuple[Operation, Words], int]:
    """What the compiled loops know, numbered: each elementwise operation, once for every choice of its words."""
    known = [
        (operation, words)
        for operation in operations()
        if (operation.local_gradients or operation.fold)
        and all(each.read is number or isinstance(each.read, OneOf) for each in operation.attributes)
        for words in product(*(each.read.words for each in operation.attributes if isinstance(each.read, OneOf)))
    ]
    return {each: code for code, each in enumerate(known)}


def words_of(attributes: Attributes) -> Words:
    """Those of a node's attributes that are words, in order."""
    return tuple(value for value in attributes.values() if isinstance(value, str))


def find_levels(counts: IntArray, operands: Places, level: IntArray) -> None:
    """Fill in for each node the number of edges of the longest path to it from a leaf."""
    position = 0
    for place in range(len(counts)):
        deepest = -1
        for _ in range(counts[place]):
            deepest = max(deepest, level[operands[position]])
            position += 1
        level[place] = deepest + 1


def find_reached(stretches: IntArray, nodes: Places, operands: Places, reached: NDArray[np.bool_]) -> None:
    """Mark all nodes from which a marked one is reached: `traversal.reaches`, compiled with the loops that need it."""
    for stretch in range(len(stretches) - 6, -1, -6):
        count, first, last = stretches[stretch + 1], stretches[stretch + 2], stretches[stretch + 3]
        start = stretches[stretch + 4]
        for k in range(last - 1, first - 1, -1):
            if reached[nodes[k]]:
                for edge in range(start + (k - first) * count, start + (k - first + 1) * count):
                    reached[operands[edge]] = True


def pack_graph(graph: Graph, levels_of: Callable[[IntArray, Places, IntArray], Any] = find_levels) -> Program | None:
    """The program of a graph; None where the compiled loops do not know an operation or an input is declared a tensor.

    Every operand's position is below its node's: checked here, since the loops do not look.
    """
    codes: dict[Operation | None, int] = {
        find("Input"): -1,
        find("Constant"): -2,
        **{operation: code for (operation, _), code in opcodes().items()},
    }
    nodes, position = graph.nodes, graph.position
    code = np.fromiter(map(codes.get, map(attrgetter("operation"), nodes), repeat(-3)), np.int32, len(nodes))
    if code.min() == -3 or any(_is_declared_otherwise(nodes[place]) for place in np.flatnonzero(code < 0)):
        return None
    for place in np.flatnonzero(np.isin(code, [code for (_, words), code in opcodes().items() if words])):
        code[place] = opcodes()[nodes[place].operation, words_of(nodes[place].attributes)]
    sources = list(map(attrgetter("inputs"), nodes))
    counts = np.fromiter(map(len, sources), np.int32, len(nodes))
    names = chain.from_iterable(sources)
    operands = np.fromiter(map(position.__getitem__, names), np.uint32, int(counts.sum()))
    if np.any(operands >= np.repeat(np.arange(len(nodes)), counts)):
        raise ValueError("a node reads one that does not stand before it")
    order = _order_of_execution(code, counts, operands, levels_of)
    starts = np.cumsum(counts) - counts
    edges = np.repeat(starts[order] - (np.cumsum(counts[order]) - counts[order]), counts[order])
    leaves = np.zeros(len(nodes))
    constants = np.flatnonzero(code == -2)
    leaves[constants] = [nodes[place].attributes["value"] for place in constants]
    present = None
    if constants.size:
        present = code != -2
        present.setflags(write=False)
    given = order[_widths()[code[order]] > 0]
    attributes = [x for place in given for x in nodes[place].attributes.values() if not isinstance(x, str)]
    return Program(
        _stretches(code[order], counts[order]),
        order.astype(np.uint32),
        operands[edges + np.arange(len(edges))],
        np.array(attributes, dtype=np.float64),
        leaves,
        {name: position[name] for name in graph.inputs},
        constants,
        present,
    )


def _is_declared_otherwise(node: Node) -> bool:
    """Whether an Input or a Constant is declared to be another thing than a scalar of float64."""
    given = node.attributes
    return (
        bool(given.get("shape")) or given.get("dtype") not in (None, "float64") or np.ndim(given.get("value", 0.0)) > 0
    )


def _order_of_execution(
    code: IntArray, counts: IntArray, operands: Places, levels_of: Callable[[IntArray, Places, IntArray], Any]
) -> NDArray[np.intp]:
    """The positions of all nodes that have operands, sorted where that makes far fewer stretches."""
    plain = np.flatnonzero(code >= 0)
    level = np.empty_like(code)
    levels_of(counts, operands, level)
    widest = np.int64(counts.max()) + 1
    kind = (level * np.int64(len(opcodes())) + code) * widest + counts
    ordered = plain[np.argsort(kind[plain], kind="stable")]
    same = code * widest + counts
    changes = [np.count_nonzero(np.diff(same[order])) for order in (plain, ordered)]
    return ordered if 2 * changes[1] < changes[0] else plain


def _stretches(code: IntArray, counts: IntArray) -> IntArray:
    changes = np.flatnonzero((np.diff(code) != 0) | (np.diff(counts) != 0)) + 1
    first = np.concatenate([np.zeros(min(1, len(code)), dtype=np.intp), changes])
    last = np.append(changes, len(code))[: len(first)]
    widths = _widths()
    operand = np.cumsum(counts) - counts
    attribute = np.cumsum(widths[code]) - widths[code]
    columns = [code[first], counts[first], first, last, operand[first], attribute[first]]
    return np.stack(columns, axis=1).astype(np.int32).reshape(-1)


def _widths() -> NDArray[np.intp]:
    """For each opcode the number of attributes that are numbers."""
    return np.array([len(operation.attributes) - len(words) for operation, words in opcodes()])
