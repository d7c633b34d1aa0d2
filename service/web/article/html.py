"""Write an article as a page of HTML that stands alone, with MathML; the blanks of a worksheet are fields."""

from collections.abc import Sequence
from dataclasses import dataclass
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
<link rel="icon" href="{icon}" type="image/svg+xml">
{stylesheets}
</head>
<body>
<main class="article">
<h1>{title}</h1>
<nav class="meta" aria-label="The same elsewhere">{links}</nav>
{body}
</main>
</body>
</html>
"""
_FORM = """<form method="post" action="{check}">
<input type="hidden" name="tag" value="{tag}">
<p class="name"><label for="by">Name</label> <input id="by" name="by" autocomplete="name"></p>
{body}
<p><button class="go">Check my figures</button></p>
<p class="hint">Write 5/7 exactly, or 0.714, right to its last digit. A field that stays empty is not checked.</p>
</form>"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """A page's icon and stylesheets, what it leads to, each with a name, and where a worksheet goes, with a tag."""

    icon: str
    stylesheets: Sequence[str]
    links: Sequence[tuple[str, str]]
    check: str
    tag: str


def write_html(article: Article, picture: str, addresses: Addresses) -> str:
    """Write an article; `picture` is an SVG element."""
    body = "\n".join(_block(block, picture) for block in article.blocks)
    if article.blanks:
        body = _FORM.format(check=escape(addresses.check), tag=_text(addresses.tag), body=body)
    stylesheets = "\n".join(f'<link rel="stylesheet" href="{escape(address)}">' for address in addresses.stylesheets)
    links = " · ".join(f'<a href="{escape(address)}">{name}</a>' for name, address in addresses.links)
    icon = escape(addresses.icon)
    return _PAGE.format(title=_text(article.title), icon=icon, stylesheets=stylesheets, links=links, body=body)


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
    return "<wbr>".join(f'<math displaystyle="true">{side}</math>' for side in formula.sides)


def _field(blank: Blank) -> str:
    name, label = _text(f"{blank.kind}.{blank.node}"), _text(f"Your {blank.kind} of {blank.node}")
    return f'<math><mo>=</mo></math> <input name="{name}" autocomplete="off" aria-label="{label}">'


def _text(text: str) -> str:
    """Escape, and replace the two characters that a node's name may have but HTML may not."""
    return escape(text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd"))
