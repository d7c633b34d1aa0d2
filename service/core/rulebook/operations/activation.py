"""Activation functions of neural networks, in forms that neither overflow nor cancel."""

from typing import Any

import numpy as np

from service.core.rulebook.attribute import Attribute, OneOf, number
from service.core.rulebook.gaussian import (
    CUBIC,
    TWICE_ROOT,
    gelu_gate,
    gelu_gates,
    normal_density,
    normal_distribution,
)
from service.core.rulebook.notation import function
from service.core.rulebook.operation import CONVENTIONS, EXACT, Closed, Kinks
from service.core.rulebook.primitives import choose, maximum, minimum, select
from service.core.rulebook.registry import Wording, define, operands_only, rulebook_function


def sigmoid_of_number(x: Any) -> Any:
    """Return 1/(1 + e^−x), for negative x as e^x/(1 + e^x), so that small values keep their digits."""
    rising = np.exp(x)
    return select(x >= 0.0, 1.0 / (1.0 + np.exp(-x)), rising / (1.0 + rising))


@rulebook_function
def sigmoid(x: Any) -> Any:
    """Return 1/(1 + e^−x); over symbols it is the operation."""
    return sigmoid_of_number(x)


def _sigmoid_slope(x: Any, z: Any) -> Any:
    """z(1 − z) has no digits left above x = 37; e^−|x|/(1 + e^−|x|)² is the same, and even."""
    power = np.exp(-np.absolute(x))
    return (power / (1.0 + power) ** 2,)


define(
    "Sigmoid",
    "x",
    forward=sigmoid_of_number,
    local_gradients=_sigmoid_slope,
    symbolic={sigmoid: operands_only},
    wording=Wording(notation=function("sigmoid", r"\sigma", "σ")),
)

define(
    "Relu",
    "x",
    forward=lambda x: maximum(x, 0.0),
    local_gradients=lambda x, z: (select(x > 0.0, 1.0, 0.0),),
    kinks=Kinks(
        where=lambda x, z: x == 0.0,
        returned="0, the least of the subgradients from 0 to 1",
        conventions={"torch": lambda x, z: (select(x <= 0.0, 0.0, 1.0),)},  # they differ where x is NaN
    ),
    closed=Closed(where=lambda x, z: (x < 0.0,), multiplied_by=("tensorflow",)),
    analytic=False,
    rounding=EXACT,
    wording=Wording(rule="piecewise"),
)

define(
    "LeakyRelu",
    "x",
    attributes=[Attribute("alpha", number, 0.01)],
    forward=lambda x, alpha: select(x > 0.0, x, alpha * x),
    # At 0 the one-sided slopes are alpha and 1: the least-norm number between them is alpha cut to [0, 1].
    local_gradients=lambda x, z, alpha: (
        select(x > 0.0, 1.0, select(x == 0.0, maximum(minimum(alpha, 1.0), 0.0), alpha)),
    ),
    kinks=Kinks(
        where=lambda x, z, alpha: np.logical_and(x == 0.0, alpha != 1.0),
        returned="of the subgradients between alpha and 1, the least in magnitude: alpha for the usual alpha",
        conventions={
            **dict.fromkeys(("torch", "tensorflow"), lambda x, z, alpha: (select(x > 0.0, 1.0, alpha),)),
            "jax": lambda x, z, alpha: (select(x >= 0.0, 1.0, alpha),),
        },
    ),
    closed=Closed(where=lambda x, z, alpha: (np.logical_and(x < 0.0, alpha == 0.0),), multiplied_by=CONVENTIONS[1:]),
    analytic=False,
    wording=Wording(aliases=["leaky_relu"], rule="piecewise"),
)

define(
    "Elu",
    "x",
    attributes=[Attribute("alpha", number, 1.0)],
    forward=lambda x, alpha: select(x > 0.0, x, alpha * np.expm1(x)),
    local_gradients=lambda x, z, alpha: (
        select(x > 0.0, 1.0, select(x == 0.0, maximum(minimum(alpha, 1.0), 0.0), alpha * np.exp(x))),
    ),
    kinks=Kinks(
        where=lambda x, z, alpha: np.logical_and(x == 0.0, alpha != 1.0),
        returned="of the subgradients between alpha and 1, the least in magnitude",
        conventions=dict.fromkeys(CONVENTIONS[1:], lambda x, z, alpha: (select(x > 0.0, 1.0, alpha * np.exp(x)),)),
    ),
    closed=Closed(where=lambda x, z, alpha: (np.logical_and(x < 0.0, alpha == 0.0),), multiplied_by=CONVENTIONS[1:]),
    analytic=False,
    wording=Wording(rule="piecewise"),
)

define(
    "Selu",
    "x",
    # The defaults are ONNX's: the float32 nearest to the figures of Klambauer and others, 2017.
    attributes=[
        Attribute("alpha", number, 1.67326319217681884765625),
        Attribute("gamma", number, 1.05070102214813232421875),
    ],
    forward=lambda x, alpha, gamma: gamma * select(x > 0.0, x, alpha * np.expm1(x)),
    local_gradients=lambda x, z, alpha, gamma: (
        gamma * select(x > 0.0, 1.0, select(x == 0.0, maximum(minimum(alpha, 1.0), 0.0), alpha * np.exp(x))),
    ),
    kinks=Kinks(
        where=lambda x, z, alpha, gamma: np.logical_and(x == 0.0, alpha != 1.0),
        returned="of the subgradients between gamma * alpha and gamma, the least in magnitude",
        conventions=dict.fromkeys(
            ("torch", "jax"), lambda x, z, alpha, gamma: (gamma * select(x > 0.0, 1.0, alpha * np.exp(x)),)
        ),
    ),
    closed=Closed(
        where=lambda x, z, alpha, gamma: (np.logical_and(x < 0.0, alpha == 0.0),), multiplied_by=CONVENTIONS[1:]
    ),
    analytic=False,
    wording=Wording(rule="piecewise"),
)

define(
    "Softplus",
    "x",
    # log(1 + e^x), written so that e never has a positive exponent.
    forward=lambda x: select(x > 0.0, x + np.log1p(np.exp(-x)), np.log1p(np.exp(x))),
    local_gradients=lambda x, z: (sigmoid_of_number(x),),
)

define(
    "Softsign",
    "x",
    forward=lambda x: x / (1.0 + np.absolute(x)),
    local_gradients=lambda x, z: ((1.0 / (1.0 + np.absolute(x))) ** 2,),
    analytic=False,
)


def _gelu(x: Any, approximate: Any) -> Any:
    return x * choose(approximate == "tanh", gelu_gate, normal_distribution, x)


def gelu_slope_by_tanh(x: Any) -> Any:
    """Return the slope of x·gelu_gate(x)."""
    y = maximum(minimum(x, 30.0), -30.0)  # beyond, the slope of the gate is 0
    gate, opposite = gelu_gates(x)
    return gate * (1.0 + y * gate_argument_slope(x) * opposite)


def gelu_slope(x: Any) -> Any:
    """Return the slope of x·Φ(x)."""
    return normal_distribution(x) + x * normal_density(x)


def gate_argument_slope(x: Any) -> Any:
    """Return 2√(2/π)·(1 + 3·0.044715·x²); beyond x = 30, where the slope of the gate is 0, x² may be infinite."""
    y = maximum(minimum(x, 30.0), -30.0)
    return TWICE_ROOT + 3.0 * CUBIC * TWICE_ROOT * (y * y)


define(
    "GeluGate",
    "x",
    forward=lambda x: gelu_gate(x),  # noqa: PLW0108 (compiled, only a call is overloaded)
    local_gradients=lambda x, z: (gate_argument_slope(x) * z * gelu_gate(-x),),
    analytic=False,
    symbolic={gelu_gate: operands_only},
    wording=Wording(aliases=["gelu_gate"]),
)

define(
    "Gelu",
    "x",
    attributes=[Attribute("approximate", OneOf(("none", "tanh")), "none")],
    forward=_gelu,
    local_gradients=lambda x, z, approximate: (choose(approximate == "tanh", gelu_slope_by_tanh, gelu_slope, x),),
    analytic=False,
)

define(
    "Celu",
    "x",
    attributes=[Attribute("alpha", number, 1.0)],
    forward=lambda x, alpha: select(x > 0.0, x, alpha * np.expm1(x / alpha)),
    local_gradients=lambda x, z, alpha: (select(x > 0.0, 1.0, np.exp(x / alpha)),),
    analytic=False,
    wording=Wording(rule="piecewise"),
)

define(
    "Swish",
    "x",
    attributes=[Attribute("alpha", number, 1.0)],
    forward=lambda x, alpha: x * sigmoid(alpha * x),
    local_gradients=lambda x, z, alpha: (sigmoid(alpha * x) * (1.0 + alpha * x * sigmoid(-alpha * x)),),
    analytic=False,
    wording=Wording(aliases=["silu"], notation=function("swish")),
)


def mish_slope_above(x: Any, n: Any) -> Any:
    """Return the slope of mish for x > 0, where n = e^−x."""
    denominator = 1.0 + 2.0 * n * (1.0 + n)
    return 1.0 + n * n * (4.0 * x * (1.0 + n) / denominator - 2.0) / denominator


def mish_slope_below(x: Any, w: Any) -> Any:
    """Return the slope of mish for x ≤ 0, where w = e^x."""
    denominator = w * (w + 2.0) + 2.0
    return (w * (w + 2.0) + 4.0 * x * (w * (1.0 + w) / denominator)) / denominator


define(
    "Mish",
    "x",
    # x·tanh(log(1 + e^x)) = x·w(w + 2)/(w(w + 2) + 2) with w = e^x; for x > 0 it is divided through by w².
    forward=lambda x: (
        x
        * select(
            x > 0.0,
            (1.0 + 2.0 * np.exp(-x)) / (1.0 + 2.0 * np.exp(-x) * (1.0 + np.exp(-x))),
            np.exp(x) * (np.exp(x) + 2.0) / (np.exp(x) * (np.exp(x) + 2.0) + 2.0),
        )
    ),
    local_gradients=lambda x, z: (select(x > 0.0, mish_slope_above(x, np.exp(-x)), mish_slope_below(x, np.exp(x))),),
    analytic=False,
    wording=Wording(notation=function("mish")),
)
