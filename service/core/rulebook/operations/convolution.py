"""Convolution along one to three axes, with strides, dilations, pads and groups of channels."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, integer, integers
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.channels import over_channels, sum_of_channels
from service.core.rulebook.operations.window import AUTO_PAD, Window, blocks_of_steps, share_of_part, window
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

CONVOLUTION_ATTRIBUTES = (
    AUTO_PAD,
    Attribute("dilations", integers),
    Attribute("group", integer, 1),
    Attribute("kernel_shape", integers),
    Attribute("pads", integers),
    Attribute("strides", integers),
)
_NAMES = tuple(attribute.name for attribute in CONVOLUTION_ATTRIBUTES)


def _window_of(x: Shape, kernel: Shape, attributes: Sequence[Any]) -> Window:
    auto_pad, dilations, _, _, pads, strides = attributes
    return window(x[2:], kernel[2:], strides, dilations, pads, auto_pad)


Slide: TypeAlias = Callable[[Shape, Shape, Sequence[Any]], Window]


def _matrices(x: Any, groups: int) -> Any:
    """Return x, with samples before channels, as one matrix for each group: channels by samples · steps."""
    return np.reshape(np.swapaxes(x, 0, 1), (groups, x.shape[1] // groups, len(x) * prod(x.shape[2:])))


def _weights(kernel: Any, groups: int) -> Any:
    """Return the kernel as one matrix for each group: its output channels by input channels · positions."""
    return np.reshape(kernel, (groups, kernel.shape[0] // groups, prod(kernel.shape[1:])))


def _columns(patches: Any, groups: int) -> Any:
    """Return the elements under the window as one matrix for each group: channels · positions by samples · steps."""
    axes = (patches.ndim - 2) // 2
    order = (1, *range(2 + axes, 2 + 2 * axes), 0, *range(2, 2 + axes))
    rows = patches.shape[1] // groups * prod(patches.shape[2 + axes :])
    columns = patches.shape[0] * prod(patches.shape[2 : 2 + axes])
    return np.reshape(np.transpose(patches, order), (groups, rows, columns))


def products(x: Any, kernel: Any, groups: int, slid: Window) -> Any:
    """Sum x · kernel over the window."""
    patches, weights = slid.patches(x), _weights(kernel, groups)
    value = np.empty((len(x), len(kernel), *patches.shape[2 : x.ndim]), dtype=np.result_type(x, kernel))
    for index in blocks_of_steps(patches.size, len(x), patches.shape[2]):
        by_channel = np.swapaxes(value[index], 0, 1)
        by_channel[...] = np.reshape(weights @ _columns(patches[index], groups), by_channel.shape)
    return value


def spread(upstream: Any, kernel: Any, groups: int, slid: Window, shape: Shape) -> Any:
    """Add upstream · kernel to the elements under the window, in an array of that shape: the adjoint in x."""
    weights = np.swapaxes(_weights(kernel, groups), 1, 2)
    whole = np.zeros(shape, dtype=np.result_type(upstream, kernel))
    for index in blocks_of_steps(_column_elements(shape, kernel.shape, upstream.shape), len(whole), upstream.shape[2]):
        samples, _, along = index
        flow, by_channel = upstream[index], np.swapaxes(whole[samples], 0, 1)
        split = (shape[1], prod(kernel.shape[2:]), len(flow), *flow.shape[2:])
        columns = np.reshape(weights @ _matrices(flow, groups), split)
        for position, (elements, steps) in enumerate(slid.overlaps(shape[2:], along)):
            by_channel[elements] += columns[:, position][steps]
        del columns  # before those of the next block are made
    return whole


def correlate(x: Any, upstream: Any, kernel: Shape, groups: int, slid: Window) -> Any:
    """Sum x · upstream over samples and steps, at each position in the window: the adjoint in the kernel."""
    # The long side of the columns comes first: OpenBLAS multiplies a tall matrix faster than its transpose.
    total = np.zeros((groups, prod(kernel[1:]), kernel[0] // groups), dtype=np.result_type(x, upstream))
    patches = slid.patches(x)
    for index in blocks_of_steps(patches.size, len(x), patches.shape[2]):
        total += _columns(patches[index], groups) @ np.swapaxes(_matrices(upstream[index], groups), 1, 2)
    return np.reshape(np.swapaxes(total, 1, 2), kernel)


def _column_elements(x: Shape, kernel: Shape, upstream: Shape) -> int:
    """Count the elements under the window at all steps."""
    return prod((*x[:2], *upstream[2:], *kernel[2:]))


@rulebook_function
def convolve(x: Any, kernel: Any, *attributes: Any) -> Any:
    """Sum x · kernel over the window, without a bias."""
    return products(x, kernel, attributes[2], _window_of(np.shape(x), np.shape(kernel), attributes))


@rulebook_function
def convolution_input_adjoint(upstream: Any, kernel: Any, x: Any, *attributes: Any) -> Any:
    """Return the contribution to the gradient of x, of which only the shape matters."""
    slid = _window_of(np.shape(x), np.shape(kernel), attributes)
    return spread(upstream, kernel, attributes[2], slid, np.shape(x))


@rulebook_function
def convolution_kernel_adjoint(x: Any, upstream: Any, kernel: Any, *attributes: Any) -> Any:
    """Return the contribution to the gradient of the kernel, of which only the shape matters."""
    slid = _window_of(np.shape(x), np.shape(kernel), attributes)
    return correlate(x, upstream, np.shape(kernel), attributes[2], slid)


def check_kernel(x: Shape, kernel: Shape, channels: int, attributes: Attributes) -> None:
    """Raise ValueError unless a kernel for x of so many channels fits x."""
    groups, named = attributes["group"], attributes["kernel_shape"]
    if not 3 <= len(x) == len(kernel) <= 5:
        raise ValueError("expected axes for samples and channels and one to three more, and a kernel with as many axes")
    if groups < 1 or kernel[0] % groups or x[1] != channels:
        raise ValueError(f"{x[1]} channels in {groups} groups do not fit a kernel of shape {list(kernel)}")
    if named is not None and tuple(named) != kernel[2:]:
        raise ValueError(f"kernel_shape {list(named)} differs from the kernel's window, {list(kernel[2:])}")


def check_bias(bias: Sequence[Shape], channels: int) -> None:
    if bias and bias[0] != (channels,):
        raise ValueError(f"expected a bias of shape {[channels]}, one element per channel")


def _conv_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, kernel = shapes[:2]
    check_kernel(x, kernel, kernel[1] * attributes["group"] if len(kernel) > 1 else 0, attributes)
    check_bias(shapes[2:], kernel[0])
    return (x[0], kernel[0], *_window_of(x, kernel, tuple(attributes.values())).steps(x[2:]))


def with_bias(value: Any, bias: Any) -> Any:
    return value if bias is None else value + over_channels(bias, value)


def products_work(x: Shape, kernel: Shape, upstream: Shape, padded: int, groups: int) -> Work:
    """Of the convolution or of its adjoint for the kernel: the windows are copied out as the columns of matrices."""
    columns, share = _column_weight(x, kernel, upstream)
    held = share * columns + padded + 2.0 * (prod(upstream) + prod(kernel))
    return Work(2.0 * CALL * (1.0 + 1.0 / share) + _products(columns, kernel, groups) + 4.0 * columns, held)


def spread_work(x: Shape, kernel: Shape, upstream: Shape, padded: int, groups: int) -> Work:
    """Of the adjoint for x: the products are added at their place, one position in the window after the other."""
    columns, share = _column_weight(x, kernel, upstream)
    held = share * columns + prod(x) + prod(upstream) + prod(kernel)
    calls = (1.0 + 1.0 / share) * (1.0 + prod(kernel[2:]))
    return Work(CALL * calls + _products(columns, kernel, groups) + 8.0 * columns, held)


def _column_weight(x: Shape, kernel: Shape, upstream: Shape) -> tuple[int, float]:
    """Count the elements of the columns of all samples and steps, and return which share of them one block has."""
    columns = _column_elements(x, kernel, upstream)
    share = share_of_part(columns, x[0]) * share_of_part(columns // max(x[0], 1), upstream[2])
    return columns, share


def _products(columns: int, kernel: Shape, groups: int) -> float:
    """How long the product of matrices takes: of long ones 20 products of elements as long as an addition."""
    return 0.1 * columns * kernel[0] / groups


def convolution_works(
    order: str, *rules: Callable[[Shape, Shape, Shape, int, int], Work], slide: Slide | None = None
) -> WorkRule:
    """Of one rule after the other. `order` names operands and value: x, over which the window slides, k(ernel), and
    u(pstream), which has an element for each step; z is the value else. `slide` gives the window if it follows from the
    shape of u rather than of x."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        named = dict(zip(order, (*shapes[: len(order) - 1], shape), strict=True))
        x, kernel, upstream = (named[letter] for letter in "xku")
        given = tuple(attributes.values())
        slid = slide(upstream, kernel, given) if slide else _window_of(x, kernel, given)
        works = [rule(x, kernel, upstream, slid.padded(x), attributes["group"]) for rule in rules]
        kept = sum(map(prod, (x, kernel, upstream))) if len(works) > 1 else 0
        return Work(sum(each.operations for each in works), max(each.elements for each in works) + kept)

    return work


define(
    "Conv",
    "x kernel bias?",
    attributes=CONVOLUTION_ATTRIBUTES,
    forward=lambda x, kernel, bias, *attributes: with_bias(convolve(x, kernel, *attributes), bias),
    contributions=lambda upstream, x, kernel, bias, z, *attributes: (
        convolution_input_adjoint(upstream, kernel, x, *attributes),
        convolution_kernel_adjoint(x, upstream, kernel, *attributes),
        None if bias is None else sum_of_channels(upstream, bias),
    ),
    infer_shape=_conv_shape,
    linear=True,
    rounding=Rounding(in_parts=True),
    work=Workload(convolution_works("xku", products_work), convolution_works("xku", products_work, spread_work)),
    symbolic={convolve: lambda x, kernel, *given: ((x, kernel), dict(zip(_NAMES, given, strict=True)))},
    wording=Wording(notation=function("conv"), rule="product"),
)


def _adjoint_shape(upstream: Shape, x: Shape, kernel: Shape, attributes: Attributes, like: Shape) -> Shape:
    expected = _conv_shape((x, kernel), attributes)
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the convolution has {list(expected)}")
    return like


# Conv and these two are bilinear; the vector-Jacobian product of each is made of the other two.
define(
    "ConvInputAdjoint",
    "upstream kernel x",
    attributes=CONVOLUTION_ATTRIBUTES,
    forward=convolution_input_adjoint,
    contributions=lambda flow, upstream, kernel, x, z, *attributes: (
        convolve(flow, kernel, *attributes),
        convolution_kernel_adjoint(flow, upstream, kernel, *attributes),
        None,
    ),
    infer_shape=lambda shapes, attributes: _adjoint_shape(shapes[0], shapes[2], shapes[1], attributes, shapes[2]),
    linear=True,
    work=Workload(convolution_works("ukxz", spread_work), convolution_works("ukxz", products_work, products_work)),
    wording=Wording(rule="product"),
)

define(
    "ConvKernelAdjoint",
    "x upstream kernel",
    attributes=CONVOLUTION_ATTRIBUTES,
    forward=convolution_kernel_adjoint,
    contributions=lambda flow, x, upstream, kernel, z, *attributes: (
        convolution_input_adjoint(upstream, flow, x, *attributes),
        convolve(x, flow, *attributes),
        None,
    ),
    infer_shape=lambda shapes, attributes: _adjoint_shape(shapes[1], shapes[0], shapes[2], attributes, shapes[2]),
    linear=True,
    work=Workload(convolution_works("xukz", products_work), convolution_works("xukz", products_work, spread_work)),
    wording=Wording(rule="product"),
)
