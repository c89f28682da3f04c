"""Holds that time out and close accounts; sealed holds and a sealed number of the last transfer.

Revision 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The seals of older rows can only be made with the market's key, which no database holds.
    op.execute(
        """
        DO $$ BEGIN
            IF EXISTS (SELECT FROM account) THEN
                RAISE EXCEPTION 'this market was made before its holds were sealed'
                    USING HINT = 'export it with the version that made it, and begin a new one';
            END IF;
        END $$
        """
    )
    for table in ("transfer", "failed_transfer"):
        op.add_column(table, sa.Column("timeout_us", sa.BigInteger(), nullable=False))
        op.add_column(table, sa.Column("closes", sa.Text(collation="C"), nullable=True))
    op.add_column("hold", sa.Column("expires_us", sa.BigInteger(), nullable=True))
    op.add_column("hold", sa.Column("mac", sa.LargeBinary(), nullable=False))
    op.create_table(
        "book_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name="book_head_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.drop_constraint("hold_id_fkey", "hold", type_="foreignkey")
    op.drop_constraint("transfer_debit_fkey", "transfer", type_="foreignkey")
    op.drop_constraint("transfer_credit_fkey", "transfer", type_="foreignkey")
    op.drop_constraint("hold_state_is_known", "hold", type_="check")
    op.create_check_constraint(
        "hold_state_is_known", "hold", "state IN ('pending', 'posted', 'voided', 'expired')"
    )
    op.drop_constraint("transfer_moves_something", "transfer", type_="check")
    op.create_check_constraint(
        "transfer_moves_something",
        "transfer",
        "amount > 0 OR amount = 0 AND (closes IS NOT NULL OR kind IN ('void_pending', 'expire_pending'))",
    )
    op.create_check_constraint(
        "transfer_kind_holds", "transfer", "kind = 'pending' OR timeout_us = 0 AND closes IS NULL"
    )
    op.create_check_constraint("transfer_timeout_is_ahead", "transfer", "timeout_us >= 0")
    op.create_check_constraint("transfer_closes_a_side", "transfer", "closes IN ('debit', 'credit')")
    op.create_index(
        "hold_due",
        "hold",
        ["expires_us"],
        postgresql_where=sa.text("state = 'pending' AND expires_us IS NOT NULL"),
    )
    op.create_index(
        "transfer_ends_a_hold_once",
        "transfer",
        ["pending"],
        unique=True,
        postgresql_where=sa.text("pending IS NOT NULL"),
    )
    # Compressing a batch under the head costs more than the disk it saves; half of it is random anyway.
    op.execute(
        "ALTER TABLE log_chunk ALTER leaves SET STORAGE EXTERNAL, ALTER salts SET STORAGE EXTERNAL,"
        " ALTER bodies SET STORAGE EXTERNAL"
    )
    op.execute(
        """
        CREATE FUNCTION require_rows(name text, seen bigint, expected bigint) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            IF seen <> expected THEN
                RAISE EXCEPTION 'a row of % changed under the book''s hands', name
                    USING ERRCODE = 'serialization_failure';
            END IF;
        END $$
        """
    )
