"""Which inherited figures follow from an origin: those that its figure reaches along wrong and unrecorded ones.

A value is read by the values of its consumers and by the gradients of every operand of an operation whose local
gradients hold it; a gradient by those of its node's operands.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.core.comparison.verdicts import Comparison, Phase, Verdict
from service.core.graph.graph import Node
from service.core.symbolic.equation import variables
from service.core.symbolic.term import Term, Variable, contribution_terms, local_gradient_terms

Place = tuple[Phase, int]

# Figures that are walked, and operands of an operation whose formulas are read.
_MOST_WALKED, _MOST_OPERANDS = 2_000, 8


@dataclass(frozen=True, slots=True)
class Inherited:
    """The inherited figures that follow, in the order of evaluation; not `whole` if the walk was given up."""

    places: tuple[Place, ...]
    whole: bool


def inherited_from(found: Comparison, origins: Iterable[Place]) -> Inherited:
    """Find what follows from these figures alone or together with others."""
    waiting = [(phase.name == "forward", position) for phase, position in origins]
    met, read = set(waiting), _ReadOperands()
    while waiting and len(met) < _MOST_WALKED:
        for reader in _readers(found, *waiting.pop(), read):
            if reader not in met and _carries(found, *reader):
                met.add(reader)
                waiting.append(reader)
    places = [
        (phase, position)
        for phase in found.phases
        for position in sorted(at for forward, at in met if forward == (phase is found.forward))
        if phase.verdicts[position] == Verdict.INHERITED
    ]
    forward = [place for place in places if place[0] is found.forward]
    return Inherited((*forward, *reversed(places[len(forward) :])), not waiting)


def _carries(found: Comparison, forward: bool, position: int) -> bool:
    """Whether a figure hands on what is wrong with those that it is computed from."""
    phase = found.forward if forward else found.backward
    return phase is None or phase.verdicts[position] in (Verdict.INHERITED, Verdict.NOT_COMPARED)


def _readers(found: Comparison, forward: bool, position: int, read: "_ReadOperands") -> Iterator[tuple[bool, int]]:
    """The figures, each a phase and a position, that are computed from one."""
    graph = found.candidate.graph
    if not forward:
        yield from ((False, operand) for operand in graph.operands[position])
        return
    consumers = [consumer for consumer, _ in graph.consumers[position]]
    yield from ((True, consumer) for consumer in consumers)
    if found.backward is not None:
        for consumer in {position, *consumers}:
            operands = graph.operands[consumer]
            own = {-1} if consumer == position else {k for k, operand in enumerate(operands) if operand == position}
            for operand, needs in zip(operands, read.of(graph.nodes[consumer], len(operands)), strict=True):
                if needs & own:
                    yield False, operand


class _ReadOperands:
    """What the contributions of an operation hold, by its rules applied to symbols, each read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], Sequence[frozenset[int]]] = {}

    def of(self, node: Node, count: int) -> Sequence[frozenset[int]]:
        """For each operand the indices of those in the contribution to it, −1 for the value; all if it is unknown."""
        key = node.operation.name, count, repr(node.attributes)
        if key not in self._known:
            self._known[key] = _read(node, count)
        return self._known[key]


def _read(node: Node, count: int) -> Sequence[frozenset[int]]:
    if not 0 < count <= _MOST_OPERANDS:
        return [frozenset(range(-1, count))] * count
    value, operands = Variable("-1"), [Variable(str(index)) for index in range(count)]
    terms: Sequence[Term | None]
    if node.operation.is_elementwise:
        terms = local_gradient_terms(node.operation, operands, value, node.attributes)
    else:
        terms = contribution_terms(node.operation, Variable("upstream"), operands, value, node.attributes)
    numbers = {str(index): index for index in range(-1, count)}
    return [
        frozenset() if term is None else frozenset(numbers[name] for name in variables(term) if name in numbers)
        for term in terms
    ]
