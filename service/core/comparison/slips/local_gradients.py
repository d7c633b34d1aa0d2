"""Slips in one local gradient: the wrong argument, the wrong rule, a factor or an exponent kept or lost."""

import numpy as np

from service.core.comparison.evidence import Edge, Evidence
from service.core.comparison.slips.altered_slopes import ALTERED_SLOPE_SLIPS
from service.core.comparison.slips.guess import (
    ANGLES,
    LOGARITHMS,
    OF_ANGLES,
    Guesses,
    Slip,
    apply,
    function_name,
    slope,
    taken,
    unary_operations,
    unary_slope,
)
from service.core.comparison.slips.product_rule import PRODUCT_RULE_SLIPS
from service.core.comparison.spoken_names import bracketed
from service.core.figures.figures import FloatArray
from service.core.symbolic.phrases import Phrase, typed


def _own(edge: Edge) -> FloatArray:
    return edge.operands[edge.operand_index]


def _input_for_output(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        if len(edge.operands) == 1:
            x, z = _own(edge), edge.value
            what = f"In the local gradient toward {edge.quoted}"
            inside, outside = f"{edge.names[0]}{evidence.put(' = {}', x)}", f"{edge.spoken}{evidence.put(' = {}', z)}"
            yield (
                evidence.replaced(edge, edge.with_local(slope(edge, [x], x))),
                f"{what} the input {inside} was taken for the output {outside}.",
            )
            yield (
                evidence.replaced(edge, edge.with_local(slope(edge, [z], z))),
                f"{what} the output {outside} was taken for the input {inside}.",
            )


def _applied_twice(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        if len(edge.operands) == 1 and edge.local is not None:
            again = slope(edge, [edge.value], apply(edge.consumer, [edge.value]))
            called = function_name(edge.consumer.operation)
            twice = typed(f"{called}({called}({evidence.spoken}))")
            yield (
                evidence.replaced(edge, edge.with_local(again * edge.local)),
                f"{called} was applied twice: the gradient is that of {twice}.",
            )
            yield (
                evidence.replaced(edge, edge.with_local(again)),
                f"{called} was applied twice: its local gradient was taken at {edge.spoken}"
                f"{evidence.put(' = {}', edge.value)}, which is {called} already.",
            )


def _power(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        name, own = edge.consumer.operation.name, edge.names[edge.operand_index]
        if name == "Pow":
            base, n = edge.operands
            if edge.operand_index == 0:
                right = f"n·{own}ⁿ⁻¹"
                for local, because, used, instead in (
                    (n * base**n, "The exponent was kept", f"n·{own}ⁿ", right),
                    (base ** (n - 1.0), "The factor n was left out", f"{own}ⁿ⁻¹", right),
                    (n * base, "The exponent was dropped", f"n·{own}", right),
                    ((n - 1.0) * base ** (n - 1.0), "The factor was taken one too small", "n − 1", "n"),
                    (n * base ** (n - 2.0), "The exponent was lowered twice", f"n·{own}ⁿ⁻²", right),
                    (n * base ** (n + 1.0), "The exponent was raised", f"n·{own}ⁿ⁺¹", right),
                    (base ** (n + 1.0) / (n + 1.0), "The power was integrated", f"{own}ⁿ⁺¹/(n + 1)", right),
                ):
                    said = f"{because}: {typed(used)}, not {typed(instead)}{evidence.put(', with n = {}', n)}."
                    yield evidence.replaced(edge, edge.with_local(local)), said
            else:
                for local, because in (
                    (n * base ** (n - 1.0), "The power rule was applied to an exponential: the exponent is the node."),
                    (edge.value, f"The factor log of the base was left out: {typed('aˣ·log(a)')}, not {typed('aˣ')}."),
                ):
                    yield evidence.replaced(edge, edge.with_local(local)), because
        elif name == "Sqrt":
            below = f"The root was not put below the line: it should be {typed('1/(2·z)')}, not {typed('z/2')}."
            for local, because in (
                (1.0 / edge.value, "The factor 1/2 of the square root's local gradient was left out."),
                (0.5 * edge.value, below),
            ):
                yield evidence.replaced(edge, edge.with_local(local)), because


def _quotient(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        name = edge.consumer.operation.name
        if name == "Div" and edge.operand_index == 1:
            x, y = edge.operands
            over, under = edge.names
            right = typed(f"−{over}/{under}²")
        elif name == "Reciprocal":
            (y,) = edge.operands
            x, over, under = np.ones(()), Phrase("1"), edge.names[0]
            right = typed(f"−1/{under}²")
        else:
            continue
        for local, because, used in (
            (-x / y, "The denominator was not squared: {},", f"−{over}/{under}"),
            (x / y**2, "The minus of the quotient rule was left out: {},", f"{over}/{under}²"),
            (x / y, "The minus and the square were left out: {},", f"{over}/{under}"),
            (-1.0 / y**2, "The numerator was left out: {},", f"−1/{under}²"),
            (1.0 / y, "{} was taken, as for the numerator;", f"1/{under}"),
            (-x * y**2, "It was multiplied by {}, not divided;", f"{under}²"),
            (1.0 / y**2, "{} was taken;", f"1/{under}²"),
            (np.log(np.abs(y)) * x, "The quotient was integrated: {};", f"log({under})"),
        ):
            said = f"{because.format(typed(used))} it should be {right}."
            yield evidence.replaced(edge, edge.with_local(local)), said


def _wrong_argument(evidence: Evidence) -> Guesses:
    """cos(x) for cos(u): the outer derivative at the inner function's own input."""
    graph, values = evidence.graph, evidence.found.values
    for edge in evidence.near_edges:
        near = list(graph.operands[evidence.position])
        near += [source for position in near for source in graph.operands[position]]
        for position in dict.fromkeys(near[:8]):
            figure = values[position]
            if figure is None or figure.shape != _own(edge).shape:
                continue
            local = slope(edge, taken(edge, figure), apply(edge.consumer, taken(edge, figure)))
            yield (
                evidence.replaced(edge, edge.with_local(local)),
                f"The local gradient toward {edge.quoted} was taken at {bracketed(graph, position)}"
                f"{evidence.put(' = {}', figure)}, not at {evidence.spoken}{evidence.put(' = {}', _own(edge))}.",
            )


def _own_derivative(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        yield (
            evidence.replaced(edge, edge.with_local(edge.value)),
            f"The value {edge.spoken}{evidence.put(' = {}', edge.value)} was taken for its own local gradient"
            f"{evidence.put(' {}', edge.local)}.",
        )


def _degrees(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        called = function_name(edge.consumer.operation)
        if edge.consumer.operation.name in ANGLES and edge.local is not None:
            said = f"The angle that {called} returns was given in degrees, not radians."
            yield evidence.replaced(edge, edge.with_local(np.rad2deg(edge.local))), said
        if len(edge.operands) == 1 and edge.consumer.operation.name in OF_ANGLES:
            x = _own(edge)
            for angle, because in (
                (np.deg2rad(x), "was read as degrees, not radians"),
                (np.rad2deg(x), "was turned into degrees, where radians are expected"),
            ):
                local = slope(edge, [angle], apply(edge.consumer, [angle]))
                said = (
                    f"The angle {evidence.spoken}{evidence.put(' = {}', x)} {because}, in the derivative of {called}."
                )
                yield evidence.replaced(edge, edge.with_local(local)), said
                yield evidence.replaced(edge, edge.with_local(local * (np.pi / 180.0))), said


def _other_logarithm(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        if edge.local is not None and edge.consumer.operation.name in ("Log", "Log1p", "Exp", "Pow"):
            for base, factor in LOGARITHMS.items():
                for local in (edge.local / factor, edge.local * factor):
                    yield (
                        evidence.replaced(edge, edge.with_local(local)),
                        f"The logarithm to base {base} was taken for the natural one: ln {base} = {factor:.6g}.",
                    )


def _other_derivative(evidence: Evidence) -> Guesses:
    for edge in evidence.near_edges:
        if len(edge.operands) != 1:
            continue
        x, called = _own(edge), function_name(edge.consumer.operation)
        for other in unary_operations():
            local = unary_slope(other, x)
            for factor, sign in ((1.0, ""), (-1.0, ", with a minus,")):
                if other is not edge.consumer.operation or factor < 0.0:
                    yield (
                        evidence.replaced(edge, edge.with_local(factor * local)),
                        f"The derivative of {function_name(other)}{sign} was taken for that of {called}"
                        f"{evidence.put(': {} for {}', factor * local, edge.local)}.",
                    )
            value = np.asarray(other.evaluate([x]), dtype=np.float64)
            for factor, sign in ((1.0, ""), (-1.0, "−")):
                taken_so = typed(f"{sign}{function_name(other)}({evidence.spoken})")
                yield (
                    evidence.replaced(edge, edge.with_local(factor * value)),
                    f"{taken_so} was taken for the derivative of {called}.",
                )


def _own_value(evidence: Evidence) -> Guesses:
    if not evidence.forward:
        yield evidence.value, f"The value of {evidence.spoken} was taken for its gradient."


def _one_sign(evidence: Evidence) -> Guesses:
    if len(evidence.edges) > 1:
        for edge in evidence.edges:
            yield (
                evidence.replaced(edge, -edge.contribution),
                f"The contribution through {edge.quoted}{evidence.put(', {},', edge.contribution)} has the wrong sign.",
            )


def _contribution_twice(evidence: Evidence) -> Guesses:
    if len(evidence.edges) > 1:
        for edge in evidence.edges:
            yield (
                evidence.replaced(edge, 2.0 * edge.contribution),
                f"The contribution through {edge.quoted}{evidence.put(', {},', edge.contribution)} was counted twice.",
            )


LOCAL_GRADIENT_SLIPS: tuple[Slip, ...] = (
    ("input taken for output", _input_for_output),
    ("applied twice", _applied_twice),
    ("power rule", _power),
    ("quotient rule", _quotient),
    *ALTERED_SLOPE_SLIPS,
    ("sign of one contribution", _one_sign),
    ("contribution counted twice", _contribution_twice),
    *PRODUCT_RULE_SLIPS,
    ("taken at the wrong argument", _wrong_argument),
    ("its own derivative", _own_derivative),
    ("degrees for radians", _degrees),
    ("another logarithm", _other_logarithm),
    ("another function's derivative", _other_derivative),
    ("value taken for the gradient", _own_value),
)
