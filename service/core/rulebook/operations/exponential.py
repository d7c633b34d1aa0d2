"""Exponentials, logarithms, the hyperbolic functions and the error function."""

import math

import numpy as np
from scipy import special

from service.core.rulebook.gaussian import bell, complementary_error
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Kinks
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define, operands_only

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

define(
    "Tanh",
    "x",
    forward=np.tanh,
    local_gradients=lambda x, z: ((1.0 / np.cosh(x)) ** 2,),  # 1 − z² has no digits left above x = 20
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
    forward=special.erf,
    local_gradients=lambda x, z: (2.0 / math.sqrt(math.pi) * bell(x),),
    analytic=False,
    wording=Wording(notation=function("erf", r"\operatorname{erf}")),
)

define(
    "Erfc",
    "x",
    forward=lambda x: complementary_error(x),  # noqa: PLW0108 (Numba wants a rule to compile)
    local_gradients=lambda x, z: (-2.0 / math.sqrt(math.pi) * bell(x),),
    analytic=False,
    symbolic={special.erfc: operands_only},
    wording=Wording(notation=function("erfc", r"\operatorname{erfc}")),
)
