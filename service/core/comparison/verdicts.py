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
largest |gradient|, capped at 1, so that a tiny gradient of the wrong sign does not pass. Where r follows from figures
that are not recorded, how far their rounding may move it is allowed as well (`unrecorded_rounding.py`).

A figure in bfloat16 (u = 2⁻⁸) or float16 (2⁻¹¹) was accumulated in float32 and rounded once, as was each part that a
library keeps on the way (`rounding.py`). It agrees with its replay if |c − r| ≤ atol + max(rtol, 2u)·|r| + 2u·P +
32·2⁻²⁴·S + 16·2⁻²⁴·U; P is the sum of the magnitudes of those parts, for a gradient Σ|contributions|. A consumer of one
operand, whose slope may have been computed from its rounded value, adds u·|upstream|, and float16 the spacing of its
least numbers, 2⁻²⁴, for each rounding.

    both             same
    baseline only    compensated   right although its operands are wrong: its own error cancels theirs
    replay only      inherited     wrong only because its operands are wrong
    neither          origin

An origin among the gradients that agrees with its replay under another library's choice at a point without a derivative
(`Operation.conventions`) is not an origin but a `convention`.

The baseline's figure is expected where there is no replay: of an Input or a Constant, and of a node that depends on an
unknown figure. A node that is defined otherwise in the two graphs is replayed by its own definition, and is the origin
only where it is by its own replay or `definitions.py` says so. A node that only the candidate's graph has is judged by
its replay alone: it is an origin or not compared. A figure with the shape of the transpose, or of a gradient not summed
over a broadcast axis, is an origin; what depends on it is judged by its replay. Figures to which two definitions give
different shapes do not agree. Figures that the candidate does not give are not judged: an origin is the first
*recorded* wrong figure. They are `missing` where the baseline has one and
the candidate records the phase, which Inputs' values alone do not, unless it is a Constant's, which the graph gives, or
a gradient of 0 throughout and the candidate says that there was none, which is the same. Under every tolerance NaN
equals NaN, and an infinity only itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.core.alignment.alignment import Alignment
from service.core.execution.run import Run
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray
from service.core.graph.graph import Graph, Node


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
    "float16": Tolerance(1e-3, 1e-5),
    "bfloat16": Tolerance(1.6e-2, 1e-5),
}


@dataclass(frozen=True, eq=False)
class Phase:
    """The findings of one phase, laid out as the candidate's nodes; all figures have the same shapes.

    `rtol` and `atol` bound |c − b|; for gradients, `scale` is the factor in `atol`. `unreplayed` are the positions of
    the nodes where the baseline's figure is expected, `definitions` those of them whose definition or use in the graph
    is the origin. `missing` are the nodes whose figure the baseline has and the candidate lacks. In `baseline.flat` an
    origin that only the candidate's graph has is measured against its replay. `misshapen` are the candidate's figures
    of another shape, by position; in `candidate` they are NaN. `reshaped` are the baseline's figures of another shape
    than what the candidate's graph computes there; in `baseline` they agree with nothing.
    `excused` says which elements of an origin some convention explains, flat, by position.
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
    missing: IntArray
    misshapen: Mapping[int, FloatArray]
    definitions: IntArray = field(default_factory=lambda: np.array([], dtype=np.int64))
    excused: dict[int, BoolArray] = field(default_factory=dict)
    reshaped: Mapping[int, FloatArray] = field(default_factory=dict)

    def given(self, position: int) -> FloatArray | None:
        """The candidate's figure, of whatever shape it is."""
        return self.misshapen.get(position, self.candidate[position])

    def right(self, position: int) -> FloatArray | None:
        """The baseline's figure, of whatever shape it is."""
        return self.reshaped.get(position, self.baseline[position])

    def due(self, position: int) -> FloatArray | None:
        """The expected figure, of whatever shape it is."""
        return self.right(position) if position in self.unreplayed else self.expected[position]

    def has_another_shape(self, position: int) -> bool:
        """Whether the candidate's figure and the baseline's differ in shape."""
        return position in self.misshapen or position in self.reshaped

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

    `candidate` is the run that was judged and `values` are its effective values; `alignment` pairs its nodes with those
    of the graph `baseline`; `conventions` says by position whose choices explain a gradient.
    """

    candidate: Run
    baseline: Graph
    alignment: Alignment
    forward: Phase | None
    backward: Phase | None
    values: Figures
    only_in_baseline: tuple[str, ...]
    only_in_candidate: tuple[str, ...]
    conventions: Mapping[int, tuple[str, ...]]
    baseline_dtype: str = "float64"

    def partner(self, position: int) -> Node | None:
        """The baseline's node that the candidate's at that position is paired with."""
        other = int(self.alignment.partners[position])
        return self.baseline.nodes[other] if other >= 0 else None

    def other_name(self, position: int) -> str | None:
        """What the baseline calls the candidate's node at that position, where that is otherwise."""
        partner = self.partner(position)
        return None if partner is None or partner.name == self.candidate.graph.nodes[position].name else partner.name

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that were compared, forward first."""
        return tuple(phase for phase in (self.forward, self.backward) if phase is not None)

    @property
    def same(self) -> bool:
        """Whether no figure differs from the baseline's by more than the tolerance."""
        return not any(self.counts[verdict.name.lower()] for verdict in DIFFERENT)

    @property
    def arose(self) -> bool:
        """Whether anything differs by itself; else every difference was inherited from errors below the tolerance."""
        return next(self.places(Verdict.ORIGIN, Verdict.CONVENTION), None) is not None

    @property
    def differing_inputs(self) -> list[str]:
        """The Inputs whose values differ from the baseline's."""
        nodes = self.candidate.graph.nodes
        places = self.forward.positions(Verdict.ORIGIN) if self.forward else []
        return [nodes[position].name for position in places if nodes[position].operation.is_input]

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

    @property
    def missing(self) -> Iterator[tuple[Phase, int, str]]:
        """Phase and position of each figure that the baseline has and the candidate lacks, and how it is given.

        It is "none" where the candidate says that there was no figure, else "absent".
        """
        for phase in self.phases:
            none = phase.candidate.none
            for position in map(int, phase.missing[::-1] if phase.name == "backward" else phase.missing):
                yield phase, position, "none" if none is not None and none[position] else "absent"

    def places(self, *wanted: Verdict) -> Iterator[tuple[Phase, int]]:
        """Phase and position of each figure with one of these verdicts, in the order of evaluation."""
        return ((phase, int(position)) for phase in self.phases for position in phase.find(*wanted))


def first_difference(found: Comparison) -> tuple[Phase, int] | None:
    """The first figure, in the order of evaluation, that differs from the baseline's."""
    return next(found.places(*DIFFERENT), None)
