"""Read the text of an expression into statements by lark's LALR parser; `expression.lark` is the grammar.

Nothing is evaluated, and nothing recurses over the text.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from service.core.errors import LimitExceeded
from service.core.language.diagnostics import DOT, VALUE, SourceError, quote, unexpected_token, unknown_character
from service.core.rulebook.attribute import LARGEST_INTEGER
from service.core.rulebook.registry import find

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

    def superscript(self, children: list[Any]) -> Call:
        """Read x² as x^2, and x⁻¹ as x^-1."""
        operand, raised = children
        sign, digits = raised[:1], raised.translate(_RAISED)
        exponent: Expr = Token.new_borrow_pos("NUMBER", digits.lstrip("+-"), raised)
        if sign == "⁻":
            exponent = Call(Token.new_borrow_pos("MINUS", "-", raised), [exponent])
        return Call(Token.new_borrow_pos("POWER", "^", raised), [operand, exponent])

    def root(self, children: list[Any]) -> Call:
        sign, operand = children
        return _applied("Sqrt", sign, [operand])

    def absolute(self, children: list[Any]) -> Call:
        bar, operand, _ = children
        return _applied("Abs", bar, [operand])

    def text(self, tokens: list[Token]) -> "_Text":
        return _Text(tokens[0], self.string(tokens))

    def call(self, children: list[Any]) -> Call:
        called, *arguments = children
        attributes = [argument for argument in arguments if isinstance(argument, tuple)]
        operands = arguments[: len(arguments) - len(attributes)]
        if called in _OF_A_LIST and len(operands) == 1 and _is_list(operands[0]):
            operands = _elements(operands[0])
        operands, more = _attributes_by_position(called, operands)
        return Call(called, operands, [*more, *attributes])

    def tensor(self, children: list[Any]) -> Call:
        """A list of numbers is one Constant; of anything else, its elements stacked."""
        bracket, *elements = children
        values = [self.literal(element) for element in elements]
        if _NO_LITERAL in values:
            return _applied("stack", bracket, elements)
        return _applied("Constant", bracket, [], value=values)

    def literal(self, element: "Expr | _Text") -> Any:
        """What a number, or a list of numbers, comes to; _NO_LITERAL for anything else."""
        if isinstance(element, _Text):
            return element.value
        if isinstance(element, Token):
            return self.scalar([element]) if element.type == "NUMBER" or element in _NUMBERS else _NO_LITERAL
        if element.called.type == "LIST" and element.called == "Constant":
            return element.attributes[0][1]
        if element.called.type == "MINUS" and len(element.operands) == 1:
            (token,) = element.operands
            if isinstance(token, Token) and (token.type == "NUMBER" or token == "Infinity"):
                return self.scalar([element.called, token])
        return _NO_LITERAL

    def transpose(self, children: list[Any]) -> Call:
        operand, dot = children
        return _applied("Transpose", dot, [operand])

    def output(self, children: list[Any]) -> Call:
        """Read blog(x, y).F as blog(x, y, output="F")."""
        called, dot = children
        if not isinstance(called, Call) or called.called.type not in CALLABLE:
            raise SourceError(DOT, dot.start_pos)
        name = Token.new_borrow_pos("NAME", "output", dot)
        return Call(called.called, called.operands, [*called.attributes, (name, dot[1:].strip("`"))])

    def index(self, children: list[Any]) -> Call:
        """Make one Slice of all subscripts, then squeeze the axes that a single index reduced to length 1, and
        unsqueeze those that None adds."""
        operand, bracket, *written = children
        subscripts = [each for each in written if each is not _NEW_AXIS]
        ellipses = [axis for axis, limits in enumerate(subscripts) if limits is None]
        if len(ellipses) > 1:
            raise SourceError('"..." stands once among subscripts', bracket.start_pos)
        before = ellipses[0] if ellipses else len(subscripts)  # what follows is counted from the last axis
        ranges = {
            axis if axis < before else axis - len(subscripts): limits
            for axis, limits in enumerate(subscripts)
            if limits not in (None, _WHOLE)
        }
        single = [axis for axis, limits in ranges.items() if limits.single]
        part = operand
        if ranges:
            part = _sliced(bracket, operand, ranges, single)
        added = _new_axes(written)
        if added:
            return _applied("Unsqueeze", bracket, [part], axes=added)
        return part if ranges else _applied("Identity", bracket, [operand])

    def subscript(self, children: list[Any]) -> "_Range | object | None":
        first = children[0]
        if isinstance(first, Token) and first.type == "ELLIPSIS":
            return None
        if isinstance(first, Token) and first.type == "NAME":
            if first != "None":
                known = "a whole number, a range such as 1:3, ... or None"
                raise SourceError(f"a subscript is {known}; by a node: gather(x, {first})", first.start_pos)
            return _NEW_AXIS
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
            quoted = str(tokens[0])
            if quoted.startswith("'"):
                quoted = quoted[1:-1].replace("\\'", "'").replace('"', '\\"').join('""')
            text = json.loads(quoted)
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
    written = "LIST" if position.type in ("LSQB", "LPAR") else "NAME"
    return Call(Token.new_borrow_pos(written, operation, position), operands, named)


def _sliced(bracket: Token, operand: Expr, ranges: "Mapping[int, _Range]", single: Sequence[int]) -> Call:
    """The range of each of these axes, and the axes of a single index taken away."""
    starts, ends, steps = (list(each) for each in zip(*(limits.bounds for limits in ranges.values()), strict=True))
    part = _applied("Slice", bracket, [operand], starts=starts, ends=ends, axes=list(ranges), steps=steps)
    return _applied("Squeeze", bracket, [part], axes=list(single)) if single else part


def _new_axes(subscripts: "Sequence[_Range | object | None]") -> list[int]:
    """Where None among subscripts adds axes to the result; after ... counted from the last."""
    kept = [each for each in subscripts if not (isinstance(each, _Range) and each.single)]
    ellipsis = kept.index(None) if None in kept else len(kept)
    return [place if place < ellipsis else place - len(kept) for place, each in enumerate(kept) if each is _NEW_AXIS]


def _is_list(operand: Any) -> bool:
    return isinstance(operand, Call) and operand.called.type == "LIST"


def _elements(given: Call) -> list[Expr]:
    """The elements of a list in square brackets."""
    if given.called != "Constant":
        return given.operands
    return [_applied("Constant", given.called, [], value=value) for value in given.attributes[0][1]]


def _attributes_by_position(called: Token, operands: list[Any]) -> tuple[list[Expr], list[tuple[Token, Any]]]:
    """Part operands from the texts, and the literals that are more than the operation has operands: these are its
    attributes in their order, as in clip(x, 0, 1). Raises SourceError for a text that is none."""
    operation = find(called)
    texts = [operand for operand in operands if isinstance(operand, _Text)]
    if operation is None or operation.name not in _BY_POSITION:
        if texts:
            detail = f"a text in quotes is the value of an attribute, as in gelu(x, approximate={quote('tanh')})"
            raise SourceError(detail, texts[0].token.start_pos)
        return operands, []
    count = operation.most_inputs
    kept = [each for each in operands if not isinstance(each, _Text)] if count is None else operands[:count]
    extra = texts if count is None else operands[count:]
    values = [_CALLBACKS.literal(each) for each in extra]
    names = [attribute.name for attribute in operation.attributes][: len(extra)]
    if _NO_LITERAL in values or len(names) < len(extra) or any(isinstance(each, _Text) for each in kept):
        if texts:
            raise SourceError(f"{operation.name} takes no text there", texts[0].token.start_pos)
        return operands, []
    given = [_position(each) for each in extra]
    return kept, [
        (Token.new_borrow_pos("NAME", name, token), value)
        for name, token, value in zip(names, given, values, strict=True)
    ]


def _position(part: "Expr | _Text") -> Token:
    return part if isinstance(part, Token) else part.token if isinstance(part, _Text) else part.called


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """A text in quotes among the operands of a call."""

    token: Token
    value: str


_NO_LITERAL = object()
_NEW_AXIS = object()
_WORDS = {"NaN": "NaN", "true": True, "false": False, "True": True, "False": False, "None": None}
_NUMBERS = ("NaN", "Infinity", "true", "false", "True", "False")  # in a list: what is no number is refused later
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_OF_A_LIST = ("stack", "concat", "concatenate")
# The operations whose attributes NumPy and PyTorch take by position too, in the order that they have here.
_BY_POSITION = (
    *("Clip", "LeakyRelu", "Elu", "Celu", "Swish", "Gelu", "Softmax", "LogSoftmax", "CumSum", "CumProd"),
    *("ReduceVar", "ReduceStd", "ReduceLogSumExp", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Einsum"),
)
_CALLBACKS = _Callbacks()


@cache  # built for the first expression, so that the service starts faster
def _parser() -> Lark:
    grammar = "expression.lark"
    return Lark.open(
        grammar, rel_to=__file__, parser="lalr", lexer="basic", transformer=_CALLBACKS, maybe_placeholders=False
    )


def read_statements(text: str, max_depth: int) -> list[Statement]:
    """Read the statements of a text. Raises SourceError, or LimitExceeded for brackets more than `max_depth` deep.

    The parser is fed token by token, since a newline within brackets is blank space.
    """
    parsing = _parser().parse_interactive(text)
    opened: list[Token] = []
    previous: Token | None = None
    after_bars = False  # whether the previous token is a bar that closes
    try:
        for token in parsing.lexer_thread.lex(parsing.parser_state):
            if token.type == "_NEWLINE" and opened:
                continue
            opens = token.type in ("LPAR", "LSQB") or (token.type == "BAR" and not _ends_operand(previous, after_bars))
            if opens and len(opened) == max_depth:
                detail = f"brackets are at most {max_depth} deep in an expression; this one goes deeper"
                raise LimitExceeded("expression_depth", max_depth, None, detail)
            parsing.feed_token(token)
            if opens:
                opened.append(token)
            elif token.type in ("RPAR", "RSQB", "BAR"):
                opened.pop()
            after_bars = token.type == "BAR" and not opens
            previous = token
        statements: list[Statement] = parsing.feed_token(Token("$END", ""))
    except UnexpectedCharacters as error:
        at = error.pos_in_stream or 0
        raise SourceError(unknown_character(text, at), at) from None
    except UnexpectedToken as error:
        raise unexpected_token(text, error.token, error.expected, previous, opened) from None
    return statements


def _ends_operand(previous: Token | None, after_bars: bool) -> bool:
    """Whether a bar behind this token closes; else it opens."""
    return after_bars or (previous is not None and previous.type in _OPERAND_ENDS)


_OPERAND_ENDS = ("NAME", "QUOTED", "NUMBER", "RPAR", "RSQB", "TRANSPOSED", "OUTPUT", "SUPERSCRIPT")
CALLABLE = ("NAME", "QUOTED", "VERSIONED")


def read_number(token: Token) -> float:
    """Read a number; digits alone are an int, as in JSON. Raises SourceError for one out of float64's range."""
    value = float(token)
    vanishes = value == 0.0 and token.lower().partition("e")[0].strip("0.")
    if math.isinf(value) or vanishes:
        raise SourceError(f"{quote(token)} is out of float64's range", token.start_pos)
    return int(value) if token.isdigit() and value < 2**53 else value
