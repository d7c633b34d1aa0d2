"""An ONNX model as the body of POST /v1/graphs, as a file on a page and on the command line."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.client import Client
from service.usecases import model_imports
from tests.cli.command import call_main
from tests.onnx.models import model_of

MODELS = Path(__file__).parents[1] / "onnx" / "models"
HEADERS = {"Content-Type": "application/x-onnx"}
TEXT = "(float[N, 2] x) => (float[N] y) <float[2] w = {1, 2}> { h = Mul(x, w)  s = Shape(h)  y = Reshape(h, s) }"
ODD = "(float[2] x) => (float[2] y) { u = Unique(x)  y = Add(u, x) }"


def body_of(text: str) -> bytes:
    return model_of(text).SerializeToString()


def test_a_model_becomes_a_graph_and_what_is_wrong_is_named(client: FlaskClient) -> None:
    made = client.post("/v1/graphs?name=m&input=x=3,2", data=body_of(TEXT), headers=HEADERS)
    assert made.status_code == 201 and made.json is not None
    assert (made.json["name"], made.json["inputs"], made.json["outputs"]) == ("m", ["x", "w"], ["y"])
    again = client.post("/v1/graphs?name=m&input=x=3,2", data=body_of(TEXT), headers=HEADERS)
    assert again.json is not None and again.status_code == 200 and again.json["weights"] == made.json["weights"]
    run = client.post(f"/v1/graphs/{made.json['id']}/runs", json={"inputs": {"x": [[3, 4]] * 3}})
    assert run.json is not None and run.json["outputs"] == {"y": [[3, 8]] * 3}
    chosen = client.post("/v1/graphs?name=m&outputs=h", data=body_of(TEXT), headers=HEADERS)
    assert chosen.json is not None and (chosen.json["outputs"], chosen.json["version"]) == (["h"], 2)
    for query, body, status, kind, detail in (
        ("name=m", body_of(TEXT), 422, "invalid-model", "'y' (Reshape): the shape of 'h' is not known"),
        ("name=m", body_of(ODD), 422, "invalid-model", "'u' (Unique): there is no operation of that name here"),
        ("name=m&input=x", body_of(TEXT), 422, "invalid-request", "a shape is written NAME=LENGTH,LENGTH…, not 'x'"),
        ("name=m&input=x=-1", body_of(TEXT), 422, "invalid-request", "a shape is written NAME=LENGTH,LENGTH…"),
        ("", body_of(TEXT), 422, "invalid-request", "the parameter `name` is missing"),
        ("name=m&other=1", body_of(TEXT), 422, "invalid-request", "unknown parameter `other`"),
        ("name=m", b"none", 400, "malformed-onnx", "the body is not an ONNX model"),
    ):
        refused = client.post(f"/v1/graphs?{query}", data=body, headers=HEADERS)
        assert refused.json is not None and refused.status_code == status, query
        assert refused.json["type"] == f"urn:gradbook:problem:{kind}"
        assert detail in refused.json["detail"]
    odd = client.post("/v1/graphs?name=m", data=body_of(ODD), headers=HEADERS)
    assert odd.json is not None and odd.json["errors"][0]["pointer"] == "/graph/node/0"
    asked = client.post("/v1/graphs?input=x=1", json={"name": "m", "expression": "x"})
    assert asked.json is not None and asked.json["errors"][0] == {
        "parameter": "input",
        "detail": "this is for an ONNX model",
    }


def test_a_service_without_the_extra_says_how_to_install_it(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_imports, "find_spec", lambda name: None if name == "onnx" else find_spec(name))
    refused = client.post("/v1/graphs?name=m", data=body_of(TEXT), headers=HEADERS)
    assert refused.json is not None and refused.status_code == 501
    assert refused.json["type"] == "urn:gradbook:problem:not-installed"
    assert "pip install 'gradbook[onnx]'" in refused.json["detail"]


def test_a_model_is_read_from_a_file_on_the_page(client: FlaskClient) -> None:
    def bring(text: str, **form: str) -> object:
        file = (io.BytesIO(body_of(text)), "drawn.onnx")
        return client.post("/graphs", data={"file": file, **form}, headers={"Origin": "http://localhost"})

    made = bring(TEXT, shapes="x=3,2")
    assert made.status_code == 303 and "drawn" in client.get(made.location).text
    refused = bring(ODD)
    assert refused.status_code == 422 and "there is no operation of that name here" in refused.text


@pytest.mark.slow
def test_an_exported_network_is_imported_and_run_by_the_command_and_the_client(service_url: str) -> None:
    recorded = np.load(MODELS / "mlp.npz")
    ended = call_main(service_url, "graph", "import", str(MODELS / "mlp.dynamo.onnx"), "--name", "mlp", "--json")
    assert (ended.code, ended.err) == (0, "")
    with Client(service_url) as service:
        graph = service.import_graph("mlp", (MODELS / "mlp.dynamo.onnx").read_bytes())
        assert graph.id == ended.json["id"]
        assert set(graph.weights) == set(graph.inputs) - {"input"}
        run = service.create_run(graph, {"input": recorded["input/input"]}, seed=recorded["seed"])
    np.testing.assert_allclose(run.values[graph.outputs[0]], recorded["output"], rtol=0, atol=1e-6)
    for name in graph.inputs:
        expected = recorded[f"gradient/{name}"]
        np.testing.assert_allclose(run.gradients[name], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    missing = call_main(service_url, "graph", "import", str(MODELS / "lenet.script-dynamic.onnx"))
    assert missing.code == 3 and "the shape of" in missing.err
