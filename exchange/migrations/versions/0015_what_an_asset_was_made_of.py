"""What an asset was made of, and which edition came after it.

Revision 0015, after 0014.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "asset_parent",
        sa.Column("child", sa.Text(collation="C"), nullable=False),
        sa.Column("parent", sa.Text(collation="C"), nullable=False),
        sa.Column("relation", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("relation IN ('edition', 'derived')", name="asset_relation_is_known"),
        sa.ForeignKeyConstraint(["child"], ["asset.id"]),
        sa.ForeignKeyConstraint(["parent"], ["asset.id"]),
        sa.PrimaryKeyConstraint("child", "parent"),
    )
    op.create_index(op.f("ix_asset_parent_parent"), "asset_parent", ["parent"], unique=False)
