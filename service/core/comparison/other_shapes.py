"""Figures of two runs that have other shapes: refused, or told with both."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from service.core.comparison.definitions import with_figures_of
from service.core.comparison.effective_figures import given
from service.core.comparison.verdicts import Phase, Verdict
from service.core.errors import Fault
from service.core.execution.misshapen import set_aside_misshapen
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, IntArray
from service.core.graph.graph import Graph


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


def of_another_shape(own: Figures, laid: Figures) -> dict[int, FloatArray]:
    """The baseline's figures, by position in the candidate, that have another shape than the candidate's."""
    if own.shapes is None and laid.shapes is None:
        return {}
    return {
        position: other
        for position, (mine, other) in enumerate(zip(own, laid, strict=True))
        if mine is not None and other is not None and mine.shape != other.shape
    }


def shape_faults(graph: Graph, own: Figures | None, others: Mapping[int, FloatArray]) -> list[Fault]:
    """A fault for each of the baseline's figures of another shape."""
    return [
        Fault(
            ("candidate",),
            f"{graph.nodes[position].name!r} has shape {list(own.shape(position))}; "
            f"in the baseline {list(other.shape)}",
        )
        for position, other in others.items()
        if own
    ]


def with_misshapen(found: Phase, candidate: Run, alone: IntArray) -> Phase:
    """The phase with the figures of another shape, which are origins, in their places."""
    misshapen = {position: figure for (phase, position), figure in candidate.misshapen.items() if phase == found.name}
    if not misshapen:
        return found
    own, places = found.candidate, np.array(sorted(misshapen))
    present, verdicts, flat = given(own), found.verdicts.copy(), own.flat.copy()
    present[places] = True
    flat[np.repeat(np.isin(np.arange(len(own)), places), np.diff(own.offsets))] = np.nan
    lonely = np.intersect1d(places, alone)
    verdicts[places[given(found.baseline)[places] | np.isin(places, lonely)]] = Verdict.ORIGIN
    return replace(
        found,
        candidate=Figures(flat, own.shapes, present, own.none),
        baseline=with_figures_of(found.baseline, found.expected, lonely),
        verdicts=verdicts,
        missing=np.setdiff1d(found.missing, places),
        misshapen=misshapen,
    )


def with_reshaped(found: Phase, reshaped: Mapping[int, FloatArray]) -> Phase:
    """The phase with the baseline's figures of another shape than the candidate's, which agree with none."""
    if not reshaped:
        return found
    places, baseline = np.array(sorted(reshaped)), found.baseline
    there = np.isin(np.arange(len(baseline)), places)
    verdicts = found.verdicts.copy()
    follows = np.isin(verdicts, (Verdict.INHERITED, Verdict.SAME))
    follows[found.unreplayed] = False
    verdicts[there] = np.where(follows, Verdict.INHERITED, Verdict.ORIGIN)[there]
    elements = there if baseline.shapes is None else np.repeat(there, np.diff(baseline.offsets))
    unlike = np.where(np.isnan(found.candidate.flat), 0.0, np.nan)
    flat = np.where(elements, unlike, baseline.flat)
    baseline = Figures(flat, baseline.shapes, baseline.present, baseline.none)
    return replace(found, baseline=baseline, verdicts=verdicts, reshaped=reshaped)
