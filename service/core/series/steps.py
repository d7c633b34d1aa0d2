"""Steps of a training run: each is a run of one graph, judged by a run of ours from the same inputs.

A step is replayed from what it took itself, never from ours: two right trainings that part, as any two in different
precisions do, have no origin. Only forward passes are made: what a step computes, its gradients and its optimiser's
update among it, are values of nodes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from service.core.comparison.judging import compare
from service.core.comparison.verdicts import Comparison, Tolerance, Verdict
from service.core.errors import Fault, unknown_names
from service.core.execution.misshapen import set_aside_misshapen
from service.core.execution.passes import Fitted, evaluate
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, euclidean_norm
from service.core.figures.weight import Weight
from service.core.graph.graph import Graph

DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What is kept of every step: the Euclidean norm of each recorded figure, and a digest of it, in their order."""

    norms: FloatArray
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BrokenCarry:
    """That a step's Input `taken` is not what the step before gave as the value of `node`, with the norms of both."""

    step: int
    node: str
    taken: str
    norm_given: float
    norm_taken: float


def judge_step(
    fitted: Fitted,
    values: Figures,
    dtype: str,
    tolerance: Tolerance,
    max_elements: int | None = None,
    admit: Callable[[Weight], None] = lambda weight: None,
) -> Comparison:
    """Compare the recorded values of a step with those that follow from its inputs, which `fitted` holds; raises as
    `evaluate` and `compare` do."""
    baseline = Run(fitted.graph, evaluate(fitted))
    recorded = set_aside_misshapen(Run(fitted.graph, values, dtype))
    return compare(baseline, recorded, tolerance, max_elements=max_elements, admit=admit)


def origins_in(found: Comparison) -> tuple[str, ...]:
    """The names of the nodes where an error arose, in the order of evaluation."""
    nodes = found.candidate.graph.nodes
    return tuple(nodes[position].name for _, position in found.places(Verdict.ORIGIN))


def trace(figures: Sequence[FloatArray]) -> Trace:
    """The trace of a step's recorded figures."""
    with np.errstate(all="ignore"):
        norms = np.array([euclidean_norm(figure) for figure in figures])
    return Trace(norms, tuple(map(_digest, figures)))


def _digest(figure: FloatArray) -> bytes:
    """Equal for equal figures: of one shape, whatever the sign of a 0 and the bits of a NaN."""
    plain = np.where(np.isnan(figure), np.nan, figure + 0.0)
    return blake2b(repr(figure.shape).encode() + plain.tobytes(), digest_size=DIGEST_BYTES).digest()


def broken_carries(
    carry: Mapping[str, str], names: Sequence[str], before: Sequence[bytes], after: Sequence[bytes]
) -> tuple[str, ...]:
    """The nodes whose figure in the step before is not what the Input that they lead to has in the step after.

    `carry` leads from a node to an Input, `names` are those of the figures of which there are digests.
    """
    place = {name: number for number, name in enumerate(names)}
    return tuple(node for node, taken in carry.items() if before[place[node]] != after[place[taken]])


def faults_of_carry(graph: Graph, carry: Mapping[str, str]) -> list[Fault]:
    """What is wrong with a carry from nodes to Inputs of a graph, each in its place."""
    faults = [
        Fault(("carry", node), detail) for node, detail in unknown_names(carry, graph.position, "the graph has no node")
    ]
    source: dict[str, str] = {}
    for node, taken in carry.items():
        for _, detail in unknown_names([taken], set(graph.inputs), "the graph has no input"):
            faults.append(Fault(("carry", node), detail))
        if source.setdefault(taken, node) != node:
            faults.append(Fault(("carry", node), f"{taken!r} is carried from {source[taken]!r} already"))
    return faults
