"""Inserts that are prepared once, which take half of the time of SQLAlchemy's own where there are few rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert

from service.core.caches import memoize_on_argument


def insert_plainly(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that have all columns of the table; raises as `Connection.execute`."""
    statement, prepare = _prepared(connection.dialect, table)
    connection.exec_driver_sql(statement, [prepare(row) for row in rows])


@memoize_on_argument
def _prepared(dialect: Dialect, table: Table) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """The statement, and the function that makes its parameters, as the driver takes them, from a row."""
    compiled = insert(table).compile(dialect=dialect)
    names = compiled.positiontup or [column.name for column in table.columns]
    types = [table.columns[name].type.dialect_impl(dialect) for name in names]
    writers = [(place, write) for place, each in enumerate(types) if (write := each.bind_processor(dialect))]

    def prepare(row: Mapping[str, Any]) -> Any:
        values = [row[name] for name in names]
        for place, write in writers:
            values[place] = write(values[place])
        return tuple(values) if compiled.positional else dict(zip(names, values, strict=True))

    return str(compiled), prepare
