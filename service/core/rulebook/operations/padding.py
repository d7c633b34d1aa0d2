"""Pad, which adds elements at the ends of axes or removes them, and its adjoint."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, OneOf, integers, number
from service.core.rulebook.operation import EXACT, Attributes, Closed
from service.core.rulebook.operations.axes import axis_positions
from service.core.rulebook.registry import Wording, define, rulebook_function


def _pads_by_axis(shape: Shape, pads: Sequence[int], axes: Sequence[int] | None) -> list[tuple[int, int, int]]:
    """Return for each padded axis its position and the pads before and after.

    Axes that shrink come first, so that no intermediate array is larger than both ends.
    """
    positions = axis_positions(range(len(shape)) if axes is None else axes, len(shape))
    if len(pads) != 2 * len(positions):
        raise ValueError(
            f"expected {2 * len(positions)} pads, for both ends of {len(positions)} axes; {len(pads)} given"
        )
    sides = zip(positions, pads[: len(positions)], pads[len(positions) :], strict=True)
    return sorted(sides, key=lambda side: side[1] + side[2])


def _source_positions(length: int, before: int, after: int, mode: str) -> Any:
    """Return for each element along a padded axis the position of the element it copies; -1 for the constant."""
    positions = np.arange(-before, length + after)
    if mode == "edge":
        return np.clip(positions, 0, length - 1)
    if mode == "reflect":
        period = max(2 * (length - 1), 1)
        return np.minimum(positions % period, -positions % period) if length > 1 else np.zeros_like(positions)
    if mode == "wrap":
        return positions % length
    return np.where((positions >= 0) & (positions < length), positions, -1)


def _pad_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    lengths = list(shape)
    for position, before, after in _pads_by_axis(shape, attributes["pads"], attributes["axes"]):
        lengths[position] += before + after
        if lengths[position] < 0:
            raise ValueError(
                f"pads {before} and {after} remove more than the {shape[position]} elements of axis {position}"
            )
        if attributes["mode"] != "constant" and not shape[position] and lengths[position]:
            raise ValueError(f"axis {position} is empty: there is no element to pad with")
    return tuple(lengths)


@rulebook_function
def _pad(x: Any, pads: Sequence[int], mode: str, constant: float, axes: Sequence[int] | None) -> Any:
    whole = _pad_shape([np.shape(x)], {"pads": pads, "mode": mode, "axes": axes})
    if not np.size(x) or not prod(whole):
        return np.full(whole, constant, dtype=np.result_type(x))
    padded = np.asarray(x)
    for position, before, after in _pads_by_axis(np.shape(x), pads, axes):
        sources = _source_positions(np.shape(x)[position], before, after, mode)
        padded = np.take(padded, sources, axis=position, mode="clip")
        np.moveaxis(padded, position, 0)[sources < 0] = constant
    return padded


@rulebook_function
def _pad_adjoint(upstream: Any, like: Any, pads: Sequence[int], mode: str, axes: Sequence[int] | None) -> Any:
    if not np.size(like) or not np.size(upstream):
        return np.zeros(np.shape(like), dtype=np.result_type(upstream))
    gathered = upstream
    for position, before, after in reversed(_pads_by_axis(np.shape(like), pads, axes)):
        length, along = np.shape(like)[position], np.moveaxis(gathered, position, 0)
        whole = np.zeros((length, *along.shape[1:]), dtype=np.result_type(upstream))
        # The elements themselves stand side by side; only their copies in the padding are added one by one.
        first, end = max(0, -before), max(0, min(length, length + after))
        if first < end:
            whole[first:end] += along[before + first : before + end]
        sources = _source_positions(length, before, after, mode)
        copies = np.flatnonzero(sources >= 0)
        copies = copies[(copies < before) | (copies >= before + length)]
        np.add.at(whole, sources[copies], along[copies])
        gathered = np.moveaxis(whole, 0, position)
    return gathered


def _pad_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    expected = _pad_shape(shapes[1:], attributes)
    if shapes[0] != expected:
        raise ValueError(f"the padded tensor has shape {list(expected)}, not {list(shapes[0])}")
    return shapes[1]


_MODE = Attribute("mode", OneOf(("constant", "reflect", "edge", "wrap")), "constant")

define(
    "Pad",
    "x",
    attributes=[
        Attribute("pads", integers, required=True),
        _MODE,
        Attribute("constant_value", number, 0.0),
        Attribute("axes", integers),
    ],
    forward=_pad,
    contributions=lambda upstream, x, z, pads, mode, constant, axes: (_pad_adjoint(upstream, x, pads, mode, axes),),
    infer_shape=_pad_shape,
    closed=Closed(),
    linear=True,
    rounding=EXACT,
)

define(
    "PadAdjoint",
    "x like",
    attributes=[Attribute("pads", integers, required=True), _MODE, Attribute("axes", integers)],
    forward=_pad_adjoint,
    contributions=lambda upstream, x, like, z, pads, mode, axes: (_pad(upstream, pads, mode, 0.0, axes), None),
    infer_shape=_pad_adjoint_shape,
    linear=True,
    wording=Wording(aliases=["pad_adjoint"]),
)
