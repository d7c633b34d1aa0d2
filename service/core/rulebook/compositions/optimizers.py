"""Updates of optimisers as texts, in the forms of torch.optim and optax.

What an optimiser keeps beside a parameter is updated by functions of its own, so that a parameter rests on its new
state, and a wrong state is one origin: `v2 = ema(v, g^2, beta=0.999); W2 = rmsprop(W, g, v2, lr)`. Decay that is
coupled is part of the gradient that they are given, g + λ·W.
"""

from collections.abc import Mapping
from typing import Any

from service.core.rulebook.attribute import Attribute, finite
from service.core.rulebook.composed import Given, compose

_SHAPE = (3, 2)
_STABILIZERS = (Attribute("eps", finite, 1e-8), Attribute("eps_root", finite, 0.0))
_BETAS = (Attribute("beta1", finite, 0.9), Attribute("beta2", finite, 0.999))


def _root(square: str, attributes: Mapping[str, Any]) -> str:
    """The text of √(square + eps_root) + eps; torch.optim has no eps_root, optax's rmsprop no eps but that."""
    within, beside = (f" + {attributes[each]!r}" if attributes[each] else "" for each in ("eps_root", "eps"))
    return f"(sqrt({square}{within}){beside})"


def _momentum(given: Given) -> str:
    momentum, dampening = (given.attributes[each] for each in ("momentum", "dampening"))
    return f"{momentum!r} * b + " + ("g" if dampening == 0 else f"{1 - dampening!r} * g")


def _moving_average(given: Given) -> str:
    beta = given.attributes["beta"]
    return f"{beta!r} * m + {1 - beta!r} * x"


def _rmsprop(given: Given) -> str:
    return f"p - lr * g / {_root('v', given.attributes)}"


def _direction(attributes: Mapping[str, Any]) -> str:
    """The statements of Adam's direction: the first moment over the root of the second, both without their bias."""
    return f"""
mean = m / (1 - {attributes["beta1"]!r} ^ t)
square = v / (1 - {attributes["beta2"]!r} ^ t)
direction = mean / {_root("square", attributes)}"""


def _adam(given: Given) -> str:
    return f"{_direction(given.attributes)}\np - lr * direction"


def _adamw(given: Given) -> str:
    decay = given.attributes["weight_decay"]
    return f"{_direction(given.attributes)}\np - lr * (direction + {decay!r} * p)"


compose(
    "Sgd",
    "p g lr",
    text=lambda given: "p - lr * g",
    shapes={"p": _SHAPE, "g": _SHAPE, "lr": ()},
    summary="A parameter after a step against its gradient g, or against the buffer of Momentum.",
)
compose(
    "Momentum",
    "b g",
    attributes=[Attribute("momentum", finite, 0.9), Attribute("dampening", finite, 0.0)],
    text=_momentum,
    shapes={"b": _SHAPE, "g": _SHAPE},
    summary="The buffer of gradients after a step, from the buffer b before it and the gradient g.",
)
compose(
    "Ema",
    "m x",
    attributes=[Attribute("beta", finite, 0.9)],
    text=_moving_average,
    shapes={"m": _SHAPE, "x": _SHAPE},
    summary="The exponential moving average m after x has come to it: a moment of Adam's, of x = g or x = g².",
)
compose(
    "RmsProp",
    "p g v lr",
    attributes=_STABILIZERS,
    text=_rmsprop,
    shapes={"p": _SHAPE, "g": _SHAPE, "v": _SHAPE, "lr": ()},
    summary="A parameter after a step of RMSprop; v is the moving average of g², g's own square within it.",
)
compose(
    "Adam",
    "p m v t lr",
    attributes=[*_BETAS, *_STABILIZERS],
    text=_adam,
    shapes={"p": _SHAPE, "m": _SHAPE, "v": _SHAPE, "t": (), "lr": ()},
    summary="A parameter after step t (from 1) of Adam; m and v are the moving averages of g and g² after that step.",
)
compose(
    "AdamW",
    "p m v t lr",
    attributes=[*_BETAS, *_STABILIZERS, Attribute("weight_decay", finite, 0.01)],
    text=_adamw,
    shapes={"p": _SHAPE, "m": _SHAPE, "v": _SHAPE, "t": (), "lr": ()},
    summary="As Adam, with weight decay that does not pass through the moments.",
)
