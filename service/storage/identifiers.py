"""Identifiers that sort by creation time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_CARRY = 1 << 31  # is 0 in the first of several ids, so that counting on from it reaches no bit before


def new_id() -> str:
    """Create a UUID of version 7 (RFC 9562); as strings, later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())


def new_ids(count: int) -> list[str]:
    """Create such ids for what is made together, each the number after the one before: the first tells all of them."""
    return ids_from(str(UUID(int=uuid_utils.uuid7().int & ~_CARRY)), count)


def ids_from(first: str, count: int) -> list[str]:
    """The ids that `new_ids` created, by the first of them."""
    start = UUID(first).int
    return [str(UUID(int=number)) for number in range(start, start + count)]


def bound(moment: datetime) -> str:
    """The beginning that sorts before the ids made in that millisecond and later, and after those made before."""
    milliseconds = f"{max(0, (moment - _EPOCH) // _MILLISECOND):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
