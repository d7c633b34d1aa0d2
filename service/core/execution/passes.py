"""The forward pass and the backward pass: pure functions over a graph.

A graph of scalars is run by the compiled loops as soon as they are warm; anything else, and before, a loop over the
nodes in NumPy, in which each node may hold an array.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.errors import Fault, InvalidInputs, unknown_names
from service.core.execution import batches, kernel
from service.core.execution.chain_rule import contributions_at, in_precision, in_rows, value_at
from service.core.execution.closed_edges import OpenEdges, has_nan
from service.core.execution.jumps import jumping_nodes
from service.core.figures.figures import Figures, FloatArray, Shape, frozen, hold
from service.core.graph.graph import Graph
from service.core.graph.shapes import infer_shapes
from service.core.graph.sweep import sweep_back, walk_forward
from service.core.rulebook.input_types import read_input


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Inputs that fit a graph, at which nothing is computed yet; `shapes` are those of all values, None where all are
    scalars."""

    graph: Graph
    inputs: Mapping[str, FloatArray]
    shapes: tuple[Shape, ...] | None


def forward_pass(
    graph: Graph,
    inputs: Mapping[str, FloatArray],
    *,
    max_elements: int | None = None,
    max_tensor: int | None = None,
) -> Figures:
    """The value of every node, in topological order; takes and raises what `fit_inputs` does, before it computes.

    Large inputs are held, not copied: whoever gave them may not write to them any more.
    """
    return evaluate(fit_inputs(graph, inputs, max_elements=max_elements, max_tensor=max_tensor))


def fit_inputs(
    graph: Graph,
    inputs: Mapping[str, FloatArray],
    *,
    max_elements: int | None = None,
    max_tensor: int | None = None,
) -> Fitted:
    """Read the inputs of a forward pass and infer the shapes of its values.

    `inputs` holds one array for each Input of the graph. Raises InvalidInputs for a missing or an extra one and where
    shapes do not fit, LimitExceeded where one value would have more than `max_tensor` elements or all together more
    than `max_elements`.
    """
    _check_names(graph, inputs)
    program = None if any(getattr(x, "ndim", 0) for x in inputs.values()) else kernel.program_of(graph)
    within = max_elements is None or len(graph) <= max_elements
    if program and within and kernel.compiled_loops(program):
        return Fitted(graph, inputs, None)
    figures = {
        node.name: read_input(node.name, node.attributes, inputs[node.name])
        for node in graph.nodes
        if node.operation.is_input
    }
    shapes = None
    if program is None or not within:
        given = {name: np.shape(array) for name, array in figures.items()}
        shapes = infer_shapes(graph, given, max_elements=max_elements, max_tensor=max_tensor)
    return Fitted(graph, figures, shapes)


def fit_again(fitted: Fitted, inputs: Mapping[str, FloatArray]) -> Fitted:
    """Fit other inputs of the same shapes; raises InvalidInputs."""
    graph = fitted.graph
    read = {name: read_input(name, graph.nodes[graph.position[name]].attributes, each) for name, each in inputs.items()}
    return Fitted(graph, read, fitted.shapes)


def evaluate(fitted: Fitted) -> Figures:
    """The value of every node, in topological order; raises InvalidInputs where an operation refuses its operands, as
    an index out of range."""
    graph, figures = fitted.graph, fitted.inputs
    program = kernel.program_of(graph) if fitted.shapes is None else None
    if program and (loops := kernel.compiled_loops(program)):
        return kernel.evaluate(loops, program, figures)
    if shape := batches.shape_of_batch(graph, figures):
        return batches.evaluate_batch(graph, figures, shape)

    def visit(position: int, operands: list[Any]) -> Any:
        node = graph.nodes[position]
        if node.operation.is_input:
            return in_rows(figures[node.name][()])
        return value_at(graph, position, operands)

    with np.errstate(all="ignore"):
        return hold(walk_forward(graph, visit))


def backward_pass(graph: Graph, values: Figures, output: str, seed: FloatArray | float = 1.0) -> Figures:
    """The gradient of every node to which one flows: d(seed · output)/d(node), each of its node's shape.

    A scalar seed spreads to the output's shape. A node that does not reach the output along open edges
    (`closed_edges.py`) has gradient 0. Raises InvalidInputs where the seed's shape is not the output's.
    """
    target = graph.position[output]
    spread = spread_seed(seed, values.shape(target))
    program = kernel.program_of(graph) if values.shapes is None else None
    loops = kernel.compiled_loops(program) if program else None
    gradients = None
    if program and loops:
        gradients, lost = kernel.differentiate(loops, program, values.flat, target, float(spread))
        if not lost:
            return gradients
    elif batches.is_batch(graph, values):
        gradients, lost = batches.differentiate_batch(graph, values, target, spread)
        if not lost:
            return gradients
    arrays = [in_precision(graph, position, values.computed(position)) for position in range(len(graph))]

    def contributions(position: int, upstream: Any) -> Sequence[Any]:
        operands = [arrays[source] for source in graph.operands[position]]
        return contributions_at(graph, position, upstream, operands, arrays[position])

    if gradients is None:
        gradients = _sweep(graph, values, target, spread, contributions)
        if not any(map(has_nan, gradients.parts)):
            return gradients
    opened = _sweep(graph, values, target, spread, OpenEdges(graph, arrays, output).contributions)
    # What is no NaN is right: keep it to the bit, whichever loop computed it.
    return frozen(np.where(np.isnan(gradients.flat), opened.flat, gradients.flat), opened.shapes, opened.present)


def _sweep(
    graph: Graph,
    values: Figures,
    target: int,
    seed: FloatArray,
    contributions: Callable[[int, Any], Sequence[Any]],
) -> Figures:
    program = kernel.program_of(graph) if values.shapes is None else None
    summed: set[int] = set()  # the nodes whose gradients are arrays of this sweep's own making, which may be added to

    def add(position: int, so_far: Any, contribution: Any) -> Any:
        total = np.add(so_far, contribution, out=so_far if position in summed else None)
        if np.ndim(total):
            summed.add(position)
        return total

    # The kernel's order, in which contributions are added up, so that no bit of a sum depends on which of them runs.
    order = None if program is None else reversed(program.nodes.tolist())
    with np.errstate(all="ignore"):
        start = {target: in_precision(graph, target, seed)}
        gradients = sweep_back(graph, start, contributions, add=add, order=order)
    for position, node in enumerate(graph.nodes):
        if node.has_gradient and position not in gradients:
            gradients[position] = np.zeros(values.shape(position))
    return hold([gradients[position] if node.has_gradient else None for position, node in enumerate(graph.nodes)])


def spread_seed(seed: FloatArray | float, shape: Shape) -> FloatArray:
    """The seed at the output's shape; raises InvalidInputs if it is neither a scalar nor of that shape."""
    given = np.asarray(seed, dtype=np.float64)
    if given.shape == shape:
        return given
    if given.shape:
        raise InvalidInputs([Fault(("seed",), f"the seed has shape {list(given.shape)}; the output has {list(shape)}")])
    return np.broadcast_to(given, shape)


def nondifferentiable_nodes(graph: Graph, values: Figures) -> tuple[int, ...]:
    """The positions of the nodes at which, somewhere in their values, no derivative exists."""
    found, jumping = _kinks(graph, values), jumping_nodes(graph, values)
    return tuple(sorted({*found, *jumping})) if jumping else found


def _kinks(graph: Graph, values: Figures) -> tuple[int, ...]:
    """The positions of the nodes whose operation has no derivative at its operands."""
    if not _may_have_kinks(graph):
        return ()
    program = kernel.program_of(graph) if values.shapes is None and values.present is None else None
    if program and (loops := kernel.compiled_loops(program)):
        return kernel.find_kinks(loops, program, values.flat)
    positions = []
    arrays: dict[int, Any] = {}
    with np.errstate(all="ignore"):
        for position, node in enumerate(graph.nodes):
            if node.operation.kinks is None:
                continue
            for known in (*graph.operands[position], position):
                arrays.setdefault(known, values[known])
            operands = [arrays[source] for source in graph.operands[position]]
            if any(operand is None for operand in operands) or arrays[position] is None:
                continue
            if np.any(node.operation.is_nondifferentiable(operands, arrays[position], node.attributes)):
                positions.append(position)
    return tuple(positions)


@memoize_on_argument
def _may_have_kinks(graph: Graph) -> bool:
    return any(operation.kinks is not None for operation in graph.columns.operations)


def _check_names(graph: Graph, inputs: Mapping[str, FloatArray]) -> None:
    known = set(graph.inputs)
    if inputs.keys() == known:
        return
    missing = [name for name in graph.inputs if name not in inputs]
    if missing or inputs.keys() - known:
        raise InvalidInputs(
            [Fault(("inputs",), f"the input {name!r} is missing") for name in missing]
            + [
                Fault(("inputs", name), detail)
                for name, detail in unknown_names(inputs, known, "the graph has no input")
            ]
        )
