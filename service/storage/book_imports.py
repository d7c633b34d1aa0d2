"""Read a book into a database: what is there already must be equal, and everything else is new."""

import base64
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from io import BufferedReader
from itertools import groupby
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

from sqlalchemy import JSON, Column, Connection, LargeBinary, Table, func, insert, select, tuple_, update
from sqlalchemy.exc import DataError, IntegrityError

from service.storage.books import FORMAT, MANIFEST, PARTS, TABLES, member_of, schema_of
from service.storage.contents import names_in, read_content
from service.storage.models import GraphRow, Moment

Row = dict[str, Any]

_AT_ONCE, _BYTES_AT_ONCE = 200, 4 * 1024 * 1024  # rows, or bytes in them
_LARGEST = 512 * 1024 * 1024  # bytes of a line or of unpacked content, which a few bytes of a file may stand for
_OWNERS_AT_ONCE = 500
_UNLIKE = {("tensors", "created_at")}  # what may differ


@dataclass(frozen=True, slots=True)
class BookRead:
    """By table, how many rows are new and how many were there already."""

    new: Counter[str]
    known: Counter[str]


def read_book(connection: Connection, file: BinaryIO) -> BookRead:
    """Insert what a book has and the database has not, under the same ids.

    Raises ValueError, with a sentence, for what is no book or not whole, and where something of the book is there
    already and differs.
    """
    try:
        with ZipFile(file) as book:
            counts = _read_counts(book, schema_of(connection))
            reading = _Reading(connection)
            for table in TABLES:
                rows = _read_rows(book, table, counts.get(table.name, 0))
                reading.read(table, _hash_chunks(rows) if table.name == "tensor_chunks" else rows)
            return BookRead(reading.new, reading.known)
    except (BadZipFile, EOFError, RuntimeError, zlib.error) as error:
        raise ValueError(f"this is no book, or it is damaged: {error}") from None
    except IntegrityError as error:
        raise ValueError("the book is not whole: something in it refers to what it lacks") from error
    except (OverflowError, DataError) as error:
        raise ValueError("the book has a number or a text that the database cannot hold") from error


class _Reading:
    """What a book's rows have been found to be so far."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._there: defaultdict[str, set[str]] = defaultdict(set)  # the ids of what was there already, by table
        self.new: Counter[str] = Counter()
        self.known: Counter[str] = Counter()

    def read(self, table: Table, rows: Iterable[Row]) -> None:
        """Insert those rows that are new; raises ValueError where one is there and differs."""
        whole = PARTS.get(table.name, table.name)
        counted: Counter[str] = Counter()
        parents: dict[str, str] = {}
        for some in _batches(rows):
            stored = self._stored(table, some)
            new = []
            for row in some:
                key = _key(table, row)
                if key in stored:
                    _hold_equal(table, row, stored[key])
                    if table.name == whole:
                        self._there[whole].add(key[0])
                else:
                    new.append(row)
                counted[key[0]] += key in stored
            if table.name == "graphs":
                self._refuse_taken_names(new)
                parents |= {row["id"]: row["parent_id"] for row in new if row["parent_id"]}
                new = [{**row, "parent_id": None} for row in new]  # a graph may stand before what it was made from
            if new:
                self._connection.execute(insert(table), new)
            self.new[table.name] += len(new)
            self.known[table.name] += len(some) - len(new)
        for graph, parent in parents.items():
            self._connection.execute(update(GraphRow).where(GraphRow.id == graph).values(parent_id=parent))
        if table.name != whole:
            self._hold_complete(table, whole, counted)

    def _stored(self, table: Table, rows: Sequence[Row]) -> dict[tuple[Any, ...], Row]:
        """Those of the rows that are there, by primary key."""
        keys = [_key(table, row) for row in rows]
        query = select(table).where(tuple_(*table.primary_key.columns).in_(keys))
        stored = (dict(zip(table.columns.keys(), row, strict=True)) for row in self._connection.execute(query))
        return {_key(table, row): row for row in stored}

    def _refuse_taken_names(self, graphs: Sequence[Row]) -> None:
        taken = select(GraphRow.id, GraphRow.name, GraphRow.version, GraphRow.digest, GraphRow.weights_digest)
        stored = self._connection.execute(taken.where(GraphRow.name.in_({row["name"] for row in graphs}))).all()
        versions = {(each.name, each.version): each.id for each in stored}
        contents = {(each.name, each.digest, each.weights_digest): each.id for each in stored}
        for row in graphs:
            named = f"the graph {row['name']}@{row['version']} of the book"
            if other := versions.get((row["name"], row["version"])):
                raise ValueError(f"{named}, {row['id']}, is another one here: {other}")
            if other := contents.get((row["name"], row["digest"], row.get("weights_digest", ""))):
                raise ValueError(f"{named}, {row['id']}, is here under another id: {other}")

    def _hold_complete(self, table: Table, whole: str, counted: Mapping[str, int]) -> None:
        """Raise ValueError if what was there already has more parts than the book says."""
        owner, there = next(iter(table.primary_key.columns)), sorted(self._there[whole])
        for begin in range(0, len(there), _OWNERS_AT_ONCE):
            some = there[begin : begin + _OWNERS_AT_ONCE]
            query = select(owner, func.count().label("count")).where(owner.in_(some)).group_by(owner)
            for identifier, count in self._connection.execute(query):
                if count != counted.get(identifier, 0):
                    raise _differs(whole, identifier, table.name)


def _hold_equal(table: Table, row: Row, stored: Row) -> None:
    """Raise ValueError if a row is not as it is stored, in what the book says of it."""
    for name, value in row.items():
        ours = stored[name]
        if value != ours and (table.name, name) not in _UNLIKE and not _is_same_document(name, value, ours):
            raise _differs(PARTS.get(table.name, table.name), _key(table, row)[0], name)


def _is_same_document(name: str, *documents: Any) -> bool:
    """Whether content, of one digest, has its nodes in the same order."""
    return name == "document" and len({tuple(names_in(_unpacked(each))) for each in documents}) == 1


def _differs(whole: str, identifier: str, what: str) -> ValueError:
    if whole == "contents":  # its digest leaves nothing else that could differ
        return ValueError(f"the nodes of the graph of the digest {identifier} are here in another order")
    named = {"derivatives": "the set of derivatives", "series": "the series"}.get(
        whole, f"the {whole.removesuffix('s')}"
    )
    return ValueError(f"{named} {identifier} of the book is here already and differs: {what}")


# --- the file -----------------------------------------------------------------------------------------------------


def _read_counts(book: ZipFile, schema: str) -> Mapping[str, int]:
    """How many rows of each table the book has."""
    try:
        with book.open(MANIFEST) as file:
            manifest = json.loads(file.read(_LARGEST))
        form, its_schema, counts = (manifest[member] for member in ("format", "schema", "rows"))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"this is no book: it has no {MANIFEST} that says so") from None
    if form != FORMAT or not isinstance(counts, dict):
        raise ValueError(f"this is no book of the format {FORMAT!r}")
    if str(its_schema) > schema or counts.keys() - {table.name for table in TABLES}:
        raise ValueError(f"the book was written by a newer version: its schema is {its_schema}, this one's {schema}")
    return counts


def _read_rows(book: ZipFile, table: Table, count: int) -> Iterator[Row]:
    """The rows of a table, checked; raises ValueError with the place of what is wrong."""
    member, number = member_of(table), 0
    if member not in book.namelist():
        if count:
            raise ValueError(f"the book lacks {member}")
        return
    with BufferedReader(book.open(member)) as lines:  # type: ignore[type-var]  # it is one that can be read
        while line := lines.readline(_LARGEST + 1):
            number += 1
            if len(line) > _LARGEST:
                raise ValueError(f"{member}, line {number}: it is longer than {_LARGEST} bytes")
            try:
                yield _read_row(table, json.loads(line))
            except (TypeError, ValueError, LookupError) as error:
                raise ValueError(f"{member}, line {number}: {error}") from None
    if number != count:
        raise ValueError(f"{member} has {number} lines where {MANIFEST} says {count}")


def _read_row(table: Table, document: Any) -> Row:
    if not isinstance(document, dict):
        raise TypeError("an object is expected")
    if unknown := sorted(document.keys() - table.columns.keys()):
        raise ValueError(f"there is no column {unknown[0]!r}")
    needed = {column.name for column in table.columns if not (column.nullable or column.server_default)}
    if missing := sorted(needed - document.keys()):
        raise ValueError(f"the column {missing[0]!r} is missing")
    row = {name: _read_value(table.columns[name], value) for name, value in document.items()}
    if table.name == "contents":
        _check_content(row)
    return row


def _read_value(column: Column[Any], value: Any) -> Any:
    kind = column.type
    if isinstance(kind, JSON) or value is None:
        if value is None and not column.nullable:
            raise TypeError(f"{column.name} may not be null")
        return value
    try:
        if isinstance(kind, LargeBinary):
            return base64.b64decode(value, validate=True)
        if isinstance(kind, Moment) and (moment := datetime.fromisoformat(value)).tzinfo:
            return moment
    except (TypeError, ValueError):
        raise ValueError(f"{column.name} cannot be read") from None
    if type(value) is not kind.python_type:
        raise TypeError(f"{column.name} is not of the type {kind.python_type.__name__}")
    return value


def _check_content(row: Row) -> None:
    """Raise ValueError, LookupError for content that is not that of its digest, or that this version cannot read."""
    try:
        _unpacked(row["document"])
        graph = read_content(row["document"], row["inputs"], row["outputs"])
    except (zlib.error, TypeError) as error:
        raise ValueError(f"the content cannot be read: {error}") from None
    if graph.digest != row["digest"]:
        raise ValueError(f"the content is not that of the digest {row['digest']}")


def _unpacked(document: bytes) -> bytes:
    """The JSON of content; raises ValueError for more of it than there can be, zlib.error."""
    unpacked = zlib.decompressobj().decompress(document, _LARGEST + 1)
    if len(unpacked) > _LARGEST:
        raise ValueError(f"the content is longer than {_LARGEST} bytes")
    return unpacked


def _hash_chunks(rows: Iterable[Row]) -> Iterator[Row]:
    """The chunks of tensors; raises ValueError for those that are not of their digest."""
    for digest, chunks in groupby(rows, lambda row: row["digest"]):
        found = sha256()
        for row in chunks:
            found.update(row["data"])
            yield row
        if found.hexdigest() != digest:
            raise ValueError(f"the tensor sha256:{digest} is not that of its digest")


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    nbytes = 0
    for row in rows:
        some.append(row)
        nbytes += sum(len(value) for value in row.values() if isinstance(value, Sized))
        if nbytes >= _BYTES_AT_ONCE or len(some) == _AT_ONCE:
            yield some
            some, nbytes = [], 0
    if some:
        yield some


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in table.primary_key)
