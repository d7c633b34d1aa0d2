"""Tensors in runs: stored once, decoded once, and there after all else is gone."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from service.core.errors import DigestMismatch, InvalidInputs, LimitExceeded, MalformedTensor
from service.core.figures.npy import write_npy
from service.core.figures.weight import Weight
from service.settings import Limits
from service.storage import tensors as storage
from service.storage.models import RunChunk
from service.usecases.context import Context
from service.usecases.deletion import delete_graph
from service.usecases.graphs import create_graph
from service.usecases.runs import create_run, get_run
from service.usecases.tensors import TensorReference, get_tensor, keep_arrays, load_tensor, put_tensor
from service.usecases.weighing import NeedsMore

WEIGHT = np.random.default_rng(5).standard_normal((40, 30)).astype(np.float32)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the tensors that were decoded for a run."""
    seen: list[str] = []
    load = storage.load_array

    def note(connection: Any, digest: str) -> Any:
        seen.append(digest)
        return load(connection, digest)

    monkeypatch.setattr(storage, "load_array", note)
    return seen


def test_a_tensor_is_decoded_once_for_many_runs_and_its_figures_are_stored_once(
    context: Context, decoded: list[str]
) -> None:
    weights = keep_arrays(context, {"W": WEIGHT, "V": WEIGHT})
    assert weights["W"] == weights["V"] == keep_arrays(context, {"W": WEIGHT})["W"]
    record, *_ = create_graph(context, "g", expression="y = x @ W + sum(V)", weights=weights, tags={})
    runs = [create_run(context, record.id, {"x": np.ones(40) * k}, tags={}) for k in range(3)]
    assert decoded == [weights["W"]]
    with context.database.read() as connection:
        sizes = select(RunChunk.run_id, func.sum(func.length(RunChunk.data))).where(RunChunk.kind == "values")
        stored = dict(connection.execute(sizes.group_by(RunChunk.run_id)).all())
    for run in runs:
        assert stored[run.record.id] == 8 * (run.values.flat.size - 2 * WEIGHT.size)
        again = get_run(context, run.record.id)
        assert again.values.flat.tobytes() == run.values.flat.tobytes()
        assert again.record.tensors == run.record.tensors != {}


def test_a_tensor_larger_than_the_cache_is_decoded_each_time_it_is_not_the_last(
    decoded: list[str], context: Context
) -> None:
    """The cache holds at most a quarter of `cache_bytes`."""
    small = Context(context.database, Limits(), cache_bytes=4 * 8 * WEIGHT.size)
    digests = keep_arrays(small, {"one": WEIGHT, "other": -WEIGHT})
    record, *_ = create_graph(small, "small", expression="y = sum(W * x)", tags={})
    for name in ("one", "one", "other", "one"):
        create_run(small, record.id, {"W": TensorReference(digests[name]), "x": np.array(2.0)}, tags={})
    assert decoded == [digests["one"], digests["other"], digests["one"]]
    assert small.tensors.size <= 8 * WEIGHT.size


def test_a_tensor_that_does_not_fit_here_is_loaded_elsewhere(context: Context) -> None:
    digest = keep_arrays(context, {"W": WEIGHT})["W"]
    record, *_ = create_graph(context, "elsewhere", expression="y = sum(W * x)", tags={})
    narrow = Context(context.database, Limits())
    narrow.granted = Weight(1e9, 8 * WEIGHT.size)
    inputs = {"W": TensorReference(digest), "x": np.array(2.0)}
    with pytest.raises(NeedsMore):
        create_run(narrow, record.id, inputs, tags={})
    assert digest not in narrow.tensors
    narrow.granted = None
    create_run(narrow, record.id, inputs, tags={})
    assert digest in narrow.tensors


def test_an_input_that_rounds_a_tensor_keeps_its_own_figures(context: Context) -> None:
    exact, rough = np.array([0.1, 0.2]), np.float32([0.1, 0.2])
    nodes = [
        {"name": "x", "operation": "Input", "attributes": {"dtype": "float32"}},
        {"name": "y", "operation": "Neg", "inputs": ["x"]},
    ]
    record, *_ = create_graph(context, "rounded", nodes=nodes, tags={})
    for array, kept in ((exact, {}), (rough, {0: keep_arrays(context, {"x": rough})["x"]})):
        reference = TensorReference(keep_arrays(context, {"x": array})["x"])
        run = create_run(context, record.id, {"x": reference}, tags={})
        assert run.record.tensors == get_run(context, run.record.id).record.tensors == kept
        np.testing.assert_array_equal(get_run(context, run.record.id).values[0], np.float32(array))


def test_tensors_outlive_the_graphs_that_name_them(context: Context) -> None:
    digest = keep_arrays(context, {"W": WEIGHT})["W"]
    record, *_ = create_graph(context, "gone", expression="y = sum(W * x)", weights={"W": digest}, tags={})
    delete_graph(context, record.id)
    again, _, new = create_graph(context, "gone", expression="y = sum(W * x)", weights={"W": digest}, tags={})
    assert new and create_run(context, again.id, {"x": np.array(1.0)}, tags={}).record.tensors
    assert load_tensor(context, get_tensor(context, digest)) == write_npy(WEIGHT)[1]


def test_what_is_no_tensor_is_refused(context: Context) -> None:
    digest, body = write_npy(WEIGHT)
    with pytest.raises(DigestMismatch, match=digest):
        put_tensor(context, "0" * 64, body)
    with pytest.raises(MalformedTensor, match="and there are"):
        put_tensor(context, digest, body[:-1])
    with pytest.raises(LimitExceeded, match="tensor_elements is 10"):
        put_tensor(Context(context.database, Limits(tensor_elements=10)), digest, body)
    record, *_ = create_graph(context, "refused", expression="y = x", tags={})
    with pytest.raises(InvalidInputs, match="there is no tensor 'sha256:0000"):
        create_run(context, record.id, {"x": TensorReference("0" * 64)}, tags={})
