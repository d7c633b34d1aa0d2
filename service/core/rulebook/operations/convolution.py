"""Convolution along one to three axes, with strides, dilations, pads and groups of channels."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, integer, integers
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.channels import over_channels, sum_of_channels
from service.core.rulebook.operations.window import Window, window
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule

_ATTRIBUTES = (
    Attribute("auto_pad", OneOf(("NOTSET",)), "NOTSET"),
    Attribute("dilations", integers),
    Attribute("group", integer, 1),
    Attribute("kernel_shape", integers),
    Attribute("pads", integers),
    Attribute("strides", integers),
)
_NAMES = tuple(attribute.name for attribute in _ATTRIBUTES)


def _window_of(kernel: Shape, attributes: Sequence[Any]) -> Window:
    _, dilations, _, _, pads, strides = attributes
    return window(kernel[2:], strides, dilations, pads)


def _split_groups(x: Any, groups: int, axis: int) -> Any:
    """Split an axis in two: the groups, and the channels within a group."""
    return np.reshape(x, (*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :]))


def _merge_groups(x: Any, axis: int) -> Any:
    """Merge the axis of groups and the next one: the inverse of `_split_groups`."""
    return np.reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


# Axes: n samples, g groups, m and c output and input channels of a group, xyz steps, uvw positions in the window.
def _axis_letters(kernel: Shape) -> tuple[str, str]:
    return "xyz"[: len(kernel) - 2], "uvw"[: len(kernel) - 2]


@rulebook_function
def convolve(x: Any, kernel: Any, *attributes: Any) -> Any:
    """Sum x · kernel over the window, without a bias."""
    groups, (steps, positions) = attributes[2], _axis_letters(np.shape(kernel))
    windows = _split_groups(_window_of(np.shape(kernel), attributes).patches(x), groups, 1)
    equation = f"ngc{steps}{positions},gmc{positions}->ngm{steps}"
    return _merge_groups(np.einsum(equation, windows, _split_groups(kernel, groups, 0), optimize=True), 1)


@rulebook_function
def convolution_input_adjoint(upstream: Any, kernel: Any, x: Any, *attributes: Any) -> Any:
    """Return the contribution to the gradient of x, of which only the shape matters."""
    groups, (steps, _) = attributes[2], _axis_letters(np.shape(kernel))
    flow, weights = _split_groups(upstream, groups, 1), _split_groups(kernel, groups, 0)

    def part(position: tuple[int, ...]) -> Any:
        each = np.einsum(f"ngm{steps},gmc->ngc{steps}", flow, weights[(..., *position)], optimize=True)
        return _merge_groups(each, 1)

    dtype = np.result_type(upstream, kernel)
    return _window_of(np.shape(kernel), attributes).scatter_add(part, np.shape(x), dtype)


@rulebook_function
def convolution_kernel_adjoint(x: Any, upstream: Any, kernel: Any, *attributes: Any) -> Any:
    """Return the contribution to the gradient of the kernel, of which only the shape matters."""
    groups, (steps, positions) = attributes[2], _axis_letters(np.shape(kernel))
    windows = _split_groups(_window_of(np.shape(kernel), attributes).patches(x), groups, 1)
    equation = f"ngc{steps}{positions},ngm{steps}->gmc{positions}"
    return _merge_groups(np.einsum(equation, windows, _split_groups(upstream, groups, 1), optimize=True), 0)


def _conv_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, kernel = shapes[:2]
    groups, named = attributes["group"], attributes["kernel_shape"]
    if not 3 <= len(x) == len(kernel) <= 5:
        raise ValueError("expected axes for samples and channels and one to three more, and a kernel with as many axes")
    if groups < 1 or kernel[0] % groups or x[1] != kernel[1] * groups:
        raise ValueError(f"{x[1]} channels in {groups} groups do not fit a kernel of shape {list(kernel)}")
    if named is not None and tuple(named) != kernel[2:]:
        raise ValueError(f"kernel_shape {list(named)} differs from the kernel's window, {list(kernel[2:])}")
    if shapes[2:] and shapes[2] != kernel[:1]:
        raise ValueError(f"expected a bias of shape {[kernel[0]]}, one element per channel")
    return (x[0], kernel[0], *_window_of(kernel, tuple(attributes.values())).steps(x[2:]))


def _conv(x: Any, kernel: Any, bias: Any, *attributes: Any) -> Any:
    value = convolve(x, kernel, *attributes)
    return value if bias is None else value + over_channels(bias, value)


# The Python of one einsum, of which there is one for each position in the window.
_EINSUM = 40_000.0


def _products_work(x: Shape, kernel: Shape, upstream: Shape, attributes: Attributes) -> Work:
    """Of the convolution or of its adjoint for the kernel: the windows are copied out as the rows of a matrix."""
    window_ = _window_of(kernel, tuple(attributes.values()))
    windows = x[0] * x[1] * prod(upstream[2:]) * prod(kernel[2:])
    copies = (2.1 if attributes["group"] == 1 else 1.1) * windows
    products = 0.1 * windows * kernel[0] / attributes["group"]
    return Work(CALL + _EINSUM + products + 8.0 * windows, copies + window_.padded(x) + 2.0 * prod(upstream))


def _input_adjoint_work(x: Shape, kernel: Shape, upstream: Shape, attributes: Attributes) -> Work:
    """Of the adjoint for x: a product for each position in the window, added in its place."""
    window_ = _window_of(kernel, tuple(attributes.values()))
    part, positions = x[0] * x[1] * prod(upstream[2:]), prod(kernel[2:])
    products = 0.1 * part * positions * kernel[0] / attributes["group"]
    elements = 3.0 * part + 2.0 * prod(upstream) + window_.padded(x) + 3.0 * prod(kernel[:2])
    return Work(positions * (_EINSUM + 12.0 * part) + products, elements)


def _works(order: str, *rules: Callable[[Shape, Shape, Shape, Attributes], Work]) -> WorkRule:
    """Of one rule after the other. `order` names operands and value: x, k(ernel), u(pstream); z is the value else."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        named = dict(zip(order, (*shapes[: len(order) - 1], shape), strict=True))
        x, kernel, upstream = (named[letter] for letter in "xku")
        works = [rule(x, kernel, upstream, attributes) for rule in rules]
        kept = sum(map(prod, (x, kernel, upstream))) if len(works) > 1 else 0
        return Work(sum(each.operations for each in works), max(each.elements for each in works) + kept)

    return work


define(
    "Conv",
    "x kernel bias?",
    attributes=_ATTRIBUTES,
    forward=_conv,
    contributions=lambda upstream, x, kernel, bias, z, *attributes: (
        convolution_input_adjoint(upstream, kernel, x, *attributes),
        convolution_kernel_adjoint(x, upstream, kernel, *attributes),
        None if bias is None else sum_of_channels(upstream, bias),
    ),
    infer_shape=_conv_shape,
    linear=True,
    rounding=Rounding(in_parts=True),
    work=Workload(_works("xku", _products_work), _works("xku", _products_work, _input_adjoint_work)),
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
    attributes=_ATTRIBUTES,
    forward=convolution_input_adjoint,
    contributions=lambda flow, upstream, kernel, x, z, *attributes: (
        convolve(flow, kernel, *attributes),
        convolution_kernel_adjoint(flow, upstream, kernel, *attributes),
        None,
    ),
    infer_shape=lambda shapes, attributes: _adjoint_shape(shapes[0], shapes[2], shapes[1], attributes, shapes[2]),
    linear=True,
    work=Workload(_works("ukxz", _input_adjoint_work), _works("ukxz", _products_work, _products_work)),
    wording=Wording(rule="product"),
)

define(
    "ConvKernelAdjoint",
    "x upstream kernel",
    attributes=_ATTRIBUTES,
    forward=convolution_kernel_adjoint,
    contributions=lambda flow, x, upstream, kernel, z, *attributes: (
        convolution_input_adjoint(upstream, flow, x, *attributes),
        convolve(x, flow, *attributes),
        None,
    ),
    infer_shape=lambda shapes, attributes: _adjoint_shape(shapes[1], shapes[0], shapes[2], attributes, shapes[2]),
    linear=True,
    work=Workload(_works("xukz", _products_work), _works("xukz", _products_work, _input_adjoint_work)),
    wording=Wording(rule="product"),
)
