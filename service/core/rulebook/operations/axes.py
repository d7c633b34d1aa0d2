"""Axes of tensors, as attributes name them: counted from the end where negative."""

from collections.abc import Sequence

from service.core.rulebook.attribute import integers


def read_axes(value: object) -> tuple[int, ...] | None:
    """Read a list of axes; an empty one is none at all, as in ONNX."""
    return integers(value) or None


def place_of_axis(axis: int, count: int) -> int:
    """The place of an axis among `count` of them; raises ValueError where there is none."""
    if not -count <= axis < count:
        raise ValueError(f"there is no axis {axis} among {count}")
    return axis % count


def places_of_axes(axes: Sequence[int], count: int) -> tuple[int, ...]:
    """The places of axes among `count` of them; raises ValueError where there is none, or one is named twice."""
    positions = tuple(place_of_axis(axis, count) for axis in axes)
    if len(set(positions)) < len(positions):
        raise ValueError(f"an axis is named twice in {list(axes)}")
    return positions
