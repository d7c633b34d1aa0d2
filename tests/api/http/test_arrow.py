"""The nodes of a run as an Arrow stream, read by pyarrow where that is installed."""

import importlib
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.api.http import arrow
from tests.api.test_runs import create, run


def test_without_pyarrow_the_form_is_not_offered(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "INSTALLED", False)
    made = run(client, create(client, "F = a * b"), {"a": 2, "b": 3})
    response = client.get(f"/v1/runs/{made['id']}/nodes", headers={"Accept": arrow.MEDIA_TYPE})
    assert response.status_code == 406 and arrow.MEDIA_TYPE not in response.text


@pytest.mark.peers
@pytest.mark.parametrize(
    ("expression", "inputs", "body"),
    [
        ("e = a + b; f = e * c; F = f / d", {"a": 5, "b": 1, "c": -2, "d": "NaN"}, {}),
        ("F = relu(a) * 2 + b", {"a": [-1, 0, 0.1], "b": [["NaN"], ["-Infinity"]]}, {}),
        ("F = max(a, b) * relu(a)", {"a": -1, "b": 2}, {}),
        ("F = a * b", {"a": 2, "b": [3, 4]}, {"backward": False}),
        ("F = a * b", {"b": 4}, {"recorded": {"by": "x", "values": {"F": 1}}}),
        ("F = a * b", {}, {"recorded": {"by": "x", "gradients": {"a": [[1, 2]]}}}),
    ],
)
def test_a_stream_says_what_json_says(client: FlaskClient, expression: str, inputs: Any, body: Any) -> None:
    ipc = importlib.import_module("pyarrow.ipc")
    made = run(client, create(client, expression), inputs, **body)
    response = client.get(f"/v1/runs/{made['id']}/nodes", headers={"Accept": arrow.MEDIA_TYPE})
    assert response.content_type == arrow.MEDIA_TYPE
    rows = ipc.open_stream(response.data).read_all().to_pylist()
    assert [row["name"] for row in rows] == [node["name"] for node in made["nodes"]]
    for row, node in zip(rows, made["nodes"], strict=True):
        assert row["operation"] == node["operation"]
        assert row["nondifferentiable"] == node.get("nondifferentiable", False)
        assert row["closed"] == node.get("closed", [])
        for kind in ("value", "gradient"):
            assert (row[kind] is None) == (node[kind] is None)
            if row[kind] is not None:
                figure = np.array(node[kind], dtype=np.float64)
                assert np.array(row[kind]).tobytes() == figure.ravel().tobytes()
                assert tuple(row.get("shape") or ()) == figure.shape
