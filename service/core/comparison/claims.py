"""Figures as people write them: "2/3" is a fraction, "0.667" is correct to its last digit."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from service.core.comparison.replay import sweep_gradients
from service.core.execution.chain_rule import value_at
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import walk_forward

_EXPONENT = r"(?:[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
_DECIMAL = re.compile(
    r"[+-]?(?:(?P<whole>[0-9]+)(?:(?:\.|,(?=[0-9]))(?P<fraction>[0-9]*))?|[.,](?P<bare>[0-9]+))" + _EXPONENT
)
_FRACTION = re.compile(r"([+-]?)(?:([0-9]{1,300})\s+)?([0-9]{1,300})\s*/\s*([0-9]{1,300})")
_AMBIGUOUS = re.compile(r"[+-]?(?=[0-9]*[1-9])[0-9]+,[0-9]{3}" + _EXPONENT)
_LAST_BITS = 4  # units in the last place by which a few roundings of float64 may move a figure
_EXACT_DIGITS = 16  # so many significant digits are a program's, which prints all that it has


class AmbiguousNumber(ValueError):
    """A text that two people read as two numbers; the message names both."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure and, for each element, how far a figure written so may be from it."""

    figure: FloatArray
    slack: FloatArray


@dataclass(frozen=True, slots=True)
class _Decimal:
    """A decimal as it is written: its value, the digits from the first that is not 0, and those after the point."""

    value: float
    significant: int
    decimals: int
    point: bool
    whole: bool

    def half_unit(self, decimals: int) -> float:
        """Half a unit of that decimal, plus the rounding of reading the number in float64."""
        return float(f"5e{-decimals - 1}") + 2.0 * math.ulp(self.value)


def read_number(text: str) -> tuple[float, float]:
    """Read a fraction, a mixed number or a decimal: its value, and half a unit of its last digit (0 for a whole number
    or a fraction) plus the rounding of reading it in float64.

    After ≈ or ~ a whole number is rounded too. A comma is a decimal point unless three digits follow, which it may part
    as thousands: that raises AmbiguousNumber. Raises ValueError for other texts.
    """
    bare, approximate = _bare(text)
    if fraction := _FRACTION.fullmatch(bare):
        whole, numerator, denominator = (int(digits or 0) for digits in fraction.groups()[1:])
        if denominator == 0:
            raise ValueError("a fraction's denominator is not 0")
        value = whole + Fraction(numerator, denominator)
        return float(-value if fraction[1] == "-" else value), 0.0
    if _AMBIGUOUS.fullmatch(bare):
        decimal, grouped = bare.replace(",", "."), bare.replace(",", "")
        raise AmbiguousNumber(
            f"{text.strip()!r} is {float(decimal):g} where a comma is the decimal sign and {grouped} where it parts "
            f"thousands: write {decimal} or {grouped}"
        )
    written = _read_decimal(bare)
    return written.value, written.half_unit(written.decimals) if written.point or approximate else 0.0


def read_json_number(text: str, decimals: int | None = None) -> tuple[float, float]:
    """Read a number of JSON as somebody may have rounded it: its value, and half a unit of its last digit as
    `read_number`.

    The half unit is 0 for whole numbers, for 16 significant digits and more, which a program prints, and for a single
    digit such as 0.2. If other numbers are rounded to `decimals` digits after the point it is one of them that lost its
    zeros, 0.20.
    """
    try:
        written = _read_decimal(text)
    except ValueError:  # half a unit of 0e999 is out of range
        return float(text), 0.0
    if _is_rounded(written):
        return written.value, written.half_unit(written.decimals)
    if decimals is None or written.decimals < 1 or written.value == 0.0 or written.significant >= _EXACT_DIGITS:
        return written.value, 0.0
    return written.value, written.half_unit(max(decimals, written.decimals))


def common_decimals(texts: Iterable[str]) -> int | None:
    """The least number of digits after the point, two or more, that numbers of these texts are rounded to; None if none
    is."""
    found = []
    for text in texts:
        try:
            written = _read_decimal(_bare(text)[0])
        except ValueError:
            continue
        if written.decimals >= 2 and _is_rounded(written):
            found.append(written.decimals)
    return min(found, default=None)


def _bare(text: str) -> tuple[str, bool]:
    """A number's text without the signs that only typesetting has, and whether it is said to be approximate."""
    text = text.strip().replace("−", "-")
    approximate = text.startswith(("≈", "~"))
    return text[approximate:].lstrip(), approximate


def _is_rounded(written: _Decimal) -> bool:
    """Whether a decimal has a fraction and two to 15 significant digits; 6.0 is how programs write 6."""
    return written.decimals > (1 if written.whole else 0) and 2 <= written.significant < _EXACT_DIGITS


def _read_decimal(text: str) -> _Decimal:
    decimal = _DECIMAL.fullmatch(text)
    if not decimal:
        raise ValueError("a number, a fraction such as 2/3, or a decimal such as 0.667 is expected")
    fraction, exponent = decimal["fraction"] or decimal["bare"] or "", int(decimal["exponent"] or 0)
    value = float(text.replace(",", "."))
    written = _Decimal(
        value=value,
        significant=len(((decimal["whole"] or "") + fraction).lstrip("0")),
        decimals=len(fraction) - exponent,
        point=decimal["fraction"] is not None or decimal["bare"] is not None or decimal["exponent"] is not None,
        whole=value.is_integer(),
    )
    if math.isinf(value) or math.isinf(written.half_unit(written.decimals)):
        raise ValueError("the number is out of float64's range")
    return written


def resolve_claims(
    right: Run, values: Mapping[str, Claim], gradients: Mapping[str, Claim]
) -> dict[str, dict[str, FloatArray]]:
    """The "values" and the "gradients" that the claims stand for; each claim has the shape of the right figure.

    A claim within its slack of the right figure, or else of the one that follows from the other claims, stands for
    that figure: 0.667 stands for 2/3, and a claim computed from 2/3 agrees with it.
    """
    graph = right.graph
    meant: dict[str, dict[str, FloatArray]] = {
        "values": _resolve_by_right(graph, right.values, values),
        "gradients": {} if right.gradients is None else _resolve_by_right(graph, right.gradients, gradients),
    }
    if len(meant["values"]) == len(values) and (not right.backward or len(meant["gradients"]) == len(gradients)):
        return meant
    known: list[Any] = list(right.values)

    def value(position: int, operands: list[Any]) -> Any:
        name = graph.nodes[position].name
        follows = known[position]
        if follows is None or any(
            operand is not known[source] for operand, source in zip(operands, graph.operands[position], strict=True)
        ):
            follows = np.asarray(value_at(graph, position, operands), dtype=np.float64)
        if name in values:
            claimed = meant["values"][name] = _resolve(values[name], known[position], follows)
            follows = claimed if known[position] is None or claimed.shape == known[position].shape else known[position]
        return follows

    def gradient(position: int, follows: Any) -> Any:
        name = graph.nodes[position].name
        if name not in gradients:
            return follows
        right_one = None if right.gradients is None else right.gradients[position]
        claimed = meant["gradients"][name] = _resolve(gradients[name], right_one, 0.0 if follows is None else follows)
        return claimed if right_one is None or claimed.shape == right_one.shape else right_one

    with np.errstate(all="ignore"):
        effective = walk_forward(graph, value)
    if right.backward and len(meant["gradients"]) < len(gradients):
        output = right.backward.output
        sweep_gradients(graph, effective, output, right.backward.gradients[graph.position[output]], gradient)
    return meant


def _resolve_by_right(graph: Graph, right: Figures, claims: Mapping[str, Claim]) -> dict[str, FloatArray]:
    """What those claims stand for that stand for the right figure in each element that may be rounded."""
    found = {}
    for name, claim in claims.items():
        figure: Any = right[graph.position[name]]
        if not claim.slack.any():
            found[name] = claim.figure
        elif np.shape(figure) == claim.figure.shape and _is_near(claim, figure)[claim.slack > 0].all():
            found[name] = _resolve(claim, figure, figure)
    return found


def stands_rounded(claim: Claim, meant: FloatArray) -> bool:
    """Whether an element of a claim was rounded to be what is written; a figure that differs in its last bits was not.

    `meant` is what the claim stands for, by `resolve_claims`.
    """
    with np.errstate(all="ignore"):
        apart = np.abs(claim.figure - meant) > _LAST_BITS * np.spacing(np.abs(meant))
    return bool(np.any(apart & (claim.slack > 0)))


def _resolve(claim: Claim, right: Any, follows: Any) -> FloatArray:
    if not np.any(claim.slack):
        return claim.figure
    meant = claim.figure
    for figure in (follows, right):
        if np.shape(figure) == claim.figure.shape:
            meant = np.where((claim.slack > 0) & _is_near(claim, figure), figure, meant)
    return meant


def _is_near(claim: Claim, figure: Any) -> Any:
    return np.abs(claim.figure - figure) <= claim.slack
