"""The curve of an operation and its kinks: what each side gives there, and what each library chooses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from service.core.derivatives.one_sided import OneSided, one_sided_derivatives
from service.core.figures.figures import FloatArray, same_bits
from service.core.figures.text import figure_text
from service.core.graph.graph import Node
from service.core.rulebook.operation import CONVENTIONS, Operation
from service.web.pages.operation_examples import KINKS, example_node, operand_arrays
from service.web.plot import Curve, draw_plot, sample

# The curve of an operation of one operand is drawn so far; others to four on both sides, or four from an end.
_RANGES = {
    **dict.fromkeys(("Exp", "Expm1"), (-3.0, 2.0)),
    **dict.fromkeys(("Sinh", "Cosh", "Floor", "Ceil", "Round", "Erf", "Erfc"), (-3.0, 3.0)),
    **dict.fromkeys(("Sin", "Cos", "Tan"), (-7.0, 7.0)),
}
_REACH = 4.0
_SAMPLES, _HEIGHT = 321, 220.0
_STEPS_TO_ONE = 8  # of the grid on which kinks are looked for
_MOST_KINKS = 2


@dataclass(frozen=True, slots=True)
class Choice:
    """What a convention returns, as text; `is_ours` says that it is what the rules return."""

    text: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class KinkRow:
    """A point without a derivative, the slopes by one operand from both sides, and the choices of CONVENTIONS."""

    at: str
    operand: str
    left: str
    right: str
    choices: tuple[Choice, ...]


def is_plotted(operation: Operation) -> bool:
    """Whether an operation is a curve over one operand."""
    return operation.is_elementwise and operation.most_inputs == 1 and bool(operation.operands)


def plotted_range(operation: Operation) -> tuple[float, float]:
    """From where to where the curve of an operation of one operand is drawn."""
    if operation.name in _RANGES:
        return _RANGES[operation.name]
    ((low, high),) = operation.domain
    if not np.isfinite(low):
        low = -_REACH if not np.isfinite(high) else high - _REACH
    return low, min(high, low + 2 * _REACH if low < 0 else low + _REACH)


def kink_places(operation: Operation) -> list[float]:
    """Where in its plotted range an operation of one operand has no derivative."""
    if operation.kinks is None or not is_plotted(operation):
        return []
    low, high = plotted_range(operation)
    x = np.arange(low, high + 0.5 / _STEPS_TO_ONE, 1.0 / _STEPS_TO_ONE)
    attributes = example_node(operation).attributes
    with np.errstate(all="ignore"):
        found = operation.is_nondifferentiable([x], operation.evaluate([x], attributes), attributes)
    return [float(each) for each in x[np.broadcast_to(found, x.shape)]]


def draw_curves(operation: Operation) -> Markup:
    """Draw an operation of one operand, with the attributes of its example, and below it its derivative."""
    node, name = example_node(operation), operation.operands[0]
    x, kinks = sample(*plotted_range(operation), _SAMPLES), np.array(kink_places(operation))

    def at(x: FloatArray) -> tuple[FloatArray, FloatArray]:
        value = operation.evaluate([x], node.attributes)
        slope = operation.differentiate([x], value, node.attributes)[0]
        return value + 0.0 * x, slope + 0.0 * x

    with np.errstate(all="ignore"):
        value, slope = at(x)
        slope = np.where(np.isin(x, kinks), np.nan, slope)  # what is returned there would join what is apart
        dots = [list(zip(kinks.tolist(), each.tolist(), strict=True)) for each in at(kinks)]
    above = draw_plot([Curve(x, value)], over=name, of="z", dots=dots[0], height=_HEIGHT)
    return above + draw_plot([Curve(x, slope, "cg")], over=name, of=f"∂z/∂{name}", dots=dots[1], height=_HEIGHT)


def kink_rows(operation: Operation) -> list[KinkRow]:
    """What happens at an operation's kinks: at those nearest to 0, or at a typical one."""
    if operation.kinks is None:
        return []
    points: Sequence[Mapping[str, Any]] = [
        {operation.operands[0]: place} for place in sorted(sorted(kink_places(operation), key=abs)[:_MOST_KINKS])
    ]
    return [row for point in points or [KINKS[operation.name]] for row in _rows_at(operation, point)]


def _rows_at(operation: Operation, point: Mapping[str, Any]) -> Iterator[KinkRow]:
    node, operands = example_node(operation, point), operand_arrays(point)
    given = list(operands.values())
    at = ", ".join(f"{name} = {_text(figure)}" for name, figure in operands.items())
    with np.errstate(all="ignore"):
        value = np.asarray(operation.evaluate(given, node.attributes), dtype=np.float64)
        sides: Sequence[OneSided | None] = one_sided_derivatives(node, given, value) or [None] * len(given)
        returned = {each: _gradients(node, each, given, value) for each in CONVENTIONS}
        others = {each: _gradients(node, each, given, value, alternative=True) for each in CONVENTIONS}
    for index, (name, side) in enumerate(zip(operands, sides, strict=True)):
        if operation.indices[index : index + 1] == (True,):
            continue
        ours = returned[CONVENTIONS[0]][index]
        choices = tuple(_choice(returned[each][index], others[each][index], ours) for each in CONVENTIONS)
        left, right = (_text(side.left), _text(side.right)) if side else ("–", "–")
        yield KinkRow(at, name, left, right, choices)


def _gradients(
    node: Node, convention: str, operands: Sequence[FloatArray], value: FloatArray, *, alternative: bool = False
) -> list[FloatArray]:
    """The gradient of the sum of all elements of the value, with respect to each operand."""
    operation = node.operation.with_convention(convention, alternative)
    if operation.is_elementwise:
        given = operation.differentiate(operands, value, node.attributes)
    else:
        given = operation.propagate(np.ones_like(value), operands, value, node.attributes)
    return [np.asarray(each, dtype=np.float64) for each in given]


def _choice(returned: FloatArray, other: FloatArray, ours: FloatArray) -> Choice:
    """`other` is what a library's second function returns."""
    first, second = _text(returned), _text(other)
    return Choice(first if first == second else f"{first} or {second}", first == second and _same(returned, ours))


def _same(first: FloatArray, second: FloatArray) -> bool:
    return bool(same_bits(first + 0.0, second + 0.0).all())  # −0 is 0


def _text(figure: FloatArray) -> str:
    """A number for a sentence; a small tensor by its elements, rows parted by semicolons."""
    rows = np.atleast_2d(np.squeeze(figure))
    text = "; ".join(", ".join(figure_text(each + 0.0) for each in row) for row in rows)
    return f"[{text}]" if figure.ndim else text
