"""What the columns' types write."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime
from sqlalchemy.dialects import sqlite

from service.storage.models import Moment

TIMES = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.timezones())


@given(TIMES | TIMES.map(lambda moment: moment.replace(microsecond=0)))
def test_a_time_is_the_text_that_sqlalchemy_writes(moment: datetime) -> None:
    dialect = sqlite.dialect()  # type: ignore[no-untyped-call]

    def write(kind: Any, value: datetime | None) -> Any:
        return kind.dialect_impl(dialect).bind_processor(dialect)(value)

    assert write(Moment(), moment) == write(DateTime(), moment.astimezone(UTC).replace(tzinfo=None))
    assert write(Moment(), None) is None
