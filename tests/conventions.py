"""What PyTorch, JAX and TensorFlow return at ties, jumps, bounds and NaN, as data, and their functions to ask them.

Every figure was measured with torch 2.13, JAX 0.10.2 and TensorFlow 2.21.
"""

import importlib
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from service.core.figures.figures import FloatArray
from service.core.rulebook.operation import CONVENTIONS

INFINITY, NAN = np.inf, np.nan
LIBRARIES = CONVENTIONS[1:]


def all_return(*gradient: Any) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(CONVENTIONS, gradient)


def libraries_return(*gradient: Any) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(LIBRARIES, gradient)


# Operation, attributes, the point, and the local gradients there under each convention.
Row = tuple[str, dict[str, float], list[float], dict[str, tuple[float, ...]]]

_EXTREMA_TIED: list[Row] = [
    (name, {}, operands, expected)
    for name, beyond in (("Max", 0), ("Min", 3))
    for operands, expected in (
        ([1, 1], all_return(1 / 2, 1 / 2) | {"tensorflow": (1, 0)}),
        ([0.0, -0.0], all_return(1 / 2, 1 / 2) | {"tensorflow": (1, 0)}),
        ([-INFINITY, -INFINITY], all_return(1 / 2, 1 / 2) | {"tensorflow": (1, 0)}),
        # Libraries take two at a time: max(max(x, y), z).
        (
            [1, 1, 1],
            {
                "minimum-norm": (1 / 3, 1 / 3, 1 / 3),
                "torch": (1 / 4, 1 / 4, 1 / 2),
                "jax": (1 / 4, 1 / 4, 1 / 2),
                "tensorflow": (1, 0, 0),
            },
        ),
        (
            [1, 1, 1, 1],
            {
                "minimum-norm": (1 / 4, 1 / 4, 1 / 4, 1 / 4),
                "torch": (1 / 8, 1 / 8, 1 / 4, 1 / 2),
                "jax": (1 / 8, 1 / 8, 1 / 4, 1 / 2),
                "tensorflow": (1, 0, 0, 0),
            },
        ),
        ([beyond, 2, 2], all_return(0, 1 / 2, 1 / 2) | {"tensorflow": (0, 1, 0)}),
        ([2, beyond, 2], all_return(1 / 2, 0, 1 / 2) | {"tensorflow": (1, 0, 0)}),
        ([2, 2, beyond], all_return(1 / 2, 1 / 2, 0) | {"tensorflow": (1, 0, 0)}),
    )
]

_COMPARISONS = ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")

_HALF, _THIRD = 1 / 2, 1 / 3
_SELU = 1.05070102214813232421875
_SELU_ALPHA = 1.67326319217681884765625

# Where no derivative exists.
ROWS: list[Row] = [
    ("Abs", {}, [0], {"minimum-norm": (0,), "torch": (0,), "jax": (1,), "tensorflow": (0,)}),
    ("Relu", {}, [0], all_return(0)),
    *_EXTREMA_TIED,
    *(
        (
            "Clip",
            {"min": 0, "max": 1},
            [bound],
            {"minimum-norm": (0,), "torch": (1,), "jax": (0.5,), "tensorflow": (1,)},
        )
        for bound in (0, 1)
    ),
    ("LeakyRelu", {"alpha": 0.5}, [0], all_return(0.5) | {"jax": (1,)}),
    ("LeakyRelu", {"alpha": 3}, [0], all_return(3) | {"minimum-norm": (1,), "jax": (1,)}),
    ("Elu", {"alpha": 2}, [0], {"minimum-norm": (1,)} | libraries_return(2)),
    *(("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, [x], all_return(0)) for x in (-3, 3)),
    *(("HardSwish", {}, [x], all_return(slope)) for x, slope in ((-3, 0), (3, 1))),
    ("PRelu", {}, [0, 3], all_return(3, 0) | {"minimum-norm": (1, 0)}),
    ("PRelu", {}, [0, -1], all_return(-1, 0) | {"minimum-norm": (0, 0)}),
    *(("ThresholdedRelu", {"alpha": x}, [x], all_return(0)) for x in (0, 1)),
    *(("Shrink", {"lambd": 0.5, "bias": bias}, [0.5], all_return(0)) for bias in (0, 0.5)),
    ("Sqrt", {}, [0], all_return(INFINITY)),
    ("Asin", {}, [1], all_return(INFINITY)),
    ("Acos", {}, [1], all_return(-INFINITY)),
    ("Acosh", {}, [1], all_return(INFINITY)),
    *((name, {}, [0], all_return(0)) for name in ("Sign", "Floor", "Ceil")),
    ("Round", {}, [0.5], all_return(0)),
    *((name, {}, [1, 1], all_return(0, 0)) for name in _COMPARISONS),
    ("Pow", {}, [0, 0], {"minimum-norm": (0, 0), "torch": (0, 0), "jax": (NAN, 0), "tensorflow": (NAN, 0)}),
    ("Pow", {}, [0, 0.5], all_return(INFINITY, 0)),
    ("Atan2", {}, [0, 0], all_return(0, 0) | {"jax": (NAN, NAN), "tensorflow": (NAN, NAN)}),
    ("Atan2", {}, [0, -1], all_return(-1, 0)),
    ("Hypot", {}, [0, 0], libraries_return(NAN, NAN) | {"minimum-norm": (0, 0), "jax": (0.5, 0.5)}),
    ("Mod", {}, [2, 1], libraries_return(1, -2) | {"minimum-norm": (1, -1)}),
    ("Mod", {}, [-2, 1], all_return(1, 2)),
    *(
        ("Mod", {"fmod": 1}, [x, 2], libraries_return(1, -x / 2) | {"minimum-norm": (1, y)})
        for x, y in ((4, -1), (-4, 1))
    ),
    ("FloorDiv", {}, [2, 1], all_return(0, 0)),
    (
        "XLogY",
        {},
        [0, 0],
        {"minimum-norm": (-INFINITY, 0), "torch": (0, NAN), "jax": (-INFINITY, NAN), "tensorflow": (0, 0)},
    ),
    ("LogAddExp", {}, [-INFINITY, -INFINITY], libraries_return(NAN, NAN) | {"minimum-norm": (0, 0)}),
    ("LogAddExp", {}, [INFINITY] * 2, libraries_return(NAN, NAN) | {"minimum-norm": (_HALF, _HALF), "jax": (1, 1)}),
    ("Selu", {}, [0], all_return(_SELU) | dict.fromkeys(("torch", "jax"), (_SELU * _SELU_ALPHA,))),
]

# Where nothing is marked: at a NaN, at an infinite value, and where one value alone is another.
UNMARKED: list[Row] = [
    *(
        (name, {}, operands, expected)
        for name in ("Max", "Min")
        for operands, expected in (
            ([NAN, 1], {"minimum-norm": (0, 0), "torch": (1, 1), "jax": (0, 0), "tensorflow": (0, 1)}),
            ([1, NAN], {"minimum-norm": (0, 0), "torch": (1, 1), "jax": (0, 0), "tensorflow": (0, 1)}),
            ([1, NAN, 2], {"minimum-norm": (0, 0, 0), "torch": (1, 1, 1), "jax": (0, 0, 0), "tensorflow": (0, 0, 1)}),
        )
    ),
    ("Relu", {}, [NAN], all_return(0) | {"torch": (1,)}),
    ("Abs", {}, [NAN], all_return(NAN) | {"torch": (0,), "jax": (-1,)}),
    ("Clip", {"min": 0, "max": 1}, [NAN], all_return(0)),
    ("Clip", {"min": 0, "max": 0}, [0], {"minimum-norm": (0,), "torch": (1,), "jax": (0.25,), "tensorflow": (1,)}),
    *(("Clip", {"min": 1, "max": 0}, [x], all_return(0)) for x in (0, 0.5, 1)),
    ("ThresholdedRelu", {"alpha": 1}, [NAN], all_return(0) | {"torch": (1,)}),
    ("Log", {}, [0], all_return(INFINITY)),
    ("Log1p", {}, [-1], all_return(INFINITY)),
    *((name, {}, [0], all_return(INFINITY)) for name in ("Log2", "Log10")),
    ("LogAddExp", {}, [1, 1], all_return(_HALF, _HALF) | {"tensorflow": (1, 0)}),
    ("LogAddExp", {}, [-INFINITY, 1], all_return(0, 1)),
    ("XLogY", {}, [0, 2], all_return(np.log(2), 0) | {"tensorflow": (0, 0)}),
    *(("Atanh", {}, [x], all_return(INFINITY)) for x in (-1, 1)),
    ("Lgamma", {}, [1], all_return(-np.euler_gamma)),
    ("Digamma", {}, [1], all_return(np.pi**2 / 6)),
    ("Polygamma", {"n": 1}, [1], all_return(-2.4041138063191885)),
    ("Mod", {"fmod": 1}, [0, 2], all_return(1, 0)),
    ("Where", {}, [0, 1, 2], all_return(0, 0, 1)),
    *((name, {}, [0, 1], all_return(0, 0)) for name in ("And", "Or")),
    ("Not", {}, [0], all_return(0)),
]

# Operation, attributes, the operand (of several, as a tuple, the first), the upstream gradient, and the operand's
# gradient under each convention.
TensorRow = tuple[str, dict[str, Any], Any, Any, dict[str, Any]]

_SQUARE = [[1, 2], [2, 2]]
_ALL_NAN = libraries_return(NAN, NAN) | {"minimum-norm": (0, 0)}


def _extremum_rows(name: str, sign: int) -> list[TensorRow]:
    """torch.max(x) shares, torch.max(x, axis) takes the first, torch.amax, for several axes, shares by a product."""
    tied, square = [sign, sign, 0], sign * np.array(_SQUARE)
    return [
        (name, {}, tied, 1, all_return(_HALF, _HALF, 0)),
        (name, {}, square, 1, all_return([0, _THIRD], [_THIRD, _THIRD])),
        (name, {"axes": [0]}, tied, 1, all_return(_HALF, _HALF, 0) | {"torch": (1, 0, 0)}),
        (name, {"axes": [-1]}, square, 1, all_return([0, 1], [_HALF, _HALF]) | {"torch": ([0, 1], [1, 0])}),
        (
            name,
            {"axes": [0], "keepdims": 0},
            square,
            1,
            all_return([0, _HALF], [1, _HALF]) | {"torch": ([0, 1], [1, 0])},
        ),
        (name, {"axes": [0, 1]}, square, 1, all_return([0, _THIRD], [_THIRD, _THIRD])),
        (name, {}, [-INFINITY, -INFINITY], 1, all_return(_HALF, _HALF)),
        (name, {"axes": [0]}, [-INFINITY, -INFINITY], 1, all_return(_HALF, _HALF) | {"torch": (1, 0)}),
        # an infinite upstream gradient: 0 · ∞ where a library multiplies
        (
            name,
            {},
            tied,
            INFINITY,
            all_return(INFINITY, INFINITY, 0) | dict.fromkeys(("jax", "tensorflow"), (INFINITY, INFINITY, NAN)),
        ),
        (
            name,
            {"axes": [0]},
            tied,
            INFINITY,
            {
                "minimum-norm": (INFINITY, INFINITY, 0),
                "torch": (INFINITY, 0, 0),
                "jax": (INFINITY, INFINITY, NAN),
                "tensorflow": (INFINITY, INFINITY, NAN),
            },
        ),
        (
            name,
            {"axes": [0, 1]},
            [tied],
            INFINITY,
            {"minimum-norm": [[INFINITY, INFINITY, 0]]} | libraries_return([INFINITY, INFINITY, NAN]),
        ),
        (name, {}, [NAN, 1], 1, _ALL_NAN | {"torch": (1, 0)}),
        (name, {}, [NAN, NAN], 1, _ALL_NAN | {"torch": (_HALF, _HALF)}),
        (name, {"axes": [0]}, [NAN, NAN], 1, _ALL_NAN | {"torch": (1, 0)}),
        (name, {"axes": [0, 1]}, [[NAN, 1]], 1, {"minimum-norm": [[0, 0]]} | libraries_return([NAN, NAN])),
    ]


def _pool_rows() -> list[TensorRow]:
    """Libraries choose the first of the tied elements of a window."""

    def row(x: list[float], length: int, stride: int, pad: int, **expected: list[float]) -> TensorRow:
        attributes = {"kernel_shape": [length], "strides": [stride], "pads": [pad, pad]}
        libraries = libraries_return([expected.pop("libraries", [])])
        named = {name.replace("ours", "minimum-norm"): [[gradient]] for name, gradient in expected.items()}
        return "MaxPool", attributes, [[x]], 1, libraries | named

    def plane(x: Any, length: int, stride: int, pad: int, libraries: Any, ours: Any) -> TensorRow:
        attributes = {"kernel_shape": [length] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
        return "MaxPool", attributes, [[x]], 1, libraries_return([libraries]) | {"minimum-norm": [[ours]]}

    low = -INFINITY
    steps = [[1, 1, 2], [1, 1, 2], [0, 2, 2]]
    return [
        row([1, 1, 2, 2], 2, 2, 0, ours=[_HALF] * 4, libraries=[1, 0, 1, 0]),
        row([1, 1, 1, 1], 2, 1, 0, ours=[_HALF, 1, 1, _HALF], libraries=[1, 1, 1, 0]),
        row([1, 1, 1, 1], 3, 1, 0, ours=[_THIRD, 2 / 3, 2 / 3, _THIRD], libraries=[1, 1, 0, 0]),
        row([1, 1, 1], 3, 2, 1, ours=[_HALF, 1, _HALF], libraries=[1, 1, 0]),
        row([0, 0, 0, 0], 2, 2, 1, ours=[1, _HALF, _HALF, 1], libraries=[1, 1, 0, 1]),
        row([low] * 4, 2, 2, 0, ours=[_HALF] * 4, libraries=[1, 0, 1, 0]),
        # JAX chooses the padding, which is −∞, too.
        row([low] * 3, 2, 2, 1, ours=[1, _HALF, _HALF], libraries=[1, 1, 0], jax=[0, 1, 0]),
        # PyTorch chooses the last NaN, TensorFlow what comes before one, JAX what comes after.
        row([NAN, 1, 1, NAN], 2, 2, 0, ours=[0] * 4, torch=[1, 0, 0, 1], jax=[0, 1, 0, 1], tensorflow=[1, 0, 1, 0]),
        row([NAN, NAN, 1], 3, 1, 0, ours=[0] * 3, torch=[0, 1, 0], jax=[0, 0, 1], tensorflow=[1, 0, 0]),
        row([NAN, 1, NAN], 3, 1, 0, ours=[0] * 3, torch=[0, 0, 1], jax=[0, 0, 1], tensorflow=[1, 0, 0]),
        plane(
            steps,
            2,
            1,
            0,
            libraries=[[1, 0, 1], [0, 0, 1], [0, 1, 0]],
            ours=[[1 / 4, 1 / 4, _HALF], [1 / 4, 1 / 4, _HALF + _THIRD], [0, 1 + _THIRD, _THIRD]],
        ),
    ]


TENSOR_ROWS: list[TensorRow] = [
    *_extremum_rows("ReduceMax", 1),
    *_extremum_rows("ReduceMin", -1),
    *_pool_rows(),
    ("Sort", {}, [1, 0, 1], [1, 2, 4], all_return(3, 1, 3) | libraries_return(2, 1, 4)),
    ("TopK", {"k": 1}, [1, 0, 1], 1, all_return(_HALF, 0, _HALF) | libraries_return(1, 0, 0)),
    ("TopK", {"k": 2}, [2, 1, 1, 0], 1, all_return(1, _HALF, _HALF, 0) | libraries_return(1, 1, 0, 0)),
    ("GlobalMaxPool", {}, [[[1, 1, 0]]], 1, all_return([[_HALF, _HALF, 0]])),
    ("GlobalMaxPool", {}, [[[NAN, 1]]], 1, {"minimum-norm": [[[0, 0]]]} | libraries_return([[NAN, NAN]])),
    (
        "LpPool",
        {"kernel_shape": [2]},
        [[[0, 0]]],
        1,
        all_return([[0, 0]]) | {library: [[[NAN, NAN]]] for library in ("jax", "tensorflow")},
    ),
    *(
        (name, {"reduction": reduction}, ([sign, 2 * sign, 0], indices, [2 * sign, 3 * sign, 3 * sign]), 1, expected)
        for name, indices in (("ScatterElements", [1, 2, 2]), ("ScatterND", [[1], [2], [2]]))
        for reduction, sign in (("max", 1), ("min", -1))
        for expected in [all_return(1, _HALF, 0)]
    ),
    ("ReduceL1", {}, [0, -2], 1, all_return(0, -1) | {"jax": (1, -1)}),
    ("ReduceL2", {}, [0, 0], 1, all_return(0, 0) | {"jax": (NAN, NAN), "tensorflow": (NAN, NAN)}),
    ("ReduceStd", {}, [1, 1], 1, all_return(0, 0) | {"jax": (NAN, NAN), "tensorflow": (NAN, NAN)}),
    ("ReduceLogSumExp", {}, [-INFINITY, -INFINITY], 1, _ALL_NAN),
    ("ReduceLogSumExp", {}, [-INFINITY, 0], 1, all_return(0, 1)),
    ("ReduceLogSumExp", {}, [INFINITY, 0], 1, all_return(NAN, 0)),
]

# What the library's second function for an operation returns: torch.amax beside torch.max, relu6 beside clip.
ALTERNATIVE_ROWS: list[tuple[str, str, dict[str, Any], Any, float, Any]] = [
    *(
        (name, "torch", {"axes": [0]}, x, upstream, expected)
        for name, sign in (("ReduceMax", 1), ("ReduceMin", -1))
        for x, upstream, expected in (
            ([sign, sign, 0], 1, [_HALF, _HALF, 0]),
            ([sign, sign, 0], INFINITY, [INFINITY, INFINITY, NAN]),
            ([NAN, 1], 1, [NAN, NAN]),
        )
    ),
    *(("Clip", library, {"min": 0, "max": 6}, [-1, 0, 1, 6, 7], 1, [0, 0, 1, 0, 0]) for library in LIBRARIES),
]


# --- the libraries' functions -----------------------------------------------------------------------------------------


_COMPARED = {
    "Equal": "eq",
    "NotEqual": "ne",
    "Less": "lt",
    "LessOrEqual": "le",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
}


def function_of_torch(operation: str, attributes: Mapping[str, Any]) -> Callable[..., Any]:
    """PyTorch's function for an operation."""
    torch = importlib.import_module("torch")
    called: dict[str, Callable[..., Any]] = {
        "Max": lambda *x: reduce(torch.maximum, x),
        "Min": lambda *x: reduce(torch.minimum, x),
        "Clip": torch.clamp,
        "Mod": lambda x, y, fmod=0: (torch.fmod if fmod else torch.remainder)(x, y),
        "Polygamma": lambda x, n: torch.polygamma(n, x),
        "FloorDiv": lambda x, y: torch.div(x, y, rounding_mode="floor"),
        "LeakyRelu": lambda x, alpha: torch.nn.functional.leaky_relu(x, alpha),  # noqa: PLW0108 (other names)
        "Elu": torch.nn.functional.elu,
        "HardSigmoid": lambda x, alpha, beta: torch.nn.functional.hardsigmoid(x),
        "HardSwish": torch.nn.functional.hardswish,
        "PRelu": lambda x, slope: torch.nn.functional.prelu(x[None], slope[None])[0],
        "ThresholdedRelu": lambda x, alpha: torch.nn.functional.threshold(x, alpha, 0.0),
        "Shrink": lambda x, lambd, bias: getattr(torch.nn.functional, "softshrink" if bias else "hardshrink")(x, lambd),
        "Where": lambda condition, x, y: torch.where(condition != 0, x, y),
        "And": torch.logical_and,
        "Or": torch.logical_or,
        "Not": torch.logical_not,
        **{name: getattr(torch, called) for name, called in _COMPARED.items()},
        "ScatterElements": lambda x, indices, updates, reduction: torch.scatter_reduce(
            x, 0, indices.long(), updates, f"a{reduction}"
        ),
        "ScatterND": lambda x, indices, updates, reduction: torch.scatter_reduce(
            x, 0, indices[:, 0].long(), updates, f"a{reduction}"
        ),
        "Sort": lambda x: torch.sort(x, stable=True).values,
        "TopK": lambda x, k: torch.topk(x, k).values,
        "ReduceMax": lambda x, **along: _reduced_by_torch(torch, "max", x, **along),
        "ReduceMin": lambda x, **along: _reduced_by_torch(torch, "min", x, **along),
        "ReduceL1": lambda x: torch.linalg.vector_norm(x, 1),
        "ReduceL2": torch.linalg.vector_norm,
        "ReduceStd": lambda x: torch.std(x, correction=0),
        "ReduceLogSumExp": lambda x: torch.logsumexp(x, 0),
        "GlobalMaxPool": lambda x: torch.amax(x, (2,)),
        "LpPool": lambda x, kernel_shape: torch.nn.functional.lp_pool1d(x, 2, kernel_shape[0]),
        "MaxPool": lambda x, kernel_shape, strides, pads: getattr(torch.nn.functional, f"max_pool{x.ndim - 2}d")(
            x, kernel_shape, strides, pads[: x.ndim - 2]
        ),
    }
    function = called.get(operation) or getattr(torch, operation.lower())
    return lambda *operands: function(*operands, **attributes)


def _reduced_by_torch(torch: Any, name: str, x: Any, axes: Sequence[int] = (), keepdims: int = 1) -> Any:
    if not axes:
        return getattr(torch, name)(x)
    if len(axes) == 1:
        return getattr(torch, name)(x, axes[0], bool(keepdims)).values
    return getattr(torch, f"a{name}")(x, tuple(axes), bool(keepdims))


def _chosen_by(where: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Activations for which a library has no function, as people write them with its `where`."""
    return {
        "PRelu": lambda x, slope: where(x > 0, x, slope * x),
        "ThresholdedRelu": lambda x, alpha: where(x > alpha, x, 0.0 * x),
        "Shrink": lambda x, lambd, bias: where(x > lambd, x - bias, where(x < -lambd, x + bias, 0.0 * x)),
    }


def function_of_jax(operation: str, attributes: Mapping[str, Any]) -> Callable[..., Any]:
    """JAX's function for an operation."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    numpy = jax.numpy
    called: dict[str, Callable[..., Any]] = {
        "Max": lambda *x: reduce(numpy.maximum, x),
        "Min": lambda *x: reduce(numpy.minimum, x),
        "LeakyRelu": lambda x, alpha: jax.nn.leaky_relu(x, alpha),  # noqa: PLW0108 (other names)
        "HardSigmoid": lambda x, alpha, beta: jax.nn.hard_sigmoid(x),
        "HardSwish": jax.nn.hard_swish,
        **_chosen_by(numpy.where),
        "Where": lambda condition, x, y: numpy.where(condition != 0, x, y),
        "And": numpy.logical_and,
        "Or": numpy.logical_or,
        "Not": numpy.logical_not,
        "Pow": numpy.power,
        "FloorDiv": numpy.floor_divide,
        "XLogY": jax.scipy.special.xlogy,
        "Lgamma": jax.scipy.special.gammaln,
        "Digamma": jax.scipy.special.digamma,
        "Polygamma": lambda x, n: jax.scipy.special.polygamma(n, x),
        "Mod": lambda x, y, fmod=0: (numpy.fmod if fmod else numpy.mod)(x, y),
        **{name: getattr(jax.lax, called) for name, called in _COMPARED.items()},
        **{name: getattr(jax.nn, name.lower()) for name in ("Relu", "Elu", "Selu")},
        "TopK": lambda x, k: jax.lax.top_k(x, k)[0],
        "ReduceMax": lambda x, axes=None, keepdims=1: numpy.max(x, axes and tuple(axes), keepdims=bool(keepdims)),
        "ReduceMin": lambda x, axes=None, keepdims=1: numpy.min(x, axes and tuple(axes), keepdims=bool(keepdims)),
        "ReduceL1": lambda x: numpy.linalg.norm(x, 1),
        "ReduceL2": numpy.linalg.norm,
        "ReduceStd": numpy.std,
        "ReduceLogSumExp": jax.nn.logsumexp,
        "GlobalMaxPool": lambda x: numpy.max(x, 2),
        "LpPool": lambda x, kernel_shape: numpy.sqrt(numpy.sum(x * x, 2)),
        "MaxPool": lambda x, kernel_shape, strides, pads: jax.lax.reduce_window(
            x,
            -np.inf,
            jax.lax.max,
            (1, 1, *kernel_shape),
            (1, 1, *strides),
            [(0, 0), (0, 0), *zip(pads, pads[: x.ndim - 2], strict=False)],
        ),
    }
    function = called.get(operation) or getattr(numpy, operation.lower())
    return lambda *operands: function(*operands, **attributes)


def function_of_tensorflow(operation: str, attributes: Mapping[str, Any]) -> Callable[..., Any]:
    """TensorFlow's function for an operation."""
    tf = importlib.import_module("tensorflow")
    called: dict[str, Callable[..., Any]] = {
        "Max": lambda *x: reduce(tf.maximum, x),
        "Min": lambda *x: reduce(tf.minimum, x),
        "Clip": lambda x, min, max: tf.clip_by_value(x, min, max),  # noqa: PLW0108 (other names)
        "LeakyRelu": tf.nn.leaky_relu,
        "HardSigmoid": lambda x, alpha, beta: importlib.import_module("keras").activations.hard_sigmoid(x),
        "HardSwish": importlib.import_module("keras").activations.hard_swish,
        **_chosen_by(tf.where),
        "Relu": tf.nn.relu,
        "Elu": lambda x, alpha: importlib.import_module("keras").activations.elu(x, alpha=alpha),
        "Selu": tf.nn.selu,
        # Of its truncatemod TensorFlow has no gradient.
        "Mod": lambda x, y, fmod=0: x - y * tf.stop_gradient(tf.truncatediv(x, y)) if fmod else tf.math.floormod(x, y),
        "Lgamma": tf.math.lgamma,
        "Digamma": tf.math.digamma,
        "Polygamma": lambda x, n: tf.math.polygamma(tf.constant(float(n), x.dtype), x),
        "FloorDiv": tf.math.floordiv,
        "XLogY": tf.math.xlogy,
        **{name: getattr(tf.experimental.numpy, name.lower()) for name in ("Hypot", "LogAddExp", "Log2", "Log10")},
        "Where": lambda condition, x, y: tf.where(condition != 0, x, y),
        **{name: lambda *x: tf.zeros(()) for name in ("And", "Or", "Not")},  # of booleans, which have no gradients
        **{
            name: lambda x, y, called=called: tf.cast(getattr(operator, called)(x, y), x.dtype)
            for name, called in _COMPARED.items()
        },
        **{name: getattr(tf.math, name.lower()) for name in ("Log", "Log1p", "Ceil")},
        "TopK": lambda x, k: tf.math.top_k(x, k).values,
        "ReduceMax": lambda x, axes=None, keepdims=1: tf.reduce_max(x, axes, keepdims=bool(keepdims)),
        "ReduceMin": lambda x, axes=None, keepdims=1: tf.reduce_min(x, axes, keepdims=bool(keepdims)),
        "ReduceL1": lambda x: tf.norm(x, 1),
        "ReduceL2": tf.norm,
        "ReduceStd": tf.math.reduce_std,
        "ReduceLogSumExp": tf.reduce_logsumexp,
        "GlobalMaxPool": lambda x: tf.reduce_max(x, 2),
        "LpPool": lambda x, kernel_shape: tf.sqrt(tf.reduce_sum(x * x, 2)),
        "MaxPool": lambda x, **sliding: _pooled_by_tensorflow(tf, x, **sliding),
    }
    function = called.get(operation) or getattr(tf, operation.lower())
    return lambda *operands: function(*operands, **attributes)


def _pooled_by_tensorflow(tf: Any, x: Any, kernel_shape: list[int], strides: list[int], pads: list[int]) -> Any:
    """Pool one channel of one sample; TensorFlow has the channels last."""
    is_plane = len(x.shape) == 4
    plane = x[0] if is_plane else x
    lengths, steps = ([1, *given][-2:] for given in (kernel_shape, strides))
    above, beside = [0, *pads[: len(strides)]][-2:]
    padding = [[0, 0], [above, above], [beside, beside], [0, 0]]
    pooled = tf.nn.max_pool2d(plane[..., None], lengths, steps, padding if any(pads) else "VALID")
    return tf.reshape(pooled, (1, 1, *pooled.shape[1:3])) if is_plane else pooled[..., 0]


def alternative_function(library: str, operation: str) -> Callable[..., Any]:
    """The library's second function for an operation."""
    module = importlib.import_module(library)
    if operation == "Clip":
        networks = module.nn.functional if library == "torch" else module.nn
        return networks.relu6
    return lambda x: getattr(module, operation.lower().replace("reduce", "a"))(x, 0)


def gradients_of_torch(function: Callable[..., Any], operands: Sequence[Any], upstream: Any) -> list[FloatArray]:
    """The gradient of each operand from this upstream gradient, which spreads to the shape of the value."""
    torch = importlib.import_module("torch")
    given = [torch.tensor(np.array(x, dtype=float), requires_grad=True) for x in operands]
    value = function(*given)
    if not value.requires_grad:
        return [np.zeros(np.shape(x)) for x in operands]
    found = torch.autograd.grad(
        value, given, torch.as_tensor(np.asarray(upstream, dtype=float)).expand_as(value), materialize_grads=True
    )
    return [gradient.numpy() for gradient in found]


def gradients_of_jax(function: Callable[..., Any], operands: Sequence[Any], upstream: Any) -> list[FloatArray]:
    """The gradient of each operand from this upstream gradient, which spreads to the shape of the value."""
    jax = importlib.import_module("jax")
    given = [jax.numpy.asarray(np.array(x, dtype=float)) for x in operands]
    value, propagate = jax.vjp(lambda *x: function(*x).astype(float), *given)
    return [
        np.asarray(gradient)
        for gradient in propagate(jax.numpy.broadcast_to(np.asarray(upstream, dtype=float), value.shape))
    ]


def gradients_of_tensorflow(function: Callable[..., Any], operands: Sequence[Any], upstream: Any) -> list[FloatArray]:
    """The gradient of each operand from this upstream gradient, which spreads to the shape of the value."""
    tf = importlib.import_module("tensorflow")
    given = [tf.Variable(np.array(x, dtype=float)) for x in operands]
    with tf.GradientTape() as tape:
        value = function(*given)
    seed = tf.broadcast_to(tf.constant(upstream, value.dtype), value.shape)
    found = tape.gradient(value, given, seed, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [gradient.numpy() for gradient in found]


FUNCTIONS = {"torch": function_of_torch, "jax": function_of_jax, "tensorflow": function_of_tensorflow}
GRADIENTS = {"torch": gradients_of_torch, "jax": gradients_of_jax, "tensorflow": gradients_of_tensorflow}
