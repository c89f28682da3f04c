"""Keys that are narrowed, end and sign; and what a party forbids itself.

Revision 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_key", sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("api_key", sa.Column("expires_us", sa.BigInteger(), nullable=True))
    # Whoever is registered has stopped nothing yet; new rows say so themselves.
    op.add_column("party", sa.Column("stopped", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("party", "stopped", existing_type=sa.Boolean(), server_default=None)
    op.add_column("party", sa.Column("sign_above_fen", sa.BigInteger(), nullable=True))
    op.add_column("party", sa.Column("order_limit_fen", sa.BigInteger(), nullable=True))
    op.add_column("party", sa.Column("heartbeat_us", sa.BigInteger(), nullable=True))
    op.create_table(
        "heartbeat",
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("heard_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.PrimaryKeyConstraint("party"),
    )
    op.create_table(
        "key_use",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "signing_key",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("person", sa.Text(collation="C"), nullable=False),
        sa.Column("public", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(collation="C"), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_signing_key_party"), "signing_key", ["party"])
