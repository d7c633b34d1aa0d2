"""Equations as people write them: derivatives, sums of their products, and the same with numbers put in.

d marks a gradient of the final quantity, dF/da; ∂ marks the local gradient of one operation, ∂e/∂a. So
dF/da = dF/de · ∂e/∂a, and the two differ even where a node feeds the output itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from service.core.figures.figures import FloatArray
from service.core.figures.text import simple_fraction
from service.core.rulebook.notation import row
from service.core.symbolic.printing import write_latex, write_mathml, write_text
from service.core.symbolic.term import Application, Literal, Symbol, Term, Variable, evaluation_order, term_of

AND_SO_ON = Variable("`…", r"\dots", "…", "<mo>…</mo>")  # no node's name has a backquote
_INFINITY = Variable("`∞", r"\infty", "∞", "<mn>∞</mn>")
_NAN = Variable("`NaN", r"\mathrm{NaN}", "NaN", "<mn>NaN</mn>")
_SIGNS = (AND_SO_ON, _INFINITY, _NAN)


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula as text, in LaTeX, and in MathML to stand within `<math>`.

    The text is in the service's expression language, extended by equations, derivatives and ∞.
    """

    text: str
    latex: str
    mathml: str


@dataclass(frozen=True, slots=True)
class Equation:
    """A formula, and the same with numbers put in; None where one is unknown.

    `fractions` are the numbers with 2/3 for 0.666…, None where none is a simple fraction but for rounding.
    A tensor's shape stands for its numbers, [2×3].
    """

    formula: Formula
    numbers: Formula | None = None
    fractions: Formula | None = None


def formula_of(term: Term) -> Formula:
    """Write a term in every notation."""
    return Formula(write_text(term), write_latex(term), write_mathml(term))


def equate(*sides: Term) -> Formula:
    """Write an equation of terms."""
    formulas = list(map(formula_of, sides))
    return Formula(
        " = ".join(side.text for side in formulas),
        " = ".join(side.latex for side in formulas),
        "<mo>=</mo>".join(side.mathml for side in formulas),
    )


def write_equation(
    subject: Term | None, term: Term, figures: Mapping[str, FloatArray | None], result: FloatArray | None
) -> Equation:
    """Write subject = term, or the term alone; then the term with `figures` for its variables, = result."""
    formula = formula_of(term) if subject is None else equate(subject, term)
    names = variables(term)
    known = {name: figure for name in names if (figure := figures.get(name)) is not None}
    if result is None or len(known) < len(names):
        return Equation(formula)
    plain = _evaluated(term, {name: _figure_term(figure) for name, figure in known.items()}, _figure_term(result))
    simple = _evaluated(term, {name: _fraction_term(figure) for name, figure in known.items()}, _fraction_term(result))
    return Equation(formula, plain, simple if simple != plain else None)


def gradient_of(quantity: str, name: str) -> Variable:
    """Write the gradient of the final quantity with respect to a node: dF/da."""
    return _derivative(("d", "d ", "<mi>d</mi>"), Variable(quantity), Variable(name))


def local_gradient_of(consumer: str, name: str, ordinal: int | None = None) -> Variable:
    """Write the local gradient of a consumer with respect to one operand, ∂e/∂a; `ordinal` numbers equal operands."""
    wrt = Variable(name)
    if ordinal is not None:
        of = formula_of(wrt)
        position = row(f"<mo>[</mo><mn>{ordinal}</mn><mo>]</mo>")
        wrt = Variable(
            name, f"{of.latex}_{{[{ordinal}]}}", f"{of.text}[{ordinal}]", f"<msub>{of.mathml}{position}</msub>"
        )
    return _derivative(("∂", r"\partial ", "<mo>∂</mo>"), Variable(consumer), wrt)


def _derivative(sign: tuple[str, str, str], of: Variable, wrt: Variable) -> Variable:
    (text, latex, mathml), above, below = sign, formula_of(of), formula_of(wrt)
    written_text = f"{text}{above.text}/{text}{below.text}"
    return Variable(
        f"`{written_text}",
        rf"\frac{{{latex}{above.latex}}}{{{latex}{below.latex}}}",
        written_text,
        f"<mfrac>{row(mathml + above.mathml)}{row(mathml + below.mathml)}</mfrac>",
    )


def summed(term: Term) -> Variable:
    """Write the sum of a term over the axes along which an operand was broadcast, as one variable."""
    inner = formula_of(term)
    text = f"sum({inner.text})"
    return Variable(f"`{text}", rf"\sum {inner.latex}", text, row(f"<mo>∑</mo>{inner.mathml}"))


def as_variable(term: Term) -> Variable:
    """Write a term as one variable, for which one figure is put in."""
    inner = formula_of(term)
    return Variable(f"`{inner.text}", inner.latex, inner.text, inner.mathml)


def times(first: Term, second: Term) -> Term:
    """Multiply two terms."""
    return term_of(Symbol(first) * Symbol(second))


def total(summands: Sequence[Term]) -> Term:
    """Add one or more terms."""
    return term_of(reduce(add, map(Symbol, summands)))


def number_term(value: float) -> Term:
    """Return a number for a reader: ∞, where the expression language has Constant(value=Infinity)."""
    if math.isfinite(value):
        return Literal(value)
    if math.isnan(value):
        return _NAN
    return _INFINITY if value > 0.0 else term_of(-Symbol(_INFINITY))


def variables(term: Term) -> list[str]:
    """List the names in a term in reading order."""
    met = (part.name for part in evaluation_order(term) if isinstance(part, Variable) and part not in _SIGNS)
    return list(dict.fromkeys(met))


def _figure_term(figure: FloatArray) -> Term:
    """Return a number as a term; for a tensor its shape."""
    if not figure.ndim:
        return number_term(float(figure))
    size = [str(length) for length in figure.shape]
    text = f"[{'×'.join(size)}]"
    latex = r" \times ".join(size)
    mathml = "<mo>×</mo>".join(f"<mn>{length}</mn>" for length in size)
    return Variable(text, rf"\left[{latex}\right]", text, row(f"<mo>[</mo>{mathml}<mo>]</mo>"))


def _fraction_term(figure: FloatArray) -> Term:
    """Return a simple fraction for a number that equals it up to rounding; else as `_figure_term`."""
    fraction = None if figure.ndim else simple_fraction(float(figure))
    if fraction is None:
        return _figure_term(figure)
    quotient = Symbol(Literal(float(abs(fraction.numerator)))) / float(fraction.denominator)
    return term_of(quotient if fraction > 0 else -quotient)


def _evaluated(term: Term, figures: Mapping[str, Term], result: Term) -> Formula:
    """Write a term with figures for its variables, = result; the result alone where both are one number."""
    put = put_figures(term, figures)
    return formula_of(result) if put == result or not figures else equate(put, result)


def put_figures(term: Term, figures: Mapping[str, Term]) -> Term:
    """Put terms for the variables of those names, and write numbers for a reader."""
    put: dict[int, Term] = {}
    for part in evaluation_order(term):
        match part:
            case Variable(name):
                put[id(part)] = figures.get(name, part)
            case Application(operation, operands, attributes):
                put[id(part)] = Application(operation, tuple(put[id(x)] for x in operands), attributes)
            case Literal(value):
                put[id(part)] = number_term(value)
    return put[id(term)]
