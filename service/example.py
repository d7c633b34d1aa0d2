"""The examples: a dozen graphs with a point of each, the first of which is the tutorial that this project starts from,
with what that prints there."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ExampleGraph:
    """A graph, a point to run it at, as JSON has it, and a sentence that says what it shows."""

    name: str
    expression: str
    inputs: dict[str, Any]
    sentence: str
    topic: str


EXAMPLES = (
    ExampleGraph(
        "blog",
        "e = a + b; f = e * c; F = f / d",
        {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0},
        "A sum, a product and a quotient: the tutorial that goes wrong at f and at d.",
        "chain rule",
    ),
    ExampleGraph(
        "neuron",
        "y = sigmoid(w0 * x0 + w1 * x1 + w2)",
        {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0},
        "A sigmoid neuron of two inputs: its gradient is y(1 − y) times each factor.",
        "neuron",
    ),
    ExampleGraph(
        "staged",
        "f = (x + sigmoid(y)) / (sigmoid(x) + (x + y)^2)",
        {"x": 3.0, "y": -4.0},
        "A function computed in stages, where x and y are used more than once: their gradients are sums over paths.",
        "chain rule",
    ),
    ExampleGraph(
        "tanh-cell",
        "z = w * x + b; h = tanh(z); L = (h - t)^2",
        {"w": 0.5, "x": 2.0, "b": -0.25, "t": 0.9},
        "One cell of a network and its squared error: a weight and a bias learn from the same upstream gradient.",
        "neuron",
    ),
    ExampleGraph(
        "kinks",
        "f = relu(x) + |x - 1| + max(x, y)",
        {"x": 0.0, "y": 0.0},
        "At a kink there is no derivative: what libraries choose there differs.",
        "kinks",
    ),
    ExampleGraph(
        "rosenbrock",
        "f = (1 - x)^2 + 100 * (y - x^2)^2",
        {"x": -1.2, "y": 1.0},
        "Rosenbrock's valley, on which optimisers are tried, at its customary start.",
        "optimisation",
    ),
    ExampleGraph(
        "gaussian",
        "u = (x - mu) / sigma; p = exp(-u^2 / 2) / (sigma * sqrt(2 * pi))",
        {"x": 1.0, "mu": 0.0, "sigma": 2.0},
        "The density of the normal distribution: sigma is used twice.",
        "statistics",
    ),
    ExampleGraph(
        "least-squares",
        "r = X @ w - y; L = mean(r^2)",
        {"X": [[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], "w": [0.5, 1.0], "y": [1.0, 2.0, 4.0]},
        "A line fitted to three points: the gradient of a mean of squares by matrix and vector.",
        "regression",
    ),
    ExampleGraph(
        "logistic-regression",
        "z = X @ w + b; L = mean(softplus(z) - y * z)",
        {"X": [[0.5, 1.0], [-1.0, 2.0], [1.5, -0.5]], "w": [1.0, -1.0], "b": 0.25, "y": [1.0, 0.0, 1.0]},
        "Cross entropy of a yes or no, written so that nothing overflows.",
        "regression",
    ),
    ExampleGraph(
        "softmax-layer",
        "z = x @ W + b; L = softmax_cross_entropy(z, labels)",
        {
            "x": [[1.0, 2.0], [0.5, -1.0]],
            "W": [[0.2, -0.5, 0.1], [0.3, 0.4, -0.2]],
            "b": [0.0, 0.1, -0.1],
            "labels": [2.0, 0.0],
        },
        "A layer of scores, softmax and cross entropy: its gradient is (softmax − onehot)/N.",
        "network",
    ),
    ExampleGraph(
        "small-network",
        "h = tanh(x @ W1 + b1); L = mean((h @ W2 + b2 - t)^2)",
        {
            "x": [[1.0, -2.0], [0.5, 1.5]],
            "W1": [[0.1, 0.4, -0.3], [0.2, -0.1, 0.5]],
            "b1": [0.0, 0.1, -0.1],
            "W2": [[0.7], [-0.2], [0.4]],
            "b2": [0.05],
            "t": [[1.0], [-1.0]],
        },
        "A network of one hidden layer: the gradients of its weights are products of matrices.",
        "network",
    ),
    ExampleGraph(
        "attention",
        "S = Q @ K.T / sqrt(2); A = softmax(S); O = A @ V; L = sum(O^2)",
        {
            "Q": [[1.0, 0.0], [0.5, -1.0]],
            "K": [[0.2, 1.0], [-0.5, 0.3]],
            "V": [[1.0, 2.0], [-1.0, 0.5]],
        },
        "Attention of two tokens: each output is a mean of values, weighed by a softmax of products.",
        "network",
    ),
)

NAME, EXPRESSION, INPUTS = EXAMPLES[0].name, EXAMPLES[0].expression, EXAMPLES[0].inputs
LABEL = "the seed example"

# It takes 1/d, the local gradient of F at f, as d itself, and multiplies by d² at d where it should divide.
TUTORIAL_GRADIENTS = {"F": 1.0, "f": -3.0, "d": 108.0, "e": 6.0, "c": -18.0, "a": 6.0, "b": 6.0}
