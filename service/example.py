"""The seed example: the graph, the point, and what the tutorial that this project starts from prints there."""

NAME = "blog"
EXPRESSION = "e = a + b; f = e * c; F = f / d"
INPUTS = {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}
LABEL = "the seed example"

# It takes 1/d, the local gradient of F at f, as d itself, and multiplies by d² at d where it should divide.
TUTORIAL_GRADIENTS = {"F": 1.0, "f": -3.0, "d": 108.0, "e": 6.0, "c": -18.0, "a": 6.0, "b": 6.0}
