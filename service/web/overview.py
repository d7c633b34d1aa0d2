"""A graph at a glance: a thumbnail for lists, and a minimap of a large graph's layers."""

import math

import numpy as np

from service.core.caches import memoize_on_argument
from service.core.figures.figures import IntArray
from service.core.graph.graph import Graph
from service.core.graph.traversal import layers
from service.web.captions import Subject
from service.web.nodes import Axes, draw_outline
from service.web.picture import MARGIN, edge_path, plan_picture
from service.web.svg import Markup, element, number
from service.web.view import LARGEST_WHOLE, View, choose_view

_WIDE, _SMALL = (720.0, 44.0), (176.0, 56.0)  # width and height of a minimap, and of one as a thumbnail
_BAR = 6.0  # the least width of a bar, with the gap beside it
_LEAST = 2.0  # the height of a bar of no node
_FOOT = 6.0  # the height of the mark below the focus


@memoize_on_argument
def draw_thumbnail(graph: Graph) -> Markup:
    """Draw a graph for a list: outlines without a text (class `thumb`), of more than 60 nodes the layers."""
    if len(graph) <= LARGEST_WHOLE:
        plan = plan_picture(Subject("", "", graph), choose_view(graph, None, None), Axes(down=False))
        edges = [element("path", d=edge_path(route, 0.0, plan.axes)) for route in plan.layout.routes.values()]
        nodes = zip(plan.nodes, plan.layout.centres, strict=True)
        bodies = [each for node, centre in nodes for each in draw_outline(node, *centre, plan.axes)]
        return _thumb(plan.size, MARGIN, element("g", *edges, *bodies, class_="node"))
    return _thumb(_SMALL, 0.0, element("path", class_="layers", d=_bars(_counts(graph), *_SMALL)))


def draw_minimap(graph: Graph, view: View) -> Markup:
    """Draw how many nodes each layer of a graph has (class `minimap`), which layers the view shows, and its focus."""
    counts, layer = _counts(graph), layers(graph)
    shown = layer[list(view.positions)]
    (width, height), step = _WIDE, _WIDE[0] / len(counts)
    first, last = int(shown.min()), int(shown.max())
    words = [f"{len(counts)} layers of at most {counts.max()} nodes", f"shown are {first + 1} to {last + 1}"]
    here = {"x": first * step, "y": 0.0, "width": max((last + 1 - first) * step, _BAR), "height": height}
    drawn = [element("rect", class_="here", **here), element("path", class_="layers", d=_bars(counts, width, height))]
    if view.focus is not None:
        focus = int(layer[graph.position[view.focus]])
        words.append(f"{view.focus} is in layer {focus + 1}")
        foot = number(_FOOT)
        tip = f"M{number((focus + 0.5) * step)} {number(height)}l-{foot} {foot}h{number(2 * _FOOT)}Z"
        drawn.append(element("path", class_="focus", d=tip))
    box = f"-{_FOOT:g} -1 {width + 2 * _FOOT:g} {height + _FOOT + 1:g}"
    return element("svg", *drawn, class_="minimap", role="img", aria_label="; ".join(words), viewBox=box)


def _counts(graph: Graph) -> IntArray:
    """How many nodes each layer has."""
    return np.bincount(layers(graph))


def _bars(counts: IntArray, width: float, height: float) -> str:
    """The path of a bar for each layer, or for several side by side, where they are too many, of the fullest.

    Heights go by the square root, so that a layer of one node is seen beside one of thousands.
    """
    together = math.ceil(len(counts) * _BAR / width)
    starts = np.arange(0, len(counts), together)
    fullest = np.maximum.reduceat(counts, starts)
    edges = np.append(starts, len(counts)) * width / len(counts)
    gap = 0.2 * float(edges[1])
    heights = _LEAST + (height - _LEAST) * np.sqrt(fullest / fullest.max())
    return "".join(
        f"M{number(left + gap / 2)} {number(height)}v-{number(high)}h{number(right - left - gap)}v{number(high)}Z"
        for left, right, high in zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True)
    )


def _thumb(size: tuple[float, float], margin: float, drawing: Markup) -> Markup:
    box = f"{-margin:g} {-margin:g} {size[0] + 2 * margin:.0f} {size[1] + 2 * margin:.0f}"
    told = {"preserveAspectRatio": "xMinYMid", "viewBox": box, "aria_hidden": "true", "focusable": "false"}
    return element("svg", drawing, class_="pic thumb", **told)
