"""Pages of a list: the query's `limit` and `cursor`, where a page ends, and the cursor to the next page."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import numpy as np
from flask import Response, request, url_for

from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import respond
from service.api.schemas import LONGEST_CURSOR
from service.core.errors import Fault
from service.core.figures.figures import element_count
from service.storage.listing import is_place

LISTED = 50  # graphs, runs or comparisons of a page, unless `limit` says
MOST_NUMBERS = 1_000_000  # in the arrays of a page, unless its first item has more
_ANOTHER = "invalid cursor: it belongs to another list"
NO_HEAD: Mapping[str, Any] = MappingProxyType({})
_HOLDERS = (np.ndarray, dict, list, tuple)  # what in a document may have numbers


class Identified(Protocol):
    """What a list sorts by `id`, which grows with the time of its making."""

    @property
    def id(self) -> str:
        """The id."""


Record = TypeVar("Record", bound=Identified)
Document = TypeVar("Document")


@dataclass(frozen=True, slots=True)
class Paging:
    """That an endpoint answers in pages: the member that lists the items, and how many unless `limit` says.

    Without `size` a page holds as many as the limit `page` allows.
    """

    member: str
    size: int | None = None

    def read(self, query: dict[str, Any]) -> "Page":
        """Take `limit` and `cursor` out of the query; raises InvalidParameters."""
        return Page(page_size(query, self.size), query.pop("cursor", None))

    def respond(self, items: list[Any], after: str | int | None, head: Mapping[str, Any] = NO_HEAD) -> Response:
        """Send a page, after what `head` says of all; the cursor to what follows `after` stands in the body and in the
        Link header."""
        cursor = None if after is None else write_cursor(after)
        headers = {}
        if cursor is not None:
            assert request.endpoint is not None
            arguments = {**request.args.to_dict(), **(request.view_args or {}), "cursor": cursor}
            headers["Link"] = f'<{url_for(request.endpoint, **arguments)}>; rel="next"'
        return respond({**head, self.member: items, "next": cursor}, headers=headers)


@dataclass(frozen=True, slots=True)
class Page:
    """The part of a list that is asked for: `size` items from where `cursor` points, from the first if it is None.

    A cursor is read only when it is used: a form without pages refuses it in its own words.
    """

    size: int
    cursor: str | None

    @property
    def after(self) -> str | None:
        """The id after which the page begins; raises InvalidParameters."""
        return read_cursor(self.cursor)

    def place(self, sort: str) -> str | None:
        """The place after which the page begins, in a list in that order; raises InvalidParameters."""
        after = self.after
        if after is not None and not is_place(after, sort):
            raise InvalidParameters([Fault(("cursor",), _ANOTHER)])
        return after

    @property
    def start(self) -> int:
        """The position at which the page begins, counted from 0; raises InvalidParameters."""
        position = read_cursor(self.cursor)
        if position is not None and not (position.isdigit() and len(position) < 12):
            raise InvalidParameters([Fault(("cursor",), _ANOTHER)])
        return int(position or 0)

    def fit(self, items: Iterable[Document], count: int) -> tuple[list[Document], int | None]:
        """The items that the page has room for, of `count` numbered ones, and where the next page begins, if any."""
        fitted = fitting(items)
        following = self.start + len(fitted)
        return fitted, following if following < count else None

    def cut(
        self,
        records: Sequence[Record],
        write: Callable[[Record], Document],
        place: Callable[[Record], str] | None = None,
    ) -> tuple[list[Document], str | None]:
        """The documents of a page, of one record more than it may have, and the place after which the next one begins:
        the id of the last, unless `place` tells it."""
        fitted = fitting(map(write, records[: self.size]))
        if len(records) <= len(fitted):
            return fitted, None
        last = records[len(fitted) - 1]
        return fitted, place(last) if place else last.id


def fitting(documents: Iterable[Document]) -> list[Document]:
    """The first documents, one at least, that have at most MOST_NUMBERS in their arrays together.

    A thousand nodes of 10,000 numbers each would be 400 MB of text.
    """
    fitted: list[Document] = []
    room = MOST_NUMBERS
    for document in documents:
        room -= _count_numbers(document)
        if room < 0 and fitted:
            break
        fitted.append(document)
    return fitted


def _count_numbers(document: Any) -> int:
    """How many numbers the arrays in an object or a list have."""
    if isinstance(document, np.ndarray):
        return element_count(document.shape)
    members = document.values() if isinstance(document, dict) else document
    return sum([_count_numbers(member) for member in members if isinstance(member, _HOLDERS)])


def page_size(query: dict[str, Any], size: int | None = None) -> int:
    """Take `limit` out of the query: the number of items of a page; raises InvalidParameters."""
    most = context().limits.page
    limit: int = query.pop("limit", min(size or most, most))
    if limit > most:
        raise InvalidParameters([Fault(("limit",), f"a page has at most {most} items (the limit page)")])
    return limit


def next_cursor(start: int, count: int) -> str | None:
    """The cursor to position `start` of a list of `count` items; None if it has no such item."""
    return write_cursor(start) if start < count else None


def write_cursor(after: str | int) -> str:
    """An opaque cursor to what follows `after`."""
    return base64.urlsafe_b64encode(str(after).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str | None:
    """The `after` of a cursor that `write_cursor` made; raises InvalidParameters for any other text."""
    if cursor is None:
        return None
    try:
        after = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        after = ""
    if "\0" in after or not after or write_cursor(after) != cursor or len(cursor) > LONGEST_CURSOR:
        raise InvalidParameters([Fault(("cursor",), "invalid cursor")])
    return after
