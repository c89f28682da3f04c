"""Deputies with a term, and documents of parties.

Revision 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("person", sa.Column("deputy_of", sa.Text(collation="C"), nullable=True))
    op.add_column("person", sa.Column("until_us", sa.BigInteger(), nullable=True))
    op.create_foreign_key("person_deputy_of_fkey", "person", "person", ["deputy_of"], ["id"])
    op.create_index(op.f("ix_person_deputy_of"), "person", ["deputy_of"], unique=False)
    op.create_table(
        "party_document",
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("filer", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("reviewer", sa.Text(collation="C"), nullable=True),
        sa.Column("reason", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('filed', 'accepted', 'rejected')", name="party_document_state_is_known"),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.PrimaryKeyConstraint("party", "digest"),
    )
