"""Slips in an optimiser's update, p − lr·(…), behind the figures that a program gives: in epsilon, bias or decay."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from service.core.comparison.effective_figures import given
from service.core.comparison.evidence import Evidence
from service.core.comparison.slips.guess import Guesses, Slip, apply
from service.core.comparison.spoken_names import bracketed, spoken
from service.core.figures.figures import FloatArray
from service.core.figures.text import figure_text
from service.core.symbolic.phrases import typed

_MOST_NODES, _MOST_ELEMENTS = 64, 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Update:
    """A wrong difference and the elementwise nodes behind it that have no figure of their own, in the graph's order."""

    evidence: Evidence
    inner: tuple[int, ...]

    def operation(self, position: int) -> str:
        return self.evidence.graph.nodes[position].operation.name

    def operands(self, position: int) -> tuple[int, ...]:
        return tuple(map(int, self.evidence.graph.operands[position]))

    def figure(self, position: int) -> FloatArray:
        figure = self.evidence.found.values[position]
        assert figure is not None
        return figure

    def all(self, operation: str, *within: str) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The inner nodes of an operation with operands of these; "" is any."""
        for position in self.inner:
            operands = self.operands(position)
            if self.operation(position) == operation and all(
                name in ("", self.operation(operand)) for name, operand in zip(within, operands, strict=True)
            ):
                yield position, operands

    def otherwise(self, changed: Mapping[int, FloatArray]) -> FloatArray:
        """The difference where these nodes have other figures."""
        others = dict(changed)
        for position in self.inner:
            operands = self.operands(position)
            if position not in others and not others.keys().isdisjoint(operands):
                figures = [others[each] if each in others else self.figure(each) for each in operands]
                others[position] = apply(self.evidence.graph.nodes[position], figures)
        return others[self.evidence.position]


def _epsilon(update: _Update) -> Guesses:
    graph = update.evidence.graph

    def said(square: int, epsilon: int, where: str) -> str:
        return f"{figure_text(update.figure(epsilon))} was added {where} of {spoken(graph, square)}"

    for position, (root, epsilon) in update.all("Add", "Sqrt", "Constant"):
        (square,) = update.operands(root)
        within = np.sqrt(update.figure(square) + update.figure(epsilon))
        yield update.otherwise({position: within}), f"{said(square, epsilon, 'within the root')}, not beside it."
    for position, (total,) in update.all("Sqrt", "Add"):
        square, epsilon = update.operands(total)
        if update.operation(epsilon) == "Constant":
            beside = np.sqrt(update.figure(square)) + update.figure(epsilon)
            yield update.otherwise({position: beside}), f"{said(square, epsilon, 'beside the root')}, not within it."


def _bias(update: _Update) -> Guesses:
    """Moments are divided by 1 − βᵗ."""
    corrected = {
        position: (moment, update.operands(correction)[1])
        for position, (moment, correction) in update.all("Div", "", "Sub")
        if update.operation(update.operands(correction)[1]) == "Pow"
    }
    if not corrected:
        return
    alone = [(position,) for position in corrected] if len(corrected) > 1 else []
    for chosen in [tuple(corrected), *alone]:
        names = " and ".join(spoken(update.evidence.graph, corrected[position][0]) for position in chosen)
        figure = update.otherwise({position: update.figure(corrected[position][0]) for position in chosen})
        yield figure, f"The bias of {names} was not corrected."
    for by in (-1.0, 1.0):
        powers = {}
        for _, power in corrected.values():
            base, step = map(update.figure, update.operands(power))
            powers[power] = base ** (step + by)
        yield update.otherwise(powers), f"The bias was corrected for step {figure_text(step + by)}."


def _decay(update: _Update) -> Guesses:
    """The share λ of p in p − lr·(… + λ·p), fitted to the whole of a parameter."""
    evidence = update.evidence
    parameter, change = update.operands(evidence.position)
    weight = update.figure(parameter)
    if update.operation(change) != "Mul" or weight.shape != evidence.figure.shape or weight.size < 2:
        return
    for rate in update.operands(change):
        if update.figure(rate).size == 1:
            scaled = weight * update.figure(rate).reshape(())
            share = np.float64(np.sum((evidence.expected - evidence.figure) * scaled) / np.sum(scaled * scaled))
            name = bracketed(evidence.graph, parameter)
            share_text = figure_text(np.float64(f"{abs(share):.3g}"))
            said = typed(f"{share_text}·{name}")
            because = f"A decay of {said} is too much." if share > 0 else f"A decay of {said} is left out."
            yield evidence.expected - share * scaled, because


def _of_an_update(guess: Callable[[_Update], Guesses]) -> Callable[[Evidence], Guesses]:
    def guesses(evidence: Evidence) -> Guesses:
        is_difference = evidence.forward and evidence.operands and evidence.node.operation.name == "Sub"
        if is_difference and evidence.expected.size <= _MOST_ELEMENTS:
            inner = _unknown_behind(evidence)
            if 1 < len(inner) <= _MOST_NODES:
                yield from guess(_Update(evidence, inner))

    return guesses


def _unknown_behind(evidence: Evidence) -> tuple[int, ...]:
    """The nodes behind a figure, and its own, that are elementwise, have operands, and are not given."""
    graph, known = evidence.graph, given(evidence.found.candidate.values)
    waiting, found = [evidence.position], {evidence.position}
    while waiting and len(found) <= _MOST_NODES:
        for source in map(int, graph.operands[waiting.pop()]):
            is_inner = graph.operands[source] and graph.nodes[source].operation.is_elementwise
            if is_inner and not known[source] and source not in found:
                found.add(source)
                waiting.append(source)
    return tuple(sorted(found))


UPDATE_SLIPS: tuple[Slip, ...] = (
    ("epsilon at another place", _of_an_update(_epsilon)),
    ("bias not corrected", _of_an_update(_bias)),
)
DECAY: Slip = ("another decay", _of_an_update(_decay))
