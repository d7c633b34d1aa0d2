"""The registry of operations: `define` enters one; the others find it by name, by alias or by NumPy's function."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.notation import Notation, function
from service.core.rulebook.operation import (
    DEFAULT_ROUNDING,
    NO_ATTRIBUTES,
    Attributes,
    Closed,
    Fold,
    Kinks,
    Operation,
    Rounding,
    Rule,
    ShapeRule,
)
from service.core.rulebook.primitives import is_traced
from service.core.rulebook.signature import read_operands
from service.core.rulebook.work import PROPORTIONAL, Workload

# From the arguments of a function, the operands and the attributes by name of the operation that it stands for.
ArgumentReader: TypeAlias = Callable[..., tuple[Sequence[Any], dict[str, Any]]]

REALS = (-math.inf, math.inf)

_by_name: dict[str, Operation] = {}
_by_alias: dict[str, Operation] = {}
_by_function: dict[Rule, tuple[Operation, ArgumentReader]] = {}
_rulebook_functions: set[Rule] = set()


@dataclass(frozen=True, slots=True)
class Wording:
    """How an operation and its rule are written and called.

    Without a notation it is written as a function: by its first alias if that is an identifier, else by its name. Its
    name in lower case is always an alias, except `sum`, which is ReduceSum's. `rule` names the rule of differentiation,
    `beside_constants` the same where all other operands are Constants; "power, exponential" names it for each operand.
    """

    notation: Notation | None = None
    aliases: Sequence[str] = ()
    rule: str = "chain"
    beside_constants: str | None = None


DEFAULT_WORDING = Wording()


def rulebook_function(rule: Rule) -> Rule:
    """Let rules call a function like NumPy's: it dispatches to symbols and dual numbers among its arguments (NEP 18).

    It is the forward rule of an operation.
    """

    @wraps(rule)
    def called(*arguments: Any) -> Any:
        for argument in (*arguments, *(arguments[0] if isinstance(arguments[0], tuple) else ())):
            if is_traced(argument):
                return argument.__array_function__(called, (type(argument),), arguments, {})
        return rule(*arguments)

    _rulebook_functions.add(called)
    return called


def operands_only(*arguments: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    """Read the arguments of a function that takes nothing but operands."""
    return arguments, {}


def broadcast_shape(shapes: Sequence[Shape], attributes: Attributes = NO_ATTRIBUTES) -> Shape:
    """Infer the shape of an elementwise operation's value; raises ValueError where the shapes do not broadcast."""
    distinct = set(shapes) - {()}
    return np.broadcast_shapes(*distinct) if len(distinct) > 1 else next(iter(distinct), ())


def define(
    name: str,
    operands: str = "",
    *,
    attributes: Sequence[Attribute] = (),
    forward: Rule | None = None,
    local_gradients: Rule | None = None,
    contributions: Rule | None = None,
    fold: Fold | None = None,
    infer_shape: ShapeRule = broadcast_shape,
    kinks: Kinks | None = None,
    closed: Closed | None = None,
    linear: bool = False,
    rounding: Rounding = DEFAULT_ROUNDING,
    domain: Sequence[tuple[float, float]] | None = None,
    analytic: bool = True,
    absorbed_by: Sequence[str] = (),
    symbolic: Mapping[Rule, ArgumentReader] = MappingProxyType({}),
    work: Workload = PROPORTIONAL,
    wording: Wording = DEFAULT_WORDING,
) -> Operation:
    """Enter one operation in the rulebook and return it; the rules are described in `operation.py`.

    `operands` names them, separated by blanks: `bias?` may be left out, `*x` takes any number as one tuple, and
    `labels:int` are whole numbers, to which no gradient flows. A fold takes any number of the one it names. `work` is
    declared where the rules take more than operands and value suggest. `symbolic`
    holds the functions of NumPy that stand for this operation when a rule is applied to symbols; a forward rule that is
    a ufunc or a `rulebook_function` does so anyway. Raises ValueError for a name or an alias that is taken.
    """
    names = tuple(read_operands(operands))
    aliases = tuple(dict.fromkeys([*([] if name == "Sum" else [name.lower()]), *wording.aliases]))
    spelled = function(wording.aliases[0] if wording.aliases and wording.aliases[0].isidentifier() else name.lower())
    notation = wording.notation or spelled
    operation = Operation(
        name=name,
        operands=names,
        optional=operands.count("?"),
        variadic="*" in operands,
        indices=tuple(operand.endswith(":int") for operand in operands.split()),
        attributes=tuple(attributes),
        forward=forward or _no_rule,
        local_gradients=local_gradients,
        contributions=contributions,
        fold=fold,
        infer_shape=infer_shape,
        kinks=kinks,
        closed=closed,
        linear=linear,
        rounding=rounding,
        absorbed_by=tuple(absorbed_by),
        work=work,
        domain=tuple(domain) if domain else (REALS,) * len(names),
        analytic=analytic,
        aliases=aliases,
        notation=notation if notation.mathml else replace(notation, mathml=spelled.mathml),
        rules=tuple(wording.rule.split(", ")),
        beside_constants=tuple((wording.beside_constants or wording.rule).split(", ")),
    )
    for taken in filter(_by_alias.__contains__, (name, *aliases)):
        raise ValueError(f"{taken} already stands for {_by_alias[taken].name}")
    _by_alias.update(dict.fromkeys((name, *aliases), operation))
    _by_name[name] = operation
    if isinstance(forward, np.ufunc) or forward in _rulebook_functions:
        _by_function.setdefault(operation.forward, (operation, _declared_order(operation)))
    _by_function.update({called: (operation, read) for called, read in symbolic.items()})
    return operation


def _no_rule(*operands: Any) -> Any:
    raise TypeError("an Input has no rule: its value is given")


def _declared_order(operation: Operation) -> ArgumentReader:
    """Read the arguments of a forward rule: operands before attributes, as both were declared."""
    count, names = len(operation.operands), [attribute.name for attribute in operation.attributes]

    def read(*arguments: Any) -> tuple[Sequence[Any], dict[str, Any]]:
        operands = arguments[0] if operation.variadic else arguments[:count]
        return operands, dict(zip(names, arguments[count:], strict=True))

    return read


def find(name: str) -> Operation | None:
    """Return the operation with that name or alias, or None."""
    return _by_alias.get(name)


def operation_of(name: str) -> Operation:
    """Return the operation with that name or alias; raises KeyError if there is none."""
    return _by_alias[name]


def operation_of_function(called: Rule) -> tuple[Operation, ArgumentReader] | None:
    """Return the operation that a function stands for when a rule is applied to symbols, and how to read its
    arguments."""
    return _by_function.get(called)


def operations() -> tuple[Operation, ...]:
    """Return the whole rulebook in the order of its definition."""
    return tuple(_by_name.values())
