"""Convolutions, pools and Resize as code for arrays."""

from collections.abc import Callable
from math import prod

from service.core.source.templates import ArrayCall, Template, says, simple, text_of


def _sliding(call: ArrayCall) -> tuple[str, str, str]:
    """Strides, dilations and pads: expressions for those that depend on x, where no attribute says how many axes."""
    a = call.a
    known = next((len(a[name]) for name in ("kernel_shape", "strides", "dilations") if a.get(name) is not None), None)
    known = known if known is not None else None if a.get("pads") is None else len(a["pads"]) // 2
    if known is None:
        axes = f"({call.x[0]}.ndim - 2)"
        return f"(1,) * {axes}", f"(1,) * {axes}", f"(0, 0) * {axes}"
    defaults = {"strides": (1,) * known, "dilations": (1,) * known, "pads": (0,) * 2 * known}
    strides, dilations, pads = (text_of(default if a[name] is None else a[name]) for name, default in defaults.items())
    return strides, dilations, pads


def _window(call: ArrayCall, shape: str, lengths: str, counted: bool = False) -> str:
    """Strides, dilations and pads with which a window slides over a shape; `counted` without what ceil_mode adds."""
    strides, dilations, pads = _sliding(call)
    auto_pad, ceil_mode = call.a["auto_pad"], bool(call.a.get("ceil_mode")) and not counted
    if auto_pad != "NOTSET" or ceil_mode:
        pads = f"window_pads({shape}, {lengths}, {strides}, {dilations}, {pads}, {auto_pad!r}, {ceil_mode})"
    return pads if counted else f"{strides}, {dilations}, {pads}"


_CONV = "auto_pad dilations group kernel_shape pads strides"


@says("Conv", _CONV)
def _conv(call: ArrayCall) -> str:
    x, kernel, bias = (*call.x, "None")[:3]
    return f"conv({x}, {kernel}, {bias}, {call.a['group']}, {_window(call, f'{x}.shape', f'{kernel}.shape[2:]')})"


@says("ConvInputAdjoint", _CONV)
def _conv_input_adjoint(call: ArrayCall) -> str:
    upstream, kernel, x = call.x
    slid = _window(call, f"{x}.shape", f"{kernel}.shape[2:]")
    return f"conv_input_adjoint({upstream}, {kernel}, {x}.shape, {call.a['group']}, {slid})"


@says("ConvKernelAdjoint", _CONV)
def _conv_kernel_adjoint(call: ArrayCall) -> str:
    x, upstream, kernel = call.x
    slid = _window(call, f"{x}.shape", f"{kernel}.shape[2:]")
    return f"conv_kernel_adjoint({x}, {upstream}, {kernel}.shape, {call.a['group']}, {slid})"


_TRANSPOSED = f"{_CONV} output_padding output_shape"


def _transposed(call: ArrayCall, x: str, kernel: str) -> tuple[str, str]:
    """Group, strides and dilations of a transposed convolution, and the lengths and pads of its window."""
    strides, dilations, pads = _sliding(call)
    added = f"(0,) * ({x}.ndim - 2)" if call.a["output_padding"] is None else text_of(call.a["output_padding"])
    given = f"{pads}, {added}, {text_of(call.a['output_shape'])}, {call.a['auto_pad']!r}"
    slid = f"transposed_pads({x}.shape, {kernel}.shape[2:], {strides}, {dilations}, {given})"
    return f"{call.a['group']}, {strides}, {dilations}", slid


@says("ConvTranspose", _TRANSPOSED)
def _conv_transpose(call: ArrayCall) -> str:
    x, kernel, bias = (*call.x, "None")[:3]
    steps, slid = _transposed(call, x, kernel)
    return f"conv_transpose({x}, {kernel}, {bias}, {steps}, *{slid})"


@says("ConvTransposeInputAdjoint", _TRANSPOSED)
def _conv_transpose_input_adjoint(call: ArrayCall) -> str:
    upstream, kernel, x = call.x
    steps, slid = _transposed(call, x, kernel)
    return f"conv({upstream}, {kernel}, None, {steps}, {slid}[1])"


@says("ConvTransposeKernelAdjoint", _TRANSPOSED)
def _conv_transpose_kernel_adjoint(call: ArrayCall) -> str:
    x, upstream, kernel = call.x
    steps, slid = _transposed(call, x, kernel)
    return f"conv_kernel_adjoint({upstream}, {x}, {kernel}.shape, {steps}, {slid}[1])"


_POOL = "auto_pad ceil_mode dilations kernel_shape pads strides"


def _pool(name: str, operands: str, x: int = 0, further: Callable[[ArrayCall, str], str] | None = None) -> Template:
    """A pool: `x` is the operand over which the window slides, further(call, x) what is given besides."""

    def template(call: ArrayCall) -> str:
        shape, lengths = f"{call.x[x]}.shape", text_of(call.a["kernel_shape"])
        more = f", {further(call, call.x[x])}" if further else ""
        return f"{name}({operands.format(*call.x)}, {lengths}, {_window(call, shape, lengths)}{more})"

    return template


def _divisor(call: ArrayCall, x: str) -> str:
    """What the sum of a window's elements is divided by."""
    lengths, include_pad = text_of(call.a["kernel_shape"]), call.a["count_include_pad"]
    if (override := call.a["divisor_override"]) is not None:
        return str(override)
    if include_pad and not call.a["ceil_mode"]:
        return str(prod(call.a["kernel_shape"]))
    none = text_of((0, 0) * len(call.a["kernel_shape"]))
    counted = _window(call, f"{x}.shape", lengths, counted=True) if include_pad else none
    return f"pooled_counts({x}.shape, {lengths}, {_window(call, f'{x}.shape', lengths)}, {counted})"


says("MaxPool", f"{_POOL} storage_order")(_pool("max_pool", "{0}"))
says("MaxPoolTies", _POOL)(_pool("max_pool_ties", "{0}, {1}"))
says("MaxPoolAdjoint", _POOL)(_pool("max_pool_adjoint", "{0}, {1}", 1))
says("MaxPoolTangent", _POOL)(_pool("max_pool_tangent", "{0}, {1}"))
_AVERAGE = f"{_POOL} count_include_pad divisor_override"
says("AveragePool", _AVERAGE)(_pool("average_pool", "{0}", 0, _divisor))
says("AveragePoolAdjoint", _AVERAGE)(_pool("average_pool_adjoint", "{0}, {1}.shape", 1, _divisor))
says("LpPool", f"{_POOL} p")(_pool("lp_pool", "{0}", 0, lambda call, x: str(call.a["p"])))
simple("GlobalAveragePool", "np.mean({0}, axis=tuple(range(2, {0}.ndim)), keepdims=True)")
simple("GlobalMaxPool", "np.max({0}, axis=tuple(range(2, {0}.ndim)), keepdims=True)")

_RESIZE = (
    "scales sizes roi axes mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside antialias "
    "keep_aspect_ratio_policy extrapolation_value"
)


@says("Resize ResizeAdjoint", _RESIZE)
def _resize(call: ArrayCall) -> str:
    """Along every axis that is resized; a part of interest is one of tf_crop_and_resize alone."""
    a, name = dict(call.a), "resize" if call.name == "Resize" else "resize_adjoint"
    roi = a["roi"] if a["coordinate_transformation_mode"] == "tf_crop_and_resize" else None
    chosen = (a[each] for each in ("axes", "scales", "sizes", "keep_aspect_ratio_policy"))
    resized = f"resized_axes({call.x[-1]}.shape, {', '.join(map(text_of, chosen))}, {text_of(roi)})"
    names = (
        "extrapolation_value coordinate_transformation_mode mode nearest_mode cubic_coeff_a exclude_outside antialias"
    )
    how = ", ".join(text_of(a[each]) for each in names.split())
    return f"{name}({call.x[0]}, {resized}, {how})"
