"""The operations and the limits of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.client.figures import Document
from service.client.results.result import Result


@dataclass(frozen=True, slots=True)
class Operation(Result):
    """An operation of the rulebook; formulas are mappings with `text` and `latex`."""

    name: str
    aliases: tuple[str, ...]
    operands: tuple[str, ...]
    rule: Mapping[str, str] | None
    local_gradients: tuple[Mapping[str, str], ...]
    contributions: tuple[Mapping[str, str], ...]
    document: Document = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Limit(Result):
    """A limit of the service, and the environment variable that sets it."""

    name: str
    maximum: int
    meaning: str
    variable: str


def read_operation(document: Document) -> Operation:
    """Read an operation."""
    return Operation(
        name=document["name"],
        aliases=tuple(document["aliases"]),
        operands=tuple(document["operands"]),
        rule=document["rule"],
        local_gradients=tuple(document["local_gradients"]),
        contributions=tuple(document["contributions"]),
        document=document,
    )
