"""Pictures within a page, whose stylesheet has their style."""

from urllib.parse import urlencode

from markupsafe import Markup

from service.api.http.request import context
from service.core.graph.graph import Graph
from service.usecases.weighing import DRAWN_NODE
from service.web.captions import Subject
from service.web.overview import draw_minimap
from service.web.picture import draw_inline
from service.web.view import View, choose_view


def view_of(graph: Graph, focus: str | None, output: str | None = None) -> View:
    """The part of a graph that a page shows, around `focus` if it has such a node; raises as `Context.admit`."""
    context().admit(DRAWN_NODE * len(graph))
    return choose_view(graph, focus if focus in graph.position else None, None, output)


def inline_picture(subject: Subject, view: View, focus: str = "focus") -> Markup:
    """Draw a subject as SVG to stand within a page, which shows the neighbourhood of a node by the parameter `focus`.

    It is drawn twice, from left to right and downwards: the stylesheet shows the second where the page is narrow.
    What the picture leaves out, and what its marks mean, are the page's to say: `view.sentence` and `legend`.
    """

    def link(name: str) -> str:
        return f"?{urlencode({focus: name})}"

    return Markup("".join(draw_inline(subject, view, down=down, link=link) for down in (False, True)))


def inline_minimap(graph: Graph, view: View) -> Markup:
    """Draw the layers of a graph of which a part is shown, and where that is; nothing of one that is shown whole."""
    return Markup(draw_minimap(graph, view) if len(view.positions) < len(graph) else "")
