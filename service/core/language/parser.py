"""Read the text of an expression into statements by lark's LALR parser; `expression.lark` is the grammar.

Nothing is evaluated, and nothing recurses over the text.
"""

import json
import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from service.core.errors import LimitExceeded
from service.core.language.diagnostics import VALUE, SourceError, quote, unexpected_token, unknown_character
from service.core.rulebook.attribute import LARGEST_INTEGER

Expr: TypeAlias = "Token | Call"  # a token is a number or a name


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """An operation applied to operands; `called` is its sign, or the name before the brackets."""

    called: Token
    operands: list[Expr]
    attributes: list[tuple[Token, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """`target(parameters) = value`; `parameters` is None without brackets, `target` for a bare expression."""

    value: Expr
    target: Token | None = None
    parameters: list[Token] | None = None


class _Callbacks(Transformer[Token, list[Statement]]):
    """Build statements as the parser reduces each rule of the grammar, so that no parse tree is kept."""

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
        """Make one Slice of all subscripts, then squeeze the axes that a single index reduced to length 1."""
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
        raise SourceError(f"{VALUE} is expected, but {quote(token)} was found", token.start_pos)

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
    """The range of an axis that one subscript takes, as in ONNX's Slice: an open end is the largest integer."""

    start: int
    end: int
    step: int = 1
    single: bool = False

    @property
    def bounds(self) -> tuple[int, int, int]:
        return self.start, self.end, self.step


_WHOLE = _Range(0, LARGEST_INTEGER)


def _applied(operation: str, position: Token, operands: list[Expr], **attributes: Any) -> Call:
    """Apply an operation that is written by a sign; `position` is that sign's token."""
    named = [(Token.new_borrow_pos("NAME", name, position), value) for name, value in attributes.items()]
    return Call(Token.new_borrow_pos("NAME", operation, position), operands, named)


_WORDS = {"NaN": "NaN", "true": True, "false": False}


@cache  # built for the first expression, so that the service starts faster
def _parser() -> Lark:
    grammar = "expression.lark"
    return Lark.open(
        grammar, rel_to=__file__, parser="lalr", lexer="basic", transformer=_Callbacks(), maybe_placeholders=False
    )


def read_statements(text: str, max_depth: int) -> list[Statement]:
    """Read the statements of a text. Raises SourceError, or LimitExceeded for brackets more than `max_depth` deep.

    The parser is fed token by token, since a newline within brackets is blank space.
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
        raise SourceError(unknown_character(error.char), error.pos_in_stream) from None
    except UnexpectedToken as error:
        raise unexpected_token(text, error.token, error.expected, previous, opened) from None
    return statements


def read_number(token: Token) -> float:
    """Read a number; digits alone are an int, as in JSON. Raises SourceError for one out of float64's range."""
    value = float(token)
    vanishes = value == 0.0 and token.lower().partition("e")[0].strip("0.")
    if math.isinf(value) or vanishes:
        raise SourceError(f"{quote(token)} is out of float64's range", token.start_pos)
    return int(value) if token.isdigit() and value < 2**53 else value
