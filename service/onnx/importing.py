"""An ONNX model as the nodes of a graph."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto

from service.core.errors import Fault, InvalidModel, unknown_names
from service.core.rulebook.registry import operation_of
from service.onnx.calls import make_call
from service.onnx.folding import Folding
from service.onnx.operators import OPERATORS, import_call, is_known
from service.onnx.reading import inner_graphs, opset_of, read_model, read_tensor
from service.onnx.shapes import bind_shapes
from service.onnx.values import FLOATS, HALVES, INTEGERS, CannotImport, Value, type_name
from service.settings import Limits

_LISTED = 4  # consumers of a weight that a warning names


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A model as `build_graph` takes it: documents of nodes, the inputs (the model's own, then its weights) and
    outputs in order; the figures of the weights; and what whoever compares gradients should know."""

    nodes: list[dict[str, Any]]
    inputs: list[str]
    outputs: list[str]
    weights: dict[str, NDArray[Any]]
    warnings: list[str]


def import_model(
    body: bytes, limits: Limits, shapes: Mapping[str, Sequence[int]], outputs: Sequence[str] | None = None
) -> ImportedModel:
    """Read a model and import what its outputs, or those chosen, need.

    `shapes` are those of the inputs whose own are not enough; one number for an input that is a whole number is its
    value. Raises InvalidModel with a Fault for each node that cannot be imported exactly, and as `read_model`.
    """
    model = read_model(body, limits)
    chosen = list(outputs) if outputs is not None else [each.name for each in model.graph.output]
    importing = _Importing(model.graph, opset_of(model), Folding(limits))
    return importing.run(shapes, chosen)


class _Importing:
    def __init__(self, graph: GraphProto, opset: int, folding: Folding) -> None:
        self.graph, self.opset, self.folding = graph, opset, folding
        self.faults: list[Fault] = []
        self.own_inputs: list[str] = []
        self.consumers: dict[str, list[str]] = {}

    def run(self, shapes: Mapping[str, Sequence[int]], outputs: Sequence[str]) -> ImportedModel:
        if not outputs:
            self.faults.append(Fault(("graph", "output"), "the model has no output"))
        given = {name for node in self.graph.node for name in node.output}
        given |= {each.name for each in [*self.graph.input, *self.graph.initializer]}
        unknown = unknown_names(outputs, given, "the model has no tensor")
        self.faults += [Fault(("outputs",), sentence) for _, sentence in unknown]
        needed = _needed(self.graph, outputs)
        values = self._add_inputs(shapes)
        self._stop_at_faults()
        self._add_weights(values, needed)
        self._walk(self.graph, values, needed, ("graph",))
        self._stop_at_faults()
        chosen = [self._as_output(name, values[name]) for name in dict.fromkeys(outputs)]
        self._stop_at_faults()
        documents = self.folding.reached(chosen, self.own_inputs)
        present = {each["name"] for each in documents}
        weights = {name: each for name, each in self.folding.weights.items() if name in present}
        return ImportedModel(documents, [*self.own_inputs, *weights], chosen, weights, self._warnings(weights))

    def _stop_at_faults(self) -> None:
        if self.faults:
            raise InvalidModel(self.faults)

    # --- inputs and weights ---------------------------------------------------------------------------------------

    def _add_inputs(self, given: Mapping[str, Sequence[int]]) -> dict[str, Value]:
        initialized = {each.name for each in self.graph.initializer}
        own = [each for each in self.graph.input if each.name not in initialized]
        numbers = {
            each.name: given[each.name][0] for each in own if _is_number(each) and len(given.get(each.name, ())) == 1
        }
        shapes, faults = bind_shapes(own, {name: shape for name, shape in given.items() if name not in numbers})
        self.faults += faults
        values = {}
        for position, each in enumerate(own):
            kind = each.type.tensor_type.elem_type if each.type.HasField("tensor_type") else 0
            if kind not in (*FLOATS, *INTEGERS):
                detail = (
                    f"the input {each.name!r} is of {type_name(kind)}; float32, float64 and whole numbers are taken"
                )
                self.faults.append(Fault(("graph", "input", position), detail))
            elif each.name in numbers:
                values[each.name] = self.folding.add_constant(each.name, kind, numbers[each.name])
            else:
                values[each.name] = self.folding.add_input(each.name, kind, shapes[each.name])
                self.own_inputs.append(values[each.name].name)
        return values

    def _add_weights(self, values: dict[str, Value], needed: set[str]) -> None:
        """Floats become inputs that have figures; whole numbers stay as they are."""
        for position, tensor in enumerate(self.graph.initializer):
            if tensor.name in needed:
                try:
                    values[tensor.name] = self._read_initializer(tensor)
                except (CannotImport, ValueError) as error:
                    self.faults.append(Fault(("graph", "initializer", position), f"{tensor.name!r}: {error}"))
        for position, sparse in enumerate(self.graph.sparse_initializer):
            detail = f"{sparse.values.name!r} is a sparse tensor, which is not read"
            self.faults.append(Fault(("graph", "sparse_initializer", position), detail))

    def _read_initializer(self, tensor: TensorProto) -> Value:
        if tensor.data_type not in (*FLOATS, *HALVES, *INTEGERS):
            raise CannotImport(f"it is of {type_name(tensor.data_type)}; float32, float64 and whole numbers are read")
        array = read_tensor(tensor)
        if tensor.data_type not in INTEGERS:
            return self.folding.add_weight(tensor.name, tensor.data_type, array)
        return self.folding.add_constant(tensor.name, tensor.data_type, array)

    # --- nodes ----------------------------------------------------------------------------------------------------

    def _walk(self, graph: GraphProto, values: Any, needed: set[str], location: tuple[str | int, ...]) -> None:
        """Import the nodes of a graph that are needed, in its order, into `values`."""
        for position, node in enumerate(graph.node):
            if not any(name in needed for name in node.output):
                continue
            try:
                self._import(node, values, needed, (*location, "node", position))
            except CannotImport as error:
                label = node.name or next(filter(None, node.output), "")
                detail = f"{label!r} ({node.op_type}): {error}"
                self.faults.append(Fault((*location, "node", position), detail))
                values.update((name, _POISONED) for name in node.output)

    def _import(self, node: NodeProto, values: Any, needed: set[str], location: tuple[str | int, ...]) -> None:
        unknown = [name for name in node.input if name and name not in values]
        if unknown:
            raise CannotImport(f"it reads {unknown[0]!r}, which nothing before it gives")
        operands = [values[name] if name else None for name in node.input]
        if any(each is _POISONED for each in operands):  # what feeds it has been refused
            if not is_known(node):
                raise CannotImport("there is no operation of that name here")
            values.update((name, _POISONED) for name in node.output)
            return
        for name in dict.fromkeys(node.input):
            self.consumers.setdefault(name, []).append(node.name or node.output[0])
        if node.op_type == "If":
            self._branch(node, values, needed, location)
            return
        call = make_call(node, self.opset, operands, needed.__contains__)
        missing = next((each.missing for each in operands if each is not None and each.missing), None)
        if missing and call.operator not in OPERATORS and not any(each in FLOATS for each in call.kinds):
            made = {
                name: self.folding.add_missing(name, kind, None, missing)
                for name, kind in zip(call.outputs, call.kinds, strict=True)
            }
        else:
            made = import_call(call, self.folding)
        values.update(made)

    def _branch(self, node: NodeProto, values: Any, needed: set[str], location: tuple[str | int, ...]) -> None:
        """An If whose condition is known: the nodes of the branch that is taken."""
        condition = values[node.input[0]]
        if condition.figures is None or not condition.fixed:
            raise CannotImport(
                f"its condition {condition.name!r} is not known while the model is read: give the shapes of the "
                "inputs, and the value of one that is a whole number"
            )
        taken = "then_branch" if condition.figures.all() else "else_branch"
        number, attribute = next((number, each) for number, each in enumerate(node.attribute) if each.name == taken)
        branch, inner = attribute.g, ChainMap({}, values)
        reached = _needed(branch, [each.name for each in branch.output])
        self._add_inner_weights(branch, inner)
        self._walk(branch, inner, reached, (*location, "attribute", number, "g"))
        for name, result in zip(node.output, branch.output, strict=True):
            if name in needed:
                value = inner.get(result.name, _POISONED)
                values[name] = value if value is _POISONED else self._renamed(name, value)

    def _add_inner_weights(self, branch: GraphProto, values: Any) -> None:
        for tensor in branch.initializer:
            values[tensor.name] = self._read_initializer(tensor)

    def _renamed(self, name: str, value: Value) -> Value:
        if value.missing:
            return value
        return self.folding.add_node(name, value.kind, operation_of("Identity"), [value])

    def _as_output(self, name: str, value: Value) -> str:
        if value.missing:
            self.faults.append(Fault(("graph", "output"), f"the output {name!r}: {value.missing}"))
        return value.name

    def _warnings(self, weights: Mapping[str, NDArray[Any]]) -> list[str]:
        """What is not as in the program that the model was exported from, or may not be."""
        found = []
        for name in weights:
            uses = self.consumers.get(name, [])
            if len(uses) > 1:
                listed = ", ".join(map(repr, uses[:_LISTED])) + (", …" if len(uses) > _LISTED else "")
                found.append(f"the weight {name!r} has {len(uses)} uses: {listed}; its gradient is the sum over all")
            if name.startswith("onnx::"):
                found.append(f"the exporter made the weight {name!r} of others: merged, folded or transposed")
        return found


_POISONED = Value("", 0, None, missing="what feeds it is refused")


def _is_number(value: ValueInfoProto) -> bool:
    """Whether an input is declared as one whole number."""
    tensor = value.type.tensor_type
    return tensor.HasField("shape") and not tensor.shape.dim and tensor.elem_type in INTEGERS


def _needed(graph: GraphProto, outputs: Sequence[str]) -> set[str]:
    """The names of all tensors that the outputs are computed from, those of the nodes' inner graphs included."""
    maker = {name: node for node in graph.node for name in node.output if name}
    needed, waiting = set(outputs), list(outputs)
    while waiting:
        node = maker.get(waiting.pop())
        read = [] if node is None else _read_names(node)
        fresh = [name for name in read if name not in needed]
        needed.update(fresh)
        waiting.extend(fresh)
    return needed


def _read_names(node: NodeProto) -> list[str]:
    """The names that a node reads, by itself or in its inner graphs."""
    names, waiting = list(filter(None, node.input)), inner_graphs(node)
    while waiting:
        graph = waiting.pop()
        names.extend(each.name for each in graph.output)
        for inner in graph.node:
            names.extend(filter(None, inner.input))
            waiting.extend(inner_graphs(inner))
    return names
