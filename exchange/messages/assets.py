"""Wire shapes of an asset's path, its product, its value and its delivery."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from exchange.desensitization.grade import Degree, Harmed
from exchange.messages.shapes import Digest, Identifier, Message, Whole, Words
from pricing.appraisal import Inputs, Signature
from pricing.errors import QualityError
from pricing.quality import (
    Column,
    Compare,
    Declaration,
    Determines,
    Freshness,
    Quality,
    ValueIndicators,
    Yardstick,
    measure,
    measure_value,
)

if TYPE_CHECKING:
    import pyarrow as pa


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

    def declared(self) -> Column:
        """The rule as `pricing` takes it, whole numbers as such."""
        whole = self.kind == "integer"
        return Column(
            name=self.name,
            kind=self.kind,
            required=self.required,
            minimum=self._bound(self.minimum),
            maximum=self._bound(self.maximum),
            pattern=self.pattern,
            allowed=tuple(map(self._whole, self.allowed)) if whole else tuple(self.allowed),
        )

    def _bound(self, text: str | None) -> int | str | None:
        return text if text is None or self.kind not in ("integer", "time") else self._whole(text)

    def _whole(self, text: str) -> int:
        if not re.fullmatch("0|-?[1-9][0-9]{0,18}", text):
            raise QualityError(
                field=self.name,
                rule=f"{text!r} is no whole number",
                remedy="write it in decimal, without plus sign, leading zeros or fraction",
            )
        return int(text)


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


class YardstickMessage(Message):
    """What the data would have to hold to be worth most, and where the figures come from; what is left out is not measured.

    `subject` tells whose records they are, of a `population` of whom each has `records`; `category` is a column of
    kinds, of which `categories` exist; `span_us` is how long a series is asked for.
    """

    source: Words
    subject: list[Words] = Field(default_factory=list, max_length=16)
    population: Whole | None = None
    records: Whole | None = None
    category: str | None = None
    categories: Whole | None = None
    span_us: Whole | None = None


class QualityMessage(Message):
    """The rules under which the quality of the file is counted (GB/T 36344), and what its value is held against."""

    columns: list[ColumnMessage] = Field(default_factory=list, max_length=512)
    unique: list[list[Words]] = Field(default_factory=list)
    comparisons: list[ComparisonMessage] = Field(default_factory=list)
    dependencies: list[DependencyMessage] = Field(default_factory=list)
    freshness: FreshnessMessage | None = None
    placeholders: list[str] = Field(default_factory=list)
    yardstick: YardstickMessage | None = None

    def measured(self, table: pa.Table, as_of_us: int) -> tuple[Quality, ValueIndicators | None]:
        """Quality and value indicators of a table as of a moment, or QualityError naming a wrong rule."""
        declaration = self.declaration()
        quality = measure(table, declaration, as_of_us=as_of_us)
        if self.yardstick is None:
            return quality, None
        wanted = self.yardstick
        yardstick = Yardstick(
            source=wanted.source,
            subject=tuple(wanted.subject),
            population=wanted.population,
            records=wanted.records,
            category=wanted.category,
            categories=wanted.categories,
            span_us=wanted.span_us,
        )
        return quality, measure_value(table, declaration, yardstick, as_of_us=as_of_us)

    def declaration(self) -> Declaration:
        """The rules as `pricing` takes them, or QualityError naming the column that cannot be judged."""
        fresh = self.freshness
        return Declaration(
            columns=tuple(column.declared() for column in self.columns),
            unique=tuple(tuple(key) for key in self.unique),
            comparisons=tuple(Compare(rule.left, rule.relation, rule.right) for rule in self.comparisons),
            dependencies=tuple(Determines(tuple(rule.columns), rule.column) for rule in self.dependencies),
            freshness=None if fresh is None else Freshness(fresh.column, fresh.cycle_us, fresh.utc_offset_us),
            placeholders=tuple(self.placeholders),
        )


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


class JudgementMessage(Message):
    """One dimension counts so many times as much as another, on the scale 1 to 9 or 1/2 to 1/9."""

    left: Words
    right: Words
    times: Annotated[str, Field(examples=["3", "1/5"])]


class ApproachMessage(Message):
    """Why an approach fits, and what its value weighs in the conclusion, in parts per million."""

    reason: Words
    weight_ppm: Whole = 1_000_000


class CostApproachMessage(ApproachMessage):
    """P = C x δ. `weights_ppm` weigh the six dimensions of quality in the order of GB/T 36344.

    Instead of weights there may be `judgements`, one a pair; without either all dimensions weigh the same.
    """

    approach: Literal["cost"]
    items: list[CostMessage] = Field(max_length=200)
    profit_rate_ppm: Whole
    profit_source: Words
    weights_reason: Words
    weights_ppm: list[Whole] = Field(default_factory=list)
    judgements: list[JudgementMessage] = Field(default_factory=list, max_length=15)
    factors: list[FactorMessage] = Field(default_factory=list, max_length=20)


class IncomeMessage(ApproachMessage):
    """What the ways to an income have in common: a figure a year, the rate that discounts it, the tax on it.

    `stream` names the income; its excess earnings can be counted for one asset only.
    """

    stream: Words
    amounts_fen: list[Whole] = Field(max_length=100)
    amounts_source: Words
    discount_rate_ppm: Whole
    discount_source: Words
    tax_rate_ppm: Whole = 0
    timing: Literal["end", "mid"] = "end"
    amortisation_years: Whole = 0
    level_ppm: Whole = 1_000_000


class DirectMessage(IncomeMessage):
    """The amounts are the net income of the data itself."""

    approach: Literal["direct"]


class ShareMessage(IncomeMessage):
    """The data's share of the amounts, the revenue or profit of what it is used in."""

    approach: Literal["share"]
    share_ppm: Whole
    share_source: Words


class ReliefMessage(IncomeMessage):
    """The royalty on the amounts that an owner need not pay, and a fee saved at the start."""

    approach: Literal["relief"]
    royalty_ppm: Whole
    royalty_source: Words
    upfront_fen: Whole = 0


class ChargeMessage(Message):
    """Another asset that works for the same earnings: its value in each year, and the return that it requires."""

    name: Words
    asset_fen: list[Whole] = Field(max_length=100)
    return_ppm: Whole
    source: Words


class ExcessMessage(IncomeMessage):
    """The amounts are earnings; a charge for every other asset that helps to earn them is taken off."""

    approach: Literal["excess"]
    charges: list[ChargeMessage] = Field(max_length=10)


class IncrementalMessage(IncomeMessage):
    """The amounts are the income with the data; the income without it is taken off."""

    approach: Literal["incremental"]
    without_fen: list[Whole] = Field(max_length=100)
    without_source: Words


class ComparableMessage(Message):
    """A set of data whose value is known, and five coefficients that make it comparable to a part of the asset."""

    part: Words
    value_fen: Whole
    source: Words
    reason: Words
    quality_ppm: Whole = 1_000_000
    supply_ppm: Whole = 1_000_000
    date_ppm: Whole = 1_000_000
    capacity_ppm: Whole = 1_000_000
    other_ppm: Whole = 1_000_000
    weight_ppm: Whole = 1_000_000


class MarketMessage(ApproachMessage):
    """P = Σ (Q x coefficients) over the parts of the asset; the comparables of a part weigh a million together."""

    approach: Literal["market"]
    comparables: list[ComparableMessage] = Field(max_length=200)


class OtherAssetMessage(Message):
    """Something else in the whole, with its value."""

    name: Words
    value_fen: Whole
    source: Words


class ResidualMessage(ApproachMessage):
    """P = (whole - all else) x share."""

    approach: Literal["residual"]
    whole_fen: Whole
    whole_source: Words
    others: list[OtherAssetMessage] = Field(max_length=200)
    share_ppm: Whole
    share_source: Words


class UncertainMessage(Message):
    """A figure that may lie elsewhere, by its path below the approach, such as `relief.amounts_fen[0]`."""

    parameter: Words
    low: Whole
    high: Whole
    reason: Words
    source: Words
    shape: Literal["triangular", "uniform"] = "triangular"


class SignatureMessage(Message):
    """The appraiser's Ed25519 signature over the canonical parameters, as `exchange appraise --key` writes it."""

    public_key: Digest
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


class AppraisalMessage(Message):
    """All that an appraisal rests on besides the file; the groups of attributes are those of 中评协〔2023〕17号.

    Each approach comes once, and their weights sum to a million. With uncertain figures the report holds a range
    and what each figure moves. A signed form names its appraiser, and `version` counts up with each change of it.
    """

    purpose: Words
    valued_on: Words
    approaches: list[
        Annotated[
            CostApproachMessage
            | DirectMessage
            | ShareMessage
            | ReliefMessage
            | ExcessMessage
            | IncrementalMessage
            | MarketMessage
            | ResidualMessage,
            Field(discriminator="approach"),
        ]
    ] = Field(min_length=1, max_length=8)
    weighting_reason: str = ""
    uncertain: list[UncertainMessage] = Field(default_factory=list, max_length=64)
    draws: Whole = 100_000
    information: dict[str, str]
    legal: dict[str, str]
    value: dict[str, str]
    quality: QualityMessage = Field(default_factory=QualityMessage)
    appraiser: str = ""
    version: Whole = 1
    signature: SignatureMessage | None = None

    def inputs(
        self, asset: str, quality: Quality | None = None, indicators: ValueIndicators | None = None
    ) -> Inputs:
        """The inputs of an appraisal of `asset`, so named in the report; AppraisalError names what cannot be."""
        members = self.model_dump(exclude={"quality", "signature"})
        return Inputs.from_json({**members, "asset": asset}, quality=quality, indicators=indicators)

    def signed(self) -> Signature | None:
        """The signature, as it came."""
        return None if self.signature is None else Signature(**self.signature.model_dump())


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
