"""Wire shapes of the sealed tender: what is asked, what is shown, and what came of each act."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, computed_field

from exchange.messages.market import OfferMessage
from exchange.messages.outcomes import OfferView, Outcome, StandingTermsView
from exchange.messages.shapes import Digest, Document, Identifier, Message, Purpose, Whole, Words
from exchange.messages.views import RulebookView, View

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
State = Literal[
    "published",
    "halted",
    "opening",
    "opened",
    "awarded",
    "settled",
    "failed",
    "cancelled",
    "annulled",
    "defaulted",
]

STATES: dict[str, tuple[str, str]] = {
    "published": ("投标中", "takes bids"),
    "halted": ("已中止", "halted"),
    "opening": ("开标中", "being opened"),
    "opened": ("评标中", "being scored"),
    "awarded": ("定标公示", "awarded; protests run"),
    "settled": ("已成交", "settled"),
    "failed": ("招标失败", "failed"),
    "cancelled": ("已终止", "called off"),
    "annulled": ("已撤销", "annulled"),
    "defaulted": ("中标人违约", "the winner did not pay"),
}
FAILURES = {
    "too_few_bidders": ("有效投标人不足，须重新招标", "too few valid bidders: to be tendered again"),
    "not_opened": ("到期持钥人份额不足，未能开标", "too few holders came: not opened"),
}
ENVELOPES = {
    "valid": ("有效投标", "a valid bid"),
    "unopened": ("份额不足，未开启", "shut for want of shares"),
    "misdealt": ("份额分发有误，无效", "void: shares misdealt"),
    "unreadable": ("打开后不是有效报价，无效", "void: no price inside"),
    "quantity": ("数量不是一份，无效", "void: not for one grant"),
    "below_floor": ("低于最低价，无效", "void: below the floor"),
    "above_ceiling": ("高于最高限价，无效", "void: above the ceiling"),
}
FAULTS = {
    "forged_share": ("伪造的份额", "a forged share"),
    "false_dispute": ("不成立的异议", "a dispute that proves nothing"),
}
PROTESTS = {
    "filed": ("待处理", "waits for its decision"),
    "upheld": ("异议成立", "upheld"),
    "dismissed": ("异议驳回", "dismissed"),
    "moot": ("定标已被撤回，异议无所指", "moot: the award is taken back"),
}


class Said(View):
    """The same in words, for readers of both languages."""

    zh: str
    en: str


def _said(words: tuple[str, str], more: tuple[str, str] | None = None) -> Said:
    if more is None:
        return Said(zh=words[0], en=words[1])
    return Said(zh=f"{words[0]}：{more[0]}", en=f"{words[1]}: {more[1]}")


class HolderKeyMessage(Message):
    """The public half of a holder's key, as `exchange holder keygen` printed it."""

    public: Digest


class CriterionMessage(Message):
    """What assessors mark from 0 to `most_points`, and its part of the whole in millionths."""

    name: Name
    weight_ppm: Whole
    most_points: Whole


class ScoringRuleMessage(Message):
    """The published rule: the weights of price and criteria sum to 1,000,000; the higher price is better."""

    price_weight_ppm: Whole
    criteria: list[CriterionMessage] = Field(default_factory=list, max_length=50)
    floor_fen: Whole = 1
    drop_extremes: bool = False


class TenderMessage(Message):
    """What is tendered, by which rule, opened by whom and when; `offer.price_fen` is the estimate."""

    asset: Identifier
    offer: OfferMessage
    rule: ScoringRuleMessage
    holders: list[Identifier] = Field(min_length=1, max_length=16)
    threshold: Whole
    deposit_fen: Whole
    deadline_us: Whole
    opens_us: Whole
    terms: Words
    qualification: list[Identifier] = Field(default_factory=list, max_length=10)
    again_of: Identifier | None = None


class QuestionMessage(Message):
    """What you want to know; question and answer are for everybody, your name is not told."""

    question: Words


class AnswerMessage(Message):
    """The answer, for everybody."""

    answer: Words


class JoinMessage(Message):
    """Who makes the bid, for the regulator's eyes: who drafted it, who hands it in, who would run the work, and the bank account
    that the deposit comes from.
    """

    drafter: Name
    agent: Name
    manager: Name
    account: Name
    purpose: Purpose = ""


class EnvelopeMessage(Message):
    """A bid as the SDK sealed it; nothing in it tells its price. `proposal` is the SHA-256 of what the assessors mark."""

    sealed: Document
    proposal: Digest | None = None


class SharesMessage(Message):
    """What you were sent for each envelope, by its digest, as `exchange holder open` writes it."""

    submissions: dict[Digest, Document] = Field(max_length=300)


class AssessorsMessage(Message):
    """The persons who mark the bids, by their identifiers here."""

    people: list[Identifier] = Field(min_length=1, max_length=50)


class MarksMessage(Message):
    """Your points for every valid bid: by its code, then by criterion."""

    marks: dict[Identifier, dict[str, Whole]] = Field(max_length=300)


class ProtestMessage(Message):
    """Why you protest; it stays sealed, for the regulator."""

    reason: Words


class ProtestDecisionMessage(Message):
    """What was decided, with an answer for everybody; one that is upheld names what follows."""

    decision: Literal["uphold", "dismiss"]
    answer: Words
    remedy: Literal["rescore", "annul"] | None = None


class HolderKeyView(View):
    """The key under which shares are sealed to a party."""

    party: str
    public: Digest
    index: Whole


class OpenedView(View):
    """One envelope as it was opened: a valid bid, void for a reason, or unopened for want of shares."""

    bid_id: str
    code: str
    digest: Digest
    price_fen: Whole | None
    reason: str | None
    state: Literal["valid", "void", "unopened"]

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def words(self) -> Said:
        """What became of the envelope."""
        return _said(ENVELOPES[self.reason or self.state])


class ScoreView(View):
    """How one bid came to its total, in millionths of the whole: price, then criterion by criterion."""

    code: str
    price_ppm: Whole
    criteria_ppm: list[Whole]
    total_ppm: Whole


class TenderView(View):
    """A tender and where it stands; of its bidders nothing before the deadline, and codes after it."""

    id: str
    listing: str
    asset: str
    asset_code: str | None
    asset_title: str
    seller: str
    grant: str
    reason: str
    term_days: Whole
    terms: str | None
    state: State
    failure: str | None
    estimate_fen: Whole
    deposit_fen: Whole
    rules: dict[str, Any]
    committee: dict[str, Any]
    qualification: list[str]
    again_of: str | None
    deadline_us: Whole
    opens_us: Whole
    ends_us: Whole
    round: Whole
    assessors: list[str]
    opened: list[OpenedView] | None
    scores: list[ScoreView] | None
    outcome: dict[str, Any] | None
    winner_code: str | None
    price_fen: Whole | None
    protest_until_us: Whole | None
    pay_by_us: Whole | None
    halted_us: Whole | None
    resume_by_us: Whole | None
    log_index: Whole

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def words(self) -> Said:
        """Where the tender stands."""
        return _said(STATES[self.state], None if self.failure is None else FAILURES[self.failure])


class QuestionView(View):
    """A question and its answer; None where the text was erased, or is still to come."""

    id: str
    question: str | None
    answer: str | None
    due_us: Whole
    late: bool
    time_us: Whole


class HandedView(View):
    """What a holder handed in; one that was refused says of which envelope, and what was wrong."""

    holder: str
    state: Literal["verified", "refused"]
    faults: list[dict[str, str]]
    submissions: dict[str, dict[str, Any]]
    index: Whole
    time_us: Whole

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def words(self) -> Said:
        """Whether the shares count, and where they are forged by whom."""
        if self.state == "verified":
            return _said(("份额已验证", "shares verified"), (self.holder, self.holder))
        zh, en = (
            ", ".join(f"{one['code']} {FAULTS[one['fault']][n]}" for one in self.faults) for n in (0, 1)
        )
        return _said((f"{self.holder} 的份额被拒", f"the shares of {self.holder} are refused"), (zh, en))


class StandingView(View):
    """An envelope that is opened."""

    bid_id: str
    code: str
    digest: Digest
    index: Whole
    proposal: Digest | None
    filed_index: Whole | None = Field(
        description="the entry with which the proposal itself came; none while it has not"
    )


class MarksView(View):
    """How an assessor marked every bid: code, criterion, points."""

    assessor: str
    index: Whole
    marks: dict[str, dict[str, Whole]]


class ProtestView(View):
    """A protest against the award, its reason for the regulator and its answer for everybody."""

    id: str
    code: str
    state: Literal["filed", "upheld", "dismissed", "moot"]
    remedy: str | None
    answer: str | None
    round: Whole
    due_us: Whole
    late: bool
    time_us: Whole

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def words(self) -> Said:
        """Where the protest stands."""
        return _said(PROTESTS[self.state])


class TenderDetail(TenderView):
    """The whole of a tender that the public may see."""

    questions: list[QuestionView]
    envelopes: list[StandingView]
    shares: list[HandedView]
    marks: list[MarksView]
    protests: list[ProtestView]


class OwnEnvelopeView(View):
    """One of your envelopes."""

    bid_id: str
    digest: Digest
    index: Whole
    proposal: Digest | None
    filed_index: Whole | None
    state: Literal["standing", "replaced", "withdrawn", "cancelled"]
    time_us: Whole


class TendererView(View):
    """Your place on a tender."""

    tender: str
    code: str
    state: str
    hold: str
    deposit_fen: Whole
    index: Whole
    envelopes: list[OwnEnvelopeView]


class TenderExplanationView(View):
    """Why a bidder won or lost."""

    tender: str
    code: str
    result: Literal["won", "lost", "no_bid"]
    zh: str
    en: str


class SealedView(View):
    """All that holders and strangers need to open a tender (`pricing.sealed_bids.SealedLot`)."""

    algorithm: str
    bids: list[dict[str, Any]]
    committee: dict[str, Any]
    ends_at_us: Whole
    lot: str
    opens_at_us: Whole


class SignsView(View):
    """Signs of a rigged tender; None while it is not opened."""

    tender: str
    state: State
    signs: list[dict[str, Any]] | None


class HolderKeyPublished(Outcome):
    """Shares of tenders from here on are sealed to the party under this key."""

    party: str
    public: Digest


class TenderPublished(Outcome):
    """An asset is tendered, under this rule and committee; `terms` is sealed here, and shown to everybody."""

    id: str
    asset: str
    listing: str
    seller: str
    offer: OfferView
    rules: dict[str, Any]
    rulebook: RulebookView
    committee: dict[str, Any]
    committee_digest: Digest
    deposit_fen: Whole
    deadline_us: Whole
    opens_us: Whole
    ends_us: Whole
    qualification: list[str]
    again_of: str | None
    terms: Digest
    contract: StandingTermsView | None = None


class TenderHalted(Outcome):
    """Nobody joins or bids until the tender is resumed, by `resume_by_us`, or called off."""

    tender: str
    halted_us: Whole
    resume_by_us: Whole
    reason: Digest


class TenderResumed(Outcome):
    """The tender goes on: its times moved by what it stood still, and further where bidders would have too little left."""

    tender: str
    deadline_us: Whole
    opens_us: Whole
    ends_us: Whole


class TenderCancelled(Outcome):
    """The tender is called off; every deposit goes back."""

    tender: str
    reason: Digest


class TenderAsked(Outcome):
    """The question is before the supplier, who answers until `due_us`."""

    id: str
    tender: str
    question: Digest
    due_us: Whole


class TenderAnswered(Outcome):
    """The answer is there for everybody; `late` whether the time for it was over."""

    question: str
    tender: str
    answer: Digest
    late: bool


class TendererAdmitted(Outcome):
    """The deposit is held; `code` is what the bidder is called on this tender, `committee` the digest of who opens it."""

    code: str
    tender: str
    hold: str
    bidder: Digest
    committee: Digest
    facts: dict[str, Digest]
    deposit_fen: Whole
    purpose: str


class EnvelopeSealed(Outcome):
    """The envelope stands until the opening, in the place of `replaces`."""

    tender: str
    code: str
    bid_id: str
    digest: Digest
    proposal: Digest | None
    sealed: dict[str, Any]
    replaces: str | None = None


class EnvelopeWithdrawn(Outcome):
    """The envelope will not be opened."""

    tender: str
    code: str
    bid_id: str
    digest: Digest


class ProposalFiled(Outcome):
    """The proposal whose digest was sealed is there, for those who mark it."""

    tender: str
    code: str
    digest: Digest


class SharesVerified(Outcome):
    """The holder's shares are verified; `good` of the `needed` are in."""

    tender: str
    holder: str
    submissions: dict[str, dict[str, Any]]
    good: Whole
    needed: Whole


class AssessorsNamed(Outcome):
    """Who marks the bids in this round."""

    tender: str
    round: Whole
    assessors: list[str]


class TenderMarked(Outcome):
    """Your marks are in."""

    tender: str
    round: Whole
    assessor: str
    marks: dict[str, dict[str, Whole]]


class TenderProtested(Outcome):
    """The protest holds the settlement until it is decided."""

    tender: str
    protest: str
    code: str
    round: Whole
    due_us: Whole
    reason: Digest


class ProtestDecided(Outcome):
    """What was decided; `tender_state` and `round` are where the tender goes on, `moot` protests that have nothing left to be
    against.
    """

    tender: str
    protest: str
    decision: Literal["uphold", "dismiss"]
    remedy: Literal["rescore", "annul"] | None
    answer: Digest
    late: bool
    moot: list[str]
    round: Whole
    pay_by_us: Whole | None
    tender_state: State
