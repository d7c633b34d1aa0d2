"""What PyTorch reduces or accumulates along axes."""

from typing import Any

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


@maps("norm", "vector_norm")
def norm(
    call: TorchCall,
    input: Any,
    *given: Any,
    p: Any = None,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    **_: Any,
) -> Operand:
    order = next((each for each in (*given[:1], p, ord) if each is not None), 2)
    dim = given[1] if len(given) > 1 else dim
    keepdim = given[2] if len(given) > 2 else keepdim
    if order in (2, "fro") or order == 1:
        return reduce(call, "ReduceL1" if order == 1 else "ReduceL2", input, dim, keepdim)
    if order in (float("inf"), -float("inf")):
        return reduce(call, "ReduceMax" if order > 0 else "ReduceMin", call.add("Abs", input), dim, keepdim)
    raise Unmapped(f"a norm of the order {order}")


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
    values, places = (call.add("Sort", input, axis=dim, descending=int(descending), output=output) for output in (0, 1))
    return values, places


@maps("topk")
def topk(
    call: TorchCall, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Operand, Operand]:
    values, places = (call.add("TopK", input, k=k, axis=dim, largest=int(largest), output=output) for output in (0, 1))
    return values, places


@maps("all", "any")
def truth(call: TorchCall, input: Any, dim: Any = None, keepdim: bool = False) -> Operand:
    return call.operand(call.result)


@maps("normalize")
def normalize(
    call: TorchCall, input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Operand:
    length = norm(call, input, p, dim, True)
    return call.add("Div", input, call.add("Clip", length, min=eps))


@maps("cosine_similarity")
def cosine_similarity(call: TorchCall, x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Operand:
    product = call.add("ReduceSum", call.add("Mul", x1, x2), axes=[dim], keepdims=0)
    lengths = [call.add("Clip", call.add("ReduceL2", x, axes=[dim], keepdims=0), min=eps) for x in (x1, x2)]
    return call.add("Div", product, call.add("Mul", *lengths))
