"""NumPy's format .npy: an array of real numbers, read without evaluating anything, which may come piece by piece."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import IO

import numpy as np
from numpy.typing import NDArray

from service.core.figures.figures import MOST_DIMENSIONS, FloatArray, Shape

_HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'([<>|=][a-zA-Z]\d{0,9})'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,"
    r"\s*'shape'\s*:\s*\(((?:\s*\d{1,18}\s*,)*(?:\s*\d{1,18})?)\s*\)\s*(?:,\s*)?\}\s*"
)
REAL = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"})
REAL_OR_BOOLEAN = REAL | {"b1"}
_AT_ONCE = 1 << 20  # bytes of an array, a multiple of any element's


@dataclass(frozen=True, slots=True)
class Header:
    """What an .npy begins with: the dtype as NumPy writes it, whether columns come first, and the shape."""

    descr: str
    columns_first: bool
    shape: Shape

    @property
    def nbytes(self) -> int:
        """The bytes of the data that follow."""
        return prod(self.shape) * int(self.descr[2:] or 0) * (4 if self.descr[1] == "U" else 1)

    def check(self, known: frozenset[str] = REAL) -> None:
        """Raise ValueError unless it is an array of the `known` dtypes, of at most MOST_DIMENSIONS."""
        if self.descr[1:] not in known:
            raise ValueError(f"real numbers in at most 8 bytes each are expected, not {self.descr}")
        if len(self.shape) > MOST_DIMENSIONS:
            raise ValueError(f"an array has at most {MOST_DIMENSIONS} dimensions")


def read_header(file: IO[bytes]) -> Header:
    """Read the header of an .npy; raises ValueError.

    Nothing is evaluated, as NumPy's own reader does; and version 1.0 of the format bounds the header's length.
    """
    begin = file.read(10)
    if begin[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("it is not in version 1.0 of the format .npy")
    header = file.read(int.from_bytes(begin[8:], "little")).decode("latin-1")
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ValueError(f"its header is not understood: {header[:100].strip()}")
    descr, order, lengths = found.groups()
    return Header(descr, order == "True", tuple(map(int, lengths.replace(",", " ").split())))


def read_data(file: IO[bytes], count: int) -> Iterator[bytes]:
    """The rest of a file, piece by piece, which must be `count` bytes; no more are read. Raises ValueError."""
    for begin in range(0, count, _AT_ONCE):
        size = min(_AT_ONCE, count - begin)
        data = file.read(size)
        if len(data) < size:
            raise ValueError(f"its header promises {count} bytes of data, and there are {begin + len(data)}")
        yield data
    if file.read(1):
        raise ValueError(f"its header promises {count} bytes of data, and there are more")


def read_array(file: IO[bytes], header: Header) -> FloatArray:
    """Read the data after a header of real numbers, in float64; raises ValueError."""
    flat = np.empty(prod(header.shape))
    done = 0
    for data in read_data(file, header.nbytes):
        part = np.frombuffer(data, header.descr)
        flat[done : done + len(part)] = part
        done += len(part)
    return flat.reshape(header.shape, order="F" if header.columns_first else "C")


def read_npy(body: bytes) -> FloatArray:
    """Read a whole .npy of real numbers or booleans, in float64; raises ValueError."""
    file = BytesIO(body)
    header = read_header(file)
    header.check(REAL_OR_BOOLEAN)
    return read_array(file, header)


def write_npy(array: NDArray[np.generic]) -> tuple[str, bytes]:
    """An array as .npy, and the SHA-256 of that in hexadecimal."""
    file = BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version=(1, 0), allow_pickle=False)
    body = file.getvalue()
    return hashlib.sha256(body).hexdigest(), body
