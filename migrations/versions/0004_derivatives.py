"""Derivatives"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "derivatives",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("graph_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("outputs", sa.JSON(), nullable=False),
        sa.Column("wrt", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["graph_id"], ["graphs.id"], name=op.f("fk_derivatives_graph_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_derivatives")),
    )
    op.create_index("ix_derivatives_graph_id", "derivatives", ["graph_id"])

    op.create_table(
        "derivative_figures",
        sa.Column("derivatives_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("of", sa.Text(), nullable=True),
        sa.Column("wrt", sa.Text(), nullable=True),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["derivatives_id"],
            ["derivatives.id"],
            name=op.f("fk_derivative_figures_derivatives_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("derivatives_id", "number", name=op.f("pk_derivative_figures")),
    )
