"""Pictures within a page, whose stylesheet has their style."""

from markupsafe import Markup

from service.web.captions import Subject
from service.web.picture import draw_inline
from service.web.view import View


def inline_picture(subject: Subject, view: View) -> Markup:
    """Draw a subject as SVG to stand within a page."""
    return Markup(draw_inline(subject, view))
