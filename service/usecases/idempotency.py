"""Idempotency keys: a request repeated with the same key is answered with the result of the first.

The key is stored in the same transaction as the result, so that neither exists without the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection

from service.core.errors import KeyReused
from service.storage.database import Database
from service.storage.keys import KeyRecord, find_key, insert_key

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The caller's key and a fingerprint of the whole request."""

    key: str
    fingerprint: str


def made_before(connection: Connection, key: IdempotencyKey | None) -> KeyRecord | None:
    """Find the result of an earlier request with this key; raises KeyReused if that request was different."""
    known = find_key(connection, key.key) if key else None
    if known and key and known.fingerprint != key.fingerprint:
        raise KeyReused("this Idempotency-Key was used with a different request")
    return known


def write_once(
    database: Database,
    key: IdempotencyKey | None,
    make: Callable[[Connection], tuple[Made, str, bool]],
    again: Callable[[Connection, str], Made],
) -> tuple[Made, bool]:
    """Run `make` in one transaction and store its result's id with the key, or load an earlier result with `again`.

    `make` returns the result, its id and whether it is new; this function returns the result and whether it is new.
    """
    with database.write() as connection:
        if known := made_before(connection, key):
            return again(connection, known.resource_id), known.status == 201
        made, identifier, new = make(connection)
        if key:
            status = 201 if new else 200
            insert_key(connection, KeyRecord(key.key, key.fingerprint, identifier, status, datetime.now(UTC)))
        return made, new
