"""Differences between the two graphs themselves: nodes defined, or used, differently, which differ for that reason.

Such a node is replayed by its own definition. It is an origin by definition if its figure differs although nothing
that it depends on is wrong: no operand's value; for a gradient, no consumer's gradient and no value in a consumer's
local gradient. A figure that was not compared counts as wrong if it depends on a wrong one; the value of a node that is
defined differently shows in the next ones that were compared.

A pair has one value but not one gradient where the graphs compute that value more than once, or pass it on unchanged: x
and Identity(x) are alike, and share out between them what flows back. Where a pair's consumers are not each other's
partners, and its gradient follows from right figures and through no other definition, a gradient that differs from the
baseline's is that of another share: all shares come together again before the Inputs. What reaches an Input is no share
but an error below the tolerance that grew, or, where nothing else differs and it is large, a definition, as round(x) at
whole numbers, where its value is x and its gradient 0.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from service.core.comparison.verdicts import DIFFERENT, Phase, Verdict
from service.core.figures.figures import BoolArray, Figures, FloatArray, IntArray
from service.core.graph.graph import Graph
from service.core.graph.sweep import sweep_back, walk_forward

# What a gradient depends on, as bits.
_WRONG, _OTHER_SHARE = 1, 2
_PLAINLY = 0.1


def wrong_values(graph: Graph, forward: Phase | None) -> tuple[BoolArray, BoolArray]:
    """Whether each value is wrong, and whether each depends on a wrong one."""
    rests = np.zeros(len(graph), dtype=bool)
    if forward is None:
        return np.zeros(len(graph), dtype=bool), rests
    known = _known(forward)

    def visit(position: int, operands: list[bool]) -> bool:
        depends = rests[position] = any(operands)
        wrong = known[position]
        return depends if wrong is None else wrong

    return np.array(walk_forward(graph, visit), dtype=bool), rests


def gradients_with_wrong_sources(graph: Graph, backward: Phase, forward: Phase | None) -> BoolArray:
    """Whether each gradient depends on a wrong figure.

    A consumer's value that is an origin by definition does not count: the gradient differs for the same reason, not
    because of that value.
    """
    known = _known(backward)

    def settle(position: int, state: int | None) -> int:
        wrong = known[position]
        return _WRONG if wrong or (wrong is None and state) else 0

    rests = np.zeros(len(graph), dtype=bool)
    rests[[position for position, state in _sweep(graph, forward, settle).items() if state]] = True
    return rests


def without_other_shares(
    graph: Graph,
    backward: Phase,
    forward: Phase | None,
    otherwise: IntArray,
    shared: BoolArray,
    has_copy: Callable[[int], bool],
) -> tuple[Phase, IntArray]:
    """The phase without the gradients that differ as those of other shares, and the positions of those that are the
    only figures to differ, and plainly.

    `shared` are the pairs with consumers that are not each other's partners, `otherwise` those that another definition
    is computed from; `has_copy` says of an Input whether another one has a share, as a copy of tied weights.
    """
    inherited = backward.verdicts == Verdict.INHERITED
    inherited[otherwise] = False
    if not inherited.any() or not shared.any():
        return backward, otherwise[:0]
    known, may_differ, apart = _known(backward), inherited.tolist(), shared.tolist()
    begun: dict[int, bool] = {}

    def settle(position: int, state: int | None) -> int:
        state = state or 0
        wrong = known[position]
        if wrong is None:
            return state
        if may_differ[position] and not state & _WRONG and (state or apart[position]):
            begun[position] = not state
            return _OTHER_SHARE
        return _WRONG if wrong else 0

    _sweep(graph, forward, settle)
    reaching = [each for each in begun if graph.nodes[each].operation.is_input and not has_copy(each)]
    differing = set[int]()
    while reaching:
        position = reaching.pop()
        if position not in differing and (position in begun or known[position] is None):
            differing.add(position)
            reaching.extend(consumer for consumer, _ in graph.consumers[position])
    verdicts = backward.verdicts.copy()
    verdicts[[each for each in begun if each not in differing]] = Verdict.NOT_COMPARED
    left = {*np.flatnonzero(np.isin(verdicts, DIFFERENT)).tolist()}
    others = not left <= differing or (forward is not None and bool(np.isin(forward.verdicts, DIFFERENT).any()))
    first = [] if others else sorted(each for each in left if begun[each] and _differs_plainly(backward, each))
    return replace(backward, verdicts=verdicts), np.array(first, dtype=np.int64)


def _differs_plainly(phase: Phase, position: int) -> bool:
    """Whether a figure is off by a good part of the greatest element."""
    own, theirs = phase.candidate[position], phase.baseline[position]
    assert own is not None and theirs is not None
    with np.errstate(all="ignore"):
        return bool(np.abs(own - theirs).max() > _PLAINLY * np.abs(theirs).max())


def _sweep(graph: Graph, forward: Phase | None, settle: Callable[[int, int | None], int]) -> dict[int, int]:
    """Sweep back what each gradient depends on: a wrong figure, one of another share, both or neither."""
    wrong_ones, _ = wrong_values(graph, forward)
    values = wrong_ones.tolist()
    if forward is not None:
        wrong_ones[forward.definitions] = False
    results = wrong_ones.tolist()

    def contributions(position: int, state: int) -> list[int | None]:
        sources = graph.operands[position]
        wrong = results[position] or any(values[source] for source in sources)
        return [state | (_WRONG if wrong else 0)] * len(sources)

    return sweep_back(graph, {}, contributions, add=lambda position, one, other: one | other, settle=settle)


def _known(phase: Phase) -> list[bool | None]:
    """Whether each figure is wrong; None where it was not compared."""
    wrong, compared = np.isin(phase.verdicts, DIFFERENT).tolist(), (phase.verdicts != Verdict.NOT_COMPARED).tolist()
    return [each if there else None for each, there in zip(wrong, compared, strict=True)]


def seen_from(graph: Graph, otherwise: IntArray, forward: Phase) -> IntArray:
    """The nodes defined `otherwise`, and those that rest on one by way of values that were not compared."""
    unseen = forward.verdicts == Verdict.NOT_COMPARED
    changed = np.zeros(len(graph), dtype=bool)
    changed[otherwise] = True
    if not (changed & unseen).any():
        return otherwise

    def visit(position: int, operands: list[bool]) -> bool:
        changed[position] |= any(operands)
        return bool(changed[position] and unseen[position])

    walk_forward(graph, visit)
    return np.flatnonzero(changed)


def seen_before(graph: Graph, otherwise: IntArray, backward: Phase) -> IntArray:
    """The nodes used `otherwise`, and those whose gradients rest on one of theirs by way of some not compared."""
    unseen = backward.verdicts == Verdict.NOT_COMPARED
    changed = np.zeros(len(graph), dtype=bool)
    changed[otherwise] = True
    if not (changed & unseen).any():
        return otherwise

    def settle(position: int, rests: bool | None) -> bool:
        changed[position] |= bool(rests)
        return bool(changed[position] and unseen[position])

    sweep_back(
        graph,
        {},
        lambda position, rests: [rests] * len(graph.operands[position]),
        add=lambda position, one, other: one or other,
        settle=settle,
    )
    return np.flatnonzero(changed)


def with_definitions(phase: Phase, otherwise: IntArray, resting_on_wrong: Callable[[], BoolArray]) -> Phase:
    """The phase with the verdicts on the nodes that are defined, or used, `otherwise`.

    An origin by definition is expected to have the baseline's figure, as its own replay tells nothing against it.
    """
    unreplayed = np.isin(otherwise, phase.unreplayed)
    verdicts = phase.verdicts[otherwise]
    differing = otherwise[(verdicts == Verdict.INHERITED) | (unreplayed & (verdicts == Verdict.ORIGIN))]
    if not differing.size:
        return phase
    rests = resting_on_wrong()[differing]
    found = differing[~rests]
    verdicts = phase.verdicts.copy()
    verdicts[differing] = np.where(rests, Verdict.INHERITED, Verdict.ORIGIN)
    return replace(
        phase,
        verdicts=verdicts,
        expected=with_figures_of(phase.expected, phase.baseline, found),
        unreplayed=np.union1d(phase.unreplayed, found),
        definitions=found,
    )


def with_figures_of(figures: Figures, others: Figures, positions: IntArray) -> Figures:
    """The figures with those of `others`, laid out alike, at these positions."""
    flat: FloatArray = figures.flat.copy()
    if figures.shapes is None:
        flat[positions] = others.flat[positions]
    else:
        for position in positions:
            span = slice(figures.offsets[position], figures.offsets[position + 1])
            flat[span] = others.flat[span]
    return Figures(flat, figures.shapes, figures.present)
