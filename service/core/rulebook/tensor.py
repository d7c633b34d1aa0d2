"""Tensors as attributes: what a Constant's value may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from service.core.rulebook.attribute import number

MOST_DIMENSIONS = 32


@dataclass(frozen=True, eq=False)
class Tensor:
    """An immutable array of numbers, compared bit by bit. NumPy's functions accept it as an array."""

    array: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of its axes."""
        return self.array.shape

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its elements as little-endian float64, row-major, in hexadecimal."""
        return sha256(self.array.astype("<f8").tobytes()).hexdigest()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Tensor({list(self.shape)}, {self.digest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and (self.shape, self.digest) == (other.shape, other.digest)

    def __hash__(self) -> int:
        return hash((self.shape, self.digest))


def number_or_tensor(value: object) -> float | Tensor:
    """Read a number, or nested lists of numbers; raises ValueError if lists side by side differ in length."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, (list, tuple)):
        return number(value)
    shape: list[int] = []
    items: Sequence[Any] = [value]
    while items and isinstance(items[0], (list, tuple)):
        length = len(items[0])
        if any(not isinstance(item, (list, tuple)) or len(item) != length for item in items):
            raise ValueError("nested lists side by side must have the same length")
        shape.append(length)
        if len(shape) > MOST_DIMENSIONS:
            raise ValueError(f"a tensor has at most {MOST_DIMENSIONS} dimensions")
        items = [element for item in items for element in item]
    try:
        array = np.array([number(item) for item in items], dtype=np.float64).reshape(shape)
    except ValueError as error:
        raise ValueError(f"in a list of numbers {error}") from None
    array.setflags(write=False)
    return Tensor(array)
