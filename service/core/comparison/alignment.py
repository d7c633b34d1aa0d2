"""Pair the nodes of two graphs by name, lay out their figures alike, and find what is defined or used differently."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.alignment.alignment import Alignment, How
from service.core.errors import Fault, InvalidRequest, unknown_names
from service.core.execution.run import Backward, Run
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray, pack
from service.core.graph.graph import Graph, Node, written_attribute
from service.core.graph.sweep import sweep_back

# Pairs the nodes of two runs, a baseline and a candidate, some by the candidate's names of them.
Propose = Callable[[Run, Run, Mapping[str, str]], Alignment]


def align_by(propose: Propose, baseline: Run, candidate: Run, names: Mapping[str, str]) -> Alignment:
    """Pair the nodes of two runs by their `names`, candidate → baseline, and the others as `propose` does.

    Raises InvalidRequest for an unknown name, where two map to one, and what `propose` raises.
    """
    both = _with_outputs(baseline, candidate, names)
    _check_names(baseline.graph, candidate.graph, both)
    found = propose(baseline, candidate, both)
    outputs = {candidate.graph.position[name]: How.STRUCTURE for name in both if name not in names}
    return replace(found, how={**found.how, **outputs}) if outputs else found


def _with_outputs(baseline: Run, candidate: Run, names: Mapping[str, str]) -> Mapping[str, str]:
    """The names with those of what gradients are of, which two graphs may call differently: the only output of each."""
    ours, theirs = candidate.backward, baseline.backward
    if not ours or not theirs or ours.output == theirs.output or candidate.graph.digest == baseline.graph.digest:
        return names
    if ours.output in names or theirs.output in names.values():
        return names
    for run, output in ((candidate, ours.output), (baseline, theirs.output)):
        if run.graph.outputs != (output,) or run.values[run.graph.position[output]] is None:
            return names
    return {**names, ours.output: theirs.output}


def align(baseline: Graph, candidate: Graph, names: Mapping[str, str]) -> IntArray:
    """Return for each node of the candidate its position in the baseline, −1 without a partner.

    `names` maps names of the candidate to names of the baseline.
    """
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


def _check_names(baseline: Graph, candidate: Graph, names: Mapping[str, str]) -> None:
    """Raise InvalidRequest for a name that the graph it is of does not have, and where two map to one."""
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


def absent(graph: Graph, there: IntArray) -> tuple[str, ...]:
    """The names of the nodes whose positions are not in `there`."""
    missing = np.ones(len(graph), dtype=bool)
    missing[there] = False
    return tuple(graph.nodes[position].name for position in np.flatnonzero(missing).tolist())


def in_layouts(baseline: Run, alignment: Alignment) -> Run:
    """The baseline with the figures of pairs whose elements lie otherwise as the candidate has them."""
    if not alignment.layouts:
        return baseline
    layouts = {int(alignment.partners[position]): layout for position, layout in alignment.layouts.items()}

    def laid(figures: Figures) -> Figures:
        arrays = list(figures)
        for other, layout in layouts.items():
            figure = arrays[other]
            if figure is not None and figure.size == layout.size:
                arrays[other] = figure.ravel()[layout]
        return pack(arrays)

    backward = baseline.backward
    if backward is not None:
        layout, seed = layouts.get(baseline.graph.position[backward.output]), backward.seed
        if layout is not None and seed.size == layout.size:
            seed = seed.ravel()[layout]
        backward = Backward(backward.output, seed, laid(backward.gradients))
    return replace(baseline, values=laid(baseline.values), backward=backward)


def lay_out(theirs: Figures, aligned: IntArray) -> Figures:
    """Arrange the baseline's figures in the candidate's order."""
    identical = len(aligned) == len(theirs) and bool((aligned == np.arange(len(aligned))).all())
    if identical:
        return theirs
    if theirs.shapes is not None:
        return pack([None if position < 0 else theirs[int(position)] for position in aligned])
    there = aligned >= 0
    return Figures(theirs.flat[aligned], None, there if theirs.present is None else there & theirs.present[aligned])


def redefined(baseline: Graph, candidate: Graph, partners: IntArray) -> IntArray:
    """The positions of the nodes that are defined differently in the baseline: operation, attributes or inputs."""
    unmoved = len(candidate) == len(baseline) and bool((partners == np.arange(len(candidate))).all())
    if unmoved and (candidate is baseline or candidate.digest == baseline.digest):
        return np.array([], dtype=np.int64)
    found = []
    for position, other in enumerate(partners.tolist()):
        if other >= 0:
            inputs = tuple(int(partners[source]) for source in candidate.operands[position])
            if _differ(candidate.nodes[position], baseline.nodes[other]) or inputs != tuple(baseline.operands[other]):
                found.append(position)
    return np.array(found, dtype=np.int64)


def used_otherwise(baseline: Graph, candidate: Graph, alignment: Alignment) -> IntArray:
    """The positions of the pairs that a cut is computed from in either graph, directly or by nodes without one."""
    partners, cuts = alignment.partners, alignment.cuts
    if not cuts.size:
        return cuts
    alone = np.ones(len(baseline), dtype=bool)
    alone[partners[partners >= 0]] = False
    there = _leading_to(baseline, partners[cuts], alone)
    found = (partners >= 0) & (_leading_to(candidate, cuts, partners < 0) | there[partners])
    return np.flatnonzero(found)


def _leading_to(graph: Graph, ends: IntArray, passing: BoolArray) -> BoolArray:
    """Which nodes some of the `ends` are computed from, directly or by nodes that are `passing`."""
    end = np.zeros(len(graph), dtype=bool)
    end[ends] = True

    def settle(position: int, leads: bool | None) -> bool | None:
        return True if end[position] or (leads and passing[position]) else None

    found = sweep_back(
        graph,
        {},
        lambda position, leads: [leads] * len(graph.operands[position]),
        add=lambda position, one, other: one or other,
        settle=settle,
    )
    leading = np.zeros(len(graph), dtype=bool)
    leading[list(found)] = True
    return leading


def used_by_others(baseline: Graph, candidate: Graph, partners: IntArray) -> BoolArray:
    """Which nodes have a partner with other consumers."""
    consumers: list[list[tuple[int, int]]] = [[] for _ in candidate.nodes]
    for position, sources in enumerate(candidate.operands):
        for operand_index, source in enumerate(sources):
            consumers[source].append((int(partners[position]), operand_index))
    return np.array(
        [
            other >= 0 and sorted(mine) != sorted(baseline.consumers[other])
            for mine, other in zip(consumers, partners.tolist(), strict=True)
        ],
        dtype=bool,
    )


def repeats(run: Run, position: int) -> bool:
    """Whether another Input has the same numbers as an Input, in whatever order."""
    places = (run.graph.position[name] for name in run.graph.inputs)
    others = [run.values[place] for place in places if place != position]
    return any(_same_numbers(run.values[position], other) for other in others)


def _same_numbers(one: FloatArray | None, other: FloatArray | None) -> bool:
    if one is None or other is None:
        return False
    return np.array_equal(np.sort(one.ravel()), np.sort(other.ravel()), equal_nan=True)


def _differ(node: Node, twin: Node) -> bool:
    return node.operation is not twin.operation or _written(node) != _written(twin)


def _written(node: Node) -> dict[str, Any]:
    """The attributes in a form in which NaN equals NaN."""
    return {name: written_attribute(value) for name, value in node.attributes.items()}
