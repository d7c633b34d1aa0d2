"""Figures that a recording leaves out, by the compiled loops: each follows from those that it gives.

A value that is given is a leaf, which nothing computes. A gradient that is given is where a sweep of its own starts,
and what its consumers contribute is no part of it: they read a twin of the node instead, whose gradient is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.core.execution import kernel
from service.core.execution.program import Program, with_slopes, with_terms, without_nodes
from service.core.figures.figures import Figures, FloatArray, frozen, same_bits
from service.core.graph.graph import Graph
from service.core.rulebook.operation import MINIMUM_NORM


def complete_scalar_values(
    graph: Graph, given: Figures, assumed: Mapping[int, FloatArray], noise: FloatArray | None
) -> Figures | None:
    """The given values and what follows from them; None where the loops do not run the graph, or an Input is an array.

    An Input that is not given has its `assumed` value, or NaN. `noise`, if there is any, is added to each value that is
    computed.
    """
    program, loops = (None, None) if any(map(np.ndim, assumed.values())) else _loops_of(graph, given)
    if program is None or loops is None or given.present is None:
        return None
    values = np.where(given.present, given.flat, program.leaves)
    for position in program.inputs.values():
        if not given.present[position]:
            values[position] = assumed.get(position, np.nan)
    program = without_nodes(program, given.present)
    if noise is None:
        loops.forward(*kernel.packed(program), values)
        return frozen(values)
    disturbed = np.concatenate([values, values, noise])
    loops.forward(*kernel.packed(with_terms(program)), disturbed)
    return frozen(disturbed[: len(graph)].copy())


def complete_scalar_gradients(
    graph: Graph,
    values: Figures,
    results: FloatArray,
    given: Figures,
    output: str,
    seed: FloatArray,
    noise: FloatArray | None,
    slopes: Mapping[int, Sequence[float]],
) -> Figures | None:
    """The given gradients and what follows from them at these values; 0 where nothing flows, as to a Constant.

    `results` are the values of which the nodes' own local gradients are, where they differ from those that consumers
    take. `slopes` are the local gradients, by position, of the nodes where the graph's convention has others than the
    loops. `noise`, if there is any, is added to the gradients that are not given. None where the loops do not run the
    graph, and where a gradient may be NaN.
    """
    usual = graph.with_convention(MINIMUM_NORM)
    program, loops = _loops_of(usual, given) if values.shapes is None else (None, None)
    if program is None or loops is None or given.present is None:
        return None
    count, target, places = len(graph), graph.position[output], np.flatnonzero(given.present)
    own, constants, starts = values.flat, program.constants, kernel.reached_from(program, loops, target)[places]
    if not same_bits(own, results).all():
        program, own = with_terms(program), np.concatenate([own, results, np.zeros(count)])
    if slopes:
        chosen = np.zeros(len(own), dtype=np.bool_)
        chosen[np.array(list(slopes)) + (len(own) > count) * count] = True  # where the values are without their terms
        ordered = [slopes[node % count] for node in program.nodes[chosen[program.nodes]].tolist()]
        program, factors = with_slopes(program, chosen, len(own)), np.concatenate(ordered)
        own = np.concatenate([own, factors, np.zeros(len(factors))])
    twin = np.arange(len(own), dtype=np.uint32)
    twin[places] = np.arange(len(own), len(own) + len(places))
    program = replace(program, operands=twin[program.operands])
    reached = np.zeros(len(own) + len(places), dtype=np.bool_)
    reached[places] = starts | (given.flat[places] != 0.0)
    reached[target] = True
    loops.find_reached(program.stretches, program.nodes, program.operands, reached)
    gradients = np.where(reached, -0.0, 0.0)
    if noise is not None:
        gradients[:count] += noise
    gradients[target] += seed
    gradients[places] = given.flat[places]
    if loops.backward(*kernel.packed(program), np.append(own, own[places]), reached, gradients):
        return None
    gradients[constants] = 0.0
    return frozen(gradients[:count].copy())


def _loops_of(graph: Graph, given: Figures) -> tuple[Program | None, kernel.Loops | None]:
    program = kernel.program_of(graph) if given.shapes is None else None
    return program, kernel.compiled_loops(program) if program else None
