"""The score of the table of slips: the node is always right, and what happened is nearly always named."""

from typing import Any

import numpy as np
import pytest

from service.core.comparison.hypotheses import explain
from service.core.comparison.listing import ExplainedFigure, explained_origins
from tests.core.comparison.porting_slips import PORTS
from tests.core.comparison.slips import Mistake
from tests.core.comparison.students_slips import STUDENTS
from tests.planted import altered, graph_of, judge, run_of

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


# --- where there is too much to try ---------------------------------------------------------------------------------


def names_of(text: str, inputs: dict[str, Any], wrong: Any) -> list[str]:
    """The hypotheses about a wrong gradient of F with respect to x, likeliest first."""
    graph = graph_of(text, ["F"])
    (origin,) = explained_origins(judge(run_of(graph, inputs), run_of(graph, inputs, gradients={"x": wrong})))
    return names(origin)


@pytest.mark.parametrize(("count", "named"), [(8, True), (9, False)])
def test_an_attribute_taken_otherwise_is_sought_along_a_few_edges(count: int, named: bool) -> None:
    slopes = [0.31 + 0.01 * each for each in range(count)]
    text = "; ".join(f"y{each} = leaky_relu(x, alpha={slope})" for each, slope in enumerate(slopes))
    wrong = sum(slopes) - slopes[0] + 0.25
    found = names_of(f"{text}; F = sum({', '.join(f'y{each}' for each in range(count))})", {"x": -2.0}, wrong)
    assert ("another attribute" in found) is named


@pytest.mark.parametrize(
    ("length", "beside", "named"), [(62, 0, True), (63, 0, False), (3, 600, True), (3, 640, False)]
)
def test_a_cut_is_sought_among_a_few_nodes(length: int, beside: int, named: bool) -> None:
    """One of two paths was cut, that through so many sines; the graph has other nodes beside."""
    path = [f"s{step} = sin({f's{step - 1}' if step else 'a'})" for step in range(length)]
    others = [f"z{step} = sin({f'z{step - 1}' if step else 'x'})" for step in range(beside)]
    text = "; ".join(["a = 2 * x", *path, f"F = s{length - 1} + cos(a)", *others])
    assert ("detached" in names_of(text, {"x": 0.3}, -2 * np.sin(0.6))) is named


def test_a_vector_times_a_stack_of_matrices_has_no_factor_to_transpose() -> None:
    inputs = {"x": np.array([1.0, 2.0, 3.0]), "y": np.arange(12.0).reshape(2, 3, 2)}
    assert "wrong factor transposed" not in names_of("F = sum((x @ y)^2)", inputs, np.array([1.0, -1.0, 0.3]))


@pytest.mark.parametrize(("shape", "named"), [((5, 7), True), ((2, 4, 6, 8, 10, 12, 14), False)])
def test_another_count_is_sought_among_a_few_lengths(shape: tuple[int, ...], named: bool) -> None:
    ones = np.ones(shape)
    wrong = ones / ones.size * shape[-1] / shape[0]
    assert ("mean over another count" in names_of("F = mean(x * y)", {"x": ones, "y": ones}, wrong)) is named


def test_a_layer_norm_over_one_number_has_no_unbiased_variance() -> None:
    graph = graph_of("z = layer_norm(x, w)")
    right = run_of(graph, {"x": [1.5], "w": 2.0})
    wrong = altered(right, values={"z": [3.0]})
    found = judge(right, wrong)
    assert found.forward is not None
    said = [each.sentence for each in explain(found, found.forward, graph.position["z"], wrong)]
    assert not any("n − 1" in sentence for sentence in said)


@pytest.mark.parametrize(("count", "named"), [(64, True), (65, False)])
def test_one_wrong_label_is_sought_among_a_few(count: int, named: bool) -> None:
    scores, labels = np.random.default_rng(3).normal(size=(count, 4)), np.arange(count) % 4
    graph = graph_of("F = softmax_cross_entropy(x, labels)")
    right = run_of(graph, {"x": scores, "labels": labels})
    mistaken = run_of(graph, {"x": scores, "labels": np.where(np.arange(count) == 5, 3, labels)})
    wrong = run_of(graph, {"x": scores, "labels": labels}, values={"F": mistaken.values[graph.position["F"]]})
    (origin,) = explained_origins(judge(right, wrong))
    assert ("wrong label" in names(origin)) is named
