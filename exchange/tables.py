"""The rows of the market: what each room keeps, as a fold of the log that can be made again from it.

Money is `bigint` minor units with the unit in the name, time is `bigint` microseconds since the epoch, text
is `COLLATE "C"`. No column makes a value by itself. Names and documents are here in the clear and in the log
only as salted commitments; `Opening` holds what opens them.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from ledger.tables import APPEND_ONLY, octets, whole, word


def words(**options: Any) -> Any:
    """A column of several texts."""
    return Field(sa_type=ARRAY(Text), **options)


def document(**options: Any) -> Any:
    """A JSON column; numbers in it are strings, as in a body."""
    return Field(sa_type=JSONB, **options)


class Market(SQLModel, table=True):
    """The one market of this log: its profile, and in a sandbox how far its clock was moved."""

    __tablename__ = "market"
    __table_args__ = (CheckConstraint("id = 1", name="market_is_one_row"),)

    id: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    sandbox: bool
    profile: str = word()
    offset_us: int = whole()
    keys_version: int = whole()  # grows with every key that ends, so that a cached caller is known to stand


class Request(SQLModel, table=True):
    """Which log entry answered a caller's identifier; the answer itself is made again from the entry."""

    __tablename__ = "request"
    __table_args__ = (APPEND_ONLY,)

    party: str = word(primary_key=True)
    key: str = word(primary_key=True)
    digest: bytes = octets()
    log_index: int = whole()


class Opening(SQLModel, table=True):
    """What opens a salted commitment of the entry `log_index`; NULL where it was erased: the log still verifies."""

    __tablename__ = "opening"
    __table_args__ = (Index("opening_by_entry", "log_index"),)

    commitment: str = word(primary_key=True)
    log_index: int = whole()
    salt: bytes | None = octets(nullable=True)
    value: str | None = word(nullable=True)


class EntryReader(SQLModel, table=True):
    """A party that may see the body of an entry besides the party that wrote it."""

    __tablename__ = "entry_reader"
    __table_args__ = (APPEND_ONLY,)

    party: str = word(primary_key=True, foreign_key="party.id")
    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})


class Party(SQLModel, table=True):
    """An organisation: roles are supplier, buyer, operator, regulator, administrator, bank."""

    __tablename__ = "party"
    __table_args__ = (CheckConstraint("state IN ('active', 'suspended')", name="party_state_is_known"),)

    id: str = word(primary_key=True)
    uscc: str = word(unique=True)  # unified social credit code, GB 32100
    name: str = word()
    roles: list[str] = words()
    state: str = word()
    account: str | None = word(default=None)  # its money account, where its roles need one
    stopped: bool  # by its own kill switch, or for want of a heartbeat
    sign_above_fen: int | None = whole(default=None)  # dearer bids, purchases and payouts it has to sign
    order_limit_fen: int | None = whole(default=None)  # no dearer bid, purchase or payout
    heartbeat_us: int | None = whole(default=None)  # silence after which it is stopped
    log_index: int = whole()


class Heartbeat(SQLModel, table=True):
    """When a party that asked to be watched was last heard of; not of the log: after a recall it is as of then."""

    __tablename__ = "heartbeat"

    party: str = word(primary_key=True, foreign_key="party.id")
    heard_us: int = whole()


class Person(SQLModel, table=True):
    """Somebody who acts for a party."""

    __tablename__ = "person"

    id: str = word(primary_key=True)
    party: str = word(foreign_key="party.id", index=True)
    name: str = word()
    state: str = word()
    log_index: int = whole()


class Invitation(SQLModel, table=True):
    """A one-time link by which a person brings a first key; only the token's digest is kept."""

    __tablename__ = "invitation"

    token_digest: bytes = octets(primary_key=True)
    person: str = word(foreign_key="person.id")
    expires_us: int = whole()
    used_us: int | None = whole(default=None)


class ApiKey(SQLModel, table=True):
    """A key by its digest: the secret is made on the owner's machine and never comes here."""

    __tablename__ = "api_key"

    digest: bytes = octets(primary_key=True)
    person: str = word(foreign_key="person.id", index=True)
    label: str = word()
    scopes: list[str] | None = words(default=None, nullable=True)  # NULL: whatever the person may
    created_us: int = whole()
    expires_us: int | None = whole(default=None)
    revoked_us: int | None = whole(default=None)


class KeyUse(SQLModel, table=True):
    """When a key was last used, to five minutes; not of the log."""

    __tablename__ = "key_use"

    digest: bytes = octets(primary_key=True)
    used_us: int = whole()


class SigningKey(SQLModel, table=True):
    """A public Ed25519 key whose signatures on requests stand for a person; its name is that of its digest."""

    __tablename__ = "signing_key"

    id: str = word(primary_key=True)
    party: str = word(foreign_key="party.id", index=True)
    person: str = word(foreign_key="person.id")
    public: bytes = octets()
    label: str = word()
    created_us: int = whole()
    revoked_us: int | None = whole(default=None)


class Shareholding(SQLModel, table=True):
    """One holder's part of an operator, in millionths; `holder_party` where the holder trades here."""

    __tablename__ = "shareholding"
    __table_args__ = (CheckConstraint("share_ppm > 0 AND share_ppm <= 1000000", name="share_is_a_part"),)

    operator: str = word(primary_key=True, foreign_key="party.id")
    position: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    holder: str = word()
    holder_party: str | None = word(default=None, foreign_key="party.id")
    account: str = word()
    share_ppm: int = whole()


class OperatingAgreement(SQLModel, table=True):
    """A department lets an operator run its data, for a part of each price."""

    __tablename__ = "operating_agreement"
    __table_args__ = (
        CheckConstraint("share_ppm >= 0 AND share_ppm < 1000000", name="agreement_share_is_a_part"),
    )

    supplier: str = word(primary_key=True, foreign_key="party.id")
    operator: str = word(primary_key=True, foreign_key="party.id")
    share_ppm: int = whole()
    log_index: int = whole()


class Asset(SQLModel, table=True):
    """A data asset on its way: declared, assessed, authorized, released, themed, registered."""

    __tablename__ = "asset"
    __table_args__ = (
        CheckConstraint(
            "state IN ('declared', 'assessed', 'authorized', 'released', 'themed', 'registered')",
            name="asset_state_is_known",
        ),
    )

    id: str = word(primary_key=True)
    supplier: str = word(foreign_key="party.id", index=True)
    operator: str | None = word(default=None, foreign_key="party.id")
    title: str = word()
    summary: str = word()
    kind: str = word()  # enterprise_registration, health, transport, city, education, meteorology
    theme: str | None = word(default=None)
    code: str | None = word(default=None, unique=True)  # public registration code
    grade: str | None = word(default=None)
    state: str = word()
    evidence: dict[str, Any] = document()  # log index of each step of the path that still counts
    log_index: int = whole()


class RiskAssessment(SQLModel, table=True):
    """The department's report on a raw table, by digests: nothing of the table is in it."""

    __tablename__ = "risk_assessment"

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    assessor: str = word(foreign_key="person.id")
    raw_digest: str = word()
    policy_digest: str = word()
    report_digest: str = word()
    grade: str = word()
    exempt_from_k: bool
    policy: dict[str, Any] = document()
    report: dict[str, Any] = document()
    log_index: int = whole()


class DepartmentAuthorization(SQLModel, table=True):
    """A second person's leave to release, bound to one raw table and one policy."""

    __tablename__ = "department_authorization"

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    assessment: str = word(foreign_key="risk_assessment.id")
    approver: str = word(foreign_key="person.id")
    raw_digest: str = word()
    policy_digest: str = word()
    grade: str = word()
    exempt_from_k: bool
    state: str = word()  # granted, used, withdrawn (the asset was sent back)
    log_index: int = whole()


class Release(SQLModel, table=True):
    """A desensitized file as it arrived, and what the exchange measured on it."""

    __tablename__ = "release"

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    authorization: str = word(foreign_key="department_authorization.id")
    product_digest: str = word()
    size_bytes: int = whole()
    rows: int = whole()
    state: str = word()  # accepted, refused
    certificate: dict[str, Any] = document()  # the department's desensitization certificate
    measurement: dict[str, Any] = document()
    failures: list[Any] = document()
    log_index: int = whole()


class Certificate(SQLModel, table=True):
    """The registration certificate with its four evidence hashes."""

    __tablename__ = "certificate"

    code: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", unique=True)
    evidence: dict[str, Any] = document()
    log_index: int = whole()


class Appraisal(SQLModel, table=True):
    """A reasoned value of an asset, with the report that makes it again."""

    __tablename__ = "appraisal"

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    value_fen: int = whole()
    digest: str = word()
    report: dict[str, Any] = document()
    log_index: int = whole()


class Listing(SQLModel, table=True):
    """What is offered: an exclusive use or a number of licences, at a fixed price or by auction."""

    __tablename__ = "listing"
    __table_args__ = (
        CheckConstraint("remaining >= 0 AND remaining <= licences", name="listing_never_oversells"),
        CheckConstraint("state IN ('open', 'ended')", name="listing_state_is_known"),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    seller: str = word(foreign_key="party.id")
    mode: str = word()  # fixed, auction
    grant: str = word()  # exclusive, licence
    reason: str = word()  # why exclusive, published
    term_days: int = whole()
    licences: int = whole()
    remaining: int = whole()
    price_fen: int = whole()  # fixed price, or start price
    ceiling_fen: int | None = whole(default=None)
    state: str = word()
    log_index: int = whole()


class Lot(SQLModel, table=True):
    """An ascending auction and where it stands; `standing_*` is the fold of its admitted bids."""

    __tablename__ = "lot"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'sold', 'failed')", name="lot_state_is_known"),
        Index("lot_due", "closes_us", postgresql_where="state = 'open'"),
    )

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id", unique=True)
    start_price_fen: int = whole()
    increment_fen: int = whole()
    ceiling_fen: int | None = whole(default=None)
    deposit_fen: int = whole()
    opens_us: int = whole()
    first_closes_us: int = whole()  # as announced
    closes_us: int = whole()  # as moved by bids in the last minutes
    soft_close_window_us: int = whole()
    soft_close_extension_us: int = whole()
    standing_price_fen: int | None = whole(default=None)
    standing_code: str | None = word(default=None)
    standing_sequence: int | None = whole(default=None)
    bids: int = whole()
    state: str = word()
    winner: str | None = word(default=None, foreign_key="party.id")
    price_fen: int | None = whole(default=None)
    outcome: dict[str, Any] | None = document(default=None, nullable=True)
    settled: bool
    log_index: int = whole()


class Bidder(SQLModel, table=True):
    """A buyer admitted to a lot under a random code, its deposit held."""

    __tablename__ = "bidder"
    __table_args__ = (
        Index("bidder_code", "lot", "code", unique=True),
        CheckConstraint("state IN ('admitted', 'released', 'captured')", name="bidder_state_is_known"),
    )

    lot: str = word(primary_key=True, foreign_key="lot.id")
    party: str = word(primary_key=True, foreign_key="party.id")
    code: str = word()
    hold: str = word()
    state: str = word()
    log_index: int = whole()


class Bid(SQLModel, table=True):
    """A bid as it was decided, admitted or refused; its sequence is its place in the log."""

    __tablename__ = "bid"
    __table_args__ = (Index("bid_by_lot", "lot", "log_index"), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    lot: str = word()
    code: str = word()
    key: str = word()  # the bidder's own identifier of the bid
    price_fen: int = whole()
    time_us: int = whole()
    reason: str | None = word(default=None)  # why it was refused; NULL where admitted


class Trade(SQLModel, table=True):
    """A settled sale: final once made."""

    __tablename__ = "trade"
    __table_args__ = (APPEND_ONLY,)

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id", index=True)
    lot: str | None = word(default=None)
    asset: str = word(foreign_key="asset.id")
    seller: str = word(foreign_key="party.id")
    buyer: str = word(foreign_key="party.id", index=True)
    licences: int = whole()
    price_fen: int = whole()
    voucher: dict[str, Any] = document()
    time_us: int = whole()
    log_index: int = whole()


class Drill(SQLModel, table=True):
    """A drill that was held on a scratch market, and how it ended; `report` is the SHA-256 of its report."""

    __tablename__ = "drill"

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    case: str = word()
    cause: str = word()
    kept: bool
    began_us: int = whole()
    ended_us: int = whole()
    acknowledged: int = whole()
    lost: int = whole()
    ghosts: int = whole()
    outage_ms: int = whole()
    report: bytes = octets()


class Licence(SQLModel, table=True):
    """What a buyer may do with an asset, and until when."""

    __tablename__ = "licence"
    __table_args__ = (CheckConstraint("state IN ('active', 'revoked')", name="licence_state_is_known"),)

    id: str = word(primary_key=True)
    trade: str = word(foreign_key="trade.id", unique=True)
    asset: str = word(foreign_key="asset.id")
    buyer: str = word(foreign_key="party.id", index=True)
    grant: str = word()
    licences: int = whole()
    starts_us: int = whole()
    ends_us: int = whole()
    state: str = word()
    log_index: int = whole()


class Access(SQLModel, table=True):
    """A delivery link that was made or used."""

    __tablename__ = "access"
    __table_args__ = (Index("access_by_licence", "licence", "log_index"), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    licence: str = word(foreign_key="licence.id")
    act: str = word()  # link, download
    time_us: int = whole()


class Webhook(SQLModel, table=True):
    """Where a party wants to be told what concerns it; the secret of version `version` is derived, not kept."""

    __tablename__ = "webhook"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'disabled', 'removed')", name="webhook_state_is_known"),
    )

    id: str = word(primary_key=True)
    party: str = word(foreign_key="party.id", index=True)
    url: str = word()
    kinds: list[str] = words()  # of entries; none: all
    state: str = word()
    version: int = whole()
    rotated_us: int | None = whole(default=None)
    log_index: int = whole()


class WebhookDelivery(SQLModel, table=True):
    """How far an endpoint was told; not of the log: after a recall it begins where it was added."""

    __tablename__ = "webhook_delivery"

    webhook: str = word(primary_key=True, foreign_key="webhook.id")
    next_sequence: int = whole()
    attempts: int = whole()  # failures since the last success
    next_try_us: int = whole()
    failing_since_us: int | None = whole(default=None)
    last_success_us: int | None = whole(default=None)
    last_answer: str | None = word(default=None)
    delivered: int = whole()
