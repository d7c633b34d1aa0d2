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
from service.core.rulebook.operations.window import AUTO_PAD, Window, window
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


def _split_groups(x: Any, groups: int, axis: int) -> Any:
    """Split an axis in two: the groups, and the channels within a group."""
    return np.reshape(x, (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :]))


def _merge_groups(x: Any, axis: int) -> Any:
    """Merge the axis of groups and the next one: the inverse of `_split_groups`."""
    return np.reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


Slide: TypeAlias = Callable[[Shape, Shape, Sequence[Any]], Window]


# Axes: n samples, g groups, m and c output and input channels of a group, xyz steps, uvw positions in the window.
def _axis_letters(kernel: Shape) -> tuple[str, str]:
    return "xyz"[: len(kernel) - 2], "uvw"[: len(kernel) - 2]


def products(x: Any, kernel: Any, groups: int, slid: Window) -> Any:
    """Sum x · kernel over the window."""
    steps, positions = _axis_letters(np.shape(kernel))
    windows = _split_groups(slid.patches(x), groups, 1)
    equation = f"ngc{steps}{positions},gmc{positions}->ngm{steps}"
    return _merge_groups(np.einsum(equation, windows, _split_groups(kernel, groups, 0), optimize=True), 1)


def spread(upstream: Any, kernel: Any, groups: int, slid: Window, shape: Shape) -> Any:
    """Add upstream · kernel to the elements under the window, in an array of that shape: the adjoint in x."""
    steps, _ = _axis_letters(np.shape(kernel))
    flow, weights = _split_groups(upstream, groups, 1), _split_groups(kernel, groups, 0)

    def part(position: tuple[int, ...]) -> Any:
        each = np.einsum(f"ngm{steps},gmc->ngc{steps}", flow, weights[(..., *position)], optimize=True)
        return _merge_groups(each, 1)

    return slid.scatter_add(part, shape, np.result_type(upstream, kernel))


def correlate(x: Any, upstream: Any, kernel: Shape, groups: int, slid: Window) -> Any:
    """Sum x · upstream over samples and steps, at each position in the window: the adjoint in the kernel."""
    steps, positions = _axis_letters(kernel)
    windows = _split_groups(slid.patches(x), groups, 1)
    equation = f"ngc{steps}{positions},ngm{steps}->gmc{positions}"
    return _merge_groups(np.einsum(equation, windows, _split_groups(upstream, groups, 1), optimize=True), 0)


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


# The Python of one einsum, of which there is one for each position in the window.
_EINSUM = 40_000.0


def products_work(x: Shape, kernel: Shape, upstream: Shape, padded: int, groups: int) -> Work:
    """Of the convolution or of its adjoint for the kernel: the windows are copied out as the rows of a matrix."""
    windows = x[0] * x[1] * prod(upstream[2:]) * prod(kernel[2:])
    copies = (2.1 if groups == 1 else 1.1) * windows
    products = 0.1 * windows * kernel[0] / groups
    return Work(CALL + _EINSUM + products + 8.0 * windows, copies + padded + 2.0 * prod(upstream))


def spread_work(x: Shape, kernel: Shape, upstream: Shape, padded: int, groups: int) -> Work:
    """Of the adjoint for x: a product for each position in the window, added in its place."""
    part, positions = x[0] * x[1] * prod(upstream[2:]), prod(kernel[2:])
    products = 0.1 * part * positions * kernel[0] / groups
    elements = 3.0 * part + 2.0 * prod(upstream) + padded + 3.0 * prod(kernel[:2])
    return Work(positions * (_EINSUM + 12.0 * part) + products, elements)


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
