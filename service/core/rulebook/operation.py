"""What an operation is. `registry.py` holds those there are; `operations/` defines them.

An operation is defined once, in plain NumPy, and read in three ways: over arrays, compiled by Numba over scalars, and
over symbols (`symbolic/term.py`), since NumPy's functions dispatch on their arguments. A rule may therefore use NumPy's
universal functions, Python's operators and the functions of `primitives.py`, and no `if` on a value.

    forward(x, y, …, *attributes)               → z
    local_gradients(x, y, …, z, *attributes)    → (dz/dx, dz/dy, …), elementwise

An operation of one or more operands (Max, Sum …) is a `Fold`. One that is not elementwise has, instead of local
gradients, its vector-Jacobian product, each contribution of its operand's shape:

    contributions(upstream, x, y, …, z, *attributes)  → (upstream · dz/dx, …)
    infer_shape(shapes, attributes)                   → the shape of z; ValueError where the shapes do not fit

None among the contributions stands for an operand to which no gradient flows (an index). An operand that was left out
is None in `forward` and in `contributions`, and its contribution is dropped. An operation of any number of operands
that is no fold (Concat) gets them as one tuple and returns one contribution for each. The operations SumTo, ExpandTo
and ReshapeTo take a shape from a node, so that a rule that needs one can be applied to symbols, which have none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.notation import Notation
from service.core.rulebook.signature import Signature
from service.core.rulebook.work import (
    PROPORTIONAL,
    Work,
    Workload,
    of_elementwise_value,
    of_local_gradients,
    of_slopes_of_ufunc,
    of_tensor_contributions,
    of_tensor_value,
    of_ufunc,
)

Rule: TypeAlias = Callable[..., Any]
ShapeRule: TypeAlias = Callable[[Sequence[Shape], Mapping[str, Any]], Shape]
Attributes: TypeAlias = Mapping[str, Any]

NO_ATTRIBUTES: Attributes = MappingProxyType({})

# Whose choice is returned where no derivative exists: ours, which the rules make, or another library's.
MINIMUM_NORM = "minimum-norm"
CONVENTIONS = (MINIMUM_NORM, "torch", "jax", "tensorflow")
LIBRARIES = MappingProxyType({"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow"})  # as people call them


@dataclass(frozen=True, slots=True)
class Fold:
    """An operation of one or more operands, such as Max: `step` over them from left to right, then `finish`.

    step(accumulated, x), finish(accumulated, count); the local gradient of each operand is
    local_gradient(x, z, count, total), where total is the sum of tally(x, z) over all operands.
    """

    step: Rule
    local_gradient: Rule
    finish: Rule = lambda accumulated, count: accumulated
    tally: Rule = lambda x, z: 0.0


@dataclass(frozen=True, slots=True)
class Kinks:
    """Where no derivative exists, and what is returned there.

    where(x, y, …, z, *attributes) is the condition; of a fold, where(total). `returned` says in words what the rules
    return. `conventions` holds, for each library that returns something else, its local gradients or contributions;
    `alternatives`, for each library with a second function for the operation, those of that one.
    Of an operation that is not elementwise one_sided(x, y, …, z, *attributes) gives for each operand the derivatives of
    the sum of all elements of z by each element alone, from below and from above.
    """

    where: Rule
    returned: str
    conventions: Mapping[str, Rule] = field(default_factory=dict)
    alternatives: Mapping[str, Rule] = field(default_factory=dict)
    one_sided: Rule | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """Along which edges nothing flows back: where the operation does not change if that operand alone moves a little.

    Of an elementwise operation where(x, y, …, z, *attributes) is one condition for each operand; of a fold where(x, z)
    is that of any operand. Of another operation passing(upstream, x, y, …, z, *attributes) gives for each operand, as
    its contributions do, a positive number at the elements to which any of `upstream`, ones and zeros, flows; without
    it, as where some elements are left out, that is found by a probe (`execution/closed_edges.py`). No edge is closed
    by an operand that is NaN.

    The libraries `multiplied_by` multiply by the local gradient 0 there, the others put 0 in its place; those in
    `cut_by` never propagate further back along the edge, even at a jump.
    """

    where: Rule | None = None
    passing: Rule | None = None
    multiplied_by: tuple[str, ...] = ()
    cut_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rounding:
    """The magnitudes of the terms that were rounded on the way to a value and to the contributions.

    What rounding may do to a value is measured by Σ|local gradient × operand|, to a contribution by Σ|terms|. Both
    follow from the rules of a linear operation of positive weights, which gives none of its own; else |value| and
    |contribution| are taken, and these are added:

        value(x, y, …, z, *attributes)                    → of the shape of z
        contributions(upstream, x, y, …, z, *attributes)  → one for each operand

    In bfloat16 and float16 libraries also round what they keep on the way: kept(x, y, …, z, *attributes) is the sum of
    the magnitudes of such results, each times its effect on the value. `in_parts` says that the contribution to an
    element is a sum of rounded parts, as where windows overlap. `exact` says that nothing is rounded on the way to the
    value: it moves or chooses its operands' numbers, changes their signs, or is a whole number.
    """

    value: Rule | None = None
    contributions: Rule | None = None
    kept: Rule | None = None
    in_parts: bool = False
    exact: bool = False


DEFAULT_ROUNDING, EXACT = Rounding(), Rounding(exact=True)


@dataclass(frozen=True, slots=True, eq=False)
class Operation(Signature):
    """One entry of the rulebook.

    If `variadic`, a rule takes any number of operands as one tuple.
    `indices` marks the operands that are whole numbers: no gradient flows to them. `domain` holds for each operand the
    open interval in which the value is real and finite. If `analytic`, the forward rule is an analytic function, so
    that a complex step may differentiate it; if `linear`, the value is linear in each operand. `rules` are the names of
    the rules of differentiation, one for all operands or one for each, and `beside_constants` those where all other
    operands are Constants. The libraries `absorbed_by` put 0 wherever the upstream gradient is 0, however steep the
    operation is. `work` says what the rules take where that is not proportional to operands and value.
    """

    forward: Rule
    local_gradients: Rule | None
    contributions: Rule | None
    fold: Fold | None
    infer_shape: ShapeRule
    kinks: Kinks | None
    closed: Closed | None
    domain: tuple[tuple[float, float], ...]
    analytic: bool
    aliases: tuple[str, ...]
    notation: Notation
    rules: tuple[str, ...]
    beside_constants: tuple[str, ...]
    indices: tuple[bool, ...]
    linear: bool
    rounding: Rounding
    absorbed_by: tuple[str, ...] = ()
    work: Workload = PROPORTIONAL
    declared: "Operation | None" = None  # for a copy with another library's convention: the operation in the rulebook

    @property
    def conventions(self) -> Mapping[str, Rule]:
        """The gradient rule of each library that chooses otherwise where no derivative exists."""
        return self.kinks.conventions if self.kinks else {}

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
    def most_inputs(self) -> int | None:
        """The greatest number of inputs; None where there is no bound."""
        return None if self.fold or self.variadic else len(self.operands)

    def arguments(self, operands: Sequence[Any]) -> Sequence[Any]:
        """Arrange the operands as a rule takes them: as one tuple if variadic, with None for each that was left out."""
        if self.variadic:
            return (tuple(operands),)
        missing = len(self.operands) - len(operands)
        return (*operands, *[None] * missing) if missing else operands

    def rule_name(self, operand_index: int, beside_constants: bool = False) -> str:
        """The name of the rule that gives the operand its local gradient: sum, product, power, chain …"""
        names = self.beside_constants if beside_constants else self.rules
        return names[operand_index if len(names) > 1 else 0]

    def evaluate(self, operands: Sequence[Any], attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """Apply the forward rule to arrays, scalars or symbols."""
        if self.fold:
            return self.fold.finish(reduce(self.fold.step, operands), len(operands))
        return self.forward(*self.arguments(operands), *attributes.values())

    def differentiate(self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """Return the local gradients of an elementwise operation, one for each operand, broadcastable to the value."""
        if self.local_gradients is None and self.fold:
            fold, count = self.fold, len(operands)
            total = reduce(np.add, [fold.tally(x, value) for x in operands])
            return tuple(fold.local_gradient(x, value, count, total) for x in operands)
        assert self.local_gradients is not None, self.name
        return self.local_gradients(*operands, value, *attributes.values())

    def propagate(
        self, upstream: Any, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES
    ) -> Sequence[Any]:
        """Return the vector-Jacobian product of an operation that is not elementwise: a contribution or None for each
        operand."""
        assert self.contributions is not None, self.name
        given = self.contributions(upstream, *self.arguments(operands), value, *attributes.values())
        return tuple(given[: len(operands)])

    def work_of_value(self, shapes: Sequence[Shape], shape: Shape, attributes: Attributes = NO_ATTRIBUTES) -> Work:
        """Estimate what the forward rule takes at operands of these shapes; `shape` is the value's."""
        rule = self.work.value or of_tensor_value
        if self.is_elementwise:
            rule = of_ufunc if self._is_ufunc else of_elementwise_value
        return rule(shapes, shape, attributes)

    def work_of_contributions(
        self, shapes: Sequence[Shape], shape: Shape, attributes: Attributes = NO_ATTRIBUTES
    ) -> Work:
        """Estimate what the local gradients or the vector-Jacobian product take, with the contributions."""
        rule = self.work.contributions or of_tensor_contributions
        if self.is_elementwise:
            rule = of_slopes_of_ufunc if self._is_ufunc else of_local_gradients
        return rule(shapes, shape, attributes)

    @property
    def _is_ufunc(self) -> bool:
        """Whether the forward rule is one function of NumPy's, or applies one to each operand in turn."""
        return self.fold is not None or isinstance(self.forward, np.ufunc)

    def with_convention(self, convention: str, alternative: bool = False) -> "Operation":
        """This operation with the gradient rule of one of CONVENTIONS; itself where that library has no other.

        With `alternative`, the rule of the library's second function where it has one.
        """
        return _with_convention(self, convention, alternative)

    def closed_operands(
        self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES
    ) -> Sequence[Any] | None:
        """Say for each operand of an elementwise operation where its edge is closed; None if no edge ever is."""
        if self.closed is None or self.closed.where is None:
            return None
        if self.fold:
            return tuple(self.closed.where(x, value) for x in operands)
        conditions: Sequence[Any] = self.closed.where(*operands, value, *attributes.values())
        return conditions

    def is_nondifferentiable(self, operands: Sequence[Any], value: Any, attributes: Attributes = NO_ATTRIBUTES) -> Any:
        """Say where, elementwise, no derivative exists at these operands; False if one exists everywhere."""
        if self.kinks is None:
            return False
        if self.fold:
            return self.kinks.where(reduce(np.add, [self.fold.tally(x, value) for x in operands]))
        return self.kinks.where(*self.arguments(operands), value, *attributes.values())


@cache
def _with_convention(operation: Operation, convention: str, alternative: bool) -> Operation:
    declared = operation.declared or operation
    rule = declared.conventions.get(convention)
    if alternative and declared.kinks:
        rule = declared.kinks.alternatives.get(convention, rule)
    if rule is None:
        return declared
    if not declared.is_elementwise:
        return replace(declared, declared=declared, contributions=rule)
    return replace(declared, declared=declared, local_gradients=rule)
