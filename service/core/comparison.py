"""Where did the first wrong figure arise? Two runs, figure by figure.

The rule. The candidate's graph is walked in evaluation order. A node's *effective* figure is the candidate's where it
gives one, else its own replay (`replay.py`), never the baseline's: filling in from the baseline would let a right
figure stand beside what followed from a wrong one, and blame the nodes between. A figure that both runs give is held
against the baseline's figure b and against its replay r from the candidate's own effective figures:

    agrees with the baseline   |c − b| ≤ atol + rtol·|b|
    agrees with its replay     |c − r| ≤ atol + max(rtol, 32u)·S + 16u·U

S is Σ|local × input| + |r| for a value, Σ|contributions| (seed included) for a gradient; U is Σ|upstream| for a
gradient, 0 for a value; u is 2⁻⁵³, or 2⁻²⁴ where the candidate was computed in float32. S and U measure what rounding
alone may do to a sum whose terms cancel and to a local gradient whose own formula cancels. For gradients atol is
multiplied by the baseline's largest |gradient|, capped at 1, lest a tiny gradient's wrong sign pass.

    both             same
    baseline only    compensated   right although what it was given was wrong: an error of its own that cancels
    replay only      inherited     wrong only because what it was given was wrong
    neither          origin

What an Input or a Constant should be, or a node that is defined otherwise in the two graphs, no replay can say: there
the baseline's figure is expected. What the candidate does not give cannot be blamed: an origin is the first *recorded*
wrong figure. NaN equals NaN and an infinity only itself, under every tolerance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.core.errors import Fault, InvalidRequest
from service.core.figures import Figures, FloatArray, no_figures, pack
from service.core.graph import Graph, Node
from service.core.replay import (
    Replay,
    Weights,
    complete_gradients,
    complete_values,
    replay_gradients,
    replay_values,
    sourceless,
)

BoolArray = NDArray[np.bool_]


class Verdict(IntEnum):
    """What was found of one figure; NOT_COMPARED where only one run gives it."""

    NOT_COMPARED = 0
    SAME = 1
    ORIGIN = 2
    INHERITED = 3
    COMPENSATED = 4


# By whether a figure agrees with the baseline (1) and with its replay (2).
_VERDICTS = np.array([Verdict.ORIGIN, Verdict.COMPENSATED, Verdict.INHERITED, Verdict.SAME], dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far figures may differ; `exact` asks for the same bits, any NaN being the same as any other."""

    rtol: float
    atol: float
    exact: bool = False


TOLERANCES = {
    "exact": Tolerance(0.0, 0.0, exact=True),
    "float64": Tolerance(1e-9, 1e-12),
    "float32": Tolerance(1.3e-6, 1e-5),
}
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two runs: its graph, its figures, and what its gradients are gradients of."""

    graph: Graph
    values: Figures | None
    gradients: Figures | None
    output: str | None
    seed: FloatArray | None
    dtype: str = "float64"


@dataclass(frozen=True, eq=False)
class Phase:
    """The findings of one phase, laid out as the candidate's nodes; `baseline` and `expected` share its shapes."""

    name: str
    candidate: Figures
    baseline: Figures
    expected: Figures
    effective: Figures
    verdicts: NDArray[np.int8]
    scale: float

    def places(self, *wanted: Verdict) -> list[int]:
        """The positions of the nodes with one of these verdicts, in the order of evaluation."""
        found = np.flatnonzero(np.isin(self.verdicts, wanted))
        return [int(place) for place in (found[::-1] if self.name == "backward" else found)]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The findings of both phases; a phase that was not compared is None.

    `values` are the candidate's effective values; `redefined` and `reconsumed` hold the positions of nodes that are
    defined, or used, otherwise in the two graphs.
    """

    forward: Phase | None
    backward: Phase | None
    values: Figures
    only_in_baseline: tuple[str, ...]
    only_in_candidate: tuple[str, ...]
    redefined: frozenset[int]
    reconsumed: frozenset[int]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that were compared, forward first."""
        return tuple(phase for phase in (self.forward, self.backward) if phase is not None)

    @property
    def same(self) -> bool:
        """Whether no figure differs from the baseline's by more than the tolerance."""
        return not any(phase.places(Verdict.ORIGIN, Verdict.INHERITED) for phase in self.phases)


def compare(
    baseline: Side, candidate: Side, tolerance: Tolerance, names: Mapping[str, str] | None = None
) -> Comparison:
    """Judge every figure that both runs give. `names` maps the candidate's node names to the baseline's.

    Raises InvalidRequest where the runs cannot be compared: gradients of different outputs or seeds, figures of
    different shapes, no figure in common, names that are no nodes.
    """
    aligned = _align(baseline.graph, candidate.graph, names or {})
    both_gradients = baseline.gradients is not None and candidate.gradients is not None
    if both_gradients:
        _check_seeds(baseline, candidate, names or {})
    redefined, reconsumed = _definitions(baseline.graph, candidate.graph, aligned)
    theirs_values = _lay_out(baseline.values, candidate.values, aligned, candidate.graph)
    own_values = candidate.values if candidate.values is not None else no_figures(len(candidate.graph))
    assumed = {}
    if theirs_values is not None and own_values.present is not None:
        assumed = {place: figure for place, figure in enumerate(theirs_values) if figure is not None}
    effective = complete_values(candidate.graph, own_values, assumed)
    roundoff = UNIT_ROUNDOFF[candidate.dtype]
    weights = Weights(max(tolerance.rtol, 32 * roundoff), 16 * roundoff)
    forward = backward = None
    if candidate.values is not None and theirs_values is not None:
        forward = _judge(
            "forward",
            candidate.values,
            theirs_values,
            effective,
            replay_values(candidate.graph, effective, weights),
            tolerance,
            np.concatenate([sourceless(candidate.graph), np.array(redefined, dtype=np.int64)]),
            1.0,
        )
    if both_gradients:
        assert baseline.gradients is not None and candidate.gradients is not None
        assert candidate.output is not None and candidate.seed is not None
        gradients = complete_gradients(
            candidate.graph, effective, candidate.gradients, candidate.output, candidate.seed
        )
        theirs = _lay_out(baseline.gradients, candidate.gradients, aligned, candidate.graph)
        assert theirs is not None
        replayed = replay_gradients(candidate.graph, effective, gradients, candidate.output, candidate.seed, weights)
        finite = np.abs(baseline.gradients.flat[np.isfinite(baseline.gradients.flat)])
        largest = float(finite.max()) if finite.size else 1.0
        backward = _judge(
            "backward",
            candidate.gradients,
            theirs,
            gradients,
            replayed,
            tolerance,
            np.array(sorted(reconsumed), dtype=np.int64),
            min(largest, 1.0),
        )
    found = Comparison(
        forward,
        backward,
        effective,
        _missing(baseline.graph, aligned[aligned >= 0]),
        _missing(candidate.graph, np.flatnonzero(aligned >= 0)),
        frozenset(redefined),
        frozenset(reconsumed),
    )
    if not any(phase.verdicts.any() for phase in found.phases):
        raise InvalidRequest([Fault(("candidate",), "the two runs give no figure in common")])
    return found


def _judge(
    name: str,
    candidate: Figures,
    baseline: Figures,
    effective: Figures,
    replay: Replay,
    tolerance: Tolerance,
    taken_from_baseline: NDArray[np.int64],
    scale: float,
) -> Phase:
    given = np.ones(len(candidate), dtype=bool)
    for figures in (candidate, baseline):
        if figures.present is not None:
            given &= figures.present
    expected = replay.expected
    c, b, r = effective.flat, _conform(baseline, effective), expected.flat
    atol = tolerance.atol * scale
    with np.errstate(all="ignore"):
        if tolerance.exact:
            right = _same_bits(c, b)
        else:
            bound = np.abs(b)
            bound *= tolerance.rtol
            bound += atol
            right = _near(c, b, bound)
        follows = _near(c, r, np.add(replay.slack, atol, out=replay.slack))
    right, follows = _all_elements(right, effective), _all_elements(follows, effective)
    if taken_from_baseline.size:
        follows[taken_from_baseline] = right[taken_from_baseline]
        expected = _with_figures_of(expected, Figures(b, effective.shapes), taken_from_baseline)
    verdicts = _VERDICTS[right.view(np.int8) + 2 * follows.view(np.int8)]
    verdicts[~given] = Verdict.NOT_COMPARED
    own = candidate if candidate.shapes == effective.shapes else Figures(c, effective.shapes, candidate.present)
    theirs = Figures(b, effective.shapes, baseline.present)
    return Phase(name, own, theirs, expected, effective, verdicts, scale)


def _near(x: FloatArray, y: FloatArray, allowed: FloatArray) -> BoolArray:
    """|x − y| ≤ allowed where both are finite; else equal, or both NaN."""
    apart = x - y
    np.abs(apart, out=apart)
    close: BoolArray = apart <= allowed
    finite = np.isfinite(apart)
    if not finite.all():
        close &= finite
        close |= (x == y) | (np.isnan(x) & np.isnan(y))
    return close


def _same_bits(x: FloatArray, y: FloatArray) -> BoolArray:
    same: BoolArray = (x.view(np.int64) == y.view(np.int64)) | (np.isnan(x) & np.isnan(y))
    return same


def _all_elements(agrees: BoolArray, figures: Figures) -> BoolArray:
    """Whether all elements of each node's figure agree."""
    if figures.shapes is None:
        return agrees
    sizes = np.diff(figures.offsets)
    owners = np.repeat(np.arange(len(figures)), sizes)
    disagreeing: BoolArray = np.bincount(owners, ~agrees, minlength=len(figures)) == 0
    return disagreeing


def _conform(baseline: Figures, effective: Figures) -> FloatArray:
    """The baseline's figures in the layout of the effective ones: zeros where it has none of that shape."""
    if baseline.shapes == effective.shapes:
        return baseline.flat
    flat = np.zeros(len(effective.flat))
    for place in range(len(effective)):
        figure = baseline[place]
        if figure is not None and figure.shape == effective.shape(place):
            flat[effective.offsets[place] : effective.offsets[place + 1]] = figure.ravel()
    return flat


def _with_figures_of(figures: Figures, others: Figures, places: NDArray[np.int64]) -> Figures:
    flat = figures.flat.copy()
    if figures.shapes is None:
        flat[places] = others.flat[places]
    else:
        for place in places:
            span = slice(figures.offsets[place], figures.offsets[place + 1])
            flat[span] = others.flat[span]
    return Figures(flat, figures.shapes, figures.present)


# --- which node is which ------------------------------------------------------------------------------------------


def _align(baseline: Graph, candidate: Graph, names: Mapping[str, str]) -> NDArray[np.int64]:
    """For each node of the candidate its position in the baseline, −1 where there is none."""
    faults = [
        Fault(("names", name), f"the candidate has no node {name!r}")
        for name in names
        if name not in candidate.position
    ]
    faults += [
        Fault(("names", name), f"the baseline has no node {other!r}")
        for name, other in names.items()
        if other not in baseline.position
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


def _lay_out(theirs: Figures | None, own: Figures | None, aligned: NDArray[np.int64], graph: Graph) -> Figures | None:
    """The baseline's figures in the order of the candidate's nodes; raises InvalidRequest where shapes differ."""
    if theirs is None:
        return None
    identical = len(aligned) == len(theirs) and bool((aligned == np.arange(len(aligned))).all())
    if theirs.shapes is None:
        laid = theirs
        if not identical:
            there = aligned >= 0
            present = there if theirs.present is None else there & theirs.present[aligned]
            laid = Figures(theirs.flat[aligned], None, present)
    else:
        laid = theirs if identical else pack([None if place < 0 else theirs[int(place)] for place in aligned])
    if own is not None and (own.shapes is not None or laid.shapes is not None):
        faults = [
            Fault(("candidate",), f"{node.name!r} has shape {list(mine.shape)}; in the baseline {list(other.shape)}")
            for node, mine, other in zip(graph.nodes, own, laid, strict=True)
            if mine is not None and other is not None and mine.shape != other.shape
        ]
        if faults:
            raise InvalidRequest(faults)
    return laid


def _definitions(baseline: Graph, candidate: Graph, aligned: NDArray[np.int64]) -> tuple[list[int], set[int]]:
    """The nodes that are defined otherwise in the baseline, and those whose consumers are."""
    if candidate is baseline or candidate.digest == baseline.digest:
        return [], set()
    name_in_baseline = [baseline.nodes[place].name if place >= 0 else None for place in aligned]
    redefined = []
    for place, other in enumerate(aligned):
        if other < 0:
            continue
        node, twin = candidate.nodes[place], baseline.nodes[other]
        inputs = tuple(name_in_baseline[source] for source in candidate.operands[place])
        if _differ(node, twin) or inputs != twin.inputs:
            redefined.append(place)
    changed = set(redefined)
    consumers: list[list[tuple[int, int]]] = [[] for _ in candidate.nodes]
    for place, sources in enumerate(candidate.operands):
        for slot, source in enumerate(sources):
            consumers[source].append((int(aligned[place]), slot))
            if place in changed or aligned[place] < 0:
                consumers[source].append((-1, -1))
    reconsumed = {
        place
        for place, other in enumerate(aligned)
        if other >= 0 and sorted(consumers[place]) != sorted(baseline.consumers[other])
    }
    return redefined, reconsumed


def _differ(node: Node, twin: Node) -> bool:
    return node.operation is not twin.operation or dict(node.attributes) != dict(twin.attributes)


def _missing(graph: Graph, there: NDArray[np.int64]) -> tuple[str, ...]:
    """The names of the nodes whose positions are not among those."""
    absent = np.ones(len(graph), dtype=bool)
    absent[there] = False
    return tuple(graph.nodes[place].name for place in np.flatnonzero(absent))


def _check_seeds(baseline: Side, candidate: Side, names: Mapping[str, str]) -> None:
    output = names.get(candidate.output or "", candidate.output)
    if output != baseline.output:
        detail = f"the candidate's gradients are of {candidate.output!r}, the baseline's of {baseline.output!r}"
        raise InvalidRequest([Fault(("candidate",), detail)])
    ours, theirs = candidate.seed, baseline.seed
    if ours is None or theirs is None or not _same_seed(ours, theirs):
        raise InvalidRequest([Fault(("candidate",), "the two runs' gradients have different seeds")])


def _same_seed(ours: FloatArray, theirs: FloatArray) -> bool:
    if ours.shape != theirs.shape and ours.ndim and theirs.ndim:
        return False
    return bool(((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all())


# --- how far figures are apart ------------------------------------------------------------------------------------


def ulps(x: float, y: float) -> int | None:
    """How many float64 numbers lie between x and y, one of them counted; None where one is NaN."""
    if np.isnan(x) or np.isnan(y):
        return None
    ordered = [int(np.float64(value).view(np.int64)) for value in (x, y)]
    lifted = [bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF) for bits in ordered]
    return abs(lifted[0] - lifted[1])


def errors(phase: Phase) -> tuple[FloatArray, FloatArray]:
    """The absolute and the relative error of every element, laid out as the candidate's figures.

    The relative error is |c − b| / |b|, 0 where the two are equal. Figures that are not finite and not equal are an
    infinity apart.
    """
    c, b = phase.candidate.flat, phase.baseline.flat
    with np.errstate(all="ignore"):
        absolute = np.abs(c - b)
        equal = (c == b) | (np.isnan(c) & np.isnan(b))
        absolute[equal] = 0.0
        absolute[np.isnan(absolute)] = np.inf
        relative = absolute / np.abs(b)
        relative[equal] = 0.0
        relative[np.isnan(relative)] = np.inf
    return absolute, relative


def minimum_tolerance(found: Comparison) -> dict[str, float | None]:
    """The least rtol, with atol 0, and the least atol, with rtol 0, under which the two runs are the same."""
    rtol = atol = 0.0
    for phase in found.phases:
        compared = _elements(phase.verdicts != Verdict.NOT_COMPARED, phase.candidate)
        absolute, relative = errors(phase)
        rtol = max(rtol, float(relative[compared].max(initial=0.0)))
        atol = max(atol, float(absolute[compared].max(initial=0.0)) / (phase.scale or 1.0))
    return {"rtol": _finite(rtol), "atol": _finite(atol)}


def _elements(nodes: BoolArray, figures: Figures) -> BoolArray:
    """A condition on nodes as one on the elements of their figures."""
    return nodes if figures.shapes is None else np.repeat(nodes, np.diff(figures.offsets))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def order_of_evaluation(found: Comparison) -> Sequence[tuple[Phase, int]]:
    """Every compared figure: forward in topological order, then backward in the order of the sweep."""
    judged = (Verdict.SAME, Verdict.ORIGIN, Verdict.INHERITED, Verdict.COMPENSATED)
    return [(phase, place) for phase in found.phases for place in phase.places(*judged)]


def first_difference(found: Comparison) -> tuple[Phase, int] | None:
    """The first figure, in the order of evaluation, that differs from the baseline's."""
    for phase in found.phases:
        places = phase.places(Verdict.ORIGIN, Verdict.INHERITED)
        if places:
            return phase, places[0]
    return None


def worst_element(phase: Phase, place: int, measure: FloatArray) -> tuple[int, Any]:
    """The element of a node's figure with the greatest `measure`: its offset in the flat figures, and its index."""
    start, stop = int(phase.candidate.offsets[place]), int(phase.candidate.offsets[place + 1])
    shape = phase.candidate.shape(place)
    if stop == start:
        return start, None
    offset = start + int(np.argmax(measure[start:stop]))
    return offset, [int(step) for step in np.unravel_index(offset - start, shape)] if shape else None
