"""What an Input declares: the shape and the precision of its figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidInputs
from service.core.figures.figures import FloatArray, Shape
from service.core.rulebook.attribute import OneOf, integer

# ONNX's names. An int64 is a count or an index: no gradient flows to it.
PRECISIONS = OneOf(("float64", "float32", "int64"))

_LARGEST_WHOLE = 2.0**53  # figures are stored as float64, which is exact for integers up to here


def read_shape(value: object) -> tuple[int | None, ...]:
    """Read a list of lengths, None for any; raises ValueError."""
    if not isinstance(value, (list, tuple)):
        raise ValueError("a list of lengths is expected, null for any")
    lengths = tuple(None if length is None else integer(length) for length in value)
    if any(length is not None and length < 0 for length in lengths):
        raise ValueError("a length is 0 or more, or null for any")
    return lengths


def shape_mismatch(name: str, declared: Sequence[int | None] | None, shape: Shape) -> str | None:
    """Return a message if the shape of an Input's figure differs from the declared one, else None."""
    if declared is None or (
        len(declared) == len(shape)
        and all(length in (None, given) for length, given in zip(declared, shape, strict=True))
    ):
        return None
    written = ", ".join("null" if length is None else str(length) for length in declared)
    return f"{name!r} is declared with shape [{written}]; the figure has {list(shape)}"


def read_input(name: str, attributes: Any, given: FloatArray) -> FloatArray:
    """Convert the figure of an Input to the precision that it declares; integers stay float64.

    Raises InvalidInputs where its shape is not as declared, or an integer is expected and it is not one.
    """
    if wrong := shape_mismatch(name, attributes.get("shape"), np.shape(given)):
        raise InvalidInputs([Fault(("inputs", name), wrong)])
    dtype = attributes.get("dtype")
    figure: FloatArray
    if dtype == "float32":
        with np.errstate(over="ignore"):
            figure = np.asarray(given, dtype=np.float32)
    else:
        figure = np.asarray(given, dtype=np.float64)
    if dtype == "int64" and not np.all((figure == np.rint(figure)) & (np.abs(figure) <= _LARGEST_WHOLE)):
        raise InvalidInputs([Fault(("inputs", name), f"{name!r} takes whole numbers, at most 2^53 in magnitude")])
    return figure
