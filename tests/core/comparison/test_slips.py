"""The score of the table of slips: the node is always right, and what happened is nearly always named."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from service.core.comparison.hypotheses import explain
from service.core.comparison.listing import ExplainedFigure, explained_origins
from service.core.comparison.sentences import compensated_sentence
from tests.core.comparison.porting_slips import PORTS
from tests.core.comparison.slips import Mistake
from tests.core.comparison.students_slips import STUDENTS
from tests.planted import SEED, SEED_INPUTS, altered, graph_of, judge, only, run_of

TABLE = [*STUDENTS, *PORTS]


@cache
def explained(number: int) -> tuple[ExplainedFigure, ...]:
    """The origins found of a mistake of the table, with what is said of them."""
    mistake = TABLE[number]
    graph = graph_of(mistake.text)
    right = run_of(graph, mistake.inputs)
    wrong = run_of(graph, mistake.inputs, **{mistake.kind: {mistake.node: mistake.wrong}})
    return explained_origins(judge(right, wrong))


def names(origin: ExplainedFigure) -> list[str]:
    """The hypotheses about an origin, likeliest first."""
    return [hypothesis.name for hypothesis in origin.hypotheses]


@pytest.mark.parametrize(("number", "mistake"), [*enumerate(TABLE)], ids=[mistake.what for mistake in TABLE])
def test_the_node_is_right_and_the_slip_is_named(number: int, mistake: Mistake) -> None:
    (origin,) = explained(number)
    graph = graph_of(mistake.text)
    assert (origin.phase.name, graph.nodes[origin.position].name) == (
        "forward" if mistake.kind == "values" else "backward",
        mistake.node,
    )
    assert set(mistake.names.split("|")) & set(names(origin)), names(origin)
    assert origin.sentence.endswith(origin.hypotheses[0].because)


def test_the_first_hypothesis_is_the_right_one() -> None:
    first = [
        names(origin)[0] in mistake.names.split("|")
        for number, mistake in enumerate(TABLE)
        for origin in explained(number)
    ]
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


# --- more than one figure ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "point", "kind", "node", "wrong", "says"),
    [
        ("f = x / y; g = 3 * f", (2.0, 3.0), "values", "g", 2.01, "worked from f rounded to 0.67, not from 2/3."),
        ("f = x / y; g = 11.3 * f", (2.0, 3.0), "values", "g", 7.57, "worked from f rounded to 0.67, not from 2/3."),
        (
            "f = x / y; F = 13 * f",
            (2.0, 7.0),
            "gradients",
            "x",
            1.82,
            "the local gradient rounded to 0.14, not from 1/7.",
        ),
        ("f = x / y; g = f ^ 2; F = 3 * g", (2.0, 3.0), "gradients", "f", 4.02, "worked from f rounded to 0.67,"),
        ("f = x * 6; F = f / y", (2.0, 3.0), "gradients", "x", 1.98, "worked from ∂F/∂f rounded to 0.33,"),
    ],
)
def test_a_result_worked_from_a_rounded_figure_says_so(
    text: str, point: tuple[float, float], kind: str, node: str, wrong: float, says: str
) -> None:
    graph, inputs = graph_of(text), dict(zip("xy", point, strict=True))
    (origin,) = explained_origins(judge(run_of(graph, inputs), run_of(graph, inputs, **{kind: {node: wrong}})))
    assert "worked from a rounded figure" in names(origin)
    assert any(says in hypothesis.because for hypothesis in origin.hypotheses), origin.hypotheses


def test_a_wrong_figure_among_right_ones_was_used_right_though_others_are_not_given() -> None:
    graph = graph_of(SEED)
    right = run_of(graph, SEED_INPUTS)
    found = judge(right, only(altered(right, gradients={"f": -3.0}), values=list("abcd"), gradients=["f", "a"]))
    (origin,) = explained_origins(found)
    assert "recorded wrong but used right" in names(origin)
    assert found.backward is not None
    assert compensated_sentence(found, found.backward, graph.position["a"]) == (
        "∂F/∂a is right, 2/3, but does not follow from the other figures given, by which it would be 6: a second error "
        "cancels theirs, or it was not computed from them."
    )


def test_of_a_tensor_that_does_not_follow_the_element_is_said() -> None:
    graph = graph_of("z = x * 2; F = sum(z * z)")
    right = run_of(graph, {"x": np.array([1.0, 2.0, 3.0])})
    found = judge(right, altered(right, values={"z": [2.0, 9.0, 6.0]}, gradients={"z": [4.0, 8.0, 12.0]}))
    assert found.backward is not None
    said = compensated_sentence(found, found.backward, graph.position["z"])
    assert said.startswith("∂F/∂z is right, 8 at [1], but does not follow from the other figures given")
    assert "by which it would be 18:" in said


def test_a_square_left_out_within_a_sum_over_copies_is_said_without_formulas() -> None:
    x, w = np.array([0.3, 1.2, 2.0]), 0.7
    graph = graph_of("F = sum(atan2(w, x))")
    inputs = {"w": w, "x": x}
    wrong = run_of(graph, inputs, gradients={"w": np.sum(x / (x + w**2))})
    (origin,) = explained_origins(judge(run_of(graph, inputs), wrong))
    assert origin.sentence.endswith("The square was left out of the local gradient.")


def test_figures_that_six_digits_do_not_tell_apart_are_told_with_more() -> None:
    graph = graph_of("z = 2 * x; F = z + 1")
    right = run_of(graph, {"x": 1.0})
    found = judge(right, altered(right, values={"x": 1.0 + 1e-7}))
    assert found.forward is not None
    said = compensated_sentence(found, found.forward, graph.position["z"])
    assert said.startswith(
        "z is right, 2, but does not follow from the other figures given, by which it would be 2.0000002:"
    )
