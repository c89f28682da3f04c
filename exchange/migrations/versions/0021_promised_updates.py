"""Which assets are overdue, and which are flagged, without reading the rest.

Revision 0021, after 0020.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "asset_update_due",
        "asset",
        [sa.text("(updated_us + update_days * 86400000000)")],
        unique=False,
        postgresql_where=sa.text("update_days IS NOT NULL AND NOT stale AND state = 'registered'"),
    )
    op.create_index("asset_stale", "asset", ["id"], unique=False, postgresql_where=sa.text("stale"))
