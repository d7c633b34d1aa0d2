"""Write an article as a page of HTML that stands alone, with MathML; the blanks of a worksheet are fields."""

from html import escape

from service.core.explanation.article import Article, Blank, Block, Displayed, Drawing, Heading, Sentence
from service.core.symbolic.equation import Formula

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · Gradbook</title>
<link rel="stylesheet" href="{stylesheet}">
</head>
<body>
<main class="article">
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
_FORM = """<form method="post" action="{action}">
{body}
<p><button class="go">Check my figures</button></p>
<p class="hint">Write 5/7 exactly, or 0.714, right to its last digit. A field that stays empty is not checked.</p>
</form>"""


def write_html(article: Article, picture: str, stylesheet: str, check: str) -> str:
    """Write an article; `picture` is an SVG element, `stylesheet` an address, and `check` that to which a worksheet's
    form is posted."""
    body = "\n".join(_block(block, picture) for block in article.blocks)
    if article.blanks:
        body = _FORM.format(action=escape(check), body=body)
    return _PAGE.format(title=_text(article.title), stylesheet=escape(stylesheet), body=body)


def _block(block: Block, picture: str) -> str:
    match block:
        case Heading(level, sentence):
            return f"<h{level}>{_sentence(sentence)}</h{level}>"
        case Displayed(formula, blank):
            return f'<p class="shown">{_math(formula)}{_field(blank) if blank else ""}</p>'
        case Drawing(caption):
            drawn = f'<div class="scroll" role="region" tabindex="0" aria-label="Picture of the run">{picture}</div>'
            return f"<figure>{drawn}<figcaption>{_text(caption)}</figcaption></figure>"
        case _:
            return f"<p>{_sentence(block.sentence)}</p>"


def _sentence(sentence: Sentence) -> str:
    return "".join(_text(part) if isinstance(part, str) else _math(part) for part in sentence).strip()


def _math(formula: Formula) -> str:
    """Each side in a `<math>` of its own, so that a long equation wraps."""
    return " ".join(f'<math displaystyle="true">{side}</math>' for side in formula.sides)


def _field(blank: Blank) -> str:
    name, label = _text(f"{blank.kind}.{blank.node}"), _text(f"Your {blank.kind} of {blank.node}")
    return f' = <input name="{name}" autocomplete="off" aria-label="{label}">'


def _text(text: str) -> str:
    """Escape, and replace the two characters that a node's name may have but HTML may not."""
    return escape(text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"))
