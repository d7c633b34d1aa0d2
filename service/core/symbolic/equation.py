"""Equations as people write them: derivatives, sums of their products, and the same with numbers put in.

d marks a gradient of the final quantity, dF/da; ∂ marks the local gradient of one operation, ∂e/∂a. So
dF/da = dF/de · ∂e/∂a, and the two differ even where a node feeds the output itself.
"""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from operator import add

import numpy as np

from service.core.figures.figures import FloatArray, Shape
from service.core.figures.text import short_value, simple_fraction
from service.core.rulebook.notation import fenced, is_tall, row
from service.core.symbolic.names import named
from service.core.symbolic.printing import LONGEST_FORMULA, write_digits, write_latex, write_mathml, write_text
from service.core.symbolic.term import Application, Literal, Symbol, Term, Variable, evaluation_order, term_of

# Signs that no figure is put in for. No node's name has a backquote; a derivative's has one.
AND_SO_ON = Variable("``…", r"\dots", "…", "<mo>…</mo>")
_INFINITY = Variable("``∞", r"\infty", "∞", "<mn>∞</mn>")
_NAN = Variable("``NaN", r"\mathrm{NaN}", "NaN", "<mn>NaN</mn>")


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """One or more terms, each but the first with the sign before it, = or ≈; written when it is asked for.

    `sign` is the sign before the first where it follows another formula. Whatever writes raises LimitExceeded for a
    side of more than `most` characters.
    """

    first: Term
    others: tuple[tuple[str, Term], ...] = ()
    sign: str = "="
    most: int | None = LONGEST_FORMULA

    @property
    def text(self) -> str:
        """The whole in the service's expression language, extended by equations, derivatives and ∞."""
        return self._joined(write_text, _TEXT_SIGNS)

    @property
    def plain(self) -> str:
        """The whole in a textbook's signs, for a sentence or to be spoken."""
        return self._joined(write_digits, _TEXT_SIGNS)

    @property
    def latex(self) -> str:
        """The whole in LaTeX."""
        return self._joined(write_latex, _LATEX_SIGNS)

    @property
    def mathml(self) -> str:
        """The whole in MathML, to stand within `<math>`."""
        return "".join(self.sides)

    @property
    def sides(self) -> tuple[str, ...]:
        """The MathML in parts, each to stand within a `<math>` of its own, so that a long equation wraps: what equals
        or nearly equals what is before begins with its sign."""
        others = (_MATHML_SIGNS[sign] + write_mathml(term, self.most) for sign, term in self.others)
        return write_mathml(self.first, self.most), *others

    def _joined(self, write: Callable[[Term, int | None], str], signs: Mapping[str, str]) -> str:
        others = (signs[sign] + write(term, self.most) for sign, term in self.others)
        return write(self.first, self.most) + "".join(others)


_TEXT_SIGNS = {"=": " = ", "≈": " ≈ "}
_LATEX_SIGNS = {"=": " = ", "≈": r" \approx "}
_MATHML_SIGNS = {"=": "<mo>=</mo>", "≈": "<mo>≈</mo>"}
_NEARLY = {False: "=", True: "≈"}
_MOST_ELEMENTS = 12  # of a tensor that is shown


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """A formula, and the same with numbers put in: those of `figures` for the variables of `term`, = `result`.

    What has numbers is None where one is unknown. A tensor's shape stands for its numbers, [2×3]; to read, one of at
    most twelve elements is shown.
    """

    formula: Formula
    term: Term | None = None
    figures: Mapping[str, FloatArray] = field(default_factory=dict)
    result: FloatArray | None = None

    @property
    def numbers(self) -> Formula | None:
        """The numbers with all digits."""
        return self._evaluated(_figure_term)

    @property
    def fractions(self) -> Formula | None:
        """The numbers with 2/3 for 0.666…; None where none is a simple fraction but for rounding."""
        known = [] if self.result is None else [*self.figures.values(), self.result]
        return self._evaluated(fraction_term) if any(_fraction(figure) for figure in known) else None

    @property
    def readable(self) -> Formula | None:
        """The numbers for reading: simple fractions, else three digits, with ≈ where these are not all."""
        written = self._evaluated(readable_term, lambda value: readable_term(np.asarray(value)))
        if written is None or self.term is None or self.result is None:
            return None
        literals = (np.asarray(part.value) for part in evaluation_order(self.term) if isinstance(part, Literal))
        before = any(map(is_shortened, [*self.figures.values(), *literals]))
        after = is_shortened(self.result)
        if not written.others:
            return replace(written, sign=_NEARLY[after])
        return Formula(written.first, ((_NEARLY[before or after], written.others[0][1]),), _NEARLY[before])

    @property
    def full(self) -> Formula | None:
        """The numbers with simple fractions, else all digits; last, if the result is a fraction, ≈ its decimal."""
        written = self._evaluated(_full_term)
        if written is None or self.result is None or _fraction(self.result) is None:
            return written
        return Formula(written.first, (*written.others, ("≈", _figure_term(self.result))))

    def followed_by(self, numbers: Formula | None) -> Formula:
        """The formula, then the numbers, `readable` or `full`; one that the formula ends in is not repeated."""
        if numbers is None:
            return self.formula
        given, first = self.formula.others, (numbers.sign, numbers.first)
        repeated = bool(given) and write_mathml(given[-1][1]) == write_mathml(numbers.first)
        return Formula(self.formula.first, (*given, *(() if repeated else (first,)), *numbers.others))

    def _evaluated(
        self, number: Callable[[FloatArray], Term], literal: Callable[[float], Term] | None = None
    ) -> Formula | None:
        """Put numbers into the term, = the result; the result alone where both are one number."""
        if self.term is None or self.result is None:
            return None
        figures = {name: number(figure) for name, figure in self.figures.items()}
        put, result = put_figures(self.term, figures, literal), number(self.result)
        if put == result or not self.figures:
            return Formula(result)
        return Formula(put, (("=", result),))


def formula_of(term: Term) -> Formula:
    """A formula of one side."""
    return Formula(term)


def equate(first: Term, *others: Term) -> Formula:
    """An equation of terms."""
    return Formula(first, tuple(("=", term) for term in others))


def write_equation(
    subject: Term | None, term: Term, figures: Mapping[str, FloatArray | None], result: FloatArray | None
) -> Equation:
    """Write subject = term, or the term alone; then the term with `figures` for its variables, = result."""
    formula = Formula(term) if subject is None else equate(subject, term)
    names = variables(term)
    known = {name: figure for name in names if (figure := figures.get(name)) is not None}
    if result is None or len(known) < len(names):
        return Equation(formula)
    return Equation(formula, term, known, result)


def gradient_of(quantity: str, name: str, taken: Container[str] = ()) -> Variable:
    """Write the gradient of the final quantity with respect to a node: dF/da; `taken` are the graph's names."""
    return _derivative(("d", "d ", '<mi mathvariant="normal">d</mi>'), named(quantity, taken), named(name, taken))


def local_gradient_of(consumer: str, name: str, ordinal: int | None = None, taken: Container[str] = ()) -> Variable:
    """Write the local gradient of a consumer with respect to one operand, ∂e/∂a; `ordinal` numbers equal operands."""
    wrt = named(name, taken)
    if ordinal is not None:
        of = formula_of(wrt)
        position = fenced("[", f"<mn>{ordinal}</mn>", "]", tall=False)
        wrt = Variable(
            name, f"{of.latex}_{{[{ordinal}]}}", f"{of.text}[{ordinal}]", f"<msub>{of.mathml}{position}</msub>"
        )
    return partial_of(named(consumer, taken), wrt)


def partial_of(quantity: Variable, wrt: Variable) -> Variable:
    """Write ∂z/∂x."""
    return _derivative(("∂", r"\partial ", "<mo>∂</mo>"), quantity, wrt)


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
    text, mathml = f"sum({inner.text})", row(f"<mo>∑</mo>{inner.mathml}")
    return Variable(f"`{text}", rf"\sum {inner.latex}", text, mathml, plain=f"sum({inner.plain})")


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
    names = (part.name for part in evaluation_order(term) if isinstance(part, Variable))
    return list(dict.fromkeys(name for name in names if not name.startswith("``")))


def ones_of(shape: Shape) -> Variable:
    """Write the tensor of ones of that shape, by which a broadcast number is multiplied."""
    text, latex, mathml = _written_shape(shape)
    ones = '<mn mathvariant="bold">1</mn>'
    return Variable(f"``1{text}", rf"\mathbf{{1}}_{{{latex}}}", f"1[{text}]", f"<msub>{ones}{row(mathml)}</msub>")


def _written_shape(shape: Shape) -> tuple[str, str, str]:
    size = [str(length) for length in shape]
    mathml = "<mo>×</mo>".join(f"<mn>{length}</mn>" for length in size)
    return "×".join(size), r" \times ".join(size), mathml


def _figure_term(figure: FloatArray) -> Term:
    """Return a number as a term; for a tensor its shape."""
    if not figure.ndim:
        return number_term(float(figure))
    text, latex, mathml = _written_shape(figure.shape)
    return Variable(text, rf"\left[{latex}\right]", f"[{text}]", fenced("[", mathml, "]", tall=False))


def _shows_elements(figure: FloatArray) -> bool:
    return 1 <= figure.ndim <= 2 and 1 <= figure.size <= _MOST_ELEMENTS


def _rows_of(figure: FloatArray, number: Callable[[FloatArray], Term]) -> Term:
    """Write a small vector or matrix by its elements, any other tensor as `_figure_term`."""
    if not _shows_elements(figure):
        return _figure_term(figure)
    rows = [[number(element) for element in each] for each in figure.reshape(-1, figure.shape[-1])]
    texts = ["[" + ", ".join(map(write_digits, each)) + "]" for each in rows]
    if figure.ndim == 1:
        latex = ", ".join(map(write_latex, rows[0]))
        mathml = "<mo>,</mo>".join(map(write_mathml, rows[0]))
        return Variable(texts[0], rf"\left[{latex}\right]", texts[0], fenced("[", mathml, "]", is_tall(mathml)))
    latex = r" \\ ".join(" & ".join(map(write_latex, each)) for each in rows)
    cells = ("".join(f"<mtd>{write_mathml(element)}</mtd>" for element in each) for each in rows)
    table = f"<mtable>{''.join(f'<mtr>{each}</mtr>' for each in cells)}</mtable>"
    text = f"[{', '.join(texts)}]"
    return Variable(text, rf"\begin{{bmatrix}} {latex} \end{{bmatrix}}", text, fenced("[", table, "]", tall=True))


def _fraction(figure: FloatArray) -> Fraction | None:
    """Return a simple fraction that equals a number up to rounding, if there is one."""
    return None if figure.ndim else simple_fraction(float(figure))


def fraction_term(figure: FloatArray) -> Term:
    """Return the simple fraction of a number that has one; else as `_figure_term`."""
    fraction = _fraction(figure)
    if fraction is None:
        return _figure_term(figure)
    quotient = Symbol(Literal(float(abs(fraction.numerator)))) / float(fraction.denominator)
    return term_of(quotient if fraction > 0 else -quotient)


def _full_term(figure: FloatArray) -> Term:
    """Return the simple fraction of a number that has one, else all digits; so of small tensors."""
    return _rows_of(figure, fraction_term) if figure.ndim else fraction_term(figure)


def readable_term(figure: FloatArray) -> Term:
    """Return the simple fraction of a number that has one, else the number in three digits; so of small tensors."""
    if figure.ndim:
        return _rows_of(figure, readable_term)
    return number_term(short_value(float(figure))) if is_shortened(figure) else fraction_term(figure)


def is_shortened(figure: FloatArray) -> bool:
    """Whether `readable_term` leaves digits out."""
    if figure.ndim:
        return _shows_elements(figure) and any(is_shortened(np.asarray(element)) for element in figure.flat)
    if not math.isfinite(figure):
        return False
    return _fraction(figure) is None and short_value(float(figure)) != figure


def put_figures(term: Term, figures: Mapping[str, Term], literal: Callable[[float], Term] | None = None) -> Term:
    """Put terms for the variables of those names, and write numbers for a reader."""
    written = literal or number_term
    put: dict[int, Term] = {}
    for part in evaluation_order(term):
        match part:
            case Variable(name):
                put[id(part)] = figures.get(name, part)
            case Application(operation, operands, attributes):
                put[id(part)] = Application(operation, tuple(put[id(x)] for x in operands), attributes)
            case Literal(value):
                put[id(part)] = written(value)
    return put[id(term)]
