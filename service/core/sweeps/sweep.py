"""A sweep: at which points a graph is computed, and what is kept of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod

import numpy as np

from service.core.comparison.verdicts import Tolerance
from service.core.figures.figures import FloatArray, IntArray
from service.core.sweeps.axes import Axis

CHUNK = 10_000  # points
REDUCTIONS = ("min", "max", "mean", "argmin", "histogram", "nonfinite")


@dataclass(frozen=True, slots=True)
class Against:
    """A second graph that is computed at the same points: its output for each of the first one's that it is held
    against, and how far the two may differ."""

    outputs: Mapping[str, str]
    tolerance: Tolerance


@dataclass(frozen=True, eq=False)
class Sweep:
    """Points are numbered from 0, and computed in chunks of `chunk` points, the last of which may have fewer.

    `inputs` says of every Input of the graph how it varies, or what it is at every point. In mode "grid" the points
    are all combinations, in which the first input named varies slowest; in mode "zip" the axes, which are equally
    long, go side by side. `outputs` are the nodes whose values are kept, each of them a scalar; `wrt` the scalar Inputs
    with respect to which the gradients of `output` are kept, none where `output` is None. What all points amount to is
    told by `reduce`, a choice of REDUCTIONS; with None it is all of them, and the figures of each point are kept too.
    With `check`, the gradients are held against central differences at every point.
    """

    inputs: Mapping[str, Axis | FloatArray]
    mode: str
    outputs: tuple[str, ...]
    output: str | None
    wrt: tuple[str, ...]
    convention: str
    reduce: tuple[str, ...] | None = None
    chunk: int = CHUNK
    against: Against | None = None
    check: bool = False

    @cached_property
    def axes(self) -> Mapping[str, Axis]:
        """The inputs that vary."""
        return {name: each for name, each in self.inputs.items() if not isinstance(each, np.ndarray)}

    @cached_property
    def fixed(self) -> Mapping[str, FloatArray]:
        """The inputs that are the same at every point."""
        return {name: each for name, each in self.inputs.items() if isinstance(each, np.ndarray)}

    @cached_property
    def points(self) -> int:
        """How many points there are."""
        counts = [axis.count for axis in self.axes.values()]
        return prod(counts) if self.mode == "grid" else max(counts, default=1)

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return ceil(self.points / self.chunk)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the figures that each point has: F and dF/da of the graph, then what they are held against, and
        last the verdict on each gradient that is checked: 0 if it is right, 1 if nothing can be said, 2 if it is wrong.
        """
        own = (*self.outputs, *self.gradients)
        verdicts = (f"verdict {name}" for name in self.gradients if self.check)
        return (*own, *self.pairs, *verdicts)

    @property
    def gradients(self) -> tuple[str, ...]:
        """The columns of gradients, in the order of `wrt`."""
        return tuple(f"d{self.output}/d{name}" for name in self.wrt)

    @cached_property
    def pairs(self) -> Mapping[str, str]:
        """The columns that others are held against, each with that other: "against F" and "estimate dF/da"."""
        against = {f"against {name}": name for name in (*self.outputs, *self.gradients) if self.against}
        return {**against, **{f"estimate {name}": name for name in self.gradients if self.check}}

    def numbers(self, chunk: int) -> range:
        """The numbers of a chunk's points."""
        return range(chunk * self.chunk, min((chunk + 1) * self.chunk, self.points))

    def indices(self, numbers: IntArray) -> dict[str, IntArray]:
        """At which index of its axis each input that varies is at the points of these numbers."""
        found, stride = {}, self.points
        for name, axis in self.axes.items():
            stride = stride // axis.count if self.mode == "grid" else 1
            found[name] = numbers // stride % axis.count
        return found

    def at(self, numbers: IntArray) -> dict[str, FloatArray]:
        """Each scalar input at the points of these numbers: a vector as long as `numbers`."""
        varied = {name: self.axes[name].at(name, index) for name, index in self.indices(numbers).items()}
        held = {
            name: np.full(len(numbers), given)
            for name, given in self.inputs.items()
            if isinstance(given, np.ndarray) and not given.ndim
        }
        return varied | held
