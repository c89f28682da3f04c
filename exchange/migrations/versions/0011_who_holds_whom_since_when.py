"""Who holds whom since when, other relations, agreements with their terms, and names that look alike.

Revision 0011, after 0010.
"""

import unicodedata

import sqlalchemy as sa
from alembic import op
from confusable_homoglyphs.confusables import confusables_data
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

def prototype(letter: str) -> str:
    alike: list[str] = [each["c"] for each in confusables_data.get(letter, ())]
    if len(alike) != 1:
        return letter
    return alike[0] if len(confusables_data.get(alike[0], ())) > 1 else min(letter, alike[0])


def looks(text: str) -> str:
    """As it was when this revision was written."""
    flat = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    seen = "".join(map(prototype, "".join(flat.split()))).casefold()
    return unicodedata.normalize("NFC", "".join(map(prototype, seen)))


CENTURY_US = 100 * 366 * 86_400_000_000


def upgrade() -> None:
    # What was declared so far was declared with the party, by its entry, and held since.
    op.alter_column("shareholding", "operator", new_column_name="party")
    op.execute(
        "ALTER TABLE shareholding RENAME CONSTRAINT shareholding_operator_fkey TO shareholding_party_fkey"
    )
    op.add_column("shareholding", sa.Column("declared", sa.BigInteger(), nullable=True))
    op.add_column("shareholding", sa.Column("since_us", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(
        "shareholding", sa.Column("state_owned", sa.Boolean(), nullable=False, server_default="false")
    )
    op.execute("UPDATE shareholding s SET declared = p.log_index FROM party p WHERE p.id = s.party")
    op.alter_column("shareholding", "declared", nullable=False)
    op.alter_column("shareholding", "since_us", server_default=None)
    op.alter_column("shareholding", "state_owned", server_default=None)
    op.drop_constraint("shareholding_pkey", "shareholding", type_="primary")
    for nullable in (True, False):  # named after the column as it is called now
        op.alter_column("shareholding", "party", nullable=nullable)
    op.create_primary_key("shareholding_pkey", "shareholding", ["party", "declared", "position"])
    op.create_index(op.f("ix_shareholding_holder_party"), "shareholding", ["holder_party"], unique=False)
    op.create_table(
        "relation",
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("object", sa.Text(collation="C"), nullable=False),
        sa.Column("relation", sa.Text(collation="C"), nullable=False),
        sa.Column("stands", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("relation IN ('controls', 'runs', 'same', 'kin')", name="relation_is_known"),
        sa.PrimaryKeyConstraint("subject", "object", "relation"),
    )
    op.create_index(op.f("ix_relation_object"), "relation", ["object"], unique=False)
    # An agreement of before had no term: it runs on until its parties agree anew.
    op.add_column(
        "operating_agreement", sa.Column("starts_us", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column(
        "operating_agreement",
        sa.Column("ends_us", sa.BigInteger(), nullable=False, server_default=str(2 * CENTURY_US)),
    )
    op.add_column(
        "operating_agreement",
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}"),
    )
    for column in ("starts_us", "ends_us", "parts"):
        op.alter_column("operating_agreement", column, server_default=None)
    # An organisation may wait for its review, and its name is compared by its looks.
    op.drop_constraint("party_state_is_known", "party", type_="check")
    op.create_check_constraint("party_state_is_known", "party", "state IN ('applicant', 'active', 'suspended')")
    op.add_column("party", sa.Column("looks", sa.Text(collation="C"), nullable=True))
    for party, name in op.get_bind().execute(sa.text("SELECT id, name FROM party")).all():
        op.get_bind().execute(
            sa.text("UPDATE party SET looks = :looks WHERE id = :id"), {"looks": looks(name), "id": party}
        )
    op.alter_column("party", "looks", nullable=False)
    op.create_index(op.f("ix_party_looks"), "party", ["looks"], unique=False)
