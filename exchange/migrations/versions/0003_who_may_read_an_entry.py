"""Who may read an entry beside its author, and openings that are erased where they stand.

Revision 0003, after 0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A market of before 0002 was refused there, so no opening and no entry is older than these columns.
    op.add_column("opening", sa.Column("log_index", sa.BigInteger(), nullable=False))
    op.alter_column("opening", "salt", existing_type=sa.LargeBinary(), nullable=True)
    op.alter_column("opening", "value", existing_type=sa.Text(collation="C"), nullable=True)
    op.create_index("opening_by_entry", "opening", ["log_index"])
    op.create_table(
        "entry_reader",
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["party"], ["party.id"]),
        sa.PrimaryKeyConstraint("party", "log_index"),
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_reader"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
