"""The rules of elementwise operations as expressions of a programming language.

The rulebook's own rule, applied to symbols, is a tree of primitive operations, each of which a language writes by one
template. An operation without a template is written by its own rule, as far as that leads to others.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.core.rulebook.notation import (
    ATOM,
    COMPARISON,
    OPEN,
    POWER,
    PRODUCT,
    SIGN,
    SUM,
    Notation,
    Rendered,
    write_text,
)
from service.core.rulebook.operation import Operation
from service.core.rulebook.registry import operation_of
from service.core.symbolic.term import Application, Literal, Term, Variable, value_term

TRUTHS = {"Equal", "NotEqual", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not"}


class Unsaid(Exception):
    """The language has no words for an operation."""

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation.name)
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a language writes expressions: a template for each primitive operation, and the numbers that are none.

    `clamps` are the templates of Max and Min beside a number, where they differ.
    """

    templates: Mapping[str, Notation]
    infinity: str
    nan: str
    clamps: Mapping[str, Notation]


def write_expression(term: Term, dialect: Dialect) -> str:
    """Write a term whose variables are identifiers; one that is true or false is 1 or 0.

    Raises Unsaid for an operation that cannot be written.
    """
    return _write(_as_number(term), dialect).text


def _write(term: Term, dialect: Dialect) -> Rendered:
    """Write a term; the rule of one operation is only a few levels deep."""
    if isinstance(term, Variable):
        return Rendered(term.name)
    if isinstance(term, Literal):
        return _number(term.value, dialect)
    operation, operands = term.operation, term.operands
    if operation.name == "Identity":
        return _write(operands[0], dialect)
    template = dialect.templates.get(operation.name)
    if template is None:
        expanded = value_term(operation, operands, dict(term.attributes))
        if not operation.is_elementwise or (isinstance(expanded, Application) and expanded.operation is operation):
            raise Unsaid(operation)
        return _write(expanded, dialect)
    if operation.name in ("Max", "Min"):
        idle = -math.inf if operation.name == "Max" else math.inf
        operands = tuple(x for x in operands if not (isinstance(x, Literal) and x.value == idle)) or operands[:1]
        if len(operands) == 1:
            return _write(operands[0], dialect)
        if isinstance(operands[1], Literal):
            template = dialect.clamps.get(operation.name, template)
    if operation.name not in ("And", "Or", "Not"):
        first = operands[:1] if operation.name == "Where" else ()
        operands = (*first, *map(_as_number, operands[len(first) :]))
    for name, value in term.attributes:
        template = replace(template, text=template.text.replace(f"{{{name}}}", repr(value)))
    return write_text(template, [_write(x, dialect) for x in operands])


def _as_number(term: Term) -> Term:
    if isinstance(term, Application) and term.operation.name in TRUTHS:
        return Application(operation_of("Where"), (term, Literal(1.0), Literal(0.0)))
    return term


def _number(value: float, dialect: Dialect) -> Rendered:
    sign = "-" if math.copysign(1.0, value) < 0 and not math.isnan(value) else ""
    digits = dialect.nan if math.isnan(value) else dialect.infinity if math.isinf(value) else repr(abs(value))
    return Rendered(f"{sign}{digits}", SIGN if sign else ATOM)


# --- templates --------------------------------------------------------------------------------------------------------


def _infix(sign: str, binds: int) -> Notation:
    needs = (SUM, SUM) if binds == COMPARISON else (binds, binds + 1)
    return Notation(f"%(0)s {sign} %(1)s", "", binds, needs)


def _calls(prefix: str, functions: str, count: int = 1) -> dict[str, Notation]:
    """Templates of calls, from pairs Operation:function."""
    pairs = (pair.split(":") for pair in functions.split())
    operands = ", ".join(f"%({index})s" for index in range(count))
    return {name: Notation(f"{prefix}{called}({operands})", "") for name, called in pairs}


_SIGNS = {
    **{name: _infix(sign, SUM) for name, sign in (("Add", "+"), ("Sub", "-"))},
    **{name: _infix(sign, PRODUCT) for name, sign in (("Mul", "*"), ("Div", "/"))},
    **{
        name: _infix(sign, COMPARISON)
        for name, sign in (
            *(("Equal", "=="), ("NotEqual", "!="), ("Less", "<"), ("LessOrEqual", "<="), ("Greater", ">")),
            ("GreaterOrEqual", ">="),
        )
    },
    "Neg": Notation("-%(0)s", "", SIGN, (PRODUCT,)),
    "Reciprocal": Notation("1.0 / %(0)s", "", PRODUCT, (SIGN,)),
    "Sech": Notation("1.0 / SELFcosh(%(0)s)", "", PRODUCT),
    "Bell": Notation("SELFexp(-%(0)s * %(0)s)", "", ATOM, (ATOM,)),
    "NormalDensity": Notation(f"{math.sqrt(0.5 / math.pi)!r} * SELFexp(-0.5 * %(0)s * %(0)s)", "", PRODUCT, (ATOM,)),
    "GeluGate": Notation(
        "1.0 / (1.0 + SELFexp(-1.5957691216057308 * (%(0)s + 0.044715 * %(0)s * %(0)s * %(0)s)))", "", PRODUCT, (ATOM,)
    ),
    "NormalDistribution": Notation(f"0.5 * erfc(-{math.sqrt(0.5)!r} * %(0)s)", "", PRODUCT, (ATOM,)),
}

_ARRAYS = (
    "Exp:exp Log:log Log2:log2 Log10:log10 Log1p:log1p Expm1:expm1 Sqrt:sqrt Sin:sin Cos:cos Tan:tan Asin:arcsin "
    "Acos:arccos Atan:arctan Sinh:sinh Cosh:cosh Tanh:tanh Asinh:arcsinh Acosh:arccosh Atanh:arctanh Abs:abs Sign:sign "
    "Floor:floor Ceil:ceil Round:round Not:logical_not"
)
_ARRAYS_OF_TWO = (
    "Atan2:arctan2 Hypot:hypot Mod:remainder FloorDiv:floor_divide And:logical_and Or:logical_or Max:maximum "
    "Min:minimum"
)


def _with_prefix(templates: Mapping[str, Notation], prefix: str, error: str) -> dict[str, Notation]:
    return {
        name: Notation(
            each.text.replace("SELF", prefix).replace("erfc(", f"{error}erfc("), "", each.binds, each.text_needs
        )
        for name, each in templates.items()
    }


def _of_arrays(prefix: str, error: str) -> dict[str, Notation]:
    return {
        **_with_prefix(_SIGNS, prefix, error),
        "Pow": Notation("%(0)s ** %(1)s", "", POWER, (ATOM, SIGN)),
        "Where": Notation(f"{prefix}where(%(0)s, %(1)s, %(2)s)", ""),
        **_calls(prefix, _ARRAYS),
        **_calls(prefix, _ARRAYS_OF_TWO, 2),
        **_calls(error, "Erf:erf Erfc:erfc Lgamma:gammaln Digamma:digamma"),
        "Polygamma": Notation(f"{error}polygamma({{n}}, %(0)s)", ""),
    }


NUMPY = Dialect(_of_arrays("np.", "special."), "np.inf", "np.nan", {})
JAX = Dialect(_of_arrays("jnp.", "jax.scipy.special."), "jnp.inf", "jnp.nan", {})
TORCH = Dialect(
    {
        **_of_arrays("torch.", "torch.special."),
        # PyTorch's own trigamma has nine digits.
        "Polygamma": Notation(
            "(-1.0) ** ({n} + 1) * math.factorial({n}) * torch.special.zeta({n} + 1.0, %(0)s)", "", PRODUCT
        ),
    },
    "torch.inf",
    "torch.nan",
    {
        "Max": Notation("torch.clamp(%(0)s, min=%(1)s)", ""),
        "Min": Notation("torch.clamp(%(0)s, max=%(1)s)", ""),
    },
)
C = Dialect(
    {
        **_with_prefix(_SIGNS, "", ""),
        **_calls(
            "",
            "Exp:exp Log:log Log2:log2 Log10:log10 Log1p:log1p Expm1:expm1 Sqrt:sqrt Sin:sin Cos:cos Tan:tan Asin:asin "
            "Acos:acos Atan:atan Sinh:sinh Cosh:cosh Tanh:tanh Asinh:asinh Acosh:acosh Atanh:atanh Abs:fabs Sign:sign "
            "Floor:floor Ceil:ceil Round:nearbyint Erf:erf Erfc:erfc Lgamma:lgamma",
        ),
        **_calls("", "Pow:pow Atan2:atan2 Hypot:hypot Mod:modulo FloorDiv:floor_divide Max:maximum Min:minimum", 2),
        "Where": Notation("%(0)s ? %(1)s : %(2)s", "", OPEN, (COMPARISON, SUM, SUM)),
        "And": Notation("%(0)s && %(1)s", "", OPEN, (COMPARISON, COMPARISON)),
        "Or": Notation("%(0)s || %(1)s", "", OPEN, (COMPARISON, COMPARISON)),
        "Not": Notation("!%(0)s", "", SIGN, (ATOM,)),
    },
    "INFINITY",
    "NAN",
    {},
)
