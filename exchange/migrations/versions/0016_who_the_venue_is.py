"""Who the venue is, found without reading all parties.

Revision 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "party_venue", "party", ["id"], unique=False, postgresql_where=sa.text("roles @> '{administrator}'")
    )
