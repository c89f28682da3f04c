"""What buyers think of what they bought, and what the public complains of.

Revision 0039, after 0038.
"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    word = sa.Text(collation="C")
    op.create_table(
        "rating",
        sa.Column("id", word, nullable=False),
        sa.Column("licence", word, nullable=False),
        sa.Column("asset", word, nullable=False),
        sa.Column("supplier", word, nullable=False),
        sa.Column("coverage", sa.SmallInteger(), nullable=False),
        sa.Column("maturity", sa.SmallInteger(), nullable=False),
        sa.Column("effect", sa.SmallInteger(), nullable=False),
        sa.Column("accuracy", sa.SmallInteger(), nullable=False),
        sa.Column("text", word, nullable=False),
        sa.Column("reply", word, nullable=True),
        sa.Column("rated_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=True),
        sa.Column("replied_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "LEAST(coverage, maturity, effect, accuracy) >= 1 AND GREATEST(coverage, maturity, effect, accuracy) <= 5",
            name="rating_has_one_to_five_stars",
        ),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"]),
        sa.ForeignKeyConstraint(["supplier"], ["party.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("licence"),
    )
    for column in ("asset", "supplier"):
        op.create_index(op.f(f"ix_rating_{column}"), "rating", [column], unique=False)
    op.create_table(
        "complaint",
        sa.Column("id", word, nullable=False),
        sa.Column("topic", word, nullable=False),
        sa.Column("asset", word, nullable=True),
        sa.Column("party", word, nullable=True),
        sa.Column("filed_by", word, nullable=True),
        sa.Column("handler", word, nullable=False),
        sa.Column("text", word, nullable=False),
        sa.Column("contact", word, nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("filed_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("escalated_us", sa.BigInteger(), nullable=True),
        sa.Column("answer", word, nullable=True),
        sa.Column("answered_us", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", word, nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'upheld', 'dismissed')", name="complaint_state_is_known"),
        sa.ForeignKeyConstraint(["answered_by"], ["party.id"]),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["filed_by"], ["party.id"]),
        sa.ForeignKeyConstraint(["handler"], ["party.id"]),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("filed_by", "handler"):
        op.create_index(op.f(f"ix_complaint_{column}"), "complaint", [column], unique=False)
    op.create_index("complaint_waiting", "complaint", ["due_us", "id"], postgresql_where=sa.text("state = 'open'"))
