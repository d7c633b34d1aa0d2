"""The logarithm of the gamma function, and its derivatives, each of which is the derivative of the one before."""

import math

from service.core.rulebook.attribute import Attribute, integer
from service.core.rulebook.gamma import digamma, log_gamma, polygamma
from service.core.rulebook.notation import function
from service.core.rulebook.registry import Wording, define, operands_only

_POSITIVE = (0.0, math.inf)


def _read_order(value: object) -> int:
    """Read the order of a derivative."""
    order = integer(value)
    if not 1 <= order <= 100:
        raise ValueError("an order from 1 to 100 is expected; of order 0 it is digamma")
    return order


define(
    "Lgamma",
    "x",
    forward=lambda x: log_gamma(x),  # noqa: PLW0108 (compiled, only a call is overloaded)
    local_gradients=lambda x, z: (digamma(x),),
    domain=[_POSITIVE],
    analytic=False,
    symbolic={log_gamma: operands_only},
    wording=Wording(aliases=["gammaln"], notation=function("lgamma", r"\ln\Gamma", "ln Γ")),
)

define(
    "Digamma",
    "x",
    forward=lambda x: digamma(x),  # noqa: PLW0108
    local_gradients=lambda x, z: (polygamma(x, 1.0),),
    domain=[_POSITIVE],
    analytic=False,
    symbolic={digamma: operands_only},
    wording=Wording(aliases=["psi"], notation=function("digamma", r"\psi", "ψ")),
)

define(
    "Polygamma",
    "x",
    attributes=[Attribute("n", _read_order, 1)],
    forward=lambda x, n: polygamma(x, n),  # noqa: PLW0108
    local_gradients=lambda x, z, n: (polygamma(x, n + 1.0),),
    domain=[_POSITIVE],
    analytic=False,
    symbolic={polygamma: lambda x, n: ((x,), {"n": n})},
    wording=Wording(notation=function("polygamma", r"\operatorname{polygamma}")),
)
