"""Certificates of deletion, and what was built on the data.

Revision 0049, after 0048.
"""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    word = sa.Text(collation="C")
    op.create_table(
        "deletion",
        sa.Column("licence", word, nullable=False),
        sa.Column("asset", word, nullable=False),
        sa.Column("buyer", word, nullable=False),
        sa.Column("seller", word, nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("remind_us", sa.BigInteger(), nullable=False),
        sa.Column("reminded", sa.Boolean(), nullable=False),
        sa.Column("person", word, nullable=True),
        sa.Column("method", word, nullable=True),
        sa.Column("statement", word, nullable=True),
        sa.Column("declared_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('running', 'due', 'declared')", name="deletion_state_is_known"),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["buyer"], ["party.id"]),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"]),
        sa.ForeignKeyConstraint(["seller"], ["party.id"]),
        sa.PrimaryKeyConstraint("licence"),
    )
    for column in ("buyer", "seller"):
        op.create_index(op.f(f"ix_deletion_{column}"), "deletion", [column], unique=False)
    op.create_index(
        "deletion_running", "deletion", ["ends_us", "licence"], postgresql_where=sa.text("state = 'running'")
    )
    op.create_index(
        "deletion_silent",
        "deletion",
        ["remind_us", "licence"],
        postgresql_where=sa.text("state = 'due' AND NOT reminded"),
    )
    op.create_table(
        "use_case",
        sa.Column("id", word, nullable=False),
        sa.Column("asset", word, nullable=False),
        sa.Column("licence", word, nullable=False),
        sa.Column("buyer", word, nullable=False),
        sa.Column("supplier", word, nullable=False),
        sa.Column("title", word, nullable=False),
        sa.Column("text", word, nullable=False),
        sa.Column("url", word, nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("reason", word, nullable=True),
        sa.Column("notice_ends_us", sa.BigInteger(), nullable=False),
        sa.Column("proposed_us", sa.BigInteger(), nullable=False),
        sa.Column("published_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('proposed', 'published', 'declined', 'withdrawn')", name="use_case_state_is_known"
        ),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["buyer"], ["party.id"]),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"]),
        sa.ForeignKeyConstraint(["supplier"], ["party.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("asset", "buyer", "supplier"):
        op.create_index(op.f(f"ix_use_case_{column}"), "use_case", [column], unique=False)
    op.create_index(
        "use_case_waiting", "use_case", ["notice_ends_us", "id"], postgresql_where=sa.text("state = 'proposed'")
    )
