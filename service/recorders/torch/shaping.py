"""What PyTorch rearranges: shapes, axes, parts."""

from collections.abc import Sequence
from typing import Any

from service.recorders.torch.call import Operand, TorchCall, Unmapped, listed, maps


@maps(
    "reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "ravel", "unsafe_view"
)
def reshape(call: TorchCall, input: Any, *_: Any, **__: Any) -> Operand:
    if input.known.dtype != call.result.dtype:
        raise Unmapped("the same bits as another dtype")
    return call.add("Reshape", input, shape=call.shape)


@maps("expand", "expand_as", "broadcast_to")
def expand(call: TorchCall, input: Any, *_: Any, **__: Any) -> Operand:
    return call.add("Expand", input, shape=call.shape)


@maps("permute")
def permute(call: TorchCall, input: Any, *dims: Any) -> Operand:
    return call.add("Transpose", input, perm=[dim % input.ndim for dim in listed(dims)])


@maps("transpose", "swapaxes", "swapdims")
def transpose(call: TorchCall, input: Any, dim0: int, dim1: int) -> Operand:
    perm = list(range(input.ndim))
    if perm:
        perm[dim0], perm[dim1] = perm[dim1], perm[dim0]
    return call.add("Transpose", input, perm=perm)


@maps("mT", "adjoint", "mH", "H")
def matrix_transpose(call: TorchCall, input: Any) -> Operand:
    return transpose(call, input, -1, -2)


@maps("t", "T")
def reverse_axes(call: TorchCall, input: Any) -> Operand:
    return call.add("Transpose", input, perm=list(range(input.ndim))[::-1])


@maps("movedim", "moveaxis")
def movedim(call: TorchCall, input: Any, source: Any, destination: Any) -> Operand:
    pairs = [(source, destination)] if isinstance(source, int) else list(zip(source, destination, strict=True))
    ndim = input.ndim
    target = {new % ndim: old % ndim for old, new in pairs}
    rest = iter(axis for axis in range(ndim) if axis not in target.values())
    return call.add("Transpose", input, perm=[target[axis] if axis in target else next(rest) for axis in range(ndim)])


@maps("cat", "concat", "concatenate")
def cat(call: TorchCall, tensors: Sequence[Operand], dim: int = 0) -> Operand:
    kept = [each for each in tensors if each.shape != (0,)] or tensors
    return call.add("Concat", *kept, axis=dim)


@maps("stack")
def stack(call: TorchCall, tensors: Sequence[Operand], dim: int = 0) -> Operand:
    axis = dim % call.result.ndim
    return call.add("Concat", *(call.add("Unsqueeze", each, axes=[axis]) for each in tensors), axis=axis)


@maps("hstack", "vstack", "dstack", "column_stack")
def stack_by_shape(call: TorchCall, tensors: Sequence[Operand]) -> Operand:
    """Along the only axis in which the result is not as the parts, each of which may lack axes of length 1."""
    ndim = call.result.ndim
    shapes = [_with_axes(list(each.shape), ndim) for each in tensors]
    if len(tensors) == 1:
        return call.add("Reshape", tensors[0], shape=call.shape)
    axis = next(axis for axis in range(ndim) if shapes[0][axis] != call.shape[axis])
    parts = [call.add("Reshape", each, shape=shape) for each, shape in zip(tensors, shapes, strict=True)]
    return call.add("Concat", *parts, axis=axis)


def _with_axes(shape: list[int], ndim: int) -> list[int]:
    lacking = [1] * (ndim - len(shape))
    return lacking + shape if len(shape) < 2 else shape + lacking


@maps("meshgrid", "broadcast_tensors")
def spread(call: TorchCall, *given: Any, indexing: str = "ij") -> tuple[Operand, ...]:
    tensors = listed(given)
    if all(each.ndim <= 1 for each in tensors) and call.result[0].ndim == len(tensors) > 1:
        places = list(range(len(tensors)))
        if indexing == "xy":
            places[:2] = [1, 0]
        shapes = [[-1 if axis == place else 1 for axis in range(len(tensors))] for place in places]
        tensors = [call.add("Reshape", each, shape=shape) for each, shape in zip(tensors, shapes, strict=True)]
    return tuple(call.add("Expand", each, shape=list(call.result[0].shape)) for each in tensors)


@maps("split", "chunk", "tensor_split", "split_with_sizes")
def split(
    call: TorchCall, tensor: Any, split_size_or_sections: Any = None, dim: int = 0, **_: Any
) -> tuple[Operand, ...]:
    lengths = [part.shape[dim] for part in call.result]
    if len(lengths) == 1:
        return (call.add("Identity", tensor),)
    return tuple(call.add("Split", tensor, axis=dim, split=lengths, output=part) for part in range(len(lengths)))


@maps("unbind")
def unbind(call: TorchCall, input: Any, dim: int = 0) -> tuple[Operand, ...]:
    return tuple(select(call, input, dim, index) for index in range(len(call.result)))


@maps("select")
def select(call: TorchCall, input: Any, dim: int, index: int) -> Operand:
    at = index % input.shape[dim]
    part = call.add("Slice", input, starts=[at], ends=[at + 1], axes=[dim])
    return call.add("Squeeze", part, axes=[dim])


@maps("narrow")
def narrow(call: TorchCall, input: Any, dim: int, start: Any, length: int) -> Operand:
    at = int(start.known if isinstance(start, Operand) else start) % max(input.shape[dim], 1)
    return call.add("Slice", input, starts=[at], ends=[at + length], axes=[dim])


@maps("slice")
def slice_axis(
    call: TorchCall, input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Operand:
    first, last, _ = slice(start, end, step).indices(input.shape[dim])
    return call.add("Slice", input, starts=[first], ends=[last], axes=[dim], steps=[step])


@maps("flip")
def flip(call: TorchCall, input: Any, *dims: Any) -> Operand:
    axes = listed(dims)
    count = len(axes)
    least = [-(2**31)] * count
    return call.add("Slice", input, starts=[-1] * count, ends=least, axes=axes, steps=[-1] * count)


@maps("roll")
def roll(call: TorchCall, input: Any, shifts: Any, dims: Any = None) -> Operand:
    if dims is None:
        flat = call.add("Reshape", input, shape=[-1])
        rolled = _rolled(call, flat, shifts if isinstance(shifts, int) else shifts[0], 0, input.known.numel())
        return call.add("Reshape", rolled, shape=call.shape)
    pairs = [(shifts, dims)] if isinstance(shifts, int) else list(zip(shifts, dims, strict=True))
    for shift, dim in pairs:
        input = _rolled(call, input, shift, dim, call.result.shape[dim])
    assert isinstance(input, Operand)
    return input if pairs else call.add("Identity", input)


def _rolled(call: TorchCall, x: Operand, shift: int, axis: int, length: int) -> Operand:
    at = -shift % length if length else 0
    if at == 0:
        return call.add("Identity", x)
    parts = [call.add("Slice", x, starts=[start], ends=[end], axes=[axis]) for start, end in ((at, length), (0, at))]
    return call.add("Concat", *parts, axis=axis)


@maps("repeat", "tile")
def repeat(call: TorchCall, input: Any, *repeats: Any) -> Operand:
    counts = listed(repeats)
    if len(counts) < input.ndim:
        counts = [1] * (input.ndim - len(counts)) + counts
    if len(counts) > input.ndim:
        input = call.add("Reshape", input, shape=[1] * (len(counts) - input.ndim) + list(input.shape))
    return call.add("Tile", input, repeats=counts)


@maps("repeat_interleave")
def repeat_interleave(call: TorchCall, input: Any, repeats: Any, dim: int | None = None, **_: Any) -> Operand:
    if not isinstance(repeats, int) or dim is None:
        raise Unmapped("a count for each element")
    axis, shape = dim % input.ndim, list(input.shape)
    wide = [*shape[: axis + 1], repeats, *shape[axis + 1 :]]
    spread = call.add("Expand", call.add("Unsqueeze", input, axes=[axis + 1]), shape=wide)
    return call.add("Reshape", spread, shape=call.shape)


@maps("pad")
def pad(call: TorchCall, input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Operand:
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    count = len(pad) // 2
    axes = [input.ndim - 1 - axis for axis in range(count)]
    pads = [*pad[0::2], *pad[1::2]]
    return call.add("Pad", input, pads=pads, axes=axes, mode=modes[mode], constant_value=float(value or 0.0))


@maps("tril")
def tril(call: TorchCall, input: Any, diagonal: int = 0) -> Operand:
    return call.add("Trilu", input, k=diagonal, upper=0)


@maps("triu")
def triu(call: TorchCall, input: Any, diagonal: int = 0) -> Operand:
    return call.add("Trilu", input, k=diagonal, upper=1)


@maps("pixel_shuffle")
def pixel_shuffle(call: TorchCall, input: Any, upscale_factor: int) -> Operand:
    return call.add("DepthToSpace", input, blocksize=upscale_factor, mode="CRD")


@maps("pixel_unshuffle")
def pixel_unshuffle(call: TorchCall, input: Any, downscale_factor: int) -> Operand:
    return call.add("SpaceToDepth", input, blocksize=downscale_factor, mode="CRD")


@maps("einsum")
def einsum(call: TorchCall, equation: Any, *operands: Any) -> Operand:
    if not isinstance(equation, str):
        raise Unmapped("its equation is not text")
    return call.add("Einsum", *listed(operands), equation=equation.replace(" ", ""))


@maps("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: TorchCall, input: Any, groups: int) -> Operand:
    batch, channels, *lengths = input.shape
    grouped = call.add("Reshape", input, shape=[batch, groups, channels // groups, *lengths])
    perm = [0, 2, 1, *range(3, 3 + len(lengths))]
    return call.add("Reshape", call.add("Transpose", grouped, perm=perm), shape=call.shape)


@maps("diff")
def diff(call: TorchCall, input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Operand:
    if prepend is not None or append is not None:
        raise Unmapped("it prepends or appends")
    length = input.shape[dim]
    for _ in range(n):
        later, earlier = (
            call.add("Slice", input, starts=[start], ends=[start + length - 1], axes=[dim]) for start in (1, 0)
        )
        input, length = call.add("Sub", later, earlier), length - 1
    assert isinstance(input, Operand)
    return input
