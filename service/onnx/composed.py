"""ONNX's operators that are composed of others here: GRU, LSTM, Attention, GroupNormalization …"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.core.composition.composed import read_definition
from service.core.graph.documents import arity_faults, read_attributes
from service.core.rulebook.composed import Composed, Given, ShapeNeeded
from service.core.rulebook.registry import operation_of
from service.core.rulebook.tensor import Tensor, number_or_tensor
from service.onnx.calls import OperatorCall
from service.onnx.folding import Folding
from service.onnx.shapes import infer_shape
from service.onnx.values import BOOL, FLOAT, CannotImport, Lengths, Value


def apply_composed(call: OperatorCall, folding: Folding, operation: Composed) -> dict[str, Value]:
    """Apply a composed operation: one node, which is expanded when the graph is built, for each output that is read."""
    if operation.name == "GroupNormalization" and call.version < 21:
        raise CannotImport("before opset 21 its scale is of groups, not of channels")
    operands = [_added(value, folding) if value and value.kind == BOOL else value for value in call.operands]
    while operands and operands[-1] is None:
        operands.pop()
    known, defaults = {attribute.name for attribute in operation.attributes}, call.defaults()
    given = {name: value for name, value in {**defaults, **call.attributes}.items() if name in known}
    for name, value in call.attributes.items():
        if name not in known and value != defaults.get(name):
            raise CannotImport(f"its attribute {name} = {value} is not computed here")
    made = {}
    for index, name in enumerate(call.outputs):
        if name and index and index >= len(operation.outputs):
            raise CannotImport(f"only its first outputs are computed here, and {name!r} is read")
        if name:
            attributes = {**given, "output": operation.outputs[index]} if operation.outputs else given
            shape = _shape(operation, operands, attributes)
            made[name] = folding.add_composed(name, call.kinds[index], operation, operands, attributes, shape)
    return made


def _added(mask: Value, folding: Folding) -> Value:
    """A mask of truth values as what is added to the scores."""
    nothing, never = (
        folding.add_constant(f"{mask.name}/{name}", FLOAT, figure)
        for name, figure in (("seen", 0.0), ("unseen", -np.inf))
    )
    return folding.add_node(f"{mask.name}/bias", FLOAT, operation_of("Where"), [mask, nothing, never])


def _shape(operation: Composed, operands: Sequence[Value | None], attributes: Mapping[str, Any]) -> Lengths:
    """The shape of the value, as far as it is known; raises CannotImport where the operands do not fit."""
    read, faults = read_attributes(operation, attributes)
    if faults := faults or arity_faults(operation, len(operands)):
        raise CannotImport("; ".join(fault.detail for fault in faults))
    present = {name: value for name, value in zip(operation.operands, operands, strict=False) if value is not None}
    constants: dict[str, float | Tensor] = {
        name: number_or_tensor(value.figures.tolist())
        for name, value in present.items()
        if value.figures is not None and value.fixed
    }
    given = Given({name: value.shape for name, value in present.items()}, read, constants)
    try:
        definition = read_definition(operation, operation.text(given), read)
    except ShapeNeeded as needed:
        raise CannotImport(
            f"it needs {needed.what} of {present[needed.operand].name!r}: give the shapes of the model's inputs"
        ) from None
    except ValueError as error:
        raise CannotImport(str(error)) from None
    shapes: dict[str, Lengths] = {name: value.shape for name, value in present.items()}
    for node in definition.nodes:
        shapes[node.name] = infer_shape(node.operation, [shapes[each] for each in node.inputs], node.attributes)
    return shapes[definition.output]
