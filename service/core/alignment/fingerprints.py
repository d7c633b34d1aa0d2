"""Fingerprints of figures: a few numbers by which equal ones are found among many, without comparing all with all.

A figure's elements are projected on a fixed random direction. Two figures are taken for equal where their shapes are
and the projections agree within what rounding may do, at every probe.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

import numpy as np

from service.core.figures.figures import FloatArray

_SEED, _DIRECTIONS = 17, 2
_INFINITE = 1e30  # beyond it an element counts as infinite: masks are filled with −∞, or with float32's lowest number
# What figures that are the same may differ by, relative to their norm: in float64, and where numbers of the program
# were rounded to float32, as a port's square root of 2 was. Those have more bits than what a person writes; a few of
# an array tell.
_DOUBLE, _SINGLE, _WRITTEN_BITS, _LOOKED_AT = 1e-9, 5e-7, 16, 64
_HALVES = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # where a run's constants, and its inputs, were rounded to these


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of one node's figures at all probes: what must be equal, the projections, and the size of what was projected."""

    exact: tuple[Hashable, ...]
    projections: tuple[float, ...]
    sizes: tuple[float, ...]

    @property
    def is_finite(self) -> bool:
        """Whether no number counts as infinite."""
        return self.exact.count(None) == len(self.exact) - 1

    def agrees(self, other: "Fingerprint", tolerance: float) -> bool:
        """Whether the two are of figures that are the same but for rounding."""
        if self.exact != other.exact:
            return False
        both = zip(self.projections, other.projections, self.sizes, other.sizes, strict=True)
        return all(abs(one - two) <= tolerance * max(here, there) for one, two, here, there in both)

    def varies(self, tolerance: float) -> bool:
        """Whether the figures differ between probes, so that agreement is evidence."""
        first = self.projections[:_DIRECTIONS] * (len(self.projections) // _DIRECTIONS)
        allowed = tolerance * max(self.sizes)
        return any(abs(one - two) > allowed for one, two in zip(first, self.projections, strict=True))


def are_filled_otherwise(one: FloatArray, other: FloatArray) -> bool:
    """Whether one of two figures of a shape has infinities where the other has numbers."""
    return bool((np.isinf(one) != np.isinf(other)).any())


def tolerance_of(numbers: Iterable[Any], dtypes: Iterable[str]) -> float:
    """What figures may differ by in programs with these constants and inputs, numbers, lists and arrays, whose runs
    are of these dtypes."""
    half = max(_HALVES.get(dtype, 0.0) for dtype in dtypes)
    return half or (_SINGLE if any(map(_is_rounded, numbers)) else _DOUBLE)


def _is_rounded(numbers: Any) -> bool:
    figure = np.asarray(getattr(numbers, "array", numbers), dtype=np.float64).reshape(-1)[:_LOOKED_AT]
    with np.errstate(all="ignore"):
        return has_long_numbers(figure[np.asarray(figure, np.float32) == figure])


def has_long_numbers(figure: Any) -> bool:
    """Whether any of the numbers has more bits than what a person writes, as 1/3 has and 0.75 has not."""
    mantissa = np.frexp(figure)[0] * 2**_WRITTEN_BITS
    return bool(np.any(np.isfinite(mantissa) & (mantissa != np.rint(mantissa))))


def fingerprint(figures: Sequence[Any]) -> Fingerprint:
    """The fingerprint of a node's figures, one for each probe; overflow is not to be reported."""
    exact: list[Hashable] = [figures[0].shape]
    projections: list[float] = []
    sizes: list[float] = []
    for figure in figures:
        number, found, size = _project(figure)
        exact.append(number)
        projections += found
        sizes += [size] * _DIRECTIONS
    return Fingerprint(tuple(exact), tuple(projections), tuple(sizes))


def unordered_fingerprint(figures: Sequence[Any]) -> Fingerprint:
    """The same of the numbers alone, wherever they lie: equal for transposed and reshaped figures."""
    return fingerprint([np.sort(figure, axis=None) for figure in figures])


def _project(figure: Any) -> tuple[Hashable, list[float], float]:
    """What is not finite, in a number; the projections of what is, and its norm."""
    if figure.ndim == 0:
        number = float(figure)
        if abs(number) < np.inf:
            return None, [number] * _DIRECTIONS, abs(number)
    flat = figure.reshape(-1)
    directions = _directions(1 << max(0, flat.size - 1).bit_length())[:, : flat.size]
    size = sqrt(flat @ flat)
    if size < _INFINITE:
        return None, (directions @ flat).tolist(), size
    finite = np.abs(flat) < _INFINITE
    code = np.where(finite, 0.0, np.where(np.isnan(flat), 1.0, np.sign(flat) + 3.0))
    rest = np.where(finite, flat, 0.0)
    return float(code @ directions[0]), (directions @ rest).tolist(), sqrt(rest @ rest)


@cache
def _directions(size: int) -> FloatArray:
    return np.random.default_rng(_SEED).standard_normal((_DIRECTIONS, size))


class FigureIndex:
    """Fingerprints sorted into classes of equal figures, numbered from 0, in which others are looked up."""

    def __init__(self, fingerprints: Iterable[Fingerprint], tolerance: float) -> None:
        self.tolerance = tolerance
        self.representatives: list[Fingerprint] = []
        self._keys: list[float] = []
        self._sorted: list[int] = []
        members = list(fingerprints)
        self.classes = [-1] * len(members)
        order = sorted(range(len(members)), key=lambda each: members[each].projections[0])
        for each in order:
            known = self._find_among(members[each], self._keys, self._sorted)
            if known < 0:
                known = len(self.representatives)
                self.representatives.append(members[each])
                self._keys.append(members[each].projections[0])
                self._sorted.append(known)
            self.classes[each] = known

    def find(self, wanted: Fingerprint) -> int:
        """The class of figures that agree with these; −1 if there is none."""
        return self._find_among(wanted, self._keys, self._sorted)

    def _find_among(self, wanted: Fingerprint, keys: list[float], numbers: list[int]) -> int:
        near, allowed = wanted.projections[0], 2 * self.tolerance * wanted.sizes[0]
        first, last = bisect_left(keys, near - allowed), bisect_right(keys, near + allowed)
        return next(
            (number for number in numbers[first:last] if self.representatives[number].agrees(wanted, self.tolerance)),
            -1,
        )
