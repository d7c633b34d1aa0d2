"""The weight of a chunk bounds what is held while it is computed, closely."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from service.core.figures import buffers
from service.core.figures.figures import FloatArray
from service.core.sweeps.axes import Axis, Linspace, Normal
from service.core.sweeps.chunks import compute_chunk, points_at_once
from service.core.sweeps.planning import plan_sweep
from service.core.sweeps.weights import weigh_chunk, weigh_sweep
from tests.passes import graph_of

CHAIN = "; ".join(["h0 = w*x + b", *(f"h{k} = tanh(h{k - 1}*w + b) + sin(x*{k})" for k in range(1, 40)), "F = h39^2"])
SWEEPS: dict[str, tuple[str, dict[str, Axis | FloatArray], Any]] = {
    "small": ("F(x, w) = w * x", {"x": Linspace(0.0, 1.0, 200), "w": Linspace(0.0, 1.0, 50)}, {}),
    "not finite": ("F(x) = 1 / (x - x)", {"x": Linspace(0.0, 1.0, 10_000)}, {"gradients": True}),
    "spread": ("F(x) = x ^ 9", {"x": Normal(0.0, 1e20, 10_000)}, {"gradients": True}),
    "chain": (CHAIN, {"x": Linspace(0.0, 1.0, 10_000), "w": np.array(1.0), "b": np.array(1.0)}, {"gradients": True}),
    "tensors": ("F(x, w) = sum((x @ x * w) ^ 2)", {"x": np.ones((300, 300)), "w": Linspace(0.0, 1.0, 3)}, {}),
    "data": (
        "F(x, w, b) = mean((tanh(w * x + b) - x) ^ 2)",
        {"x": np.ones((20, 50)), "w": Linspace(0.0, 1.0, 300), "b": np.array(1.0)},
        {"gradients": True},
    ),
    "reduced": ("F(x) = tanh(x)", {"x": Linspace(0.0, 1.0, 10**6)}, {"gradients": True, "reduce": ["mean"]}),
    "checks": ("F(x) = tanh(x) * x", {"x": Linspace(0.0, 1.0, 20)}, {"check": True}),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_the_weight_of_a_chunk_bounds_its_memory(name: str) -> None:
    expression, inputs, options = SWEEPS[name]
    graph = graph_of(expression)
    sweep = plan_sweep(graph, inputs, **options)
    compute_chunk([graph], sweep, 0)
    buffers._free.clear()  # or large vectors would cost nothing
    tracemalloc.start()
    try:
        compute_chunk([graph], sweep, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    weight = weigh_chunk([graph], sweep)
    assert peak <= weight.nbytes <= 5 * peak + 4_000_000


def test_a_sweep_weighs_as_its_chunks_one_after_the_other() -> None:
    graph = graph_of(CHAIN)
    small, large = (
        plan_sweep(graph, {"x": Linspace(0.0, 1.0, count), "w": np.array(1.0), "b": np.array(1.0)})
        for count in (10_000, 10**9)
    )
    assert weigh_sweep([graph], large).operations == pytest.approx(1e5 * weigh_sweep([graph], small).operations)
    assert (
        weigh_sweep([graph], large).nbytes == weigh_sweep([graph], small).nbytes == weigh_chunk([graph], small).nbytes
    )


def test_a_block_of_a_large_graph_has_fewer_points() -> None:
    assert points_at_once([()] * 100) > 10_000 > points_at_once([()] * 2000) > points_at_once([(10,)] * 2000) > 200


def test_a_chunk_takes_about_a_second() -> None:
    x: dict[str, Axis | FloatArray] = {"x": Linspace(0.0, 1.0, 10**6)}
    assert plan_sweep(graph_of("F(x) = tanh(x)"), x, gradients=True).chunk == 10_000
    assert plan_sweep(graph_of("F(x) = tanh(x)"), x, reduce=["min"]).chunk == 100_000
    wide = graph_of("; ".join(f"h{number} = x + {number}" for number in range(500)))
    assert len(compute_chunk([wide], plan_sweep(wide, x), 0)) < 20_000_000
    assert 50 < plan_sweep(graph_of("F(x) = tanh(x)"), x, check=True).chunk < 2_000
    product = graph_of("F(w, x) = sum(w @ w) * x")
    assert 1 <= plan_sweep(product, {"w": np.ones((1000, 1000)), **x}).chunk < 10
    assert plan_sweep(product, {"w": np.ones((1000, 1000)), **x}, chunk=77).chunk == 77
