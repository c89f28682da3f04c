"""Discounts and questions.

Revision 0047, after 0046.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "discount",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("criterion", sa.Text(collation="C"), nullable=False),
        sa.Column("at_least", sa.BigInteger(), nullable=False),
        sa.Column("words", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("off_ppm", sa.BigInteger(), nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "criterion IN ('quantity', 'history', 'purpose', 'qualification')",
            name="discount_criterion_is_known",
        ),
        sa.CheckConstraint("off_ppm > 0 AND off_ppm <= 1000000", name="discount_is_a_part"),
        sa.ForeignKeyConstraint(
            ["listing"],
            ["listing.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("discount_by_listing", "discount", ["listing", "log_index"], unique=False)
    op.create_table(
        "listing_question",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("asker", sa.Text(collation="C"), nullable=False),
        sa.Column("seller", sa.Text(collation="C"), nullable=False),
        sa.Column("text", sa.Text(collation="C"), nullable=False),
        sa.Column("answer", sa.Text(collation="C"), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'answered')", name="question_state_is_known"),
        sa.ForeignKeyConstraint(
            ["asker"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["listing"],
            ["listing.id"],
        ),
        sa.ForeignKeyConstraint(
            ["seller"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("question_by_listing", "listing_question", ["listing", "log_index"], unique=False)
    op.create_index(
        "question_to",
        "listing_question",
        ["seller", "log_index"],
        unique=False,
        postgresql_where="state = 'open'",
    )
