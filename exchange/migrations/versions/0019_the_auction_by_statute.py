"""The auction by statute.

Revision 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "draw",
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("commitment", sa.Text(collation="C"), nullable=False),
        sa.Column("nonce", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "annulment",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lot", sa.Text(collation="C"), nullable=True),
        sa.Column("trade", sa.Text(collation="C"), nullable=True),
        sa.Column("ground", sa.Text(collation="C"), nullable=False),
        sa.Column("order_reference", sa.Text(collation="C"), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["lot"],
            ["lot.id"],
        ),
        sa.ForeignKeyConstraint(
            ["trade"],
            ["trade.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
        sa.UniqueConstraint("trade"),
    )
    op.create_table(
        "lot_watch",
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("lot", sa.Text(collation="C"), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["lot"],
            ["lot.id"],
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("party", "lot"),
    )
    op.create_index(op.f("ix_lot_watch_lot"), "lot_watch", ["lot"], unique=False)
    op.add_column("bidder", sa.Column("nonce", sa.Text(collation="C"), nullable=True))
    op.add_column("lot", sa.Column("again_of", sa.Text(collation="C"), nullable=True))
    op.add_column(
        "lot", sa.Column("qualification", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.alter_column("lot", "qualification", server_default=None)
    op.add_column(
        "lot", sa.Column("priority_parties", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.alter_column("lot", "priority_parties", server_default=None)
    op.add_column(
        "lot", sa.Column("priority", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.alter_column("lot", "priority", server_default=None)
    op.add_column("lot", sa.Column("draw", sa.Text(collation="C"), nullable=True))
    op.add_column(
        "lot", sa.Column("at_ceiling", postgresql.ARRAY(sa.Text()), nullable=False, server_default="{}")
    )
    op.alter_column("lot", "at_ceiling", server_default=None)
    op.add_column("lot", sa.Column("halted_us", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("resume_by_us", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("ended_us", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("refund_by_us", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("pay_by_us", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("defaulted_us", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("forfeit_fen", sa.BigInteger(), nullable=True))
    op.add_column("lot", sa.Column("gap_fen", sa.BigInteger(), nullable=True))
    op.create_index(
        "lot_unfinished",
        "lot",
        ["state"],
        unique=False,
        postgresql_where="state <> 'open' AND (NOT settled OR forfeit_fen > 0)",
    )
    op.create_unique_constraint("lot_draw_key", "lot", ["draw"])
    op.create_unique_constraint("lot_again_of_key", "lot", ["again_of"])
    op.create_foreign_key("lot_again_of_fkey", "lot", "lot", ["again_of"], ["id"])
    op.create_foreign_key("lot_draw_fkey", "lot", "draw", ["draw"], ["name"])
    op.drop_constraint("lot_state_is_known", "lot")
    op.create_check_constraint(
        "lot_state_is_known",
        "lot",
        "state IN ('open', 'halted', 'drawing', 'sold', 'failed', 'cancelled', 'defaulted', 'annulled')",
    )
    op.drop_constraint("bidder_state_is_known", "bidder")
    op.create_check_constraint(
        "bidder_state_is_known", "bidder", "state IN ('admitted', 'released', 'captured', 'forfeited')"
    )
    # What ended before there were these clocks ended when it closed; who still has to pay has ten days from then.
    op.execute(
        "UPDATE lot SET ended_us = closes_us, refund_by_us = closes_us + 86400000000 WHERE state <> 'open'"
    )
    op.execute("UPDATE lot SET pay_by_us = closes_us + 864000000000 WHERE state = 'sold'")

    for table in ("annulment",):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
