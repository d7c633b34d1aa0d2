"""Which claims of a check were rounded"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("comparisons", sa.Column("rounded", sa.JSON(), server_default="{}", nullable=False))
