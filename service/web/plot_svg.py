"""A plot that is drawn, as SVG within a page or alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from service.web.frame import WIDTH
from service.web.picture import MARGIN, NOTE_LINE, wrapped
from service.web.style import NAME, write_plot_style
from service.web.svg import element, text_element


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of that height, and what it shows in words."""

    parts: Markup
    height: float
    words: str


def inline(drawing: Plot) -> Markup:
    """The SVG of a plot to stand within a page, whose stylesheet has its style (class `plot`)."""
    opened = Markup('<svg class="plot floor" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">')
    return opened.format(WIDTH, drawing.height, drawing.words) + drawing.parts + Markup("</svg>")


def stand_alone(drawing: Plot, key: str, title: str, notes: Sequence[str]) -> str:
    """The SVG of a plot by itself, with its style, its title above and notes below; all ids begin with `key`."""
    lines = [line for note in notes for line in wrapped(note, WIDTH)]
    top = MARGIN + 2 * NOTE_LINE
    foot = top + drawing.height + NOTE_LINE
    width, height = WIDTH + 2 * MARGIN, foot + NOTE_LINE * len(lines) + MARGIN - NAME
    told = {"aria_labelledby": f"{key}-title", "aria_describedby": f"{key}-description"}
    return element(
        "svg",
        text_element("title", title, id=told["aria_labelledby"]),
        text_element("desc", drawing.words, id=told["aria_describedby"]),
        element("style", write_plot_style(key)),
        element("rect", class_="paper", width="100%", height="100%", rx=6),
        text_element("text", title, class_="heading", x=MARGIN, y=MARGIN + NAME),
        element("g", drawing.parts, transform=f"translate({MARGIN:g} {top:g})"),
        *(
            text_element("text", line, class_="note", x=MARGIN, y=foot + NOTE_LINE * rank)
            for rank, line in enumerate(lines)
        ),
        xmlns="http://www.w3.org/2000/svg",
        id=key,
        role="graphics-document document",
        **told,
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
    )
