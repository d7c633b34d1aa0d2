"""Probes: other figures for the Inputs, at which two programs are told apart.

They are scaled from the given ones, so that domains hold: a sign, a zero, an infinity, an order of magnitude, the
interval from −1 to 1, rows that sum to 1 and a symmetric matrix stay. Masks of 0 and 1, and whole numbers that choose
(indices, labels), are left as they are.
"""

from typing import Any

import numpy as np

from service.core.figures.figures import BoolArray, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back

# Where a whole number chooses rather than counts, and what passes such a number on.
_CHOOSING = frozenset({"Equal", "NotEqual", "And", "Or", "Not", "OneHot"})
_PASSING = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Mul",
        "Reshape",
        "Slice",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)


def choosing(graph: Graph) -> BoolArray:
    """Which nodes are used as an index, a label or a condition, themselves or by way of what only rearranges them."""

    def contributions(position: int, chooses: bool) -> list[bool | None]:
        operation = graph.nodes[position].operation
        every = operation.name in _CHOOSING or (chooses and operation.name in _PASSING)
        chosen = (True,) if operation.name == "Where" else operation.indices
        return [
            every or (place < len(chosen) and chosen[place]) or None for place in range(len(graph.operands[position]))
        ]

    found = sweep_back(
        graph, {}, contributions, add=lambda position, one, other: one, settle=lambda position, found: bool(found)
    )
    chooses = np.zeros(len(graph), dtype=bool)
    chooses[list(found)] = True
    return chooses


def is_kept(figure: FloatArray, chooses: bool) -> bool:
    """Whether a probe must leave an Input's figure as it is."""
    if chooses and bool((figure == np.rint(figure)).all()):
        return True
    return figure.size > 1 and bool(((figure == 0) | (figure == 1)).all()) and bool(figure.any())


def probe(figure: FloatArray, generator: np.random.Generator, spread: float) -> FloatArray:
    """A random figure like the given one, of its shape; `spread` says how far from it."""
    drawn = generator.standard_normal(figure.shape)
    if _is_symmetric(figure):
        drawn = (drawn + np.swapaxes(drawn, -1, -2)) / np.sqrt(2.0)
    if not figure.any():
        return spread * np.abs(drawn)
    with np.errstate(all="ignore"):
        factor = np.exp(spread * drawn)
        within = figure.ndim and bool((np.abs(figure) <= 1).all())
        scaled = np.sign(figure) * np.abs(figure) ** factor if within else figure * factor
        if within and figure.shape[-1] > 1 and bool((figure >= 0).all()):
            total = figure.sum(axis=-1, keepdims=True)
            if np.allclose(total, 1.0, rtol=0, atol=1e-6):
                scaled = scaled / scaled.sum(axis=-1, keepdims=True)
    result: FloatArray = np.asarray(np.where(np.isfinite(figure), scaled, figure), dtype=np.float64)
    return result


def _is_symmetric(figure: Any) -> bool:
    square = figure.ndim >= 2 and figure.shape[-1] == figure.shape[-2] > 1
    return square and bool((figure == np.swapaxes(figure, -1, -2)).all())
