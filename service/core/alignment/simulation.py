"""Run a graph at several probes at once, node by node."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from service.core.execution.chain_rule import value_at
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import walk_forward

ProbedFigures: TypeAlias = tuple[Any, ...]  # a node's figures, one for each probe

PROBES = 2  # the given inputs themselves, and random ones
# By what a probe scales what is held constant for gradients, so that a program which forgets that differs from one
# which does not. Where a gradient does not depend on it, neither does the value, as for the maximum in a softmax.
_DETACHED = 1.0 + 2.0**-8


def figures_at(graph: Graph, position: int, operands: Sequence[ProbedFigures]) -> ProbedFigures:
    """The figures of one node; raises InvalidInputs where its operation refuses the operands."""
    if not operands:
        return (value_at(graph, position, []),) * PROBES
    found = tuple([value_at(graph, position, each) for each in zip(*operands, strict=True)])
    if graph.nodes[position].operation.name == "StopGradient" and not all(map(_is_whole, found)):
        return tuple(figure * _DETACHED for figure in found)
    return found


def simulate(graph: Graph, inputs: Mapping[int, ProbedFigures]) -> list[ProbedFigures]:
    """The figures of every node, where `inputs` are those of the Inputs, by position; raises as `figures_at`."""

    def visit(position: int, operands: list[ProbedFigures]) -> ProbedFigures:
        return inputs[position] if position in inputs else figures_at(graph, position, operands)

    return walk_forward(graph, visit)


def lost_figures(figures: Sequence[ProbedFigures]) -> int:
    """How many figures have a NaN."""
    return sum(bool(np.isnan(each).any()) for row in figures for each in row)


def _is_whole(figure: FloatArray) -> bool:
    return bool((figure == np.rint(figure)).all())
