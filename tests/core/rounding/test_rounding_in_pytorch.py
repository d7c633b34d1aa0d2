"""What PyTorch's own rounding does to the loss of random networks, against what it may do."""

import numpy as np
import pytest

from service.core.rounding.errors import rounding_errors
from service.core.rounding.precision import ROUNDED
from tests.core.comparison.networks_in_pytorch import NETWORKS, Program
from tests.core.comparison.test_right_networks_in_pytorch import own_run
from tests.planted import graph_of

pytestmark = pytest.mark.peers

COUNT = 20


@pytest.mark.parametrize("dtype", ROUNDED)
def test_it_is_within_the_bound_and_mostly_within_what_is_likely(dtype: str) -> None:
    tried = likely = 0
    for kind in NETWORKS:
        for seed in range(COUNT):
            program = Program(seed, dtype)
            NETWORKS[kind](program)
            run = own_run(program, graph_of("; ".join(program.statements), ["L"]), "float64")
            assert run.backward
            errors = rounding_errors(run.graph, run.values, run.backward, dtype)
            loss = program.tensors["L"].item()
            if errors.overflowing.size or not np.isfinite(loss):
                continue
            seen = abs(loss - errors.value)
            assert seen <= errors.greatest_error, (kind, seed)
            tried += 1
            likely += seen <= errors.likely_error
    assert tried >= 0.7 * COUNT * len(NETWORKS)
    assert likely >= 0.9 * tried
