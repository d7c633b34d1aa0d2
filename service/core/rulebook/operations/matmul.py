"""Matrix products, as NumPy and ONNX define them."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute, flag, number
from service.core.rulebook.notation import ATOM, OPEN, POWER, PRODUCT, Notation, function, infix, row
from service.core.rulebook.operation import Attributes, Rounding
from service.core.rulebook.operations.broadcasting import sum_to
from service.core.rulebook.primitives import sum_to_shape
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload


@rulebook_function
def matmul_left_adjoint(upstream: Any, y: Any, x: Any) -> Any:
    """Return the contribution of x @ y to the gradient of x: upstream · yᵀ, summed where x was broadcast.

    Only the shape of x matters.
    """
    shape = np.shape(x)
    if y.ndim == 1:
        return sum_to_shape(np.expand_dims(upstream, -1) * y, shape)
    if len(shape) == 1:
        return sum_to_shape(np.matmul(y, np.expand_dims(upstream, -1))[..., 0], shape)
    return sum_to_shape(np.matmul(upstream, np.matrix_transpose(y)), shape)


@rulebook_function
def matmul_right_adjoint(x: Any, upstream: Any, y: Any) -> Any:
    """Return the contribution of x @ y to the gradient of y: xᵀ · upstream, summed where y was broadcast.

    Only the shape of y matters.
    """
    shape = np.shape(y)
    if x.ndim == 1:
        rows = np.expand_dims(upstream, -2) if len(shape) > 1 else upstream
        return sum_to_shape((np.expand_dims(x, -1) if len(shape) > 1 else x) * rows, shape)
    if len(shape) == 1:
        columns = np.expand_dims(upstream, -1)
        return sum_to_shape(np.matmul(np.matrix_transpose(x), columns)[..., 0], shape)
    if len(shape) == 2 < x.ndim:  # one product of tall matrices instead of a sum of small ones
        rows = prod(x.shape[:-1])
        return np.matmul(np.reshape(x, (rows, shape[0])).T, np.reshape(upstream, (rows, shape[1])))
    return sum_to_shape(np.matmul(np.matrix_transpose(x), upstream), shape)


def _matmul_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, y = shapes
    if not x or not y:
        raise ValueError("a matrix product cannot take a scalar")
    inner = y[-2] if len(y) > 1 else y[0]
    if x[-1] != inner:
        raise ValueError(f"the inner lengths {x[-1]} and {inner} differ")
    return (*np.broadcast_shapes(x[:-2], y[:-2]), *x[-2:-1], *(y[-1:] if len(y) > 1 else ()))


def _left_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    upstream, y, x = shapes
    return _adjoint_shape(upstream, (x, y), x)


def _right_adjoint_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    x, upstream, y = shapes
    return _adjoint_shape(upstream, (x, y), y)


def _adjoint_shape(upstream: Shape, operands: Sequence[Shape], like: Shape) -> Shape:
    expected = _matmul_shape(operands, {})
    if upstream != expected:
        raise ValueError(f"the upstream gradient has shape {list(upstream)}; the product has {list(expected)}")
    return like


def product_work(rows: int, inner: int, columns: int, stack: int = 1) -> float:
    """Estimate the operations of a product of matrices, or of a stack of them: about ten are done at once."""
    return CALL + stack * (100.0 + 0.1 * rows * inner * columns)


def _works(x: Shape, y: Shape, count: int, elements: Sequence[str]) -> Work:
    """Of `count` of the product x @ y and its adjoints; `elements` names what is held at once: each is summed only
    after it is computed for the whole stack."""
    rows, columns = x[-2] if len(x) > 1 else 1, y[-1] if len(y) > 1 else 1
    stack = prod(np.broadcast_shapes(x[:-2], y[:-2]))
    sizes = {
        "left": stack * rows * x[-1],
        "right": x[-1] * columns * (1 if len(y) == 2 else stack),
        "product": stack * rows * columns,
    }
    held = sum(sizes[each] for each in elements)
    return Work(count * product_work(rows, x[-1], columns, stack) + 5.0 * held, held + prod(x) + prod(y))


define(
    "MatMul",
    "x y",
    forward=np.matmul,
    contributions=lambda upstream, x, y, z: (
        matmul_left_adjoint(upstream, y, x),
        matmul_right_adjoint(x, upstream, y),
    ),
    infer_shape=_matmul_shape,
    linear=True,
    work=Workload(
        lambda shapes, shape, attributes: _works(shapes[0], shapes[1], 1, ()),
        lambda shapes, shape, attributes: _works(shapes[0], shapes[1], 2, ("left", "right")),
    ),
    wording=Wording(aliases=["@"], notation=infix("@", r"\,", PRODUCT, "\u2062"), rule="product"),
)

# MatMul and these two are bilinear; the vector-Jacobian product of each is made of the other two.
define(
    "MatMulLeftAdjoint",
    "upstream y x",
    forward=matmul_left_adjoint,
    contributions=lambda flow, upstream, y, x, z: (
        np.matmul(flow, y),
        matmul_right_adjoint(flow, upstream, y),
        None,
    ),
    infer_shape=_left_adjoint_shape,
    linear=True,
    work=Workload(
        lambda shapes, shape, attributes: _works(shapes[2], shapes[1], 1, ["left"]),
        lambda shapes, shape, attributes: _works(shapes[2], shapes[1], 2, ["product", "right"]),
    ),
    wording=Wording(
        aliases=["matmul_left_adjoint"],
        notation=Notation(
            "matmul_left_adjoint(%(all)s)",
            r"%(0)s \, %(1)s^{\top}",
            PRODUCT,
            (OPEN, OPEN, OPEN),
            (PRODUCT, ATOM, OPEN),
            row("%(0)s<mo>&#x2062;</mo><msup>%(1)s<mo>⊤</mo></msup>"),
        ),
        rule="product",
    ),
)

define(
    "MatMulRightAdjoint",
    "x upstream y",
    forward=matmul_right_adjoint,
    contributions=lambda flow, x, upstream, y, z: (
        matmul_left_adjoint(upstream, flow, x),
        np.matmul(x, flow),
        None,
    ),
    infer_shape=_right_adjoint_shape,
    linear=True,
    work=Workload(
        lambda shapes, shape, attributes: _works(shapes[0], shapes[2], 1, ["right"]),
        lambda shapes, shape, attributes: _works(shapes[0], shapes[2], 2, ["product", "left"]),
    ),
    wording=Wording(
        aliases=["matmul_right_adjoint"],
        notation=Notation(
            "matmul_right_adjoint(%(all)s)",
            r"%(0)s^{\top} \, %(1)s",
            PRODUCT,
            (OPEN, OPEN, OPEN),
            (ATOM, POWER, OPEN),
            row("<msup>%(0)s<mo>⊤</mo></msup><mo>&#x2062;</mo>%(1)s"),
        ),
        rule="product",
    ),
)

# --- Gemm -----------------------------------------------------------------------------------------------------------


def _scale(factor: float, x: Any) -> Any:
    return x if factor == 1.0 else factor * x


def _transpose_if(x: Any, transpose: int) -> Any:
    return np.transpose(x) if transpose else x


def _gemm(a: Any, b: Any, c: Any, alpha: float, beta: float, trans_a: int, trans_b: int) -> Any:
    product = _scale(alpha, np.matmul(_transpose_if(a, trans_a), _transpose_if(b, trans_b)))
    if c is None:
        return product
    addend = _scale(beta, c)
    return np.add(product, addend, out=product if np.result_type(addend) == product.dtype else None)


def _gemm_contributions(
    upstream: Any, a: Any, b: Any, c: Any, z: Any, alpha: float, beta: float, trans_a: int, trans_b: int
) -> Any:
    flow = _scale(alpha, upstream)
    # With A' and B' the factors as they are multiplied: dA' = flow · B'ᵀ, dB' = A'ᵀ · flow.
    left, right = _transpose_if(a, not trans_a), _transpose_if(b, not trans_b)
    return (
        np.matmul(np.transpose(right), np.transpose(flow)) if trans_a else np.matmul(flow, right),
        np.matmul(np.transpose(flow), np.transpose(left)) if trans_b else np.matmul(left, flow),
        None if c is None else sum_to(_scale(beta, upstream), c),
    )


def _gemm_shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    a, b = shapes[:2]
    if len(a) != 2 or len(b) != 2:
        raise ValueError("expected two matrices")
    rows, inner = a[::-1] if attributes["transA"] else a
    other, columns = b[::-1] if attributes["transB"] else b
    if inner != other:
        raise ValueError(f"the inner lengths {inner} and {other} differ")
    if shapes[2:] and np.broadcast_shapes(shapes[2], (rows, columns)) != (rows, columns):
        raise ValueError(f"shape {list(shapes[2])} does not broadcast to {[rows, columns]}")
    return rows, columns


def _gemm_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    inner = shapes[0][0 if attributes["transA"] else 1]
    size = prod(shape)
    return Work(product_work(shape[0], inner, shape[1]) + 5.0 * size, 2.0 * size)


def _gemm_contributions_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    once, sizes = _gemm_work(shapes, shape, attributes), sum(map(prod, shapes))
    return Work(2.0 * once.operations + 10.0 * sizes, sizes + 2.0 * prod(shape))


def _absolute(*figures: Any) -> list[Any]:
    return [None if figure is None else np.abs(figure) for figure in figures]


define(
    "Gemm",
    "a b c?",
    attributes=[
        Attribute("alpha", number, 1.0),
        Attribute("beta", number, 1.0),
        Attribute("transA", flag, 0),
        Attribute("transB", flag, 0),
    ],
    forward=_gemm,
    contributions=_gemm_contributions,
    infer_shape=_gemm_shape,
    work=Workload(_gemm_work, _gemm_contributions_work),
    rounding=Rounding(
        value=lambda a, b, c, z, *attributes: _gemm(*_absolute(a, b, c, *attributes)),
        contributions=lambda *given: _gemm_contributions(*_absolute(*given)),
    ),
    wording=Wording(notation=function("gemm"), rule="product"),
)
