"""Hypothesis strategies for operands of the operations of linear algebra."""

import numpy as np
from hypothesis import strategies as st

from service.core.figures.figures import FloatArray, Shape
from tests.tensor_cases import broadcasting
from tests.tensors import Drawn, arrays, draws, lengths, operation_of, shapes


@st.composite
def factors(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Shapes for a matrix product: vectors, matrices, and stacks of them that broadcast."""
    rows, inner, columns = (draw(lengths()) for _ in range(3))
    batch = draw(shapes(most=2))
    x, y = (tuple(draw(st.sampled_from([length, 1])) for length in batch) for _ in range(2))
    x, y = (one[draw(st.integers(0, len(one))) :] for one in (x, y))
    left = (inner,) if draw(st.booleans()) and draw(st.booleans()) else (*x, rows, inner)
    right = (inner,) if draw(st.booleans()) and draw(st.booleans()) else (*y, inner, columns)
    return left, right


@draws("MatMul")
def _matmul(draw: st.DrawFn) -> Drawn:
    return draw(factors()), {}


@draws("MatMulLeftAdjoint")
def _matmul_left(draw: st.DrawFn) -> Drawn:
    x, y = draw(factors())
    return [operation_of("MatMul").infer_shape([x, y], {}), y, x], {}


@draws("MatMulRightAdjoint")
def _matmul_right(draw: st.DrawFn) -> Drawn:
    x, y = draw(factors())
    return [x, operation_of("MatMul").infer_shape([x, y], {}), y], {}


@draws("Gemm")
def _gemm(draw: st.DrawFn) -> Drawn:
    rows, inner, columns = (draw(lengths()) for _ in range(3))
    trans_a, trans_b = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    bias = draw(st.sampled_from([None, (), (1,), (columns,), (rows, 1), (1, columns), (rows, columns)]))
    factors = [(inner, rows) if trans_a else (rows, inner), (columns, inner) if trans_b else (inner, columns)]
    numbers = st.sampled_from([1.0, -0.5, 0.0, 2.0])
    given = {"alpha": draw(numbers), "beta": draw(numbers), "transA": trans_a, "transB": trans_b}
    return [*factors, *([] if bias is None else [bias])], given


@draws("Einsum")
def _einsum(draw: st.DrawFn) -> Drawn:
    lengths_of = {letter: draw(lengths(1)) for letter in "ijk"}
    terms = draw(st.lists(st.text("ijk", max_size=3), min_size=1, max_size=3))
    found = "".join(dict.fromkeys("".join(terms)))
    result = draw(st.text(found, max_size=3)) if found else ""
    if draw(st.booleans()):
        equation = ",".join(terms) + draw(st.sampled_from(["", f" -> {result}"]))
        return [tuple(lengths_of[letter] for letter in term) for term in terms], {"equation": equation}
    # The same with an ellipsis in some of them, for axes that broadcast.
    whole, part = draw(broadcasting())
    operands, written = [], []
    for term in terms:
        place, unnamed = draw(st.integers(0, len(term))), draw(st.sampled_from([None, whole, part]))
        named = [tuple(lengths_of[letter] for letter in half) for half in (term[:place], term[place:])]
        operands.append((*named[0], *(unnamed or ()), *named[1]))
        written.append(term if unnamed is None else f"{term[:place]}...{term[place:]}")
    place = draw(st.integers(0, len(result)))
    dots = "..." * any("." in term for term in written)
    return operands, {"equation": f"{','.join(written)}->{result[:place]}{dots}{result[place:]}"}


def square(draw: st.DrawFn) -> Shape:
    """A stack of square matrices."""
    return (*draw(shapes(most=1)), *[draw(lengths(most=3))] * 2)


@draws("MatrixTranspose")
def _matrix_transpose(draw: st.DrawFn) -> Drawn:
    return [draw(shapes(least=2))], {}


@draws("Det", "Inverse", "Cofactors")
def _of_a_matrix(draw: st.DrawFn) -> Drawn:
    return [well_conditioned(draw, square(draw))], {}


@draws("Cholesky", "LogDet")
def _of_a_definite_matrix(draw: st.DrawFn) -> Drawn:
    shape = square(draw)
    x = np.asarray(draw(arrays(shape)))
    return [x @ np.matrix_transpose(x) + 2.0 * np.eye(shape[-1])], {}


@draws("CofactorsAlong")
def _cofactors_along(draw: st.DrawFn) -> Drawn:
    shape = square(draw)
    return [shape] * draw(st.integers(2, 3)), {}


@draws("Solve")
def _solve(draw: st.DrawFn) -> Drawn:
    a = square(draw)
    columns = (a[-1], draw(lengths()))
    right = draw(st.sampled_from([columns, (*a[:-2], *columns), (2, *a[:-2], *columns)]))
    return [well_conditioned(draw, a), (a[-1],) if len(a) == 2 and draw(st.booleans()) else right], {}


def well_conditioned(draw: st.DrawFn, shape: Shape) -> FloatArray:
    """Matrices far from any singular one."""
    return np.asarray(draw(arrays(shape)) + 5.0 * np.eye(shape[-1]))
