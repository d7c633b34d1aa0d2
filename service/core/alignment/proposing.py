"""Propose which nodes of two graphs are one, though they have other names and are cut into other operations.

Both graphs are run at the same probes, random inputs like the given ones, and nodes whose figures agree are one. Where
a node computes something else, so does all that follows from it; it is paired with what stands in its place in the
baseline, the baseline's figure is put there, and the search goes on behind it. No recorded figure is used but the
inputs', so no error of a recording misleads it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from service.core.alignment.alignment import Alignment, How
from service.core.alignment.cuts import find_cuts
from service.core.alignment.inputs import InputPair, given_inputs, pair_inputs
from service.core.alignment.matching import Matching, ProbedFigures
from service.core.alignment.pairing import pair_equals, pair_layouts, pair_leaves, pair_operands
from service.core.alignment.probes import choosing, is_kept, probe
from service.core.errors import InvalidInputs
from service.core.execution.passes import forward_pass
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph

PROBES = 2
# How far from the given figures probes lie, relatively; the next where figures are not finite that are so at the given.
_SPREADS = (0.3, 0.01, 0.0)
_SEED = 20
# What figures may differ by that are the same, relative to their norm: where all is float64, and where constants or
# weights were rounded to float32, in which a number has 24 bits.
_DOUBLE, _SINGLE, _WRITTEN_BITS = 1e-9, 5e-7, 16


def propose_alignment(baseline: Run, candidate: Run, names: Mapping[str, str]) -> Alignment:
    """Pair the nodes of two runs' graphs by what they compute.

    `names` are a person's, from the candidate's names to the baseline's: known ones, one to one. Raises InvalidRequest
    where a run does not give the value of an Input, InvalidInputs where a graph cannot be run at the inputs.
    """
    theirs, own = given_inputs(baseline, "baseline"), given_inputs(candidate, "candidate")
    pairs = pair_inputs(baseline, candidate, theirs, own, names)
    fixed = {candidate.graph.position[name]: baseline.graph.position[partner] for name, partner in names.items()}
    graphs = baseline.graph.in_float64(), candidate.graph.in_float64()
    tolerance = _SINGLE if any(map(_is_in_single, graphs, (theirs, own))) else _DOUBLE
    found = _aligned(graphs, theirs, own, pairs, fixed, tolerance)
    if any(pair.doubtful for pair in pairs):
        other = _aligned(graphs, theirs, own, [pair for pair in pairs if not pair.doubtful], fixed, tolerance)
        found = min(found, other, key=lambda each: (len(each.cuts), np.count_nonzero(each.partners < 0)))
    return found


def _aligned(
    graphs: tuple[Graph, Graph],
    theirs: Mapping[int, FloatArray],
    own: Mapping[int, FloatArray],
    pairs: Sequence[InputPair],
    fixed: Mapping[int, int],
    tolerance: float,
) -> Alignment:
    baseline, candidate = graphs
    probed, figures = _probe_baseline(baseline, theirs, {pair.theirs for pair in pairs})
    partnered = {pair.own: pair for pair in pairs}
    given = {
        position: tuple(_through(partnered[position], inputs) if position in partnered else figure for inputs in probed)
        for position, figure in own.items()
    }
    fixed = {mine: other for mine, other in fixed.items() if mine not in partnered}
    matching = Matching(baseline, candidate, figures, given, fixed, tolerance)
    for pair in pairs:
        matching.pair(pair.own, pair.theirs, pair.how, pair.layout)
    fresh: Sequence[int] = range(len(candidate))
    while True:
        pair_equals(matching, fresh)
        pair_layouts(matching, fresh)
        cuts = find_cuts(matching)
        if not cuts:
            break
        for cut in cuts:
            differs = not candidate.nodes[cut.mine].operation.is_input
            matching.replace(cut.mine, cut.other, cut.how, cut=differs)
        fresh = matching.reevaluate([cut.mine for cut in cuts])
        pair_operands(matching, [cut.mine for cut in cuts])
    for mine, other in matching.fixed.items():
        if matching.partners[mine] < 0:
            matching.replace(mine, other, How.NAME)
    pair_leaves(matching)
    return matching.alignment()


def _is_in_single(graph: Graph, inputs: Mapping[int, FloatArray]) -> bool:
    """Whether any number of a program was rounded to float32: one that has more digits than a person writes."""
    constants = [node.attributes["value"] for node in graph.nodes if node.operation.is_constant]
    arrays = [getattr(value, "array", value) for value in constants]
    return any(map(_is_rounded, [*arrays, *inputs.values()]))


def _is_rounded(figure: FloatArray) -> bool:
    with np.errstate(all="ignore"):
        mantissa = np.frexp(figure)[0] * 2**_WRITTEN_BITS
        long = np.isfinite(mantissa) & (mantissa != np.rint(mantissa))
        return bool(np.any(long & (np.asarray(figure, np.float32) == figure)))


def _through(pair: InputPair, inputs: Mapping[int, FloatArray]) -> FloatArray:
    figure = inputs[pair.theirs]
    return figure if pair.layout is None else figure.ravel()[pair.layout]


def _probe_baseline(
    graph: Graph, given: Mapping[int, FloatArray], moved: set[int]
) -> tuple[list[dict[int, FloatArray]], list[ProbedFigures]]:
    """The baseline's inputs and figures at the probes, as far from the given inputs as figures stay finite."""
    chooses = choosing(graph)
    sound: int | None = None
    for spread in _SPREADS:
        generator = np.random.default_rng(_SEED)
        probes = [
            {
                position: probe(figure, generator, spread)
                if spread and position in moved and not is_kept(figure, bool(chooses[position]))
                else figure
                for position, figure in given.items()
            }
            for _ in range(PROBES)
        ]
        try:
            figures = _run(graph, probes)
        except InvalidInputs:
            if not spread:
                raise
            continue
        lost = sum(bool(np.isnan(each).any()) for row in figures for each in row)
        if not lost or not spread:
            return probes, figures
        if sound is None:
            sound = sum(bool(np.isnan(each).any()) for (each,) in _run(graph, [given])) * PROBES
        if lost <= sound:
            return probes, figures
    raise AssertionError("the given figures themselves are probes")


def _run(graph: Graph, inputs: Sequence[Mapping[int, FloatArray]]) -> list[ProbedFigures]:
    """The figures of every node at several inputs, given by position."""
    runs = [
        forward_pass(graph, {graph.nodes[position].name: figure for position, figure in each.items()})
        for each in inputs
    ]
    return list(zip(*runs, strict=True))
