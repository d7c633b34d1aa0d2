"""Recurrent nets, step by step: the gates of each, and what PyTorch's compiled functions make of whole sequences."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

State: TypeAlias = tuple[Tensor, ...]
Weights: TypeAlias = Sequence[Tensor | None]
# A step of a recurrent net: of the input's share of the gates, the state before and the weights, the state after.
Step: TypeAlias = Callable[[Tensor, State, Weights], State]


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


def _pack(x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    """The steps of padded sequences, the longest first, one below the other; the count of those that still run."""
    counts = [int((lengths > step).sum()) for step in range(int(lengths[0]))]
    steps = x.unbind(1 if batch_first else 0)
    return torch.cat([each[:count] for each, count in zip(steps, counts, strict=False)]), torch.tensor(counts)


def _pad(
    data: Tensor, batch_sizes: Tensor, batch_first: bool, padding: float, total_length: int
) -> tuple[Tensor, Tensor]:
    """What `_pack` has packed, as long as it was or as `total_length`, and how long each sequence is."""
    counts = batch_sizes.tolist()
    shape = (counts[0], *data.shape[1:])
    rest = [data.new_full((counts[0] - count, *data.shape[1:]), padding) for count in counts]
    steps = [
        torch.cat((each, padded)) if len(padded) else each
        for each, padded in zip(data.split(counts), rest, strict=True)
    ]
    steps += [data.new_full(shape, padding)] * (total_length - len(counts))
    lengths = torch.tensor([sum(count > each for count in counts) for each in range(counts[0])])
    return torch.stack(steps, 1 if batch_first else 0), lengths


_STEPS: dict[str, Step] = {"lstm": _lstm_step, "gru": _gru_step, "rnn_tanh": _tanh_step, "rnn_relu": _relu_step}
# By the names of PyTorch's functions.
RECURRENT: dict[str, Callable[..., Any]] = {
    **{name: _recurrent(step) for name, step in _STEPS.items()},
    **{f"{name}_cell": _cell(step, 2 if name == "lstm" else 1) for name, step in _STEPS.items()},
    "_pack_padded_sequence": _pack,
    "_pad_packed_sequence": _pad,
}
