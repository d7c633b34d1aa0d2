"""The weights of runs: what the passes take, and what is held between them."""

from collections.abc import Mapping, Sequence

from service.core.execution import kernel
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray, Shape
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.graph.shapes import fit_shapes
from service.core.graph.work import GraphWork, work_of

_FLOAT = 8
# Of each node of a graph of scalars, by both passes: in the compiled loops, and in Python.
_COMPILED, _IN_PYTHON = Weight(80.0, 64.0), Weight(30_000.0, 500.0)
_SHAPE = Weight(20_000.0, 200.0)  # of a node's shape
_OBJECTS = 500.0  # bytes of a node's array, without its elements


def weigh_fit(graph: Graph, inputs: Mapping[str, FloatArray]) -> Weight:
    """Of fitting the inputs: the shapes of scalars need not be inferred."""
    scalars = not any(getattr(given, "ndim", 0) for given in inputs.values()) and kernel.program_of(graph) is not None
    return Weight() if scalars else _SHAPE * len(graph)


def weigh_forward(graph: Graph, shapes: Sequence[Shape] | None) -> Weight:
    """Of a forward pass: an array for each node, and all figures packed. `shapes` is None where all are scalars."""
    if shapes is None:
        return _weigh_scalars(graph)
    work = work_of(graph, shapes)
    held = 2 * _FLOAT * work.elements + _FLOAT * work.forward.elements
    return Weight(work.forward.operations + 4.0 * work.elements, held + _OBJECTS * len(graph))


def weigh_run(graph: Graph, shapes: Sequence[Shape] | None) -> Weight:
    """Of a forward and a backward pass, which is done twice where it meets a NaN: then values and gradients are held
    beside the new gradients, which are summed, packed and put in place."""
    if shapes is None:
        return _weigh_scalars(graph)
    work = work_of(graph, shapes)
    operations = work.forward.operations + work.backward.operations + 8.0 * work.elements
    sweeping = 3.2 * work.elements + max(work.forward.elements, work.backward.elements)
    return Weight(operations, _FLOAT * max(sweeping, 4.2 * work.elements) + _OBJECTS * len(graph))


def work_of_run(run: Run) -> GraphWork:
    """What the rules take at the shapes that the run's figures have, or that follow from them; else as of scalars."""
    given = {
        position: figures.shape(position)
        for figures in ([run.backward.gradients] if run.backward else []) + [run.values]
        for position in range(len(figures))
        if figures.present is None or figures.present[position]
    }
    shapes, _ = fit_shapes(run.graph, given)
    return work_of(run.graph, tuple(shapes.get(position, ()) for position in range(len(run.graph))))


def _weigh_scalars(graph: Graph) -> Weight:
    program = kernel.program_of(graph)
    each = _COMPILED if program and kernel.compiled_loops(program) else _IN_PYTHON
    return each * len(graph)
