"""Pair the nodes of two graphs, and find those that are defined or used differently."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.core.errors import Fault, InvalidRequest, unknown_names
from service.core.execution.misshapen import set_aside_misshapen
from service.core.execution.run import Run
from service.core.figures.figures import Figures, IntArray, pack
from service.core.graph.graph import Graph, Node, written_attribute


def align(baseline: Graph, candidate: Graph, names: Mapping[str, str]) -> IntArray:
    """Return for each node of the candidate its position in the baseline, −1 without a partner.

    `names` maps names of the candidate to names of the baseline. Raises InvalidRequest for an unknown name, and where
    two map to one.
    """
    faults = [
        Fault(("names", name), detail)
        for name, detail in unknown_names(names, candidate.position, "the candidate has no node")
    ]
    faults += [
        Fault(("names", name), detail)
        for name, other in names.items()
        for _, detail in unknown_names([other], baseline.position, "the baseline has no node")
    ]
    if len(set(names.values())) < len(names):
        faults.append(Fault(("names",), "two nodes of the candidate are mapped to one of the baseline"))
    if faults:
        raise InvalidRequest(faults)
    if not names and candidate is baseline:
        return np.arange(len(candidate))
    taken = set(names.values())
    return np.array(
        [
            baseline.position[names[node.name]]
            if node.name in names
            else -1
            if node.name in taken
            else baseline.position.get(node.name, -1)
            for node in candidate.nodes
        ],
        dtype=np.int64,
    )


def absent(graph: Graph, there: IntArray) -> tuple[str, ...]:
    """The names of the nodes whose positions are not in `there`."""
    missing = np.ones(len(graph), dtype=bool)
    missing[there] = False
    return tuple(graph.nodes[position].name for position in np.flatnonzero(missing).tolist())


def without_misshapen(baseline: Run, candidate: Run, aligned: IntArray) -> Run:
    """The candidate without the figures that have the shape of a transpose of the baseline's, or of a gradient that was
    not summed."""
    if baseline.values.shapes is None:
        return candidate
    shapes = {
        position: baseline.values.shape(int(other))
        for position, other in enumerate(aligned)
        if other >= 0 and (baseline.values.present is None or baseline.values.present[other])
    }
    return set_aside_misshapen(candidate, shapes)


def misshapen_inputs(baseline: Run, candidate: Run, aligned: IntArray) -> list[Fault]:
    """A fault for each Input whose value, or else gradient, has another shape in the baseline."""
    faults = []
    for position, node in enumerate(candidate.graph.nodes):
        if not node.operation.is_input or aligned[position] < 0:
            continue
        for own, theirs in ((candidate.values, baseline.values), (candidate.gradients, baseline.gradients)):
            mine = None if own is None else own[position]
            other = None if theirs is None else theirs[int(aligned[position])]
            if mine is not None and other is not None and mine.shape != other.shape:
                shapes = f"{list(mine.shape)}; in the baseline {list(other.shape)}"
                faults.append(Fault(("candidate",), f"the inputs differ in shape: {node.name!r} has {shapes}"))
                break
    return faults


def lay_out(theirs: Figures, own: Figures | None, aligned: IntArray, graph: Graph) -> Figures:
    """Arrange the baseline's figures in the candidate's order; raises InvalidRequest where shapes differ."""
    identical = len(aligned) == len(theirs) and bool((aligned == np.arange(len(aligned))).all())
    if theirs.shapes is None:
        laid = theirs
        if not identical:
            there = aligned >= 0
            present = there if theirs.present is None else there & theirs.present[aligned]
            laid = Figures(theirs.flat[aligned], None, present)
    else:
        laid = theirs if identical else pack([None if position < 0 else theirs[int(position)] for position in aligned])
    if own is not None and (own.shapes is not None or laid.shapes is not None):
        faults = [
            Fault(("candidate",), f"{node.name!r} has shape {list(mine.shape)}; in the baseline {list(other.shape)}")
            for node, mine, other in zip(graph.nodes, own, laid, strict=True)
            if mine is not None and other is not None and mine.shape != other.shape
        ]
        if faults:
            raise InvalidRequest(faults)
    return laid


def differences(baseline: Graph, candidate: Graph, aligned: IntArray) -> tuple[IntArray, IntArray]:
    """The positions of the nodes that are defined differently in the baseline, and of those used differently.

    Definitions are alike if operation, attributes and inputs are; uses, if all consumers are and are defined alike.
    """
    unmoved = len(candidate) == len(baseline) and bool((aligned == np.arange(len(candidate))).all())
    if unmoved and (candidate is baseline or candidate.digest == baseline.digest):
        return np.array([], dtype=np.int64), np.array([], dtype=np.int64)
    name_in_baseline = [baseline.nodes[position].name if position >= 0 else None for position in aligned]
    redefined = []
    for position, other in enumerate(aligned):
        if other < 0:
            continue
        node, twin = candidate.nodes[position], baseline.nodes[other]
        inputs = tuple(name_in_baseline[source] for source in candidate.operands[position])
        if _differ(node, twin) or inputs != twin.inputs:
            redefined.append(position)
    changed = set(redefined)
    consumers: list[list[tuple[int, int]]] = [[] for _ in candidate.nodes]
    for position, sources in enumerate(candidate.operands):
        for operand_index, source in enumerate(sources):
            consumers[source].append((int(aligned[position]), operand_index))
            if position in changed or aligned[position] < 0:
                consumers[source].append((-1, -1))
    reconsumed = [
        position
        for position, other in enumerate(aligned)
        if other >= 0 and sorted(consumers[position]) != sorted(baseline.consumers[other])
    ]
    return np.array(redefined, dtype=np.int64), np.array(reconsumed, dtype=np.int64)


def _differ(node: Node, twin: Node) -> bool:
    return node.operation is not twin.operation or _written(node) != _written(twin)


def _written(node: Node) -> dict[str, Any]:
    """The attributes in a form in which NaN equals NaN."""
    return {name: written_attribute(value) for name, value in node.attributes.items()}
