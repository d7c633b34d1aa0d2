"""PyTorch's activations."""

from typing import Any

import torch

from service.recorders.torch.call import Operand, TorchCall, maps


@maps("leaky_relu")
def leaky_relu(call: TorchCall, input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Operand:
    return call.add("LeakyRelu", input, alpha=negative_slope)


@maps("elu")
def elu(call: TorchCall, input: Any, alpha: float = 1.0, inplace: bool = False) -> Operand:
    return call.add("Elu", input, alpha=alpha)


@maps("celu")
def celu(call: TorchCall, input: Any, alpha: float = 1.0, inplace: bool = False) -> Operand:
    return call.add("Celu", input, alpha=alpha)


@maps("gelu")
def gelu(call: TorchCall, input: Any, approximate: str = "none") -> Operand:
    return call.add("Gelu", input, approximate=approximate)


@maps("silu")
def silu(call: TorchCall, input: Any, inplace: bool = False) -> Operand:
    return call.add("Swish", input)


@maps("relu6")
def relu6(call: TorchCall, input: Any, inplace: bool = False) -> Operand:
    return call.add("Clip", input, min=0.0, max=6.0)


@maps("hardtanh")
def hardtanh(
    call: TorchCall, input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Operand:
    return call.add("Clip", input, min=min_val, max=max_val)


@maps("hardsigmoid")
def hardsigmoid(call: TorchCall, input: Any, inplace: bool = False) -> Operand:
    return call.add("HardSigmoid", input, alpha=1 / 6, beta=0.5)


@maps("softplus")
def softplus(call: TorchCall, input: Any, beta: float = 1.0, threshold: float = 20.0) -> Operand:
    scaled = input if beta == 1 else call.add("Mul", input, beta)
    soft = call.add("Softplus", scaled)
    return soft if beta == 1 else call.add("Div", soft, beta)


@maps("logsigmoid", "log_sigmoid")
def logsigmoid(call: TorchCall, input: Any) -> Operand:
    return call.add("Neg", call.add("Softplus", call.add("Neg", input)))


@maps("tanhshrink")
def tanhshrink(call: TorchCall, input: Any) -> Operand:
    return call.add("Sub", input, call.add("Tanh", input))


@maps("softshrink")
def softshrink(call: TorchCall, input: Any, lambd: float = 0.5) -> Operand:
    return call.add("Shrink", input, lambd=lambd, bias=lambd)


@maps("hardshrink")
def hardshrink(call: TorchCall, input: Any, lambd: float = 0.5) -> Operand:
    return call.add("Shrink", input, lambd=lambd, bias=0.0)


@maps("threshold")
def threshold(call: TorchCall, input: Any, threshold: float, value: float, inplace: bool = False) -> Operand:
    if value == 0.0:
        return call.add("ThresholdedRelu", input, alpha=threshold)
    return call.add("Where", call.add("Greater", input, threshold), input, value)


@maps("prelu")
def prelu(call: TorchCall, input: Any, weight: Any) -> Operand:
    slope = weight
    if weight.known.numel() > 1:
        slope = call.add("Reshape", weight, shape=[-1, *[1] * (input.ndim - 2)])
    return call.add("PRelu", input, slope)


@maps("rrelu")
def rrelu(call: TorchCall, input: Any, *given: Any, **named: Any) -> Operand:
    """The slopes that it drew are seen from what it made of numbers below 0."""
    with torch._C.DisableTorchFunction():
        x = input.known.detach()
        slopes = torch.where(x < 0, call.result.detach() / x, 1.0)
    return call.add("Where", call.add("GreaterOrEqual", input, 0.0), input, call.add("Mul", input, slopes))


@maps("glu")
def glu(call: TorchCall, input: Any, dim: int = -1) -> Operand:
    half = input.shape[dim] // 2
    left, right = (call.add("Split", input, axis=dim, split=[half, half], output=output) for output in (0, 1))
    return call.add("Mul", left, call.add("Sigmoid", right))
