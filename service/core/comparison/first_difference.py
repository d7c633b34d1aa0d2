"""What explains a first difference that is not an origin: rounding errors that grew, or another library's choice."""

import numpy as np

from service.core.comparison.evidence import Edge, gather
from service.core.comparison.hypotheses import Hypothesis
from service.core.comparison.sentences import statement
from service.core.comparison.verdicts import Comparison, Phase
from service.core.execution.run import Run
from service.core.figures.text import listed
from service.core.rulebook.operation import LIBRARIES
from service.core.symbolic.phrases import Phrase


def rounding(found: Comparison, phase: Phase, position: int, candidate: Run) -> Hypothesis:
    """Explain a first difference that is not an origin: errors below the tolerance grew."""
    evidence = gather(found, phase, position, candidate)
    error = float(np.abs(evidence.figure - evidence.expected).max(initial=0.0))
    because = "It follows from the run's own figures: rounding errors below the tolerance grew."
    return Hypothesis("rounding", statement(evidence), Phrase(because), error)


def convention(found: Comparison, phase: Phase, position: int, candidate: Run) -> Hypothesis:
    """Explain a first difference that is not an origin: where no derivative exists, libraries choose differently."""
    evidence = gather(found, phase, position, candidate)
    names = found.conventions[position]
    libraries, several = listed([LIBRARIES.get(each, each) for each in names]), len(names) > 1
    choosing = [edge for edge in evidence.edges if edge.consumer.operation.conventions]
    kinks = dict.fromkeys(edge.spoken for edge in choosing if _has_no_derivative(edge))
    at_nan = dict.fromkeys(edge.spoken for edge in choosing if np.any(np.isnan(edge.value)))
    if kinks:
        because = f"It is the choice of {libraries} where {listed(list(kinks), 'or')} has no derivative."
    elif at_nan:
        because = (
            f"It is what {libraries} {'return' if several else 'returns'} where {listed(list(at_nan), 'or')} is NaN."
        )
    elif np.any(np.isnan(evidence.figure) & ~np.isnan(evidence.expected)):
        multiply = "multiply" if several else "multiplies"
        because = f"NaN is 0 × ∞ along a closed edge, or behind it; {libraries} {multiply} there."
    else:
        because = f"It is the choice of {libraries} where a node that follows has no derivative."
    return Hypothesis("convention", statement(evidence), Phrase(because), 0.0)


def _has_no_derivative(edge: Edge) -> bool:
    """Whether the consumer has no derivative somewhere at its operands."""
    with np.errstate(all="ignore"):
        operation, attributes = edge.consumer.operation, edge.consumer.attributes
        return bool(np.any(operation.is_nondifferentiable(edge.operands, edge.value, attributes)))
