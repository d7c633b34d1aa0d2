"""Values and contributions of the operations on shapes and of the reductions against PyTorch, where it is installed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.tensors import Sample, operation_of, samples

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers


def axes_of(sample: Sample, x: Any) -> Any:
    axes, noop = sample.attributes["axes"], sample.attributes["noop_with_empty_axes"]
    return axes or (() if noop else tuple(range(x.ndim)))


def reduction(rule: Callable[..., Any]) -> Callable[..., Any]:
    """By a function of PyTorch's that reduces along several dimensions; given none, it would take all."""

    def called(sample: Sample, x: Any) -> Any:
        axes, keepdims = axes_of(sample, x), bool(sample.attributes["keepdims"])
        if not axes:
            return rule(x.unsqueeze(-1), dim=(-1,), keepdim=False)
        return rule(x, dim=axes, keepdim=keepdims)

    return called


def spread(rule: Callable[..., Any]) -> Callable[..., Any]:
    """By the variance or the standard deviation, of which PyTorch calls ddof the correction."""

    def called(sample: Sample, x: Any) -> Any:
        ddof = sample.attributes["ddof"]
        return reduction(lambda x, dim, keepdim: rule(x, dim=dim, keepdim=keepdim, correction=ddof))(sample, x)

    return called


def product(x: Any, dim: Any, keepdim: bool) -> Any:
    for axis in sorted((axis % x.ndim for axis in dim), reverse=True):
        x = x.prod(dim=axis, keepdim=keepdim)
    return x


def norm(order: int) -> Callable[..., Any]:
    return lambda x, dim, keepdim: torch.linalg.vector_norm(x, order, dim=dim, keepdim=keepdim)


def sliced(sample: Sample, x: Any) -> Any:
    starts, ends, axes, steps = sample.attributes.values()
    for position, axis in enumerate(range(len(starts)) if axes is None else axes):
        step = 1 if steps is None else steps[position]
        length = x.shape[axis]
        start, end = (at + length if at < 0 else at for at in (starts[position], ends[position]))
        low, high = (0, length) if step > 0 else (-1, length - 1)
        start, end = max(min(start, high), 0), max(min(end, high), low)
        chosen = list(range(start, end, step)) if length else []
        # index_select refuses an axis of length 0, even where nothing is selected.
        x = torch.index_select(x, axis, torch.tensor(chosen)) if chosen else x.narrow(axis, 0, 0)
    return x


def split(sample: Sample, x: Any) -> Any:
    axis, lengths, count, output = sample.attributes.values()
    if lengths is not None:
        return torch.split(x, lengths, axis)[output]
    longest = -(-x.shape[axis] // count)
    return x.narrow(axis, min(output * longest, x.shape[axis]), max(0, min(longest, x.shape[axis] - output * longest)))


def padded(sample: Sample, x: Any) -> Any:
    pads, _, constant, axes = sample.attributes.values()
    pairs = [0, 0] * x.ndim
    for position, axis in enumerate(range(x.ndim) if axes is None else axes):
        back = x.ndim - 1 - axis % x.ndim
        pairs[2 * back : 2 * back + 2] = pads[position], pads[position + len(pads) // 2]
    return torch.nn.functional.pad(x, pairs, value=constant)


def running(rule: Callable[..., Any]) -> Callable[..., Any]:
    def called(sample: Sample, x: Any) -> Any:
        axis, exclusive, reverse = sample.attributes.values()
        x = x.flip(axis) if reverse else x
        if exclusive and x.shape[axis]:
            first = torch.full_like(x.narrow(axis, 0, 1), 0.0 if rule is torch.cumsum else 1.0)
            x = torch.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], axis)
        z = rule(x, axis)
        return z.flip(axis) if reverse else z

    return called


def gathered(sample: Sample, x: Any, indices: Any) -> Any:
    axis = sample.attributes["axis"] % x.ndim
    positions = torch.where(indices < 0, indices + x.shape[axis], indices).long()
    chosen = torch.index_select(x, axis, positions.reshape(-1))
    return chosen.reshape((*x.shape[:axis], *positions.shape, *x.shape[axis + 1 :]))


def wrapped(sample: Sample, x: Any, indices: Any) -> Any:
    """Indices of elements from 0 on."""
    return torch.where(indices < 0, indices + x.shape[sample.attributes["axis"]], indices).long()


def scattered(sample: Sample, x: Any, indices: Any, updates: Any) -> Any:
    axis, reduction = sample.attributes.values()
    indices = wrapped(sample, x, indices)
    if reduction == "none":
        return torch.scatter(x, axis, indices, updates)
    words = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return torch.scatter_reduce(x, axis, indices, updates, words[reduction])


def parts_named(sample: Sample, x: Any, indices: Any) -> Any:
    """What PyTorch takes in brackets: indices of the batch, then those of the axes that are named."""
    batch_dims, ndim = sample.attributes["batch_dims"], indices.ndim - 1
    within = [
        torch.arange(length).reshape([-1, *[1] * (ndim - 1 - axis)]) for axis, length in enumerate(x.shape[:batch_dims])
    ]
    return (*within, *(each.long() for each in indices.unbind(-1)))


def parts_scattered(sample: Sample, x: Any, indices: Any, updates: Any) -> Any:
    """PyTorch puts and adds whole parts; it neither multiplies nor chooses."""
    is_sum = sample.attributes["reduction"] == "add"
    return torch.index_put(x, parts_named(sample, x, indices), updates, accumulate=is_sum)


def top_k(sample: Sample, x: Any) -> Any:
    k, axis, largest, ordered, output = sample.attributes.values()
    values, indices = torch.topk(x, k, axis, bool(largest))
    if not ordered:
        indices = indices.sort(axis).values
        values = x.gather(axis, indices)
    return indices.double() if output else values


def ordered(sample: Sample, x: Any) -> Any:
    axis, descending, output = sample.attributes.values()
    found = torch.sort(x, axis, bool(descending))
    return found.indices.double() if output else found.values


def blocks(sample: Sample, x: Any) -> Any:
    """PyTorch's are those of CRD."""
    size, mode = sample.attributes.values()
    shuffle = torch.nn.functional.pixel_shuffle
    if sample.operation.name == "SpaceToDepth":
        z = torch.nn.functional.pixel_unshuffle(x, size)
        return z if mode == "CRD" else z.reshape(len(x), -1, size**2, *z.shape[2:]).transpose(1, 2).reshape(z.shape)
    return shuffle(
        x if mode == "CRD" else x.reshape(len(x), size**2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape), size
    )


PYTORCH: dict[str, Callable[..., Any]] = {
    "ReduceSum": reduction(torch.sum),
    "ReduceMean": reduction(torch.mean),
    "ReduceMax": reduction(torch.amax),
    "ReduceMin": reduction(torch.amin),
    "ReduceProd": reduction(product),
    "ReduceL1": reduction(norm(1)),
    "ReduceL2": reduction(norm(2)),
    "ReduceSumSquare": reduction(lambda x, dim, keepdim: (x * x).sum(dim=dim, keepdim=keepdim)),
    "ReduceLogSumExp": reduction(torch.logsumexp),
    "ReduceLogSum": reduction(lambda x, dim, keepdim: x.sum(dim=dim, keepdim=keepdim).log()),
    "ReduceVar": spread(torch.var),
    "ReduceStd": spread(torch.std),
    "Transpose": lambda sample, x: x.permute(sample.attributes["perm"] or list(range(x.ndim))[::-1]),
    "Reshape": lambda sample, x: x.reshape(sample.value.shape),
    "Flatten": lambda sample, x: x.reshape(sample.value.shape),
    "Expand": lambda sample, x: x.expand(sample.value.shape),
    "ExpandTo": lambda sample, x, like: x.expand_as(like),
    "SumTo": lambda sample, x, like: x.sum_to_size(like.shape),
    "Concat": lambda sample, *x: torch.cat(x, sample.attributes["axis"]),
    "Slice": sliced,
    "Split": split,
    "Pad": padded,
    "Gather": gathered,
    "GatherElements": lambda sample, x, indices: x.gather(sample.attributes["axis"], wrapped(sample, x, indices)),
    "GatherND": lambda sample, x, indices: x[parts_named(sample, x, indices)],
    "ScatterElements": scattered,
    "ScatterND": parts_scattered,
    "Sort": ordered,
    "TopK": top_k,
    **{
        name: lambda sample, x, choose=choose: choose(
            x, sample.attributes["axis"], bool(sample.attributes["keepdims"])
        ).double()
        for name, choose in (("ArgMax", torch.argmax), ("ArgMin", torch.argmin))
    },
    "Trilu": lambda sample, x: (torch.triu if sample.attributes["upper"] else torch.tril)(x, sample.attributes["k"]),
    "Tile": lambda sample, x: x.repeat(sample.attributes["repeats"]),
    "DepthToSpace": blocks,
    "SpaceToDepth": blocks,
    "CumSum": running(torch.cumsum),
    "CumProd": running(torch.cumprod),
}


def refused_there(sample: Sample) -> bool:
    """What PyTorch has not: extremes of nothing; other pads than with a constant of all dimensions at once."""
    empty = any(operand.size == 0 for operand in sample.operands)
    if sample.operation.name in ("DepthToSpace", "SpaceToDepth", "ArgMax", "ArgMin", "TopK"):
        return empty
    if sample.operation.name == "ScatterND":
        return sample.attributes["reduction"] in ("mul", "max", "min") or empty
    if sample.operation.name == "Pad":
        return sample.attributes["mode"] != "constant" or empty
    return empty and sample.operation.name in ("ReduceMax", "ReduceMin", "ReduceLogSumExp", "ReduceL1", "ReduceL2")


@pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0")
@pytest.mark.parametrize("name", PYTORCH)
@settings(max_examples=examples(15))
@given(data=st.data())
def test_values_and_contributions_are_pytorchs(name: str, data: st.DataObject) -> None:
    sample = data.draw(samples(operation_of(name)))
    if refused_there(sample):
        return
    with np.errstate(all="ignore"):
        value = np.asarray(sample.value)
        upstream = np.random.default_rng(0).standard_normal(value.shape)
        contributions = sample.operation.propagate(upstream, sample.operands, value, sample.attributes)
    leaves = [torch.tensor(operand, requires_grad=True) for operand in sample.operands]
    theirs = PYTORCH[name](sample, *leaves)
    assert tuple(theirs.shape) == value.shape
    np.testing.assert_allclose(value, theirs.detach().numpy(), rtol=1e-13, atol=1e-14, err_msg=str(sample))
    if theirs.requires_grad:
        theirs.backward(torch.tensor(upstream))
    for position in sample.differentiable:
        contribution, slope = contributions[position], leaves[position].grad
        if contribution is not None:
            np.testing.assert_allclose(contribution, slope.numpy(), rtol=1e-12, atol=1e-13, err_msg=str(sample))
