"""Figures in the row of a run: all of a small one, and of any run those that a list shows"""

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
