"""What two graphs define differently, in words: where, and how."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from service.core.comparison.spoken_names import spoken, spoken_term, told_attributes
from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.errors import LimitExceeded
from service.core.figures.text import listed
from service.core.graph.graph import Graph, Node
from service.core.symbolic.phrases import Phrase, phrase_of
from service.core.symbolic.printing import value_text
from service.core.symbolic.term import application

# Characters of a definition, or of an attribute's value, that a sentence holds.
_LONGEST, _LONGEST_VALUE = 120, 40


def differing_definition(found: Comparison, phase: Phase, position: int) -> Phrase:
    """Say of an origin by definition that the node, what it is computed from, or its use is defined differently."""
    cut = cut_of(found, phase, position)
    if phase is found.backward:
        return _sentence(found, "The node is used differently", cut)
    if cut == position:
        return _sentence(found, "The node is defined differently", cut, "it")
    return _sentence(found, "What it is computed from is defined differently", cut)


def defined_differently(found: Comparison, cut: int) -> Phrase:
    """Say of a cut that it is defined differently."""
    return _sentence(found, f"{spoken(found.candidate.graph, cut)} is defined differently", cut, "it")


def cut_of(found: Comparison, phase: Phase, position: int) -> int | None:
    """The cut for which a figure is an origin by definition: itself, or the nearest before a value or behind a
    gradient."""
    if phase is found.backward:
        return _use(found, phase, position)
    return position if position in found.alignment.cuts else _source(found, phase, position)


def difference(found: Comparison, cut: int, subject: str) -> Phrase:
    """How the definition of a cut differs from its partner's: in attributes, or as a whole; empty for a Constant."""
    node, partner = found.candidate.graph.nodes[cut], int(found.alignment.partners[cut])
    twin = found.baseline.nodes[partner]
    if node.operation.is_constant:
        return Phrase("")
    if node.operation is twin.operation and (attributes := _attributes(node, twin)):
        return Phrase(f"{subject} has {attributes}")
    own, theirs = _written(found.candidate.graph, cut), _written(found.baseline, partner)
    called = spoken(found.baseline, partner)
    other = f"{called} is " if twin.name != node.name and called != Phrase(theirs) else ""
    return Phrase(f"{subject} is {own}, in the baseline {other}{theirs}")


def _sentence(found: Comparison, what: str, cut: int | None, subject: str | None = None) -> Phrase:
    how = None if cut is None else difference(found, cut, subject or f"{spoken(found.candidate.graph, cut)}")
    return Phrase(f"{what} in the two graphs{f': {how}' if how else ''}.")


def _source(found: Comparison, phase: Phase, position: int) -> int | None:
    """The nearest cut that a value is computed from by way of values that were not compared."""
    operands, cuts = found.candidate.graph.operands, set(found.alignment.cuts.tolist())

    def unseen(at: int) -> bool:
        return bool(phase.verdicts[at] == Verdict.NOT_COMPARED)

    return _nearest(position, lambda at: operands[at], lambda at: at in cuts and unseen(at), unseen)


def _use(found: Comparison, phase: Phase, position: int) -> int | None:
    """The nearest cut that is computed from a node, in the candidate or in the baseline, by way of nodes that have no
    partner or whose gradients were not compared."""
    partners = found.alignment.partners.tolist()
    cuts = {partners[cut]: cut for cut in found.alignment.cuts.tolist()}
    own = set(cuts.values())

    def unseen(at: int) -> bool:
        return bool(partners[at] < 0 or phase.verdicts[at] == Verdict.NOT_COMPARED)

    near = _nearest(position, _consumers(found.candidate.graph), own.__contains__, unseen)
    if near is not None:
        return near
    paired = set(partners)
    there = _nearest(partners[position], _consumers(found.baseline), cuts.__contains__, lambda at: at not in paired)
    return None if there is None else cuts[there]


def _nearest(
    start: int, follow: Callable[[int], Iterable[int]], wanted: Callable[[int], bool], passing: Callable[[int], bool]
) -> int | None:
    """The first node that is `wanted` in a breadth-first walk from `start` through those that are `passing`."""
    waiting, met = deque(follow(start)), set[int]()
    while waiting:
        at = waiting.popleft()
        if wanted(at):
            return at
        if at not in met and passing(at):
            met.add(at)
            waiting.extend(follow(at))
    return None


def _consumers(graph: Graph) -> Callable[[int], Iterable[int]]:
    return lambda position: [consumer for consumer, _ in graph.consumers[position]]


def _attributes(node: Node, twin: Node) -> str:
    """The attributes that differ, with both values."""
    values = {name: [_value(each.attributes.get(name)) for each in (node, twin)] for name in node.attributes}
    return listed(
        [f"{name} {own}, in the baseline {theirs}" for name, (own, theirs) in values.items() if own != theirs]
    )


def _value(value: Any) -> str:
    text = "unset" if value is None else value_text(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _written(graph: Graph, position: int) -> str:
    """The definition of a node, or the name of its operation where that is long."""
    node = graph.nodes[position]
    if not graph.operands[position]:
        return "an Input" if node.operation.is_input else "a Constant"
    terms = [spoken_term(graph, source) for source in graph.operands[position]]
    try:
        return f"{phrase_of(application(node.operation, terms, told_attributes(node.attributes)), _LONGEST)}"
    except LimitExceeded:
        return node.operation.name
