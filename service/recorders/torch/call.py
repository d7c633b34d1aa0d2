"""What the tables are written in: `maps` enters a function of PyTorch's under its name, with the nodes that it is.

A function of a table has the parameters of PyTorch's own after the call; tensors among the arguments are Operands. It
returns the Operand of its result, or a tuple of those of its results. It raises `Unmapped` for what has no node.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch

from service.recorders.builder import Builder, Place

Mapped: TypeAlias = Callable[..., Any]
Function = TypeVar("Function", bound=Mapped)

FUNCTIONS: dict[str, Mapped] = {}


class Unmapped(Exception):
    """A call that no node of the rulebook stands for; the message says why."""


@dataclass(frozen=True, eq=False)
class Operand:
    """A node and the tensor whose value it is; None between the nodes of one call."""

    place: Place
    tensor: torch.Tensor | None = None

    @property
    def known(self) -> torch.Tensor:
        """The tensor of an argument."""
        assert self.tensor is not None
        return self.tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.known.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.tensor is None or self.tensor.is_floating_point()


@dataclass(frozen=True, eq=False)
class TorchCall:
    """One call of a function by its name: what came out, and the graph that its nodes are added to.

    `again` calls the function once more with other arguments, and with the random numbers that it drew.
    """

    builder: Builder
    name: str
    scope: str
    result: Any
    again: Callable[..., Any]

    @property
    def shape(self) -> list[int]:
        """The shape of the only result."""
        return list(self.result.shape)

    def add(self, operation: str, *inputs: Any, **attributes: Any) -> Operand:
        """Add a node. Inputs are Operands, numbers or tensors, which become Constants; None at the end is left out."""
        given = list(inputs)
        while given and given[-1] is None:
            given.pop()
        places = [self.operand(each).place for each in given]
        return Operand(self.builder.add(operation, places, self.scope + operation.lower(), **attributes))

    def operand(self, value: Any) -> Operand:
        """An Operand as it is; a number or a tensor as a Constant."""
        if isinstance(value, Operand):
            return value
        if isinstance(value, torch.Tensor):
            value = as_array(value)
        elif not isinstance(value, int | float):
            raise Unmapped(f"a {type(value).__name__} is no operand")
        return Operand(self.builder.constant(value))


def maps(*names: str) -> Callable[[Function], Function]:
    """Enter a function in the table under PyTorch's names for it, without underscores at either end."""

    def enter(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return enter


def as_array(tensor: torch.Tensor) -> Any:
    """A copy of a tensor's numbers: bfloat16 as float32, which holds it exactly, complex ones as pairs."""
    with torch._C.DisableTorchFunction():
        kept = tensor.detach().cpu().to_dense()
        if kept.is_complex():
            kept = torch.view_as_real(kept.resolve_conj())
        return (kept.float() if kept.dtype == torch.bfloat16 else kept).numpy(force=True).copy()


def dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def as_axes(dim: int | Sequence[int] | None, ndim: int) -> list[int]:
    """The axes that `dim` names, counted from the front; all, if it names none."""
    if dim is None or dim in ((), []):
        return list(range(ndim))
    return [axis % max(ndim, 1) for axis in ([dim] if isinstance(dim, int) else dim)]


def repeated(value: int | Sequence[int], count: int) -> list[int]:
    """A number for each of `count` axes: PyTorch takes one for all."""
    return [value] * count if isinstance(value, int) else list(value) * (count if len(value) == 1 else 1)


def listed(given: Sequence[Any]) -> list[Any]:
    """What PyTorch takes as so many arguments or as one sequence of them."""
    return list(given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given)
