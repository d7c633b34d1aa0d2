"""Names of nodes as they may stand in source code: as identifiers, in comments and in docstrings.

A node's name is any text: what stands in code is made of letters, digits and underscores alone, and what stands in a
comment or a docstring can neither end it nor begin a line.
"""

import keyword
import re
from collections.abc import Iterable


class Identifiers:
    """Give each name an identifier of its own, as near to it as may be.

    Each begins with an ASCII letter: leading underscores are reserved in C, and mean something in Python.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self._taken = set(reserved)
        self._counts: dict[str, int] = {}

    def make(self, name: str) -> str:
        """Return an identifier that was not given before."""
        wanted = name
        if not re.fullmatch(r"[A-Za-z]\w{,60}", name, re.ASCII):
            wanted = re.sub(r"[^A-Za-z0-9]+", "_", name[:60]).strip("_") or "node"
            wanted = wanted if wanted[0].isalpha() else f"n{wanted}"
        made = wanted
        while made in self._taken:
            self._counts[wanted] = number = self._counts.get(wanted, 1) + 1
            made = f"{wanted}_{number}"
        self._taken.add(made)
        return made


def commented(text: str) -> str:
    """Return text that can stand in a comment or a docstring of either language, on one line.

    Backslashes, double quotes and what is not printed are escaped; `*/`, which ends a comment in C, is taken apart, and
    so is `??/`, a backslash there.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("*/", "* /").replace("??/", "?? /")
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode() for sign in escaped
    )


# What the code itself uses, and what a name must not hide: Python's keywords, modules and functions.
PYTHON = {
    *keyword.kwlist,
    *("np", "numpy", "jnp", "jax", "torch", "math", "special", "float", "int", "tuple", "range", "len", "sum", "zip"),
    *("enumerate", "sorted", "reversed", "slice", "max", "min", "print", "set", "list", "dict", "abs", "match", "type"),
}

# C's keywords, the macros that its headers and compilers define, and the functions of math.h.
_C_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof bool true
false nullptr constexpr alignas alignof thread_local static_assert main unix linux i386 results NAN INFINITY HUGE_VAL
HUGE_VALF HUGE_VALL OVERFLOW UNDERFLOW DOMAIN SING PLOSS TLOSS HUGE MAXFLOAT M_E M_LOG2E M_LOG10E M_LN2 M_LN10 M_PI
M_PI_2 M_PI_4 M_1_PI M_2_PI M_2_SQRTPI M_SQRT2 M_SQRT1_2 FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL FP_ILOGB0
FP_ILOGBNAN FP_FAST_FMA MATH_ERRNO MATH_ERREXCEPT math_errhandling float_t double_t signgam fpclassify isfinite isinf
isnan isnormal signbit isgreater isgreaterequal isless islessequal islessgreater isunordered
"""
_MATH_H = """
acos asin atan atan2 cos sin tan acosh asinh atanh cosh sinh tanh exp exp2 expm1 frexp ilogb ldexp log log10 log1p log2
logb modf scalbn scalbln cbrt fabs hypot pow sqrt erf erfc lgamma tgamma ceil floor nearbyint rint lrint llrint round
lround llround trunc fmod remainder remquo copysign nan nextafter nexttoward fdim fmax fmin fma j0 j1 jn y0 y1 yn gamma
drem significand finite scalb pow10 exp10
"""
C = {*_C_WORDS.split(), *(f"{name}{suffix}" for name in _MATH_H.split() for suffix in ("", "f", "l"))}
