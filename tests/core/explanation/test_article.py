"""The worked derivation of a run: what it says, checked by meaning, and what a worksheet must not show."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.core.execution.passes import forward_pass
from service.core.execution.run import Backward, Run
from service.core.explanation.article import (
    About,
    Article,
    Blank,
    Displayed,
    Drawing,
    Heading,
    Paragraph,
    choose_blanks,
    without_blanks,
)
from service.core.explanation.derivation import write_answers, write_article
from service.core.figures.figures import pack
from service.core.graph.graph import Graph
from service.core.symbolic.equation import equate
from service.core.symbolic.term import Variable
from tests.core.explanation.test_steps import AT, TUTORIAL, run_of
from tests.passes import arrays_of, graph_of

ABOUT = About("Run “by hand” of the graph blog, version 1.")


def told_by(block: Heading | Paragraph) -> str:
    return "".join(part if isinstance(part, str) else part.plain for part in block.sentence)


def told(article: Article) -> list[str]:
    """An article as a person reads it, a line for each block, without the picture."""
    lines = []
    for block in article.blocks:
        if isinstance(block, Displayed):
            blank = f" = <{block.blank.kind} {block.blank.node}>" if block.blank else ""
            lines.append(f"{block.formula.plain}{blank}")
        elif isinstance(block, Heading | Paragraph):
            lines.append(told_by(block))
    return lines


def article_of(text: str, inputs: dict[str, Any], **options: Any) -> list[str]:
    return told(write_article(run_of(graph_of(text), inputs, **options), ABOUT))


@pytest.fixture(scope="module")
def tutorial() -> Run:
    return run_of(graph_of(TUTORIAL), AT)


def recorded(graph: Graph, values: list[float | None], gradients: list[float | None]) -> Run:
    backward = Backward(graph.outputs[0], np.float64(1.0)[...], pack(gradients))
    return Run(graph, pack(values), backward=backward)


def test_the_tutorials_run_reads_like_the_page_with_the_right_numbers(tutorial: Run) -> None:
    article = write_article(tutorial, ABOUT)
    lines = told(article)
    assert article.title == "The gradients of F, step by step"
    assert lines[0] == ABOUT.origin
    headings = [block for block in article.blocks if isinstance(block, Heading)]
    titles = [told_by(heading).partition(":")[0] for heading in headings if heading.level == 2]
    assert titles == ["Step 1", "Step 2", "Step 3", "Step 4", "The general rule"]
    assert [told_by(heading) for heading in headings if heading.level == 3] == [
        f"The gradient of {name}" for name in "Ffedcba"
    ]
    assert lines[lines.index("The gradient of f") :][:5] == [
        "The gradient of f",
        "f is used by F alone. By the quotient rule at F:",
        "∂F/∂f = 1/d = 1/(−3) = −1/3",
        "So, by the chain rule:",
        "dF/df = dF/dF·∂F/∂f = 1·(−1/3) = −1/3",
    ]
    for right in ("dF/dd = dF/dF·∂F/∂d = 1·(4/3) = 4/3", "dF/de = dF/df·∂f/∂e = −1/3·(−2) = 2/3"):
        assert right in lines
    step4 = lines[lines.index("Step 4: the gradients of the inputs as products") :]
    assert "dF/da = ∂F/∂f·∂f/∂e·∂e/∂a = c/d = −1/3·(−2)·1 = 2/3" in step4
    assert "dF/dc = ∂F/∂f·∂f/∂c = e/d = −1/3·6 = −2" in step4 and "dF/dd = ∂F/∂d = −f/d² = 4/3" in step4
    assert lines[-1] == "dF/dx = sum(dF/dz·∂z/∂x)"


def test_each_part_of_a_sum_is_explained_where_paths_meet() -> None:
    lines = article_of("y = x * x; F = y + sigmoid(x)", {"x": 3})
    about_x = lines[lines.index("The gradient of x") :]
    assert about_x[1] == "x is used by sigmoid_1 and y, 3 times in all: its gradient is the sum over 3 edges."
    assert about_x[2] == "By the derivative of Sigmoid at sigmoid_1:"
    assert [line for line in about_x[:9] if line.startswith("By the product")] == ["By the product rule at y:"] * 2
    assert about_x[8] == "So, by the chain rule:" and about_x[9].startswith("dF/dx = ")
    many = article_of("F = " + " + ".join(f"x * {k}" for k in range(2, 14)), {"x": 1})
    about_x = many[many.index("The gradient of x") :]
    assert (
        "and 4 more, 12 times" not in about_x[1] and "and 4 more: its gradient is the sum over 12 edges" in about_x[1]
    )
    assert "12 paths; the largest are written out:" in about_x
    assert sum(line.startswith("By the") for line in about_x) == 8


def test_a_seed_and_a_node_that_does_not_lead_to_the_output() -> None:
    lines = article_of("F = a * b; G = a + c", {"a": 2, "b": 3, "c": 1}, seed=2.0, output="F")
    assert "F is where the sweep starts, with the seed that was given:" in lines
    assert "G does not lead to L: its gradient is 0." in lines and "c does not lead to L: its gradient is 0." in lines
    assert "dL/da = dL/dF·∂F/∂a = 2·3 = 6" in lines


def test_a_run_that_was_not_run_backward_has_no_third_step() -> None:
    graph = graph_of(TUTORIAL)
    article = write_article(Run(graph, forward_pass(graph, arrays_of(AT))), ABOUT)
    lines = told(article)
    assert article.title == "The values of F, step by step"
    assert lines[-1] == "This run has no gradients: it was not run backward."
    assert "F = f/d = −12/(−3) = 4" in lines
    (drawing,) = (block for block in article.blocks if isinstance(block, Drawing))
    assert "gradient" not in drawing.caption


def test_a_recorded_figure_that_is_wrong_or_missing_is_told() -> None:
    graph = graph_of(TUTORIAL)
    tutorial = recorded(graph, [5, 1, -2, -3, 6, None, 4], [6, 6, -18, 108, None, -3, 1])
    lines = told(write_article(tutorial, replace(ABOUT, by="the tutorial")))
    at_f = lines[lines.index("The gradient of f") :]
    assert at_f[4:6] == [
        "dF/df = dF/dF·∂F/∂f = 1·(−1/3) = −1/3",
        "the tutorial has −3 here, 2.67 away.",
    ]
    follows = "This figure is not given; it follows from others."
    assert lines[lines.index("f = e·c = 6·(−2) = −12") + 1] == follows
    assert lines[lines.index("dF/de = dF/df·∂f/∂e = −3·(−2) = 6") + 1] == follows
    unknown = told(write_article(recorded(graph, [None, 1, -2, -3, None, None, None], [None] * 7), ABOUT))
    assert unknown[unknown.index("e = a + b") + 1] == "This figure is not given; the figures that are do not say it."
    assert "a, b = 1, c = −2" in unknown[unknown.index("e = a + b") - 1]
    assert any(line.startswith("It is left out for a, b, c and d: the run has no value of") for line in unknown)


def test_a_recorded_figure_of_another_shape_is_told(tutorial: Run) -> None:
    misshapen = replace(tutorial, misshapen={("backward", 5): np.zeros(2)})
    lines = told(write_article(misshapen, ABOUT))
    assert lines[lines.index("The gradient of e") - 1] == "The run has a figure of another shape here, [2]."


def test_tensors_are_shown_as_steps_show_them() -> None:
    lines = article_of("h = x @ w; F = sum(h)", {"x": np.ones((2, 3)), "w": np.ones((3, 1))})
    assert "h = x @ w = [[1, 1, 1], [1, 1, 1]] @ [[1], [1], [1]] = [[3], [3]]" in lines
    assert "dF/dw = x.T @ dF/dh = [[1, 1, 1], [1, 1, 1]].T @ [[1], [1]] = [[2], [2], [2]]" in lines
    assert any(line.startswith("w is used by h alone. By the derivative of MatMul at h:") for line in lines)
    assert any(line.startswith("It is left out for x and w: paths are for scalar figures") for line in lines)
    graph = graph_of("F = sum(x)")
    run = run_of(graph, {"x": np.ones(2)})
    assert run.backward is not None
    other = replace(run, backward=replace(run.backward, gradients=pack([np.full(2, 3.0), np.ones(())])))
    assert "The run has other figures here, up to 2 away." in told(write_article(other, ABOUT))


def test_kinks_and_closed_edges_are_told() -> None:
    run = run_of(graph_of("F = relu(x)"), {"x": 0})
    lines = told(write_article(run, replace(ABOUT, kinks=frozenset("F"), convention="minimum-norm")))
    assert "F has no derivative here; minimum-norm chooses what passes back." in lines
    closed = article_of("r = relu(x); F = r * y", {"x": -1, "y": 2})
    assert "r = relu(x) is constant here: nothing of dF/dr = 2 passes." in closed


def test_many_inputs_are_counted_not_listed() -> None:
    names = [f"x{k}" for k in range(22)]
    lines = article_of(f"F = {' + '.join(names)}", dict.fromkeys(names, 1))
    assert any(line.endswith("x19 = 1, 2 more, and compute each node from those before it:") for line in lines)
    assert "2 more inputs are left out." in lines
    doubled = ";".join(f"y{k + 1} = y{k} * y{k}" for k in range(41)).replace("y0", "x")
    assert "More than 1000000000000 paths; the largest are written out:" in article_of(doubled, {"x": 1})


def test_a_function_is_shown_unless_it_is_too_long(tutorial: Run) -> None:
    function = equate(Variable("F"), Variable("f"))
    shown = write_article(tutorial, replace(ABOUT, function=function)).blocks[2]
    assert shown == Displayed(function)
    long = replace(ABOUT, function=equate(Variable("F"), Variable("f" * 3000)))
    assert isinstance(write_article(tutorial, long).blocks[2], Paragraph)


@pytest.mark.parametrize(
    ("kinds", "names", "asked"),
    [
        (["gradient"], None, "gradient: f e d c b a"),
        (["value"], None, "value: e f F"),
        (["value", "gradient"], {"f", "d"}, "value: f gradient: f d"),
        (["value"], {"a"}, ""),
    ],
)
def test_figures_to_leave_blank_are_chosen(tutorial: Run, kinds: list[str], names: set[str] | None, asked: str) -> None:
    found = [f"{blank.kind} {blank.node}" for blank in choose_blanks(tutorial, kinds, names)]
    assert sorted(found) == sorted(
        f"{kind} {node}" for kind, nodes in re.findall(r"(\w+):((?: \w\b(?!:))*)", asked) for node in nodes.split()
    )


def test_a_worksheet_asks_once_for_each_figure_and_shows_none(tutorial: Run) -> None:
    blanks = choose_blanks(tutorial, ["gradient"], None)
    article = write_article(tutorial, ABOUT, blanks)
    lines = told(article)
    assert article.title == "Worksheet: the gradients of F, step by step" and article.blanks == tuple(blanks)
    asked = [block.blank for block in article.blocks if isinstance(block, Displayed)]
    assert sorted(blank for blank in asked if blank) == sorted(blanks)
    assert "dF/df = dF/dF·∂F/∂f = <gradient f>" in lines and "f = e·c = 6·(−2) = −12" in lines
    derived = "\n".join(lines[lines.index("The gradient of f") :])
    assert not re.search(r"/3|−2|= 6", derived)  # nothing from which a gradient could be read off


def test_a_worksheet_of_values_shows_none_of_them_in_a_gradient_either(tutorial: Run) -> None:
    blanks = choose_blanks(tutorial, ["value"], {"e"})
    lines = told(write_article(tutorial, ABOUT, blanks))
    assert "e = a + b = <value e>" in lines and "f = e·c = −12" in lines
    assert "∂f/∂c = e" in lines and "dF/dc = dF/df·∂f/∂c = −2" in lines
    assert "∂F/∂f = 1/d = 1/(−3) = −1/3" in lines
    assert not any("6" in line for line in lines)
    sums = run_of(graph_of("h = x * 2; F = sum(h)"), {"x": np.ones(2)})
    derived = told(write_article(sums, ABOUT, [Blank("gradient", "h")]))
    assert "dF/dh = " in "\n".join(derived) and "dF/dh = <gradient h>" not in derived


def test_the_answers_are_what_was_left_blank(tutorial: Run) -> None:
    blanks = choose_blanks(tutorial, ["value", "gradient"], {"f", "d"})
    article = write_answers(tutorial, ABOUT, blanks)
    assert article.title == "Answers: the gradients of F" and not article.blanks
    assert told(article) == [ABOUT.origin, "f = −12", "dF/df = −1/3", "dF/dd = 4/3"]


def test_the_picture_of_a_worksheet_lacks_what_is_left_blank(tutorial: Run) -> None:
    drawn = without_blanks(tutorial, choose_blanks(tutorial, ["value", "gradient"], {"f"}))
    assert drawn.values[5] is None and drawn.values[4] == 6
    assert drawn.gradients is not None and drawn.gradients[5] is None and drawn.gradients[3] == 4 / 3
    again = without_blanks(drawn, [Blank("value", "e")])
    assert again.values[4] is None and again.values[5] is None
    forward = without_blanks(replace(tutorial, backward=None), [])
    assert forward.gradients is None and forward.values[5] == -12


def test_names_are_typeset_alike_in_sentences_and_equations() -> None:
    article = write_article(run_of(graph_of("y1 = w0 * x; F = y1 + x"), {"w0": 2, "x": 3}), ABOUT)
    parts = [part for block in article.blocks if isinstance(block, Heading) for part in block.sentence]
    assert [part.latex for part in parts if not isinstance(part, str)] == ["F", "y_{1}", "x", "w_{0}"]
    (given,) = [
        block for block in article.blocks if isinstance(block, Paragraph) and "Put in" in str(block.sentence[0])
    ]
    assert [part.latex for part in given.sentence if not isinstance(part, str)] == ["w_{0} = 2", "x = 3"]
