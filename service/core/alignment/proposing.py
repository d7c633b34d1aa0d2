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
from service.core.alignment.fingerprints import tolerance_of
from service.core.alignment.inputs import InputPair, Twin, given_inputs, pair_inputs, twins
from service.core.alignment.matching import Matching
from service.core.alignment.pairing import pair_equals, pair_layouts, pair_leaves, pair_operands
from service.core.alignment.probes import choosing, is_kept, probe
from service.core.alignment.simulation import PROBES, ProbedFigures, lost_figures, simulate
from service.core.errors import InvalidInputs
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph

# How far from the given figures probes lie, relatively; the next where figures are lost that are not so at the given.
_SPREADS = (0.3, 0.01)
_SEED = 20


def propose_alignment(baseline: Run, candidate: Run, names: Mapping[str, str]) -> Alignment:
    """Pair the nodes of two runs' graphs by what they compute.

    `names` are a person's, from the candidate's names to the baseline's: known ones, one to one. Raises InvalidRequest
    where a run does not give the value of an Input, InvalidInputs where a graph cannot be run at the inputs. Where the
    graphs differ in more places than can be searched, what lies behind the last cut is left without partners.
    """
    theirs, own = given_inputs(baseline, "baseline"), given_inputs(candidate, "candidate")
    pairs = pair_inputs(baseline, candidate, theirs, own, names)
    fixed = {candidate.graph.position[name]: baseline.graph.position[partner] for name, partner in names.items()}
    graphs = baseline.graph.in_float64(), candidate.graph.in_float64()
    with np.errstate(all="ignore"):
        constants = [node.attributes["value"] for graph in graphs for node in graph.nodes if node.operation.is_constant]
        numbers = [*constants, *theirs.values(), *own.values()]
        tolerance = tolerance_of(numbers, (baseline.dtype, candidate.dtype))
        found = _aligned(graphs, theirs, own, pairs, fixed, tolerance)
        if doubtful := sum(pair.doubtful for pair in pairs):
            other = _aligned(graphs, theirs, own, [pair for pair in pairs if not pair.doubtful], fixed, tolerance)
            if len(other.cuts) < len(found.cuts) + doubtful and _unpaired(other) <= _unpaired(found) + doubtful:
                return other
    return found


def _unpaired(found: Alignment) -> int:
    return int(np.count_nonzero(found.partners < 0))


def _aligned(
    graphs: tuple[Graph, Graph],
    theirs: Mapping[int, FloatArray],
    own: Mapping[int, FloatArray],
    pairs: Sequence[InputPair],
    fixed: Mapping[int, int],
    tolerance: float,
) -> Alignment:
    baseline, candidate = graphs
    copied, copies = twins(pairs, theirs, own)
    inputs, figures = _probe(baseline, theirs, {pair.theirs for pair in pairs}, copied)
    given = {position: (figure,) * PROBES for position, figure in own.items()}
    for mine, twin in {**{pair.own: Twin(pair.theirs, pair.layout) for pair in pairs}, **copies}.items():
        given[mine] = twin.figures(inputs)
    paired = {pair.own for pair in pairs}
    fixed = {mine: other for mine, other in fixed.items() if mine not in paired}
    matching = Matching(baseline, candidate, figures, given, fixed, tolerance)
    for pair in pairs:
        matching.pair(pair.own, pair.theirs, pair.how, pair.layout)
    _pair_alike(matching, range(len(candidate)))
    while matching.has_time and (cuts := find_cuts(matching)):
        for cut in cuts:
            matching.cut(cut.mine, cut.other, cut.how, cut.layout)
        changed = matching.reevaluate([cut.mine for cut in cuts])
        pair_operands(matching, [cut.mine for cut in cuts])
        _pair_alike(matching, changed)
    for mine, other in matching.fixed.items():
        if matching.partners[mine] < 0:
            matching.cut(mine, other, How.NAME)
    pair_leaves(matching)
    return matching.alignment()


def _pair_alike(matching: Matching, fresh: Sequence[int]) -> None:
    pair_equals(matching, fresh)
    pair_layouts(matching, fresh)


def _probe(
    graph: Graph, given: Mapping[int, FloatArray], moved: set[int], copied: Mapping[int, Twin]
) -> tuple[dict[int, ProbedFigures], list[ProbedFigures]]:
    """The baseline's inputs and figures at the probes: the given inputs, and others as far as figures stay numbers."""
    chooses = choosing(graph)
    moved = {position for position in moved if not is_kept(given[position], bool(chooses[position]))}
    kept = {position: (figure,) * PROBES for position, figure in given.items()}
    at_given: list[ProbedFigures] | None = None
    for spread in _SPREADS:
        generators = [np.random.default_rng((_SEED, place)) for place in range(1, PROBES)]
        inputs = dict(kept)
        for position in sorted(moved):
            figure = given[position]
            inputs[position] = figure, *(probe(figure, generator, spread) for generator in generators)
        for position, twin in copied.items():
            inputs[position] = twin.figures(inputs)
        try:
            figures = simulate(graph, inputs)
        except InvalidInputs:
            continue
        lost = lost_figures(figures)
        if lost and at_given is None:
            at_given = simulate(graph, kept)
        if not lost or lost <= lost_figures(at_given or ()):
            return inputs, figures
    return kept, at_given or simulate(graph, kept)
