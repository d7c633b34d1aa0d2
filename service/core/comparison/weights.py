"""The weight of a comparison, from the shapes of its figures, and of the explanation of what it found."""

from service.core.comparison.grown_rounding import SAMPLES
from service.core.comparison.verdicts import Comparison, Verdict, first_difference
from service.core.execution.run import Run
from service.core.execution.weights import weigh_run, work_of_run
from service.core.figures.figures import Figures
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.graph.work import work_of
from service.core.rounding.weights import weigh_rounding

_FLOAT = 8
# Of each node of graphs of scalars, whose replays are done for all nodes of an operation at once; and of any other,
# beside its rules, each of which is applied several times, for figures and their rounding.
_SCALAR, _NODE, _REPLAYS = Weight(6e3, 400.0), Weight(60e3, 3000.0), 4.0
# Arrays of all elements at once, and operations for each element: of the judgement, and of following the rounding of
# what was not recorded through the graph.
_JUDGED, _FOLLOWED = (14.0, 100.0), (90.0, 5000.0)
# Of each origin, for which all hypotheses are tried, and of each other figure that differs. No more are explained.
_ORIGIN, _DIFFERENCE, _MOST = Weight(15e6, 100_000.0), Weight(0.7e6, 10_000.0), 1000


def weigh_comparison(baseline: Run, candidate: Run) -> Weight:
    """Of judging all figures, beside the two runs."""
    nodes = len(baseline.graph) + len(candidate.graph)
    if baseline.values.shapes is None and candidate.values.shapes is None:
        return _SCALAR * nodes
    work = work_of_run(candidate)
    temporary = max(work.forward.elements, work.backward.elements)
    arrays, each = _JUDGED
    operations = _REPLAYS * (work.forward.operations + work.backward.operations) + each * work.elements
    return _NODE * nodes + Weight(operations, _FLOAT * (arrays * work.elements + 2.0 * temporary))


def weigh_unrecorded(graph: Graph, values: Figures) -> Weight:
    """Of following the rounding of what was not recorded, with all that the comparison holds meanwhile."""
    if values.shapes is None:
        return _SCALAR * (2 * len(graph))
    arrays, each = _FOLLOWED
    elements = int(values.offsets[-1])
    return _NODE * len(graph) + Weight(each * elements, _FLOAT * arrays * elements)


def weigh_explanation(found: Comparison) -> Weight:
    """Of the hypotheses and sentences, which for tensors apply the rules of a node many times, and of what rounding may
    do to a first difference that is no origin."""
    counts, first = found.counts, first_difference(found)
    origins = min(counts["origin"], _MOST)
    others = min(counts["inherited"] + counts["compensated"] + counts["convention"], _MOST)
    weight = _ORIGIN * origins + _DIFFERENCE * others
    if origins and found.values.shapes is not None:
        work = work_of(found.candidate.graph, found.values.shapes)
        operations = 30.0 * (work.forward.operations + work.backward.operations) + 15_000.0 * work.elements
        temporary = max(work.forward.elements, work.backward.elements)
        held = _FOLLOWED[0] * work.elements + 4.0 * temporary
        weight += Weight(origins * operations / len(found.candidate.graph), _FLOAT * held)
    if first is not None and first[0].verdicts[first[1]] == Verdict.INHERITED:
        graph, shapes = found.candidate.graph, found.values.shapes
        passes = 1 if first[0] is found.forward else SAMPLES + 1
        weight += weigh_run(graph, shapes).times(passes).then(weigh_rounding(graph, shapes).times(2))
    return weight
