"""How an operation that is not elementwise is written: a template for each, of identifiers alone.

Written for NumPy; JAX and PyTorch spell the same otherwise (`helpers.py`), or have a text of their own in the template.
It names the attributes that it reads. Another one that is not at its default would be lost: the operation is then
refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.core.graph.graph import Node
from service.core.source.expressions import Unsaid
from service.core.source.helpers import in_jax, in_torch


@dataclass(frozen=True, slots=True)
class ArrayCall:
    """An operation on identifiers: its attributes, and the language that says it."""

    language: str
    name: str
    x: Sequence[str]
    a: Mapping[str, Any]

    @property
    def for_torch(self) -> bool:
        """Whether PyTorch says it."""
        return self.language == "torch"


Template: TypeAlias = Callable[[ArrayCall], str]
_templates: dict[str, tuple[frozenset[str], Template]] = {}


def says(names: str, attributes: str = "") -> Callable[[Template], Template]:
    """Enter a template for operations, and the attributes that it reads."""

    def enter(template: Template) -> Template:
        _templates.update(dict.fromkeys(names.split(), (frozenset(attributes.split()), template)))
        return template

    return enter


def write_call(node: Node, operands: Sequence[str], language: str) -> str:
    """Write an operation on identifiers; raises Unsaid."""
    read, template = _templates.get(node.operation.name, (frozenset[str](), None))
    others = (each for each in node.operation.attributes if each.name not in read)
    if template is None or any(node.attributes.get(each.name, each.default) != each.default for each in others):
        raise Unsaid(node.operation)
    text = template(ArrayCall(language, node.operation.name, operands, node.attributes))
    return in_torch(text) if language == "torch" else in_jax(text) if language == "jax" else text


def text_of(value: Any) -> str:
    """A number, a word or a tuple of them."""
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(text_of, value))}{',' * (len(value) == 1)})"
    return f'float("{value}")' if isinstance(value, float) and value - value != 0.0 else repr(value)


def simple(names: str, pattern: str, attributes: str = "") -> None:
    """Enter a template that puts operands, {0} …, and attributes, {axis} …, into a text."""
    says(names, attributes)(
        lambda call: pattern.format(*call.x, **{name: text_of(call.a[name]) for name in attributes.split()})
    )
