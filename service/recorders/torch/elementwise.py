"""What PyTorch computes element by element: arithmetic, functions, comparisons, casts."""

import math
from typing import Any

import torch

from service.recorders.torch.call import FUNCTIONS, Mapped, Operand, TorchCall, Unmapped, maps

_OF_ONE = {
    **{"abs": "Abs", "absolute": "Abs", "neg": "Neg", "negative": "Neg", "sign": "Sign", "reciprocal": "Reciprocal"},
    **{"exp": "Exp", "expm1": "Expm1", "log": "Log", "log2": "Log2", "log10": "Log10", "log1p": "Log1p"},
    **{"sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan"},
    **{"arcsin": "Asin", "arccos": "Acos", "arctan": "Atan", "sinh": "Sinh", "cosh": "Cosh", "tanh": "Tanh"},
    **{"asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf", "erfc": "Erfc", "lgamma": "Lgamma"},
    **{
        "digamma": "Digamma",
        "floor": "Floor",
        "ceil": "Ceil",
        "round": "Round",
        "sigmoid": "Sigmoid",
        "special_expit": "Sigmoid",
    },
    **{"relu": "Relu", "selu": "Selu", "mish": "Mish", "softsign": "Softsign", "hardswish": "HardSwish"},
    **{"clone": "Identity", "contiguous": "Identity", "alias": "Identity", "positive": "Identity"},
    **{"invert": "Not", "bitwise_not": "Not", "logical_not": "Not"},
}
_OF_TWO = {
    **{"mul": "Mul", "multiply": "Mul", "matmul": "MatMul", "mm": "MatMul", "bmm": "MatMul", "mv": "MatMul"},
    **{"pow": "Pow", "maximum": "Max", "minimum": "Min", "atan2": "Atan2", "arctan2": "Atan2", "hypot": "Hypot"},
    **{"logaddexp": "LogAddExp", "xlogy": "XLogY", "floor_divide": "FloorDiv", "floordiv": "FloorDiv"},
    **{"remainder": "Mod", "mod": "Mod", "logical_and": "And", "logical_or": "Or"},
    **{"eq": "Equal", "ne": "NotEqual", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"},
    **{"greater": "Greater", "less": "Less", "not_equal": "NotEqual", "greater_equal": "GreaterOrEqual"},
    **{"less_equal": "LessOrEqual", "dot": "MatMul", "vdot": "MatMul"},
}
_SWAPPED = {"rmul": "Mul", "radd": "Add", "rsub": "Sub", "rpow": "Pow", "rmatmul": "MatMul", "rfloordiv": "FloorDiv"}


def _of_one(operation: str) -> Mapped:
    return lambda call, input, inplace=False, memory_format=None: call.add(operation, input)


def _of_two(operation: str) -> Mapped:
    return lambda call, input, other: call.add(operation, input, other)


def _swapped(operation: str) -> Mapped:
    return lambda call, input, other: call.add(operation, other, input)


FUNCTIONS.update(
    {
        **{name: _of_one(operation) for name, operation in _OF_ONE.items()},
        **{name: _of_two(operation) for name, operation in _OF_TWO.items()},
        **{name: _swapped(operation) for name, operation in _SWAPPED.items()},
    }
)


@maps("add")
def add(call: TorchCall, input: Any, other: Any, *, alpha: float = 1) -> Operand:
    return call.add("Add", input, other if alpha == 1 else call.add("Mul", other, alpha))


@maps("sub", "subtract")
def sub(call: TorchCall, input: Any, other: Any, *, alpha: float = 1) -> Operand:
    return call.add("Sub", input, other if alpha == 1 else call.add("Mul", other, alpha))


@maps("div", "divide", "true_divide", "truediv")
def div(call: TorchCall, input: Any, other: Any, *, rounding_mode: str | None = None) -> Operand:
    if rounding_mode == "floor":
        return call.add("FloorDiv", input, other)
    if rounding_mode is not None:
        raise Unmapped("it rounds toward zero")
    return call.add("Div", input, other)


@maps("rdiv", "rtruediv")
def rdiv(call: TorchCall, input: Any, other: Any) -> Operand:
    return call.add("Div", other, input)


@maps("and", "bitwise_and")
def both(call: TorchCall, input: Any, other: Any) -> Operand:
    return call.add("And", *_truths(call, input, other))


@maps("or", "bitwise_or")
def either(call: TorchCall, input: Any, other: Any) -> Operand:
    return call.add("Or", *_truths(call, input, other))


def _truths(call: TorchCall, *operands: Any) -> tuple[Any, ...]:
    if call.result.dtype != torch.bool:
        raise Unmapped("bits of whole numbers")
    return operands


@maps("addcmul")
def addcmul(call: TorchCall, input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Operand:
    return add(call, input, call.add("Mul", tensor1, tensor2), alpha=value)


@maps("addcdiv")
def addcdiv(call: TorchCall, input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Operand:
    return add(call, input, call.add("Div", tensor1, tensor2), alpha=value)


@maps("fmod")
def fmod(call: TorchCall, input: Any, other: Any) -> Operand:
    return call.add("Mod", input, other, fmod=1)


@maps("trunc", "fix")
def trunc(call: TorchCall, input: Any) -> Operand:
    return call.add("Mul", call.add("Sign", input), call.add("Floor", call.add("Abs", input)))


@maps("frac")
def frac(call: TorchCall, input: Any) -> Operand:
    return call.add("Sub", input, trunc(call, input))


@maps("copysign")
def copysign(call: TorchCall, input: Any, other: Any) -> Operand:
    with torch._C.DisableTorchFunction():
        of_other = torch.signbit(other.known if isinstance(other, Operand) else torch.tensor(other))
        sign = torch.where(of_other, -1.0, 1.0)
    return call.add("Mul", call.add("Abs", input), sign)


@maps("float_power")
def float_power(call: TorchCall, input: Any, exponent: Any) -> Operand:
    return call.add("Pow", input, exponent)


@maps("fmax", "fmin")
def ignoring_nan(call: TorchCall, input: Any, other: Any) -> Operand:
    if any(bool(torch.isnan(each.known.detach()).any()) for each in (input, other)):
        raise Unmapped("one of its operands is NaN")
    is_larger = bool((call.result.detach() >= input.known.detach()).all())
    return call.add("Max" if is_larger else "Min", input, other)


@maps("lerp")
def lerp(call: TorchCall, input: Any, end: Any, weight: Any) -> Operand:
    return call.add("Add", input, call.add("Mul", weight, call.add("Sub", end, input)))


@maps("square")
def square(call: TorchCall, input: Any) -> Operand:
    return call.add("Pow", input, 2.0)


@maps("rsqrt")
def rsqrt(call: TorchCall, input: Any) -> Operand:
    return call.add("Reciprocal", call.add("Sqrt", input))


@maps("exp2")
def exp2(call: TorchCall, input: Any) -> Operand:
    return call.add("Pow", 2.0, input)


@maps("clamp", "clip")
def clamp(call: TorchCall, input: Any, min: Any = None, max: Any = None) -> Operand:
    bounds = {name: bound for name, bound in (("min", min), ("max", max)) if bound is not None}
    if not any(isinstance(bound, Operand) for bound in bounds.values()):
        return call.add("Clip", input, **bounds)
    for operation, bound in (("Max", min), ("Min", max)):
        input = input if bound is None else call.add(operation, input, bound)
    return input if isinstance(input, Operand) else call.operand(input)


@maps("clamp_min")
def clamp_min(call: TorchCall, input: Any, min: Any) -> Operand:
    return clamp(call, input, min)


@maps("clamp_max")
def clamp_max(call: TorchCall, input: Any, max: Any) -> Operand:
    return clamp(call, input, None, max)


@maps("where")
def where(call: TorchCall, condition: Any, input: Any = None, other: Any = None) -> Any:
    if input is None:
        raise Unmapped("where of a condition alone gives positions")
    return call.add("Where", condition, input, other)


@maps("masked_fill")
def masked_fill(call: TorchCall, input: Any, mask: Any, value: Any) -> Operand:
    return call.add("Where", mask, value, input)


@maps("zero")
def zero(call: TorchCall, input: Any) -> Operand:
    return call.operand(call.result)


@maps("fill")
def fill(call: TorchCall, input: Any, value: Any) -> Operand:
    return call.add("Expand", value, shape=call.shape) if isinstance(value, Operand) else call.operand(call.result)


@maps("copy")
def copy(call: TorchCall, input: Any, src: Any, non_blocking: bool = False) -> Operand:
    if src.known.dtype != input.known.dtype:
        src = to(call, src)
    return call.add("Expand", src, shape=call.shape)


@maps("to", "type", "type_as", "half", "bfloat16", "float", "double", "cpu", "cuda", "long", "int", "bool")
def to(call: TorchCall, input: Any, *_: Any, **__: Any) -> Operand:
    """A cast between floats rounds; from whole numbers and truth it does not."""
    before, after = input.known.dtype, call.result.dtype
    if after.is_complex or (before.is_floating_point and not after.is_floating_point and after != torch.bool):
        raise Unmapped(f"a cast to {after}")
    if after == torch.bool:
        return call.add("NotEqual", input, 0.0)
    if before == after or not before.is_floating_point:
        return call.add("Identity", input)
    return call.add("Cast", input, to=str(after).removeprefix("torch."))


@maps("isnan", "isinf", "isfinite")
def is_special(call: TorchCall, input: Any) -> Operand:
    return call.operand(call.result)


@maps("nan_to_num")
def nan_to_num(
    call: TorchCall, input: Any, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Operand:
    if not bool(torch.isfinite(input.known.detach()).all()):
        raise Unmapped("there is something to replace")
    return call.add("Identity", input)


@maps("logit")
def logit(call: TorchCall, input: Any, eps: float | None = None) -> Operand:
    x = input if eps is None else call.add("Clip", input, min=eps, max=1 - eps)
    return call.add("Log", call.add("Div", x, call.add("Sub", 1.0, x)))


@maps("deg2rad")
def deg2rad(call: TorchCall, input: Any) -> Operand:
    return call.add("Mul", input, math.pi / 180)
