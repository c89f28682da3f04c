"""Payouts of a department's treasury money, under two persons.

Revision 0041, after 0040.
"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "treasury_payout",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("proposer", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected')", name="treasury_payout_state_is_known"
        ),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.ForeignKeyConstraint(["proposer"], ["person.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_treasury_payout_party", "treasury_payout", ["party"], unique=False)
