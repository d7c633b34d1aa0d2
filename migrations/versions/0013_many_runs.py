"""Indexes by which runs are found among millions: by their source, and by the ends of their ids

Alembic sees no index of an expression beside SQLite: whoever rebuilds the table of runs makes ix_runs_id_end again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_runs_source_id", "runs", ["source", "id"])
    op.create_index("ix_runs_id_end", "runs", [sa.text("substr(id, 29)")])
    if op.get_context().dialect.name == "postgresql":
        op.execute("ANALYZE runs")  # before that nothing is known of what an expression comes to
