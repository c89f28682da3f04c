"""With which entry the proposal came whose digest an envelope names.

Revision 0057, after 0056.
"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("envelope", sa.Column("filed_index", sa.BigInteger(), nullable=True))
