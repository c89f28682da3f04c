"""Negotiated sales, and listings that are taken back.

Revision 0038, after 0031.
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "negotiation",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("seller", sa.Text(collation="C"), nullable=False),
        sa.Column("buyer", sa.Text(collation="C"), nullable=False),
        sa.Column("person", sa.Text(collation="C"), nullable=False),
        sa.Column("purpose", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("why", sa.Text(collation="C"), nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("licences", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("offer_index", sa.BigInteger(), nullable=False),
        sa.Column("trade", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('buyer', 'seller')", name="negotiation_side_is_known"),
        sa.CheckConstraint(
            "state IN ('open', 'accepted', 'rejected', 'withdrawn', 'expired', 'lapsed')",
            name="negotiation_state_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["buyer"],
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
        sa.ForeignKeyConstraint(
            ["trade"],
            ["trade.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_negotiation_buyer"), "negotiation", ["buyer"], unique=False)
    op.create_index(op.f("ix_negotiation_listing"), "negotiation", ["listing"], unique=False)
    op.create_index(op.f("ix_negotiation_seller"), "negotiation", ["seller"], unique=False)
    op.create_index(
        "negotiation_open", "negotiation", ["expires_us"], unique=False, postgresql_where="state = 'open'"
    )
    op.create_index(
        "negotiation_untold",
        "negotiation",
        ["id"],
        unique=False,
        postgresql_where="state = 'lapsed' AND NOT told",
    )
    op.create_table(
        "negotiation_offer",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("negotiation", sa.Text(collation="C"), nullable=False),
        sa.Column("side", sa.Text(collation="C"), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("licences", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["negotiation"],
            ["negotiation.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("offer_by_negotiation", "negotiation_offer", ["negotiation", "log_index"], unique=False)
    op.drop_constraint("listing_state_is_known", "listing")
    op.create_check_constraint(
        "listing_state_is_known", "listing", "state IN ('open', 'ended', 'withdrawn')"
    )
    op.alter_column("listing", "price_fen", existing_type=sa.BIGINT(), nullable=True)

    for table in ("negotiation_offer",):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
