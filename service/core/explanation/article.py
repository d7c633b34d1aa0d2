"""A worked derivation as a page to hand out: headings, sentences and equations, of which a worksheet leaves some blank.

`derivation.py` makes it of a run; `service/web/article/` writes it as HTML, Markdown and LaTeX.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from service.core.execution.run import Run
from service.core.figures.figures import Figures
from service.core.graph.graph import Graph
from service.core.symbolic.equation import Formula


class Blank(NamedTuple):
    """A figure to fill in: the `value` or the `gradient` of a node."""

    kind: str
    node: str


Part: TypeAlias = str | Formula
Sentence: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of level 2 or 3."""

    level: int
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Displayed:
    """An equation on lines of its own, with = and a blank after it where it is to be finished."""

    formula: Formula
    blank: Blank | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The picture of the run, with a sentence below."""

    caption: str


Block: TypeAlias = Heading | Paragraph | Displayed | Drawing


@dataclass(frozen=True, slots=True)
class Article:
    """A title and what follows it; `blanks` are the figures left out, in the order in which they are asked for."""

    title: str
    blocks: tuple[Block, ...]
    blanks: tuple[Blank, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What an article says of a run besides its figures.

    `origin` says which run it is, `by` who gives its figures. `function` is the output as one formula of the inputs,
    None if it is too long; `kinks` are the nodes without a derivative, at which `convention` chooses one.
    """

    origin: str
    by: str = "The run"
    function: Formula | None = None
    kinks: Set[str] = frozenset()
    convention: str = ""


def choose_blanks(run: Run, kinds: Sequence[str], names: Set[str] | None) -> list[Blank]:
    """The figures of these kinds, `value` or `gradient`, to leave blank: of the nodes named, of all if None.

    They stand in the order of the steps. The values of Inputs and Constants are given, as is the seed.
    """
    graph, positions = run.graph, range(len(run.graph))
    computed = [position for position in positions if graph.operands[position]] if "value" in kinds else []
    found = [Blank("value", graph.nodes[position].name) for position in computed]
    if "gradient" in kinds and run.backward:
        swept = [graph.nodes[position] for position in reversed(positions)]
        given = run.backward.output
        found += [Blank("gradient", node.name) for node in swept if node.has_gradient and node.name != given]
    return [blank for blank in found if names is None or blank.node in names]


def without_blanks(run: Run, blanks: Sequence[Blank]) -> Run:
    """The run without the figures that are left blank, to be drawn."""
    values = _without(run.graph, run.values, [blank.node for blank in blanks if blank.kind == "value"])
    backward = run.backward
    if backward is not None:
        names = [blank.node for blank in blanks if blank.kind == "gradient"]
        backward = replace(backward, gradients=_without(run.graph, backward.gradients, names))
    return replace(run, values=values, backward=backward)


def _without(graph: Graph, figures: Figures, names: Sequence[str]) -> Figures:
    present = np.ones(len(graph), dtype=bool) if figures.present is None else figures.present.copy()
    present[[graph.position[name] for name in names]] = False
    return replace(figures, present=present)
