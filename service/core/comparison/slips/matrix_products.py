"""The wrong factor of a matrix product transposed: W·g for Wᵀ·g; the factors may be vectors, or stacks of matrices."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip
from service.core.figures.figures import FloatArray
from service.core.rulebook.primitives import sum_to_shape
from service.core.symbolic.phrases import typed


def _wrong_transpose(evidence: Evidence) -> Guesses:
    said = "It is {}: the wrong factor is transposed."
    if evidence.node.operation.name == "MatMul" and evidence.operands:
        (x, y), names = evidence.operands, evidence.bracketed_names
        for figure, written in _products((x, names[0]), (y, names[1])):
            yield figure, said.format(written)
    for edge in evidence.edges:
        if edge.consumer.operation.name not in ("MatMul", "Gemm") or edge.operand_index > 1:
            continue
        other, name = edge.operands[1 - edge.operand_index], edge.names[1 - edge.operand_index]
        factors = (other, name), (edge.upstream, edge.upstream_of(evidence.output))
        for figure, written in (*_products(*factors), *_products(*reversed(factors))):
            if (summed := _summed(figure, evidence.expected.shape)) is not None:
                yield evidence.replaced(edge, summed), said.format(written)


def _products(first: tuple[FloatArray, str], second: tuple[FloatArray, str]) -> Iterator[tuple[Any, str]]:
    """The products of two factors, transposed or not, where their shapes fit, and how each is written."""
    for turned in product((False, True), repeat=2):
        factors, written = [], []
        for (figure, name), turn in zip((first, second), turned, strict=True):
            factors.append(np.swapaxes(figure, -1, -2) if turn and figure.ndim > 1 else figure)
            written.append(f"{name}ᵀ" if turn and figure.ndim > 1 else f"{name}")
        try:
            yield np.matmul(*factors), typed(" @ ".join(written))
        except ValueError:
            continue


def _summed(figure: FloatArray, shape: tuple[int, ...]) -> FloatArray | None:
    """The sum over what an operand of that shape was broadcast to; None for a figure of another shape."""
    try:
        fits = np.broadcast_shapes(figure.shape, shape) == figure.shape
    except ValueError:
        return None
    return np.asarray(sum_to_shape(figure, shape)) if fits else None


MATRIX_PRODUCT_SLIPS: tuple[Slip, ...] = (("wrong factor transposed", _wrong_transpose),)
