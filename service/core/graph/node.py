"""One node of a graph."""

from dataclasses import dataclass, field

from service.core.rulebook.operation import NO_ATTRIBUTES, Attributes, Operation


@dataclass(frozen=True, slots=True)
class Node:
    """A name, an operation, an ordered tuple of input names (duplicates allowed), and attributes in declared order."""

    name: str
    operation: Operation
    inputs: tuple[str, ...] = ()
    attributes: Attributes = field(default_factory=lambda: NO_ATTRIBUTES)

    @property
    def has_gradient(self) -> bool:
        """Whether a gradient flows to the node: it does not to a Constant or to an Input of integers."""
        return not self.operation.is_constant and self.attributes.get("dtype") != "int64"

    @property
    def written_attributes(self) -> Attributes:
        """The attributes that documents and the digest hold: without the implied ones that are as by default."""
        return written_attributes(self.operation, self.attributes)


def written_attributes(operation: Operation, attributes: Attributes) -> Attributes:
    """The attributes of a node that documents and the digest hold."""
    if not attributes:
        return NO_ATTRIBUTES
    unwritten = {each.name: each.default for each in operation.attributes if each.implied}
    return {name: value for name, value in attributes.items() if unwritten.get(name, attributes) != value}
