"""A model as `torch.export` sees it: a static graph of ATen's operations, without branches and changes in place.

What it is made of is recorded as any module is: `record(exported(model, args), args, loss)`.
"""

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_REDUCTIONS = ("none", "mean", "sum")


def exported(model: torch.nn.Module, args: Sequence[Any]) -> torch.nn.Module:
    """The static graph of a model called with these arguments, as a module with the names and weights of its modules.

    Raises what `torch.export.export` does for a model that has none, as one that branches on its figures.
    """
    with _without_deprecations():
        program = torch.export.export(model, tuple(args)).run_decompositions({})
        for node in program.graph.nodes:
            node.target = _IN_FUNCTIONS.get(node.target, node.target)
        module: torch.nn.Module = torch.export.unflatten(program)
    run = module.forward

    @functools.wraps(model.forward)  # whose parameters name the inputs
    def forward(*given: Any, **named: Any) -> Any:
        with _without_deprecations():
            return run(*given, **named)

    module.forward = forward
    return module


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """What torch.export warns of, its use of its own deprecated parts and of PyTorch's LSTM, is not the caller's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", ".*_flat_weights", UserWarning)
        yield


def _by_names(function: Callable[..., Any], operation: Any, **renamed: str) -> Callable[..., Any]:
    """A function called as an operation is, whose parameters are in another order, and whose reduction is a number."""
    names = [renamed.get(each.name, each.name) for each in operation._schema.arguments]

    def call(*given: Any, **named: Any) -> Any:
        arguments = dict(zip(names, given, strict=False)) | {renamed.get(name, name): of for name, of in named.items()}
        if isinstance(arguments.get("reduction"), int):
            arguments["reduction"] = _REDUCTIONS[arguments["reduction"]]
        return function(**arguments)

    return call


def _convert(x: Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    return x.clone() if dtype is None else x.to(dtype)


def _copy(x: Tensor, source: Tensor, *_: Any) -> Tensor:
    return source.to(x.dtype).expand(x.shape)


def _dropout(x: Tensor, p: float, train: bool | None = True) -> tuple[Tensor, None]:
    return functional.dropout(x, p, train is not False), None


def _normalize_as_trained(
    x: Tensor, weight: Any, bias: Any, mean: Tensor, variance: Tensor, momentum: float, eps: float
) -> tuple[Tensor, None, None]:
    return functional.batch_norm(x, mean, variance, weight, bias, False, momentum, eps), None, None


def _normalize_batch(
    x: Tensor, weight: Any, bias: Any, mean: Tensor, variance: Tensor, training: bool, momentum: float, eps: float
) -> tuple[Tensor, None, None, Tensor, Tensor]:
    """The running statistics, of which no figure of this call is made in training, stay as they are."""
    statistics = (None, None) if training else (mean, variance)
    return functional.batch_norm(x, *statistics, weight, bias, training, momentum, eps), None, None, mean, variance


_ATEN = torch.ops.aten
_LOSSES = (
    *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "soft_margin_loss", "poisson_nll_loss"),
    *("binary_cross_entropy", "binary_cross_entropy_with_logits", "nll_loss", "margin_ranking_loss"),
    *("hinge_embedding_loss", "cosine_embedding_loss", "triplet_margin_loss"),
)
# Operations that have no derivative, or other parameters than the function that the tables know.
_IN_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    _ATEN._to_copy.default: _convert,
    _ATEN.copy.default: _copy,
    _ATEN.view.default: torch.reshape,  # of what attention returns, whose layout in memory is another once it is opened
    _ATEN.native_dropout.default: _dropout,
    _ATEN._native_batch_norm_legit_no_training.default: _normalize_as_trained,
    _ATEN._native_batch_norm_legit_functional.default: _normalize_batch,
    _ATEN.embedding.default: _by_names(functional.embedding, _ATEN.embedding.default, indices="input"),
    _ATEN.cross_entropy_loss.default: _by_names(
        functional.cross_entropy, _ATEN.cross_entropy_loss.default, self="input"
    ),
    _ATEN.nll_loss_nd.default: _by_names(functional.nll_loss, _ATEN.nll_loss_nd.default, self="input"),
    **{
        getattr(_ATEN, name).default: _by_names(getattr(functional, name), getattr(_ATEN, name).default, self="input")
        for name in _LOSSES
    },
}
