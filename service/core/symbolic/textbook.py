"""Local gradients as a textbook writes them, and formulas at given figures.

The rulebook's rules avoid overflow and cancellation: tanh's local gradient is 1/cosh(x)², exact far out, where a reader
expects 1 − z². These forms are for sentences; no figure of a run is computed from them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph
from service.core.rulebook.notation import PRODUCT
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation
from service.core.rulebook.registry import operation_of
from service.core.rulebook.tensor import Tensor
from service.core.symbolic.names import named
from service.core.symbolic.simplify import simplify
from service.core.symbolic.term import (
    Application,
    Literal,
    Symbol,
    Term,
    Variable,
    evaluation_order,
    local_gradient_terms,
    term_of,
)

# (x, y, …, z) → local gradients, for the operations whose rule in the rulebook is written otherwise.
_FORMS: Mapping[str, Callable[..., tuple[Any, ...]]] = {
    "Sigmoid": lambda x, z: (z * (1.0 - z),),
    "Tanh": lambda x, z: (1.0 - z**2.0,),
    "LogAddExp": lambda x, y, z: (np.exp(x - z), np.exp(y - z)),
    "XLogY": lambda x, y, z: (np.log(y), x / y),
    "Hypot": lambda x, y, z: (x / z, y / z),
    "Mod": lambda x, y, z: (1.0, -np.floor(x / y)),
    "Softplus": lambda x, z: (1.0 / (1.0 + np.exp(-x)),),
    "Mish": lambda x, z: (_mish_slope(x, np.tanh(np.log(1.0 + np.exp(x)))),),
    "Softsign": lambda x, z: (1.0 / (1.0 + np.absolute(x)) ** 2.0,),
    "Reciprocal": lambda x, z: (-1.0 / x**2.0,),
    "Sqrt": lambda x, z: (1.0 / (2.0 * z),),
    "Pow": lambda x, y, z: (y * x ** (y - 1.0), z * np.log(x)),
    "Tan": lambda x, z: (1.0 / np.cos(x) ** 2.0,),
    "Asin": lambda x, z: (1.0 / np.sqrt(1.0 - x**2.0),),
    "Acos": lambda x, z: (-1.0 / np.sqrt(1.0 - x**2.0),),
    "Atan2": lambda y, x, z: (x / (x**2.0 + y**2.0), -y / (x**2.0 + y**2.0)),
    "Asinh": lambda x, z: (1.0 / np.sqrt(1.0 + x**2.0),),
    "Acosh": lambda x, z: (1.0 / np.sqrt(x**2.0 - 1.0),),
    "Atanh": lambda x, z: (1.0 / (1.0 - x**2.0),),
}


def _mish_slope(x: Any, share: Any) -> Any:
    return share + x * (1.0 - share**2.0) / (1.0 + np.exp(-x))


def operand_terms(graph: Graph, position: int) -> list[Term]:
    """The operands of a node as terms: names, and Constants by their values."""
    nodes = [graph.nodes[source] for source in graph.operands[position]]
    return [
        Literal(value) if isinstance(value := node.attributes.get("value"), float) else named(node.name, graph.position)
        for node in nodes
    ]


def has_textbook_form(operation: Operation) -> bool:
    """Whether a textbook writes the local gradients otherwise than the rulebook."""
    return operation.name in _FORMS


def textbook_gradients(
    operation: Operation, operands: Sequence[Term], value: Term, attributes: Attributes = NO_ATTRIBUTES
) -> tuple[Term, ...]:
    """Return the local gradients of an elementwise operation as formulas of its operands and its value."""
    form = _FORMS.get(operation.name)
    if form is None or attributes.get("fmod"):
        return local_gradient_terms(operation, operands, value, attributes)
    return tuple(term_of(rule) for rule in form(*map(Symbol, operands), Symbol(value)))


def with_transposes(term: Term) -> Term:
    """Write the products that the rule of MatMul is made of as products with a transpose, and (xᵀ)ᵀ as x."""
    order = evaluation_order(term)
    made: dict[int, Term] = {id(part): part for part in order}
    for part in order:
        if isinstance(part, Application):
            operands = tuple(made[id(x)] for x in part.operands)
            if part.operation.name == "MatMulLeftAdjoint":
                operands = operands[0], transposed(operands[1])
            elif part.operation.name == "MatMulRightAdjoint":
                operands = transposed(operands[0]), operands[1]
            else:
                made[id(part)] = Application(part.operation, operands, part.attributes)
                if is_transpose(part):
                    made[id(part)] = transposed(operands[0])
                continue
            made[id(part)] = Application(operation_of("MatMul"), operands)
    return made[id(term)]


def is_transpose(term: Term) -> TypeGuard[Application]:
    """Whether a term is the plain transpose of another."""
    return (
        isinstance(term, Application) and term.operation.name == "Transpose" and not dict(term.attributes).get("perm")
    )


def transposed(term: Term) -> Term:
    """Return xᵀ, of xᵀ x; a derivative in brackets."""
    if is_transpose(term):
        return term.operands[0]
    if isinstance(term, Variable) and "/" in (term.text or ""):
        term = replace(term, binds=PRODUCT)
    return Application(operation_of("Transpose"), (term,))


def evaluate_term(term: Term, figures: Mapping[str, Any]) -> FloatArray:
    """Evaluate a formula; raises KeyError for a variable that has no figure."""
    with np.errstate(all="ignore"):
        return np.asarray(_evaluated(term, figures)[id(term)], dtype=np.float64)


def choose_branches(term: Term, figures: Mapping[str, Any]) -> Term:
    """Simplify a formula of scalars where each of its choices is made: where(x > 0, 1, 0) is 1 at x = 2."""
    with np.errstate(all="ignore"):
        known = _evaluated(term, figures)
    chosen: dict[int, Term] = {}
    for part in evaluation_order(term):
        if isinstance(part, Application):
            operands = tuple(chosen[id(x)] for x in part.operands)
            if part.operation.name == "Where":
                chosen[id(part)] = operands[1 if known[id(part.operands[0])] else 2]
            else:
                chosen[id(part)] = Application(part.operation, operands, part.attributes)
        else:
            chosen[id(part)] = part
    return simplify(chosen[id(term)])


def _evaluated(term: Term, figures: Mapping[str, Any]) -> Mapping[int, Any]:
    known: dict[int, Any] = {}
    for part in evaluation_order(term):
        match part:
            case Variable(name):
                known[id(part)] = figures[name]
            case Literal(value):
                known[id(part)] = np.float64(value)
            case Application(operation, operands, attributes):
                given = {name: x.array if isinstance(x, Tensor) else x for name, x in attributes}
                known[id(part)] = operation.evaluate([known[id(x)] for x in operands], given)
    return known
