"""Slips of students in graphs of scalars."""

import numpy as np

from tests.core.comparison.slips import G, Mistake, V

X, Y = 0.7, 1.3
T, S, E = np.tanh(X), 1 / (1 + np.exp(-X)), np.exp(X)
ONE = {"x": X}
TWO = {"x": X, "y": Y}


STUDENTS = [
    Mistake("1 − x² for 1 − t²", "t = tanh(x); F = 3*t", ONE, G, "x", 3 * (1 - X**2), "input taken for output"),
    Mistake("x(1 − x) for s(1 − s)", "s = sigmoid(x); F = 3*s", ONE, G, "x", 3 * X * (1 - X), "input taken for output"),
    Mistake("x for eˣ", "z = exp(x); F = 3*z", ONE, G, "x", 3 * X, "input taken for output"),
    Mistake("cos(z) for cos(x)", "z = sin(x); F = 3*z", ONE, G, "x", 3 * np.cos(np.sin(X)), "input taken for output"),
    Mistake("1/z for 1/x", "z = log(x); F = 3*z", {"x": 1.7}, G, "x", 3 / np.log(1.7), "input taken for output"),
    Mistake("1/(2x) for 1/(2√x)", "z = sqrt(x); F = 3*z", ONE, G, "x", 3 / (2 * X), "input taken for output"),
    Mistake(
        "sigmoid applied twice",
        "s = sigmoid(x); F = 3*s",
        ONE,
        G,
        "x",
        3 * (q := 1 / (1 + np.exp(-S))) * (1 - q),
        "applied twice",
    ),
    Mistake("tanh applied twice", "t = tanh(x); F = 3*t", ONE, G, "x", 3 * (1 - np.tanh(T) ** 2), "applied twice"),
    Mistake("the exponent kept", "F = 5*x^3", ONE, G, "x", 5 * 3 * X**3, "power rule"),
    Mistake("the factor left out", "F = 5*x^3", ONE, G, "x", 5 * X**2, "power rule"),
    Mistake("n·x", "F = 5*x^3", ONE, G, "x", 5 * 3 * X, "power rule"),
    Mistake("the factor n − 1", "F = 5*x^3", ONE, G, "x", 5 * 2 * X**2, "power rule"),
    Mistake("integrated", "F = 5*x^3", ONE, G, "x", 5 * X**4 / 4, "power rule"),
    Mistake("the exponent raised", "F = 5*x^3", ONE, G, "x", 5 * 3 * X**4, "power rule"),
    Mistake("power rule for 2ˣ", "F = 5*2^x", ONE, G, "x", 5 * X * 2 ** (X - 1), "power rule"),
    Mistake("2ˣ without ln 2", "F = 5*2^x", ONE, G, "x", 5 * 2**X, "power rule|its own derivative"),
    Mistake("√ without 1/2", "F = 5*sqrt(x)", ONE, G, "x", 5 / np.sqrt(X), "power rule"),
    Mistake("√ not below the line", "F = 5*sqrt(x)", ONE, G, "x", 5 * 0.5 * np.sqrt(X), "power rule"),
    Mistake("quotient without the square", "z = x/y; F = 3*z", TWO, G, "y", -3 * X / Y, "quotient rule"),
    Mistake("quotient without the minus", "z = x/y; F = 3*z", TWO, G, "y", 3 * X / Y**2, "sign"),
    Mistake("quotient without the numerator", "z = x/y; F = 3*z", TWO, G, "y", -3 / Y**2, "quotient rule"),
    Mistake("quotient: 1/y", "z = x/y; F = 3*z", TWO, G, "y", 3 / Y, "quotient rule"),
    Mistake(
        "quotient: multiplied by y²",
        "z = x/y; F = 3*z",
        TWO,
        G,
        "y",
        -3 * X * Y**2,
        "quotient rule|operand taken as its reciprocal",
    ),
    Mistake("reciprocal without the square", "z = reciprocal(x); F = 3*z", ONE, G, "x", -3 / X, "quotient rule"),
    Mistake("reciprocal without both", "z = reciprocal(x); F = 3*z", ONE, G, "x", 3 / X, "quotient rule"),
    Mistake("reciprocal integrated", "z = reciprocal(x); F = 3*z", ONE, G, "x", 3 * np.log(X), "quotient rule"),
    Mistake("y for 1/y", "z = x/y; F = 3*z", TWO, G, "x", 3 * Y, "reciprocal of the local gradient"),
    Mistake(
        "cos(x) for cos(u)", "u = x^2; z = sin(u); F = 3*z", ONE, G, "u", 3 * np.cos(X), "taken at the wrong argument"
    ),
    Mistake(
        "eˣ for eᵘ",
        "u = -x; z = exp(u); F = 3*z",
        ONE,
        G,
        "u",
        3 * np.exp(X),
        "taken at the wrong argument|sign inside",
    ),
    Mistake("sin its own derivative", "z = sin(x); F = 3*z", ONE, G, "x", 3 * np.sin(X), "its own derivative"),
    Mistake("log its own derivative", "z = log(x); F = 3*z", ONE, G, "x", 3 * np.log(X), "its own derivative"),
    Mistake("tanh its own derivative", "z = tanh(x); F = 3*z", ONE, G, "x", 3 * T, "its own derivative"),
    Mistake("degrees in cos", "z = sin(x); F = 3*z", ONE, G, "x", 3 * np.cos(np.deg2rad(X)), "degrees for radians"),
    Mistake("degrees in sin", "z = sin(x); F = 3*z", ONE, V, "z", np.sin(np.deg2rad(X)), "another function"),
    Mistake("radians to degrees", "z = cos(x); F = 3*z", ONE, V, "z", np.cos(np.rad2deg(X)), "another function"),
    Mistake("log10 for ln", "z = log(x); F = 3*z", ONE, V, "z", np.log10(X), "another function"),
    Mistake("log2 for ln", "z = log(x); F = 3*z", ONE, V, "z", np.log2(X), "another function"),
    Mistake("the slope of log10", "z = log(x); F = 3*z", ONE, G, "x", 3 / (X * np.log(10)), "another logarithm"),
    Mistake("1 + t²", "t = tanh(x); F = 3*t", ONE, G, "x", 3 * (1 + T**2), "sign inside"),
    Mistake("s(1 + s)", "s = sigmoid(x); F = 3*s", ONE, G, "x", 3 * S * (1 + S), "sign inside"),
    Mistake(
        "1/(1 − x²) for arctan",
        "z = atan(x); F = 3*z",
        ONE,
        G,
        "x",
        3 / (1 - X**2),
        "sign inside|another function's derivative",
    ),
    Mistake("e⁻ˣ for eˣ", "z = exp(x); F = 3*z", ONE, V, "z", np.exp(-X), "another function"),
    Mistake("the minus of cos′", "z = cos(x); F = 3*z", ONE, G, "x", 3 * np.sin(X), "sign"),
    Mistake("sin′ = −cos", "z = sin(x); F = 3*z", ONE, G, "x", -3 * np.cos(X), "sign"),
    Mistake("cosh′ = −sinh", "z = cosh(x); F = 3*z", ONE, G, "x", -3 * np.sinh(X), "sign"),
    Mistake("cos for cosh", "z = cosh(x); F = 3*z", ONE, V, "z", np.cos(X), "another function"),
    Mistake("arctan for tan", "z = tan(x); F = 3*z", ONE, V, "z", np.arctan(X), "another function"),
    Mistake(
        "the slope of arctan for tan",
        "z = tan(x); F = 3*z",
        ONE,
        G,
        "x",
        3 / (1 + X**2),
        "another function's derivative",
    ),
    Mistake("the value for the gradient", "F = x*y", TWO, G, "x", X, "value taken for the gradient|operands swapped"),
    Mistake("one operand's sign", "z = x - y; F = 3*z", TWO, V, "z", X + Y, "another operation"),
    Mistake("+ for ×", "z = x*y; F = 3*z", TWO, V, "z", X + Y, "another operation"),
    Mistake("× for ^", "z = x^y; F = 3*z", TWO, V, "z", X * Y, "another operation"),
    Mistake("a/b for b/a", "z = x/y; F = 3*z", TWO, V, "z", Y / X, "operands swapped"),
    Mistake("digits exchanged", "z = x*y; F = 3*z", {"x": 17.0, "y": 13.0}, V, "z", 212.0, "digits exchanged"),
    Mistake(
        "decimal point", "z = x*y; F = 3*z", {"x": 17.0, "y": 13.0}, V, "z", 22.1, "digits exchanged|constant factor"
    ),
    Mistake(
        "an operand left out",
        "z = max(x, y, w); F = 3*z",
        {**TWO, "w": 2.9},
        V,
        "z",
        Y,
        "operand left out|another node's figure",
    ),
    Mistake(
        "sum without one", "z = mean(x, y, w); F = 3*z", {**TWO, "w": 2.9}, V, "z", (X + Y) / 2, "operand left out"
    ),
    Mistake(
        "mean without the division",
        "z = mean(x, y, w); F = 3*z",
        {**TWO, "w": 2.9},
        V,
        "z",
        X + Y + 2.9,
        "sum for mean",
    ),
    Mistake("counted twice", "z = x*y; F = sin(z)", TWO, G, "x", 2 * np.cos(X * Y) * Y, "counted twice"),
    Mistake(
        "product rule: f′g′", "p = sin(x); q = log(x); F = p*q", ONE, G, "x", np.cos(X) / X, "derivatives multiplied"
    ),
    Mistake(
        "product rule: f′g alone",
        "p = sin(x); q = log(x); F = p*q",
        ONE,
        G,
        "x",
        np.cos(X) * np.log(X),
        "contribution missing",
    ),
    Mistake(
        "product rule: fg′ alone", "p = sin(x); q = log(x); F = p*q", ONE, G, "x", np.sin(X) / X, "contribution missing"
    ),
    Mistake(
        "product rule: minus",
        "p = sin(x); q = log(x); F = p*q",
        ONE,
        G,
        "x",
        np.cos(X) * np.log(X) - np.sin(X) / X,
        "sign of one contribution",
    ),
    Mistake(
        "one path counted twice",
        "p = sin(x); q = log(x); F = p*q",
        ONE,
        G,
        "x",
        2 * np.cos(X) * np.log(X) + np.sin(X) / X,
        "contribution counted twice",
    ),
    Mistake(
        "the last path alone",
        "p = x*y; q = sin(x); F = p*q",
        TWO,
        G,
        "x",
        np.sin(X) * Y,
        "only the last contribution kept|contribution missing",
    ),
    Mistake("upstream left out", "z = x*y; F = exp(z)", TWO, G, "x", Y, "upstream factor dropped"),
    Mistake("inner derivative left out", "z = x*y; F = exp(z)", TWO, G, "x", np.exp(X * Y), "local factor dropped"),
    Mistake(
        "the factors' gradients swapped", "z = x*y; F = exp(z)", TWO, G, "x", np.exp(X * Y) * X, "operands swapped"
    ),
    Mistake(
        "the constant's factor left out", "z = 7*x; F = sin(z)", ONE, G, "x", np.cos(7 * X), "local factor dropped"
    ),
    Mistake("rounded early", "z = x/y; F = 3*z", {"x": 1.0, "y": 3.0}, V, "z", 0.33, "rounded or cut"),
    Mistake("cut", "z = x/y; F = 3*z", {"x": 2.0, "y": 3.0}, V, "z", 0.66, "rounded or cut"),
    Mistake("the wrong sign of a sum", "z = x + y; F = 3*z", TWO, V, "z", -(X + Y), "sign"),
    Mistake(
        "another node's value", "p = x*y; q = p + x; F = p*q", TWO, V, "q", X * Y + Y, "another node for an operand"
    ),
    Mistake(
        "copied from elsewhere",
        "p = x*y; q = sin(x); F = p*q",
        TWO,
        G,
        "p",
        X * Y,
        "another node's figure|value taken for the gradient",
    ),
    Mistake("relu passes nothing", "z = relu(x); F = 3*z", ONE, G, "x", 0.0, "contribution missing"),
    Mistake("relu's gate left open", "z = relu(x); F = 3*z", {"x": -X}, G, "x", 3.0, "local factor dropped"),
    Mistake("|x| without its sign", "z = abs(x); F = 3*z", {"x": -X}, G, "x", 3.0, "sign"),
]
