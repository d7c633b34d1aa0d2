"""Products of matrices, and what is solved or factored."""

import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from service.recorders.jax.program import Step
from service.recorders.jax.terms import Applied, NoOperation, Operand, apply, reshape, transpose


def product(step: Step) -> Applied:
    """A MatMul where it is one, else an Einsum."""
    x, y = step.operands
    (left, right), (batch_left, batch_right) = step.parameters["dimension_numbers"]
    ranks, batch = (len(x.shape), len(y.shape)), list(range(len(batch_left)))
    if (list(batch_left), list(batch_right)) == (batch, batch) and (list(left), list(right)) == (
        [ranks[0] - 1],
        [len(batch)],
    ):
        if ranks[1] == len(batch) + 2 and (ranks[0] == len(batch) + 2 or not batch):
            return apply("MatMul", x, y)
        if not batch and ranks[1] == 1:
            return apply("MatMul", x, y)
    letters = iter("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    first = [next(letters) for _ in x.shape]
    second = [next(letters) for _ in y.shape]
    for one, other in (*zip(left, right, strict=True), *zip(batch_left, batch_right, strict=True)):
        second[other] = first[one]
    rest_of_first = [name for axis, name in enumerate(first) if axis not in (*left, *batch_left)]
    rest_of_second = [name for axis, name in enumerate(second) if axis not in (*right, *batch_right)]
    result = [*(first[axis] for axis in batch_left), *rest_of_first, *rest_of_second]
    return apply("Einsum", x, y, equation=f"{''.join(first)},{''.join(second)}->{''.join(result)}")


def cholesky(step: Step) -> Applied:
    """The factor of a matrix that is made symmetric first: else JAX's gradient is that of one triangle."""
    begins = [equation.primitive.name for equation in step.parameters["jaxpr"].eqns[:4]]
    if begins != ["transpose", "add", "div", "cholesky"] or jnp.triu(step.results[0].value, 1).any():
        raise NoOperation("an upper factor, or one of a matrix that is not made symmetric")
    return apply("Cholesky", *step.operands)


def triangular_solve(step: Step) -> Operand:
    """a x = b with a triangular; x a = b is its transpose."""
    a, b = step.operands
    given = step.parameters
    if given["unit_diagonal"]:
        raise NoOperation("a diagonal of ones that is not read")
    swapped = [*range(len(a.shape) - 2), len(a.shape) - 1, len(a.shape) - 2]
    triangle: Operand = apply("Trilu", a, upper=int(not given["lower"]))
    if bool(given["transpose_a"]) == bool(given["left_side"]):
        triangle = transpose(triangle, swapped)
    if given["left_side"]:
        return apply("Solve", triangle, b)
    return transpose(apply("Solve", triangle, transpose(b, swapped)), swapped)


def linear_solve(step: Step) -> Operand:
    """The solution of a x = b where what is solved is a product with a matrix, as in jnp.linalg.solve: b has rows x."""
    a, b = step.operands[0], step.operands[-1]
    given = step.parameters
    known = (
        given["const_lengths"].matvec == 1 and len(step.results) == 1 and len(a.shape) == 2 and len(b.shape) in (1, 2)
    )
    if not known or not jnp.allclose(jaxpr_as_fun(given["jaxprs"].matvec)(a.value, b.value)[0], b.value @ a.value.T):
        raise NoOperation("what is solved is no matrix")
    columns = transpose(b, [1, 0]) if len(b.shape) == 2 else reshape(b, [-1, 1])
    solved = apply("Solve", a, columns)
    return transpose(solved, [1, 0]) if len(b.shape) == 2 else reshape(solved, [-1])


def logarithm_of_determinant(step: Step) -> list[Operand]:
    """Sign and logarithm."""
    if not (np.asarray(step.results[0].value) > 0).all():
        raise NoOperation("a determinant that is not positive")
    return [apply("Sign", apply("Det", *step.operands)), apply("LogDet", *step.operands)]
