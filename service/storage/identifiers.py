"""Identifiers that sort by creation time."""

from datetime import UTC, datetime, timedelta

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NO_CARRY = 0x7FFF_FFFF  # bounds the last digits of the first of several ids, so that counting on changes them alone


def new_id() -> str:
    """Create a UUID of version 7 (RFC 9562); as strings, later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())


def new_ids(count: int) -> list[str]:
    """Create such ids for what is made together, each the number after the one before: the first tells all of them."""
    first = new_id()
    return ids_from(f"{first[:-8]}{int(first[-8:], 16) & _NO_CARRY:08x}", count)


def ids_from(first: str, count: int) -> list[str]:
    """The ids that `new_ids` created, by the first of them."""
    start = int(first[-8:], 16)
    return [f"{first[:-8]}{number:08x}" for number in range(start, start + count)]


def bound(moment: datetime) -> str:
    """The beginning that sorts before the ids made in that millisecond and later, and after those made before."""
    milliseconds = f"{max(0, (moment - _EPOCH) // _MILLISECOND):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
