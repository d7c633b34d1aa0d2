"""Slips in a value: another operation, a sign, an operand left out, degrees; and slips of the pen in any figure."""

from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from itertools import combinations

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import (
    ANGLES,
    LOGARITHMS,
    OF_ANGLES,
    Guesses,
    Slip,
    apply,
    function_name,
    unary_operations,
)
from service.core.comparison.spoken_names import spoken
from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text, number_text
from service.core.graph.traversal import ancestors
from service.core.rulebook.registry import operation_of
from service.core.symbolic.phrases import typed

_ARITHMETIC = {"Add": "+", "Sub": "−", "Mul": "·", "Div": "/", "Pow": "^", "Max": "max", "Min": "min"}
# These make no NaN of a 0, unless there is an ∞ too.
_FINITE = {"Add", "Sub", "Mul", "Neg", "Abs", "Max", "Min", "Sum", "Mean", "Relu", "Identity", "ReduceSum", "MatMul"}
_MOST_NODES = 64
_DIGITS = range(2, 8)


def _other_arithmetic(evidence: Evidence) -> Guesses:
    if not evidence.forward or len(evidence.operands) != 2 or evidence.node.operation.name not in _ARITHMETIC:
        return
    first, second = evidence.bracketed_names
    sign = _ARITHMETIC[evidence.node.operation.name]
    for name, other in _ARITHMETIC.items():
        if name != evidence.node.operation.name:
            value = np.asarray(operation_of(name).evaluate(evidence.operands), dtype=np.float64)
            yield value, f"{other} was taken for {sign}: it is {typed(f'{first} {other} {second}')}."
    for place, name in enumerate(evidence.names):
        operands = list(evidence.operands)
        operands[place] = -operands[place]
        yield apply(evidence.node, operands), f"The sign of the operand {name} is wrong."
        yield evidence.operands[place], f"Only the operand {name} was taken; the other was left out."
    if evidence.node.operation.name == "Pow":
        yield (
            evidence.operands[0] * evidence.operands[1],
            f"{typed(f'{first}·{second}')} was taken for {typed(f'{first} ^ {second}')}.",
        )
    if evidence.node.operation.name == "Mul" and len(set(evidence.node.inputs)) == 2:
        for name, operand in zip(evidence.names, evidence.operands, strict=True):
            yield operand * operand, f"{name} was multiplied by itself."


def _operand_left_out(evidence: Evidence) -> Guesses:
    if evidence.forward and 2 < len(evidence.operands) <= _MOST_NODES and evidence.node.operation.fold:
        for place, name in enumerate(evidence.names):
            rest = [operand for index, operand in enumerate(evidence.operands) if index != place]
            yield apply(evidence.node, rest), f"The operand {name} was left out."


def _other_function(evidence: Evidence) -> Guesses:
    if not evidence.forward or len(evidence.operands) != 1 or not evidence.node.operation.is_elementwise:
        return
    (x,), called, inside = evidence.operands, function_name(evidence.node.operation), evidence.names[0]
    for other in unary_operations():
        if other is not evidence.node.operation:
            value = np.asarray(other.evaluate([x]), dtype=np.float64)
            alone = other.name == "Identity"
            taken = f"{typed(f'{function_name(other)}({inside})')} was taken for it"
            yield value, f"{called} was left out: it is {inside}." if alone else f"{taken}."
    yield apply(evidence.node, [apply(evidence.node, [x])]), f"{called} was applied twice."
    yield apply(evidence.node, [-x]), f"It is {typed(f'{called}(−{inside})')}: a sign inside is wrong."
    yield 1.0 / apply(evidence.node, [x]), f"It is {typed(f'1/{called}({inside})')}."
    if evidence.node.operation.name in OF_ANGLES:
        yield (
            apply(evidence.node, [np.deg2rad(x)]),
            f"The angle {inside}{evidence.put(' = {}', x)} was read as degrees.",
        )
        yield apply(evidence.node, [np.rad2deg(x)]), f"The angle {inside} was turned into degrees."
    if evidence.node.operation.name == "Log":
        for base, factor in LOGARITHMS.items():
            yield np.log(x) / factor, f"The logarithm to base {base} was taken for the natural one."


def _in_degrees(evidence: Evidence) -> Guesses:
    if evidence.forward and evidence.node.operation.name in ANGLES:
        yield np.rad2deg(evidence.expected), "The angle was given in degrees, not radians."


def _integer_division(evidence: Evidence) -> Guesses:
    operands = evidence.operands
    if not evidence.forward or evidence.node.operation.name != "Div" or not operands:
        return
    if all((operand == np.rint(operand)).all() for operand in operands):
        said = "/".join(map(format, evidence.bracketed_names if evidence.expected.ndim else map(figure_text, operands)))
        for figure in (np.floor(evidence.expected), np.trunc(evidence.expected)):
            yield figure, f"It is an integer division: of {said} the fraction was dropped."


def _other_operand(evidence: Evidence) -> Guesses:
    """Another node's value for an operand; none that rests on the node itself."""
    graph, values = evidence.graph, evidence.found.values
    if not evidence.forward or not evidence.operands or evidence.figure.size > 10_000:
        return
    if max(len(graph), len(evidence.operands)) > _MOST_NODES:
        return
    sources = graph.operands[evidence.position]
    for place, name in enumerate(evidence.names):
        if any(evidence.node.operation.indices[place : place + 1]):
            continue
        for position in range(len(graph)):
            figure = values[position]
            if figure is None or position == sources[place] or figure.shape != evidence.operands[place].shape:
                continue
            if ancestors(graph, [position])[evidence.position]:
                continue
            operands = list(evidence.operands)
            operands[place] = figure
            yield apply(evidence.node, operands), f"{spoken(graph, position)} was taken for the operand {name}."


# --- any figure -----------------------------------------------------------------------------------------------------


def _digits_exchanged(evidence: Evidence) -> Guesses:
    if evidence.expected.ndim or not np.isfinite(evidence.expected):
        return
    right = number_text(float(evidence.expected))
    if len(right) > 8 or "e" in right:
        right = f"{float(evidence.expected):.5g}"
    digits = [place for place, sign in enumerate(right.partition("e")[0]) if sign.isdigit()]
    for first, second in combinations(digits, 2):
        if right[first] != right[second]:
            turned = list(right)
            turned[first], turned[second] = turned[second], turned[first]
            written = "".join(turned)
            yield np.float64(written), f"Two digits were exchanged: {written} for {right}.".replace("-", "−")
    for power in (1, 2, 3):
        for factor in (10.0**power, 10.0**-power):
            yield evidence.expected * factor, f"The decimal point is {power} place{'s' * (power > 1)} off."


def _rounded(evidence: Evidence) -> Guesses:
    if evidence.expected.size > 1000 or not np.isfinite(evidence.expected).all():
        return
    for digits in _DIGITS:
        for mode, what in ((ROUND_HALF_EVEN, "rounded"), (ROUND_DOWN, "cut")):
            context = Context(prec=digits, rounding=mode)
            figure = [float(context.create_decimal(Decimal(repr(float(x))))) for x in evidence.expected.ravel()]
            yield (
                np.reshape(figure, evidence.expected.shape),
                f"The right figure was {what} to {digits} significant digits.",
            )
    for places in range(5):
        unit = 10.0**places
        to = f"{places} decimal{'s' * (places > 1)}" if places else "a whole number"
        for whole, what in (
            (np.rint(evidence.expected * unit), "rounded"),
            (np.trunc(evidence.expected * unit), "cut"),
        ):
            if places or np.any(whole):
                yield whole / unit, f"The right figure was {what} to {to}."


def _worked_from_rounded(evidence: Evidence) -> Guesses:
    """A result worked from a figure that was rounded on the way, and perhaps rounded so itself."""
    if evidence.expected.ndim:
        return
    said = "It was worked from {} rounded to {}, not from {}."
    for place, name in enumerate(evidence.names if evidence.operands else ()):
        operand = evidence.operands[place]
        for short, places in _shortened(operand):
            operands = list(evidence.operands)
            operands[place] = short
            sentence = said.format(name, figure_text(short), figure_text(operand))
            yield from _and_rounded(apply(evidence.node, operands), places, sentence)
    for edge in evidence.near_edges:
        if edge.upstream.ndim or edge.local is None:
            continue
        upstream = edge.upstream_of(evidence.output)
        for short, places in _shortened(edge.upstream):
            sentence = said.format(upstream, figure_text(short), figure_text(edge.upstream))
            yield from _and_rounded(evidence.replaced(edge, short * edge.local), places, sentence)
        for short, places in _shortened(edge.local):
            sentence = said.format("the local gradient", figure_text(short), figure_text(edge.local))
            yield from _and_rounded(evidence.replaced(edge, edge.with_local(short)), places, sentence)
        for place, name in enumerate(edge.names):
            for short, places in _shortened(edge.operands[place]):
                operands = list(edge.operands)
                operands[place] = short
                consumer, value = edge.consumer, apply(edge.consumer, operands)
                local = consumer.operation.differentiate(operands, value, consumer.attributes)[edge.operand_index]
                sentence = said.format(name, figure_text(short), figure_text(edge.operands[place]))
                yield from _and_rounded(evidence.replaced(edge, edge.with_local(local)), places, sentence)


def _shortened(figure: FloatArray) -> Iterator[tuple[FloatArray, int]]:
    """A number rounded or cut to few decimals, where that changes it, and how many."""
    if not figure.ndim and np.isfinite(figure):
        for places in range(1, 5):
            unit = 10.0**places
            for short in {float(np.rint(figure * unit)) / unit, float(np.trunc(figure * unit)) / unit}:
                if short not in (0.0, float(figure)):
                    yield np.asarray(short), places


def _and_rounded(figure: FloatArray, places: int, sentence: str) -> Guesses:
    yield figure, sentence
    if np.any(short := np.round(figure, places)):
        yield short, sentence


def _rounded_to_zero(evidence: Evidence) -> Guesses:
    """0.00 for a small number: much else makes 0, but nothing as often."""
    if evidence.forward and not evidence.expected.ndim and 0.0 < abs(evidence.expected) < 0.005:
        yield np.zeros(()), f"The right figure, {figure_text(evidence.expected)}, was rounded to 0."


def _indeterminate(evidence: Evidence) -> Guesses:
    """NaN beside a 0, an ∞ or a NaN from which a naive formula makes 0/0, 0·∞ or 0·log 0."""
    lost = np.isnan(evidence.figure) & np.isfinite(evidence.expected)
    if not lost.any():
        return
    figure = np.where(lost, np.nan, evidence.expected)
    for edge in evidence.edges:
        if np.isfinite(edge.contribution).all() and not np.isfinite(edge.upstream).all():
            yield (
                figure,
                f"NaN is 0 × ∞ along a closed edge: nothing flows back from {edge.quoted}, whose gradient"
                f"{evidence.put(' {}', edge.upstream)} was multiplied by 0.",
            )
    for name, operand in zip(evidence.names, evidence.operands, strict=False):
        if np.isnan(operand).any():
            yield figure, f"NaN is 0/0, 0 × ∞ or 0·log 0 in {name}, which is not taken there: it was multiplied by 0."
    uses = [(evidence.node, evidence.operands)]
    uses += [(edge.consumer, (*edge.operands, edge.upstream)) for edge in evidence.edges]
    if any(
        np.isinf(each).any() or (node.operation.name not in _FINITE and not np.all(each))
        for node, around in uses
        for each in around
    ):
        yield (
            figure,
            "NaN is 0/0, 0 × ∞ or 0·log 0, left as it is: the operands hold a 0 or an ∞, and the right figure is "
            "finite there.",
        )


VALUE_SLIPS: tuple[Slip, ...] = (
    ("integer division", _integer_division),
    ("degrees for radians", _in_degrees),
    ("another operation", _other_arithmetic),
    ("operand left out", _operand_left_out),
    ("another function", _other_function),
)
FAR_VALUE_SLIPS: tuple[Slip, ...] = (("another node for an operand", _other_operand),)
ROUNDED_TO_ZERO: Slip = ("rounded to 0", _rounded_to_zero)
PEN_SLIPS: tuple[Slip, ...] = (
    ("worked from a rounded figure", _worked_from_rounded),
    ("rounded or cut", _rounded),
    ("digits exchanged", _digits_exchanged),
)
NAN_SLIPS: tuple[Slip, ...] = (("0/0 left as NaN", _indeterminate),)
