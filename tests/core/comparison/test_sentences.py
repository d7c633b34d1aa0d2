"""The sentence of every origin: what it is, what it should be, by which rule, with the numbers."""

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from service.core.comparison.listing import explained_origins
from tests.planted import SEED, SEED_INPUTS, graph_of, judge, run_of

# Expression, inputs, kind of figure, node, the wrong figure, and how the sentence begins; computed by hand.
SAID: list[tuple[str, dict[str, Any], str, str, Any, str]] = [
    (
        SEED,
        SEED_INPUTS,
        "gradients",
        "f",
        -3.0,
        "∂F/∂f is −3; it should be 1 × 1/d = 1 × 1/(−3) = −1/3 by the quotient rule. −3 is the reciprocal",
    ),
    (SEED, SEED_INPUTS, "values", "f", 12.5, "f is 12.5; it should be e·c = 6·(−2) = −12."),
    (
        "e = a + b; F = e^2",
        {"a": 1.0, "b": 3.0},
        "gradients",
        "e",
        7.3,
        "∂F/∂e is 7.3; it should be 1 × 2·e = 1 × 2·4 = 8 by the power rule.",
    ),
    (
        "t = tanh(x); F = 3*t",
        {"x": 0.0},
        "gradients",
        "x",
        7.3,
        "∂F/∂x is 7.3; it should be 3 × (1 − t²) = 3 × (1 − 0²) = 3 by the chain rule.",
    ),
    (
        "s = sigmoid(x); F = 3*s",
        {"x": 0.0},
        "gradients",
        "x",
        7.3,
        "∂F/∂x is 7.3; it should be 3 × s·(1 − s) = 3 × 0.5·(1 − 0.5) = 0.75 by the chain rule.",
    ),
    (
        "F = relu(x) * 2",
        {"x": 3.0},
        "gradients",
        "x",
        1.7,
        "∂F/∂x is 1.7; it should be 2 × 1 = 2 by the piecewise rule.",
    ),
    ("h = x^2; F = h", {"x": 3.0}, "values", "F", 7.3, "F is 7.3; it should be h = 9."),
    ("F = 1/x", {"x": 4.0}, "values", "F", 1.7, "F is 1.7; it should be 1/x = 1/4 = 0.25."),
    (
        "F = sum(tanh(w * x))",
        {"w": 0.0, "x": np.array([1.0, 2.0, 4.0])},
        "gradients",
        "w",
        7.3,
        "∂F/∂w is 7.3; it should be sum(∂F/∂(w·x) × x) = 7 by the product rule.",
    ),
    (
        "F = sum(matmul(x, w))",
        {"x": np.eye(2), "w": np.eye(2)},
        "gradients",
        "w",
        lambda right: right + np.array([[0.0, 0.3], [0.0, 0.0]]),
        "∂F/∂w is 1.3 at [0, 1]; it should be x.T @ ∂F/∂(x @ w) = 1 there by the MatMul rule.",
    ),
    (
        "p = x * y; F = p + x",
        {"x": 3.0, "y": 2.0},
        "gradients",
        "x",
        7.3,
        "∂F/∂x is 7.3; it should be 1 × 1 + 1 × y = 1 × 1 + 1 × 2 = 3 by the sum and the product rule.",
    ),
    ("F = x + 1", {"x": 3.0, "u": 2.0}, "values", "x", 7.3, "x is 7.3; it should be 3."),
    (
        "r = relu(x); F = sqrt(r)",
        {"x": -1.0},
        "gradients",
        "x",
        7.3,
        "∂F/∂x is 7.3; it should be 0 by the piecewise rule.",
    ),
    (
        "F = where(x > 1, 1/x, x)",
        {"x": 0.0},
        "gradients",
        "x",
        7.3,
        "∂F/∂x is 7.3; it should be 1 × 1 + 0 + 0 × 0 = 1 by the selection, the reciprocal and the step rule.",
    ),
    ("F = max(2, a) * b", {"a": 5.0, "b": 3.0}, "values", "F", 7.3, "F is 7.3; it should be max(2, a)·b = 5·3 = 15."),
    ("F = 2 * a + 7", {"a": 5.0}, "values", "F", 7.3, "F is 7.3; it should be 2·a + 7 = 10 + 7 = 17."),
    ("F = (a + 1) * b", {"a": 5.0, "b": 3.0}, "values", "F", 7.3, "F is 7.3; it should be (a + 1)·b = 6·3 = 18."),
    ("F = 2 * a + 7", {"a": 5.0}, "values", "mul_1", 7.3, "2·a is 7.3; it should be 2·a = 2·5 = 10."),
    ("F = (2 + a) * 7", {"a": 5.0}, "gradients", "add_1", 7.3, "∂F/∂(2 + a) is 7.3; it should be 1 × 7 = 7"),
    ("F = x * 2", {"x": 3.0}, "gradients", "F", 7.3, "∂F/∂F is 7.3; it should be 1, the seed."),
    (
        "F = x * 2; G = F + y",
        {"x": 3.0, "y": 2.0},
        "gradients",
        "y",
        7.3,
        "∂F/∂y is 7.3; it should be 0: the output does not depend on it.",
    ),
]


@pytest.mark.parametrize(
    ("text", "inputs", "kind", "node", "wrong", "says"),
    SAID,
    ids=[f"{case[0]}, {case[2]} of {case[3]}" for case in SAID],
)
def test_every_origin_has_its_sentence(
    text: str, inputs: dict[str, Any], kind: str, node: str, wrong: Any, says: str
) -> None:
    graph = graph_of(text, ["F"] if "G = " in text else None)
    (origin,) = explained_origins(judge(run_of(graph, inputs), run_of(graph, inputs, **{kind: {node: wrong}})))
    assert origin.sentence.startswith(says) or (
        says.startswith(("it", "there", "over", "∂F/∂z")) and says in origin.sentence
    )
    best = origin.hypotheses[0].because if origin.hypotheses else ""
    assert origin.sentence.endswith(best)
    assert "".join(part.text for part in origin.sentence.parts) == origin.sentence
    assert origin.sentence.parts[0].mathml
    said = ElementTree.fromstring(f"<p>{origin.sentence.mathml}</p>")
    assert [each.tag for each in said] == ["math"] * len(said)


def test_the_formulas_of_a_sentence_are_typeset() -> None:
    graph = graph_of("f = a * b; F = f / W2")
    inputs = {"a": 4.0, "b": -3.0, "W2": -3.0}
    wrong = run_of(graph, inputs, gradients={"f": -3.0, "W2": 4.0})
    f, w = explained_origins(judge(run_of(graph, inputs), wrong))
    third, w2 = "<mfrac><mn>1</mn><mn>3</mn></mfrac>", "<msub><mi>W</mi><mn>2</mn></msub>"
    assert f.sentence == (
        "∂F/∂f is −3; it should be 1 × 1/W2 = 1 × 1/(−3) = −1/3 by the quotient rule. "
        "−3 is the reciprocal of the right local gradient."
    )
    assert f.sentence.mathml == (
        "<math><mfrac><mrow><mo>∂</mo><mi>F</mi></mrow><mrow><mo>∂</mo><mi>f</mi></mrow></mfrac></math> is −3; "
        f"it should be <math><mrow><mn>1</mn><mo>·</mo><mfrac><mn>1</mn>{w2}</mfrac></mrow></math> = "
        "<math><mrow><mn>1</mn><mo>·</mo><mfrac><mn>1</mn><mrow><mo>−</mo><mn>3</mn></mrow></mfrac></mrow></math> = "
        f"<math><mrow><mo>−</mo>{third}</mrow></math> by the quotient rule. "
        "−3 is the reciprocal of the right local gradient."
    )
    assert w.sentence.endswith("The minus and the square were left out: f/W2, it should be −f/W2².")
    over = '<mrow><mi>f</mi></mrow><mo lspace="0" rspace="0">/</mo>'
    assert w.sentence.mathml.endswith(
        f"The minus and the square were left out: <math><mrow>{over}<mrow>{w2}</mrow></mrow></math>, it should be "
        f"<math><mrow><mo>−</mo>{over}<msup><mrow>{w2}</mrow><mrow><mn>2</mn></mrow></msup></mrow></math>."
    )


def test_the_numbers_of_a_typeset_formula_have_the_digits_of_the_text() -> None:
    graph, inputs = graph_of("F = x * y"), {"x": 0.123456789, "y": 1 / 3}
    (origin,) = explained_origins(judge(run_of(graph, inputs), run_of(graph, inputs, values={"F": 7.3})))
    assert "x·y = 0.123457·(1/3) = 0.0411523" in origin.sentence
    assert "<mn>0.123457</mn>" in origin.sentence.mathml
    assert "<mfrac><mn>1</mn><mn>3</mn></mfrac>" in origin.sentence.mathml
    assert "0.12345678" not in origin.sentence.mathml


def test_beyond_the_first_hundred_origins_each_still_has_its_sentence() -> None:
    names = [f"x{position}" for position in range(130)]
    graph = graph_of("; ".join(f"y{name} = {name} * 2" for name in names), [f"y{names[0]}"])
    inputs = dict.fromkeys(names, 3.0)
    wrong = run_of(graph, inputs, values={f"y{name}": 7.3 for name in names})
    origins = explained_origins(judge(run_of(graph, inputs), wrong))
    assert len(origins) == 130
    for origin, name in zip(origins, names, strict=True):
        assert origin.sentence.startswith(f"y{name} is 7.3; it should be {name}·2 = 3·2 = 6.")


def test_a_formula_that_nobody_would_read_is_left_out() -> None:
    first, second = "a" * 150, "b" * 150
    graph, inputs = graph_of(f"F = {first} * {second}"), {first: 2.0, second: 3.0}
    wrong = run_of(graph, inputs, values={"F": 7.3})
    (origin,) = explained_origins(judge(run_of(graph, inputs), wrong))
    assert origin.sentence.startswith("F is 7.3; it should be 6")
    assert first not in origin.sentence


def test_the_element_it_points_at_is_the_wrong_one_not_a_large_one_within_the_tolerance() -> None:
    """At [0, 0] the error of 1e−4 is less than 1e9 · 1e−9 allows."""
    graph = graph_of("F = x * y")
    inputs = {"x": np.array([[1e9, 2.0, 3.0], [4.0, 5.0, 6.0]]), "y": 1.0}
    error = np.array([[1e-4, 0.0, 1e-5], [0.0, 0.0, 0.0]])
    wrong = run_of(graph, inputs, values={"F": lambda right: right + error})
    (origin,) = explained_origins(judge(run_of(graph, inputs), wrong))
    assert origin.sentence.startswith("F is 3.00001 at [0, 2]; it should be x·y = 3·1 = 3 there.")
    assert origin.sentence.endswith("Only the element [0, 2] is wrong; the other 5 are right.")
