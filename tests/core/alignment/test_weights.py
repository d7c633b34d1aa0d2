"""The weight of an alignment bounds what it holds at once."""

import tracemalloc

import numpy as np
import pytest

from service.core.alignment.proposing import propose_alignment
from service.core.alignment.weights import weigh_alignment
from tests.alignment_cases import Form, program, transformer


def test_what_is_larger_weighs_more() -> None:
    one, two = program(transformer()).run, program(transformer(2)).run
    small, large = weigh_alignment(one, one), weigh_alignment(two, two)
    assert small.operations < large.operations
    assert small.nbytes < large.nbytes


@pytest.mark.slow
def test_the_weight_bounds_the_memory() -> None:
    form = Form()
    x = form.given("x", 200, 300)
    for layer in range(6):
        x = form(f"bent{layer}", "Tanh", form(f"product{layer}", "MatMul", x, form.given(f"w{layer}", 300, 300)))
    form("loss", "ReduceMean", x, keepdims=0)
    baseline, candidate = program(form).run, program(form, 1).run
    weight = weigh_alignment(baseline, candidate)
    tracemalloc.start()
    try:
        found = propose_alignment(baseline, candidate, {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not np.count_nonzero(found.partners < 0)
    assert peak <= weight.nbytes <= 6.0 * peak
