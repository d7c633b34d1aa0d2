"""Operations that are not elementwise as code for arrays; those of windows are in `windows.py`."""

from service.core.rulebook.registry import operation_of
from service.core.source.expressions import Unsaid
from service.core.source.templates import ArrayCall, says, simple, text_of

_LARGE = 2**31 - 1  # ONNX's exporters write the end of an axis as the largest number there is

# --- products --------------------------------------------------------------------------------------------------------

simple("MatMul", "{0} @ {1}")
simple("MatMulLeftAdjoint", "matmul_left_adjoint({0}, {1}, {2}.shape)")
simple("MatMulRightAdjoint", "matmul_right_adjoint({0}, {1}, {2}.shape)")


@says("Gemm", "alpha beta transA transB")
def _gemm(call: ArrayCall) -> str:
    a, b = (f"{x}.T" if call.a[flag] else x for x, flag in zip(call.x, ("transA", "transB"), strict=False))
    product = f"{a} @ {b}" if call.a["alpha"] == 1.0 else f"{text_of(call.a['alpha'])} * ({a} @ {b})"
    if len(call.x) < 3:
        return product
    return (
        f"{product} + {call.x[2]}" if call.a["beta"] == 1.0 else f"{product} + {text_of(call.a['beta'])} * {call.x[2]}"
    )


@says("Einsum", "equation")
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
    "ReduceLogSum": "np.log(np.sum({x}{along}))",
    "ReduceLogSumExp": "logsumexp({x}{along})",
    "ReduceVar": "np.var({x}{along}{ddof})",
    "ReduceStd": "np.std({x}{along}{ddof})",
}


@says(" ".join(_REDUCED), "axes keepdims noop_with_empty_axes ddof")
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
    along = "" if axes is None else f", axis={text_of(axes[0] if len(axes) == 1 and 'prod' not in pattern else axes)}"
    if axes is None and call.for_torch and (keepdims or call.name != "ReduceSum"):
        along = f", axis=tuple(range({x}.ndim))"
    if keepdims:
        along += ", keepdims=True"
    return pattern.format(x=x, along=along, ddof=ddof if call.a.get("ddof") or call.for_torch else "")


# --- shapes ----------------------------------------------------------------------------------------------------------

simple("SumTo", "sum_to({0}, {1}.shape)")
simple("ExpandTo", "np.broadcast_to({0}, {1}.shape)")
simple("ReshapeTo", "{0}.reshape({1}.shape)")
simple("MatrixTranspose", "np.swapaxes({0}, -1, -2)")
simple("Expand", "np.broadcast_to({0}, np.broadcast_shapes({0}.shape, {shape}))", "shape")


@says("Size")
def _size(call: ArrayCall) -> str:
    return f"np.asarray(float({call.x[0]}.{'numel()' if call.for_torch else 'size'}))"


@says("StopGradient")
def _stop_gradient(call: ArrayCall) -> str:
    (x,) = call.x
    return f"{x}.detach()" if call.for_torch else f"jax.lax.stop_gradient({x})" if call.language == "jax" else x


@says("Transpose", "perm")
def _transpose(call: ArrayCall) -> str:
    (x,), perm = call.x, call.a["perm"]
    order = f"tuple(reversed(range({x}.ndim)))" if perm is None else text_of(perm)
    if call.for_torch:
        return f"{x}.permute({order})"
    return f"{x}.T" if perm is None else f"{x}.transpose({order})"


@says("Reshape", "shape allowzero")
def _reshape(call: ArrayCall) -> str:
    (x,), zero_is_zero = call.x, call.a["allowzero"]
    lengths = [f"{x}.shape[{i}]" if n == 0 and not zero_is_zero else str(n) for i, n in enumerate(call.a["shape"])]
    return f"{x}.reshape(({', '.join(lengths)}{',' * (len(lengths) == 1)}))"


@says("Flatten", "axis")
def _flatten(call: ArrayCall) -> str:
    (x,), axis = call.x, call.a["axis"]
    rows = f"math.prod({x}.shape[:{axis}])" if axis not in (0, 1) else f"{x}.shape[0]" if axis else "1"
    return f"{x}.reshape(({rows}, math.prod({x}.shape[{axis}:])))"


@says("Squeeze", "axes")
def _squeeze(call: ArrayCall) -> str:
    axes = call.a["axes"]
    return f"np.squeeze({call.x[0]})" if axes is None else f"np.squeeze({call.x[0]}, axis={text_of(axes)})"


@says("Unsqueeze", "axes")
def _unsqueeze(call: ArrayCall) -> str:
    name = "expand_dims" if call.for_torch else "np.expand_dims"
    return f"{name}({call.x[0]}, {text_of(call.a['axes'])})"


@says("Concat", "axis")
def _concat(call: ArrayCall) -> str:
    return f"np.concatenate(({', '.join(call.x)},), axis={call.a['axis']})"


@says("ConcatAdjoint", "axis operand")
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


@says("Slice", "starts ends axes steps")
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


@says("SliceAdjoint", "starts ends axes steps")
def _slice_adjoint(call: ArrayCall) -> str:
    return f"put_slices({call.x[0]}, {call.x[1]}.shape, {_by_axis(call)})"


def _split(call: ArrayCall, of: str) -> str:
    axis, lengths, number = call.a["axis"], call.a["split"], call.a["output"]
    if lengths is None:
        return f"{{{axis}: split_slice({of}.shape[{axis}], {call.a['num_outputs']}, {number})}}"
    return f"{{{axis}: slice({sum(lengths[:number])}, {sum(lengths[: number + 1])})}}"


_SPLIT = "axis split num_outputs output"
says("Split", _SPLIT)(lambda call: f"take_slices({call.x[0]}, {_split(call, call.x[0])})")
says("SplitAdjoint", _SPLIT)(lambda call: f"put_slices({call.x[0]}, {call.x[1]}.shape, {_split(call, call.x[1])})")
simple("Gather", "take({0}, {1}.astype(int), {axis})", "axis")
simple("GatherAdjoint", "gather_adjoint({0}, {1}, {2}.astype(int), {axis})", "axis")


def _pads(call: ArrayCall, of: str) -> str:
    pads, axes = call.a["pads"], call.a["axes"]
    count = len(pads) // 2
    axes = range(count) if axes is None else axes
    pairs = (f"{axis}: ({pads[i]}, {pads[count + i]})" for i, axis in enumerate(axes))
    return f"{{{', '.join(pairs)}}}, {call.a['mode']!r}"


_PAD = "pads mode axes"


@says("Pad", f"{_PAD} constant_value")
def _pad(call: ArrayCall) -> str:
    value = call.a["constant_value"]
    return f"pad({call.x[0]}, {_pads(call, call.x[0])}{f', {text_of(value)}' if value != 0.0 else ''})"


says("PadAdjoint", _PAD)(lambda call: f"pad_adjoint({call.x[0]}, {call.x[1]}.shape, {_pads(call, call.x[1])})")

# --- scans -----------------------------------------------------------------------------------------------------------


@says("CumSum CumProd", "axis exclusive reverse")
def _scan(call: ArrayCall) -> str:
    function = f"np.{call.name.lower()}"
    flags = "".join(f", {flag}=True" for flag in ("exclusive", "reverse") if call.a[flag])
    plain = f"{function}({call.x[0]}, axis={call.a['axis']})"
    return f"scan({function}, {call.x[0]}, {call.a['axis']}{flags})" if flags else plain


simple("LinearRecurrence", "linear_recurrence({0}, {1}, {axis}, {reverse})", "axis reverse")

# --- networks --------------------------------------------------------------------------------------------------------


@says("Softmax LogSoftmax", "axis")
def _softmax(call: ArrayCall) -> str:
    function, axis = "softmax" if call.name == "Softmax" else "log_softmax", call.a["axis"]
    if call.language == "numpy":
        return f"{function}({call.x[0]}, {axis})"
    return f"{'torch' if call.for_torch else 'jax.nn'}.{function}({call.x[0]}, axis={axis})"


@says("LayerNormalization", "axis epsilon output")
def _layer_norm(call: ArrayCall) -> str:
    x, scale, bias = (*call.x, "None")[:3]
    if output := call.a.get("output"):
        axis = call.a["axis"]
        along = f"axis=tuple(range({axis}, {0 if axis < 0 else f'{x}.ndim'})), keepdims=True"
        if output == 1:
            return f"np.mean({x}, {along})"
        return f"1.0 / np.sqrt(np.var({x}, correction=0, {along}) + {text_of(call.a['epsilon'])})"
    return f"layer_norm({x}, {scale}, {bias}, {call.a['axis']}, {text_of(call.a['epsilon'])})"


@says("BatchNormalization", "epsilon momentum training_mode output")
def _batch_norm(call: ArrayCall) -> str:
    x, scale, bias, mean, variance = call.x
    if call.a.get("training_mode"):
        output, momentum = call.a.get("output", 0), call.a.get("momentum", 0.9)
        along = f"axis=(0, *range(2, {x}.ndim))"
        batch = f"np.mean({x}, {along})", f"np.var({x}, correction=0, {along})"
        if output:
            was = (mean, variance)[output - 1]
            return f"{was} * {text_of(momentum)} + {batch[output - 1]} * {text_of(1.0 - momentum)}"
        mean, variance = batch
    return f"batch_norm({x}, {scale}, {bias}, {mean}, {variance}, {text_of(call.a['epsilon'])})"


simple("OverChannels", "over_channels({0}, {1}.shape)")
simple("SumOfChannels", "sum_of_channels({0})")


@says("OneHot", "ignore_index depth axis")
def _one_hot(call: ArrayCall) -> str:
    labels, like = call.x
    if (depth := call.a.get("depth")) is not None:
        return f"encoded({labels}, {like}, {depth}, {call.a.get('axis', -1)})"
    return f"one_hot({labels}, {like}, {call.a['ignore_index']})"


simple("MeanSquaredError", "np.mean(({0} - {1}) ** 2)")


@says("SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss", "reduction ignore_index output")
def _cross_entropy(call: ArrayCall) -> str:
    scores, labels, weights = (*call.x, "None")[:3]
    if call.a.get("output"):
        return _softmax(ArrayCall(call.language, "LogSoftmax", call.x, {"axis": 1}))
    loss = "cross_entropy" if call.name == "SoftmaxCrossEntropyLoss" else "likelihood_loss"
    ignored = "" if call.a["ignore_index"] is None else f", {call.a['ignore_index']}"
    return f"{loss}({scores}, {labels}, {weights}, {call.a['reduction']!r}{ignored})"


# --- order, elements and squares of pixels ----------------------------------------------------------------------------


@says("ArgMax ArgMin", "axis keepdims select_last_index")
def _index(call: ArrayCall) -> str:
    function, a = f"np.{call.name.lower()}", call.a
    return f"chosen_index({function}, {call.x[0]}, {a['axis']}, {bool(a['keepdims'])}, {bool(a['select_last_index'])})"


@says("Cast", "to")
def _cast(call: ArrayCall) -> str:
    (x,), to = call.x, call.a["to"]
    if call.language == "numpy" and to == "bfloat16":
        raise Unsaid(operation_of(call.name))
    return f"{x}.to(torch.{to}).to({x}.dtype)" if call.for_torch else f"{x}.astype(np.{to}).astype({x}.dtype)"


simple("Sort", "sort({0}, {axis}, {descending}, {output})", "axis descending output")
simple("TopK", "top_k({0}, {k}, {axis}, {largest}, {sorted}, {output})", "k axis largest sorted output")
simple("SumOfTies", "sum_of_ties({0}, {1}, {axis})", "axis")
simple("GatherElements", "{0}[element_places({1}.astype(int), {axis})]", "axis")
simple("GatherND", "{0}[part_places({1}.astype(int), {batch_dims})]", "batch_dims")
simple("ScatterElements", "put_at({0}, element_places({1}.astype(int), {axis}), {2}, {reduction})", "axis reduction")
simple("ScatterND", "put_at({0}, part_places({1}.astype(int), {batch_dims}), {2}, {reduction})", "batch_dims reduction")
simple("Tile", "np.tile({0}, {repeats})", "repeats")
simple("TileAdjoint", "tile_adjoint({0}, {1}.shape, {repeats})", "repeats")


@says("Trilu", "k upper")
def _trilu(call: ArrayCall) -> str:
    return f"np.{'triu' if call.a['upper'] else 'tril'}({call.x[0]}, {call.a['k']})"


@says("DepthToSpace SpaceToDepth", "blocksize mode")
def _blocks(call: ArrayCall) -> str:
    name = "depth_to_space" if call.name == "DepthToSpace" else "space_to_depth"
    return f"{name}({call.x[0]}, {call.a['blocksize']}, {3 if call.a['mode'] == 'DCR' else 1})"


# --- linear algebra --------------------------------------------------------------------------------------------------

simple("Det", "np.linalg.det({0})")
simple("LogDet", "np.linalg.slogdet({0})[1]")
simple("Cholesky", "np.linalg.cholesky(0.5 * ({0} + {0}.mT))")
simple("Inverse", "np.linalg.inv({0})")
simple("Solve", "np.linalg.solve({0}, {1})")
simple("Cofactors", "cofactors({0})")


@says("CofactorsAlong")
def _cofactors_along(call: ArrayCall) -> str:
    if len(call.x) != 2:  # along several directions it takes a decomposition for each choice of rows
        raise Unsaid(operation_of(call.name))
    return f"cofactors_along({', '.join(call.x)})"
