"""Identifiers that sort by creation time."""

import uuid_utils


def new_id() -> str:
    """Create a UUID of version 7 (RFC 9562); as strings, later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())
