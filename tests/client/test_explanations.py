"""Steps and paths by the client, over real HTTP, and how they show themselves in a notebook."""

from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest

from service import example
from service.client import Client, Run


@pytest.fixture(scope="module")
def gradbook(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


@pytest.fixture(scope="module")
def run(gradbook: Client) -> Run:
    return gradbook.create_run(gradbook.create_graph("explained", expression=example.EXPRESSION), example.INPUTS)


def test_steps_are_typed_and_their_sums_are_the_gradients(gradbook: Client, run: Run) -> None:
    steps = list(gradbook.list_steps(run))
    backward = {step.node: step for step in steps if step.phase == "backward"}
    assert [step.node for step in steps if step.phase == "forward"] == ["e", "f", "F"]
    for name, step in backward.items():
        assert (step.figure, step.difference) == (run.gradients[name], None)
    (contribution,) = backward["f"].contributions
    assert (contribution.consumer, contribution.operand, contribution.rule) == ("F", 0, "quotient")
    assert type(contribution.local) is np.float64
    assert contribution.local * contribution.upstream == contribution.product == -1 / 3
    assert contribution.text == "∂F/∂f = 1 / d = 1 / -3 = -1 / 3 ≈ -0.3333333333333333"
    assert [step.text for step in gradbook.list_steps(run, node="e")] == [
        "e = a + b = 5 + 1 = 6",
        "dF/de = dF/df * ∂f/∂e = -1 / 3 * -2 = 2 / 3 ≈ 0.6666666666666666",
    ]


def test_steps_are_read_across_pages(gradbook: Client) -> None:
    text = "; ".join(f"y{k} = sin({f'y{k - 1}' if k else 'x'})" for k in range(120))
    run = gradbook.create_run(gradbook.create_graph("a long chain", expression=text), {"x": 0.3})
    steps = list(gradbook.list_steps(run))
    assert len(steps) == 120 + 121
    assert [step.node for step in steps[:120]] == [step.node for step in reversed(steps[120:240])]
    assert all(step.difference is None for step in steps)


def test_in_a_notebook_a_step_is_its_formulas(gradbook: Client, run: Run) -> None:
    _, step = gradbook.list_steps(run, node="e")
    assert step._repr_latex_() == (
        r"$$\begin{gathered}\frac{\partial f}{\partial e} = c = -2 \\ "
        r"\frac{d F}{d e} = \frac{d F}{d f} \cdot \frac{\partial f}{\partial e} = -\frac{1}{3} \cdot \left(-2\right)"
        r" = \frac{2}{3} \approx 0.6666666666666666\end{gathered}$$"
    )
    shown = ElementTree.fromstring(f"<body>{step._repr_html_()}</body>")
    assert ["".join(line.itertext()) for line in shown] == [
        "∂f∂e=c=−2",
        "dFde=dFdf·∂f∂e=−13·(−2)=23≈0.6666666666666666",
    ]


def test_in_a_notebook_paths_are_their_sum(gradbook: Client, run: Run) -> None:
    paths = gradbook.list_paths(run, "b", limit=1)
    assert paths.paths[0].nodes == ("b", "e", "f", "F") and paths.paths[0].factors == (1.0, -2.0, -1 / 3)
    assert paths._repr_latex_().startswith(r"$$\frac{d F}{d b} = \frac{\partial F}{\partial f} \cdot ")
    ElementTree.fromstring(paths._repr_html_())


def test_every_line_is_mathml(gradbook: Client) -> None:
    """Names with every sign that MathML or LaTeX takes for its own."""
    nodes = [
        {"name": "a<b>&c", "operation": "Input"},
        {"name": "x_{1}\\^", "operation": "Input"},
        {"name": "z", "operation": "Pow", "inputs": ["a<b>&c", "x_{1}\\^"]},
        {"name": "y", "operation": "Where", "inputs": ["z", "a<b>&c", "z"]},
        {"name": "L", "operation": "Mul", "inputs": ["y", "y"]},
    ]
    run = gradbook.create_run(gradbook.create_graph("signs", nodes=nodes), {"a<b>&c": 1.5, "x_{1}\\^": 1e-20})
    for step in gradbook.list_steps(run):
        assert len(ElementTree.fromstring(f"<body>{step._repr_html_()}</body>")) == len(step.contributions) + 1
    ElementTree.fromstring(gradbook.list_paths(run, "a<b>&c")._repr_html_())
