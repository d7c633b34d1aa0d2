"""What people type into fields: numbers as they write them, 2/3 or 0.667, and tensors as lists or rows of numbers."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import marshmallow as ma
import numpy as np

from service.api.numbers import read_array, read_claims
from service.api.schemas import Label, Tags
from service.core.comparison.claims import Claim
from service.core.errors import Fault, InvalidInputs
from service.core.figures.figures import FloatArray, Shape
from service.core.graph.graph import Graph
from service.usecases.tensors import TensorReference
from service.web.pages.figures import written

MOST_CELLS = 36  # elements of a tensor that is typed into a grid
_MOST_LISTED = 1000  # elements of a tensor that is filled in as a list
_AXES = {1: ("element",), 2: ("row", "column")}
_CELL = re.compile(r"element\.([0-9]{1,2}(?:,[0-9]{1,2})?)\.(.*)", re.DOTALL)
_SPECIAL = {"∞": "Infinity", "+∞": "Infinity", "-∞": "-Infinity", "inf": "Infinity", "nan": "NaN"}


@dataclass(frozen=True, slots=True)
class InputField:
    """The field of an input: a text or, for a small tensor, rows of texts, each with what it is called and said to be.

    `withheld` is the number of elements of a figure that is too large to be filled in. An input that is `kept` as a
    tensor may be left empty.
    """

    name: str
    text: str
    rows: Sequence[Sequence[tuple[str, str, str]]] = ()
    withheld: int = 0
    kept: bool = False


def read_inputs(form: Mapping[str, str], graph: Graph, kept: Collection[str] = ()) -> dict[str, FloatArray]:
    """The inputs of a graph from the fields `input.NAME` or, where that is empty, `element.0,1.NAME`, without those
    that are `kept` as tensors and left empty; raises InvalidInputs with the fault of each."""
    grids = _read_grids(form)
    texts = {name: form.get(f"input.{name}", "").strip() or grids.get(name, "") for name in graph.inputs}
    return _read_each({name: text for name, text in texts.items() if text or name not in kept}, _read_input)


def input_fields(
    graph: Graph,
    figures: Mapping[str, FloatArray | None],
    form: Mapping[str, str] | None = None,
    kept: Collection[str] = (),
) -> list[InputField]:
    """The fields of a graph's inputs, filled in with figures, or with a form that was refused; empty where they are
    `kept` as tensors."""
    return [
        InputField(name, (form or {}).get(f"input.{name}", ""), kept=True)
        if name in kept
        else _input_field(graph, name, figures.get(name), form)
        for name in graph.inputs
    ]


def _input_field(graph: Graph, name: str, figure: FloatArray | None, form: Mapping[str, str] | None) -> InputField:
    text = "" if form is None else form.get(f"input.{name}", "")
    shape = _shape_of(graph, name) if figure is None else figure.shape
    if shape and prod(shape) <= MOST_CELLS and len(shape) <= 2:
        return InputField(name, text, _rows(name, shape, figure, form))
    if form is not None or figure is None:
        return InputField(name, text)
    return (
        InputField(name, "", withheld=figure.size) if figure.size > _MOST_LISTED else InputField(name, written(figure))
    )


def _shape_of(graph: Graph, name: str) -> Shape:
    """The shape that an Input declares, if it declares all of it."""
    declared = graph.nodes[graph.position[name]].attributes.get("shape") or ()
    return tuple(declared) if all(length is not None for length in declared) else ()


def _rows(
    name: str, shape: Shape, figure: FloatArray | None, form: Mapping[str, str] | None
) -> list[list[tuple[str, str, str]]]:
    rows: list[list[tuple[str, str, str]]] = [[] for _ in range(shape[0] if len(shape) == 2 else 1)]
    for index in np.ndindex(shape):
        field = f"element.{','.join(map(str, index))}.{name}"
        place = ", ".join(f"{axis} {step + 1}" for axis, step in zip(_AXES[len(shape)], index, strict=True))
        text = written(figure[index]) if figure is not None else ""
        rows[index[0] if len(shape) == 2 else 0].append((field, place, text if form is None else form.get(field, "")))
    return rows


def _read_grids(form: Mapping[str, str]) -> dict[str, Any]:
    """Nested lists of the texts in the fields `element.0,1.NAME`, by the name; what is no whole grid is left out."""
    cells: dict[str, dict[tuple[int, ...], str]] = {}
    for field, text in form.items():
        if found := _CELL.fullmatch(field):
            cells.setdefault(found[2], {})[tuple(map(int, found[1].split(",")))] = text
    grids = {}
    for name, given in cells.items():
        shape = tuple(max(steps) + 1 for steps in zip(*given, strict=False))
        if prod(shape) == len(given) <= MOST_CELLS:
            grids[name] = np.array([given[index] for index in np.ndindex(shape)], object).reshape(shape).tolist()
    return grids


def read_claimed(form: Mapping[str, str]) -> dict[str, dict[str, Claim | TensorReference | None]]:
    """What is claimed in the fields `value.NAME` and `gradient.NAME`, as far as they are filled in; raises
    InvalidInputs."""
    claims: dict[str, dict[str, Any]] = {"values": {}, "gradients": {}}
    for field, text in form.items():
        kind, _, name = field.partition(".")
        if kind in ("value", "gradient") and text.strip():
            claims[f"{kind}s"][name] = text
    read = {kind: _read_each(texts, partial(_typed, kind)) for kind, texts in claims.items()}
    return read_claims(read, rounded=True)


def read_author(form: Mapping[str, str]) -> dict[str, Any]:
    """Who claims that, and the tags of it, from the fields `by` and `tag`, a key:value; raises InvalidInputs."""
    key, _, value = form.get("tag", "").partition(":")
    given = {"by": form.get("by", "").strip() or "a reader", "tags": {key: value} if key or value else {}}
    try:
        return {"by": Label().deserialize(given["by"]), "tags": Tags().deserialize(given["tags"])}
    except ma.ValidationError as error:
        raise InvalidInputs([Fault(("by",), f"by, or the tag: {error}")]) from None


def read_number(text: str) -> float:
    """A finite number that is typed by itself; raises InvalidInputs."""
    value = read_array(_special(text.strip().replace("−", "-")), (), written=True)
    if not np.isfinite(value).all():
        raise InvalidInputs([Fault((), f"a number is expected, not {text}")])
    return float(value)


def field_of(fault: Fault) -> str:
    """The name of the field that a fault is about, empty if it is about none."""
    match fault.location:
        case ("inputs", name, *_):
            return f"input.{name}"
        case ("claims", kind, name, *_):
            return f"{str(kind).removesuffix('s')}.{name}"
    return ""


def _read_each(texts: Mapping[str, Any], read: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Read each text by its name, and raise the faults of all together."""
    done: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, text in texts.items():
        try:
            done[name] = read(name, text)
        except InvalidInputs as error:
            faults += error.faults
    if faults:
        raise InvalidInputs(faults)
    return done


def _read_input(name: str, text: str | list[Any]) -> FloatArray:
    if not text:
        raise InvalidInputs([Fault(("inputs", name), "a number is expected")])
    typed = _typed("inputs", name, text) if isinstance(text, str) else _cells(text)
    return read_array(typed, ("inputs", name), written=True)


def _cells(part: Any) -> Any:
    return [_cells(each) for each in part] if isinstance(part, list) else _special(part.strip().replace("−", "-"))


def _typed(kind: str, name: str, text: str) -> Any:
    """A text, or nested lists of texts: of JSON, or of rows of numbers that spaces or semicolons part."""
    text = text.strip().replace("−", "-")
    if text.startswith("["):
        try:
            return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
        except ValueError as error:
            location = ("inputs", name) if kind == "inputs" else ("claims", kind, name)
            raise InvalidInputs([Fault(location, f"this is not a list: {error}")]) from None
    rows = [[_special(part) for part in re.split(r"[;,]?\s+|;", row.strip())] for row in text.splitlines()]
    if len(rows) > 1:
        return rows
    return rows[0] if len(rows[0]) > 1 else rows[0][0]


def _special(text: str) -> str:
    return _SPECIAL.get(text.lower(), text)
