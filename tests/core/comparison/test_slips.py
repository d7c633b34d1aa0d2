"""The score of the table of slips: the node is always right, and what happened is nearly always named."""

import pytest

from service.core.comparison.listing import ExplainedFigure, explained_origins
from tests.core.comparison.slips import PORTS, STUDENTS, Mistake
from tests.planted import graph_of, judge, run_of

TABLE = [*STUDENTS, *PORTS]


def explained(mistake: Mistake) -> tuple[ExplainedFigure, ...]:
    """The origins found, with what is said of them."""
    graph = graph_of(mistake.text)
    right = run_of(graph, mistake.inputs)
    wrong = run_of(graph, mistake.inputs, **{mistake.kind: {mistake.node: mistake.wrong}})
    return explained_origins(judge(right, wrong))


def names(origin: ExplainedFigure) -> list[str]:
    """The hypotheses about an origin, likeliest first."""
    return [hypothesis.name for hypothesis in origin.hypotheses]


@pytest.mark.parametrize("mistake", TABLE, ids=lambda mistake: mistake.what)
def test_the_node_is_right_and_the_slip_is_named(mistake: Mistake) -> None:
    (origin,) = explained(mistake)
    graph = graph_of(mistake.text)
    assert (origin.phase.name, graph.nodes[origin.position].name) == (
        "forward" if mistake.kind == "values" else "backward",
        mistake.node,
    )
    assert set(mistake.names.split("|")) & set(names(origin)), names(origin)
    assert origin.sentence.endswith(origin.hypotheses[0].because)


def test_the_first_hypothesis_is_the_right_one() -> None:
    first = [names(origin)[0] in mistake.names.split("|") for mistake in TABLE for origin in explained(mistake)]
    assert len(TABLE) >= 115
    assert sum(first) >= 0.9 * len(TABLE), [
        mistake.what for mistake, right in zip(TABLE, first, strict=True) if not right
    ]
