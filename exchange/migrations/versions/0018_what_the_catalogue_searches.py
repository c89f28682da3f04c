"""What the catalogue searches.

Revision 0018, after 0017.

The entry of an asset is made by the server whenever the asset or one of its listings is written, and shelves are counted
whenever entries are, so that no room can forget it and no count can be wrong. What counts acts for the owner: an empty shelf is taken away.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from exchange.tables import Asset

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ENTER = """
CREATE FUNCTION catalogue_enter(changed text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO catalogue_entry AS e (asset, supplier, operator, public, shelf, transparency, place, title_words, words)
    SELECT
        a.id, a.supplier, a.operator, a.state = 'registered',
        concat_ws('|', a.state, a.kind, coalesce(a.theme, ''), coalesce(a.grade, ''), a.opening,
            CASE WHEN a.opening = 'open' OR offer.price_fen = 0 THEN 'free' ELSE coalesce(offer.mode, 'unlisted') END,
            CASE WHEN a.update_days IS NULL THEN 'unpromised' WHEN a.stale THEN 'stale' ELSE 'fresh' END,
            stated.bits),
        stated.bits,
        a.log_index,
        array_to_tsvector(string_to_array(split_part(a.words, E'\\n', 1), ' ')),
        array_to_tsvector(string_to_array(split_part(a.words, E'\\n', 2), ' '))
    FROM asset a
    LEFT JOIN LATERAL (
        SELECT mode, price_fen FROM listing
        WHERE asset = a.id AND state = 'open' AND remaining > 0 ORDER BY log_index DESC LIMIT 1
    ) offer ON true
    CROSS JOIN LATERAL (
        SELECT (a.opening = 'open' OR offer.price_fen IS NOT NULL)::int
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

FROM_ASSETS = """
CREATE FUNCTION catalogue_assets_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_enter(ARRAY(SELECT id FROM fresh));
    RETURN NULL;
END $$
"""

FROM_LISTINGS = """
CREATE FUNCTION catalogue_listings_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_enter(ARRAY(SELECT DISTINCT asset FROM fresh));
    RETURN NULL;
END $$
"""

FROM_A_LISTING = """
CREATE FUNCTION catalogue_listing_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM catalogue_enter(ARRAY[NEW.asset]);
    RETURN NULL;
END $$
"""

COUNT = """
CREATE FUNCTION catalogue_count() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO catalogue_shelf AS s SELECT supplier, public, shelf, count(*) FROM fresh GROUP BY 1, 2, 3
        ON CONFLICT (supplier, public, shelf) DO UPDATE SET assets = s.assets + excluded.assets;
    ELSE
        INSERT INTO catalogue_shelf AS s
        SELECT supplier, public, shelf, sum(n) FROM (
            SELECT supplier, public, shelf, 1 AS n FROM fresh UNION ALL SELECT supplier, public, shelf, -1 FROM stale
        ) moved GROUP BY 1, 2, 3 HAVING sum(n) <> 0
        ON CONFLICT (supplier, public, shelf) DO UPDATE SET assets = s.assets + excluded.assets;
        DELETE FROM catalogue_shelf s USING (SELECT DISTINCT supplier, public, shelf FROM stale) o
        WHERE (s.supplier, s.public, s.shelf) = (o.supplier, o.public, o.shelf) AND s.assets = 0;
    END IF;
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE TRIGGER catalogue_declared AFTER INSERT ON asset REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_assets_changed();
CREATE TRIGGER catalogue_changed AFTER UPDATE ON asset REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_assets_changed();
CREATE TRIGGER catalogue_listed AFTER INSERT ON listing REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_listings_changed();
CREATE TRIGGER catalogue_ended AFTER UPDATE ON listing FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.price_fen <> NEW.price_fen OR (OLD.remaining = 0) <> (NEW.remaining = 0))
    EXECUTE FUNCTION catalogue_listing_changed();
CREATE TRIGGER catalogue_entered AFTER INSERT ON catalogue_entry REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_count();
CREATE TRIGGER catalogue_moved AFTER UPDATE ON catalogue_entry REFERENCING NEW TABLE AS fresh OLD TABLE AS stale
    FOR EACH STATEMENT EXECUTE FUNCTION catalogue_count();
"""


def upgrade() -> None:
    op.add_column("asset", sa.Column("update_days", sa.BigInteger(), nullable=True))
    op.add_column("asset", sa.Column("updated_us", sa.BigInteger(), nullable=True))
    op.add_column("asset", sa.Column("stale", sa.Boolean(), nullable=True))
    op.add_column("asset", sa.Column("words", sa.Text(collation="C"), nullable=True))
    op.create_table(
        "catalogue_entry",
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("supplier", sa.Text(collation="C"), nullable=False),
        sa.Column("operator", sa.Text(collation="C"), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("shelf", sa.Text(collation="C"), nullable=False),
        sa.Column("transparency", sa.SmallInteger(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("title_words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.PrimaryKeyConstraint("asset"),
    )
    op.create_index(
        "catalogue_by_operator",
        "catalogue_entry",
        ["operator"],
        unique=False,
        postgresql_where="operator IS NOT NULL AND NOT public",
    )
    op.create_index("catalogue_by_shelf", "catalogue_entry", ["shelf", "place", "asset"], unique=False)
    op.create_index(
        "catalogue_by_supplier", "catalogue_entry", ["supplier", "shelf", "place", "asset"], unique=False
    )
    op.create_index("catalogue_words", "catalogue_entry", ["words"], unique=False, postgresql_using="gin")
    op.create_table(
        "catalogue_shelf",
        sa.Column("supplier", sa.Text(collation="C"), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("shelf", sa.Text(collation="C"), nullable=False),
        sa.Column("assets", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("supplier", "public", "shelf"),
    )
    for statement in (ENTER, FROM_ASSETS, FROM_LISTINGS, FROM_A_LISTING, COUNT, *TRIGGERS.split(";\n")):
        if statement.strip():
            op.execute(statement)
    enter_what_is_there(op.get_bind())
    op.alter_column("asset", "stale", nullable=False)
    op.alter_column("asset", "words", nullable=False)


def enter_what_is_there(connection: sa.Connection) -> None:
    """Cut the texts of the assets before this revision; the triggers enter them."""
    rows = connection.execute(
        sa.text("SELECT id, title, summary, code, kind, theme FROM asset ORDER BY id")
    ).mappings()
    for row in rows.all():
        connection.execute(
            sa.text("UPDATE asset SET stale = false, words = :words WHERE id = :id"),
            {"id": row["id"], "words": Asset(**row).found_by()},
        )
