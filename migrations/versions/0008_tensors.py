"""Tensors, the weights and parts of graphs, and figures that refer to tensors"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tensors",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("dtype", sa.String(length=16), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("nbytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tensors")),
    )
    op.create_table(
        "tensor_chunks",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["tensors.digest"], name=op.f("fk_tensor_chunks_digest"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", "number", name=op.f("pk_tensor_chunks")),
    )
    op.add_column("run_figures", sa.Column("tensors", sa.JSON(), nullable=True))
    op.add_column("derivative_figures", sa.Column("tensor", sa.String(length=64), nullable=True))

    added = (
        sa.Column("weights", sa.JSON(), nullable=True),
        sa.Column("parts", sa.JSON(), nullable=True),
        sa.Column("weights_digest", sa.String(length=64), server_default="", nullable=False),
    )
    unique = ("name", "digest", "weights_digest")  # equal nodes with other weights are another version
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_graphs(*added, sa.UniqueConstraint(*unique, name="uq_graphs_name_digest_weights_digest"))
    else:
        for column in added:
            op.add_column("graphs", column)
        op.drop_constraint("uq_graphs_name_digest", "graphs", type_="unique")
        op.create_unique_constraint("uq_graphs_name_digest_weights_digest", "graphs", unique)


def _rebuild_graphs(*added: sa.Column[Any] | sa.UniqueConstraint) -> None:
    """SQLite alters no constraint. Alembic's batch would list the constraints in an order that changes by chance."""
    op.create_table(
        "graphs_0008",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expression", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        *added,
        sa.ForeignKeyConstraint(["digest"], ["contents.digest"], name=op.f("fk_graphs_digest")),
        sa.ForeignKeyConstraint(["parent_id"], ["graphs.id"], name=op.f("fk_graphs_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_graphs")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_graphs_name_version")),
    )
    op.execute("INSERT INTO graphs_0008 SELECT *, NULL, NULL, '' FROM graphs")
    op.drop_table("graphs")
    op.rename_table("graphs_0008", "graphs")
    op.create_index("ix_graphs_digest", "graphs", ["digest"])
    op.create_index("ix_graphs_name_id", "graphs", ["name", "id"])
    op.create_index("ix_graphs_parent_id", "graphs", ["parent_id"])
