"""Whether rounding explains a first difference that nothing introduced: what it may do there, and what was seen."""

import math
from dataclasses import dataclass

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.comparison.error_measures import worst_elements
from service.core.comparison.evidence import write_subject
from service.core.comparison.replay import complete_gradients, complete_values
from service.core.comparison.verdicts import Comparison, Phase, Verdict, first_difference
from service.core.execution.passes import backward_pass
from service.core.execution.run import Backward
from service.core.figures.figures import Figures, no_figures
from service.core.graph.traversal import sourceless
from service.core.rounding.errors import RoundingErrors, rounding_errors
from service.core.rounding.precision import UNIT_ROUNDOFF, coarsest
from service.core.rounding.sentences import describe_amplifier, describe_seen

SAMPLES = 8  # of gradients computed with rounding errors of random signs


@dataclass(frozen=True, slots=True)
class GrownRounding:
    """What rounding in both runs may do to the first figure that differs, at the element `index`, () of a scalar.

    `seen` is how far the two are apart there. `likely` is the likely error, `greatest` the bound on it, which only a
    value has; of a value `errors` are those in the coarser of the two runs' dtypes, which is `dtype`.
    """

    phase: Phase
    position: int
    index: tuple[int, ...]
    dtype: str
    likely: float
    greatest: float | None
    seen: float
    errors: RoundingErrors | None
    sentence: str


@memoize_on_argument
def grown_rounding(found: Comparison) -> GrownRounding | None:
    """Measure what rounding may do to the first figure that differs; None unless that is inherited, and where figures
    that are not finite or not known hide it."""
    first, graph = first_difference(found), found.candidate.graph
    if first is None or first[0].verdicts[first[1]] != Verdict.INHERITED:
        return None
    phase, position = first
    element = int(worst_elements(phase, np.array([position]))[0])
    seen = abs(float(phase.candidate.flat[element] - phase.baseline.flat[element]))
    within = element - int(phase.candidate.offsets[position])
    index = tuple(int(step) for step in np.unravel_index(within, found.values.shape(position)))
    dtype, errors, greatest = coarsest(found.candidate.dtype, found.baseline_dtype), None, None
    if phase is found.forward:
        errors, likely, greatest = _of_value(found, position, within, dtype)
    else:
        likely = _of_gradient(found, element)
    if not math.isfinite(seen + likely + (greatest or 0.0)):
        return None
    at = f" at {list(index)}" if index else ""
    subject = f"{write_subject(found.candidate, phase is found.forward, position)!s}{at}"
    sentence = describe_seen(subject, dtype, likely, greatest, seen)
    if errors is not None and errors.amplifier is not None:
        sentence = f"{sentence} {describe_amplifier(graph, errors)}"
    return GrownRounding(phase, position, index, dtype, likely, greatest, seen, errors, sentence)


def _of_value(found: Comparison, position: int, element: int, dtype: str) -> tuple[RoundingErrors, float, float]:
    """The errors of one element of a value: in the coarser dtype, and likely and at most in both runs."""
    graph = found.candidate.graph
    seed = np.zeros(found.values.shape(position))
    seed.flat[element] = 1.0
    name = graph.nodes[position].name
    backward = Backward(name, seed, backward_pass(graph, found.values, name, seed))
    dtypes = found.candidate.dtype, found.baseline_dtype
    measured = {each: rounding_errors(graph, found.values, backward, each) for each in dict.fromkeys(dtypes)}
    likely = math.hypot(*(measured[each].likely_error for each in dtypes))
    return measured[dtype], likely, sum(measured[each].greatest_error for each in dtypes)


def _of_gradient(found: Comparison, element: int) -> float:
    """The likely error of one element of the gradients in both runs, measured: every figure is off by the unit roundoff
    of itself, up or down at random, the same every time."""
    graph, backward = found.candidate.graph, found.candidate.backward
    assert backward is not None and found.backward is not None
    roundoff = math.hypot(UNIT_ROUNDOFF[found.candidate.dtype], UNIT_ROUNDOFF[found.baseline_dtype])
    output, seed, slopes = backward.output, backward.seed, Figures(found.backward.effective.flat, found.values.shapes)
    exact = np.array([node.operation.rounding.exact or not node.inputs for node in graph.nodes])
    given = np.zeros(len(graph), dtype=bool)
    given[sourceless(graph)] = True
    leaves = Figures(found.values.flat, found.values.shapes, given)
    random = np.random.default_rng(0)

    def noise(figures: Figures, share: float) -> Figures:
        sizes = np.repeat(~exact, np.diff(figures.offsets)) * np.abs(figures.flat)
        return Figures(share * roundoff * random.choice([-1.0, 1.0], len(sizes)) * sizes, figures.shapes)

    def gradient(share: float) -> float:
        values = complete_values(graph, leaves, {}, noise(found.values, share))
        swept = complete_gradients(graph, values, no_figures(len(graph)), output, seed, noise(slopes, share))
        return float(swept.flat[element])

    right = gradient(0.0)
    return math.sqrt(sum((gradient(1.0) - right) ** 2 for _ in range(SAMPLES)) / SAMPLES)
