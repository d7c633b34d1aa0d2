"""Positions of boxes and routes of edges, free of overlaps by construction.

Edges run from left to right through columns of boxes. An edge passes a column level, in a slot of its own; it rises and
falls only in the gaps between columns, where there are no boxes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.web.columns import Columns, Edge, arrange
from service.web.program import least_cost

_BOX_SPACING, _SLOT_SPACING = 14.0, 9.0
_NARROWEST_GAP, _WIDEST_GAP = 26.0, 110.0
_STEEPEST = 4.0  # how much an edge may rise for each unit of a gap's width, before the gap is widened
_STRAIGHTNESS = (1.0, 2.0, 8.0)  # the weight of a rise between two boxes, a box and a slot, two slots
_SYMMETRY = 0.4  # the weight of a rise from the middle of the neighbours on one side
_COMPACTNESS = 1e-3
_LARGEST_PROGRAM = 2500  # terms, which take about a second; a drawing with more is stacked instead


@dataclass(frozen=True, slots=True)
class Box:
    """The space that a node takes around its centre; its edges come in on the left and go out on the right."""

    left: float
    right: float
    above: float
    below: float


_SLOT = Box(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of an edge that is straight and level; from one to the next it climbs or falls."""

    start: float
    end: float
    y: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The size of the drawing, the centre of each box, and the route of each edge, from box to box."""

    width: float
    height: float
    centres: tuple[tuple[float, float], ...]
    routes: Mapping[Edge, tuple[Stretch, ...]]


def lay_out(boxes: Sequence[Box], edges: Sequence[Edge]) -> Layout:
    """Lay out one or more boxes with acyclic `edges` between them; equal edges are routed once."""
    columns = arrange(len(boxes), list(dict.fromkeys(edges)))
    sizes = [*boxes, *([_SLOT] * (columns.count - len(boxes)))]
    levels = _levels(columns, sizes)
    spans, middles = _spans(columns, sizes, levels)
    centres = tuple((middles[columns.column_of[box]], levels[box]) for box in range(len(boxes)))
    routes = {}
    for (source, target), way in columns.ways.items():
        leaving = Stretch(centres[source][0] + boxes[source].right, spans[columns.column_of[source]][1], levels[source])
        arriving = Stretch(spans[columns.column_of[target]][0], centres[target][0] - boxes[target].left, levels[target])
        passing = [Stretch(*spans[columns.column_of[slot]], levels[slot]) for slot in way]
        routes[source, target] = (leaving, *passing, arriving)
    height = max(level + size.below for level, size in zip(levels, sizes, strict=True))
    return Layout(spans[-1][1], height, centres, routes)


def _levels(columns: Columns, sizes: Sequence[Box]) -> list[float]:
    """The height of each box and slot: the least weighted total rise at which nothing in a column overlaps.

    After Gansner, Koutsofios, North and Vo (1993), the linear program min Σ w·t subject to t ≥ |Σ c·y|: one t for
    each link (y_source − y_target), and one for each vertex with several neighbours on one side (y − their mean).
    """
    terms: list[tuple[float, dict[int, float]]] = []
    for source, target in columns.links:
        slots = (source >= columns.box_count) + (target >= columns.box_count)
        terms.append((_STRAIGHTNESS[slots], {source: 1.0, target: -1.0}))
    for side in (columns.before, columns.after):
        for vertex, others in enumerate(side):
            if len(others) > 1:
                terms.append((_SYMMETRY, {vertex: 1.0, **dict.fromkeys(others, -1.0 / len(others))}))
    if len(terms) > _LARGEST_PROGRAM:
        return _stacked(columns, sizes)
    count = len(sizes)
    rows = [
        {**{vertex: sign * factor for vertex, factor in term.items()}, count + index: -1.0}
        for index, (_, term) in enumerate(terms)
        for sign in (1.0, -1.0)
    ]
    bounds = [0.0] * len(rows)
    for column in columns.columns:
        for upper, lower in pairwise(column):
            rows.append({upper: 1.0, lower: -1.0})
            bounds.append(-_apart(columns, sizes, upper, lower))
    if not rows:
        return [size.above for size in sizes]
    entries = ((factor, row, variable) for row, factors in enumerate(rows) for variable, factor in factors.items())
    cost = [*([_COMPACTNESS] * count), *(weight for weight, _ in terms)]
    least = [*(size.above for size in sizes), *([0.0] * len(terms))]
    return least_cost(cost, entries, bounds, least)[:count]


def _apart(columns: Columns, sizes: Sequence[Box], upper: int, lower: int) -> float:
    """The least distance between the centres of two neighbours in a column."""
    spacing = _BOX_SPACING if max(upper, lower) < columns.box_count else _SLOT_SPACING
    return sizes[upper].below + spacing + sizes[lower].above


def _stacked(columns: Columns, sizes: Sequence[Box]) -> list[float]:
    """The heights with each column stacked as tightly as possible, all centred on one line."""
    levels = [0.0] * len(sizes)
    heights = []
    for column in columns.columns:
        levels[column[0]] = sizes[column[0]].above
        for upper, lower in pairwise(column):
            levels[lower] = levels[upper] + _apart(columns, sizes, upper, lower)
        heights.append(levels[column[-1]] + sizes[column[-1]].below)
    for column, height in zip(columns.columns, heights, strict=True):
        for vertex in column:
            levels[vertex] += (max(heights) - height) / 2
    return levels


def _spans(
    columns: Columns, sizes: Sequence[Box], levels: Sequence[float]
) -> tuple[list[tuple[float, float]], list[float]]:
    """Where each column starts and ends, and where the centres of its boxes are; steep links get wide gaps."""
    rises = [0.0] * len(columns.columns)
    for source, target in columns.links:
        number = columns.column_of[source]
        rises[number] = max(rises[number], abs(levels[source] - levels[target]))
    spans, middles = [], []
    start = 0.0
    for column, rise in zip(columns.columns, rises, strict=True):
        middles.append(start + max(sizes[vertex].left for vertex in column))
        end = middles[-1] + max(sizes[vertex].right for vertex in column)
        spans.append((start, end))
        start = end + min(max(_NARROWEST_GAP, rise / _STEEPEST), _WIDEST_GAP)
    return spans, middles
