"""A server under a database: killed, restarted, hung, full of others, read-only."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import Connection, NullPool, create_engine, func, make_url, select, text
from sqlalchemy.exc import OperationalError

from service.settings import Settings, WorkBounds
from service.storage import failures
from service.storage.database import Database, NewerSchema
from service.storage.keys import KeyRecord, insert_key
from service.storage.models import KeyRow
from service.storage.postgres import PostgreSQL
from service.storage.sharing import SharedTransaction
from service.upkeep import CannotStart, migrate
from tests.postgres import PostgresServer, migrated, postgres_server
from tests.waiting import until

pytestmark = pytest.mark.postgres

numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that only these tests use."""
    with postgres_server() as server:
        migrated(server.url())
        yield server


@pytest.fixture(params=[True, False], ids=["socket", "TCP"])
def database(request: pytest.FixtureRequest, server: PostgresServer) -> Iterator[Database]:
    """A database that is left in peace for no longer than a second, with few connections."""
    url = server.url(through_socket=request.param)
    with closing(Database(url, patience=1.5, clocks=PostgreSQL(1.0, 4.0), connections=3)) as database:
        write(database)
        yield database


@pytest.fixture
def outages(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the log said of outages."""
    return lambda: [
        record.getMessage().partition(":")[0].partition(",")[0]
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


GONE, BACK = "the database does not answer", "the database answers again"


def write(database: Database) -> None:
    with database.write() as connection:
        insert_key(connection, KeyRecord(f"k{next(numbers)}", "f", "r", 201, datetime.now(UTC)))


def rows(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(KeyRow)).scalar_one()


USES: list[Callable[[Database], object]] = [rows, write, Database.check]


def refused(database: Database, seconds: float) -> bool:
    """Each use of it, and all at once, fails in that time."""
    began = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        uses = [threads.submit(use, database) for use in USES * 2]
        assert all(isinstance(use.exception(), OperationalError) for use in uses)
    assert time.monotonic() - began < seconds
    return True


def test_a_server_that_is_killed_is_missed_until_it_is_back(
    server: PostgresServer, database: Database, outages: Callable[[], list[str]]
) -> None:
    before = rows(database)
    server.kill()
    assert refused(database, 5)
    server.start()
    assert rows(database) == before
    write(database)
    database.check()
    assert rows(database) == before + 1 and outages() == [GONE, BACK]


def end_others(database: Database) -> None:
    """End all connections but the own, as an administrator does."""
    with database.write() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datid > 0")
        )


def test_connections_that_were_ended_meanwhile_are_opened_again(
    server: PostgresServer, database: Database, outages: Callable[[], list[str]]
) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(rows, [database] * 3))
    with closing(Database(server.url())) as administrator:
        for use in USES:
            end_others(administrator)
            use(database)
        assert not outages()
        with pytest.raises(OperationalError), database.read() as connection:
            end_others(administrator)
            connection.execute(select(KeyRow.key)).all()
        assert rows(database)


@pytest.mark.parametrize("ended", [0, 1, 2])
def test_writers_who_share_a_transaction_that_is_lost_are_all_told(
    server: PostgresServer, database: Database, ended: int
) -> None:
    """Its connection ends in the first part, in a later one, or at the commit."""
    before = rows(database)
    shared = SharedTransaction(database._writer.connect(), database._home.lock)
    with closing(Database(server.url())) as administrator, ThreadPoolExecutor(1) as threads:

        def end_it() -> None:
            pid = shared.connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            with administrator.read() as connection:
                connection.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)"))

        for part in range(2):
            if part == ended:
                with pytest.raises(OperationalError), shared.part() as connection:
                    threads.submit(end_it).result()
                    insert_key(connection, KeyRecord(f"k{next(numbers)}", "f", "r", 201, datetime.now(UTC)))
                break
            with shared.part() as connection:
                insert_key(connection, KeyRecord(f"k{next(numbers)}", "f", "r", 201, datetime.now(UTC)))
        else:
            threads.submit(end_it).result()
        assert shared.is_over == (ended < 2)
        shared.end()
        if ended:
            with pytest.raises(OperationalError):
                shared.wait()
    assert rows(database) == before
    write(database)


def test_a_server_that_hangs_is_given_up_and_found_again(
    server: PostgresServer, database: Database, outages: Callable[[], list[str]]
) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(rows, [database] * 3))
    with server.hung():
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(OperationalError, match=r"said nothing for 1\.5 s"):
                database.check()
            assert time.monotonic() - began < 2
        assert refused(database, 15)  # a second more than a statement may take, and four to connect anew
    end = time.monotonic() + 10
    while outages() != [GONE, BACK]:
        assert time.monotonic() < end
        try:
            database.check()
        except OperationalError:
            time.sleep(0.05)
    write(database)


def test_a_statement_takes_no_longer_than_it_may(database: Database) -> None:
    began = time.monotonic()
    with pytest.raises(OperationalError, match="statement timeout"), database.read() as connection:
        connection.execute(text("SELECT pg_sleep(10)"))
    with pytest.raises(OperationalError), database.write() as connection:
        time.sleep(1.3)  # and holds the lock
        connection.execute(text("SELECT 1"))
    assert time.monotonic() - began < 5
    write(database)


def test_one_connection_is_enough(server: PostgresServer) -> None:
    with closing(Database(server.url(), patience=1.0, connections=1)) as database:
        for _ in range(2):
            write(database)
            rows(database)


def test_the_writers_lock_is_waited_for_aside_and_not_for_long(server: PostgresServer) -> None:
    aside = []

    @contextmanager
    def note() -> Iterator[None]:
        aside.append(threading.get_ident())
        yield

    with (
        closing(Database(server.url())) as other,
        closing(Database(server.url(), note, 2.0, PostgreSQL(0.5, 2.0), 4)) as database,
    ):
        with ThreadPoolExecutor(4) as threads:
            with other.write():
                began = time.monotonic()
                written = [threads.submit(write, database) for _ in range(4)]
                rows(database)
                database.check()
                assert time.monotonic() - began < 0.9  # who reads waits for nobody
                raised = [each.exception() for each in written]
            assert 1.9 < time.monotonic() - began < 4  # as long as was said, which is longer than a statement takes
        assert all(isinstance(each, OperationalError) for each in raised) and len(set(aside)) == 4
        write(database)
        with ThreadPoolExecutor(1) as threads:
            with other.write():
                late = threads.submit(write, database)
                time.sleep(0.8)
                assert not late.done()
            assert late.exception() is None


def test_a_pool_has_no_more_connections_than_it_may(server: PostgresServer) -> None:
    def doze(database: Database) -> None:
        with database.read() as connection:
            connection.execute(text("SELECT pg_sleep(0.05)"))

    url = f"{server.url()}&application_name=counted"
    with closing(Database(url, connections=3)) as database, ThreadPoolExecutor(16) as threads:
        list(threads.map(doze, [database] * 32))
        with database.read() as connection:
            counted = connection.execute(
                text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted'")
            ).scalar()
    assert counted == 3


def test_who_finds_no_connection_in_time_is_told(server: PostgresServer) -> None:
    with (
        closing(Database(server.url(), patience=0.2, connections=1)) as database,
        database.read(),
        pytest.raises(OperationalError, match="limit of size 1"),
        database.read(),
    ):
        pass


def test_defaults_of_the_server_that_do_not_suit_are_overridden(server: PostgresServer) -> None:
    chosen = (
        "synchronous_commit=off",
        "default_transaction_read_only=on",
        "default_transaction_isolation=serializable",
    )
    options = {"options": " ".join(f"-c{each}" for each in chosen)}
    url = make_url(server.url()).update_query_dict(options).render_as_string(hide_password=False)
    with closing(Database(url)) as database:
        write(database)
        with database.write() as connection:
            found = connection.execute(
                text("SELECT current_setting('transaction_isolation'), current_setting('synchronous_commit')")
            ).one()
        assert tuple(found) == ("read committed", "on") and rows(database)
        write(database)
        database.check()


def test_a_server_that_repeats_another_is_read_and_not_ready(
    server: PostgresServer, database: Database, outages: Callable[[], list[str]]
) -> None:
    signal = server.data / "standby.signal"
    for is_standby in (True, False):
        server.kill()
        signal.touch() if is_standby else signal.unlink()
        server.start()
        assert rows(database)
        for use in (write, Database.check, write):
            if is_standby:
                with pytest.raises(OperationalError, match=r"read-only|recovery"):
                    use(database)
            else:
                use(database)
    assert outages() == [GONE, BACK]


def test_what_has_no_room_is_told_from_the_rest(database: Database) -> None:
    with pytest.raises(OperationalError) as raised, database.write() as connection:
        connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '53100' USING MESSAGE = 'no space left'; END $$"))
    assert failures.is_full(raised.value)


def test_a_newer_schema_is_refused_and_left_alone(server: PostgresServer) -> None:
    with closing(Database(server.url())) as database:
        with database.write() as connection:
            (version,) = connection.execute(text("SELECT version_num FROM alembic_version")).scalars()
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(NewerSchema, match="9999"):
            database.migrate()
        with database.write() as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{version}'"))


def test_a_database_without_an_encoding_is_refused(server: PostgresServer) -> None:
    given = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc"
    engine = create_engine(server.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE bytes {given}"))
    with pytest.raises(CannotStart, match=r"cannot be used: .*its encoding is SQL_ASCII: create it with"):
        migrate(Settings(server.url("bytes")))


def test_six_first_starts_at_once_all_succeed(server: PostgresServer) -> None:
    with closing(Database(server.url())) as database:
        for _ in range(3):
            with database.write() as connection:
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))
            with ThreadPoolExecutor(6) as threads:
                assert len(list(threads.map(migrated, [server.url()] * 6))) == 6
            assert rows(database) == 0


def test_the_defaults_are_those_of_the_settings() -> None:
    bounds = WorkBounds()
    assert (bounds.statement_seconds, bounds.connect_seconds) == (10, 5)


def test_two_processes_insert_at_once_and_wait_for_who_writes(server: PostgresServer) -> None:
    inserting, go_on = threading.Event(), threading.Event()

    def slowly(connection: Connection, keys: Sequence[str]) -> None:
        quickly(connection, keys)
        inserting.set()
        assert go_on.wait(30)

    def quickly(connection: Connection, keys: Sequence[str]) -> None:
        for key in keys:
            insert_key(connection, KeyRecord(key, "f", "r", 201, datetime.now(UTC)))

    with ThreadPoolExecutor(3) as threads, ExitStack() as stack:
        ours, theirs = (stack.enter_context(closing(Database(server.url()))) for _ in range(2))
        first = threads.submit(ours.write_together, slowly, f"k{next(numbers)}")
        assert inserting.wait(30)
        theirs.write_together(quickly, f"k{next(numbers)}")
        writer = threads.submit(write, theirs)
        until(lambda: theirs._turns._taken)
        last = threads.submit(ours.write_together, quickly, f"k{next(numbers)}")
        assert not first.done() and not writer.done()
        go_on.set()
        for each in (first, writer, last):
            each.result(30)
