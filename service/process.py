"""A service in a process of its own, for whoever needs one for a while."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from service.upkeep import CannotStart

_SECONDS_TO_FINISH = 35  # at shutdown: stop_seconds for the requests under way, and a little for the process
_SECONDS_TO_START = 120  # the first start on a machine compiles
_LAST_LINES = 5


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def service_process(
    database_url: str, port: int | None = None, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    """Run `gradbook serve` in a process of its own; yield its URL once it is ready.

    Its settings are the default ones but for those of the `variables`, not those of this process's environment.
    Raises CannotStart, with the last lines of its log, if it exits before.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), "--database", database_url]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GRADBOOK_")}
    environment |= variables
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            if not _wait_until_ready(url, process):
                log.seek(0)
                said = "".join(log.readlines()[-_LAST_LINES:]).strip()
                raise CannotStart(f"the service did not start: {said or 'its log is empty'}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(_SECONDS_TO_FINISH)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    from service.client import Client, ClientError

    deadline = time.monotonic() + _SECONDS_TO_START
    with Client(url, timeout=5, retries=0) as gradbook:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                gradbook.check_ready()
                return True
            except ClientError:
                time.sleep(0.05)
    return False
