"""Operations that are composed of others: each is a text in the expression language, which a use is expanded into.

Such an operation needs neither a rule nor a gradient of its own. Its text may depend on which operands are given, on
its attributes and, where a length decides how many nodes there are, on shapes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from service.core.errors import LimitExceeded
from service.core.rulebook.attribute import Attribute, OneOf
from service.core.rulebook.registry import find
from service.core.rulebook.signature import Signature, read_operands
from service.core.rulebook.tensor import Tensor

# A shape of which lengths may be unknown; None where even the number of axes is.
OpenShape: TypeAlias = Sequence[int | None] | None


class ShapeNeeded(Exception):
    """A text cannot be written without the shape of an operand."""

    def __init__(self, operand: str, what: str) -> None:
        super().__init__(operand)
        self.operand = operand
        self.what = what


@dataclass(frozen=True, slots=True)
class Given:
    """What one use is given: the shapes of its operands by name, its attributes, the values of Constants among them.

    `most_nodes` is how many nodes it may be expanded into; None for any number.
    """

    shapes: Mapping[str, OpenShape]
    attributes: Mapping[str, Any]
    constants: Mapping[str, float | Tensor] = field(default_factory=dict)
    most_nodes: int | None = None

    def __contains__(self, operand: str) -> bool:
        """Whether the operand is given."""
        return operand in self.shapes

    def rank(self, operand: str) -> int:
        """The number of axes of an operand; raises ShapeNeeded."""
        shape = self.shapes[operand]
        if shape is None:
            raise ShapeNeeded(operand, "the number of axes")
        return len(shape)

    def length(self, operand: str, axis: int) -> int:
        """The length of an axis of an operand; raises ShapeNeeded, and ValueError for fewer axes."""
        shape = self.shapes[operand]
        if shape is not None and not -len(shape) <= axis < len(shape):
            raise ValueError(f"{operand} has shape {list(shape)}, without axis {axis}")
        length = None if shape is None else shape[axis]
        if length is None:
            raise ShapeNeeded(operand, f"the length of axis {axis}")
        return length

    def limit_nodes(self, count: int) -> None:
        """Raise LimitExceeded if a text of at least so many nodes would be too much, before it is written."""
        if self.most_nodes is not None and count > self.most_nodes:
            detail = f"{self.most_nodes} more nodes are allowed in this graph; at least {count} are needed"
            raise LimitExceeded("nodes", self.most_nodes, count, detail)


@dataclass(frozen=True, slots=True, eq=False)
class Composed(Signature):
    """A composed operation. `text(given)` is its definition, in which the operands are called by their names.

    The text's last statement is the value; with several outputs, the statement of the one that the attribute `output`
    names. `text` raises ShapeNeeded, and ValueError for attributes that it cannot do. `example` gives for the
    reference the shapes of the operands, and attributes, for which the definition is shown.
    """

    aliases: tuple[str, ...]
    outputs: tuple[str, ...]
    text: Callable[[Given], str]
    example: Given
    summary: str


_by_alias: dict[str, Composed] = {}


def compose(
    name: str,
    operands: str,
    *,
    attributes: Sequence[Attribute] = (),
    outputs: str = "",
    text: Callable[[Given], str],
    shapes: Mapping[str, Sequence[int]],
    shown: Mapping[str, Any] | None = None,
    aliases: Sequence[str] = (),
    summary: str,
) -> Composed:
    """Enter a composed operation; `operands` as in `define`, `outputs` names several, parted by blanks.

    `shapes` of operands and the attributes `shown` are those at which its reference shows the definition. Raises
    ValueError for a name that is taken.
    """
    names, results = tuple(read_operands(operands)), tuple(outputs.split())
    if results:
        attributes = [*attributes, Attribute("output", OneOf(results), results[0])]
    defaults = {attribute.name: attribute.default for attribute in attributes}
    composed = Composed(
        name=name,
        operands=names,
        optional=operands.count("?"),
        variadic=False,
        attributes=tuple(attributes),
        aliases=tuple(dict.fromkeys([name.lower(), *aliases])),
        outputs=results,
        text=text,
        example=Given(shapes, defaults | dict(shown or {})),
        summary=summary,
    )
    for taken in (name, *composed.aliases):
        if find(taken) or taken in _by_alias:
            raise ValueError(f"{taken} is the name of an operation")
        _by_alias[taken] = composed
    return composed


def find_composed(name: str) -> Composed | None:
    """Return the composed operation with that name or alias, or None."""
    return _by_alias.get(name)


def composed_operations() -> tuple[Composed, ...]:
    """Return all composed operations in the order of their definition."""
    return tuple(dict.fromkeys(_by_alias.values()))
