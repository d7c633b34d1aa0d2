"""Two services on one PostgreSQL server that is killed, cut off and hung under load: what is lost, doubled or refused.

`python -m tests.faults.postgres_outages --each 7` prints a row for each kind of outage.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.faults.under_load import HEADER, Row, Service, exit_code, try_fault
from tests.postgres import PostgresServer, postgres_server

SERVICES = 2


def kill(server: PostgresServer) -> None:
    """Kill the first process; start it again a second later."""
    server.kill()
    time.sleep(1)
    server.start()


def cut_off(server: PostgresServer) -> None:
    """End every connection."""
    engine = create_engine(server.url())
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datid > 0")
        )
    engine.dispose()


def hang(server: PostgresServer) -> None:
    """Stop every process for some seconds."""
    with server.hung():
        time.sleep(4)


KINDS: dict[str, Callable[[PostgresServer], None]] = {"kill -9": kill, "connections ended": cut_off, "hung 4 s": hang}


def try_outages(each: int) -> list[Row]:
    """Try each kind that many times, over two services."""
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        services = [
            Service(
                server.url(through_socket=False), Path(folder) / f"{number}.log", {"GRADBOOK_STATEMENT_SECONDS": "2"}
            )
            for number in range(SERVICES)
        ]
        for service in services:
            stack.enter_context(service)
        rows = []
        for kind, outage in KINDS.items():
            rows.append(try_fault(kind, partial(outage, server), each, services))
            print(*([HEADER] if len(rows) == 1 else []), rows[-1], sep="\n", flush=True)
        return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=7)
    sys.exit(exit_code(try_outages(parser.parse_args().each)))
