"""What an error of the database means, whichever database it is."""

from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
    TimeoutError,
)

from service.storage import sqlite

# PostgreSQL's codes.
_UNDEFINED_TABLE, _READ_ONLY, _IN_RECOVERY, _DISK_FULL, _FOREIGN_KEY = "42P01", "25006", "0A000", "53100", "23503"


def is_no_answer(error: SQLAlchemyError) -> bool:
    """Whether the database is at fault, which is gone, or cannot do what it is there for."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, (PendingRollbackError, TimeoutError))
    if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
        return True
    return _code(error) in (_UNDEFINED_TABLE, _READ_ONLY, _IN_RECOVERY)


def no_answer(error: BaseException) -> OperationalError:
    """What is raised for all such errors."""
    if isinstance(error, OperationalError):
        return error
    return OperationalError(None, None, getattr(error, "orig", None) or error)


def is_full(error: OperationalError) -> bool:
    """Whether there was no room for what was to be written."""
    return sqlite.is_full(error) or _code(error) == _DISK_FULL


def refers_to_nothing(error: IntegrityError) -> bool:
    """Whether a row was to refer to one that there is not."""
    return "FOREIGN KEY" in str(error.orig) or _code(error) == _FOREIGN_KEY


def reason(error: OperationalError) -> str:
    """What happened, in a line."""
    return str(error.orig).partition("\n")[0]


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
