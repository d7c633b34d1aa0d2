"""The picture: what it shows, that nothing touches in it, that it can be read by all, and that no name gets out."""

import re
from dataclasses import replace
from itertools import combinations
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.core.figures.figures import pack
from service.core.graph.building import build_graph
from service.web.captions import Difference, Subject, write_captions
from service.web.dot import write_dot
from service.web.picture import draw_inline, draw_svg
from service.web.style import PALETTES
from service.web.view import choose_view
from tests.planted import swept
from tests.web.drawings import (
    NEURON,
    NEURON_POINT,
    SVG,
    TUTORIAL,
    TUTORIAL_POINT,
    Area,
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


def draw(subject: Subject, focus: str | None = None, hops: int | None = None, down: bool = False) -> ET.Element:
    return read(draw_svg(subject, choose_view(subject.graph, focus, hops, subject.output), down=down))


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
    assert label == "f = e * c; the value of f: −12; the gradient of F with respect to f: −1/3"


DOWN = pytest.mark.parametrize("down", [False, True], ids=["right", "down"])


@DOWN
@pytest.mark.parametrize("subject", [TUTORIAL_RUN, NEURON_RUN, *RANDOM_RUNS])
def test_no_label_touches_another_or_a_body_or_a_line(subject: Subject, down: bool) -> None:
    root = draw(subject, down=down)
    written_out, drawn = list(labels(root)), list(bodies(root))
    assert len(written_out) >= 2 * len(nodes(root)) - 6 and len(drawn) == len(subject.graph)
    assert [pair for pair in combinations([*written_out, *drawn], 2) if pair[0].meets(pair[1])] == []
    points = lines(root)
    assert [label for label in written_out if label.met_by(points)] == []


@DOWN
def test_no_edge_runs_through_a_node(down: bool) -> None:
    for subject in RANDOM_RUNS:
        root = draw(subject, down=down)
        (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edges"]
        points = lines(edges)
        assert [body for body in bodies(root) if body.met_by(points)] == []


def test_a_picture_can_be_drawn_downwards_for_a_narrow_screen() -> None:
    root, wide = draw(TUTORIAL_RUN, down=True), draw(TUTORIAL_RUN)
    centres = {body.node: ((body.left + body.right) / 2, (body.top + body.bottom) / 2) for body in bodies(root)}
    assert [centres[name][1] for name in "aefF"] == sorted(centres[name][1] for name in "aefF")
    assert centres["a"][1] == centres["b"][1] and centres["e"][1] == centres["c"][1]
    assert float(root.get("width", "")) < 320 < float(wide.get("width", ""))
    for node in nodes(root):  # both figures on the right of the stub, the value above the gradient
        value, gradient = (
            next(text for text in node.iter(f"{SVG}text") if text.get("class") == f"beside {kind}")
            for kind in ("value", "gradient")
        )
        assert value.get("x") == gradient.get("x") and float(value.get("y", "")) < float(gradient.get("y", ""))
    assert "from top to bottom" in (root[1].text or "") and root.get("id") == "run-1-down"


def test_edges_and_stubs_say_what_they_join() -> None:
    root = draw(TUTORIAL_RUN)
    (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edges"]
    joined = [(path.get("data-from"), path.get("data-to")) for path in edges]
    assert joined == [("a", "e"), ("b", "e"), ("e", "f"), ("c", "f"), ("f", "F"), ("d", "F")]
    stubs = {
        node.get("data-node"): [path.get("class") for path in node.iter(f"{SVG}path") if path.get("class") != "arrow"]
        for node in nodes(root)
    }
    assert stubs == {name: ["out"] if name in "abcd" else ["in", "out"] for name in "abcdefF"}


def test_in_a_page_the_same_is_drawn_without_a_style_of_its_own() -> None:
    view = choose_view(TUTORIAL_RUN.graph, None, None)
    alone, inline = draw(TUTORIAL_RUN), read(draw_inline(TUTORIAL_RUN, view))
    assert (inline.get("class"), inline.get("width"), inline.get("height")) == ("pic", "42.52em", None)
    assert [inline.get(name) == alone.get(name) for name in ("id", "viewBox", "aria-labelledby")] == [True] * 3
    assert not list(inline.iter(f"{SVG}style")) and not [e for e in inline.iter() if e.get("class") == "paper"]
    large = read(draw_inline(RANDOM_RUNS[0], choose_view(RANDOM_RUNS[0].graph, None, None)))
    assert large.get("class") == "pic wide" and float(large.get("width", "").removesuffix("em")) > 43.1
    assert "style" not in {name for element in inline.iter() for name in element.attrib}
    assert [node.get("aria-label") for node in nodes(inline)] == [node.get("aria-label") for node in nodes(alone)]
    assert [node.find(f"{SVG}title") for node in nodes(inline)] == [None] * 7
    for kind in ("body", "label"):
        assert [texts(node, kind) for node in nodes(inline)] == [texts(node, kind) for node in nodes(alone)]
    assert [texts(node, "flag") for node in nodes(inline)] == [[""]] * 7 and not texts(alone, "flag")


# --- read by all --------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2.2."""
    parts = [int(colour[position : position + 2], 16) / 255 for position in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_all_texts_have_a_contrast_of_7_to_1_in_light_and_in_dark() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = next(draw(TUTORIAL_RUN).iter(f"{SVG}style")).text or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for sheet in (light, dark):
        colour = dict(re.findall(r"#run-1 ([.\w ]+)\{(?:fill|stroke): (#\w{6})", sheet.replace(" {", "{")))
        for text in (".value", ".gradient", "text"):
            assert contrast(colour[text], colour[".paper"]) >= 7
        for text in (".value", "text"):  # a Constant's value stands in its body
            assert contrast(colour[text], colour[".node rect"]) >= 7
        assert contrast(colour["path"], colour[".paper"]) >= 3
    assert [PALETTES[scheme]["value"] in sheet for scheme, sheet in (("light", light), ("dark", dark))] == [True, True]


def test_ids_are_unique_on_a_page_and_what_refers_to_them_finds_them() -> None:
    pictures = [
        draw(TUTORIAL_RUN),
        draw(replace(TUTORIAL_RUN, key="run-2")),
        draw(TUTORIAL_RUN, "f", 1),
        draw(TUTORIAL_RUN, "f", 2),
        draw(TUTORIAL_RUN, "e", 1),
    ]
    identifiers = [element.get("id") for picture in pictures for element in picture.iter() if element.get("id")]
    assert len(identifiers) == len(set(identifiers))
    for picture in pictures:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert picture.get(reference) in identifiers
        style = next(picture.iter(f"{SVG}style")).text or ""
        selectors = re.findall(r"^([^@{}\n]+)\{", style, re.MULTILINE)
        parts = [part.strip() for selector in selectors for part in selector.split(",")]
        assert parts and all(part.split(" ")[0] == f"#{picture.get('id')}" for part in parts), "the style leaks"


def test_it_is_told_to_who_does_not_see_it() -> None:
    root = draw(TUTORIAL_RUN)
    assert (root[0].tag, root[0].text) == (f"{SVG}title", "a run")
    assert root[1].tag == f"{SVG}desc" and "the gradient of F" in (root[1].text or "")
    (listed,) = [group for group in root.iter(f"{SVG}g") if group.get("role") == "list"]
    assert [item.get("role") for item in listed] == ["listitem"] * 7
    for item in listed:
        words = item.get("aria-label") or ""
        assert words.startswith(f"{item.get('data-node')} = ")
        assert words == item.findtext(f"{SVG}title")
    assert "an output" in (listed[-1].get("aria-label") or "")


def test_every_short_figure_has_its_full_one_in_a_title() -> None:
    root = draw(TUTORIAL_RUN)
    (node,) = [node for node in nodes(root) if node.get("data-node") == "f"]
    titles = {text.text: text.findtext(f"{SVG}title") for text in node.iter(f"{SVG}text") if len(text)}
    assert titles == {
        "−12": "the value of f: -12",
        "−0.333": "the gradient of F with respect to f: -0.3333333333333333",
    }


@DOWN
def test_a_comparison_is_marked_in_words_and_in_shape(down: bool) -> None:
    positions = TUTORIAL_RUN.graph.position
    assert TUTORIAL_RUN.run and TUTORIAL_RUN.run.gradients
    right = list(map(np.asarray, TUTORIAL_RUN.run.gradients))
    wrong = [*right[:3], np.array(108.0), np.array(6.0), np.array(-3.0), right[6]]
    differences = {
        ("backward", positions[name]): Difference(verdict, right[positions[name]])
        for name, verdict in {"d": "origin", "f": "origin", "e": "inherited"}.items()
    }
    run = swept(TUTORIAL_RUN.run, gradients=pack(wrong))
    subject = replace(TUTORIAL_RUN, run=run, differences=differences, first=("backward", positions["f"]))
    root = draw(subject, down=down)
    shown = {node.get("data-node"): texts(node, "beside" if down else "label") for node in nodes(root)}
    assert shown["f"] == ["−12", "−3", "◆ origin", "not −0.333"]
    assert shown["e"] == ["6", "6", "◇ inherited", "not 0.667"]
    assert shown["a"] == ["5", "0.667"]
    classes = {node.get("data-node"): (node.get("class") or "").split() for node in nodes(root)}
    assert classes["d"] == ["node", "input", "origin"] and classes["F"] == ["node", "operation"]
    style = next(root.iter(f"{SVG}style")).text or ""
    assert ".origin rect {stroke-width: 4}" in style and ".inherited rect" in style
    written_out, points = list(labels(root)), lines(root)
    assert [pair for pair in combinations([*written_out, *bodies(root)], 2) if pair[0].meets(pair[1])] == []
    assert [label for label in written_out if label.met_by(points)] == []
    assert [label.what for label in written_out].count("first") == 1
    (ring,) = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "ring"]
    (body,) = [body for body in bodies(root) if body.node == "f"]
    corner = float(ring.get("x", "")), float(ring.get("y", ""))
    assert corner == pytest.approx((body.left - 5, body.top - 5))
    assert [node.get("data-node") for node in nodes(root) if "the first difference" in node.get("aria-label", "")] == [
        "f"
    ]
    assert texts(root, "note")[0].startswith("◆ origin: wrong by itself; ◇ inherited: ")


@DOWN
@pytest.mark.parametrize("name", ["first_input", "second_input", "third_input"])
def test_the_ring_and_its_word_have_room_of_their_own(name: str, down: bool) -> None:
    graph = written("y = max(first_input, second_input, third_input)")
    root = draw(Subject("key", "title", graph, first=("forward", graph.position[name])), down=down)
    (ring,) = [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "ring"]
    left, top, width, height = (float(ring.get(side, "")) for side in ("x", "y", "width", "height"))
    around = Area("ring", name, left, top, left + width, top + height)
    written_out, drawn = list(labels(root)), [body for body in bodies(root) if body.node != name]
    assert [pair for pair in combinations([*written_out, *drawn, around], 2) if pair[0].meets(pair[1])] == []
    assert [label for label in written_out if label.met_by(lines(root))] == []


def test_every_verdict_has_a_mark_and_every_error_a_heat() -> None:
    right = np.array(2.0)
    verdicts = {"origin": 80.0, "inherited": 8.0, "compensated": 0.0, "convention": 0.05, "F": 0.5}
    differences = {
        ("forward", position): Difference(verdict if verdict != "F" else "origin", right, relative_error=error)
        for position, (verdict, error) in enumerate(verdicts.items())
    }
    captions = write_captions(replace(TUTORIAL_RUN, differences=differences), range(5))
    assert [caption.above[1].text for caption in captions] == [
        *("◆ origin", "◇ inherited", "◈ compensated", "△ convention", "◆ origin")
    ]
    assert [caption.marks[1:] for caption in captions] == [("q4",), ("q3",), (), ("q1",), ("q2",)]


def test_a_legend_says_that_the_bars_are_a_norm_where_tensors_are_shown() -> None:
    tensors = run_of(written("y = sum(w * x)"), {"w": [1.0, 2.0], "x": [3.0, 4.0]})
    assert texts(draw(tensors), "note") == ["‖·‖ is the norm."] and texts(draw(TUTORIAL_RUN), "note") == []


def test_a_node_without_a_derivative_is_marked() -> None:
    subject = run_of(written("y = relu(x) + 1"), {"x": 0.0})
    root = draw(replace(subject, kinks=frozenset({1})))
    (marked,) = [node for node in nodes(root) if "kink" in (node.get("class") or "")]
    assert "no derivative exists here" in (marked.get("aria-label") or "")


def test_an_edge_along_which_nothing_flows_back_is_dashed_and_said() -> None:
    subject = run_of(written("r = relu(x); F = sqrt(r) + max(r, y)"), {"x": -1.0, "y": 2.0})
    root = draw(subject)
    (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edges"]
    drawn = [("x", "r"), ("r", "sqrt_1"), ("r", "max_1"), ("y", "max_1"), ("sqrt_1", "F"), ("max_1", "F")]
    dashed = [edge for edge, path in zip(drawn, edges, strict=True) if path.get("class") == "closed"]
    assert dashed == [("x", "r"), ("r", "max_1")]
    told = {node.get("data-node"): node.get("aria-label") or "" for node in nodes(root)}
    assert "it does not change with x here" in told["r"] and "does not change" not in told["sqrt_1"]
    assert "Along a dashed edge no gradient flows" in (next(root.iter(f"{SVG}desc")).text or "")
    dot = write_dot(subject, choose_view(subject.graph, None, None))
    assert '"r" -> "max_1" [style=dashed]' in dot and '"r" -> "sqrt_1"\n' in dot
    open_ = draw(run_of(written("r = relu(x); F = sqrt(r)"), {"x": 1.0}))
    assert not any(path.get("class") == "closed" for path in open_.iter(f"{SVG}path"))


def test_an_operand_that_stands_twice_has_two_edges() -> None:
    root = draw(run_of(written("y = x * x"), {"x": 3.0}))
    (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edges"]
    assert len({path.get("d") for path in edges}) == 2
    many = build_graph([{"name": "x", "operation": "Input"}, {"name": "y", "operation": "Sum", "inputs": ["x"] * 40}])
    root = draw(run_of(many, {"x": 3.0}))
    (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edges"]
    assert len({path.get("d") for path in edges}) == 40
    assert lines(edges)[:, 1].max() < float(root.get("height", "")) - 14


# --- large graphs -------------------------------------------------------------------------------------------------


def test_of_a_large_graph_the_neighbourhood_is_drawn_and_what_is_left_out_is_said() -> None:
    subject = run_of(random_graph(300, 1))
    root = draw(subject)
    view = choose_view(subject.graph, None, None, subject.output)
    assert len(nodes(root)) == len(view.positions) <= 60
    assert view.sentence.startswith(f"{len(view.positions)} of 300 nodes: the nearest to n299, within 3 edges. ")
    assert texts(root, "note") == [view.sentence] and view.sentence in (root[1].text or "")
    shown = set(view.positions)
    cut = sum(
        (source in shown) != (position in shown) for position, s in enumerate(subject.graph.operands) for source in s
    )
    told = re.findall(
        r"(\d+) edges? (?:from|to) nodes that are left out", " ".join(n.get("aria-label", "") for n in nodes(root))
    )
    assert cut and sum(map(int, told)) == cut
    assert [n.get("data-node") for n in nodes(root) if "focus" in (n.get("class") or "").split()] == ["n299"]
    dashed = [path for path in root.iter(f"{SVG}path") if path.get("class") == "cut"]
    assert len(dashed) == len(told)
    points, written_out = lines(root), list(labels(root))
    assert [label for label in written_out if label.met_by(points)] == []
    assert [pair for pair in combinations([*written_out, *bodies(root)], 2) if pair[0].meets(pair[1])] == []


@DOWN
def test_cut_edges_lead_on_in_a_page(down: bool) -> None:
    subject = run_of(random_graph(300, 1))
    graph, view = subject.graph, choose_view(subject.graph, "n150", 2)
    root = read(draw_inline(subject, view, down=down, link=lambda name: f"/graphs/g?focus={name}&hops=2"))
    links = [element for element in root.iter(f"{SVG}a") if element.get("class") == "on"]
    alone = read(draw_svg(subject, view, down=down))
    assert links and len(links) == len([path for path in alone.iter(f"{SVG}path") if path.get("class") == "cut"])
    shown = {graph.nodes[position].name for position in view.positions}
    for link in links:
        name = re.fullmatch(r"/graphs/g\?focus=(\w+)&hops=2", link.get("href", ""))
        words = re.fullmatch(r"(\w+)(?: and \d+ more)?, (before|after) (\w+)", link.get("aria-label", ""))
        assert name and words and name[1] == words[1] not in shown and words[3] in shown
        before, after = (words[1], words[3]) if words[2] == "before" else (words[3], words[1])
        assert before in graph.nodes[graph.position[after]].inputs
    assert not [node for node in nodes(root) for path in node.iter(f"{SVG}path") if path.get("class") == "cut"]
    assert [label.what for label in labels(root) if label.met_by(lines(root))] == []


@pytest.mark.parametrize("hops", [1, 2, 4])
def test_the_neighbourhood_is_what_lies_so_many_edges_away(hops: int) -> None:
    graph = random_graph(100, 7)
    beside = np.eye(100, dtype=int)
    for position, sources in enumerate(graph.operands):
        beside[position, list(sources)] = beside[list(sources), position] = 1
    near = np.linalg.matrix_power(beside, hops)
    for name in ("x0", "n50", "n99"):
        reached = set(map(int, np.flatnonzero(near[graph.position[name]])))
        shown = set(choose_view(graph, name, hops).positions)
        assert shown == reached or (len(shown) == 60 and shown < reached)


def test_a_hub_with_a_thousand_consumers_is_cut_to_60_nodes() -> None:
    documents: list[dict[str, Any]] = [{"name": "x", "operation": "Input"}]
    documents += [{"name": f"y{position}", "operation": "Tanh", "inputs": ["x"]} for position in range(1000)]
    graph = build_graph(documents)
    assert len(choose_view(graph, "x", 10**9).positions) == 60
    assert len(nodes(draw(run_of(graph, {"x": 1.0}), "x"))) == 60


# --- hostile names ------------------------------------------------------------------------------------------------

TAGS = {f"{SVG}{tag}" for tag in ("svg", "title", "desc", "style", "rect", "g", "path", "text")}


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="`"), min_size=1),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
@example(["\ufffe", "<\uffff>", "ends in \\", 'a\\"b', "\\"])
def test_no_name_gets_out_of_its_place(names: list[str]) -> None:
    documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in names[:-1]]
    documents.append({"name": names[-1], "operation": "Max", "inputs": names[:-1]})
    subject = run_of(build_graph(documents))
    root = draw(subject)
    assert {element.tag for element in root.iter()} <= TAGS
    cleaned = [re.sub("[\ufffe\uffff]", "\ufffd", node.name) for node in subject.graph.nodes]
    assert [node.get("data-node") for node in nodes(root)] == cleaned
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not [name for name in attributes if name.startswith("on") or "href" in name]
    dot = write_dot(subject, choose_view(subject.graph, None, None))
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "Q", dot)
    assert set(unquoted.split("\n")[3:-2]) <= {
        "  Q [label=Q, shape=Q, tooltip=Q]",
        "  Q -> Q",
        "  Q -> Q [style=dashed]",
    }


def test_markup_is_shown_as_it_is_written() -> None:
    name = "<script>alert(1)</script>"
    svg = draw_svg(
        run_of(build_graph([{"name": name, "operation": "Input"}])), choose_view(random_graph(1, 1), None, None)
    )
    assert "<script" not in svg and "&lt;script&gt;alert(1)" in svg
    assert texts(read(svg), "body") == ["<script…/script>"]
