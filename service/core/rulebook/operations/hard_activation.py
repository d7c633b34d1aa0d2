"""Activation functions made of straight pieces. NaN stays NaN in all of them."""

import numpy as np

from service.core.rulebook.attribute import Attribute, number
from service.core.rulebook.operation import CONVENTIONS, EXACT, Closed, Kinks
from service.core.rulebook.primitives import maximum, minimum, select
from service.core.rulebook.registry import Wording, define

define(
    "HardSigmoid",
    "x",
    attributes=[Attribute("alpha", number, 0.2), Attribute("beta", number, 0.5)],
    forward=lambda x, alpha, beta: maximum(minimum(alpha * x + beta, 1.0), 0.0),
    local_gradients=lambda x, z, alpha, beta: (select(np.logical_and(z > 0.0, z < 1.0), alpha, 0.0),),
    kinks=Kinks(
        where=lambda x, z, alpha, beta: np.logical_and(
            alpha != 0.0, np.logical_or(alpha * x + beta == 0.0, alpha * x + beta == 1.0)
        ),
        returned="0 where a straight piece begins, the least of the subgradients between 0 and alpha",
    ),
    closed=Closed(
        where=lambda x, z, alpha, beta: (
            np.logical_or(
                np.logical_and(alpha == 0.0, np.equal(x, x)),
                np.logical_or(alpha * x + beta < 0.0, alpha * x + beta > 1.0),
            ),
        )
    ),
    analytic=False,
    wording=Wording(aliases=["hard_sigmoid"], rule="piecewise"),
)

define(
    "HardSwish",
    "x",
    # x·hardsigmoid(x) with alpha 1/6 and beta 1/2; x + 3 is exact where it is small.
    forward=lambda x: select(x <= -3.0, 0.0, select(x >= 3.0, x, x * (x + 3.0) / 6.0)),
    local_gradients=lambda x, z: (select(x <= -3.0, 0.0, select(x >= 3.0, 1.0, (2.0 * x + 3.0) / 6.0)),),
    kinks=Kinks(
        where=lambda x, z: np.absolute(x) == 3.0,
        returned="0 at -3 and 1 at 3, of the slopes on both sides the least in magnitude",
    ),
    closed=Closed(where=lambda x, z: (x < -3.0,)),
    analytic=False,
    wording=Wording(aliases=["hard_swish"], rule="piecewise"),
)

define(
    "PRelu",
    "x slope",
    forward=lambda x, slope: select(x > 0.0, x, slope * x),
    # At 0 the one-sided slopes are 1 and `slope`: the least-norm number between them is `slope` cut to [0, 1].
    local_gradients=lambda x, slope, z: (
        select(x > 0.0, 1.0, select(x == 0.0, maximum(minimum(slope, 1.0), 0.0), slope)),
        select(x > 0.0, 0.0, x),
    ),
    kinks=Kinks(
        where=lambda x, slope, z: np.logical_and(x == 0.0, slope != 1.0),
        returned="of the subgradients between slope and 1, the least in magnitude; 0 toward the slope",
        conventions=dict.fromkeys(
            CONVENTIONS[1:], lambda x, slope, z: (select(x > 0.0, 1.0, slope), select(x > 0.0, 0.0, x))
        ),
    ),
    closed=Closed(
        where=lambda x, slope, z: (
            np.logical_and(x < 0.0, slope == 0.0),
            np.logical_and(x > 0.0, np.equal(slope, slope)),
        )
    ),
    analytic=False,
    wording=Wording(rule="piecewise"),
)

define(
    "ThresholdedRelu",
    "x",
    attributes=[Attribute("alpha", number, 1.0)],
    forward=lambda x, alpha: select(x <= alpha, 0.0, x),
    local_gradients=lambda x, z, alpha: (select(x > alpha, 1.0, 0.0),),
    kinks=Kinks(
        where=lambda x, z, alpha: x == alpha,
        returned="0 at alpha, where the value jumps, or bends if alpha is 0",
        conventions={"torch": lambda x, z, alpha: (select(x <= alpha, 0.0, 1.0),)},  # they differ where x is NaN
    ),
    closed=Closed(where=lambda x, z, alpha: (x < alpha,)),
    analytic=False,
    rounding=EXACT,
    wording=Wording(aliases=["thresholded_relu"], rule="piecewise"),
)

define(
    "Shrink",
    "x",
    attributes=[Attribute("bias", number, 0.0), Attribute("lambd", number, 0.5)],
    forward=lambda x, bias, lambd: select(x < -lambd, x + bias, select(x <= lambd, 0.0, x - bias)),
    local_gradients=lambda x, z, bias, lambd: (select(np.logical_and(lambd > 0.0, np.absolute(x) <= lambd), 0.0, 1.0),),
    kinks=Kinks(
        where=lambda x, z, bias, lambd: np.logical_or(
            np.logical_and(lambd > 0.0, np.absolute(x) == lambd),
            np.logical_and(lambd <= 0.0, np.logical_and(x == -lambd, bias != 0.0)),
        ),
        returned="0 at -lambd and at lambd, of the slopes on both sides the least in magnitude",
    ),
    closed=Closed(where=lambda x, z, bias, lambd: (np.logical_and(lambd > 0.0, np.absolute(x) < lambd),)),
    analytic=False,
    wording=Wording(rule="piecewise"),
)
