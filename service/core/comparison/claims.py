"""Figures as people write them: "2/3" is a fraction, "0.667" is correct to its last digit."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from service.core.comparison.replay import sweep_gradients
from service.core.execution.chain_rule import value_at
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray
from service.core.graph.sweep import walk_forward

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]{1,3}))?")
_FRACTION = re.compile(r"([+-]?[0-9]{1,300})\s*/\s*([0-9]{1,300})")


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure and, for each element, how far a figure written so may be from it."""

    figure: FloatArray
    slack: FloatArray


def read_number(text: str) -> tuple[float, float]:
    """Read a fraction or a decimal: its value, and half a unit of its last digit (0 for a whole number or a fraction)
    plus the rounding of reading it in float64. Raises ValueError for other texts."""
    text = text.strip().replace("−", "-")
    if fraction := _FRACTION.fullmatch(text):
        if int(fraction[2]) == 0:
            raise ValueError("a fraction's denominator is not 0")
        return float(Fraction(int(fraction[1]), int(fraction[2]))), 0.0
    if decimal := _DECIMAL.fullmatch(text):
        digits = decimal[1] if decimal[1] is not None else decimal[2]
        value = float(text)
        half = float(f"5e{int(decimal[3] or 0) - len(digits or '') - 1}")
        if np.isinf(value) or np.isinf(half):
            raise ValueError("the number is out of float64's range")
        if digits is None and decimal[3] is None:
            return value, 0.0
        return value, half + 2.0 * math.ulp(value)
    raise ValueError("a number, a fraction such as 2/3, or a decimal such as 0.667 is expected")


def resolve_claims(
    right: Run, values: Mapping[str, Claim], gradients: Mapping[str, Claim]
) -> dict[str, dict[str, FloatArray]]:
    """The "values" and the "gradients" that the claims stand for; each claim has the shape of the right figure.

    A claim within its slack of the right figure, or else of the one that follows from the other claims, stands for
    that figure: 0.667 stands for 2/3, and a claim computed from 2/3 agrees with it.
    """
    graph = right.graph
    meant: dict[str, dict[str, FloatArray]] = {"values": {}, "gradients": {}}

    def value(position: int, operands: list[Any]) -> Any:
        name = graph.nodes[position].name
        known = follows = right.values[position]
        if operands:
            follows = np.asarray(value_at(graph, position, operands), dtype=np.float64)
        if name in values:
            follows = meant["values"][name] = _resolve(values[name], known, follows)
        return follows

    def gradient(position: int, follows: Any) -> Any:
        name = graph.nodes[position].name
        if name not in gradients:
            return follows
        known = None if right.gradients is None else right.gradients[position]
        meant["gradients"][name] = _resolve(gradients[name], known, 0.0 if follows is None else follows)
        return meant["gradients"][name]

    with np.errstate(all="ignore"):
        effective = walk_forward(graph, value)
    if right.backward:
        output = right.backward.output
        sweep_gradients(graph, effective, output, right.backward.gradients[graph.position[output]], gradient)
    return meant


def _resolve(claim: Claim, right: Any, follows: Any) -> FloatArray:
    if not np.any(claim.slack):
        return claim.figure
    meant = claim.figure
    for figure in (follows, right):
        if np.shape(figure) == claim.figure.shape:
            meant = np.where((claim.slack > 0) & (np.abs(claim.figure - figure) <= claim.slack), figure, meant)
    return meant
