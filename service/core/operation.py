"""What an operation is, and the registry of them: the rulebook's grammar. Its entries stand in `operations/`.

An operation is declared once, in plain NumPy, and read in three ways: over arrays, compiled by Numba over
scalars, and over symbols (`symbol.py`), since NumPy's functions dispatch on their arguments. A rule may therefore
use NumPy's universal functions, Python's operators and `select`, and no `if` on a value.

    forward(x, y, …, *attributes)               → z
    local_gradients(x, y, …, z, *attributes)    → (dz/dx, dz/dy, …), elementwise
    nondifferentiable(x, y, …, z, *attributes)  → where no derivative exists, a condition

An operation of one or more operands (Max, Sum …) is a `Fold`. One that is not elementwise gives, instead of local
gradients, its vector-Jacobian product:

    contributions(upstream, x, y, …, z, *attributes)  → (upstream · dz/dx, …)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from service.core.notation import Notation, function

Rule: TypeAlias = Callable[..., Any]
Shape: TypeAlias = tuple[int, ...]
Attributes: TypeAlias = Mapping[str, Any]

NO_ATTRIBUTES: Attributes = MappingProxyType({})
REALS = (-math.inf, math.inf)


def select(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y: the rulebook's only branch.

    `np.where` over arrays and symbols; compiled, a scalar branch (`kernel.py` overloads it). What an attribute decides
    (a Python bool) is decided at once.
    """
    if isinstance(condition, bool):
        return x if condition else y
    return np.where(condition, x, y)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named parameter of an operation that is not an operand: no gradient flows to it.

    `read` turns a JSON value into the canonical one and raises ValueError, saying what was expected.
    """

    name: str
    read: Callable[[object], Any]
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """An operation of one or more operands: `step` over them from left to right, then `finish`.

    step(accumulated, x), finish(accumulated, count); the local gradient of each operand is
    local_gradient(x, z, count, total), where total is the sum of tally(x, z) over all operands.
    """

    step: Rule
    local_gradient: Rule
    finish: Rule = lambda accumulated, count: accumulated
    tally: Rule = lambda x, z: 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One entry of the rulebook; `domain` holds, for each operand, the open interval in which it is real and finite."""

    name: str
    operands: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    forward: Rule
    local_gradients: Rule | None
    contributions: Rule | None
    nondifferentiable: Rule | None
    fold: Fold | None
    infer_shape: Callable[..., Shape]
    domain: tuple[tuple[float, float], ...]
    analytic: bool
    convention: str | None
    aliases: tuple[str, ...]
    notation: Notation
    rules: tuple[str, ...]
    beside_constants: tuple[str, ...]

    @property
    def least_inputs(self) -> int:
        """The least number of inputs."""
        return len(self.operands)

    @property
    def most_inputs(self) -> int | None:
        """The greatest number of inputs; None where there is no bound."""
        return None if self.fold else len(self.operands)

    def rule_name(self, slot: int, beside_constants: bool = False) -> str:
        """What the rule is called by which the operand at `slot` gets its local gradient, all others being Constants
        or not: sum, product, power, chain …"""
        names = self.beside_constants if beside_constants else self.rules
        return names[slot if len(names) > 1 else 0]

    def evaluate(self, operands: Sequence[Any], attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """The value of the operation at its operands: arrays, scalars or symbols."""
        if self.fold:
            return self.fold.finish(reduce(self.fold.step, operands), len(operands))
        return self.forward(*operands, *attributes.values())

    def differentiate(self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """The local gradients of an elementwise operation, one for each operand, broadcastable to the value's shape."""
        if self.fold:
            fold, count = self.fold, len(operands)
            total = reduce(np.add, [fold.tally(x, value) for x in operands])
            return tuple(fold.local_gradient(x, value, count, total) for x in operands)
        assert self.local_gradients is not None, self.name
        return self.local_gradients(*operands, value, *attributes.values())

    def is_nondifferentiable(self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """Where, elementwise, no derivative exists at these operands; False where there is always one."""
        if self.nondifferentiable is None:
            return False
        if self.fold:
            return self.nondifferentiable(reduce(np.add, [self.fold.tally(x, value) for x in operands]))
        return self.nondifferentiable(*operands, value, *attributes.values())


def broadcast_shape(shapes: Sequence[Shape], attributes: Attributes = NO_ATTRIBUTES) -> Shape:
    """The shape of an elementwise operation's value; raises ValueError where the shapes do not broadcast."""
    return np.broadcast_shapes(*shapes)


_by_name: dict[str, Operation] = {}
_by_alias: dict[str, Operation] = {}
_by_ufunc: dict[np.ufunc, Operation] = {}


def define(
    name: str,
    operands: str = "",
    *,
    forward: Rule | None = None,
    local_gradients: Rule | None = None,
    contributions: Rule | None = None,
    nondifferentiable: Rule | None = None,
    fold: Fold | None = None,
    attributes: Sequence[Attribute] = (),
    infer_shape: Callable[..., Shape] = broadcast_shape,
    domain: Sequence[tuple[float, float]] | None = None,
    analytic: bool = True,
    convention: str | None = None,
    aliases: Sequence[str] = (),
    notation: Notation | None = None,
    ufunc: np.ufunc | None = None,
    rule: str = "chain",
    beside_constants: str | None = None,
) -> Operation:
    """Enter one operation in the rulebook and return it.

    `operands` names them, parted by blanks. `analytic` says that the rule itself is an analytic function of its
    operands, so that a complex step may differentiate it. `convention` says in words what is returned where no
    derivative exists. `ufunc` is the NumPy function that stands for this operation when a rule is applied to symbols;
    a forward rule that is one itself need not repeat it. `rule` is what people call the rule of differentiation, and
    `beside_constants` what they call it where all other operands are Constants; "power, exponential" where they call
    it one thing for the first operand and another for the second. Each name in lower case is an alias, save `sum`,
    which is ReduceSum's.
    """
    names = tuple(operands.split())
    spelled = function(aliases[0] if aliases and aliases[0].isidentifier() else name.lower())
    operation = Operation(
        name=name,
        operands=names,
        attributes=tuple(attributes),
        forward=forward or _no_rule,
        local_gradients=local_gradients,
        contributions=contributions,
        nondifferentiable=nondifferentiable,
        fold=fold,
        infer_shape=infer_shape,
        domain=tuple(domain) if domain else (REALS,) * len(names),
        analytic=analytic,
        convention=convention,
        aliases=tuple(dict.fromkeys([*([] if name == "Sum" else [name.lower()]), *aliases])),
        notation=notation if notation and notation.mathml else replace(notation or spelled, mathml=spelled.mathml),
        rules=tuple(rule.split(", ")),
        beside_constants=tuple((beside_constants or rule).split(", ")),
    )
    if (nondifferentiable is None) != (convention is None):
        raise ValueError(f"{name}: a rule for kinks and the convention at them go together")
    known_as = (name, *operation.aliases)
    for taken in filter(_by_alias.__contains__, known_as):
        raise ValueError(f"{taken} already stands for {_by_alias[taken].name}")
    _by_alias.update(dict.fromkeys(known_as, operation))
    _by_name[name] = operation
    for function_of_rules in (forward, ufunc):
        if isinstance(function_of_rules, np.ufunc):
            _by_ufunc.setdefault(function_of_rules, operation)
    return operation


def _no_rule(*operands: Any) -> Any:
    raise TypeError("Input and Constant have no rule: their values are given")


def find(name: str) -> Operation | None:
    """The operation of that name or alias, or None."""
    return _by_alias.get(name)


def of_ufunc(ufunc: np.ufunc) -> Operation:
    """The operation that a NumPy function stands for when a rule is applied to symbols; KeyError if there is none."""
    return _by_ufunc[ufunc]


def operations() -> tuple[Operation, ...]:
    """The whole rulebook, in the order of its declaration."""
    return tuple(_by_name.values())


def number(value: object) -> float:
    """Read an attribute that is a number; the strings NaN, Infinity and -Infinity are numbers too."""
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a number is expected")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("the number is out of float64's range") from None


@dataclass(frozen=True, slots=True)
class OneOf:
    """Read an attribute that is one of some words."""

    words: tuple[str, ...]

    def __call__(self, value: object) -> str:
        """The word; raises ValueError where it is none of them."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"one of {', '.join(map(repr, self.words))} is expected")
        return value
