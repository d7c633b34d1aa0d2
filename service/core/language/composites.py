"""Functions composed of operations: each is written in the expression language, and read as what it is made of.

The parts of a composite are nodes of their own, so that it needs neither a rule nor a gradient of its own.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Token

from service.core.language.diagnostics import SourceError
from service.core.language.parser import Call, Expr, read_statements


@dataclass(frozen=True, slots=True)
class Composite:
    """A function of so many operands (None: one or more) and, with their defaults, of attributes.

    `text(count, attributes)` is its definition, in which the operands are x1, x2 … in their order.
    """

    text: Callable[[int, Mapping[str, Any]], str]
    operands: int | None
    attributes: Mapping[str, Any]
    applies: Callable[[Call], bool] = lambda call: True


def _of(text: str, operands: int) -> Composite:
    return Composite(lambda count, attributes: text, operands, {})


def _divergence(count: int, attributes: Mapping[str, Any]) -> str:
    """x1 holds logarithms of probabilities, x2 probabilities or, with log_target, their logarithms: as in PyTorch."""
    return _reduced("exp(x2) * (x2 - x1)" if attributes["log_target"] else "xlogy(x2, x2) - x2 * x1", attributes)


def _binary_cross_entropy(count: int, attributes: Mapping[str, Any]) -> str:
    """−(1 − t)·log(1 − σ(x)) − t·log σ(x) of scores x1 and targets x2: a sum that does not cancel for t in [0, 1]."""
    return _reduced("(1 - x2) * softplus(x1) + x2 * softplus(-x1)", attributes)


def _reduced(terms: str, attributes: Mapping[str, Any]) -> str:
    reduction = attributes["reduction"]
    if reduction not in ("mean", "sum", "none"):
        raise ValueError("one of 'mean', 'sum', 'none' is expected for the reduction")
    return terms if reduction == "none" else f"{reduction}({terms})"


def _axis(attributes: Mapping[str, Any]) -> int:
    axis = attributes["axis"]
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError("the axis is a whole number")
    return axis


def _join(count: int, attributes: Mapping[str, Any]) -> str:
    operands = (f"x{number}" for number in range(1, count + 1))
    return f"concat({', '.join(operands)}, axis={_axis(attributes)})"


def _stack(count: int, attributes: Mapping[str, Any]) -> str:
    axis = _axis(attributes)
    parts = (f"unsqueeze(x{number}, axes={axis})" for number in range(1, count + 1))
    return f"concat({', '.join(parts)}, axis={axis})"


def _triangle(upper: int) -> Composite:
    def text(count: int, attributes: Mapping[str, Any]) -> str:
        return f"trilu(x1, k={json.dumps(attributes['k'])}, upper={upper})"

    return Composite(text, 1, {"k": 0})


def _scan(name: str) -> Composite:
    """Without an axis, a scan runs over all elements in their order, as in NumPy."""
    text = f"{name}(reshape(x1, shape=[-1]), axis=0)"
    return Composite(lambda count, attributes: text, 1, {}, lambda call: not call.attributes)


# With bounds that are nodes; bounds that are numbers are attributes of Clip.
_CLIP = Composite(lambda count, attributes: "min(max(x1, x2), x3)", 3, {}, lambda call: len(call.operands) == 3)


COMPOSITES: Mapping[str, Composite] = {
    "square": _of("x1 ^ 2", 1),
    "dot": _of("x1 @ x2", 2),
    "log_sigmoid": _of("-softplus(-x1)", 1),
    "logsigmoid": _of("-softplus(-x1)", 1),
    "bce_with_logits": Composite(_binary_cross_entropy, 2, {"reduction": "mean"}),
    "binary_cross_entropy_with_logits": Composite(_binary_cross_entropy, 2, {"reduction": "mean"}),
    "kl_div": Composite(_divergence, 2, {"reduction": "mean", "log_target": False}),
    "clip": _CLIP,
    "clamp": _CLIP,
    "triu": _triangle(1),
    "tril": _triangle(0),
    "cumsum": _scan("cumsum"),
    "cumprod": _scan("cumprod"),
    "concatenate": Composite(_join, None, {"axis": 0}),
    "stack": Composite(_stack, None, {"axis": 0}),
}


def composite_of(part: Expr) -> Composite | None:
    """The composite that a part of an expression calls, if it does."""
    if not isinstance(part, Call) or part.called.type == "QUOTED":
        return None
    found = COMPOSITES.get(part.called)
    return found if found and found.applies(part) else None


def definition(part: Call, composite: Composite) -> Expr:
    """What stands for a call of a composite. Raises SourceError for operands or attributes that it does not take."""
    name, count = part.called, len(part.operands)
    if composite.operands not in (None, count) or not count:
        needs = "1 or more" if composite.operands is None else str(composite.operands)
        detail = f"{name} takes {needs} input{'' if needs == '1' else 's'}; {count} given"
        raise SourceError(f"{detail}; it is written {_form(name, composite)}", name.start_pos)
    given = dict(composite.attributes)
    for token, value in part.attributes:
        if token not in composite.attributes:
            detail = f"{name} has no attribute {token.value!r}; it is written {_form(name, composite)}"
            raise SourceError(detail, token.start_pos)
        given[token.value] = value
    try:
        return _read(composite.text(count, given))
    except ValueError as error:
        raise SourceError(str(error), name.start_pos) from None


def _form(name: str, composite: Composite) -> str:
    operands = [f"x{number}" for number in range(1, (composite.operands or 2) + 1)]
    dots = ["…"] if composite.operands is None else []
    defaults = (f"{attribute}={default!r}" for attribute, default in composite.attributes.items())
    return f"{name}({', '.join([*operands, *dots, *defaults])})"


@cache
def _read(text: str) -> Expr:
    (statement,) = read_statements(text, max_depth=10)
    return statement.value


def operand_index(token: Token) -> int:
    """Which operand a name in a definition stands for."""
    return int(token[1:]) - 1
