"""Corrections that buyers ask for, and the answers to them.

Revision 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "correction",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("licence", sa.Text(collation="C"), nullable=False),
        sa.Column("buyer", sa.Text(collation="C"), nullable=False),
        sa.Column("supplier", sa.Text(collation="C"), nullable=False),
        sa.Column("operator", sa.Text(collation="C"), nullable=True),
        sa.Column("column_name", sa.Text(collation="C"), nullable=True),
        sa.Column("text", sa.Text(collation="C"), nullable=False),
        sa.Column("evidence", sa.Text(collation="C"), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("answer", sa.Text(collation="C"), nullable=True),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("mended_by", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'accepted', 'declined', 'mended')", name="correction_state_is_known"),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["buyer"], ["party.id"]),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"]),
        sa.ForeignKeyConstraint(["mended_by"], ["asset.id"]),
        sa.ForeignKeyConstraint(["operator"], ["party.id"]),
        sa.ForeignKeyConstraint(["supplier"], ["party.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("buyer", "operator", "supplier"):
        op.create_index(op.f(f"ix_correction_{column}"), "correction", [column], unique=False)
