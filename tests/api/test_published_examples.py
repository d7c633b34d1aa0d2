"""Worked examples from the literature on backpropagation, entered as expressions.

Each is held against the figures as they were printed, and to 1e-12 against mpmath, which
differentiates an independent transcription numerically with 60 digits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mpmath as mp
import pytest
from flask.testing import FlaskClient


@dataclass(frozen=True)
class Example:
    """A function twice: as an expression for the service and as Python for mpmath; and what was printed of it."""

    source: str
    expression: str
    function: Callable[..., Any]
    inputs: Mapping[str, float]
    value: str
    gradients: Mapping[str, str]


def micrograd(a: Any, b: Any) -> Any:
    """The example of micrograd's README."""
    c = a + b
    d = a * b + b**3
    c = c + c + 1
    c = c + 1 + c - a
    d = d + d * 2 + max(b + a, 0)
    d = d + 3 * d + max(b - a, 0)
    e = c - d
    f = e**2
    return f / 2 + 10 / f


def mazur(*given: Any) -> Any:
    """Mazur's network: two inputs, two hidden neurons, two outputs."""
    i1, i2, w1, w2, w3, w4, w5, w6, w7, w8, b1, b2, t1, t2 = given

    def logistic(x: Any) -> Any:
        return 1 / (1 + mp.exp(-x))

    h1, h2 = logistic(w1 * i1 + w2 * i2 + b1), logistic(w3 * i1 + w4 * i2 + b1)
    o1, o2 = logistic(w5 * h1 + w6 * h2 + b2), logistic(w7 * h1 + w8 * h2 + b2)
    return (t1 - o1) ** 2 / 2 + (t2 - o2) ** 2 / 2


EXAMPLES = [
    Example(
        "Olah, Calculus on Computational Graphs (2015)",
        "c = a + b; d = b + 1; e = c * d",
        lambda a, b: (a + b) * (b + 1),
        {"a": 2, "b": 1},
        "6",
        {"a": "2", "b": "5"},
    ),
    Example(
        "Stanford CS231n, Backpropagation, Intuitions: f = (x + y) z",
        "q = x + y; f = q * z",
        lambda x, y, z: (x + y) * z,
        {"x": -2, "y": 5, "z": -4},
        "-12",
        {"x": "-4", "y": "-4", "z": "3"},
    ),
    Example(
        "Stanford CS231n, a sigmoid neuron",
        "f(w0, x0, w1, x1, w2) = 1 / (1 + exp(-(w0*x0 + w1*x1 + w2)))",
        lambda w0, x0, w1, x1, w2: 1 / (1 + mp.exp(-(w0 * x0 + w1 * x1 + w2))),
        {"w0": 2, "x0": -1, "w1": -3, "x1": -2, "w2": -3},
        "0.73",
        {"w0": "-0.20", "x0": "0.39", "w1": "-0.39", "x1": "-0.59", "w2": "0.20"},
    ),
    Example(
        "Baydin, Pearlmutter, Radul, Siskind, Automatic Differentiation in Machine Learning: a Survey (2018)",
        "y = log(x1) + x1*x2 - sin(x2)",
        lambda x1, x2: mp.log(x1) + x1 * x2 - mp.sin(x2),
        {"x1": 2, "x2": 5},
        "11.652",
        {"x1": "5.5", "x2": "1.716"},
    ),
    Example(
        "Griewank and Walther, Evaluating Derivatives (2008), section 1.1",
        "y(x1, x2) = (sin(x1/x2) + x1/x2 - exp(x2)) * (x1/x2 - exp(x2))",
        lambda x1, x2: (mp.sin(x1 / x2) + x1 / x2 - mp.exp(x2)) * (x1 / x2 - mp.exp(x2)),
        {"x1": 1.5, "x2": 0.5},
        "2.0167",
        {"x1": "3.0118", "x2": "-13.7239"},
    ),
    Example(
        "Karpathy, micrograd, README",
        """
        c = a + b
        d = a * b + b^3
        c2 = c + c + 1
        c3 = c2 + 1 + c2 + (-a)
        d2 = d + d * 2 + relu(b + a)
        d3 = d2 + 3 * d2 + relu(b - a)
        e = c3 - d3
        f = e ** 2
        g = f / 2.0 + 10.0 / f
        """,
        micrograd,
        {"a": -4, "b": 2},
        "24.7041",
        {"a": "138.8338", "b": "645.5773"},
    ),
    Example(
        "Mazur, A Step by Step Backpropagation Example (2015)",
        """
        E(i1, i2, w1, w2, w3, w4, w5, w6, w7, w8, b1, b2, t1, t2) = E1 + E2
        h1 = sigmoid(w1*i1 + w2*i2 + b1); h2 = sigmoid(w3*i1 + w4*i2 + b1)
        o1 = sigmoid(w5*h1 + w6*h2 + b2); o2 = sigmoid(w7*h1 + w8*h2 + b2)
        E1 = (t1 - o1)^2 / 2; E2 = (t2 - o2)^2 / 2
        """,
        mazur,
        {
            **{"i1": 0.05, "i2": 0.10, "w1": 0.15, "w2": 0.20, "w3": 0.25, "w4": 0.30, "w5": 0.40, "w6": 0.45},
            **{"w7": 0.50, "w8": 0.55, "b1": 0.35, "b2": 0.60, "t1": 0.01, "t2": 0.99},
        },
        "0.298371109",
        {"w5": "0.082167041", "w1": "0.000438568"},
    ),
    Example(
        "Rosenbrock (1960), at his starting point",
        "F = (1 - x)^2 + 100 * (y - x^2)^2",
        lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        {"x": -1.2, "y": 1},
        "24.2",
        {"x": "-215.6", "y": "-88.0"},
    ),
    Example(
        "Speelpenning (1980), the product of all",
        "F = x1 * x2 * x3 * x4 * x5",
        lambda *x: mp.fprod(x),
        {"x1": 1, "x2": 2, "x3": 3, "x4": 4, "x5": 5},
        "120",
        {"x1": "120", "x2": "60", "x3": "40", "x4": "30", "x5": "24"},
    ),
]


def agrees_with_print(figure: float, printed: str) -> bool:
    """Whether a figure is what was printed: to a unit of its last digit, since a trace by hand rounds on the way."""
    digits = printed.partition(".")[2]
    return abs(figure - float(printed)) <= (10.0 ** -len(digits) if digits else 1e-12)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.source.split(",")[0] for example in EXAMPLES])
def test_a_published_example(client: FlaskClient, example: Example) -> None:
    graph: Any = client.post("/v1/graphs", json={"name": "published", "expression": example.expression}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": example.inputs}).json
    (value,) = run["outputs"].values()
    point = tuple(map(mp.mpf, example.inputs.values()))
    with mp.workdps(60):
        assert abs(value - example.function(*point)) <= 1e-12 * max(1, abs(value))
        for position, name in enumerate(example.inputs):
            order = tuple(int(position == other) for other in range(len(point)))
            exact = mp.diff(example.function, point, order)
            assert abs(run["gradients"][name] - exact) <= 1e-12 * max(1, abs(exact)), name
    assert agrees_with_print(value, example.value)
    for name, printed in example.gradients.items():
        assert agrees_with_print(run["gradients"][name], printed), name


def test_what_mazur_prints_on_the_way(client: FlaskClient) -> None:
    example = EXAMPLES[6]
    graph: Any = client.post("/v1/graphs", json={"name": "mazur", "expression": example.expression}).json
    run: Any = client.post(f"/v1/graphs/{graph['id']}/runs", json={"inputs": example.inputs}).json
    values = {node["name"]: node["value"] for node in run["nodes"]}
    printed = {"h1": "0.593269992", "h2": "0.596884378", "o1": "0.75136507", "o2": "0.772928465", "E1": "0.274811083"}
    for name, figure in printed.items():
        assert agrees_with_print(values[name], figure), name
    learned = {"w1": "0.149780716", "w2": "0.19956143", "w3": "0.24975114", "w4": "0.29950229", "w5": "0.35891648"}
    for name, figure in learned.items():
        assert agrees_with_print(example.inputs[name] - 0.5 * run["gradients"][name], figure), name
