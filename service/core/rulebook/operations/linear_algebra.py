"""Functions of square matrices and stacks of them: determinant, inverse, solution of linear equations."""

from collections.abc import Sequence
from itertools import permutations
from math import perm, prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.notation import ATOM, OPEN, POWER, PRODUCT, Notation, function, row
from service.core.rulebook.operation import EXACT, Attributes, Rounding
from service.core.rulebook.operations.broadcasting import sum_to
from service.core.rulebook.operations.matmul import matmul_left_adjoint
from service.core.rulebook.registry import Wording, define, operands_only, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload, WorkRule


def square_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    """Return the shape of a square matrix, or of a stack of them; raises ValueError for another."""
    (shape,) = shapes
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError("expected a square matrix or a stack of them")
    return shape


def _transposed_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    (shape,) = shapes
    if len(shape) < 2:
        raise ValueError("expected a matrix or a stack of them")
    return (*shape[:-2], shape[-1], shape[-2])


def cubic(each: float, cubic: float, arrays: float) -> WorkRule:
    """Of `each` + `cubic` · n³ operations for each matrix of a stack, and so many arrays of all of them at once."""

    def work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
        n, size = shapes[0][-1], prod(shapes[0])
        return Work(CALL + prod(shapes[0][:-2]) * (each + cubic * n**3) + 5.0 * size, arrays * size)

    return work


define(
    "MatrixTranspose",
    "x",
    forward=np.matrix_transpose,
    contributions=lambda upstream, x, z: (np.matrix_transpose(upstream),),
    infer_shape=_transposed_shape,
    linear=True,
    rounding=EXACT,
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
    finite, u, s, vt = _decomposed(x)
    before, after = _running_products(s)
    others = before * after
    sign = np.rint(np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    return np.where(finite, sign * np.matmul(u * others[..., None, :], vt), np.nan).astype(x.dtype, copy=False)


def _decomposed(x: Any) -> tuple[Any, Any, Any, Any]:
    """Return where matrices are finite, and their singular value decompositions."""
    finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
    return (finite, *np.linalg.svd(np.where(finite, x, 0.0)))


def _running_products(s: Any) -> tuple[Any, Any]:
    """Return for each number the products of those before and of those after it, along the last axis."""
    ones = np.ones((*s.shape[:-1], 1), dtype=s.dtype)
    before = np.concatenate([ones, np.cumprod(s, axis=-1)[..., :-1]], axis=-1)[..., : s.shape[-1]]
    after = np.concatenate([ones, np.cumprod(s[..., ::-1], axis=-1)[..., :-1]], axis=-1)[..., : s.shape[-1]]
    return before, after[..., ::-1]


@rulebook_function
def cofactors_along(operands: tuple[Any, ...]) -> Any:
    """Return the derivative of the cofactors of the first matrix along each of the others.

    It is multilinear and symmetric in these, so that it is its own adjoint with respect to each. The determinant is
    linear in each row of its matrix: along m directions the cofactors change by those of the matrices in which m rows
    are replaced by rows of the directions, one of each, except within these rows.
    """
    x, direction, *others = operands
    if not others:
        return _cofactors_along_one(x, direction)
    total = np.zeros(np.broadcast_shapes(*[each.shape for each in operands]), dtype=np.result_type(*operands))
    for rows in permutations(range(x.shape[-1]), len(operands) - 1):
        replaced = np.broadcast_to(x, total.shape).copy()
        for position, each in zip(rows, operands[1:], strict=True):
            replaced[..., position, :] = each[..., position, :]
        changed = cofactors(replaced)
        changed[..., rows, :] = 0.0
        total += changed
    return total


def _cofactors_along_one(x: Any, direction: Any) -> Any:
    """With x = U·diag(s)·Vᵀ and D = Uᵀ·direction·V the derivative is ±U·M·Vᵀ, where Mᵢᵢ = Σⱼ pᵢⱼDⱼⱼ and
    Mᵢⱼ = −pᵢⱼDⱼᵢ with pᵢⱼ = ∏_{k≠i,j} sₖ for i ≠ j, and pᵢᵢ = 0."""
    finite, u, s, vt = _decomposed(x)
    before, after = _running_products(s)
    is_above = np.triu(np.ones((s.shape[-1], s.shape[-1]), dtype=bool), 1)
    between, _ = _running_products(np.where(is_above, s[..., None, :], 1.0))
    products = np.where(is_above, before[..., :, None] * between * after[..., None, :], 0.0)
    products = products + np.matrix_transpose(products)
    turned = np.matmul(np.matmul(np.matrix_transpose(u), direction), np.matrix_transpose(vt))
    inner = -products * np.matrix_transpose(turned)
    index = np.arange(s.shape[-1])
    inner[..., index, index] = np.matmul(products, np.diagonal(turned, axis1=-2, axis2=-1)[..., None])[..., 0]
    sign = np.rint(np.linalg.det(u) * np.linalg.det(vt))[..., None, None]
    changed = np.where(finite, sign * np.matmul(np.matmul(u, inner), vt), np.nan)
    return changed.astype(np.result_type(x, direction), copy=False)


define(
    "Cofactors",
    "x",
    forward=cofactors,
    contributions=lambda upstream, x, z: (cofactors_along((x, upstream)),),
    infer_shape=square_shape,
    work=Workload(cubic(2e4, 1.3, 5.0), cubic(6e4, 2.5, 12.0)),
    rounding=Rounding(value=lambda x, z: np.linalg.norm(z, axis=(-2, -1), keepdims=True) * np.ones_like(z)),
    analytic=False,
    wording=Wording(notation=function("cofactors", r"\operatorname{cof}", "cof")),
)


def _along_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    if len(shapes) < 2 or any(shape != shapes[0] for shape in shapes):
        raise ValueError("expected a matrix, or a stack of them, and directions of the same shape")
    return square_shape(shapes[:1], attributes)


def _along_contributions(upstream: Any, operands: Any, z: Any) -> Any:
    x, *directions = operands
    along = [
        cofactors_along((x, *directions[:position], upstream, *directions[position + 1 :]))
        for position in range(len(directions))
    ]
    return cofactors_along((x, *directions, upstream)), *along


def _along_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    """Along one direction by one decomposition, along several by one for each choice of rows."""
    n, directions = shape[-1], len(shapes) - 1
    choices = 1 if directions == 1 else perm(n, directions)
    return Work(CALL + choices * prod(shape[:-2]) * (6e4 + 2.5 * n**3), 12.0 * prod(shape))


def _along_contributions_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    more, same = (_along_work(each, shape, attributes) for each in ((*shapes, shape), shapes))
    count = len(shapes) - 1
    return Work(more.operations + count * same.operations, more.elements + (count + 1) * prod(shape))


define(
    "CofactorsAlong",
    "*x",
    forward=cofactors_along,
    contributions=_along_contributions,
    infer_shape=_along_shape,
    work=Workload(_along_work, _along_contributions_work),
    rounding=Rounding(value=lambda operands, z: np.linalg.norm(z, axis=(-2, -1), keepdims=True) * np.ones_like(z)),
    analytic=False,
    wording=Wording(aliases=["cofactors_along"]),
)

define(
    "Det",
    "x",
    forward=np.linalg.det,
    contributions=lambda upstream, x, z: (np.expand_dims(upstream, (-2, -1)) * cofactors(x),),
    infer_shape=lambda shapes, attributes: square_shape(shapes, attributes)[:-2],
    work=Workload(cubic(1e3, 0.1, 0.0), cubic(2e4, 1.3, 5.0)),
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
    infer_shape=square_shape,
    work=Workload(cubic(1e3, 0.25, 1.0), cubic(1e3, 0.25, 3.0)),
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
    square_shape([a], attributes)
    if len(b) == 1 == len(a) - 1 and a[-1] == b[0]:
        return b
    if len(b) < 2 or b[-2] != a[-1]:
        raise ValueError(f"expected a right side of {a[-1]} rows; a vector only with a single matrix")
    return (*np.broadcast_shapes(a[:-2], b[:-2]), *b[-2:])


def _solve_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    a = shapes[0]
    n, columns = a[-1], 1 if len(shapes[1]) == 1 else shape[-1]
    stack = prod(np.broadcast_shapes(a[:-2], shape[:-2]))
    return Work(CALL + stack * (1e3 + 0.1 * n * n * (n + columns)), stack * 2.0 * n * (n + columns))


def _solve_contributions_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    once, held = _solve_work(shapes, shape, attributes), sum(map(prod, shapes))
    return Work(2.0 * once.operations, 1.5 * once.elements + held)


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
    work=Workload(_solve_work, _solve_contributions_work),
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
