"""The service under attack: in a group of its own that has 2 GB of memory, as compose gives it."""

import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from benchmarks.load import post
from service.client import Client, ClientError
from service.process import free_port

PATIENCE = 100.0  # seconds for any answer to come
MEMORY = 2 * 1024**3
MEGABYTE = 1 << 20
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Target:
    """The service under attack; `group` is the folder of its cgroup, None where none could be made."""

    url: str
    process: subprocess.Popen[bytes]
    group: Path | None

    def connect(self, sent: bytes = b"", receives: int = 0) -> socket.socket:
        """A connection over which something was sent; it receives no more at once than that, 0 for as usual."""
        parts = urlsplit(self.url)
        connection = socket.socket()
        connection.settimeout(PATIENCE)
        if receives:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        connection.connect((parts.hostname, parts.port))
        connection.sendall(sent)
        return connection

    def post(self, body: bytes, path: str = "/v1/graphs", content_type: str = "application/json") -> bytes:
        """The bytes of a request."""
        return post(self.url + path, body, content_type)

    def head(self, *lines: str) -> bytes:
        """The bytes of a request's head without a length."""
        fixed = ("POST /v1/graphs HTTP/1.1", f"Host: {urlsplit(self.url).netloc}", "Content-Type: application/json")
        return "\r\n".join((*fixed, *lines, "", "")).encode()

    def processes(self) -> list[Path]:
        """The folders of its processes below /proc."""
        found = {self.process.pid}
        while True:
            more = {int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) in found} - found
            if not more:
                return [Path(f"/proc/{process}") for process in found]
            found |= more

    def cpu_seconds(self) -> float:
        """Seconds of processor time that its processes have taken, those alone that are there."""
        ticks = 0
        for path in self.processes():
            with suppress(OSError):
                ticks += sum(map(int, (path / "stat").read_text().rpartition(")")[2].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Megabytes that its processes have in memory now, nameless files too; without a group, of the first alone."""
        if self.group is None:
            pages = int((Path(f"/proc/{self.process.pid}/statm")).read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE
        said = dict(line.split() for line in (self.group / "memory.stat").read_text().splitlines())
        return sum(int(said.get(name, 0)) for name in ("rss", "anon", "shmem")) / MEGABYTE


def _parent(process: Path) -> int:
    with suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def answers(connections: list[socket.socket]) -> Counter[str]:
    """The status of each connection's answer, once all have one; `closed` for one that has none."""
    return Counter(answer(connection) for connection in connections)


def answer(connection: socket.socket) -> str:
    """The status of a connection's answer, as soon as its first line has come."""
    received = b""
    try:
        while b"\r\n" not in received and (part := connection.recv(1 << 16)):
            received += part
    except (ConnectionError, TimeoutError) as error:
        return "hangs" if isinstance(error, TimeoutError) else "closed"
    return received.split(b" ")[1].decode() if received else "closed"


@contextmanager
def confined() -> Iterator[Path | None]:
    """The folder of a cgroup with 2 GB of memory; None where this system lets us make none."""
    version_1 = (_GROUPS / "memory").is_dir()
    group = _GROUPS / ("memory" if version_1 else "") / f"gradbook-hostile-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(MEMORY))
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        deadline = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        group.rmdir()


@contextmanager
def service(folder: str, **variables: str) -> Iterator[Target]:
    """`gradbook serve` with the default settings but for these."""
    port = free_port()
    serve = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")}
    environment |= {"GRADBOOK_MEMORY_BYTES": str(MEMORY), **variables}
    url = f"http://127.0.0.1:{port}"
    with confined() as group:
        join = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"] if group else []
        with subprocess.Popen([*join, *serve], cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                with Client(url, retries=0) as client:
                    while True:
                        with suppress(ClientError):
                            client.check_ready()
                            break
                        time.sleep(0.05)
                yield Target(url, process, group)
            finally:
                if process.poll() is None:
                    process.kill()


@contextmanager
def peak_memory(target: Target) -> Iterator[list[float]]:
    """The most megabytes that the service has in memory meanwhile, looked at every 10 ms."""
    found, done = [target.memory()], Event()

    def look() -> None:
        while not done.wait(0.01):
            found[0] = max(found[0], target.memory())

    thread = Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def killed_for_memory(target: Target) -> int:
    """How many processes of the service the kernel has killed since its group's memory was exhausted."""
    if target.group is None:
        return 0
    said = "".join(
        (target.group / name).read_text()
        for name in ("memory.oom_control", "memory.events")
        if (target.group / name).exists()
    )
    found = re.search(r"oom_kill (\d+)", said)
    return int(found[1]) if found else 0
