"""The captions of a picture: short texts to read, with the full figures in titles."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.core.execution.closed_edges import closed_operands
from service.core.execution.run import Run
from service.core.figures.figures import Figures, FloatArray, euclidean_norm
from service.core.figures.text import exact_text, figure_text, short_number, told_apart
from service.core.graph.graph import Graph, Node
from service.core.language.writing import write_node
from service.core.rulebook.operation import Operation

LONGEST_SHOWN = 16  # characters of a name or of an operation
MARKS = {"origin": "◆", "inherited": "◇", "compensated": "◈", "convention": "△"}
_LONGEST_DEFINITION = 300
_LEAST_SHARE, _DARKER = 0.001, (0.01, 0.1, 0.5)  # of an error of rounding: what is shown, and from where it is darker
_ELEMENTS_WRITTEN_OUT = 12

# Widths in em in DejaVu Sans, Verdana and Arial, the widest of the usual fonts; other characters take a whole em.
_WIDTHS = {
    **dict.fromkeys("ijlI|'.,:;·", 0.34),
    **dict.fromkeys("tfr()[]!/\\ -", 0.46),
    **dict.fromkeys('abcdeghknopqsuvxyz_?$*{}"0123456789FJLT‖°', 0.65),
    **dict.fromkeys("ABCDEGHKNOPQRSUVXYZ&+−×÷=<>^~#◆◇◈△≤≥∂", 0.84),
}


def text_width(text: str, size: float) -> float:
    """An upper bound on the width of a text of that size in the picture's fonts."""
    return size * sum(0.0 if unicodedata.combining(character) else _WIDTHS.get(character, 1.05) for character in text)


def shorten(text: str, most: int = LONGEST_SHOWN) -> str:
    """Drop invisible characters, and cut a long text in the middle to at most `most` characters."""
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    if len(text) <= most:
        return text
    kept = most - 1
    return f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"


def short_figure(figure: FloatArray) -> str:
    """Write a scalar as a short number, a tensor as its shape and Euclidean norm."""
    if not figure.ndim:
        return short_number(float(figure))
    return f"{_shape(figure)} ‖{short_number(euclidean_norm(figure))}‖"


def full_figure(figure: FloatArray) -> str:
    """Write a scalar with all digits; a tensor as its shape and norm, a small one also with its elements."""
    return _written_out(figure, exact_text)


def spoken_figure(figure: FloatArray) -> str:
    """The same as people say it: fractions, six digits at most, and the sign −."""
    return _written_out(figure, figure_text)


def _written_out(figure: FloatArray, write: Callable[[float], str]) -> str:
    if not figure.ndim:
        return write(float(figure))
    text = f"shape {_shape(figure)}, norm {write(euclidean_norm(figure))}"
    return text if figure.size > _ELEMENTS_WRITTEN_OUT else f"{text}: {_listed(figure.tolist(), write)}"


def _listed(elements: Any, write: Callable[[float], str]) -> str:
    if not isinstance(elements, list):
        return write(elements)
    return f"[{', '.join(_listed(element, write) for element in elements)}]"


def _shape(figure: FloatArray) -> str:
    return "×".join(map(str, figure.shape)) if figure.ndim > 1 else f"[{figure.shape[0]}]"


def sign(operation: Operation) -> str:
    """How a node shows its operation: by its mathematical sign, if it has one, else by name."""
    signs = [alias for alias in operation.aliases if not alias.isidentifier()]
    return next((alias for alias in signs if not alias.isascii()), signs[0] if signs else operation.name)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a comparison found about one figure that differs from the baseline's, a tensor's most at index `worst`.

    `right` says whose figure `baseline` is; that of a node which the baseline has not is what it should be.
    `relative_error` is that of the worst element; 0 where the figure agrees with the baseline's.
    """

    verdict: str
    baseline: FloatArray
    sentence: str = ""
    worst: tuple[int, ...] | None = None
    right: str = "the baseline has"
    relative_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """The parts that nodes have, by position, in the likely error that rounding to `dtype` makes in the output."""

    dtype: str
    parts: Mapping[int, float]

    def seen(self, position: int) -> float:
        """The part of a node; 0 where it is too small to be shown."""
        part = self.parts.get(position, 0.0)
        return part if part >= _LEAST_SHARE else 0.0


NO_SHARES = Shares("", {})


@dataclass(frozen=True, eq=False)
class Subject:
    """What is drawn: a graph, and optionally a run and a comparison's differences, by phase and position.

    `key` begins every id of the picture, so that two subjects never share one. `output` is what gradients are of.
    `kinks` are positions of nodes where no derivative exists; `implied` holds values that were not recorded but follow
    from those that were; `first` is the first difference, by phase and position. `flags` are marks of a page at the
    corners of nodes, `shares` what each node has in the error of rounding.
    """

    key: str
    title: str
    graph: Graph
    run: Run | None = None
    output: str | None = None
    kinks: frozenset[int] = frozenset()
    differences: Mapping[tuple[str, int], Difference] = field(default_factory=dict)
    implied: Figures | None = None
    first: tuple[str, int] | None = None
    flags: Mapping[int, str] = field(default_factory=dict)
    shares: Shares = NO_SHARES

    def closed(self, positions: Iterable[int]) -> Mapping[int, Sequence[int]]:
        """Along which operands of those nodes nothing flows back, whatever their gradients are."""
        return {} if self.run is None else closed_operands(self.graph, self.implied or self.run.values, positions)


@dataclass(frozen=True, slots=True)
class CaptionLine:
    """One line of text: its CSS class, the text shown, its meaning in words, and the same with all digits."""

    kind: str
    text: str
    words: str = ""
    full: str = ""


@dataclass(frozen=True, slots=True)
class Caption:
    """What a node shows: in its body, above and below its out-edge (from the edge outwards), and in words.

    `kind` is input, constant or operation; `marks` are the verdicts on its figures, `kink` where no derivative exists,
    and q1 to q4 by the decade of the relative error, or by the share in the error of rounding; `closed` are the
    operands, by index, along which nothing flows back.
    """

    kind: str
    marks: tuple[str, ...]
    body: tuple[CaptionLine, ...]
    above: tuple[CaptionLine, ...]
    below: tuple[CaptionLine, ...]
    words: str
    closed: Sequence[int] = ()


def write_captions(subject: Subject, positions: Sequence[int]) -> list[Caption]:
    """Write the captions of the nodes at those positions."""
    closed = subject.closed(positions)
    return [_write_caption(subject, position, closed.get(position, ())) for position in positions]


def _write_caption(subject: Subject, position: int, closed: Sequence[int]) -> Caption:
    node = subject.graph.nodes[position]
    kind = "input" if node.operation.is_input else "constant" if node.operation.is_constant else "operation"
    of_gradient = f"the gradient of {subject.output} with respect to {node.name}"
    above = _label(subject, "forward", position, "value", f"the value of {node.name}")
    below = _label(subject, "backward", position, "gradient", of_gradient)
    if kind == "constant":
        above = above[1:]  # its value is in its body
    found = [subject.differences.get((phase, position)) for phase in ("forward", "backward")]
    differences = [difference for difference in found if difference is not None]
    marks = [difference.verdict for difference in differences]
    told = [_definition(node), *(line.words for line in (*above, *below))]
    if position in subject.kinks:
        told.append("no derivative exists here")
        marks.append("kink")
    if heat := max((heat_of(difference.relative_error) for difference in differences), default=0):
        marks.append(f"q{heat}")
    if share := subject.shares.seen(position):
        part = f"{short_number(100.0 * share, 2)} %"
        words = f"its rounding makes {part} of the likely error in {subject.shares.dtype}"
        below = (*below, CaptionLine("share", part, words, words))
        told.append(words)
        marks.append(f"q{1 + sum(share >= bound for bound in _DARKER)}")
    if closed:
        names = " and ".join(dict.fromkeys(node.inputs[operand] for operand in closed))
        told.append(f"it does not change with {names} here, to which no gradient flows from it")
    return Caption(kind, tuple(marks), _body(node, kind), above, below, "; ".join(told), closed)


def heat_of(relative_error: float) -> int:
    """The decade of a relative error: 0 for none, 1 below a tenth, 2 below 1, 3 below 10, else 4."""
    return 1 + sum(not relative_error < bound for bound in (0.1, 1.0, 10.0)) if relative_error else 0


def _body(node: Node, kind: str) -> tuple[CaptionLine, ...]:
    name = shorten(node.name)
    if kind == "input":
        return (CaptionLine("input", name),)
    if kind == "operation":
        return CaptionLine("sign", shorten(sign(node.operation))), CaptionLine("name", name)
    value = CaptionLine("value", short_figure(np.asarray(node.attributes["value"], dtype=np.float64)))
    return (value,) if re.fullmatch(r"constant_\d+", name) else (value, CaptionLine("name", name))


def _definition(node: Node) -> str:
    definition = "an Input" if node.operation.is_input else write_node(node)
    return f"{node.name} = {shorten(definition, _LONGEST_DEFINITION)}"


def _label(subject: Subject, phase: str, position: int, kind: str, meaning: str) -> tuple[CaptionLine, ...]:
    run = subject.run
    figures = None if run is None else run.values if phase == "forward" else run.gradients
    figure = None if figures is None else figures[position]
    if run is not None:
        figure = run.misshapen.get((phase, position), figure)
    if figure is None:
        return _implied_label(subject, position) if phase == "forward" else ()
    spoken, full = spoken_figure(figure), full_figure(figure)
    line = CaptionLine(kind, short_figure(figure), f"{meaning}: {spoken}", f"{meaning}: {full}")
    difference = subject.differences.get((phase, position))
    if difference is None:
        return (line,)
    own, other = _told_apart(figure, difference)
    if not figure.ndim:
        line = replace(line, text=own)
        shown = f"not {other}"
    else:
        shown = f"{own} not {other}"
    mark = MARKS.get(difference.verdict, "")
    sentence = difference.sentence or difference.verdict
    right_spoken, right_full = spoken_figure(difference.baseline), full_figure(difference.baseline)
    if right_spoken == spoken:  # they differ in later digits
        line, right_spoken = replace(line, words=line.full), right_full
    return (
        line,
        CaptionLine("verdict", f"{mark} {difference.verdict}", sentence, sentence),
        CaptionLine("baseline", shown, f"{difference.right} {right_spoken}", f"{difference.right} {right_full}"),
    )


def _told_apart(figure: FloatArray, difference: Difference) -> tuple[str, str]:
    """The figure and the right one with as many digits as tell them apart, a tensor's by its worst element."""
    if difference.worst is None:
        if figure.ndim or difference.baseline.ndim:
            return short_figure(figure), short_figure(difference.baseline)
        return told_apart(float(figure), float(difference.baseline))
    own, other = told_apart(float(figure[difference.worst]), float(difference.baseline[difference.worst]))
    return f"[{', '.join(map(str, difference.worst))}] {own}", other


def _implied_label(subject: Subject, position: int) -> tuple[CaptionLine, ...]:
    value = None if subject.implied is None else subject.implied[position]
    if value is None or np.isnan(value).any():
        return ()
    meaning = f"the value of {subject.graph.nodes[position].name} is not given; it follows as"
    words, full = f"{meaning} {spoken_figure(value)}", f"{meaning} {full_figure(value)}"
    return (CaptionLine("implied", f"({short_figure(value)})", words, full),)
