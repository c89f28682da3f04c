"""Since when a tender is halted, until when it may be resumed, and what each of its bidders wants the data for.

Revision 0054, after 0053.
"""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tender", sa.Column("halted_us", sa.BigInteger(), nullable=True))
    op.add_column("tender", sa.Column("resume_by_us", sa.BigInteger(), nullable=True))
    op.add_column("tenderer", sa.Column("purpose", sa.Text(collation="C"), nullable=True))
    op.execute("UPDATE tenderer SET purpose = ''")  # as their contracts were drawn up until now
    op.alter_column("tenderer", "purpose", nullable=False)
    op.drop_constraint("tender_state_is_known", "tender", type_="check")
    op.create_check_constraint(
        "tender_state_is_known",
        "tender",
        "state IN ('published', 'halted', 'opening', 'opened', 'awarded', 'settled', 'failed', 'cancelled', 'annulled',"
        " 'defaulted')",
    )
    op.drop_index("tender_unfinished", "tender")
    op.create_index(
        "tender_unfinished",
        "tender",
        ["state"],
        postgresql_where=sa.text("state IN ('published', 'halted', 'opening', 'opened', 'awarded')"),
    )
