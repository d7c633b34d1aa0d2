"""Pair nodes whose figures agree; among several that agree, by their places in the graphs, operations and names."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from service.core.alignment.alignment import How
from service.core.alignment.layouts import layout_between
from service.core.alignment.matching import Matching
from service.core.alignment.repeats import definition
from service.core.graph.graph import Graph, Node
from service.core.graph.sweep import sweep_back

_MOST_TRIED = 20  # of many nodes that have the same numbers


def pair_equals(matching: Matching, fresh: Iterable[int]) -> None:
    """Pair those of the candidate's nodes `fresh` whose figures the baseline has."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for mine in fresh:
        known = matching.classes[mine]
        fixed = matching.fixed.get(mine)
        if fixed is not None and matching.partners[mine] < 0 and known == matching.their_classes[fixed]:
            matching.pair(mine, fixed, How.NAME)
        elif known >= 0 and matching.is_free(mine):
            groups[known].append(mine)
    made, ambiguous = [], []
    for known, nodes in groups.items():
        others = [other for other in matching.members[known] if matching.is_free_there(other)]
        if len(nodes) == len(others) == 1:
            if _may_be_one(matching, nodes[0], others[0]):
                matching.pair(nodes[0], others[0], How.FIGURES)
                made.append(nodes[0])
        elif others:
            ambiguous.append(known)
    pair_operands(matching, [mine for mine, other in enumerate(matching.partners) if other >= 0])
    for known in ambiguous:
        _pair_within(matching, known, groups[known])


def _pair_within(matching: Matching, known: int, nodes: list[int]) -> None:
    """Pair nodes of one class: those of the same operation on the same operands first, then of the same name, then
    those of the same operation, in order; what has no operands is left to where it is used."""
    varies = matching.varies(known)
    if len(nodes) > sum(map(matching.is_free_there, matching.members[known])):
        nodes = sorted(nodes, key=_doubtful(matching))
    levels: list[tuple[Callable[[int], Hashable], Callable[[int], Hashable]]] = [
        (
            lambda mine: (matching.candidate.nodes[mine].operation, _partners(matching, mine)),
            lambda other: (matching.baseline.nodes[other].operation, matching.baseline.operands[other]),
        ),
        (
            lambda mine: (matching.candidate.nodes[mine].operation, matching.terms(mine)),
            lambda other: (matching.baseline.nodes[other].operation, matching.terms_there(other)),
        ),
        (lambda mine: matching.candidate.nodes[mine].name, lambda other: matching.baseline.nodes[other].name),
    ]
    if varies:
        levels += [
            (
                lambda mine: matching.candidate.nodes[mine].operation,
                lambda other: matching.baseline.nodes[other].operation,
            ),
            (lambda _: None, lambda _: None),
        ]
    for own_key, their_key in levels:
        free: defaultdict[Hashable, list[int]] = defaultdict(list)
        for other in reversed(matching.members[known]):
            if matching.is_free_there(other) and not _is_leaf(matching.baseline.nodes[other]):
                free[their_key(other)].append(other)
        made = []
        for mine in nodes:
            if not matching.is_free(mine) or _is_leaf(matching.candidate.nodes[mine]):
                continue
            if others := free.get(own_key(mine)):
                matching.pair(mine, others.pop(), How.FIGURES)
                made.append(mine)
        pair_operands(matching, made)


def _doubtful(matching: Matching) -> Callable[[int], tuple[int, bool]]:
    """What says of a node how far it, or what has known figures and rests on it, is used as none of its class is in the
    baseline, and whether what follows differs to the end: 0 if it is not, 1 for other operands beside it, 2 for another
    operation.

    Where two nodes have the figures of one, one of them may be computed from what it should not be.
    """

    @cache
    def there(known: int) -> frozenset[_Use]:
        some = matching.members[known][:_MOST_TRIED]
        return frozenset(use for other in some for use in _uses(matching.baseline, other, matching.terms_there))

    @cache
    def slots(known: int) -> frozenset[tuple[Hashable, int]]:
        return frozenset(use[:2] for use in there(known))

    def otherwise(known: int, use: _Use) -> int:
        if use[:2] not in slots(known):
            return 2
        return int(-1 not in use.beside and use not in there(known))

    def describe(mine: int) -> tuple[int, bool]:
        behind = matching.behind([mine], _MOST_TRIED)
        to_the_end = len(behind) == _MOST_TRIED or not all(matching.candidate.consumers[each] for each in behind)
        waiting, met, found = [mine], {mine}, 0
        while waiting and len(met) < _MOST_TRIED:
            position = waiting.pop()
            uses = _uses(matching.candidate, position, matching.terms)
            found = max([found, *(otherwise(matching.classes[position], use) for use in uses)])
            consumers = {consumer for consumer, _ in matching.candidate.consumers[position][:_MOST_TRIED]}
            fresh = {each for each in consumers - met if matching.classes[each] >= 0 and matching.is_free(each)}
            waiting += fresh
            met |= fresh
        return found, to_the_end

    return describe


class _Use(NamedTuple):
    """What takes a node, in which slot, and beside what."""

    operation: Hashable
    slot: int
    definition: Hashable
    beside: tuple[int, ...]


def _uses(graph: Graph, position: int, terms: Callable[[int], tuple[int, ...]]) -> Iterator[_Use]:
    for consumer, slot in graph.consumers[position][:_MOST_TRIED]:
        if len(graph.operands[consumer]) <= _MOST_TRIED:
            beside = tuple(term for place, term in enumerate(terms(consumer)) if place != slot)
            node = graph.nodes[consumer]
            yield _Use(node.operation, slot, definition(node), beside)


def pair_operands(matching: Matching, pairs: Iterable[int]) -> None:
    """Pair the operands of pairs that have equal figures, slot by slot, and the operands of these.

    What takes them in another operation only says which leaves are one: a softmax may take what an exponential takes,
    or what the logarithm before it took.
    """
    waiting = list(pairs)
    while waiting:
        mine = waiting.pop()
        same = matching.candidate.nodes[mine].operation is matching.baseline.nodes[matching.partners[mine]].operation
        own, theirs = matching.candidate.operands[mine], matching.baseline.operands[matching.partners[mine]]
        by_class: defaultdict[int, list[int]] = defaultdict(list)
        for other in theirs:
            by_class[matching.their_classes[other]].append(other)
        slots = [*zip(own, theirs, strict=False)]
        slots += [(one, other) for one in own for other in by_class[matching.classes[one]][:_MOST_TRIED]]
        for one, other in slots:
            if (
                matching.are_free(one, other)
                and matching.classes[one] == matching.their_classes[other]
                and _is_like(matching, one, other)
                and (same or _is_leaf(matching.candidate.nodes[one]))
            ):
                matching.pair(one, other, How.FIGURES)
                waiting.append(one)


def pair_leaves(matching: Matching) -> None:
    """Pair the Inputs left over that are given the same and lead, by way of unpaired nodes, to the same pairs."""
    if not any(matching.is_free(matching.candidate.position[name]) for name in matching.candidate.inputs):
        return
    own = _first_pairs(matching.candidate, [other if other >= 0 else None for other in matching.partners])
    theirs = _first_pairs(
        matching.baseline, [other if mine >= 0 else None for other, mine in enumerate(matching.partners_back)]
    )
    free: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other, node in reversed(list(enumerate(matching.baseline.nodes))):
        if node.operation.is_input and matching.is_free_there(other):
            free[matching.their_classes[other], theirs[other]].append(other)
    for mine, node in enumerate(matching.candidate.nodes):
        if node.operation.is_input and matching.is_free(mine):
            others = free[matching.classes[mine], own[mine]]
            if others and own[mine]:
                matching.pair(mine, others.pop(), How.FIGURES)


def _first_pairs(graph: Graph, paired: list[int | None]) -> list[frozenset[int]]:
    """For each node the pairs to which it leads by way of nodes that are none."""

    def settle(position: int, reached: set[int] | None) -> set[int]:
        pair = paired[position]
        return reached or set() if pair is None else {pair}

    def contributions(position: int, reached: set[int]) -> list[set[int] | None]:
        return [set(reached) if paired[source] is None else None for source in graph.operands[position]]

    def add(position: int, so_far: set[int], contribution: set[int]) -> set[int]:
        so_far |= contribution
        return so_far

    found = sweep_back(graph, {}, contributions, add=add, settle=settle)
    return [frozenset(found.get(position, ())) for position in range(len(graph))]


def pair_layouts(matching: Matching, fresh: Iterable[int]) -> None:
    """Pair those of the nodes `fresh` whose numbers the baseline has in another layout, alike operations first."""
    found = {
        mine: others
        for mine in fresh
        if not matching.is_known(mine) and (others := matching.having_same_numbers(matching.own[mine]))
    }
    matching.same_numbers.update(found)
    free = {others[0]: [other for other in others if matching.is_free_there(other)] for others in found.values()}
    for alike in (True, False):
        for mine in filter(matching.is_free, found):
            others = free[found[mine][0]]
            operation = matching.candidate.nodes[mine].operation
            for other in others[:_MOST_TRIED]:
                if (matching.baseline.nodes[other].operation is operation) == alike:
                    layout = layout_between(matching.theirs[other], matching.own[mine], matching.tolerance)
                    if layout is not None:
                        matching.pair(mine, other, How.FIGURES, layout)
                        others.remove(other)
                        break


def _partners(matching: Matching, mine: int) -> tuple[int, ...]:
    return tuple(matching.partners[source] for source in matching.candidate.operands[mine])


def _may_be_one(matching: Matching, mine: int, other: int) -> bool:
    """Whether equal figures are evidence: not where they are single numbers that no probe moves."""
    moved = matching.varies(matching.their_classes[other]) or np.size(matching.own[mine][0]) > 1
    return moved or _is_like(matching, mine, other)


def _is_like(matching: Matching, mine: int, other: int) -> bool:
    """Whether the two are of one operation; Inputs and Constants are where their figures are equal, infinities too."""
    node, twin = matching.candidate.nodes[mine], matching.baseline.nodes[other]
    if not (_is_leaf(node) and _is_leaf(twin)):
        return node.operation is twin.operation
    return bool((np.isinf(matching.own[mine]) == np.isinf(matching.theirs[other])).all())


def _is_leaf(node: Node) -> bool:
    return node.operation.is_input or node.operation.is_constant
