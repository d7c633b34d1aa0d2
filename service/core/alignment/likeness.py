"""Which of two graphs' open nodes stand in one place: by operation, operands and use, in the baseline's terms."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from service.core.alignment.matching import Matching
from service.core.alignment.repeats import definition
from service.core.alignment.simulation import ProbedFigures
from service.core.graph.graph import Graph, Node

Pair: TypeAlias = tuple[int, int]  # the candidate's node and the baseline's

_MOST_ALIKE = (
    20  # nodes of the baseline that are looked at for one of the candidate's, lest many in one place be squared
)
_CONSTANT = -2  # any Constant, or single number of an Input without a partner, as an operand


def redefined(matching: Matching, first: Sequence[int], theirs: Sequence[int]) -> Iterator[Pair]:
    """The same operation on the same operands, but with other attributes or in another order; each node once."""
    others: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        others[matching.baseline.nodes[other].operation, tuple(sorted(matching.terms_there(other)))].append(other)
    for mine in first:
        terms = matching.terms(mine)
        found = others[matching.candidate.nodes[mine].operation, tuple(sorted(terms))] if -1 not in terms else []
        for other in sorted(found[:_MOST_ALIKE], key=lambda each: matching.terms_there(each) != terms):
            if _may_differ(matching, mine, other):
                found.remove(other)
                yield mine, other
                break


def with_other_constants(matching: Matching, first: Sequence[int], theirs: Sequence[int]) -> Iterator[list[Pair]]:
    """The same operation on the same operands but for constants: these, where nothing else uses them, else the node."""
    others: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        others[matching.baseline.nodes[other].operation, starred_there(matching, other)].append(other)
    for mine in first:
        key = starred(matching, mine)
        if mine not in matching.same_numbers and _CONSTANT in key and any(term >= 0 for term in key):
            for other in others[matching.candidate.nodes[mine].operation, key][:_MOST_ALIKE]:
                if matching.are_free(mine, other) and is_of_shape(matching, mine, other):
                    others[matching.candidate.nodes[mine].operation, key].remove(other)
                    yield at_leaves(matching, mine, other)
                    break


def with_other_operation(matching: Matching, first: Sequence[int], theirs: Sequence[int]) -> Iterator[Pair]:
    """Another operation on the same operands, constants aside."""
    others: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        others[frozenset(starred_there(matching, other)) - {_CONSTANT}].append(other)
    for mine in first:
        terms = frozenset(starred(matching, mine)) - {_CONSTANT}
        if terms and -1 not in terms:
            yield from ((mine, other) for other in others[terms][:_MOST_ALIKE])


def with_other_operands(matching: Matching, first: Sequence[int], theirs: Sequence[int]) -> Iterator[Pair]:
    """The same operation on some of the same operands."""
    others: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        for term in {*starred_there(matching, other)} - {_CONSTANT}:
            others[matching.baseline.nodes[other].operation, term].append(other)
    for mine in first:
        for term in starred(matching, mine):
            if term >= 0:
                found = others[matching.candidate.nodes[mine].operation, term]
                yield from ((mine, other) for other in found[:_MOST_ALIKE])


def used_alike(matching: Matching, own: Sequence[int], theirs: Sequence[int]) -> Iterator[Pair]:
    """Nodes that the same operation takes in the same slot beside the same operands."""
    others: defaultdict[Hashable, list[int]] = defaultdict(list)
    for other in theirs:
        for consumer, slot in matching.baseline.consumers[other]:
            if len(matching.baseline.operands[consumer]) <= _MOST_ALIKE:
                beside = _beside(matching.terms_there(consumer), slot)
                others[matching.baseline.nodes[consumer].operation, slot, beside].append(other)
    for mine in own:
        for consumer, slot in matching.candidate.consumers[mine]:
            few = len(matching.candidate.operands[consumer]) <= _MOST_ALIKE
            beside = _beside(matching.terms(consumer), slot) if few else ()
            if beside and -1 not in beside:
                key = matching.candidate.nodes[consumer].operation, slot, beside
                yield from ((mine, other) for other in others[key][:_MOST_ALIKE])


def at_leaves(matching: Matching, mine: int, other: int) -> list[Pair]:
    """The candidate's Inputs and Constants by which alone two uses of one operation differ, where nothing that agrees
    takes them, with what the baseline takes there; else the two nodes."""
    node, twin = matching.candidate.nodes[mine], matching.baseline.nodes[other]
    own, theirs = matching.candidate.operands[mine], matching.baseline.operands[other]
    if definition(node) != definition(twin) or len(own) != len(theirs):
        return [(mine, other)]
    differing = _remaining(matching, own, theirs)
    alone = all(
        not matching.candidate.operands[one]
        and matching.are_free(one, two)
        and is_of_shape(matching, one, two)
        and not any(matching.is_known(consumer) for consumer, _ in matching.candidate.consumers[one])
        for one, two in differing
    )
    return differing if differing and alone else [(mine, other)]


def _remaining(matching: Matching, own: Sequence[int], theirs: Sequence[int]) -> list[Pair]:
    """The operands that differ: slot by slot, or, where the order does, those that only one side has."""
    slots = [pair for pair in zip(own, theirs, strict=True) if not _agree(matching, *pair)]
    rest, others = list(own), list(theirs)
    for one in own:
        same = next((two for two in others if _agree(matching, one, two)), None)
        if same is not None:
            rest.remove(one)
            others.remove(same)
    return min(slots, list(zip(rest, others, strict=True)), key=len)


def _agree(matching: Matching, mine: int, other: int) -> bool:
    return matching.term(mine) == matching.their_classes[other]


def is_of_shape(matching: Matching, mine: int, other: int) -> bool:
    """Whether the two figures have one shape."""
    return np.shape(matching.own[mine][0]) == np.shape(matching.theirs[other][0])


def starred(matching: Matching, mine: int) -> tuple[int, ...]:
    """The operands of the candidate's node in the baseline's terms, all constants alike."""
    return _starred(matching.candidate, mine, matching.terms(mine), matching.partners, matching.own)


def starred_there(matching: Matching, other: int) -> tuple[int, ...]:
    """Those of the baseline's node."""
    return _starred(matching.baseline, other, matching.terms_there(other), matching.partners_back, matching.theirs)


def _starred(
    graph: Graph, position: int, terms: Sequence[int], partners: Sequence[int], figures: Sequence[ProbedFigures]
) -> tuple[int, ...]:
    return tuple(
        _CONSTANT if _is_constant(graph.nodes[source], partners[source], figures[source][0]) else term
        for source, term in zip(graph.operands[position], terms, strict=True)
    )


def _is_constant(node: Node, partner: int, figure: Any) -> bool:
    single = partner < 0 and np.size(figure) == 1
    return node.operation.is_constant or (node.operation.is_input and single)


def _may_differ(matching: Matching, mine: int, other: int) -> bool:
    """Whether the pair may be a cut; nodes that only lie otherwise are none unless their attributes differ."""
    node, twin = matching.candidate.nodes[mine], matching.baseline.nodes[other]
    apart = mine not in matching.same_numbers or definition(node) != definition(twin)
    return apart and (matching.are_free(mine, other) or matching.partners[mine] == other)


def _beside(terms: Iterable[int], slot: int) -> tuple[int, ...]:
    return tuple(term for each, term in enumerate(terms) if each != slot)
