"""What sweeps are for, over HTTP and in the worker processes of a service: a loss landscape with its gradients, and two
implementations of one function, at a million points each."""

import io

import numpy as np
import pytest
import requests

from service.client import Client

pytestmark = pytest.mark.slow

SIDE = 1000


def test_the_loss_landscape_of_a_neuron(service_url: str) -> None:
    """(tanh(w·x + b) − y)² over w and b has a valley where w·x + b = artanh y, and a gradient that points out of it."""
    x, y = 0.8, 0.5
    w, b = np.meshgrid(np.linspace(-4, 4, SIDE), np.linspace(-2, 2, SIDE), indexing="ij")
    with Client(service_url) as service:
        graph = service.create_graph("neuron's loss", expression="s = w*x + b; loss = (tanh(s) - y)^2")
        axes = {"w": {"linspace": [-4, 4, SIDE]}, "b": {"linspace": [-2, 2, SIDE]}}
        sweep = service.create_sweep(graph, {**axes, "x": x, "y": y}, gradients=True).result()
    assert sweep.points == sweep.computed == SIDE**2

    path = f"{service_url}/v1/sweeps/{sweep.id}"
    answer = requests.get(f"{path}/points", headers={"Accept": "application/x-npz"}, timeout=60)
    with np.load(io.BytesIO(answer.content)) as kept:
        assert np.array_equal(kept["at/w"], w.ravel()) and np.array_equal(kept["at/b"], b.ravel())
        loss, along_w, along_b = (kept[f"figures/{name}"] for name in ("loss", "dloss/dw", "dloss/db"))
    activation = np.tanh(w * x + b).ravel()
    slope = 2 * (activation - y) * (1 - activation**2)
    np.testing.assert_allclose(loss, (activation - y) ** 2, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(along_b, slope, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(along_w, slope * x, rtol=1e-12, atol=1e-14)

    least = sweep.reduced["loss"].min
    assert least is not None and (least.value, least.point) == (loss.min(), loss.argmin())
    assert least.at["w"] * x + least.at["b"] == pytest.approx(np.arctanh(y), abs=1e-3)
    assert sweep.reduced["loss"].mean == pytest.approx(loss.mean(), rel=1e-12) and not sweep.nonfinite

    picture = requests.get(f"{path}/picture?of=dloss/dw&x=w&y=b", timeout=60)
    assert picture.status_code == 200 and picture.headers["Content-Type"].startswith("image/svg+xml")
    assert len(picture.content) < 1_000_000


def test_two_implementations_of_softplus_part_where_the_exponential_overflows(service_url: str) -> None:
    x = np.linspace(-1000, 1000, SIDE**2)
    with np.errstate(over="ignore"):
        naive = np.log(1 + np.exp(x))
    first = int(np.flatnonzero(np.isinf(naive))[0])
    with Client(service_url) as service:
        service.create_graph("softplus", expression="F = log(1 + exp(x))")
        service.create_graph("softplus, stable", expression="F = max(x, 0) + log1p(exp(-abs(x)))")
        axis = {"x": {"linspace": [-1000, 1000, SIDE**2]}}
        sweep = service.create_sweep("softplus", axis, against="softplus, stable", reduce=["nonfinite"]).result()
    parted = sweep.parted["against F"]
    assert parted.first is not None and (parted.first.point, parted.first.at) == (first, {"x": x[first]})
    assert parted.points == len(x) - first
    assert (sweep.nonfinite[0].point, sweep.nonfinite[0].figure, sweep.nonfinite[0].value) == (first, "F", np.inf)


def test_a_sweep_of_a_network_takes_more_memory_than_a_thread_may(service_url: str) -> None:
    weights = np.ones((1100, 1000), dtype=np.float32)
    with Client(service_url) as service:
        digest = service.put_tensor(weights)
        service.create_graph("wide", expression="F = mean(tanh(w * s))", weights={"w": digest})
        sweep = service.create_sweep("wide", {"s": {"values": [-1, 0, 2]}}).result()
        assert [point.figures["F"] for point in service.list_sweep_points(sweep)] == pytest.approx(np.tanh([-1, 0, 2]))
