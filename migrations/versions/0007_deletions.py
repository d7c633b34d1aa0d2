"""How many graphs were deleted, which whoever keeps some in memory asks for"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    deletions = op.create_table("deletions", sa.Column("count", sa.BigInteger(), nullable=False))
    op.bulk_insert(deletions, [{"count": 0}])
