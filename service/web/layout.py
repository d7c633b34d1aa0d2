"""Where the boxes of a drawing stand and which way its edges go: a layered layout, free of overlaps by construction.

Edges run from left to right through columns of boxes, after Sugiyama, Tagawa and Toda (1981). An edge that passes a
column passes it in a slot of its own, straight; up and down it goes in the gaps between columns only, where nothing
else stands. All edges of one source share their slots. Columns and heights are linear programs, after Gansner,
Koutsofios, North and Vo (1993): the least total length of edges, and the least total rise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

_SWEEPS = 12
_BOX_SPACING, _SLOT_SPACING = 14.0, 9.0
_NARROW_GAP, _WIDE_GAP = 26.0, 110.0
_STEEPEST = 4.0  # how much an edge may rise for each unit of a gap's width, before the gap is widened
_STRAIGHTNESS = (1.0, 2.0, 8.0)  # the weight of a rise between two boxes, a box and a slot, two slots
_SYMMETRY = 0.4  # the weight of a rise away from the middle of the neighbours on one side
_COMPACTNESS = 1e-3


@dataclass(frozen=True, slots=True)
class Box:
    """The space that a node takes, measured from its centre, where its edges come in and go out."""

    left: float
    right: float
    half_height: float


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
    routes: Mapping[tuple[int, int], tuple[Stretch, ...]]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Boxes and slots in columns, each from the top: a slot is what is not a box, numbered from `box_count` on.

    `links` lead from one column to the next; `ways` names, for each edge, the slots it passes.
    """

    box_count: int
    columns: list[list[int]]
    links: tuple[tuple[int, int], ...]
    ways: Mapping[tuple[int, int], tuple[int, ...]]

    def crossings(self) -> int:
        """How many pairs of links cross."""
        place = {vertex: rank for column in self.columns for rank, vertex in enumerate(column)}
        number = {vertex: index for index, column in enumerate(self.columns) for vertex in column}
        count = 0
        for gap in range(len(self.columns)):
            ends = np.array([(place[u], place[v]) for u, v in self.links if number[u] == gap]).reshape(-1, 2)
            left, right = (np.subtract.outer(side, side) for side in ends.T)
            count += int(np.sum((left < 0) & (right > 0)))
        return count


def lay_out(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> Layout:
    """A layout of `boxes` with `edges` between them, which make no cycle; duplicates are laid out once."""
    edges = list(dict.fromkeys(edges))
    columns = _untangle(_with_slots(len(boxes), edges, _layers(len(boxes), edges)))
    heights = [boxes[vertex].half_height if vertex < len(boxes) else 0.0 for vertex in range(_vertex_count(columns))]
    rises = _rises(columns, heights)
    spans, width = _spans(columns, boxes, rises)
    span = {vertex: spans[number] for number, column in enumerate(columns.columns) for vertex in column}
    middle = {
        number: start + _reach(column, boxes)[0]
        for (number, column), (start, _) in zip(enumerate(columns.columns), spans, strict=True)
    }
    number = {vertex: index for index, column in enumerate(columns.columns) for vertex in column}
    centres = tuple((middle[number[vertex]], rises[vertex]) for vertex in range(len(boxes)))
    routes = {}
    for edge, way in columns.ways.items():
        source, target = edge
        first = Stretch(centres[source][0] + boxes[source].right, span[source][1], rises[source])
        last = Stretch(span[target][0], centres[target][0] - boxes[target].left, rises[target])
        routes[edge] = (first, *(Stretch(*span[slot], rises[slot]) for slot in way), last)
    bottom = max((y + height for y, height in zip(rises, heights, strict=True)), default=0.0)
    return Layout(width, bottom, centres, routes)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The column of each box: the least total length of edges, each of which spans one column or more.

    The matrix is totally unimodular, so that the simplex method ends in whole numbers.
    """
    if not edges:
        return [0] * count
    sources, targets = np.array(edges).T
    rows = np.arange(len(edges))
    cost = np.bincount(targets, minlength=count) - np.bincount(sources, minlength=count)
    ones = np.ones(len(edges))
    spanned = coo_array((np.r_[ones, -ones], (np.r_[rows, rows], np.r_[sources, targets])), (len(edges), count))
    found = linprog(cost, A_ub=spanned, b_ub=-ones, bounds=(0, None), method="highs-ds")
    return [round(layer) for layer in found.x]


def _with_slots(count: int, edges: Sequence[tuple[int, int]], layers: Sequence[int]) -> _Columns:
    columns: list[list[int]] = [[] for _ in range(max(layers, default=0) + 1)]
    for vertex, layer in enumerate(layers):
        columns[layer].append(vertex)
    slots: dict[tuple[int, int], int] = {}
    ways = {}
    links: dict[tuple[int, int], None] = {}
    for source, target in edges:
        passed = range(layers[source] + 1, layers[target])
        way = tuple(slots.setdefault((source, layer), count + len(slots)) for layer in passed)
        ways[source, target] = way
        links.update(dict.fromkeys(pairwise((source, *way, target))))
    for (_, layer), slot in slots.items():
        columns[layer].append(slot)
    return _Columns(count, columns, tuple(links), ways)


def _vertex_count(columns: _Columns) -> int:
    return sum(map(len, columns.columns))


def _neighbours(columns: _Columns) -> tuple[list[list[int]], list[list[int]]]:
    """For each vertex those it is linked to in the column before, and in the column after."""
    before: list[list[int]] = [[] for _ in range(_vertex_count(columns))]
    after: list[list[int]] = [[] for _ in before]
    for source, target in columns.links:
        before[target].append(source)
        after[source].append(target)
    return before, after


def _untangle(columns: _Columns) -> _Columns:
    """The same with each column in the order of the few crossings that barycentre sweeps find.

    The first order is that in which a walk back from the last boxes meets the rest, first operands first.
    """
    before, after = _neighbours(columns)
    met: dict[int, None] = {}
    waiting = [vertex for vertex in reversed(range(len(after))) if not after[vertex]]
    while waiting:
        vertex = waiting.pop()
        if vertex not in met:
            met[vertex] = None
            waiting.extend(reversed(before[vertex]))
    walked = {vertex: rank for rank, vertex in enumerate(met)}
    order = [sorted(column, key=walked.__getitem__) for column in columns.columns]
    best = _Columns(columns.box_count, order, columns.links, columns.ways)
    fewest = best.crossings()
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        fixed = after if sweep % 2 == 0 else before
        order = [list(column) for column in order]
        for column in order if fixed is before else reversed(order):
            place = {vertex: rank for ranked in order for rank, vertex in enumerate(ranked)}
            weight = {v: fmean(place[other] for other in fixed[v]) if fixed[v] else place[v] for v in column}
            column.sort(key=weight.__getitem__)
        tried = _Columns(columns.box_count, order, columns.links, columns.ways)
        crossings = tried.crossings()
        if crossings < fewest:
            best, fewest = tried, crossings
    return best


def _rises(columns: _Columns, heights: Sequence[float]) -> list[float]:
    """The height of each vertex: the least total rise of links, weighted, such that nothing touches in a column.

    The linear program min Σ w·t subject to t ≥ |Σ c·y|, one t for each link (y_source − y_target), and one for each
    vertex with several neighbours on a side (y − their mean).
    """
    count = len(heights)
    slots = np.arange(count) >= columns.box_count
    terms: list[tuple[float, dict[int, float]]] = [
        (_STRAIGHTNESS[int(slots[source]) + int(slots[target])], {source: 1.0, target: -1.0})
        for source, target in columns.links
    ]
    for side in _neighbours(columns):
        for vertex, others in enumerate(side):
            if len(others) > 1:
                terms.append((_SYMMETRY, {vertex: 1.0, **dict.fromkeys(others, -1.0 / len(others))}))
    rows, bounds = [], []
    for index, (_, coefficients) in enumerate(terms):
        for sign in (1.0, -1.0):
            rows.append({**{vertex: sign * factor for vertex, factor in coefficients.items()}, count + index: -1.0})
            bounds.append(0.0)
    for column in columns.columns:
        for upper, lower in pairwise(column):
            spacing = _SLOT_SPACING if slots[upper] or slots[lower] else _BOX_SPACING
            rows.append({upper: 1.0, lower: -1.0})
            bounds.append(-(heights[upper] + spacing + heights[lower]))
    if not rows:
        return list(heights)
    entries = [(factor, row, vertex) for row, factors in enumerate(rows) for vertex, factor in factors.items()]
    factors_, row_numbers, vertices = zip(*entries, strict=True)
    matrix = coo_array((factors_, (row_numbers, vertices)), (len(rows), count + len(terms)))
    cost = [*([_COMPACTNESS] * count), *(weight for weight, _ in terms)]
    least = [(height, None) for height in heights] + [(0.0, None)] * len(terms)
    found = linprog(cost, A_ub=matrix, b_ub=bounds, bounds=least, method="highs")
    return [float(y) for y in found.x[:count]]


def _reach(column: Sequence[int], boxes: Sequence[Box]) -> tuple[float, float]:
    """How far the boxes of a column, whose centres stand above one another, reach to the left and to the right."""
    held = [boxes[vertex] for vertex in column if vertex < len(boxes)]
    return max(box.left for box in held), max(box.right for box in held)


def _spans(columns: _Columns, boxes: Sequence[Box], rises: Sequence[float]) -> tuple[list[tuple[float, float]], float]:
    """Where each column starts and ends, and where the last one does; steep links have wide gaps."""
    number = {vertex: index for index, column in enumerate(columns.columns) for vertex in column}
    steepest = [0.0] * len(columns.columns)
    for source, target in columns.links:
        steepest[number[source]] = max(steepest[number[source]], abs(rises[source] - rises[target]))
    spans = []
    start = 0.0
    for column, steep in zip(columns.columns, steepest, strict=True):
        end = start + sum(_reach(column, boxes))
        spans.append((start, end))
        start = end + min(max(_NARROW_GAP, steep / _STEEPEST), _WIDE_GAP)
    return spans, spans[-1][1]
