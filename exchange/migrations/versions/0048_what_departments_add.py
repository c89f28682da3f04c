"""What each department's data adds to an asset that was made of several.

Revision 0048, after 0047.
"""

import sqlalchemy as sa
from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contribution",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("departments", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("worths", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("measure", sa.Text(collation="C"), nullable=False),
        sa.Column("evidence", sa.Text(collation="C"), nullable=False),
        sa.Column("accepted", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('proposed', 'agreed', 'rejected', 'replaced')", name="contribution_state_is_known"
        ),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_contribution_asset", "contribution", ["asset"], unique=False)
    op.create_index(
        "contribution_agreed_once",
        "contribution",
        ["asset"],
        unique=True,
        postgresql_where=sa.text("state = 'agreed'"),
    )
