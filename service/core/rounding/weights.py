"""What measuring the effect of rounding takes, before it is done."""

from collections.abc import Sequence

from service.core.execution.weights import weigh_forward, weigh_run
from service.core.figures.figures import Shape
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph

# Of each node of a graph of scalars, which are measured an operation at a time; of any other, beside its rules.
_SCALAR, _NODE = Weight(1e3, 160.0), Weight(60e3, 1000.0)


def weigh_rounding(graph: Graph, shapes: Sequence[Shape] | None) -> Weight:
    """Of one application of the rules of all nodes, beside the run; `shapes` is None where all are scalars."""
    if shapes is None:
        return _SCALAR * len(graph)
    return weigh_run(graph, shapes).then(weigh_forward(graph, shapes)) + _NODE * len(graph)
