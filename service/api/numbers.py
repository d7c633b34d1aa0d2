"""Figures in JSON: nested lists, row-major; NaN and the infinities are strings, in and out."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from service.api.http.strict_json import WrittenFloat
from service.core.comparison.claims import AmbiguousNumber, Claim, common_decimals, read_json_number, read_number
from service.core.errors import Fault, InvalidInputs
from service.core.figures.figures import MOST_DIMENSIONS, FloatArray
from service.core.rulebook.attribute import number
from service.usecases.tensors import Given, TensorReference, read_digest

_PLAIN = frozenset((float, int, WrittenFloat))
_SPECIAL = ("NaN", "Infinity", "-Infinity")
_NUMBER = "a number, NaN, Infinity or -Infinity is expected"
_WRITTEN = "a number, or text such as 2/3 or 0.667, is expected"


def is_reference(value: Any) -> bool:
    """Whether it is {"tensor": "…"}, which stands for a stored tensor."""
    return isinstance(value, dict) and value.keys() == {"tensor"} and isinstance(value["tensor"], str)


def read_given(value: Any, location: tuple[str | int, ...], *, written: bool = False) -> Given:
    """An array as `read_array` reads it, or the tensor that {"tensor": "sha256:…"} stands for."""
    return _read_reference(value, location) if is_reference(value) else read_array(value, location, written=written)


def read_array(value: Any, location: tuple[str | int, ...], *, written: bool = False) -> FloatArray:
    """An array from a number or nested lists of equal lengths; raises InvalidInputs with the place of each fault.

    An array, as it comes from an .npz, is returned unchanged. If `written`, a number may be text such as 2/3.
    """
    if isinstance(value, np.ndarray):
        return value
    if type(value) in _PLAIN:  # one number, as of the points that are sent by thousands
        return np.array(value, dtype=np.float64)
    items, shape = _flatten(value, location)
    if not _PLAIN.issuperset(map(type, items)):
        read, expected = (_read_written, _WRITTEN) if written else (number, _NUMBER)
        items = list(_read_numbers(items, location, shape, read, expected))
    return np.array(items, dtype=np.float64).reshape(shape)


def read_arrays(
    members: Mapping[str, Any], location: tuple[str | int, ...], or_none: bool = False, *, written: bool = False
) -> dict[str, Any]:
    """An array or a tensor for each member of an object, None for null if `or_none`; as `read_given`, and raises
    InvalidInputs with the faults of all."""
    read: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in members.items():
        try:
            read[name] = None if value is None and or_none else read_given(value, (*location, name), written=written)
        except InvalidInputs as error:
            faults += error.faults
    if faults:
        raise InvalidInputs(faults)
    return read


def _read_reference(value: Any, location: tuple[str | int, ...]) -> TensorReference:
    return TensorReference(read_digests(value, location)["tensor"])


def read_digests(texts: Mapping[str, Any], location: tuple[str | int, ...]) -> dict[str, str]:
    """The hexadecimal digits of each "sha256:…"; raises InvalidInputs with the place of each other text."""
    digests, faults = {}, []
    for name, text in texts.items():
        try:
            digests[name] = read_digest(text)
        except ValueError as error:
            faults.append(Fault((*location, name), str(error)))
    if faults:
        raise InvalidInputs(faults)
    return digests


def read_claims(claims: Mapping[str, Any], rounded: bool) -> dict[str, dict[str, Claim | TensorReference | None]]:
    """The claimed "values" and "gradients": arrays in which a number may be text, "2/3", or "0.667", right to its last
    digit; or tensors; None for null.

    If `rounded`, numbers read `as_written` may be rounded too, by `read_json_number`.
    """
    given = {kind: claims.get(kind, {}) for kind in ("values", "gradients")}
    flat = {
        kind: {
            name: _flatten(value, ("claims", kind, name))
            for name, value in figures.items()
            if value is not None and not is_reference(value)
        }
        for kind, figures in given.items()
    }
    items = [item for figures in flat.values() for items, _ in figures.values() for item in items]
    texts = (item.text if isinstance(item, WrittenFloat) else item for item in items)
    decimals = common_decimals(text for text in texts if isinstance(text, str)) if rounded else None

    def read(item: Any) -> tuple[float, float]:
        if rounded and isinstance(item, WrittenFloat):
            return read_json_number(item.text, decimals)
        return read_number(item) if isinstance(item, str) and item not in _SPECIAL else (number(item), 0.0)

    def claim(name: str, kind: str, value: Any) -> Claim | TensorReference | None:
        location = ("claims", kind, name)
        if value is None:
            return None
        return _read_reference(value, location) if is_reference(value) else written(*flat[kind][name], location)

    def written(items: list[Any], shape: list[int], location: tuple[str | int, ...]) -> Claim:
        numbers = np.array(list(_read_numbers(items, location, shape, read, _WRITTEN)), dtype=np.float64).reshape(-1, 2)
        return Claim(*(part.reshape(shape) for part in numbers.T.copy()))

    return {
        kind: {name: claim(name, kind, value) for name, value in figures.items()} for kind, figures in given.items()
    }


def _read_written(item: Any) -> float:
    return read_number(item)[0] if isinstance(item, str) and item not in _SPECIAL else number(item)


def _flatten(value: Any, location: tuple[str | int, ...]) -> tuple[list[Any], list[int]]:
    """The elements of nested lists, row-major, and their shape."""
    shape: list[int] = []
    items = [value]
    while items and isinstance(items[0], list):
        length = len(items[0])
        for index, item in enumerate(items):
            if not isinstance(item, list) or len(item) != length:
                wrong = f"a list of {length} is expected here, as beside it"
                raise InvalidInputs([Fault((*location, *_place(index, shape)), wrong)])
        shape.append(length)
        if len(shape) > MOST_DIMENSIONS:
            raise InvalidInputs([Fault(location, f"an array has at most {MOST_DIMENSIONS} dimensions")])
        items = [element for item in items for element in item]
    return items, shape


def _read_numbers(
    items: Sequence[Any],
    location: tuple[str | int, ...],
    shape: Sequence[int],
    read: Callable[[Any], Any],
    expected: str,
) -> Iterator[Any]:
    for index, item in enumerate(items):
        try:
            yield read(item)
        except AmbiguousNumber as error:
            raise InvalidInputs([Fault((*location, *_place(index, shape)), str(error))]) from None
        except ValueError:
            wrong = f"{expected}, not {_named(item)}"
            raise InvalidInputs([Fault((*location, *_place(index, shape)), wrong)]) from None


def _named(item: Any) -> str:
    kinds = {bool: "true or false", type(None): "null", list: "a list", dict: "an object"}
    return kinds.get(type(item), f"the string {item!r}")


def _place(index: int, shape: Sequence[int]) -> list[int]:
    return [int(step) for step in np.unravel_index(index, tuple(shape))] if shape else []


def write_number(value: float) -> float | str:
    """A number for JSON: NaN and the infinities become strings."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def write_array(array: FloatArray | None) -> Any:
    """A scalar as a number, None as null; any other array stands in a document as it is, for `write_json`."""
    return array if array is None or array.ndim else write_number(array.item())
