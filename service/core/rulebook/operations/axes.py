"""Axes in attributes: a negative axis counts from the end."""

from collections.abc import Sequence

from service.core.rulebook.attribute import integers


def read_axes(value: object) -> tuple[int, ...] | None:
    """Read a list of axes; an empty list is None, as in ONNX."""
    return integers(value) or None


def out_of_range(axis: int, rank: int) -> str:
    """Return the message for an axis that is out of range."""
    return f"axis {axis} is out of range for {rank} dimension{'' if rank == 1 else 's'}"


def axis_position(axis: int, rank: int) -> int:
    """Return the position, from 0 on, of an axis among `rank`; raises ValueError if it is out of range."""
    if not -rank <= axis < rank:
        raise ValueError(out_of_range(axis, rank))
    return axis % rank


def axis_positions(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Return the positions of axes among `rank`; raises ValueError if one is out of range or named twice."""
    positions = tuple(axis_position(axis, rank) for axis in axes)
    if len(set(positions)) < len(positions):
        raise ValueError(f"axes {list(axes)} name an axis twice")
    return positions
