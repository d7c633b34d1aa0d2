"""The commands `key create`, `key list` and `key revoke`, at the database itself: a service may have no key yet."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from service import upkeep
from service.cli.serve import database_option, opened_database
from service.cli.terminal import json_option, make_table, print_json, print_table


@click.group()
def key() -> None:
    """The keys that let requests in. Once there is one, every request needs one."""


def _read_time(context: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("a date is expected, as 2027-03-31, or a time, as 2027-03-31T18:00+01:00") from None
    time = read if read.tzinfo else read.replace(tzinfo=UTC)
    if time <= datetime.now(UTC):
        raise click.BadParameter(f"{text} is past")
    return time


@key.command("create")
@click.option("--name", required=True, help="Who it is for, as lists and the log name it.")
@click.option("--scope", required=True, type=click.Choice(["read", "write", "admin"]), help="What it allows.")
@click.option("--expires", metavar="TIME", callback=_read_time, help="A date or time (UTC) from which it is invalid.")
@database_option
@json_option
def create_key(name: str, scope: str, expires: datetime | None, database: str | None, as_json: bool) -> None:
    """Make a key and print it, this once."""
    from service.storage.access_keys import Scope, create_access_key

    with opened_database(database) as opened, opened.write() as connection:
        made, text = create_access_key(connection, name, Scope[scope.upper()], expires)
    if as_json:
        print_json({"key": text, **_document(made)})
        return
    click.echo(text)
    click.echo("It is not shown again. A client takes it from GRADBOOK_KEY.", err=True)


@key.command("list")
@database_option
@json_option
def list_keys(database: str | None, as_json: bool) -> None:
    """List all keys, those too that are no longer valid."""
    from service.storage.access_keys import list_access_keys

    with opened_database(database) as opened, opened.read() as connection:
        keys = [_document(each) for each in list_access_keys(connection)]
    if as_json:
        print_json(keys)
        return
    table = make_table("key", "name", "scope", "created", "expires", "last used", "")
    for each in keys:
        times = [(each[name] or "")[:16] for name in ("created_at", "expires_at", "used_at")]
        table.add_row(each["prefix"], each["name"], each["scope"], *times, each["state"])
    print_table(table)


@key.command("revoke")
@click.argument("key")
@database_option
def revoke_key(key: str, database: str | None) -> None:
    """Have a KEY, by its first characters as `key list` shows them or by its name, let nobody in any more."""
    from service.storage.access_keys import revoke_access_key

    with opened_database(database) as opened, opened.write() as connection:
        found = revoke_access_key(connection, key)
    if len(found) != 1:
        raise upkeep.CannotStart(
            f"several keys have that name; name one of {', '.join(found)}" if found else f"there is no valid key {key}"
        )


def _document(made: Any) -> dict[str, Any]:
    written = {name: each.isoformat() if isinstance(each, datetime) else each for name, each in asdict(made).items()}
    del written["digest"]
    return {**written, "scope": made.scope.name.lower(), "state": made.state(datetime.now(UTC))}
