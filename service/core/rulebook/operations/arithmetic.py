"""Sums, products and powers, and functions with jumps: floor, sign, clip."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.rulebook.attribute import Attribute, OneOf, flag, number
from service.core.rulebook.input_types import PRECISIONS, read_shape
from service.core.rulebook.notation import ATOM, OPEN, POWER, PRODUCT, SIGN, SUM, Notation, fenced, function, infix, row
from service.core.rulebook.operation import CONVENTIONS, EXACT, Closed, Kinks
from service.core.rulebook.primitives import floor_divide, is_traced, maximum, minimum, remainder, select, sign
from service.core.rulebook.registry import Wording, define, operands_only, rulebook_function
from service.core.rulebook.tensor import number_or_tensor

define(
    "Input",
    attributes=[
        Attribute("shape", read_shape, implied=True),
        Attribute("dtype", PRECISIONS, "float64", implied=True),
    ],
)

define(
    "Constant",
    attributes=[Attribute("value", number_or_tensor, required=True)],
    forward=lambda value: np.asarray(value, dtype=np.float64)[()],
    infer_shape=lambda shapes, attributes: np.shape(attributes["value"]),
    wording=Wording(notation=function("Constant")),
)

define(
    "Identity",
    "x",
    forward=np.positive,
    local_gradients=lambda x, z: (1.0,),
    rounding=EXACT,
    wording=Wording(rule="identity"),
)


@rulebook_function
def rounded_to(x: Any, to: str) -> Any:
    """Round to the nearest number of another precision, of two equally near ones to the even one."""
    if to != "bfloat16":
        return np.asarray(x).astype(to).astype(np.result_type(x), copy=False)
    wide = np.asarray(x, dtype=np.float64)
    spacing = np.ldexp(1.0, np.maximum(np.frexp(wide)[1] - 8, -133))
    near = np.rint(wide / spacing) * spacing
    return np.where(np.absolute(near) < 2.0**128, near, wide * math.inf).astype(np.result_type(x))


define(
    "StopGradient",
    "x",
    forward=lambda x: np.positive(x),  # noqa: PLW0108 (np.positive itself stands for Identity)
    contributions=lambda upstream, x, z: (None,),
    infer_shape=lambda shapes, attributes: shapes[0],
    analytic=False,
    rounding=EXACT,
    wording=Wording(aliases=["stop_gradient", "detach"], rule="constant"),
)

define(
    "Cast",
    "x",
    attributes=[Attribute("to", OneOf(("float64", "float32", "bfloat16", "float16")), required=True)],
    forward=rounded_to,
    contributions=lambda upstream, x, z, to: (upstream,),
    infer_shape=lambda shapes, attributes: shapes[0],
    linear=True,
    analytic=False,
    rounding=EXACT,
    wording=Wording(rule="identity"),
)

define(
    "Add",
    "x y",
    forward=np.add,
    local_gradients=lambda x, y, z: (1.0, 1.0),
    wording=Wording(aliases=["+"], notation=infix("+", "+", SUM), rule="sum"),
)

define(
    "Sub",
    "x y",
    forward=np.subtract,
    local_gradients=lambda x, y, z: (1.0, -1.0),
    wording=Wording(aliases=["subtract", "-", "−"], notation=infix("-", "-", SUM, "−"), rule="difference"),
)

define(
    "Mul",
    "x y",
    forward=np.multiply,
    local_gradients=lambda x, y, z: (y, x),
    wording=Wording(
        aliases=["multiply", "*", "×", "·"],
        # In LaTeX x·(y·z) needs no brackets. In text it keeps them: (x·y)·z is rounded differently.
        notation=replace(infix("*", r"\cdot", PRODUCT, "·"), latex_needs=(PRODUCT, PRODUCT)),
        rule="product",
        beside_constants="constant multiple",
    ),
)

define(
    "Div",
    "x y",
    forward=np.divide,
    # −x/y² in two divisions: y² would overflow or vanish long before the quotient does.
    local_gradients=lambda x, y, z: (1.0 / y, -x / y / y),
    wording=Wording(
        aliases=["divide", "true_divide", "/", "÷"],
        notation=Notation(
            "%(0)s / %(1)s",
            r"\frac{%(0)s}{%(1)s}",
            PRODUCT,
            (PRODUCT, SIGN),
            (OPEN, OPEN),
            "<mfrac>%(0)s%(1)s</mfrac>",
        ),
        rule="quotient",
        beside_constants="constant multiple, reciprocal",
    ),
)

# They bind as a sum does, so that −(x % y) keeps its brackets: −x % y is (−x) % y, which is another number.
define(
    "Mod",
    "x y",
    # The sign of the remainder is that of y, with fmod that of x: then x/y is cut to a whole number toward 0.
    attributes=[Attribute("fmod", flag, 0, implied=True)],
    forward=lambda x, y, fmod: select(fmod != 0, np.fmod(x, y), remainder(x, y)),
    # −⌊x/y⌋ along y; at a jump, of the whole numbers on both sides of it the one nearer to 0.
    local_gradients=lambda x, y, z, fmod: (
        1.0,
        select(
            fmod != 0,
            select(z == 0.0, sign(x / y), 0.0) - np.rint((x - z) / y),
            select(np.logical_and(z == 0.0, x / y > 0.0), 1.0, 0.0) - floor_divide(x, y),
        ),
    ),
    kinks=Kinks(
        where=lambda x, y, z, fmod: np.logical_and(z == 0.0, np.logical_or(fmod == 0, x != 0.0)),
        returned="of the slopes on both sides of the jump, the least in magnitude",
        conventions=dict.fromkeys(
            CONVENTIONS[1:],
            lambda x, y, z, fmod: (1.0, select(fmod != 0, -np.rint((x - z) / y), -floor_divide(x, y))),
        ),
    ),
    analytic=False,
    symbolic={np.remainder: operands_only, np.fmod: lambda x, y: ((x, y), {"fmod": 1})},
    wording=Wording(
        aliases=["remainder", "%"],
        notation=Notation(
            "%(0)s %% %(1)s",
            r"%(0)s \bmod %(1)s",
            SUM,
            (PRODUCT, SIGN),
            (PRODUCT, SIGN),
            row("%(0)s<mo>mod</mo>%(1)s"),
        ),
        rule="difference",
    ),
)

define(
    "FloorDiv",
    "x y",
    forward=lambda x, y: floor_divide(x, y),  # noqa: PLW0108 (compiled, only a call is overloaded)
    local_gradients=lambda x, y, z: (0.0, 0.0),
    kinks=Kinks(where=lambda x, y, z: remainder(x, y) == 0.0, returned="0, the slope on both sides of the jump"),
    closed=Closed(
        where=lambda x, y, z: (np.absolute(remainder(x, y)) > 0.0, np.absolute(remainder(x, y)) > 0.0),
        cut_by=("jax", "tensorflow"),
    ),
    analytic=False,
    symbolic={np.floor_divide: operands_only},
    wording=Wording(
        aliases=["floor_divide", "//"],
        notation=Notation(
            "%(0)s // %(1)s",
            r"\left\lfloor \frac{%(0)s}{%(1)s} \right\rfloor",
            SUM,
            (PRODUCT, SIGN),
            (OPEN, OPEN),
            row("<mo>⌊</mo><mfrac>%(0)s%(1)s</mfrac><mo>⌋</mo>"),
        ),
        rule="step",
    ),
)

define(
    "Neg",
    "x",
    forward=np.negative,
    local_gradients=lambda x, z: (-1.0,),
    rounding=EXACT,
    wording=Wording(
        aliases=["negative"],
        # −x·y may be read as (−x)·y, which is the same to the last bit.
        notation=Notation("-%(0)s", "-%(0)s", SIGN, (PRODUCT,), (PRODUCT,), row("<mo>−</mo>%(0)s")),
        rule="constant multiple",
    ),
)

define(
    "Reciprocal",
    "x",
    forward=np.reciprocal,
    local_gradients=lambda x, z: (-z / x,),
    absorbed_by=["tensorflow"],
    wording=Wording(
        notation=Notation(
            "reciprocal(%(0)s)", r"\frac{1}{%(0)s}", PRODUCT, (OPEN,), (OPEN,), "<mfrac><mn>1</mn>%(0)s</mfrac>"
        ),
        rule="reciprocal",
    ),
)


def power(x: Any, y: Any) -> Any:
    """Return x^y, +0 at (−0)^½ and ∞ at (−∞)^½ too (IEEE 754-2019, 9.2.1): for one exponent NumPy takes the root."""
    if is_traced(x) or is_traced(y) or np.ndim(y) or y != 0.5:
        return np.power(x, y)
    return np.power(np.where(x == -math.inf, math.inf, x + 0.0)[()], y)


def power_slope(x: Any, y: Any) -> Any:
    """Return y·x^(y − 1). What y − 1 loses to rounding, d, is made up for by x^d."""
    slope = y * power(x, y - 1.0)
    if is_traced(slope):
        return slope
    lost = lost_by_one_less(y)
    if not np.any(lost):
        return slope
    corrected = slope * np.exp(lost * np.log(np.absolute(x)))
    return np.where(np.absolute(corrected) < math.inf, corrected, slope)


def lost_by_one_less(y: Any) -> Any:
    """Return (y − 1) less its float64 (Knuth, 1969)."""
    less = y - 1.0
    back = less - y
    return (y - (less - back)) - (1.0 + back)


define(
    "Pow",
    "x y",
    forward=lambda x, y: power(x, y),  # noqa: PLW0108 (compiled, only a call is overloaded)
    # d/dx = y·x^(y−1), which is 0 for y = 0 whatever x is (written so that its own derivative by y stays: 1/x);
    # d/dy = x^y·log x, whose limit at x = 0, y ≥ 0 is 0.
    local_gradients=lambda x, y, z: (
        select(y == 0.0, y / select(np.absolute(x) > 0.0, x, 1.0), power_slope(x, y)),
        select(np.logical_and(x == 0.0, y >= 0.0), 0.0, z * np.log(x)),
    ),
    kinks=Kinks(
        where=lambda x, y, z: np.logical_and(x == 0.0, np.logical_and(y >= 0.0, y < 1.0)),
        returned="0 and 0 at 0 to the power 0; infinity at 0 to a power between 0 and 1",
        conventions=dict.fromkeys(
            ("jax", "tensorflow"),  # 0 · 0^−1 at 0 to the power 0
            lambda x, y, z: (
                select(np.logical_and(y == 0.0, x != 0.0), 0.0, power_slope(x, y)),
                select(np.logical_and(x == 0.0, y >= 0.0), 0.0, z * np.log(x)),
            ),
        ),
    ),
    domain=[(0.0, math.inf), (-math.inf, math.inf)],
    symbolic={np.power: operands_only},
    wording=Wording(
        aliases=["power", "^", "**"],
        notation=Notation(
            "%(0)s ^ %(1)s", "%(0)s^{%(1)s}", POWER, (ATOM, SIGN), (ATOM, OPEN), "<msup>%(0)s%(1)s</msup>"
        ),
        rule="power, exponential",
    ),
)

define(
    "Sqrt",
    "x",
    forward=np.sqrt,
    # z + 0 turns the −0 that √−0 is into 0, so that the slope at either zero is +∞.
    local_gradients=lambda x, z: (0.5 / (z + 0.0),),
    kinks=Kinks(where=lambda x, z: x == 0.0, returned="infinity, the limit of the slope from the right"),
    absorbed_by=["tensorflow"],
    domain=[(0.0, math.inf)],
    wording=Wording(notation=Notation("sqrt(%(0)s)", r"\sqrt{%(0)s}", mathml="<msqrt>%(0)s</msqrt>"), rule="power"),
)

define(
    "Hypot",
    "x y",
    forward=np.hypot,
    local_gradients=lambda x, y, z: (
        x / select(z == 0.0, 1.0, z),
        y / select(z == 0.0, 1.0, z),
    ),
    kinks=Kinks(
        where=lambda x, y, z: z == 0.0,
        returned="0 and 0 at the origin, the least of the subgradients: all of norm 1 or less",
        conventions={
            **dict.fromkeys(("torch", "tensorflow"), lambda x, y, z: (x / z, y / z)),
            "jax": lambda x, y, z: (
                select(z == 0.0, 0.5, x / select(z == 0.0, 1.0, z)),
                select(z == 0.0, 0.5, y / select(z == 0.0, 1.0, z)),
            ),
        },
    ),
    analytic=False,
    wording=Wording(notation=function("hypot")),
)

define(
    "Abs",
    "x",
    forward=np.absolute,
    local_gradients=lambda x, z: (sign(x),),
    kinks=Kinks(
        where=lambda x, z: x == 0.0,
        returned="0, the least of the subgradients from -1 to 1",
        # They differ from each other where x is NaN.
        conventions={
            "torch": lambda x, z: (select(x > 0.0, 1.0, select(x < 0.0, -1.0, 0.0)),),
            "jax": lambda x, z: (select(x >= 0.0, 1.0, -1.0),),
        },
    ),
    analytic=False,
    rounding=EXACT,
    wording=Wording(
        aliases=["absolute"],
        notation=Notation("abs(%(0)s)", r"\left|%(0)s\right|", mathml=fenced("|", "%(0)s", "|")),
        rule="piecewise",
    ),
)

define(
    "Sign",
    "x",
    forward=lambda x: sign(x),  # noqa: PLW0108 (compiled, only a call is overloaded)
    local_gradients=lambda x, z: (0.0,),
    kinks=Kinks(where=lambda x, z: x == 0.0, returned="0, the slope on both sides of the jump"),
    closed=Closed(where=lambda x, z: (np.absolute(x) > 0.0,), cut_by=("jax",)),
    analytic=False,
    rounding=EXACT,
    symbolic={np.sign: operands_only},
    wording=Wording(notation=function("sign", r"\operatorname{sign}"), rule="step"),
)

define(
    "Floor",
    "x",
    forward=np.floor,
    local_gradients=lambda x, z: (0.0,),
    kinks=Kinks(where=lambda x, z: x == z, returned="0, the slope on both sides of the jump"),
    closed=Closed(where=lambda x, z: (np.absolute(x - z) > 0.0,), cut_by=("jax", "tensorflow")),
    analytic=False,
    rounding=EXACT,
    wording=Wording(
        notation=Notation("floor(%(0)s)", r"\left\lfloor %(0)s \right\rfloor", mathml=fenced("⌊", "%(0)s", "⌋")),
        rule="step",
    ),
)

define(
    "Ceil",
    "x",
    forward=np.ceil,
    local_gradients=lambda x, z: (0.0,),
    kinks=Kinks(where=lambda x, z: x == z, returned="0, the slope on both sides of the jump"),
    closed=Closed(where=lambda x, z: (np.absolute(x - z) > 0.0,), cut_by=("jax", "tensorflow")),
    analytic=False,
    rounding=EXACT,
    wording=Wording(
        notation=Notation("ceil(%(0)s)", r"\left\lceil %(0)s \right\rceil", mathml=fenced("⌈", "%(0)s", "⌉")),
        rule="step",
    ),
)

define(
    "Round",
    "x",
    forward=np.rint,  # halves go to the even neighbour, as in ONNX
    local_gradients=lambda x, z: (0.0,),
    kinks=Kinks(where=lambda x, z: np.absolute(x - z) == 0.5, returned="0, the slope on both sides of the jump"),
    closed=Closed(where=lambda x, z: (np.absolute(x - z) < 0.5,), cut_by=("jax", "tensorflow")),
    analytic=False,
    rounding=EXACT,
    wording=Wording(aliases=["rint"], notation=function("round"), rule="step"),
)


def _clip_within_bounds(x: Any, z: Any, lower: Any, upper: Any) -> Any:
    return (select(np.logical_and(x > lower, x < upper), 1.0, 0.0),)


def _clip_between_bounds(x: Any, z: Any, lower: Any, upper: Any) -> Any:
    return (select(np.logical_and(x >= lower, x <= upper), 1.0, 0.0),)


def _clip_with_halves(x: Any, z: Any, lower: Any, upper: Any) -> Any:
    """min(max(x, lower), upper), where ties of max and of min are shared equally."""
    raised = select(x > lower, 1.0, select(x == lower, 0.5, 0.0))
    y = maximum(x, lower)
    return (raised * select(y < upper, 1.0, select(y == upper, 0.5, 0.0)),)


define(
    "Clip",
    "x",
    attributes=[Attribute("min", number, -math.inf), Attribute("max", number, math.inf)],
    forward=lambda x, lower, upper: minimum(maximum(x, lower), upper),
    local_gradients=_clip_within_bounds,
    kinks=Kinks(
        where=lambda x, z, lower, upper: np.logical_and(lower < upper, np.logical_or(x == lower, x == upper)),
        returned="0 at a bound, the least of the subgradients from 0 to 1",
        conventions={
            **dict.fromkeys(("torch", "tensorflow"), _clip_between_bounds),
            "jax": _clip_with_halves,
        },
        alternatives=dict.fromkeys(CONVENTIONS[1:], _clip_within_bounds),  # relu6
    ),
    closed=Closed(
        where=lambda x, z, lower, upper: (
            np.logical_or(np.logical_or(x < lower, x > upper), np.logical_and(lower >= upper, np.equal(x, x))),
        ),
        multiplied_by=("jax",),
    ),
    analytic=False,
    wording=Wording(aliases=["clamp"], notation=function("clip"), rule="piecewise"),
)
