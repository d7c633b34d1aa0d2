"""The weight of an alignment, from the shapes of two runs' figures."""

from service.core.alignment.simulation import PROBES
from service.core.execution.run import Run
from service.core.execution.weights import work_of_run
from service.core.figures.weight import Weight

_FLOAT = 8
# Of each node, beside its rule: it is run, described and looked up at all probes, and again behind each cut, as often
# as the search goes on; in all at least so much.
_NODE, _RUNS, _LEAST = Weight(250e3, 4000.0), 5.0 * PROBES, Weight(50e6, 1e6)
# Arrays of all elements at once, and operations for each.
_HELD, _DESCRIBED = PROBES + 2.0, 200.0


def weigh_alignment(baseline: Run, candidate: Run) -> Weight:
    """Of running both graphs at the probes and of what is looked for, beside the two runs."""
    weight = _LEAST
    for run in (baseline, candidate):
        work = work_of_run(run)
        operations = _RUNS * work.forward.operations + _DESCRIBED * work.elements
        weight += _NODE * len(run.graph) + Weight(operations, _FLOAT * (_HELD * work.elements + work.forward.elements))
    return weight
