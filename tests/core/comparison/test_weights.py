"""The weight of a comparison bounds what it holds at once, closely."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES
from service.core.comparison.weights import weigh_comparison, weigh_explanation
from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures import buffers
from service.core.figures.figures import Figures
from tests.expressions import graph_of_expression

CASES = {
    "elementwise": ("y = sum(exp(x) * x + sin(x))", {"x": (300, 200)}),
    "matrices": ("y = sum(tanh(x @ w) @ v)", {"x": (60, 200), "w": (200, 100), "v": (100, 10)}),
    "a pool": ("y = sum(max_pool(x, kernel_shape=[3, 3]))", {"x": (2, 4, 40, 40)}),
    "scalars": ("y = " + " + ".join(["sin(x) * x"] * 100), {"x": ()}),
}


def run_of(name: str, missing: bool = False) -> Run:
    """A run of one of the graphs; with `missing`, a recording without the first operation's figures."""
    text, shapes = CASES[name]
    graph = graph_of_expression(text)
    given = {each: np.asarray(np.random.default_rng(1).random(shape) + 0.5) for each, shape in shapes.items()}
    values = forward_pass(graph, given)
    gradients = backward_pass(graph, values, "y")
    if missing:
        first = next(position for position, sources in enumerate(graph.operands) if sources)
        values, gradients = (
            replace(figures, present=np.arange(len(graph)) != first) for figures in (values, gradients)
        )
    return Run(graph, values, "float64", Backward("y", np.ones(()), gradients))


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_weight_of_a_comparison_bounds_its_memory(name: str, wrong: bool) -> None:
    """A wrong figure takes most where a value that it follows from is not recorded."""
    baseline, candidate = run_of(name), run_of(name, missing=wrong)
    if wrong:
        flat = candidate.values.flat.copy()
        flat[-1] *= 1.1
        candidate = replace(candidate, values=replace(candidate.values, held=flat))
    weights = [weigh_comparison(baseline, candidate)]
    compare(baseline, candidate, TOLERANCES["float64"], admit=weights.append)  # what is cached is not counted
    assert len(weights) == 1 + wrong
    weight = weights[-1]
    buffers._free.clear()
    tracemalloc.start()
    try:
        found = compare(baseline, candidate, TOLERANCES["float64"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.same != wrong and (weigh_explanation(found).operations > 0) == wrong
    assert peak <= weight.nbytes <= 4.0 * peak + 300_000
    assert weight.operations > 0


def test_an_origin_weighs_what_its_hypotheses_take() -> None:
    weights = []
    for name in ("elementwise", "scalars"):
        baseline = run_of(name)
        assert baseline.backward is not None
        gradients = baseline.backward.gradients
        wrong = Figures(gradients.flat.copy(), gradients.shapes, gradients.present)
        wrong.flat[3:] *= 1.5
        candidate = replace(baseline, backward=replace(baseline.backward, gradients=wrong))
        weights.append(weigh_explanation(compare(baseline, candidate, TOLERANCES["float64"])))
    assert weights[0].nbytes > 1_000_000 and min(weight.operations for weight in weights) > 1e7
