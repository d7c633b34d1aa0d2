"""Idempotency keys: a request repeated under its key is answered by what the first one made.

The key is stored in the transaction of the effect, so that there is never one without the other.
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
    """The caller's key, and a fingerprint of the whole request it came with."""

    key: str
    fingerprint: str


def made_before(connection: Connection, key: IdempotencyKey | None) -> KeyRecord | None:
    """What an earlier request under this key made; raises KeyReused if that request was another one."""
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
    """Run `make` in one transaction and remember its result's id under the key, or find `again` what was made before.

    `make` returns what it made, its id, and whether it is new; so does this function, without the id.
    """
    with database.write() as connection:
        if known := made_before(connection, key):
            return again(connection, known.resource_id), known.status == 201
        made, identifier, new = make(connection)
        if key:
            status = 201 if new else 200
            insert_key(connection, KeyRecord(key.key, key.fingerprint, identifier, status, datetime.now(UTC)))
        return made, new
