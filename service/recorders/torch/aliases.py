"""Views: tensors that share their numbers, so that a change of one in place changes the others."""

from typing import Any

import torch

from service.recorders.torch.call import Operand, TorchCall, Unmapped


def base_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The tensor that this one is a view of, if it is one."""
    with torch._C.DisableTorchFunction():
        return tensor._base if tensor._is_view() else None


def view_of(call: TorchCall, base: Operand, view: torch.Tensor) -> Operand:
    """The elements of the base that the view shows."""
    return pick(call, base, _positions(base.known, view))


def put_back(call: TorchCall, base: Operand, view: torch.Tensor, changed: Operand) -> Operand:
    """The base after a view of it has changed."""
    return place(call, base, _positions(base.known, view), changed)


def pick(call: TorchCall, x: Operand, positions: torch.Tensor) -> Operand:
    """The elements of x at these positions, counted through all its axes."""
    flat = call.add("Reshape", x, shape=[-1])
    return call.add("Gather", flat, positions, axis=0)


def place(call: TorchCall, x: Operand, positions: torch.Tensor, updates: Operand) -> Operand:
    """x with these elements in its own positions."""
    flat, new = call.add("Reshape", x, shape=[-1]), call.add("Reshape", updates, shape=[-1])
    written = call.add("ScatterElements", flat, positions.reshape(-1), new, axis=0)
    return call.add("Reshape", written, shape=list(x.shape))


def _positions(base: torch.Tensor, view: torch.Tensor) -> torch.Tensor:
    """Where the elements of a view stand in its base, counted through the base's axes."""
    if base.dtype != view.dtype:
        raise Unmapped("a view in another dtype")
    with torch._C.DisableTorchFunction(), torch.no_grad():
        offset = base.storage_offset()
        extent = 1 + max(_last(base), _last(view) + view.storage_offset() - offset)
        stored = torch.arange(extent)
        standing = torch.full((extent,), -1)
        standing[stored.as_strided(base.size(), base.stride()).reshape(-1)] = torch.arange(base.numel())
        shown: Any = stored.as_strided(view.size(), view.stride(), view.storage_offset() - offset)
        return standing[shown]


def _last(tensor: torch.Tensor) -> int:
    return sum((length - 1) * stride for length, stride in zip(tensor.size(), tensor.stride(), strict=True))
