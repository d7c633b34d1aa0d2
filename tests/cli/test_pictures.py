"""`gradbook picture`, and pictures in a notebook: the entry point in this process, real HTTP."""

import pytest

from service import example
from service.client import Client, Problem
from tests.cli.command import gradbook
from tests.web.drawings import nodes, read, texts

FIGURES = ["5", "1", "−2", "−3", "6", "−12", "4"]


def test_results_draw_themselves_in_a_notebook(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("notebook", expression=example.EXPRESSION)
        run = service.create_run(graph, example.INPUTS)
        check = service.check_claims(graph, example.INPUTS, {"gradients": example.TUTORIAL_GRADIENTS})
        unkept = service.create_run(graph, example.INPUTS, keep=False)
        (listed,) = service.list_graphs(name="notebook")
        pictures = {name: result._repr_svg_() for name, result in {"graph": graph, "run": run, "check": check}.items()}
        assert texts(read(pictures["run"]), "value") == FIGURES
        assert texts(read(pictures["graph"]), "value") == []
        assert texts(read(pictures["check"]), "verdict").count("◆ origin") == 2
        assert unkept._repr_svg_() is None  # the service knows nothing of it
        assert listed._repr_svg_() == graph._repr_svg_()
        assert listed.id == graph.id and "picture" not in repr(graph)


def test_picture_draws_whatever_has_an_id(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("drawn", expression=example.EXPRESSION)
        run = service.create_run(graph, example.INPUTS)
        comparison = service.create_comparison(run, run)
    for what in (graph.id, "drawn", run.id or "", comparison.id):
        root = read(gradbook(service_url, "picture", what, expect=0))
        assert texts(root, "value") == ([] if what in (graph.id, "drawn") else FIGURES)
    near = read(gradbook(service_url, "picture", "drawn", "--focus", "f", "--hops", "1", expect=0))
    assert [node.get("data-node") for node in nodes(near)] == ["c", "e", "f", "F"]
    dot = gradbook(service_url, "picture", "drawn", "--format", "dot", expect=0)
    assert dot.startswith("digraph {") and '  "f" -> "F"\n' in dot
    down = read(gradbook(service_url, "picture", "drawn", "--direction", "down", expect=0))
    assert float(down.get("height", "")) > float(down.get("width", ""))
    assert "no node 'z'" in gradbook(service_url, "picture", "drawn", "--focus", "z", expect=3)
    assert gradbook(service_url, "picture", "nothing", expect=3).startswith("gradbook: ")


def test_the_client_asks_for_a_part_and_is_told_what_is_wrong(service_url: str) -> None:
    with Client(service_url) as service:
        graph = service.create_graph("asked for", expression=example.EXPRESSION)
        assert len(nodes(read(service.get_graph_picture(graph, focus="a", hops=1)))) == 2
        with pytest.raises(Problem) as caught:
            service.get_graph_picture(graph, focus="z")
        assert caught.value.status == 422
