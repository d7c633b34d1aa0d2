"""Where figures stop being finite: the first infinity made of finite figures, and the first NaN.

An infinity that is given, as in a mask, and what follows from it, is deliberate.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.core.figures.figures import Figures
from service.core.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class FirstNonfinite:
    """The names of the first `node` of a pass whose figure is no deliberate infinity, and of the first of each kind:
    `infinity` is one made of finite figures. Neither is known of runs that were stored before both were kept."""

    node: str
    infinity: str | None = None
    nan: str | None = None


def first_nonfinite_value(graph: Graph, values: Figures) -> FirstNonfinite | None:
    """The first values that are NaN, or infinite although all operands are finite."""
    unsound = set(values.nonfinite_nodes())
    if not unsound:
        return None
    inherited = (p for p in unsound if not graph.operands[p] or not unsound.isdisjoint(graph.operands[p]))
    return _first(graph, values, unsound, inherited, min)


def first_nonfinite_gradient(graph: Graph, gradients: Figures, output: str | None) -> FirstNonfinite | None:
    """The same of gradients, in the order of the backward pass: infinite although those of all consumers are finite,
    and other than the seed."""
    unsound = set(gradients.nonfinite_nodes())
    if not unsound:
        return None
    inherited = {source for position in unsound for source in graph.operands[position]}
    if output is not None:
        inherited.add(graph.position[output])
    return _first(graph, gradients, unsound, inherited, max)


def _first(
    graph: Graph, figures: Figures, unsound: set[int], inherited: Iterable[int], first: Callable[..., int]
) -> FirstNonfinite | None:
    no_number = set(figures.nonfinite_nodes(nan_alone=True))
    made = unsound - no_number - set(inherited)
    if not no_number and not made:
        return None
    infinity, nan = (first(kind) if kind else None for kind in (made, no_number))
    return FirstNonfinite(graph.nodes[first(made | no_number)].name, graph.name_at(infinity), graph.name_at(nan))
