"""Normalizations as texts: of each channel of an instance, of groups of channels, by the root of the mean square."""

from service.core.rulebook.attribute import Attribute, integer, integers, number
from service.core.rulebook.composed import Given, compose

_EPSILON = Attribute("epsilon", number, 1e-5)
# The precision in which ONNX Runtime computes the mean: here it is the graph's own.
_STASH_TYPE = Attribute("stash_type", integer, 1)


def _standardized(x: str, axes: str, epsilon: float) -> str:
    """The text of x with mean 0 and variance 1 over the axes, which are kept."""
    return f"""
centred = {x} - mean({x}, axes={axes}, keepdims=True)
normal = centred / sqrt(mean(centred * centred, axes={axes}, keepdims=True) + {epsilon!r})"""


def _by_channel(given: Given, normal: str) -> str:
    """The text of what is normal times scale plus bias, which have one element for each index of axis 1."""
    axes = list(range(1, given.rank("x") - 1))
    scale, bias = (f"unsqueeze({each}, axes={axes})" if axes else each for each in ("scale", "bias"))
    return f"{normal} * {scale} + {bias}"


def _instance_normalization(given: Given) -> str:
    axes = list(range(2, given.rank("x")))
    if not axes:
        raise ValueError("x has at least 3 axes: instances, channels, and what is normalized")
    return f"""{_standardized("x", str(axes), given.attributes["epsilon"])}
{_by_channel(given, "normal")}"""


def _group_normalization(given: Given) -> str:
    groups = given.attributes["num_groups"]
    if groups < 1:
        raise ValueError("num_groups is at least 1")
    if given.rank("x") < 2:
        raise ValueError("x has at least 2 axes: instances and channels")
    return f"""
grouped = reshape(x, shape=[0, {groups}, -1]){_standardized("grouped", "[2]", given.attributes["epsilon"])}
{_by_channel(given, "reshape_to(normal, x)")}"""


def _rms_normalization(given: Given) -> str:
    axis = given.attributes["axis"]
    axes = list(range(axis if axis < 0 else axis - given.rank("x"), 0))
    return f"x / sqrt(mean(x * x, axes={axes}, keepdims=True) + {given.attributes['epsilon']!r}) * scale"


def _lp_normalization(given: Given) -> str:
    norm = {1: "reducel1", 2: "reducel2"}.get(given.attributes["p"])
    if norm is None:
        raise ValueError("p is 1 or 2")
    return f"""
norm = {norm}(x, axes=[{given.attributes["axis"]}], keepdims=True)
x / where(norm == 0, 1, norm)"""


def _mean_variance_normalization(given: Given) -> str:
    """The 1e-9 beside the standard deviation is ONNX's."""
    axes = list(given.attributes["axes"])
    return f"""
centred = x - mean(x, axes={axes}, keepdims=True)
centred / (sqrt(mean(centred * centred, axes={axes}, keepdims=True)) + 1e-9)"""


compose(
    "InstanceNormalization",
    "x scale bias",
    attributes=[_EPSILON],
    text=_instance_normalization,
    shapes={"x": (2, 3, 4, 4), "scale": (3,), "bias": (3,)},
    aliases=["instance_norm"],
    summary="Each channel of each instance, with mean 0 and variance 1, times scale plus bias.",
)
compose(
    "GroupNormalization",
    "x scale bias",
    attributes=[Attribute("num_groups", integer, required=True), _EPSILON, _STASH_TYPE],
    text=_group_normalization,
    shapes={"x": (2, 4, 3, 3), "scale": (4,), "bias": (4,)},
    shown={"num_groups": 2},
    aliases=["group_norm"],
    summary="Groups of channels of each instance, with mean 0 and variance 1, times scale plus bias by channel.",
)
compose(
    "RMSNormalization",
    "x scale",
    attributes=[Attribute("axis", integer, -1), _EPSILON, _STASH_TYPE],
    text=_rms_normalization,
    shapes={"x": (2, 4), "scale": (4,)},
    aliases=["rms_norm"],
    summary="x over the root of its mean square along the axes from `axis` on, times scale.",
)
compose(
    "LpNormalization",
    "x",
    attributes=[Attribute("axis", integer, -1), Attribute("p", integer, 2)],
    text=_lp_normalization,
    shapes={"x": (2, 4)},
    summary="x over its norm along the axis; 0 where that is 0.",
)
compose(
    "MeanVarianceNormalization",
    "x",
    attributes=[Attribute("axes", integers, (0, 2, 3))],
    text=_mean_variance_normalization,
    shapes={"x": (2, 3, 4, 4)},
    summary="x with mean 0 and variance 1 over the axes.",
)
