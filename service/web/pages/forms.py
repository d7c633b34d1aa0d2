"""What people type into fields: numbers as they write them, 2/3 or 0.667, and tensors as lists or rows of numbers."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import marshmallow as ma

from service.api.numbers import read_array, read_claims
from service.api.schemas import Label, Tags
from service.core.comparison.claims import Claim
from service.core.errors import Fault, InvalidInputs
from service.core.figures.figures import FloatArray
from service.core.graph.graph import Graph

_SPECIAL = {"∞": "Infinity", "+∞": "Infinity", "-∞": "-Infinity", "inf": "Infinity", "nan": "NaN"}


def read_inputs(form: Mapping[str, str], graph: Graph) -> dict[str, FloatArray]:
    """The inputs of a graph from the fields `input.NAME`; raises InvalidInputs with the fault of each."""
    return _read_each({name: form.get(f"input.{name}", "") for name in graph.inputs}, _read_input)


def read_claimed(form: Mapping[str, str]) -> dict[str, dict[str, Claim | None]]:
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


def field_of(fault: Fault) -> str:
    """The name of the field that a fault is about, empty if it is about none."""
    match fault.location:
        case ("inputs", name, *_):
            return f"input.{name}"
        case ("claims", kind, name, *_):
            return f"{str(kind).removesuffix('s')}.{name}"
    return ""


def _read_each(texts: Mapping[str, str], read: Callable[[str, str], Any]) -> dict[str, Any]:
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


def _read_input(name: str, text: str) -> FloatArray:
    if not text.strip():
        raise InvalidInputs([Fault(("inputs", name), "a number is expected")])
    return read_array(_typed("inputs", name, text), ("inputs", name), written=True)


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
