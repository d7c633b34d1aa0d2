"""Millions of runs in one database: what lists and look-ups take over HTTP, and how fast old runs are pruned.

    python -m benchmarks.many_runs --runs 10000000 postgresql://…

fills an empty database with the runs of a year and prints a table; one that has runs already is only measured. Half of the
runs are of one graph, the others of 999; every tenth has a label, another tenth a tag, every thousandth is recorded.
"""

from contextlib import closing
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from service import example
from service.client import Client
from service.serving import service_process
from service.storage.database import Database
from service.storage.models import RunRow
from service.storage.postgres import PostgreSQL

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
        graph = client.create_graph("many", expression=example.EXPRESSION)
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
            f"INSERT INTO run_tags (run_id, key, value) SELECT {changed['id']}, CASE n % 1000000 WHEN 1 THEN 'rare' ELSE"
            f" 'seed' END, CAST(n / 10 % 100 AS text) FROM ({write['numbers']}) AS numbers WHERE n % 10 = 1"
        ),
        numbers,
    )
