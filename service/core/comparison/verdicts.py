"""Where did the first wrong figure arise? Two runs, figure by figure.

The rule. The candidate's graph is walked in evaluation order. A node's *effective* figure is the candidate's where it
gives one, else its own replay (`replay.py`), never the baseline's: a right figure from the baseline beside figures
computed from a wrong one would make origins of the nodes between them. A figure c that both runs give is compared with
the baseline's figure b and with its replay r from the candidate's own effective figures:

    agrees with the baseline   |c − b| ≤ atol + rtol·|b|
    agrees with its replay     |c − r| ≤ atol + max(rtol, 32u)·S + 16u·U

S is Σ|local × input| + |r| for a value, Σ|contributions| (seed included, each copy of a broadcast operand having its
own) for a gradient; of an operation that is not elementwise, what it declares (`operation.define`). U is Σ|upstream|
for a gradient, 0 for a value; u is 2⁻⁵³, or 2⁻²⁴ where the candidate was computed in float32. S and U measure what
rounding alone may do to a sum whose terms cancel and to a local gradient whose formula cancels. An infinite term, as
of asin at 1, is left out of S, since it would allow any figure. For gradients atol is multiplied by the baseline's
largest |gradient|, capped at 1, so that a tiny gradient of the wrong sign does not pass.

    both             same
    baseline only    compensated   right although its operands are wrong: its own error cancels theirs
    replay only      inherited     wrong only because its operands are wrong
    neither          origin

An origin among the gradients that agrees with its replay under another library's choice at a point without a derivative
(`Operation.conventions`) is not an origin but a `convention`.

The baseline's figure is expected where there is no replay: of an Input or a Constant, of a node whose definition
differs between the two graphs, and of one that depends on an unknown figure. Figures that the candidate does not give
are not judged: an origin is the first *recorded* wrong figure. Under every tolerance NaN equals NaN, and an infinity
only itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.core.comparison.alignment import absent, align, differences, lay_out
from service.core.comparison.missing_figures import unreplayable_gradients, without_unknown
from service.core.comparison.replay import (
    Replay,
    Weights,
    complete_gradients,
    complete_values,
    replay_gradients,
    replay_values,
)
from service.core.errors import Fault, InvalidRequest
from service.core.execution.passes import nondifferentiable_nodes
from service.core.execution.run import Backward, Run
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray, same_bits
from service.core.graph.graph import Graph
from service.core.graph.shapes import fit_shapes
from service.core.graph.traversal import sourceless
from service.core.rulebook.operation import CONVENTIONS


class Verdict(IntEnum):
    """The verdict on one figure; NOT_COMPARED where only one run gives it."""

    NOT_COMPARED = 0
    SAME = 1
    ORIGIN = 2
    INHERITED = 3
    COMPENSATED = 4
    CONVENTION = 5


JUDGED = (Verdict.SAME, Verdict.ORIGIN, Verdict.INHERITED, Verdict.COMPENSATED, Verdict.CONVENTION)
DIFFERENT = (Verdict.ORIGIN, Verdict.INHERITED, Verdict.CONVENTION)

# By whether a figure agrees with the baseline (1) and with its replay (2).
_VERDICTS = np.array([Verdict.ORIGIN, Verdict.COMPENSATED, Verdict.INHERITED, Verdict.SAME], dtype=np.int8)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far figures may differ; `exact` requires equal bits, where all NaN are equal."""

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
class Phase:
    """The findings of one phase, laid out as the candidate's nodes; all figures have the same shapes.

    `rtol` and `atol` bound |c − b|; for gradients, `scale` is the factor in `atol`. `unreplayed` are the positions of
    the nodes where the baseline's figure is expected.
    """

    name: str
    candidate: Figures
    baseline: Figures
    expected: Figures
    effective: Figures
    verdicts: NDArray[np.int8]
    unreplayed: IntArray
    rtol: float
    atol: float
    scale: float

    def positions(self, *wanted: Verdict) -> list[int]:
        """The positions of the nodes with one of these verdicts, in the order of evaluation."""
        return [int(position) for position in self.find(*wanted)]

    def find(self, *wanted: Verdict) -> IntArray:
        """The same as an array."""
        found = np.flatnonzero(np.isin(self.verdicts, wanted))
        return found[::-1] if self.name == "backward" else found


@dataclass(frozen=True, eq=False)
class Comparison:
    """The findings of both phases; a phase that was not compared is None.

    `candidate` is the run that was judged and `values` are its effective values; `redefined` and `reconsumed` hold the
    positions of nodes that are defined, or used, otherwise in the two graphs; `conventions` says by position whose
    choices explain a gradient.
    """

    candidate: Run
    forward: Phase | None
    backward: Phase | None
    values: Figures
    only_in_baseline: tuple[str, ...]
    only_in_candidate: tuple[str, ...]
    redefined: IntArray
    reconsumed: IntArray
    conventions: Mapping[int, tuple[str, ...]]

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that were compared, forward first."""
        return tuple(phase for phase in (self.forward, self.backward) if phase is not None)

    @property
    def same(self) -> bool:
        """Whether no figure differs from the baseline's by more than the tolerance."""
        return not any(self.counts[verdict.name.lower()] for verdict in DIFFERENT)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many figures have each verdict."""
        judged = np.concatenate([phase.verdicts for phase in self.phases])
        return {verdict.name.lower(): int((judged == verdict).sum()) for verdict in JUDGED}

    @property
    def nbytes(self) -> int:
        """About the bytes that it takes: its figures, some of which the runs may share, and one list of them."""
        figures = [self.values]
        for phase in self.phases:
            figures += [phase.candidate, phase.baseline, phase.expected, phase.effective]
        return sum(each.flat.nbytes for each in figures) + 9 * sum(phase.verdicts.nbytes for phase in self.phases)

    def places(self, *wanted: Verdict) -> Iterator[tuple[Phase, int]]:
        """Phase and position of each figure with one of these verdicts, in the order of evaluation."""
        return ((phase, int(position)) for phase in self.phases for position in phase.find(*wanted))


def compare(
    baseline: Run,
    candidate: Run,
    tolerance: Tolerance,
    names: Mapping[str, str] | None = None,
    *,
    max_elements: int | None = None,
) -> Comparison:
    """Judge each figure that both runs give. `names` maps the candidate's node names to the baseline's.

    Raises InvalidRequest where the runs cannot be compared: gradients of different outputs or seeds, figures of
    different shapes or of shapes that do not fit the graph, no figure in common, unknown names; LimitExceeded where the
    values to be computed for the candidate would exceed `max_elements`.
    """
    aligned = align(baseline.graph, candidate.graph, names or {})
    ours, theirs = candidate.backward, baseline.backward
    if ours and theirs:
        _check_seeds(theirs, ours, names or {})
    redefined, reconsumed = differences(baseline.graph, candidate.graph, aligned)
    values = lay_out(baseline.values, candidate.values, aligned, candidate.graph)
    slopes = lay_out(theirs.gradients, ours.gradients, aligned, candidate.graph) if ours and theirs else None
    cut, effective = _effective_values(candidate, values, max_elements)
    roundoff = UNIT_ROUNDOFF[candidate.dtype]
    weights = Weights(max(tolerance.rtol, 32 * roundoff), 16 * roundoff)
    forward = backward = None
    conventions: dict[int, tuple[str, ...]] = {}
    if baseline.has_values and candidate.has_values:
        replay = replay_values(cut, effective, weights)
        unreplayed = np.union1d(sourceless(cut), redefined)
        forward = _judge("forward", candidate.values, values, effective, replay, tolerance, unreplayed, 1.0)
    if ours and theirs and slopes is not None:
        gradients = _effective_gradients(cut, effective, ours)
        replay = replay_gradients(cut, effective, gradients, ours.output, ours.seed, weights)
        unreplayed = reconsumed
        if cut is not candidate.graph:
            doubtful = unreplayable_gradients(candidate.graph, cut, _given(ours.gradients), ours.output)
            unreplayed = np.union1d(reconsumed, doubtful)
        finite = np.abs(theirs.gradients.flat[np.isfinite(theirs.gradients.flat)])
        scale = min(float(finite.max()) if finite.size else 1.0, 1.0)
        backward = _judge("backward", ours.gradients, slopes, gradients, replay, tolerance, unreplayed, scale)
        conventions = _conventions(cut, effective, ours, backward, weights)
    found = Comparison(
        candidate,
        forward,
        backward,
        effective,
        absent(baseline.graph, aligned[aligned >= 0]),
        absent(candidate.graph, np.flatnonzero(aligned >= 0)),
        redefined,
        reconsumed,
        conventions,
    )
    if not any(phase.verdicts.any() for phase in found.phases):
        raise InvalidRequest([Fault(("candidate",), "the two runs give no figure in common")])
    return found


def _effective_values(candidate: Run, baseline: Figures, max_elements: int | None) -> tuple[Graph, Figures]:
    """The candidate's effective values, and its graph without the edges to what depends on an unknown value."""
    graph, own, gradients = candidate.graph, candidate.values, candidate.gradients
    if own.present is None and own.shapes is None and (gradients is None or gradients.shapes is None):
        return graph, own
    assumed: dict[int, FloatArray] = {}
    known = _given(own)
    for position in map(int, np.flatnonzero(~known)):
        operation, figure = graph.nodes[position].operation, baseline[position]
        if operation.is_input and figure is not None:
            assumed[position] = figure
        known[position] = operation.is_constant or position in assumed
    cut = graph if known[sourceless(graph)].all() else without_unknown(graph, known)
    slopes = _shaped_gradients(candidate.graph, candidate.backward)
    # An unknown value has the shape of its gradient.
    assumed.update(
        {
            position: np.full(slopes[position].shape, np.nan)
            for position in map(int, sourceless(cut))
            if not known[position] and position in slopes
        }
    )
    given = {position: figure.shape for position, figure in enumerate(own) if figure is not None}
    given.update({position: figure.shape for position, figure in assumed.items()})
    shapes, wrong = fit_shapes(cut, given, max_elements)
    wrong += [
        (
            position,
            f"{graph.nodes[position].name!r} has shape {list(shapes[position])}; its gradient {list(slope.shape)}",
        )
        for position, slope in slopes.items()
        if position in shapes and shapes[position] != slope.shape
    ]
    if wrong:
        raise InvalidRequest([Fault(("candidate",), detail) for _, detail in wrong])
    return cut, complete_values(cut, own, assumed)


def _shaped_gradients(graph: Graph, backward: Backward | None) -> dict[int, FloatArray]:
    """The gradients that the candidate gives, by position; the output's is its seed unless that is a scalar."""
    if backward is None:
        return {}
    given = {position: slope for position, slope in enumerate(backward.gradients) if slope is not None}
    if backward.seed.ndim:
        given.setdefault(graph.position[backward.output], backward.seed)
    return given


def _effective_gradients(graph: Graph, values: Figures, backward: Backward) -> Figures:
    """The candidate's effective gradients; a node that has none, such as a Constant, is not completed."""
    given = backward.gradients
    missing = np.flatnonzero(~_given(given))
    if not any(graph.nodes[position].has_gradient for position in missing):
        return Figures(given.flat, given.shapes)
    return complete_gradients(graph, values, given, backward.output, backward.seed)


def _given(figures: Figures) -> BoolArray:
    return np.ones(len(figures), dtype=bool) if figures.present is None else figures.present.copy()


def _conventions(
    graph: Graph, values: Figures, candidate: Backward, found: Phase, weights: Weights
) -> dict[int, tuple[str, ...]]:
    """The origins that agree with other libraries' choices at a kink, with those libraries; sets their verdicts."""
    origins = np.setdiff1d(found.positions(Verdict.ORIGIN), found.unreplayed)
    explained: dict[int, tuple[str, ...]] = {}
    if not origins.size or not nondifferentiable_nodes(graph, values):
        return explained
    for convention in CONVENTIONS:
        rival = graph.with_convention(convention)
        if rival is graph:
            continue
        gradients = _effective_gradients(rival, values, candidate)
        replay = replay_gradients(rival, values, gradients, candidate.output, candidate.seed, weights)
        with np.errstate(all="ignore"):
            near = _near(gradients.flat, replay.expected.flat, replay.slack + found.atol)
        follows = _all_elements(near, gradients)
        for position in map(int, origins[follows[origins]]):
            explained[position] = (*explained.get(position, ()), convention)
    found.verdicts[list(explained)] = Verdict.CONVENTION
    return explained


def _judge(
    name: str,
    candidate: Figures,
    baseline: Figures,
    effective: Figures,
    replay: Replay,
    tolerance: Tolerance,
    unreplayed: IntArray,
    scale: float,
) -> Phase:
    expected = replay.expected
    c, b, r = effective.flat, _conform(baseline, effective), expected.flat
    atol = tolerance.atol * scale
    with np.errstate(all="ignore"):
        if tolerance.exact:
            right = same_bits(c, b)
        else:
            bound = np.abs(b)
            bound *= tolerance.rtol
            bound += atol
            right = _near(c, b, bound)
        follows = _near(c, r, np.add(replay.slack, atol, out=replay.slack))
    right, follows = _all_elements(right, effective), _all_elements(follows, effective)
    if unreplayed.size:
        follows[unreplayed] = right[unreplayed]
        expected = _with_figures_of(expected, Figures(b, effective.shapes), unreplayed)
    verdicts = _VERDICTS[right.view(np.int8) + 2 * follows.view(np.int8)]
    verdicts[~(_given(candidate) & _given(baseline))] = Verdict.NOT_COMPARED
    own = candidate if candidate.shapes == effective.shapes else Figures(c, effective.shapes, candidate.present)
    theirs = Figures(b, effective.shapes, baseline.present)
    return Phase(name, own, theirs, expected, effective, verdicts, unreplayed, tolerance.rtol, atol, scale)


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
    for position in range(len(effective)):
        figure = baseline[position]
        if figure is not None and figure.shape == effective.shape(position):
            flat[effective.offsets[position] : effective.offsets[position + 1]] = figure.ravel()
    return flat


def _with_figures_of(figures: Figures, others: Figures, positions: IntArray) -> Figures:
    flat = figures.flat.copy()
    if figures.shapes is None:
        flat[positions] = others.flat[positions]
    else:
        for position in positions:
            span = slice(figures.offsets[position], figures.offsets[position + 1])
            flat[span] = others.flat[span]
    return Figures(flat, figures.shapes, figures.present)


def _check_seeds(baseline: Backward, candidate: Backward, names: Mapping[str, str]) -> None:
    output = names.get(candidate.output, candidate.output)
    if output != baseline.output:
        detail = f"the candidate's gradients are of {candidate.output!r}, the baseline's of {baseline.output!r}"
        raise InvalidRequest([Fault(("candidate",), detail)])
    if not _same_seed(candidate.seed, baseline.seed):
        raise InvalidRequest([Fault(("candidate",), "the two runs' gradients have different seeds")])


def _same_seed(ours: FloatArray, theirs: FloatArray) -> bool:
    if ours.shape != theirs.shape and ours.ndim and theirs.ndim:
        return False
    return bool(((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all())


def first_difference(found: Comparison) -> tuple[Phase, int] | None:
    """The first figure, in the order of evaluation, that differs from the baseline's."""
    return next(found.places(*DIFFERENT), None)
