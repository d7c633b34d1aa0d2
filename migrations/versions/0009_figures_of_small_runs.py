"""Figures in the row of a run, all of a small one, and of any run those that a list shows; and fewer indexed rows"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("values", "gradients", "ends"):
        op.add_column("runs", sa.Column(name, sa.LargeBinary(), nullable=True))
        op.add_column("runs", sa.Column(f"{name}_layout", sa.JSON(), nullable=True))
    for name in ("label", "recorded_by"):
        given = sa.text(f"{name} IS NOT NULL")
        op.drop_index(f"ix_runs_{name}_id", "runs")
        op.create_index(f"ix_runs_{name}_id", "runs", [name, "id"], sqlite_where=given, postgresql_where=given)
