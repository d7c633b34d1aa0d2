"""Hypothesis strategies for operands of the operations of neural networks."""

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray, Shape
from service.core.graph.documents import read_attributes
from tests.tensor_cases import axes_of, broadcasting
from tests.tensors import Drawn, draws, lengths, operation_of, shapes


@draws("Softmax", "LogSoftmax")
def _softmax(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return [shape], {} if axis == -1 else {"axis": axis}


@draws("LayerNormalization")
def _layer_normalization(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=1))
    axis = draw(st.integers(1, len(shape)))
    scale = draw(st.sampled_from([(), shape[-axis:], shape[-1:], (1,)]))
    bias = draw(st.sampled_from([[], [()], [shape[-axis:]]]))
    # Far from 0, so that finite differences exist even on an axis of one element, whose variance is 0.
    given = {"axis": -axis, "epsilon": draw(st.sampled_from([0.5, 2.0]))}
    return [shape, scale, *bias], given | draw(st.sampled_from([{}, {}, {"output": 1}, {"output": 2}]))


def classified(draw: st.DrawFn) -> tuple[Shape, FloatArray, int | None]:
    """The shape of scores, labels, and the label to ignore, if any."""
    scores = (draw(lengths()), draw(lengths(1)), *draw(shapes(most=2)))
    ignored = draw(st.sampled_from([None, -100, 0]))
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    labels = generator.integers(0, scores[1], (scores[0], *scores[2:])).astype(np.float64)
    if ignored is not None and labels.size:
        labels.flat[0] = ignored
    return scores, labels, ignored


@draws("OneHot")
def _one_hot(draw: st.DrawFn) -> Drawn:
    if draw(st.booleans()):
        shape, depth = draw(shapes(most=2)), draw(st.integers(1, 3))
        labels = np.random.default_rng(draw(st.integers(0, 2**16))).integers(-depth - 1, depth + 1, shape)
        return [labels.astype(float), (2,)], {"depth": depth, "axis": draw(st.integers(-len(shape) - 1, len(shape)))}
    scores, labels, ignored = classified(draw)
    return [labels, scores], {"ignore_index": ignored}


@draws("SoftmaxCrossEntropyLoss")
def _cross_entropy(draw: st.DrawFn) -> Drawn:
    operands, given = _likelihood_loss(draw)
    return operands, given | draw(st.sampled_from([{}, {}, {"output": 1}]))


@draws("NegativeLogLikelihoodLoss")
def _likelihood_loss(draw: st.DrawFn) -> Drawn:
    scores, labels, ignored = classified(draw)
    counted = np.any(labels != ignored) if ignored is not None else labels.size  # else the mean is NaN
    given = {
        "ignore_index": ignored,
        "reduction": draw(st.sampled_from(["mean", "sum", "none"] if counted else ["sum", "none"])),
    }
    weights = []
    if draw(st.booleans()):
        weights = [np.linspace(0.5, 1.5, scores[1])]
    return [scores, labels, *weights], given


@draws("MeanSquaredError")
def _squared_error(draw: st.DrawFn) -> Drawn:
    whole, part = draw(broadcasting())
    if 0 in whole:  # the mean of nothing is NaN
        part = whole
    return draw(st.permutations([whole, part])), {}


@draws("OverChannels")
def _over_channels(draw: st.DrawFn) -> Drawn:
    like = draw(shapes(least=2))
    return [like[1:2], like], {}


@draws("SumOfChannels")
def _sum_of_channels(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=2))
    return [shape, shape[1:2]], {}


@draws("BatchNormalization")
def _batch_normalization(draw: st.DrawFn) -> Drawn:
    shape = draw(shapes(least=2))
    variance = np.linspace(0.5, 2.0, shape[1])
    training = {"training_mode": 1, "epsilon": 0.5, "momentum": draw(st.sampled_from([0.9, 0.2]))}
    given = draw(st.sampled_from([{}, *({**training, "output": output} for output in range(3))]))
    if given and 0 in shape:  # the mean of nothing is NaN
        shape = tuple(map(lambda length: length or 1, shape))
        variance = np.linspace(0.5, 2.0, shape[1])
    return [shape, *[shape[1:2]] * 3, variance], given


def window_of(draw: st.DrawFn) -> tuple[Shape, Shape, dict[str, Any]]:
    """Lengths of axes, of a window that fits them, and how it slides."""
    count = draw(st.sampled_from([1, 2, 1, 2, 3]))

    def each(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(count)]

    lengths, strides, dilations = each(1, 3 if count < 3 else 2), each(1, 2), each(1, 2)
    pads = [draw(st.integers(0, length - 1)) for length in lengths * 2]
    spans = [spread * (length - 1) + 1 for spread, length in zip(dilations, lengths, strict=True)]
    axes = tuple(
        max(span - pads[position] - pads[position + count], 1) + draw(st.integers(0, 2))
        for position, span in enumerate(spans)
    )
    given: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads}
    return axes, tuple(lengths), {name: given[name] for name in given if draw(st.booleans()) or name == "dilations"}


def convolved(draw: st.DrawFn) -> tuple[Shape, Shape, dict[str, Any]]:
    """The shapes of a convolution's input and kernel."""
    axes, kernel, given = window_of(draw)
    given.setdefault("pads", [0] * 2 * len(axes))
    before, behind = given["pads"][: len(axes)], given["pads"][len(axes) :]
    spans = [spread * (length - 1) + 1 for spread, length in zip(given["dilations"], kernel, strict=True)]
    axes = tuple(max(length, span - sum(pads)) for length, span, *pads in zip(axes, spans, before, behind, strict=True))
    if (auto_pad := draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))) != "NOTSET":
        given = {name: value for name, value in given.items() if name != "pads"} | {"auto_pad": auto_pad}
        axes = tuple(map(max, axes, spans)) if auto_pad == "VALID" else axes
    groups, inside, outside = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    x = (draw(lengths(most=2)), groups * inside, *axes)
    return x, (groups * outside, inside, *kernel), given | {"group": groups}


def convolution_shape(x: Shape, kernel: Shape, given: dict[str, Any]) -> Shape:
    operation = operation_of("Conv")
    return operation.infer_shape([x, kernel], read_attributes(operation, given)[0])


@draws("Conv")
def _conv(draw: st.DrawFn) -> Drawn:
    x, kernel, given = convolved(draw)
    return [x, kernel, *draw(st.sampled_from([[], [kernel[:1]]]))], given


@draws("ConvInputAdjoint")
def _conv_input(draw: st.DrawFn) -> Drawn:
    x, kernel, given = convolved(draw)
    return [convolution_shape(x, kernel, given), kernel, x], given


@draws("ConvKernelAdjoint")
def _conv_kernel(draw: st.DrawFn) -> Drawn:
    x, kernel, given = convolved(draw)
    return [x, convolution_shape(x, kernel, given), kernel], given


def transposed(draw: st.DrawFn) -> tuple[Shape, Shape, Shape, dict[str, Any]]:
    """The shapes of a transposed convolution's input, kernel and value."""
    _, kernel, given = window_of(draw)
    given = {name: value for name, value in given.items() if name != "pads"}
    count, groups = len(kernel), draw(st.integers(1, 2))
    axes = tuple(draw(lengths(1, 4 - count)) for _ in range(count))
    match draw(st.sampled_from(["", "pads", "output_padding", "output_shape", "auto_pad", "both"])):
        case "pads":
            given["pads"] = [draw(st.integers(0, (length - 1) // 2)) for length in kernel * 2]
        case "output_padding":
            given["output_padding"] = [draw(st.integers(0, 2)) for _ in range(count)]
        case "output_shape":
            given["output_shape"] = [draw(st.integers(1, 6)) for _ in range(count)]
        case "auto_pad":
            given["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        case "both":
            given |= {"auto_pad": "SAME_LOWER", "output_padding": [1] * count}
    x = (draw(lengths(most=2)), groups * draw(st.integers(1, 2)), *axes)
    weights = (x[1], draw(st.integers(1, 2)), *kernel)
    given["group"] = groups
    operation = operation_of("ConvTranspose")
    return x, weights, operation.infer_shape([x, weights], read_attributes(operation, given)[0]), given


@draws("ConvTranspose")
def _conv_transpose(draw: st.DrawFn) -> Drawn:
    x, kernel, value, given = transposed(draw)
    return [x, kernel, *draw(st.sampled_from([[], [value[1:2]]]))], given


@draws("ConvTransposeInputAdjoint")
def _conv_transpose_input(draw: st.DrawFn) -> Drawn:
    x, kernel, value, given = transposed(draw)
    return [value, kernel, x], given


@draws("ConvTransposeKernelAdjoint")
def _conv_transpose_kernel(draw: st.DrawFn) -> Drawn:
    x, kernel, value, given = transposed(draw)
    return [x, value, kernel], given


def pooled(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """The input of a pooling operation."""
    x, kernel, given = convolved(draw)
    del given["group"]
    if not any(given.get("pads", ())):
        given["ceil_mode"] = draw(st.integers(0, 1))
    return x, given | {"kernel_shape": list(kernel[2:])}


@draws("MaxPool")
def _max_pool(draw: st.DrawFn) -> Drawn:
    x, given = pooled(draw)
    operation = operation_of("MaxPool")
    # The maximum of a window over padding alone is −∞, of which there are no finite differences.
    assume(np.isfinite(operation.evaluate([np.zeros(x)], read_attributes(operation, given)[0])).all())
    return [x], given


@draws("MaxPoolTies")
def _max_pool_ties(draw: st.DrawFn) -> Drawn:
    x, given = pooled(draw)
    operation = operation_of("MaxPool")
    return [x, operation.infer_shape([x], read_attributes(operation, given)[0])], given


@draws("MaxPoolAdjoint")
def _max_pool_adjoint(draw: st.DrawFn) -> Drawn:
    (x,), given = _max_pool(draw)
    operation = operation_of("MaxPool")
    return [operation.infer_shape([x], read_attributes(operation, given)[0]), x], given


@draws("MaxPoolTangent")
def _max_pool_tangent(draw: st.DrawFn) -> Drawn:
    (x,), given = _max_pool(draw)
    return [x, x], given


@draws("AveragePool")
def _average_pool(draw: st.DrawFn) -> Drawn:
    x, given = pooled(draw)
    given["divisor_override"] = draw(st.sampled_from([None, None, 3]))
    return [x], given | {"count_include_pad": draw(st.integers(0, 1))}


def resized(draw: st.DrawFn) -> tuple[Shape, dict[str, Any]]:
    """A shape, and how its axes are resized, or some of them."""
    shape = draw(shapes(least=1, shortest=1))
    axes = draw(axes_of(len(shape), least=1))
    given: dict[str, Any] = {"mode": draw(st.sampled_from(["nearest", "linear", "cubic"]))}
    if draw(st.booleans()):
        given["scales"] = [draw(st.sampled_from([2.0, 0.6, 1.5, 1.0, 2.5])) for _ in axes]
    else:
        given["sizes"] = [draw(st.integers(0, 5)) for _ in axes]
        given["keep_aspect_ratio_policy"] = draw(st.sampled_from(["stretch", "stretch", "not_larger", "not_smaller"]))
    modes = ["half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"]
    given["coordinate_transformation_mode"] = draw(st.sampled_from(["half_pixel", *modes, "tf_crop_and_resize"]))
    given["roi"] = [*[draw(st.sampled_from([0.0, -0.3, 0.4])) for _ in axes], *[0.9] * len(axes)]
    given["extrapolation_value"] = draw(st.sampled_from([0.0, 3.0]))
    nearest = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    if given["mode"] == "nearest":
        return shape, given | {"axes": axes, "nearest_mode": draw(st.sampled_from(nearest))}
    return shape, given | {"axes": axes, **{name: draw(st.integers(0, 1)) for name in ("antialias", "exclude_outside")}}


@draws("Resize")
def _resize(draw: st.DrawFn) -> Drawn:
    shape, given = resized(draw)
    return [shape], given


@draws("ResizeAdjoint")
def _resize_adjoint(draw: st.DrawFn) -> Drawn:
    shape, given = resized(draw)
    operation = operation_of("Resize")
    return [operation.infer_shape([shape], read_attributes(operation, given)[0]), shape], given


@draws("LpPool")
def _lp_pool(draw: st.DrawFn) -> Drawn:
    (x,), given = _max_pool(draw)  # no window over padding alone, whose norm has no derivative
    return [x], given | {"p": draw(st.integers(1, 3))}


@draws("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(draw: st.DrawFn) -> Drawn:
    return [draw(shapes(least=3, most=4, shortest=1))], {}


@draws("AveragePoolAdjoint")
def _average_pool_adjoint(draw: st.DrawFn) -> Drawn:
    x, given = pooled(draw)
    given["count_include_pad"] = draw(st.integers(0, 1))
    operation = operation_of("AveragePool")
    return [operation.infer_shape([x], read_attributes(operation, given)[0]), x], given
