"""Who may ask: the keys that there are, which of them a text is, and when it was last used."""

import hmac
import time
from datetime import UTC, datetime, timedelta
from threading import Lock, Thread

from sqlalchemy.exc import SQLAlchemyError

from service.storage import access_keys as storage
from service.storage.access_keys import PREFIX, AccessKey, digest_of
from service.storage.database import Database

KEPT_SECONDS = 1.0  # for which the keys are not read again, so that a new or revoked one is noticed by then
_BETWEEN_NOTES = timedelta(minutes=1)
_NEVER = float("-inf")


class NotAdmitted(Exception):
    """No valid key was given where one is needed; the message says what is wrong."""


class Keyring:
    """The keys of a database, read again once they were `kept` for that many seconds.

    As long as no key was ever made `anybody` may ask or nobody.
    """

    def __init__(self, database: Database, *, anybody: bool, kept: float = KEPT_SECONDS) -> None:
        self._database, self._anybody, self._kept = database, anybody, kept
        self._read_at, self._reading = _NEVER, Lock()
        self._keys: dict[str, AccessKey] = {}
        self._noted: dict[str, datetime] = {}

    def identify(self, text: str | None) -> AccessKey | None:
        """The key of that text; None where no key was ever made and anybody may ask. Raises NotAdmitted."""
        keys = self._current()
        if not keys and self._anybody:
            return None
        if text is None:
            raise NotAdmitted("a key is needed: send the header Authorization: Bearer KEY")
        key = keys.get(text[:PREFIX])
        if key is None or not hmac.compare_digest(key.digest, digest_of(text)):
            raise NotAdmitted("this key is not known")
        now = datetime.now(UTC)
        if (state := key.state(now)) != "valid":
            raise NotAdmitted(f"this key is {state}")
        self._note(key, now)
        return key

    def _current(self) -> dict[str, AccessKey]:
        """The keys as they were a moment ago; while the database does not answer, as they were at last."""
        if time.monotonic() - self._read_at >= self._kept:
            with self._reading:
                if (now := time.monotonic()) - self._read_at >= self._kept:
                    try:
                        with self._database.read() as connection:
                            self._keys = {key.prefix: key for key in storage.list_access_keys(connection)}
                    except SQLAlchemyError:
                        if self._read_at == _NEVER:
                            raise
                    self._read_at = now
        return self._keys

    def _note(self, key: AccessKey, now: datetime) -> None:
        """Keep that the key was used, at most once a minute, in a thread: a request that reads waits for no writer."""
        noted = self._noted.get(key.prefix) or key.used_at
        if noted is None or now - max(noted, key.used_at or noted) >= _BETWEEN_NOTES:
            self._noted[key.prefix] = now
            Thread(target=self._write_use, args=(key.prefix, now), name="note-use", daemon=True).start()

    def _write_use(self, prefix: str, at: datetime) -> None:
        try:
            with self._database.write() as connection:
                storage.note_use(connection, prefix, at)
        except SQLAlchemyError:
            return  # the database cannot be written now; whoever asks it to store something is told
