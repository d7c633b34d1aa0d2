"""What the expression language refuses, where, and in which words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.errors import InvalidExpression, LimitExceeded
from service.core.language.expression import parse_expression
from tests.examples import examples

MAX_BYTES = 65_536
MAX_DEPTH = 200


def refusal(text: str) -> InvalidExpression:
    """The error that a text meets."""
    with pytest.raises(InvalidExpression) as caught:
        parse_expression(text, max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    return caught.value


# Each text, the line and column of its fault, and words of what is said.
FAULTS = [
    # nothing there
    ("", 1, 1, "the expression is empty"),
    (" ; \n\n ;", 1, 1, "the expression is empty"),
    ("# only a comment", 1, 1, "the expression is empty"),
    # an operand is missing
    ("x +", 1, 4, "a name, a number or a bracket is expected, but the statement ends here"),
    ("x +   # nothing", 1, 4, "a name, a number or a bracket is expected, but the statement ends here"),
    ("x +\ny", 1, 4, "a name, a number or a bracket is expected, but the statement ends here"),
    ("x *; y", 1, 4, "a name, a number or a bracket is expected, but the statement ends here"),
    ("y =", 1, 4, "a name, a number or a bracket is expected, but the statement ends here"),
    ("a + * b", 1, 5, 'a name, a number or a bracket is expected, but "*" was found'),
    ("* b", 1, 1, 'a name, a number or a bracket is expected, but "*" was found'),
    ("a < < b", 1, 5, 'a name, a number or a bracket is expected, but "<" was found'),
    ("a - ÷ b", 1, 5, 'but "÷" (U+00F7, DIVISION SIGN) was found'),
    ("()", 1, 2, 'a name, a number or a bracket is expected, but ")" was found'),
    ("max(a, )", 1, 8, 'a name, a number or a bracket is expected, but ")" was found'),
    ("max(, a)", 1, 5, 'a name, a number or a bracket is expected, but "," was found'),
    # multiplication is not implicit
    ("2x", 1, 2, 'a product is written with "*": between "2" and "x" a sign is missing'),
    ("2 x", 1, 3, 'a product is written with "*": between "2" and "x"'),
    ("(a)(b)", 1, 4, 'a product is written with "*": between ")" and "("'),
    ("x 2", 1, 3, 'a product is written with "*": between "x" and "2"'),
    ("sin(x) y", 1, 8, 'a product is written with "*": between ")" and "y"'),
    ("x `y`", 1, 3, 'a product is written with "*": between "x" and "`y`"'),
    ("2(x)", 1, 2, 'a product is written with "*": between "2" and "("'),
    ("x = 3; x(2)", 1, 8, '"x" names a node, and only an operation can be called; a product is written with "*"'),
    ("`sin`(x)", 1, 1, '"`sin`" names a node, and only an operation can be called'),
    # comparisons
    ("a < b < c", 1, 7, "comparisons do not chain"),
    ("a == (b) != c", 1, 10, "comparisons do not chain"),
    ("max(a < b <= c, d)", 1, 11, "comparisons do not chain"),
    # brackets
    ("x = (a + b", 1, 5, 'this "(" is not closed'),
    ("x = (a + b\ny = c", 1, 5, 'this "(" is not closed'),
    ("x = (a + b\r\ny = c)", 1, 5, 'this "(" is not closed'),
    ("x = ((a + b\n)", 1, 5, 'this "(" is not closed'),
    ("x = (a; b)", 1, 5, 'this "(" is not closed'),
    ("x = max(a, (b)", 1, 8, 'this "(" is not closed'),
    ("Constant(value=[1, 2", 1, 16, 'this "[" is not closed'),
    ("a)", 1, 2, '")" closes no bracket'),
    ("a]", 1, 2, '"]" closes no bracket'),
    ("(a]", 1, 3, '")" is expected, but "]" was found'),
    ("(a, b)", 1, 3, '")" is expected, but "," was found'),
    ("a, b", 1, 2, 'the end of the statement is expected, but "," was found'),
    # equals signs
    ("a = b = c", 1, 7, '"=" stands once in a statement, after a name or F(a, b); a comparison is written "=="'),
    ("3 = x", 1, 3, '"=" stands once in a statement'),
    ("(x) = 2", 1, 5, '"=" stands once in a statement'),
    ("a == b = c", 1, 8, '"=" stands once in a statement'),
    ("a = (b = c)", 1, 8, '"=" stands once in a statement'),
    # headers
    ("F(a + 1) = a", 1, 1, 'before "=" stands a name, or a name and its inputs as in F(a, b)'),
    ("F(2) = a", 1, 1, 'before "=" stands a name, or a name and its inputs'),
    ("F(a, b=1) = a", 1, 1, 'before "=" stands a name, or a name and its inputs'),
    ("F(a, b, a) = a", 1, 9, 'the input "a" is listed twice'),
    ("F(a, `a`) = a", 1, 6, 'the input "a" is listed twice'),
    ("F(a) = a; G(a) = a", 1, 11, "only one statement may list its inputs in brackets"),
    ("F(a) = a;\nb = 2 * x", 2, 9, '"x" is neither assigned nor an input of the header'),
    ("F() = x", 1, 7, '"x" is neither assigned nor an input of the header'),
    ("F(a) = `pi` * a", 1, 8, '"pi" is neither assigned nor an input of the header'),
    ("F(a, b) = a * b; a = 2", 1, 3, '"a" is listed as an input, and is assigned too'),
    ("F(F) = 2", 1, 3, '"F" is listed as an input, and is assigned too'),
    ("F(output) = output; F + 1", 1, 3, '"output" is listed as an input, and is assigned too'),
    # names
    ("a = 1; b = 2\na = 3", 2, 1, '"a" is assigned twice'),
    ("a = 1; `a` = 3", 1, 8, '"a" is assigned twice'),
    ("x + 1; y + 1", 1, 8, "the result of an expression without a name is named output, and that name is taken"),
    ("output = 1; x", 1, 13, "the result of an expression without a name is named output"),
    ("x; output = 1", 1, 4, "the result of an expression without a name is named output"),
    ("2 * output", 1, 1, "the result of an expression without a name is named output"),
    ("x; Constant(value=2)", 1, 4, "the result of an expression without a name is named output"),
    ("`" + "a" * 257 + "` + 1", 1, 1, "a node's name has 1 to 256 characters; this one has 257"),
    ("x + `a\x07`", 1, 5, "a node's name has no control characters"),
    ("x + ``", 1, 5, "a name in backquotes is not empty, and ends on its line"),
    ("x + `a\nb`", 1, 5, "a name in backquotes is not empty, and ends on its line"),
    # characters
    ("ﬁ + 1", 1, 1, '"ﬁ" (U+FB01, LATIN SMALL LIGATURE FI) cannot stand in a name, unless the name is in backquotes'),
    ("x + naïve", 1, 7, '"ï" (U+00EF, LATIN SMALL LETTER I WITH DIAERESIS) cannot stand in a name'),
    ("x₂", 1, 2, '"₂" (U+2082, SUBSCRIPT TWO) has no meaning in an expression'),
    ("x +\u00a0y", 1, 4, "(U+00A0, NO-BREAK SPACE) has no meaning in an expression"),
    ("x + \ue000", 1, 5, "(U+E000, a character without a name) has no meaning in an expression"),
    ("x + \ud800", 1, 5, "half of a surrogate pair is no character"),
    ("x $ y", 1, 3, '"$" has no meaning in an expression'),
    ("x ! y", 1, 3, '"!" has no meaning in an expression'),
    ("x = 'a", 1, 5, "a text in quotes ends on its line with another quote"),
    ("x\x00", 1, 2, '"\x00" has no meaning in an expression'),
    # dots
    ("x.y", 1, 2, "a dot stands only within a number and in .T; a name with a dot in it stands in backquotes"),
    ("x.5", 1, 2, "a dot stands only within a number"),
    ("1.5.2", 1, 4, "a dot stands only within a number"),
    ("1..2", 1, 3, "a dot stands only within a number"),
    ("(x).real", 1, 4, "a dot stands only within a number"),
    ("`x`.5", 1, 4, "a dot stands only within a number"),
    (". + 1", 1, 1, "a dot stands only within a number"),
    ("y + x.detach()", 1, 6, "a method is written as a function: detach(x), not x.detach()"),
    ("sum(x).detach() * 2", 1, 7, "a method is written as a function: detach(…), not ….detach()"),
    ("net.weight.sum()", 1, 4, "a method is written as a function: sum(net.weight), not net.weight.sum()"),
    ("y = np.exp(x)", 1, 7, "a function is written without its library: exp(…), not np.exp(…)"),
    ("torch.nn.functional.relu(x)", 1, 6, "without its library: relu(…), not torch.nn.functional.relu(…)"),
    # numbers
    ("x + 1e999", 1, 5, '"1e999" is out of float64\'s range'),
    ("x * -1e-999", 1, 6, '"1e-999" is out of float64\'s range'),
    ("elu(x, alpha=1e400)", 1, 14, '"1e400" is out of float64\'s range'),
    ("9" * 400, 1, 1, '"' + "9" * 39 + "…\" is out of float64's range"),
    # calls
    ("1 + sinn(x)", 1, 5, 'there is no operation "sinn"; near it are sin, sinh'),
    ("qwertyuiop(x)", 1, 1, 'there is no operation "qwertyuiop"'),
    ("x(y + 1)", 1, 1, 'there is no operation "x"; a product is written with "*"'),
    ("sillu(x)", 1, 1, 'there is no operation "sillu"; near it are silu, '),
    ("silu(x, y)", 1, 1, "Swish takes 1 input; 2 given; it is written silu(x, alpha=1.0)"),
    ("stack()", 1, 1, "stack takes 1 or more inputs; 0 given; it is written stack(x1, x2, …, axis=0)"),
    ("max(x, dim=0)", 1, 8, "ReduceMax has no attribute 'dim'; it is written max(x, axis=None, keepdims=0,"),
    ("F(alpha, b) = alhpa + b", 1, 15, "neither assigned nor an input of the header; near it is alpha"),
    ("square(x, axis=1)", 1, 11, "square has no attribute 'axis'; it is written square(x1)"),
    ("stack(a, b, axis=1.5)", 1, 1, "the axis is a whole number"),
    ('kl_div(p, q, reduction="median")', 1, 1, "one of 'mean', 'sum', 'none' is expected"),
    ("elu(x, 1, 2)", 1, 1, "Elu takes 1 input; 3 given; it is written elu(x, alpha=1.0)"),
    ("elu(x, slope=1)", 1, 8, "Elu has no attribute 'slope'; it is written elu(x, alpha=1.0)"),
    ('sin("x")', 1, 5, "a text in quotes is the value of an attribute, as in gelu(x, approximate"),
    ('gelu("tanh")', 1, 6, "Gelu takes no text there"),
    # bars, roots, superscripts
    ("a | b", 1, 3, '"|" stands on both sides, as in |x|; a product is written with "*", a or b with or(a, b)'),
    ("2|x|", 1, 2, 'a product is written with "*"'),
    ("|a + b", 1, 1, 'this "|" is not closed'),
    ("√x²", 1, 3, "has two readings: write √(x²) or (√x)²"),
    ("√x^2", 1, 3, "has two readings: write √(x²) or (√x)²"),
    ("2√x", 1, 2, 'a product is written with "*": between "2" and "√"'),
    ("x[..., 0, ...]", 1, 2, '"..." stands once among subscripts'),
    ("Input()", 1, 1, "an input is any name that is not assigned; it is not called"),
    ("a + sin(x, y)", 1, 5, "Sin takes 1 input; 2 given"),
    ("clip()", 1, 1, "Clip takes 1 input; 0 given"),
    ("max()", 1, 1, "Max takes 1 or more inputs; 0 given"),
    ("Constant(2)", 1, 1, "Constant takes 0 inputs; 1 given"),
    # attributes
    ("Constant()", 1, 1, "Constant needs the attribute 'value'"),
    ("elu(x, alpha=1, alpha=2)", 1, 17, 'the attribute "alpha" is given twice'),
    ("elu(x, beta=1)", 1, 8, "Elu has no attribute 'beta'"),
    ("sin(x, alpha=1)", 1, 8, "Sin has no attribute 'alpha'"),
    ("elu(x, alpha=true)", 1, 8, "a number is expected"),
    ("elu(x, alpha=[1, [2, -3]])", 1, 8, "a number is expected"),
    ('elu(x, alpha="two")', 1, 8, "a number is expected"),
    (
        "elu(x, alpha=two)",
        1,
        14,
        'a number, NaN, Infinity, True, False, None, a text in quotes or a list is expected, but "two"',
    ),
    ("elu(x, alpha=-NaN)", 1, 15, 'or a list is expected, but "NaN" was found'),
    ("elu(x, alpha=-true)", 1, 15, 'or a list is expected, but "true" was found'),
    ("elu(x, alpha=(1, 2))", 1, 8, "a number is expected"),
    ("elu(x, alpha=--1)", 1, 15, 'a number is expected, but "-" was found'),
    ("elu(x, alpha=2 y)", 1, 16, '"," or ")" is expected, but "y" was found'),
    ("elu(x, alpha=[1 2])", 1, 17, '"," or "]" is expected, but "2" was found'),
    ("elu(alpha=1, x)", 1, 15, 'an attribute such as alpha=2 is expected, but ")" was found'),
    ("elu(alpha=1, 2)", 1, 14, 'an attribute such as alpha=2 is expected, but "2" was found'),
    (r'elu(x, alpha="\q")', 1, 14, "a text in quotes is written as in JSON"),
    (r'elu(x, alpha="\ud800")', 1, 14, "a text in quotes is written as in JSON"),
    ('elu(x, alpha="a\nb")', 1, 14, "a text in quotes ends on its line with another quote"),
    # what a later issue adds
    ("x.t", 1, 2, "a dot stands only within a number and in .T"),
    ("x.Tb", 1, 2, "a dot stands only within a number"),
    ("x.T.5", 1, 4, "a dot stands only within a number"),
    ("a @", 1, 4, "a name, a number or a bracket is expected, but the statement ends here"),
    ("@ a", 1, 1, 'a name, a number or a bracket is expected, but "@" was found'),
    ("x[1.5]", 1, 3, 'an index is a whole number, but "1.5" was found'),
    ("x[-1e0]", 1, 4, 'an index is a whole number, but "1e0" was found'),
    ("x[a]", 1, 3, "a subscript is a whole number, a range such as 1:3, ... or None; by a node: gather(x, a)"),
    ("x[]", 1, 3, 'a whole number, a range such as 1:3 or ... is expected, but "]" was found'),
    ("x[1:2:3:4]", 1, 8, '"," or "]" is expected, but ":" was found'),
    ("x[0", 1, 2, 'this "[" is not closed'),
    ("[[1, 2", 1, 2, 'this "[" is not closed'),
    ("x[0)", 1, 4, '"," or "]" is expected, but ")" was found'),
    ("[1 2]", 1, 4, 'between "1" and "2" a sign is missing: "," between elements, "*" in a product'),
    ("x[0] = 1", 1, 6, '"=" stands once in a statement'),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), FAULTS)
def test_a_fault_is_named_at_its_place(text: str, line: int, column: int, words: str) -> None:
    error = refusal(text)
    assert words in error.detail
    assert (error.line, error.column) == (line, column)
    assert error.detail.startswith(f"line {line}, column {column}: ")
    (fault,) = error.faults
    assert fault.location == ("expression",)


def test_the_place_is_the_line_with_a_caret_below() -> None:
    assert refusal("e = a + b\nF = e * (c + \t)\nG = 1").excerpt == "F = e * (c +  )\n              ^"
    assert refusal("x\r2y\rz").excerpt == "2y\n ^"
    assert refusal("x +").excerpt == "x +\n   ^"
    assert refusal("\ud800").excerpt == " \n^"


@pytest.mark.parametrize("before", [0, 40, 41, 10_000])
@pytest.mark.parametrize("after", [0, 40, 41, 10_000])
def test_a_long_line_is_shortened_around_the_place(before: int, after: int) -> None:
    error = refusal("y = 2\n" + "a" * before + "$" + "b" * after + "\nz = 2")
    shown, caret = error.excerpt.split("\n")
    assert shown[caret.index("^")] == "$"
    assert (error.line, error.column) == (2, before + 1)
    left, right = shown.split("$")
    assert left == ("…" if before > 40 else "") + "a" * min(before, 40)
    assert right == "b" * min(after, 40) + ("…" if after > 40 else "")


# --- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 11, "`ééééé`", "é" * 6, "\n" * 11])
def test_a_text_of_too_many_bytes_is_refused(text: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse_expression(text, max_bytes=10, max_depth=MAX_DEPTH)
    error = caught.value
    size = len(text.encode())
    assert (error.limit, error.maximum, error.actual) == ("expression_bytes", 10, size)
    assert error.detail == f"an expression has at most 10 bytes in UTF-8; this one has {size}"


def test_a_text_of_as_many_bytes_as_allowed_is_read() -> None:
    assert parse_expression("`éééé`", max_bytes=10, max_depth=0)[0].name == "éééé"


@pytest.mark.parametrize(
    "text", ["(" * 4, "max(a, b, (c + sin(d * (e))))", "(" * 4 + "x" + ")" * 4, "Constant(value=[[[1]]])"]
)
def test_brackets_nested_too_deep_are_refused(text: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse_expression(text, max_bytes=MAX_BYTES, max_depth=3)
    error = caught.value
    assert (error.limit, error.maximum) == ("expression_depth", 3)
    assert error.detail == "brackets are at most 3 deep in an expression; this one goes deeper"


@pytest.mark.parametrize(
    "text", ["(((x)))", "((x)) * ((y)) - max(((z)), 2)", "`((((` + 1 # ((((", "max(min(a, sin(b)), min(c, sin(d)))"]
)
def test_brackets_as_deep_as_allowed_are_read(text: str) -> None:
    assert parse_expression(text, max_bytes=MAX_BYTES, max_depth=3)


# --- whatever comes, and as much of it as is allowed --------------------------------------------------------------


ROOM = examples(MAX_BYTES // 6) * 6  # the service's default in the thorough profile


def repeated(piece: str, end: str = "") -> str:
    """As many of the piece as there is room for, and an end."""
    return piece * ((ROOM - len(end)) // len(piece)) + end


# Each text, and how many nodes it has; None where it is refused.
LONGEST = {
    "sum": (repeated("1+", "1"), ROOM - 1),
    "power": (repeated("x^", "x"), ROOM // 2),
    "signs": (repeated("-", "x"), ROOM),
    "plus signs": (repeated("+", "x"), 2),
    "brackets": ("(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH, 2),
    "calls": ("sin(" * MAX_DEPTH + "x" + ")" * MAX_DEPTH, 1 + MAX_DEPTH),
    "operands": ("max(" + repeated("x,", "x)")[4:], 2),
    "separators": (repeated(";"), None),
    "newlines": (repeated("\n"), None),
    "open brackets in range": ("(" * MAX_DEPTH, None),
    "statements": ("".join(f"a{position:x}=b\n" for position in range(ROOM // 10)), 1 + ROOM // 10),
    "blanks": (repeated(" ", "x"), 2),
    "comment": (repeated("#", "\nx"), 2),
    "digits": (repeated("0", "1"), 1),
    "fraction": ("0." + repeated("1")[2:], 1),
    "exponent": ("1e" + repeated("0")[2:], 1),
    "great exponent": ("1e" + repeated("9")[2:], None),
    "name": (repeated("x"), None),
    "function": (repeated("x", "(y)"), None),
    "list": ("elu(x,alpha=[" + repeated("1,")[20:] + "1])", None),
    "quote": ('elu(x,alpha="' + repeated("a")[20:] + '")', None),
    "backslashes": ('elu(x,alpha="' + repeated("\\")[20:] + '")', None),
    "backquotes": (repeated("`"), None),
    "side by side": (repeated("x "), None),
    "assignments": (repeated("a="), None),
    "fault at the end": (repeated("x+", "$"), None),
    "header": ("F(" + ",".join(f"a{position}" for position in range(ROOM // 8)) + ")=1", 1 + ROOM // 8),
    "names that are taken": (
        ";".join(f"a{position}=mul_{position}*x*y" for position in range(ROOM // 28)),
        2 + 3 * (ROOM // 28),
    ),
}


@pytest.mark.parametrize("kind", LONGEST)
def test_the_longest_texts_are_read_or_refused(kind: str) -> None:
    text, nodes = LONGEST[kind]
    assert len(text) <= ROOM
    if nodes is None:
        assert refusal(text).detail
    else:
        assert len(parse_expression(text, max_bytes=ROOM, max_depth=MAX_DEPTH)) == nodes


TOKENS = st.sampled_from(
    [
        *"+-−*×·/÷^<>≤≥≠=()[],;.\n\r #\"'`$ﬁ²@\\",
        *[
            "a",
            "b",
            "F",
            "pi",
            "output",
            "sin",
            "max",
            "Elu",
            "alpha",
            "value",
            "true",
            "NaN",
            "Infinity",
            "1",
            "2.5",
            ".5",
            "1e3",
            "1e999",
            "**",
            "<=",
            "==",
            "!=",
        ],
        *("`n 1`", '"text"'),
    ]
)


@given(st.one_of(st.text(), st.lists(TOKENS, max_size=30).map("".join), st.lists(TOKENS, max_size=30).map(" ".join)))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        nodes = parse_expression(text, max_bytes=100, max_depth=3)
    except InvalidExpression as error:
        shown, caret = error.excerpt.split("\n")
        assert caret.strip() == "^"
        assert len(caret) <= len(shown) + 1
        assert 1 <= error.line <= 1 + text.count("\n") + text.count("\r")
    except LimitExceeded as error:
        assert error.limit in ("expression_bytes", "expression_depth")
    else:
        names = [node.name for node in nodes]
        assert len(set(names)) == len(names)
        assert all(source in names for node in nodes for source in node.inputs)
