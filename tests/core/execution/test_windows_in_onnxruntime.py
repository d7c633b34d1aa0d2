"""Convolutions, pools and Resize against ONNX Runtime's, in float32: one model holds all cases of an operation."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from service.core.figures.figures import FloatArray
from tests.tensors import evaluate

onnxruntime = pytest.importorskip("onnxruntime", reason="left to `make test-peers`")
onnx = pytest.importorskip("onnx", reason="left to `make test-peers`")

pytestmark = pytest.mark.peers

RANDOM = np.random.default_rng(0)
Case = tuple[list[Any], dict[str, Any]]  # operands, None for one that is left out, and attributes


def figures(*shape: int) -> FloatArray:
    return RANDOM.normal(size=shape).astype(np.float32).astype(np.float64)


def pools(**more: Any) -> Iterator[Case]:
    for length, kernel, dilation, stride in product((1, 4, 5, 6), (1, 2, 3), (1, 2), (1, 2, 3)):
        given = {"kernel_shape": [kernel], "dilations": [dilation], "strides": [stride], **more}
        for sides in ({"pads": [0, 0]}, {"pads": [0, kernel - 1]}, {"pads": [kernel - 1, 0]}, {"auto_pad": "VALID"}):
            if dilation * (kernel - 1) + 1 <= length + sum(sides.get("pads", ())):
                for ceil_mode in (0, 1):
                    yield [figures(1, 2, length)], {**given, **sides, "ceil_mode": ceil_mode}
        if dilation == 1 and stride <= kernel:
            for auto_pad in ("SAME_UPPER", "SAME_LOWER"):
                yield [figures(1, 2, length)], {**given, "auto_pad": auto_pad}


def convolutions() -> Iterator[Case]:
    for length, kernel, dilation, stride in product((4, 5, 7), (1, 2, 3), (1, 2), (1, 2, 3)):
        for auto_pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
            # Under SAME, ONNX Runtime refuses dilations, and has negative pads where strides leave elements out.
            if (dilation == 1 and stride <= kernel) or (auto_pad == "VALID" and dilation * (kernel - 1) < length):
                given = {"dilations": [dilation], "strides": [stride], "auto_pad": auto_pad, "group": 2}
                yield [figures(2, 4, length), figures(6, 2, kernel), figures(6)], given
    yield [figures(1, 2, 3, 4, 5), figures(3, 2, 2, 3, 2)], {"strides": [1, 2, 2], "pads": [1, 0, 1, 0, 1, 1]}


def transposed_convolutions() -> Iterator[Case]:
    for length, kernel, dilation, stride in product((1, 3), (1, 2, 3), (1, 2), (1, 2, 3)):
        span = dilation * (kernel - 1) + 1
        whole = (length - 1) * stride + span
        sides: list[dict[str, Any]] = [{"auto_pad": each} for each in ("SAME_UPPER", "SAME_LOWER", "VALID")]
        sides += [{"pads": [before, after]} for before in (0, 1) for after in (0, 1) if before + after < whole]
        sides += [{"output_padding": [added]} for added in range(stride)]
        sides += [{"output_shape": [wanted]} for wanted in (whole - 1, whole) if wanted > 0]
        for side in sides:
            given = {"dilations": [dilation], "strides": [stride], "group": 2, **side}
            yield [figures(2, 4, length), figures(4, 3, kernel), figures(6)], given


def resizes() -> Iterator[Case]:
    coordinates = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric")
    for mode, coordinate, length in product(("nearest", "linear", "cubic"), coordinates, (1, 4, 5)):
        if (mode, coordinate) == ("nearest", "half_pixel_symmetric"):
            continue  # in float32 it misses the elements themselves
        for chosen in ({"sizes": [1, 1, wanted, 3]} for wanted in (1, 3, 4, 7, 9)):
            given = {"mode": mode, "coordinate_transformation_mode": coordinate, **chosen}
            nearest = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
            further: tuple[dict[str, Any], ...] = ({}, {"exclude_outside": 1}, {"cubic_coeff_a": -0.5})
            if mode != "cubic":
                further = tuple({"nearest_mode": each} for each in nearest) if mode == "nearest" else ({},)
            for each in further:
                yield [figures(1, 1, length, 4)], {**given, **each}


CASES = {
    "MaxPool": pools,
    "AveragePool": lambda: (case for include in (0, 1) for case in pools(count_include_pad=include)),
    "LpPool": lambda: (case for order in (1, 2, 3) for case in pools(p=order)),
    "Conv": convolutions,
    "ConvTranspose": transposed_convolutions,
    "Resize": resizes,
}


@pytest.mark.parametrize("operation", CASES)
def test_figures_are_those_of_onnx_runtime(operation: str) -> None:
    cases = list(CASES[operation]())
    nodes, inputs, found = [], {}, []
    for number, (operands, given) in enumerate(cases):
        names = [f"x{number}_{position}" for position in range(len(operands))]
        inputs |= {name: operand.astype(np.float32) for name, operand in zip(names, operands, strict=True)}
        found.append(evaluate(operation, *operands, **given))
        attributes = dict(given)
        if operation == "Resize":
            names += ["", "", f"sizes{number}"]
            inputs[names[-1]] = np.array(attributes.pop("sizes"), dtype=np.int64)
        nodes.append(onnx.helper.make_node(operation, names, [f"y{number}"], **attributes))
    graph = onnx.helper.make_graph(
        nodes,
        "cases",
        [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(each.dtype), each.shape)
            for name, each in inputs.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(f"y{number}") for number in range(len(cases))],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wrong = []
    for number, expected in enumerate(session.run([f"y{number}" for number in range(len(cases))], inputs)):
        error = np.abs(found[number] - expected) if found[number].shape == expected.shape else np.array(np.inf)
        if not np.all(error <= 1e-5 * np.abs(expected).max(initial=1e-2)):
            wrong.append((cases[number][1], [np.shape(each) for each in cases[number][0]], found[number], expected))

    assert not wrong, (len(wrong), len(cases), wrong[:3])
