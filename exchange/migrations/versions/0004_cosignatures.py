"""What witnesses signed.

Revision 0004, after 0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.Text(collation="C"), nullable=False),
        sa.Column("line", sa.Text(collation="C"), nullable=False),
        sa.Column("time_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", "witness"),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON cosignature"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
