"""What pairs the nodes of the two runs of a comparison"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("comparisons", sa.Column("align", sa.String(16), server_default="names", nullable=False))
