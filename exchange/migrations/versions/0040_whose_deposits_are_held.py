"""Whose deposits are held, without reading the bidders of every lot there ever was.

Revision 0040, after 0039.
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "bidder_deposit_held",
        "bidder",
        ["lot", "code"],
        unique=False,
        postgresql_where=sa.text("state = 'admitted'"),
    )
