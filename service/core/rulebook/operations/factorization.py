"""The Cholesky factor, and the logarithm of the determinant."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.linear_algebra import cubic, square_shape
from service.core.rulebook.operations.rearranging import trilu
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import Workload


@rulebook_function
def cholesky(x: Any) -> Any:
    """Return the lower triangular L with L·Lᵀ = (x + xᵀ)/2; NaN where x has an element that is not finite.

    Raises ValueError where a matrix is not positive definite.
    """
    finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
    symmetric = 0.5 * (x + np.matrix_transpose(x))
    factor = np.linalg.cholesky(np.where(finite, symmetric, np.eye(x.shape[-1])))
    return np.where(finite, factor, np.nan).astype(x.dtype, copy=False)


def _cholesky_contributions(upstream: Any, x: Any, z: Any) -> Any:
    """With Φ a matrix's lower triangle, its diagonal halved, the gradient is L⁻ᵀ·(Φ + Φᵀ)·L⁻¹/2 of Φ(Lᵀ·upstream)
    (Murray, Differentiation of the Cholesky decomposition, 2016)."""
    transposed = np.matrix_transpose(z)
    product = np.matmul(transposed, trilu(upstream, 0, 0))
    twice = trilu(product, 0, 0) + trilu(product, -1, 0)
    from_left = np.linalg.solve(transposed, twice + np.matrix_transpose(twice))
    return (0.25 * np.linalg.solve(transposed, np.matrix_transpose(from_left)),)


def _cholesky_magnitude(x: Any, z: Any) -> Any:
    """|L|·tril(|L⁻¹|·|L|·|Lᵀ|·|L⁻ᵀ|): by how much a factor moves that solves for a neighbour of x."""
    size, inverse = np.abs(z), np.abs(np.linalg.inv(z))
    spread = inverse @ size
    return size @ np.tril(spread @ np.matrix_transpose(spread))


def _cholesky_contribution_magnitudes(upstream: Any, x: Any, z: Any) -> Any:
    size, inverse = np.abs(z), np.abs(np.linalg.inv(z))
    product = np.matrix_transpose(size) @ np.tril(np.abs(upstream))
    spread = np.matrix_transpose(inverse @ size)
    flow = np.matrix_transpose(inverse) @ (product + np.matrix_transpose(product)) @ inverse
    return (spread @ (spread @ flow @ np.matrix_transpose(spread)) @ np.matrix_transpose(spread),)


define(
    "Cholesky",
    "x",
    forward=cholesky,
    contributions=_cholesky_contributions,
    infer_shape=square_shape,
    work=Workload(cubic(1e3, 0.1, 3.0), cubic(3e3, 0.6, 6.0)),
    rounding=Rounding(value=_cholesky_magnitude, contributions=_cholesky_contribution_magnitudes),
    analytic=False,
    wording=Wording(notation=function("cholesky")),
)


@rulebook_function
def log_determinant(x: Any) -> Any:
    """Return log det x: minus infinity of a singular matrix, NaN where the determinant is negative."""
    sign, logarithm = np.linalg.slogdet(x)
    return np.where(sign < 0.0, np.nan, logarithm)[()]


def _log_determinant_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    return square_shape(shapes, attributes)[:-2]


def _log_determinant_terms(upstream: Any, x: Any, z: Any) -> Any:
    inverse = np.abs(np.linalg.inv(x))
    return (np.abs(upstream)[..., None, None] * np.matrix_transpose(inverse @ np.abs(x) @ inverse),)


define(
    "LogDet",
    "x",
    forward=log_determinant,
    contributions=lambda upstream, x, z: (np.expand_dims(upstream, (-2, -1)) * np.matrix_transpose(np.linalg.inv(x)),),
    infer_shape=_log_determinant_shape,
    work=Workload(cubic(1e3, 0.1, 0.0), cubic(1e3, 0.25, 3.0)),
    rounding=Rounding(
        value=lambda x, z: np.sum(np.abs(x * np.matrix_transpose(np.linalg.inv(x))), axis=(-2, -1)),
        contributions=_log_determinant_terms,
    ),
    analytic=False,
    wording=Wording(notation=function("logdet", r"\ln\det", "ln det")),
)
