"""Wire shapes of an asset's path, its product, its value and its delivery."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from exchange.desensitization.grade import Degree, Harmed, Opening
from exchange.messages.shapes import Digest, Identifier, Message, Purpose, Whole, Words
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
    """What a department has; `operator` where a company runs it, `opening` how far it is opened.

    Left out, `opening` is what the market's model has it; wider than that takes a reason. `purposes` and `qualified` are the
    condition of what is opened on one; `update_days` is how often new data is promised.
    """

    title: Words
    summary: Annotated[str, Field(max_length=4000)] = ""
    kind: Annotated[str, Field(examples=["transport"])]
    operator: Identifier | None = None
    opening: Opening | None = None
    opening_reason: Annotated[str, Field(max_length=1000)] = ""
    purposes: list[Purpose] = Field(default_factory=list, max_length=16)
    qualified: bool = False
    update_days: Annotated[Whole, Field(ge=1, le=3660)] | None = None


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
    """What another person says to an assessment at the next level; a file is returned with a reason."""

    assessment: Identifier
    decision: Literal["approve", "return"] = "approve"
    reason: Annotated[str, Field(max_length=1000)] = ""


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


class UploadView(Message):
    """A file as it arrived."""

    sha256: Digest
    size_bytes: Whole


class TransparencyView(Message):
    """What an asset's card states, 25 points each: its price, its source, how often it is updated, what limits its use."""

    score: Whole
    price: bool
    source: bool
    update: bool
    limits: bool


class AssetView(Message):
    """An asset as its state allows the caller to see it.

    `price` is how it is to be had (free, fixed, auction, unlisted …), `listing` its newest open offer, with its `price_fen`, or
    with the price of a unit where it is charged by use;
    `freshness` is held to the update that its department promised every `update_days`.
    """

    id: str
    supplier: str
    supplier_name: str
    operator: str | None
    title: str
    summary: str
    kind: str
    theme: str | None
    code: str | None
    grade: str | None
    opening: Opening
    opening_declared: Opening
    opening_reason: str
    purposes: list[str]
    qualified: bool
    state: str
    update_days: Whole | None
    updated_us: Whole | None
    freshness: str
    listing: str | None
    price: str
    price_fen: Whole | None
    unit: str | None
    unit_price_micro: Whole | None
    transparency: TransparencyView
    log_index: Whole


class FacetView(Message):
    """How many assets have a value, under the filters of all other facets; `name` is a supplier's."""

    value: str
    name: str | None
    assets: Whole


class FacetsView(Message):
    """The counts by facet, the most first; suppliers are the twenty with the most."""

    state: list[FacetView]
    kind: list[FacetView]
    theme: list[FacetView]
    base_library: list[FacetView]
    grade: list[FacetView]
    opening: list[FacetView]
    price: list[FacetView]
    freshness: list[FacetView]
    supplier: list[FacetView]


class AssetPage(Message):
    """A page of assets of `total`, the best first; `after` asks for the next one and is null on the last."""

    assets: list[AssetView]
    total: Whole
    facets: FacetsView
    after: str | None


class ProductView(Message):
    """The file that the asset stands on."""

    product_digest: Digest
    size_bytes: Whole
    rows: Whole


class ColumnView(Message):
    """A column of a product, as it was measured at its release."""

    name: str
    type: str
    nulls: Whole
    distinct: Whole


class ListView(Message):
    """A list of assets as far as it arrived; `complete` once its bytes hash to its name."""

    sha256: Digest
    offset: Whole
    complete: bool


class SliceMessage(Message):
    """Which rows of a list to declare, the first being 1: at most a thousand at once."""

    first: Annotated[Whole, Field(ge=1, le=20_000)] = 1
    count: Annotated[Whole, Field(ge=1, le=1_000)] = 1_000


class RowView(Message):
    """A row that is declared: its asset and its log entry; `repeated` where it was before."""

    row: Whole
    id: str
    asset: str
    index: Whole
    repeated: bool


class RowFailureView(Message):
    """Why a row was not declared: field, rule and remedy, in both languages."""

    row: Whole
    id: str
    code: str
    field: str
    detail: str
    rule: str
    remedy: str
    rule_zh: str
    remedy_zh: str


class SliceView(Message):
    """What came of some rows of a list of `total`; `next` is the row to go on with, null behind the last."""

    total: Whole
    next: Whole | None
    declared: list[RowView]
    failures: list[RowFailureView]


class SampleView(Message):
    """The data dictionary of a released product, and its first rows as text where its grade and opening allow them; nothing
    of an asset that has no product yet.
    """

    asset: str
    product_digest: Digest | None
    row_count: Whole
    columns: list[ColumnView]
    rows: list[list[str | None]]


class EvidenceView(Message):
    """One step of the path: the index of its log entry, and the RFC 9162 hash of its public leaf."""

    index: Whole
    leaf_hash: Digest


class CertificateView(Message):
    """A registration certificate; its evidence and the steps of its procedure can be compared with the log's own tiles.

    `version` grows with each act that changes it; `registered_index` is the entry that gave the code, `log_index` the last.
    """

    code: str
    asset: str
    kind: str
    theme: str | None
    grade: str | None
    opening: Opening
    evidence: dict[str, EvidenceView]
    application: str | None
    registrar: str | None
    steps: dict[str, EvidenceView]
    version: Whole
    state: str
    starts_us: Whole | None
    ends_us: Whole | None
    registered_index: Whole
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
    opening: Opening
    exempt_from_k: bool
    policy: dict[str, Any]
    report: dict[str, Any]
    log_index: Whole


class ApprovalView(Message):
    """What one person said to an assessment at one level of `levels`; void since entry `ended_index`."""

    id: str
    asset: str
    assessment: str
    level: Whole
    levels: Whole
    approver: str
    raw_digest: Digest
    policy_digest: Digest
    state: Literal["given", "returned", "void"]
    reason: str
    ended_index: Whole | None
    log_index: Whole


class AuthorizationView(Message):
    """The leave to release that the last level gave, bound to one raw table and one policy."""

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
    approvals: list[ApprovalView]
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
    calls_used: Whole
    bytes_used: Whole
    links_ended: Whole
    state: str
    log_index: Whole


class LicencePage(Message):
    """The licences of the caller; `after` asks for the next page and is null on the last."""

    licences: list[LicenceView]
    after: str | None


class LineageMessage(Message):
    """A registered asset that another was derived from, or whose next edition it is."""

    parent: Identifier
    relation: Literal["edition", "derived"]


class KinView(Message):
    """An asset that another was made of, or that was made of it."""

    asset: str
    title: str
    code: str | None
    grade: str | None
    relation: Literal["edition", "derived"]
    log_index: Whole


class LineageView(Message):
    """An asset's parents, what was made of it, and the newest registered edition in its line, which may be itself."""

    asset: str
    parents: list[KinView]
    children: list[KinView]
    newest: str


class CorrectionMessage(Message):
    """What is wrong in what was licensed, in `column` where it is about one; `evidence` is the SHA-256 of what shows it."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    column: Words | None = None
    evidence: Digest | None = None


class CorrectionAnswerMessage(Message):
    """Whether the department accepts what was found, and why."""

    decision: Literal["accept", "refuse"]
    answer: Annotated[str, Field(min_length=1, max_length=2000)]


class CorrectionMendingMessage(Message):
    """The registered asset in whose data an accepted correction is made."""

    asset: Identifier


class CorrectionView(Message):
    """What a buyer found wrong, and the answer; `mended_by` is the asset that has it right."""

    id: str
    asset: str
    licence: str
    column: str | None
    text: str
    evidence: str | None
    state: Literal["open", "accepted", "declined", "mended"]
    overdue: bool
    answer: str | None
    mended_by: str | None
    asked_us: Whole
    due_us: Whole
    answered_us: Whole | None
    log_index: Whole


class AccessView(Message):
    """A link that was made or followed, and how many bytes were asked for by it."""

    act: str
    bytes: Whole
    time_us: Whole
    log_index: Whole


class AccessLog(Message):
    """Who fetched what: every link and download of a licence, oldest first."""

    licence: str
    accesses: list[AccessView]
