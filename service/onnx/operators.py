"""ONNX's operators as operations of ours.

An operator whose name the rulebook has is taken as it is: an operand that ours keeps as an attribute of the same name
(`axes`, `pads` …) is read while the model is, and an attribute that ours lacks may only have its default. What differs
more, in some version of ONNX or in all, stands in `OPERATORS`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto

from service.core.rulebook.composed import Composed, find_composed
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import find, operation_of
from service.onnx.calls import OperatorCall
from service.onnx.composed import apply_composed
from service.onnx.folding import Folding
from service.onnx.reading import STANDARD
from service.onnx.values import BOOL, FLOAT, FLOATS, HALVES, INT64, WHOLE, CannotImport, Value, as_kind, type_name

Importer = Callable[[OperatorCall, Folding], dict[str, Value]]

# Attributes of ONNX's that have no part in what is computed here.
_WITHOUT_EFFECT = {"BatchNormalization": {"momentum"}, "Cast": {"saturate"}}
_RENAMED = {("Pad", "value"): "constant_value"}  # before opset 11
# Operators that only move figures, so that those of narrow whole numbers stay right.
_MOVING = {
    *("Identity", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Slice", "Split"),
    *("Concat", "Gather", "GatherElements", "GatherND", "Where", "DepthToSpace", "SpaceToDepth", "Max", "Min", "Pad"),
    *("Cast", "CastLike"),  # which refuse by themselves what they cannot do
}
# Operators on whole numbers that round, and do so differently from ours.
_ROUNDING = {"Div": "the division of whole numbers", "Pow": "a power of whole numbers", "ReduceMean": "their mean"}


def import_call(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Add the nodes of one call and return the values of its outputs by name; raises CannotImport."""
    made = OPERATORS.get(call.operator, as_it_is)(call, folding)
    for value in made.values():
        if value.kind not in (*FLOATS, *WHOLE) and not value.fixed and call.operator not in _MOVING:
            raise CannotImport(
                f"it computes in {type_name(value.kind)}, which rounds or wraps around otherwise than here"
            )
    return made


# --- operators that the rulebook has by their name ----------------------------------------------------------------


def as_it_is(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Apply the operation of the same name."""
    if composed := _composed(call.operator):
        return apply_composed(call, folding, composed)
    return apply(call, folding, _operation(call.operator), call.attributes)


def apply(call: OperatorCall, folding: Folding, operation: Operation, given: Any) -> dict[str, Value]:
    """Apply an operation with ONNX's operands and attributes: one node, or one for each output that is read."""
    readers = {attribute.name.lower(): attribute for attribute in operation.attributes}
    operands: list[Value | None] = []
    attributes: dict[str, Any] = {}
    for formal, value in call.named_operands():
        reader = readers.get(formal.lower())
        if reader is None:
            operands.append(value)
        elif value is not None:
            attributes[reader.name] = _as_attribute(value.known(), reader.read, formal)
    defaults = call.defaults()
    for name, value in {**defaults, **given}.items():
        ours = readers.get(_RENAMED.get((operation.name, name), name).lower())
        if ours is not None:
            attributes.setdefault(ours.name, value)
        elif value != defaults.get(name) and name not in _WITHOUT_EFFECT.get(call.operator, ()):
            raise CannotImport(f"its attribute {name} = {value} is not computed here")
    folded = all(each is not None and each.fixed for each in operands)
    if call.operator in _ROUNDING and call.kind not in FLOATS and not folded:
        raise CannotImport(f"{_ROUNDING[call.operator]} that only a run knows is not computed here")
    if operation.name == "Split" and "split" not in attributes:
        attributes.setdefault("num_outputs", len(call.outputs))
    if "output" in readers:
        return {
            name: folding.add_node(
                name, call.kinds[index] or call.kind, operation, operands, {**attributes, "output": index}
            )
            for index, name in enumerate(call.outputs)
            if name
        }
    if any(call.outputs[1:]):
        raise CannotImport(f"only its first output is computed here, and {max(call.outputs[1:])!r} is read")
    return {call.output: folding.add_node(call.output, call.kind, operation, operands, attributes)}


def _operation(name: str) -> Operation:
    """The operation of exactly that name; raises CannotImport if there is none."""
    found = find(name)
    if found is None or found.name != name or not found.operands:
        raise CannotImport("there is no operation of that name here")
    return found


def _as_attribute(figures: NDArray[Any], read: Callable[[object], Any], name: str) -> Any:
    """Figures as an attribute takes them: an array of one element also as a number."""
    listed = figures.tolist()
    for value in (listed, figures.ravel()[0].item()) if figures.size == 1 else (listed,):
        try:
            read(value)
        except ValueError as error:
            reason = error
            continue
        return value
    raise CannotImport(f"its operand {name}: {reason}")


# --- constants and shapes -----------------------------------------------------------------------------------------


# Some exporters keep weights as Constants. Scales, bounds, regions and the like have no more elements than this.
_NO_WEIGHTS = 16


def _constant(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    ((name, value),) = call.attributes.items()
    if name == "value":
        kind = _kind_of(value)
    elif name in ("value_float", "value_floats"):
        value, kind = np.asarray(value, np.float32), FLOAT
    elif name in ("value_int", "value_ints"):
        value, kind = np.asarray(value, np.int64), INT64
    else:
        raise CannotImport(f"a Constant of {name} is not read")
    if kind in FLOATS and value.size > _NO_WEIGHTS:
        return {call.output: folding.add_weight(call.output, kind, value)}
    return {call.output: folding.add_constant(call.output, kind, value)}


def _kind_of(array: NDArray[Any]) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(array.dtype))


def _shape(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    x, chosen = call.operand(0), slice(call.attributes.get("start", 0), call.attributes.get("end"))
    if x.whole_shape is not None:
        return _whole_numbers(call, folding, list(x.whole_shape[chosen]))
    length = None if x.shape is None else len(x.shape[chosen])
    return _unknown(call, folding, _undeclared(x), (length,))


def _size(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    x = call.operand(0)
    if x.whole_shape is None:
        return _unknown(call, folding, _undeclared(x), ())
    return _whole_numbers(call, folding, int(np.prod(x.whole_shape, dtype=np.int64)))


def _undeclared(x: Value) -> str:
    return x.missing or f"the shape of {x.name!r} is not known: give those of the model's inputs"


def _whole_numbers(call: OperatorCall, folding: Folding, value: Any) -> dict[str, Value]:
    return {call.output: folding.add_constant(call.output, INT64, np.asarray(value, dtype=np.int64))}


def _unknown(call: OperatorCall, folding: Folding, why: str, shape: Any = None) -> dict[str, Value]:
    return {call.output: folding.add_missing(call.output, call.kind or INT64, shape, why)}


def _constant_of_shape(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    shape = _fixed(call.operand(0))
    value = call.attributes.get("value", np.zeros(1, np.float32))
    return {call.output: _filled(call, folding, shape.tolist(), lambda: np.full(shape.tolist(), value.ravel()[0]))}


def _eye_like(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    x = call.operand(0)
    if x.whole_shape is None or len(x.whole_shape) != 2:
        raise CannotImport(_undeclared(x))
    kind, diagonal = call.attributes.get("dtype", x.kind), call.attributes.get("k", 0)
    rows, columns = x.whole_shape
    eye = _filled(call, folding, x.whole_shape, lambda: np.eye(rows, columns, diagonal, dtype=np.float32), kind)
    return {call.output: eye}


def _range(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    start, limit, delta = (_fixed(call.operand(index)).ravel()[0] for index in range(3))
    count = max(0, int(np.ceil((limit - start) / delta))) if delta else 0
    # In ONNX's own words, element k is start + k·delta, in the type of both.
    numbers = _filled(call, folding, (count,), lambda: start + np.arange(count).astype(start.dtype) * delta)
    return {call.output: numbers}


def _non_zero(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    return _whole_numbers(call, folding, np.array(np.nonzero(np.atleast_1d(_fixed(call.operand(0))))))


def _filled(call: OperatorCall, folding: Folding, shape: Any, make: Callable[[], NDArray[Any]], kind: int = 0) -> Value:
    """A Constant, once it is known not to be too large."""
    folding.check_size(shape)
    array = make()
    return folding.add_constant(call.output, kind or _kind_of(array), array)


def _fixed(value: Value) -> NDArray[Any]:
    """Figures that are the same whatever inputs and weights are; raises CannotImport for others."""
    figures = value.known()
    if not value.fixed:
        raise CannotImport(f"it needs the figures of {value.name!r}, which depend on the model's weights")
    return figures


# --- types --------------------------------------------------------------------------------------------------------


def _cast(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    kind = call.attributes["to"] if call.operator == "Cast" else call.operand(1).kind
    return {call.output: _converted(call, folding, call.operand(0), kind)}


def _converted(call: OperatorCall, folding: Folding, x: Value, kind: int) -> Value:
    name, from_float = call.output, x.kind in (*FLOATS, *HALVES)
    if x.missing:
        return folding.add_missing(name, kind, x.shape, x.missing)
    if kind == BOOL and x.kind != BOOL and not (x.fixed and not from_float):
        zero = folding.add_constant(f"{name}/zero", x.kind, 0)
        return folding.add_node(name, BOOL, operation_of("NotEqual"), [x, zero])
    if x.fixed and x.figures is not None:
        with np.errstate(all="ignore"):
            return folding.add_constant(name, kind, as_kind(x.figures, kind))
    if from_float and kind in WHOLE:
        return _truncated(name, kind, folding, x)
    if kind != x.kind and (kind in HALVES or (from_float and kind in FLOATS)):
        return folding.add_node(name, kind, operation_of("Cast"), [x], {"to": type_name(kind)})
    if kind not in (x.kind, *WHOLE, *FLOATS):
        raise CannotImport(f"it converts to {type_name(kind)}, which wraps around")
    return folding.add_node(name, kind, operation_of("Identity"), [x])


def _truncated(name: str, kind: int, folding: Folding, x: Value) -> Value:
    """Toward zero, as C does: sign(x) · ⌊|x|⌋."""
    sign = folding.add_node(f"{name}/sign", x.kind, operation_of("Sign"), [x])
    size = folding.add_node(f"{name}/abs", x.kind, operation_of("Abs"), [x])
    floor = folding.add_node(f"{name}/floor", x.kind, operation_of("Floor"), [size])
    return folding.add_node(name, kind, operation_of("Mul"), [sign, floor])


# --- what is computed otherwise here ------------------------------------------------------------------------------


def _dropout(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Nothing is dropped outside training; the mask then has all."""
    x, training = call.operand(0), call.optional(2)
    if training is not None and training.known().any():
        raise CannotImport("it draws random numbers: the model is exported for training")
    made = {}
    if call.output:
        made[call.output] = folding.add_node(call.output, x.kind, operation_of("Identity"), [x])
    if any(call.outputs[1:]):
        if x.whole_shape is None:
            raise CannotImport(_undeclared(x))
        made[call.outputs[1]] = folding.add_constant(call.outputs[1], BOOL, np.ones(x.whole_shape, dtype=bool))
    return made


def _divide(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Of whole numbers that are known, toward zero, as C does."""
    x, y = call.operand(0), call.operand(1)
    if call.kind in FLOATS or not (x.fixed and y.fixed):
        if x.missing or y.missing:
            return _unknown(call, folding, x.missing or y.missing or "", x.shape)
        return as_it_is(call, folding)
    dividend, divisor = _fixed(x), _fixed(y)
    if not np.all(divisor):
        raise CannotImport("it divides a whole number by 0")
    quotient = np.abs(dividend) // np.abs(divisor) * np.sign(dividend) * np.sign(divisor)
    return {call.output: folding.add_constant(call.output, call.kind, quotient)}


def _softmax(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Before opset 13 over all axes from `axis` on, as one."""
    if call.version >= 13:
        return as_it_is(call, folding)
    x, axis, operation = call.operand(0), call.attributes.get("axis", 1), _operation(call.operator)
    if axis % max(x.rank(), 1) == x.rank() - 1:
        return {call.output: folding.add_node(call.output, x.kind, operation, [x], {"axis": -1})}
    if x.whole_shape is None:
        raise CannotImport(_undeclared(x))
    rows = folding.add_node(f"{call.output}/rows", x.kind, operation_of("Flatten"), [x], {"axis": axis})
    along = folding.add_node(f"{call.output}/along_rows", x.kind, operation, [rows], {"axis": -1})
    shape = {"shape": list(x.whole_shape)}
    return {call.output: folding.add_node(call.output, x.kind, operation_of("Reshape"), [along], shape)}


def _upsample(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Opset 7 to 9: what Resize is where both grids begin at the same corner."""
    corner = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return apply(call, folding, _operation("Resize"), {**call.attributes, **corner})


def _resize(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Opset 10's is as Upsample."""
    return _upsample(call, folding) if call.version == 10 else as_it_is(call, folding)


def _scatter(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    return apply(call, folding, _operation("ScatterElements"), call.attributes)


def _extremum(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Of nothing it is the least or greatest number of its type, which is infinite only in floats."""
    if call.kind not in FLOATS and 0 in (call.operand(0).shape or ()):
        raise CannotImport(f"the extremum of no numbers of {type_name(call.kind)} is not computed here")
    return as_it_is(call, folding)


def _exclusive_or(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    return {call.output: folding.add_node(call.output, BOOL, operation_of("NotEqual"), call.operands)}


def _is_nan(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    """Only NaN differs from itself."""
    x = call.operand(0)
    return {call.output: folding.add_node(call.output, BOOL, operation_of("NotEqual"), [x, x])}


def _is_inf(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    x, signs = call.operand(0), (call.attributes.get("detect_negative", 1), call.attributes.get("detect_positive", 1))
    if signs == (0, 0):
        raise CannotImport("it detects no infinity")
    infinity = folding.add_constant(f"{call.output}/infinity", x.kind, -np.inf if signs == (1, 0) else np.inf)
    if signs == (1, 1):
        x = folding.add_node(f"{call.output}/abs", x.kind, operation_of("Abs"), [x])
    return {call.output: folding.add_node(call.output, BOOL, operation_of("Equal"), [x, infinity])}


def _random(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    raise CannotImport("it draws random numbers")


def _decided(call: OperatorCall, folding: Folding) -> dict[str, Value]:
    raise CannotImport("it repeats a graph, as often as its figures say")


OPERATORS: dict[str, Importer] = {
    "Constant": _constant,
    "Shape": _shape,
    "Size": _size,
    "ConstantOfShape": _constant_of_shape,
    "EyeLike": _eye_like,
    "Range": _range,
    "NonZero": _non_zero,
    "Cast": _cast,
    "CastLike": _cast,
    "Dropout": _dropout,
    "Div": _divide,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Upsample": _upsample,
    "Resize": _resize,
    "Scatter": _scatter,
    **dict.fromkeys(("ReduceMax", "ReduceMin"), _extremum),
    "Xor": _exclusive_or,
    "IsNaN": _is_nan,
    "IsInf": _is_inf,
    **dict.fromkeys(("Loop", "Scan", "SequenceMap"), _decided),
    **dict.fromkeys(
        ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"), _random
    ),
}


def is_known(node: NodeProto) -> bool:
    """Whether a node's operator is read here at all."""
    found = find(node.op_type) or _composed(node.op_type)
    return node.domain in STANDARD and (node.op_type in OPERATORS or (found is not None and found.name == node.op_type))


def _composed(name: str) -> Composed | None:
    """The composed operation of exactly that name."""
    found = find_composed(name)
    return found if found is not None and found.name == name else None
