"""How far an asset is opened, and who approved that.

Revision 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("invited_by", sa.Text(collation="C"), nullable=True))
    # What was declared before says nothing of it: an asset that was assessed stays on conditions, all others are closed.
    for name, kind, before in (
        ("opening_declared", sa.Text(collation="C"), "'conditional'"),
        ("opening", sa.Text(collation="C"), "CASE WHEN grade IS NULL THEN 'closed' ELSE 'conditional' END"),
        ("opening_reason", sa.Text(collation="C"), "''"),
        ("purposes", postgresql.ARRAY(sa.Text()), "ARRAY[]::text[]"),
        ("qualified", sa.Boolean(), "false"),
    ):
        op.add_column("asset", sa.Column(name, kind, nullable=True))
        op.execute(f"UPDATE asset SET {name} = {before}")
        op.alter_column("asset", name, nullable=False)
    op.create_check_constraint(
        "asset_opening_is_known",
        "asset",
        "opening_declared IN ('open', 'conditional', 'closed') AND opening IN ('open', 'conditional', 'closed')",
    )
    op.add_column("risk_assessment", sa.Column("opening", sa.Text(collation="C"), nullable=True))
    op.execute("UPDATE risk_assessment SET opening = 'conditional'")
    op.alter_column("risk_assessment", "opening", nullable=False)
    op.create_table(
        "approval",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("assessment", sa.Text(collation="C"), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("levels", sa.BigInteger(), nullable=False),
        sa.Column("approver", sa.Text(collation="C"), nullable=False),
        sa.Column("raw_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("policy_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("ended_index", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('given', 'returned', 'void')", name="approval_state_is_known"),
        sa.CheckConstraint("level >= 1 AND level <= levels", name="approval_level_is_one_of_its_levels"),
        sa.ForeignKeyConstraint(["approver"], ["person.id"]),
        sa.ForeignKeyConstraint(["assessment"], ["risk_assessment.id"]),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_approval_asset", "approval", ["asset"], unique=False)
    op.create_index("approval_by_assessment", "approval", ["assessment", "level"], unique=False)
