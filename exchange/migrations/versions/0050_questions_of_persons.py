"""Sealed questions of persons to departments.

Revision 0050, after 0049.
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    word = sa.Text(collation="C")
    op.create_table(
        "inquiry_key",
        sa.Column("party", word, nullable=False),
        sa.Column("public", word, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.PrimaryKeyConstraint("party"),
    )
    op.create_table(
        "inquiry",
        sa.Column("id", word, nullable=False),
        sa.Column("asset", word, nullable=False),
        sa.Column("department", word, nullable=False),
        sa.Column("public", word, nullable=False),
        sa.Column("question", word, nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("answer", word, nullable=True),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'answered')", name="inquiry_state_is_known"),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["department"], ["party.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_inquiry_department"), "inquiry", ["department"], unique=False)
    op.create_index("inquiry_waiting", "inquiry", ["id"], postgresql_where=sa.text("state = 'open'"))
