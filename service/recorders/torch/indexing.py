"""What PyTorch takes out by an index and writes back by one. An index is what it was when the program ran."""

from collections.abc import Sequence
from typing import Any

import torch

from service.recorders.torch.aliases import pick, place
from service.recorders.torch.call import Operand, TorchCall, Unmapped, maps


@maps("getitem")
def getitem(call: TorchCall, input: Any, index: Any) -> Operand:
    """Slices and numbers are a Slice; one tensor of whole numbers on its axis, beside full slices, a Gather."""
    parts = _spelled_out(index, input.ndim)
    if any(isinstance(part, list) for part in parts):
        return pick(call, input, _positions(input, index))
    if all(isinstance(part, int | slice) or part is None for part in parts):
        return _sliced(call, input, [part for part in parts if part is not None])
    tensors = [axis for axis, part in enumerate(parts) if isinstance(part, Operand)]
    others = [part for part in parts if not isinstance(part, Operand)]
    if len(tensors) == 1 and not _is_mask(parts[tensors[0]]) and all(part == slice(None) for part in others):
        return call.add("Gather", input, parts[tensors[0]], axis=tensors[0])
    return pick(call, input, _positions(input, index))


@maps("setitem")
def setitem(call: TorchCall, input: Any, index: Any, value: Any) -> Operand:
    return _written(call, input, index, value)


def _sliced(call: TorchCall, x: Operand, parts: list[Any]) -> Operand:
    ranges = [
        (axis, *(part.indices(x.shape[axis]) if isinstance(part, slice) else _one(part, x.shape[axis])))
        for axis, part in enumerate(parts)
        if part != slice(None)
    ]
    if ranges:
        axes, starts, ends, steps = (list(each) for each in zip(*ranges, strict=True))
        x = call.add("Slice", x, starts=starts, ends=ends, axes=axes, **({} if {*steps} == {1} else {"steps": steps}))
    if len(parts) == call.result.ndim and all(isinstance(part, slice) for part in parts) and ranges:
        return x
    return call.add("Reshape", x, shape=call.shape)


def _one(index: int, length: int) -> tuple[int, int, int]:
    at = index % length
    return at, at + 1, 1


def _spelled_out(index: Any, ndim: int) -> list[Any]:
    """The parts of an index, with a full slice for each axis that it leaves out."""
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(part.ndim if _is_mask(part) else 1 for part in parts if part is not None and part is not Ellipsis)
    rest = [slice(None)] * (ndim - taken)
    at = next((place for place, part in enumerate(parts) if part is Ellipsis), None)
    return [*parts, *rest] if at is None else [*parts[:at], *rest, *parts[at + 1 :]]


def _is_mask(part: Any) -> bool:
    return isinstance(part, Operand) and part.known.dtype == torch.bool


def _positions(x: Operand, index: Any) -> torch.Tensor:
    """Where the elements stand that an index names, counted through all axes."""
    with torch._C.DisableTorchFunction(), torch.no_grad():
        numbered = torch.arange(x.known.numel()).reshape(x.shape)
        return numbered[_tensors_of(index)]


def _tensors_of(index: Any) -> Any:
    if isinstance(index, tuple | list):
        return type(index)(_tensors_of(each) for each in index)
    return index.known.detach().cpu() if isinstance(index, Operand) else index


@maps("gather")
def gather(call: TorchCall, input: Any, dim: int, index: Any, **_: Any) -> Operand:
    if any(index.shape[axis] != length for axis, length in enumerate(input.shape) if axis != dim % input.ndim):
        with torch._C.DisableTorchFunction():
            numbered = torch.arange(input.known.numel()).reshape(input.shape)
            return pick(call, input, numbered.gather(dim, index.known.cpu()))
    return call.add("GatherElements", input, index, axis=dim)


@maps("index_select")
def index_select(call: TorchCall, input: Any, dim: int, index: Any) -> Operand:
    return call.add("Gather", input, index, axis=dim)


@maps("take_along_dim")
def take_along_dim(call: TorchCall, input: Any, indices: Any, dim: int) -> Operand:
    return gather(call, input, dim, indices)


@maps("embedding")
def embedding(
    call: TorchCall,
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Operand:
    if max_norm is not None or scale_grad_by_freq:
        raise Unmapped("an embedding that scales its weight or its gradient")
    if padding_idx is None or not bool((input.known == padding_idx % weight.shape[0]).any()):
        return call.add("Gather", weight, input, axis=0)
    # No gradient flows to the row of the padding.
    with torch._C.DisableTorchFunction():
        is_padding = (torch.arange(weight.shape[0]) == padding_idx % weight.shape[0]).unsqueeze(1)
    kept = call.add("Where", is_padding, call.add("StopGradient", weight), weight)
    return call.add("Gather", kept, input, axis=0)


# What a reduction of other numbers does not change.
_NEUTRAL = {"none": 0.0, "add": 0.0, "mul": 1.0, "max": float("-inf"), "min": float("inf")}


@maps("scatter", "scatter_add", "scatter_reduce")
def scatter(call: TorchCall, input: Any, dim: int, index: Any, src: Any = None, *given: Any, **named: Any) -> Operand:
    reduction = {"": "none", "add": "add", "sum": "add", "multiply": "mul", "prod": "mul", "amax": "max", "amin": "min"}
    src = named.get("value", src)
    wanted = str(given[0] if given else named.get("reduce", ""))
    if wanted not in reduction:
        raise Unmapped(f"it scatters by {wanted}")
    if not named.get("include_self", True):
        with torch._C.DisableTorchFunction():
            is_met = torch.zeros(input.shape, dtype=torch.bool).scatter(dim, index.known.cpu(), True)
        input = call.add("Where", is_met, _NEUTRAL[reduction[wanted]], input)
    if not isinstance(src, Operand):
        src = call.add("Expand", src, shape=list(index.shape))
    elif src.shape != index.shape:
        raise Unmapped("there are more sources than indices")
    if call.name == "scatter_add":
        wanted = "add"
    return call.add("ScatterElements", input, index, src, axis=dim, reduction=reduction[wanted])


@maps("index_add")
def index_add(call: TorchCall, input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Operand:
    axis = dim % input.ndim
    shape = [-1 if each == axis else 1 for each in range(source.ndim)]
    indices = call.add("Expand", call.add("Reshape", index, shape=shape), shape=list(source.shape))
    updates = source if alpha == 1 else call.add("Mul", source, alpha)
    return call.add("ScatterElements", input, indices, updates, axis=axis, reduction="add")


@maps("index_copy", "index_fill")
def index_copy(call: TorchCall, input: Any, dim: int, index: Any, source: Any) -> Operand:
    return _written(call, input, (slice(None),) * (dim % input.ndim) + (index,), source)


@maps("select_scatter")
def select_scatter(call: TorchCall, input: Any, src: Any, dim: int, index: int) -> Operand:
    return _written(call, input, (slice(None),) * (dim % input.ndim) + (index,), src)


@maps("slice_scatter")
def slice_scatter(
    call: TorchCall, input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Operand:
    return _written(call, input, (slice(None),) * (dim % input.ndim) + (slice(start, end, step),), src)


@maps("masked_scatter")
def masked_scatter(call: TorchCall, input: Any, mask: Any, source: Any) -> Operand:
    positions = _positions(input, mask)
    flat = call.add("Reshape", source, shape=[-1])
    return place(call, input, positions, call.add("Slice", flat, starts=[0], ends=[len(positions)], axes=[0]))


def _written(call: TorchCall, x: Operand, index: Any, updates: Any) -> Operand:
    positions = _positions(x, index)
    return place(call, x, positions, call.add("Expand", updates, shape=list(positions.shape)))


@maps("masked_select")
def masked_select(call: TorchCall, input: Any, mask: Any) -> Operand:
    return pick(call, input, _positions(input, mask))


@maps("one_hot")
def one_hot(call: TorchCall, tensor: Any, num_classes: int = -1) -> Operand:
    return call.operand(call.result)


@maps("diagonal", "diag", "diag_embed", "diagflat", "unfold", "as_strided", "take", "rot90", "combinations")
def picked(call: TorchCall, input: Any, *given: Any, **named: Any) -> Operand:
    """What only moves elements, or puts 0 between them: it is seen from what it does to their numbers, from 1 on."""
    options = {name: _tensors_of(each) for name, each in named.items()}
    chosen = call.again(_numbered(input.shape), *_tensors_of(given), **options).long()
    if bool(chosen.all()):
        return pick(call, input, chosen - 1)
    flat = call.add("Reshape", input, shape=[-1])
    return call.add("Gather", call.add("Pad", flat, pads=[1, 0]), chosen, axis=0)


@maps("fold")
def fold(call: TorchCall, input: Any, output_size: Any, *given: Any, **named: Any) -> Operand:
    """The adjoint of unfold: each element is added to where unfold takes it from."""
    with torch._C.DisableTorchFunction():
        to = torch.nn.functional.unfold(_numbered(call.result.shape), *given, **named).long().reshape(-1)
    count = call.result.numel()
    flat = call.add("Reshape", input, shape=[-1])
    total = call.add("ScatterElements", torch.zeros(1 + count), to, flat, axis=0, reduction="add")
    return call.add("Reshape", call.add("Slice", total, starts=[1], ends=[1 + count], axes=[0]), shape=call.shape)


def _numbered(shape: Sequence[int]) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        return torch.arange(1.0, 1 + torch.Size(shape).numel(), dtype=torch.float64).reshape(tuple(shape))
