"""Operations that are not elementwise as code for arrays: one expression for each, of identifiers alone.

Written for NumPy; JAX and PyTorch spell the same otherwise (`helpers.py`), or have a text of their own here. A template
names the attributes that it reads. Another one that is not at its default would be lost: the operation is then refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from service.core.graph.graph import Node
from service.core.rulebook.registry import operation_of
from service.core.source.expressions import Unsaid
from service.core.source.helpers import in_jax, in_torch

_LARGE = 2**31 - 1  # ONNX's exporters write the end of an axis as the largest number there is


@dataclass(frozen=True, slots=True)
class ArrayCall:
    """An operation on identifiers: its attributes, and the language that says it."""

    language: str
    name: str
    x: Sequence[str]
    a: Mapping[str, Any]

    @property
    def for_torch(self) -> bool:
        """Whether PyTorch says it."""
        return self.language == "torch"


Template: TypeAlias = Callable[[ArrayCall], str]
_templates: dict[str, tuple[frozenset[str], Template]] = {}


def _says(names: str, attributes: str = "") -> Callable[[Template], Template]:
    """Enter a template for operations, and the attributes that it reads."""

    def enter(template: Template) -> Template:
        _templates.update(dict.fromkeys(names.split(), (frozenset(attributes.split()), template)))
        return template

    return enter


def write_call(node: Node, operands: Sequence[str], language: str) -> str:
    """Write an operation on identifiers; raises Unsaid."""
    read, template = _templates.get(node.operation.name, (frozenset[str](), None))
    others = (each for each in node.operation.attributes if each.name not in read)
    if template is None or any(node.attributes.get(each.name, each.default) != each.default for each in others):
        raise Unsaid(node.operation)
    text = template(ArrayCall(language, node.operation.name, operands, node.attributes))
    return in_torch(text) if language == "torch" else in_jax(text) if language == "jax" else text


def _text(value: Any) -> str:
    """A number, a word or a tuple of them."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_text, value))}{',' * (len(value) == 1)})"
    return f'float("{value}")' if isinstance(value, float) and value - value != 0.0 else repr(value)


def _simple(names: str, pattern: str, attributes: str = "") -> None:
    """Enter a template that puts operands, {0} …, and attributes, {axis} …, into a text."""
    _says(names, attributes)(
        lambda call: pattern.format(*call.x, **{name: _text(call.a[name]) for name in attributes.split()})
    )


# --- products --------------------------------------------------------------------------------------------------------

_simple("MatMul", "{0} @ {1}")
_simple("MatMulLeftAdjoint", "matmul_left_adjoint({0}, {1}, {2}.shape)")
_simple("MatMulRightAdjoint", "matmul_right_adjoint({0}, {1}, {2}.shape)")


@_says("Gemm", "alpha beta transA transB")
def _gemm(call: ArrayCall) -> str:
    a, b = (f"{x}.T" if call.a[flag] else x for x, flag in zip(call.x, ("transA", "transB"), strict=False))
    product = f"{a} @ {b}" if call.a["alpha"] == 1.0 else f"{_text(call.a['alpha'])} * ({a} @ {b})"
    if len(call.x) < 3:
        return product
    return f"{product} + {call.x[2]}" if call.a["beta"] == 1.0 else f"{product} + {_text(call.a['beta'])} * {call.x[2]}"


@_says("Einsum", "equation")
def _einsum(call: ArrayCall) -> str:
    """A letter that the result has twice stands on a diagonal: the product with a matrix of ones there."""
    terms, _, result = call.a["equation"].partition("->")
    operands, letters = list(call.x), []
    free = (letter for letter in "zyxwvutsrqponmlkjihgfedcba" if letter not in call.a["equation"])
    for letter in result:
        if letter in letters and letter != ".":
            other = next(free)
            index = next(i for i, term in enumerate(terms.split(",")) if letter in term)
            before, _, after = terms.split(",")[index].partition(letter)
            axis = len(before) if "." not in before else -len(after) - 1
            operands.append(f"np.eye({call.x[index]}.shape[{axis}])")
            terms, letter = f"{terms},{letter}{other}", other  # noqa: PLW2901
        letters.append(letter)
    return f'np.einsum("{terms}->{"".join(letters)}", {", ".join(operands)})'


# --- reductions ------------------------------------------------------------------------------------------------------

_REDUCED = {
    "ReduceSum": "np.sum({x}{along})",
    "ReduceMean": "np.mean({x}{along})",
    "ReduceMax": "np.max({x}{along})",
    "ReduceMin": "np.min({x}{along})",
    "ReduceProd": "np.prod({x}{along})",
    "ReduceL1": "np.sum(np.abs({x}){along})",
    "ReduceL2": "norm({x}{along})",
    "ReduceSumSquare": "np.sum({x} ** 2{along})",
    "ReduceLogSumExp": "logsumexp({x}{along})",
    "ReduceVar": "np.var({x}{along}{ddof})",
    "ReduceStd": "np.std({x}{along}{ddof})",
}


@_says(" ".join(_REDUCED), "axes keepdims noop_with_empty_axes ddof")
def _reduction(call: ArrayCall) -> str:
    (x,), axes, keepdims, pattern = call.x, call.a["axes"], call.a["keepdims"], _REDUCED[call.name]
    ddof = f", {'correction' if call.for_torch else 'ddof'}={call.a.get('ddof')}"
    if call.for_torch:
        for ours, theirs in (("logsumexp(", "torch.logsumexp("), ("np.prod(", "prod(")):
            pattern = pattern.replace(ours, theirs)
        pattern = pattern.replace("norm(", "torch.linalg.vector_norm(")
    elif call.language == "jax":
        pattern = pattern.replace("logsumexp(", "jax.nn.logsumexp(")
    if axes is None and call.a["noop_with_empty_axes"]:  # along no axis
        x, axes, keepdims = f"{x}[..., None]", (-1,), 0
    along = "" if axes is None else f", axis={_text(axes[0] if len(axes) == 1 and 'prod' not in pattern else axes)}"
    if axes is None and call.for_torch and (keepdims or call.name != "ReduceSum"):
        along = f", axis=tuple(range({x}.ndim))"
    elif call.for_torch and axes and "prod(" in pattern:
        along = f", axis={_text(axes)}"
    if keepdims:
        along += ", keepdims=True"
    return pattern.format(x=x, along=along, ddof=ddof if call.a.get("ddof") or call.for_torch else "")


# --- shapes ----------------------------------------------------------------------------------------------------------

_simple("SumTo", "sum_to({0}, {1}.shape)")
_simple("ExpandTo", "np.broadcast_to({0}, {1}.shape)")
_simple("ReshapeTo", "{0}.reshape({1}.shape)")
_simple("MatrixTranspose", "np.swapaxes({0}, -1, -2)")
_simple("Expand", "np.broadcast_to({0}, np.broadcast_shapes({0}.shape, {shape}))", "shape")


@_says("Size")
def _size(call: ArrayCall) -> str:
    return f"np.asarray(float({call.x[0]}.{'numel()' if call.for_torch else 'size'}))"


@_says("StopGradient")
def _stop_gradient(call: ArrayCall) -> str:
    (x,) = call.x
    return f"{x}.detach()" if call.for_torch else f"jax.lax.stop_gradient({x})" if call.language == "jax" else x


@_says("Transpose", "perm")
def _transpose(call: ArrayCall) -> str:
    (x,), perm = call.x, call.a["perm"]
    order = f"tuple(reversed(range({x}.ndim)))" if perm is None else _text(perm)
    if call.for_torch:
        return f"{x}.permute({order})"
    return f"{x}.T" if perm is None else f"{x}.transpose({order})"


@_says("Reshape", "shape allowzero")
def _reshape(call: ArrayCall) -> str:
    (x,), zero_is_zero = call.x, call.a["allowzero"]
    lengths = [f"{x}.shape[{i}]" if n == 0 and not zero_is_zero else str(n) for i, n in enumerate(call.a["shape"])]
    return f"{x}.reshape(({', '.join(lengths)}{',' * (len(lengths) == 1)}))"


@_says("Flatten", "axis")
def _flatten(call: ArrayCall) -> str:
    (x,), axis = call.x, call.a["axis"]
    rows = f"math.prod({x}.shape[:{axis}])" if axis not in (0, 1) else f"{x}.shape[0]" if axis else "1"
    return f"{x}.reshape(({rows}, math.prod({x}.shape[{axis}:])))"


@_says("Squeeze", "axes")
def _squeeze(call: ArrayCall) -> str:
    axes = call.a["axes"]
    return f"np.squeeze({call.x[0]})" if axes is None else f"np.squeeze({call.x[0]}, axis={_text(axes)})"


@_says("Unsqueeze", "axes")
def _unsqueeze(call: ArrayCall) -> str:
    name = "expand_dims" if call.for_torch else "np.expand_dims"
    return f"{name}({call.x[0]}, {_text(call.a['axes'])})"


@_says("Concat", "axis")
def _concat(call: ArrayCall) -> str:
    return f"np.concatenate(({', '.join(call.x)},), axis={call.a['axis']})"


@_says("ConcatAdjoint", "axis operand")
def _concat_adjoint(call: ArrayCall) -> str:
    whole, *parts = call.x
    return f"part_of_concat({whole}, ({', '.join(parts)},), {call.a['axis']}, {call.a['operand']})"


# --- parts -----------------------------------------------------------------------------------------------------------


def _slices(call: ArrayCall) -> list[tuple[int, str, str, int]]:
    """For each axis its slice: start and end as they are written, empty at an end of the axis; and step."""
    a = call.a
    axes = range(len(a["starts"])) if a["axes"] is None else a["axes"]
    steps = [1] * len(a["starts"]) if a["steps"] is None else a["steps"]
    found = []
    for axis, start, end, step in zip(axes, a["starts"], a["ends"], steps, strict=True):
        first = "" if start == (0 if step > 0 else -1) or abs(start) >= _LARGE else str(start)
        found.append((axis, first, "" if abs(end) >= _LARGE else str(end), step))
    return found


def _by_axis(call: ArrayCall) -> str:
    written = (
        f"{axis}: slice({start or None}, {end or None}{f', {step}' if step != 1 else ''})"
        for axis, start, end, step in _slices(call)
    )
    return f"{{{', '.join(written)}}}"


@_says("Slice", "starts ends axes steps")
def _slice(call: ArrayCall) -> str:
    (x,), slices = call.x, _slices(call)
    axes = [axis for axis, *_ in slices]
    if not axes:
        return x
    if min(axes) < 0 <= max(axes) or (call.for_torch and any(step < 0 for *_, step in slices)):
        return f"take_slices({x}, {_by_axis(call)})"
    parts = {axis: f"{start}:{end}{f':{step}' if step != 1 else ''}" for axis, start, end, step in slices}
    index = [parts.get(axis, ":") for axis in range(min(0, *axes), max(0, *axes) + 1 if max(axes) >= 0 else 0)]
    return f"{x}[{', '.join(['...', *index] if max(axes) < 0 else index)}]"


@_says("SliceAdjoint", "starts ends axes steps")
def _slice_adjoint(call: ArrayCall) -> str:
    return f"put_slices({call.x[0]}, {call.x[1]}.shape, {_by_axis(call)})"


def _split(call: ArrayCall, of: str) -> str:
    axis, lengths, number = call.a["axis"], call.a["split"], call.a["output"]
    if lengths is None:
        return f"{{{axis}: split_slice({of}.shape[{axis}], {call.a['num_outputs']}, {number})}}"
    return f"{{{axis}: slice({sum(lengths[:number])}, {sum(lengths[: number + 1])})}}"


_SPLIT = "axis split num_outputs output"
_says("Split", _SPLIT)(lambda call: f"take_slices({call.x[0]}, {_split(call, call.x[0])})")
_says("SplitAdjoint", _SPLIT)(lambda call: f"put_slices({call.x[0]}, {call.x[1]}.shape, {_split(call, call.x[1])})")
_simple("Gather", "take({0}, {1}.astype(int), {axis})", "axis")
_simple("GatherAdjoint", "gather_adjoint({0}, {1}, {2}.astype(int), {axis})", "axis")


def _pads(call: ArrayCall, of: str) -> str:
    pads, axes = call.a["pads"], call.a["axes"]
    count = len(pads) // 2
    axes = range(count) if axes is None else axes
    pairs = (f"{axis}: ({pads[i]}, {pads[count + i]})" for i, axis in enumerate(axes))
    return f"{{{', '.join(pairs)}}}, {call.a['mode']!r}"


_PAD = "pads mode axes"


@_says("Pad", f"{_PAD} constant_value")
def _pad(call: ArrayCall) -> str:
    value = call.a["constant_value"]
    return f"pad({call.x[0]}, {_pads(call, call.x[0])}{f', {_text(value)}' if value != 0.0 else ''})"


_says("PadAdjoint", _PAD)(lambda call: f"pad_adjoint({call.x[0]}, {call.x[1]}.shape, {_pads(call, call.x[1])})")

# --- scans -----------------------------------------------------------------------------------------------------------


@_says("CumSum CumProd", "axis exclusive reverse")
def _scan(call: ArrayCall) -> str:
    function = f"np.{call.name.lower()}"
    flags = "".join(f", {flag}=True" for flag in ("exclusive", "reverse") if call.a[flag])
    plain = f"{function}({call.x[0]}, axis={call.a['axis']})"
    return f"scan({function}, {call.x[0]}, {call.a['axis']}{flags})" if flags else plain


_simple("LinearRecurrence", "linear_recurrence({0}, {1}, {axis}, {reverse})", "axis reverse")

# --- networks --------------------------------------------------------------------------------------------------------


@_says("Softmax LogSoftmax", "axis")
def _softmax(call: ArrayCall) -> str:
    room = {"numpy": "special", "jax": "jax.nn", "torch": "torch"}[call.language]
    return f"{room}.{'softmax' if call.name == 'Softmax' else 'log_softmax'}({call.x[0]}, axis={call.a['axis']})"


@_says("LayerNormalization", "axis epsilon")
def _layer_norm(call: ArrayCall) -> str:
    x, scale, bias = (*call.x, "None")[:3]
    return f"layer_norm({x}, {scale}, {bias}, {call.a['axis']}, {_text(call.a['epsilon'])})"


_simple("BatchNormalization", "batch_norm({0}, {1}, {2}, {3}, {4}, {epsilon})", "epsilon")
_simple("OverChannels", "over_channels({0}, {1}.shape)")
_simple("SumOfChannels", "sum_of_channels({0})")
_simple("OneHot", "one_hot({0}, {1}, {ignore_index})", "ignore_index")
_simple("MeanSquaredError", "np.mean(({0} - {1}) ** 2)")


@_says("SoftmaxCrossEntropyLoss", "reduction ignore_index")
def _cross_entropy(call: ArrayCall) -> str:
    scores, labels, weights = (*call.x, "None")[:3]
    ignored = "" if call.a["ignore_index"] is None else f", {call.a['ignore_index']}"
    return f"cross_entropy({scores}, {labels}, {weights}, {call.a['reduction']!r}{ignored})"


def _sliding(call: ArrayCall) -> tuple[str, str, str]:
    """Strides, dilations and pads: expressions for those that depend on x, where no attribute says how many axes."""
    a = call.a
    known = next((len(a[name]) for name in ("kernel_shape", "strides", "dilations") if a.get(name) is not None), None)
    known = known if known is not None else None if a.get("pads") is None else len(a["pads"]) // 2
    if known is None:
        axes = f"({call.x[0]}.ndim - 2)"
        return f"(1,) * {axes}", f"(1,) * {axes}", f"(0, 0) * {axes}"
    defaults = {"strides": (1,) * known, "dilations": (1,) * known, "pads": (0,) * 2 * known}
    strides, dilations, pads = (_text(default if a[name] is None else a[name]) for name, default in defaults.items())
    return strides, dilations, pads


def _window(call: ArrayCall, shape: str, lengths: str, counted: bool = False) -> str:
    """Strides, dilations and pads with which a window slides over a shape; `counted` without what ceil_mode adds."""
    strides, dilations, pads = _sliding(call)
    auto_pad, ceil_mode = call.a["auto_pad"], bool(call.a.get("ceil_mode")) and not counted
    if auto_pad != "NOTSET" or ceil_mode:
        pads = f"window_pads({shape}, {lengths}, {strides}, {dilations}, {pads}, {auto_pad!r}, {ceil_mode})"
    return pads if counted else f"{strides}, {dilations}, {pads}"


_CONV = "auto_pad dilations group kernel_shape pads strides"


@_says("Conv", _CONV)
def _conv(call: ArrayCall) -> str:
    x, kernel, bias = (*call.x, "None")[:3]
    return f"conv({x}, {kernel}, {bias}, {call.a['group']}, {_window(call, f'{x}.shape', f'{kernel}.shape[2:]')})"


@_says("ConvInputAdjoint", _CONV)
def _conv_input_adjoint(call: ArrayCall) -> str:
    upstream, kernel, x = call.x
    slid = _window(call, f"{x}.shape", f"{kernel}.shape[2:]")
    return f"conv_input_adjoint({upstream}, {kernel}, {x}.shape, {call.a['group']}, {slid})"


@_says("ConvKernelAdjoint", _CONV)
def _conv_kernel_adjoint(call: ArrayCall) -> str:
    x, upstream, kernel = call.x
    slid = _window(call, f"{x}.shape", f"{kernel}.shape[2:]")
    return f"conv_kernel_adjoint({x}, {upstream}, {kernel}.shape, {call.a['group']}, {slid})"


_TRANSPOSED = f"{_CONV} output_padding output_shape"


def _transposed(call: ArrayCall, x: str, kernel: str) -> tuple[str, str]:
    """Group, strides and dilations of a transposed convolution, and the lengths and pads of its window."""
    strides, dilations, pads = _sliding(call)
    added = f"(0,) * ({x}.ndim - 2)" if call.a["output_padding"] is None else _text(call.a["output_padding"])
    given = f"{pads}, {added}, {_text(call.a['output_shape'])}, {call.a['auto_pad']!r}"
    slid = f"transposed_pads({x}.shape, {kernel}.shape[2:], {strides}, {dilations}, {given})"
    return f"{call.a['group']}, {strides}, {dilations}", slid


@_says("ConvTranspose", _TRANSPOSED)
def _conv_transpose(call: ArrayCall) -> str:
    x, kernel, bias = (*call.x, "None")[:3]
    steps, slid = _transposed(call, x, kernel)
    return f"conv_transpose({x}, {kernel}, {bias}, {steps}, *{slid})"


@_says("ConvTransposeInputAdjoint", _TRANSPOSED)
def _conv_transpose_input_adjoint(call: ArrayCall) -> str:
    upstream, kernel, x = call.x
    steps, slid = _transposed(call, x, kernel)
    return f"conv({upstream}, {kernel}, None, {steps}, {slid}[1])"


@_says("ConvTransposeKernelAdjoint", _TRANSPOSED)
def _conv_transpose_kernel_adjoint(call: ArrayCall) -> str:
    x, upstream, kernel = call.x
    steps, slid = _transposed(call, x, kernel)
    return f"conv_kernel_adjoint({upstream}, {x}, {kernel}.shape, {steps}, {slid}[1])"


_POOL = "auto_pad ceil_mode dilations kernel_shape pads strides"


def _pool(name: str, operands: str, x: int = 0, further: Callable[[ArrayCall, str], str] | None = None) -> Template:
    """A pool: `x` is the operand over which the window slides, further(call, x) what is given besides."""

    def template(call: ArrayCall) -> str:
        shape, lengths = f"{call.x[x]}.shape", _text(call.a["kernel_shape"])
        more = f", {further(call, call.x[x])}" if further else ""
        return f"{name}({operands.format(*call.x)}, {lengths}, {_window(call, shape, lengths)}{more})"

    return template


def _divisor(call: ArrayCall, x: str) -> str:
    """What the sum of a window's elements is divided by."""
    lengths, include_pad = _text(call.a["kernel_shape"]), call.a["count_include_pad"]
    if (override := call.a["divisor_override"]) is not None:
        return str(override)
    if include_pad and not call.a["ceil_mode"]:
        return str(prod(call.a["kernel_shape"]))
    none = _text((0, 0) * len(call.a["kernel_shape"]))
    counted = _window(call, f"{x}.shape", lengths, counted=True) if include_pad else none
    return f"pooled_counts({x}.shape, {lengths}, {_window(call, f'{x}.shape', lengths)}, {counted})"


_says("MaxPool", f"{_POOL} storage_order")(_pool("max_pool", "{0}"))
_says("MaxPoolTies", _POOL)(_pool("max_pool_ties", "{0}, {1}"))
_says("MaxPoolAdjoint", _POOL)(_pool("max_pool_adjoint", "{0}, {1}", 1))
_says("MaxPoolTangent", _POOL)(_pool("max_pool_tangent", "{0}, {1}"))
_AVERAGE = f"{_POOL} count_include_pad divisor_override"
_says("AveragePool", _AVERAGE)(_pool("average_pool", "{0}", 0, _divisor))
_says("AveragePoolAdjoint", _AVERAGE)(_pool("average_pool_adjoint", "{0}, {1}.shape", 1, _divisor))
_says("LpPool", f"{_POOL} p")(_pool("lp_pool", "{0}", 0, lambda call, x: str(call.a["p"])))
_simple("GlobalAveragePool", "np.mean({0}, axis=tuple(range(2, {0}.ndim)), keepdims=True)")
_simple("GlobalMaxPool", "np.max({0}, axis=tuple(range(2, {0}.ndim)), keepdims=True)")

_RESIZE = (
    "scales sizes roi axes mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside antialias "
    "keep_aspect_ratio_policy extrapolation_value"
)


@_says("Resize ResizeAdjoint", _RESIZE)
def _resize(call: ArrayCall) -> str:
    """Along every axis that is resized; a part of interest is one of tf_crop_and_resize alone."""
    a, name = dict(call.a), "resize" if call.name == "Resize" else "resize_adjoint"
    roi = a["roi"] if a["coordinate_transformation_mode"] == "tf_crop_and_resize" else None
    chosen = (a[each] for each in ("axes", "scales", "sizes", "keep_aspect_ratio_policy"))
    resized = f"resized_axes({call.x[-1]}.shape, {', '.join(map(_text, chosen))}, {_text(roi)})"
    names = (
        "extrapolation_value coordinate_transformation_mode mode nearest_mode cubic_coeff_a exclude_outside antialias"
    )
    how = ", ".join(_text(a[each]) for each in names.split())
    return f"{name}({call.x[0]}, {resized}, {how})"


# --- linear algebra --------------------------------------------------------------------------------------------------

_simple("Det", "np.linalg.det({0})")
_simple("Inverse", "np.linalg.inv({0})")
_simple("Solve", "np.linalg.solve({0}, {1})")
_simple("Cofactors", "cofactors({0})")


@_says("CofactorsAlong")
def _cofactors_along(call: ArrayCall) -> str:
    if len(call.x) != 2:  # along several directions it takes a decomposition for each choice of rows
        raise Unsaid(operation_of(call.name))
    return f"cofactors_along({', '.join(call.x)})"
