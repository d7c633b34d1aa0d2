"""How one input varies over a sweep: so many numbers, of which any can be made without the others.

Which numbers an axis has does not depend on who makes them, nor on how many are made at once. Random ones come from a
counter-based generator (Philox: Salmon and others, 2011) whose key is the seed with the input's name, so that two
inputs with one seed are independent of each other.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray
from scipy.special import ndtri

from service.core.figures.figures import FloatArray, IntArray

_AT_ONCE = 4  # numbers of 64 bits that Philox makes for each count
_WORTH_SKIPPING = 4096  # numbers: fewer are made and left out sooner than the generator is set anew


class Axis(Protocol):
    """How an input varies."""

    @property
    def count(self) -> int:
        """How many numbers it has."""
        ...

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """Those at these indices, from 0, for the input of that name; a vector as long as `indices`."""
        ...


@dataclass(frozen=True, slots=True)
class Linspace:
    """`count` numbers from `start` to `stop`, both included, evenly spaced: NumPy's linspace."""

    start: float
    stop: float
    count: int

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """NumPy's, to the bit."""
        steps = max(self.count - 1, 1)
        width = self.stop - self.start
        step = width / steps
        with np.errstate(all="ignore"):  # beyond float64's range, which whoever plans the sweep sees
            found = np.asarray(indices * step if step else indices / steps * width, np.float64)
        found += self.start
        found[indices == self.count - 1] = self.stop if self.count > 1 else self.start
        return found


@dataclass(frozen=True, slots=True)
class Logspace:
    """`count` numbers from 10^start to 10^stop, both included, evenly spaced in their logarithms: NumPy's logspace."""

    start: float
    stop: float
    count: int

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """NumPy's, to the bit."""
        with np.errstate(all="ignore"):
            found: FloatArray = np.power(10.0, Linspace(self.start, self.stop, self.count).at(name, indices))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The numbers of a vector; NaN and infinities may be among them."""

    values: FloatArray

    @property
    def count(self) -> int:
        """The vector's length."""
        return len(self.values)

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """The vector's elements."""
        return self.values[indices]


@dataclass(frozen=True, slots=True)
class Uniform:
    """`count` random numbers, each of them from between `low` and `high`."""

    low: float
    high: float
    count: int
    seed: int = 0

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """Random numbers."""
        part = _fractions(self.seed, name, indices)
        return self.low * (1.0 - part) + self.high * part


@dataclass(frozen=True, slots=True)
class Normal:
    """`count` random numbers from the normal distribution with this mean and standard deviation."""

    mean: float
    deviation: float
    count: int
    seed: int = 0

    def at(self, name: str, indices: IntArray) -> FloatArray:
        """Random numbers: the quantiles of uniform ones, since each number then takes one of the generator's."""
        return self.mean + self.deviation * np.asarray(ndtri(_fractions(self.seed, name, indices)))


def _fractions(seed: int, name: str, indices: IntArray) -> FloatArray:
    """Random numbers between 0 and 1, neither of which is among them."""
    key: Any = SeedSequence(seed, spawn_key=tuple(name.encode())).generate_state(2, np.uint64)
    if not len(indices):
        return np.zeros(0)
    first, last = int(indices.min()), int(indices.max())
    if last - first < len(indices) + _WORTH_SKIPPING:
        wanted, places = np.arange(first, last + 1), indices - first
    else:
        wanted, places = np.unique(indices, return_inverse=True)
    runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > _WORTH_SKIPPING) + 1)
    made = np.concatenate([_numbers(key, int(run[0]), int(run[-1]))[run - run[0]] for run in runs])
    return np.asarray(((made >> np.uint64(11)) + 0.5)[places] * 2.0**-53, np.float64)


def _numbers(key: Any, first: int, last: int) -> NDArray[np.uint64]:
    """The generator's numbers from the index `first` to `last`, both included."""
    skipped = first % _AT_ONCE
    generator = Philox(key=key).advance(first // _AT_ONCE)
    return np.asarray(generator.random_raw(last + 1 - first + skipped)[skipped:])
