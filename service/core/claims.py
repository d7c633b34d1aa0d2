"""Figures as a person writes them: "2/3" is that fraction, "0.667" is right to its last digit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from service.core.differentiation import contributions_of
from service.core.figures import Figures, FloatArray
from service.core.graph import Graph

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.([0-9]*))?|\.([0-9]+))(?:[eE]([+-]?[0-9]{1,3}))?")
_FRACTION = re.compile(r"([+-]?[0-9]{1,300})\s*/\s*([0-9]{1,300})")


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure and, for each of its elements, how far from it a figure may be and still be what was written."""

    figure: FloatArray
    slack: FloatArray


def read_number(text: str) -> tuple[float, float]:
    """A number written as a fraction or a decimal: its value, and half a unit of its last digit (0 for a whole number
    or a fraction). Raises ValueError for other texts."""
    text = text.strip().replace("−", "-")
    if fraction := _FRACTION.fullmatch(text):
        if int(fraction[2]) == 0:
            raise ValueError("a fraction's denominator is not 0")
        return float(Fraction(int(fraction[1]), int(fraction[2]))), 0.0
    if decimal := _DECIMAL.fullmatch(text):
        digits = decimal[1] if decimal[1] is not None else decimal[2]
        value = float(text)
        if np.isinf(value):
            raise ValueError("the number is out of float64's range")
        if digits is None and decimal[3] is None:
            return value, 0.0
        return value, 0.5 * 10.0 ** (int(decimal[3] or 0) - len(digits or ""))
    raise ValueError("a number, a fraction such as 2/3, or a decimal such as 0.667 is expected")


def settle(
    graph: Graph, values: Mapping[str, Claim], gradients: Mapping[str, Claim], computed: tuple[Figures, Figures | None]
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """The figures that the claims stand for.

    Where the right figure, or else the one that follows from the other claims, is within the slack of what was
    written, it is what was meant; so 0.667 for 2/3 is right, and what follows from it is not blamed for its rounding.
    """
    right_values, right_gradients = computed
    meant_values: dict[str, FloatArray] = {}
    effective: list[Any] = []
    with np.errstate(all="ignore"):
        for place, (node, sources) in enumerate(zip(graph.nodes, graph.operands, strict=True)):
            right = _figure(right_values, place)
            follows = right
            if sources:
                follows = node.operation.evaluate([effective[source] for source in sources], node.attributes)
            if node.name in values:
                meant_values[node.name] = _meant(values[node.name], right, follows)
            effective.append(meant_values.get(node.name, follows))
        meant_gradients: dict[str, FloatArray] = {}
        if right_gradients is None:
            return meant_values, {name: claim.figure for name, claim in gradients.items()}
        slopes: list[Any] = [0.0] * len(graph)
        for place in range(len(graph) - 1, -1, -1):
            node, sources = graph.nodes[place], graph.operands[place]
            right_slope = right_gradients[place]
            if right_slope is None:
                continue
            # The output's gradient is its seed, which no consumer gives; nor does one that leads nowhere.
            follows = slopes[place] if np.any(slopes[place]) else right_slope
            if node.name in gradients:
                follows = meant_gradients[node.name] = _meant(gradients[node.name], right_slope, follows)
            if not sources or not np.any(follows):
                continue
            contributions = contributions_of(node, follows, [effective[source] for source in sources], effective[place])
            for source, contribution in zip(sources, contributions, strict=True):
                if contribution is not None:
                    slopes[source] = slopes[source] + contribution
    return meant_values, meant_gradients


def _meant(claim: Claim, right: Any, follows: Any) -> FloatArray:
    if not np.any(claim.slack):
        return claim.figure
    meant = claim.figure
    for figure in (follows, right):
        if np.shape(figure) == claim.figure.shape:
            meant = np.where((claim.slack > 0) & (np.abs(claim.figure - figure) <= claim.slack), figure, meant)
    return meant


def _figure(figures: Figures, place: int) -> FloatArray:
    figure = figures[place]
    assert figure is not None
    return figure
