"""Pages of a list: the query's `limit` and `cursor`, and the cursor to the next page."""

import base64
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from flask import Response, request, url_for

from service.api.http.problems import InvalidParameters
from service.api.http.request import context
from service.api.http.response import respond
from service.core.errors import Fault

LISTED = 50  # graphs, runs or comparisons of a page, unless `limit` says


class Identified(Protocol):
    """What a list sorts by `id`, which grows with the time of its making."""

    @property
    def id(self) -> str:
        """The id."""


Record = TypeVar("Record", bound=Identified)


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

    def respond(self, items: list[Any], after: str | int | None) -> Response:
        """Send a page; the cursor to what follows `after` stands in the body and in the Link header."""
        cursor = None if after is None else write_cursor(after)
        headers = {}
        if cursor is not None:
            assert request.endpoint is not None
            arguments = {**request.args.to_dict(), **(request.view_args or {}), "cursor": cursor}
            headers["Link"] = f'<{url_for(request.endpoint, **arguments)}>; rel="next"'
        return respond({self.member: items, "next": cursor}, headers=headers)


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

    @property
    def start(self) -> int:
        """The position at which the page begins, counted from 0; raises InvalidParameters."""
        position = read_cursor(self.cursor)
        if position is not None and not (position.isdigit() and len(position) < 12):
            raise InvalidParameters([Fault(("cursor",), "invalid cursor: it belongs to another list")])
        return int(position or 0)

    def next_start(self, count: int) -> int | None:
        """Where the next page of `count` numbered items starts; None after the last."""
        following = self.start + self.size
        return following if following < count else None

    def cut(self, records: list[Record]) -> tuple[list[Record], str | None]:
        """Part a page from the one record more that was read, with the id after which the next page begins."""
        return records[: self.size], records[self.size - 1].id if len(records) > self.size else None


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
        after = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        after = ""
    if not after.isprintable() or not after or write_cursor(after) != cursor:
        raise InvalidParameters([Fault(("cursor",), "invalid cursor")])
    return after
