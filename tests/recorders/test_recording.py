"""A recording as a file: what is read back is what was saved, and what is not one is refused with the reason."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.client import Client
from service.recorders.archive import NotARecording
from service.recorders.builder import Builder
from service.recorders.recording import Recording


def neuron() -> Recording:
    """y = tanh(w * x / 0) in float32, of which w has a gradient and x has none."""
    builder = Builder()
    w = builder.input(np.float32([0.7, -0.2]), "layer.weight", "float32")
    x = builder.input(np.float32(2), "x", "float32")
    zero = builder.constant(np.float32([0.0, np.inf]))
    product = builder.add("Mul", [w, x])
    builder.record(product, np.float32([1.4, -0.4]), "float32")
    shifted = builder.add("Div", [product, zero])
    y = builder.add("Tanh", [shifted], "layer/out")
    builder.record(y, np.float32([1, -0.0]), "bfloat16")
    builder.gradients |= {y: np.float32([1, 1]), w: np.float32([np.nan, 0]), x: None}
    return Recording(**builder.members(y), name="neuron", by="a test", framework="none", versions={"none": "1"})


@pytest.fixture
def saved(tmp_path: Path) -> bytes:
    neuron().save(tmp_path / "neuron.npz")
    return (tmp_path / "neuron.npz").read_bytes()


def test_what_is_read_back_is_what_was_saved(saved: bytes, tmp_path: Path) -> None:
    read, made = Recording.load(tmp_path / "neuron.npz"), neuron()
    assert {**vars(read), "inputs": 0, "values": 0, "gradients": 0} == {
        **vars(made),
        **{"outputs": list(made.outputs), "inputs": 0, "values": 0, "gradients": 0},
    }
    for kind in ("inputs", "values", "gradients"):
        kept, given = getattr(read, kind), getattr(made, kind)
        assert kept.keys() == given.keys()
        for name in given:
            assert np.array_equal(kept[name], given[name], equal_nan=given[name] is not None)
            assert kept[name] is None or kept[name].dtype == given[name].dtype
    assert read.gradients["x"] is None
    assert read.dtype == "bfloat16"
    assert repr(read) == "Recording('neuron' by a test: 6 nodes, gradients of layer/out)"
    lacking = Recording(nodes=[{"name": "x"}], unmapped=[{"operation": "svd"}])
    assert repr(lacking).endswith("1 node, no gradients, 1 operation without a node)")
    read.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved


def test_numpy_reads_the_file_without_pickles(saved: bytes) -> None:
    with np.load(io.BytesIO(saved), allow_pickle=False) as archive:
        assert archive["values/layer/out"].tolist() == [1, 0]


def test_a_recording_becomes_a_graph_and_a_run(saved: bytes, service_url: str) -> None:
    with Client(service_url) as client:
        run = Recording.read(saved).upload(client, label="main", tags={"of": "a test"})
        assert (run.recorded_by, run.label, run.tags, run.output) == ("a test", "main", {"of": "a test"}, "layer/out")
        assert client.get_graph(run.graph_id).name == "neuron"
        assert run.values["mul"].tolist() == [np.float32(1.4), np.float32(-0.4)]
        assert np.isnan(run.gradients["layer.weight"][0]) and "x" not in run.gradients
        assert run.document["dtype"] == "bfloat16"


def test_what_one_request_could_not_hold_is_uploaded_in_parts(
    service_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.recorders.recording._MOST_AT_ONCE", 2**17)
    builder = Builder()
    x = builder.input(np.linspace(0, 1, 20_000, dtype=np.float32), "x", "float32")
    y = builder.add("Tanh", [x], "y")
    builder.record(y, np.tanh(builder.nodes[x].value), "float32")
    builder.gradients |= {x: 1 - builder.nodes[y].value ** 2, y: np.ones(20_000, np.float32)}
    recording = Recording(**builder.members(y), by="a test")
    with Client(service_url) as client:
        run = recording.upload(client, name="in parts")
        assert np.array_equal(run.gradients["x"], recording.gradients["x"])
        assert client.create_comparison(client.create_run(run.graph_id, recording.inputs), run).verdict == "same"


def changed(content: bytes, change: Callable[[dict[str, Any]], None] = lambda members: None, **members: Any) -> bytes:
    """The file with a change to its document and with other members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        document = json.loads(old.read("recording.json"))
        change(document)
        new.writestr("recording.json", json.dumps(document))
        for name in old.namelist()[1:]:
            new.writestr(name, old.read(name))
        for name, array in members.items():
            with new.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: document.update(version=2), "it is of version 2; version 1 is read"),
        (lambda document: document.update(format="a book"), 'does not say "format": "gradbook recording"'),
        (lambda document: document.pop("by"), "lacks by"),
        (lambda document: document.update(more=1), "unknown members: more"),
        (lambda document: document.update(nodes={}), "nodes of the wrong type"),
        (lambda document: document["nodes"].append({"operation": "Input"}), "a node has no name"),
        (lambda document: document["nodes"].pop(0), "'layer.weight', which is no node"),
        (lambda document: document["dtypes"].update(x="int7"), "'int7' is no dtype"),
        (lambda document: document["none"].update(sums=["x"]), '"none" names sums'),
        (lambda document: document["none"].update(gradients=[["x"]]), "gradients without a name"),
        (lambda document: document["unmapped"].append({"operation": "special"}), "nodes and a reason"),
    ],
)
def test_a_document_that_is_not_a_recordings_is_refused(saved: bytes, change: Any, reason: str) -> None:
    with pytest.raises(NotARecording, match=reason):
        Recording.read(changed(saved, change))


def test_members_that_are_not_a_recordings_are_refused(saved: bytes) -> None:
    for wrong, reason in [
        (b"not a zip", "no whole .npz"),
        (saved[:-30], "no whole .npz"),
        (saved[:60] + bytes(40) + saved[100:], "no whole .npz"),
        (changed(saved, figures=1.0), "unknown member: figures.npy"),
        (changed(saved, **{"values/mul2": 1j}), "holds complex128"),
        (changed(saved, **{"values/more": 1.0}), "'more', which is no node"),
        (changed(saved, **{"values/object": np.array([{}])}), "no .npy of numbers"),
    ]:
        with pytest.raises(NotARecording, match=reason):
            Recording.read(wrong)
    empty = io.BytesIO()
    np.savez(empty, a=1)
    with pytest.raises(NotARecording, match=r"no member recording\.json"):
        Recording.read(empty.getvalue())
