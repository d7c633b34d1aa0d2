"""Examples from the literature on backpropagation, entered as expressions, with their published figures."""

import math
from typing import Any

import pytest

from tests.passes import near, run, taken


def test_the_seed_example() -> None:
    values, gradients = run("F(a, b, c, d) = ((a + b) * c) / d", {"a": 5, "b": 1, "c": -2, "d": -3})
    assert values == {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0, "add_1": 6.0, "mul_1": -12.0, "F": 4.0}
    thirds = {"a": 2, "b": 2, "c": -6, "d": 4, "add_1": 2, "mul_1": -1, "F": 3}
    assert gradients == near({name: third / 3 for name, third in thirds.items()})


def test_the_circuit_of_the_stanford_course_notes() -> None:
    values, gradients = run("q = x + y; f = q * z", {"x": -2, "y": 5, "z": -4})
    assert (values["q"], values["f"]) == (3.0, -12.0)
    assert gradients == {"x": -4.0, "y": -4.0, "z": 3.0, "q": -4.0, "f": 1.0}


def test_the_gates_of_the_stanford_course_notes() -> None:
    values, gradients = run("f = (x * y + max(z, w)) * 2", {"x": 3, "y": -4, "z": 2, "w": -1})
    assert values["f"] == -20.0
    assert taken(gradients, "xyzw") == [-8.0, 6.0, 2.0, 0.0]


@pytest.mark.parametrize(
    "neuron",
    [
        "dot = w0*x0 + w1*x1 + w2; f = sigmoid(dot)",
        "dot = w0*x0 + w1*x1 + w2; n = -1*dot; p = exp(n); q = p + 1; f = 1/q",
    ],
)
def test_the_neuron_of_the_stanford_course_notes(neuron: str) -> None:
    inputs = {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3}
    values, gradients = run(neuron, inputs)
    assert values["f"] == near(0.73, abs=5e-3)
    # Published with two digits; −0.39 and −0.59 come from 0.20 rounded before it is multiplied by −2 and −3.
    published = {"w0": -0.20, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.20}
    assert {name: gradients[name] for name in inputs} == near(published, abs=6e-3)
    slope = math.exp(-1) / (1 + math.exp(-1)) ** 2
    assert {name: gradients[name] for name in inputs} == near(
        {"w0": -slope, "x0": 2 * slope, "w1": -2 * slope, "x1": -3 * slope, "w2": slope}
    )
    if "q" in values:
        assert taken(values, "npq") == near([-1.0, 0.37, 1.37], abs=5e-3)
        assert taken(gradients, "qpn") == near([-0.53, -0.53, -0.20], abs=5e-3)


def test_the_example_of_the_survey_of_automatic_differentiation() -> None:
    """Baydin, Pearlmutter, Radul, Siskind, 2018: tables 2 and 3."""
    text = "v1 = log(x1); v2 = x1 * x2; v3 = sin(x2); v4 = v1 + v2; y = v4 - v3"
    values, gradients = run(text, {"x1": 2, "x2": 5})
    published = [0.693, 10, -0.959, 10.693, 11.652]
    assert taken(values, ["v1", "v2", "v3", "v4", "y"]) == near(published, abs=5e-4)
    assert taken(gradients, ["y", "v4", "v3", "v2", "v1"]) == [1.0, 1.0, -1.0, 1.0, 1.0]
    assert taken(gradients, ["x1", "x2"]) == near([5.5, 1.716], abs=5e-4)
    assert taken(gradients, ["x1", "x2"]) == near([5.5, 2 - math.cos(5)])


def test_the_example_of_the_readme_of_micrograd() -> None:
    text = """
        c = a + b; d = a*b + b^3; c1 = c + (c + 1); c2 = c1 + (1 + c1 + -a)
        d1 = d + (d*2 + relu(b + a)); d2 = d1 + (3*d1 + relu(b - a))
        k = c2 - d2; f = k^2; g = f/2; g1 = g + 10/f
    """
    values, gradients = run(text, {"a": -4, "b": 2})
    assert values["g1"] == near(24.7041, abs=5e-5)
    assert taken(gradients, "ab") == near([138.8338, 645.5773], abs=5e-5)


def test_the_example_of_calculus_on_computational_graphs() -> None:
    """Olah, 2015: both paths from b are summed."""
    values, gradients = run("c = a + b; d = b + 1; e = c * d", {"a": 2, "b": 1})
    assert taken(values, "cde") == [3.0, 2.0, 6.0]
    assert taken(gradients, "abcde") == [2.0, 5.0, 2.0, 3.0, 1.0]


def test_the_network_of_a_step_by_step_backpropagation_example() -> None:
    """Mazur, 2015: two inputs, two hidden neurons, two outputs, squared error."""
    text = """
        h1 = sigmoid(w1*i1 + w2*i2 + b1); h2 = sigmoid(w3*i1 + w4*i2 + b1)
        o1 = sigmoid(w5*h1 + w6*h2 + b2); o2 = sigmoid(w7*h1 + w8*h2 + b2)
        E = 0.5*(t1 - o1)^2 + 0.5*(t2 - o2)^2
    """
    weights = dict(
        zip([f"w{position}" for position in range(1, 9)], [0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55], strict=True)
    )
    values, gradients = run(text, {"i1": 0.05, "i2": 0.10, "b1": 0.35, "b2": 0.60, "t1": 0.01, "t2": 0.99, **weights})
    assert taken(values, ["o1", "o2", "E"]) == near([0.75136507, 0.772928465, 0.298371109], abs=5e-9)
    assert taken(gradients, ["w5", "w1"]) == near([0.082167041, 0.000438568], abs=5e-10)


def test_the_product_of_speelpenning() -> None:
    """The gradient of a product is the product over each factor."""
    factors = {f"x{position}": position + 0.5 for position in range(1, 9)}
    values, gradients = run("P = " + "*".join(factors), factors)
    assert values["P"] == near(math.prod(factors.values()), rel=1e-12)
    assert taken(gradients, list(factors)) == near(
        [math.prod(factors.values()) / x for x in factors.values()], rel=1e-12
    )


@pytest.mark.parametrize(("x", "y"), [(-1.2, 1.0), (1.0, 1.0), (3.0, 0.5), (0.25, -2.0)])
@pytest.mark.parametrize(
    ("text", "gradient"),
    [
        (
            "f(x, y) = (1 - x)^2 + 100*(y - x^2)^2",  # Rosenbrock
            lambda x, y: [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)],
        ),
        (
            "f(x, y) = (1.5 - x + x*y)^2 + (2.25 - x + x*y^2)^2 + (2.625 - x + x*y^3)^2",  # Beale
            lambda x, y: [
                sum(2 * (t - x + x * y**k) * (y**k - 1) for k, t in enumerate((1.5, 2.25, 2.625), 1)),
                sum(2 * (t - x + x * y**k) * k * x * y ** (k - 1) for k, t in enumerate((1.5, 2.25, 2.625), 1)),
            ],
        ),
        (
            "f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2",  # Himmelblau
            lambda x, y: [
                4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
                2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
            ],
        ),
    ],
    ids=["Rosenbrock", "Beale", "Himmelblau"],
)
def test_the_functions_that_optimisers_are_tried_on(text: str, gradient: Any, x: float, y: float) -> None:
    _, gradients = run(text, {"x": x, "y": y})
    assert taken(gradients, "xy") == near(gradient(x, y), rel=1e-12, abs=1e-11)
