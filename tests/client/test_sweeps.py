"""Sweeps from Python: what their points amount to, and the points themselves, over real HTTP."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from service.client import Client, Graph, Problem, Sweep

RATIO = {"a": {"linspace": [-1, 1, 5]}, "b": {"values": [2.0, 0.0, -4.0]}}


@pytest.fixture(scope="module")
def service(service_url: str) -> Iterator[Client]:
    with Client(service_url) as client:
        yield client


@pytest.fixture(scope="module")
def graph(service: Client) -> Graph:
    return service.create_graph("client sweeps", expression="F = a / b")


@pytest.fixture(scope="module")
def sweep(service: Client, graph: Graph) -> Sweep:
    found = service.create_sweep(graph, RATIO, gradients=True).result()
    assert isinstance(found, Sweep)
    return found


def test_what_the_points_of_a_sweep_amount_to(sweep: Sweep, graph: Graph) -> None:
    assert (sweep.graph_id, sweep.mode, sweep.output, sweep.points, sweep.computed) == (graph.id, "grid", "F", 15, 15)
    assert sweep.columns == ("F", "dF/da", "dF/db") and sweep.outputs == ("F",) and sweep.reduce is None
    found = sweep.reduced["F"]
    assert found.min is not None and found.max is not None and found.nonfinite is not None
    assert (found.min.value, found.min.at, found.min.point) == (-math.inf, {"a": -1.0, "b": 0.0}, 1)
    assert (found.max.value, found.max.at) == (math.inf, {"a": 0.5, "b": 0.0})
    assert found.mean is not None and math.isnan(found.mean) and found.nonfinite["NaN"] == 1
    assert found.argmin is not None and (found.argmin.point, found.argmin.value) == (1, None)
    assert found.histogram is not None and sum(count for _, _, count in found.histogram) == 10
    assert [(odd.figure, odd.point) for odd in sweep.nonfinite[:2]] == [("F", 1), ("dF/da", 1)]
    assert sweep.parted == {} and sweep.against is None


def test_its_points_are_rows_and_columns(sweep: Sweep, service: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    points = list(service.list_sweep_points(sweep, offset=12))
    assert [(each.point, each.at["b"], each.figures["F"]) for each in points] == [
        (12, 2.0, 0.5),
        (13, 0.0, math.inf),
        (14, -4.0, -0.25),
    ]
    monkeypatch.setattr("service.client.results.sweeps._AT_ONCE", 24)  # numbers: six points
    columns = sweep.to_numpy()
    assert columns["point"].tolist() == [*range(15)] and columns.keys() == dict(next(iter(sweep.rows()))).keys()
    assert service.get_sweep_columns(sweep, offset=13)["b"].tolist() == [0.0, -4.0]
    assert list(columns) == ["point", "a", "b", "F", "dF/da", "dF/db"]
    with np.errstate(all="ignore"):
        assert np.array_equal(columns["F"], columns["a"] / columns["b"], equal_nan=True)
    assert columns["a"].tolist() == np.repeat(np.linspace(-1, 1, 5), 3).tolist()


def test_two_graphs_part_and_gradients_are_checked(service: Client, graph: Graph) -> None:
    other = service.create_graph("client sweeps, other", expression="G = a / b + max(a - 0.75, 0) / 1000")
    asked = {"a": {"linspace": [0, 1, 11]}, "b": 2.0}
    held = service.create_sweep(graph, asked, against=other, names={"F": "G"}, tolerance={"rtol": 1e-6}).result()
    (parted,) = held.parted.values()
    assert parted.figure == "F" and (parted.points, parted.first.point, parted.not_judged) == (3, 8, 0)
    assert parted.greatest_difference.at == {"a": 1.0}
    checked = service.create_sweep(graph, asked, check=True).result()
    assert [(each.points, each.first) for each in checked.parted.values()] == [(0, None)] * 2
    with pytest.raises(Problem) as refused:
        service.create_sweep(graph, asked, against=other)
    assert refused.value.errors[0]["pointer"].startswith("/against")


def test_only_what_the_points_amount_to_is_kept(service: Client, graph: Graph) -> None:
    asked = {"a": {"normal": [0, 1, 7], "seed": 3}, "b": {"uniform": [1, 2, 7]}}
    sweep = service.create_sweep(graph, asked, mode="zip", reduce=["max", "nonfinite"]).result()
    found = sweep.reduced["F"]
    assert sweep.points == 7 and sweep.reduce == ("max", "nonfinite")
    assert found.max is not None and found.min is found.mean is found.histogram is None
    with pytest.raises(Problem) as refused:
        sweep.to_numpy()
    assert refused.value.status == 409
