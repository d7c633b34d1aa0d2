"""What an operation is, and the registry of them: the rulebook's grammar. Its entries stand in `operations/`.

An operation is declared once, in plain NumPy, and read in three ways: over arrays, compiled by Numba over
scalars, and over symbols (`symbol.py`), since NumPy's functions dispatch on their arguments. A rule may therefore
use NumPy's universal functions, Python's operators and `select`, and no `if` on a value.

    forward(x, y, …, *attributes)               → z
    local_gradients(x, y, …, z, *attributes)    → (dz/dx, dz/dy, …), elementwise
    nondifferentiable(x, y, …, z, *attributes)  → where no derivative exists, a condition

An operation of one or more operands (Max, Sum …) is a `Fold`. One that is not elementwise gives, instead of local
gradients, its vector-Jacobian product, each contribution of its operand's shape:

    contributions(upstream, x, y, …, z, *attributes)  → (upstream · dz/dx, …)
    infer_shape(shapes, attributes)                   → the shape of z; ValueError where the shapes do not fit

None among the contributions stands for an operand to which no gradient flows (an index). An operand that was left out
is None in `forward` and in `contributions`, and its contribution is dropped; an operation of any number of operands
that is no fold (Concat) gets them as one tuple, and returns one contribution for each. The operations SumTo, ExpandTo
and ReshapeTo take a shape from a node, so that such a rule too can be applied to symbols, which have none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce, wraps
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.notation import Notation, function

Rule: TypeAlias = Callable[..., Any]
Attributes: TypeAlias = Mapping[str, Any]

NO_ATTRIBUTES: Attributes = MappingProxyType({})
REALS = (-math.inf, math.inf)

# Whose choice is returned where no derivative exists: ours, which the rules make, or another library's.
MINIMUM_NORM = "minimum-norm"
CONVENTIONS = (MINIMUM_NORM, "torch", "jax", "tensorflow")


def select(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y: the rulebook's only branch.

    `np.where` over arrays and symbols; compiled, a scalar branch (`scalar_rules.py` overloads it). What an
    attribute decides (a Python bool) is decided at once.
    """
    if isinstance(condition, bool):
        return x if condition else y
    return np.where(condition, x, y)


def is_traced(x: Any) -> bool:
    """Whether x is a symbol or a dual number, which NumPy's functions leave to answer for itself, and no figure."""
    return hasattr(x, "__array_function__") and not isinstance(x, np.ndarray)


def rulebook_function(rule: Rule) -> Rule:
    """Make a function of ours one that rules may call as they call NumPy's: given a symbol, it is the symbol that
    answers (NEP 18). It is the forward rule of the operation that it stands for."""

    @wraps(rule)
    def called(*arguments: Any) -> Any:
        for argument in (*arguments, *(arguments[0] if isinstance(arguments[0], tuple) else ())):
            if is_traced(argument):
                return argument.__array_function__(called, (type(argument),), arguments, {})
        return rule(*arguments)

    _rulebook_functions.add(called)
    return called


_rulebook_functions: set[Rule] = set()


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
    """One entry of the rulebook; `domain` holds, for each operand, the open interval in which it is real and finite.

    The last `optional` operands may be left out. `variadic` says that a rule takes any number of them as one tuple,
    `indices` which of them are whole numbers that count something: no gradient flows to them.
    """

    name: str
    operands: tuple[str, ...]
    optional: int
    variadic: bool
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
    conventions: Mapping[str, Rule]
    aliases: tuple[str, ...]
    notation: Notation
    rules: tuple[str, ...]
    beside_constants: tuple[str, ...]
    indices: tuple[bool, ...]
    linear: bool
    magnitude: Rule | None
    contribution_magnitudes: Rule | None
    plain: "Operation | None" = None  # of another library's convention: the operation as it is declared

    @property
    def is_input(self) -> bool:
        """Whether it stands for a value that a run is given."""
        return self.name == "Input"

    @property
    def is_constant(self) -> bool:
        """Whether its value is an attribute."""
        return self.name == "Constant"

    @property
    def is_elementwise(self) -> bool:
        """Whether it has local gradients, element by element, rather than a vector-Jacobian product."""
        return self.contributions is None

    @property
    def least_inputs(self) -> int:
        """The least number of inputs."""
        return len(self.operands) - self.optional

    @property
    def most_inputs(self) -> int | None:
        """The greatest number of inputs; None where there is no bound."""
        return None if self.fold or self.variadic else len(self.operands)

    def arguments(self, operands: Sequence[Any]) -> Sequence[Any]:
        """The operands as a rule takes them: one tuple of any number, or None for each that was left out."""
        if self.variadic:
            return (tuple(operands),)
        missing = len(self.operands) - len(operands)
        return (*operands, *[None] * missing) if missing else operands

    def rule_name(self, operand_index: int, beside_constants: bool = False) -> str:
        """What the rule is called by which that operand gets its local gradient, all others being Constants or not:
        sum, product, power, chain …"""
        names = self.beside_constants if beside_constants else self.rules
        return names[operand_index if len(names) > 1 else 0]

    def evaluate(self, operands: Sequence[Any], attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """The value of the operation at its operands: arrays, scalars or symbols."""
        if self.fold:
            return self.fold.finish(reduce(self.fold.step, operands), len(operands))
        return self.forward(*self.arguments(operands), *attributes.values())

    def differentiate(self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """The local gradients of an elementwise operation, one for each operand, broadcastable to the value's shape."""
        if self.local_gradients is None and self.fold:
            fold, count = self.fold, len(operands)
            total = reduce(np.add, [fold.tally(x, value) for x in operands])
            return tuple(fold.local_gradient(x, value, count, total) for x in operands)
        assert self.local_gradients is not None, self.name
        return self.local_gradients(*operands, value, *attributes.values())

    def propagate(
        self, upstream: Any, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES
    ) -> Sequence[Any]:
        """The vector-Jacobian product of an operation that is not elementwise: a contribution, or None, for each
        operand."""
        assert self.contributions is not None, self.name
        given = self.contributions(upstream, *self.arguments(operands), value, *attributes.values())
        return tuple(given[: len(operands)])

    def with_convention(self, convention: str) -> "Operation":
        """This operation as one of CONVENTIONS has it: another only where that library chooses otherwise at a kink."""
        return _with_convention(self, convention)

    def is_nondifferentiable(self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """Where, elementwise, no derivative exists at these operands; False where there is always one."""
        if self.nondifferentiable is None:
            return False
        if self.fold:
            return self.nondifferentiable(reduce(np.add, [self.fold.tally(x, value) for x in operands]))
        return self.nondifferentiable(*self.arguments(operands), value, *attributes.values())


@cache
def _with_convention(operation: Operation, convention: str) -> Operation:
    plain = operation.plain or operation
    rule = plain.conventions.get(convention)
    if rule is None:
        return plain
    if not plain.is_elementwise:
        return replace(plain, plain=plain, contributions=rule)
    return replace(plain, plain=plain, local_gradients=rule)


def broadcast_shape(shapes: Sequence[Shape], attributes: Attributes = NO_ATTRIBUTES) -> Shape:
    """The shape of an elementwise operation's value; raises ValueError where the shapes do not broadcast."""
    return np.broadcast_shapes(*shapes)


def sum_to_shape(array: Any, shape: Shape) -> Any:
    """Undo broadcasting: sum over the axes along which an operand of `shape` was repeated."""
    if np.shape(array) == shape:
        return array
    added = np.ndim(array) - len(shape)
    stretched = [added + axis for axis, length in enumerate(shape) if length == 1 and array.shape[added + axis] != 1]
    return array.sum(axis=(*range(added), *stretched)).reshape(shape)


# From the arguments of a function: the operands, and the attributes by name, of the operation that it stands for.
Reading: TypeAlias = Callable[..., tuple[Sequence[Any], dict[str, Any]]]


def operands_only(*arguments: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    """The reading of a function whose arguments are all operands."""
    return arguments, {}


_by_name: dict[str, Operation] = {}
_by_alias: dict[str, Operation] = {}
_by_function: dict[Rule, tuple[Operation, Reading]] = {}


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
    conventions: Mapping[str, Rule] = MappingProxyType({}),
    aliases: Sequence[str] = (),
    notation: Notation | None = None,
    symbolic: Mapping[Rule, Reading] | None = None,
    rule: str = "chain",
    beside_constants: str | None = None,
    indices: Sequence[str] = (),
    linear: bool = False,
    magnitude: Rule | None = None,
    contribution_magnitudes: Rule | None = None,
) -> Operation:
    """Enter one operation in the rulebook and return it.

    `operands` names them, parted by blanks: `x bias?` may do without the bias, `*x` takes any number as one tuple;
    of a fold any number goes without saying. `analytic` says that the rule itself is an analytic function of its
    operands, so that a complex step may differentiate it. `convention` says in words what is returned where no
    derivative exists; `conventions` holds, for each library that chooses otherwise there, the rule with its choice.
    `symbolic` holds the functions of NumPy that stand for this operation when a rule is applied to symbols, each with a
    reading of its arguments; a forward rule that is a ufunc, or a `rulebook_function`, stands for its operation without
    being listed. `rule` is what people call the rule of differentiation, and `beside_constants`
    what they call it where all other operands are Constants; "power, exponential" where they call it one thing for the
    first operand and another for the second. `indices` names the operands that are whole numbers. Each name in lower
    case is an alias, save `sum`, which is ReduceSum's.

    What rounding may do to a figure is measured by Σ|local × input| for a value, by Σ|terms| for a contribution. Where
    the operation is `linear` in each of its operands both follow from its rules at the magnitudes of what they are
    given. Else |value| and |contribution| are taken, and what these two say is added:
    magnitude(x, y, …, z, *attributes), contribution_magnitudes(upstream, x, y, …, z, *attributes).
    """
    names = tuple(operand.strip("*?") for operand in operands.split())
    spelled = function(aliases[0] if aliases and aliases[0].isidentifier() else name.lower())
    operation = Operation(
        name=name,
        operands=names,
        optional=operands.count("?"),
        variadic="*" in operands,
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
        conventions=MappingProxyType(dict(conventions)),
        aliases=tuple(dict.fromkeys([*([] if name == "Sum" else [name.lower()]), *aliases])),
        notation=notation if notation and notation.mathml else replace(notation or spelled, mathml=spelled.mathml),
        rules=tuple(rule.split(", ")),
        beside_constants=tuple((beside_constants or rule).split(", ")),
        indices=tuple(operand in indices for operand in names),
        linear=linear,
        magnitude=magnitude,
        contribution_magnitudes=contribution_magnitudes,
    )
    if (nondifferentiable is None) != (convention is None):
        raise ValueError(f"{name}: a rule for kinks and the convention at them go together")
    known_as = (name, *operation.aliases)
    for taken in filter(_by_alias.__contains__, known_as):
        raise ValueError(f"{taken} already stands for {_by_alias[taken].name}")
    _by_alias.update(dict.fromkeys(known_as, operation))
    _by_name[name] = operation
    if isinstance(forward, np.ufunc) or forward in _rulebook_functions:
        _by_function.setdefault(operation.forward, (operation, _as_declared(operation)))
    _by_function.update({called: (operation, reading) for called, reading in (symbolic or {}).items()})
    return operation


def _no_rule(*operands: Any) -> Any:
    raise TypeError("an Input has no rule: its value is given")


def _as_declared(operation: Operation) -> Reading:
    """The reading of a forward rule's arguments: operands before attributes, as both were declared."""
    count, names = len(operation.operands), [attribute.name for attribute in operation.attributes]

    def read(*arguments: Any) -> tuple[Sequence[Any], dict[str, Any]]:
        operands = arguments[0] if operation.variadic else arguments[:count]
        return operands, dict(zip(names, arguments[count:], strict=True))

    return read


def find(name: str) -> Operation | None:
    """The operation of that name or alias, or None."""
    return _by_alias.get(name)


def operation_of(name: str) -> Operation:
    """The operation of a name or alias that there is; KeyError for another."""
    return _by_alias[name]


def of_function(called: Rule) -> tuple[Operation, Reading] | None:
    """The operation that a function stands for when a rule is applied to symbols, and how to read its arguments."""
    return _by_function.get(called)


def operations() -> tuple[Operation, ...]:
    """The whole rulebook, in the order of its declaration."""
    return tuple(_by_name.values())
