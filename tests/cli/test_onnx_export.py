"""`gradbook graph export`: the tutorial's graph and its gradients as ONNX models, over real HTTP, and back."""

from pathlib import Path

import numpy as np
import pytest
import requests
from onnx.reference import ReferenceEvaluator

from service import example
from service.client import Client, Problem
from tests.cli.command import gradbook
from tests.onnx.models import model_of


def test_the_tutorials_graph_and_its_gradients(service_url: str, tmp_path: Path) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("to ONNX", expression=example.EXPRESSION)
        service.create_gradient_graph(graph, name="gradients to ONNX")
        body = service.export_graph(graph, dtype="float64", shapes=dict.fromkeys("abcd", ()))
        back = service.import_graph("from ONNX", body)
    scalars = "&".join(f"input={name}=" for name in "abcd")
    assert body == read_model(f"{service_url}/v1/graphs/{graph.id}/onnx?dtype=float64&{scalars}")
    assert [node.name for node in back.nodes] == [node.name for node in graph.nodes]
    assert (back.inputs, back.outputs) == (graph.inputs, graph.outputs)
    given = {name: np.array([value], dtype=np.float32) for name, value in example.INPUTS.items()}
    file = str(tmp_path / "blog.onnx")
    gradbook(service_url, "graph", "export", "gradients to ONNX", file, expect=0)
    figures = ReferenceEvaluator(file).run(None, given)
    assert [float(figure[0]) for figure in figures] == pytest.approx([2 / 3, 2 / 3, -2, 4 / 3], rel=1e-6)
    page = requests.get(f"{service_url}/graphs/{graph.id}", timeout=10).text
    assert f'href="/v1/graphs/{graph.id}/onnx"' in page


def test_a_models_weights_are_in_it_again(service_url: str) -> None:
    text = "(float[2, 3] x) => (float[2, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> { y = MatMul(x, w) }"
    with Client(service_url) as service:
        graph = service.import_graph("weighty", model_of(text).SerializeToString())
        exported = service.export_graph(graph)
        gradients = service.export_graph(service.create_gradient_graph(graph, output="y"))
        source = service.get_source(graph)
    x = np.ones((2, 3), dtype=np.float32)
    assert ReferenceEvaluator(exported).run(None, {"x": x})[0].tolist() == [[9, 12], [9, 12]]
    by_x, by_w = ReferenceEvaluator(gradients).run(None, {"x": x})
    assert by_x.tolist() == [[3, 7, 11], [3, 7, 11]] and by_w.tolist() == [[2, 2], [2, 2], [2, 2]]
    assert "    w: shape [3, 2], weights sha256:" in source


def read_model(url: str) -> bytes:
    answer = requests.get(url, timeout=10)
    assert answer.headers["Content-Type"] == "application/x-onnx"
    return answer.content


def test_what_onnx_cannot_say_and_what_must_be_declared(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("not to ONNX", expression="y = sum_to(inv(A), x)")
        with pytest.raises(Problem) as caught:
            service.export_graph(graph)
        assert caught.value.status == 422
        said = [(fault["parameter"], fault["detail"]) for fault in caught.value.errors]
        assert said[0][0] == "graph_id" and said[0][1].startswith("ONNX cannot say Inverse, which 'inverse_1' is")
        assert said[1][0] == "input" and said[1][1].endswith("input=NAME=LENGTHS: 'A', 'x'")
        with pytest.raises(Problem, match="float32 or float64 is expected"):
            service.export_graph(graph, dtype="float16")
    wrong = ("graph", "export", graph.id, "-", "--input", "A=2,2", "--input", "x=2")
    assert "ONNX cannot say Inverse" in gradbook(service_url, *wrong, expect=3)
    gradbook(service_url, "graph", "export", graph.id, "-", "--input", "x=two", expect=2)
