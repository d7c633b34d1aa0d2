"""What is drawn in the tests of pictures, and the geometry of what comes out, read from the SVG alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

from service.core.execution.passes import backward_pass, forward_pass
from service.core.execution.run import Backward, Run
from service.core.figures.figures import FloatArray
from service.core.graph.building import assemble_graph, build_graph
from service.core.graph.graph import Graph
from service.core.language.expression import parse_expression
from service.web.captions import Subject, text_width
from service.web.style import FIGURE, NAME, SIGN

TUTORIAL = "e = a + b; f = e * c; F = f / d"
TUTORIAL_POINT = {"a": 5.0, "b": 1.0, "c": -2.0, "d": -3.0}
NEURON = "1/(1+exp(-(w0*x0+w1*x1+w2)))"
NEURON_POINT = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}
SVG = "{http://www.w3.org/2000/svg}"


def written(expression: str) -> Graph:
    return assemble_graph(parse_expression(expression, max_bytes=65536, max_depth=200))


def random_graph(count: int, seed: int) -> Graph:
    """A graph of `count` nodes, in which most operands are near and some far, some duplicate."""
    random = Random(seed)
    documents: list[dict[str, Any]] = [
        {"name": f"x{position}", "operation": "Input"} for position in range(count // 8 + 1)
    ]
    while len(documents) < count:
        operation, arity = random.choice([("Add", 2), ("Mul", 2), ("Sub", 2), ("Max", 3), ("Tanh", 1), ("Sin", 1)])
        near = documents[-12:] if random.random() < 0.8 else documents
        inputs = [random.choice(near)["name"] for _ in range(arity)]
        documents.append({"name": f"n{len(documents)}", "operation": operation, "inputs": inputs})
    return build_graph(documents)


def run_of(graph: Graph, inputs: Mapping[str, Any] | None = None, key: str = "run-1") -> Subject:
    """A subject with the figures of a run; the gradients are those of the last node."""
    given = (
        {name: np.float64(0.3 + position) for position, name in enumerate(graph.inputs)} if inputs is None else inputs
    )
    arrays = {name: np.asarray(figure, dtype=np.float64) for name, figure in given.items()}
    values = forward_pass(graph, arrays, max_elements=10**6, max_tensor=10**6)
    output = graph.nodes[-1].name
    gradients = backward_pass(graph, values, output, np.float64(1.0))
    run = Run(graph, values, backward=Backward(output, np.ones(()), gradients))
    return Subject(key, "a run", graph, run, output)


@dataclass(frozen=True)
class Area:
    """A rectangle: what stands in it, and which node it belongs to."""

    what: str
    node: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Area") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def met_by(self, points: FloatArray) -> bool:
        x, y = points.T
        return bool(((self.left < x) & (x < self.right) & (self.top < y) & (y < self.bottom)).any())


def read(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def nodes(root: ET.Element) -> list[ET.Element]:
    return [element for element in root.iter(f"{SVG}g") if element.get("role") == "listitem"]


def ringed(root: ET.Element) -> list[ET.Element]:
    """What is drawn over the nodes: a ring with its word, and links to what is left out."""
    return [element for element in root.iter() if element.get("class") in ("ringed label", "on")]


def texts(element: ET.Element, kind: str) -> list[str]:
    """The texts of a class that an element shows."""
    return [text.text or "" for text in element.iter(f"{SVG}text") if kind in (text.get("class") or "").split()]


def bodies(root: ET.Element) -> Iterator[Area]:
    """The bodies of the nodes."""
    for node in nodes(root):
        for rectangle in node.iter(f"{SVG}rect"):
            x, y, width, height = (float(rectangle.get(name, "")) for name in ("x", "y", "width", "height"))
            yield Area("body", node.get("data-node", ""), x, y, x + width, y + height)


def labels(root: ET.Element) -> Iterator[Area]:
    """The boxes of the texts at the edges: as wide as the widest font makes them, from ascender to descender."""
    for node in [*nodes(root), *ringed(root)]:
        for text in node.iter(f"{SVG}text"):
            kinds = (text.get("class") or "").split()
            if {"label", "beside"} & set(kinds):
                size = {"sign": SIGN, "value": FIGURE, "implied": FIGURE, "gradient": FIGURE}.get(kinds[-1], NAME)
                x, y, width = float(text.get("x", "")), float(text.get("y", "")), text_width(text.text or "", size)
                name, left = node.get("data-node", ""), x - width / 2 if "label" in kinds else x
                yield Area(text.text or "", name, left, y - 0.78 * size, left + width, y + 0.24 * size)


def lines(root: ET.Element) -> FloatArray:
    """Points, close to one another, on every line and every arrow."""
    return np.vstack([points for path in root.iter(f"{SVG}path") for points in _points(path.get("d", ""))])


def _points(path: str) -> Iterator[FloatArray]:
    position = np.zeros(2)
    step = np.linspace(0.0, 1.0, 80)[:, None, None]
    for command, numbers in re.findall(r"([MHVLCQZ])([^MHVLCQZ]*)", path):
        given = np.array([float(number) for number in numbers.split()])
        if command in "HV":
            given = np.array([given[0], position[1]] if command == "H" else [position[0], given[0]])
        ends = given.reshape(-1, 2)
        if command == "M":
            position, ends = ends[0], ends[:0]
        curve = np.broadcast_to(np.vstack([position[None], ends]), (len(step), len(ends) + 1, 2))
        while curve.shape[1] > 1:  # de Casteljau's construction
            curve = curve[:, :-1] * (1 - step) + curve[:, 1:] * step
        yield curve[:, 0]
        position = curve[-1, 0]
