"""What refers to a graph, a run, a comparison, derivatives, a series or a job, wherever one is asked for.

Each is referred to by its id, or by the last 8 characters of it if no other's end so. A graph is also referred to by
its name, which means its highest version, or by name@version; a run by GRAPH:LABEL, the newest run with that label: of
all versions of a name, or of the one graph that GRAPH refers to otherwise. Whole names come before what is parted,
which is parted at the last @ before digits and at the last : whose left side is a graph; what is short comes last.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from unicodedata import category

from sqlalchemy import Connection

from service.core.errors import NotFound, nearest
from service.storage import references as storage

_SHORT = re.compile(f"[0-9a-f]{{{storage.SHORT}}}")
_LONGEST = 512  # characters, of a name and a label
_DIGITS = 9  # of a version, at most
_NEAR = 1000  # names among which near ones are sought
_CANDIDATES = 10  # that are listed


@contextmanager
def named_at(*location: str) -> Iterator[None]:
    """Have what is not found say that this member of the request named it."""
    try:
        yield
    except NotFound as error:
        raise NotFound(error.detail, location) from None


def find_graph_id(connection: Connection, reference: str) -> str | None:
    """The id of the graph that is meant; None if there is none. Raises NotFound where several are."""
    if not _is_text(reference):
        return None
    if storage.has_id(connection, "graph", reference):
        return reference
    for name, version in _versions(reference):
        if found := storage.find_version(connection, name, version):
            return found
    return _find_short(connection, "graph", reference)


def graph_id(connection: Connection, reference: str) -> str:
    """The id of the graph that is meant; raises NotFound."""
    found = find_graph_id(connection, reference)
    if found is None:
        raise NotFound(_no_graph(connection, reference))
    return found


def run_id(connection: Connection, reference: str) -> str:
    """The id of the run that is meant; raises NotFound."""
    if not _is_text(reference):
        raise NotFound(f"there is no run {reference!r}")
    if storage.has_id(connection, "run", reference):
        return reference
    for name, label in _labels(reference):
        graph = find_graph_id(connection, name)
        if graph is None:
            continue
        found = storage.find_labelled(connection, graph, name, label)
        if found is None:
            near = nearest(label, storage.list_labels(connection, graph, name, _NEAR + 1))
            raise NotFound(f"no run of the graph {name!r} has the label {label!r}{near}")
        return found
    found = _find_short(connection, "run", reference)
    if found is None:
        name, colon, _ = reference.rpartition(":")
        more = f": {_no_graph(connection, name)}" if colon else "; a run is referred to by an id, or as GRAPH:LABEL"
        raise NotFound(f"there is no run {reference!r}{more}")
    return found


def comparison_id(connection: Connection, reference: str) -> str:
    """The id of the comparison that is meant; raises NotFound."""
    return _id_of(connection, "comparison", reference)


def derivatives_id(connection: Connection, reference: str) -> str:
    """The id of the derivatives that are meant; raises NotFound."""
    return _id_of(connection, "derivatives", reference)


def series_id(connection: Connection, reference: str) -> str:
    """The id of the series that is meant; raises NotFound."""
    return _id_of(connection, "series", reference)


def job_id(connection: Connection, reference: str) -> str:
    """The id of the job that is meant; raises NotFound."""
    return _id_of(connection, "job", reference)


def sweep_id(connection: Connection, reference: str) -> str:
    """The id of the sweep that is meant, which is that of its job; raises NotFound."""
    return _id_of(connection, "sweep", reference)


def _id_of(connection: Connection, kind: str, reference: str) -> str:
    """The id of what has no name."""
    if _is_text(reference):
        if storage.has_id(connection, kind, reference):
            return reference
        if found := _find_short(connection, kind, reference):
            return found
    raise NotFound(f"there {'are' if kind == 'derivatives' else 'is'} no {kind} {reference!r}")


def _find_short(connection: Connection, kind: str, end: str) -> str | None:
    if not _SHORT.fullmatch(end):
        return None
    found = storage.list_ids(connection, kind, end, _CANDIDATES + 1)
    if len(found) > 1:
        listed = ", ".join(found[:_CANDIDATES]) + (", …" if len(found) > _CANDIDATES else "")
        raise NotFound(f"{end!r} is ambiguous: {listed} end so; give a whole id")
    return found[0] if found else None


def _versions(reference: str) -> Iterator[tuple[str, int | None]]:
    """The name and the version that are meant, in the order in which they are looked for."""
    yield reference, None
    name, at, version = reference.rpartition("@")
    if at and version.isascii() and version.isdigit() and len(version) <= _DIGITS:
        yield name, int(version)


def _labels(reference: str) -> Iterator[tuple[str, str]]:
    """The graph and the label that are meant, parted at each colon, the last one first."""
    end = reference.rfind(":")
    while end >= 0:
        yield reference[:end], reference[end + 1 :]
        end = reference.rfind(":", 0, end)


def _no_graph(connection: Connection, reference: str) -> str:
    missing = f"there is no graph {reference!r}"
    if not _is_text(reference):
        return missing
    *_, (name, version) = _versions(reference)
    highest = None if version is None else storage.highest_version(connection, name)
    if highest is not None:
        return f"{missing}: the highest version of {name!r} is {highest}"
    return f"{missing}{nearest(name, storage.list_names(connection, _NEAR + 1))}"


def _is_text(reference: str) -> bool:
    """Whether it can be the name of anything: not every database takes all characters."""
    return len(reference) <= _LONGEST and not any(category(each) in ("Cc", "Cs") for each in reference)
