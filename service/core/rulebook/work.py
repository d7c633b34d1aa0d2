"""What a rule takes, from shapes alone: in the rulebook where it is more than its operands and its result suggest."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple, TypeAlias

from service.core.figures.figures import Shape

# Calling a rule on arrays, with what the passes do around it: 5 to 10 µs.
CALL = 8000.0
# For each element: a sum takes 1 or 2, exp 12, softplus 60; and as much by its contributions.
_UFUNC, _RULE, _TENSOR = 10.0, 40.0, 8.0


class Work(NamedTuple):
    """`operations`, each as long as an addition, and `elements`, the most numbers at once beside operands and value."""

    operations: float
    elements: float


# Large elementwise operands are taken so many numbers at a time: a rule's ten or twenty arrays of that length fit in a
# second-level cache, and a call of NumPy's is short beside the arithmetic on one of them.
BLOCK = 16 * 1024


def is_in_blocks(shapes: Sequence[Shape]) -> bool:
    """Whether an elementwise rule is applied block by block: where all that are no numbers have one large shape."""
    several = {*shapes} - {()}
    return len(several) == 1 and prod(*several) >= 2 * BLOCK


# Of operands of these shapes and a value of that one, with these attributes.
WorkRule: TypeAlias = Callable[[Sequence[Shape], Shape, Mapping[str, Any]], Work]


@dataclass(frozen=True, slots=True)
class Workload:
    """What the forward rule takes, and what the contributions take, which count among their elements.

    None where it is proportional to the elements of the operands and the value.
    """

    value: WorkRule | None = None
    contributions: WorkRule | None = None


PROPORTIONAL = Workload()


def of_ufunc(shapes: Sequence[Shape], shape: Shape, attributes: Mapping[str, Any]) -> Work:
    """Of a forward rule that is one function of NumPy's, or applies one to each operand in turn."""
    size = prod(shape)
    return Work(CALL + _UFUNC * size * max(1, len(shapes) - 1), 2.0 * size)


def of_elementwise_value(shapes: Sequence[Shape], shape: Shape, attributes: Mapping[str, Any]) -> Work:
    """Of an elementwise forward rule of several functions: tanh-gelu's, the longest, holds 16 arrays at once."""
    size = prod(shape)
    return Work(2.0 * CALL + _RULE * size, size + 15.0 * (BLOCK if is_in_blocks(shapes) else size))


def of_slopes_of_ufunc(shapes: Sequence[Shape], shape: Shape, attributes: Mapping[str, Any]) -> Work:
    """Of the local gradients of one function of NumPy's, all at once, each times the upstream gradient."""
    size = prod(shape)
    return Work(2.0 * CALL + _UFUNC * size * len(shapes), (2.0 * len(shapes) + 4.0) * size)


def of_local_gradients(shapes: Sequence[Shape], shape: Shape, attributes: Mapping[str, Any]) -> Work:
    """Of the local gradients of several functions: tanh-gelu's hold 17 arrays, whole ones where a NaN is met."""
    size = prod(shape)
    return Work(2.0 * CALL + _RULE * size * len(shapes), (2.0 * len(shapes) + 16.0) * size)


def of_tensor_value(shapes: Sequence[Shape], shape: Shape, attributes: Mapping[str, Any]) -> Work:
    """Of a forward rule that reads each operand a few times."""
    sizes = [*map(prod, shapes), prod(shape)]
    return Work(CALL + _TENSOR * sum(sizes), 3.0 * max(sizes))


def of_tensor_contributions(shapes: Sequence[Shape], shape: Shape, attributes: Mapping[str, Any]) -> Work:
    """Of contributions that read each operand a few times."""
    sizes = [*map(prod, shapes), prod(shape)]
    return Work(2.0 * CALL + _TENSOR * sum(sizes), 5.0 * max(sizes) + sum(sizes[:-1]))
