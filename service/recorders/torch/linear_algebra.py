"""What PyTorch does with matrices and vectors beyond their products, and with the lengths of vectors."""

import math
from collections.abc import Sequence
from typing import Any

from service.recorders.torch.call import FUNCTIONS, Mapped, Operand, TorchCall, Unmapped, as_axes, listed, maps
from service.recorders.torch.reductions import reduce

_OF_ONE = {"inv": "Inverse", "inverse": "Inverse", "det": "Det", "logdet": "LogDet", "cholesky": "Cholesky"}


def _of_one(operation: str) -> Mapped:
    return lambda call, input: call.add(operation, input)


for _name, _operation in _OF_ONE.items():
    FUNCTIONS[_name] = FUNCTIONS[f"linalg_{_name}"] = _of_one(_operation)


@maps("linalg_solve")
def solve(call: TorchCall, a: Any, b: Any, *, left: bool = True) -> Operand:
    if not left:
        raise Unmapped("it solves from the right")
    return call.add("Solve", a, b)


@maps("outer", "ger")
def outer(call: TorchCall, input: Any, vec2: Any) -> Operand:
    return call.add("Mul", call.add("Unsqueeze", input, axes=[1]), call.add("Unsqueeze", vec2, axes=[0]))


@maps("linalg_multi_dot")
def multi_dot(call: TorchCall, *given: Any) -> Operand:
    first, *others = listed(given)
    for other in others:
        first = call.add("MatMul", first, other)
    assert isinstance(first, Operand)
    return first


@maps("tensordot")
def tensordot(call: TorchCall, a: Any, b: Any, dims: Any = 2, out: Any = None) -> Operand:
    if isinstance(dims, int):
        dims = [range(a.ndim - dims, a.ndim), range(dims)]
    summed = {axis % b.ndim: other % a.ndim for other, axis in zip(*dims, strict=True)}
    of_a = [chr(ord("a") + axis) for axis in range(a.ndim)]
    of_b = [of_a[summed[axis]] if axis in summed else chr(ord("A") + axis) for axis in range(b.ndim)]
    kept = [each for each in of_a if each not in of_b] + [each for each in of_b if each not in of_a]
    return call.add("Einsum", a, b, equation=f"{''.join(of_a)},{''.join(of_b)}->{''.join(kept)}")


@maps("trace")
def trace(call: TorchCall, input: Any) -> Operand:
    return call.add("Einsum", input, equation="ii->")


@maps("norm", "linalg_norm", "linalg_vector_norm", "linalg_matrix_norm")
def norm(call: TorchCall, input: Any, *given: Any, dim: Any = None, keepdim: bool = False, **named: Any) -> Operand:
    """PyTorch gives the order first or by name, `p` or `ord`; one of a matrix is Frobenius' alone."""
    order = given[0] if given else named.get("p", named.get("ord"))
    dim = given[1] if len(given) > 1 else dim
    keepdim = given[2] if len(given) > 2 else keepdim
    return norm_of(call, input, 2 if order in (None, "fro") else order, dim, keepdim)


def norm_of(call: TorchCall, x: Operand, order: Any, dim: Any, keepdim: bool) -> Operand:
    """(Σ|x|ᵖ)^(1/p) along the axes that `dim` names."""
    if not isinstance(order, int | float) or order == 0:
        raise Unmapped(f"a norm of the order {order}")
    if order in (1, 2):
        return reduce(call, f"ReduceL{int(order)}", x, dim, keepdim)
    sizes = call.add("Abs", x)
    axes = as_axes(dim, x.ndim)
    if math.isinf(order):
        return call.add("ReduceMax" if order > 0 else "ReduceMin", sizes, axes=axes, keepdims=int(keepdim))
    total = call.add("ReduceSum", call.add("Pow", sizes, float(order)), axes=axes, keepdims=int(keepdim))
    return call.add("Pow", total, 1.0 / order)


@maps("normalize")
def normalize(
    call: TorchCall, input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Operand:
    return call.add("Div", input, call.add("Clip", norm_of(call, input, p, dim, True), min=eps))


@maps("cosine_similarity")
def cosine_similarity(call: TorchCall, x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Operand:
    product = call.add("ReduceSum", call.add("Mul", x1, x2), axes=[dim], keepdims=0)
    lengths = [call.add("Clip", call.add("ReduceL2", x, axes=[dim], keepdims=0), min=eps) for x in (x1, x2)]
    return call.add("Div", product, call.add("Mul", *lengths))


@maps("pairwise_distance")
def pairwise_distance(
    call: TorchCall, x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Operand:
    apart = call.add("Add", call.add("Sub", x1, x2), eps)
    return _norm_of_node(call, apart, p, [-1], keepdim)


@maps("dist")
def dist(call: TorchCall, input: Any, other: Any, p: float = 2) -> Operand:
    return _norm_of_node(call, call.add("Sub", input, other), p, None, False)


@maps("cdist")
def cdist(call: TorchCall, x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Operand:
    apart = call.add("Sub", call.add("Unsqueeze", x1, axes=[-2]), call.add("Unsqueeze", x2, axes=[-3]))
    return _norm_of_node(call, apart, p, [-1], False)


def _norm_of_node(call: TorchCall, x: Operand, p: float, axes: Sequence[int] | None, keepdim: bool) -> Operand:
    if p not in (1, 2):
        raise Unmapped(f"a norm of the order {p}")
    along = {} if axes is None else {"axes": list(axes)}
    return call.add(f"ReduceL{int(p)}", x, keepdims=int(keepdim), **along)
