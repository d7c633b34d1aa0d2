"""The weight of an alignment, from the shapes of two runs' figures."""

from service.core.alignment.simulation import PROBES
from service.core.execution.run import Run
from service.core.execution.weights import work_of_run
from service.core.figures.weight import Weight

_FLOAT = 8
# Of each node, beside its rule: it is run, described and looked up at all probes, and again behind each cut.
_NODE, _RUNS = Weight(250e3, 4000.0), 2.0 * (PROBES + 1)
# Arrays of all elements at once, and operations for each.
_HELD, _DESCRIBED = PROBES + 2.0, 200.0


def weigh_alignment(baseline: Run, candidate: Run) -> Weight:
    """Of running both graphs at the probes and of what is looked for, beside the two runs."""
    weight = Weight()
    for run in (baseline, candidate):
        work = work_of_run(run)
        operations = _RUNS * work.forward.operations + _DESCRIBED * work.elements
        weight += _NODE * len(run.graph) + Weight(operations, _FLOAT * (_HELD * work.elements + work.forward.elements))
    return weight
