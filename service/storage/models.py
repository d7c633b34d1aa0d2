"""The tables. Figures are little-endian float64 blobs: SQLite's REAL would turn NaN into NULL and −0.0 into 0.0."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Moment(TypeDecorator[datetime]):
    """An aware time, stored in UTC without its zone: SQLite has no type with one."""

    impl = DateTime
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Write for SQLite, which keeps times as text, the text of SQLAlchemy in half the time."""
        return _write_utc if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC without a zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Add the zone UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def _write_utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(" ", "microseconds").removesuffix("+00:00")


class Base(DeclarativeBase):
    """Names all constraints and indexes, so that a migration can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Content(Base):
    """The content of a graph, stored once for all graphs that share its digest.

    `document` holds the nodes in topological order as JSON compressed by zlib: a list of their names, one of their
    operations, one of their operands (lists of positions), and one of [position, attributes] where there are any.
    """

    __tablename__ = "contents"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    node_count: Mapped[int]
    inputs: Mapped[list[str]] = mapped_column(JSON)
    outputs: Mapped[list[str]] = mapped_column(JSON)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class GraphRow(Base):
    """A version of a named graph.

    `weights` holds the digest of a tensor for each input that has one, `weights_digest` is of all of them, empty where
    there are none; `parts` lists name, operation as written and, of a stored graph, digest of what nodes were expanded
    from.
    """

    __tablename__ = "graphs"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        UniqueConstraint("name", "digest", "weights_digest"),
        Index(None, "name", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    digest: Mapped[str] = mapped_column(ForeignKey("contents.digest"), index=True)
    expression: Mapped[str | None] = mapped_column(Text)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("graphs.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment)
    weights: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    weights_digest: Mapped[str] = mapped_column(String(64), server_default="")
    parts: Mapped[list[dict[str, str | None]] | None] = mapped_column(JSON(none_as_null=True))


class GraphTag(Base):
    """One tag of a graph."""

    __tablename__ = "graph_tags"
    __table_args__ = (Index(None, "key", "value"),)

    graph_id: Mapped[str] = mapped_column(ForeignKey("graphs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class TensorRow(Base):
    """A tensor, stored once: the SHA-256, dtype, shape and length of the .npy file that it was sent as."""

    __tablename__ = "tensors"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    dtype: Mapped[str] = mapped_column(String(16))
    shape: Mapped[list[int]] = mapped_column(JSON)
    nbytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Moment)


class TensorChunk(Base):
    """A part of the .npy file of a tensor, numbered from 0."""

    __tablename__ = "tensor_chunks"

    digest: Mapped[str] = mapped_column(ForeignKey("tensors.digest", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


def _index_of_given(name: str) -> Index:
    """An index of the rows that have that column, so that the others, most of which have not, leave it alone."""
    given = text(f"{name} IS NOT NULL")
    return Index(f"ix_runs_{name}_id", name, "id", sqlite_where=given, postgresql_where=given)


class RunRow(Base):
    """A run. Each index ends in the id, by which lists are ordered, but for that of the ends of ids.

    `seed_shape` is null for a scalar. `values` and `gradients` are null where they are in `run_figures`, or there are
    none; `ends` are the figures that a list shows. The layout of each is null where all are scalars that are there,
    else an object: their `shapes`, unless all are scalars, the positions of those that are `absent` or were recorded as
    `none`, and `tensors` as in `run_figures`.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index(None, "graph_id", "id"),
        Index(None, "source", "id"),
        Index("ix_runs_id_end", text("substr(id, 29)")),
        _index_of_given("label"),
        _index_of_given("recorded_by"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    graph_id: Mapped[str] = mapped_column(ForeignKey("graphs.id"))
    source: Mapped[str] = mapped_column(String(16))
    recorded_by: Mapped[str | None] = mapped_column(Text)
    dtype: Mapped[str] = mapped_column(String(16))
    output: Mapped[str | None] = mapped_column(Text)
    seed: Mapped[bytes | None] = mapped_column(LargeBinary)
    seed_shape: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    nonfinite_forward: Mapped[str | None] = mapped_column(Text)
    nonfinite_backward: Mapped[str | None] = mapped_column(Text)
    nondifferentiable: Mapped[list[int]] = mapped_column(JSON)
    convention: Mapped[str] = mapped_column(String(16), server_default="minimum-norm")
    label: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    values: Mapped[bytes | None] = mapped_column(LargeBinary)
    values_layout: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    gradients: Mapped[bytes | None] = mapped_column(LargeBinary)
    gradients_layout: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    ends: Mapped[bytes | None] = mapped_column(LargeBinary)
    ends_layout: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class RunTag(Base):
    """One tag of a run."""

    __tablename__ = "run_tags"
    __table_args__ = (Index(None, "key", "value"),)

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class RunFigures(Base):
    """The `kind` "values" or "gradients" of a run, where its row has not room for them, or some are tensors: of how
    many nodes, of what shapes, and which nodes have one.

    `shapes` is null where all are scalars, `present` (bits, most significant first) where every node has one. If
    some were recorded as none, as many bytes follow in `present` and mark those. `tensors` lists [position, digest]
    of the figures that are tensors; the chunks leave those out.
    """

    __tablename__ = "run_figures"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    node_count: Mapped[int]
    shapes: Mapped[list[list[int]] | None] = mapped_column(JSON(none_as_null=True))
    present: Mapped[bytes | None] = mapped_column(LargeBinary)
    tensors: Mapped[list[tuple[int, str]] | None] = mapped_column(JSON(none_as_null=True))


class RunChunk(Base):
    """A part of the packed figures, numbered from 0, so that one node of a large run is read without the rest."""

    __tablename__ = "run_chunks"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "kind"], ["run_figures.run_id", "run_figures.kind"], ondelete="CASCADE"),
    )

    run_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class DerivativesRow(Base):
    """Derivatives of a graph: the request; the point and the result are in `derivative_figures`."""

    __tablename__ = "derivatives"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    graph_id: Mapped[str] = mapped_column(ForeignKey("graphs.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    outputs: Mapped[list[str]] = mapped_column(JSON)
    wrt: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)


class DerivativeFigure(Base):
    """One array of derivatives, in their order: an input or a part of the vector, whose node is `of`, or a block, in
    which `of` or `wrt` is null where it stands for all; or the matrix of all blocks, where each is a number."""

    __tablename__ = "derivative_figures"

    derivatives_id: Mapped[str] = mapped_column(ForeignKey("derivatives.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    of: Mapped[str | None] = mapped_column(Text)
    wrt: Mapped[str | None] = mapped_column(Text)
    shape: Mapped[list[int]] = mapped_column(JSON)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    tensor: Mapped[str | None] = mapped_column(String(64))


class KeyRow(Base):
    """An idempotency key and what its request created."""

    __tablename__ = "idempotency_keys"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str] = mapped_column(String(36))
    status: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Moment)


class ComparisonRow(Base):
    """A comparison of two runs, request and result; the figures are stored with the runs.

    `backward` says whether gradients were compared: a run may receive its gradients later.
    """

    __tablename__ = "comparisons"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    baseline_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    candidate_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    tolerance: Mapped[Any] = mapped_column(JSON)
    names: Mapped[dict[str, str]] = mapped_column(JSON)
    backward: Mapped[bool]
    verdict: Mapped[str] = mapped_column(String(16))
    counts: Mapped[dict[str, int]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Moment)
    rounded: Mapped[dict[str, list[str]]] = mapped_column(JSON, server_default="{}")
    align: Mapped[str] = mapped_column(String(16), server_default="names")


class SeriesRow(Base):
    """A training run, whose steps are runs of one graph; `every` is how far apart their numbers are.

    `carry` leads from a node of one step to the Input that takes its value in the next. `nodes` are those whose values
    each step has, null before the first one. `comparison_id` is that of the first step with an origin. How many `steps`
    there are, how many of them are `wrong` or `broken`, and which came first and last, is counted as they are added.
    """

    __tablename__ = "series"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    graph_id: Mapped[str] = mapped_column(ForeignKey("graphs.id"), index=True)
    carry: Mapped[dict[str, str]] = mapped_column(JSON)
    recorded_by: Mapped[str] = mapped_column(Text)
    dtype: Mapped[str] = mapped_column(String(16))
    tolerance: Mapped[Any] = mapped_column(JSON)
    retain: Mapped[str] = mapped_column(String(16))
    every: Mapped[int]
    nodes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    comparison_id: Mapped[str | None] = mapped_column(ForeignKey("comparisons.id", ondelete="SET NULL"), index=True)
    label: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    steps: Mapped[int]
    first_step: Mapped[int | None] = mapped_column(BigInteger)
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    first_wrong: Mapped[int | None] = mapped_column(BigInteger)
    wrong: Mapped[int]
    broken: Mapped[int]


class SeriesTag(Base):
    """One tag of a series."""

    __tablename__ = "series_tags"
    __table_args__ = (Index(None, "key", "value"),)

    series_id: Mapped[str] = mapped_column(ForeignKey("series.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class SeriesStep(Base):
    """A step of a series: its verdict, its origins, the nodes whose value the step did not take over, and of each of
    the series' nodes the norm (float64) and a digest (8 bytes). `run_id` is that of a step that is kept whole."""

    __tablename__ = "series_steps"

    series_id: Mapped[str] = mapped_column(ForeignKey("series.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    verdict: Mapped[str] = mapped_column(String(16))
    origins: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    broken: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    norms: Mapped[bytes] = mapped_column(LargeBinary)
    digests: Mapped[bytes] = mapped_column(LargeBinary)
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"), index=True)


class JobRow(Base):
    """Work that is longer than a request: what is to be done, how far it has come, and who is at it.

    `task` is what is to be done, which its `kind` knows how to read; `graph_id` and `other_graph_id` are the graphs
    that it needs. It has `total` units in so many `chunks`, of which `done` are done; `operations` is its weight.
    While it is running `owner` is at it until `lease_until`, and so often it was begun, or begun again, since a chunk
    of it was done last. `result` is where its result is, `problem` why it has none, `summary` what is known of it
    as a whole.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "state", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    graph_id: Mapped[str | None] = mapped_column(ForeignKey("graphs.id"), index=True)
    other_graph_id: Mapped[str | None] = mapped_column(ForeignKey("graphs.id"), index=True)
    task: Mapped[dict[str, Any]] = mapped_column(JSON)
    total: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[int] = mapped_column(BigInteger)
    chunks: Mapped[int]
    operations: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Moment)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    claims: Mapped[int]
    result: Mapped[str | None] = mapped_column(Text)
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    summary: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class JobChunk(Base):
    """A part of what a job has done, numbered from 0, or of what it was given, numbered from −1 downwards.

    `data` is null where it cannot be done, and `problem` says why.
    """

    __tablename__ = "job_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    problem: Mapped[str | None] = mapped_column(Text)


class AccessKeyRow(Base):
    """A key that lets requests in: the SHA-256 of its text, which is not stored, and the beginning of it.

    `used_at` is the time of its last use, to a minute; `requests` were counted in the `minute` since the epoch.
    """

    __tablename__ = "access_keys"

    prefix: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    scope: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    minute: Mapped[int] = mapped_column(server_default="0")
    requests: Mapped[int] = mapped_column(server_default="0")


# One row: how many times graphs were deleted or changed. Beside a file, which has a number of its own for that
# (`PRAGMA user_version`), it is not counted.
deletions = Table("deletions", Base.metadata, Column("count", BigInteger, nullable=False))
