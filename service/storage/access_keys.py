"""Access keys: who made a request, and what that lets them do. Of a key's text only the SHA-256 is stored."""

import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import IntEnum

from sqlalchemy import Connection, case, insert, or_, select, update

from service.storage.models import AccessKeyRow

_COLUMNS = [column for column in AccessKeyRow.__table__.columns if column.name not in ("minute", "requests")]
PREFIX = len("gradbook_") + 12  # characters of a key's text that name it


class Scope(IntEnum):
    """What a key lets its bearer do, and what an operation asks for. Each includes those before it."""

    OPEN = 0  # needs no key
    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key but for its text, whose first characters are the `prefix` and whose SHA-256 in hexadecimal is `digest`."""

    prefix: str
    name: str
    scope: Scope
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    used_at: datetime | None = None  # to a minute

    def state(self, now: datetime) -> str:
        """Whether it is valid, expired or revoked."""
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else "valid"


def digest_of(text: str) -> str:
    """The SHA-256 of a key's text. A key has 256 random bits, so that no slower hash is needed to keep it secret."""
    return hashlib.sha256(text.encode()).hexdigest()


def create_access_key(
    connection: Connection, name: str, scope: Scope, expires_at: datetime | None = None
) -> tuple[AccessKey, str]:
    """Make and insert a key; return it with its text, which nothing else will ever tell."""
    prefix = f"gradbook_{secrets.token_hex(6)}"
    text = f"{prefix}_{secrets.token_urlsafe(32)}"
    key = AccessKey(prefix, name, scope, digest_of(text), datetime.now(UTC), expires_at)
    connection.execute(insert(AccessKeyRow), {**asdict(key), "scope": scope.name.lower()})
    return key, text


def list_access_keys(connection: Connection) -> list[AccessKey]:
    """All keys, oldest first, those too that are no longer valid."""
    rows = connection.execute(select(*_COLUMNS).order_by(AccessKeyRow.created_at, AccessKeyRow.prefix))
    return [AccessKey(**{**row._mapping, "scope": Scope[row.scope.upper()]}) for row in rows]


def revoke_access_key(connection: Connection, which: str) -> list[str]:
    """Revoke the key of that prefix or name, if there is one alone; return the prefixes of those that it could be."""
    is_it = or_(AccessKeyRow.prefix == which, AccessKeyRow.name == which) & AccessKeyRow.revoked_at.is_(None)
    found = list(connection.scalars(select(AccessKeyRow.prefix).where(is_it)))
    if len(found) == 1:
        connection.execute(update(AccessKeyRow).where(is_it), {"revoked_at": datetime.now(UTC)})
    return found


def note_use(connection: Connection, prefix: str, at: datetime) -> None:
    """Keep the time of a key's last use."""
    connection.execute(update(AccessKeyRow).where(AccessKeyRow.prefix == prefix), {"used_at": at})


def count_requests(connection: Connection, prefix: str, minute: int, count: int) -> int:
    """Count so many requests with a key, in a minute since the epoch; return how many that minute has by then."""
    earlier = case((AccessKeyRow.minute == minute, AccessKeyRow.requests), else_=0)
    counting = (
        update(AccessKeyRow)
        .where(AccessKeyRow.prefix == prefix)
        .values(minute=minute, requests=earlier + count)
        .returning(AccessKeyRow.requests)
    )
    return connection.execute(counting).scalar_one()
