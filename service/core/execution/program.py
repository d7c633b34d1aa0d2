"""A graph of scalars packed into arrays for the compiled loops.

The nodes are in order of execution, in stretches of one operation with one number of operands, so that a loop branches
once a stretch instead of once a node. A wide graph is sorted by level (the longest path from a leaf) and operation; a
graph in which that would not make stretches much longer keeps its topological order. Figures stay in topological order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import BoolArray, FloatArray, IndexArray, Int32Array, UInt32Array
from service.core.graph.graph import Graph
from service.core.rulebook.attribute import OneOf
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import find, operation_of, operations

# The values of a node's attributes that are words, such as Gelu's `approximate`, in declared order.
Choices: TypeAlias = tuple[str, ...]
# `find_levels`, as written or compiled.
FindLevels: TypeAlias = Callable[[Int32Array, UInt32Array, Int32Array], Any]


@dataclass(frozen=True, eq=False)
class Program:
    """The packed form of one graph; all positions are topological.

    `stretches` holds, flat, for each stretch: opcode, number of operands, first and last + 1 of `nodes`, where its
    operands start, where its attributes start. `leaves` holds the Constants' values at their positions.
    """

    stretches: Int32Array
    nodes: UInt32Array
    operands: UInt32Array
    attributes: FloatArray
    leaves: FloatArray
    inputs: Mapping[str, int]
    constants: IndexArray
    present: BoolArray | None


Opcodes = Mapping[tuple[Operation, Choices], int]


@cache
def opcodes() -> Opcodes:
    """Number what can be compiled: each elementwise operation, once for every choice of its choices."""
    known = [
        (operation, choices)
        for operation in operations()
        if (operation.local_gradients or operation.fold)
        and all(isinstance(each.default, int | float) or isinstance(each.read, OneOf) for each in operation.attributes)
        for choices in product(*(each.read.words for each in operation.attributes if isinstance(each.read, OneOf)))
    ]
    return {each: code for code, each in enumerate(known)}


def choices_of(attributes: Attributes) -> Choices:
    """The values of attributes that are words, in declared order."""
    return tuple(value for value in attributes.values() if isinstance(value, str))


def find_levels(counts: Int32Array, operands: UInt32Array, level: Int32Array) -> None:
    """Fill in each node's level: the number of edges of the longest path to it from a leaf."""
    edge = 0
    for position in range(len(counts)):
        deepest = -1
        for _ in range(counts[position]):
            deepest = max(deepest, level[operands[edge]])
            edge += 1
        level[position] = deepest + 1


def find_reached(stretches: Int32Array, nodes: UInt32Array, operands: UInt32Array, reached: BoolArray) -> None:
    """Mark every node from which a path leads to a marked one: `traversal.reaches`, compiled with the loops."""
    for stretch in range(len(stretches) - 6, -1, -6):
        count, first, last = stretches[stretch + 1], stretches[stretch + 2], stretches[stretch + 3]
        start = stretches[stretch + 4]
        for k in range(last - 1, first - 1, -1):
            if reached[nodes[k]]:
                for edge in range(start + (k - first) * count, start + (k - first + 1) * count):
                    reached[operands[edge]] = True


def pack_graph(graph: Graph, levels_of: FindLevels = find_levels) -> Program | None:
    """Pack a graph; return None where the loops lack an operation or an Input or a Constant is no scalar of float64.

    Raises ValueError unless each operand's position is below its node's: the loops do not check their indices.
    """
    codes: dict[Operation | None, int] = {
        find("Input"): -1,
        find("Constant"): -2,
        **{operation: code for (operation, _), code in opcodes().items()},
    }
    columns = graph.columns
    operations, attributes, operands = columns.operations, columns.attributes, columns.operands
    code = np.array([codes.get(operation, -3) for operation in operations], dtype=np.int32)[columns.kinds]
    if code.min() == -3 or any(_is_no_float64_scalar(given) for at, given in attributes.items() if code[at] < 0):
        return None
    choosing = np.isin(code, [code for (_, choices), code in opcodes().items() if choices])
    for position in np.flatnonzero(choosing).tolist():
        code[position] = opcodes()[operations[columns.kinds[position]], choices_of(attributes[position])]
    counts = np.diff(columns.starts).astype(np.int32)
    if np.any(operands >= np.repeat(np.arange(len(code)), counts)):
        raise ValueError("a node reads one that does not stand before it")
    order = _order_of_execution(code, counts, operands, levels_of)
    starts = np.cumsum(counts) - counts
    edges = np.repeat(starts[order] - (np.cumsum(counts[order]) - counts[order]), counts[order])
    leaves = np.zeros(len(code))
    constants = np.flatnonzero(code == -2)
    leaves[constants] = [attributes[position]["value"] for position in constants.tolist()]
    present = None
    if constants.size:
        present = code != -2
        present.setflags(write=False)
    given = order[_widths()[code[order]] > 0].tolist()
    numbers = [x for position in given for x in attributes[position].values() if not isinstance(x, str)]
    return Program(
        _stretches(code[order], counts[order]),
        order.astype(np.uint32),
        operands[edges + np.arange(len(edges))],
        np.array(numbers, dtype=np.float64),
        leaves,
        {name: graph.position[name] for name in graph.inputs},
        constants,
        present,
    )


def without_nodes(program: Program, left_out: BoolArray) -> Program:
    """The program in which the nodes that are `left_out`, by position, are leaves: none computes their values."""
    code, counts = _codes_and_counts(program)
    kept = ~left_out[program.nodes]
    return replace(
        program,
        stretches=_stretches(code[kept], counts[kept]),
        nodes=program.nodes[kept],
        operands=program.operands[np.repeat(kept, counts)],
        attributes=program.attributes[np.repeat(kept, _widths()[code])],
    )


def with_terms(program: Program) -> Program:
    """The program that adds a term to each value that it computes: behind the n values of the graph it takes n others,
    in which it leaves the values without their terms, and then the n terms."""
    code, counts = _codes_and_counts(program)
    add = operation_of("Add")
    bare, term = (program.nodes + np.uint32(times * len(program.leaves)) for times in (1, 2))
    both = np.stack([bare, term], axis=1).reshape(-1)
    return replace(
        program,
        stretches=_stretches(
            np.stack([code, np.full_like(code, opcodes()[add, ()])], axis=1).reshape(-1),
            np.stack([counts, np.full_like(counts, 2)], axis=1).reshape(-1),
        ),
        nodes=np.stack([bare, program.nodes], axis=1).reshape(-1),
        operands=np.insert(program.operands, np.repeat(np.cumsum(counts), 2), both),
    )


def with_slopes(program: Program, chosen: BoolArray, first: int) -> Program:
    """The program in which the nodes that are `chosen`, by position, are sums of products: each operand times a slope.

    From position `first` it takes the slopes, of one node after another in order of execution, then as many products.
    """
    code, counts = _codes_and_counts(program)
    multiply, add_up = (opcodes()[operation_of(name), ()] for name in ("Mul", "Sum"))
    linear = chosen[program.nodes]
    edges, ends = np.flatnonzero(np.repeat(linear, counts)), np.repeat(np.cumsum(counts), np.where(linear, counts, 0))
    slopes = np.arange(first, first + len(edges), dtype=np.uint32)
    products = slopes + np.uint32(len(edges))
    at = np.repeat(np.arange(len(code)), np.where(linear, counts, 0))
    return replace(
        program,
        stretches=_stretches(
            np.insert(np.where(linear, add_up, code), at, multiply).astype(np.int32),
            np.insert(counts, at, 2),
        ),
        nodes=np.insert(program.nodes, at, products),
        operands=np.insert(program.operands, np.append(edges + 1, ends), np.append(slopes, products)),
        attributes=program.attributes[np.repeat(~linear, _widths()[code])],
    )


def _codes_and_counts(program: Program) -> tuple[Int32Array, Int32Array]:
    """The opcode and the number of operands of each node, in order of execution."""
    code, count, first, last, _, _ = program.stretches.reshape(-1, 6).T
    return np.repeat(code, last - first), np.repeat(count, last - first)


def _is_no_float64_scalar(given: Attributes) -> bool:
    """Whether an Input or a Constant with these attributes is a tensor or of another dtype."""
    return (
        bool(given.get("shape")) or given.get("dtype") not in (None, "float64") or np.ndim(given.get("value", 0.0)) > 0
    )


def _order_of_execution(
    code: Int32Array, counts: Int32Array, operands: UInt32Array, levels_of: FindLevels
) -> IndexArray:
    """The positions of the nodes with operands, sorted by level and operation if that halves the stretches."""
    plain = np.flatnonzero(code >= 0)
    level = np.empty_like(code)
    levels_of(counts, operands, level)
    widest = np.int64(counts.max()) + 1
    kind = (level * np.int64(len(opcodes())) + code) * widest + counts
    ordered = plain[np.argsort(kind[plain], kind="stable")]
    same = code * widest + counts
    changes = [np.count_nonzero(np.diff(same[order])) for order in (plain, ordered)]
    return ordered if 2 * changes[1] < changes[0] else plain


def _stretches(code: Int32Array, counts: Int32Array) -> Int32Array:
    changes = np.flatnonzero((np.diff(code) != 0) | (np.diff(counts) != 0)) + 1
    first = np.concatenate([np.zeros(min(1, len(code)), dtype=np.intp), changes])
    last = np.append(changes, len(code))[: len(first)]
    widths = _widths()
    operand = np.cumsum(counts) - counts
    attribute = np.cumsum(widths[code]) - widths[code]
    columns = [code[first], counts[first], first, last, operand[first], attribute[first]]
    return np.stack(columns, axis=1).astype(np.int32).reshape(-1)


def _widths() -> IndexArray:
    """For each opcode the number of attributes that are numbers."""
    return np.array([len(operation.attributes) - len(choices) for operation, choices in opcodes()])
