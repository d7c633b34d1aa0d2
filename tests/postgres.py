"""A PostgreSQL server of the tests' own: started, killed and hung at will, and gone at the end."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine, make_url, text

from service.process import free_port
from service.storage.database import Database

# A server that is there already.
GIVEN = os.environ.pop("GRADBOOK_TEST_POSTGRES", None)  # which is no setting of the service
_PASSWORD = "p@ss/word"  # as URLs and shells dislike it
_PATIENCE = 30.0


class PostgresServer:
    """A server in a folder of its own, listening at a socket in it and at a port of 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._binaries, self.data = binaries(), folder / "data"
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # initdb refuses root
            self._user = {"user": other_user().pw_uid, "group": other_user().pw_gid}
            os.chown(folder, *self._user.values())
        password = folder / "password"
        password.write_text(_PASSWORD)
        password.chmod(0o644)
        # Not the order of bytes, in which SQLite sorts: a query that leaves the order to the database shows.
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US")
        access = ("--username=gradbook", f"--pwfile={password}", "--auth-local=trust", "--auth-host=scram-sha-256")
        self._do("initdb", "--no-sync", *locale, *access, "--pgdata", self.data)

    def start(self, **changed: str) -> None:
        """Start it with settings that are `changed`, and return when it answers."""
        places = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder}
        options = [f"--{name}={value}" for name, value in {**places, **changed}.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.data, *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self._user,
            )
        end = time.monotonic() + _PATIENCE
        asked = [self._binaries / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port)]
        while subprocess.run(asked, check=False).returncode:
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-1000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End its first process at once, and return when the others have noticed."""
        pids = self._pids()
        self._process.kill()
        self._process.wait()
        end = time.monotonic() + _PATIENCE
        while any(map(_is_there, pids)):  # they hold the memory that the next server would share with them
            assert time.monotonic() < end
            time.sleep(0.01)

    def stop(self) -> None:
        """End it without waiting for those who are connected, nor for its disk."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(_PATIENCE)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """None of its processes does anything meanwhile."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def url(self, name: str = "postgres", *, through_socket: bool = True) -> str:
        """The URL of a database by its name."""
        if through_socket:
            return f"postgresql://gradbook@/{name}?host={self.folder}&port={self.port}"
        return f"postgresql://gradbook:{quote(_PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def _pids(self) -> list[int]:
        """Its processes, the first one first."""
        listed = subprocess.run(["ps", "-eo", "ppid=,pid="], check=True, capture_output=True, text=True).stdout
        pairs = (map(int, line.split()) for line in listed.splitlines())
        return [self._process.pid, *(pid for parent, pid in pairs if parent == self._process.pid)]

    def _do(self, program: str, *arguments: Any) -> None:
        command = [self._binaries / program, *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **self._user)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def binaries() -> Path:
    """The folder of PostgreSQL's programs: Debian's newest, the path's, or those of the package pgserver."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int(folder.parent.name))
    found, packed = shutil.which("postgres"), find_spec("pgserver")
    folders = [
        *debian,
        *([Path(found).resolve().parent] if found else []),
        *([Path(packed.origin).parent / "pginstall" / "bin"] if packed and packed.origin else []),
    ]
    for folder in folders:
        if (folder / "initdb").exists():
            return folder
    raise RuntimeError("PostgreSQL is missing: `make test-postgres` installs it where apt is")


def other_user() -> pwd.struct_passwd:
    """Whom root becomes."""
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


@contextmanager
def postgres_server(**changed: str) -> Iterator[PostgresServer]:
    """A server that runs, with settings that are `changed`."""
    folder = Path(tempfile.mkdtemp(prefix="gradbook-postgres-"))
    try:
        server = PostgresServer(folder)
        server.start(**changed)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def many_databases() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database on the server that is given, or on one of the tests' own.

    Each is a schema, as many in one database, which is much less work than a database each.
    """
    if GIVEN:
        with _schemas(GIVEN) as make:
            yield make
    else:
        with postgres_server(fsync="off", full_page_writes="off") as server, _schemas(server.url()) as make:
            yield make


@contextmanager
def _schemas(url: str) -> Iterator[Callable[[], str]]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    names = (f"gradbook_{os.getpid()}_{number}" for number in count())
    made: list[str] = []

    def do(statement: str) -> None:
        with engine.connect() as connection:
            connection.execute(text(statement))

    def make() -> str:
        made.append(next(names))
        do(f"CREATE SCHEMA {made[-1]}")
        address = make_url(url).update_query_dict({"options": f"-csearch_path={made[-1]}"})
        return address.render_as_string(hide_password=False)

    try:
        yield make
        for name in made if GIVEN else ():
            do(f"DROP SCHEMA {name} CASCADE")
    finally:
        engine.dispose()


def migrated(url: str) -> str:
    """The same URL, of a database that has its tables now."""
    with closing(Database(url)) as database:
        database.migrate()
    return url


if __name__ == "__main__":
    try:
        print(binaries())
    except RuntimeError as error:
        sys.exit(str(error))
