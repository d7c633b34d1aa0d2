"""PyTorch's losses."""

from typing import Any

from service.recorders.torch.call import Operand, TorchCall, Unmapped, maps


def reduced(call: TorchCall, each: Operand, reduction: str | int) -> Operand:
    """The mean of the losses, their sum, or each; PyTorch's compiled losses number the three."""
    if reduction in ("none", 0):
        return each
    return call.add("ReduceMean" if reduction in ("mean", 1) else "ReduceSum", each, keepdims=0)


@maps("mse_loss")
def mse_loss(
    call: TorchCall, input: Any, target: Any, *_: Any, reduction: str = "mean", weight: Any = None, **__: Any
) -> Any:
    squared = call.add("Pow", call.add("Sub", input, target), 2.0)
    return reduced(call, squared if weight is None else call.add("Mul", squared, weight), reduction)


@maps("l1_loss")
def l1_loss(call: TorchCall, input: Any, target: Any, *_: Any, reduction: str = "mean", **__: Any) -> Operand:
    return reduced(call, call.add("Abs", call.add("Sub", input, target)), reduction)


@maps("smooth_l1_loss")
def smooth_l1_loss(
    call: TorchCall, input: Any, target: Any, *_: Any, reduction: str = "mean", beta: float = 1.0, **__: Any
) -> Operand:
    if beta == 0:
        return l1_loss(call, input, target, reduction=reduction)
    each = call.add("Div", _huber(call, input, target, beta), beta)
    return reduced(call, each, reduction)


@maps("huber_loss")
def huber_loss(
    call: TorchCall, input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Operand:
    each = _huber(call, input, target, delta)
    return reduced(call, each if weight is None else call.add("Mul", each, weight), reduction)


def _huber(call: TorchCall, input: Any, target: Any, delta: float) -> Operand:
    error = call.add("Sub", input, target)
    size = call.add("Abs", error)
    square = call.add("Mul", call.add("Pow", error, 2.0), 0.5)
    line = call.add("Mul", call.add("Sub", size, 0.5 * delta), delta)
    return call.add("Where", call.add("Less", size, delta), square, line)


@maps("cross_entropy")
def cross_entropy(
    call: TorchCall,
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Operand:
    classes = 1 if input.ndim > 1 else 0
    if not target.is_float and not label_smoothing:
        return _by_label(call, "SoftmaxCrossEntropyLoss", input, target, weight, ignore_index, reduction)
    logarithms = call.add("LogSoftmax", input, axis=classes)
    if not target.is_float:
        return _smoothed(call, logarithms, target, weight, ignore_index, reduction, label_smoothing)
    if label_smoothing:
        kept = call.add("Mul", target, 1.0 - label_smoothing)
        target = call.add("Add", kept, label_smoothing / input.shape[classes])
    if weight is not None:
        shape = [-1, *[1] * (input.ndim - 2)] if input.ndim > 1 else [-1]
        logarithms = call.add("Mul", logarithms, call.add("Reshape", weight, shape=shape))
    each = call.add("Neg", call.add("ReduceSum", call.add("Mul", target, logarithms), axes=[classes], keepdims=0))
    return reduced(call, each, reduction)


def _smoothed(
    call: TorchCall, logarithms: Operand, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Operand:
    """The loss at the labels, mixed with the mean of the losses at all classes."""
    if weight is not None or target.ndim == 0:
        raise Unmapped("label smoothing with weights, or of a single label")
    is_kept = target.known != ignore_index
    at_label = call.add("NegativeLogLikelihoodLoss", logarithms, target, reduction=reduction, ignore_index=ignore_index)
    over_all = call.add("Neg", call.add("ReduceMean", logarithms, axes=[1], keepdims=0))
    if not bool(is_kept.all()):
        over_all = call.add("Where", is_kept, over_all, 0.0)
    if reduction == "mean":
        over_all = call.add("Div", call.add("ReduceSum", over_all, keepdims=0), float(is_kept.sum()))
    else:
        over_all = reduced(call, over_all, reduction)
    return call.add("Add", call.add("Mul", at_label, 1.0 - smoothing), call.add("Mul", over_all, smoothing))


def _by_label(
    call: TorchCall, operation: str, scores: Any, labels: Any, weight: Any, ignore_index: int, reduction: str
) -> Operand:
    if labels.ndim == 0:
        scores, labels = call.add("Unsqueeze", scores, axes=[0]), call.add("Unsqueeze", labels, axes=[0])
        each = call.add(operation, scores, labels, weight, reduction=reduction, ignore_index=ignore_index)
        return call.add("Reshape", each, shape=call.shape)
    return call.add(operation, scores, labels, weight, reduction=reduction, ignore_index=ignore_index)


@maps("nll_loss")
def nll_loss(
    call: TorchCall,
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Operand:
    return _by_label(call, "NegativeLogLikelihoodLoss", input, target, weight, ignore_index, reduction)


@maps("binary_cross_entropy")
def binary_cross_entropy(
    call: TorchCall, input: Any, target: Any, weight: Any = None, *_: Any, reduction: str = "mean", **__: Any
) -> Operand:
    """PyTorch bounds the logarithms by −100 from below, which the gradient does not know."""
    parts = [(target, input), (call.add("Sub", 1.0, target), call.add("Sub", 1.0, input))]
    terms = [call.add("Mul", share, call.add("Clip", call.add("Log", chance), min=-100.0)) for share, chance in parts]
    each = call.add("Neg", call.add("Add", *terms))
    return reduced(call, each if weight is None else call.add("Mul", each, weight), reduction)


@maps("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(
    call: TorchCall,
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Operand:
    """softplus(x) − y·x; with weights of the positives (1 − y)·x + (1 + (w − 1)·y)·softplus(−x)."""
    if pos_weight is None:
        each = call.add("Sub", call.add("Softplus", input), call.add("Mul", target, input))
    else:
        share = call.add("Add", 1.0, call.add("Mul", call.add("Sub", pos_weight, 1.0), target))
        negative = call.add("Mul", call.add("Sub", 1.0, target), input)
        each = call.add("Add", negative, call.add("Mul", share, call.add("Softplus", call.add("Neg", input))))
    return reduced(call, each if weight is None else call.add("Mul", each, weight), reduction)


@maps("kl_div")
def kl_div(
    call: TorchCall, input: Any, target: Any, *_: Any, reduction: str = "mean", log_target: bool = False, **__: Any
) -> Operand:
    if log_target:
        each = call.add("Mul", call.add("Exp", target), call.add("Sub", target, input))
    else:
        each = call.add("Sub", call.add("XLogY", target, target), call.add("Mul", target, input))
    if reduction == "batchmean":
        return call.add("Div", call.add("ReduceSum", each, keepdims=0), float(input.shape[0]))
    return reduced(call, each, reduction)
