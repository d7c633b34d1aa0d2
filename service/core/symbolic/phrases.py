"""Sentences with formulas: plain text, and the same with the formulas in MathML, from one source.

Whoever says something writes an f-string. A `Phrase` in it stands with its MathML between marks, control characters,
which no node's name may contain; `Phrase(…)` or `Sentence(…)` reads what was put together.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from service.core.rulebook.notation import row
from service.core.symbolic.printing import write_mathml, write_plain
from service.core.symbolic.term import Term

_MARKED = re.compile("\x02([^\x1f]*)\x1f([^\x03]*)\x03")
_PIECE = re.compile(f"{_MARKED.pattern}|\x04([^\x05]*)\x05")


class Part(NamedTuple):
    """A piece of a sentence as plain text; a formula also in MathML, to stand within `<math>`."""

    text: str
    mathml: str | None = None


class Sentence(str):
    """Plain text that knows the MathML of the formulas in it."""

    marked: str

    def __new__(cls, marked: str) -> "Sentence":
        made = super().__new__(cls, _plain(marked))
        made.marked = marked
        return made

    def __getnewargs__(self) -> tuple[str]:
        return (self.marked,)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The pieces, of which the text is made."""
        return tuple(_parts(self.marked))

    @property
    def mathml(self) -> str:
        """The sentence as HTML, its formulas in MathML."""
        return "".join(escape(text) if mathml is None else f"<math>{mathml}</math>" for text, mathml in self.parts)


class Phrase(Sentence):
    """A piece of a sentence: in an f-string it stands with its marks."""

    def __format__(self, _: str) -> str:
        return self.marked


def _plain(marked: str) -> str:
    return _MARKED.sub(r"\1", marked).replace("\x04", "").replace("\x05", "")


def _parts(marked: str) -> Iterator[Part]:
    end = 0
    for found in _PIECE.finditer(marked):
        if found.start() > end:
            yield Part(marked[end : found.start()])
        line = found[3]
        yield Part(found[1], found[2]) if line is None else Part(_plain(line), _typeset(line))
        end = found.end()
    if end < len(marked):
        yield Part(marked[end:])


def typeset(text: str, mathml: str) -> Phrase:
    """Return a formula as text and in MathML."""
    return Phrase(f"\x02{text!s}\x1f{mathml}\x03")


def phrase_of(term: Term, most: int | None) -> Phrase:
    """Return a term in a textbook's signs; raises LimitExceeded for more than `most` characters."""
    return typeset(write_plain(term, most).text, write_mathml(term, None))


# --- formulas as they are typed ---------------------------------------------------------------------------------------

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣᵀ"
_LOWERED = str.maketrans(_RAISED, "0123456789−+nx⊤")
_TOKEN = re.compile(
    "\x02[^\x1f]*\x1f(?P<mathml>[^\x03]*)\x03|(?P<mn>\\d+(?:\\.\\d+)?)"
    f"|(?P<mi>[^\\W\\d_{_RAISED}][^\\W{_RAISED}]*)|(?P<raised>[{_RAISED}]+)|\\s+|(?P<mo>.)",
    re.DOTALL,
)
_SIGNS = {"×": "·", "@": "\u2062"}  # a product of matrices has no sign
_HOW = {"/": ' lspace="0" rspace="0"', **dict.fromkeys("()[]|", ' stretchy="false"')}


_POWER = "<mo>^</mo>"  # what follows is raised


def formula(typed: str) -> Phrase:
    """Typeset a short formula as it is typed on one line, n·xⁿ⁻¹ or −f/d², with phrases in it."""
    return typeset(Phrase(typed), _typeset(typed))


def typed(text: str) -> str:
    """Mark a short formula as it is typed in an f-string of phrases, to be typeset if it is ever read."""
    return f"\x04{text}\x05"


def _typeset(line: str) -> str:
    return row("".join(_elements(line)))


def _elements(line: str) -> list[str]:
    elements: list[str] = []
    for token in _TOKEN.finditer(line):
        if elements[-1:] == [_POWER] and token.lastgroup:
            base, exponent = elements[:-1], _elements(token[0])
            elements = [*base[:-1], f"<msup>{''.join(base[-1:]) or row('')}{row(''.join(exponent))}</msup>"]
            continue
        match token.lastgroup:
            case "mathml":
                elements.append(row(token["mathml"]))
            case "raised":
                power = row("".join(_elements(token["raised"].translate(_LOWERED))))
                elements.append(f"<msup>{elements.pop() if elements else row('')}{power}</msup>")
            case "mo":
                sign = escape(_SIGNS.get(token["mo"], token["mo"]))
                elements.append(f"<mo{_HOW.get(sign, '')}>{sign}</mo>")
            case "mn" | "mi" as name:
                elements.append(f"<{name}>{token[name]}</{name}>")
    return elements
