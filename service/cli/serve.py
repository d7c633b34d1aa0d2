"""The command `serve`, which needs no client, and what all commands of the service itself have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from service import serving
from service.settings import Settings, read_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def database_option(command: Command) -> Command:
    """--database."""
    return click.option("--database", metavar="URL", help="GRADBOOK_DATABASE_URL, or sqlite:///gradbook.db.")(command)


@click.command()
@click.option("--host", help="GRADBOOK_HOST, or 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="GRADBOOK_PORT, or 8000; 0 takes a free one.")
@database_option
def serve(host: str | None, port: int | None, database: str | None) -> None:
    """Serve the REST API until told to stop, with the database migrated first."""
    with read_given_settings(host=host, port=port, database_url=database) as settings:
        serving.serve(settings)


@contextmanager
def read_given_settings(**flags: Any) -> Iterator[Settings]:
    """The settings; a wrong one is an error of usage."""
    try:
        yield read_settings(**flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
