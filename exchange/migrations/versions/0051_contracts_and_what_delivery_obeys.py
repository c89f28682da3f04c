"""Contracts, their signatures, and what delivery obeys and counts.

Revision 0051, after 0050. Licences that were sold before have no contract; nothing is delivered under them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("contract", sa.Text(collation="C"), nullable=False, server_default="provision"),
        sa.Column("terms", postgresql.JSONB(), nullable=False, server_default="{}"),
        sa.Column("terms_digest", sa.Text(collation="C"), nullable=False, server_default=""),
        sa.Column("terms_key", sa.Text(collation="C"), nullable=True),
        sa.Column("terms_index", sa.BigInteger(), nullable=True),
    ):
        op.add_column("listing", column)
    for name in ("contract", "terms", "terms_digest"):
        op.alter_column("listing", name, server_default=None)
    op.create_foreign_key("listing_terms_key_fkey", "listing", "signing_key", ["terms_key"], ["id"])
    for table, name in (
        ("licence", "calls_used"),
        ("licence", "bytes_used"),
        ("licence", "links_ended"),
        ("access", "bytes"),
    ):
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column(table, name, server_default=None)
    op.add_column(
        "bidder", sa.Column("purpose", sa.Text(collation="C"), nullable=False, server_default="")
    )
    op.alter_column("bidder", "purpose", server_default=None)
    op.drop_constraint("licence_state_is_known", "licence")
    op.create_check_constraint(
        "licence_state_is_known", "licence", "state IN ('active', 'suspended', 'revoked', 'annulled')"
    )
    op.create_table(
        "contract",
        sa.Column("trade", sa.Text(collation="C"), nullable=False),
        sa.Column("licence", sa.Text(collation="C"), nullable=False),
        sa.Column("seller", sa.Text(collation="C"), nullable=False),
        sa.Column("buyer", sa.Text(collation="C"), nullable=False),
        sa.Column("template", sa.Text(collation="C"), nullable=False),
        sa.Column("values", postgresql.JSONB(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("seller_index", sa.BigInteger(), nullable=True),
        sa.Column("buyer_index", sa.BigInteger(), nullable=True),
        sa.Column("signed_us", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('drawn', 'signed', 'ended')", name="contract_state_is_known"),
        sa.ForeignKeyConstraint(["buyer"], ["party.id"]),
        sa.ForeignKeyConstraint(["licence"], ["licence.id"]),
        sa.ForeignKeyConstraint(["seller"], ["party.id"]),
        sa.ForeignKeyConstraint(["trade"], ["trade.id"]),
        sa.PrimaryKeyConstraint("trade"),
        sa.UniqueConstraint("licence"),
    )
    op.create_index(op.f("ix_contract_buyer"), "contract", ["buyer"], unique=False)
    op.create_index(op.f("ix_contract_seller"), "contract", ["seller"], unique=False)
