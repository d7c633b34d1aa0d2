"""PyTorch's losses by margins and likelihoods."""

from typing import Any

from service.recorders.torch.call import Operand, TorchCall, Unmapped, maps
from service.recorders.torch.losses import reduced


@maps("hinge_embedding_loss")
def hinge_embedding_loss(
    call: TorchCall, input: Any, target: Any, margin: float = 1.0, *_: Any, reduction: Any = "mean"
) -> Operand:
    apart = call.add("Relu", call.add("Sub", margin, input))
    each = call.add("Where", call.add("Equal", target, 1.0), input, apart)
    return reduced(call, each, reduction)


@maps("margin_ranking_loss")
def margin_ranking_loss(
    call: TorchCall, input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: Any = "mean"
) -> Operand:
    lead = call.add("Mul", call.add("Neg", target), call.add("Sub", input1, input2))
    return reduced(call, call.add("Relu", call.add("Add", lead, margin)), reduction)


@maps("cosine_embedding_loss")
def cosine_embedding_loss(
    call: TorchCall, input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: Any = "mean"
) -> Operand:
    product = call.add("ReduceSum", call.add("Mul", input1, input2), axes=[-1], keepdims=0)
    squares = [
        call.add("Add", call.add("ReduceSum", call.add("Mul", x, x), axes=[-1], keepdims=0), 1e-8)
        for x in (input1, input2)
    ]
    cosine = call.add("Div", product, call.add("Sqrt", call.add("Mul", *squares)))
    apart = call.add("Relu", call.add("Sub", cosine, margin))
    each = call.add("Where", call.add("Equal", target, 1.0), call.add("Sub", 1.0, cosine), apart)
    return reduced(call, each, reduction)


@maps("triplet_margin_loss")
def triplet_margin_loss(
    call: TorchCall,
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Any = "mean",
) -> Operand:
    if swap or p not in (1, 2):
        raise Unmapped("the swapped distance, or one of another order")
    near, far = (
        call.add(f"ReduceL{int(p)}", call.add("Add", call.add("Sub", anchor, other), eps), axes=[-1], keepdims=0)
        for other in (positive, negative)
    )
    return reduced(call, call.add("Relu", call.add("Add", call.add("Sub", near, far), margin)), reduction)


@maps("soft_margin_loss")
def soft_margin_loss(call: TorchCall, input: Any, target: Any, reduction: Any = "mean") -> Operand:
    return reduced(call, call.add("Softplus", call.add("Mul", call.add("Neg", target), input)), reduction)


@maps("poisson_nll_loss")
def poisson_nll_loss(
    call: TorchCall,
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: Any = "mean",
) -> Operand:
    if full:
        raise Unmapped("with Stirling's term")
    if log_input:
        each = call.add("Sub", call.add("Exp", input), call.add("Mul", target, input))
    else:
        each = call.add("Sub", input, call.add("Mul", target, call.add("Log", call.add("Add", input, eps))))
    return reduced(call, each, reduction)
