"""Boxes in columns, with few crossings: the first half of a layered layout, after Sugiyama, Tagawa and Toda (1981)."""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from random import Random

from service.web.program import least_cost

_STARTS, _EXCHANGES = 30, 8
_EFFORT = 6000  # links over all starts: the more links a drawing has, the fewer starts are tried

Edge = tuple[int, int]


@dataclass(frozen=True)
class Columns:
    """Boxes and slots in columns from left to right, each column from the top.

    A slot, the dummy vertex of layered layouts, is where an edge crosses a column; the edges of one source share it.
    Boxes keep their numbers, slots are numbered from `box_count` on. `links` lead from one column to the next; `ways`
    lists, for each edge, the slots it passes.
    """

    box_count: int
    columns: Sequence[Sequence[int]]
    links: Sequence[Edge]
    ways: Mapping[Edge, Sequence[int]]

    @property
    def count(self) -> int:
        """How many boxes and slots there are."""
        return sum(map(len, self.columns))

    @cached_property
    def column_of(self) -> Mapping[int, int]:
        """The number of the column of each box and slot."""
        return {vertex: number for number, column in enumerate(self.columns) for vertex in column}

    @cached_property
    def before(self) -> Sequence[Sequence[int]]:
        """The neighbours of each box and slot in the column before."""
        found: list[list[int]] = [[] for _ in range(self.count)]
        for source, target in self.links:
            found[target].append(source)
        return found

    @cached_property
    def after(self) -> Sequence[Sequence[int]]:
        """The neighbours of each box and slot in the column after."""
        found: list[list[int]] = [[] for _ in range(self.count)]
        for source, target in self.links:
            found[source].append(target)
        return found

    def crossings(self) -> int:
        """How many pairs of links cross."""
        rank = {vertex: rank for column in self.columns for rank, vertex in enumerate(column)}
        return _crossings(self.columns, rank, self.after)


def arrange(box_count: int, edges: Sequence[Edge]) -> Columns:
    """Put boxes in as many columns as the longest path needs, in an order with few crossings."""
    return _untangle(_with_slots(box_count, edges, _numbers(box_count, edges)))


def _numbers(count: int, edges: Sequence[Edge]) -> list[int]:
    """The column of each box: the least total length of edges, each of which spans one column or more.

    The matrix is totally unimodular, so that the simplex method ends in whole numbers.
    """
    if not edges:
        return [0] * count
    degrees = [0] * count
    for source, target in edges:
        degrees[source] -= 1
        degrees[target] += 1
    ends = ((factor, row, end) for row, edge in enumerate(edges) for factor, end in zip((1.0, -1.0), edge, strict=True))
    return [round(number) for number in least_cost(degrees, ends, [-1.0] * len(edges))]


def _with_slots(count: int, edges: Sequence[Edge], numbers: Sequence[int]) -> Columns:
    columns: list[list[int]] = [[] for _ in range(max(numbers) + 1)]
    for box, number in enumerate(numbers):
        columns[number].append(box)
    slots: dict[tuple[int, int], int] = {}
    ways = {}
    links: dict[Edge, None] = {}
    for source, target in edges:
        passed = range(numbers[source] + 1, numbers[target])
        way = [slots.setdefault((source, number), count + len(slots)) for number in passed]
        ways[source, target] = way
        links.update(dict.fromkeys(pairwise([source, *way, target])))
    for (_, number), slot in slots.items():
        columns[number].append(slot)
    return Columns(count, columns, list(links), ways)


def _untangle(columns: Columns) -> Columns:
    """Order each column by barycentre sweeps, each followed by exchanges, and return the best order found.

    The sweeps start from the order in which a depth-first walk back from the last boxes meets the rest, first operands
    first; then from that of a walk onward from the first boxes; then, repeatedly, from the best order so far with two
    vertices of each column exchanged at random.
    """
    before, after = columns.before, columns.after
    chance = Random(0)
    best, fewest = columns, None
    for start in range(max(2, min(_STARTS, _EFFORT // (len(columns.links) or 1)))):
        onward, back = (before, after) if start % 2 == 0 else (after, before)
        if start < 2:
            walked = _walk([vertex for vertex in range(columns.count) if not back[vertex]], onward)
            order = [sorted(column, key=walked.__getitem__) for column in columns.columns]
        else:
            order = [_shake(column, chance) for column in best.columns]
        rank = {vertex: rank for column in order for rank, vertex in enumerate(column)}
        for fixed in (back, onward):
            for column in order if fixed is before else reversed(order):
                if len(column) > 1:
                    column.sort(key={v: _mean(rank, fixed[v], rank[v]) for v in column}.__getitem__)
                    rank.update(zip(column, range(len(column)), strict=True))
            _exchange(order, rank, before, after)
            crossings = _crossings(order, rank, after)
            if fewest is None or crossings < fewest:
                best, fewest = replace(columns, columns=[list(column) for column in order]), crossings
            if fewest == 0:
                return best
    return best


def _crossings(order: Sequence[Sequence[int]], rank: Mapping[int, int], after: Sequence[Sequence[int]]) -> int:
    """Count the inversions among the right ends of the links of each gap, the left ends being in order."""
    count = 0
    for column in order:
        met: list[int] = []  # the right ends so far, in order
        for vertex in column:
            ends = sorted(rank[other] for other in after[vertex])
            for end in ends:
                count += len(met) - bisect_right(met, end)
            for end in ends:
                insort(met, end)
    return count


def _mean(rank: Mapping[int, int], vertices: Sequence[int], default: float) -> float:
    return sum([rank[vertex] for vertex in vertices]) / len(vertices) if vertices else default


def _shake(column: Sequence[int], chance: Random) -> list[int]:
    shaken = list(column)
    one, other = chance.randrange(len(shaken)), chance.randrange(len(shaken))
    shaken[one], shaken[other] = shaken[other], shaken[one]
    return shaken


def _walk(starts: Sequence[int], onward: Sequence[Sequence[int]]) -> dict[int, int]:
    """Number the vertices that a depth-first walk from `starts` reaches, in the order in which it meets them."""
    met: dict[int, int] = {}
    waiting = list(reversed(starts))
    while waiting:
        vertex = waiting.pop()
        if vertex not in met:
            met[vertex] = len(met)
            waiting.extend(reversed(onward[vertex]))
    return met


def _exchange(
    order: list[list[int]], rank: dict[int, int], before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]
) -> None:
    """Exchange neighbours within columns while that removes crossings."""

    stable = [len(column) < 2 for column in order]
    for _ in range(_EXCHANGES):
        for number, column in enumerate(order):
            if stable[number]:
                continue
            beside = {v: ([rank[a] for a in before[v]], [rank[a] for a in after[v]]) for v in column}
            stable[number] = True
            for position in range(len(column) - 1):
                upper, lower = column[position : position + 2]
                if _gain(beside[upper], beside[lower]) > 0:
                    column[position : position + 2] = lower, upper
                    rank[upper], rank[lower] = position + 1, position
                    stable[number] = False
            if not stable[number]:
                for near in (number - 1, number + 1):
                    if 0 <= near < len(order):
                        stable[near] = len(order[near]) < 2
        if all(stable):
            break


def _gain(upper: Sequence[Sequence[int]], lower: Sequence[Sequence[int]]) -> int:
    """How many crossings an exchange of two neighbours removes, by the ranks of their neighbours on both sides."""
    gain = 0
    for ones, others in zip(upper, lower, strict=True):
        for one in ones:
            for other in others:
                gain += (one > other) - (one < other)
    return gain
