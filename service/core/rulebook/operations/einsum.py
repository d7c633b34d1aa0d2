"""Einsum: sums of products whose axes are named by letters; an ellipsis stands for axes that broadcast."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from string import ascii_letters
from typing import Any

import numpy as np

from service.core.figures.figures import Shape
from service.core.rulebook.attribute import Attribute
from service.core.rulebook.notation import function
from service.core.rulebook.operation import Attributes
from service.core.rulebook.operations.broadcasting import expand_to, sum_to
from service.core.rulebook.registry import Wording, define, rulebook_function
from service.core.rulebook.work import CALL, Work, Workload

_ELLIPSIS = "..."


def _letters(term: str) -> str:
    return term.replace(_ELLIPSIS, "")


def read_equation(value: object) -> str:
    """Read an equation such as `ij,jk->ik`; raises ValueError.

    Without `->` the result has the letters that appear once, in alphabetical order, as in NumPy.
    """
    if not isinstance(value, str):
        raise ValueError('expected an equation such as "ij,jk->ik"')
    equation = re.sub(r"\s", "", value)
    term = r"[A-Za-z]*(\.\.\.[A-Za-z]*)?"  # in one way only, lest time grow exponentially with the terms
    if not re.fullmatch(f"{term}(,{term})*(->{term})?", equation):
        raise ValueError('expected letters separated by commas, and "->" before those of the result')
    terms, arrow, result = equation.partition("->")
    letters = Counter(_letters(terms.replace(",", "")))
    if not arrow:
        result = _ELLIPSIS * (_ELLIPSIS in terms)
        result += "".join(sorted(letter for letter, count in letters.items() if count == 1))
    unknown = sorted(set(_letters(result)) - set(letters))
    if unknown:
        raise ValueError(f"the result has the letter {unknown[0]!r}, which no operand has")
    if (_ELLIPSIS in result) != (_ELLIPSIS in terms):
        raise ValueError("an ellipsis stands in the result where it stands in an operand, and only there")
    return f"{terms}->{result}"


@rulebook_function
def einsum(equation: Any, *operands: Any) -> Any:
    """NumPy's `einsum`, and a repeated letter in the result: the elements go on that diagonal, zeros elsewhere."""
    terms, result = equation.split("->")
    distinct = _distinct(result)
    value = np.einsum(f"{terms}->{distinct}", *operands, optimize=len(operands) > 1)
    if distinct == result:
        return value
    if _ELLIPSIS in result:
        free = "".join(letter for letter in ascii_letters if letter not in result)
        broadcast = free[: np.ndim(value) - len(_letters(distinct))]
        distinct, result = (each.replace(_ELLIPSIS, broadcast) for each in (distinct, result))
    lengths = dict(zip(distinct, value.shape, strict=True))
    whole = np.zeros([lengths[letter] for letter in result], dtype=value.dtype)
    np.einsum(f"{result}->{distinct}", whole)[...] = value
    return whole


def _distinct(term: str) -> str:
    return "".join(dict.fromkeys(re.findall(r"\.\.\.|.", term)))


def _contributions(upstream: Any, operands: Sequence[Any], z: Any, equation: Any) -> Any:
    terms, result = equation.split("->")
    terms = terms.split(",")
    return tuple(
        _contribution(
            upstream,
            result,
            terms[operand_index],
            operands[operand_index],
            *_other_factors(terms, operands, operand_index),
        )
        for operand_index in range(len(terms))
    )


def _other_factors(terms: Sequence[str], operands: Sequence[Any], operand_index: int) -> tuple[list[str], list[Any]]:
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
    if _ELLIPSIS in result:
        # Ones in the operand's place bring in its lengths; what was broadcast is summed.
        whole = _ELLIPSIS + _letters(distinct)
        ones = expand_to(1.0, operand)
        flow = einsum(f"{','.join([result, *other_terms, term])}->{whole}", upstream, *others, ones)
        flow = sum_to(flow, einsum(f"{term}->{whole if _ELLIPSIS in term else _letters(distinct)}", operand))
        return einsum(f"{whole if _ELLIPSIS in term else _letters(distinct)}->{term}", flow)
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
    broadcast: Shape = ()
    for term, shape in zip(terms, shapes, strict=True):
        unnamed = len(shape) - len(_letters(term))
        if unnamed < 0 or (unnamed and _ELLIPSIS not in term):
            raise ValueError(f"{term!r} names {len(_letters(term))} axes; the shape {list(shape)} has {len(shape)}")
        first = len(term.partition(_ELLIPSIS)[0]) if _ELLIPSIS in term else 0
        broadcast = np.broadcast_shapes(broadcast, shape[first : first + unnamed])
        for letter, length in zip(_letters(term), (*shape[:first], *shape[first + unnamed :]), strict=True):
            if lengths.setdefault(letter, length) != length:
                raise ValueError(f"the letter {letter!r} stands for two lengths, {lengths[letter]} and {length}")
    before, ellipsis, after = result.partition(_ELLIPSIS)
    return (*map(lengths.__getitem__, before), *(broadcast if ellipsis else ()), *map(lengths.__getitem__, after))


def _named_axes(equation: str, shapes: Sequence[Shape]) -> tuple[list[str], str, str, dict[str, int]]:
    """Name the axes that an ellipsis stands for: the terms, the result, those names, and the length of each letter."""
    terms, result = equation.split("->")
    listed = terms.split(",")
    free = [letter for letter in ascii_letters if letter not in equation]
    unnamed = [len(shape) - len(_letters(term)) for term, shape in zip(listed, shapes, strict=True)]
    broadcast = "".join(free[: max(unnamed)])
    named = [
        term.replace(_ELLIPSIS, broadcast[len(broadcast) - count :])
        for term, count in zip(listed, unnamed, strict=True)
    ]
    lengths: dict[str, int] = {}
    for term, shape in zip(named, shapes, strict=True):
        for letter, length in zip(term, shape, strict=True):
            lengths[letter] = max(length, lengths.get(letter, 0)) if length else 0
    return named, result.replace(_ELLIPSIS, broadcast), broadcast, lengths


def _contraction(terms: Sequence[str], result: str, lengths: Mapping[str, int]) -> Work:
    """Of one einsum: NumPy multiplies two factors at a time, as matrices whose axes it puts in order."""

    def size(letters: str | set[str]) -> int:
        return prod(lengths[letter] for letter in set(letters))

    path: Sequence[Sequence[int]] = [range(len(terms))]
    if len(terms) > 2:
        factors = [np.broadcast_to(0.0, [lengths[letter] for letter in term]) for term in terms]
        path = np.einsum_path(f"{','.join(terms)}->{_distinct(result)}", *factors, optimize="greedy")[0][1:]
    left, operations, elements = [*map(set, terms)], CALL, 2.0 * prod(lengths[letter] for letter in result)
    for chosen in path:
        taken = [left.pop(index) for index in sorted(chosen, reverse=True)]
        volume = set().union(*taken)
        kept = volume & set(result).union(*left)
        copies = float(sum(map(size, taken)) + size(kept))
        operations += 30_000.0 + 10.0 * copies
        if len(taken) != 2 or volume == kept:
            operations += 4.0 * len(taken) * size(volume)
        else:
            operations += 0.1 * size(volume)
        elements += copies
        left.append(kept)
    return Work(operations, elements)


def _value_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    terms, result, _, lengths = _named_axes(attributes["equation"], shapes)
    return _contraction(terms, result, lengths)


def _contributions_work(shapes: Sequence[Shape], shape: Shape, attributes: Attributes) -> Work:
    """Of one einsum for each factor, of the upstream gradient and the other factors."""
    terms, result, broadcast, lengths = _named_axes(attributes["equation"], shapes)
    operations, elements, held = 0.0, 0.0, 0.0
    for index, (term, given) in enumerate(zip(terms, shapes, strict=True)):
        others = [result, *terms[:index], *terms[index + 1 :]]
        known = {letter for letter in _distinct(broadcast + term) if letter in "".join(others)}
        one = _contraction(others, "".join(sorted(known)), lengths)
        operations, elements = operations + one.operations, max(elements, one.elements)
        held += 2.0 * prod(given)
    return Work(operations, elements + held)


define(
    "Einsum",
    "*x",
    attributes=[Attribute("equation", read_equation, required=True)],
    forward=lambda operands, equation: einsum(equation, *operands),
    contributions=_contributions,
    infer_shape=_shape,
    linear=True,
    work=Workload(_value_work, _contributions_work),
    symbolic={einsum: lambda equation, *operands: (operands, {"equation": equation})},
    wording=Wording(notation=function("einsum"), rule="product"),
)
