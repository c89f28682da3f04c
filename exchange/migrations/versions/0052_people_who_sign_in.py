"""People who sign in: their accounts, sessions and mistakes, and the register of accesses.

Revision 0052, after 0051.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = sa.Text(collation="C")
    op.create_table(
        "person_account",
        sa.Column("person", text, nullable=False),
        sa.Column("login", text, nullable=False),
        sa.Column("password", text, nullable=False),
        sa.Column("factor", sa.LargeBinary(), nullable=False),
        sa.Column("factor_step", sa.BigInteger(), nullable=False),
        sa.Column("recovery", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("person"),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "account_reset",
        sa.Column("id", text, nullable=False),
        sa.Column("person", text, nullable=False),
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("asker", text, nullable=False),
        sa.Column("decider", text, nullable=True),
        sa.Column("state", text, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('asked', 'granted', 'declined')", name="account_reset_state_is_known"),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.ForeignKeyConstraint(["asker"], ["person.id"]),
        sa.ForeignKeyConstraint(["decider"], ["person.id"]),
    )
    op.create_index(op.f("ix_account_reset_person"), "account_reset", ["person"], unique=False)
    op.create_table(
        "web_session",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("person", text, nullable=False),
        sa.Column("hall", text, nullable=False),
        sa.Column("address", text, nullable=False),
        sa.Column("agent", text, nullable=False),
        sa.Column("began_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
    )
    op.create_index(op.f("ix_web_session_person"), "web_session", ["person"], unique=False)
    op.create_table(
        "sign_in_failure",
        sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("bucket"),
    )
    op.create_table(
        "access_record",
        sa.Column("id", text, nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("person", text, nullable=True),
        sa.Column("hall", text, nullable=False),
        sa.Column("address", text, nullable=False),
        sa.Column("what", text, nullable=False),
        sa.Column("said", text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_access_record_time_us"), "access_record", ["time_us"], unique=False)
    op.create_index(op.f("ix_access_record_person"), "access_record", ["person"], unique=False)
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access_record"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
