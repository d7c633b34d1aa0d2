"""Where two graphs compute different functions: which nodes stand for one another all the same.

A node is open if the baseline has no such figure and neither has anything that follows from it: what is merely cut into
other operations closes again, and seldom holds a cut. The first open node of the candidate is paired with one of the
baseline's by structure: the same operation on the same operands, but with other attributes, another constant or in
another order. Else a pair must make what follows agree: another operation on the same operands, the same operation on
some of them, nodes that are used alike, and, where there are none, a guess.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress, islice, permutations, product, takewhile

import numpy as np

from service.core.alignment.alignment import How
from service.core.alignment.likeness import (
    Pair,
    at_leaves,
    is_of_shape,
    redefined,
    used_alike,
    with_other_constants,
    with_other_operands,
    with_other_operation,
)
from service.core.alignment.matching import Matching
from service.core.alignment.repeats import definition
from service.core.alignment.simulation import ProbedFigures
from service.core.errors import InvalidInputs
from service.core.figures.figures import IntArray, Shape
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back

_FOLLOWING, _SOON = 40, 16  # nodes behind a cut that are looked at to verify it, among the first of which some agree
_LOOKING = 20  # nodes that are looked through in the time in which one is computed
_GUESSED = 25  # open nodes on each side among which pairs are guessed
_MOST_WEIGHED = 200  # pairs that are likely
_MOST_AXES = 5  # of figures that are tried in all orders of their axes


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A pair that is taken for one though the figures differ, by position; `layout` is as in an Alignment.

    `evidence` is the share of what follows that then agrees; None where nothing follows.
    """

    mine: int
    other: int
    how: How
    layout: IntArray | None = None
    evidence: float | None = None


def find_cuts(matching: Matching) -> list[Cut]:
    """The next cuts, none of which rests on another; none where nothing can be paired."""
    unknown = [_is_unknown(matching, mine) for mine in range(len(matching.candidate))]
    if not any(unknown):
        return []
    matching.spent += len(unknown) / _LOOKING
    unseen = _unseen(matching)
    own, theirs = _open_nodes(matching.candidate, unknown), _open_nodes(matching.baseline, unseen)
    first = _first(matching, own)
    if fixed := [Cut(mine, matching.fixed[mine], How.NAME) for mine in first if mine in matching.fixed]:
        return fixed
    own = [mine for mine in own if mine not in matching.fixed]
    theirs = [other for other in theirs if other not in matching.reserved]
    return (
        _by_structure(matching, first, theirs)
        or _by_what_follows(matching, first, own, theirs)
        or _by_output(matching, own, theirs)
        or _closed(matching, unknown, unseen)
    )


def _is_unknown(matching: Matching, mine: int) -> bool:
    return not matching.is_known(mine) and (matching.partners[mine] < 0 or mine in matching.layouts)


def _unseen(matching: Matching) -> list[bool]:
    """Which of the baseline's nodes have no partner, and no node of the candidate left with their figures: of two that
    are equal one may be computed otherwise there."""
    seen, left = set(matching.classes), set(compress(matching.classes, (other < 0 for other in matching.partners)))
    return [
        known not in (seen if mine in matching.layouts else left) and (mine < 0 or mine in matching.layouts)
        for known, mine in zip(matching.their_classes, matching.partners_back, strict=True)
    ]


def _open_nodes(graph: Graph, unknown: Sequence[bool]) -> list[int]:
    """The unknown operations that lead by way of unknown ones to one that nothing consumes, in order."""
    consumed = graph.consumers.counts.tolist()
    ends = {position: True for position, found in enumerate(unknown) if found and not consumed[position]}

    def contributions(position: int, _: bool) -> list[bool | None]:
        return [unknown[source] or None for source in graph.operands[position]]

    met = sweep_back(graph, ends, contributions, add=lambda position, one, other: one)
    return [position for position in sorted(met) if graph.operands[position]]


def _first(matching: Matching, own: Sequence[int]) -> list[int]:
    """The open nodes that rest on no open one, except where that only lies otherwise."""
    behind = {mine for mine in own if mine not in matching.same_numbers}
    return [mine for mine in own if behind.isdisjoint(matching.candidate.operands[mine])]


def _by_structure(matching: Matching, first: Sequence[int], theirs: Sequence[int]) -> list[Cut]:
    found: list[Cut] = []
    settled: set[int] = set()
    for mine, other in redefined(matching, first, theirs):
        cut = Cut(mine, other, How.STRUCTURE)
        if not settled.isdisjoint(matching.candidate.operands[mine]):
            continue
        if is_of_shape(matching, mine, other) or _evidence(matching, cut):
            found.append(cut)
            settled.add(mine)
    first = [mine for mine in first if mine not in settled]
    for pairs in with_other_constants(matching, first, theirs):
        found += [Cut(mine, other, How.STRUCTURE) for mine, other in pairs]
    return found


def _by_what_follows(matching: Matching, first: Sequence[int], own: Sequence[int], theirs: Sequence[int]) -> list[Cut]:
    beside = _some(with_other_operands(matching, first, theirs))
    near = {*_some(with_other_operation(matching, first, theirs)), *beside}
    idle = _idle(matching.candidate, first, matching.is_free)
    near |= set(_some(used_alike(matching, idle, [*theirs, *_idle(matching.baseline, theirs, matching.is_free_there)])))
    if found := _agreeing_first(chain(_relaid(matching, first), _weighed_all(matching, near))):
        return _at_leaves(matching, _earliest(matching, found, own, theirs))
    if together := _together(matching, beside):
        return together
    far = set(_some(used_alike(matching, own, theirs)))
    if found := _agreeing_first(_weighed_all(matching, far)) or _guess(matching, own, theirs):
        return _at_leaves(matching, _earliest(matching, found, own, theirs))
    ends = (cut for cut in _weighed_all(matching, near | far) if cut.evidence is None)
    return next((_at_leaves(matching, cut) for cut in ends), [])


def _closed(matching: Matching, unknown: Sequence[bool], unseen: Sequence[bool]) -> list[Cut]:
    """Where a difference dies out before it comes to an end, as in a maximum: what makes more agree all the same."""
    own = [mine for mine in np.flatnonzero(unknown).tolist() if matching.candidate.operands[mine]]
    theirs = [other for other in np.flatnonzero(unseen).tolist() if matching.baseline.operands[other]]
    first = _first(matching, own)
    kinds = (redefined, with_other_operation, with_other_operands)
    near = {pair for kind in kinds for pair in _some(kind(matching, first, theirs))}
    found = _agreeing_first(_weighed_all(matching, near))
    return _at_leaves(matching, found) if found else []


def _agreeing_first(cuts: Iterable[Cut]) -> Cut | None:
    return next((cut for cut in cuts if cut.evidence), None)


def _some(pairs: Iterable[Pair]) -> list[Pair]:
    return list(dict.fromkeys(islice(pairs, 10 * _MOST_WEIGHED)))


def _weighed_all(matching: Matching, pairs: Iterable[Pair]) -> Iterator[Cut]:
    some = takewhile(lambda _: matching.has_time, sorted(pairs)[:_MOST_WEIGHED])
    return (cut for pair in some if (cut := _weighed(matching, pair, How.STRUCTURE)))


def _relaid(matching: Matching, first: Sequence[int]) -> Iterator[Cut]:
    """Operands that have the baseline's numbers but ought to lie as they do there."""
    operands = {source for mine in first for source in matching.candidate.operands[mine] if source in matching.layouts}
    cuts = [Cut(mine, matching.partners[mine], How.VERIFIED) for mine in sorted(operands)]
    cuts = [cut for cut in cuts if is_of_shape(matching, cut.mine, cut.other)]
    return (replace(cut, evidence=_evidence(matching, cut)) for cut in cuts)


def _at_leaves(matching: Matching, cut: Cut) -> list[Cut]:
    pairs = at_leaves(matching, cut.mine, cut.other)
    return [cut] if pairs == [(cut.mine, cut.other)] else [Cut(*pair, cut.how) for pair in pairs]


def _together(matching: Matching, pairs: Sequence[Pair]) -> list[Cut]:
    """The cuts where several differ at once, as all that a table of cosines and one of sines goes into.

    Only nodes that stand for one another alone count, and only those without which less would agree.
    """
    sides = [Counter(side) for side in zip(*pairs, strict=True)]
    alone = [pair for pair in pairs if all(side[each] == 1 for side, each in zip(sides, pair, strict=True))]
    alone = [pair for pair in alone if is_of_shape(matching, *pair) and matching.are_free(*pair)][:_GUESSED]
    found = list(dict.fromkeys(leaf for pair in alone for leaf in at_leaves(matching, *pair)))
    agreeing = _agreeing(matching, found)
    needed = [pair for pair in found if _agreeing(matching, [each for each in found if each != pair]) < agreeing]
    return [Cut(*pair, How.STRUCTURE) for pair in needed]


def _agreeing(matching: Matching, pairs: Sequence[Pair]) -> int:
    """How many of the nodes behind several pairs agree."""
    following = matching.behind([mine for mine, _ in pairs], _FOLLOWING)
    known = {mine: matching.theirs[other] for mine, other in pairs}
    return sum(each >= 0 for each in _classes_behind(matching, known, following).values())


def _by_output(matching: Matching, own: Sequence[int], theirs: Sequence[int]) -> list[Cut]:
    """What both graphs are for."""
    mine, other = (
        [position for position in positions if graph.nodes[position].name in graph.outputs]
        for graph, positions in ((matching.candidate, own), (matching.baseline, theirs))
    )
    if len(mine) == len(other) == 1 and matching.are_free(mine[0], other[0]):
        return [Cut(mine[0], other[0], How.STRUCTURE)]
    return []


def _guess(matching: Matching, own: Sequence[int], theirs: Sequence[int]) -> Cut | None:
    """The pair that makes most of what follows agree; the first of several."""
    pairs = takewhile(lambda _: matching.has_time, product(own[:_GUESSED], theirs[:_GUESSED]))
    found = [cut for pair in pairs if (cut := _weighed(matching, pair, How.VERIFIED)) and cut.evidence]
    return max(found, key=lambda cut: cut.evidence or 0.0, default=None)


def _earliest(matching: Matching, cut: Cut, own: Sequence[int], theirs: Sequence[int]) -> Cut:
    """The first pair before a cut that makes the figures of the cut's own nodes agree; else the cut itself."""
    between = _with_idle(
        matching.candidate, _open_ancestors(matching.candidate, cut.mine, own), cut.mine, matching.is_free
    )
    others = _open_ancestors(matching.baseline, cut.other, theirs)
    others = [*_with_idle(matching.baseline, others, cut.other, matching.is_free_there), cut.other]
    for mine in takewhile(lambda _: matching.has_time, between[:_GUESSED]):
        following = [each for each in [*between, cut.mine] if each > mine]
        for other in (each for each in others[:_GUESSED] if _may_be_wrong(matching, mine, each)):
            for layout in _layouts(matching, (mine, other)):
                classes = _classes_behind(matching, {mine: matching.in_place(other, layout)}, following)
                if classes and classes.get(cut.mine) == matching.their_classes[cut.other]:
                    return Cut(mine, other, How.VERIFIED, layout)
    return cut


def _may_be_wrong(matching: Matching, mine: int, other: int) -> bool:
    """Whether a node may be what differs: its figure is unknown, it only passes on what it takes, or it takes something
    else."""
    node, twin = matching.candidate.nodes[mine], matching.baseline.nodes[other]
    if not matching.is_known(mine) or definition(node) == definition(twin):
        return True
    return matching.classes[mine] in (matching.classes[source] for source in matching.candidate.operands[mine])


def _idle(graph: Graph, takers: Iterable[int], is_free: Callable[[int], bool]) -> list[int]:
    """Operands that the other graph has the figures of, but that have no partner, as an Identity where a residual is
    left out."""
    operands = {source for taker in takers for source in graph.operands[taker]}
    return [position for position in sorted(operands) if is_free(position) and graph.operands[position]]


def _with_idle(graph: Graph, opened: Iterable[int], end: int, is_free: Callable[[int], bool]) -> list[int]:
    """The open nodes before one, and the operands without a partner on which they or it rest, in order."""
    found, fresh = set(opened), {*opened, end}
    while fresh and len(found) < _GUESSED:
        fresh = {*_idle(graph, fresh, is_free)} - found
        found |= fresh
    return sorted(found)


def _open_ancestors(graph: Graph, position: int, opened: Sequence[int]) -> list[int]:
    """Those of the open nodes on which the one at `position` rests by way of open nodes, in order."""
    wanted, found = {position}, []
    for each in reversed(opened[: bisect_right(opened, position)]):
        if each in wanted:
            wanted.update(graph.operands[each])
            found.append(each)
    return found[:0:-1]


def _weighed(matching: Matching, pair: Pair, how: How) -> Cut | None:
    """The pair as a cut, in the layout that makes most agree; None if it cannot be one."""
    cuts = [Cut(*pair, how, layout) for layout in _layouts(matching, pair)]
    found = [replace(cut, evidence=_evidence(matching, cut)) for cut in cuts]
    return max(found, key=lambda cut: cut.evidence or 0.0, default=None)


def _layouts(matching: Matching, pair: Pair) -> Iterator[IntArray | None]:
    """How the elements of the baseline's figure may lie in the candidate's; None is as they are, whatever its shape."""
    mine, other = pair
    own, theirs = np.shape(matching.own[mine][0]), np.shape(matching.theirs[other][0])
    if not matching.are_free(mine, other):
        return
    yield None
    if sorted(own) == sorted(theirs) and len(own) <= _MOST_AXES and (own != theirs or matching.layouts):
        yield from _turned(theirs, own)


def _turned(theirs: Shape, own: Shape) -> Iterator[IntArray]:
    lying = np.arange(int(np.prod(theirs, dtype=np.int64))).reshape(theirs)
    for axes in permutations(range(len(theirs))):
        if tuple(theirs[axis] for axis in axes) == own and sorted(axes) != list(axes):
            yield lying.transpose(axes)


def _evidence(matching: Matching, cut: Cut) -> float | None:
    """The share of the nodes behind a cut whose figures the baseline has; None where nothing is behind.

    Those with the numbers that were put in place say nothing.
    """
    following = matching.behind([cut.mine], _FOLLOWING)
    if not following:
        return None
    put = {cut.mine: matching.in_place(cut.other, cut.layout)}
    same = {cut.other, *matching.having_same_numbers(matching.theirs[cut.other])}
    known = {-1, *(matching.their_classes[each] for each in same)}
    if known.issuperset(_classes_behind(matching, put, following[:_SOON]).values()):
        return 0.0
    classes = _classes_behind(matching, put, following)
    return sum(each not in known for each in classes.values()) / len(following)


def _classes_behind(
    matching: Matching, put: Mapping[int, ProbedFigures], following: Sequence[int]
) -> Mapping[int, int]:
    """The classes of those of `following` that rest on nodes which had the figures `put` there; −1 also where it is no
    evidence that the baseline has such figures, and none if they are refused."""
    known, classes = dict(put), {}
    sources = matching.candidate.operands
    for position in (each for each in following if not known.keys().isdisjoint(sources[each])):
        try:
            found, known[position] = matching.evaluate(position, known)
        except InvalidInputs:
            return {}
        if found < 0 and matching.layouts and (others := matching.having_same_numbers(known[position])):
            found = matching.their_classes[others[0]]
        classes[position] = found if found >= 0 and matching.is_telling(found) else -1
    return classes
