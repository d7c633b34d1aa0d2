"""What PyTorch's layers call: linear maps, convolutions, normalizations, pools, dropout."""

from collections.abc import Sequence
from typing import Any

import torch

from service.recorders.torch.call import FUNCTIONS, Mapped, Operand, TorchCall, Unmapped, maps, repeated


@maps("linear")
def linear(call: TorchCall, input: Any, weight: Any, bias: Any = None) -> Operand:
    if input.ndim == 2:
        return call.add("Gemm", input, weight, bias, transB=1)
    product = call.add("MatMul", input, call.add("Transpose", weight, perm=list(range(weight.ndim))[::-1]))
    return product if bias is None else call.add("Add", product, bias)


@maps("addmm", "addbmm", "baddbmm", "addmv")
def addmm(call: TorchCall, input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Operand:
    product = call.add("MatMul", mat1, mat2)
    scaled = product if alpha == 1 else call.add("Mul", product, alpha)
    return call.add("Add", input if beta == 1 else call.add("Mul", input, beta), scaled)


@maps("bilinear")
def bilinear(call: TorchCall, input1: Any, input2: Any, weight: Any, bias: Any = None) -> Operand:
    product = call.add("Einsum", input1, weight, input2, equation="...i,oij,...j->...o")
    return product if bias is None else call.add("Add", product, bias)


def _convolution(axes: int) -> Mapped:
    def convolution(
        call: TorchCall,
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Operand:
        dilations = repeated(dilation, axes)
        if padding == "same":
            spans = [step * (length - 1) for step, length in zip(dilations, weight.shape[2:], strict=True)]
            pads = [span // 2 for span in spans] + [span - span // 2 for span in spans]
        else:
            pads = repeated(0 if padding == "valid" else padding, axes) * 2
        window = {"strides": repeated(stride, axes), "pads": pads, "dilations": dilations, "group": groups}
        return _batched(call, input, axes, lambda x: call.add("Conv", x, weight, bias, **window))

    return convolution


def _transposed_convolution(axes: int) -> Mapped:
    def convolution(
        call: TorchCall,
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Operand:
        window = {
            "strides": repeated(stride, axes),
            "pads": repeated(padding, axes) * 2,
            "output_padding": repeated(output_padding, axes),
            "group": groups,
            "dilations": repeated(dilation, axes),
        }
        return _batched(call, input, axes, lambda x: call.add("ConvTranspose", x, weight, bias, **window))

    return convolution


def _batched(call: TorchCall, input: Operand, axes: int, compute: Any) -> Operand:
    """With an axis for the batch where PyTorch does without."""
    if input.ndim == axes + 2:
        result = compute(input)
    else:
        result = call.add("Reshape", compute(call.add("Unsqueeze", input, axes=[0])), shape=call.shape)
    assert isinstance(result, Operand)
    return result


def _max_pool(axes: int) -> Mapped:
    def pool(
        call: TorchCall,
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Operand:
        if return_indices:
            raise Unmapped("the places of the maxima are asked for")
        lengths = repeated(kernel_size, axes)
        window = {
            "kernel_shape": lengths,
            "strides": repeated(stride, axes) if stride else lengths,
            "pads": repeated(padding, axes) * 2,
            "dilations": repeated(dilation, axes),
            "ceil_mode": int(ceil_mode),
        }
        return _batched(call, input, axes, lambda x: call.add("MaxPool", x, **window))

    return pool


def _average_pool(axes: int) -> Mapped:
    def pool(
        call: TorchCall,
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Operand:
        lengths = repeated(kernel_size, axes)
        window = {
            "kernel_shape": lengths,
            "strides": repeated(stride, axes) if stride else lengths,
            "pads": repeated(padding, axes) * 2,
            "ceil_mode": int(ceil_mode),
            "count_include_pad": int(count_include_pad),
        }
        if divisor_override is not None:
            window["divisor_override"] = divisor_override
        return _batched(call, input, axes, lambda x: call.add("AveragePool", x, **window))

    return pool


def _adaptive_pool(axes: int, over_all: str, window: str) -> Mapped:
    def pool(call: TorchCall, input: Any, output_size: Any, return_indices: bool = False) -> Operand:
        given, made = list(input.shape[-axes:]), call.shape[-axes:]
        if made == [1] * axes:
            return call.add(over_all, input, axes=list(range(-axes, 0)), keepdims=1)
        if any(before % after for before, after in zip(given, made, strict=True)):
            if window != "AveragePool":
                raise Unmapped("its windows are of different lengths")
            return _mean_of_windows(call, input, axes)
        lengths = [before // after for before, after in zip(given, made, strict=True)]
        return _batched(call, input, axes, lambda x: call.add(window, x, kernel_shape=lengths, strides=lengths))

    return pool


def _mean_of_windows(call: TorchCall, x: Operand, axes: int) -> Operand:
    """The means of windows of different lengths: along each axis a product with the weights of its elements."""
    letters = [("hij"[axis], "HIJ"[axis]) for axis in range(axes)]
    products = ",".join(after + before for before, after in letters)
    along = "".join(before for before, _ in letters), "".join(after for _, after in letters)
    weights = [_weights_of_windows(*lengths) for lengths in zip(x.shape[-axes:], call.shape[-axes:], strict=True)]
    return call.add("Einsum", x, *weights, equation=f"...{along[0]},{products}->...{along[1]}")


def _weights_of_windows(before: int, after: int) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        weights = torch.zeros(after, before, dtype=torch.float64)
        for window in range(after):
            start, end = window * before // after, -(-(window + 1) * before // after)
            weights[window, start:end] = 1.0 / (end - start)
        return weights


for _axes in (1, 2, 3):
    FUNCTIONS[f"conv{_axes}d"] = _convolution(_axes)
    FUNCTIONS[f"conv_transpose{_axes}d"] = _transposed_convolution(_axes)
    FUNCTIONS[f"max_pool{_axes}d"] = _max_pool(_axes)
    FUNCTIONS[f"avg_pool{_axes}d"] = _average_pool(_axes)
    FUNCTIONS[f"adaptive_avg_pool{_axes}d"] = _adaptive_pool(_axes, "ReduceMean", "AveragePool")
    FUNCTIONS[f"adaptive_max_pool{_axes}d"] = _adaptive_pool(_axes, "ReduceMax", "MaxPool")


@maps("layer_norm")
def layer_norm(
    call: TorchCall,
    input: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Operand:
    shape = list(normalized_shape)
    scale = torch.ones(shape) if weight is None else weight
    return call.add("LayerNormalization", input, scale, bias, axis=-len(shape), epsilon=eps)


@maps("rms_norm")
def rms_norm(
    call: TorchCall, input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Operand:
    axes = list(range(-len(normalized_shape), 0))
    mean = call.add("ReduceMean", call.add("Pow", input, 2.0), axes=axes, keepdims=1)
    stabilized = call.add("Add", mean, torch.finfo(input.known.dtype).eps if eps is None else eps)
    normal = call.add("Div", input, call.add("Sqrt", stabilized))
    return normal if weight is None else call.add("Mul", normal, weight)


@maps("batch_norm")
def batch_norm(
    call: TorchCall,
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Operand:
    """In training the statistics are the batch's, and no figure follows from the running ones."""
    channels = input.shape[1]
    scale = torch.ones(channels) if weight is None else weight
    shift = torch.zeros(channels) if bias is None else bias
    if training or running_mean is None:
        statistics: tuple[Any, Any] = (torch.zeros(channels), torch.ones(channels))
        return call.add("BatchNormalization", input, scale, shift, *statistics, epsilon=eps, training_mode=1)
    return call.add("BatchNormalization", input, scale, shift, running_mean, running_var, epsilon=eps)


@maps("group_norm")
def group_norm(
    call: TorchCall, input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Operand:
    batch, channels, *lengths = input.shape
    grouped = call.add("Reshape", input, shape=[batch, num_groups, -1])
    size = channels // num_groups * torch.Size(lengths).numel()
    normal = call.add("LayerNormalization", grouped, torch.ones(size), axis=-1, epsilon=eps)
    return _per_channel(call, call.add("Reshape", normal, shape=call.shape), weight, bias)


@maps("instance_norm")
def instance_norm(
    call: TorchCall,
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> Operand:
    if not use_input_stats:
        return batch_norm(call, input, running_mean, running_var, weight, bias, False, momentum, eps)
    return group_norm(call, input, input.shape[1], weight, bias, eps)


def _per_channel(call: TorchCall, x: Operand, weight: Any, bias: Any) -> Operand:
    shape = [-1, *[1] * (len(call.shape) - 2)]
    for operation, factor in (("Mul", weight), ("Add", bias)):
        if factor is not None:
            x = call.add(operation, x, call.add("Reshape", factor, shape=shape))
    return x


@maps("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
def dropout(call: TorchCall, input: Any, *given: Any, **named: Any) -> Operand:
    """A line in its argument: the random numbers that it drew are in the slope, and in what it makes of 0."""
    options = {**named, "inplace": False} if "inplace" in named else named
    x = input.known.detach()
    with torch._C.DisableTorchFunction():
        zeros, ones = torch.zeros_like(x), torch.ones_like(x)
    shift = call.again(zeros, *given, **options)
    with torch._C.DisableTorchFunction():
        slope = call.again(ones, *given, **options) - shift
    scaled = call.add("Mul", input, slope)
    return call.add("Add", scaled, shift) if bool(shift.any()) else scaled


@maps("interpolate", "upsample")
def interpolate(
    call: TorchCall,
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Operand:
    if mode == "area":
        return _mean_of_windows(call, input, input.ndim - 2)
    modes = {"nearest": "nearest", "bilinear": "linear", "linear": "linear", "trilinear": "linear", "bicubic": "cubic"}
    if mode not in modes or antialias:
        raise Unmapped(f"interpolation by {mode}{', antialiased' if antialias else ''}")
    axes, made = list(range(2, input.ndim)), call.shape[2:]
    if scale_factor is not None and not recompute_scale_factor:
        factors = repeated(scale_factor, len(axes)) if isinstance(scale_factor, int) else scale_factor
        factors = [factors] * len(axes) if isinstance(factors, float) else list(factors)
        if [int(length * factor) for length, factor in zip(input.shape[2:], factors, strict=True)] != [
            length * factor for length, factor in zip(input.shape[2:], factors, strict=True)
        ]:
            raise Unmapped("its scale is not the quotient of the sizes")
    where = "asymmetric" if mode == "nearest" else "align_corners" if align_corners else "half_pixel"
    more = {"nearest_mode": "floor"} if mode == "nearest" else {}
    return call.add(
        "Resize", input, sizes=made, axes=axes, mode=modes[mode], coordinate_transformation_mode=where, **more
    )
