"""Runs of a graph, one or many: the figures, and what is said of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.execution import kernel
from service.core.execution.jumps import may_jump
from service.core.execution.nonfinite import FirstNonfinite, first_nonfinite_gradient, first_nonfinite_value
from service.core.execution.passes import Fitted, backward_pass, evaluate, nondifferentiable_nodes, spread_seed
from service.core.figures.figures import BoolArray, Figures, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The values, the positions of the nodes where no derivative exists, and the first values that are not finite;
    after a backward pass the same of its gradients, and the seed, of the output's shape."""

    values: Figures
    nondifferentiable: tuple[int, ...]
    nonfinite_forward: FirstNonfinite | None
    gradients: Figures | None = None
    seed: FloatArray | None = None
    nonfinite_backward: FirstNonfinite | None = None


def run_at(fitted: Fitted, output: str | None, seed: FloatArray | float = 1.0) -> Outcome:
    """Evaluate a graph at fitted inputs and, unless `output` is None, differentiate that; raises InvalidInputs where an
    operation refuses its operands, or the seed does not fit."""
    graph, values = fitted.graph, evaluate(fitted)
    forward = (values, nondifferentiable_nodes(graph, values), first_nonfinite_value(graph, values))
    if output is None:
        return Outcome(*forward)
    gradients = backward_pass(graph, values, output, seed)
    spread = spread_seed(seed, values.shape(graph.position[output]))
    return Outcome(*forward, gradients, spread, first_nonfinite_gradient(graph, gradients, output))


def run_at_all(points: Sequence[Fitted], output: str | None, seed: FloatArray | float = 1.0) -> list[Outcome] | None:
    """`run_at` at many points, all of one graph, where all figures are scalars and the compiled loops know it; else
    None. Raises InvalidInputs where the seed does not fit.

    Each is computed as it is alone, to the bit; what is looked for in the figures is looked for in all of them at once,
    and one by one only where it is found.
    """
    graph = points[0].graph
    program = kernel.program_of(graph) if all(point.shapes is None for point in points) else None
    loops = kernel.compiled_loops(program) if program else None
    if program is None or loops is None:
        return None
    values = kernel.evaluate_rows(loops, program, [point.inputs for point in points])
    odd = kernel.find_kinks_rows(loops, program, values) | ~np.isfinite(values)
    forward: list[tuple[Figures, tuple[int, ...], FirstNonfinite | None]] = [
        (row, nondifferentiable_nodes(graph, row), first_nonfinite_value(graph, row)) if is_odd else (row, (), None)
        for row, is_odd in zip(map(Figures, values), _any(odd, may_jump(graph)), strict=True)
    ]
    if output is None:
        return [Outcome(*each) for each in forward]
    spread = spread_seed(seed, ())
    gradients = kernel.differentiate_rows(loops, program, values, graph.position[output], float(spread))
    outcomes = []
    for known, row, is_odd in zip(forward, gradients, _any(~np.isfinite(gradients)), strict=True):
        if is_odd:
            found = backward_pass(graph, known[0], output, spread)
            outcomes.append(Outcome(*known, found, spread, first_nonfinite_gradient(graph, found, output)))
        else:
            outcomes.append(Outcome(*known, Figures(row, present=program.present), spread))
    return outcomes


def _any(marks: BoolArray, each: bool = False) -> list[bool]:
    """Whether any of a row is marked; of each row, if so."""
    return [each or bool(any_marked) for any_marked in np.any(marks, axis=1).tolist()]
