"""How pages show figures: short to read, with all digits beside for who asks, decimal points one under the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from markupsafe import Markup, escape

from service.core.figures.figures import FloatArray
from service.core.figures.text import exact_text, figure_text, simple_fraction
from service.core.symbolic.equation import readable_term
from service.core.symbolic.printing import write_mathml
from service.web.captions import MARKS, full_figure, short_figure

# The marks of the verdicts, which a reader tells apart without colour.
SIGNS = {**MARKS, "same": "✓", "differs": "≠"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in a column: to be read, with all digits, and its classes, which align the decimal points."""

    short: str
    full: str
    classes: str = ""


def column(figures: Sequence[FloatArray | None]) -> list[Cell]:
    """The cells of a column; what is not known is a dash."""
    return align([_cell(figure) for figure in figures])


def align(cells: Sequence[Cell]) -> list[Cell]:
    """Give the cells of a column the classes that align their decimal points."""
    decimals = [len(cell.short.partition(".")[2]) if _is_decimal(cell.short) else 0 for cell in cells]
    most = min(max(decimals, default=0), 4)
    return [
        Cell(cell.short, cell.full, _padding(most - min(places, 4), most > 0 and places == 0))
        for cell, places in zip(cells, decimals, strict=True)
    ]


def _cell(figure: FloatArray | None) -> Cell:
    if figure is None:
        return Cell("–", "–")
    return Cell(short_figure(figure), full_figure(figure).replace("-", "−"))


def _is_decimal(text: str) -> bool:
    return text.lstrip("−").replace(".", "", 1).isdecimal()


def _padding(missing: int, no_point: bool) -> str:
    return " ".join([*([f"k{missing}"] if missing else []), *(["pt"] if no_point else [])])


def spoken(figure: FloatArray | None) -> str:
    """A figure as people say it: −1/3; a tensor by its shape and norm."""
    if figure is None:
        return "unknown"
    return short_figure(figure) if figure.ndim else figure_text(figure)


def written(figure: FloatArray | None) -> str:
    """A figure as it is typed into a field, so that it reads back as the same number."""
    if figure is None:
        return ""
    return str(figure.tolist()).replace("-", "−") if figure.ndim else exact_text(float(figure)).replace("-", "−")


def typed(figure: FloatArray | None) -> str:
    """A figure as people type it, 2/3."""
    if figure is None or figure.ndim:
        return written(figure)
    fraction = simple_fraction(float(figure)) if isfinite(float(figure)) else None
    return str(fraction).replace("-", "−") if fraction is not None else written(figure)


def figure_mathml(figure: FloatArray | None) -> Markup:
    """A figure to stand within a formula, as equations show it for reading."""
    return Markup("<mtext>unknown</mtext>" if figure is None else write_mathml(readable_term(figure)))


def name_markup(name: str) -> Markup:
    """A node's name as text in the face of a variable."""
    return Markup('<i class="m">{}</i>').format(escape(name))
