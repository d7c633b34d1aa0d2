"""Convolutions and pools: JAX names the axes of each, an operation has batch and channels first."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from service.recorders.jax.program import Step
from service.recorders.jax.terms import Applied, NoOperation, Operand, apply, reshape, transpose


def convolution(step: Step) -> Operand:
    """A Conv of axes in its order; zeros come between the elements where x is dilated."""
    x, kernel = step.operands
    given = step.parameters
    if given["batch_group_count"] != 1:
        raise NoOperation("groups along the batch")
    numbers = given["dimension_numbers"]
    pads = [tuple(map(int, pair)) for pair in given["padding"]]
    arranged = transpose(x, numbers.lhs_spec)
    if set(given["lhs_dilation"]) - {1}:
        arranged = _spread(arranged, [x.shape[axis] for axis in numbers.lhs_spec], given["lhs_dilation"])
    cut = [(min(low, 0), min(high, 0)) for low, high in pads]
    if any(low or high for low, high in cut):
        starts, ends = [-low for low, _ in cut], [high or 2**31 for _, high in cut]
        arranged = apply("Slice", arranged, starts=starts, ends=ends, axes=list(range(2, 2 + len(cut))))
    result = apply(
        "Conv",
        arranged,
        transpose(kernel, numbers.rhs_spec),
        strides=list(map(int, given["window_strides"])),
        pads=[*(max(low, 0) for low, _ in pads), *(max(high, 0) for _, high in pads)],
        dilations=list(map(int, given["rhs_dilation"])),
        group=int(given["feature_group_count"]),
    )
    return transpose(result, np.argsort(numbers.out_spec))


def _spread(x: Operand, shape: Sequence[int], steps: Sequence[int]) -> Operand:
    """Put steps − 1 zeros between neighbours along each axis but the first two."""
    for axis, step in enumerate(steps, start=2):
        if step == 1:
            continue
        length, shape = shape[axis], list(shape)
        apart = reshape(x, [*shape[: axis + 1], 1, *shape[axis + 1 :]])
        behind = [0] * (len(shape) + 1)
        behind[axis + 1] = int(step) - 1
        padded = apply("Pad", apart, pads=[*[0] * len(behind), *behind], mode="constant", constant_value=0.0)
        shape[axis] = length * int(step)
        x = apply("Slice", reshape(padded, shape), starts=[0], ends=[shape[axis] - int(step) + 1], axes=[axis])
        shape[axis] -= int(step) - 1
    return x


def max_pool(step: Step) -> Operand:
    """The largest element of each window."""
    return _pool(step, lambda x, given: apply("MaxPool", x, **given))


def min_pool(step: Step) -> Operand:
    """The smallest element of each window."""
    return _pool(step, lambda x, given: apply("Neg", apply("MaxPool", apply("Neg", x), **given)))


def sum_pool(step: Step) -> Operand:
    """The sum over each window."""
    size = math.prod(step.parameters["window_dimensions"])
    return _pool(
        step, lambda x, given: apply("Mul", apply("AveragePool", x, **given, count_include_pad=1), float(size))
    )


def _pool(step: Step, pool: Callable[[Operand, Mapping[str, Any]], Applied]) -> Operand:
    """A pool over the axes along which windows lie; all others are its batch."""
    (x,), given = step.operands, step.parameters
    names = ("window_dimensions", "window_strides", "padding", "window_dilation")
    along = [tuple(given[name][axis] for name in names) for axis in range(len(x.shape))]
    if set(given["base_dilation"]) - {1}:
        raise NoOperation("windows over elements with space between them")
    moving = [
        axis for axis, (size, stride, pads, _) in enumerate(along) if (size, stride, tuple(pads)) != (1, 1, (0, 0))
    ]
    if not moving:
        return apply("Identity", x)
    still = [axis for axis in range(len(x.shape)) if axis not in moving]
    order = [*still, *moving]
    flat = [math.prod(x.shape[axis] for axis in still), 1, *(x.shape[axis] for axis in moving)]
    pads = [along[axis][2] for axis in moving]
    result = pool(
        _shaped(transpose(x, order), [x.shape[axis] for axis in order], flat),
        {
            "kernel_shape": [int(along[axis][0]) for axis in moving],
            "strides": [int(along[axis][1]) for axis in moving],
            "pads": [*(int(low) for low, _ in pads), *(int(high) for _, high in pads)],
            "dilations": [int(along[axis][3]) for axis in moving],
        },
    )
    shape = step.results[0].shape
    return transpose(reshape(result, [shape[axis] for axis in order]), np.argsort(order))


def _shaped(x: Operand, shape: Sequence[int], other: Sequence[int]) -> Operand:
    return x if list(shape) == list(other) else reshape(x, other)
