"""Terms, and the symbols by which rules written for numbers yield formulas.

A `Term` is an immutable formula. `Symbol` wraps one so that NumPy's functions and Python's operators, given a symbol,
build the term of the operation they stand for: the rule of Mul applied to symbols x and y yields the terms y and x.
This is tracing, as JAX does it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from service.core.rulebook import operations  # noqa: F401 (importing the package fills the registry)
from service.core.rulebook.notation import ATOM
from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation
from service.core.rulebook.registry import operation_of, operation_of_function


@dataclass(frozen=True, slots=True)
class Variable:
    """A name; `text`, `latex` and `mathml` replace it where it is written differently, as what binds so tightly.

    `plain` replaces `text` in sentences.
    """

    name: str
    latex: str | None = None
    text: str | None = None
    mathml: str | None = None
    binds: int = ATOM
    plain: str | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Application:
    """An operation on terms; `attributes` are pairs of name and value."""

    operation: Operation
    operands: "tuple[Term, ...]"
    attributes: tuple[tuple[str, Any], ...] = ()


Term: TypeAlias = Variable | Literal | Application


class NotSymbolic(TypeError):
    """A rule that cannot be applied to symbols: it calls a function that is no operation, or needs a number."""


class Symbol(NDArrayOperatorsMixin):
    """A term on which NumPy's functions work. It lives only while one rule is applied."""

    __slots__ = ("term",)

    def __init__(self, term: Term) -> None:
        self.term = term

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> "Symbol":
        if method != "__call__" or options:
            raise NotSymbolic(f"a rule may call {ufunc.__name__} only plainly")
        return _apply(ufunc, operands, {})

    def __array_function__(self, called: Callable[..., Any], types: Any, operands: Any, options: Any) -> "Symbol":
        return _apply(called, operands, options)

    def _is_no_figure(self, *asked: Any, **options: Any) -> Any:
        raise NotSymbolic("a formula has neither shape nor elements, and no figures")

    __array__ = __bool__ = __float__ = __getitem__ = __index__ = __iter__ = __len__ = _is_no_figure

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python and NumPy look for optional protocols
            raise AttributeError(name)
        self._is_no_figure()


def _apply(called: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]) -> Symbol:
    found = operation_of_function(called)
    if found is None:
        raise NotSymbolic(f"a rule may not call {called.__name__}")
    operation, reading = found
    operands, given = reading(*arguments, **options)
    attributes = {attribute.name: attribute.default for attribute in operation.attributes}
    for attribute in operation.attributes:
        value = given.get(attribute.name)
        if value is not None:
            attributes[attribute.name] = value.term if isinstance(value, Symbol) else attribute.read(value)
    return Symbol(application(operation, [term_of(operand) for operand in operands], attributes))


def application(operation: Operation, operands: Sequence[Term], attributes: Attributes = NO_ATTRIBUTES) -> Application:
    """Apply an operation to terms."""
    return Application(operation, tuple(operands), tuple(attributes.items()))


def term_of(operand: Any) -> Term:
    """Return the term of a symbol, or a number as a literal."""
    if isinstance(operand, str):  # a word that a rule compares with an attribute
        return Variable(f'"{operand}"', rf"\text{{{operand}}}")
    return operand.term if isinstance(operand, Symbol) else Literal(float(operand))


def symbols(*names: str) -> tuple[Symbol, ...]:
    """Make variables to which a rule can be applied."""
    return tuple(Symbol(Variable(name)) for name in names)


def evaluation_order(*terms: Term) -> list[Term]:
    """List every part of the terms once, however often it is shared: operands first, from left to right."""
    order: list[Term] = []
    met: set[int] = set()
    begun: set[int] = set()  # those that wait for their operands
    waiting = list(reversed(terms))
    while waiting:
        part = waiting.pop()
        if id(part) in begun:
            begun.remove(id(part))
            order.append(part)
        elif id(part) not in met:
            met.add(id(part))
            if isinstance(part, Application) and part.operands:
                begun.add(id(part))
                waiting.append(part)
                waiting.extend(reversed(part.operands))
            else:
                order.append(part)
    return order


def value_term(operation: Operation, operands: Sequence[Term], attributes: Attributes = NO_ATTRIBUTES) -> Term:
    """Return the rule of an operation as a formula of its operands; one that is not elementwise stands for itself."""
    if not operation.is_elementwise:
        return application(operation, operands, attributes)
    return term_of(operation.evaluate([Symbol(x) for x in operands], _symbolic(attributes)))


def local_gradient_terms(
    operation: Operation, operands: Sequence[Term], value: Term, attributes: Attributes = NO_ATTRIBUTES
) -> tuple[Term, ...]:
    """Return the local gradients of an elementwise operation as formulas of its operands and its value."""
    rules = operation.differentiate([Symbol(x) for x in operands], Symbol(value), _symbolic(attributes))
    return tuple(term_of(rule) for rule in rules)


def contribution_terms(
    operation: Operation,
    upstream: Term,
    operands: Sequence[Term],
    value: Term,
    attributes: Attributes = NO_ATTRIBUTES,
) -> "tuple[Term | None, ...]":
    """Return the contributions of an operation as formulas of the upstream gradient, its operands and its value.

    None stands where no gradient flows. Raises NotSymbolic where its rule cannot be applied to symbols.
    """
    try:
        rules = operation.propagate(
            Symbol(upstream), [Symbol(x) for x in operands], Symbol(value), _symbolic(attributes)
        )
    except NotSymbolic as error:
        raise NotSymbolic(f"the gradient of {operation.name} cannot be written as a formula: {error}") from None
    return tuple(None if rule is None else term_of(rule) for rule in rules)


def closed_terms(
    operation: Operation, operands: Sequence[Term], value: Term, attributes: Attributes = NO_ATTRIBUTES
) -> "tuple[Term, ...] | None":
    """Return for each operand of an elementwise operation when its edge is closed, as a formula; None if none ever
    is."""
    closed = operation.closed_operands([Symbol(x) for x in operands], Symbol(value), _symbolic(attributes))
    return None if closed is None else tuple(map(term_of, closed))


def passing_terms(
    operation: Operation, flow: Term, operands: Sequence[Term], value: Term, attributes: Attributes = NO_ATTRIBUTES
) -> "tuple[Term | None, ...]":
    """Return for each operand of an operation that is not elementwise a formula that is positive at the elements from
    which an open edge leads to any in `flow`, ones and zeros; None where that cannot be written.

    Where a linear operation passes the gradient on to one operand alone, that is what it makes of `flow`; a product of
    matrices counts the elements of the result to which an element belongs.
    """
    nothing = (None,) * len(operands)
    closed, given, symbolic = operation.closed, [Symbol(x) for x in operands], _symbolic(attributes)
    try:
        if closed is not None and closed.passing is not None:
            rules = closed.passing(Symbol(flow), *operation.arguments(given), Symbol(value), *symbolic.values())
        elif operation.name == "MatMul":
            ones = [Symbol(application(operation_of("ExpandTo"), [Literal(1.0), x])) for x in operands]
            return tuple(map(term_of, operation.propagate(Symbol(flow), ones, Symbol(value), symbolic)))
        elif operation.linear:
            rules = operation.propagate(Symbol(flow), given, Symbol(value), symbolic)
        else:
            return nothing
    except NotSymbolic:
        return nothing
    written = tuple(None if rule is None else term_of(rule) for rule in rules)
    alone = sum(term is not None for term in written) == 1
    return written if alone else nothing


def nondifferentiable_term(
    operation: Operation, operands: Sequence[Term], value: Term, attributes: Attributes = NO_ATTRIBUTES
) -> Term:
    """Return the condition under which an operation has no derivative, as a formula."""
    where = operation.is_nondifferentiable([Symbol(x) for x in operands], Symbol(value), _symbolic(attributes))
    return term_of(where)


def _symbolic(attributes: Attributes) -> Attributes:
    """Wrap attributes that are terms, as on the rulebook's page, in symbols; numbers stay numbers."""
    return {
        name: Symbol(value) if isinstance(value, (Variable, Literal, Application)) else value
        for name, value in attributes.items()
    }
