"""Our own documents, in Markdown, as what stands in a page: headings with ids, links between pages, nothing from
elsewhere and no HTML but what is made here."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

# From the name of another document to the address of its page; None where it has none.
Addresses = Callable[[str], str | None]

_COMMAND = re.compile(r"^(\$ |&gt; )(.*)$", re.MULTILINE)  # what is typed; the prompts are not copied with it
_NOT_IN_AN_ID = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered document; `summary` is its first paragraph as text, `sections` are the ids and texts of its parts."""

    title: str
    summary: str
    html: str
    sections: tuple[tuple[str, str], ...]


class _Renderer(RendererHTML):
    """Tables and blocks of code scroll by themselves, by keyboard too, and the page does not."""

    def table_open(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        return "</table></div>\n"

    def fence(self, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
        code = escape(tokens[index].content)
        if tokens[index].info == "console":
            code = _COMMAND.sub(r'<span class="prompt">\1</span><b>\2</b>', code)
        return f'<pre tabindex="0"><code>{code}</code></pre>\n'


_READER = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")


def render(text: str, address_of: Addresses) -> Document:
    """Render a document that begins with its title. A link to what has no page, and an image, become their text."""
    tokens = _READER.parse(text)
    title, body = _said(tokens[1]), tokens[3:]  # the title's three tokens: opened, its text, closed
    summary = next((_said(token) for token in body if token.type == "inline"), "")
    sections, ids = [], set[str]()
    for opened, inside in pairwise(body):
        if opened.type == "heading_open":
            name = _free_id(_said(inside), ids)
            opened.attrSet("id", name)
            if opened.tag == "h2":
                sections.append((name, _said(inside)))
    for token in body:
        token.attrs.pop("style", None)  # of a column that is set to the right: the policy admits no style within
        _link(token.children or [], address_of)
    html = _READER.renderer.render(body, _READER.options, {})
    return Document(title, summary, html, tuple(sections))


def _said(token: Token) -> str:
    """The text of inline content, without its marks."""
    return "".join(child.content or " " * (child.type == "softbreak") for child in token.children or [])


def _free_id(heading: str, taken: set[str]) -> str:
    """The id by which links name a heading, counted up where it is taken."""
    plain = _NOT_IN_AN_ID.sub("", heading.lower()).replace(" ", "-")
    name = next(name for name in (plain, *(f"{plain}-{k}" for k in range(1, 100))) if name not in taken)
    taken.add(name)
    return name


def _link(children: Sequence[Token], address_of: Addresses) -> None:
    """Have links between documents lead to their pages."""
    targets: list[str | None] = []
    for token in children:
        if token.type == "image":
            token.type, token.tag, token.attrs, token.children = "text", "", {}, None
        elif token.type == "link_open":
            targets.append(_target(str(token.attrGet("href")), address_of))
            token.attrSet("href", targets[-1] or "")
            token.hidden = targets[-1] is None
        elif token.type == "link_close":
            token.hidden = targets.pop() is None


def _target(link: str, address_of: Addresses) -> str | None:
    """Where a document's link leads to in a page."""
    parts = urlsplit(link)
    if parts.scheme or not parts.path:
        return link
    name = parts.path.removesuffix(".md")
    address = None if "/" in name or name == parts.path else address_of(name)
    return address and (f"{address}#{parts.fragment}" if parts.fragment else address)
