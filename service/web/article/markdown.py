"""Write an article as Markdown with formulas in LaTeX between dollar signs."""

import re

from service.core.explanation.article import Article, Displayed, Drawing, Heading, Sentence

_BLANK = r"\underline{\hspace{6em}}"
_SPECIAL = re.compile(r"[\\`*_{}\[\]<>&$|~#]")
_MARKER = re.compile(r"^(\d*)([-+=.)])")  # what begins a list or underlines a heading


def write_markdown(article: Article, picture: str) -> str:
    """Write an article; `picture` is the address of its picture."""
    parts = [f"# {_escape(article.title)}", *([r"Name: \_\_\_\_\_\_\_\_"] if article.blanks else [])]
    for block in article.blocks:
        match block:
            case Heading(level, sentence):
                parts.append(f"{'#' * level} {_sentence(sentence)}")
            case Displayed(formula, blank):
                parts.append(f"$${formula.latex}{f' = {_BLANK}' if blank else ''}$$")
            case Drawing(caption):
                parts.append(f"![The graph](<{picture}>)\n\n{_escape(caption)}")
            case _:
                parts.append(_MARKER.sub(r"\1\\\2", _sentence(block.sentence)))
    return "\n\n".join(parts) + "\n"


def _sentence(sentence: Sentence) -> str:
    return "".join(_escape(part) if isinstance(part, str) else f"${part.latex}$" for part in sentence).strip()


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
