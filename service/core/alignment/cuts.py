"""Where two graphs compute different functions: which nodes stand for one another all the same.

A node is open if the baseline has no such figure and neither has anything that follows from it: what is merely cut into
other operations closes again. The first open node of the candidate is paired with one of the baseline's by structure:
the same operation on the same operands, but with other attributes, another constant or in another order. Else a pair
must make what follows agree: another operation on the same operands, the same operation on some of them, nodes that are
used alike, and, where there are none, a guess.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from service.core.alignment.alignment import How
from service.core.alignment.matching import Matching
from service.core.graph.graph import Graph, Node, written_attribute

_FOLLOWING = 40  # nodes behind a cut that are looked at to verify it
_GUESSED = 25  # open nodes on each side among which pairs are guessed
_CONSTANT = -2  # any Constant, or Input without a partner, as an operand


@dataclass(frozen=True, slots=True)
class Cut:
    """A pair that is taken for one though the figures differ."""

    mine: int
    other: int
    how: How
    evidence: float = 0.0


def find_cuts(matching: Matching) -> list[Cut]:
    """The next cuts, none of which rests on another; none where nothing can be paired."""
    own = _open_nodes(matching.candidate, [_is_unknown(matching, mine) for mine in range(len(matching.candidate))])
    if not own:
        return []
    seen = {known for known in matching.classes if known >= 0}
    theirs = _open_nodes(
        matching.baseline,
        [
            known not in seen
            and (matching.partners_back[other] < 0 or matching.partners_back[other] in matching.layouts)
            for other, known in enumerate(matching.their_classes)
        ],
    )
    first = _first(matching, own)
    if fixed := [Cut(mine, matching.fixed[mine], How.NAME) for mine in first if mine in matching.fixed]:
        return fixed
    own = [mine for mine in own if mine not in matching.fixed]
    theirs = [other for other in theirs if other not in matching.reserved]
    if not theirs:
        return []
    if sure := list(_redefined(matching, first, theirs)):
        return sure
    likely = [*_other_operation(matching, first, theirs), *_used_alike(matching, own, theirs)]
    likely += _other_operands(matching, first, theirs)
    for cut in sorted(dict.fromkeys(likely), key=lambda each: each.mine):
        if (evidence := _evidence(matching, cut.mine, cut.other)) and evidence > 0:
            return [_earliest(matching, cut, own, theirs)]
    if guess := _guess(matching, own, theirs):
        return [_earliest(matching, guess, own, theirs)]
    return [cut for cut in likely if _evidence(matching, cut.mine, cut.other) is None][:1] or _outputs(
        matching, own, theirs
    )


def _is_unknown(matching: Matching, mine: int) -> bool:
    return not matching.is_known(mine) and (matching.partners[mine] < 0 or mine in matching.layouts)


def _open_nodes(graph: Graph, unknown: list[bool]) -> list[int]:
    """The unknown operations that lead by way of unknown ones to one that nothing consumes, in order."""
    is_open = [False] * len(graph)
    led_on = [False] * len(graph)
    consumed = graph.consumers.counts.tolist()
    for position in range(len(graph) - 1, -1, -1):
        if unknown[position] and (led_on[position] or not consumed[position]):
            is_open[position] = True
            for source in graph.operands[position]:
                led_on[source] = True
    return [position for position, found in enumerate(is_open) if found and graph.operands[position]]


def _first(matching: Matching, own: list[int]) -> list[int]:
    """The open nodes that rest on no open one, except where that only lies otherwise."""
    behind = {mine for mine in own if mine not in matching.same_numbers}
    return [mine for mine in own if behind.isdisjoint(matching.candidate.operands[mine])]


def _redefined(matching: Matching, first: list[int], theirs: list[int]) -> Iterator[Cut]:
    """The same operation on the same operands, but with other attributes, in another order or with another constant."""
    same: defaultdict[Hashable, list[int]] = defaultdict(list)
    starred: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        node = matching.baseline.nodes[other]
        same[node.operation, tuple(sorted(matching.terms_there(other)))].append(other)
        starred[node.operation, _starred_there(matching, other)].append(other)
    taken: set[int] = set()
    for mine in first:
        node, terms = matching.candidate.nodes[mine], matching.terms(mine)
        if -1 not in terms:
            others = [
                other
                for other in same[node.operation, tuple(sorted(terms))]
                if other not in taken and _fits(matching, mine, other) and _differ(matching, mine, other)
            ]
            if others:
                others.sort(key=lambda other: matching.terms_there(other) != terms)
                taken.add(others[0])
                yield Cut(mine, others[0], How.STRUCTURE)
                continue
        if mine in matching.same_numbers:
            continue
        key = _starred(matching, mine)
        if _CONSTANT in key and any(term >= 0 for term in key):
            others = [
                other
                for other in starred[node.operation, key]
                if other not in taken and matching.partners_back[other] < 0 and _fits(matching, mine, other)
            ]
            if others:
                taken.add(others[0])
                yield from _at_constants(matching, mine, others[0])


def _at_constants(matching: Matching, mine: int, other: int) -> Iterator[Cut]:
    """The cuts at the constants that differ, where nothing else uses them and they are of one shape; else at the node
    that uses them."""
    differing = [
        (one, twin)
        for one, twin in zip(matching.candidate.operands[mine], matching.baseline.operands[other], strict=True)
        if matching.term(one) != matching.their_classes[twin]
    ]
    alone = all(
        matching.is_free(one)
        and matching.is_free_there(twin)
        and len(matching.candidate.consumers[one]) == 1
        and np.shape(matching.own[one][0]) == np.shape(matching.theirs[twin][0])
        for one, twin in differing
    )
    if differing and alone:
        yield from (Cut(one, twin, How.STRUCTURE) for one, twin in differing)
    else:
        yield Cut(mine, other, How.STRUCTURE)


def _other_operation(matching: Matching, first: list[int], theirs: list[int]) -> Iterator[Cut]:
    """Another operation on the same operands, constants aside."""
    by_operands: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        by_operands[frozenset(_starred_there(matching, other)) - {_CONSTANT}].append(other)
    for mine in first:
        terms = frozenset(_starred(matching, mine)) - {_CONSTANT}
        if terms and -1 not in terms:
            yield from (
                Cut(mine, other, How.STRUCTURE)
                for other in by_operands[terms]
                if _fits(matching, mine, other, free=True)
            )


def _used_alike(matching: Matching, own: list[int], theirs: list[int]) -> Iterator[Cut]:
    """Nodes that the same operation takes in the same slot beside the same operands."""
    uses: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        for consumer, slot in matching.baseline.consumers[other]:
            beside = _beside(matching.terms_there(consumer), slot)
            uses[matching.baseline.nodes[consumer].operation, slot, beside].append(other)
    for mine in own:
        for consumer, slot in matching.candidate.consumers[mine]:
            beside = _beside(matching.terms(consumer), slot)
            if beside and -1 not in beside:
                others = uses[matching.candidate.nodes[consumer].operation, slot, beside]
                yield from (
                    Cut(mine, other, How.STRUCTURE) for other in others if _fits(matching, mine, other, free=True)
                )


def _other_operands(matching: Matching, first: list[int], theirs: list[int]) -> Iterator[Cut]:
    """The same operation on some of the same operands."""
    by_operand: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        for term in {*_starred_there(matching, other)} - {_CONSTANT}:
            by_operand[matching.baseline.nodes[other].operation, term].append(other)
    for mine in first:
        for term in _starred(matching, mine):
            if term >= 0:
                others = by_operand[matching.candidate.nodes[mine].operation, term]
                yield from (
                    Cut(mine, other, How.STRUCTURE) for other in others if _fits(matching, mine, other, free=True)
                )


def _guess(matching: Matching, own: list[int], theirs: list[int]) -> Cut | None:
    """The pair that makes most of what follows agree."""
    best: Cut | None = None
    for mine in own[:_GUESSED]:
        for other in theirs[:_GUESSED]:
            if _fits(matching, mine, other, free=True):
                evidence = _evidence(matching, mine, other) or 0.0
                if evidence > (best.evidence if best else 0.0):
                    best = Cut(mine, other, How.VERIFIED, evidence)
    return best


def _earliest(matching: Matching, cut: Cut, own: list[int], theirs: list[int]) -> Cut:
    """The first pair before a cut that makes the figures of the cut's own nodes agree; else the cut itself."""
    between = _open_ancestors(matching.candidate, cut.mine, own)
    others = _open_ancestors(matching.baseline, cut.other, theirs)
    for mine in between[:_GUESSED]:
        for other in others[:_GUESSED]:
            if _fits(matching, mine, other, free=True):
                known = {mine: matching.theirs[other]}
                found = -1
                for position in [*between, cut.mine]:
                    if position > mine and not known.keys().isdisjoint(matching.candidate.operands[position]):
                        found, known[position] = matching.evaluate(position, known)
                if cut.mine in known and found == matching.their_classes[cut.other]:
                    return Cut(mine, other, How.VERIFIED)
    return cut


def _open_ancestors(graph: Graph, position: int, opened: list[int]) -> list[int]:
    """Those of the open nodes on which the one at `position` rests by way of open nodes, in order."""
    wanted, found = {position}, []
    for each in reversed(opened[: bisect_right(opened, position)]):
        if each in wanted:
            wanted.update(graph.operands[each])
            found.append(each)
    return found[:0:-1]


def _outputs(matching: Matching, own: list[int], theirs: list[int]) -> list[Cut]:
    """What both graphs are for."""
    outputs = [
        [position for position in positions if graph.nodes[position].name in graph.outputs]
        for graph, positions in ((matching.candidate, own), (matching.baseline, theirs))
    ]
    mine, other = outputs
    if len(mine) == len(other) == 1 and _fits(matching, mine[0], other[0], free=True):
        return [Cut(mine[0], other[0], How.STRUCTURE)]
    return []


def _evidence(matching: Matching, mine: int, other: int) -> float | None:
    """The share of the nodes behind the candidate's whose figures the baseline has, once its own has been put there;
    None where nothing is behind."""
    known = {mine: matching.theirs[other]}
    following = [each for each in matching.behind([mine], _FOLLOWING) if each != mine]
    agreeing = 0
    for position in following:
        found, known[position] = matching.evaluate(position, known)
        agreeing += found >= 0 and matching.varies(found)
    return agreeing / len(following) if following else None


def _fits(matching: Matching, mine: int, other: int, free: bool = False) -> bool:
    """Whether the one's figure can be put in place of the other's, which may only be paired with each other yet."""
    partner = matching.partners[mine]
    alone = partner < 0 and matching.partners_back[other] < 0
    return (alone or (not free and partner == other)) and np.shape(matching.own[mine][0]) == np.shape(
        matching.theirs[other][0]
    )


def _differ(matching: Matching, mine: int, other: int) -> bool:
    node, twin = matching.candidate.nodes[mine], matching.baseline.nodes[other]
    return mine not in matching.same_numbers or _written(node) != _written(twin)


def _written(node: Node) -> Mapping[str, object]:
    return {name: written_attribute(value) for name, value in node.attributes.items()}


def _starred(matching: Matching, mine: int) -> tuple[int, ...]:
    sources = matching.candidate.operands[mine]
    return tuple(
        _CONSTANT if _is_loose(matching.candidate.nodes[source], matching.partners[source], matching) else term
        for source, term in zip(sources, matching.terms(mine), strict=True)
    )


def _starred_there(matching: Matching, other: int) -> tuple[int, ...]:
    sources = matching.baseline.operands[other]
    return tuple(
        _CONSTANT if _is_loose(matching.baseline.nodes[source], matching.partners_back[source], matching) else term
        for source, term in zip(sources, matching.terms_there(other), strict=True)
    )


def _is_loose(node: Node, partner: int, _: Matching) -> bool:
    return node.operation.is_constant or (node.operation.is_input and partner < 0)


def _beside(terms: Iterable[int], slot: int) -> tuple[int, ...]:
    return tuple(term for each, term in enumerate(terms) if each != slot)
