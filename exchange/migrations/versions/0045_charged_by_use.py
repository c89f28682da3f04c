"""Products that are charged by use; the catalogue knows their price as stated too.

Revision 0045, after 0043.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0045"
down_revision = "0043"
branch_labels = None
depends_on = None


ENTER = """
CREATE OR REPLACE FUNCTION catalogue_enter(changed text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO catalogue_entry AS e (asset, supplier, operator, public, shelf, transparency, place, title_words, words)
    SELECT
        a.id, a.supplier, a.operator, a.state = 'registered',
        concat_ws('|', a.state, a.kind, coalesce(a.theme, ''), coalesce(a.grade, ''), a.opening,
            CASE WHEN a.opening = 'open' OR offer.price_fen = 0 OR offer.unit_price_micro = 0 THEN 'free' ELSE coalesce(offer.mode, 'unlisted') END,
            CASE WHEN a.update_days IS NULL THEN 'unpromised' WHEN a.stale THEN 'stale' ELSE 'fresh' END,
            stated.bits),
        stated.bits,
        a.log_index,
        array_to_tsvector(string_to_array(split_part(a.words, E'\\n', 1), ' ')),
        array_to_tsvector(string_to_array(split_part(a.words, E'\\n', 2), ' '))
    FROM asset a
    LEFT JOIN LATERAL (
        SELECT mode, price_fen, unit_price_micro FROM listing
        WHERE asset = a.id AND state = 'open' AND remaining > 0 ORDER BY log_index DESC LIMIT 1
    ) offer ON true
    CROSS JOIN LATERAL (
        SELECT (a.opening = 'open' OR coalesce(offer.price_fen, offer.unit_price_micro) IS NOT NULL)::int
            + 2 * (a.code IS NOT NULL AND a.summary <> '')::int
            + 4 * (a.update_days IS NOT NULL)::int
            + 8 * (a.opening IN ('open', 'conditional') AND a.evidence ? 'desensitization')::int AS bits
    ) stated
    WHERE a.id = ANY (changed)
    ON CONFLICT (asset) DO UPDATE SET
        supplier = excluded.supplier, operator = excluded.operator, public = excluded.public, shelf = excluded.shelf,
        transparency = excluded.transparency, place = excluded.place, title_words = excluded.title_words,
        words = excluded.words
    WHERE (e.supplier, e.operator, e.public, e.shelf, e.place, e.words)
        IS DISTINCT FROM (excluded.supplier, excluded.operator, excluded.public, excluded.shelf, excluded.place, excluded.words)
$$
"""


def upgrade() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("seller", sa.Text(collation="C"), nullable=False),
        sa.Column("operator", sa.Text(collation="C"), nullable=True),
        sa.Column("buyer", sa.Text(collation="C"), nullable=False),
        sa.Column("licence", sa.Text(collation="C"), nullable=False),
        sa.Column("trade", sa.Text(collation="C"), nullable=False),
        sa.Column("purpose", sa.Text(collation="C"), nullable=False),
        sa.Column("unit", sa.Text(collation="C"), nullable=False),
        sa.Column("unit_price_micro", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("statements", sa.BigInteger(), nullable=False),
        sa.Column("prepaid", sa.Boolean(), nullable=False),
        sa.Column("hold", sa.Text(collation="C"), nullable=True),
        sa.Column("hold_fen", sa.BigInteger(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'ended')", name="subscription_state_is_known"),
        sa.CheckConstraint("settled >= 0 AND settled <= used", name="subscription_settles_what_is_used"),
        sa.CheckConstraint("used >= 0 AND used <= quota", name="subscription_keeps_to_its_quota"),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["buyer"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["licence"],
            ["licence.id"],
        ),
        sa.ForeignKeyConstraint(
            ["listing"],
            ["listing.id"],
        ),
        sa.ForeignKeyConstraint(
            ["operator"],
            ["party.id"],
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
        sa.UniqueConstraint("licence"),
    )
    op.create_index(op.f("ix_subscription_buyer"), "subscription", ["buyer"], unique=False)
    op.create_index(op.f("ix_subscription_operator"), "subscription", ["operator"], unique=False)
    op.create_index(op.f("ix_subscription_seller"), "subscription", ["seller"], unique=False)
    op.create_index(
        "subscription_due", "subscription", ["next_us"], unique=False, postgresql_where="state = 'open'"
    )
    op.create_table(
        "usage_record",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscription", sa.Text(collation="C"), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription"],
            ["subscription.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("usage_by_subscription", "usage_record", ["subscription", "log_index"], unique=False)
    op.create_table(
        "usage_statement",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subscription", sa.Text(collation="C"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["subscription"],
            ["subscription.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("statement_by_asset", "usage_statement", ["asset", "time_us"], unique=False)
    op.create_index("statement_by_subscription", "usage_statement", ["subscription", "number"], unique=True)
    op.add_column("listing", sa.Column("unit", sa.Text(collation="C"), nullable=True))
    op.add_column("listing", sa.Column("unit_price_micro", sa.BigInteger(), nullable=True))
    op.add_column("listing", sa.Column("ceiling_micro", sa.BigInteger(), nullable=True))

    for table in (
        "usage_record",
        "usage_statement",
    ):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(ENTER)
