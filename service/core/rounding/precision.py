"""The precisions in which runs are computed."""

import numpy as np

# The dtypes of runs, finest first. Figures in the last two are computed in float32 and rounded once.
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
ROUNDED_ONCE = ("float16", "bfloat16")
ROUNDED = tuple(dtype for dtype in UNIT_ROUNDOFF if dtype != "float64")  # those to which float64 is rounded
# The spacing of the least numbers, to which whatever is below 2⁻¹⁴ is rounded; those of the others are about 0.
LEAST = {"float16": 2.0**-24}
LARGEST = {
    "float64": float(np.finfo(np.float64).max),
    "float32": float(np.finfo(np.float32).max),
    "float16": 65504.0,
    "bfloat16": (2.0 - 2.0**-7) * 2.0**127,
}


def finer(dtype: str) -> str:
    """The dtype in which programs keep what that one is too coarse for."""
    return "float32" if dtype in ROUNDED_ONCE else "float64"


def coarsest(*dtypes: str) -> str:
    """The dtype with the largest unit roundoff."""
    return max(dtypes, key=UNIT_ROUNDOFF.__getitem__)


def relative_rounding(dtype: str) -> float:
    """What rounding may make of a figure that follows from few others, relative to it: 2u if rounded once, else 32u."""
    return (2 if dtype in ROUNDED_ONCE else 32) * UNIT_ROUNDOFF[dtype]
