"""Who assessed compliance.

Revision 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "compliance_assessment",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("provider", sa.Text(collation="C"), nullable=False),
        sa.Column("assessor", sa.Text(collation="C"), nullable=True),
        sa.Column("conclusion", sa.Text(collation="C"), nullable=True),
        sa.Column("report_digest", sa.Text(collation="C"), nullable=True),
        sa.Column("summary", sa.Text(collation="C"), nullable=True),
        sa.Column("ends_us", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "conclusion IN ('compliant', 'conditional', 'not_compliant')",
            name="compliance_conclusion_is_known",
        ),
        sa.CheckConstraint("state IN ('engaged', 'filed')", name="compliance_state_is_known"),
        sa.ForeignKeyConstraint(
            ["assessor"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["provider"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_compliance_assessment_asset"), "compliance_assessment", ["asset"], unique=False)
    op.create_index(
        op.f("ix_compliance_assessment_provider"), "compliance_assessment", ["provider"], unique=False
    )
