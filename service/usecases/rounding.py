"""What rounding to a precision may do to the output of a stored run."""

from dataclasses import dataclass, replace

import numpy as np

from service.core.comparison.effective_figures import effective_gradients, effective_values
from service.core.comparison.verdicts import TOLERANCES
from service.core.comparison.weights import weigh_comparison
from service.core.errors import Conflict
from service.core.execution.run import Run
from service.core.figures.figures import IntArray, euclidean_norm
from service.core.rounding.errors import RoundingErrors, rounding_errors, with_passed_on
from service.core.rounding.sentences import describe_rounding
from service.core.rounding.weights import weigh_rounding
from service.usecases.context import Context
from service.usecases.runs import StoredRun, get_run


@dataclass(frozen=True, slots=True)
class RoundingOfRun:
    """What rounding may do to a run's output.

    `kept` are the fewest nodes without whose rounding the likely error is within the tolerance of the precision, and
    after them those that only pass on what these give; `rest` is what is likely then.
    """

    run: StoredRun
    output: str
    errors: RoundingErrors
    kept: IntArray
    rest: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        return describe_rounding(self.run.graph, self.output, self.errors, self.kept.tolist(), self.rest)


def get_rounding(context: Context, run_id: str, *, dtype: str) -> RoundingOfRun:
    """Measure what rounding every figure of a run to `dtype` may do to its output, from its gradients.

    Raises NotFound; Conflict where the run has no gradients, or lacks inputs from which what it lacks would follow.
    """
    stored = get_run(context, run_id)
    run = _complete(context, stored)
    assert run.backward is not None
    context.admit(weigh_rounding(run.graph, run.values.shapes))
    errors = rounding_errors(run.graph, run.values, run.backward, dtype)
    tolerance = TOLERANCES[dtype]
    worst = errors.to_keep(tolerance.atol + tolerance.rtol * abs(errors.value))
    kept = with_passed_on(run.graph, worst, errors)
    rest = euclidean_norm(np.delete(errors.likely, kept))
    return RoundingOfRun(stored, run.backward.output, errors, kept, rest)


def _complete(context: Context, stored: StoredRun) -> Run:
    """The run's figures, with what a recording lacks computed from the others."""
    run, recorded = stored.figures, stored.record.source == "recorded"
    if run.backward is None:
        remedy = "" if recorded else f": POST /v1/runs/{stored.record.id}/backward computes them"
        raise Conflict(f"what rounding does follows from gradients; this run has none{remedy}")
    if not recorded:
        return run
    context.admit(weigh_comparison(run, run))
    graph, values = effective_values(run, run.values, context.limits.run_elements)
    if graph is not run.graph:
        raise Conflict("this recording lacks values of inputs, from which others that it lacks would follow")
    gradients = effective_gradients(graph, values, run.backward)
    return replace(run, values=values, backward=replace(run.backward, gradients=gradients))
