"""The weights of derivatives and of gradient checks, from the shapes of the nodes' values alone."""

from collections.abc import Sequence
from math import ceil, prod

from service.core.derivatives.closer_look import MOVES
from service.core.derivatives.finite_differences import MOVED_ELEMENTS
from service.core.derivatives.gradient_check import count_steps
from service.core.derivatives.jacobian import TANGENT_ELEMENTS, prefers_forward
from service.core.figures.figures import Figures
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.graph.work import work_of
from service.core.rulebook.work import CALL

_FLOAT = 8
_SIDES_OF_SCALAR = Weight(150e3, 5000.0)
# One element of a tangent: a product, and a look for what is not finite; and of a second derivative, by duals.
_TANGENT, _SECOND = 15.0, 80.0
# How many times what a rule takes it takes over duals, each of whose functions is a rule by itself.
_OVER_DUALS = 8.0
_OBJECTS = 1000.0  # bytes of a node's dual, without its elements


def weigh_derivatives(graph: Graph, values: Figures, kind: str, of: Sequence[str], wrt: Sequence[str]) -> Weight:
    """Of derivatives of one of the kinds, beside the values; of `values` only the shapes matter."""
    sizes = {name: prod(values.shape(graph.position[name])) for name in (*of, *wrt)}
    rows, columns = (sum(sizes[name] for name in names) for names in (of, wrt))
    if kind == "jacobian":
        forward = prefers_forward(graph, values, of, wrt)
        work = _weigh_sweeps(graph, values, columns if forward else rows, forward, second=False)
        return work + _weigh_blocks(rows * columns)
    if kind == "hessian":
        return _weigh_sweeps(graph, values, columns, True, second=True) + _weigh_blocks(columns**2)
    if kind == "vjp":
        sweeps = _weigh_sweeps(graph, values, 1, False, second=False)
        return sweeps.times(len(of)) + _weigh_blocks(len(of) * int(values.offsets[-1]))
    return _weigh_sweeps(graph, values, 1, True, second=kind == "hvp") + _weigh_blocks(rows)


def _weigh_blocks(elements: int) -> Weight:
    """Of blocks: the rows of all batches, the same as one array, and cut up; then as they are stored."""
    return Weight(8.0 * elements, 3.0 * _FLOAT * elements)


def _weigh_sweeps(graph: Graph, values: Figures, rows: int, forward: bool, second: bool) -> Weight:
    """Of sweeps with so many directions or seeds, batch by batch: forward, or back; second derivatives go both ways."""
    elements = int(values.offsets[-1])
    batch = max(1, TANGENT_ELEMENTS // max(1, elements))
    batches, live = ceil(rows / batch), min(rows, batch)
    operations, largest = 0.0, 0.0
    for position, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
        if not sources:
            continue
        operation, operands, shape = node.operation, [values.shape(each) for each in sources], values.shape(position)
        back = operation.work_of_contributions(operands, shape, node.attributes)
        size, read = prod(shape), sum(map(prod, operands))
        each = size * len(sources) * (_SECOND if second else _TANGENT)
        if operation.is_elementwise:
            operations += batches * (CALL + back.operations) * (_OVER_DUALS if second else 1.0) + rows * each
        elif not forward:
            operations += rows * (back.operations + each)
        elif operation.linear:
            once = len(sources) * operation.work_of_value(operands, shape, node.attributes).operations
            operations += rows * (CALL + once + each + (6.0 * back.operations if second else 0.0))
        else:
            operations += size * (batches * back.operations + 2.0 * rows * read)
            operations += rows * (each + 6.0 * back.operations) if second else 0.0
        largest = max(largest, back.elements, 3.0 * live * size * len(sources))
    held = live * elements * (6.0 if second else 2.0) + (3.0 if second else 1.0) * largest + 2.0 * elements
    return Weight(operations, _FLOAT * held + (2.0 if second else 1.0) * _OBJECTS * len(graph))


def weigh_one_sided(graph: Graph, values: Figures, positions: Sequence[int]) -> Weight:
    """Of derivatives from both sides at these nodes, one node after the other: an elementwise rule and its local
    gradients are computed on both sides of each operand."""
    if values.shapes is None:
        return _SIDES_OF_SCALAR.times(len(positions))
    weight = Weight()
    for position in positions:
        node, shape = graph.nodes[position], values.shape(position)
        if node.operation.kinks is None:  # it jumps where its condition does
            continue
        operands = [values.shape(each) for each in graph.operands[position]]
        there, back = (
            work(operands, shape, node.attributes)
            for work in (node.operation.work_of_value, node.operation.work_of_contributions)
        )
        if node.operation.is_elementwise:
            times, held = 2 * len(operands), (2.0 * len(operands) + 6.0) * prod(shape) + back.elements
        else:
            times, held = 3, 2.0 * sum(map(prod, operands)) + 2.0 * back.elements
        weight = weight.then(Weight(times * (there.operations + back.operations), _FLOAT * held + 5000.0))
    return weight


def weigh_check(graph: Graph, values: Figures, output: str, positions: Sequence[int], method: str) -> Weight:
    """Of a gradient check, beside the values: a forward pass for each step along each direction, closer ones included.

    A node's directions are the rows of a matrix, and the steps that were taken along them are one for each step.
    """
    target, shapes = graph.position[output], [values.shape(position) for position in range(len(values))]
    work, elements = work_of(graph, tuple(shapes)), int(values.offsets[target + 1])
    sizes = [prod(shapes[position]) for position in positions]
    steps, is_real = count_steps(method), method != "complex-step"
    moves = (steps + (MOVES if is_real else 0)) * (len(sizes) if method == "taylor" else sum(sizes))
    together = max(1, MOVED_ELEMENTS // max(1, elements))
    if all(node.operation.is_elementwise for node in graph.nodes[: target + 1]):
        passes, live = ceil(moves / together), min(moves, together)
        operations = passes * CALL * (target + 1) + 20.0 * moves * elements
    else:
        operations, live = moves * (work.forward.operations + CALL * (target + 1)), 1
    matrices = [size if method == "taylor" else size * size for size in sizes]
    paths = len(positions) * (20.0 * CALL + 200.0 * (target + 1))
    operations += work.forward.operations + 2.0 * work.backward.operations + paths + steps * sum(matrices)
    number = 1 if is_real else 2
    moved = number * live * (2.0 * elements + max(sizes, default=0)) + number * work.forward.elements * live
    at_once = ((1.2 * steps if is_real else 0.0) + 6.0) * max(matrices, default=0) + 2.0 * sum(matrices)
    held = 5.0 * elements + moved + at_once + 2.0 * moves + work.backward.elements
    return Weight(operations, _FLOAT * held + 2.0 * _OBJECTS * (len(graph) + len(positions)))
