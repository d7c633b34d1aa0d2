"""Move what is stored from one database to another, by a book in a file."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from service.storage.book_imports import BookRead, read_book
from service.storage.books import write_book
from service.storage.database import Database
from service.storage.graphs import list_versions
from service.usecases import references


def export_book(database: Database, target: Path, graphs: Collection[str] = ()) -> Mapping[str, int]:
    """Write all that is stored into a new file, or these graphs with what is theirs: of a name all its versions.

    Returns how many rows of each table there are. Raises NotFound, FileExistsError, OSError.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    part = target.with_name(f"{target.name}.part")
    try:
        with database.read() as connection, part.open("wb") as file:
            meant = {
                identifier
                for graph in graphs
                for identifier in list_versions(connection, graph) or [references.graph_id(connection, graph)]
            }
            counts = write_book(connection, file, meant if graphs else None)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return counts


def import_book(database: Database, source: Path) -> BookRead:
    """Store what a book holds and the database does not, whole or, where it raises, nothing; raises as `read_book`.

    Others wait meanwhile to write.
    """
    with source.open("rb") as file, database.write() as connection:
        return read_book(connection, file)
