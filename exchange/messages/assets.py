"""Wire shapes of an asset's path, its product, its value and its delivery."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from exchange.desensitization.grade import Degree, Harmed
from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words


class AssetMessage(Message):
    """What a department has; `operator` where a company runs it."""

    title: Words
    summary: Annotated[str, Field(max_length=4000)] = ""
    kind: Annotated[str, Field(examples=["transport"])]
    operator: Identifier | None = None


class ImpactMessage(Message):
    """Whom a leak, change or loss of the data would harm, how badly, and why."""

    harmed: Harmed
    degree: Degree
    reason: Words


class DeclarationsMessage(Message):
    """What only a named assessor can say; null is not answered, and closes."""

    state_secret: bool | None = None
    trade_secret: bool | None = None
    privacy_consented: bool | None = None


class AssessmentMessage(Message):
    """The department's assessment: `report` is report.json of `exchange desensitize scan`, without raw values."""

    raw_digest: Digest
    policy_digest: Digest
    policy: dict[str, Any]
    report: dict[str, Any]
    impacts: list[ImpactMessage] = Field(min_length=1, max_length=18)
    declared: DeclarationsMessage
    exempt_from_k: bool = False


class AuthorizationMessage(Message):
    """Which assessment the second person authorizes."""

    assessment: Identifier


class ReleaseMessage(Message):
    """The uploaded file, the authorization it stands on, and the certificate of `exchange desensitize apply`."""

    authorization: Identifier
    product_digest: Digest
    certificate: dict[str, Any]


class ThemeMessage(Message):
    """The theme of a released product."""

    theme: Annotated[str, Field(examples=["travel"])]


class ColumnMessage(Message):
    """What the supplier declares of one column; bounds and allowed values as text, numbers in decimal.

    Times are microseconds since the epoch, dates ISO 8601.
    """

    name: Words
    kind: Literal["integer", "number", "text", "boolean", "date", "time"]
    required: bool = True
    minimum: str | None = None
    maximum: str | None = None
    pattern: str | None = None
    allowed: list[str] = Field(default_factory=list)


class ComparisonMessage(Message):
    """In each row `left` stands in `relation` to `right`."""

    left: Words
    relation: Literal["<", "<=", "==", "!="]
    right: Words


class DependencyMessage(Message):
    """Rows that agree in `columns` agree in `column`."""

    columns: list[Words] = Field(min_length=1, max_length=16)
    column: Words


class FreshnessMessage(Message):
    """`column` dates each record, and a new one comes every `cycle_us`; naive times are `utc_offset_us` ahead of UTC."""

    column: Words
    cycle_us: Whole
    utc_offset_us: Whole = 0


class QualityMessage(Message):
    """The rules under which the quality of the file is counted (GB/T 36344)."""

    columns: list[ColumnMessage] = Field(max_length=512)
    unique: list[list[Words]] = Field(default_factory=list)
    comparisons: list[ComparisonMessage] = Field(default_factory=list)
    dependencies: list[DependencyMessage] = Field(default_factory=list)
    freshness: FreshnessMessage | None = None
    placeholders: list[str] = Field(default_factory=list)


class CostMessage(Message):
    """One cost, with what it was for and where the figure comes from."""

    kind: Literal["planning", "collection", "processing", "storage", "quality", "administration", "tax"]
    amount_fen: Whole
    description: Words
    source: Words


class FactorMessage(Message):
    """One more multiplier of the coefficient, in parts per million."""

    name: Words
    factor_ppm: Whole
    reason: Words
    source: Words


class AppraisalMessage(Message):
    """All that a cost appraisal rests on besides the file; the groups of attributes are those of 中评协〔2023〕17号.

    `weights_ppm` weigh the six dimensions of quality in the order of GB/T 36344; without them all weigh the same.
    """

    purpose: Words
    valued_on: Words
    approach_reason: Words
    costs: list[CostMessage] = Field(max_length=200)
    profit_rate_ppm: Whole
    profit_source: Words
    weights_reason: Words
    weights_ppm: list[Whole] | None = None
    factors: list[FactorMessage] = Field(default_factory=list, max_length=20)
    information: dict[str, str]
    legal: dict[str, str]
    value: dict[str, str]
    quality: QualityMessage


class LinkMessage(Message):
    """How long a delivery link shall work, in seconds."""

    valid_seconds: Whole = 3600


class UploadView(Message):
    """A file as it arrived."""

    sha256: Digest
    size_bytes: Whole


class AssetView(Message):
    """An asset as its state allows the caller to see it."""

    id: str
    supplier: str
    operator: str | None
    title: str
    summary: str
    kind: str
    theme: str | None
    code: str | None
    grade: str | None
    state: str
    log_index: Whole


class AssetPage(Message):
    """A page of assets; `after` asks for the next one and is null on the last."""

    assets: list[AssetView]
    after: str | None


class ProductView(Message):
    """The file that the asset stands on."""

    product_digest: Digest
    size_bytes: Whole
    rows: Whole


class EvidenceView(Message):
    """One step of the path: the index of its log entry, and the RFC 9162 hash of its public leaf."""

    index: Whole
    leaf_hash: Digest


class CertificateView(Message):
    """A registration certificate; its evidence can be compared with the log's own tiles."""

    code: str
    asset: str
    kind: str
    theme: str | None
    grade: str | None
    evidence: dict[str, EvidenceView]
    log_index: Whole


class AssessmentView(Message):
    """A risk assessment, for the department, its operator and the regulator."""

    id: str
    asset: str
    assessor: str
    raw_digest: Digest
    policy_digest: Digest
    report_digest: Digest
    grade: str
    exempt_from_k: bool
    policy: dict[str, Any]
    report: dict[str, Any]
    log_index: Whole


class AuthorizationView(Message):
    """A department's leave to release, bound to one raw table and one policy."""

    id: str
    asset: str
    assessment: str
    approver: str
    raw_digest: Digest
    policy_digest: Digest
    grade: str
    exempt_from_k: bool
    state: str
    log_index: Whole


class AuthorizationDocument(Message):
    """What `exchange desensitize apply --authorization` believes: the authorization, proven by its receipt."""

    authorization: AuthorizationView
    receipt: dict[str, Any]


class FailureView(Message):
    """One reason why a file was refused; `column` is null where the whole table fails."""

    column: str | None
    rule: str
    detail: str
    remedy: str


class ReleaseView(Message):
    """A file that was released or refused, and what was measured on it."""

    id: str
    asset: str
    authorization: str
    product_digest: Digest
    size_bytes: Whole
    rows: Whole
    state: str
    certificate: dict[str, Any]
    measurement: dict[str, Any]
    failures: list[FailureView]
    log_index: Whole


class AppraisalView(Message):
    """A reasoned value."""

    id: str
    asset: str
    value_fen: Whole
    digest: Digest
    report: dict[str, Any]
    log_index: Whole


class DossierView(Message):
    """An asset with what stands behind it; the inner papers are empty for whoever may not read them."""

    asset: AssetView
    supplier_name: str
    operator_name: str | None
    certificate: CertificateView | None
    product: ProductView | None
    assessments: list[AssessmentView]
    authorizations: list[AuthorizationView]
    releases: list[ReleaseView]
    appraisals: list[AppraisalView]


class TermView(Message):
    """A word of a taxonomy, in both languages."""

    id: str
    zh: str
    en: str


class TaxonomyView(Message):
    """The kinds of public data, and the themes."""

    kinds: list[TermView]
    themes: list[TermView]


class LicenceView(Message):
    """What a buyer may do with an asset, and until when."""

    id: str
    trade: str
    asset: str
    grant: str
    licences: Whole
    starts_us: Whole
    ends_us: Whole
    state: str
    log_index: Whole


class LicencePage(Message):
    """The licences of the caller; `after` asks for the next page and is null on the last."""

    licences: list[LicenceView]
    after: str | None


class AccessView(Message):
    """A link that was made or followed."""

    act: str
    time_us: Whole
    log_index: Whole


class AccessLog(Message):
    """Who fetched what: every link and download of a licence, oldest first."""

    licence: str
    accesses: list[AccessView]
