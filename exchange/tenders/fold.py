"""Decide every tender again from the bodies of the log alone: who was in time, whose share was forged, what each envelope says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange.errors import ExchangeError
from exchange.listings import Offer
from exchange.money import DEPOSITS, FEES, treasury
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.settlement import forfeit
from exchange.tenders.envelopes import check_envelope
from exchange.tenders.opening import faults_of, opened_of, placeholder, submissions_of, valid
from exchange.tenders.orders import moved_by_us
from exchange.tenders.protests import pay_by_us
from exchange.tenders.scoring import (
    check_assessors,
    check_marks,
    clocks,
    complete,
    marks_of,
    replayed_award,
)
from exchange.tenders.screening import found_of
from exchange.tenders.terms import (
    UNAWARDED,
    PublishTender,
    ScoringRule,
    check_tender,
    committee_of,
    rules_of,
)
from ledger.postings import Transfer
from pricing.auctions import Criterion
from pricing.errors import PricingError
from pricing.sealed_bids import Committee, SealedBid


@dataclass(slots=True)
class Sealed:
    """An envelope as the log has it: the bid, where it stands, and the digest of what is marked."""

    bid: SealedBid
    index: int
    proposal: str | None
    filed: bool = False


@dataclass(slots=True)
class TenderState:
    """A tender as the log tells it."""

    asset: str
    seller: str
    listing: str
    rules: dict[str, Any]
    committee: Committee
    deposit_fen: int
    deadline_us: int
    opens_us: int
    ends_us: int
    again_of: str | None
    state: str = "published"
    halted_us: int = 0
    resume_by_us: int = 0
    holds: dict[str, str] = field(default_factory=dict)  # code: hold
    bidders: dict[str, str | None] = field(default_factory=dict)  # code: party, None where erased
    purposes: dict[str, str] = field(default_factory=dict)  # code: what the bidder stated
    gone: set[str] = field(default_factory=set)  # codes whose deposits are held no more
    envelopes: dict[str, Sealed] = field(default_factory=dict)  # code: the one that stands
    shares: dict[str, Any] = field(default_factory=dict)  # holder: what it handed in
    opened: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Mapping[str, str]] = field(default_factory=dict)  # code: commitments of who bids
    mixed: dict[str, list[str]] = field(default_factory=dict)  # code: whose envelopes it handed in
    round: int = 1
    assessors: list[str] = field(default_factory=list)
    marks: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)  # assessor: code: criterion
    winner: str | None = None  # by code
    price_fen: int = 0
    protest_until_us: int = 0
    pay_by_us: int = 0
    protests: dict[str, str] = field(default_factory=dict)  # those that wait: by which code

    @property
    def holders(self) -> list[str]:
        return [name for name, _ in self.committee.holders]

    def before_deadline(self, time_us: int) -> bool:
        """Whether its deadline is still to come, as that of a halted one is."""
        return self.state == "halted" or (self.state == "published" and time_us < self.deadline_us)

    def standing(self) -> list[Sealed]:
        """The envelopes that stand, in log order."""
        return sorted(self.envelopes.values(), key=lambda one: one.index)

    def owed(self) -> set[str]:
        """Codes whose deposits go back now."""
        held = set(self.holds) - self.gone
        if self.state in ("published", "halted"):
            return set()
        if self.state in ("opening", "opened", "awarded"):
            return held - set(self.envelopes)
        return held - {self.winner} if self.state in ("settled", "defaulted") else held


@dataclass(frozen=True, slots=True)
class Told:
    """One entry about a tender."""

    index: int
    kind: str
    act: Mapping[str, Any]
    party: str | None
    by: str
    time_us: int
    transfers: Sequence[Transfer]
    rules: Rulebook


class Fold:
    """Folds entries in log order. `differ` is told where an entry says other than follows, `count` what was decided again,
    `unjudged` of what an erased opening keeps from being judged; `opened` maps a commitment to what it hides.
    """

    def __init__(
        self,
        differ: Callable[[int, str, object, object], None],
        count: Callable[[str], None],
        unjudged: Callable[[], None],
        opened: Mapping[str, str],
    ) -> None:
        self.tenders: dict[str, TenderState] = {}
        self.keys: dict[str, str] = {}
        self._differ, self._count, self._unjudged, self._openings = differ, count, unjudged, opened

    def take(self, told: Told) -> None:
        """Take one entry in; a refusal too, where it follows from the log."""
        judge = _JUDGES[told.kind]
        if told.act["state"] != "refused" or told.kind in _REFUSALS:
            judge(self, told)

    def of_listing(self, listing: str) -> bool:
        """Whether a listing is a tender's."""
        return any(one.listing == listing for one in self.tenders.values())

    def holder_key(self, told: Told) -> None:
        self.keys[told.act["party"]] = told.act["public"]

    def tender_published(self, told: Told) -> None:
        act, offer = told.act, told.act["offer"]
        ceiling = offer["ceiling_fen"]
        committee = committee_of(act["committee"])
        rule = act["rules"]
        asked = PublishTender(
            act["asset"],
            Offer(
                offer["grant"],
                int(offer["licences"]),
                int(offer["term_days"]),
                int(offer["price_fen"]),
                None if ceiling is None else int(ceiling),
                offer["reason"],
            ),
            ScoringRule(
                int(rule["price_weight_ppm"]),
                tuple(Criterion(name, int(weight), int(most)) for name, weight, most in rule["criteria"]),
                int(rule["floor_fen"]),
                rule["drop_extremes"],
            ),
            tuple(name for name, _ in committee.holders),
            committee.threshold,
            int(act["deposit_fen"]),
            int(act["deadline_us"]),
            int(act["opens_us"]),
            "",
            tuple(act["qualification"]),
            act["again_of"],
        )
        try:
            check_tender(asked, told.time_us, told.rules)
        except ExchangeError as problem:
            self._differ(told.index, f"terms of {act['id']}", "published", problem.code)
        published = {name: self.keys.get(name) for name, _ in committee.holders}
        named = {name: public.hex() for name, public in committee.holders}
        if named != published or act["committee_digest"] != committee.digest.hex():
            self._differ(told.index, f"committee of {act['id']}", named, published)
        earlier = None if act["again_of"] is None else self.tenders.get(act["again_of"])
        if act["again_of"] is not None and (earlier is None or earlier.state not in UNAWARDED):
            self._differ(told.index, f"return of {act['again_of']}", "published", earlier and earlier.state)
        if (ceiling, rule["least_bidders"]) != (
            rule["ceiling_fen"],
            str(told.rules.value("tender.bidders_at_least")),
        ):
            self._differ(told.index, f"rule of {act['id']}", rule, "the offer's ceiling and the law's number")
        self.tenders[act["id"]] = TenderState(
            act["asset"],
            act["seller"],
            act["listing"],
            dict(rule),
            committee,
            int(act["deposit_fen"]),
            int(act["deadline_us"]),
            int(act["opens_us"]),
            int(act["ends_us"]),
            act["again_of"],
        )
        self._count("tenders")

    def tender_cancelled(self, told: Told) -> None:
        tender = self._of(told)
        early = told.by == "clock" and (tender.state != "halted" or told.time_us <= tender.resume_by_us)
        if early or not tender.before_deadline(told.time_us):
            self._differ(told.index, f"end of {told.act['tender']}", "cancelled", tender.state)
        tender.state = "cancelled"

    def tender_halted(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        by_us = told.time_us + told.rules.value("tender.resume_within_days") * DAY_US
        halted = tender.state == "published" and tender.before_deadline(told.time_us)
        if not halted or int(act["resume_by_us"]) != by_us:
            self._differ(told.index, f"halt of {act['tender']}", act["resume_by_us"], by_us)
        tender.state, tender.halted_us, tender.resume_by_us = "halted", told.time_us, by_us
        self._count("halts")

    def tender_resumed(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        by_us = moved_by_us(tender.deadline_us, tender.halted_us, told.time_us, told.rules)
        times = [tender.deadline_us + by_us, tender.opens_us + by_us, tender.ends_us + by_us]
        logged = [int(act[name]) for name in ("deadline_us", "opens_us", "ends_us")]
        if tender.state != "halted" or told.time_us > tender.resume_by_us or logged != times:
            self._differ(told.index, f"resumption of {act['tender']}", logged, times)
        tender.state = "published"
        tender.deadline_us, tender.opens_us, tender.ends_us = times

    def tenderer(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        if tender.state != "published" or told.time_us >= tender.deadline_us:
            self._differ(told.index, f"bidder {act['code']}", "admitted", tender.state)
        if act["committee"] != tender.committee.digest.hex():
            self._differ(
                told.index, f"committee told {act['code']}", act["committee"], tender.committee.digest.hex()
            )
        tender.holds[act["code"]] = act["hold"]
        tender.bidders[act["code"]] = self._openings.get(act["bidder"])
        tender.purposes[act["code"]] = act["purpose"]
        tender.facts[act["code"]] = act["facts"]
        held = [t for t in told.transfers if t.kind == "pending" and t.id == act["hold"]]
        if len(held) != 1 or held[0].amount != tender.deposit_fen or held[0].credit != DEPOSITS:
            self._differ(
                told.index, f"deposit of {act['code']}", [t.amount for t in held], tender.deposit_fen
            )
        self._count("deposits")

    def tender_envelope(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        bid = SealedBid.from_json(act["sealed"])
        logged = act["reason"]["code"] if act["state"] == "refused" else "sealed"
        replayed = logged if logged not in _FOLLOWS else "sealed"
        if act["code"] not in tender.holds:
            replayed = "tenderer.unknown"
        elif logged in _FOLLOWS and tender.state == "halted":
            replayed = "envelope.halted"
        elif logged in _FOLLOWS:
            try:
                check_envelope(
                    bid,
                    act["tender"],
                    act["code"],
                    tender.committee,
                    tender.deadline_us,
                    told.time_us,
                    told.rules,
                )
                replayed = "sealed" if tender.state == "published" else "envelope.late"
            except ExchangeError as problem:
                replayed = problem.code
        if logged != replayed or act["digest"] != bid.digest:
            self._differ(told.index, f"envelope of {act['code']}", logged, replayed)
        if act["state"] != "refused":
            tender.envelopes[act["code"]] = Sealed(bid, told.index, act["proposal"])
        elif logged == "envelope.code":
            tender.mixed.setdefault(act["code"], []).append(bid.context.code)
        self._count("envelopes")

    def tender_withdrawn(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        over = not tender.before_deadline(told.time_us)
        if over != (act["state"] == "refused") or act["code"] not in tender.envelopes:
            self._differ(told.index, f"withdrawal of {act['code']}", act["state"], tender.state)
        if act["state"] != "refused":
            tender.envelopes.pop(act["code"], None)

    def stopped(self, index: int, envelopes: Sequence[Mapping[str, str]], time_us: int) -> None:
        """The envelopes that a kill switch took back."""
        for one in envelopes:
            tender = self.tenders[one["tender"]]
            if not tender.before_deadline(time_us) or tender.envelopes.pop(one["code"], None) is None:
                self._differ(index, f"envelope of {one['code']}", "cancelled", tender.state)

    def tender_closed(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        if tender.state != "published" or told.time_us < tender.deadline_us:
            self._differ(told.index, f"close of {act['tender']}", told.time_us, tender.deadline_us)
        standing = [
            {
                "bid_id": one.bid.context.bid_id,
                "code": one.bid.context.code,
                "digest": one.bid.digest,
                "index": str(one.index),
                "proposal": one.proposal,
            }
            for one in tender.standing()
        ]
        self._end(told, tender, "opening", self._failure(tender, len(standing)))
        if act["envelopes"] != standing:
            self._differ(told.index, f"envelopes of {act['tender']}", act["envelopes"], standing)

    @staticmethod
    def _failure(tender: TenderState, count: int) -> str | None:
        return "too_few_bidders" if count < int(tender.rules["least_bidders"]) else None

    def _end(self, told: Told, tender: TenderState, state: str, failure: str | None) -> None:
        tender.state = state if failure is None else "failed"
        logged, replayed = (told.act["state"], told.act["failure"]), (tender.state, failure)
        if logged != replayed:
            self._differ(told.index, f"{told.kind} of {told.act['tender']}", logged, replayed)

    def tender_shares(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        if (
            act["holder"] not in tender.holders
            or act["holder"] != told.party
            or tender.state != "opening"
            or not tender.opens_us <= told.time_us < tender.ends_us
        ):
            self._differ(told.index, f"shares of {act['holder']}", "handed in", tender.state)
            return
        submissions = submissions_of(act["submissions"])
        number = tender.holders.index(act["holder"]) + 1
        faults = faults_of([one.bid for one in tender.standing()], tender.committee, number, submissions)
        if act.get("faults", []) != faults or (act["state"] == "refused") is not bool(faults):
            self._differ(told.index, f"shares of {act['holder']}", act.get("faults", []), faults)
        if not faults:
            tender.shares[act["holder"]] = submissions
        self._count("shares")

    def tender_opened(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        enough = len(tender.shares) >= tender.committee.threshold
        if tender.state != "opening" or not (enough or told.time_us >= tender.ends_us):
            self._differ(told.index, f"opening of {act['tender']}", act["holders"], list(tender.shares))
        rows = opened_of(
            [one.bid for one in tender.standing()],
            tender.committee,
            rules_of(tender.rules, placeholder(tender.rules)),
            list(tender.shares.values()),
        )
        if (act["envelopes"], act["holders"]) != (rows, list(tender.shares)):
            self._differ(told.index, f"opening of {act['tender']}", act["envelopes"], rows)
        tender.opened = rows
        failure = "not_opened" if not enough else self._failure(tender, valid(rows))
        self._end(told, tender, "opened", failure)
        self._count("openings of tenders")

    def tender_screened(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        commitments = [sealed for facts in tender.facts.values() for sealed in facts.values()]
        if any(sealed not in self._openings for sealed in commitments):
            self._unjudged()
            return
        found = found_of(
            [(code, facts, tender.mixed.get(code, ())) for code, facts in tender.facts.items()],
            self._openings,
            {code: one.proposal for code, one in tender.envelopes.items()},
            tender.opened,
        )
        if act["signs"] != list(found):
            self._differ(told.index, f"signs of {act['tender']}", act["signs"], list(found))
        self._count("screens")

    def tender_assessors(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        if tender.state != "opened" or tender.marks or int(act["round"]) != tender.round:
            self._differ(told.index, f"assessors of {act['tender']}", "named", tender.state)
        try:
            check_assessors(act["assessors"], told.rules)
        except ExchangeError as problem:
            self._differ(told.index, f"assessors of {act['tender']}", "named", problem.code)
        tender.assessors = list(act["assessors"])

    def tender_marked(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        marks = marks_of(act["marks"])
        if (
            tender.state != "opened"
            or act["assessor"] not in tender.assessors
            or act["assessor"] in tender.marks
        ):
            self._differ(told.index, f"marks of {act['assessor']}", "marked", tender.state)
        try:
            check_marks(tender.opened, tender.rules, marks)
        except ExchangeError as problem:
            self._differ(told.index, f"marks of {act['assessor']}", "marked", problem.code)
        tender.marks[act["assessor"]] = marks
        self._count("marks")

    def tender_awarded(self, told: Told) -> None:
        """Let the published rule decide again, from the opened envelopes and the logged marks."""
        act, tender = told.act, self._of(told)
        if tender.state != "opened" or not complete(tender.rules, tender.assessors, tender.marks):
            self._differ(told.index, f"award of {act['tender']}", "awarded", tender.state)
        sequence = {one.bid.digest: one.index for one in tender.envelopes.values()}
        again = replayed_award(tender.rules, tender.assessors, tender.opened, sequence, tender.marks)
        if isinstance(again, PricingError):
            self._differ(told.index, f"award of {act['tender']}", act["outcome"]["digest"], again)
            return
        outcome, found = again
        if (act["outcome"]["digest"], act["scores"]) != (outcome.digest, found):
            self._differ(told.index, f"award of {act['tender']}", act["outcome"]["digest"], outcome.digest)
        self._end(told, tender, "awarded", "too_few_bidders" if not outcome.allocation else None)
        if outcome.allocation:
            tender.winner, tender.price_fen = outcome.allocation[0].code, outcome.allocation[0].price_fen
            tender.protest_until_us, tender.pay_by_us = clocks(told.time_us, told.rules)
            said = (act["protest_until_us"], act["pay_by_us"])
            if said != (str(tender.protest_until_us), str(tender.pay_by_us)):
                self._differ(told.index, f"clocks of {act['tender']}", said, tender.protest_until_us)
        self._count("awards of tenders")

    def tender_protested(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        waiting = act["code"] in tender.protests.values()
        if tender.state != "awarded" or told.time_us >= tender.protest_until_us or waiting:
            self._differ(told.index, f"protest of {act['code']}", "filed", tender.state)
        tender.protests[act["protest"]] = act["code"]
        self._count("protests")

    def tender_protest_decided(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        if tender.state != "awarded" or tender.protests.pop(act["protest"], None) is None:
            self._differ(told.index, f"decision of {act['protest']}", act["state"], tender.state)
        if act["state"] == "upheld":
            moot = list(tender.protests)
            tender.winner, tender.price_fen, tender.protests = None, 0, {}
            if act["remedy"] == "annul":
                tender.state = "annulled"
            else:
                tender.state, tender.round = "opened", tender.round + 1
                tender.assessors, tender.marks = [], {}
        else:
            moot = []
            days = told.rules.value("tender.paid_within_days")
            tender.pay_by_us = pay_by_us(tender.pay_by_us, told.time_us, days)
        logged = (act["moot"], act["tender_state"], act["round"])
        replayed = (moot, tender.state, str(tender.round))
        if logged != replayed:
            self._differ(told.index, f"decision of {act['protest']}", logged, replayed)

    def tender_settled(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        voucher = act["voucher"]
        self._require_final(told, tender)
        party = tender.bidders.get(tender.winner or "")
        if int(voucher["price_fen"]) != tender.price_fen or (party or voucher["buyer"]) != voucher["buyer"]:
            self._differ(
                told.index,
                f"settlement of {act['tender']}",
                (voucher["buyer"], voucher["price_fen"]),
                (party, tender.price_fen),
            )
        tender.state = "settled"
        tender.gone.add(tender.winner or "")

    def tender_defaulted(self, told: Told) -> None:
        """Forfeit the deposit again: the time was over, and what goes where is what the rules say."""
        act, tender = told.act, self._of(told)
        self._require_final(told, tender)
        if told.time_us < tender.pay_by_us:
            self._differ(told.index, f"default on {act['tender']}", told.time_us, tender.pay_by_us)
        taken = forfeit(tender.deposit_fen, tender.price_fen, told.rules)
        moved = [(t.kind, t.pending, t.credit, t.amount) for t in told.transfers]
        expected: list[tuple[str, str | None, str, int]] = [
            ("post_pending", tender.holds.get(tender.winner or ""), DEPOSITS, tender.deposit_fen)
        ]
        expected += [
            ("post", None, account, fen)
            for account, fen in ((FEES, taken.costs_fen), (treasury(tender.seller), taken.kept_fen))
            if fen
        ]
        if moved != expected or act["code"] != tender.winner:
            self._differ(told.index, f"forfeit of {act['tender']}", moved, expected)
        tender.state = "defaulted"
        tender.gone.add(tender.winner or "")
        self._count("defaults")

    def _require_final(self, told: Told, tender: TenderState) -> None:
        if tender.state != "awarded" or told.time_us < tender.protest_until_us or tender.protests:
            self._differ(told.index, f"{told.kind} of {told.act['tender']}", "final", tender.state)

    def tender_deposit_released(self, told: Told) -> None:
        act, tender = told.act, self._of(told)
        hold = tender.holds.get(act["code"]) if act["code"] in tender.owed() else None
        freed = [t.pending for t in told.transfers if t.kind == "void_pending"]
        if freed != [hold]:
            self._differ(told.index, f"deposit of {act['code']}", freed, hold)
        tender.gone.add(act["code"])

    def tender_proposal(self, told: Told) -> None:
        """What is marked is what was sealed: the file's digest is the envelope's, once, between opening and award."""
        act, tender = told.act, self._of(told)
        envelope = tender.envelopes.get(act["code"])
        sealed = None if envelope is None else envelope.proposal
        if envelope is None or envelope.filed or tender.state != "opened" or act["digest"] != sealed:
            self._differ(told.index, f"proposal of {act['code']}", act["digest"], sealed)
        if envelope is not None:
            envelope.filed = True
        self._count("proposals")

    def said(self, told: Told) -> None:
        """What is only said: nothing follows from it."""

    def _of(self, told: Told) -> TenderState:
        return self.tenders[told.act["tender"]]


_FOLLOWS = frozenset({"sealed", "envelope.halted", "envelope.late", "envelope.code", "envelope.seal"})
"""What follows of an envelope from the log alone; what else a refusal may say lies in the party's own state."""

_REFUSALS = frozenset({"tender_envelope", "tender_withdrawn", "tender_shares"})

_JUDGES: Mapping[str, Callable[[Fold, Told], None]] = {
    "holder_key": Fold.holder_key,
    "tender_published": Fold.tender_published,
    "tender_halted": Fold.tender_halted,
    "tender_resumed": Fold.tender_resumed,
    "tender_cancelled": Fold.tender_cancelled,
    "tender_asked": Fold.said,
    "tender_answered": Fold.said,
    "tenderer": Fold.tenderer,
    "tender_envelope": Fold.tender_envelope,
    "tender_withdrawn": Fold.tender_withdrawn,
    "tender_closed": Fold.tender_closed,
    "tender_shares": Fold.tender_shares,
    "tender_opened": Fold.tender_opened,
    "tender_proposal": Fold.tender_proposal,
    "tender_screened": Fold.tender_screened,
    "tender_assessors": Fold.tender_assessors,
    "tender_marked": Fold.tender_marked,
    "tender_awarded": Fold.tender_awarded,
    "tender_protested": Fold.tender_protested,
    "tender_protest_decided": Fold.tender_protest_decided,
    "tender_settled": Fold.tender_settled,
    "tender_defaulted": Fold.tender_defaulted,
    "tender_deposit_released": Fold.tender_deposit_released,
}

TENDER_KINDS = frozenset(_JUDGES)
