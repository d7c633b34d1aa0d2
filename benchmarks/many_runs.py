"""Millions of runs in one database: what lists and look-ups take over HTTP, and how fast old runs are pruned.

    python -m benchmarks.many_runs --runs 10000000 postgresql://…

fills an empty database with the runs of a year and prints a table; one that has runs already is only measured. Half
of the runs are of one graph, the others of 999; every tenth has a label, another tenth a tag, every thousandth is
recorded.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median
from typing import Any

import requests
from sqlalchemy import Connection, text

from benchmarks.measuring import HEAD, Row, markdown_line, once
from service import example
from service.client import Client
from service.process import service_process
from service.storage.database import Database
from service.storage.models import RunRow
from service.storage.postgres import PostgreSQL
from service.storage.pruning import prune

_TOGETHER = 250_000  # runs of one statement
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_YEAR = timedelta(days=365)
_OTHERS = 999  # graphs
_TIMES = 9
_MOST = 50  # milliseconds
_TO_PRUNE = 10_000  # runs

# How the two write a number in hexadecimal and a time, count, and split by numbers.
_POSTGRESQL = {
    "hex": "lpad(to_hex({}), {}, '0')",
    "moment": "timestamp '1970-01-01' + ({}) * interval '1 millisecond'",
    "numbers": "SELECT n FROM generate_series(CAST(:start AS bigint), :last) AS numbers(n)",
}
_SQLITE = {
    "hex": "substr(printf('%016x', {0}), -{1})",
    "moment": "strftime('%Y-%m-%d %H:%M:%f000', ({}) / 1000.0, 'unixepoch')",
    "numbers": "WITH RECURSIVE c(n) AS (SELECT :start UNION ALL SELECT n + 1 FROM c WHERE n < :last) SELECT n FROM c",
}


def fill(url: str, count: int) -> None:
    """Store graphs and so many runs, all like one, unless there are runs already."""
    with service_process(url) as service, Client(service) as client:
        if next(iter(client.list_runs()), None):
            return
        client.create_graph("many", expression=example.EXPRESSION)
        like = client.create_run("many", example.INPUTS).id
        for number in range(_OTHERS):
            client.create_graph(f"few-{number}", expression=example.EXPRESSION)
    with closing(Database(url, clocks=PostgreSQL(statement_seconds=3600, connect_seconds=5))) as database:
        for start in range(0, count, _TOGETHER):
            with database.write() as connection:
                _insert(connection, like, start, min(start + _TOGETHER, count) - 1, _YEAR // count)
        if not database.file:
            with database.write() as connection:
                connection.execute(text("ANALYZE"))  # as autovacuum does


def _insert(connection: Connection, like: str, start: int, last: int, apart: timedelta) -> None:
    """Insert the runs of these numbers, each so long after the one before, and their tags."""
    write = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL
    milliseconds = "(CAST(:first AS bigint) + n * :apart)"
    time_of, tail = write["hex"].format(milliseconds, 12), write["hex"].format("n * 2654435761 % 4294967296", 8)
    changed = {
        "id": f"substr({time_of}, 1, 8) || '-' || substr({time_of}, 9) || '-7000-8000-0000' || {tail}",
        "graph_id": "graphs.id",
        "label": "CASE n % 10 WHEN 3 THEN 'try ' || (n % 1000000) END",
        "source": "CASE n % 1000 WHEN 7 THEN 'recorded' ELSE source END",
        "recorded_by": "CASE n % 1000 WHEN 7 THEN 'torch ' || (n % 7) END",
        "created_at": write["moment"].format(milliseconds),
    }
    columns = [f'"{column.name}"' for column in RunRow.__table__.columns]
    chosen = [changed.get(name.strip('"'), f"runs.{name}") for name in columns]
    of_graph = f"CASE n % 2 WHEN 0 THEN 'many' ELSE 'few-' || (n / 2 % {_OTHERS}) END"
    numbers = {
        "start": start,
        "last": last,
        "first": int(_FIRST.timestamp() * 1000),
        "apart": apart // timedelta(milliseconds=1),
    }
    connection.execute(
        text(
            f"INSERT INTO runs ({', '.join(columns)}) SELECT {', '.join(chosen)} FROM ({write['numbers']}) AS numbers"
            f" JOIN runs ON runs.id = :like JOIN graphs ON graphs.name = {of_graph}"
        ),
        {**numbers, "like": like},
    )
    connection.execute(
        text(
            f"INSERT INTO run_tags (run_id, key, value) SELECT {changed['id']},"
            f" CASE n % 1000000 WHEN 1 THEN 'rare' ELSE 'seed' END,"
            f" CAST(n / 10 % 100 AS text) FROM ({write['numbers']}) AS numbers WHERE n % 10 = 1"
        ),
        numbers,
    )


def measure(url: str, count: int) -> Iterator[Row]:
    """A row for each list and look-up, for the storing of a run, and for pruning."""
    with service_process(url) as service, requests.Session() as session:

        def ask(path: str, method: str = "GET", **sent: Any) -> requests.Response:
            answer = session.request(method, f"{service}{path}", **sent)
            assert answer.ok or answer.status_code == 409, (path, answer.text)
            return answer

        listed = ask("/v1/runs?graph=few-7&limit=1").json()["runs"][0]["id"]
        labelled = next(run for run in ask("/v1/runs?limit=50").json()["runs"] if run["label"])
        middle = (_FIRST + _YEAR / 2).isoformat().replace("+00:00", "Z")
        later = (_FIRST + _YEAR / 2 + timedelta(minutes=5)).isoformat().replace("+00:00", "Z")
        month = f"since={middle}&limit=50"
        paths = {
            "runs, newest": "/v1/runs?limit=50",
            "runs, oldest": "/v1/runs?limit=50&sort=created_at",
            "runs, from the middle of the year": f"/v1/runs?{month}&sort=created_at",
            "runs of five minutes": f"/v1/runs?limit=50&since={middle}&until={later}",
            "runs of the graph with half of them": "/v1/runs?graph=many&limit=50",
            "runs of a graph with few": "/v1/runs?graph=few-7&limit=50",
            "runs of a graph with few, recorded": "/v1/runs?graph=few-8&source=recorded&limit=50",
            "runs, recorded": "/v1/runs?source=recorded&limit=50",
            "runs, recorded by someone": "/v1/runs?recorded_by=torch 3&limit=50",
            "runs, recorded by nobody there is": "/v1/runs?recorded_by=nobody&limit=50",
            "runs with a label": "/v1/runs?label=try 13&limit=50",
            "runs with a label that none has": "/v1/runs?label=none&limit=50",
            "runs with a tag of many": "/v1/runs?tag=seed:7&limit=50",
            "runs with a tag of few": "/v1/runs?tag=rare:0&limit=50",
            "runs with a tag that none has": "/v1/runs?tag=none:1&limit=50",
            "runs of a graph with a tag": "/v1/runs?graph=few-7&tag=seed:7&limit=50",
            "runs with a text that many have": "/v1/runs?q=torch&limit=50",
            "runs with a text that none has": "/v1/runs?q=nowhere&limit=50",
            "a run": f"/v1/runs/{listed}",
            "a run by the end of its id": f"/v1/runs/{listed[-8:]}",
            "a run by graph and label": f"/v1/runs/{labelled['graph_id']}:{labelled['label']}",
            "graphs": "/v1/graphs?limit=50",
            "page of graphs": "/graphs",
            "page of the graph with half of the runs": "/graphs/many",
            "page of runs": "/runs",
            "first page": "/",
        }
        for name, path in paths.items():
            yield _row(name, partial(ask, path))
        body = {"inputs": example.INPUTS}
        yield _row("a run is stored", partial(ask, "/v1/graphs/many/runs", "POST", json=body))
        yield _row("a graph is not deleted, since it has runs", partial(ask, "/v1/graphs/many", "DELETE"))
    with closing(Database(url)) as database:
        before = _FIRST + _YEAR // count * _TO_PRUNE
        began = time.perf_counter()
        gone = prune(database, before).runs
        seconds = time.perf_counter() - began
        yield Row("old runs are pruned", gone / seconds, "a second", detail=f"{gone:,} in {seconds:.1f} s")


def _row(name: str, act: Callable[[], object]) -> Row:
    """The median time of an act, and the time of the first."""
    first, *rest = [1000 * once(act) for _ in range(_TIMES + 1)]
    return Row(name, median(rest), "ms", _MOST, f"the first {first:.0f} ms")


def main() -> None:
    """Fill a database if it is empty, and measure."""
    parser = argparse.ArgumentParser(prog="benchmarks.many_runs", description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--runs", type=int, default=10_000_000)
    asked = parser.parse_args()
    fill(asked.database, asked.runs)
    print(markdown_line(HEAD), f"|{'---|' * len(HEAD)}", sep="\n")
    for row in measure(asked.database, asked.runs):
        print(markdown_line(row.cells()), flush=True)


if __name__ == "__main__":
    main()
