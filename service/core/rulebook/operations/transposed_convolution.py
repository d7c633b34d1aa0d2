"""Transposed convolution: the adjoint of a convolution that takes a step for each element of x."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, integers
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.channels import sum_of_channels
from service.core.rulebook.operations.convolution import (
    CONVOLUTION_ATTRIBUTES,
    check_bias,
    check_kernel,
    convolution_works,
    correlate,
    products,
    products_work,
    spread,
    spread_work,
    with_bias,
)
from service.core.rulebook.operations.window import Window, sliding, spans, split_padding
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import Workload

_ATTRIBUTES = (
    *CONVOLUTION_ATTRIBUTES,
    Attribute("output_padding", integers),
    Attribute("output_shape", integers),
)
_NAMES = tuple(attribute.name for attribute in _ATTRIBUTES)


def transposed_window(x: Shape, kernel: Shape, attributes: Sequence[Any]) -> tuple[Window, Shape]:
    """Return the window of a transposed convolution, which takes a step for each element of x, and the lengths of the
    axes over which it slides, those of the value.

    Raises ValueError where there is no such window.
    """
    auto_pad, dilations, _, _, pads, strides, output_padding, output_shape = attributes
    count = len(kernel) - 2
    strides, dilations, pads = sliding(kernel[2:], strides, dilations, pads, auto_pad)
    added = (0,) * count if output_padding is None else output_padding
    if len(added) != count or min(added) < 0 or (output_shape is not None and len(output_shape) != count):
        raise ValueError(f"expected {count} elements of output_padding, 0 or more, and of output_shape")
    axes = list(zip(x[2:], strides, spans(kernel[2:], dilations), strict=True))
    reached = [max(length - 1, 0) * stride + span for length, stride, span in axes]
    whole = list(map(sum, zip(reached, added, strict=True)))
    before, after = pads[:count], pads[count:]
    if output_shape is not None or auto_pad.startswith("SAME"):
        wanted = [length * stride for length, stride, _ in axes] if output_shape is None else output_shape
        totals = [max(length - least, 0) for length, least in zip(whole, wanted, strict=True)]
        before, after = split_padding(totals, auto_pad)
    lengths = [length - start - end for length, start, end in zip(whole, before, after, strict=True)]
    lengths = lengths if output_shape is None else list(output_shape)
    if min(lengths) < 1 or any(start > length for start, length in zip(before, reached, strict=True)):
        raise ValueError(f"nothing is left of axes of {whole} without the pads {[*before, *after]}")
    after = tuple(total - start - length for total, start, length in zip(reached, before, lengths, strict=True))
    return Window(kernel[2:], strides, dilations, before, after, (0,) * count), tuple(lengths)


def _window_of(x: Shape, kernel: Shape, attributes: Sequence[Any]) -> Window:
    return transposed_window(x, kernel, attributes)[0]


@rulebook_function
def transposed_convolution(x: Any, kernel: Any, *attributes: Any) -> Any:
    """Spread x · kernel over the windows, without a bias."""
    shape = np.shape(kernel)
    slid, lengths = transposed_window(np.shape(x), shape, attributes)
    return spread(x, kernel, attributes[2], slid, (np.shape(x)[0], shape[1] * attributes[2], *lengths))


@rulebook_function
def transposed_input_adjoint(upstream: Any, kernel: Any, x: Any, *attributes: Any) -> Any:
    """Return the contribution to the gradient of x, of which only the shape matters: a convolution."""
    slid = _window_of(np.shape(x), np.shape(kernel), attributes)
    return products(upstream, kernel, attributes[2], slid)


@rulebook_function
def transposed_kernel_adjoint(x: Any, upstream: Any, kernel: Any, *attributes: Any) -> Any:
    """Return the contribution to the gradient of the kernel, of which only the shape matters."""
    slid = _window_of(np.shape(x), np.shape(kernel), attributes)
    return correlate(upstream, x, np.shape(kernel), attributes[2], slid)


def _transposed_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, kernel = shapes[:2]
    check_kernel(x, kernel, kernel[0] if kernel else 0, attributes)
    channels = kernel[1] * attributes["group"]
    check_bias(shapes[2:], channels)
    return (x[0], channels, *transposed_window(x, kernel, tuple(attributes.values()))[1])


def _transposed_adjoint_shape(upstream: Shape, x: Shape, kernel: Shape, attributes: Attributes, like: Shape) -> Shape:
    expected = _transposed_shape((x, kernel), attributes)
    if upstream != expected:
        raise ValueError(
            f"the upstream gradient has shape {list(upstream)}; the transposed convolution has {list(expected)}"
        )
    return like


# Its adjoints are its own rather than Conv and ConvKernelAdjoint, since Conv's attributes cannot say which elements
# output_padding and output_shape leave beyond the last step.
define(
    "ConvTranspose",
    "x kernel bias?",
    attributes=_ATTRIBUTES,
    forward=lambda x, kernel, bias, *attributes: with_bias(transposed_convolution(x, kernel, *attributes), bias),
    contributions=lambda upstream, x, kernel, bias, z, *attributes: (
        transposed_input_adjoint(upstream, kernel, x, *attributes),
        transposed_kernel_adjoint(x, upstream, kernel, *attributes),
        None if bias is None else sum_of_channels(upstream, bias),
    ),
    infer_shape=_transposed_shape,
    linear=True,
    rounding=Rounding(in_parts=True),
    work=Workload(
        convolution_works("ukx", spread_work, slide=_window_of),
        convolution_works("ukx", products_work, products_work, slide=_window_of),
    ),
    symbolic={
        transposed_convolution: lambda x, kernel, *given: (
            (x, kernel),
            dict(zip(_NAMES, given, strict=True)),
        )
    },
    wording=Wording(notation=function("conv_transpose"), aliases=["conv_transpose"], rule="product"),
)

define(
    "ConvTransposeInputAdjoint",
    "upstream kernel x",
    attributes=_ATTRIBUTES,
    forward=transposed_input_adjoint,
    contributions=lambda flow, upstream, kernel, x, z, *attributes: (
        transposed_convolution(flow, kernel, *attributes),
        transposed_kernel_adjoint(flow, upstream, kernel, *attributes),
        None,
    ),
    infer_shape=lambda shapes, attributes: _transposed_adjoint_shape(
        shapes[0], shapes[2], shapes[1], attributes, shapes[2]
    ),
    linear=True,
    work=Workload(
        convolution_works("xkuz", products_work, slide=_window_of),
        convolution_works("xkuz", products_work, spread_work, slide=_window_of),
    ),
    wording=Wording(rule="product"),
)

define(
    "ConvTransposeKernelAdjoint",
    "x upstream kernel",
    attributes=_ATTRIBUTES,
    forward=transposed_kernel_adjoint,
    contributions=lambda flow, x, upstream, kernel, z, *attributes: (
        transposed_input_adjoint(upstream, flow, x, *attributes),
        transposed_convolution(x, flow, *attributes),
        None,
    ),
    infer_shape=lambda shapes, attributes: _transposed_adjoint_shape(
        shapes[1], shapes[0], shapes[2], attributes, shapes[2]
    ),
    linear=True,
    work=Workload(
        convolution_works("uxkz", products_work, slide=_window_of),
        convolution_works("uxkz", products_work, spread_work, slide=_window_of),
    ),
    wording=Wording(rule="product"),
)
