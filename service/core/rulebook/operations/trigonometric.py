"""Trigonometric functions and their inverses, in radians."""

import numpy as np

from service.core.rulebook.notation import function
from service.core.rulebook.operation import Kinks
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define

define(
    "Sin",
    "x",
    forward=np.sin,
    local_gradients=lambda x, z: (np.cos(x),),
    wording=Wording(notation=function("sin", r"\sin")),
)

define(
    "Cos",
    "x",
    forward=np.cos,
    local_gradients=lambda x, z: (-np.sin(x),),
    wording=Wording(notation=function("cos", r"\cos")),
)

define(
    "Tan",
    "x",
    forward=np.tan,
    local_gradients=lambda x, z: ((1.0 / np.cos(x)) ** 2,),
    wording=Wording(notation=function("tan", r"\tan")),
)

define(
    "Asin",
    "x",
    forward=np.arcsin,
    # (1 − x)(1 + x) keeps the digits that 1 − x² loses near ±1.
    local_gradients=lambda x, z: (1.0 / np.sqrt((1.0 - x) * (1.0 + x)),),
    kinks=Kinks(where=lambda x, z: np.absolute(x) == 1.0, returned="infinity, the limit of the slope from within"),
    domain=[(-1.0, 1.0)],
    wording=Wording(aliases=["arcsin"], notation=function("asin", r"\arcsin", "arcsin")),
)

define(
    "Acos",
    "x",
    forward=np.arccos,
    local_gradients=lambda x, z: (-1.0 / np.sqrt((1.0 - x) * (1.0 + x)),),
    kinks=Kinks(
        where=lambda x, z: np.absolute(x) == 1.0, returned="minus infinity, the limit of the slope from within"
    ),
    domain=[(-1.0, 1.0)],
    wording=Wording(aliases=["arccos"], notation=function("acos", r"\arccos", "arccos")),
)

define(
    "Atan",
    "x",
    forward=np.arctan,
    # 1/(1 + x²), which far out is 1/x²; x² would overflow from 10¹⁵⁴ on.
    local_gradients=lambda x, z: (select(np.absolute(x) > 1e150, 1.0 / x / x, 1.0 / (1.0 + x * x)),),
    wording=Wording(aliases=["arctan"], notation=function("atan", r"\arctan", "arctan")),
)

define(
    "Atan2",
    "y x",
    forward=np.arctan2,
    # x/(x² + y²) and −y/(x² + y²), each divided through by the larger of x and y: no square overflows, and none
    # vanishes, which would take the second derivative with it.
    local_gradients=lambda y, x, z: (
        select(
            np.logical_and(x == 0.0, y == 0.0),
            0.0,
            select(np.absolute(y) > np.absolute(x), x / y / (y + x * (x / y)), 1.0 / (x + y * (y / x))),
        ),
        select(
            np.logical_and(x == 0.0, y == 0.0),
            0.0,
            select(np.absolute(y) > np.absolute(x), -1.0 / (y + x * (x / y)), -(y / x) / (x + y * (y / x))),
        ),
    ),
    kinks=Kinks(
        where=lambda y, x, z: np.logical_and(y == 0.0, x <= 0.0),
        returned="0 and 0 at the origin; on the cut along the negative x axis, the slopes on both sides of the jump",
        conventions=dict.fromkeys(
            ("jax", "tensorflow"),
            lambda y, x, z: (
                select(np.absolute(y) > np.absolute(x), x / y / (y + x * (x / y)), 1.0 / (x + y * (y / x))),
                select(np.absolute(y) > np.absolute(x), -1.0 / (y + x * (x / y)), -(y / x) / (x + y * (y / x))),
            ),
        ),
    ),
    analytic=False,
    wording=Wording(aliases=["arctan2"]),
)
