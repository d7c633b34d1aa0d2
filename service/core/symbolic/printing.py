"""Write terms in the service's expression language, in LaTeX and in MathML.

A shared term is written once and then copied. The text can be exponentially long in the number of terms, so that its
length is limited.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np

from service.core.errors import LimitExceeded
from service.core.figures.text import exact_text, figure_text, number_text
from service.core.rulebook import notation
from service.core.rulebook.notation import ATOM, PRODUCT, SIGN, Notation, Rendered, fenced, function, is_tall, row
from service.core.rulebook.tensor import Tensor
from service.core.symbolic.term import Application, Literal, Term, Variable, evaluation_order

LONGEST_FORMULA = 1_000_000  # characters, unless the caller says otherwise


@dataclass(frozen=True, slots=True)
class _Language:
    compose: Callable[[Notation, Sequence[Rendered], Sequence[str]], Rendered]
    number: Callable[[float], Rendered]
    variable: Callable[[Variable], str]
    attribute: Callable[[str, Any], str]


def write_text(term: Term, most: int | None = LONGEST_FORMULA) -> str:
    """Write a term in the expression language. Raises LimitExceeded for more than `most` characters."""
    return _write(term, _TEXT, most)


def write_latex(term: Term, most: int | None = LONGEST_FORMULA) -> str:
    """Write a term in LaTeX's math mode; raises as `write_text`."""
    return _write(term, _LATEX, most)


def write_mathml(term: Term, most: int | None = LONGEST_FORMULA) -> str:
    """Write a term in presentation MathML, to stand within `<math>`; raises as `write_text`."""
    return _write(term, _MATHML, most)


def write_plain(term: Term, most: int | None = LONGEST_FORMULA) -> Rendered:
    """Write a term for a sentence, in a textbook's signs and six significant digits; raises as `write_text`."""
    return _rendered(term, _PLAIN, most)


def write_digits(term: Term, most: int | None = LONGEST_FORMULA) -> str:
    """Write a term in a textbook's signs with all digits; raises as `write_text`."""
    return _write(term, _DIGITS, most)


def _write(term: Term, language: _Language, most: int | None) -> str:
    return _rendered(term, language, most).text


def _rendered(term: Term, language: _Language, most: int | None) -> Rendered:
    """Write a term from the leaves up, without recursion; drop a part's text after its last use."""
    order = evaluation_order(term)
    readers = Counter(id(x) for part in order if isinstance(part, Application) for x in part.operands)
    written: dict[int, Rendered] = {}
    for part in order:
        match part:
            case Variable():
                written_so = language.variable(part)
                text = Rendered(written_so, part.binds, is_tall(written_so))
            case Literal(value):
                text = language.number(value)
            case Application(_, operands, attributes):
                if most is not None and any(isinstance(x, Tensor) and 2 * x.array.size > most for _, x in attributes):
                    raise _too_long(most)
                text = _compose(part, [written[id(x)] for x in operands], language)
                for x in operands:
                    readers[id(x)] -= 1
                    if not readers[id(x)]:
                        del written[id(x)]
        if most is not None and len(text.text) > most:
            raise _too_long(most)
        written[id(part)] = text
    return written[id(term)]


def _too_long(most: int) -> LimitExceeded:
    return LimitExceeded("formula_characters", most, None, f"a formula has at most {most} characters")


def _compose(application: Application, operands: Sequence[Rendered], language: _Language) -> Rendered:
    operation, given = application.operation, dict(application.attributes)
    attributes = []
    for each in operation.attributes:
        name, default = each.numpy or (each.name, each.default)
        if each.name in given and (each.required or value_text(given[each.name]) != value_text(default)):
            value = given[each.name]
            attributes.append(language.attribute(name, value[0] if each.numpy and _is_single(value) else value))
    # One operand of Max would read as a reduction; the operation's own name never does. A sign has no place for
    # attributes: x.T is one, and transpose(x, perm=[0, 2, 1]) is not.
    only_one = operation.fold is not None and len(operands) == 1
    signed = attributes and "%(all)s" not in operation.notation.text
    return language.compose(
        function(operation.name) if only_one or signed else operation.notation, operands, attributes
    )


def _is_single(value: Any) -> bool:
    """Whether a value is a list of one number, for which NumPy's axis is that number."""
    return isinstance(value, tuple) and len(value) == 1


# --- the expression language ----------------------------------------------------------------------------------------


def name_text(name: str) -> str:
    """Write a node's name in the expression language: in backquotes unless it is an identifier other than pi."""
    return name if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) and name != "pi" else f"`{name}`"


def _number_text(value: float) -> Rendered:
    text = number_text(value)
    if not math.isfinite(value):
        return Rendered(f"Constant(value={text})")
    return Rendered(text, SIGN if text.startswith("-") else ATOM)


def value_text(value: Any) -> str:
    """Write an attribute's value or a tensor in the expression language."""
    if isinstance(value, Variable):
        return name_text(value.name)
    if isinstance(value, Application):
        return write_text(value)
    if isinstance(value, Tensor):
        return f'"{lengths}"' if (lengths := value.lengths_text) else f"[{', '.join(map(_row_text, value.array))}]"
    return number_text(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _row_text(row: Any) -> str:
    return number_text(row) if row.ndim == 0 else f"[{', '.join(map(_row_text, row))}]"


# --- LaTeX ----------------------------------------------------------------------------------------------------------

_LATEX_SIGNS = {
    **{sign: rf"\{sign}" for sign in "{}_%&#$"},
    **{"\\": r"\backslash{}", "^": r"\wedge{}", "~": r"\sim{}", " ": r"\ "},
}


def name_latex(name: str) -> str:
    """Write a name upright, a single letter in italics; escape LaTeX's special characters."""
    if len(name) == 1 and name.isalpha():
        return name
    signs = (
        _LATEX_SIGNS.get(sign, sign if not sign.isascii() or sign.isalnum() else rf"\text{{{sign}}}") for sign in name
    )
    return rf"\mathrm{{{''.join(signs)}}}"


def _number_latex(value: float) -> Rendered:
    digits, _, exponent = number_text(value).partition("e")
    text = digits.replace("Infinity", r"\infty").replace("NaN", r"\mathrm{NaN}")
    if exponent:
        text = rf"{text} \cdot 10^{{{int(exponent)}}}"
    return Rendered(text, PRODUCT if exponent else SIGN if text.startswith("-") else ATOM)


def _value_latex(value: Any) -> str:
    if isinstance(value, Tensor):
        value = value.array.tolist()
    if isinstance(value, list | tuple):
        return rf"\left[{', '.join(map(_value_latex, value))}\right]"
    if isinstance(value, Variable):
        return _variable_latex(value)
    if isinstance(value, Application):
        return write_latex(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _number_latex(value).text if is_number else name_latex(_word(value))


def _variable_latex(variable: Variable) -> str:
    return variable.latex or name_latex(variable.name)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# --- MathML -----------------------------------------------------------------------------------------------------------


def name_mathml(name: str) -> str:
    """Write a name as an identifier."""
    return f"<mi>{escape(name)}</mi>"


def _number_mathml(value: float) -> Rendered:
    digits, _, exponent = number_text(value).partition("e")
    text = digits.replace("Infinity", "∞").removeprefix("-")
    number = f"<mn>{text}</mn>"
    if exponent:
        power = _number_mathml(int(exponent)).text
        number = row(f"{number}<mo>·</mo><msup><mn>10</mn>{power}</msup>")
    if digits.startswith("-"):
        number = row(f"<mo>−</mo>{number}")
    return Rendered(number, _number_latex(value).binds, bool(exponent))


def _value_mathml(value: Any) -> str:
    if isinstance(value, Tensor):
        value = value.array.tolist()
    if isinstance(value, list | tuple):
        return fenced("[", "<mo>,</mo>".join(map(_value_mathml, value)), "]", tall=False)
    if isinstance(value, Variable):
        return _variable_mathml(value)
    if isinstance(value, Application):
        return write_mathml(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _number_mathml(value).text if is_number else name_mathml(_word(value))


def _variable_mathml(variable: Variable) -> str:
    return variable.mathml or name_mathml(variable.name)


_TEXT = _Language(
    notation.write_text,
    _number_text,
    lambda variable: variable.text or name_text(variable.name),
    lambda name, value: f"{name}={value_text(value)}",
)
_LATEX = _Language(
    notation.write_latex,
    _number_latex,
    _variable_latex,
    lambda name, value: f"{name_latex(name)} = {_value_latex(value)}",
)
_MATHML = _Language(
    notation.write_mathml,
    _number_mathml,
    _variable_mathml,
    lambda name, value: row(f"{name_mathml(name)}<mo>=</mo>{_value_mathml(value)}"),
)


def _number_plain(value: float) -> Rendered:
    text = figure_text(np.float64(value))
    return Rendered(text, PRODUCT if "/" in text else SIGN if text.startswith("−") else ATOM)


_PLAIN = _Language(
    notation.write_plain,
    _number_plain,
    lambda variable: variable.plain or variable.text or name_text(variable.name),
    lambda name, value: f"{name}={value_text(value)}",
)


def _number_digits(value: float) -> Rendered:
    text = exact_text(value).replace("-", "−")
    return Rendered(text, SIGN if text.startswith("−") else ATOM)


_DIGITS = replace(_PLAIN, number=_number_digits)
