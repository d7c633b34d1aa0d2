"""How an operation is written: templates for the service's own expression language, for LaTeX and for MathML.

A template names its operands `%(0)s`, `%(1)s` …, or `%(all)s` for all of them separated by commas. An operand that
binds less tightly than the template needs is put in brackets. In MathML brackets round what is no taller than a line do
not stretch: a font's smallest stretched bracket is too large for it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

# Precedence, loosest first: how tightly a formula binds. An exponent binds tighter than a sign: −x² is −(x²).
OPEN, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(7)


@dataclass(frozen=True, slots=True)
class Notation:
    """Three templates, how tightly their result binds, and how tightly each operand must bind to need no brackets.

    MathML needs the brackets that LaTeX needs; where `mathml` is empty, the name stands before the operands.
    """

    text: str
    latex: str
    binds: int = ATOM
    text_needs: tuple[int, ...] = ()
    latex_needs: tuple[int, ...] = ()
    mathml: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A formula written in one of the languages, how tightly it binds, and whether MathML is taller than a line."""

    text: str
    binds: int = ATOM
    tall: bool = False


def infix(sign: str, latex: str, binds: int, mathml: str = "") -> Notation:
    """Write a left-associative sign between two operands; `mathml` is the sign in MathML if it differs."""
    needs = (binds, binds + 1)
    between = f"%(0)s<mo>{escape(mathml or sign)}</mo>%(1)s"
    return Notation(f"%(0)s {sign} %(1)s", f"%(0)s {latex} %(1)s", binds, needs, needs, row(between))


def function(name: str, latex: str | None = None, mathml: str = "") -> Notation:
    """Write a function call: `latex` is the command that typesets the name, `mathml` the name in MathML."""
    command = latex or rf"\operatorname{{{name.replace('_', chr(92) + '_')}}}"
    called = row(f"<mi>{escape(mathml or name)}</mi><mo>&#x2061;</mo>{fenced('(', '%(all)s', ')')}")
    return Notation(f"{name}(%(all)s)", rf"{command}\left(%(all)s\right)", mathml=called)


def row(mathml: str) -> str:
    """Group elements of MathML in a row."""
    return f"<mrow>{mathml}</mrow>"


def fenced(opening: str, inner: str, closing: str, tall: bool | None = None) -> str:
    """Put MathML between brackets, which stretch if it is tall; in a template, if an operand is."""
    fence = "%(fence)s" if tall is None else _FENCE[tall]
    return row(f"<mo{fence}>{opening}</mo>{inner}<mo{fence}>{closing}</mo>")


def is_tall(mathml: str) -> bool:
    """Whether MathML is taller than a line: it has a fraction, a power, a root or a table."""
    return _TALL.search(mathml) is not None


_FENCE = {False: ' stretchy="false"', True: ""}
_TALL = re.compile("<m(?:frac|sup|subsup|sqrt|root|under|over|underover|table)>")
_MINUS = "<mrow><mo>−</mo>"


def write_text(notation: Notation, operands: Sequence[Rendered], attributes: Sequence[str] = ()) -> Rendered:
    """Put operands into the template of the expression language; attributes follow as `name=value`."""
    return _write(notation, notation.text, notation.text_needs, _plain_brackets, ", ", None, operands, attributes)


def write_latex(notation: Notation, operands: Sequence[Rendered], attributes: Sequence[str] = ()) -> Rendered:
    """Put operands into the template of LaTeX; attributes follow as `name=value`."""
    return _write(notation, notation.latex, notation.latex_needs, _latex_brackets, ", ", "-", operands, attributes)


def write_mathml(notation: Notation, operands: Sequence[Rendered], attributes: Sequence[str] = ()) -> Rendered:
    """Put operands into the template of MathML; attributes follow as `name=value`."""
    template, needs = notation.mathml, notation.latex_needs
    return _write(notation, template, needs, _mathml_brackets, "<mo>,</mo>", _MINUS, operands, attributes)


def _plain_brackets(inner: Rendered) -> str:
    return f"({inner.text})"


def _latex_brackets(inner: Rendered) -> str:
    return rf"\left({inner.text}\right)"


def _mathml_brackets(inner: Rendered) -> str:
    return fenced("(", inner.text, ")", inner.tall)


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN_SIGNS = {" * ": "·", " / ": "/", " - ": " − ", "-%": "−%"}


def write_plain(notation: Notation, operands: Sequence[Rendered], attributes: Sequence[str] = ()) -> Rendered:
    """Put operands into the template of the expression language with the signs of a textbook: 2·x, 1/y, x², −z."""
    template = notation.text
    if template == _POWER and operands[1].text.isdecimal():
        base = operands[0]
        return Rendered(
            (base.text if base.binds == ATOM else f"({base.text})") + operands[1].text.translate(_SUPERSCRIPTS), POWER
        )
    for sign, plain in _PLAIN_SIGNS.items():
        template = template.replace(sign, plain)
    return _write(notation, template, notation.text_needs, _plain_brackets, ", ", "−", operands, attributes)


_POWER = "%(0)s ^ %(1)s"


def _write(
    notation: Notation,
    template: str,
    needs: Sequence[int],
    brackets: Callable[[Rendered], str],
    comma: str,
    minus: str | None,
    operands: Sequence[Rendered],
    attributes: Sequence[str],
) -> Rendered:
    needs = needs or (OPEN,) * len(operands)
    # Bracket a sign that would follow a sign, −(−2); and, except in the expression language, one that would follow an
    # operator, 6 · (−2).
    sign = template.partition("%")[0] if notation.binds == SIGN else None
    after_operator = minus if notation.binds in (SUM, PRODUCT) else None

    def is_bracketed(operand_index: int, operand: Rendered, least: int) -> bool:
        adjacent_sign = sign or (after_operator if operand_index and least > OPEN else None)
        return operand.binds < least or (adjacent_sign is not None and operand.text.startswith(adjacent_sign))

    bracketed = [
        brackets(operand) if is_bracketed(operand_index, operand, least) else operand.text
        for operand_index, (operand, least) in enumerate(zip(operands, needs, strict=True))
    ]
    positions = {str(position): text for position, text in enumerate(bracketed)}
    # An operand without brackets that binds less tightly than the whole lowers its precedence: −x·y binds like x·y.
    unbracketed = (
        operand.binds for operand, least in zip(operands, needs, strict=True) if OPEN < least <= operand.binds
    )
    tall = any(operand.tall for operand in operands)
    text = template % {**positions, "all": comma.join([*bracketed, *attributes]), "fence": _FENCE[tall]}
    return Rendered(text, min([notation.binds, *unbracketed]), tall or is_tall(template))
