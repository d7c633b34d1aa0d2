"""JSON out: a document, in which arrays and iterators of any length may stand, as pieces of text.

orjson keeps the interpreter's lock while it writes, and a thread that wants it waits: large arrays are written some
10,000 numbers at a time, straight from NumPy's memory, what an iterator yields some hundred items at a time, and the
whole text is never in one place.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np
import orjson

from service.api.numbers import write_number
from service.core.figures.figures import FloatArray, element_count

_AT_ONCE = 10_000  # numbers of a piece
_WITHIN = 1_000  # numbers of the largest array that is no piece of its own
_ITEMS = 500  # of an iterator, in a piece
_PLACE = b"\0"  # of what is written in pieces of its own; JSON's texts hold no such byte
_SPECIAL = np.array([b'"NaN"', b'"Infinity"', b'"-Infinity"'], dtype=object)


def write_json(document: Any) -> list[bytes]:
    """Write a document in pieces, of about 200 KB where they are of arrays.

    Besides JSON's own types it may hold arrays of float64, as nested lists, iterators, as lists, and mappings. A NaN or
    an infinity becomes a string in an array alone: elsewhere it is for `write_number`, since orjson writes it as null.
    """
    apart: list[Iterator[bytes]] = []

    def write(value: Any) -> Any:
        if isinstance(value, np.ndarray) and element_count(value.shape) <= _WITHIN:
            return orjson.Fragment(_write_part(value))
        if isinstance(value, np.ndarray):
            apart.append(_write_array(value))
            return orjson.Fragment(_PLACE)
        if isinstance(value, Iterator):
            items = list(islice(value, _ITEMS))
            if len(items) < _ITEMS:
                return items
            apart.append(_write_items(chain(items, value)))
            return orjson.Fragment(_PLACE)
        if isinstance(value, float):  # NumPy's, or one with the text that it was read from
            return write_number(float(value))
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError(f"{type(value)} is not for JSON")

    first, *others = orjson.dumps(document, default=write).split(_PLACE)
    pieces = [first]
    for written, text in zip(apart, others, strict=True):
        pieces.extend(written)
        pieces.append(text)
    return pieces


def _write_items(items: Iterator[Any]) -> Iterator[bytes]:
    bracket = b"["
    while part := list(islice(items, _ITEMS)):
        pieces = write_json(part)
        pieces[0] = bracket + pieces[0][1:]
        pieces[-1] = pieces[-1][:-1]
        yield from pieces
        bracket = b","
    yield b"]" if bracket == b"," else b"[]"


def _write_array(array: FloatArray) -> Iterator[bytes]:
    """An array in pieces: as many of its items as have 10,000 numbers together, or each item in pieces of its own."""
    if element_count(array.shape) <= _AT_ONCE:
        yield _write_part(array)
        return
    together = _AT_ONCE // element_count(array.shape[1:])
    bracket = b"["
    for begin in range(0, len(array), together or 1):
        if together:
            yield b"".join((bracket, memoryview(_write_part(array[begin : begin + together]))[1:-1]))
        else:
            yield bracket
            yield from _write_array(array[begin])
        bracket = b","
    yield b"]" if len(array) else b"[]"


def _write_part(array: FloatArray) -> bytes:
    """An array as nested lists, row-major; NaN and the infinities, for which orjson writes null, as strings."""
    if not array.ndim:
        return orjson.dumps(write_number(array.item()))
    text = orjson.dumps(np.ascontiguousarray(array, dtype=np.float64), option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" not in text:
        return text
    special = array[~np.isfinite(array)]
    texts: list[bytes] = [b""] * (2 * special.size + 1)
    texts[::2] = text.split(b"null")
    texts[1::2] = _SPECIAL[np.where(np.isnan(special), 0, np.where(special > 0, 1, 2))].tolist()
    return b"".join(texts)
