"""The first schema.

Revision 0001, after nothing.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("ledger", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("overdraft", sa.Text(collation="C"), nullable=False),
        sa.Column("debits_pending", sa.BigInteger(), nullable=False),
        sa.Column("debits_posted", sa.BigInteger(), nullable=False),
        sa.Column("credits_pending", sa.BigInteger(), nullable=False),
        sa.Column("credits_posted", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(
            "overdraft <> 'credits_must_not_exceed_debits' OR credits_pending + credits_posted <= debits_posted",
            name="account_credits_within_debits",
        ),
        sa.CheckConstraint(
            "overdraft <> 'debits_must_not_exceed_credits' OR debits_pending + debits_posted <= credits_posted",
            name="account_debits_within_credits",
        ),
        sa.CheckConstraint(
            "debits_pending >= 0 AND debits_posted >= 0 AND credits_pending >= 0 AND credits_posted >= 0",
            name="account_balances_are_not_negative",
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "anchor",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=True),
        sa.Column("contract", sa.Text(collation="C"), nullable=False),
        sa.Column("tx", sa.Text(collation="C"), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'confirmed', 'refused')", name="anchor_state_is_known"),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_table(
        "bid",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lot", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=True),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("bid_by_lot", "bid", ["lot", "log_index"], unique=False)
    op.create_table(
        "failed_transfer",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("debit", sa.Text(collation="C"), nullable=False),
        sa.Column("credit", sa.Text(collation="C"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("ledger", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("pending", sa.Text(collation="C"), nullable=True),
        sa.Column("linked", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "log_chunk",
        sa.Column("first", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("salts", sa.LargeBinary(), nullable=False),
        sa.Column("bodies", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("size > first", name="log_chunk_holds_entries"),
        sa.PrimaryKeyConstraint("first"),
    )
    op.create_index("log_chunk_size", "log_chunk", ["size"], unique=True)
    op.create_table(
        "log_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("origin", sa.Text(collation="C"), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("id = 1", name="log_head_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "log_tile",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "n"),
    )
    op.create_table(
        "market",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("sandbox", sa.Boolean(), nullable=False),
        sa.Column("profile", sa.Text(collation="C"), nullable=False),
        sa.Column("offset_us", sa.BigInteger(), nullable=False),
        sa.Column("keys_version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="market_is_one_row"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "opening",
        sa.Column("commitment", sa.Text(collation="C"), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("commitment"),
    )
    op.create_table(
        "party",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("uscc", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("roles", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("account", sa.Text(collation="C"), nullable=True),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'suspended')", name="party_state_is_known"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uscc"),
    )
    op.create_table(
        "request",
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", "key"),
    )
    op.create_table(
        "asset",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("supplier", sa.Text(collation="C"), nullable=False),
        sa.Column("operator", sa.Text(collation="C"), nullable=True),
        sa.Column("title", sa.Text(collation="C"), nullable=False),
        sa.Column("summary", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("theme", sa.Text(collation="C"), nullable=True),
        sa.Column("code", sa.Text(collation="C"), nullable=True),
        sa.Column("grade", sa.Text(collation="C"), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('declared', 'assessed', 'authorized', 'released', 'themed', 'registered')",
            name="asset_state_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["operator"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["supplier"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
    )
    op.create_index(op.f("ix_asset_supplier"), "asset", ["supplier"], unique=False)
    op.create_table(
        "operating_agreement",
        sa.Column("supplier", sa.Text(collation="C"), nullable=False),
        sa.Column("operator", sa.Text(collation="C"), nullable=False),
        sa.Column("share_ppm", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("share_ppm >= 0 AND share_ppm < 1000000", name="agreement_share_is_a_part"),
        sa.ForeignKeyConstraint(
            ["operator"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["supplier"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("supplier", "operator"),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_person_party"), "person", ["party"], unique=False)
    op.create_table(
        "shareholding",
        sa.Column("operator", sa.Text(collation="C"), nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text(collation="C"), nullable=False),
        sa.Column("holder_party", sa.Text(collation="C"), nullable=True),
        sa.Column("account", sa.Text(collation="C"), nullable=False),
        sa.Column("share_ppm", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("share_ppm > 0 AND share_ppm <= 1000000", name="share_is_a_part"),
        sa.ForeignKeyConstraint(
            ["holder_party"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["operator"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("operator", "position"),
    )
    op.create_table(
        "transfer",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("debit", sa.Text(collation="C"), nullable=False),
        sa.Column("credit", sa.Text(collation="C"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("ledger", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("pending", sa.Text(collation="C"), nullable=True),
        sa.Column("linked", sa.Boolean(), nullable=False),
        sa.CheckConstraint("amount > 0", name="transfer_moves_something"),
        sa.ForeignKeyConstraint(
            ["credit"],
            ["account.id"],
        ),
        sa.ForeignKeyConstraint(
            ["debit"],
            ["account.id"],
        ),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("transfer_by_credit", "transfer", ["credit", "sequence"], unique=False)
    op.create_index("transfer_by_debit", "transfer", ["debit", "sequence"], unique=False)
    op.create_table(
        "api_key",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("person", sa.Text(collation="C"), nullable=False),
        sa.Column("label", sa.Text(collation="C"), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person"],
            ["person.id"],
        ),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_api_key_person"), "api_key", ["person"], unique=False)
    op.create_table(
        "appraisal",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("value_fen", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_appraisal_asset"), "appraisal", ["asset"], unique=False)
    op.create_table(
        "certificate",
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.PrimaryKeyConstraint("code"),
        sa.UniqueConstraint("asset"),
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'posted', 'voided')", name="hold_state_is_known"),
        sa.ForeignKeyConstraint(
            ["id"],
            ["transfer.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "invitation",
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column("person", sa.Text(collation="C"), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("used_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person"],
            ["person.id"],
        ),
        sa.PrimaryKeyConstraint("token_digest"),
    )
    op.create_table(
        "listing",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("seller", sa.Text(collation="C"), nullable=False),
        sa.Column("mode", sa.Text(collation="C"), nullable=False),
        sa.Column("grant", sa.Text(collation="C"), nullable=False),
        sa.Column("reason", sa.Text(collation="C"), nullable=False),
        sa.Column("term_days", sa.BigInteger(), nullable=False),
        sa.Column("licences", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("ceiling_fen", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'ended')", name="listing_state_is_known"),
        sa.CheckConstraint("remaining >= 0 AND remaining <= licences", name="listing_never_oversells"),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["seller"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_listing_asset"), "listing", ["asset"], unique=False)
    op.create_table(
        "risk_assessment",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("assessor", sa.Text(collation="C"), nullable=False),
        sa.Column("raw_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("policy_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("report_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("grade", sa.Text(collation="C"), nullable=False),
        sa.Column("exempt_from_k", sa.Boolean(), nullable=False),
        sa.Column("policy", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assessor"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_risk_assessment_asset"), "risk_assessment", ["asset"], unique=False)
    op.create_table(
        "department_authorization",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("assessment", sa.Text(collation="C"), nullable=False),
        sa.Column("approver", sa.Text(collation="C"), nullable=False),
        sa.Column("raw_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("policy_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("grade", sa.Text(collation="C"), nullable=False),
        sa.Column("exempt_from_k", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["approver"],
            ["person.id"],
        ),
        sa.ForeignKeyConstraint(
            ["assessment"],
            ["risk_assessment.id"],
        ),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_department_authorization_asset"), "department_authorization", ["asset"], unique=False
    )
    op.create_table(
        "lot",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("start_price_fen", sa.BigInteger(), nullable=False),
        sa.Column("increment_fen", sa.BigInteger(), nullable=False),
        sa.Column("ceiling_fen", sa.BigInteger(), nullable=True),
        sa.Column("deposit_fen", sa.BigInteger(), nullable=False),
        sa.Column("opens_us", sa.BigInteger(), nullable=False),
        sa.Column("first_closes_us", sa.BigInteger(), nullable=False),
        sa.Column("closes_us", sa.BigInteger(), nullable=False),
        sa.Column("soft_close_window_us", sa.BigInteger(), nullable=False),
        sa.Column("soft_close_extension_us", sa.BigInteger(), nullable=False),
        sa.Column("standing_price_fen", sa.BigInteger(), nullable=True),
        sa.Column("standing_code", sa.Text(collation="C"), nullable=True),
        sa.Column("standing_sequence", sa.BigInteger(), nullable=True),
        sa.Column("bids", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("winner", sa.Text(collation="C"), nullable=True),
        sa.Column("price_fen", sa.BigInteger(), nullable=True),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'sold', 'failed')", name="lot_state_is_known"),
        sa.ForeignKeyConstraint(
            ["listing"],
            ["listing.id"],
        ),
        sa.ForeignKeyConstraint(
            ["winner"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("listing"),
    )
    op.create_index("lot_due", "lot", ["closes_us"], unique=False, postgresql_where="state = 'open'")
    op.create_table(
        "trade",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("listing", sa.Text(collation="C"), nullable=False),
        sa.Column("lot", sa.Text(collation="C"), nullable=True),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("seller", sa.Text(collation="C"), nullable=False),
        sa.Column("buyer", sa.Text(collation="C"), nullable=False),
        sa.Column("licences", sa.BigInteger(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("voucher", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["buyer"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["listing"],
            ["listing.id"],
        ),
        sa.ForeignKeyConstraint(
            ["seller"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_trade_buyer"), "trade", ["buyer"], unique=False)
    op.create_index(op.f("ix_trade_listing"), "trade", ["listing"], unique=False)
    op.create_table(
        "bidder",
        sa.Column("lot", sa.Text(collation="C"), nullable=False),
        sa.Column("party", sa.Text(collation="C"), nullable=False),
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("hold", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('admitted', 'released', 'captured')", name="bidder_state_is_known"),
        sa.ForeignKeyConstraint(
            ["lot"],
            ["lot.id"],
        ),
        sa.ForeignKeyConstraint(
            ["party"],
            ["party.id"],
        ),
        sa.PrimaryKeyConstraint("lot", "party"),
    )
    op.create_index("bidder_code", "bidder", ["lot", "code"], unique=True)
    op.create_table(
        "licence",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("trade", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("buyer", sa.Text(collation="C"), nullable=False),
        sa.Column("grant", sa.Text(collation="C"), nullable=False),
        sa.Column("licences", sa.BigInteger(), nullable=False),
        sa.Column("starts_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'revoked')", name="licence_state_is_known"),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["buyer"],
            ["party.id"],
        ),
        sa.ForeignKeyConstraint(
            ["trade"],
            ["trade.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("trade"),
    )
    op.create_index(op.f("ix_licence_buyer"), "licence", ["buyer"], unique=False)
    op.create_table(
        "release",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("asset", sa.Text(collation="C"), nullable=False),
        sa.Column("authorization", sa.Text(collation="C"), nullable=False),
        sa.Column("product_digest", sa.Text(collation="C"), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(collation="C"), nullable=False),
        sa.Column("certificate", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("measurement", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("failures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset"],
            ["asset.id"],
        ),
        sa.ForeignKeyConstraint(
            ["authorization"],
            ["department_authorization.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_release_asset"), "release", ["asset"], unique=False)
    op.create_table(
        "access",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("licence", sa.Text(collation="C"), nullable=False),
        sa.Column("act", sa.Text(collation="C"), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["licence"],
            ["licence.id"],
        ),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_index("access_by_licence", "access", ["licence", "log_index"], unique=False)

    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )

    for table in (
        "access",
        "bid",
        "failed_transfer",
        "log_chunk",
        "log_tile",
        "request",
        "trade",
        "transfer",
    ):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
