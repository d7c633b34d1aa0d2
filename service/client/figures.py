"""Figures in the service's documents, and as NumPy has them."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Document: TypeAlias = Mapping[str, Any]
Figure: TypeAlias = np.float64 | NDArray[np.float64]


def read_figure(document: Any, shape: tuple[int, ...] | None = None) -> Figure | None:
    """Read a figure: np.float64 for a scalar, else an array; NumPy parses NaN, Infinity and -Infinity.

    `shape` is that of a figure without elements, of which lists do not tell. None for null, and for a tensor, which
    stands in place of its numbers.
    """
    if document is None or isinstance(document, dict):
        return None
    array = np.array(document, dtype=np.float64)
    figure: Figure = array.reshape(array.shape if array.size or shape is None else shape)[()]
    return figure


def read_figures(document: Document | None) -> dict[str, Figure | None]:
    """Read figures by name; none from null."""
    return {name: read_figure(figure) for name, figure in (document or {}).items()}
