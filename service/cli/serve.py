"""The command `serve`, which needs no client, and what all commands of the service itself have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from service import serving, upkeep
from service.settings import Settings, read_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def database_option(command: Command) -> Command:
    """--database."""
    return click.option("--database", metavar="URL", help="GRADBOOK_DATABASE_URL, or sqlite:///gradbook.db.")(command)


@click.command()
@click.option("--host", help="GRADBOOK_HOST, or 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="GRADBOOK_PORT, or 8000; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="GRADBOOK_WORKERS, or 1; several need PostgreSQL.")
@database_option
def serve(host: str | None, port: int | None, workers: int | None, database: str | None) -> None:
    """Serve the REST API until told to stop, with the database migrated first."""
    with read_given_settings(host=host, port=port, workers=workers, database_url=database) as settings:
        serving.serve(settings)


@contextmanager
def read_given_settings(**flags: Any) -> Iterator[Settings]:
    """The settings; a wrong one is an error of usage."""
    try:
        yield read_settings(**flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def opened_database(url: str | None, *, create: bool = True) -> Iterator[Any]:
    """The database of that URL, or of the settings, migrated: for what is done to it beside any service.

    Raises upkeep.CannotStart, also where there is none and none is to be created.
    """
    with read_given_settings(database_url=url) as settings:
        if create:
            upkeep.migrate(settings)
        with upkeep.open_database(settings) as opened:
            if not create:
                if opened.file and not opened.file.path.exists():
                    raise upkeep.CannotStart(f"there is no database {opened.file.path}")
                upkeep.migrate(settings)
            yield opened
