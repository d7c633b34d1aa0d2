"""A graph as an ONNX model.

An operation that ONNX has becomes one node, whose output has the name of ours; attributes that ONNX takes as operands
become initializers. What ONNX lacks is decomposed: an elementwise operation by the rulebook's own rule, applied to
symbols, the others as `decompositions/` says. Figures are float32 or float64 throughout; truths are numbers here, so
that they are cast where ONNX wants or gives booleans.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, defs, helper, numpy_helper

from service.core.errors import Fault, InvalidRequest
from service.core.figures.figures import Shape
from service.core.graph.graph import Graph, Node
from service.core.graph.shapes import fit_shapes
from service.core.rulebook.gaussian import CUBIC, TWICE_ROOT, error_function
from service.core.rulebook.operation import Operation
from service.core.symbolic.term import Application, Literal, Symbol, Term, Variable, term_of, value_term

OPSET, IR_VERSION = 20, 9
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
_TRUTHS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not"}
_MOST_NAMED = 5


class Unwritten(Exception):
    """ONNX cannot say an operation; `reason` ends a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Undeclared(Exception):
    """The shape of an operand is needed, and not known."""


def write_model(
    graph: Graph,
    name: str,
    about: str,
    *,
    dtype: str,
    shapes: Mapping[str, Shape],
    weights: Mapping[str, NDArray[Any]],
) -> bytes:
    """Write a graph as a model; inputs that have `weights` are initializers. `shapes` are those of undeclared inputs.

    Raises InvalidRequest that names every operation that ONNX cannot say, or the inputs whose shapes must be known.
    """
    writer = Writer(graph, dtype, {**{each: array.shape for each, array in weights.items()}, **shapes})
    unwritten, undeclared = dict[tuple[str, str], list[str]](), set[str]()
    for position, node in enumerate(graph.nodes):
        try:
            writer.write(position, weights.get(node.name))
        except Unwritten as error:
            unwritten.setdefault((node.operation.name, error.reason), []).append(node.name)
        except Undeclared:
            undeclared |= writer.undeclared_before(position)
    faults = [
        Fault(("graph_id",), f"ONNX cannot say {operation}, which {_listed(nodes)}: {reason}")
        for (operation, reason), nodes in unwritten.items()
    ]
    if undeclared:
        listed = ", ".join(map(repr, sorted(undeclared)))
        faults.append(
            Fault(("input",), f"the shapes of these inputs must be declared, or given as input=NAME=LENGTHS: {listed}")
        )
    if faults:
        raise InvalidRequest(faults)
    return bytes(writer.model(name, about).SerializeToString(deterministic=True))


def _listed(nodes: Sequence[str]) -> str:
    listed = ", ".join(map(repr, nodes[:_MOST_NAMED])) + (" and more" if len(nodes) > _MOST_NAMED else "")
    return f"{listed} {'is' if len(nodes) == 1 else 'are'}"


class Writer:
    """The parts of a model while they are written: figures by the names of ours, others by names of their own."""

    def __init__(self, graph: Graph, dtype: str, given: Mapping[str, Shape]) -> None:
        self.graph = graph
        self.kind, self.numpy = TYPES[dtype], np.dtype(dtype)
        known = {graph.position[each]: tuple(shape) for each, shape in given.items()}
        for each in graph.inputs:
            declared = graph.nodes[graph.position[each]].attributes.get("shape")
            if declared is not None and None not in declared:
                known.setdefault(graph.position[each], declared)
        self.shapes, wrong = fit_shapes(graph, known)
        if wrong:
            raise InvalidRequest([Fault(("input",), detail) for _, detail in wrong])
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.integers: set[str] = set()
        self._taken, self._count = set(graph.position), 0
        self._constants: dict[Any, str] = {}

    # --- what rules of decomposition use ------------------------------------------------------------------------------

    def shape(self, name: str) -> Shape:
        """The shape of a figure of the graph; raises Undeclared."""
        found = self.shapes.get(self.graph.position[name])
        if found is None:
            raise Undeclared(name)
        return found

    def fresh(self, under: str = "part") -> str:
        """A name that no node has."""
        while True:
            self._count += 1
            if (name := f"{under[:200]}/{self._count}") not in self._taken:
                self._taken.add(name)
                return name

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        """An initializer; one of equal figures is shared."""
        array = np.asarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = self.fresh("constant")
            self.initializers.append(numpy_helper.from_array(array, name))
        return self._constants[key]

    def number(self, value: Any) -> str:
        """An initializer of figures."""
        return self.constant(value, self.numpy)

    def emit(self, operator: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Add a node of ONNX's with one output, and return its name."""
        made = to or self.fresh(operator.lower())
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        self.nodes.append(helper.make_node(operator, given, [made], **attributes))
        return made

    def emit_several(self, operator: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Add a node of ONNX's with several outputs, and return their names."""
        made = [self.fresh(operator.lower()) for _ in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), made, **attributes))
        return made

    def cast(self, x: str, kind: int, name: str | None = None) -> str:
        """A conversion between ONNX's types."""
        made = name or self.fresh("cast")
        self.nodes.append(helper.make_node("Cast", [x], [made], to=kind))
        return made

    def index(self, x: str) -> str:
        """Figures as int64, which ONNX's indices are."""
        return x if x in self.integers else self.cast(x, TensorProto.INT64)

    # --- nodes --------------------------------------------------------------------------------------------------------

    def undeclared_before(self, position: int) -> set[str]:
        """The inputs on which a node depends whose shapes are not known."""
        found, waiting, met = set[str](), [position], set[int]()
        while waiting:
            at = waiting.pop()
            if at in met:
                continue
            met.add(at)
            if self.graph.nodes[at].operation.is_input and at not in self.shapes:
                found.add(self.graph.nodes[at].name)
            waiting.extend(self.graph.operands[at])
        return found

    def write(self, position: int, weight: NDArray[Any] | None) -> None:
        """Write one node; raises Unwritten or Undeclared."""
        from service.onnx.decompositions import DECOMPOSED

        node, operation = self.graph.nodes[position], self.graph.nodes[position].operation
        if operation.is_input:
            return self._write_input(node, position, weight)
        if operation.is_constant:
            value = numpy_helper.from_array(np.asarray(node.attributes["value"], dtype=self.numpy))
            self.nodes.append(helper.make_node("Constant", [], [node.name], value=value))
            return None
        operands = self._operands(node)
        rule = DECOMPOSED.get(operation.name)
        if rule is not None and (made := rule(self, node, operands)) is not None:
            if made != node.name:
                self.emit("Identity", made, to=node.name)
            return None
        if schema_of(operation.name) is not None and operation.name not in RULES:
            return self.write_alike(node, operands)
        if not operation.is_elementwise:
            raise Unwritten("it has no such operator")
        term = value_term(operation, [Variable(x) for x in operands], node.attributes)
        self.emit("Identity", self._write_term(term), to=node.name)
        return None

    def _write_input(self, node: Node, position: int, weight: NDArray[Any] | None) -> None:
        is_integer = node.attributes.get("dtype") == "int64"
        if is_integer:
            self.integers.add(node.name)
        kind = TensorProto.INT64 if is_integer else self.kind
        if weight is not None:
            self.initializers.append(
                numpy_helper.from_array(weight.astype(np.int64 if is_integer else self.numpy), node.name)
            )
            return
        shape: Any = self.shapes.get(position, node.attributes.get("shape"))
        self.inputs.append(helper.make_tensor_value_info(node.name, kind, shape))

    def _operands(self, node: Node) -> list[str]:
        """The names of the operands: whole numbers as int64 where they are indices, as figures elsewhere."""
        indices = (*node.operation.indices, *[False] * len(node.inputs))
        return [
            self.index(x) if is_index else self.cast(x, self.kind) if x in self.integers else x
            for x, is_index in zip(node.inputs, indices, strict=False)
        ]

    def write_alike(self, node: Node, operands: Sequence[str]) -> None:
        """Write an operation as the operator of the same name."""
        schema = schema_of(node.operation.name)
        given = {each.name.lower(): each for each in node.operation.attributes}
        left, inputs = list(operands), []
        formals = [each.name for each in schema.inputs]
        for formal in formals:
            attribute = given.pop(formal.lower(), None)
            if attribute is not None:
                inputs.append(self._as_operand(node, attribute.name, attribute.default))
            elif left:
                inputs.append(left.pop(0))
            else:
                inputs.append("")
        inputs += left  # of an operator of any number of operands
        attributes, output = {}, 0
        for attribute in given.values():
            value = node.attributes.get(attribute.name, attribute.default)
            if attribute.name == "output":
                output = value
            elif value != attribute.default and attribute.name not in schema.attributes:
                raise Unwritten(f"its operator has no {attribute.name}")
            elif value != attribute.default or attribute.required:
                attributes[attribute.name] = value
        while inputs and not inputs[-1]:
            inputs.pop()
        types = schema.outputs[min(output, len(schema.outputs) - 1)].types
        truth, whole = types == {"tensor(bool)"}, types == {"tensor(int64)"}
        name = self.fresh(node.name) if truth or whole else node.name
        several = output or node.attributes.get("training_mode")
        count = len(schema.outputs) if several or node.operation.name in ("Split", "TopK") else 1
        if node.operation.name == "Split":
            count = len(node.attributes["split"] or ()) or node.attributes["num_outputs"]
        outputs = [name if index == output else self.fresh(node.name) for index in range(count)]
        if node.operation.name in ("And", "Or", "Not"):
            inputs = [self.cast(x, TensorProto.BOOL) for x in inputs]
        elif node.operation.name == "Where":
            inputs = [self.cast(inputs[0], TensorProto.BOOL), *inputs[1:]]
        self.nodes.append(helper.make_node(node.operation.name, inputs, outputs, **attributes))
        if truth or whole:
            self.cast(name, self.kind, node.name)

    def _as_operand(self, node: Node, name: str, default: Any) -> str:
        """An attribute of ours as an initializer; nothing for one that is left out."""
        value = node.attributes.get(name, default)
        if value is None or (isinstance(value, float) and value == default):
            return ""
        if name == "k" and node.operation.name == "TopK":
            value = [value]
        if isinstance(value, tuple) and any(
            isinstance(each, float) for each in value
        ):  # Resize's scales, float32 always
            return self.constant(value, np.float32)
        return self.number(value) if isinstance(value, float) else self.constant(value)

    def _write_term(self, term: Term) -> str:
        """Write the rule of an elementwise operation, of which each primitive is an operator or has a rule itself."""
        return self._as_number(*self._term(term))

    def _term(self, term: Term) -> tuple[str, bool]:
        """The name of a term's value, and whether it is true or false."""
        if isinstance(term, Variable):
            return term.name, False
        if isinstance(term, Literal):
            return self.number(term.value), False
        operation, operands = term.operation, term.operands
        if operation.name == "NotEqual":
            return self.emit("Not", self.emit("Equal", *[self._write_term(x) for x in operands])), True
        if rule := RULES.get(operation.name):
            return self._term(term_of(rule(*map(Symbol, operands))))
        if schema_of(operation.name) is None:
            return self._term(_expanded(operation, term))
        made = [self._term(x) for x in operands]
        if operation.name in ("And", "Or", "Not"):
            names = [self._as_truth(*each) for each in made]
        elif operation.name == "Where":
            names = [self._as_truth(*made[0]), *(self._as_number(*each) for each in made[1:])]
        else:
            names = [self._as_number(*each) for each in made]
        return self.emit(operation.name, *names), operation.name in _TRUTHS

    def _as_number(self, name: str, is_truth: bool) -> str:
        return self.cast(name, self.kind) if is_truth else name

    def _as_truth(self, name: str, is_truth: bool) -> str:
        return name if is_truth else self.cast(name, TensorProto.BOOL)

    def model(self, name: str, about: str) -> ModelProto:
        """The whole model."""
        outputs = [
            helper.make_tensor_value_info(each, self.kind, self.shapes.get(self.graph.position[each]))
            for each in self.graph.outputs
        ]
        written = helper.make_graph(self.nodes, name, self.inputs, outputs, self.initializers, doc_string=about)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(written, opset_imports=opsets, ir_version=IR_VERSION, producer_name="gradbook")


def _expanded(operation: Operation, term: Application) -> Term:
    expanded = value_term(operation, term.operands, dict(term.attributes))
    if isinstance(expanded, Application) and expanded.operation is operation:
        raise Unwritten("it has no such operator")
    return expanded


def schema_of(name: str) -> Any:
    """ONNX's operator of that name, None if there is none in the version that is written."""
    try:
        schema = defs.get_schema(name, OPSET, "")
    except defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def _expm1(x: Any) -> Any:
    """Near 0, where eˣ − 1 loses digits, by tanh: 2t/(1 − t) with t = tanh(x/2)."""
    t = np.tanh(x * 0.5)
    return np.where(np.absolute(x) < 1.0, 2.0 * t / (1.0 - t), np.exp(x) - 1.0)


def _log1p(x: Any) -> Any:
    """Kahan's: log(u)·x/(u − 1) with u = 1 + x as it is rounded."""
    u = x + 1.0
    return np.where(u == 1.0, x, np.where(np.absolute(u) < np.inf, np.log(u) * x / (u - 1.0), np.log(u)))


def _hypot(x: Any, y: Any) -> Any:
    large, small = np.maximum(np.absolute(x), np.absolute(y)), np.minimum(np.absolute(x), np.absolute(y))
    ratio = small / np.where(large == 0.0, 1.0, large)
    return np.where(large == np.inf, np.inf, large * np.sqrt(1.0 + ratio * ratio))


def _atan2(y: Any, x: Any) -> Any:
    turned = np.arctan(y / x) + np.where(x < 0.0, np.where(y >= 0.0, np.pi, -np.pi), 0.0)
    on_axis = np.where(y > 0.0, np.pi / 2.0, np.where(y < 0.0, -np.pi / 2.0, 0.0))
    return np.where(x == 0.0, on_axis, turned)


# Primitive operations that ONNX lacks, or has with another meaning, as rules of what it has.
RULES: dict[str, Callable[..., Any]] = {
    "NotEqual": lambda x, y: np.logical_not(np.equal(x, y)),
    "Log2": lambda x: np.log(x) * (1.0 / np.log(2.0)),
    "Log10": lambda x: np.log(x) * (1.0 / np.log(10.0)),
    "Log1p": _log1p,
    "Expm1": _expm1,
    "Sech": lambda x: 1.0 / np.cosh(x),
    "Bell": lambda x: np.exp(-(x * x)),
    "NormalDensity": lambda x: np.sqrt(0.5 / np.pi) * np.exp(x * x * -0.5),
    "Erfc": lambda x: 1.0 - error_function(x),
    "NormalDistribution": lambda x: 0.5 * (1.0 + error_function(x * np.sqrt(0.5))),
    "GeluGate": lambda x: 1.0 / (1.0 + np.exp(-TWICE_ROOT * (x + CUBIC * x * x * x))),
    "Hypot": _hypot,
    "Atan2": _atan2,
    "Mod": lambda x, y: x - np.floor(x / y) * y,
    "FloorDiv": lambda x, y: np.floor(x / y),
}
