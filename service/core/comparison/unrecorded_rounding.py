"""What rounding of the figures that a recording leaves out may make of the replays that depend on them.

Such a figure is completed by its own replay, but the program that did not record it had rounded it, by up to its slack
(`replay.py`). How far that reaches is measured: each is disturbed by its slack or more, at random, and the replays are
compared with those from figures disturbed by a small part of it. So two figures that tie in a maximum, which any
disturbance parts, part in both; and a softmax that saturates beside a near tie has not done so yet in the second. The
disturbances are the same every time.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.core.comparison.effective_figures import given
from service.core.comparison.replay import (
    Replay,
    complete_gradients,
    complete_values,
    replay_gradients,
    replay_values,
)
from service.core.comparison.rounding import Weights
from service.core.errors import InvalidInputs
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray
from service.core.graph.graph import Graph
from service.core.graph.traversal import sourceless
from service.core.rounding.precision import UNIT_ROUNDOFF

# The disturbances of a sample may cancel in a figure; those of so many hardly ever do.
_SAMPLES = 8
# A small part of a slack, and what of it, 32 units or more, is left after rounding to the same precision.
_LEAST_PART, _TOLD = 2.0**-12, 1 / 8


@dataclass(frozen=True, eq=False)
class UnrecordedRounding:
    """The effect of unrecorded roundings on the replays of a run, whose graph and complete values are given."""

    graph: Graph
    run: Run
    values: Figures
    weights: Weights

    def of_values(self) -> FloatArray | None:
        """How far each replayed value may be off; None where all values are recorded."""
        if self.run.values.present is None:
            return None
        return self._apart([replay_values(self.graph, each, self.weights) for each in self._disturbed])

    def of_gradients(self, graph: Graph, replay: Replay) -> FloatArray | None:
        """How far each replayed gradient may be off; None where all figures are recorded.

        `graph` is the run's, with the derivatives of any convention.
        """
        backward = self.run.backward
        if backward is None or (self.run.values.present is None and backward.gradients.present is None):
            return None
        noise = self._noise(replay, backward.gradients, _SAMPLES)
        output, seed = backward.output, backward.seed
        replays = []
        for sample, values in enumerate(self._disturbed):
            gradients = complete_gradients(graph, values, backward.gradients, output, seed, noise(sample))
            replays.append(replay_gradients(graph, values, gradients, output, seed, self.weights))
        return self._apart(replays)

    @cached_property
    def _part(self) -> float:
        replayed = "float32" if self.graph.float32_nodes else "float64"
        return max(_LEAST_PART, _TOLD * UNIT_ROUNDOFF[replayed] / UNIT_ROUNDOFF[self.run.dtype])

    @cached_property
    def _disturbed(self) -> Sequence[Figures]:
        """The effective values disturbed where they were not recorded: in pairs, by the whole slack and by a part of
        it; none where an operation refuses a disturbed operand, as an index."""
        noise = self._noise(replay_values(self.graph, self.values, self.weights), self.run.values, 0)
        fixed = {position: self.values[position] for position in map(int, sourceless(self.graph))}
        known = {position: figure for position, figure in fixed.items() if figure is not None}
        with suppress(InvalidInputs):
            return [
                complete_values(self.graph, self.run.values, known, noise(sample)) for sample in range(2 * _SAMPLES)
            ]
        return []

    def _noise(self, replay: Replay, recorded: Figures, first: int) -> Callable[[int], Figures]:
        figures = replay.expected
        disturbed = ~given(recorded)
        disturbed[sourceless(self.graph)] = False
        exact = figures.flat == np.rint(figures.flat)  # whole numbers, such as indices, and infinities
        sizes = np.where(np.repeat(disturbed, np.diff(figures.offsets)) & ~exact, replay.slack, 0.0)

        def sample(number: int) -> Figures:
            deviates = np.random.default_rng(first + number // 2).standard_normal(len(sizes))
            disturbances = sizes * (0.5 * deviates + np.sign(deviates))  # of unequal sizes, lest they cancel
            return Figures(disturbances * (self._part if number % 2 else 1.0), figures.shapes)

        return sample

    def _apart(self, replays: Sequence[Replay]) -> FloatArray | None:
        """How far the replays of a pair are apart at most, scaled to the whole disturbance."""
        if not replays:
            return None
        with np.errstate(all="ignore"):
            pairs = zip(replays[::2], replays[1::2], strict=True)
            apart = np.array([np.abs(one.expected.flat - other.expected.flat) for one, other in pairs])
        apart[~np.isfinite(apart)] = 0.0  # as where a disturbed 1 − βᵗ has no root: the other samples tell
        return np.asarray(apart.max(axis=0) / (1 - self._part))
