"""Every error that a caller can cause, as one tree.

GradbookError
├── Invalid                 the request cannot be accepted; has one Fault for each thing wrong
│   ├── InvalidGraph        unknown operation, cycle, duplicate name …
│   ├── InvalidExpression   the text of an expression, with line and column
│   ├── InvalidModel        an ONNX model that cannot be imported as it is
│   ├── InvalidInputs       missing, unknown or ill-shaped figures of a run
│   └── InvalidRequest      everything else in a request
├── MalformedModel          the bytes are not an ONNX model
├── NotInstalled            what it needs is an extra of the service's that is not installed
├── MalformedTensor         a body that is not an .npy of real numbers
├── DigestMismatch          a body whose SHA-256 is not the one that it was sent under
├── LimitExceeded           one of the limits in settings, by its name
├── KeyReused               an idempotency key that was used with another request
├── NotFound                no such graph, run, node …
├── Conflict                valid in itself, but not in the present state
└── PreconditionFailed      what the request was made for has changed since
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

# Names among which near ones are sought, characters of a name for which they are, and unknown names of one request.
_MOST_NAMES, _MOST_CHARACTERS, MOST_HINTS = 1000, 256, 8

NO_NAME = "the name of a node is expected, a string"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong; `location` is its path from the root of the request, as in JSON Pointer."""

    location: tuple[str | int, ...]
    detail: str


def nearest(name: str, known: Iterable[str]) -> str:
    """Words that end a refusal of an unknown name: those of the known ones that are spelled most like it, if any are.

    Capitals count only where that finds some. A millisecond for a few hundred names; among many none are sought.
    """
    names = list(known)
    if len(names) > _MOST_NAMES or len(name) > _MOST_CHARACTERS:
        return ""
    lowered = {each.lower(): each for each in names}
    found = get_close_matches(name, names, n=3)
    found = found or [lowered[each] for each in get_close_matches(name.lower(), lowered, n=3)]
    return f"; near it {'is' if len(found) == 1 else 'are'} {', '.join(found)}" if found else ""


def unknown_names(names: Iterable[object], known: Collection[str], what: str) -> Iterator[tuple[Any, str]]:
    """Each name that is not known, and a sentence: `what`, the name, and of the first few the known names near it."""
    unknown = (name for name in names if not isinstance(name, str) or name not in known)
    for number, name in enumerate(unknown):
        if not isinstance(name, str):
            yield name, NO_NAME
        else:
            yield name, f"{what} {name!r}{nearest(name, known) if number < MOST_HINTS else ''}"


class GradbookError(Exception):
    """The root of the tree above; `detail` is one sentence for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it by its members: others of the tree are made of other arguments."""
        return _restore, (type(self), self.args, vars(self))


def _restore(kind: type[GradbookError], arguments: tuple[Any, ...], members: dict[str, Any]) -> GradbookError:
    error = kind.__new__(kind, *arguments)
    vars(error).update(members)
    return error


class Invalid(GradbookError):
    """The request cannot be accepted; `faults` has each fault and its location."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        count = len(faults)
        super().__init__(faults[0].detail if count == 1 else f"{count} faults; the first: {faults[0].detail}")
        self.faults = tuple(faults)


class InvalidGraph(Invalid):
    """The nodes do not form a graph."""


class InvalidModel(Invalid):
    """An ONNX model cannot be imported as it is; has a fault for each of its nodes that prevents it."""


class MalformedModel(GradbookError):
    """The bytes are not an ONNX model."""


class NotInstalled(GradbookError):
    """What was asked for needs an extra that is not installed; `detail` says how to install it."""


class InvalidInputs(Invalid):
    """The figures given to a run do not fit its graph."""


class InvalidRequest(Invalid):
    """A member of a request is invalid by itself."""


class InvalidExpression(Invalid):
    """The text is not an expression; `line` and `column` count from 1, `excerpt` is the line with a caret below."""

    def __init__(self, detail: str, line: int, column: int, excerpt: str) -> None:
        super().__init__([Fault(("expression",), f"line {line}, column {column}: {detail}")])
        self.line = line
        self.column = column
        self.excerpt = excerpt


class MalformedTensor(GradbookError):
    """The body is not an .npy of real numbers."""


class DigestMismatch(GradbookError):
    """The body's SHA-256 is not the one that it was sent under."""


class LimitExceeded(GradbookError):
    """The limit named `limit` is `maximum`; `actual` is what was asked for, where known."""

    def __init__(self, limit: str, maximum: int, actual: int | None, detail: str) -> None:
        super().__init__(detail)
        self.limit = limit
        self.maximum = maximum
        self.actual = actual


class KeyReused(GradbookError):
    """The idempotency key was used with a different request."""


class NotFound(GradbookError):
    """There is no such graph, run, node …; `faults` has the member of the request that names it, if one does."""

    def __init__(self, detail: str, location: tuple[str | int, ...] = ()) -> None:
        super().__init__(detail)
        self.faults = (Fault(location, detail),) if location else ()


class Conflict(GradbookError):
    """The request is valid in itself, but not in the present state of what it names."""


class PreconditionFailed(GradbookError):
    """What the request names is not as it was when the caller read it."""
