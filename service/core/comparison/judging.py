"""Judge two runs figure by figure, by the rule in `verdicts.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from service.core.alignment.alignment import Alignment
from service.core.comparison.agreement import all_elements, following, near
from service.core.comparison.alignment import (
    Propose,
    absent,
    align,
    align_by,
    in_layouts,
    lay_out,
    redefined,
    repeats,
    used_by_others,
    used_otherwise,
)
from service.core.comparison.conventions import follow_conventions
from service.core.comparison.definitions import (
    gradients_with_wrong_sources,
    seen_before,
    seen_from,
    with_definitions,
    with_figures_of,
    without_other_shares,
    wrong_values,
)
from service.core.comparison.effective_figures import effective_gradients, effective_values, given
from service.core.comparison.generated_names import (
    paired_by_place,
    paired_by_structure,
    unpaired,
    without_idle_differences,
    without_other_shapes,
)
from service.core.comparison.missing_figures import unreplayable_gradients
from service.core.comparison.other_shapes import (
    misshapen_inputs,
    of_another_shape,
    shape_faults,
    with_misshapen,
    with_reshaped,
    without_misshapen,
)
from service.core.comparison.replay import Replay, replay_gradients, replay_values
from service.core.comparison.rounding import Weights, rounding_weights
from service.core.comparison.unrecorded_rounding import UnrecordedRounding
from service.core.comparison.verdicts import DIFFERENT, Comparison, Phase, Tolerance, Verdict
from service.core.comparison.weights import weigh_unrecorded
from service.core.errors import Fault, InvalidRequest
from service.core.execution.misshapen import set_aside_misshapen
from service.core.execution.run import Backward, Run
from service.core.figures.figures import Figures, FloatArray, IntArray, same_bits
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph
from service.core.graph.traversal import sourceless
from service.core.rounding.precision import ROUNDED_ONCE

# By whether a figure agrees with the baseline (1) and with its replay (2).
_VERDICTS = np.array([Verdict.ORIGIN, Verdict.COMPENSATED, Verdict.INHERITED, Verdict.SAME], dtype=np.int8)
_OTHER_SEEDS = Fault(("candidate",), "the two runs' gradients have different seeds")


def compare(
    baseline: Run,
    candidate: Run,
    tolerance: Tolerance,
    names: Mapping[str, str] | None = None,
    *,
    propose: Propose | None = None,
    max_elements: int | None = None,
    admit: Callable[[Weight], None] = lambda weight: None,
) -> Comparison:
    """Judge each figure that both runs give. `names` maps the candidate's node names to the baseline's; `propose` pairs
    the other nodes, which are paired by name unless it is given.

    Raises InvalidRequest where the runs cannot be compared: gradients of different outputs or seeds, figures of
    different shapes or of shapes that do not fit the graph, no figure in common, unknown names; LimitExceeded where the
    values to be computed for the candidate would exceed `max_elements`; and what `admit` raises where a wrong figure
    makes it take more than `weigh_comparison` says.
    """
    alignment = align_by(propose or partial(_by_name, tolerance), baseline, candidate, names or {})
    partners = alignment.partners
    baseline = in_layouts(baseline, alignment)
    # Nodes paired by what they compute may have other shapes where what they rest on is cut: the own graph says.
    candidate = set_aside_misshapen(candidate) if propose else without_misshapen(baseline, candidate, partners)
    ours, theirs = candidate.backward, baseline.backward
    if ours and theirs:
        _check_outputs(baseline.graph, candidate.graph, partners, theirs.output, ours.output)
        if not (_same_seed(ours.seed, theirs.seed) or (propose and _same_multiple(ours.seed, theirs.seed))):
            raise InvalidRequest(misshapen_inputs(baseline, candidate, partners) or [_OTHER_SEEDS])
    values = lay_out(baseline.values, partners)
    slopes = lay_out(theirs.gradients, partners) if ours and theirs else None
    reshaped = of_another_shape(candidate.values, values)
    reshaped_slopes = of_another_shape(ours.gradients, slopes) if ours and slopes else {}
    if propose is None and (
        faults := shape_faults(candidate.graph, candidate.values, reshaped)
        or shape_faults(candidate.graph, candidate.gradients, reshaped_slopes)
    ):
        raise InvalidRequest(faults)
    cut, effective = effective_values(candidate, values, max_elements)
    judging = _Judging(candidate, cut, effective, tolerance, np.flatnonzero(partners < 0), admit)
    forward = backward = None
    conventions: dict[int, tuple[str, ...]] = {}
    if baseline.has_values and candidate.has_values:
        judged = with_reshaped(judging.judge_values(values), reshaped)
        otherwise = seen_from(candidate.graph, alignment.cuts, judged)
        forward = with_definitions(judged, otherwise, lambda: wrong_values(candidate.graph, judged)[1])
    if ours and theirs and slopes is not None:
        judged, conventions = judging.judge_gradients(ours, slopes, theirs.gradients)
        judged = with_reshaped(judged, reshaped_slopes)
        backward = _with_uses(baseline, candidate, alignment, judged, forward)
    found = Comparison(
        candidate,
        baseline.graph,
        alignment,
        forward,
        backward,
        effective,
        absent(baseline.graph, partners[partners >= 0]),
        absent(candidate.graph, np.flatnonzero(partners >= 0)),
        conventions,
        baseline.dtype,
    )
    if not any(phase.verdicts.any() for phase in found.phases):
        raise InvalidRequest([Fault(("candidate",), "the two runs give no figure in common")])
    return found


def _with_uses(baseline: Run, candidate: Run, alignment: Alignment, judged: Phase, forward: Phase | None) -> Phase:
    """The gradients with the verdicts on the nodes that are used otherwise in the two graphs."""
    graph, other = candidate.graph, baseline.graph
    if graph is other or not np.isin(judged.verdicts, DIFFERENT).any():
        return judged
    otherwise = seen_before(graph, used_otherwise(other, graph, alignment), judged)
    shared = used_by_others(other, graph, alignment.partners)

    def has_copy(position: int) -> bool:
        return repeats(candidate, position) or repeats(baseline, int(alignment.partners[position]))

    judged, differing = without_other_shares(graph, judged, forward, otherwise, shared, has_copy)
    if not {baseline.dtype, candidate.dtype} & {*ROUNDED_ONCE}:  # in which rounding may do as much
        otherwise = np.union1d(otherwise, differing)
    backward = with_definitions(judged, otherwise, lambda: gradients_with_wrong_sources(graph, judged, forward))
    return without_idle_differences(backward, graph) if backward.definitions.size else backward


def _by_name(tolerance: Tolerance, baseline: Run, candidate: Run, names: Mapping[str, str]) -> Alignment:
    partners = _pairs(baseline, candidate, tolerance, names)
    return Alignment(partners, {}, redefined(baseline.graph, candidate.graph, partners), {})


def _pairs(baseline: Run, candidate: Run, tolerance: Tolerance, names: Mapping[str, str]) -> IntArray:
    """For each node of the candidate its partner's position: by name, but for the names that were generated."""
    by_name = align(baseline.graph, candidate.graph, names)
    if candidate.graph is baseline.graph or candidate.graph.digest == baseline.graph.digest:
        return by_name
    fixed = {*names, candidate.backward.output} if candidate.backward else set(names)
    by_name = without_other_shapes(baseline, candidate, by_name, fixed)
    aligned = unpaired(baseline.graph, candidate.graph, by_name, fixed)
    aligned = paired_by_structure(baseline.graph, candidate.graph, aligned)
    return paired_by_place(baseline, candidate, aligned, tolerance)


@dataclass(frozen=True, eq=False)
class _Judging:
    """A candidate's effective values on its graph without the edges to what depends on an unknown one, and the rule.

    The nodes that are `alone` have no partner in the baseline's graph.
    """

    candidate: Run
    graph: Graph
    values: Figures
    tolerance: Tolerance
    alone: IntArray
    admit: Callable[[Weight], None]

    @cached_property
    def _weights(self) -> Weights:
        return rounding_weights(self.candidate.dtype, self.tolerance.rtol)

    @cached_property
    def _unrecorded(self) -> UnrecordedRounding:
        self.admit(weigh_unrecorded(self.graph, self.values))
        return UnrecordedRounding(self.graph, self.candidate, self.values, rounding_weights(self.candidate.dtype, 0.0))

    def judge_values(self, baseline: Figures) -> Phase:
        """Judge the candidate's values by the baseline's, in the order of the candidate's nodes."""
        replay = replay_values(self.graph, self.values, self._weights)
        judged = _judge(
            self.candidate.graph,
            "forward",
            self.candidate.values,
            baseline,
            self.values,
            replay,
            self.tolerance,
            sourceless(self.graph),
            self.alone,
            1.0,
            lambda: self._unrecorded.of_values(),  # noqa: PLW0108 (it is weighed and made only if it is called)
        )
        return with_misshapen(judged, self.candidate, self.alone)

    def judge_gradients(
        self, ours: Backward, baseline: Figures, every_gradient: Figures
    ) -> tuple[Phase, dict[int, tuple[str, ...]]]:
        """Judge the candidate's gradients, and find the libraries' conventions that some follow.

        `every_gradient` of the baseline, whether of a node of the candidate's or not, scales the absolute tolerance.
        """
        graph, values = self.graph, self.values
        gradients = effective_gradients(graph, values, ours)
        replay = replay_gradients(graph, values, gradients, ours.output, ours.seed, self._weights)
        unreplayed = np.array([], dtype=np.int64)
        if graph is not self.candidate.graph:
            unreplayed = unreplayable_gradients(self.candidate.graph, graph, given(ours.gradients), ours.output)
        finite = np.abs(every_gradient.flat[np.isfinite(every_gradient.flat)])
        scale = min(float(finite.max()) if finite.size else 1.0, 1.0)
        judged = _judge(
            self.candidate.graph,
            "backward",
            ours.gradients,
            baseline,
            gradients,
            replay,
            self.tolerance,
            unreplayed,
            self.alone,
            scale,
            lambda: self._moved_gradients(graph, replay),
        )
        judged = with_misshapen(judged, self.candidate, self.alone)
        return judged, follow_conventions(graph, values, ours, judged, self._weights, self._moved_gradients)

    def _moved_gradients(self, graph: Graph, replay: Replay) -> FloatArray | None:
        return self._unrecorded.of_gradients(graph, replay)


def _judge(
    graph: Graph,
    name: str,
    candidate: Figures,
    baseline: Figures,
    effective: Figures,
    replay: Replay,
    tolerance: Tolerance,
    unreplayed: IntArray,
    alone: IntArray,
    scale: float,
    unrecorded: Callable[[], FloatArray | None],
) -> Phase:
    """The verdicts of one phase; nodes that are `alone`, without a partner, are judged by their own replay.

    `unrecorded` says how far rounding of figures that are not recorded may move each of the replayed ones, if it may.
    """
    expected = replay.expected
    c, b = effective.flat, _conform(baseline, effective)
    atol = tolerance.atol * scale
    with np.errstate(all="ignore"):
        if tolerance.exact:
            right = same_bits(c, b)
        else:
            bound = np.abs(b)
            bound *= tolerance.rtol
            bound += atol
            right = near(c, b, bound)
    right, recorded, there = all_elements(right, effective), given(candidate), given(baseline)
    follows = all_elements(following(effective, replay, atol, recorded, unrecorded), effective)
    if unreplayed.size:
        follows[unreplayed] = right[unreplayed]
        expected = with_figures_of(expected, Figures(b, effective.shapes), unreplayed)
    verdicts = _VERDICTS[right.view(np.int8) + 2 * follows.view(np.int8)]
    verdicts[~(recorded & there)] = Verdict.NOT_COMPARED
    missing = np.array([], dtype=np.int64)
    if not recorded.all() and (
        name == "backward" or any(graph.operands[each] for each in np.flatnonzero(recorded).tolist())
    ):
        missing = np.setdiff1d(np.flatnonzero(there & ~recorded), _constants(graph))
    if name == "backward" and candidate.none is not None:
        nothing = [each for each in missing.tolist() if candidate.none[each] and not np.any(baseline[each])]
        verdicts[nothing] = Verdict.SAME
        missing = missing[verdicts[missing] != Verdict.SAME]
        c = with_figures_of(
            Figures(c, effective.shapes), Figures(b, effective.shapes), np.array(nothing, np.int64)
        ).flat
    lonely = np.setdiff1d(alone[recorded[alone]], unreplayed)
    lonely = lonely[~follows[lonely]]
    if lonely.size:
        verdicts[lonely] = Verdict.ORIGIN
        b = with_figures_of(Figures(b, effective.shapes), expected, lonely).flat
    own = candidate
    if candidate.shapes != effective.shapes:
        own = Figures(c, effective.shapes, candidate.present, candidate.none)
    theirs = Figures(b, effective.shapes, baseline.present)
    return Phase(
        name,
        own,
        theirs,
        expected,
        effective,
        verdicts,
        unreplayed,
        tolerance.rtol,
        atol,
        scale,
        missing,
        {},
    )


def _constants(graph: Graph) -> IntArray:
    """The positions of the Constants, whose values the graph gives."""
    leaves = sourceless(graph)
    return leaves[[graph.nodes[position].operation.is_constant for position in leaves.tolist()]]


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


def _check_outputs(baseline: Graph, candidate: Graph, partners: IntArray, theirs: str, ours: str) -> None:
    partner = int(partners[candidate.position[ours]])
    same = baseline.nodes[partner].name == theirs if partner >= 0 else ours == theirs
    if not same:
        detail = f"the candidate's gradients are of {ours!r}, the baseline's of {theirs!r}"
        raise InvalidRequest([Fault(("candidate",), detail)])


def _same_seed(ours: FloatArray, theirs: FloatArray) -> bool:
    if ours.shape != theirs.shape and ours.ndim and theirs.ndim:
        return False
    return bool(((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all())


def _same_multiple(ours: FloatArray, theirs: FloatArray) -> bool:
    """Whether both are seeds of one multiple of a sum, whatever its elements."""
    return len({*ours.ravel().tolist(), *theirs.ravel().tolist()}) == 1
