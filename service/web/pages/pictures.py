"""Pictures within a page, whose stylesheet has their style."""

from urllib.parse import urlencode

from markupsafe import Markup

from service.web.captions import Subject
from service.web.picture import draw_inline
from service.web.view import View


def inline_picture(subject: Subject, view: View, focus: str = "focus") -> Markup:
    """Draw a subject as SVG to stand within a page, which shows the neighbourhood of a node by the parameter `focus`.

    What the picture leaves out, and what its marks mean, are the page's to say: `view.sentence` and `legend`.
    """
    return Markup(draw_inline(subject, view, link=lambda name: f"?{urlencode({focus: name})}"))
