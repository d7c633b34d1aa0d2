"""Two graphs at the same probes, and which of their nodes have been paired so far."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from heapq import heappop, heappush

import numpy as np

from service.core.alignment.alignment import Alignment, How
from service.core.alignment.fingerprints import (
    FigureIndex,
    are_filled_otherwise,
    fingerprint,
    has_long_numbers,
    unordered_fingerprint,
)
from service.core.alignment.repeats import Repeats
from service.core.alignment.simulation import ProbedFigures, figures_at
from service.core.errors import InvalidInputs
from service.core.figures.figures import IntArray
from service.core.graph.graph import Graph

_ROUNDED = 1e-8  # a tolerance that is wider allows for constants in float32
# Operations and operands that take as long as all that a node takes beside its rule.
_OPERATIONS, _OPERANDS = 20_000, 20
# What the search may take: so often what all nodes take, and so many nodes in all.
_AGAIN, _AGAIN_IN_ALL = 4, 50_000


class Matching:
    """The state of the search; all nodes by position, the baseline's called `theirs`, the candidate's `own`.

    Nodes of one class have equal figures at all probes. A candidate's class is −1 where the baseline has no such
    figure. `same_numbers` are the candidate's nodes whose numbers the baseline has, but lying otherwise. `spent`
    counts the nodes that were computed again, with what takes as long.
    """

    def __init__(
        self,
        baseline: Graph,
        candidate: Graph,
        theirs: list[ProbedFigures],
        inputs: Mapping[int, ProbedFigures],
        fixed: Mapping[int, int],
        tolerance: float,
    ) -> None:
        self.baseline, self.candidate = baseline, candidate
        self.theirs, self.tolerance = theirs, tolerance
        self.fixed = dict(fixed)
        self.reserved = set(fixed.values())
        self.index = FigureIndex(map(fingerprint, theirs), tolerance)
        self.their_classes = self.index.classes
        self.members: list[list[int]] = [[] for _ in self.index.representatives]
        for position, known in enumerate(self.their_classes):
            self.members[known].append(position)
        self.own: list[ProbedFigures] = []
        self.classes: list[int] = []
        for position, node in enumerate(candidate.nodes):
            figures = inputs[position] if node.operation.is_input else self._evaluate(position, {})
            found, recognised = self._recognised(figures)
            self.classes.append(found)
            self.own.append(recognised if candidate.operands[position] else figures)
        self.partners, self.partners_back = [-1] * len(candidate), [-1] * len(baseline)
        self.how: dict[int, How] = {}
        self.cuts: set[int] = set()
        self.layouts: dict[int, IntArray] = {}
        self.same_numbers: set[int] = set()
        self.spent = 0.0
        self._repeats = Repeats(baseline, self.their_classes)
        self._unordered: tuple[FigureIndex, list[list[int]]] | None = None

    def pair(self, mine: int, other: int, how: How, layout: IntArray | None = None) -> None:
        """Take the two for one."""
        self.partners[mine], self.partners_back[other] = other, mine
        self.how[mine] = how
        if layout is not None:
            self.layouts[mine] = layout

    def cut(self, mine: int, other: int, how: How, layout: IntArray | None = None) -> None:
        """Take the two for one though they differ, and put the baseline's figures in place of the candidate's."""
        self.layouts.pop(mine, None)
        self.pair(mine, other, how, layout)
        if not self.candidate.nodes[mine].operation.is_input:
            self.cuts.add(mine)
        if self.terms(mine) == self.terms_there(other):
            self._repeats.note(self.candidate.nodes[mine], other)
        self.own[mine] = self.in_place(other, layout)
        self.classes[mine] = self.their_classes[other]

    def in_place(self, other: int, layout: IntArray | None) -> ProbedFigures:
        """The figures of the baseline's node as the candidate has them."""
        figures = self.theirs[other]
        return figures if layout is None else tuple(figure.ravel()[layout] for figure in figures)

    def is_free(self, mine: int) -> bool:
        """Whether the candidate's node may still be paired by what it computes."""
        return self.partners[mine] < 0 and mine not in self.fixed

    def is_free_there(self, other: int) -> bool:
        """Whether the baseline's node may."""
        return self.partners_back[other] < 0 and other not in self.reserved

    def are_free(self, mine: int, other: int) -> bool:
        """Whether both may."""
        return self.is_free(mine) and self.is_free_there(other)

    def is_known(self, mine: int) -> bool:
        """Whether the baseline has the figure of the candidate's node, or it was put there."""
        return self.classes[mine] >= 0 or mine in self.cuts

    def term(self, mine: int) -> int:
        """The candidate's node as an operand, in the baseline's terms: its class; −1 if the baseline has none."""
        partner = self.partners[mine]
        return self.classes[mine] if partner < 0 else self.their_classes[partner]

    def terms(self, mine: int) -> tuple[int, ...]:
        """The operands of the candidate's node in the baseline's terms."""
        return tuple(map(self.term, self.candidate.operands[mine]))

    def terms_there(self, other: int) -> tuple[int, ...]:
        """The operands of the baseline's node."""
        return tuple(self.their_classes[source] for source in self.baseline.operands[other])

    def varies(self, known: int) -> bool:
        """Whether the figures of a class differ between probes, so that it is no accident to have them."""
        return self.index.representatives[known].varies(self.tolerance)

    def is_telling(self, known: int) -> bool:
        """Whether it is no accident to have the figures of a class: they vary, or are not what a person writes."""
        return self.varies(known) or has_long_numbers(self.theirs[self.members[known][0]][0])

    def behind(self, starts: Iterable[int], most: int | None = None, *, free: bool = False) -> list[int]:
        """The candidate's nodes without a known figure that rest on one of `starts` by way of such nodes, in order; if
        `free`, also those with one but no partner."""
        consumers = self.candidate.consumers
        found: list[int] = []
        reached = {consumer for start in starts for consumer, _ in consumers[start]}
        waiting = sorted(reached)
        while waiting and len(found) != most:
            position = heappop(waiting)
            if not self.is_known(position) or (free and self.partners[position] < 0):
                found.append(position)
                for consumer, _ in consumers[position]:
                    if consumer not in reached:
                        reached.add(consumer)
                        heappush(waiting, consumer)
        return found

    @property
    def has_time(self) -> bool:
        """Whether the search may go on."""
        return self.spent <= self._affordable

    @cached_property
    def _affordable(self) -> float:
        return _AGAIN * sum(map(self._cost, range(len(self.candidate)))) + _AGAIN_IN_ALL

    def _cost(self, position: int) -> float:
        node, sources = self.candidate.nodes[position], self.candidate.operands[position]
        shapes = [np.shape(self.own[source][0]) for source in sources]
        work = node.operation.work_of_value(shapes, np.shape(self.own[position][0]), node.attributes)
        return 1.0 + len(sources) / _OPERANDS + work.operations / _OPERATIONS

    def evaluate(self, position: int, known: Mapping[int, ProbedFigures]) -> tuple[int, ProbedFigures]:
        """The class of a candidate's node and its figures, where `known` are some that differ from those held.

        Where constants are rounded to float32, figures of a class become the baseline's to the bit, lest that grow from
        node to node.
        """
        self.spent += self._cost(position)
        return self._recognised(self._evaluate(position, known))

    def _evaluate(self, position: int, known: Mapping[int, ProbedFigures]) -> ProbedFigures:
        sources = self.candidate.operands[position]
        operands = [known[source] if source in known else self.own[source] for source in sources]
        return figures_at(self.candidate, position, operands)

    def _recognised(self, figures: ProbedFigures) -> tuple[int, ProbedFigures]:
        described = fingerprint(figures)
        found = self.index.find(described)
        if found < 0 or self.tolerance < _ROUNDED:
            return found, figures
        theirs = self.theirs[self.members[found][0]]
        return found, theirs if described.is_finite or not are_filled_otherwise(figures[0], theirs[0]) else figures

    def reevaluate(self, starts: Sequence[int]) -> list[int]:
        """Compute again what rests on nodes whose figures were replaced; return it."""
        changed = self.behind(starts, free=True)
        for position in changed:
            try:
                self.classes[position], self.own[position] = self.evaluate(position, {})
            except InvalidInputs:  # what was put there has another shape
                self.classes[position] = -1
            self.same_numbers.discard(position)
            if self.classes[position] < 0:
                self._cut_as_before(position)
        return changed

    def _cut_as_before(self, mine: int) -> None:
        """Cut a node, or a constant that it takes, if that differs from the baseline as one did that has been cut."""
        sources, nodes = self.candidate.operands[mine], self.candidate.nodes
        places = self._repeats.places(nodes[mine], [nodes[source] for source in sources], self.terms(mine))
        shape = np.shape(self.own[mine][0])
        fitting = (place for place in places if self.are_free(mine, place) and np.shape(self.theirs[place][0]) == shape)
        other = next(fitting, None)
        if other is None:
            return
        operands = zip(sources, self.baseline.operands[other], strict=True)
        differing = [(one, two) for one, two in operands if self.term(one) != self.their_classes[two]]
        if not differing:
            self.cut(mine, other, How.STRUCTURE)
        elif all(self.are_free(*pair) and len(self.candidate.consumers[pair[0]]) == 1 for pair in differing):
            for one, two in differing:
                self.cut(one, two, How.STRUCTURE)
            self.classes[mine], self.own[mine] = self.evaluate(mine, {})

    def having_same_numbers(self, figures: ProbedFigures) -> list[int]:
        """The baseline's nodes with these numbers, wherever they lie."""
        if np.size(figures[0]) < 2:
            return []
        if self._unordered is None:
            places = [
                place
                for place, held in enumerate(self.theirs)
                if np.size(held[0]) > 1 and self.varies(self.their_classes[place])
            ]
            index = FigureIndex((unordered_fingerprint(self.theirs[place]) for place in places), self.tolerance)
            self._unordered = index, [[] for _ in index.representatives]
            for place, known in zip(places, index.classes, strict=True):
                self._unordered[1][known].append(place)
        index, members = self._unordered
        known = index.find(unordered_fingerprint(figures))
        return [] if known < 0 else members[known]

    def alignment(self) -> Alignment:
        """What was found, but for figures that a mask fills with infinities in one graph, with large numbers in the
        other: they serve one purpose, and are not the same."""
        partners = np.array(self.partners, dtype=np.int64)
        for mine in np.flatnonzero(partners >= 0).tolist():
            if mine not in self.cuts and not self.index.representatives[self.their_classes[partners[mine]]].is_finite:
                theirs = self.in_place(partners[mine], self.layouts.get(mine))
                if are_filled_otherwise(self.own[mine][0], theirs[0]):
                    partners[mine] = -1
        how = {mine: found for mine, found in self.how.items() if partners[mine] >= 0}
        layouts = {mine: layout for mine, layout in self.layouts.items() if partners[mine] >= 0}
        return Alignment(partners, how, np.array(sorted(self.cuts), dtype=np.int64), layouts)
