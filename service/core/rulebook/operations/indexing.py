"""Operations that take parts of tensors, or join parts.

Each is linear and is defined beside its adjoint, which puts the upstream gradient back where the elements came from.
Each is the other's vector-Jacobian product. The adjoint takes its shape from the operand `like`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, integer, integers
from service.core.rulebook.operation import EXACT, Attributes, Closed, Rounding, Rule
from service.core.rulebook.operations.axes import axis_position, axis_positions
from service.core.rulebook.operations.broadcasting import expand_to
from service.core.rulebook.registry import Wording, define, rulebook_function

# --- parts named by attributes --------------------------------------------------------------------------------------


def _define_part(name: str, attributes: Sequence[Attribute], pick: Rule) -> None:
    """Define an operation that takes the part x[pick(shape of x, *attributes)], and its adjoint.

    `pick` raises ValueError where there is no such part.
    """

    @rulebook_function
    def take(x: Any, *given: Any) -> Any:
        return x[pick(np.shape(x), *given)]

    @rulebook_function
    def put_back(part: Any, like: Any, *given: Any) -> Any:
        whole = np.zeros(np.shape(like), dtype=np.result_type(part))
        whole[pick(np.shape(like), *given)] = part
        return whole

    def shape_of_part(shapes: Sequence[Shape], given: Attributes) -> Shape:
        slices = pick(shapes[0], *given.values())
        return tuple(len(range(*each.indices(length))) for each, length in zip(slices, shapes[0], strict=True))

    def shape_of_whole(shapes: Sequence[Shape], given: Attributes) -> Shape:
        expected = shape_of_part(shapes[1:], given)
        if shapes[0] != expected:
            raise ValueError(f"the part has shape {list(expected)}, not {list(shapes[0])}")
        return shapes[1]

    define(
        name,
        "x",
        attributes=attributes,
        forward=take,
        contributions=lambda upstream, x, z, *given: (put_back(upstream, x, *given),),
        infer_shape=shape_of_part,
        closed=Closed(),
        linear=True,
        rounding=EXACT,
    )
    define(
        f"{name}Adjoint",
        "x like",
        attributes=attributes,
        forward=put_back,
        contributions=lambda upstream, x, like, z, *given: (take(upstream, *given), None),
        infer_shape=shape_of_whole,
        linear=True,
        rounding=EXACT,
        wording=Wording(aliases=[f"{name.lower()}_adjoint"]),
    )


def _read_steps(value: object) -> tuple[int, ...]:
    """Read a list of nonzero integers."""
    steps = integers(value)
    if 0 in steps:
        raise ValueError("a step cannot be 0")
    return steps


def _clamp_slice(start: int, end: int, step: int, length: int) -> slice:
    """Return the slice from `start` to `end`, counted from the end if negative, clamped to the axis (ONNX's Slice)."""
    start, end = (position + length if position < 0 else position for position in (start, end))
    if step > 0:
        return slice(min(max(start, 0), length), min(max(end, 0), length), step)
    start, end = min(max(start, 0), length - 1), min(max(end, -1), length - 1)
    return slice(start, None if end < 0 else end, step) if length else slice(0, 0, step)


def _slice_part(
    shape: Shape,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> tuple[slice, ...]:
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes and steps must have equal lengths")
    slices = [slice(0, length, 1) for length in shape]
    for position, start, end, step in zip(axis_positions(axes, len(shape)), starts, ends, steps, strict=True):
        slices[position] = _clamp_slice(start, end, step, shape[position])
    return tuple(slices)


_define_part(
    "Slice",
    [
        Attribute("starts", integers, required=True),
        Attribute("ends", integers, required=True),
        Attribute("axes", integers),
        Attribute("steps", _read_steps),
    ],
    _slice_part,
)


def _split_part(
    shape: Shape, axis: int, lengths: Sequence[int] | None, num_outputs: int | None, output: int
) -> tuple[slice, ...]:
    position = axis_position(axis, len(shape))
    if lengths is None:
        if num_outputs is None or num_outputs < 1:
            raise ValueError("expected split, or num_outputs of at least 1")
        count, longest = num_outputs, -(-shape[position] // num_outputs)
        start, end = (min(longest * number, shape[position]) for number in (output, output + 1))
    else:
        if min(lengths, default=0) < 0:
            raise ValueError(f"split is {list(lengths)}; a part cannot have a negative length")
        if sum(lengths) != shape[position]:
            raise ValueError(f"split {list(lengths)} does not sum to the length {shape[position]} of axis {position}")
        count, start, end = len(lengths), sum(lengths[:output]), sum(lengths[: output + 1])
    if not 0 <= output < count:
        raise ValueError(f"output {output} is out of range: there are {count} outputs")
    slices = [slice(0, length, 1) for length in shape]
    slices[position] = slice(start, end, 1)
    return tuple(slices)


_define_part(
    "Split",
    [
        Attribute("axis", integer, 0),
        Attribute("split", integers),
        Attribute("num_outputs", integer),
        Attribute("output", integer, 0),
    ],
    _split_part,
)

# --- parts joined ----------------------------------------------------------------------------------------------------


def _concat_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    first, axis = shapes[0], axis_position(attributes["axis"], len(shapes[0]))
    for shape in shapes:
        if len(shape) != len(first) or any(
            one != other for position, (one, other) in enumerate(zip(shape, first, strict=True)) if position != axis
        ):
            raise ValueError(f"the shapes differ along another axis than {axis}")
    return (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])


@rulebook_function
def _part_of_concat(given: tuple[Any, ...], axis: int, operand: int) -> Any:
    """Return the part of the upstream gradient, given[0], that belongs to one operand of a concatenation."""
    whole, *parts = given
    start = sum(np.shape(part)[axis] for part in parts[:operand])
    along = [slice(None)] * np.ndim(whole)
    along[axis] = slice(start, start + np.shape(parts[operand])[axis])
    return whole[tuple(along)]


def _part_of_concat_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    axis, operand = attributes.values()
    parts = shapes[1:]
    if not 0 <= operand < len(parts):
        raise ValueError(f"operand {operand} is out of range: {len(parts)} given")
    if _concat_shape(parts, {"axis": axis}) != shapes[0]:
        raise ValueError(f"shape {list(shapes[0])} is not that of the parts, joined along axis {axis}")
    return parts[operand]


define(
    "Concat",
    "*x",
    attributes=[Attribute("axis", integer, required=True)],
    forward=np.concatenate,
    contributions=lambda upstream, parts, z, axis: [
        _part_of_concat((upstream, *parts), axis, operand) for operand in range(len(parts))
    ],
    infer_shape=_concat_shape,
    rounding=EXACT,
    symbolic={np.concatenate: lambda parts, axis=0: (parts, {"axis": axis})},
    linear=True,
)


def _part_contributions(upstream: Any, given: tuple[Any, ...], z: Any, axis: int, operand: int) -> list[Any]:
    _, *parts = given
    around = [upstream if position == operand else expand_to(0.0, part) for position, part in enumerate(parts)]
    return [np.concatenate(around, axis), *[None] * len(parts)]


define(
    "ConcatAdjoint",
    "*x",
    attributes=[Attribute("axis", integer, required=True), Attribute("operand", integer, 0)],
    forward=_part_of_concat,
    contributions=_part_contributions,
    infer_shape=_part_of_concat_shape,
    linear=True,
    rounding=EXACT,
    wording=Wording(aliases=["concat_adjoint"]),
)

# --- parts named by indices -----------------------------------------------------------------------------------------


def read_indices(indices: Any, length: int, what: str) -> Any:
    """Return indices as integers from 0 on.

    Raises ValueError for one that is not an integer or is out of range for `what`, which has that length.
    """
    given = np.asarray(indices)
    wrong = ~((given == np.floor(given)) & (given >= -length) & (given < length))
    if wrong.any():
        index = given[wrong].flat[0]
        fault = f"is out of range for {what} of length {length}" if index == np.floor(index) else "is not an integer"
        raise ValueError(f"index {index:.17g} {fault}")
    positions = given.astype(np.int64)
    return np.where(positions < 0, positions + length, positions)


def _axis_indices(shape: Shape, indices: Any, axis: int) -> Any:
    return read_indices(indices, shape[axis], f"axis {axis}")


@rulebook_function
def _gather(x: Any, indices: Any, axis: int) -> Any:
    return np.take(x, _axis_indices(np.shape(x), indices, axis), axis=axis)


@rulebook_function
def _gather_adjoint(upstream: Any, like: Any, indices: Any, axis: int) -> Any:
    whole = np.zeros(np.shape(like), dtype=np.result_type(upstream))
    positions = _axis_indices(np.shape(like), indices, axis)
    first = axis_position(axis, np.ndim(like))
    # In `upstream` the axes of the indices replace that axis; move them to the front, as that axis of `whole`.
    along = np.moveaxis(upstream, range(first, first + np.ndim(positions)), range(np.ndim(positions)))
    np.add.at(np.moveaxis(whole, first, 0), positions, along)
    return whole


def _gather_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape, indices), axis = shapes, axis_position(attributes["axis"], len(shapes[0]))
    return (*shape[:axis], *indices, *shape[axis + 1 :])


def _gather_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    gathered, like, indices = shapes
    expected = _gather_shape((like, indices), attributes)
    if gathered != expected:
        raise ValueError(f"the gathered part has shape {list(expected)}, not {list(gathered)}")
    return like


define(
    "Gather",
    "x indices:int",
    attributes=[Attribute("axis", integer, 0)],
    forward=_gather,
    contributions=lambda upstream, x, indices, z, axis: (_gather_adjoint(upstream, x, indices, axis), None),
    infer_shape=_gather_shape,
    closed=Closed(),
    linear=True,
    rounding=Rounding(in_parts=True, exact=True),
)

define(
    "GatherAdjoint",
    "x like indices:int",
    attributes=[Attribute("axis", integer, 0)],
    forward=_gather_adjoint,
    contributions=lambda upstream, x, like, indices, z, axis: (_gather(upstream, indices, axis), None, None),
    infer_shape=_gather_adjoint_shape,
    linear=True,
    wording=Wording(aliases=["gather_adjoint"]),
)
