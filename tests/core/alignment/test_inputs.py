"""Which Inputs are one: by what they are given, by name and by place."""

from typing import Any

import numpy as np
import pytest

from service.core.alignment.alignment import How
from service.core.alignment.proposing import propose_alignment
from service.core.errors import InvalidRequest
from service.core.execution.run import Run
from service.core.figures.figures import pack
from tests.alignment_cases import Form, program


def product(left: str, right: str, **given: Any) -> Run:
    """The sum of left · right."""
    form = Form()
    for name, value in given.items():
        form.given(name, value=value)
    form("product", "Mul", left, right)
    form("loss", "ReduceSum", "product", keepdims=0)
    return program(form).run


def pairs(baseline: Run, candidate: Run, names: dict[str, str] | None = None) -> dict[str, tuple[str, How]]:
    """The baseline's name and how it was found, for each of the candidate's names that has a partner."""
    found = propose_alignment(baseline, candidate, names or {})
    return {
        candidate.graph.nodes[mine].name: (baseline.graph.nodes[other].name, found.how[mine])
        for mine, other in enumerate(found.partners.tolist())
        if other >= 0
    }


X, W = [1.0, 2.0, 3.0], [4.0, 5.0, 7.0]


def test_equal_figures_make_a_pair() -> None:
    found = pairs(product("x", "w", x=X, w=W), product("a", "b", a=W, b=X))
    assert (found["a"], found["b"]) == (("w", How.FIGURES), ("x", How.FIGURES))


def test_a_figure_rounded_to_bfloat16_is_the_same() -> None:
    found = pairs(product("x", "w", x=X, w=W), product("a", "b", a=[1.003, 2.0, 2.99], b=W))
    assert found["a"] == ("x", How.FIGURES)


def test_another_figure_of_one_name_is_the_same_input() -> None:
    found = pairs(product("x", "w", x=X, w=W), product("x", "w", x=[9.0, -3.0, 1.0], w=[0.5, 0.2, 8.0]))
    assert (found["x"], found["w"]) == (("x", How.NAME), ("w", How.NAME))


def test_another_figure_under_another_name_is_found_by_its_place() -> None:
    baseline, candidate = product("x", "w", x=X, w=W), product("v", "u", u=[1.0, 2.0, 4.0], v=W)
    found = propose_alignment(baseline, candidate, {})
    assert pairs(baseline, candidate)["u"] == ("x", How.STRUCTURE)
    assert not found.cuts.size


def test_a_person_says_which_are_one() -> None:
    found = pairs(product("x", "w", x=X, w=X), product("a", "b", a=X, b=X), {"a": "w", "b": "x"})
    assert (found["a"], found["b"]) == (("w", How.NAME), ("x", How.NAME))


def test_a_person_may_name_inputs_of_other_shapes() -> None:
    found = pairs(product("x", "w", x=X, w=2.0), product("a", "b", a=X, b=2.0), {"a": "w"})
    assert found["a"] == ("w", How.NAME)
    assert "b" not in found


def test_inputs_that_are_given_the_same_are_told_apart_by_their_use() -> None:
    def scaled(first: str, second: str) -> Run:
        form = Form()
        x = form.given("x", 4)
        for name in sorted([first, second]):
            form.given(name, value=np.ones(4))
        x = form("bent", "Tanh", form("first", "Mul", x, first))
        form("loss", "ReduceSum", form("second", "Mul", x, second), keepdims=0)
        return program(form).run

    found = pairs(scaled("one", "two"), scaled("b", "a"))
    assert (found["b"], found["a"]) == (("one", How.FIGURES), ("two", How.FIGURES))


def test_a_weight_that_one_program_copies_is_given_the_same_in_both() -> None:
    def tied(copied: bool) -> Run:
        form = Form()
        x, w = form.given("x", 2, 3), form.given("w", 3, 4)
        hidden = form("hidden", "Tanh", form("in", "MatMul", x, w))
        turned = form("turned", "Transpose", w, perm=[1, 0])
        back = form.given("copy", value=form.inputs[w].T) if copied else turned
        form("loss", "ReduceSum", form("out", "MatMul", hidden, back), keepdims=0)
        return program(form).run

    for baseline, candidate in ((tied(False), tied(True)), (tied(True), tied(False))):
        found = propose_alignment(baseline, candidate, {})
        assert not found.cuts.size
        assert found.partners[candidate.graph.position["out"]] == baseline.graph.position["out"]


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_an_input_whose_value_is_not_recorded_is_named(side: str) -> None:
    run = product("x", "w", x=X, w=W)
    figures = [None if node.name == "w" else run.values[place] for place, node in enumerate(run.graph.nodes)]
    runs = {"baseline": run, "candidate": run} | {side: Run(run.graph, pack(figures))}
    with pytest.raises(InvalidRequest) as refused:
        propose_alignment(runs["baseline"], runs["candidate"], {})
    (fault,) = refused.value.faults
    assert fault.location == (side,)
    assert "'w'" in fault.detail
