"""Exponentials, logarithms, the hyperbolic functions and the error function."""

import math
from typing import Any

import numpy as np

from service.core.rulebook.gaussian import (
    bell,
    complementary_error,
    error_function,
    normal_density,
    normal_distribution,
)
from service.core.rulebook.notation import ATOM, OPEN, POWER, Notation, function
from service.core.rulebook.operation import Kinks
from service.core.rulebook.primitives import maximum, select
from service.core.rulebook.registry import REALS, Wording, define, operands_only, rulebook_function

_LOG_2, _LOG_10 = math.log(2.0), math.log(10.0)

define(
    "Exp",
    "x",
    forward=np.exp,
    local_gradients=lambda x, z: (z,),
    wording=Wording(notation=function("exp", r"\exp"), rule="exponential"),
)

define(
    "Log",
    "x",
    forward=np.log,
    local_gradients=lambda x, z: (1.0 / x,),
    domain=[(0.0, math.inf)],
    wording=Wording(aliases=["ln"], notation=function("log", r"\ln", "ln"), rule="logarithm"),
)

define(
    "Log2",
    "x",
    forward=np.log2,
    local_gradients=lambda x, z: (1.0 / _LOG_2 / x,),
    domain=[(0.0, math.inf)],
    wording=Wording(notation=function("log2", r"\log_{2}"), rule="logarithm"),
)

define(
    "Log10",
    "x",
    forward=np.log10,
    local_gradients=lambda x, z: (1.0 / _LOG_10 / x,),
    domain=[(0.0, math.inf)],
    wording=Wording(notation=function("log10", r"\log_{10}"), rule="logarithm"),
)

define(
    "Log1p",
    "x",
    forward=np.log1p,
    local_gradients=lambda x, z: (1.0 / (1.0 + x),),
    domain=[(-1.0, math.inf)],
)

define(
    "Expm1",
    "x",
    forward=np.expm1,
    local_gradients=lambda x, z: (np.exp(x),),  # z + 1 has no digits left below x = −37
)

define(
    "Sinh",
    "x",
    forward=np.sinh,
    local_gradients=lambda x, z: (np.cosh(x),),
    wording=Wording(notation=function("sinh", r"\sinh")),
)

define(
    "Cosh",
    "x",
    forward=np.cosh,
    local_gradients=lambda x, z: (np.sinh(x),),
    wording=Wording(notation=function("cosh", r"\cosh")),
)


@rulebook_function
def sech(x: Any) -> Any:
    """Return 1/cosh(x)."""
    return 1.0 / np.cosh(x)


# Its local gradient is finite far out, where that of 1/cosh(x) is 0 · ∞.
define(
    "Sech",
    "x",
    forward=lambda x: sech(x),  # noqa: PLW0108 (compiled, only a call is overloaded)
    local_gradients=lambda x, z: (-z * np.tanh(x),),
    symbolic={sech: operands_only},
    wording=Wording(notation=function("sech", r"\operatorname{sech}")),
)

define(
    "Tanh",
    "x",
    forward=np.tanh,
    local_gradients=lambda x, z: (sech(x) ** 2,),  # 1 − z² has no digits left above x = 20
    wording=Wording(notation=function("tanh", r"\tanh")),
)

define(
    "Asinh",
    "x",
    forward=np.arcsinh,
    # 1/√(1 + x²), which above 10⁸ is 1/|x| to the last digit; x² would overflow from 10¹⁵⁴ on.
    local_gradients=lambda x, z: (select(np.absolute(x) > 1e8, 1.0 / np.absolute(x), 1.0 / np.sqrt(1.0 + x * x)),),
    wording=Wording(aliases=["arcsinh"], notation=function("asinh", r"\operatorname{arsinh}", "arsinh")),
)

define(
    "Acosh",
    "x",
    forward=np.arccosh,
    local_gradients=lambda x, z: (1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)),),
    kinks=Kinks(where=lambda x, z: x == 1.0, returned="infinity, the limit of the slope from the right"),
    domain=[(1.0, math.inf)],
    wording=Wording(aliases=["arccosh"], notation=function("acosh", r"\operatorname{arcosh}", "arcosh")),
)

define(
    "Atanh",
    "x",
    forward=np.arctanh,
    local_gradients=lambda x, z: (1.0 / ((1.0 - x) * (1.0 + x)),),
    domain=[(-1.0, 1.0)],
    wording=Wording(aliases=["arctanh"], notation=function("atanh", r"\operatorname{artanh}", "artanh")),
)

define(
    "Erf",
    "x",
    forward=lambda x: error_function(x),  # noqa: PLW0108 (Numba wants a rule to compile)
    local_gradients=lambda x, z: (2.0 / math.sqrt(math.pi) * bell(x),),
    analytic=False,
    symbolic={error_function: operands_only},
    wording=Wording(notation=function("erf", r"\operatorname{erf}")),
)

define(
    "Erfc",
    "x",
    forward=lambda x: complementary_error(x),  # noqa: PLW0108 (Numba wants a rule to compile)
    local_gradients=lambda x, z: (-2.0 / math.sqrt(math.pi) * bell(x),),
    analytic=False,
    symbolic={complementary_error: operands_only},
    wording=Wording(notation=function("erfc", r"\operatorname{erfc}")),
)


def _logarithm_of_sum(x: Any, y: Any) -> Any:
    """log(e^x + e^y), the greater taken out, so that nothing overflows; of equal ones x + log 2, also at infinity."""
    return select(x == y, x + _LOG_2, maximum(x, y) + np.log1p(np.exp(-np.absolute(x - y))))


def share_of_sum(x: Any, y: Any, of_infinity: Any = 0.5, of_nothing: Any = 0.0) -> Any:
    """e^x/(e^x + e^y) = σ(x − y), and as given where both powers are infinite, and where both are 0."""
    share = select(x >= y, 1.0 / (1.0 + np.exp(y - x)), np.exp(x - y) / (1.0 + np.exp(x - y)))
    return select(np.logical_and(x == y, np.absolute(x) == math.inf), select(x > 0.0, of_infinity, of_nothing), share)


define(
    "LogAddExp",
    "x y",
    forward=_logarithm_of_sum,
    local_gradients=lambda x, y, z: (share_of_sum(x, y), share_of_sum(y, x)),
    kinks=Kinks(
        where=lambda x, y, z: np.logical_and(x == y, np.absolute(x) == math.inf),
        returned="half each where both are infinity, 0 where both are -infinity",
        conventions={
            "torch": lambda x, y, z: (share_of_sum(x, y, math.nan, math.nan), share_of_sum(y, x, math.nan, math.nan)),
            "jax": lambda x, y, z: (share_of_sum(x, y, 1.0, math.nan), share_of_sum(y, x, 1.0, math.nan)),
            "tensorflow": lambda x, y, z: (
                select(np.logical_and(x == y, np.absolute(x) < math.inf), 1.0, share_of_sum(x, y, math.nan, math.nan)),
                select(np.logical_and(x == y, np.absolute(x) < math.inf), 0.0, share_of_sum(y, x, math.nan, math.nan)),
            ),
        },
    ),
    analytic=False,
    symbolic={np.logaddexp: operands_only},
    wording=Wording(notation=function("logaddexp"), rule="logarithm"),
)

define(
    "XLogY",
    "x y",
    forward=lambda x, y: select(np.logical_and(x == 0.0, np.equal(y, y)), 0.0, x * np.log(y)),
    local_gradients=lambda x, y, z: (np.log(y), x / select(np.logical_and(x == 0.0, y == 0.0), 1.0, y)),
    kinks=Kinks(
        where=lambda x, y, z: np.logical_and(x == 0.0, y == 0.0),
        returned="minus infinity, the limit of the slope log y, and 0",
        conventions={
            "torch": lambda x, y, z: (select(np.logical_and(x == 0.0, y <= 0.0), 0.0, np.log(y)), x / y),
            "jax": lambda x, y, z: (np.log(y), x / y),
            "tensorflow": lambda x, y, z: (select(x == 0.0, 0.0, np.log(y)), select(x == 0.0, 0.0, x / y)),
        },
    ),
    domain=[REALS, (0.0, math.inf)],
    analytic=False,
    wording=Wording(notation=function("xlogy"), rule="product"),
)

define(
    "Bell",
    "x",
    forward=lambda x: bell(x),  # noqa: PLW0108
    local_gradients=lambda x, z: (-2.0 * x * z,),
    analytic=False,
    symbolic={bell: operands_only},
    wording=Wording(
        notation=Notation(
            "bell(%(0)s)",
            "e^{-%(0)s^{2}}",
            POWER,
            (OPEN,),
            (ATOM,),
            "<msup><mi>e</mi><mrow><mo>−</mo><msup>%(0)s<mn>2</mn></msup></mrow></msup>",
        )
    ),
)

define(
    "NormalDensity",
    "x",
    forward=lambda x: normal_density(x),  # noqa: PLW0108
    local_gradients=lambda x, z: (-x * z,),
    analytic=False,
    symbolic={normal_density: operands_only},
    wording=Wording(aliases=["normal_density"], notation=function("normal_density", r"\varphi", "φ")),
)

define(
    "NormalDistribution",
    "x",
    forward=lambda x: normal_distribution(x),  # noqa: PLW0108
    local_gradients=lambda x, z: (normal_density(x),),
    analytic=False,
    symbolic={normal_distribution: operands_only},
    wording=Wording(aliases=["normal_distribution"], notation=function("normal_distribution", r"\Phi", "Φ")),
)
