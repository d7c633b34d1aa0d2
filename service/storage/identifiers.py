"""Identifiers that sort by creation time."""

from datetime import UTC, datetime, timedelta

import uuid_utils

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id() -> str:
    """Create a UUID of version 7 (RFC 9562); as strings, later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())


def bound(moment: datetime) -> str:
    """The beginning that sorts before the ids made in that millisecond and later, and after those made before."""
    milliseconds = f"{max(0, (moment - _EPOCH) // _MILLISECOND):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
