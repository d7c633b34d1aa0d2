"""What a primitive of JAX is in the operations of a graph: terms, which the recorder makes nodes of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from service.recorders.jax.program import Slot


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """An operation of slots, numbers, arrays and other results."""

    operation: str
    operands: "tuple[Operand, ...]"
    attributes: Mapping[str, Any]


Operand: TypeAlias = Slot | Applied | float | np.ndarray


class NoOperation(Exception):
    """There are no operations for this step; the message says why."""


def apply(operation: str, *operands: Operand, **attributes: Any) -> Applied:
    """An operation of operands; attributes that are None are left out."""
    return Applied(operation, operands, {name: value for name, value in attributes.items() if value is not None})


def reshape(x: Operand, shape: Any) -> Applied:
    """The same elements in another shape."""
    return apply("Reshape", x, shape=[int(length) for length in shape])


def transpose(x: Operand, axes: Any) -> Operand:
    """The axes in another order."""
    axes = [int(axis) for axis in axes]
    return x if axes == sorted(axes) else apply("Transpose", x, perm=axes)


def number(slot: Slot) -> float | None:
    """The value of a scalar that depends on no argument; None of any other slot."""
    return float(np.asarray(slot.value)) if slot.fixed and slot.shape == () else None


def slots_of(term: Operand) -> Iterator[Slot]:
    """The slots that a term is computed from."""
    if isinstance(term, Slot):
        yield term
    elif isinstance(term, Applied):
        for operand in term.operands:
            yield from slots_of(operand)
