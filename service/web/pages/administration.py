"""What an administrator looks up: the keys that there are, and the settings with which the service runs."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from flask import current_app, render_template
from sqlalchemy import make_url

from service.api.http.request import context
from service.settings import Settings, variable_of
from service.storage.access_keys import Scope, list_access_keys
from service.web.pages.page import page

_HIDDEN = "hidden"
_GROUPS = (("work", "Work"), ("server", "Clients"), ("limits", "Limits"))
# What the command line and the Python client read; the service does not.
_OF_THE_CLIENT = (
    ("GRADBOOK_URL", "the service that the command line calls"),
    ("GRADBOOK_KEY", "the key that the command line and the Python client send"),
)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting: its variable, its value as text, where that came from, and what it means."""

    variable: str
    value: str
    origin: str
    meaning: str


@page("GET", "/keys", Scope.ADMIN)
def list_keys() -> str:
    """List the keys, those too that are no longer valid, without their texts"""
    with context().database.read() as connection:
        keys = list_access_keys(connection)
    return render_template("keys.html", keys=keys, now=datetime.now(UTC))


@page("GET", "/settings", Scope.ADMIN)
def list_settings() -> str:
    """List every setting and limit with its value, where that came from and what it means"""
    settings: Settings = current_app.extensions["settings"]
    groups = [("The service", list(_rows(settings, settings)))]
    groups += [(title, list(_rows(settings, getattr(settings, name), name == "limits"))) for name, title in _GROUPS]
    given = settings.origin
    client = [
        SettingRow(name, "given, not shown" if name in given else "none", given.get(name, "default"), meaning)
        for name, meaning in _OF_THE_CLIENT
    ]
    return render_template("settings.html", groups=[*groups, ("Of its clients", client)])


def _rows(settings: Settings, group: Any, limit: bool = False) -> Iterator[SettingRow]:
    for each in fields(group):
        if "meaning" in each.metadata:
            variable, value = variable_of(each.name, limit), getattr(group, each.name)
            # What nobody gave, and yet is no default, was chosen by the service for the memory that there is.
            otherwise = "default" if value == each.default else "fitted to this machine"
            yield SettingRow(
                variable, _written(each.name, value), settings.origin.get(variable, otherwise), each.metadata["meaning"]
            )


def _written(name: str, value: Any) -> str:
    if name == "database_url":
        return _without_secrets(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(int(value) if isinstance(value, bool) else value) or "none"


def _without_secrets(url: str) -> str:
    """A database's address without passwords, wherever they stand in it."""
    address = make_url(url)
    hidden = {name: _HIDDEN if "password" in name else value for name, value in address.query.items()}
    return address.set(query=hidden).render_as_string(hide_password=True)
