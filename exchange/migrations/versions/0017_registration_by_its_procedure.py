"""Registration by its procedure.

Revision 0017, after 0016.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "registration_application",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("act", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("applicant", sa.Text(collation="C"), nullable=False),
        sa.Column("clerk", sa.Text(collation="C"), nullable=True),
        sa.Column("scan", sa.Text(collation="C"), nullable=True),
        sa.Column("title", sa.Text(collation="C"), nullable=True),
        sa.Column("summary", sa.Text(collation="C"), nullable=True),
        sa.Column("reason", sa.Text(collation="C"), nullable=True),
        sa.Column("asked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("registrar", sa.Text(collation="C"), nullable=True),
        sa.Column("acceptor", sa.Text(collation="C"), nullable=True),
        sa.Column("reviewer", sa.Text(collation="C"), nullable=True),
        sa.Column("said", sa.Text(collation="C"), nullable=True),
        sa.Column("applied_us", sa.BigInteger(), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("ends_us", sa.BigInteger(), nullable=True),
        sa.Column("steps", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "act IN ('initial', 'permit', 'transfer', 'change', 'correct', 'renew', 'cancel')",
            name="application_act_is_known",
        ),
        sa.CheckConstraint(
            "state IN ('applied', 'accepted', 'noticed', 'concluded', 'returned', 'rejected', 'withdrawn')",
            name="application_state_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["acceptor"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["applicant"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["clerk"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["registrar"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["reviewer"],
            ["person.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("application_by_state", "registration_application", ["state", "log_index"], unique=False)
    op.create_index(
        "application_due",
        "registration_application",
        ["ends_us"],
        unique=False,
        postgresql_where="state = 'noticed'",
    )
    op.create_index(
        op.f("ix_registration_application_asset"), "registration_application", ["asset"], unique=False
    )
    op.create_index(
        op.f("ix_registration_application_party"), "registration_application", ["party"], unique=False
    )
    op.create_table(
        "right_grant",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("right", sa.Text(collation="C"), nullable=False),
        sa.Column("holder", sa.Text(collation="C"), nullable=False),
        sa.Column("parent", sa.Text(collation="C"), nullable=True),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'ended')", name="right_grant_state_is_known"),
        sa.CheckConstraint(
            "\"right\" IN ('right_hold', 'right_use', 'right_operate')", name="right_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["holder"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["parent"],
            ["right_grant.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_right_grant_asset"), "right_grant", ["asset"], unique=False)
    op.create_index(op.f("ix_right_grant_holder"), "right_grant", ["holder"], unique=False)
    op.create_table(
        "notice_comment",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("application", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=True),
        sa.Column("person", sa.Text(collation="C"), nullable=True),
        sa.Column("text", sa.Text(collation="C"), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application"],
            ["registration_application.id"],
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["person"],
            ["person.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_notice_comment_application"), "notice_comment", ["application"], unique=False)
    op.create_table(
        "registration_objection",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("application", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("person", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("decider", sa.Text(collation="C"), nullable=True),
        sa.Column("answer", sa.Text(collation="C"), nullable=True),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'dismissed', 'upheld')", name="objection_state_is_known"),
        sa.ForeignKeyConstraint(
            ["application"],
            ["registration_application.id"],
        ),
        sa.ForeignKeyConstraint(
            ["decider"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["person"],
            ["person.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_registration_objection_application"), "registration_objection", ["application"], unique=False
    )
    # A certificate of before stands as it was given: by no procedure, and without an end.
    op.add_column("certificate", sa.Column("application", sa.Text(collation="C"), nullable=True))
    op.add_column("certificate", sa.Column("registrar", sa.Text(collation="C"), nullable=True))
    for name, column, before in (
        ("steps", postgresql.JSONB(astext_type=sa.Text()), "'{}'"),
        ("version", sa.BigInteger(), "1"),
        ("state", sa.Text(collation="C"), "'valid'"),
        ("registered_index", sa.BigInteger(), "log_index"),
    ):
        op.add_column("certificate", sa.Column(name, column, nullable=True))
        op.execute(f"UPDATE certificate SET {name} = {before}")
        op.alter_column("certificate", name, nullable=False)
    op.add_column("certificate", sa.Column("starts_us", sa.BigInteger(), nullable=True))
    op.add_column("certificate", sa.Column("ends_us", sa.BigInteger(), nullable=True))
    op.add_column("certificate", sa.Column("reminded_us", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        "certificate_state_is_known", "certificate", "state IN ('valid', 'expired', 'cancelled', 'revoked')"
    )
    op.drop_constraint("asset_state_is_known", "asset")
    op.create_check_constraint(
        "asset_state_is_known",
        "asset",
        "state IN ('declared', 'assessed', 'authorized', 'released', 'themed', 'applied', 'registered',"
        " 'expired', 'cancelled', 'revoked')",
    )
    op.create_index(
        "certificate_ends", "certificate", ["ends_us"], unique=False, postgresql_where="state = 'valid'"
    )
    op.create_foreign_key(None, "certificate", "party", ["registrar"], ["id"])
    op.create_foreign_key(None, "certificate", "registration_application", ["application"], ["id"])
