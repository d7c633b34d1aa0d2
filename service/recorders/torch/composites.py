"""Functions that PyTorch runs as one, opened: the same results by calls that a recording shows one by one.

`opened` finds a stand-in for a function. Where the body is Python, as that of `multi_head_attention_forward`, it is the
body itself; where it is compiled, as that of an LSTM or of attention, it is the formula of PyTorch's documentation,
whose results differ from those of the compiled one by rounding alone.
"""

import math
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from service.recorders.torch.recurrent import RECURRENT

# What a function asks whether to hand itself to a mode. In an opened body the answer is no: its calls are handed over.
_DISPATCH = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


def opened(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function to call instead, under the mode that records; None where there is none."""
    if isinstance(function, FunctionType):
        return _body(function)
    return _FORMULAS.get(getattr(getattr(function, "overloadpacket", function), "__name__", ""))


@cache
def _body(function: FunctionType) -> Callable[..., Any] | None:
    """The body of a function of PyTorch's that is written in Python and would hand itself over whole."""
    if not any(name in function.__globals__ for name in _DISPATCH):
        return None
    if function.__globals__["__name__"] == torch._tensor.__name__:  # a method, by which the compiled one hands over too
        return None
    seen = {**function.__globals__, **dict.fromkeys(_DISPATCH, lambda *tensors: False)}
    body = FunctionType(function.__code__, seen, function.__name__, function.__defaults__, function.__closure__)
    body.__kwdefaults__ = function.__kwdefaults__
    return body


# --- attention --------------------------------------------------------------------------------------------------------


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query · keyᵀ · scale + mask) · value, of shapes (…, L, E), (…, S, E) and (…, S, V)."""
    if enable_gqa:
        key, value = (_shared(each, query.size(-3) // each.size(-3)) for each in (key, value))
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    chosen = torch.softmax(scores, -1) if attn_mask is None else _masked_softmax(scores, attn_mask)
    return functional.dropout(chosen, dropout_p, training=dropout_p > 0) @ value


def _shared(heads: Tensor, by: int) -> Tensor:
    """Each head `by` times in a row: (…, H, S, E) → (…, H · by, S, E)."""
    *batch, count, length, width = heads.shape
    return heads.unsqueeze(-3).expand(*batch, count, by, length, width).reshape(*batch, count * by, length, width)


def _masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """The softmax of what the mask leaves; where it leaves nothing of a row, 0."""
    if mask.dtype == torch.bool:
        scores = scores.masked_fill(mask.logical_not(), -math.inf)
        dead = mask.logical_not().all(-1, keepdim=True)
    else:
        scores = scores + mask
        dead = (mask == -math.inf).all(-1, keepdim=True)
    if not bool(dead.any()):
        return torch.softmax(scores, -1)
    return torch.softmax(scores.masked_fill(dead, 0.0), -1).masked_fill(dead, 0.0)


# --- other sums of products -------------------------------------------------------------------------------------------


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """A weight of the direction v and the length g, for each index of `dim`, or as a whole if that is −1."""
    axes = [axis for axis in range(v.ndim) if axis != dim]
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=True))


def _embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, ...]:
    """The sum (mode 0), mean (1) or largest (2) of the rows in each bag, which begins where `offsets` says."""
    starts = offsets.tolist() if include_last_offset else [*offsets.tolist(), len(indices)]
    bags = torch.repeat_interleave(torch.arange(len(starts) - 1), torch.tensor(starts).diff())
    if padding_idx is not None and padding_idx >= 0:
        kept = indices != padding_idx
        bags, indices = bags[kept], indices[kept]
        per_sample_weights = None if per_sample_weights is None else per_sample_weights[kept]
    rows = functional.embedding(indices, weight)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    counts = torch.bincount(bags, minlength=len(starts) - 1)
    if mode == 2:
        parts = rows.split(counts.tolist())
        found = torch.stack([each.amax(0) if len(each) else weight.new_zeros(weight.shape[1:]) for each in parts])
    else:
        found = weight.new_zeros(len(counts), *weight.shape[1:]).index_add(0, bags, rows)
        found = found / counts.clamp(min=1).unsqueeze(-1) if mode == 1 else found
    return found, bags, counts, counts


def _grouped_mm(x: Tensor, weight: Tensor, offs: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    """The rows of x up to each of `offs`, times the matrix of that group: (N, K) × (G, K, M) → (N, M)."""
    if offs is None:
        return x @ weight
    ends = offs.tolist()
    parts = zip([0, *ends], ends, weight.unbind(), strict=False)
    return torch.cat([x[start:end] @ each for start, end, each in parts])


_FORMULAS: dict[str, Callable[..., Any]] = {
    **RECURRENT,
    "scaled_dot_product_attention": _attention,
    "_weight_norm": _weight_norm,
    "embedding_bag": _embedding_bag,
    "_grouped_mm": _grouped_mm,
}
