"""Tensors as attributes: what a Constant's value may be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from service.core.figures.figures import MOST_DIMENSIONS
from service.core.rulebook.attribute import number


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

    @property
    def lengths_text(self) -> str | None:
        """Its shape as text, 0x3, where nested lists cannot say it: where axes follow one of length 0; else None."""
        return "x".join(map(str, self.shape)) if 0 in self.shape[:-1] else None

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        return f"Tensor({list(self.shape)}, {self.digest})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and (self.shape, self.digest) == (other.shape, other.digest)

    def __hash__(self) -> int:
        return hash((self.shape, self.digest))


def number_or_tensor(value: object) -> float | Tensor:
    """Read a number, or nested lists of numbers, or the shape of a tensor without elements as `lengths_text` writes it.

    Raises ValueError if lists side by side differ in length.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}(x\d{1,9}){1,31}", value, re.ASCII):
        lengths = tuple(map(int, value.split("x")))
        if 0 not in lengths:
            raise ValueError("only a tensor without elements may be given by its shape alone")
        return _tensor(np.zeros(lengths))
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
    return _tensor(array)


def _tensor(array: NDArray[np.float64]) -> Tensor:
    array.setflags(write=False)
    return Tensor(array)
