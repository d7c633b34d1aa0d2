"""One node of a model as the operators read it: its operands, its attributes and the types of its outputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto, NodeProto
from onnx.defs import OpSchema

from service.onnx.reading import STANDARD, read_tensor
from service.onnx.values import FLOAT, CannotImport, Value, shortest

_NUMBERS = (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.INTS, AttributeProto.FLOATS)
_MANY = OpSchema.FormalParameterOption.Variadic


@dataclass(frozen=True, slots=True)
class OperatorCall:
    """An operator applied to operands, None for each that is left out.

    `outputs` are the names of its outputs, empty where nothing reads one; `kinds` their types.
    """

    operator: str
    version: int
    schema: OpSchema
    operands: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    outputs: tuple[str, ...]
    kinds: tuple[int, ...]

    @property
    def output(self) -> str:
        """The name of the first output."""
        return self.outputs[0]

    @property
    def kind(self) -> int:
        """The type of the first output."""
        return self.kinds[0]

    def operand(self, index: int) -> Value:
        """An operand; raises CannotImport if it is left out."""
        if index >= len(self.operands) or (value := self.operands[index]) is None:
            raise CannotImport(f"it lacks operand {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """An operand, None if it is left out."""
        return self.operands[index] if index < len(self.operands) else None

    def named_operands(self) -> Iterator[tuple[str, Value | None]]:
        """Each operand with the name that ONNX gives it."""
        formal = self.schema.inputs
        for index, value in enumerate(self.operands):
            if index >= len(formal) and not (formal and formal[-1].option == _MANY):
                raise CannotImport(
                    f"{self.operator} takes at most {len(formal)} operands; {len(self.operands)} are given"
                )
            yield formal[min(index, len(formal) - 1)].name, value

    def defaults(self) -> dict[str, Any]:
        """The attributes that have a default, with it."""
        declared = self.schema.attributes.items()
        return {
            name: self.read_number(onnx.helper.get_attribute_value(each.default_value))
            for name, each in declared
            if each.default_value.type != AttributeProto.UNDEFINED
        }

    def read_number(self, value: Any) -> Any:
        """An attribute's value; a float32 as the shortest decimal where it meets figures of float32."""
        return _plain(value, FLOAT in [each.kind for each in self.operands if each is not None])


def make_call(
    node: NodeProto, version: int, operands: Sequence[Value | None], is_read: Callable[[str], bool]
) -> OperatorCall:
    """Read a node; raises CannotImport where ONNX has no such operator, or an attribute is none of its own."""
    if node.domain not in STANDARD:
        raise CannotImport(f"it is of another domain than ONNX's own, {node.domain!r}")
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        raise CannotImport(f"ONNX has no operator {node.op_type!r} in opset {version}") from None
    decimal = FLOAT in [each.kind for each in operands if each is not None]
    attributes = {each.name: _read_attribute(each, decimal) for each in node.attribute}
    if unknown := attributes.keys() - schema.attributes.keys():
        raise CannotImport(f"{node.op_type} has no attribute {min(unknown)!r} in opset {version}")
    names = tuple(name if name and is_read(name) else "" for name in node.output)
    kinds = tuple(_kind_of_output(schema, index, operands) for index in range(len(node.output)))
    return OperatorCall(node.op_type, version, schema, tuple(operands), attributes, names, kinds)


def _read_attribute(attribute: AttributeProto, decimal: bool) -> Any:
    if attribute.ref_attr_name:
        raise CannotImport(f"its attribute {attribute.name} refers to a function's")
    if attribute.type == AttributeProto.TENSOR:
        try:
            return read_tensor(attribute.t)
        except ValueError as error:
            raise CannotImport(str(error)) from None
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.STRING, AttributeProto.STRINGS, *_NUMBERS):
        return _plain(onnx.helper.get_attribute_value(attribute), decimal)
    raise CannotImport(f"its attribute {attribute.name} is of a type that is not read")


def _plain(value: Any, decimal: bool) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return shortest(value) if decimal else value
    if hasattr(value, "__iter__") and not hasattr(value, "DESCRIPTOR"):
        return [_plain(each, decimal) for each in value] if not isinstance(value, str) else value
    return value


def _kind_of_output(schema: OpSchema, index: int, operands: Sequence[Value | None]) -> int:
    """The type of an output: its own, or that of the operand which has the same type variable; 0 if neither says."""
    formal = schema.outputs[min(index, len(schema.outputs) - 1)]
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    for position, operand in enumerate(operands):
        if operand is not None and schema.inputs[min(position, len(schema.inputs) - 1)].type_str == formal.type_str:
            return operand.kind
    types = allowed.get(formal.type_str, [formal.type_str])
    return _KINDS.get(types[0], 0) if len(types) == 1 else 0


_KINDS = {
    f"tensor({name})": getattr(onnx.TensorProto, kind)
    for name, kind in (("bool", "BOOL"), ("int64", "INT64"), ("int32", "INT32"), ("float", "FLOAT"))
}
