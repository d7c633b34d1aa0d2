"""How an operation is written: templates for the service's own expression language and for LaTeX.

A template names its operands `%(0)s`, `%(1)s` …, or `%(all)s` for all of them parted by commas. An operand that binds
less tightly than the template needs is put in brackets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# How tightly what is written binds, loosest first; an exponent binds tighter than a sign: −x² is −(x²).
OPEN, COMPARISON, SUM, PRODUCT, SIGN, POWER, ATOM = range(7)


@dataclass(frozen=True, slots=True)
class Notation:
    """Two templates, how tightly their result binds, and how tightly each operand must bind to need no brackets."""

    text: str
    latex: str
    binds: int = ATOM
    text_needs: tuple[int, ...] = ()
    latex_needs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """Something written in one of the two languages, and how tightly it binds."""

    text: str
    binds: int = ATOM


def infix(sign: str, latex: str, binds: int) -> Notation:
    """A left-associative sign between two operands."""
    needs = (binds, binds + 1)
    return Notation(f"%(0)s {sign} %(1)s", f"%(0)s {latex} %(1)s", binds, needs, needs)


def function(name: str, latex: str | None = None) -> Notation:
    """A name before its arguments in brackets; `latex` is the command that typesets the name."""
    command = latex or rf"\operatorname{{{name.replace('_', chr(92) + '_')}}}"
    return Notation(f"{name}(%(all)s)", rf"{command}\left(%(all)s\right)")


def write_text(notation: Notation, operands: Sequence[Written], attributes: Sequence[str] = ()) -> Written:
    """Put operands into the template of the expression language; attributes follow as `name=value`."""
    return _write(notation.text, notation.text_needs, "(%s)", notation.binds, operands, attributes)


def write_latex(notation: Notation, operands: Sequence[Written], attributes: Sequence[str] = ()) -> Written:
    """Put operands into the template of LaTeX; attributes follow as `name=value`."""
    return _write(notation.latex, notation.latex_needs, r"\left(%s\right)", notation.binds, operands, attributes)


def _write(
    template: str,
    needs: Sequence[int],
    brackets: str,
    binds: int,
    operands: Sequence[Written],
    attributes: Sequence[str],
) -> Written:
    bracketed = [
        brackets % operand.text if operand.binds < least else operand.text
        for operand, least in zip(operands, needs or (OPEN,) * len(operands), strict=True)
    ]
    places = {str(place): text for place, text in enumerate(bracketed)}
    return Written(template % {**places, "all": ", ".join([*bracketed, *attributes])}, binds)
