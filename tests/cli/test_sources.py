"""`gradbook source` and the source over HTTP: the tutorial's graph in four languages, and what is refused."""

import subprocess
from pathlib import Path

import pytest
import requests

from service import example
from service.client import Client, Problem
from tests.cli.command import gradbook
from tests.sources import load


def test_the_tutorials_graph_in_four_languages(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("tried", expression=example.EXPRESSION)
        texts = {each: service.get_source(graph, language=each) for each in ("numpy", "torch", "jax", "c")}
        gradients = service.create_gradient_graph(graph, name="tried")
    for language, text in texts.items():
        assert gradbook(service_url, "source", graph.id, "--language", language, expect=0) == text
        assert text.count("e * c") == text.count("f / d") == 1 and graph.digest in text
    assert load(texts["numpy"])(*example.INPUTS.values()) == 4.0
    newest = gradbook(service_url, "source", "tried", expect=0)
    assert load(newest)(*example.INPUTS.values()) == pytest.approx([2 / 3, 2 / 3, -2, 4 / 3])
    assert f"tried@{gradients.version}" in newest
    answer = requests.get(f"{service_url}/v1/graphs/{graph.id}/source", timeout=10)
    assert (answer.headers["Content-Type"], answer.text) == ("text/plain; charset=utf-8", texts["numpy"])
    page = requests.get(f"{service_url}/graphs/{graph.id}", timeout=10).text
    for language in texts:
        assert f'href="/v1/graphs/{graph.id}/source?language={language}"' in page


@pytest.mark.compilation
def test_the_tutorials_graph_runs_in_c(service_url: str, tmp_path: Path) -> None:
    with Client(service_url) as service:
        text = service.get_source(service.create_graph("tried in C", expression=example.EXPRESSION), language="c")
    called = ", ".join(map(str, example.INPUTS.values()))
    main = f'#include <stdio.h>\nint main(void) {{ printf("%g\\n", tried_in_C({called})); return 0; }}\n'
    (tmp_path / "tried.c").write_text(text + main)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "tried.c", "-lm", "-o", "tried"], cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "tried"], capture_output=True, text=True, check=True).stdout == "4\n"


def test_each_operation_that_a_language_cannot_say_is_named(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("of tensors", expression="L = sum(softmax(x @ W))")
        with pytest.raises(Problem) as caught:
            service.get_source(graph, language="c")
        assert caught.value.status == 422
        assert [fault["parameter"] for fault in caught.value.errors] == ["language"] * 3
        for operation, fault in zip(("MatMul", "Softmax", "ReduceSum"), caught.value.errors, strict=True):
            assert f"C has no words here for {operation}," in fault["detail"]
        with pytest.raises(Problem, match="numpy, torch, jax or c is expected"):
            service.get_source(graph, language="fortran")
    assert "no words here for Softmax" in gradbook(service_url, "source", graph.id, "--language", "c", expect=3)
