"""Who may ask: the keys that there are, which of them a text is, and when it was last used."""

import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime, timedelta
from threading import Lock, Thread

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from service.storage import access_keys as storage
from service.storage.access_keys import PREFIX, AccessKey, digest_of
from service.storage.database import Database

KEPT_SECONDS = 1.0  # for which the keys are not read again, so that a new or revoked one is noticed by then
_BETWEEN_NOTES = timedelta(minutes=1)
_NEVER = float("-inf")
_PATIENCE = 1.0  # seconds for the keys to be read


class NotAdmitted(Exception):
    """No valid key was given where one is needed; the message says what is wrong."""


class Keyring:
    """The keys of a database, read again once they were `kept` for that many seconds.

    As long as no key was ever made `anybody` may ask or nobody. What happened to a key meanwhile is `noticed`.
    """

    def __init__(
        self,
        database: Database,
        *,
        anybody: bool,
        kept: float = KEPT_SECONDS,
        noticed: Callable[[str, AccessKey], object] = lambda change, key: None,
    ) -> None:
        self._database, self._anybody, self._kept, self._noticed = database, anybody, kept, noticed
        self._read_at, self._turn = _NEVER, Lock()
        self._reading: Future[dict[str, AccessKey]] = Future()
        self._reading.set_result({})
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
            with self._turn:
                if (now := time.monotonic()) - self._read_at >= self._kept:
                    self._read_again()
                    self._read_at = now
        return self._keys

    def _read_again(self) -> None:
        """Read the keys, or go on without where that takes too long; raises OperationalError if it was never done."""
        if self._reading.done():  # of a database that hangs nobody knows for how long
            self._reading = Future()
            Thread(target=self._read, args=(self._reading,), name="read-keys", daemon=True).start()
        try:
            before, self._keys = self._keys, self._reading.result(_PATIENCE)
        except (SQLAlchemyError, FutureTimeout) as error:
            if self._read_at == _NEVER:
                raise error if isinstance(error, SQLAlchemyError) else OperationalError("SELECT", None, error) from None
            return
        if self._read_at != _NEVER:
            for change, key in _changes(before, self._keys):
                self._noticed(change, key)

    def _read(self, reading: "Future[dict[str, AccessKey]]") -> None:
        try:
            with self._database.read() as connection:
                keys = {key.prefix: key for key in storage.list_access_keys(connection)}
        except Exception as error:  # it is raised where the keys are asked for
            reading.set_exception(error)
        else:  # the transaction has ended too
            reading.set_result(keys)

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


def _changes(before: Mapping[str, AccessKey], after: Mapping[str, AccessKey]) -> Iterator[tuple[str, AccessKey]]:
    """Which keys were made, and which were revoked."""
    for prefix, key in after.items():
        known = before.get(prefix)
        if known is None:
            yield "create_key", key
        if key.revoked_at and not (known and known.revoked_at):
            yield "revoke_key", key
