"""Contents of graphs: what is written is read, in the form of this version and of older ones, and nothing else is."""

import json
import zlib

import pytest
from hypothesis import given

from service.core.graph.building import build_graph
from service.core.graph.columns import FEW, Positions
from service.core.graph.graph import Graph, written_attribute
from service.storage.contents import names_in, read_content, write_content
from tests.random_graphs import Point, points
from tests.storage.test_graphs import graphs, same


def older_content(graph: Graph) -> bytes:
    """The content of a graph as it was written up to version 0.1.0."""
    document = {
        "names": [node.name for node in graph.nodes],
        "operations": [node.operation.name for node in graph.nodes],
        "operands": list(graph.operands),
        "attributes": [
            (position, {name: written_attribute(value) for name, value in node.written_attributes.items()})
            for position, node in enumerate(graph.nodes)
            if node.written_attributes
        ],
    }
    return zlib.compress(json.dumps(document).encode())


def long_chain() -> Graph:
    """More nodes than are made at once."""
    later = [{"name": f"n{k}", "operation": "Clip", "inputs": [f"n{k - 1}"]} for k in range(1, FEW + 1)]
    return build_graph([{"name": "n0", "operation": "Input"}, *later])


@given(graphs())
def test_content_of_older_versions_is_read(graph: Graph) -> None:
    assert same(read_content(older_content(graph), graph.inputs, graph.outputs), graph)


@given(points(largest_graph=12))
def test_both_forms_have_the_nodes_in_their_order(point: Point) -> None:
    names = [node.name for node in point.graph.nodes]
    for content in (older_content(point.graph), write_content(point.graph)):
        assert list(names_in(zlib.decompress(content))) == names


@pytest.mark.parametrize("write", [write_content, older_content])
def test_a_large_graph_is_read_without_making_its_nodes(write: object) -> None:
    graph = long_chain()
    assert callable(write)
    found = read_content(write(graph), graph.inputs, graph.outputs)
    assert found.is_compact and same(found, graph)


def test_inputs_and_outputs_are_found_without_looking_at_other_names() -> None:
    graph = long_chain()
    found = read_content(write_content(graph), graph.inputs, graph.outputs)
    assert (found.position["n0"], found.position[f"n{FEW}"]) == (0, FEW)
    assert isinstance(found.position, Positions) and not found.position.are_made
    assert found.position["n7"] == 7


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"nodes":3', b'"nodes":4'),
        (b'"edges":2', b'"edges":1'),
        (b'"operations":["Input","Exp"]', b'"operations":["Input"]'),
        (b"z", b"z\nw"),
        (b"{", b"["),
    ],
)
def test_what_is_no_content_is_refused(old: bytes, new: bytes) -> None:
    nodes = [{"name": "x", "operation": "Input"}, *({"name": n, "operation": "Exp", "inputs": ["x"]} for n in "yz")]
    content = zlib.decompress(write_content(build_graph(nodes, ["z"])))
    assert old in content
    with pytest.raises((ValueError, LookupError)):
        list(read_content(zlib.compress(content.replace(old, new)), ["x"], ["z"]).nodes)
