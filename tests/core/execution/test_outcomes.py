"""Runs at many points together: each is the run alone, to the bit."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from service.core.errors import InvalidInputs
from service.core.execution import kernel, outcomes
from service.core.execution.outcomes import Outcome, run_at, run_at_all
from service.core.execution.passes import Fitted, fit_inputs
from service.core.figures.figures import Figures
from service.core.graph.graph import Graph
from tests.passes import graph_of

NUMBERS = (0.0, -0.0, 0.5, -1.5, 3.0, 1e300, -1e300, 1e-300, np.inf, -np.inf, np.nan)
EXPRESSIONS = (
    "F = a * b + a / b - exp(a)",
    "F = max(a, b) + abs(a) * 2 + sqrt(b)",  # kinks, and a Constant without a gradient
    "F = where(a - b, a, 2 * b)",  # a jump that no operation shows by its own operands
    "F = min(1, 1 / a) * relu(a) * b",  # poles, closed edges
    "F = a; G = 2 * b",
)


def points(graph: Graph, count: int = 200) -> list[Fitted]:
    random = Random(0)
    return [fit_inputs(graph, {name: np.array(random.choice(NUMBERS)) for name in graph.inputs}) for _ in range(count)]


def bits(figures: Figures | None) -> Any:
    if figures is None:
        return None
    present = None if figures.present is None else figures.present.tolist()
    return figures.flat.tobytes(), figures.shapes, present, figures.flat.flags.writeable


def facts(outcome: Outcome) -> Any:
    seed = None if outcome.seed is None else (outcome.seed.shape, outcome.seed.tobytes())
    found = (outcome.nondifferentiable, outcome.nonfinite_forward, outcome.nonfinite_backward)
    return *found, seed, bits(outcome.values), bits(outcome.gradients)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_together_is_as_alone(text: str) -> None:
    kernel.warm()
    graph = graph_of(text)
    given = points(graph)
    for output, seed in (("F", 1.0), ("F", np.array(-0.5)), (None, 1.0)):
        together = run_at_all(given, output, seed)
        assert together is not None
        assert [*map(facts, together)] == [facts(run_at(each, output, seed)) for each in given]


def test_figures_without_kinks_and_infinities_are_looked_through_together(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.warm()
    looked: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        look = getattr(outcomes, name)
        return lambda *given: (looked.append(name), look(*given))[1]

    names = ("nondifferentiable_nodes", "first_nonfinite_value", "first_nonfinite_gradient", "backward_pass")
    for name in names:
        monkeypatch.setattr(outcomes, name, counted(name))
    graph = graph_of("F = a / b + abs(a)")
    given = [fit_inputs(graph, {"a": np.array(a), "b": np.array(2.0)}) for a in (1.0, -3.0, 0.0, 5.0, np.inf)]
    assert run_at_all(given, "F") is not None
    # At 0, which is a kink, and at infinity, where a gradient is infinite too.
    assert Counter(looked) == {**dict.fromkeys(names[:2], 2), **dict.fromkeys(names[2:], 1)}


def test_a_seed_that_is_no_scalar_is_refused() -> None:
    kernel.warm()
    with pytest.raises(InvalidInputs, match=r"the seed has shape \[2\]"):
        run_at_all(points(graph_of("F = a * b"), 3), "F", np.ones(2))


def test_what_is_no_graph_of_scalars_or_not_compiled_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.warm()
    graph = graph_of("F = a * b")
    batch = fit_inputs(graph, {"a": np.ones(3), "b": np.array(2.0)})
    assert run_at_all([*points(graph, 1), batch], "F") is None
    assert run_at_all([fit_inputs(graph_of("F = sum(a)"), {"a": np.array(2.0)})], "F") is None
    assert run_at_all(points(graph_of("F = relu(a)").with_convention("torch"), 2), "F") is None
    monkeypatch.setattr(kernel, "_loops", None)
    assert run_at_all(points(graph, 2), "F") is None
