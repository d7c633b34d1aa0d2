"""Pair the nodes whose names were generated, constant_1, mul_2: by what they are, as such names only count.

Two nodes are pairs if operation, attributes and operands are alike all the way down to nodes that are named by people.
What is left is paired by its place where a figure differs although none that it rests on does, so that `(x − 2)²` for
`(x − 1)²` is a wrong constant. Else a node stands alone and is judged by its own replay.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.comparison.verdicts import DIFFERENT, Phase, Tolerance, Verdict
from service.core.execution.run import Run
from service.core.figures.figures import IntArray
from service.core.graph.graph import Graph, Node, written_attribute
from service.core.graph.names import is_generated


def unpaired(baseline: Graph, candidate: Graph, aligned: IntArray, fixed: set[str]) -> IntArray:
    """The pairs without those that only a generated name makes; `fixed` are the candidate's names that a person gave.

    Nodes of one name that nothing consumes are what the two graphs compute, whatever that is called.
    """
    loose = [
        position
        for position, other in enumerate(aligned.tolist())
        if other >= 0
        and _generated(candidate.nodes[position])
        and _generated(baseline.nodes[other])
        and candidate.nodes[position].name not in fixed
        and (candidate.consumers[position] or baseline.consumers[other])
    ]
    kept = aligned.copy()
    kept[loose] = -1
    return kept


def without_other_shapes(baseline: Run, candidate: Run, aligned: IntArray, fixed: set[str]) -> IntArray:
    """The pairs without those of names that only count, mul and mul:2, whose values have other shapes.

    Those of a transpose stay, since one of them is wrong; so do Inputs, and those whose names a person gave.
    """
    kept = aligned.copy()
    for position, other in enumerate(aligned.tolist()):
        node = candidate.graph.nodes[position]
        if other < 0 or node.operation.is_input or node.name in fixed:
            continue
        if not (_counts(node.name, baseline.graph) or _counts(node.name, candidate.graph)):
            continue
        own, theirs = candidate.values[position], baseline.values[other]
        if own is not None and theirs is not None and sorted(own.shape) != sorted(theirs.shape):
            kept[position] = -1
    return kept


def paired_by_structure(baseline: Graph, candidate: Graph, aligned: IntArray) -> IntArray:
    """The pairs with those nodes of generated names that are alike all the way down, of one name if there is one."""
    kinds: dict[Hashable, int] = {}
    theirs = _kinds(baseline, {int(other): int(other) for other in aligned if other >= 0}, kinds)
    own = _kinds(candidate, {position: int(other) for position, other in enumerate(aligned) if other >= 0}, kinds)
    taken = set(aligned.tolist())
    free: dict[int, dict[str, int]] = {}
    for position, node in enumerate(baseline.nodes):
        if position not in taken and _generated(node):
            free.setdefault(theirs[position], {})[node.name] = position
    found = aligned.copy()
    loose = [position for position, node in enumerate(candidate.nodes) if aligned[position] < 0 and _generated(node)]
    for position in loose:
        found[position] = free.get(own[position], {}).pop(candidate.nodes[position].name, -1)
    for position in loose:
        if found[position] < 0 and (others := free.get(own[position])):
            found[position] = others.pop(next(iter(others)))
    return found


def paired_by_place(baseline: Run, candidate: Run, aligned: IntArray, tolerance: Tolerance) -> IntArray:
    """The pairs with those operands of generated names that stand in one place of a figure that differs by itself."""
    theirs, own = baseline.graph, candidate.graph
    if not any(aligned[position] < 0 and _generated(node) for position, node in enumerate(own.nodes)):
        return aligned
    found = aligned.copy()
    taken = set(aligned.tolist())
    suspects = _differing(baseline, candidate, aligned, tolerance)
    for position in range(len(own) - 1, -1, -1):
        other = int(found[position])
        if other < 0 or position not in suspects or not _alike(own.nodes[position], theirs.nodes[other]):
            continue
        for operand, twin in zip(own.operands[position], theirs.operands[other], strict=False):
            node, counterpart = own.nodes[operand], theirs.nodes[twin]
            loose = found[operand] < 0 and twin not in taken and _generated(node) and _generated(counterpart)
            if loose and node.operation is counterpart.operation:
                found[operand] = twin
                taken.add(twin)
                if _differs(baseline, candidate, operand, twin, tolerance) is not False:
                    suspects.add(operand)
            elif found[operand] == twin and _differs(baseline, candidate, operand, twin, tolerance) is None:
                suspects.add(operand)
    return found


def without_idle_differences(phase: Phase, graph: Graph) -> Phase:
    """The phase without differences that only the use of generated names makes: those of `2·exp(x)` for a sum of two.

    They are such where every input's gradient is given and agrees, and so does each figure whose name a person gave.
    """
    generated = np.array([_generated(node) for node in graph.nodes])
    differing = np.isin(phase.verdicts, DIFFERENT)
    idle = np.isin(np.arange(len(graph)), phase.definitions) | (phase.verdicts == Verdict.INHERITED)
    inputs = [position for position, node in enumerate(graph.nodes) if node.operation.is_input and node.has_gradient]
    told = bool(inputs) and bool((phase.verdicts[inputs] == Verdict.SAME).all())
    if not told or not (idle & generated)[differing].all():
        return phase
    verdicts = np.where(differing, Verdict.NOT_COMPARED, phase.verdicts)
    return replace(phase, verdicts=verdicts.astype(np.int8), definitions=phase.definitions[:0])


def _kinds(graph: Graph, pairs: dict[int, int], kinds: dict[Hashable, int]) -> list[int]:
    """A number for each node, the same for nodes that are alike down to those that have partners in `pairs`."""
    numbers: list[int] = []
    for position, node in enumerate(graph.nodes):
        key: Hashable
        if position in pairs:
            key = pairs[position]
        elif node.operation.is_input:
            key = (id(graph), position)
        else:
            key = (node.operation.name, _text(node), *(numbers[operand] for operand in graph.operands[position]))
        numbers.append(kinds.setdefault(key, len(kinds)))
    return numbers


def _differing(baseline: Run, candidate: Run, aligned: IntArray, tolerance: Tolerance) -> set[int]:
    """The nodes whose values differ although no value that they rest on does."""
    suspects, wrong = set(), np.zeros(len(aligned), dtype=bool)
    for position, sources in enumerate(candidate.graph.operands):
        rests = bool(wrong[list(sources)].any())
        other = int(aligned[position])
        differs = _differs(baseline, candidate, position, other, tolerance) if other >= 0 else None
        wrong[position] = rests if differs is None else differs
        if differs and not rests:
            suspects.add(position)
    return suspects


def _differs(baseline: Run, candidate: Run, position: int, other: int, tolerance: Tolerance) -> bool | None:
    """Whether the two values differ by more than the tolerance; None if one of them is not given."""
    own, theirs = candidate.values[position], baseline.values[other]
    if own is None or theirs is None:
        return None
    return own.shape != theirs.shape or not np.allclose(own, theirs, tolerance.rtol, tolerance.atol, equal_nan=True)


def _generated(node: Node) -> bool:
    return is_generated(node.name, node.operation.name) and not node.operation.is_input


def _counts(name: str, graph: Graph) -> bool:
    """Whether a name is one of several that a recorder gave to the calls of one function."""
    base, _, number = name.rpartition(":")
    return bool(base and number.isdecimal()) or f"{name}:2" in graph.position


def _alike(node: Node, twin: Node) -> bool:
    return node.operation is twin.operation and _text(node) == _text(twin)


def _text(node: Node) -> str:
    written: dict[str, Any] = {name: written_attribute(value) for name, value in node.attributes.items()}
    return repr(sorted(written.items())) if written else ""
