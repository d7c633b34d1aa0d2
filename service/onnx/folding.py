"""Nodes of ours from a model's: where the figures of operands are known, so are those of the value.

What ONNX computes from shapes and whole numbers is decided while the model is read; the rulebook's own rules compute
it, on arrays of ONNX's types. Numbers that depend on the floats of the model's weights stay nodes, so that a weight can
be changed, but their figures are known where an attribute needs them.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.graph.documents import arity_faults, read_attributes
from service.core.graph.names import LONGEST_NAME, free_name
from service.core.rulebook.composed import Composed
from service.core.rulebook.operation import Operation
from service.core.rulebook.tensor import Tensor
from service.onnx.shapes import infer_shape
from service.onnx.values import DOUBLE, FLOAT, FLOATS, CannotImport, Lengths, Value, as_kind, shortest
from service.settings import Limits

_MOST_WORK = 1e9  # operations on numbers that are spent on folding one model
_SMALL = 4096  # elements of figures that depend on weights and may yet become attributes


class Folding:
    """The nodes so far, as documents by name in the order of the model."""

    def __init__(self, limits: Limits) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.weights: dict[str, NDArray[Any]] = {}
        self._limits = limits
        self._work_left = _MOST_WORK
        self._elements_left = limits.run_elements

    def free_name(self, wanted: str) -> str:
        """The name of a tensor as that of a node: without control characters and backquotes, and not taken yet."""
        printable = "".join(each if each.isprintable() and each != "`" else "_" for each in wanted[: LONGEST_NAME + 1])
        return free_name(printable or "_", self.documents)

    def add_input(self, name: str, kind: int, shape: Sequence[int | None] | None) -> Value:
        """An Input of the model's own."""
        dtype = "int64" if kind not in FLOATS else "float32" if kind == FLOAT else "float64"
        declared = {} if shape is None else {"shape": list(shape)}
        attributes = {**declared, "dtype": dtype}
        name = self.free_name(name)
        self.documents[name] = {"name": name, "operation": "Input", "attributes": attributes}
        return Value(name, kind, None if shape is None else tuple(shape))

    def add_weight(self, name: str, kind: int, figures: NDArray[Any]) -> Value:
        """An Input whose figures come with the model; those of half precision are stored as float32."""
        whole = figures if kind in FLOATS else figures.astype(np.float32)
        made = self.add_input(name, DOUBLE if kind == DOUBLE else FLOAT, figures.shape)
        self.weights[made.name] = whole
        return Value(made.name, kind, figures.shape, figures)

    def add_constant(self, name: str, kind: int, figures: Any) -> Value:
        """A Constant; one number of float32 is written as the shortest decimal that is the same in float32."""
        array = as_kind(figures, kind)
        self._spend(array.size)
        name = self.free_name(name)
        self.documents[name] = {"name": name, "operation": "Constant", "attributes": {"value": array}}
        return Value(name, kind, array.shape, array, fixed=True)

    def add_missing(self, name: str, kind: int, shape: Sequence[int | None] | None, why: str) -> Value:
        """A tensor that no node gives, such as the shape of what has none yet."""
        return Value(name, kind, None if shape is None else tuple(shape), missing=why)

    def add_node(
        self,
        name: str,
        kind: int,
        operation: Operation,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any] | None = None,
    ) -> Value:
        """A node of one of our operations; a Constant where its value is known to be whole numbers.

        An operand that is left out is None. Raises CannotImport where the operation does not take these operands.
        """
        given = list(operands)
        while given and given[-1] is None:
            given.pop()
        read, faults = read_attributes(operation, attributes or {})
        faults = faults or arity_faults(operation, len(given))
        if faults:
            raise CannotImport("; ".join(fault.detail for fault in faults))
        present = [each for each in given if each is not None]
        for each in present:
            if each.missing:
                raise CannotImport(each.missing)
        shape = infer_shape(operation, [each.shape for each in present], read)
        fixed = bool(present) and all(each.fixed for each in present)
        figures = self._evaluate(operation, present, shape, read, kind) if len(present) == len(given) else None
        if fixed and figures is not None and kind not in FLOATS:
            return self.add_constant(name, kind, figures)
        name = self.free_name(name)
        self.documents[name] = {
            "name": name,
            "operation": operation.name,
            "inputs": ["" if each is None else self._operand(each) for each in given],
            **({"attributes": dict(attributes)} if attributes else {}),
        }
        return Value(name, kind, shape, figures, fixed and figures is not None)

    def add_composed(
        self,
        name: str,
        kind: int,
        operation: Composed,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        shape: Lengths,
    ) -> Value:
        """A node of a composed operation, which is expanded when the graph is built."""
        for each in operands:
            if each is not None and each.missing:
                raise CannotImport(each.missing)
        name = self.free_name(name)
        self.documents[name] = {
            "name": name,
            "operation": operation.name,
            "inputs": ["" if each is None else self._operand(each) for each in operands],
            "attributes": dict(attributes),
        }
        return Value(name, kind, shape)

    def _operand(self, value: Value) -> str:
        document = self.documents[value.name]
        if document["operation"] == "Constant":
            array = document["attributes"]["value"]
            if array.dtype.kind in "iu" and array.size and np.abs(array.astype(np.float64)).max() > 2.0**53:
                raise CannotImport(f"{value.name!r} holds whole numbers above 2^53")
        return value.name

    def _evaluate(
        self, operation: Operation, operands: Sequence[Value], shape: Any, attributes: Mapping[str, Any], kind: int
    ) -> NDArray[Any] | None:
        """The figures of a value whose operands' are known, as long as they are few; None if not."""
        arrays = [each.figures for each in operands if each.figures is not None]
        if not arrays or len(arrays) < len(operands) or shape is None:
            return None
        shapes = [each.shape for each in arrays]
        fixed = all(each.fixed for each in operands)
        if not fixed and sum(map(prod, [*shapes, shape])) > _SMALL:
            return None
        work = operation.work_of_value(shapes, shape, attributes).operations
        if prod(shape) > self._limits.tensor_elements or work > self._work_left:
            return None
        self._work_left -= work
        try:
            with np.errstate(all="ignore"):
                numbers = [each.astype(np.int64) if each.dtype == bool else each for each in arrays]
                return as_kind(operation.evaluate(numbers, attributes), kind)
        except (ValueError, TypeError, ArithmeticError, IndexError):
            return None

    def check_size(self, shape: Sequence[int]) -> None:
        """Raise CannotImport for a shape of more elements than a node's value may have."""
        if min(shape, default=0) < 0 or prod(shape) > self._limits.tensor_elements:
            raise CannotImport(
                f"its value has the shape {list(shape)}; at most {self._limits.tensor_elements} elements do"
            )

    def _spend(self, elements: int) -> None:
        self._elements_left -= elements
        if self._elements_left < 0:
            raise CannotImport(f"the model's constants have more than {self._limits.run_elements} elements")

    def reached(self, outputs: Sequence[str], always: Sequence[str]) -> list[dict[str, Any]]:
        """The documents that the outputs need, as `build_graph` takes them, and `always` those of these names."""
        needed = set(always)
        waiting = list(outputs)
        while waiting:
            name = waiting.pop()
            if name and name not in needed:
                needed.add(name)
                waiting.extend(self.documents[name].get("inputs", ()))
        return [_written(document) for name, document in self.documents.items() if name in needed]


def _written(document: dict[str, Any]) -> dict[str, Any]:
    if document["operation"] != "Constant":
        return document
    array: NDArray[Any] = document["attributes"]["value"]
    value: float | Tensor
    if array.ndim:
        flat = array.ravel()
        exact = [shortest(flat[0])] if array.dtype == np.float32 and flat.size == 1 else flat
        figures = np.array(exact, dtype=np.float64).reshape(array.shape)
        figures.setflags(write=False)
        value = Tensor(figures)
    else:
        value = shortest(float(array)) if array.dtype == np.float32 else float(array)
    return {**document, "attributes": {"value": value}}
