"""What rules take is estimated from shapes: enough for what they allocate, and not wildly more."""

import tracemalloc
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from tests.examples import examples
from tests.tensors import each_tensor_operation, samples

LABELS = (500,)
# Operation, shapes of the operands and attributes; together they go through every rule that is declared.
CASES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("Conv", [(2, 4, 30, 30), (8, 4, 5, 5)], {}),
    ("Conv", [(2, 4, 30, 30), (8, 2, 3, 3)], {"group": 2, "pads": [2, 2, 2, 2], "strides": [2, 2]}),
    ("Conv", [(1, 8, 80, 80), (8, 8, 3, 3)], {}),
    ("ConvInputAdjoint", [(2, 8, 26, 26), (8, 4, 5, 5), (2, 4, 30, 30)], {}),
    ("ConvKernelAdjoint", [(2, 4, 30, 30), (2, 8, 26, 26), (8, 4, 5, 5)], {}),
    ("ConvTranspose", [(2, 8, 26, 26), (8, 4, 5, 5)], {}),
    ("ConvTranspose", [(2, 8, 15, 15), (8, 2, 3, 3)], {"group": 2, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("ConvTransposeInputAdjoint", [(2, 4, 30, 30), (8, 4, 5, 5), (2, 8, 26, 26)], {}),
    ("ConvTransposeKernelAdjoint", [(2, 8, 26, 26), (2, 4, 30, 30), (8, 4, 5, 5)], {}),
    ("Resize", [(2, 4, 30, 30)], {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "cubic"}),
    ("Resize", [(2, 4, 60, 60)], {"sizes": [20, 20], "axes": [2, 3], "mode": "linear", "antialias": 1}),
    ("Resize", [(20_000,)], {"scales": [2.0]}),
    ("ResizeAdjoint", [(2, 4, 60, 60), (2, 4, 30, 30)], {"scales": [1.0, 1.0, 2.0, 2.0], "mode": "linear"}),
    ("LpPool", [(2, 4, 30, 30)], {"kernel_shape": [5, 5], "p": 3}),
    *((name, [(2, 4, 30, 30)], {}) for name in ("GlobalAveragePool", "GlobalMaxPool")),
    ("MaxPool", [(2, 4, 30, 30)], {"kernel_shape": [5, 5]}),
    ("MaxPool", [(2, 4, 10, 10)], {"kernel_shape": [3, 3], "pads": [2, 2, 2, 2], "strides": [30, 30]}),
    ("MaxPoolTies", [(2, 4, 30, 30), (2, 4, 26, 26)], {"kernel_shape": [5, 5]}),
    ("MaxPoolAdjoint", [(2, 4, 26, 26), (2, 4, 30, 30)], {"kernel_shape": [5, 5]}),
    ("MaxPoolTangent", [(2, 4, 30, 30), (2, 4, 30, 30)], {"kernel_shape": [5, 5]}),
    ("AveragePool", [(2, 4, 30, 30)], {"kernel_shape": [5, 5]}),
    ("AveragePoolAdjoint", [(2, 4, 26, 26), (2, 4, 30, 30)], {"kernel_shape": [5, 5]}),
    ("Einsum", [(60, 80), (80, 70)], {"equation": "ij,jk->ik"}),
    ("Einsum", [(60, 80), (80, 70), (70, 50)], {"equation": "ij,jk,kl->il"}),
    ("Einsum", [(60, 80), (80, 70)], {"equation": "ij,jk->ijk"}),
    ("Einsum", [(400,), (400,)], {"equation": "i,j->ij"}),
    ("Einsum", [(20, 30, 40), (40, 50)], {"equation": "...ij,...jk->...ik"}),
    ("Einsum", [(300, 300)], {"equation": "ii->i"}),
    ("MatMul", [(50, 100), (20, 100, 3)], {}),
    ("MatMul", [(8, 32, 64), (64, 64)], {}),
    ("MatMul", [(20, 200, 30), (30,)], {}),
    ("MatMul", [(300,), (300, 100)], {}),
    ("MatMulLeftAdjoint", [(20, 50, 3), (20, 100, 3), (50, 100)], {}),
    ("MatMulRightAdjoint", [(50, 100), (20, 50, 3), (20, 100, 3)], {}),
    ("Gemm", [(100, 200), (200, 100), (100,)], {}),
    ("Gemm", [(200, 100), (200, 100)], {"transA": 1, "alpha": 2.0}),
    ("Det", [(60, 60)], {}),
    ("Inverse", [(60, 60)], {}),
    ("Cofactors", [(60, 60)], {}),
    ("CofactorsAlong", [(10, 6, 6), (10, 6, 6)], {}),
    ("CofactorsAlong", [(10, 3, 3), (10, 3, 3), (10, 3, 3)], {}),
    ("Solve", [(100, 100), (100, 80)], {}),
    ("Solve", [(100, 100), (100,)], {}),
    ("CumProd", [(3000,)], {"axis": 0}),
    ("CumProd", [(50, 300)], {"axis": 0}),
    ("LinearRecurrence", [(50, 300), (50, 300)], {"axis": 0}),
    ("Softmax", [(100, 200)], {}),
    ("ReduceProd", [(100, 200)], {}),
    ("ReduceLogSumExp", [(100, 200)], {"axes": [0]}),
    ("ReduceMax", [(100, 200)], {}),
    ("ReduceVar", [(100, 200)], {}),
    ("LayerNormalization", [(100, 200), (200,), (200,)], {}),
    ("BatchNormalization", [(20, 50, 20), (50,), (50,), (50,), (50,)], {}),
    ("SoftmaxCrossEntropyLoss", [(500, 40), LABELS], {}),
    ("Gather", [(1000, 20), LABELS], {}),
    ("Sort", [(100, 200)], {}),
    ("TopK", [(20_000,)], {"k": 5}),
    ("SumOfTies", [(100, 200), (100, 200)], {}),
    ("ArgMax", [(100, 200)], {}),
    ("GatherElements", [(10_000,), LABELS], {}),
    ("ScatterElements", [(10_000,), LABELS, LABELS], {"reduction": "add"}),
    ("ScatterElements", [(500,), LABELS, LABELS], {"reduction": "mul"}),
    ("ScatterElements", [(10_000,), LABELS, LABELS], {"reduction": "max"}),
    ("Tile", [(100, 200)], {"repeats": [2, 3]}),
    ("TileAdjoint", [(200, 600), (100, 200)], {"repeats": [2, 3]}),
    ("Trilu", [(100, 200)], {}),
    ("DepthToSpace", [(2, 16, 20, 20)], {"blocksize": 2}),
    ("Pad", [(100, 200)], {"pads": [10, 10, 20, 20]}),
    *((name, [(20_000,)], {}) for name in ("Exp", "Erf", "Sigmoid", "Softplus", "Elu", "Clip", "Gelu")),
    *((name, [(20_000,), (20_000,)], {}) for name in ("Add", "Pow", "LogAddExp", "Atan2", "Max", "Mean")),
    ("Mul", [(200, 1), (1, 200)], {}),
]


def peak_of(compute: Callable[[], Any]) -> float:
    """The most numbers that are held at once while it is computed, the result included."""
    with np.errstate(all="ignore"):
        compute()  # what is cached is not counted
        tracemalloc.start()
        try:
            kept = compute()  # noqa: F841 (held while it is measured)
            return tracemalloc.get_traced_memory()[1] / 8
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(("name", "shapes", "chosen"), CASES, ids=lambda part: part if isinstance(part, str) else "")
def test_what_a_rule_holds_is_bounded_closely(name: str, shapes: list[tuple[int, ...]], chosen: dict[str, Any]) -> None:
    operation, random = operation_of(name), np.random.default_rng(1)
    attributes = {
        each.name: each.read(chosen[each.name]) if each.name in chosen else each.default
        for each in operation.attributes
    }
    figures = [
        random.integers(0, 10, shape).astype(float) if shape == LABELS else random.random(shape) + 0.5
        for shape in shapes
    ]
    value = np.asarray(operation.evaluate(figures, attributes))
    upstream, size = np.ones(value.shape), sum(map(prod, shapes)) + value.size

    def contributions() -> Any:
        if not operation.is_elementwise:
            return operation.propagate(upstream, figures, value, attributes)
        return [upstream * local for local in operation.differentiate(figures, value, attributes)]

    forward = operation.work_of_value(shapes, value.shape, attributes)
    backward = operation.work_of_contributions(shapes, value.shape, attributes)
    for work, peak in (
        (forward.elements + value.size, peak_of(lambda: operation.evaluate(figures, attributes))),
        (backward.elements, peak_of(contributions)),
    ):
        assert peak <= work + 0.02 * size + 2000
        assert work <= 6.0 * (peak + size)
    assert forward.operations > 0 and backward.operations > 0


@each_tensor_operation
@settings(max_examples=examples(10))
@given(data=st.data())
def test_every_operation_is_weighed_at_whatever_shapes_it_takes(operation: Operation, data: st.DataObject) -> None:
    sample = data.draw(samples(operation))
    shapes = [operand.shape for operand in sample.operands]
    shape = tuple(operation.infer_shape(shapes, sample.attributes))
    for work in (operation.work_of_value, operation.work_of_contributions):
        operations, elements = work(shapes, shape, sample.attributes)
        assert 0 < operations < 1e9 and 0 <= elements < 1e7


def test_padding_counts_although_hardly_a_window_fits() -> None:
    attributes = {
        "auto_pad": "NOTSET",
        "dilations": None,
        "kernel_shape": (3, 3),
        "pads": (2, 2, 2, 2),
        "strides": (30, 30),
        "ceil_mode": 0,
    }
    assert operation_of("MaxPool").work_of_value([(1, 1, 4, 4)], (1, 1, 1, 1), attributes).elements >= 8 * 8
