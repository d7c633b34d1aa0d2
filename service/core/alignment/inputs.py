"""Which Inputs of two runs are one: those given the same, of one name, or alone in their place."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from service.core.alignment.alignment import How
from service.core.alignment.fingerprints import (
    FigureIndex,
    Fingerprint,
    are_filled_otherwise,
    fingerprint,
    unordered_fingerprint,
)
from service.core.alignment.layouts import layout_between
from service.core.alignment.simulation import ProbedFigures
from service.core.errors import Fault, InvalidRequest
from service.core.execution.run import Run
from service.core.figures.figures import FloatArray, IntArray
from service.core.graph.graph import Graph

_TOLERANCE, _ROUNDED = (
    1e-9,
    0.01,
)  # relative to its largest element, what a figure may lose that was rounded to bfloat16
_MOST_NEAR = 300  # Inputs of one size on either side, up to which near figures are sought


@dataclass(frozen=True, slots=True, eq=False)
class InputPair:
    """One Input of the baseline and its partner; `layout` as an Alignment has it, None where they lie alike.

    It is `doubtful` where their name or place makes it although the figures given differ: one may be folded or fused.
    """

    theirs: int
    own: int
    how: How
    layout: IntArray | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """An Input of the baseline from which another takes its figures; `layout` as an Alignment has it."""

    theirs: int
    layout: IntArray | None

    def figures(self, inputs: Mapping[int, ProbedFigures]) -> ProbedFigures:
        """What the other is given at the probes."""
        found = inputs[self.theirs]
        return found if self.layout is None else tuple(figure.ravel()[self.layout] for figure in found)


def given_inputs(run: Run, side: str) -> dict[int, FloatArray]:
    """The figure that the run gives each Input, by position.

    Raises InvalidRequest with a Fault at `side` for each that it does not give.
    """
    found, faults = {}, []
    for name in run.graph.inputs:
        position = run.graph.position[name]
        figure = run.values[position]
        if figure is None:
            detail = f"probes are made from the values of the inputs; the run does not give that of {name!r}"
            faults.append(Fault((side,), detail))
        else:
            found[position] = figure
    if faults:
        raise InvalidRequest(faults)
    return found


@np.errstate(all="ignore")
def pair_inputs(
    baseline: Run,
    candidate: Run,
    theirs: Mapping[int, FloatArray],
    own: Mapping[int, FloatArray],
    names: Mapping[str, str],
) -> list[InputPair]:
    """The pairs of Inputs; `names` are a person's, by the candidate's name.

    Inputs that are given the same as others of their graph stay without: their place tells them apart, later.
    """
    pairs: list[InputPair] = []
    free, loose = dict(theirs), dict(own)

    def pair(mine: int, other: int, how: How, tolerance: float = _TOLERANCE, doubtful: bool = False) -> None:
        if free[other].shape == loose[mine].shape and are_filled_otherwise(free[other], loose[mine]):
            del free[other], loose[mine]  # masks that serve one purpose keep what each is given
            return
        layout = None
        if not _alike(free[other], loose[mine]):
            layout = layout_between([free[other]], [loose[mine]], tolerance)
            if layout is None and free[other].shape != loose[mine].shape:
                return
            if layout is not None and layout.shape == free[other].shape and _in_order(layout):
                layout = None
        pairs.append(InputPair(other, mine, how, layout, doubtful))
        del free[other], loose[mine]

    for name, partner in names.items():
        mine, other = candidate.graph.position[name], baseline.graph.position[partner]
        if mine in loose and other in free:
            pair(mine, other, How.NAME)
    for name, partner in names.items():
        loose.pop(candidate.graph.position[name], None)
        free.pop(baseline.graph.position[partner], None)
    named = [
        (mine, other)
        for mine in loose
        if (other := baseline.graph.position.get(candidate.graph.nodes[mine].name, -1)) in free
    ]
    for mine, other in named:
        if _alike(free[other], loose[mine]):
            pair(mine, other, How.NAME)
    for describe in (fingerprint, unordered_fingerprint):
        for mine, other in _equal(free, loose, describe):
            pair(mine, other, How.FIGURES)
    for mine, other in _near(free, loose):
        pair(mine, other, How.FIGURES, _ROUNDED)
    for mine, other in named:
        if mine in loose and other in free and free[other].shape == loose[mine].shape:
            pair(mine, other, How.NAME, doubtful=True)
    for slots in (True, False):
        numbers: dict[Hashable, int] = {}
        places = (
            {place: (figures[place].shape, use) for place, use in _uses(run.graph, figures, slots, numbers).items()}
            for run, figures in ((baseline, free), (candidate, loose))
        )
        for mine, other in _alone(*places):
            pair(mine, other, How.STRUCTURE, doubtful=True)
    return pairs


def twins(
    pairs: Sequence[InputPair], theirs: Mapping[int, FloatArray], own: Mapping[int, FloatArray]
) -> tuple[dict[int, Twin], dict[int, Twin]]:
    """The Inputs of both sides that have no partner but hold the numbers of one that has: tied weights, copied.

    Those of one number throughout are left out, since it says nothing.
    """
    if len(pairs) == len(theirs) == len(own):
        return {}, {}
    sources = [pair.theirs for pair in pairs if (theirs[pair.theirs].ravel()[1:] != theirs[pair.theirs].flat[:1]).any()]
    index = FigureIndex((unordered_fingerprint([theirs[source]]) for source in sources), _TOLERANCE)
    paired = {pair.theirs for pair in pairs}, {pair.own for pair in pairs}
    found: tuple[dict[int, Twin], dict[int, Twin]] = ({}, {})
    for copies, figures, taken in zip(found, (theirs, own), paired, strict=True):
        for position, figure in figures.items():
            if position not in taken and (known := index.find(unordered_fingerprint([figure]))) >= 0:
                source = sources[index.classes.index(known)]
                layout = layout_between([theirs[source]], [figure], _TOLERANCE)
                if layout is not None:
                    copies[position] = Twin(source, layout)
    return found


def _equal(
    theirs: Mapping[int, FloatArray],
    own: Mapping[int, FloatArray],
    describe: Callable[[list[FloatArray]], Fingerprint],
) -> list[tuple[int, int]]:
    """Those of the Inputs whose figures agree and are no other's."""
    others, mine = list(theirs), list(own)
    described = [describe([theirs[each]]) for each in others] + [describe([own[each]]) for each in mine]
    classes = FigureIndex(described, _TOLERANCE).classes
    return _alone(dict(zip(others, classes, strict=False)), dict(zip(mine, classes[len(others) :], strict=True)))


def _near(theirs: Mapping[int, FloatArray], own: Mapping[int, FloatArray]) -> Iterable[tuple[int, int]]:
    """Those of the Inputs whose figures are near, as one is that was rounded, and are near no other's."""
    sizes: defaultdict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for side, figures in enumerate((theirs, own)):
        for position, figure in figures.items():
            if figure.size > 1 and figure.any():
                sizes[figure.size][side].append(position)
    for others, mine in sizes.values():
        if not (others and mine) or max(len(others), len(mine)) > _MOST_NEAR:
            continue
        rows = np.stack([np.sort(theirs[each], axis=None) for each in others])
        near = {}
        for each in mine:
            with np.errstate(all="ignore"):
                apart = np.abs(rows - np.sort(own[each], axis=None)).max(axis=1)
                close = np.flatnonzero(apart <= _ROUNDED * np.abs(rows).max(axis=1))
            near[each] = [others[found] for found in close]
        counts: defaultdict[int, int] = defaultdict(int)
        for found in near.values():
            for other in found:
                counts[other] += 1
        yield from ((each, found[0]) for each, found in near.items() if len(found) == 1 and counts[found[0]] == 1)


def _alone(theirs: Mapping[int, Hashable], own: Mapping[int, Hashable]) -> list[tuple[int, int]]:
    """The pairs (own, theirs) of one description that no other on either side has."""
    sides: list[dict[Hashable, list[int]]] = [{}, {}]
    for side, described in zip(sides, (theirs, own), strict=True):
        for position, description in described.items():
            side.setdefault(description, []).append(position)
    return [
        (mine[0], sides[0][description][0])
        for description, mine in sides[1].items()
        if len(mine) == 1 and len(sides[0].get(description, ())) == 1
    ]


def _uses(
    graph: Graph, positions: Iterable[int], slots: bool, numbers: dict[Hashable, int]
) -> dict[int, tuple[Hashable, ...]]:
    """Which operations take each node, in which slots if these count, and which take those, as one of `numbers`."""

    @cache
    def takers(position: int) -> int:
        taken = ((graph.nodes[each].operation.name, slot if slots else 0) for each, slot in graph.consumers[position])
        return numbers.setdefault(tuple(sorted(taken)), len(numbers))

    return {
        position: tuple(
            sorted(
                (graph.nodes[each].operation.name, slot if slots else 0, takers(each))
                for each, slot in graph.consumers[position]
            )
        )
        for position in positions
    }


def _alike(theirs: FloatArray, own: FloatArray) -> bool:
    return theirs.shape == own.shape and bool(np.allclose(own, theirs, rtol=_TOLERANCE, atol=0, equal_nan=True))


def _in_order(layout: IntArray) -> bool:
    return bool((layout.ravel() == np.arange(layout.size)).all())
