"""Idempotency keys."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from service.storage.models import KeyRow


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key, the fingerprint of its request, and the id and status of what that request created."""

    key: str
    fingerprint: str
    resource_id: str
    status: int
    created_at: datetime


def find_key(connection: Connection, key: str) -> KeyRecord | None:
    """Find a key; None if it was not used."""
    row = connection.execute(select(KeyRow.__table__).where(KeyRow.key == key)).one_or_none()
    return KeyRecord(**row._mapping) if row else None


def insert_key(connection: Connection, record: KeyRecord) -> None:
    """Insert a key."""
    connection.execute(insert(KeyRow), asdict(record))
