"""Whose rule is contradicted, where the steps leave what the output is defined for."""

import numpy as np
import pytest

from service.core.derivatives.closer_look import CloserLook
from service.core.derivatives.finite_differences import Mover
from service.core.derivatives.gradient_point import find_points
from service.core.execution.passes import backward_pass, forward_pass
from tests.passes import arrays_of, graph_of


@pytest.mark.parametrize("least", [5e-324, 1.0])
def test_a_matrix_that_a_step_makes_singular_contradicts_nothing(least: float) -> None:
    """The longest step rounds the least number, the last of three matrices of one element, to 0."""
    graph = graph_of("y = sum(solve(A, b)) * c")
    inputs = {"A": np.full((3, 1, 1), least), "b": np.full((3, 1, 1), least), "c": least}
    values = forward_pass(graph, arrays_of(inputs))
    gradients = list(backward_pass(graph, values, "y"))
    (point,) = find_points(graph, values, "y", [0], gradients, {}, analytic=False)
    look = CloserLook(Mover(graph, values, graph.position["y"], np.ones(())), gradients)
    with np.errstate(all="ignore"):
        assert not look.has_witness(point)
