"""The weight of measuring rounding bounds what it holds at once."""

import tracemalloc

import numpy as np
import pytest

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward
from service.core.rounding.errors import rounding_errors
from service.core.rounding.weights import weigh_rounding
from tests.core.comparison.test_weights import CASES
from tests.expressions import graph_of_expression


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_it_bounds_the_memory(name: str) -> None:
    text, shapes = CASES[name]
    graph = graph_of_expression(text)
    random = np.random.default_rng(1)
    values = forward_pass(graph, {each: np.asarray(random.random(shape) + 0.5) for each, shape in shapes.items()})
    backward = Backward("y", np.ones(()), backward_pass(graph, values, "y"))
    rounding_errors(graph, values, backward, "bfloat16")  # what is cached is not counted
    tracemalloc.start()
    try:
        rounding_errors(graph, values, backward, "bfloat16")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= weigh_rounding(graph, values.shapes).nbytes <= 40 * peak
