"""Differences met before: where every layer has another epsilon, the second is cut as soon as the search is there."""

from collections import defaultdict
from collections.abc import Hashable, Sequence

from service.core.graph.graph import Graph, Node, written_attribute


def definition(node: Node) -> Hashable:
    """What a node does with its operands: equal for equal operations and attributes."""
    return node.operation, str({name: written_attribute(value) for name, value in node.attributes.items()})


class Repeats:
    """The definitions that stand for others, the baseline's by the candidate's, and constants' classes likewise."""

    def __init__(self, baseline: Graph, classes: Sequence[int]) -> None:
        self._baseline, self._classes = baseline, classes
        self._definitions: dict[Hashable, Hashable] = {}
        self._constants: dict[Hashable, int] = {}
        self._places: defaultdict[Hashable, list[int]] = defaultdict(list)

    def note(self, node: Node, other: int) -> None:
        """Remember a cut between nodes that have the same operands, or between constants."""
        twin = self._baseline.nodes[other]
        if not twin.inputs and node.operation.is_constant:
            self._constants[definition(node)] = self._classes[other]
        self._definitions[definition(node)] = definition(twin)

    def places(self, node: Node, operands: Sequence[Node], terms: Sequence[int]) -> list[int]:
        """The baseline's nodes that stand where the candidate's does, if a difference met before is all there is."""
        if not self._definitions:
            return []
        if not self._places:
            for other, twin in enumerate(self._baseline.nodes):
                if twin.inputs:
                    sources = self._baseline.operands[other]
                    self._places[definition(twin), tuple(self._classes[source] for source in sources)].append(other)
        known = definition(node)
        replaced = tuple(
            self._constants.get(definition(operand), term) if operand.operation.is_constant else term
            for operand, term in zip(operands, terms, strict=True)
        )
        if replaced != tuple(terms):
            return self._places[known, replaced]
        return self._places[self._definitions[known], replaced] if known in self._definitions else []
