"""Money at the bank.

Revision 0010, after 0009.
"""

import json

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bank_movement",
        sa.Column("reference", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=True),
        sa.Column("payee", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("first_fen", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("return_reason", sa.Text(collation="C"), nullable=True),
        sa.Column("return_reference", sa.Text(collation="C"), nullable=True),
        sa.Column("returned_index", sa.BigInteger(), nullable=True),
        sa.Column("adjuster", sa.Text(collation="C"), nullable=True),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('pay_in', 'payout', 'return', 'adjustment')", name="bank_movement_kind_is_known"
        ),
        sa.CheckConstraint("state IN ('open', 'matched', 'cancelled')", name="bank_movement_state_is_known"),
        sa.ForeignKeyConstraint(
            ["adjuster"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("reference"),
    )
    op.create_index("bank_movement_by_party", "bank_movement", ["party", "log_index"], unique=False)
    op.create_index(
        "bank_movement_open", "bank_movement", ["time_us"], unique=False, postgresql_where="state = 'open'"
    )
    op.create_table(
        "bank_statement",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("begins_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("opening_fen", sa.BigInteger(), nullable=False),
        sa.Column("closing_fen", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("matched", sa.BigInteger(), nullable=False),
        sa.Column("in_transit_fen", sa.BigInteger(), nullable=False),
        sa.Column("difference_fen", sa.BigInteger(), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("importer", sa.Text(collation="C"), nullable=False),
        sa.Column("resolver", sa.Text(collation="C"), nullable=True),
        sa.Column("resolved_index", sa.BigInteger(), nullable=True),
        sa.Column("resolution", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('agreed', 'alarm', 'resolved')", name="bank_statement_state_is_known"),
        sa.ForeignKeyConstraint(
            ["importer"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["resolver"],
            ["person.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "bank_line",
        sa.Column("statement", sa.Text(collation="C"), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reference", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("booked_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint("state IN ('open', 'matched')", name="bank_line_state_is_known"),
        sa.ForeignKeyConstraint(
            ["statement"],
            ["bank_statement.id"],
        ),
        sa.PrimaryKeyConstraint("statement", "position"),
    )
    op.create_index(
        "bank_line_open", "bank_line", ["reference"], unique=False, postgresql_where="state = 'open'"
    )
    keep_what_moved(op.get_bind())


def keep_what_moved(connection: sa.Connection) -> None:
    """The movements of the entries before this revision, as they say them: each is open until a statement shows it."""
    moved = connection.execute(
        sa.text("SELECT log_index, time_us FROM transfer WHERE code IN ('top_up', 'withdrawal') ORDER BY sequence")
    ).fetchall()
    for index, time_us in moved:
        first, packed = connection.execute(
            sa.text("SELECT first, bodies FROM log_chunk WHERE first <= :index ORDER BY first DESC LIMIT 1"),
            {"index": index},
        ).one()
        at = 0
        for _ in range(index - first):
            at += 2 + int.from_bytes(packed[at : at + 2], "big")
        body = json.loads(packed[at + 2 : at + 2 + int.from_bytes(packed[at : at + 2], "big")])
        act, out = body["act"], body["kind"] == "withdrawn"
        party = body["party"] if out else act["party"]
        connection.execute(
            sa.text(
                "INSERT INTO bank_movement (reference, kind, party, payee, account, first_fen, amount_fen, state,"
                " time_us, log_index) VALUES (:reference, :kind, :party, :party, :account, :fen, :fen, 'open',"
                " :time_us, :index) ON CONFLICT DO NOTHING"
            ),
            {
                "reference": act["payout" if out else "bank_reference"],
                "kind": "payout" if out else "pay_in",
                "party": party,
                "account": act["account"],
                "fen": -int(act["amount_fen"]) if out else int(act["amount_fen"]),
                "time_us": time_us,
                "index": index,
            },
        )
