"""Comparisons and logical operations, 1 where they hold and 0 elsewhere, and Where, which chooses by a condition."""

from html import escape

import numpy as np

from service.core.rulebook.notation import ATOM, COMPARISON, OPEN, SUM, Notation, row
from service.core.rulebook.operation import CONVENTIONS, EXACT, Closed, Kinks
from service.core.rulebook.primitives import select
from service.core.rulebook.registry import Wording, define, operands_only


def _define_comparison(name: str, ufunc: np.ufunc, sign: str, latex: str, mathml: str, aliases: list[str]) -> None:
    needs = (SUM, SUM)
    define(
        name,
        "x y",
        forward=ufunc,
        local_gradients=lambda x, y, z: (0.0, 0.0),
        kinks=Kinks(where=lambda x, y, z: x == y, returned="0, the slope on both sides of the jump"),
        closed=Closed(
            where=lambda x, y, z: (np.absolute(x - y) > 0.0, np.absolute(x - y) > 0.0), cut_by=CONVENTIONS[1:]
        ),
        analytic=False,
        rounding=EXACT,
        wording=Wording(
            aliases=[*aliases, sign],
            notation=Notation(
                f"%(0)s {sign} %(1)s",
                f"%(0)s {latex} %(1)s",
                COMPARISON,
                needs,
                needs,
                row(f"%(0)s<mo>{escape(mathml)}</mo>%(1)s"),
            ),
            rule="step",
        ),
    )


_define_comparison("Equal", np.equal, "==", "=", "=", [])
_define_comparison("NotEqual", np.not_equal, "!=", r"\ne", "≠", ["not_equal", "≠"])
_define_comparison("Less", np.less, "<", "<", "<", [])
_define_comparison("LessOrEqual", np.less_equal, "<=", r"\le", "≤", ["less_equal", "≤"])
_define_comparison("Greater", np.greater, ">", ">", ">", [])
_define_comparison("GreaterOrEqual", np.greater_equal, ">=", r"\ge", "≥", ["greater_equal", "≥"])

define(
    "And",
    "x y",
    forward=np.logical_and,
    local_gradients=lambda x, y, z: (0.0, 0.0),
    closed=Closed(where=lambda x, y, z: (np.equal(x, x), np.equal(y, y)), cut_by=CONVENTIONS[1:]),
    analytic=False,
    rounding=EXACT,
    wording=Wording(
        aliases=["logical_and"],
        notation=Notation(
            "and(%(all)s)", r"%(0)s \land %(1)s", COMPARISON, (OPEN, OPEN), (SUM, SUM), row("%(0)s<mo>∧</mo>%(1)s")
        ),
        rule="step",
    ),
)

define(
    "Or",
    "x y",
    forward=np.logical_or,
    local_gradients=lambda x, y, z: (0.0, 0.0),
    closed=Closed(where=lambda x, y, z: (np.equal(x, x), np.equal(y, y)), cut_by=CONVENTIONS[1:]),
    analytic=False,
    rounding=EXACT,
    wording=Wording(
        aliases=["logical_or"],
        notation=Notation(
            "or(%(all)s)", r"%(0)s \lor %(1)s", COMPARISON, (OPEN, OPEN), (SUM, SUM), row("%(0)s<mo>∨</mo>%(1)s")
        ),
        rule="step",
    ),
)

define(
    "Not",
    "x",
    forward=np.logical_not,
    local_gradients=lambda x, z: (0.0,),
    closed=Closed(where=lambda x, z: (np.equal(x, x),), cut_by=CONVENTIONS[1:]),
    analytic=False,
    rounding=EXACT,
    wording=Wording(
        aliases=["logical_not"],
        notation=Notation("not(%(all)s)", r"\lnot %(0)s", ATOM, (OPEN,), (ATOM,), row("<mo>¬</mo>%(0)s")),
        rule="step",
    ),
)

define(
    "Where",
    "condition x y",
    forward=lambda condition, x, y: select(condition != 0.0, x, y),
    local_gradients=lambda condition, x, y, z: (
        0.0,
        select(condition != 0.0, 1.0, 0.0),
        select(condition != 0.0, 0.0, 1.0),
    ),
    closed=Closed(
        where=lambda condition, x, y, z: (
            np.equal(condition, condition),
            condition == 0.0,
            np.absolute(condition) > 0.0,
        )
    ),
    analytic=False,
    rounding=EXACT,
    symbolic={np.where: operands_only},
    wording=Wording(
        notation=Notation(
            "where(%(all)s)",
            r"\begin{cases} %(1)s & \text{if } %(0)s \\ %(2)s & \text{otherwise} \end{cases}",
            mathml=row(
                "<mo>{</mo><mtable>"
                "<mtr><mtd>%(1)s</mtd><mtd><mtext>if&#xA0;</mtext>%(0)s</mtd></mtr>"
                "<mtr><mtd>%(2)s</mtd><mtd><mtext>otherwise</mtext></mtd></mtr>"
                "</mtable>"
            ),
        ),
        rule="selection",
    ),
)
