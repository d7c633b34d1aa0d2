"""Boxes in columns, with few crossings: the first half of a layered layout, after Sugiyama, Tagawa and Toda (1981)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from random import Random
from statistics import fmean

import numpy as np

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
        gaps: list[list[Edge]] = [[] for _ in self.columns]
        for source, target in self.links:
            gaps[self.column_of[source]].append((rank[source], rank[target]))
        count = 0
        for gap in filter(None, gaps):
            left, right = (np.subtract.outer(ends, ends) for ends in np.array(gap).T)
            count += int(np.sum((left < 0) & (right > 0)))
        return count


def arrange(box_count: int, edges: Sequence[Edge]) -> Columns:
    """Put boxes in as many columns as the longest path needs, in an order with few crossings."""
    return _untangle(_with_slots(box_count, edges, _numbers(box_count, edges)))


def _numbers(count: int, edges: Sequence[Edge]) -> list[int]:
    """The column of each box: the least total length of edges, each of which spans one column or more.

    The matrix is totally unimodular, so that the simplex method ends in whole numbers.
    """
    if not edges:
        return [0] * count
    sources, targets = np.array(edges).T
    rows, ones = np.arange(len(edges)), np.ones(len(edges))
    cost = np.bincount(targets, minlength=count) - np.bincount(sources, minlength=count)
    from scipy.optimize import linprog  # a tenth of the start, and only pictures need it
    from scipy.sparse import coo_array

    spanned = coo_array((np.r_[ones, -ones], (np.r_[rows, rows], np.r_[sources, targets])), (len(edges), count))
    found = linprog(cost, A_ub=spanned, b_ub=-ones, bounds=(0, None), method="highs-ds")
    return [round(number) for number in found.x]


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
                weight = {v: fmean(rank[other] for other in fixed[v]) if fixed[v] else rank[v] for v in column}
                column.sort(key=weight.__getitem__)
                rank.update((vertex, position) for position, vertex in enumerate(column))
            _exchange(order, rank, before, after)
            tried = replace(columns, columns=[list(column) for column in order])
            crossings = tried.crossings()
            if fewest is None or crossings < fewest:
                best, fewest = tried, crossings
            if fewest == 0:
                return best
    return best


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

    def gain(upper: int, lower: int) -> int:
        pairs = [(rank[a], rank[b]) for side in (before, after) for a in side[upper] for b in side[lower]]
        return sum((a > b) - (a < b) for a, b in pairs)

    for _ in range(_EXCHANGES):
        exchanged = False
        for column in order:
            for position in range(len(column) - 1):
                upper, lower = column[position : position + 2]
                if gain(upper, lower) > 0:
                    column[position : position + 2] = lower, upper
                    rank[upper], rank[lower] = position + 1, position
                    exchanged = True
        if not exchanged:
            break
