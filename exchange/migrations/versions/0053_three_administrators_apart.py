"""What each person of the venue is charged with, once its duties are divided.

Revision 0053, after 0052.
"""

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("duty", sa.Text(collation="C"), nullable=True))
    op.create_check_constraint(
        "person_duty_is_known", "person", "duty IN ('system', 'security', 'audit', 'business')"
    )
