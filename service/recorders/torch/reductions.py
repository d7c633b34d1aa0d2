"""What PyTorch reduces or accumulates along axes."""

from typing import Any

import torch

from service.recorders.torch.call import FUNCTIONS, Mapped, Operand, TorchCall, Unmapped, as_axes, maps


def _over(operation: str) -> Mapped:
    def reduced(call: TorchCall, input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Operand:
        return reduce(call, operation, input, dim, keepdim)

    return reduced


FUNCTIONS.update(
    {
        **{"sum": _over("ReduceSum"), "mean": _over("ReduceMean"), "amax": _over("ReduceMax")},
        **{"amin": _over("ReduceMin"), "prod": _over("ReduceProd"), "logsumexp": _over("ReduceLogSumExp")},
    }
)


def reduce(call: TorchCall, operation: str, input: Any, dim: Any, keepdim: bool, **attributes: Any) -> Operand:
    """One reduction along the axes that `dim` names; of a scalar along its only axis, it is the scalar."""
    if not input.ndim:
        input = call.add("Reshape", input, shape=[1])
        return call.add(operation, input, axes=[0], keepdims=0, **attributes)
    return call.add(operation, input, axes=as_axes(dim, input.ndim), keepdims=int(keepdim), **attributes)


def _extremum(reduction: str, place: str, elementwise: str) -> Mapped:
    """max and min are three functions: of all elements, along an axis with the places, and of two tensors."""

    def chosen(call: TorchCall, input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        other = dim if isinstance(dim, Operand) else other
        if other is not None:
            return call.add(elementwise, input, other)
        if dim is None:
            return reduce(call, reduction, input, None, False)
        return (
            reduce(call, reduction, input, dim, keepdim),
            call.add(place, input, axis=dim % max(input.ndim, 1), keepdims=int(keepdim)),
        )

    return chosen


FUNCTIONS["max"] = _extremum("ReduceMax", "ArgMax", "Max")
FUNCTIONS["min"] = _extremum("ReduceMin", "ArgMin", "Min")


def _place_of(operation: str) -> Mapped:
    def place(call: TorchCall, input: Any, dim: int | None = None, keepdim: bool = False) -> Operand:
        if dim is None:
            return call.add(operation, call.add("Reshape", input, shape=[-1]), axis=0, keepdims=0)
        return call.add(operation, input, axis=dim % max(input.ndim, 1), keepdims=int(keepdim))

    return place


FUNCTIONS["argmax"], FUNCTIONS["argmin"] = _place_of("ArgMax"), _place_of("ArgMin")


def _spread(operation: str) -> Mapped:
    def spread(
        call: TorchCall,
        input: Any,
        dim: Any = None,
        unbiased: Any = True,
        keepdim: bool = False,
        *,
        correction: Any = None,
    ) -> Operand:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        ddof = int(unbiased) if correction is None else correction
        return reduce(call, operation, input, dim, keepdim, ddof=ddof)

    return spread


FUNCTIONS["var"], FUNCTIONS["std"] = _spread("ReduceVar"), _spread("ReduceStd")


@maps("var_mean")
def var_mean(call: TorchCall, input: Any, dim: Any = None, **named: Any) -> tuple[Operand, Operand]:
    keepdim = named.get("keepdim", False)
    return FUNCTIONS["var"](call, input, dim, **named), reduce(call, "ReduceMean", input, dim, keepdim)


@maps("softmax")
def softmax(call: TorchCall, input: Any, dim: int | None = None, *_: Any, **__: Any) -> Operand:
    return call.add("Softmax", input, axis=_axis(dim, input.ndim))


@maps("log_softmax")
def log_softmax(call: TorchCall, input: Any, dim: int | None = None, *_: Any, **__: Any) -> Operand:
    return call.add("LogSoftmax", input, axis=_axis(dim, input.ndim))


@maps("softmin")
def softmin(call: TorchCall, input: Any, dim: int | None = None, *_: Any, **__: Any) -> Operand:
    return call.add("Softmax", call.add("Neg", input), axis=_axis(dim, input.ndim))


def _axis(dim: int | None, ndim: int) -> int:
    """PyTorch's own choice, of which it warns, where none is given."""
    return dim if dim is not None else 0 if ndim in (0, 1, 3) else 1


@maps("cumsum")
def cumsum(call: TorchCall, input: Any, dim: int, *, dtype: Any = None) -> Operand:
    return call.add("CumSum", input, axis=dim)


@maps("cumprod")
def cumprod(call: TorchCall, input: Any, dim: int, *, dtype: Any = None) -> Operand:
    return call.add("CumProd", input, axis=dim)


@maps("sort")
def sort(
    call: TorchCall, input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> tuple[Operand, Operand]:
    return _ranked(call, input, "Sort", dim, descending=int(descending))


@maps("topk")
def topk(
    call: TorchCall, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Operand, Operand]:
    return _ranked(call, input, "TopK", dim, k=k, largest=int(largest))


def _ranked(call: TorchCall, x: Operand, operation: str, dim: int, **order: int) -> tuple[Operand, Operand]:
    """The values and their places. Which of equal elements comes first is PyTorch's choice, and then a Constant."""
    with torch._C.DisableTorchFunction():
        ordered = x.known.detach().sort(dim).values
        tied = bool((ordered.diff(dim=dim) == 0).any())
    if not tied:
        values, places = (call.add(operation, x, axis=dim, output=output, **order) for output in (0, 1))
        return values, places
    places = call.operand(call.result[1])
    return call.add("GatherElements", x, places, axis=dim), places


@maps("all", "any")
def truth(call: TorchCall, input: Any, dim: Any = None, keepdim: bool = False) -> Operand:
    return call.operand(call.result)


@maps("logcumsumexp")
def logcumsumexp(call: TorchCall, input: Any, dim: int) -> Operand:
    largest = call.add("StopGradient", call.add("ReduceMax", input, axes=[dim], keepdims=1))
    total = call.add("CumSum", call.add("Exp", call.add("Sub", input, largest)), axis=dim)
    return call.add("Add", call.add("Log", total), largest)


@maps("median", "nanmedian", "cummax", "cummin", "kthvalue", "mode")
def chosen(call: TorchCall, input: Any, *given: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """What an order chooses along an axis, and its places, which are what they were when the program ran."""
    if isinstance(call.result, torch.Tensor):
        raise Unmapped("the median of all elements")
    axis = next((each for each in (dim, *given[-1:]) if each is not None), -1)
    places = call.result[1].detach()
    lost = places.ndim < input.ndim
    indices = places.unsqueeze(axis) if lost else places
    values = call.add("GatherElements", input, indices, axis=axis)
    return (call.add("Squeeze", values, axes=[axis]) if lost else values), call.operand(places)


@maps("std_mean")
def std_mean(call: TorchCall, input: Any, dim: Any = None, **named: Any) -> tuple[Operand, Operand]:
    return FUNCTIONS["std"](call, input, dim, **named), reduce(
        call, "ReduceMean", input, dim, named.get("keepdim", False)
    )


@maps("aminmax")
def aminmax(call: TorchCall, input: Any, *, dim: int | None = None, keepdim: bool = False) -> tuple[Operand, Operand]:
    least, largest = (reduce(call, each, input, dim, keepdim) for each in ("ReduceMin", "ReduceMax"))
    return least, largest
