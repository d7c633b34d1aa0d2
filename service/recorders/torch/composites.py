"""Functions that PyTorch runs as one, opened: the same results by calls that a recording shows one by one.

`opened` finds a stand-in for a function. Where the body is Python, as that of `multi_head_attention_forward`, it is the
body itself; where it is compiled, as that of an LSTM or of attention, it is the formula of PyTorch's documentation,
whose results differ from those of the compiled one by rounding alone.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from types import FunctionType
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

State: TypeAlias = tuple[Tensor, ...]
Weights: TypeAlias = Sequence[Tensor | None]
# A step of a recurrent net: of the input's share of the gates, the state before and the weights, the state after.
Step: TypeAlias = Callable[[Tensor, State, Weights], State]

# What a function asks whether to hand itself to a mode. In an opened body the answer is no: its calls are handed over.
_DISPATCH = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


def opened(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function to call instead, under the mode that records; None where there is none."""
    return _FORMULAS.get(getattr(function, "__name__", "")) or _body(function)


@cache
def _body(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The body of a function of PyTorch's that is written in Python and would hand itself over whole."""
    if not isinstance(function, FunctionType) or not any(name in function.__globals__ for name in _DISPATCH):
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


# --- recurrent nets ---------------------------------------------------------------------------------------------------


def _lstm_step(gates: Tensor, state: State, weights: Weights) -> State:
    hidden, cell = state
    entering, kept, candidate, shown = (gates + _linear(hidden, *weights[:2])).chunk(4, -1)
    cell = torch.sigmoid(kept) * cell + torch.sigmoid(entering) * torch.tanh(candidate)
    hidden = torch.sigmoid(shown) * torch.tanh(cell)
    return (_linear(hidden, *weights[2:]) if weights[2:] else hidden), cell


def _gru_step(gates: Tensor, state: State, weights: Weights) -> State:
    (hidden,) = state
    reset, update, candidate = gates.chunk(3, -1)
    of_reset, of_update, of_candidate = _linear(hidden, *weights).chunk(3, -1)
    update = torch.sigmoid(update + of_update)
    candidate = torch.tanh(candidate + torch.sigmoid(reset + of_reset) * of_candidate)
    return ((1 - update) * candidate + update * hidden,)


def _tanh_step(gates: Tensor, state: State, weights: Weights) -> State:
    return (torch.tanh(gates + _linear(state[0], *weights)),)


def _relu_step(gates: Tensor, state: State, weights: Weights) -> State:
    return (torch.relu(gates + _linear(state[0], *weights)),)


def _linear(x: Tensor, weight: Tensor | None, bias: Tensor | None = None) -> Tensor:
    assert weight is not None
    return functional.linear(x, weight, bias)


def _recurrent(step: Step) -> Callable[..., Any]:
    """PyTorch's function of whole sequences for a net of that step.

    It takes x of shape (T, N, C), or (N, T, C) if `batch_first`; or packed, one step below the other, and the count of
    sequences that still run at each.
    """

    def run(x: Tensor, *more: Any) -> Any:
        packed = not isinstance(more[2], bool)
        state, weights, has_biases, layers, dropout, training, bidirectional, *order = more[1:] if packed else more
        axis = 1 if order == [True] else 0
        steps = x.split(more[0].tolist()) if packed else x.unbind(axis)
        initial = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        own = [_arranged(each, has_biases) for each in _parted(weights, layers * (1 + bidirectional))]
        outputs, last = _stack(step, steps, initial, own, dropout if training else 0.0, bidirectional)
        return (torch.cat(outputs) if packed else torch.stack(outputs, axis), *last)

    return run


def _parted(weights: Sequence[Tensor], count: int) -> list[Sequence[Tensor]]:
    each = len(weights) // count
    return [weights[start : start + each] for start in range(0, len(weights), each)]


def _arranged(weights: Sequence[Tensor], has_biases: bool) -> Weights:
    """The weights as (input's, its bias, state's, its bias, projection's if there is one)."""
    if has_biases:
        return [weights[0], weights[2], weights[1], weights[3], *weights[4:]]
    return [weights[0], None, weights[1], None, *weights[2:]]


def _stack(
    step: Step,
    steps: Sequence[Tensor],
    initial: State,
    weights: Sequence[Weights],
    dropout: float,
    bidirectional: bool,
) -> tuple[Sequence[Tensor], State]:
    """Layer upon layer, each in one direction or two: the outputs of each step, and the last states."""
    last: list[State] = []
    while len(last) < len(weights):
        if last and dropout:
            steps = [functional.dropout(each, dropout) for each in steps]
        found = []
        for backward in (False, True) if bidirectional else (False,):
            begin = tuple(each[len(last)] for each in initial)
            outputs, end = _direction(step, steps, begin, weights[len(last)], backward)
            found.append(outputs)
            last.append(end)
        steps = [torch.cat(pair, -1) for pair in zip(*found, strict=True)] if bidirectional else found[0]
    return steps, tuple(torch.stack(each) for each in zip(*last, strict=True))


def _direction(
    step: Step, steps: Sequence[Tensor], begin: State, weights: Weights, backward: bool
) -> tuple[Sequence[Tensor], State]:
    """One layer in one direction. A step has as many rows as sequences still run: forward they end, the last ones
    first; backward they begin."""
    state, ended, outputs = begin, [], []
    if backward and len(steps[-1]) < len(begin[0]):
        state = tuple(each[: len(steps[-1])] for each in begin)
    for x in reversed(steps) if backward else steps:
        rows, before = len(x), len(state[0])
        if rows < before:
            ended.append(tuple(each[rows:] for each in state))
            state = tuple(each[:rows] for each in state)
        elif rows > before:
            state = tuple(torch.cat((each, more[before:rows])) for each, more in zip(state, begin, strict=True))
        state = step(_linear(x, *weights[:2]), state, weights[2:])
        outputs.append(state[0])
    if ended:
        state = tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))
    return (outputs[::-1] if backward else outputs), state


def _cell(step: Step, states: int = 1) -> Callable[..., Any]:
    """PyTorch's function of a single step."""

    def run(x: Tensor, state: Any, *weights: Any) -> Any:
        of_input, of_state, bias, other = (*weights, None, None)[:4]
        before = state if isinstance(state, (tuple, list)) else (state,)
        after = step(_linear(x, of_input, bias), tuple(before), (of_state, other))
        return after if states > 1 else after[0]

    return run


_STEPS: dict[str, Step] = {"lstm": _lstm_step, "gru": _gru_step, "rnn_tanh": _tanh_step, "rnn_relu": _relu_step}
_FORMULAS: dict[str, Callable[..., Any]] = {
    "scaled_dot_product_attention": _attention,
    **{name: _recurrent(step) for name, step in _STEPS.items()},
    **{f"{name}_cell": _cell(step, 2 if name == "lstm" else 1) for name, step in _STEPS.items()},
}
