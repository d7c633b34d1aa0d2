"""Everything that a caller can do wrong, as one tree.

GradbookError
├── Invalid                 what was sent cannot be accepted; carries one Fault for each thing wrong
│   ├── InvalidGraph        unknown operation, cycle, duplicate name …
│   ├── InvalidExpression   the text of an expression, with line and column
│   ├── InvalidInputs       missing, extra or ill-shaped figures of a run
│   └── InvalidRequest      everything else in a request
├── LimitExceeded           one of the limits in settings; carries its name
├── KeyReused               an idempotency key that was used with a different request
├── NotFound                no such graph, run, node …
└── Conflict                right in itself, but not in the present state
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: `location` leads to it from the root of what was sent, as in JSON Pointer."""

    location: tuple[str | int, ...]
    detail: str


class GradbookError(Exception):
    """The root of the tree above; `detail` is one sentence for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Invalid(GradbookError):
    """What was sent cannot be accepted; `faults` names each fault and its place."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        count = len(faults)
        super().__init__(faults[0].detail if count == 1 else f"{count} faults; the first: {faults[0].detail}")
        self.faults = tuple(faults)


class InvalidGraph(Invalid):
    """The nodes do not make a graph."""


class InvalidInputs(Invalid):
    """The figures given to a run do not fit its graph."""


class InvalidRequest(Invalid):
    """A member of a request is wrong by itself."""


class InvalidExpression(Invalid):
    """The text is not an expression; `line` and `column` count from 1, `excerpt` is the line with a caret below."""

    def __init__(self, detail: str, line: int, column: int, excerpt: str) -> None:
        super().__init__([Fault(("expression",), f"line {line}, column {column}: {detail}")])
        self.line = line
        self.column = column
        self.excerpt = excerpt


class LimitExceeded(GradbookError):
    """`actual` of what `limit` names is more than `maximum`."""

    def __init__(self, limit: str, maximum: int, actual: int | None, detail: str) -> None:
        super().__init__(detail)
        self.limit = limit
        self.maximum = maximum
        self.actual = actual


class KeyReused(GradbookError):
    """An idempotency key stands for one request; this is another."""


class NotFound(GradbookError):
    """No such thing is kept here."""


class Conflict(GradbookError):
    """The request is right in itself, but not in the present state of what it names."""
