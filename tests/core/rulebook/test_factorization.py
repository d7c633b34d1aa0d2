"""The Cholesky factor and the logarithm of the determinant."""

import numpy as np
import pytest

from service.core.derivatives.gradient_graph import gradient_graph
from service.core.execution.passes import backward_pass, forward_pass
from service.core.figures.figures import FloatArray
from tests.passes import graph_of
from tests.tensors import evaluate, propagate

X = np.array([[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]])


def test_the_factor_is_that_of_the_symmetric_part() -> None:
    skew = np.array([[0.0, 1.0, -2.0], [-1.0, 0.0, 0.5], [2.0, -0.5, 0.0]])
    factor = evaluate("Cholesky", X + skew)
    np.testing.assert_allclose(factor @ factor.T, X, rtol=1e-15)
    assert np.array_equal(factor, np.tril(factor))
    (gradient,) = propagate("Cholesky", np.arange(9.0).reshape(3, 3), X)
    np.testing.assert_allclose(gradient, gradient.T, rtol=1e-14)


def test_what_is_not_positive_definite_is_refused_and_nan_passes() -> None:
    with pytest.raises(ValueError, match="not positive definite"):
        evaluate("Cholesky", np.diag([1.0, -1.0]))
    stack = np.stack([X, np.full((3, 3), np.nan)])
    assert np.isnan(evaluate("Cholesky", stack)[1]).all()
    np.testing.assert_array_equal(evaluate("Cholesky", stack)[0], evaluate("Cholesky", X))


def test_the_logarithm_of_a_determinant_beyond_float64() -> None:
    wide = 1e10 * np.eye(60)
    assert evaluate("LogDet", wide) == pytest.approx(60 * np.log(1e10), rel=1e-15)
    np.testing.assert_allclose(propagate("LogDet", 1.0, wide)[0], 1e-10 * np.eye(60), rtol=1e-15)
    with np.errstate(all="ignore"):
        found = evaluate("LogDet", np.stack([np.zeros((2, 2)), np.diag([1.0, -1.0]), np.full((2, 2), np.nan)]))
    np.testing.assert_array_equal(found, [-np.inf, np.nan, np.nan])


@pytest.mark.parametrize("text", ["F = logdet(x)", "F = sum(cholesky(x) ^ 3)"])
def test_the_second_derivative_is_that_of_differences(text: str) -> None:
    """The Hessian is symmetric: its product with a matrix is the slope of the gradient along that."""
    once = gradient_graph(graph_of(text), "F", ["x"])
    along = np.array([[0.3, -1.0, 0.2], [0.5, 0.7, 0.1], [-0.4, 0.9, 1.1]])

    def gradient(x: FloatArray) -> FloatArray:
        return np.asarray(forward_pass(once, {"x": x})[once.position["dF_dx"]])

    product = backward_pass(once, forward_pass(once, {"x": X}), "dF_dx", along)[once.position["x"]]
    differences = (gradient(X + 1e-5 * along) - gradient(X - 1e-5 * along)) / 2e-5
    np.testing.assert_allclose(product, differences, rtol=1e-7, atol=1e-8)
