"""What the inputs of a sweep are: how each varies, or what it is at every point.

In JSON an axis is {"linspace": [0, 1, 1000]}, {"normal": [0, 1, 1000], "seed": 7} or {"values": …}, and anything else
is the same at every point. A job has them so too, with each array as a stored tensor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from service.core.errors import Fault, InvalidInputs
from service.core.figures.figures import FloatArray
from service.core.figures.text import number_text
from service.core.rulebook.attribute import finite, integer, number
from service.core.sweeps.axes import Axis, Linspace, Logspace, Normal, Uniform, Values
from service.usecases.context import Context
from service.usecases.tensors import Given, TensorReference, keep_arrays, load_array, read_digest, write_digest

Location: TypeAlias = tuple[str | int, ...]

# By the member that says how an input varies: the axis, and what it has before its count.
AXES: Mapping[str, tuple[Callable[..., Axis], tuple[str, str]]] = {
    "linspace": (Linspace, ("start", "stop")),
    "logspace": (Logspace, ("start", "stop")),
    "uniform": (Uniform, ("low", "high")),
    "normal": (Normal, ("mean", "deviation")),
}
RANDOM = ("uniform", "normal")  # those that have a seed
VALUES, SEED = "values", "seed"


@dataclass(frozen=True, slots=True)
class GivenValues:
    """The numbers of a vector, one after the other."""

    values: Given


SweptInput: TypeAlias = Axis | GivenValues | Given


def read_inputs(
    documents: Mapping[str, Any], read_figure: Callable[[Any, Location], Given], location: Location = ("inputs",)
) -> dict[str, SweptInput]:
    """The inputs that documents say, where `read_figure` reads a number, an array or a tensor.

    Raises InvalidInputs with the place of each fault.
    """
    read: dict[str, SweptInput] = {}
    faults: list[Fault] = []
    for name, document in documents.items():
        try:
            read[name] = _read_input(document, read_figure, (*location, name))
        except InvalidInputs as error:
            faults += error.faults
    if faults:
        raise InvalidInputs(faults)
    return read


def _read_input(document: Any, read_figure: Callable[[Any, Location], Given], location: Location) -> SweptInput:
    if not isinstance(document, dict) or "tensor" in document:
        return read_figure(document, location)
    kind = next((kind for kind in (VALUES, *AXES) if kind in document), None)
    if kind is None:
        known = ", ".join((*AXES, VALUES, "tensor"))
        raise InvalidInputs([Fault(location, f"a figure, or an object with one of {known} is expected")])
    members = (kind, SEED) if kind in RANDOM else (kind,)
    faults = [
        Fault((*location, name), f"unknown beside {kind}; known: {', '.join(members)}")
        for name in document
        if name not in members
    ]
    if faults:
        raise InvalidInputs(faults)
    if kind == VALUES:
        return GivenValues(read_figure(document[kind], (*location, kind)))
    return _read_axis(kind, document, location)


def _read_axis(kind: str, document: Mapping[str, Any], location: Location) -> Axis:
    make, names = AXES[kind]
    expected = f"[{', '.join(names)}, count] is expected"
    if not isinstance(document[kind], list) or len(document[kind]) != 3:
        raise InvalidInputs([Fault((*location, kind), expected)])
    items: list[tuple[Location, Any, Callable[[object], Any]]] = [
        ((kind, place), item, read)
        for place, (item, read) in enumerate(zip(document[kind], (finite, finite, _whole), strict=True))
    ]
    if kind in RANDOM:
        items.append(((SEED,), document.get(SEED, 0), _whole))
    numbers, faults = [], []
    for place, item, read in items:
        try:
            numbers.append(read(item))
        except ValueError as error:
            faults.append(Fault((*location, *place), str(error)))
    if faults:
        raise InvalidInputs(faults)
    return make(*numbers)


def _whole(value: object) -> int:
    """A whole number from 0 on."""
    if (read := integer(value)) < 0:
        raise ValueError("a whole number from 0 is expected")
    return read


def load_inputs(
    context: Context, inputs: Mapping[str, SweptInput], location: Location = ("inputs",)
) -> dict[str, Axis | FloatArray]:
    """The inputs with the arrays of tensors in their place.

    Raises InvalidInputs for a tensor that is not stored and for values that are no vector, and as `Context.admit`.
    """
    return {name: _load_input(context, each, (*location, name)) for name, each in inputs.items()}


def _load_input(context: Context, given: SweptInput, location: Location) -> Axis | FloatArray:
    if isinstance(given, GivenValues):
        values = load_array(context, given.values, (*location, VALUES))
        if values.ndim != 1:
            raise InvalidInputs([Fault((*location, VALUES), "a list of numbers is expected")])
        return Values(values)
    return load_array(context, given, location) if isinstance(given, np.ndarray | TensorReference) else given


def keep_inputs(context: Context, inputs: Mapping[str, SweptInput]) -> dict[str, Any]:
    """The inputs in JSON, for a job: each array is stored as a tensor. Raises as `keep_arrays`."""
    figures = {name: each.values if isinstance(each, GivenValues) else each for name, each in inputs.items()}
    new = keep_arrays(context, {name: a for name, a in figures.items() if isinstance(a, np.ndarray) and a.ndim})
    figures |= {name: TensorReference(digest) for name, digest in new.items()}
    return {
        name: {VALUES: _write_figure(figures[name])} if isinstance(each, GivenValues) else _write_figure(figures[name])
        for name, each in inputs.items()
    }


def _write_figure(figure: Axis | Given) -> Any:
    if isinstance(figure, TensorReference):
        return {"tensor": write_digest(figure.digest)}
    if isinstance(figure, np.ndarray):
        value = float(figure)
        return value if np.isfinite(value) else number_text(value)
    kind = type(figure).__name__.lower()
    numbers = [getattr(figure, name) for name in (*AXES[kind][1], "count")]
    return {kind: numbers, **({SEED: getattr(figure, SEED)} if kind in RANDOM else {})}


def read_kept(document: Any, location: Location = ()) -> Given:
    """A number or a tensor as `keep_inputs` writes it, for `read_inputs`."""
    if isinstance(document, dict):
        return TensorReference(read_digest(document["tensor"]))
    return np.array(number(document))


def tensors_of_inputs(documents: Mapping[str, Any]) -> dict[str, str]:
    """By input, the digest of the tensor that `keep_inputs` wrote for it, where it is one."""
    read = read_inputs(documents, read_kept)
    figures = {name: each.values if isinstance(each, GivenValues) else each for name, each in read.items()}
    return {name: each.digest for name, each in figures.items() if isinstance(each, TensorReference)}
