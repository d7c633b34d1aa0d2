"""Where figures stop being finite: the first infinity made of finite figures, or the first NaN if that is earlier.

An infinity that is given, as in a mask, and what follows from it, is deliberate.
"""

from service.core.figures.figures import Figures
from service.core.graph.graph import Graph


def first_nonfinite_value(graph: Graph, values: Figures) -> int | None:
    """The position of the first value that is NaN, or infinite although all operands are finite."""
    unsound, no_number = set(values.nonfinite_nodes()), set(values.nonfinite_nodes(nan_alone=True))
    for position in sorted(unsound):
        operands = graph.operands[position]
        if position in no_number or (operands and unsound.isdisjoint(operands)):
            return position
    return None


def first_nonfinite_gradient(graph: Graph, gradients: Figures, output: str | None) -> int | None:
    """The same of gradients, in the order of the backward pass: infinite although those of all consumers are finite,
    and other than the seed."""
    unsound, no_number = set(gradients.nonfinite_nodes()), set(gradients.nonfinite_nodes(nan_alone=True))
    inherited = {source for position in unsound for source in graph.operands[position]}
    if output is not None:
        inherited.add(graph.position[output])
    return max((position for position in unsound if position in no_number or position not in inherited), default=None)
