"""Whose choice a run returns where no derivative exists"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("convention", sa.String(length=16), server_default="minimum-norm", nullable=False))
