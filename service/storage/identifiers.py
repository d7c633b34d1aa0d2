"""Identifiers that sort by the time of their making."""

import uuid_utils


def new_id() -> str:
    """A UUID of version 7 (RFC 9562): later ones sort after earlier ones, as strings too."""
    return str(uuid_utils.uuid7())
