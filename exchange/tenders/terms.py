"""On what terms something is tendered: the published rule, the committee that opens it, its times; and its clarifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Scope, Transaction, plain
from exchange.contracting import standing
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.listings import Offer, create_listing, refused_terms
from exchange.parties import require_active
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.tables import HolderKey, Listing, Party, Tender, TenderQuestion
from pricing.auctions import Criterion, ScoringRules
from pricing.errors import PricingError
from pricing.sealed_bids import Committee

WORDS_CHARACTERS = 2000
UNAWARDED = ("failed", "cancelled", "annulled", "defaulted")
"""States of a tender that came to nothing; its asset may be tendered again."""


@dataclass(frozen=True, slots=True)
class PublishHolderKey(Act):
    """Say under which public key (hex) shares are sealed to the calling party from now on."""

    public: str


async def publish_holder_key(tx: Transaction, act: PublishHolderKey) -> Record:
    """Keep a holder's public key for the tenders that are published after it; those before go on under the key they name."""
    require_active(await tx.find(Party, tx.caller.party, "party"))
    try:
        Committee(1, ((tx.caller.party, bytes.fromhex(act.public)),))
    except (PricingError, ValueError) as refused:
        raise Unprocessable(
            "holder.key",
            str(refused),
            field="public",
            rule="a point of prime order of the Ed25519 group, 32 bytes as 64 hex digits",
            remedy="copy the whole public key as `exchange holder keygen` printed it",
        ) from refused
    known = await tx.session.get(HolderKey, tx.caller.party)
    if known is None:
        await tx.insert(HolderKey(party=tx.caller.party, public=act.public, log_index=tx.index))
    else:
        known.public, known.log_index = act.public, tx.index
    return Record("holder_key", {"party": tx.caller.party, "public": act.public, "state": "published"})


@dataclass(frozen=True, slots=True)
class ScoringRule:
    """The published rule of a tender that sells: the higher price is better. Weights are millionths and sum to one."""

    price_weight_ppm: int
    criteria: tuple[Criterion, ...] = ()
    floor_fen: int = 1
    drop_extremes: bool = False

    def complete(
        self, ceiling_fen: int | None, least_bidders: int, assessors: tuple[str, ...]
    ) -> ScoringRules:
        """The rule as pricing knows it, once its assessors are named; AuctionError for one that contradicts itself."""
        return ScoringRules(
            "higher",
            self.price_weight_ppm,
            self.criteria,
            assessors,
            ceiling_fen,
            self.floor_fen,
            least_bidders,
            self.drop_extremes,
        )


def rules_of(document: dict[str, Any], assessors: tuple[str, ...]) -> ScoringRules:
    """The rule that a publication states, with the assessors who were named since. Pure."""
    ceiling = document["ceiling_fen"]
    return ScoringRules(
        document["better"],
        int(document["price_weight_ppm"]),
        tuple(Criterion(name, int(weight), int(most)) for name, weight, most in document["criteria"]),
        assessors,
        None if ceiling is None else int(ceiling),
        int(document["floor_fen"]),
        int(document["least_bidders"]),
        document["drop_extremes"],
    )


def committee_of(document: dict[str, Any]) -> Committee:
    """The committee that a publication states. Pure."""
    return Committee.from_json({**document, "threshold": int(document["threshold"])})


@dataclass(frozen=True, slots=True)
class PublishTender(Act):
    """Tender one grant; times in microseconds of the market's clock, `offer.price_fen` is the estimate.

    `holders` are parties whose published keys seal the bids, `threshold` how many of them open; `again_of` names the tender
    that came to nothing before; `terms` is what the supplier says of it, for everybody.
    """

    scope: ClassVar[Scope] = "trade"
    asset: str
    offer: Offer
    rule: ScoringRule
    holders: tuple[str, ...]
    threshold: int
    deposit_fen: int
    deadline_us: int
    opens_us: int
    terms: str
    qualification: tuple[str, ...] = ()
    again_of: str | None = None


async def publish_tender(tx: Transaction, act: PublishTender) -> Record:
    """List an asset as a tender (supplier); refuses terms outside the rulebook by clause."""
    rules = await rulebook.in_force(tx)
    listing, _ = await create_listing(tx, act.asset, act.offer, "tender", rules)
    check_tender(act, tx.now_us, rules)
    check_words("terms", act.terms)
    await _check_again(tx, act)
    committee = await _committee(tx, act)
    least = rules.value("tender.bidders_at_least")
    try:
        # Who assesses is named once the bidders are known; the rule has to hold for as many as have to be named.
        waiting = tuple(f"assessor {n}" for n in range(max(4, rules.value("tender.assessors_at_least"))))
        scoring = act.rule.complete(act.offer.ceiling_fen, least, waiting).to_json()
    except PricingError as refused:
        raise refused_terms(refused) from refused
    del scoring["assessors"]
    tender = Tender(
        id=tx.identifier("tdr"),
        listing=listing.id,
        estimate_fen=act.offer.price_fen,
        deposit_fen=act.deposit_fen,
        rules=plain(scoring),
        committee=plain(committee.to_json()),
        qualification=list(act.qualification),
        terms=tx.seal(act.terms),
        again_of=act.again_of,
        deadline_us=act.deadline_us,
        opens_us=act.opens_us,
        ends_us=act.opens_us + rules.value("tender.opening_within_us"),
        state="published",
        screened=False,
        round=1,
        log_index=tx.index,
    )
    await tx.insert(tender)
    return Record(
        "tender_published",
        {
            "again_of": tender.again_of,
            "asset": listing.asset,
            "committee": tender.committee,
            "committee_digest": committee.digest.hex(),
            "contract": standing(listing),
            "deadline_us": str(tender.deadline_us),
            "deposit_fen": str(tender.deposit_fen),
            "ends_us": str(tender.ends_us),
            "id": tender.id,
            "listing": listing.id,
            "offer": plain(act.offer),
            "opens_us": str(tender.opens_us),
            "qualification": list(tender.qualification),
            "rulebook": rules.reference(),
            "rules": tender.rules,
            "seller": listing.seller,
            "state": "published",
            "terms": tender.terms,
        },
        readers=sorted(set(act.holders) - {listing.seller}),
    )


def check_tender(act: PublishTender, now_us: int, rules: Rulebook) -> None:
    """Refuse a tender whose terms the rulebook does not allow. Pure; exact on both sides of each edge."""
    if act.offer.licences != 1:
        raise Unprocessable(
            "tender.licences",
            f"{act.offer.licences} licences",
            field="licences",
            rule="a tender awards one grant",
            remedy="offer one, or sell at a fixed price",
        )
    most = rules.value("tender.deposit_at_most_ppm")
    if act.deposit_fen < 1 or act.deposit_fen * 1_000_000 > act.offer.price_fen * most:
        raise Unprocessable(
            "tender.deposit",
            f"{act.deposit_fen} fen of an estimate of {act.offer.price_fen}",
            field="deposit_fen",
            rule=f"at most {most / 10_000:g} % of the estimate ({rules.cite('tender.deposit')})",
            remedy="lower the deposit",
        )
    days = rules.value("tender.open_at_least_days")
    if act.deadline_us - now_us < days * DAY_US:
        raise Unprocessable(
            "tender.open",
            f"{(act.deadline_us - now_us) // 1_000_000} s until the deadline",
            field="deadline_us",
            rule=f"bidders have {days} days or more ({rules.cite('tender.open')})",
            remedy="set a later deadline",
        )
    within_us = rules.value("tender.opened_after_deadline_within_us")
    if not act.deadline_us <= act.opens_us <= act.deadline_us + within_us:
        raise Unprocessable(
            "tender.opening",
            f"opened {act.opens_us - act.deadline_us} us after the deadline",
            field="opens_us",
            rule=f"bids are opened at the deadline, or within {within_us} us after it ({rules.cite('tender.opening')})",
            remedy="open it at the deadline",
        )
    holders, threshold = (rules.value(f"tender.{name}_at_least") for name in ("holders", "threshold"))
    if (
        len(set(act.holders)) != len(act.holders)
        or len(act.holders) < holders
        or not threshold <= act.threshold <= len(act.holders)
    ):
        raise Unprocessable(
            "tender.holders",
            f"{act.threshold} of {len(act.holders)} holders",
            field="threshold" if len(act.holders) >= holders else "holders",
            rule=f"{holders} holders or more, each once, {threshold} of whom or more open ({rules.cite('tender.holders')})",
            remedy="name more holders, or another threshold",
        )
    kinds = rules.words("parties.document_kinds")
    for kind in act.qualification:
        if kind not in kinds or act.qualification.count(kind) > 1:
            raise Unprocessable(
                "tender.qualification",
                kind,
                field="qualification",
                rule=f"each once of {', '.join(kinds)} ({rules.cite('tender.qualification')})",
                remedy="name kinds of documents that parties show",
            )


def check_words(field: str, text: str) -> None:
    """Refuse a text that says nothing, or too much. Pure."""
    if not text.strip() or len(text) > WORDS_CHARACTERS:
        raise Unprocessable(
            "tender.words",
            f"{len(text)} characters",
            field=field,
            rule=f"1 to {WORDS_CHARACTERS} characters",
            remedy="say it, in fewer words where there are too many",
        )


async def _check_again(tx: Transaction, act: PublishTender) -> None:
    """Refuse to come back as the next round of what is not this asset's, did not come to nothing, or has come back."""
    if act.again_of is None:
        return
    earlier = await tx.find(Tender, act.again_of, "tender")
    listing = await tx.find(Listing, earlier.listing, "listing")
    come = (await tx.session.execute(select(Tender.id).where(col(Tender.again_of) == earlier.id))).scalar()
    if listing.asset != act.asset:
        raise NotFound(
            "tender.unknown",
            f"no tender {act.again_of!r} of this asset",
            field="again_of",
            remedy="name an earlier tender of the same asset",
        )
    if earlier.state not in UNAWARDED or come is not None:
        raise Conflict(
            "tender.again",
            f"tender {earlier.id} is {earlier.state}" if come is None else f"it has come back as {come}",
            field="again_of",
            rule="what came to nothing is tendered again, once",
            remedy="publish a tender of its own, without again_of" if come is None else f"name {come}",
        )


async def _committee(tx: Transaction, act: PublishTender) -> Committee:
    """The holders with the keys that they published themselves; Conflict for one who has published none."""
    rows = await tx.session.execute(select(HolderKey).where(col(HolderKey.party).in_(act.holders)))
    keys = {row.party: bytes.fromhex(row.public) for row in rows.scalars()}
    missing = [party for party in act.holders if party not in keys]
    if missing:
        raise Conflict(
            "holder.no_key",
            f"{missing[0]} has published no key",
            field="holders",
            rule="a holder makes its key on its own machine and publishes the public half itself, before the tender",
            remedy="have it publish one (POST /v1/holder-keys), or name another holder",
        )
    try:
        return Committee(act.threshold, tuple((party, keys[party]) for party in act.holders))
    except PricingError as refused:
        raise refused_terms(refused) from refused


async def earlier_rounds(session: AsyncSession, tender: Tender) -> list[Tender]:
    """The tenders that came to nothing before this one, the newest first."""
    found: list[Tender] = []
    at = tender
    while at.again_of is not None:
        before = await session.get(Tender, at.again_of)
        assert before is not None
        found.append(before)
        at = before
    return found


def holders_of(tender: Tender) -> list[str]:
    """The parties that hold the tender's keys, in their order."""
    return [holder["name"] for holder in tender.committee["holders"]]


async def of_seller_or_regulator(tx: Transaction, name: str) -> tuple[Tender, Listing]:
    """A tender and its listing, for its supplier and a regulator."""
    tender = await tx.find(Tender, name, "tender")
    listing = await tx.find(Listing, tender.listing, "listing")
    if "regulator" not in tx.caller.roles and listing.seller != tx.caller.party:
        tx.caller.require("regulator")
    return tender, listing


def not_now(tender: Tender, state: str, rule: str, now_us: int) -> Conflict:
    """The problem of an act that comes too early or too late for its tender."""
    over = tender.state == "published" and tender.deadline_us <= now_us
    return Conflict(
        "tender.state",
        f"tender {tender.id} is {'past its deadline' if over else tender.state}",
        field="tender",
        rule=rule,
        remedy=f"look at the tender: this is for one that is {state}",
    )


def before_deadline(tender: Tender, now_us: int) -> bool:
    """Whether a tender's deadline is still to come, as that of a halted one is, whose clock stands still."""
    return tender.state == "halted" or (tender.state == "published" and now_us < tender.deadline_us)


@dataclass(frozen=True, slots=True)
class AskTender(Act):
    """Ask what a tender's terms mean."""

    scope: ClassVar[Scope] = "trade"
    tender: str
    question: str


async def ask_tender(tx: Transaction, act: AskTender) -> Record:
    """Put a question before the supplier; who asked is told nobody but the regulator.

    Conflict in the last days before the deadline, whose answer would come too late.
    """
    require_active(await tx.find(Party, tx.caller.party, "party"))
    rules = await rulebook.in_force(tx)
    tender = await tx.find(Tender, act.tender, "tender")
    check_words("question", act.question)
    days = rules.value("tender.questions_until_days_before")
    if tender.state == "halted":
        raise not_now(tender, "published", "a halted tender takes no questions", tx.now_us)
    if tender.state != "published" or tx.now_us > tender.deadline_us - days * DAY_US:
        raise Conflict(
            "tender.question_late",
            f"tender {tender.id} takes no more questions",
            field="tender",
            rule=f"questions come {days} days or more before the deadline ({rules.cite('tender.question_late')})",
            remedy="read what was answered to others",
        )
    row = TenderQuestion(
        id=tx.identifier("tdq"),
        tender=tender.id,
        question=tx.seal(act.question),
        due_us=tx.now_us + rules.value("tender.answered_within_days") * DAY_US,
        late=False,
        time_us=tx.now_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "tender_asked",
        {
            "due_us": str(row.due_us),
            "id": row.id,
            "question": row.question,
            "state": "asked",
            "tender": tender.id,
        },
    )


@dataclass(frozen=True, slots=True)
class AnswerTender(Act):
    """Answer a question, for everybody to read."""

    scope: ClassVar[Scope] = "trade"
    tender: str
    question: str
    answer: str


async def answer_tender(tx: Transaction, act: AnswerTender) -> Record:
    """Answer to all at once, before the deadline (its supplier); the state says whether it came in time."""
    tender = await tx.session.get(Tender, act.tender)
    row = await tx.session.get(TenderQuestion, act.question)
    listing = None if tender is None else await tx.session.get(Listing, tender.listing)
    if (
        tender is None
        or row is None
        or row.tender != tender.id
        or listing is None
        or listing.seller != tx.caller.party
    ):
        raise NotFound(
            "question.unknown",
            f"no question {act.question!r} of a tender of yours",
            field="question",
            remedy="check the identifier",
        )
    check_words("answer", act.answer)
    if row.answer is not None or not before_deadline(tender, tx.now_us):
        raise Conflict(
            "question.over",
            "this question is answered" if row.answer is not None else "the deadline is over",
            field="question",
            rule="a question is answered once, before the deadline",
            remedy="none: what was answered stands for all bidders alike",
        )
    row.answer, row.late = tx.seal(act.answer), tx.now_us > row.due_us
    return Record(
        "tender_answered",
        {
            "answer": row.answer,
            "late": row.late,
            "question": row.id,
            "state": "answered",
            "tender": tender.id,
        },
    )
