"""A graph at a glance: thumbnails for lists, and the minimap of a large graph's layers."""

import re
from typing import Any

import numpy as np

from service.core.graph.building import build_graph
from service.core.graph.graph import Graph
from service.core.graph.traversal import layers
from service.web.overview import draw_minimap, draw_thumbnail
from service.web.view import choose_view
from tests.web.drawings import NEURON, SVG, TUTORIAL, lines, random_graph, read, written


def test_the_layer_of_a_node_is_the_longest_way_to_it() -> None:
    graph = written("e = a + b; f = e * c; F = f / a")
    assert dict(zip("abecfF", layers(graph)[[graph.position[name] for name in "abecfF"]].tolist(), strict=True)) == {
        **{"a": 0, "b": 0, "c": 0},
        **{"e": 1, "f": 2, "F": 3},
    }


def test_a_thumbnail_has_outlines_and_no_text() -> None:
    for graph in (written(TUTORIAL), written(NEURON), random_graph(60, 3)):
        root = read(draw_thumbnail(graph).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
        assert (root.get("class"), root.get("aria-hidden")) == ("pic thumb", "true")
        assert {element.tag for element in root.iter()} == {f"{SVG}{tag}" for tag in ("svg", "g", "path", "rect")}
        assert len(list(root.iter(f"{SVG}rect"))) == len(graph)
        left, top, width, height = (float(number) for number in root.get("viewBox", "").split())
        points = lines(root)
        assert points.min(axis=0).tolist() >= [left, top] and (points.max(axis=0) <= [left + width, top + height]).all()
        assert not [name for element in root.iter() for name in element.attrib if name == "id"]


def test_a_thumbnail_of_a_large_graph_is_its_layers() -> None:
    root = read(draw_thumbnail(random_graph(61, 3)))
    assert [element.get("class") for element in root.iter()] == ["pic thumb", "layers"]


def star(count: int) -> Graph:
    """Four nodes in a row, the second of which has so many more consumers."""
    documents: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
    for name, source in (("p", "x"), ("q", "p"), ("r", "q")):
        documents.append({"name": name, "operation": "Tanh", "inputs": [source]})
    documents += [{"name": f"y{number}", "operation": "Sin", "inputs": ["p"]} for number in range(count)]
    return build_graph(documents)


def test_a_minimap_shows_how_many_nodes_each_layer_has_and_where_the_focus_is() -> None:
    graph = star(80)
    root = read(draw_minimap(graph, choose_view(graph, "r", 1)))
    assert root.get("aria-label") == "4 layers of at most 81 nodes; shown are 3 to 4; r is in layer 4"
    assert [element.get("class") for element in root.iter()] == ["minimap", "here", "layers", "focus"]
    here, bars, focus = list(root)[0:3]
    assert (here.get("x"), here.get("width")) == ("360", "360")
    heights = [float(height) for height in re.findall(r"v-([\d.]+)", bars.get("d", ""))]
    assert np.allclose(heights, 2 + 42 * np.sqrt(np.array([1, 1, 81, 1]) / 81), atol=0.06)
    assert (focus.get("d") or "").startswith("M630 44")  # the middle of the fourth quarter


def test_a_minimap_of_many_layers_has_as_many_bars_as_can_be_seen() -> None:
    documents: list[dict[str, Any]] = [{"name": "n0", "operation": "Input"}]
    documents += [{"name": f"n{number}", "operation": "Sin", "inputs": [f"n{number - 1}"]} for number in range(1, 1000)]
    graph = build_graph(documents)
    root = read(draw_minimap(graph, choose_view(graph, "n500", 1)))
    assert len(re.findall("M", root[1].get("d") or "")) == 112
    whole = read(draw_minimap(graph, choose_view(graph, "n0", 10**9)))
    assert whole.get("aria-label") == "1000 layers of at most 1 nodes; shown are 1 to 60; n0 is in layer 1"
