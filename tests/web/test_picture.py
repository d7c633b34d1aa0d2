"""The picture: what it shows, that nothing touches in it, that it can be read by all, and that no name gets out."""

from itertools import combinations
from xml.etree import ElementTree as ET

import pytest

from service.web.captions import Subject
from service.web.picture import draw_svg
from service.web.view import choose_view
from tests.web.drawings import (
    NEURON,
    NEURON_POINT,
    SVG,
    TUTORIAL,
    TUTORIAL_POINT,
    bodies,
    labels,
    lines,
    nodes,
    random_graph,
    read,
    run_of,
    texts,
    written,
)

TUTORIAL_RUN = run_of(written(TUTORIAL), TUTORIAL_POINT)
NEURON_RUN = run_of(written(NEURON), NEURON_POINT)
RANDOM_RUNS = [run_of(random_graph(50, seed)) for seed in range(6)]


def draw(subject: Subject, focus: str | None = None, hops: int | None = None) -> ET.Element:
    return read(draw_svg(subject, choose_view(subject.graph, focus, hops, subject.output)))


def test_the_tutorials_run_is_drawn_with_its_figures() -> None:
    root = draw(TUTORIAL_RUN)
    shown = {
        node.get("data-node"): (texts(node, "body"), texts(node, "value"), texts(node, "gradient"))
        for node in nodes(root)
    }
    assert shown == {
        "a": (["a"], ["5"], ["0.667"]),
        "b": (["b"], ["1"], ["0.667"]),
        "c": (["c"], ["−2"], ["−2"]),
        "d": (["d"], ["−3"], ["1.33"]),
        "e": (["+", "e"], ["6"], ["0.667"]),
        "f": (["×", "f"], ["−12"], ["−0.333"]),
        "F": (["÷", "F"], ["4"], ["1"]),
    }
    (label,) = [node.get("aria-label") for node in nodes(root) if node.get("data-node") == "f"]
    assert label == "f = e * c; the value of f: -12; the gradient of F with respect to f: -0.3333333333333333"


@pytest.mark.parametrize("subject", [TUTORIAL_RUN, NEURON_RUN, *RANDOM_RUNS])
def test_no_label_touches_another_or_a_body_or_a_line(subject: Subject) -> None:
    root = draw(subject)
    written_out, drawn = list(labels(root)), list(bodies(root))
    assert len(written_out) >= 2 * len(nodes(root)) - 6 and len(drawn) == len(subject.graph)
    assert [pair for pair in combinations([*written_out, *drawn], 2) if pair[0].meets(pair[1])] == []
    points = lines(root)
    assert [label for label in written_out if label.met_by(points)] == []


def test_no_edge_runs_through_a_node() -> None:
    for subject in RANDOM_RUNS:
        root = draw(subject)
        (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edges"]
        points = lines(edges)
        assert [body for body in bodies(root) if body.met_by(points)] == []
