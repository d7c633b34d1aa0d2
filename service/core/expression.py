"""The expression language: text → node documents → text. Nothing is evaluated, and nothing recurses over the text."""

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from service.core.errors import InvalidExpression, LimitExceeded
from service.core.graph import Graph, Node, arity_faults, name_fault, read_attributes, written_attribute
from service.core.notation import Written, write_text
from service.core.operation import Operation, find, operations
from service.core.symbol import number_text

# Signs bind as in mathematics and in Python, loosest first: −x^2 is −(x^2), and 2^-x needs no brackets.
_GRAMMAR = r"""
start: (_SEPARATOR | statement _SEPARATOR)* statement?
statement: comparison ["=" comparison]

?comparison: sum
    | sum COMPARISON sum -> binary
?sum: product
    | sum (PLUS | MINUS) product -> binary
?product: signed
    | product TIMES signed -> binary
?signed: power
    | (PLUS | MINUS) signed -> unary
?power: atom
    | atom POWER signed -> binary
?atom: NUMBER | NAME | QUOTED
    | NAME "(" [argument ("," argument)*] ")" -> call
    | "(" comparison ")"

?argument: comparison
    | NAME "=" setting -> attribute
?setting: number | STRING | list
number: [PLUS | MINUS] (NUMBER | NAME)
list: "[" [setting ("," setting)*] "]"

COMPARISON: "<=" | ">=" | "==" | "!=" | "<" | ">" | "≤" | "≥" | "≠"
PLUS: "+"
MINUS: "-" | "−"
POWER.2: "^" | "**"
TIMES: "*" | "×" | "·" | "/" | "÷"
NUMBER: /(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
QUOTED: /`[^`\n]*`/
STRING: /"[^"\n]*"/
_SEPARATOR: /;|\r?\n/
COMMENT: /#[^\n]*/
%ignore COMMENT
%ignore /[ \t\f]+/
"""

_REDUCTIONS = {"max": "ReduceMax", "min": "ReduceMin", "sum": "ReduceSum", "mean": "ReduceMean"}
_SEVERAL = {"max": "Max", "min": "Min", "sum": "Sum", "mean": "Mean"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACKET_OR_SKIPPED = re.compile(r'[()\[\]]|`[^`\n]*`|"[^"\n]*"|#[^\n]*')


class _NewlinesInBrackets:
    """A line may end within brackets: there a separator that is a newline is blank space."""

    always_accept = ("_SEPARATOR",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            depth += (token.type in ("LPAR", "LSQB")) - (token.type in ("RPAR", "RSQB"))
            if depth <= 0 or token.type != "_SEPARATOR" or token == ";":
                yield token


_PARSER = Lark(_GRAMMAR, parser="lalr", postlex=_NewlinesInBrackets(), maybe_placeholders=False)


def parse_expression(text: str, *, max_bytes: int, max_depth: int) -> list[dict[str, Any]]:
    """The node documents of an expression: Inputs first, in their order, then the rest as the text evaluates them.

    Raises InvalidExpression with line and column; LimitExceeded for a text of more than `max_bytes` in UTF-8 or with
    brackets more than `max_depth` deep. Cycles are left to `build_graph`.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        detail = f"an expression has at most {max_bytes} bytes in UTF-8; this one has {size}"
        raise LimitExceeded("expression_bytes", max_bytes, size, detail)
    _check_depth(text, max_depth)
    text = text if text.endswith("\n") else text + "\n"
    try:
        tree = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    return _Reader(text).read(tree)


def write_expression(graph: Graph) -> str | None:
    """One statement for each node that is not an Input; None where there is none. Parsing it gives the same nodes."""
    computed = [node for node in graph.nodes if node.operation.name != "Input"]
    if not computed:
        return None
    appearing = dict.fromkeys(
        name for node in computed for name in node.inputs if graph.nodes[graph.position[name]].operation.name == "Input"
    )
    statements = [f"{_quoted(node.name)} = {_write_node(node)}" for node in computed]
    if tuple(appearing) != graph.inputs:
        header = ", ".join(map(_quoted, graph.inputs))
        statements[-1] = f"{_quoted(computed[-1].name)}({header}) = {_write_node(computed[-1])}"
    return "; ".join(statements)


def _write_node(node: Node) -> str:
    operation = node.operation
    if operation.name == "Constant":
        value = node.attributes["value"]
        plain = math.isfinite(value) and math.copysign(1.0, value) > 0
        return number_text(value) if plain else f"Constant(value={_write_setting(value)})"
    operands = [Written(_quoted(name)) for name in node.inputs]
    if len(operands) == 1 and operation.fold:  # max(x) would be the greatest element of x
        return f"{operation.name}({operands[0].text})"
    settings = [f"{name}={_write_setting(value)}" for name, value in node.attributes.items() if value is not None]
    return write_text(operation.notation, operands, settings).text


def _write_setting(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_write_setting, value)) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float) and math.isfinite(value):
        return "-0.0" if value == 0 and math.copysign(1.0, value) < 0 else number_text(value)
    return str(written_attribute(value))


def _quoted(name: str) -> str:
    return name if _NAME.fullmatch(name) and name != "pi" else f"`{name}`"


# --- from the parse tree to node documents ------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Step:
    """One node to be, in the order of evaluation; `operation` is None for a name that stands for another node."""

    token: Token
    operation: str | None
    inputs: Sequence["_Step"] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str | None = None


class _Reader:
    """The reading of one text: steps in the order of evaluation, and who was assigned where."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps: list[_Step] = []
        self.assigned: dict[str, _Step] = {}
        self.header: list[str] | None = None

    def read(self, tree: Tree[Token]) -> list[dict[str, Any]]:
        """The node documents of a whole parse tree."""
        if not tree.children:
            raise self.error(Token("END", "", line=1, column=1), "the expression is empty")
        for statement in tree.children:
            assert isinstance(statement, Tree)
            self._read_statement(statement)
        references = [step for step in self.steps if step.operation is None]
        parameters = set(self.header or ())
        for step in references:
            if step.token == "pi" and "pi" not in self.assigned and "pi" not in parameters:
                step.operation, step.attributes = "Constant", {"value": math.pi}
        self._drop_copies_of_pi()
        return self._documents(parameters)

    def error(self, token: Token, detail: str) -> InvalidExpression:
        """An error at the place of a token."""
        return _error(self.text, detail, token.line or 1, token.column or 1)

    def _read_statement(self, statement: Tree[Token]) -> None:
        *target, value = statement.children
        result = self._read_value(value)
        if target:
            token, parameters = self._read_target(target[0])
        else:
            token, parameters = Token.new_borrow_pos("NAME", "output", result.token), None
        name = self._name(token)
        if name in self.assigned:
            said = "a bare expression's result is named 'output', which is taken" if not target else "assigned twice"
            raise self.error(token, f"{said}: {name!r}" if target else said)
        if parameters is not None:
            if self.header is not None:
                raise self.error(token, "only one statement may list its inputs in brackets")
            self.header = parameters
        if result.operation is None:
            result = self._add(_Step(result.token, "Identity", (result,)))
        result.name = name
        self.assigned[name] = result

    def _read_target(self, target: Token | Tree[Token]) -> tuple[Token, list[str] | None]:
        if isinstance(target, Token) and target.type != "NUMBER":
            return target, None
        tokens = target.children if isinstance(target, Tree) and target.data == "call" else []
        if not tokens or not all(isinstance(token, Token) and token.type in ("NAME", "QUOTED") for token in tokens):
            raise self.error(_first_token(target), "before = stands a name, or a name and its inputs: F(a, b) = …")
        parameters: list[str] = []
        for token in tokens[1:]:
            assert isinstance(token, Token)
            if self._name(token) in parameters:
                raise self.error(token, f"the input {self._name(token)!r} is listed twice")
            parameters.append(self._name(token))
        assert isinstance(tokens[0], Token)
        return tokens[0], parameters

    def _read_value(self, value: Token | Tree[Token]) -> _Step:
        """Walk a tree from its leaves up, operands from left to right, with a stack of our own."""
        done: list[_Step] = []
        waiting: list[tuple[Token | Tree[Token], bool]] = [(value, False)]
        while waiting:
            part, ready = waiting.pop()
            if isinstance(part, Token):
                done.append(self._read_leaf(part))
            elif ready:
                self._combine(part, done)
            else:
                waiting.append((part, True))
                waiting.extend((operand, False) for operand in reversed(_operands(part)))
        return done.pop()

    def _read_leaf(self, token: Token) -> _Step:
        if token.type != "NUMBER":
            return self._add(_Step(token, None))
        value = float(token)
        if math.isinf(value):
            raise self.error(token, f"{_shortened(token)} is out of float64's range")
        return self._add(_Step(token, "Constant", attributes={"value": value}))

    def _combine(self, part: Tree[Token], done: list[_Step]) -> None:
        count = len(_operands(part))
        operands = [done.pop() for _ in range(count)][::-1]
        if part.data == "unary":
            sign = part.children[0]
            assert isinstance(sign, Token)
            done.append(operands[0] if sign.type == "PLUS" else self._add(_Step(sign, "Neg", operands)))
        elif part.data == "binary":
            sign = part.children[1]
            assert isinstance(sign, Token)
            operation = find(sign)
            assert operation is not None, sign
            done.append(self._add(_Step(sign, operation.name, operands)))
        else:
            done.append(self._add(self._call(part, operands)))

    def _call(self, part: Tree[Token], operands: list[_Step]) -> _Step:
        token = part.children[0]
        assert isinstance(token, Token)
        name = (_REDUCTIONS if len(operands) == 1 else _SEVERAL).get(token, str(token))
        operation = find(name)
        if operation is None or operation.name == "Input":
            raise self.error(token, self._unknown_function(token, operation))
        for fault in arity_faults(operation, len(operands)):
            raise self.error(token, fault.detail)
        given: dict[str, Any] = {}
        for setting in part.children[1:]:
            if isinstance(setting, Tree) and setting.data == "attribute":
                key, value = setting.children
                assert isinstance(key, Token)
                if key in given:
                    raise self.error(key, f"the attribute {str(key)!r} is given twice")
                given[str(key)] = self._read_setting(value)
        for fault in read_attributes(operation, given)[1]:
            raise self.error(token, fault.detail)
        return _Step(token, operation.name, operands, given)

    def _unknown_function(self, token: Token, operation: Operation | None) -> str:
        if operation is not None:
            return "an input is any name that is not assigned; it is not called"
        if token in self.assigned:
            return f"{str(token)!r} is a node, not an operation; multiplication is written with *"
        near = difflib.get_close_matches(token.lower(), _callable_names(), n=3)
        return f"there is no operation {str(token)!r}" + (f"; near it are {', '.join(near)}" if near else "")

    def _read_setting(self, value: Token | Tree[Token]) -> Any:
        """An attribute's value; lists nest no deeper than brackets may."""
        if isinstance(value, Token):
            return str(value)[1:-1]
        if value.data == "list":
            return [self._read_setting(item) for item in value.children]
        *signs, token = value.children
        assert isinstance(token, Token)
        negative = bool(signs) and signs[0] != "+"
        if token.type == "NUMBER":
            number = int(token) if token.isdigit() and len(token) < 20 else float(token)
            return -number if negative and number else -0.0 if negative else number
        if token in ("true", "false") and not signs:
            return token == "true"
        if token in ("NaN", "Infinity"):
            return f"-{token}" if negative and token == "Infinity" else str(token)
        raise self.error(token, "an attribute is a number, NaN, Infinity, true, false, a text in quotes or a list")

    def _name(self, token: Token) -> str:
        name = str(token)[1:-1] if token.type == "QUOTED" else str(token)
        if wrong := name_fault(name):
            raise self.error(token, wrong)
        return name

    def _add(self, step: _Step) -> _Step:
        self.steps.append(step)
        return step

    def _drop_copies_of_pi(self) -> None:
        """`y = pi` assigns the constant itself, as `y = 3` does."""
        copies = set()
        for name, step in self.assigned.items():
            if step.operation == "Identity" and step.inputs[0].operation == "Constant" and step.inputs[0].token == "pi":
                step.inputs[0].name = name
                copies.add(id(step))
        self.steps = [step for step in self.steps if id(step) not in copies]

    def _documents(self, parameters: set[str]) -> list[dict[str, Any]]:
        inputs = dict.fromkeys(self.header or ())
        for parameter in inputs:
            if parameter in self.assigned:
                raise self.error(self.assigned[parameter].token, f"{parameter!r} is an input, and assigned too")
        for step in self.steps:
            if step.operation is None:
                step.name = self._name(step.token)
                if step.name in self.assigned or step.name in inputs:
                    continue
                if self.header is not None:
                    raise self.error(step.token, f"{step.name!r} is neither assigned nor an input of the header")
                inputs[step.name] = None
        self._name_the_unnamed(self.assigned.keys() | inputs.keys())
        documents: list[dict[str, Any]] = [{"name": name, "operation": "Input"} for name in inputs]
        for step in self.steps:
            if step.operation is None:
                continue
            document: dict[str, Any] = {"name": step.name, "operation": step.operation}
            if step.inputs:
                document["inputs"] = [source.name for source in step.inputs]
            if step.attributes:
                document["attributes"] = step.attributes
            documents.append(document)
        return documents

    def _name_the_unnamed(self, taken: set[str]) -> None:
        counts: dict[str, int] = {}
        for step in self.steps:
            if step.name is not None or step.operation is None:
                continue
            stem = step.operation.lower()
            while True:
                counts[stem] = counts.get(stem, 0) + 1
                step.name = f"{stem}_{counts[stem]}"
                if step.name not in taken:
                    break


def _operands(part: Tree[Token]) -> list[Token | Tree[Token]]:
    if part.data == "unary":
        return part.children[1:]
    if part.data == "binary":
        return [part.children[0], part.children[2]]
    return [child for child in part.children[1:] if isinstance(child, Token) or child.data != "attribute"]


def _callable_names() -> list[str]:
    return [operation.name.lower() for operation in operations()]


# --- errors -------------------------------------------------------------------------------------------------------


def _check_depth(text: str, max_depth: int) -> None:
    depth = 0
    for match in _BRACKET_OR_SKIPPED.finditer(text):
        depth += (match[0] in "([") - (match[0] in ")]")
        if depth > max_depth:
            detail = f"brackets are at most {max_depth} deep in an expression"
            raise LimitExceeded("expression_depth", max_depth, depth, detail)


def _first_token(part: Token | Tree[Token]) -> Token:
    while isinstance(part, Tree):
        part = part.children[0]
    return part


def _syntax_error(text: str, error: UnexpectedInput) -> InvalidExpression:
    if isinstance(error, UnexpectedCharacters):
        return _error(text, _wrong_character(error.char), error.line, error.column)
    assert isinstance(error, UnexpectedToken)
    token, expected = error.token, error.expected
    line, column = token.line or 1, token.column or 1
    value_expected = "NUMBER" in expected
    if token.type in ("_SEPARATOR", "$END"):
        detail = "a value is expected, and here the statement ends" if value_expected else "a bracket is not closed"
        if token.type == "$END":
            lines = text.rstrip("\n").split("\n")
            line, column = len(lines), len(lines[-1]) + 1
    elif token.type in ("NUMBER", "NAME", "QUOTED", "LPAR") and not value_expected:
        detail = f"a sign is missing before {_shortened(token)!r}; multiplication is written with *"
    elif token.type == "COMPARISON":
        detail = "a value is expected" if value_expected else "comparisons do not chain"
    elif token.type == "EQUAL":
        detail = "= stands once in a statement, after the name that is assigned; to compare, write =="
    elif token.type in ("RPAR", "RSQB") and not value_expected:
        detail = f"the bracket {str(token)!r} was never opened"
    else:
        detail = f"{_shortened(token)!r} cannot stand here" + ("; a value is expected" if value_expected else "")
    return _error(text, detail, line, column)


def _wrong_character(character: str) -> str:
    if character == ".":
        return "a dot stands only within a number; a name with a dot in it is written in `backquotes`"
    if character == "`":
        return "a backquote is not closed on its line"
    shown = repr(character) if character.isprintable() else f"U+{ord(character):04X}"
    known = "" if character.isascii() else f" (U+{ord(character):04X})"
    return f"{shown}{known} cannot stand in an expression; a name of other characters is written in `backquotes`"


def _shortened(text: str) -> str:
    text = str(text)  # a token shows itself otherwise
    return text if len(text) <= 40 else text[:39] + "…"


def _error(text: str, detail: str, line: int, column: int) -> InvalidExpression:
    """The line with a caret below the column; of a long line some 30 characters on both sides."""
    lines = text.split("\n")
    whole = lines[line - 1] if line <= len(lines) else ""
    start = max(0, column - 31)
    shown = whole[start : column + 30]
    place = f"{shown}\n{' ' * (column - 1 - start)}^"
    return InvalidExpression(detail, line, column, place)
