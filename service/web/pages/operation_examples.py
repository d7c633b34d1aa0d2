"""An example of each operation, in the rulebook's own terms: small operands, and the attributes that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import FloatArray
from service.core.graph.building import assemble_graph
from service.core.graph.documents import read_attributes
from service.core.graph.graph import Node
from service.core.language.expression import parse_expression
from service.core.rulebook.operation import Operation
from service.core.symbolic.printing import write_text
from service.core.symbolic.term import Variable, application

_LONGEST, _DEEPEST, _MOST_NODES, _MOST_ELEMENTS = 1000, 20, 20, 1000


@dataclass(frozen=True, slots=True)
class Example:
    """Operands by their names, numbers or nested lists, and the attributes that are not the defaults."""

    operands: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


_MATRIX, _OTHER = [[2.0, 1.0], [1.0, 3.0]], [[1.0, -1.0], [0.5, 2.0]]
_IMAGE = [[[[1.0, 2.0, 0.5], [3.0, -1.0, 2.0], [0.0, 1.0, 1.5]]]]
_KERNEL = [[[[1.0, 0.0], [-1.0, 2.0]]]]
_FLOW = [[[[1.0, 0.5], [2.0, -1.0]]]]
_ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
_WINDOW = {"kernel_shape": [2, 2]}
_PADS = {"pads": [1, 1], "mode": "reflect"}
_RESIZED = {"scales": [2.0], "mode": "linear"}
_PART = {"starts": [1], "ends": [3]}

_EXAMPLES: Mapping[str, Example] = {
    "Elu": Example({"x": -0.5}, {"alpha": 2}),
    "LeakyRelu": Example({"x": -0.5}, {"alpha": 0.1}),
    "PRelu": Example({"x": -0.5, "slope": 0.1}),
    "Celu": Example({"x": -0.5}, {"alpha": 2}),
    "Shrink": Example({"x": 2.0}, {"bias": 0.5}),
    "ThresholdedRelu": Example({"x": 2.0}),
    "Clip": Example({"x": 0.5}, {"min": -1, "max": 1}),
    "Round": Example({"x": 0.7}),
    "Acosh": Example({"x": 2.0}),
    "Pow": Example({"x": 2.0, "y": 3.0}),
    "Mod": Example({"x": 7.0, "y": 3.0}),
    "FloorDiv": Example({"x": 7.0, "y": 3.0}),
    "And": Example({"x": 1.0, "y": 0.0}),
    "Or": Example({"x": 1.0, "y": 0.0}),
    "Where": Example({"condition": 1.0, "x": 2.0, "y": 3.0}),
    "StopGradient": Example({"x": 2.0}),
    "ReduceLogSum": Example({"x": [1.0, 2.0, 3.0]}),
    "Cast": Example({"x": [0.1, 2049.0]}, {"to": "float16"}),
    "SumTo": Example({"x": _ROWS, "like": [0.0, 0.0, 0.0]}),
    "ExpandTo": Example({"x": [1.0, 2.0], "like": [[0.0, 0.0], [0.0, 0.0]]}),
    "ReshapeTo": Example({"x": [1.0, 2.0, 3.0, 4.0], "like": [[0.0, 0.0], [0.0, 0.0]]}),
    "OverChannels": Example({"x": [1.0, 2.0], "like": [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]}),
    "SumOfChannels": Example({"x": [[1.0, 2.0], [3.0, 4.0]], "like": [0.0, 0.0]}),
    "Conv": Example({"x": _IMAGE, "kernel": _KERNEL}),
    "ConvInputAdjoint": Example({"upstream": _FLOW, "kernel": _KERNEL, "x": _IMAGE}),
    "ConvKernelAdjoint": Example({"x": _IMAGE, "upstream": _FLOW, "kernel": _KERNEL}),
    "ConvTranspose": Example({"x": _FLOW, "kernel": _KERNEL}),
    "ConvTransposeInputAdjoint": Example({"upstream": _IMAGE, "kernel": _KERNEL, "x": _FLOW}),
    "ConvTransposeKernelAdjoint": Example({"x": _FLOW, "upstream": _IMAGE, "kernel": _KERNEL}),
    "Resize": Example({"x": [1.0, 2.0, 4.0]}, _RESIZED),
    "ResizeAdjoint": Example({"upstream": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "like": [0.0, 0.0, 0.0]}, _RESIZED),
    "Einsum": Example({"x1": _MATRIX, "x2": _OTHER}, {"equation": "ij,jk->ik"}),
    "Slice": Example({"x": [1.0, 2.0, 3.0, 4.0]}, _PART),
    "SliceAdjoint": Example({"x": [5.0, 6.0], "like": [0.0, 0.0, 0.0, 0.0]}, _PART),
    "Split": Example({"x": [1.0, 2.0, 3.0, 4.0]}, {"num_outputs": 2, "output": 1}),
    "SplitAdjoint": Example({"x": [5.0, 6.0], "like": [0.0, 0.0, 0.0, 0.0]}, {"num_outputs": 2, "output": 1}),
    "Concat": Example({"x1": [1.0, 2.0], "x2": [3.0]}, {"axis": 0}),
    "ConcatAdjoint": Example({"x1": [1.0, 2.0, 3.0], "x2": [0.0, 0.0], "x3": [0.0]}, {"axis": 0, "operand": 1}),
    "Gather": Example({"x": [5.0, 6.0, 7.0], "indices": [2, 0]}),
    "GatherAdjoint": Example({"x": [5.0, 6.0], "like": [0.0, 0.0, 0.0], "indices": [2, 0]}),
    "GatherElements": Example({"x": _ROWS, "indices": [[2, 0], [1, 1]]}, {"axis": 1}),
    "ScatterElements": Example({"x": [5.0, 6.0, 7.0], "indices": [2, 0], "updates": [9.0, 4.0]}, {"reduction": "max"}),
    "GatherND": Example({"x": _ROWS, "indices": [[0, 2], [1, 1]]}),
    "ScatterND": Example({"x": _ROWS, "indices": [[0, 2], [1, 1]], "updates": [7.0, 4.0]}, {"reduction": "max"}),
    **{name: Example({"x": [2.0, 5.0, 3.0]}) for name in ("Sort", "ArgMax", "ArgMin")},
    "TopK": Example({"x": [2.0, 5.0, 3.0]}, {"k": 2}),
    "SumOfTies": Example({"x": [5.0, 6.0, 7.0], "like": [1.0, 2.0, 1.0]}),
    "Trilu": Example({"x": _MATRIX}),
    "Tile": Example({"x": [1.0, 2.0]}, {"repeats": [2]}),
    "TileAdjoint": Example({"upstream": [1.0, 2.0, 3.0, 4.0], "like": [0.0, 0.0]}, {"repeats": [2]}),
    "DepthToSpace": Example({"x": [[[[1.0]], [[2.0]], [[3.0]], [[4.0]]]]}, {"blocksize": 2}),
    "SpaceToDepth": Example({"x": [[[[1.0, 2.0], [3.0, 4.0]]]]}, {"blocksize": 2}),
    "MatMul": Example({"x": _MATRIX, "y": _OTHER}),
    "MatMulLeftAdjoint": Example({"upstream": _OTHER, "y": _MATRIX, "x": _MATRIX}),
    "MatMulRightAdjoint": Example({"x": _MATRIX, "upstream": _OTHER, "y": _MATRIX}),
    "Gemm": Example({"a": _MATRIX, "b": _OTHER, "c": [1.0, -1.0]}, {"transB": 1}),
    "CofactorsAlong": Example({"x1": _MATRIX, "x2": _OTHER}),
    "Solve": Example({"a": _MATRIX, "b": [3.0, 5.0]}),
    "LayerNormalization": Example({"x": _ROWS, "scale": [1.0, 2.0, 1.0], "bias": [0.0, 0.5, 0.0]}),
    "BatchNormalization": Example(
        {"x": _MATRIX, "scale": [1.0, 2.0], "bias": [0.0, 1.0], "mean": [1.5, 2.0], "variance": [0.25, 1.0]}
    ),
    "OneHot": Example({"labels": [1, 0], "like": _ROWS}),
    "SoftmaxCrossEntropyLoss": Example({"scores": [[2.0, 1.0, -1.0], [0.0, 1.0, 3.0]], "labels": [0, 1]}),
    "NegativeLogLikelihoodLoss": Example(
        {"logarithms": [[-0.5, -1.5, -2.0], [-2.0, -0.3, -1.8]], "labels": [0, 1], "weights": [1.0, 2.0, 0.5]}
    ),
    "MeanSquaredError": Example({"x": [1.0, 2.0, 3.0], "y": [1.5, 2.0, 1.0]}),
    "Pad": Example({"x": [1.0, 2.0, 3.0]}, _PADS),
    "PadAdjoint": Example({"x": [1.0, 2.0, 3.0, 4.0, 5.0], "like": [0.0, 0.0, 0.0]}, _PADS),
    **{name: Example({"x": _IMAGE}, _WINDOW) for name in ("MaxPool", "AveragePool", "LpPool")},
    **{name: Example({"x": _IMAGE}) for name in ("GlobalMaxPool", "GlobalAveragePool")},
    "MaxPoolTies": Example({"x": _IMAGE, "pooled": [[[[3.0, 2.0], [3.0, 2.0]]]]}, _WINDOW),
    "MaxPoolAdjoint": Example({"upstream": _FLOW, "x": _IMAGE}, _WINDOW),
    "MaxPoolTangent": Example({"tangent": _IMAGE, "x": _IMAGE}, _WINDOW),
    "AveragePoolAdjoint": Example({"upstream": _FLOW, "like": _IMAGE}, _WINDOW),
    **{name: Example({"x": [1.0, 2.0, 3.0]}, {"axis": 0}) for name in ("CumSum", "CumProd")},
    "LinearRecurrence": Example({"u": [1.0, 2.0, 3.0], "x": [0.5, -1.0, 2.0]}, {"axis": 0}),
    **{name: Example({"x": _ROWS}, {"axes": [1]}) for name in ("ReduceSum", "ReduceMean", "ReduceVar", "ReduceStd")},
    "Reshape": Example({"x": _ROWS}, {"shape": [3, 2]}),
    "Squeeze": Example({"x": [[1.0], [2.0]]}),
    "Unsqueeze": Example({"x": [1.0, 2.0]}, {"axes": [0]}),
    "Expand": Example({"x": [1.0, 2.0]}, {"shape": [3, 2]}),
    **{name: Example({"x": _MATRIX}) for name in ("Cofactors", "Det", "Inverse", "Cholesky", "LogDet")},
    **{name: Example({"x": [1.0, 2.0, -1.0]}) for name in ("Softmax", "LogSoftmax")},
    **{name: Example({"x": [1.0, 2.0, -1.0]}, {"axes": [0]}) for name in ("ReduceMax", "ReduceMin")},
}  # fmt: skip

_COMPARISONS = ("Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
# Where operations of several operands, or of a tensor, have no derivative. Those of one number are looked for.
KINKS: Mapping[str, Mapping[str, Any]] = {
    **{name: {"x1": 1.0, "x2": 1.0} for name in ("Max", "Min")},
    **{name: {"x": 1.0, "y": 1.0} for name in _COMPARISONS},
    **{name: {"x": 0.0, "y": 0.0} for name in ("Pow", "Hypot", "XLogY")},
    "Atan2": {"y": 0.0, "x": 0.0},
    "PRelu": {"x": 0.0, "slope": 0.5},
    "LogAddExp": {"x": -np.inf, "y": -np.inf},
    **{name: {"x": 2.0, "y": 1.0} for name in ("Mod", "FloorDiv")},
    **{name: {"x": [1.0, 1.0, 0.0]} for name in ("Sort", "TopK")},
    "ScatterElements": {"x": [1.0, 2.0], "indices": [1], "updates": [2.0]},
    "ScatterND": {"x": [1.0, 2.0], "indices": [[1]], "updates": [2.0]},
    **{name: {"x": [[[[2.0, 2.0], [1.0, 2.0]]]]} for name in ("MaxPool", "GlobalMaxPool")},
    "LpPool": {"x": [[[[0.0, 0.0], [0.0, 0.0]]]]},
    "ReduceMax": {"x": [1.0, 1.0, 0.0]},
    "ReduceMin": {"x": [-1.0, -1.0, 0.0]},
    "ReduceL1": {"x": [0.0, 2.0]},
    "ReduceL2": {"x": [0.0, 0.0]},
    "ReduceStd": {"x": [[1.0, 1.0]]},
    "ReduceLogSumExp": {"x": [-np.inf, -np.inf]},
}


def example_of(operation: Operation) -> Example:
    """The example of an operation."""
    return _EXAMPLES.get(operation.name) or Example(_default_operands(operation))


def _default_operands(operation: Operation) -> Mapping[str, Any]:
    if not operation.is_elementwise:
        return {"x": _ROWS}
    if operation.fold:
        return {"x1": 2.0, "x2": 5.0}
    return dict(zip(operation.operands or ("x",), (0.5,) if len(operation.operands) < 2 else (3.0, 2.0), strict=True))


def example_node(operation: Operation, operands: Mapping[str, Any] | None = None) -> Node:
    """The node z of an operation's example, with these operands or its own."""
    example = example_of(operation)
    attributes, faults = read_attributes(operation, example.attributes)
    assert not faults, faults
    return Node("z", operation, tuple(operands or example.operands), attributes)


def expression_of(operation: Operation) -> str:
    """The example as an expression: z, and of it a number L to differentiate."""
    example = example_of(operation)
    if operation.is_input:
        return "L = x ^ 2"
    if operation.is_constant:
        return "z = Constant(value=3); L = x * z"
    node = example_node(operation)
    term = application(operation, [Variable(name) for name in node.inputs], node.attributes)
    z = np.shape(operation.evaluate(list(operand_arrays(example.operands).values()), node.attributes))
    return f"z = {write_text(term)}; L = {'sum(z ^ 2)' if z else 'z ^ 2'}"


def example_run(operation: Operation) -> Run:
    """Run the example forward, and backward from L, without storing it."""
    nodes = parse_expression(expression_of(operation), max_bytes=_LONGEST, max_depth=_DEEPEST)
    inputs = [node.name for node in nodes if node.operation.is_input]
    graph = assemble_graph(nodes, None, inputs, max_nodes=_MOST_NODES, max_tensor=_MOST_ELEMENTS)
    values = forward_pass(graph, operand_arrays(example_of(operation).operands))
    return Run(graph, values, backward=Backward("L", np.ones(()), backward_pass(graph, values, "L")))


def operand_arrays(operands: Mapping[str, Any]) -> dict[str, FloatArray]:
    """Operands as arrays."""
    return {name: np.asarray(given, dtype=np.float64) for name, given in operands.items()}
