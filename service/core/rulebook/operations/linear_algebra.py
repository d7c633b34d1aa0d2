"""Functions of square matrices and stacks of them: determinant, inverse, solution of linear equations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.notation import ATOM, OPEN, POWER, PRODUCT, Notation, function, row
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.broadcasting import sum_to
from service.core.rulebook.operations.matmul import matmul_left_adjoint
from service.core.rulebook.registry import Wording, define, operands_only, rulebook_function


def _square_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError("expected a square matrix or a stack of them")
    return shape


def _transposed_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    if len(shape) < 2:
        raise ValueError("expected a matrix or a stack of them")
    return (*shape[:-2], shape[-1], shape[-2])


define(
    "MatrixTranspose",
    "x",
    forward=np.matrix_transpose,
    contributions=lambda upstream, x, z: (np.matrix_transpose(upstream),),
    infer_shape=_transposed_shape,
    linear=True,
    symbolic={np.matrix_transpose: operands_only},
    wording=Wording(
        aliases=["matrix_transpose"],
        notation=Notation(
            "matrix_transpose(%(0)s)",
            r"%(0)s^{\top}",
            POWER,
            (OPEN,),
            (ATOM,),
            row("<msup>%(0)s<mo>⊤</mo></msup>"),
        ),
        rule="transpose",
    ),
)


@rulebook_function
def cofactors(x: Any) -> Any:
    """Return the matrix of cofactors: det(x)·x⁻ᵀ where x is invertible, and defined where it is not.

    With x = U·diag(s)·Vᵀ it is det(U)·det(V)·U·diag(∏_{j≠i} sⱼ)·Vᵀ, since the cofactor matrix of a product is the
    product of the cofactor matrices. NaN where x has an element that is not finite.
    """
    finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
    u, s, vt = np.linalg.svd(np.where(finite, x, 0.0))
    # The product of all other singular values, without a division: of those before times of those after.
    ones = np.ones((*s.shape[:-1], 1), dtype=s.dtype)
    before = np.concatenate([ones, np.cumprod(s, axis=-1)[..., :-1]], axis=-1)[..., : s.shape[-1]]
    after = np.concatenate([ones, np.cumprod(s[..., ::-1], axis=-1)[..., :-1]], axis=-1)[..., : s.shape[-1]]
    others = before * after[..., ::-1]
    sign = np.rint(np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    return np.where(finite, sign * np.matmul(u * others[..., None, :], vt), np.nan).astype(x.dtype, copy=False)


def _cofactors_contributions(upstream: Any, x: Any, z: Any) -> Any:
    # From C = det(A)·A⁻ᵀ: dC = ⟨A⁻ᵀ, dA⟩·C − C·dAᵀ·A⁻ᵀ. It needs the inverse.
    inverse = np.matrix_transpose(np.linalg.inv(x))
    along = np.sum(upstream * z, axis=(-2, -1), keepdims=True)
    return (along * inverse - np.matmul(np.matmul(inverse, np.matrix_transpose(upstream)), z),)


define(
    "Cofactors",
    "x",
    forward=cofactors,
    contributions=_cofactors_contributions,
    infer_shape=_square_shape,
    rounding=Rounding(value=lambda x, z: np.linalg.norm(z, axis=(-2, -1), keepdims=True) * np.ones_like(z)),
    analytic=False,
    wording=Wording(notation=function("cofactors", r"\operatorname{cof}", "cof")),
)

define(
    "Det",
    "x",
    forward=np.linalg.det,
    contributions=lambda upstream, x, z: (np.expand_dims(upstream, (-2, -1)) * cofactors(x),),
    infer_shape=lambda shapes, attributes: _square_shape(shapes, attributes)[:-2],
    rounding=Rounding(
        value=lambda x, z: np.sum(np.abs(x * cofactors(x)), axis=(-2, -1)),
        contributions=lambda upstream, x, z: (
            np.abs(upstream)[..., None, None]
            * np.linalg.norm(cofactors(x), axis=(-2, -1), keepdims=True)
            * np.ones_like(x),
        ),
    ),
    symbolic={np.linalg.det: operands_only},
    wording=Wording(notation=function("det", r"\det")),
)


def _inverse_contributions(upstream: Any, x: Any, z: Any) -> Any:
    # dZ = −Z·dX·Z
    transposed = np.matrix_transpose(z)
    return (-np.matmul(np.matmul(transposed, upstream), transposed),)


define(
    "Inverse",
    "x",
    forward=np.linalg.inv,
    contributions=_inverse_contributions,
    infer_shape=_square_shape,
    rounding=Rounding(
        value=lambda x, z: np.abs(z) @ np.abs(x) @ np.abs(z),
        contributions=lambda upstream, x, z: (-_inverse_contributions(np.abs(upstream), x, np.abs(z))[0],),
    ),
    symbolic={np.linalg.inv: operands_only},
    wording=Wording(
        aliases=["inv"],
        notation=Notation(
            "inv(%(0)s)",
            r"%(0)s^{-1}",
            POWER,
            (OPEN,),
            (ATOM,),
            row("<msup>%(0)s<mrow><mo>−</mo><mn>1</mn></mrow></msup>"),
        ),
        rule="inverse",
    ),
)


def _solve_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    a, b = shapes
    _square_shape([a], attributes)
    if len(b) == 1 == len(a) - 1 and a[-1] == b[0]:
        return b
    if len(b) < 2 or b[-2] != a[-1]:
        raise ValueError(f"expected a right side of {a[-1]} rows; a vector only with a single matrix")
    return (*np.broadcast_shapes(a[:-2], b[:-2]), *b[-2:])


def _solve_contributions(upstream: Any, a: Any, b: Any, z: Any) -> Any:
    # A·z = b: the gradient of b is w with Aᵀ·w = upstream, that of A is −w·zᵀ.
    flow = np.linalg.solve(np.matrix_transpose(a), upstream)
    return -matmul_left_adjoint(flow, z, a), sum_to(flow, b)


def _solve_magnitudes(upstream: Any, a: Any, b: Any, z: Any) -> Any:
    inverse = np.abs(np.matrix_transpose(np.linalg.inv(a)))
    flow = np.abs(np.linalg.solve(np.matrix_transpose(a), upstream))
    bound = inverse @ (np.abs(np.matrix_transpose(a)) @ flow)
    return matmul_left_adjoint(bound, np.abs(z), a), sum_to(bound, b)


define(
    "Solve",
    "a b",
    forward=np.linalg.solve,
    contributions=_solve_contributions,
    infer_shape=_solve_shape,
    rounding=Rounding(
        # |A⁻¹|·(|A|·|z| + |b|), Skeel's componentwise error bound (1979).
        value=lambda a, b, z: np.abs(np.linalg.inv(a)) @ (np.abs(a) @ np.abs(z) + np.abs(b)),
        contributions=_solve_magnitudes,
    ),
    symbolic={np.linalg.solve: operands_only},
    wording=Wording(
        notation=Notation(
            "solve(%(all)s)",
            r"%(0)s^{-1} \, %(1)s",
            PRODUCT,
            (OPEN, OPEN),
            (ATOM, POWER),
            row("<msup>%(0)s<mrow><mo>−</mo><mn>1</mn></mrow></msup><mo>&#x2062;</mo>%(1)s"),
        ),
        rule="solution of linear equations",
    ),
)
