"""Lists: in what order their rows stand, which are asked for, and after which of them a page begins."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypedDict, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    ScalarSelect,
    Select,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from service.storage.identifiers import bound

Item = TypeVar("Item")

MOST_COUNTED = 1000
NEWEST_FIRST = "-created_at"
_ID = 36  # characters
_LONGEST_PATTERN = 10_000  # characters, of four bytes or escaped: SQLite takes patterns of 50,000 bytes
_IDS_TOGETHER = 1000  # in one statement, which has a limit of parameters
_MOMENT = timedelta(minutes=1)
_EARLIEST, _LATEST = (each.replace(tzinfo=UTC) for each in (datetime.min + _MOMENT, datetime.max - _MOMENT))


class Listed(TypedDict, total=False):
    """What every list may be asked for: what was made at `since` or later, and before `until`; `sort` is created_at or,
    where the rows have one, name, after a - in descending order; `after` is the `place` after which the page begins."""

    since: datetime | None
    until: datetime | None
    sort: str | None
    after: str | None


class Named(Protocol):
    """What has a place in a list by name."""

    @property
    def id(self) -> str:
        """The id."""

    @property
    def name(self) -> str:
        """The name, which several may share."""


def narrow(connection: Connection, query: Select[Any], row: Any, asked: Listed, limit: int) -> Select[Any]:
    """The query's first `limit` rows of those asked for; ids are in the order of their making."""
    # A row's id was made a moment before its time was taken, and is found without reading the rows of other times.
    if since := asked.get("since"):
        query = query.where(row.created_at >= since, row.id >= bound(max(since, _EARLIEST) - _MOMENT))
    if until := asked.get("until"):
        query = query.where(row.created_at < until, row.id < bound(min(until, _LATEST) + _MOMENT))
    sort, after = asked.get("sort") or NEWEST_FIRST, asked.get("after")
    keys = [row.id]
    if is_by_name(sort):  # by code points, whatever language the database is of
        keys.insert(0, row.name.collate("C") if connection.dialect.name == "postgresql" else row.name)
    descending = sort.startswith("-")
    if after:
        place = (after[_ID:], after[:_ID]) if is_by_name(sort) else (after,)
        query = query.where(tuple_(*keys) < tuple_(*place) if descending else tuple_(*keys) > tuple_(*place))
    return query.order_by(*(key.desc() if descending else key for key in keys)).limit(limit)


def count_some(connection: Connection, condition: ColumnElement[bool]) -> int:
    """How many rows meet the condition, or one more than MOST_COUNTED if more do: a table may hold millions."""
    return connection.execute(select(some_counted(condition))).scalar_one()


def some_counted(condition: ColumnElement[bool], *besides: FromClause) -> ScalarSelect[int]:
    """That number within a query of the tables `besides`."""
    some = select(literal_column("1")).where(condition).limit(MOST_COUNTED + 1).correlate(*besides).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def at_most(count: int) -> str:
    """Such a number in words: 7, or more than 1,000."""
    return str(count) if count <= MOST_COUNTED else f"more than {MOST_COUNTED:,}"


def place(record: Named) -> str:
    """Where a row stands in a list by name, also once it is deleted; in a list by the time of making its id says it."""
    return record.id + record.name


def is_place(after: str, sort: str) -> bool:
    """Whether a row of a list in that order may stand there."""
    return len(after) > _ID if is_by_name(sort) else len(after) <= _ID


def together(items: Sequence[Item], most: int = _IDS_TOGETHER) -> Iterator[Sequence[Item]]:
    """At most so many items at a time; of ids as many as one statement takes."""
    return (items[start : start + most] for start in range(0, len(items), most))


def is_by_name(sort: str) -> bool:
    """Whether that order is by name."""
    return sort.removeprefix("-") == "name"


def holds(text: str, *columns: Any) -> ColumnElement[bool]:
    """Whether one of the columns has that text in it, in small letters or capitals."""
    if len(text) > _LONGEST_PATTERN:
        lowered = [func.lower(column) for column in columns]
        return or_(*(func.replace(each, func.lower(text), "") != each for each in lowered))
    return or_(*(column.icontains(text, autoescape=True) for column in columns))
