"""Slips in the update of an optimiser, of which only what goes in and the new parameter are recorded."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.hypotheses import explain
from service.core.comparison.judging import compare
from service.core.comparison.verdicts import TOLERANCES, Verdict
from service.core.composition.building import compose_expression
from service.core.execution.passes import forward_pass
from service.core.execution.run import Run
from service.core.figures.figures import pack

INPUTS: dict[str, Any] = {
    "p": np.array([0.5, -2.0, 0.0]),
    "m": np.array([0.1, 0.2, -0.3]),
    "v": np.array([0.01, 0.5, 1e-4]),
    "g": np.array([0.3, -0.1, 0.2]),
    "t": np.float64(3),
    "lr": np.float64(0.1),
}
ADAM = "adam(p, m, v, {}, lr, eps=1e-3)"
ADAMW = "adamw(p, m, v, t, lr, weight_decay={})"
BARE = "p - lr * ({}) / (sqrt({}) + 1e-3)"
MEAN, SQUARE = "m / (1 - 0.9 ^ t)", "v / (1 - 0.999 ^ t)"
SLIPS = {  # by what is said: the hypothesis, the right update, the wrong one
    "0.001 was added within the root of `output/square`, not beside it.": (
        "epsilon at another place",
        ADAM.format("t"),
        "adam(p, m, v, t, lr, eps=0, eps_root=1e-3)",
    ),
    "0.001 was added beside the root of v, not within it.": (
        "epsilon at another place",
        "rmsprop(p, g, v, lr, eps=0, eps_root=1e-3)",
        "rmsprop(p, g, v, lr, eps=1e-3)",
    ),
    "The bias of m and v was not corrected.": ("bias not corrected", ADAM.format("t"), BARE.format("m", "v")),
    "The bias of m was not corrected.": ("bias not corrected", ADAM.format("t"), BARE.format("m", SQUARE)),
    "The bias of v was not corrected.": ("bias not corrected", ADAM.format("t"), BARE.format(MEAN, "v")),
    "The bias was corrected for step 2.": ("bias not corrected", ADAM.format("t"), ADAM.format("(t - 1)")),
    "The bias was corrected for step 4.": ("bias not corrected", ADAM.format("t"), ADAM.format("(t + 1)")),
    "A decay of 0.03·p is too much.": ("another decay", ADAMW.format(0.0), ADAMW.format(0.03)),
    "A decay of 0.01·p is left out.": ("another decay", ADAMW.format(0.01), ADAMW.format(0.0)),
    "A decay of 0.5·p is too much.": ("another decay", "sgd(p, g, lr)", "sgd(p, g + 0.5 * p, lr)"),
}


def hypotheses(right: str, wrong: str, **other: Any) -> list[tuple[str, str]]:
    """What is supposed of the result of the right update where that of the wrong one is recorded."""
    graph, _ = compose_expression(right)
    slip, _ = compose_expression(wrong)
    given = INPUTS | other
    values = forward_pass(graph, {name: given[name] for name in graph.inputs})
    figure = forward_pass(slip, {name: given[name] for name in slip.inputs})[slip.position["output"]]
    known = {**{name: given[name] for name in graph.inputs}, "output": figure}
    candidate = Run(graph, pack([known.get(node.name) for node in graph.nodes]))
    found = compare(Run(graph, values), candidate, TOLERANCES["float64"])
    places = list(found.places(Verdict.ORIGIN))
    assert [graph.nodes[position].name for _, position in places] == ["output"]
    ((phase, position),) = places
    return [(each.name, str(each.because)) for each in explain(found, phase, position, candidate)]


@pytest.mark.parametrize("said", SLIPS)
def test_a_slip_is_named(said: str) -> None:
    name, right, wrong = SLIPS[said]
    assert hypotheses(right, wrong)[0] == (name, said)


def test_one_number_shows_no_decay() -> None:
    found = hypotheses("sgd(p, g, lr)", "sgd(p, g + 0.5 * p, lr)", p=np.float64(0.5), g=np.float64(0.1))
    assert "another decay" not in dict(found)
