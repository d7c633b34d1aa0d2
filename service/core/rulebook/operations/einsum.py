"""Einsum: sums of products whose axes are named by letters."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes
from service.core.rulebook.operations.broadcasting import expand_to
from service.core.rulebook.registry import Wording, define, rulebook_function


def read_equation(value: object) -> str:
    """Read an equation such as `ij,jk->ik`; raises ValueError.

    Without `->` the result has the letters that appear once, in alphabetical order, as in NumPy.
    """
    if not isinstance(value, str):
        raise ValueError('expected an equation such as "ij,jk->ik"')
    equation = re.sub(r"\s", "", value)
    if "..." in equation:
        raise ValueError("an ellipsis is not supported: name every axis by a letter")
    if not re.fullmatch("[A-Za-z]*(,[A-Za-z]*)*(->[A-Za-z]*)?", equation):
        raise ValueError('expected letters separated by commas, and "->" before those of the result')
    terms, arrow, result = equation.partition("->")
    letters = Counter(terms.replace(",", ""))
    if not arrow:
        result = "".join(sorted(letter for letter, count in letters.items() if count == 1))
    unknown = sorted(set(result) - set(letters))
    if unknown:
        raise ValueError(f"the result has the letter {unknown[0]!r}, which no operand has")
    return f"{terms}->{result}"


@rulebook_function
def einsum(equation: Any, *operands: Any) -> Any:
    """NumPy's `einsum`, and a repeated letter in the result: the elements go on that diagonal, zeros elsewhere."""
    terms, result = equation.split("->")
    distinct = _distinct(result)
    value = np.einsum(f"{terms}->{distinct}", *operands, optimize=len(operands) > 1)
    if distinct == result:
        return value
    lengths = dict(zip(distinct, value.shape, strict=True))
    whole = np.zeros([lengths[letter] for letter in result], dtype=value.dtype)
    np.einsum(f"{result}->{distinct}", whole)[...] = value
    return whole


def _distinct(letters: str) -> str:
    return "".join(dict.fromkeys(letters))


def _contributions(upstream: Any, operands: Sequence[Any], z: Any, equation: Any) -> Any:
    terms, result = equation.split("->")
    terms = terms.split(",")
    return tuple(
        _contribution(
            upstream, result, terms[operand_index], operands[operand_index], *_without(terms, operands, operand_index)
        )
        for operand_index in range(len(terms))
    )


def _without(terms: Sequence[str], operands: Sequence[Any], operand_index: int) -> tuple[list[str], list[Any]]:
    return [*terms[:operand_index], *terms[operand_index + 1 :]], [
        *operands[:operand_index],
        *operands[operand_index + 1 :],
    ]


def _contribution(
    upstream: Any, result: str, term: str, operand: Any, other_terms: Sequence[str], others: Sequence[Any]
) -> Any:
    """The contribution to one factor's gradient: the upstream gradient times the other factors, in this one's letters.

    A letter that only this factor has was summed over: its contribution is constant along that axis. A letter that the
    factor has twice stands for a diagonal.
    """
    distinct = _distinct(term)
    known = set(result).union(*other_terms)
    kept = "".join(letter for letter in distinct if letter in known)
    flow = einsum(f"{','.join([result, *other_terms])}->{kept}", upstream, *others)
    if kept != distinct:
        like = operand if distinct == term else einsum(f"{term}->{distinct}", operand)
        summed = tuple(axis for axis, letter in enumerate(distinct) if letter not in known)
        flow = expand_to(np.expand_dims(flow, summed), like)
    return flow if distinct == term else einsum(f"{distinct}->{term}", flow)


def _shape(shapes: Sequence[Shape], attributes: Attributes) -> Shape:
    terms, result = attributes["equation"].split("->")
    terms = terms.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"the equation has {len(terms)} operands; {len(shapes)} given")
    lengths: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape):
            raise ValueError(f"{term!r} names {len(term)} axes; the shape {list(shape)} has {len(shape)}")
        for letter, length in zip(term, shape, strict=True):
            if lengths.setdefault(letter, length) != length:
                raise ValueError(f"the letter {letter!r} stands for two lengths, {lengths[letter]} and {length}")
    return tuple(lengths[letter] for letter in result)


define(
    "Einsum",
    "*x",
    attributes=[Attribute("equation", read_equation, required=True)],
    forward=lambda operands, equation: einsum(equation, *operands),
    contributions=_contributions,
    infer_shape=_shape,
    linear=True,
    symbolic={einsum: lambda equation, *operands: (operands, {"equation": equation})},
    wording=Wording(notation=function("einsum"), rule="product"),
)
