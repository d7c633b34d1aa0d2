"""The text of an expression, read into statements by lark's LALR parser; and what to say where it cannot be read.

`expression.lark` is the grammar. Nothing is evaluated, and nothing recurses over the text.
"""

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from service.core.errors import InvalidExpression, LimitExceeded
from service.core.rulebook.attribute import LARGEST_INTEGER


class SourceError(Exception):
    """What is wrong, and at which character of the text: an InvalidExpression before it has line and column."""

    def __init__(self, detail: str, position: int | None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.position = position or 0


Expr: TypeAlias = "Token | Call"  # a token is a number or a name


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """An operation on parts; `called` is its sign, or the name before the brackets."""

    called: Token
    operands: list[Expr]
    attributes: list[tuple[Token, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """`target(parameters) = value`; without parameters they are None, and so is the target of a bare expression."""

    value: Expr
    target: Token | None = None
    parameters: list[Token] | None = None


class _Callbacks(Transformer[Token, list[Statement]]):
    """What the parser makes of each rule of the grammar as soon as it has read it: no parse tree is kept."""

    def start(self, statements: list[Statement]) -> list[Statement]:
        return statements

    def assignment(self, children: list[Any]) -> Statement:
        target, value = children
        return Statement(value, target)

    def header(self, children: list[Any]) -> Statement:
        call, value = children
        names = [part for part in call.operands if isinstance(part, Token) and part.type != "NUMBER"]
        if call.attributes or len(names) < len(call.operands):
            raise SourceError('before "=" stands a name, or a name and its inputs as in F(a, b)', call.called.start_pos)
        return Statement(value, call.called, names)

    def result(self, children: list[Any]) -> Statement:
        return Statement(children[0])

    def infix(self, children: list[Any]) -> Call:
        left, sign, right = children
        return Call(sign, [left, right])

    def prefix(self, children: list[Any]) -> Call:
        sign, operand = children
        return Call(sign, [operand])

    def call(self, children: list[Any]) -> Call:
        called, *arguments = children
        attributes = [argument for argument in arguments if isinstance(argument, tuple)]
        return Call(called, arguments[: len(arguments) - len(attributes)], attributes)

    def tensor(self, children: list[Any]) -> Call:
        bracket, *values = children
        return _applied("Constant", bracket, [], value=values)

    def transpose(self, children: list[Any]) -> Call:
        operand, dot = children
        return _applied("Transpose", dot, [operand])

    def index(self, children: list[Any]) -> Call:
        """One Slice for all subscripts; the axes of single places, each now of length 1, are squeezed away."""
        operand, bracket, *subscripts = children
        ranges = {axis: limits for axis, limits in enumerate(subscripts) if limits != _WHOLE}
        single = [axis for axis, limits in ranges.items() if limits.single]
        if not ranges:
            return _applied("Identity", bracket, [operand])
        starts, ends, steps = (list(each) for each in zip(*(limits.bounds for limits in ranges.values()), strict=True))
        part = _applied("Slice", bracket, [operand], starts=starts, ends=ends, axes=list(ranges), steps=steps)
        return _applied("Squeeze", bracket, [part], axes=single) if single else part

    def subscript(self, children: list[Any]) -> "_Range":
        parts: list[int | None] = [None]
        for child in children:
            if isinstance(child, Token):
                parts.append(None)
            else:
                parts[-1] = child
        start, *rest = parts
        if not rest:
            assert start is not None
            return _Range(start, start + 1 or LARGEST_INTEGER, single=True)
        end, step = [*rest, None][:2]
        step = 1 if step is None else step
        forward = step > 0
        return _Range(
            (0 if forward else LARGEST_INTEGER) if start is None else start,
            (LARGEST_INTEGER if forward else -LARGEST_INTEGER) if end is None else end,
            step,
        )

    def bound(self, tokens: list[Token]) -> int:
        *sign, token = tokens
        value = read_number(token)
        if not isinstance(value, int):
            raise SourceError(f"an index is a whole number, but {quote(token)} was found", token.start_pos)
        return -value if sign and sign[0].type == "MINUS" else value

    def attribute(self, children: list[Any]) -> tuple[Token, Any]:
        name, value = children
        return name, value

    def scalar(self, tokens: list[Token]) -> Any:
        *sign, token = tokens
        negative = bool(sign) and sign[0].type == "MINUS"
        if token.type == "NUMBER":
            # int64 holds every whole number of up to eighteen digits, and some of nineteen: the end of a slice.
            value = int(token) if token.isdigit() and len(token) < 20 else read_number(token)
            return value if not negative else -value if value else -0.0
        if token == "Infinity":
            return "-Infinity" if negative else "Infinity"
        if not sign and token in _WORDS:
            return _WORDS[token]
        raise SourceError(f"{_VALUE} is expected, but {quote(token)} was found", token.start_pos)

    def string(self, tokens: list[Token]) -> str:
        try:
            text = json.loads(tokens[0])
            text.encode()
        except ValueError:
            raise SourceError("a text in quotes is written as in JSON", tokens[0].start_pos) from None
        return str(text)

    def sequence(self, values: list[Any]) -> list[Any]:
        return values


@dataclass(frozen=True, slots=True)
class _Range:
    """What one subscript takes of an axis, as ONNX's Slice has it: an open end is beyond any."""

    start: int
    end: int
    step: int = 1
    single: bool = False

    @property
    def bounds(self) -> tuple[int, int, int]:
        return self.start, self.end, self.step


_WHOLE = _Range(0, LARGEST_INTEGER)


def _applied(operation: str, position: Token, operands: list[Expr], **attributes: Any) -> Call:
    """An operation that is written otherwise than by its name; `position` is where."""
    named = [(Token.new_borrow_pos("NAME", name, position), value) for name, value in attributes.items()]
    return Call(Token.new_borrow_pos("NAME", operation, position), operands, named)


_WORDS = {"NaN": "NaN", "true": True, "false": False}


@cache  # built by the first expression, not by the start
def _parser() -> Lark:
    grammar = "expression.lark"
    return Lark.open(
        grammar, rel_to=__file__, parser="lalr", lexer="basic", transformer=_Callbacks(), maybe_placeholders=False
    )


def read_statements(text: str, max_depth: int) -> list[Statement]:
    """The statements of a text. Raises Mistake, or LimitExceeded for brackets more than `max_depth` deep.

    The parser is fed token by token, since within brackets a newline is blank space.
    """
    parsing = _parser().parse_interactive(text)
    opened: list[Token] = []
    previous: Token | None = None
    try:
        for token in parsing.lexer_thread.lex(parsing.parser_state):
            if token.type == "_NEWLINE" and opened:
                continue
            if token.type in ("LPAR", "LSQB") and len(opened) == max_depth:
                detail = f"brackets are at most {max_depth} deep in an expression; this one goes deeper"
                raise LimitExceeded("expression_depth", max_depth, None, detail)
            parsing.feed_token(token)
            if token.type in ("LPAR", "LSQB"):
                opened.append(token)
            elif token.type in ("RPAR", "RSQB"):
                opened.pop()
            previous = token
        statements: list[Statement] = parsing.feed_token(Token("$END", ""))
    except UnexpectedCharacters as error:
        raise SourceError(_strange_character(error.char), error.pos_in_stream) from None
    except UnexpectedToken as error:
        raise _unexpected(text, error.token, error.expected, previous, opened) from None
    return statements


def read_number(token: Token) -> float:
    """The number that a literal says; one without fraction and exponent is an int, as in JSON."""
    value = float(token)
    vanishes = value == 0.0 and token.lower().partition("e")[0].strip("0.")
    if math.isinf(value) or vanishes:
        raise SourceError(f"{quote(token)} is out of float64's range", token.start_pos)
    return int(value) if token.isdigit() and value < 2**53 else value


# --- what to say where the text cannot be read ------------------------------------------------------------------------

_VALUE = "a number, NaN, Infinity, true, false, a text in quotes or a list"
_ENDS = ("_NEWLINE", "SEMICOLON", "$END")
_SHOWN = 40  # characters of a token, and of a line on each side of the place


def _unexpected(
    text: str, token: Token, expected: set[str], previous: Token | None, opened: Sequence[Token]
) -> SourceError:
    """What to say of a token that cannot stand where it was found."""
    before = previous.end_pos if previous else 0
    broken = token.type == "$END" or any(newline in text[before : token.start_pos] for newline in "\r\n")
    wanted = _expectation(expected, opened)
    if opened and (broken or token.type == "SEMICOLON"):
        return SourceError(f"this {quote(opened[-1])} is not closed", opened[-1].start_pos)
    if token.type in _ENDS:
        return SourceError(f"{wanted} is expected, but the statement ends here", before)
    if token.type in ("NAME", "QUOTED", "NUMBER", "LPAR") and "TIMES_OR_OVER" in expected:
        assert previous is not None
        sides = f"{quote(previous)} and {quote(token)}"
        return SourceError(
            f'multiplication is not implicit: between {sides} a sign is missing, such as "*"', token.start_pos
        )
    if token.type == "COMPARISON" and "PLUS" in expected and "NUMBER" not in expected:
        return SourceError("comparisons do not chain: write and(a < b, b < c) for a < b < c", token.start_pos)
    if token.type == "EQUAL":
        detail = '"=" stands once in a statement, after a name or F(a, b); a comparison is written "=="'
        return SourceError(detail, token.start_pos)
    if token.type in ("RPAR", "RSQB") and not opened:
        return SourceError(f"{quote(token)} closes no bracket", token.start_pos)
    return SourceError(f"{wanted} is expected, but {quote(token)} was found", token.start_pos)


def _expectation(expected: set[str], opened: Sequence[Token]) -> str:
    """The parser's expectation in words. Its tables serve all brackets at once: only the innermost open one counts."""
    if "NUMBER" in expected:
        if "COLON" in expected:
            return "a whole number or a range such as 1:3"
        return "a name, a number or a bracket" if "LPAR" in expected else _VALUE if "STRING" in expected else "a number"
    if expected <= {"NAME", "EQUAL"}:
        return "an attribute such as alpha=2"
    middle = '","' if "COMMA" in expected and opened else ""
    if "TIMES_OR_OVER" in expected:
        middle = "an operator"
    end = {"LPAR": '")"', "LSQB": '"]"'}[opened[-1].type] if opened else "the end of the statement"
    return f"{middle} or {end}" if middle else end


def _strange_character(character: str) -> str:
    if character == ".":
        return "a dot stands only within a number and in .T; a name with a dot in it stands in backquotes"
    if character == "`":
        return "a name in backquotes is not empty, and ends on its line with another backquote"
    if character == '"':
        return "a text in quotes ends on its line with another quote"
    if character.isalpha():
        return f"{quote(character)} cannot stand in a name, unless the name is in backquotes"
    return f"{quote(character)} has no meaning in an expression"


def quote(text: str) -> str:
    """A piece of the text in quotes, if need be shortened; a character that may be mistaken for another by its name."""
    text = str(text)
    if len(text) == 1 and not text.isascii():
        name = unicodedata.name(text, "a character without a name")
        return f'"{text}" (U+{ord(text):04X}, {name})'
    return f'"{text}"' if len(text) <= _SHOWN else f'"{text[: _SHOWN - 1]}…"'


def invalid_expression(text: str, mistake: SourceError) -> InvalidExpression:
    """The mistake with its line and column; of a long line some forty characters on both sides are shown."""
    lines = re.split(r"\r\n?|\n", text[: mistake.position])
    line, column = len(lines), len(lines[-1]) + 1
    whole = lines[-1] + re.split(r"[\r\n]", text[mistake.position :], maxsplit=1)[0]
    start, end = max(0, column - 1 - _SHOWN), column + _SHOWN
    before, after = "…" * (start > 0), "…" * (end < len(whole))
    printable = "".join(character if character.isprintable() else " " for character in whole[start:end])
    caret = " " * (len(before) + column - 1 - start) + "^"
    return InvalidExpression(mistake.detail, line, column, f"{before}{printable}{after}\n{caret}")
