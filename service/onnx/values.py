"""What is known of a tensor of the model while its nodes are read."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

# A length is None where it depends on an input whose shape is not given; the whole, where the rank does too.
Lengths: TypeAlias = tuple[int | None, ...] | None

FLOAT, DOUBLE, BOOL, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.INT64
FLOATS = (FLOAT, DOUBLE)
HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)  # which are only moved and converted here
WHOLE = (INT64, TensorProto.INT32, BOOL)  # types whose arithmetic is exact here; the narrower ones wrap around
_NARROW = (
    *(TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16),
    *(TensorProto.UINT32, TensorProto.UINT64),
)
INTEGERS = (*WHOLE, *_NARROW)


class CannotImport(Exception):
    """A node of the model cannot be imported; says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: the node of ours that gives it, its ONNX type and shape, and its figures where they are known.

    They are `fixed` where they are the same whatever inputs and weights are. `missing` says why no node gives it.
    """

    name: str
    kind: int
    shape: Lengths
    figures: NDArray[Any] | None = None
    fixed: bool = False
    missing: str | None = None

    @property
    def whole_shape(self) -> tuple[int, ...] | None:
        """The shape, if all of it is known."""
        if self.shape is None or None in self.shape:
            return None
        return tuple(length for length in self.shape if length is not None)

    def rank(self) -> int:
        """The number of axes; raises CannotImport where it is not known."""
        if self.shape is None:
            raise CannotImport(f"the shape of {self.name!r} is not known")
        return len(self.shape)

    def known(self) -> NDArray[Any]:
        """The figures; raises CannotImport where they are known in a run only."""
        if self.figures is None:
            raise CannotImport(self.missing or f"it needs the figures of {self.name!r}, which only a run knows")
        return self.figures


def type_name(kind: int) -> str:
    """What ONNX's type is called: float32, int64 …"""
    if kind in FLOATS:
        return "float32" if kind == FLOAT else "float64"
    return str(TensorProto.DataType.Name(kind)).lower() if kind in TensorProto.DataType.values() else "no tensor"


def as_kind(figures: Any, kind: int) -> NDArray[Any]:
    """Numbers as an array of an ONNX type; raises CannotImport for whole numbers that became inexact."""
    wanted = onnx.helper.tensor_dtype_to_np_dtype(kind)
    array = np.asarray(figures)
    if array.dtype.kind == "f" and wanted.kind in "iu" and array.size and np.abs(array).max(initial=0) > 2.0**53:
        raise CannotImport("it computes with whole numbers above 2^53")
    return array if array.dtype == wanted else array.astype(wanted)


def shortest(number: float) -> float:
    """The shortest decimal that is this number in float32: of a float32's 0.1, 0.1 rather than 0.10000000149."""
    return float(str(np.float32(number)))
