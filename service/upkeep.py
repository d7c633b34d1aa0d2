"""What is done to the database beside any service: migrate it, copy it, put something into it."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from service import example
from service.settings import Settings


class CannotStart(Exception):
    """The service cannot be started; the message says why."""


def migrate(settings: Settings) -> None:
    """Migrate the database to the newest version; raises CannotStart if it is unreachable, ValueError for its URL."""
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

    from service.storage.database import Database, NewerSchema

    database = Database(settings.database_url)
    try:
        database.migrate()
    except NewerSchema as error:
        raise CannotStart(f"the database was written by a newer version: {error}") from error
    except SQLAlchemyError as error:
        raise CannotStart(f"the database cannot be used: {str(error).splitlines()[0]}") from error
    except (OSError, sqlite3.Error) as error:
        raise CannotStart(f"the database was not migrated, since no copy of it could be written: {error}") from error
    finally:
        database.close()


def back_up(settings: Settings, target: Path) -> None:
    """Copy the database into a new file, while it is served or not; raises CannotStart."""
    with open_database(settings) as database:
        database.back_up(target)


def restore(settings: Settings, source: Path) -> None:
    """Replace all that is stored by a backup, while it is served or not; raises CannotStart."""
    with open_database(settings) as database:
        database.restore(source)


def export_book(database: Any, target: Path, graphs: Collection[str]) -> Mapping[str, int]:
    """Write what is stored into a new file; raises CannotStart, and as the use case."""
    from service.core.errors import NotFound
    from service.usecases.books import export_book

    try:
        return export_book(database, target, graphs)
    except NotFound as error:
        raise CannotStart(error.detail) from error


def import_book(database: Any, source: Path) -> Any:
    """Store what a file holds and the database does not; raises as the use case."""
    from service.usecases.books import import_book

    return import_book(database, source)


@contextmanager
def open_database(settings: Settings) -> Iterator[Any]:
    """The database, for what is done to it beside any service; raises CannotStart if it cannot be used."""
    import sqlite3

    from sqlalchemy.exc import SQLAlchemyError

    from service.storage.database import Database, NewerSchema

    try:
        with closing(Database(settings.database_url)) as database:
            yield database
    except NewerSchema as error:
        raise CannotStart(f"the backup was written by a newer version: {error}") from error
    except (OSError, ValueError, sqlite3.Error, SQLAlchemyError) as error:
        raise CannotStart(str(error).splitlines()[0]) from error


def store_seed_example(settings: Settings) -> tuple[str, str]:
    """Store the seed example's graph and run in a migrated database, once; return their ids."""
    import numpy as np

    from service.storage.database import Database
    from service.usecases.context import Context
    from service.usecases.graphs import create_graph
    from service.usecases.idempotency import IdempotencyKey
    from service.usecases.runs import create_run

    context = Context(Database(settings.database_url), settings.limits)
    try:
        graph, *_ = create_graph(context, example.NAME, expression=example.EXPRESSION, tags={})
        inputs = {name: np.array(value) for name, value in example.INPUTS.items()}
        once = IdempotencyKey("gradbook migrate --seed-example", graph.id)
        run = create_run(context, graph.id, inputs, label=example.LABEL, tags={}, key=once)
        return graph.id, run.record.id
    finally:
        context.database.close()
