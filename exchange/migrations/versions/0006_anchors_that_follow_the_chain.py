"""Anchors that follow the chain: all that was signed for each, in which block it is, and what was amiss with the chain.

Revision 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A transaction that was signed before its number was kept cannot be followed; a newer checkpoint takes its place.
    op.execute("DELETE FROM anchor WHERE state = 'pending'")
    op.drop_constraint("anchor_state_is_known", "anchor")
    op.create_check_constraint(
        "anchor_state_is_known", "anchor", "state IN ('pending', 'confirmed', 'final', 'refused')"
    )
    op.drop_column("anchor", "signed")
    op.execute("UPDATE anchor SET chain_id = 0 WHERE chain_id IS NULL")
    op.alter_column("anchor", "chain_id", existing_type=sa.BigInteger(), nullable=False)
    op.add_column("anchor", sa.Column("block_hash", sa.Text(collation="C"), nullable=True))
    op.add_column("anchor", sa.Column("gas_used", sa.BigInteger(), nullable=True))
    for name in ("signed_us", "offered_us", "reorganised"):
        op.add_column("anchor", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column("anchor", name, existing_type=sa.BigInteger(), server_default=None)
    op.create_table(
        "anchor_transaction",
        sa.Column("tx", sa.Text(collation="C"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("gas", sa.BigInteger(), nullable=False),
        sa.Column("gas_price_wei", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["size"], ["anchor.size"]),
        sa.PrimaryKeyConstraint("tx"),
    )
    op.create_index(op.f("ix_anchor_transaction_size"), "anchor_transaction", ["size"])
    op.create_table(
        "chain_watch",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contract", sa.Text(collation="C"), nullable=False),
        sa.Column("looked_us", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("id = 1", name="chain_watch_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "chain_trouble",
        sa.Column("began_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("trouble", sa.Text(collation="C"), nullable=False),
        sa.Column("detail", sa.Text(collation="C"), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("began_us", "trouble"),
    )
