"""Errors of an expression: what is wrong, where, and the message for it."""

import re
import unicodedata
from collections.abc import Sequence

from lark import Token

from service.core.errors import InvalidExpression

VALUE = "a number, NaN, Infinity, True, False, None, a text in quotes or a list"
DOT = "a dot stands only within a number and in .T; a name with a dot in it stands in backquotes"
_ENDS = ("_NEWLINE", "SEMICOLON", "$END")
_CALLED = re.compile(r"((?:\.[A-Za-z_][A-Za-z0-9_]*)*)\.([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_WORD = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*$")
_LIBRARIES = ("np", "numpy", "math", "torch", "F", "nn", "jnp", "jax", "tf")
_SHOWN = 40  # characters of a token, and of a line on each side of the place


class SourceError(Exception):
    """What is wrong and at which character of the text, before line and column are known."""

    def __init__(self, detail: str, position: int | None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.position = position or 0


def unexpected_token(
    text: str, token: Token, expected: set[str], previous: Token | None, opened: Sequence[Token]
) -> SourceError:
    """Explain a token that cannot stand where it was found."""
    before = previous.end_pos if previous else 0
    broken = token.type == "$END" or any(newline in text[before : token.start_pos] for newline in "\r\n")
    wanted = _expectation(expected, opened)
    if opened and (broken or token.type == "SEMICOLON"):
        return SourceError(f"this {quote(opened[-1])} is not closed", opened[-1].start_pos)
    if token.type in _ENDS:
        return SourceError(f"{wanted} is expected, but the statement ends here", before)
    if token.type == "BAR" and "BAR" not in expected:
        detail = '"|" stands on both sides, as in |x|; a product is written with "*", a or b with or(a, b)'
        return SourceError(detail, token.start_pos)
    if token.type in ("POWER", "SUPERSCRIPT") and "TIMES_OR_OVER" in expected:
        detail = "a power of a root, or of a power, has two readings: write √(x²) or (√x)²"
        return SourceError(detail, token.start_pos)
    if token.type in ("NAME", "QUOTED", "NUMBER", "LPAR", "ROOT") and "TIMES_OR_OVER" in expected:
        assert previous is not None
        sides = f"{quote(previous)} and {quote(token)}"
        if opened and opened[-1].type == "LSQB":
            detail = f'between {sides} a sign is missing: "," between elements, "*" in a product'
            return SourceError(detail, token.start_pos)
        return SourceError(f'a product is written with "*": between {sides} a sign is missing', token.start_pos)
    if token.type == "COMPARISON" and "PLUS" in expected and "NUMBER" not in expected:
        return SourceError("comparisons do not chain: write and(a < b, b < c) for a < b < c", token.start_pos)
    if token.type == "EQUAL":
        detail = '"=" stands once in a statement, after a name or F(a, b); a comparison is written "=="'
        return SourceError(detail, token.start_pos)
    if token.type in ("RPAR", "RSQB") and not opened:
        return SourceError(f"{quote(token)} closes no bracket", token.start_pos)
    return SourceError(f"{wanted} is expected, but {quote(token)} was found", token.start_pos)


def _expectation(expected: set[str], opened: Sequence[Token]) -> str:
    """Put what the parser expects into words. Its tables serve all brackets at once; only the innermost counts."""
    if "NUMBER" in expected:
        if "COLON" in expected:
            return "a whole number, a range such as 1:3 or ..."
        return "a name, a number or a bracket" if "LPAR" in expected else VALUE if "STRING" in expected else "a number"
    if expected <= {"NAME", "EQUAL"}:
        return "an attribute such as alpha=2"
    middle = '","' if "COMMA" in expected and opened else ""
    if "TIMES_OR_OVER" in expected:
        middle = "an operator"
    end = {"LPAR": '")"', "LSQB": '"]"', "BAR": '"|"'}[opened[-1].type] if opened else "the end of the statement"
    return f"{middle} or {end}" if middle else end


def unknown_character(text: str, position: int) -> str:
    """Say what is wrong with a character that begins no token."""
    character = text[position]
    if called := _CALLED.match(text, position):
        before = _WORD.search(text[:position])
        owner, (parts, name) = before[0] if before else "", called.groups()
        if owner in _LIBRARIES:
            return f"a function is written without its library: {name}(…), not {owner}{parts}.{name}(…)"
        operand = f"{owner or '…'}{parts}"
        return f"a method is written as a function: {name}({operand}), not {operand}.{name}()"
    if character == ".":
        return DOT
    if character == "`":
        return "a name in backquotes is not empty, and ends on its line with another backquote"
    if character in "\"'":
        return "a text in quotes ends on its line with another quote"
    if character.isalpha():
        return f"{quote(character)} cannot stand in a name, unless the name is in backquotes"
    return f"{quote(character)} has no meaning in an expression"


def quote(text: str) -> str:
    """Quote a piece of the text, shortened to 40 characters; add the Unicode name to a character beyond ASCII."""
    text = str(text)
    if len(text) == 1 and not text.isascii():
        name = unicodedata.name(text, "a character without a name")
        return f'"{text}" (U+{ord(text):04X}, {name})'
    return f'"{text}"' if len(text) <= _SHOWN else f'"{text[: _SHOWN - 1]}…"'


def invalid_expression(text: str, error: SourceError) -> InvalidExpression:
    """Add line, column and an excerpt to an error; of a long line forty characters on each side are shown."""
    lines = re.split(r"\r\n?|\n", text[: error.position])
    line, column = len(lines), len(lines[-1]) + 1
    whole = lines[-1] + re.split(r"[\r\n]", text[error.position :], maxsplit=1)[0]
    start, end = max(0, column - 1 - _SHOWN), column + _SHOWN
    before, after = "…" * (start > 0), "…" * (end < len(whole))
    printable = "".join(character if character.isprintable() else " " for character in whole[start:end])
    caret = " " * (len(before) + column - 1 - start) + "^"
    return InvalidExpression(error.detail, line, column, f"{before}{printable}{after}\n{caret}")
