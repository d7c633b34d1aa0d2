"""Contributions of tensor operations as a textbook writes them: hᵀ · dL/dz for W, (softmax − one_hot)/N for a loss.

The rulebook's rules broadcast, sum and reshape by operations that nobody writes. For readers a transpose stands for an
adjoint, ones for what is broadcast, a sum over named axes for what is summed back, a count for a quotient of sizes. No
figure of a run is computed from these forms.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.notation import Notation, fenced, row
from service.core.rulebook.operation import Attributes, Operation
from service.core.rulebook.registry import operation_of
from service.core.symbolic.equation import ones_of, times
from service.core.symbolic.term import Application, Literal, Symbol, Term, Variable, evaluation_order, term_of
from service.core.symbolic.textbook import transposed

_ONE_HOT = replace(
    operation_of("OneHot"),
    notation=Notation(
        "one_hot(%(0)s)",
        r"\operatorname{onehot}\left(%(0)s\right)",
        mathml=row(f"<mi>onehot</mi><mo>&#x2061;</mo>{fenced('(', '%(0)s', ')')}"),
    ),
)
_STANDARDIZED = replace(
    operation_of("Identity"),
    name="Standardized",
    notation=Notation("standardized(%(0)s)", r"\hat{%(0)s}", mathml="<mover>%(0)s<mo>^</mo></mover>"),
)


def contribution_for_reading(
    operation: Operation,
    attributes: Attributes,
    operand_index: int,
    upstream: Variable,
    operands: Sequence[Term],
    rule: Term,
    shapes: Mapping[str, Shape],
) -> Term:
    """Return what an operation passes back to one operand as a textbook writes it.

    `rule` is the contribution by the rulebook, `shapes` those of the variables, as far as they are known.
    """
    form = _FORMS.get(operation.name)
    written = form and form(Symbol(upstream), [Symbol(x) for x in operands], attributes, operand_index, shapes)
    return _rewritten(rule if written is None else term_of(written), shapes)


# --- what stands for the rulebook's own operations --------------------------------------------------------------------


def _rewritten(term: Term, shapes: Mapping[str, Shape]) -> Term:
    made: dict[int, Term] = {}
    known: dict[int, Shape | None] = {}
    for part in evaluation_order(term):
        made[id(part)] = part
        known[id(part)] = shapes.get(part.name) if isinstance(part, Variable) else ()
        if isinstance(part, Application):
            own = [known[id(x)] for x in part.operands]
            known[id(part)] = _shape_of(part, own)
            made[id(part)] = _plainly(part, [made[id(x)] for x in part.operands], own, known[id(part)])
    return made[id(term)]


def _shape_of(part: Application, operands: Sequence[Shape | None]) -> Shape | None:
    known = [shape for shape in operands if shape is not None]
    if len(known) < len(operands):
        return None
    try:
        return part.operation.infer_shape(known, dict(part.attributes))
    except (ValueError, TypeError, KeyError):  # attributes that are symbols
        return None


def _plainly(part: Application, operands: list[Term], own: Sequence[Shape | None], shape: Shape | None) -> Term:
    """Write one operation as people do, if they do not write it so."""
    if not operands:
        return part
    first, name, attributes = operands[0], part.operation.name, dict(part.attributes)
    if name == "MatMulLeftAdjoint":
        return Application(operation_of("MatMul"), (first, transposed(operands[1])))
    if name == "MatMulRightAdjoint":
        return Application(operation_of("MatMul"), (transposed(first), operands[1]))
    if name == "Transpose" and not attributes.get("perm"):
        return transposed(first)
    if name in ("Unsqueeze", "Squeeze", "Identity"):
        return first
    if own[0] is not None and shape is not None:
        if name == "Size":
            return Literal(float(prod(own[0])))
        if name == "ExpandTo":
            return first if own[0] == shape else times(ones_of(shape), first)
        if name == "SumTo":
            return first if own[0] == shape else _reduced("ReduceSum", first, _summed_axes(own[0], shape))
        if name == "ReshapeTo":
            return Application(operation_of("Reshape"), (first,), (("shape", shape), ("allowzero", 0)))
    if name == "Div" and isinstance(first, Literal) and isinstance(operands[1], Literal) and operands[1].value:
        return Literal(first.value / operands[1].value)
    if "keepdims" in attributes:
        attributes["keepdims"] = 0
    return Application(part.operation, tuple(operands), tuple(attributes.items()))


def _reduced(name: str, term: Term, axes: tuple[int, ...]) -> Term:
    given = {"axes": axes or None, "keepdims": 0, "noop_with_empty_axes": 0}
    return Application(operation_of(name), (term,), tuple(given.items()))


def _summed_axes(given: Shape, wanted: Shape) -> tuple[int, ...]:
    """The axes along which a shape is summed to one that was broadcast to it; none named where all are."""
    lead = len(given) - len(wanted)
    axes = [axis for axis, length in enumerate(given) if axis < lead or wanted[axis - lead] != length]
    return () if len(axes) == len(given) else tuple(axes)


# --- operations whose rule is longer than a textbook's formula --------------------------------------------------------

_Form = Callable[[Symbol, Sequence[Symbol], Attributes, int, Mapping[str, Shape]], Any]


def _cross_entropy(
    u: Symbol, operands: Sequence[Symbol], attributes: Attributes, operand_index: int, shapes: Mapping[str, Shape]
) -> Any:
    """dL/ds = (softmax(s) − one_hot(labels))/N."""
    labels, reduction = shapes.get(getattr(operands[1].term, "name", "")), attributes["reduction"]
    usual = len(operands) == 2 and attributes["ignore_index"] is None and reduction != "none"
    if not usual or operand_index or labels is None:
        return None
    softmax = Symbol(Application(operation_of("Softmax"), (operands[0].term,), (("axis", 1),)))
    apart = u * (softmax - Symbol(Application(_ONE_HOT, (operands[1].term, operands[0].term))))
    return apart / float(prod(labels)) if reduction == "mean" and prod(labels) > 1 else apart


def _layer_norm(
    u: Symbol, operands: Sequence[Symbol], attributes: Attributes, operand_index: int, shapes: Mapping[str, Shape]
) -> Any:
    """dL/dx = (g − mean(g) − x̂ · mean(g · x̂))/√(var(x) + ε), with g = dL/dz · scale and x̂ the standardized x."""
    if operand_index > 1:
        return None
    x, scale = operands[:2]
    normal = Symbol(Application(_STANDARDIZED, (x.term,)))
    if operand_index == 1:
        return Symbol(Application(operation_of("SumTo"), ((u * normal).term, scale.term)))
    axes = tuple(range(attributes["axis"], 0))  # the rule of an axis counted from the front has no formula
    flow = u * scale

    def mean(term: Symbol) -> Symbol:
        return Symbol(_reduced("ReduceMean", term.term, axes))

    given = {"axes": axes, "keepdims": 0, "ddof": 0}
    variance = Symbol(Application(operation_of("ReduceVar"), (x.term,), tuple(given.items())))
    return (flow - mean(flow) - normal * mean(flow * normal)) / np.sqrt(variance + attributes["epsilon"])


_FORMS: Mapping[str, _Form] = {"SoftmaxCrossEntropyLoss": _cross_entropy, "LayerNormalization": _layer_norm}
