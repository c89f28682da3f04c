"""The newest listings, of all and of one form of price, found without looking through the others.

Revision 0055, after 0054.
"""

from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("listing_by_age", "listing", ["log_index"])
    op.create_index("listing_by_mode", "listing", ["mode", "log_index"])
