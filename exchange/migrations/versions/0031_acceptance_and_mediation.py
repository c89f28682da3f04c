"""What becomes of a delivery between its sale and its acceptance.

Revision 0031, after 0021.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    word = sa.Text(collation="C")
    op.create_table(
        "acceptance",
        sa.Column("licence", word, nullable=False),
        sa.Column("trade", word, nullable=False),
        sa.Column("asset", word, nullable=False),
        sa.Column("buyer", word, nullable=False),
        sa.Column("seller", word, nullable=False),
        sa.Column("state", word, nullable=False),
        sa.Column("settled_us", sa.BigInteger(), nullable=False),
        sa.Column("accessed_us", sa.BigInteger(), nullable=True),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("silent", sa.Boolean(), nullable=True),
        sa.Column("ground", word, nullable=True),
        sa.Column("text", word, nullable=True),
        sa.Column("evidence", word, nullable=True),
        sa.Column("objected_us", sa.BigInteger(), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("mediator", word, nullable=True),
        sa.Column("mediator_party", word, nullable=True),
        sa.Column("order_reference", word, nullable=True),
        sa.Column("reason", word, nullable=True),
        sa.Column("refund_fen", sa.BigInteger(), nullable=True),
        sa.Column("refund_state", word, nullable=True),
        sa.Column("refund_index", sa.BigInteger(), nullable=True),
        sa.Column("owed", postgresql.JSONB(), nullable=True),
        sa.Column("decided_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'accepted', 'objected', 'mediation', 'reduced', 'refunded', 'void')",
            name="acceptance_state_is_known",
        ),
        sa.CheckConstraint("refund_state IN ('paid', 'owed')", name="acceptance_refund_is_known"),
        sa.ForeignKeyConstraint(["asset"], ["asset.id"]),
        sa.ForeignKeyConstraint(["buyer"], ["party.id"]),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"]),
        sa.ForeignKeyConstraint(["mediator"], ["person.id"]),
        sa.ForeignKeyConstraint(["mediator_party"], ["party.id"]),
        sa.ForeignKeyConstraint(["seller"], ["party.id"]),
        sa.ForeignKeyConstraint(["trade"], ["trade.id"]),
        sa.PrimaryKeyConstraint("licence"),
        sa.UniqueConstraint("trade"),
    )
    for column in ("buyer", "mediator_party", "seller"):
        op.create_index(op.f(f"ix_acceptance_{column}"), "acceptance", [column], unique=False)
    op.create_index(
        "acceptance_lapsing", "acceptance", ["ends_us", "licence"], postgresql_where=sa.text("state = 'open'")
    )
    op.create_index(
        "acceptance_owed", "acceptance", ["log_index"], postgresql_where=sa.text("refund_state = 'owed'")
    )
