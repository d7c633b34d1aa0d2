"""How figures came about: steps, paths and formulas."""

from dataclasses import dataclass, field
from decimal import Decimal

from service.client.figures import Document, Figure, read_figure
from service.client.results.result import Result

_NEW_LINE, _NEARLY = r" \\ ", r" \approx "


@dataclass(frozen=True, slots=True, eq=False)
class Contribution(Result):
    """What one out-edge contributes to a gradient: upstream × local.

    `operand` is the node's index among the consumer's inputs. `numbers` is the formula with numbers substituted.
    """

    consumer: str
    operand: int
    rule: str
    formula: str
    numbers: str | None
    local: Figure | None
    upstream: Figure | None
    product: Figure | None
    document: Document = field(repr=False)

    @property
    def closed(self) -> str | None:
        """That nothing passes along the edge, in words, where the consumer does not change with the operand."""
        return self.document.get("closed")

    @property
    def text(self) -> str:
        """The formula, and the same with numbers substituted."""
        return _line(self.document, "text", " = ", " ≈ ")


@dataclass(frozen=True, slots=True, eq=False)
class Step(Result):
    """How one figure was computed: a value (`phase` forward), or a gradient (backward), the sum of its contributions.

    `difference` is how far the run's figure is from the computed one; None if they are bit-identical. In a notebook a
    step is shown as formulas.
    """

    phase: str
    node: str
    rule: str | None
    formula: str
    numbers: str | None
    figure: Figure | None
    contributions: tuple[Contribution, ...]
    difference: float | None
    document: Document = field(repr=False)

    @property
    def text(self) -> str:
        """The formula, and the same with numbers substituted."""
        return _line(self.document, "text", " = ", " ≈ ")

    def _repr_latex_(self) -> str:
        lines = [_line(line, "latex", " = ", _NEARLY) for line in _lines(self.document)]
        return rf"$$\begin{{gathered}}{_NEW_LINE.join(lines)}\end{{gathered}}$$"

    def _repr_html_(self) -> str:
        return "".join(_math(_line(line, "mathml", "<mo>=</mo>", "<mo>≈</mo>")) for line in _lines(self.document))


@dataclass(frozen=True, slots=True)
class Path(Result):
    """A path from a node to the output; `factors` are the local gradients from each node to the next."""

    nodes: tuple[str, ...]
    factors: tuple[float, ...]
    product: float


@dataclass(frozen=True, slots=True)
class Paths(Result):
    """The largest paths, and the `sum` of all `path_count` of them, the gradient.

    `share` is listed_sum / sum, None where that is not a number. In a notebook it is shown as a formula.
    """

    node: str
    output: str
    paths: tuple[Path, ...]
    path_count: int
    sum: float
    listed_sum: float
    share: float | None
    formula: str
    numbers: str | None
    expanded: str | None
    document: Document = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        """The gradient as the sum over its paths, and the same with numbers substituted."""
        return _line(self.document, "text", " = ", " ≈ ")

    def _repr_latex_(self) -> str:
        return rf"$${_line(self.document, 'latex', ' = ', _NEARLY)}$$"

    def _repr_html_(self) -> str:
        return _math(_line(self.document, "mathml", "<mo>=</mo>", "<mo>≈</mo>"))


@dataclass(frozen=True, slots=True)
class Formula(Result):
    """An equation in the graph's inputs; `expression` can be posted as a graph. A notebook typesets it."""

    expression: str
    latex: str
    mathml: str

    def _repr_latex_(self) -> str:
        return f"$${self.latex}$$"

    def _repr_html_(self) -> str:
        return _math(self.mathml)


def read_formula(document: Document) -> Formula:
    """Read a formula."""
    return Formula(document["expression"], document["latex"], document["mathml"])


def read_step(document: Document) -> Step:
    """Read a step."""
    difference = document["difference"]
    return Step(
        phase=document["phase"],
        node=document["node"],
        rule=document.get("rule"),
        formula=document["formula"],
        numbers=document["numbers"],
        figure=read_figure(document["value" if document["phase"] == "forward" else "gradient"]),
        contributions=tuple(map(_read_contribution, document.get("contributions", ()))),
        difference=None if difference is None else float(difference),
        document=document,
    )


def read_paths(document: Document) -> Paths:
    """Read paths; their count may have more digits than `int` parses, but not than Decimal does."""
    return Paths(
        node=document["node"],
        output=document["output"],
        paths=tuple(map(_read_path, document["paths"])),
        path_count=int(Decimal(document["path_count"])),
        sum=float(document["sum"]),
        listed_sum=float(document["listed_sum"]),
        share=document["share"],
        formula=document["formula"],
        numbers=document["numbers"],
        expanded=document["expanded"],
        document=document,
    )


def _read_path(document: Document) -> Path:
    factors = tuple(float(factor["value"]) for factor in document["factors"])
    return Path(tuple(document["nodes"]), factors, float(document["product"]))


def _read_contribution(document: Document) -> Contribution:
    return Contribution(
        consumer=document["consumer"],
        operand=document["operand"],
        rule=document["rule"],
        formula=document["formula"],
        numbers=document["numbers"],
        local=read_figure(document["local"]),
        upstream=read_figure(document["upstream"]),
        product=read_figure(document["product"]),
        document=document,
    )


def _math(line: str) -> str:
    return f'<div><math display="block"><mrow>{line}</mrow></math></div>'


def _lines(document: Document) -> list[Document]:
    """The lines of a step: its contributions, then their sum."""
    return [*document.get("contributions", ()), document]


def _line(document: Document, language: str, equals: str, nearly: str) -> str:
    """formula = numbers; where there are fractions, formula = fractions ≈ their decimal."""
    suffix = "" if language == "text" else f"_{language}"
    formula, numbers, fractions = (document.get(f"{member}{suffix}") for member in ("formula", "numbers", "fractions"))
    if numbers is None or f"{formula}".endswith(f"{equals}{numbers}"):
        return f"{formula}"
    if fractions is None:
        return f"{formula}{equals}{numbers}"
    decimal, simple = (text.rpartition(equals)[2] for text in (numbers, fractions))
    return f"{formula}{equals}{fractions}" + (f"{nearly}{decimal}" if decimal != simple else "")
