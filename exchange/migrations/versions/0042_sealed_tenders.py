"""The sealed tender.

Revision 0042, after 0041.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "holder_key",
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("public", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("party"),
    )
    op.create_table(
        "tender",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("estimate_fen", sa.BigInteger(), nullable=False),
        sa.Column("deposit_fen", sa.BigInteger(), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("committee", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("qualification", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("terms", sa.Text(collation="C"), nullable=False),
        sa.Column("again_of", sa.Text(collation="C"), nullable=True),
        sa.Column("deadline_us", sa.BigInteger(), nullable=False),
        sa.Column("opens_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("failure", sa.Text(collation="C"), nullable=True),
        sa.Column("opened", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("screened", sa.Boolean(), nullable=False),
        sa.Column("signs", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("assessors", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("scores", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("winner", sa.Text(collation="C"), nullable=True),
        sa.Column("price_fen", sa.BigInteger(), nullable=True),
        sa.Column("protest_until_us", sa.BigInteger(), nullable=True),
        sa.Column("pay_by_us", sa.BigInteger(), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('published', 'opening', 'opened', 'awarded', 'settled', 'failed', 'cancelled', 'annulled', 'defaulted')",
            name="tender_state_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["again_of"],
            ["tender.id"],
        ),
        sa.ForeignKeyConstraint(
            ["listing"],
            ["listing.id"],
        ),
        sa.ForeignKeyConstraint(
            ["winner"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("again_of"),
        sa.UniqueConstraint("listing"),
    )
    op.create_index(
        "tender_unfinished",
        "tender",
        ["state"],
        unique=False,
        postgresql_where="state IN ('published', 'opening', 'opened', 'awarded')",
    )
    op.create_index("tender_unscreened", "tender", ["id"], unique=False, postgresql_where="NOT screened")
    op.create_table(
        "envelope",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tender", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("bid_id", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("sealed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("proposal", sa.Text(collation="C"), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('standing', 'replaced', 'withdrawn', 'cancelled')", name="envelope_state_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tender"],
            ["tender.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("envelope_bid", "envelope", ["tender", "code", "bid_id"], unique=True)
    op.create_index("envelope_by_tender", "envelope", ["tender", "log_index"], unique=False)
    op.create_index(op.f("ix_envelope_party"), "envelope", ["party"], unique=False)
    op.create_table(
        "opening_share",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tender", sa.Text(collation="C"), nullable=False),
        sa.Column("holder", sa.Text(collation="C"), nullable=False),
        sa.Column("submissions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("faults", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["holder"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tender"],
            ["tender.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
        info={"append_only": True},
    )
    op.create_index("opening_share_by_tender", "opening_share", ["tender", "log_index"], unique=False)
    op.create_table(
        "protest",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("tender", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("remedy", sa.Text(collation="C"), nullable=True),
        sa.Column("answer", sa.Text(collation="C"), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('filed', 'upheld', 'dismissed', 'moot')", name="protest_state_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["tender"],
            ["tender.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_protest_tender"), "protest", ["tender"], unique=False)
    op.create_table(
        "tender_mark",
        sa.Column("tender", sa.Text(collation="C"), nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("assessor", sa.Text(collation="C"), nullable=False),
        sa.Column("marks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assessor"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tender"],
            ["tender.id"],
        ),
        sa.PrimaryKeyConstraint("tender", "round", "assessor"),
        info={"append_only": True},
    )
    op.create_table(
        "tender_question",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("tender", sa.Text(collation="C"), nullable=False),
        sa.Column("question", sa.Text(collation="C"), nullable=False),
        sa.Column("answer", sa.Text(collation="C"), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tender"],
            ["tender.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_tender_question_tender"), "tender_question", ["tender"], unique=False)
    op.create_table(
        "tenderer",
        sa.Column("tender", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("hold", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("mixed", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('admitted', 'released', 'captured', 'forfeited')", name="tenderer_state_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["tender"],
            ["tender.id"],
        ),
        sa.PrimaryKeyConstraint("tender", "party"),
    )
    op.create_index("tenderer_code", "tenderer", ["tender", "code"], unique=True)
    op.create_index(
        "tenderer_held", "tenderer", ["tender"], unique=False, postgresql_where="state = 'admitted'"
    )

    for table in ("opening_share", "tender_mark"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
