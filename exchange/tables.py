"""The rows of the market: what each room keeps, as a fold of the log that can be made again from it.

Money is `bigint` minor units with the unit in the name, time is `bigint` microseconds since the epoch, text
is `COLLATE "C"`. No column makes a value by itself. Names and documents are here in the clear and in the log
only as salted commitments; `Opening` holds what opens them.
"""

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Connection, Index, SmallInteger, Text, event, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapper
from sqlmodel import Field, SQLModel

from exchange.segmentation import characters, lexemes
from exchange.taxonomy import names_of
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


class RulebookVersion(SQLModel, table=True):
    """The rules from a moment on, whole, as the entry `log_index` states them."""

    __tablename__ = "rulebook_version"
    __table_args__ = (APPEND_ONLY,)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    digest: str = word(index=True)
    version: str = word()
    document: dict[str, Any] = document()
    effective_us: int = whole()


class RulebookProposal(SQLModel, table=True):
    """A change of the rules that waits for a second person's signature, or had its answer."""

    __tablename__ = "rulebook_proposal"
    __table_args__ = (
        CheckConstraint("state IN ('proposed', 'signed', 'rejected')", name="proposal_state_is_known"),
    )

    id: str = word(primary_key=True)
    proposer: str = word(foreign_key="person.id")
    base: str = word()  # digest of the version that it changes
    digest: str = word()  # of the version that it makes
    version: str = word()
    rules: dict[str, Any] = document()
    calendar: dict[str, Any] | None = document(default=None, nullable=True)
    effective_us: int = whole()
    reason: str = word()
    state: str = word()
    log_index: int = whole()


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
    __table_args__ = (
        CheckConstraint("state IN ('applicant', 'active', 'suspended')", name="party_state_is_known"),
        Index("party_venue", "id", postgresql_where="roles @> '{administrator}'"),
    )

    id: str = word(primary_key=True)
    uscc: str = word(unique=True)  # unified social credit code (GB 32100), or LEI (ISO 17442)
    name: str = word()
    looks: str = word(index=True)  # the same for names that look alike
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
    __table_args__ = (
        CheckConstraint("duty IN ('system', 'security', 'audit', 'business')", name="person_duty_is_known"),
    )

    id: str = word(primary_key=True)
    party: str = word(foreign_key="party.id", index=True)
    name: str = word()
    state: str = word()
    deputy_of: str | None = word(default=None, foreign_key="person.id", index=True)
    until_us: int | None = whole(default=None)  # of a deputy: when the term is over
    invited_by: str | None = word(default=None)  # a person; NULL where nobody's name was kept
    duty: str | None = word(default=None)  # of the venue's people: NULL while its duties are not divided
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


class PersonAccount(SQLModel, table=True):
    """What a person signs in with; not of the log: after a recall everybody opens an account anew.

    `password` is an Argon2id hash, empty where it was reset; `factor`, the authenticator's secret, is sealed under a key that
    the database does not hold, and empty for whoever has passkeys alone; `recovery` are digests of codes that were not used yet.
    """

    __tablename__ = "person_account"

    person: str = word(primary_key=True, foreign_key="person.id")
    login: str = word(unique=True)
    password: str = word()
    factor: bytes = octets()
    factor_step: int = whole()  # of the last code that was taken: none is taken twice
    challenge_us: int = (
        whole()
    )  # when the challenge was made that a passkey answered last: none is taken twice
    recovery: list[str] = words()


class Passkey(SQLModel, table=True):
    """A passkey of a person (WebAuthn), under the identifier of its credential; not of the log, as accounts are.

    Good while it was neither removed nor found to be copied, which a count that goes back shows.
    """

    __tablename__ = "passkey"

    id: bytes = octets(primary_key=True)
    person: str = word(foreign_key="person.id", index=True)
    label: str = word()
    public: bytes = octets()  # COSE key
    counter: int = whole()  # as the authenticator stated it last; 0 for one that does not count
    created_us: int = whole()
    used_us: int | None = whole(default=None)
    copied_us: int | None = whole(default=None)
    removed_us: int | None = whole(default=None)


class AccountReset(SQLModel, table=True):
    """A fresh link for somebody who has an account, or has lost what belongs to it: asked by one, granted by another."""

    __tablename__ = "account_reset"
    __table_args__ = (
        CheckConstraint("state IN ('asked', 'granted', 'declined')", name="account_reset_state_is_known"),
    )

    id: str = word(primary_key=True)
    person: str = word(foreign_key="person.id", index=True)
    token_digest: bytes = octets()
    asker: str = word(foreign_key="person.id")
    decider: str | None = word(default=None, foreign_key="person.id")
    state: str = word()
    log_index: int = whole()


class WebSession(SQLModel, table=True):
    """A sitting of a person at the console; its token is the browser's alone. Not of the log, on the process's clock."""

    __tablename__ = "web_session"

    digest: bytes = octets(primary_key=True)
    person: str = word(foreign_key="person.id", index=True)
    hall: str = word()  # exchange, regulator: a session of one is none in the other
    address: str = word()
    agent: str = word()
    began_us: int = whole()
    seen_us: int = whole()
    confirmed_us: int = whole()  # when the second factor was last shown
    ends_us: int = whole()
    ended_us: int | None = whole(default=None)


class SignInFailure(SQLModel, table=True):
    """Mistakes in a row at signing in, of a name or from an address, by a bucket of their keyed digest: as many rows as
    there are buckets at most, whatever is tried. Not of the log."""

    __tablename__ = "sign_in_failure"

    bucket: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    failures: int = whole()
    last_us: int = whole()
    until_us: int = whole()


class AccessRecord(SQLModel, table=True):
    """The register of accesses: who came in, who was turned away, what a regulator looked at. Not of the log."""

    __tablename__ = "access_record"
    __table_args__ = (APPEND_ONLY,)

    id: str = word(primary_key=True)
    time_us: int = whole(index=True)
    person: str | None = word(default=None, index=True)
    hall: str = word()
    address: str = word()
    what: str = word()  # signed_in, refused, locked, confirmed, recovered, copied, ended, read
    said: str = word()  # what was looked at, or which passkey


class Shareholding(SQLModel, table=True):
    """One holder's part of a party, in millionths, as the entry `declared` has it; `holder_party` where it is known here.

    In force at a moment are the rows of the declaration with the latest `since_us` that has come.
    """

    __tablename__ = "shareholding"
    __table_args__ = (CheckConstraint("share_ppm > 0 AND share_ppm <= 1000000", name="share_is_a_part"),)

    party: str = word(primary_key=True, foreign_key="party.id")
    declared: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    position: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    since_us: int = whole()
    holder: str = word()
    holder_party: str | None = word(default=None, foreign_key="party.id", index=True)
    state_owned: bool
    account: str = word()
    share_ppm: int = whole()


class PartyDocument(SQLModel, table=True):
    """A document that a party showed, by its SHA-256, and what another person found of it."""

    __tablename__ = "party_document"
    __table_args__ = (
        CheckConstraint("state IN ('filed', 'accepted', 'rejected')", name="party_document_state_is_known"),
    )

    party: str = word(primary_key=True, foreign_key="party.id")
    digest: str = word(primary_key=True)
    kind: str = word()
    expires_us: int | None = whole(default=None)
    filer: str = word()  # a person
    state: str = word()
    reviewer: str | None = word(default=None)  # another person
    reason: str | None = word(default=None)
    log_index: int = whole()


class Relation(SQLModel, table=True):
    """What was declared of two parties or persons beside shares; `evidence` is the SHA-256 of the document that shows it."""

    __tablename__ = "relation"
    __table_args__ = (
        CheckConstraint("relation IN ('controls', 'runs', 'same', 'kin')", name="relation_is_known"),
    )

    subject: str = word(primary_key=True)
    object: str = word(primary_key=True, index=True)
    relation: str = word(primary_key=True)
    stands: bool
    evidence: str | None = word(default=None)
    log_index: int = whole()


class OperatingAgreement(SQLModel, table=True):
    """A department lets an operator run its data, for a part of each price, from one moment until another."""

    __tablename__ = "operating_agreement"
    __table_args__ = (
        CheckConstraint("share_ppm >= 0 AND share_ppm < 1000000", name="agreement_share_is_a_part"),
    )

    supplier: str = word(primary_key=True, foreign_key="party.id")
    operator: str = word(primary_key=True, foreign_key="party.id")
    share_ppm: int = whole()
    starts_us: int = whole()
    ends_us: int = whole()
    parts: dict[str, Any] = document()  # scope, products, duties, security, evaluation, exit, in the clear
    log_index: int = whole()


class Asset(SQLModel, table=True):
    """A data asset on its way: declared, assessed, authorized, released, themed, applied for, registered, and its end."""

    __tablename__ = "asset"
    __table_args__ = (
        CheckConstraint(
            "state IN ('declared', 'assessed', 'authorized', 'released', 'themed', 'applied', 'registered',"
            " 'expired', 'cancelled', 'revoked')",
            name="asset_state_is_known",
        ),
        CheckConstraint(
            "opening_declared IN ('open', 'conditional', 'closed') AND opening IN ('open', 'conditional', 'closed')",
            name="asset_opening_is_known",
        ),
        Index(
            "asset_update_due",
            text("(updated_us + update_days * 86400000000)"),
            postgresql_where="update_days IS NOT NULL AND NOT stale AND state = 'registered'",
        ),
        Index("asset_stale", "id", postgresql_where="stale"),
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
    opening_declared: str = word()
    opening: str = (
        word()
    )  # closed until it is assessed, then the narrower one of what is declared and what is allowed
    opening_reason: str = word()  # why it is to be opened wider than the market's model has it
    purposes: list[str] = words()  # for which it is opened; none: for any
    qualified: bool  # only for buyers whose qualification was reviewed
    state: str = word()
    evidence: dict[str, Any] = document()  # log index of each step of the path that still counts
    update_days: int | None = whole(default=None)  # how often the department promises new data
    updated_us: int | None = whole(default=None)  # when the product that it stands on was released
    stale: bool = False  # flagged: the promised update did not come
    words: str = word(default="")  # what it is found by, cut from the rest: the title's, and below them all
    log_index: int = whole()

    def found_by(self) -> str:
        """`words`, anew."""
        return found_by(self.id, self.title, self.summary, self.code, self.kind, self.theme)


def found_by(asset: str, title: str, summary: str, code: str | None, kind: str, theme: str | None) -> str:
    """What an asset is found by: title, summary, code, identifier, and what kind and theme are called."""
    titled = sorted({*lexemes(title), *characters(title)})
    others = lexemes(summary, code or "", asset, *names_of(kind, theme))
    return f"{' '.join(titled)}\n{' '.join(sorted({*titled, *others}))}"


@event.listens_for(Asset, "before_insert")
@event.listens_for(Asset, "before_update")
def _cut(_: Mapper[Asset], __: Connection, asset: Asset) -> None:
    """However a text of an asset changed, also where it was erased, it is found by what it says now."""
    asset.words = asset.found_by()


class CatalogueEntry(SQLModel, table=True):
    """What the catalogue searches of an asset. The server itself makes it from the asset and its listings, whoever
    writes these.

    `shelf` is state, kind, theme, grade, opening attribute, price mode, freshness and transparency, parted by bars;
    `transparency` is four bits: price, source, update and limits are stated.
    """

    __tablename__ = "catalogue_entry"
    __table_args__ = (
        Index("catalogue_words", "words", postgresql_using="gin"),
        Index("catalogue_by_shelf", "shelf", "place", "asset"),
        Index("catalogue_by_supplier", "supplier", "shelf", "place", "asset"),
        Index("catalogue_by_operator", "operator", postgresql_where="operator IS NOT NULL AND NOT public"),
    )

    asset: str = word(primary_key=True, foreign_key="asset.id")
    supplier: str = word()
    operator: str | None = word(default=None)
    public: bool
    shelf: str = word()
    transparency: int = Field(sa_type=SmallInteger)
    place: int = whole()  # log index of its newest change
    title_words: str = Field(sa_type=TSVECTOR)
    words: str = Field(sa_type=TSVECTOR)


class CatalogueShelf(SQLModel, table=True):
    """How many assets of a supplier stand on a shelf: what facets are counted from where no words narrow."""

    __tablename__ = "catalogue_shelf"

    supplier: str = word(primary_key=True)
    public: bool = Field(primary_key=True)
    shelf: str = word(primary_key=True)
    assets: int = whole()


class AssetParent(SQLModel, table=True):
    """What an asset was derived from, or carries on as its next edition."""

    __tablename__ = "asset_parent"
    __table_args__ = (CheckConstraint("relation IN ('edition', 'derived')", name="asset_relation_is_known"),)

    child: str = word(primary_key=True, foreign_key="asset.id")
    parent: str = word(primary_key=True, foreign_key="asset.id", index=True)
    relation: str = word()
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
    opening: str = word()
    exempt_from_k: bool
    policy: dict[str, Any] = document()
    report: dict[str, Any] = document()
    log_index: int = whole()


class Approval(SQLModel, table=True):
    """What one person said to an assessment at one level, bound to its raw table and policy."""

    __tablename__ = "approval"
    __table_args__ = (
        CheckConstraint("state IN ('given', 'returned', 'void')", name="approval_state_is_known"),
        CheckConstraint("level >= 1 AND level <= levels", name="approval_level_is_one_of_its_levels"),
        Index("approval_by_assessment", "assessment", "level"),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    assessment: str = word(foreign_key="risk_assessment.id")
    level: int = whole()
    levels: int = whole()  # that the rules asked for
    approver: str = word(foreign_key="person.id")
    raw_digest: str = word()
    policy_digest: str = word()
    state: str = word()  # void: the file changed or went back since, by the entry `ended_index`
    reason: str = word()  # why the file was returned
    ended_index: int | None = whole(default=None)
    log_index: int = whole()


class DepartmentAuthorization(SQLModel, table=True):
    """The leave to release that the last level's approval gave, bound to one raw table and one policy."""

    __tablename__ = "department_authorization"

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    assessment: str = word(foreign_key="risk_assessment.id")
    approver: str = word(foreign_key="person.id")
    raw_digest: str = word()
    policy_digest: str = word()
    grade: str = word()
    exempt_from_k: bool
    state: str = word()  # granted, used, withdrawn (the asset was sent back), void (it was assessed anew)
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


class RegistrationApplication(SQLModel, table=True):
    """An act of registration on its way: applied, accepted, noticed, concluded; or returned, rejected, withdrawn.

    `asked` is what the act wants beside texts; `steps` the log index of each step; `due_us` until when the registrar has to
    take the next one.
    """

    __tablename__ = "registration_application"
    __table_args__ = (
        CheckConstraint(
            "act IN ('initial', 'permit', 'transfer', 'change', 'correct', 'renew', 'cancel')",
            name="application_act_is_known",
        ),
        CheckConstraint(
            "state IN ('applied', 'accepted', 'noticed', 'concluded', 'returned', 'rejected', 'withdrawn')",
            name="application_state_is_known",
        ),
        Index("application_due", "ends_us", postgresql_where="state = 'noticed'"),
        Index("application_by_state", "state", "log_index"),
    )

    id: str = word(primary_key=True)
    act: str = word()
    asset: str = word(foreign_key="asset.id", index=True)
    party: str = word(foreign_key="party.id", index=True)
    applicant: str = word(foreign_key="person.id")
    clerk: str | None = word(
        default=None, foreign_key="person.id"
    )  # who entered the paper form at the counter
    scan: str | None = word(default=None)  # SHA-256 of the form as scanned
    title: str | None = word(default=None)
    summary: str | None = word(default=None)
    reason: str | None = word(default=None)  # the applicant's
    asked: dict[str, Any] = document()
    state: str = word()
    registrar: str | None = word(default=None, foreign_key="party.id")
    acceptor: str | None = word(default=None, foreign_key="person.id")
    reviewer: str | None = word(default=None, foreign_key="person.id")
    said: str | None = word(default=None)  # why it was returned, rejected or withdrawn
    applied_us: int = whole()
    due_us: int | None = whole(default=None)
    ends_us: int | None = whole(default=None)  # of the public notice
    steps: dict[str, Any] = document()
    log_index: int = whole()


class NoticeComment(SQLModel, table=True):
    """What somebody said to a public notice; `party` and `person` NULL for a visitor."""

    __tablename__ = "notice_comment"

    id: str = word(primary_key=True)
    application: str = word(foreign_key="registration_application.id", index=True)
    party: str | None = word(default=None, foreign_key="party.id")
    person: str | None = word(default=None, foreign_key="person.id")
    text: str = word()
    time_us: int = whole()
    log_index: int = whole()


class RegistrationObjection(SQLModel, table=True):
    """A party's objection to what a public notice announces; it holds the act until it is decided."""

    __tablename__ = "registration_objection"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'dismissed', 'upheld')", name="objection_state_is_known"),
    )

    id: str = word(primary_key=True)
    application: str = word(foreign_key="registration_application.id", index=True)
    party: str = word(foreign_key="party.id")
    person: str = word(foreign_key="person.id")
    reason: str = word()
    state: str = word()
    due_us: int = whole()
    decider: str | None = word(default=None, foreign_key="person.id")
    answer: str | None = word(default=None)
    time_us: int = whole()
    log_index: int = whole()


class Certificate(SQLModel, table=True):
    """The registration certificate with its four evidence hashes; `version` grows with each act that changes it.

    `ends_us` NULL is one from before certificates ended; `steps` are the log entries of its procedure.
    """

    __tablename__ = "certificate"
    __table_args__ = (
        CheckConstraint(
            "state IN ('valid', 'expired', 'cancelled', 'revoked')", name="certificate_state_is_known"
        ),
        Index("certificate_ends", "ends_us", postgresql_where="state = 'valid'"),
    )

    code: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", unique=True)
    evidence: dict[str, Any] = document()
    application: str | None = word(default=None, foreign_key="registration_application.id")
    registrar: str | None = word(default=None, foreign_key="party.id")
    steps: dict[str, Any] = document()
    version: int = whole()
    state: str = word()
    starts_us: int | None = whole(default=None)
    ends_us: int | None = whole(default=None)
    reminded_us: int | None = whole(default=None)  # of which end its holder was last reminded
    registered_index: int = whole()  # the entry that gave the code
    log_index: int = whole()


class ComplianceAssessment(SQLModel, table=True):
    """An independent provider that was engaged to assess an asset, and from `filed` on what it found."""

    __tablename__ = "compliance_assessment"
    __table_args__ = (
        CheckConstraint("state IN ('engaged', 'filed')", name="compliance_state_is_known"),
        CheckConstraint(
            "conclusion IN ('compliant', 'conditional', 'not_compliant')",
            name="compliance_conclusion_is_known",
        ),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    provider: str = word(foreign_key="party.id", index=True)
    assessor: str | None = word(default=None, foreign_key="person.id")
    conclusion: str | None = word(default=None)
    report_digest: str | None = word(default=None)
    summary: str | None = word(default=None)
    ends_us: int | None = whole(default=None)
    state: str = word()
    log_index: int = whole()


class RightGrant(SQLModel, table=True):
    """One of the three rights in an asset, in one party's hands; `parent` is the grant that it was permitted out of."""

    __tablename__ = "right_grant"
    __table_args__ = (
        CheckConstraint("\"right\" IN ('right_hold', 'right_use', 'right_operate')", name="right_is_known"),
        CheckConstraint("state IN ('active', 'ended')", name="right_grant_state_is_known"),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    right: str = word()
    holder: str = word(foreign_key="party.id", index=True)
    parent: str | None = word(default=None, foreign_key="right_grant.id")
    exclusive: bool
    starts_us: int = whole()
    ends_us: int = whole()
    state: str = word()
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
    """What is offered: an exclusive use or a number of licences, at a fixed price, by negotiation, use, auction or tender."""

    __tablename__ = "listing"
    __table_args__ = (
        CheckConstraint("remaining >= 0 AND remaining <= licences", name="listing_never_oversells"),
        CheckConstraint("state IN ('open', 'ended', 'withdrawn')", name="listing_state_is_known"),
        Index("listing_by_age", "log_index"),
        Index("listing_by_mode", "mode", "log_index"),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    seller: str = word(foreign_key="party.id")
    mode: str = word()  # fixed, negotiated, metered, auction, tender
    grant: str = word()  # exclusive, licence
    reason: str = word()  # why exclusive, published
    term_days: int = whole()
    licences: int = whole()
    remaining: int = whole()
    price_fen: int | None = whole(
        default=None
    )  # fixed, start or reference price, estimate; NULL where none is stated
    ceiling_fen: int | None = whole(default=None)
    unit: str | None = word(default=None)  # that is charged where it is metered: call, day, row, megabyte
    unit_price_micro: int | None = whole(default=None)
    ceiling_micro: int | None = whole(default=None)
    contract: str = word()  # one of the four forms
    terms: dict[str, Any] = document()  # the seller's blanks of it, complete
    terms_digest: str = word()  # of the standing terms
    terms_key: str | None = word(
        default=None, foreign_key="signing_key.id"
    )  # that the seller signed them with
    terms_index: int | None = whole(default=None)  # the entry that has the signature
    state: str = word()
    log_index: int = whole()


class Negotiation(SQLModel, table=True):
    """What a buyer and the seller of a listing offer each other; the columns from `side` on are the offer on the table."""

    __tablename__ = "negotiation"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open', 'accepted', 'rejected', 'withdrawn', 'expired', 'lapsed')",
            name="negotiation_state_is_known",
        ),
        CheckConstraint("side IN ('buyer', 'seller')", name="negotiation_side_is_known"),
        Index("negotiation_open", "expires_us", postgresql_where="state = 'open'"),
        Index("negotiation_untold", "id", postgresql_where="state = 'lapsed' AND NOT told"),
    )

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id", index=True)
    seller: str = word(foreign_key="party.id", index=True)
    buyer: str = word(foreign_key="party.id", index=True)
    person: str = word()  # who made the buyer's first offer
    purpose: str = word()
    state: str = word()
    why: str | None = word(default=None)  # it lapsed: withdrawn, ended (the listing), stopped (a party)
    told: bool = True  # False while the two have yet to be told that it lapsed
    side: str = word()
    price_fen: int = whole()  # of one licence
    licences: int = whole()
    expires_us: int = whole()
    signed: bool  # by its buyer
    round: int = whole()
    offer_index: int = whole()
    trade: str | None = word(default=None, foreign_key="trade.id")
    log_index: int = whole()


class NegotiationOffer(SQLModel, table=True):
    """Each offer of a negotiation, by its entry."""

    __tablename__ = "negotiation_offer"
    __table_args__ = (Index("offer_by_negotiation", "negotiation", "log_index"), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    negotiation: str = word(foreign_key="negotiation.id")
    side: str = word()
    price_fen: int = whole()
    licences: int = whole()
    expires_us: int = whole()
    time_us: int = whole()


class Lot(SQLModel, table=True):
    """An ascending auction and where it stands; `standing_*` is the fold of its admitted bids."""

    __tablename__ = "lot"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open', 'halted', 'drawing', 'sold', 'failed', 'cancelled', 'defaulted', 'annulled')",
            name="lot_state_is_known",
        ),
        Index("lot_due", "closes_us", postgresql_where="state = 'open'"),
        Index(
            "lot_unfinished", "state", postgresql_where="state <> 'open' AND (NOT settled OR forfeit_fen > 0)"
        ),
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
    settled: bool  # nothing more is to come of it
    again_of: str | None = word(default=None, foreign_key="lot.id", unique=True)  # its earlier round
    qualification: list[str] = words(default_factory=list)  # kinds of documents that a bidder has shown
    priority_parties: list[str] = words(default_factory=list)
    priority: list[str] = words(default_factory=list)  # the codes under which these have joined
    draw: str | None = word(default=None, foreign_key="draw.name", unique=True)  # who wins at the ceiling
    at_ceiling: list[str] = words(default_factory=list)  # codes, in log order, where the winner is drawn
    halted_us: int | None = whole(default=None)
    resume_by_us: int | None = whole(default=None)
    ended_us: int | None = whole(default=None)
    refund_by_us: int | None = whole(default=None)  # until when the losers have their deposits back
    pay_by_us: int | None = whole(default=None)
    defaulted_us: int | None = whole(default=None)
    forfeit_fen: int | None = whole(
        default=None
    )  # of a forfeited deposit, what still waits for the next round
    gap_fen: int | None = whole(default=None)  # and what of it made up for a lower price
    log_index: int = whole()


class Draw(SQLModel, table=True):
    """The regulator's commitment to a nonce, and the nonce once it is revealed; a lot with a ceiling takes the oldest."""

    __tablename__ = "draw"

    name: str = word(primary_key=True)
    commitment: str = word()
    nonce: str | None = word(default=None)
    log_index: int = whole()


class Annulment(SQLModel, table=True):
    """A lot or a settled trade undone under an order, on one of the five grounds."""

    __tablename__ = "annulment"
    __table_args__ = (APPEND_ONLY,)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    lot: str | None = word(default=None, foreign_key="lot.id")
    trade: str | None = word(default=None, foreign_key="trade.id", unique=True)
    ground: str = word()
    order_reference: str = word()
    time_us: int = whole()


class LotWatch(SQLModel, table=True):
    """A lot that a party wants to hear of, or did."""

    __tablename__ = "lot_watch"

    party: str = word(primary_key=True, foreign_key="party.id")
    lot: str = word(primary_key=True, foreign_key="lot.id", index=True)
    stands: bool
    log_index: int = whole()


class Bidder(SQLModel, table=True):
    """A buyer admitted to a lot under a random code, its deposit held."""

    __tablename__ = "bidder"
    __table_args__ = (
        Index("bidder_code", "lot", "code", unique=True),
        Index("bidder_deposit_held", "lot", "code", postgresql_where="state = 'admitted'"),
        CheckConstraint(
            "state IN ('admitted', 'released', 'captured', 'forfeited')", name="bidder_state_is_known"
        ),
    )

    lot: str = word(primary_key=True, foreign_key="lot.id")
    party: str = word(primary_key=True, foreign_key="party.id")
    code: str = word()
    hold: str = word()
    state: str = word()
    nonce: str | None = word(default=None)  # the bidder's own part of the draw
    purpose: str = word()  # that was stated; empty for none
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


class HolderKey(SQLModel, table=True):
    """The public key under which bidders seal shares to a party that opens tenders; its private half is nowhere here."""

    __tablename__ = "holder_key"

    party: str = word(primary_key=True, foreign_key="party.id")
    public: str = word()
    log_index: int = whole()


class Tender(SQLModel, table=True):
    """A sealed tender and where it stands; what its terms say stays as published."""

    __tablename__ = "tender"
    __table_args__ = (
        CheckConstraint(
            "state IN ('published', 'halted', 'opening', 'opened', 'awarded', 'settled', 'failed', 'cancelled', 'annulled',"
            " 'defaulted')",
            name="tender_state_is_known",
        ),
        Index(
            "tender_unfinished",
            "state",
            postgresql_where="state IN ('published', 'halted', 'opening', 'opened', 'awarded')",
        ),
        Index("tender_unscreened", "id", postgresql_where="NOT screened"),
    )

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id", unique=True)
    estimate_fen: int = whole()
    deposit_fen: int = whole()
    rules: dict[str, Any] = document()  # the scoring rule, before its assessors are named
    committee: dict[str, Any] = document()  # holders by party and public key, and how many of them open
    qualification: list[str] = words(default_factory=list)  # kinds of documents that a bidder has shown
    terms: str = word()  # commitment of what the supplier says of it
    again_of: str | None = word(default=None, foreign_key="tender.id", unique=True)
    deadline_us: int = whole()
    opens_us: int = whole()
    ends_us: int = whole()  # of the opening
    state: str = word()
    failure: str | None = word(default=None)  # why it failed
    opened: list[dict[str, Any]] | None = document(default=None, nullable=True)  # envelope by envelope
    screened: bool  # nothing is left to screen
    signs: list[dict[str, Any]] | None = document(
        default=None, nullable=True
    )  # of rigging, for the regulator
    round: int = whole()  # of the scoring; an upheld protest begins another
    assessors: list[str] = words(default_factory=list)  # persons
    outcome: dict[str, Any] | None = document(default=None, nullable=True)
    scores: list[dict[str, Any]] | None = document(default=None, nullable=True)
    winner: str | None = word(default=None, foreign_key="party.id")
    price_fen: int | None = whole(default=None)
    protest_until_us: int | None = whole(default=None)
    pay_by_us: int | None = whole(default=None)
    halted_us: int | None = whole(default=None)
    resume_by_us: int | None = whole(default=None)
    log_index: int = whole()


class TenderQuestion(SQLModel, table=True):
    """A question about a tender and its answer, both as commitments; what they hide everybody reads."""

    __tablename__ = "tender_question"

    id: str = word(primary_key=True)
    tender: str = word(foreign_key="tender.id", index=True)
    question: str = word()
    answer: str | None = word(default=None)
    due_us: int = whole()
    late: bool
    time_us: int = whole()
    log_index: int = whole()


class Tenderer(SQLModel, table=True):
    """A buyer admitted to a tender under a random code, its deposit held; `facts` are commitments of who prepared its bid."""

    __tablename__ = "tenderer"
    __table_args__ = (
        Index("tenderer_code", "tender", "code", unique=True),
        Index("tenderer_held", "tender", postgresql_where="state = 'admitted'"),
        CheckConstraint(
            "state IN ('admitted', 'released', 'captured', 'forfeited')", name="tenderer_state_is_known"
        ),
    )

    tender: str = word(primary_key=True, foreign_key="tender.id")
    party: str = word(primary_key=True, foreign_key="party.id")
    code: str = word()
    hold: str = word()
    state: str = word()
    purpose: str = word()  # that was stated; empty for none
    facts: dict[str, Any] = document()
    mixed: list[str] = words(default_factory=list)  # codes whose envelopes it handed in
    log_index: int = whole()


class Envelope(SQLModel, table=True):
    """A sealed bid; nothing in it tells its price before so many holders of its tender open it."""

    __tablename__ = "envelope"
    __table_args__ = (
        CheckConstraint(
            "state IN ('standing', 'replaced', 'withdrawn', 'cancelled')", name="envelope_state_is_known"
        ),
        Index("envelope_by_tender", "tender", "log_index"),
        Index("envelope_bid", "tender", "code", "bid_id", unique=True),
    )

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    tender: str = word(foreign_key="tender.id")
    party: str = word(foreign_key="party.id", index=True)
    code: str = word()
    bid_id: str = word()
    digest: str = word()
    sealed: dict[str, Any] = document()
    proposal: str | None = word(default=None)  # SHA-256 of the document that the assessors mark
    filed_index: int | None = whole(default=None)  # entry with which that document came, after the opening
    state: str = word()
    time_us: int = whole()


class OpeningShare(SQLModel, table=True):
    """What a holder handed in at an opening, good or refused."""

    __tablename__ = "opening_share"
    __table_args__ = (Index("opening_share_by_tender", "tender", "log_index"), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    tender: str = word(foreign_key="tender.id")
    holder: str = word(foreign_key="party.id")
    submissions: dict[str, Any] = document()
    faults: list[dict[str, Any]] = document()  # none where it counts
    time_us: int = whole()


class TenderMark(SQLModel, table=True):
    """An assessor's marks of every bid in one round of the scoring."""

    __tablename__ = "tender_mark"
    __table_args__ = (APPEND_ONLY,)

    tender: str = word(primary_key=True, foreign_key="tender.id")
    round: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    assessor: str = word(primary_key=True, foreign_key="person.id")
    marks: dict[str, Any] = document()
    time_us: int = whole()
    log_index: int = whole()


class Protest(SQLModel, table=True):
    """A bidder's protest against an award; it holds the settlement until it is decided."""

    __tablename__ = "protest"
    __table_args__ = (
        CheckConstraint("state IN ('filed', 'upheld', 'dismissed', 'moot')", name="protest_state_is_known"),
    )

    id: str = word(primary_key=True)
    tender: str = word(foreign_key="tender.id", index=True)
    code: str = word()
    round: int = whole()
    reason: str = word()  # commitment
    state: str = word()
    remedy: str | None = word(default=None)
    answer: str | None = word(default=None)  # commitment
    due_us: int = whole()
    late: bool
    time_us: int = whole()
    log_index: int = whole()


class Demand(SQLModel, table=True):
    """What a buyer wants, on the board for everybody until its time is over; the text as a commitment."""

    __tablename__ = "demand"
    __table_args__ = (Index("demand_open", "log_index", postgresql_where="NOT withdrawn"),)

    id: str = word(primary_key=True)
    buyer: str = word(foreign_key="party.id")
    subject: str = word()
    purpose: str = word()
    low_fen: int = whole()
    high_fen: int = whole()
    term_days: int = whole()
    until_us: int = whole()
    withdrawn: bool
    time_us: int = whole()
    log_index: int = whole()


class DemandAnswer(SQLModel, table=True):
    """What a department has of what is wanted; the words as a commitment."""

    __tablename__ = "demand_answer"
    __table_args__ = (Index("demand_answer_once", "demand", "asset", unique=True), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    demand: str = word(foreign_key="demand.id")
    supplier: str = word(foreign_key="party.id")
    asset: str = word(foreign_key="asset.id")
    listing: str | None = word(default=None, foreign_key="listing.id")
    words: str = word()
    time_us: int = whole()


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


class Contribution(SQLModel, table=True):
    """What was measured that each department's data adds to an asset made of several, and who has accepted it."""

    __tablename__ = "contribution"
    __table_args__ = (
        CheckConstraint(
            "state IN ('proposed', 'agreed', 'rejected', 'replaced')", name="contribution_state_is_known"
        ),
        Index("contribution_agreed_once", "asset", unique=True, postgresql_where="state = 'agreed'"),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    departments: list[str] = words()
    worths: list[int] = Field(sa_type=ARRAY(BigInteger))  # of each coalition, by its mask
    measure: str = word()
    evidence: str = word()
    accepted: list[str] = words()
    state: str = word()
    time_us: int = whole()
    log_index: int = whole()


class Licence(SQLModel, table=True):
    """What a buyer may do with an asset, and until when."""

    __tablename__ = "licence"
    __table_args__ = (
        CheckConstraint(
            "state IN ('active', 'suspended', 'revoked', 'annulled')", name="licence_state_is_known"
        ),
    )

    id: str = word(primary_key=True)
    trade: str = word(foreign_key="trade.id", unique=True)
    asset: str = word(foreign_key="asset.id")
    buyer: str = word(foreign_key="party.id", index=True)
    grant: str = word()
    licences: int = whole()
    starts_us: int = whole()
    ends_us: int = whole()
    calls_used: int = whole()
    bytes_used: int = whole()
    links_ended: int = whole()  # how often all links that stood were ended
    state: str = word()
    log_index: int = whole()


class Contract(SQLModel, table=True):
    """What both sides of a trade sign; `values` fill the blanks of the form, and clauses and policy follow from them.

    `seller_index` and `buyer_index` are the entries that have the signatures; it is signed, at `signed_us`, once both are
    there, and ends when the trade is undone.
    """

    __tablename__ = "contract"
    __table_args__ = (
        CheckConstraint("state IN ('drawn', 'signed', 'ended')", name="contract_state_is_known"),
    )

    trade: str = word(primary_key=True, foreign_key="trade.id")
    licence: str = word(foreign_key="licence.id", unique=True)
    seller: str = word(foreign_key="party.id", index=True)
    buyer: str = word(foreign_key="party.id", index=True)
    template: str = word()
    values: dict[str, Any] = document()
    digest: str = word()
    seller_index: int | None = whole(default=None)
    buyer_index: int | None = whole(default=None)
    signed_us: int | None = whole(default=None)
    state: str = word()
    log_index: int = whole()


class Acceptance(SQLModel, table=True):
    """Where a delivery stands between its sale and its acceptance, and what an award gave back of its price.

    `due_us` is until when a mediator is to be named, then until when it decides; `owed` are the transfers of a refund that
    those who were paid cannot cover yet.
    """

    __tablename__ = "acceptance"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open', 'accepted', 'objected', 'mediation', 'reduced', 'refunded', 'void')",
            name="acceptance_state_is_known",
        ),
        CheckConstraint("refund_state IN ('paid', 'owed')", name="acceptance_refund_is_known"),
        Index("acceptance_lapsing", "ends_us", "licence", postgresql_where=text("state = 'open'")),
        Index("acceptance_owed", "log_index", postgresql_where=text("refund_state = 'owed'")),
    )

    licence: str = word(primary_key=True, foreign_key="licence.id")
    trade: str = word(foreign_key="trade.id", unique=True)
    asset: str = word(foreign_key="asset.id")
    buyer: str = word(foreign_key="party.id", index=True)
    seller: str = word(foreign_key="party.id", index=True)
    state: str = word()
    settled_us: int = whole()
    accessed_us: int | None = whole(default=None)  # the first time within the window
    ends_us: int = whole()
    silent: bool | None = None
    ground: str | None = word(default=None)
    text: str | None = word(default=None)
    evidence: str | None = word(default=None)
    objected_us: int | None = whole(default=None)
    due_us: int | None = whole(default=None)
    mediator: str | None = word(default=None, foreign_key="person.id")
    mediator_party: str | None = word(default=None, foreign_key="party.id", index=True)
    order_reference: str | None = word(default=None)
    reason: str | None = word(default=None)
    refund_fen: int | None = whole(default=None)
    refund_state: str | None = word(default=None)
    refund_index: int | None = whole(default=None)  # the entry whose transfers paid it
    owed: list[dict[str, Any]] | None = document(default=None, nullable=True)
    decided_us: int | None = whole(default=None)
    log_index: int = whole()


class Deletion(SQLModel, table=True):
    """A buyer's duty to delete what it licensed when the term is over, and its certificate."""

    __tablename__ = "deletion"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'due', 'declared')", name="deletion_state_is_known"),
        Index("deletion_running", "ends_us", "licence", postgresql_where=text("state = 'running'")),
        Index(
            "deletion_silent", "remind_us", "licence", postgresql_where=text("state = 'due' AND NOT reminded")
        ),
    )

    licence: str = word(primary_key=True, foreign_key="licence.id")
    asset: str = word(foreign_key="asset.id")
    buyer: str = word(foreign_key="party.id", index=True)
    seller: str = word(foreign_key="party.id", index=True)
    state: str = word()
    ends_us: int = whole()
    due_us: int = whole()
    remind_us: int = whole()
    reminded: bool
    person: str | None = word(default=None)
    method: str | None = word(default=None)
    statement: str | None = word(default=None)
    declared_us: int | None = whole(default=None)
    log_index: int = whole()


class UseCase(SQLModel, table=True):
    """What a buyer built on an asset; its department may refuse until `notice_ends_us`."""

    __tablename__ = "use_case"
    __table_args__ = (
        CheckConstraint(
            "state IN ('proposed', 'published', 'declined', 'withdrawn')", name="use_case_state_is_known"
        ),
        Index("use_case_waiting", "notice_ends_us", "id", postgresql_where=text("state = 'proposed'")),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id", index=True)
    licence: str = word(foreign_key="licence.id")
    buyer: str = word(foreign_key="party.id", index=True)
    supplier: str = word(foreign_key="party.id", index=True)
    title: str = word()
    text: str = word()
    url: str = word()
    state: str = word()
    reason: str | None = word(default=None)
    notice_ends_us: int = whole()
    proposed_us: int = whole()
    published_us: int | None = whole(default=None)
    log_index: int = whole()


class InquiryKey(SQLModel, table=True):
    """The public key that questions to a department are sealed to."""

    __tablename__ = "inquiry_key"

    party: str = word(primary_key=True, foreign_key="party.id")
    public: str = word()
    log_index: int = whole()


class Inquiry(SQLModel, table=True):
    """A person's question to a department and its answer, both sealed: nothing here says who asked, or what."""

    __tablename__ = "inquiry"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'answered')", name="inquiry_state_is_known"),
        Index("inquiry_waiting", "id", postgresql_where=text("state = 'open'")),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id")
    department: str = word(foreign_key="party.id", index=True)
    public: str = word()
    question: str = word()
    state: str = word()
    asked_us: int = whole()
    due_us: int = whole()
    answer: str | None = word(default=None)
    answered_us: int | None = whole(default=None)
    log_index: int = whole()


class Rating(SQLModel, table=True):
    """What the holder of a voucher thinks of an asset, as it was said last; the entries before it keep what was said before."""

    __tablename__ = "rating"
    __table_args__ = (
        CheckConstraint(
            "LEAST(coverage, maturity, effect, accuracy) >= 1 AND GREATEST(coverage, maturity, effect, accuracy) <= 5",
            name="rating_has_one_to_five_stars",
        ),
    )

    id: str = word(primary_key=True)
    licence: str = word(foreign_key="licence.id", unique=True)
    asset: str = word(foreign_key="asset.id", index=True)
    supplier: str = word(foreign_key="party.id", index=True)
    coverage: int = Field(sa_type=SmallInteger)
    maturity: int = Field(sa_type=SmallInteger)
    effect: int = Field(sa_type=SmallInteger)
    accuracy: int = Field(sa_type=SmallInteger)
    text: str = word()
    reply: str | None = word(default=None)
    rated_us: int = whole()  # the first time
    changed_us: int | None = whole(default=None)
    replied_us: int | None = whole(default=None)
    log_index: int = whole()  # of the last entry


class Complaint(SQLModel, table=True):
    """What somebody complained of, whose it is to answer until `due_us`, and the answer; `filed_by` NULL without an account."""

    __tablename__ = "complaint"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'upheld', 'dismissed')", name="complaint_state_is_known"),
        Index("complaint_waiting", "due_us", "id", postgresql_where=text("state = 'open'")),
    )

    id: str = word(primary_key=True)
    topic: str = word()
    asset: str | None = word(default=None, foreign_key="asset.id")
    party: str | None = word(default=None, foreign_key="party.id")
    filed_by: str | None = word(default=None, foreign_key="party.id", index=True)
    handler: str = word(foreign_key="party.id", index=True)
    text: str = word()
    contact: str = word()
    state: str = word()
    filed_us: int = whole()
    due_us: int = whole()
    escalated_us: int | None = whole(default=None)
    answer: str | None = word(default=None)
    answered_us: int | None = whole(default=None)
    answered_by: str | None = word(default=None, foreign_key="party.id")
    log_index: int = whole()


class Subscription(SQLModel, table=True):
    """A licence that is charged by use: its meter and quota, and how much of it is used and settled.

    `hold` has `hold_fen` for what is still to be charged; one that was paid ahead has none.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        CheckConstraint("used >= 0 AND used <= quota", name="subscription_keeps_to_its_quota"),
        CheckConstraint("settled >= 0 AND settled <= used", name="subscription_settles_what_is_used"),
        CheckConstraint("state IN ('open', 'ended')", name="subscription_state_is_known"),
        Index("subscription_due", "next_us", postgresql_where="state = 'open'"),
    )

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id")
    asset: str = word(foreign_key="asset.id")
    seller: str = word(foreign_key="party.id", index=True)
    operator: str | None = word(default=None, foreign_key="party.id", index=True)
    buyer: str = word(foreign_key="party.id", index=True)
    licence: str = word(foreign_key="licence.id", unique=True)
    trade: str = word(foreign_key="trade.id")
    purpose: str = word()
    unit: str = word()
    unit_price_micro: int = whole()
    quota: int = whole()  # calls, days, rows, or bytes where the unit is the megabyte; so are the next two
    used: int = whole()
    settled: int = whole()
    statements: int = whole()
    prepaid: bool
    hold: str | None = word(default=None)
    hold_fen: int = whole()
    since_us: int = whole()  # of the next statement
    next_us: int = whole()  # when it is due
    ends_us: int = whole()
    state: str = word()
    log_index: int = whole()


class UsageRecord(SQLModel, table=True):
    """What was used of a subscription, as its gateway counted it."""

    __tablename__ = "usage_record"
    __table_args__ = (Index("usage_by_subscription", "subscription", "log_index"), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    subscription: str = word(foreign_key="subscription.id")
    quantity: int = whole()
    time_us: int = whole()


class UsageStatement(SQLModel, table=True):
    """A statement of what was used since the one before it, and settled with it; `document` is what its entry says."""

    __tablename__ = "usage_statement"
    __table_args__ = (
        Index("statement_by_subscription", "subscription", "number", unique=True),
        Index("statement_by_asset", "asset", "time_us"),
        APPEND_ONLY,
    )

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    subscription: str = word(foreign_key="subscription.id")
    number: int = whole()
    asset: str = word(foreign_key="asset.id")
    price_fen: int = whole()
    time_us: int = whole()
    document: dict[str, Any] = document()


class RevenuePeriod(SQLModel, table=True):
    """A period of an asset's carry-over ledger: what it may earn, and once it is closed what it did, and the excess over it."""

    __tablename__ = "revenue_period"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'closed')", name="revenue_state_is_known"),
        Index("revenue_by_asset", "asset", "number", unique=True),
        Index("revenue_due", "ends_us", postgresql_where="state = 'open'"),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id")
    number: int = whole()
    starts_us: int = whole()
    ends_us: int = whole()
    allowed_fen: int = whole()
    carried_on_fen: int = whole()  # excess that not even this period absorbs
    document: dict[str, Any] = (
        document()
    )  # how the allowed revenue came about, and the ceilings in micro-yuan
    revenue_fen: int | None = whole(default=None)
    excess_fen: int | None = whole(default=None)
    state: str = word()
    log_index: int = whole()


class DiscountTerms(SQLModel, table=True):
    """A published discount: a part of a listing's price, for whoever meets the criterion, from one moment until another."""

    __tablename__ = "discount"
    __table_args__ = (
        CheckConstraint(
            "criterion IN ('quantity', 'history', 'purpose', 'qualification')",
            name="discount_criterion_is_known",
        ),
        CheckConstraint("off_ppm > 0 AND off_ppm <= 1000000", name="discount_is_a_part"),
        Index("discount_by_listing", "listing", "log_index"),
    )

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id")
    criterion: str = word()
    at_least: int = whole()
    words: list[str] = words()
    off_ppm: int = whole()
    starts_us: int = whole()
    ends_us: int = whole()
    log_index: int = whole()


class ListingQuestion(SQLModel, table=True):
    """What a buyer asked the seller of a listing, and the answer to all, due until `due_us`."""

    __tablename__ = "listing_question"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'answered')", name="question_state_is_known"),
        Index("question_by_listing", "listing", "log_index"),
        Index("question_to", "seller", "log_index", postgresql_where="state = 'open'"),
    )

    id: str = word(primary_key=True)
    listing: str = word(foreign_key="listing.id")
    asker: str = word(foreign_key="party.id")  # told to nobody
    seller: str = word(foreign_key="party.id")
    text: str = word()
    answer: str | None = word(default=None)
    state: str = word()
    asked_us: int = whole()
    due_us: int = whole()
    answered_us: int | None = whole(default=None)
    log_index: int = whole()


class Correction(SQLModel, table=True):
    """What a buyer found wrong in what it licensed, and the department's answer, due until `due_us`."""

    __tablename__ = "correction"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open', 'accepted', 'declined', 'mended')", name="correction_state_is_known"
        ),
    )

    id: str = word(primary_key=True)
    asset: str = word(foreign_key="asset.id")
    licence: str = word(foreign_key="licence.id")
    buyer: str = word(foreign_key="party.id", index=True)
    supplier: str = word(foreign_key="party.id", index=True)
    operator: str | None = word(default=None, foreign_key="party.id", index=True)
    column_name: str | None = word(default=None)
    text: str = word()
    evidence: str | None = word(default=None)
    state: str = word()
    answer: str | None = word(default=None)
    asked_us: int = whole()
    due_us: int = whole()
    answered_us: int | None = whole(default=None)
    mended_by: str | None = word(default=None, foreign_key="asset.id")  # an asset that has it right
    log_index: int = whole()


class Access(SQLModel, table=True):
    """A delivery link that was made or used."""

    __tablename__ = "access"
    __table_args__ = (Index("access_by_licence", "licence", "log_index"), APPEND_ONLY)

    log_index: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    licence: str = word(foreign_key="licence.id")
    act: str = word()  # link, download
    bytes: int = whole()  # that were asked for
    time_us: int = whole()


class TreasuryPayout(SQLModel, table=True):
    """A payout of a department's treasury money that one person proposed, and what another decided."""

    __tablename__ = "treasury_payout"
    __table_args__ = (
        CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected')", name="treasury_payout_state_is_known"
        ),
    )

    id: str = word(primary_key=True)
    party: str = word(foreign_key="party.id", index=True)
    amount_fen: int = whole()
    proposer: str = word(foreign_key="person.id")
    state: str = word()
    time_us: int = whole()
    log_index: int = whole()


class BankMovement(SQLModel, table=True):
    """What moved on the escrow account under one reference of the bank's, in above nothing and out below it.

    `amount_fen` is `first_fen` and what it was adjusted by since. A payout's reference is its own identifier.
    """

    __tablename__ = "bank_movement"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('pay_in', 'payout', 'return', 'adjustment')", name="bank_movement_kind_is_known"
        ),
        CheckConstraint(
            "state IN ('open', 'matched', 'cancelled')", name="bank_movement_state_is_known"
        ),  # matched: a statement shows it; cancelled: none ever will
        Index("bank_movement_open", "time_us", postgresql_where="state = 'open'"),
        Index("bank_movement_by_party", "party", "log_index"),
    )

    reference: str = word(primary_key=True)
    kind: str = word()
    party: str | None = word(default=None, foreign_key="party.id")  # NULL while nobody knows
    payee: str = word()  # as the payer named it
    account: str = word()  # on the other side of the escrow account
    first_fen: int = whole()
    amount_fen: int = whole()
    state: str = word()
    return_reason: str | None = word(default=None)  # of a payout that came back
    return_reference: str | None = word(default=None)
    returned_index: int | None = whole(default=None)
    adjuster: str | None = word(default=None, foreign_key="person.id")
    time_us: int = whole()
    log_index: int = whole()


class BankStatement(SQLModel, table=True):
    """A statement of the bank, and how it agreed with the book; `findings` are what did not."""

    __tablename__ = "bank_statement"
    __table_args__ = (
        CheckConstraint("state IN ('agreed', 'alarm', 'resolved')", name="bank_statement_state_is_known"),
    )

    id: str = word(primary_key=True)
    begins_us: int = whole()
    ends_us: int = whole()
    opening_fen: int = whole()
    closing_fen: int = whole()
    lines: int = whole()
    matched: int = whole()
    in_transit_fen: int = whole()
    difference_fen: int = whole()
    findings: list[Any] = document()
    state: str = word()
    importer: str = word(foreign_key="person.id")
    resolver: str | None = word(default=None, foreign_key="person.id")
    resolved_index: int | None = whole(default=None)
    resolution: str | None = word(default=None)
    log_index: int = whole()


class BankLine(SQLModel, table=True):
    """A line of a statement: one booking of the bank's, open until the book has the same under its reference."""

    __tablename__ = "bank_line"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'matched')", name="bank_line_state_is_known"),
        Index("bank_line_open", "reference", postgresql_where="state = 'open'"),
    )

    statement: str = word(primary_key=True, foreign_key="bank_statement.id")
    position: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    reference: str = word()
    amount_fen: int = whole()
    booked_us: int = whole()
    state: str = word()


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
