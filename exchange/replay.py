"""Fold the log into states and decide everything again: every bid, award, split and balance, from bodies alone.

Uses the rooms' pure rules (`registration.path`, `pricing.auctions`, `settlement.split`, `ledger.postings`) and
touches no database, so a regulator's laptop reaches the same market as ours, or says at which entry it parts.
Where an opening was erased, what hangs on it is counted as not judged, never as agreed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path as FilePath
from typing import Any

import orjson

from exchange import (
    auctions,
    complaints,
    contracting,
    contracts,
    controls,
    delivery,
    demands,
    discounts,
    inquiries,
    metering,
    ratings,
    revenue,
    rulebook,
    signing,
    usecases,
)
from exchange.acceptance import WINDOW, Delivered, window_ends_us
from exchange.acts import plain
from exchange.contracts import Use
from exchange.contributions import values_of
from exchange.deletion import WITHIN, Duty
from exchange.desensitization import grade as grading
from exchange.desensitization.grade import Opening
from exchange.errors import ExchangeError, Malformed
from exchange.listings import Offer, check_offer, free
from exchange.mediation import DECISIONS, awarded_fen, covered
from exchange.money import BANK, DEPOSITS, FEES, treasury
from exchange.reconciliation import FINDINGS_SHOWN, Line, lines_of, reconcile
from exchange.registration.compliance import Assessed, objection
from exchange.registration.opening import narrowest
from exchange.registration.path import ENDS, PROCEDURE_KINDS, STEP_OF_KIND, Path
from exchange.registration.procedure import CONCLUSIONS, KINDS, Procedure
from exchange.registration.rights import Grant, held, require_permit, require_transfer
from exchange.rulebook.days import DAY_US
from exchange.settlement import Shares, chain, forfeit, refund, reversal, split
from exchange.tenders.fold import TENDER_KINDS, Fold, TenderState, Told
from ledger.audit.disclosed import bodies, openings
from ledger.postings import (
    Account,
    KnownTransfer,
    Pending,
    Posted,
    Transfer,
    decide,
    transfer_from_json,
    transfer_to_json,
)
from pricing import negotiation
from pricing.auctions import Allotment, AscendingRules, Rejected, Standing, admit, award, open_standing
from pricing.auctions import Bid as PricedBid
from pricing.discount import Buyer as Alike
from pricing.discount import Discount, best
from pricing.errors import PricingError
from pricing.metering import Meter, OverQuota, use
from pricing.money import MICRO_PER_FEN
from pricing.negotiation import Move, Side
from pricing.negotiation import Standing as Offered
from pricing.regulated import excess_after


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that the replay decides otherwise than the log says."""

    index: int
    what: str
    logged: str
    replayed: str


@dataclass(slots=True)
class LotState:
    """A lot as the log tells it."""

    rules: AscendingRules
    asset: str
    seller: str
    deposit_fen: int
    standing: Standing
    deal: tuple[str, str, str] = ("", "", "")  # grant, licences, term
    state: str = "open"
    settled: bool = False
    draw: tuple[str, str] | None = None  # name and commitment
    nonces: dict[str, str] = field(default_factory=dict)  # code: the bidder's part of the draw
    purposes: dict[str, str] = field(default_factory=dict)  # code: what the bidder stated
    priority_parties: tuple[str, ...] = ()
    again_of: str | None = None
    allotted: Allotment | None = None
    halted_us: int = 0
    resume_by_us: int = 0
    over_us: int = 0  # when it came to nothing
    pay_by_us: int = 0
    kept_fen: int = 0  # of a forfeited deposit
    gap_fen: int = 0
    gone: set[str] = field(default_factory=set)  # codes whose deposits are held no more
    holds: dict[str, str] = field(default_factory=dict)  # code: hold
    bidders: dict[str, str | None] = field(default_factory=dict)  # code: party, None where erased
    owed: dict[str, str] = field(default_factory=dict)  # code: hold that has to go back after the close
    book: list[PricedBid] = field(default_factory=list)


@dataclass(slots=True)
class NegotiationState:
    """What is on the table between a buyer and the seller of a listing."""

    listing: str
    buyer: str
    on_table: Offered
    index: int  # of its entry
    signed: bool  # by the buyer
    purpose: str
    state: str = "open"


@dataclass(slots=True)
class SubscriptionState:
    """A metered licence: its meter and quota, and how much of it is used, settled and held."""

    asset: str
    seller: str
    buyer: str
    meter: Meter
    quota: int
    prepaid: bool
    hold: str | None
    hold_fen: int
    next_us: int
    ends_us: int
    agreed: rulebook.Rulebook
    used: int = 0
    settled: int = 0
    statements: int = 0
    state: str = "open"


@dataclass(slots=True)
class RevenueState:
    """A period of an asset's carry-over ledger."""

    starts_us: int
    ends_us: int
    allowed: revenue.Allowed
    excess_fen: int | None = None  # once it is closed


@dataclass(slots=True)
class FileState:
    """What was last assessed of an asset, who did so, and who approved it since, level by level."""

    declared: Opening
    opening: Opening | None = "closed"  # None where the log does not say it
    assessor: str = ""
    digests: tuple[str, str] = ("", "")
    parents: list[str] = field(default_factory=list)  # that it is derived from
    approvals: list[tuple[str, str]] = field(default_factory=list)  # approval, person


@dataclass(slots=True)
class ContractState:
    """A trade's contract: what it says, and the entries that have the signatures."""

    digest: str
    values: Mapping[str, str]
    signed: dict[str, int]  # side: entry
    ended: bool = False


@dataclass(slots=True)
class LicenceState:
    """A licence as the log tells it, and what was used of it."""

    trade: str
    state: str = "active"
    calls: int = 0
    bytes: int = 0
    links_ended: int = 0


@dataclass(slots=True)
class Replayed:
    """The market after the last entry, and where the log and its replay part (nowhere, in a sound log)."""

    size: int = 0
    origin: str = ""
    profile: str = ""
    rulebooks: list[tuple[int, rulebook.Rulebook]] = field(
        default_factory=list
    )  # in force from when, version
    rule_changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # proposed and undecided
    parties: dict[str, str] = field(default_factory=dict)  # party: state
    stopped: set[str] = field(default_factory=set)  # by themselves
    limits: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)  # party: sign above, limit
    signing_keys: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # id: party, public key
    party_accounts: dict[str, str | None] = field(default_factory=dict)
    holders: dict[str, list[tuple[int, tuple[tuple[str, int], ...]]]] = field(
        default_factory=dict
    )  # since, who
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)  # contributions that are not agreed yet
    agreed: dict[str, dict[str, Fraction]] = field(default_factory=dict)  # asset: what each department adds
    dividends: dict[str, str] = field(default_factory=dict)  # account: the holder that is known here
    proposals: dict[str, tuple[str, str, str]] = field(
        default_factory=dict
    )  # treasury payouts that wait: party, proposer, amount
    agreements: dict[tuple[str, str], tuple[int, int, int]] = field(
        default_factory=dict
    )  # share, from, until
    operators: dict[str, str | None] = field(default_factory=dict)  # asset: operator
    suppliers: dict[str, str] = field(default_factory=dict)  # asset: supplier
    purposes: dict[str, list[str]] = field(default_factory=dict)  # asset: what it is opened for
    codes: dict[str, str] = field(default_factory=dict)  # asset: registration code
    assets: dict[str, Path] = field(default_factory=dict)
    files: dict[str, FileState] = field(default_factory=dict)  # asset: what is assessed and approved of it
    applications: dict[str, Procedure] = field(default_factory=dict)
    compliance: dict[str, list[Assessed]] = field(default_factory=dict)  # asset: what providers found
    rights: dict[str, dict[str, Grant]] = field(default_factory=dict)  # asset: by identifier
    listings: dict[str, dict[str, Any]] = field(default_factory=dict)
    lots: dict[str, LotState] = field(default_factory=dict)
    negotiations: dict[str, NegotiationState] = field(default_factory=dict)
    tenders: dict[str, TenderState] = field(default_factory=dict)
    demands: dict[str, tuple[str, int]] = field(default_factory=dict)  # that stand: buyer, until when
    discounts: dict[str, list[Discount]] = field(default_factory=dict)  # listing: its register
    documents: dict[str, dict[str, tuple[str, int | None, bool]]] = field(
        default_factory=dict
    )  # party: digest: kind, end, whether it is accepted
    revenue: dict[str, list[RevenueState]] = field(default_factory=dict)  # asset: its carry-over ledger
    subscriptions: dict[str, SubscriptionState] = field(default_factory=dict)
    trades: dict[str, dict[str, Any]] = field(default_factory=dict)
    terms: dict[str, dict[str, str]] = field(default_factory=dict)  # listing: what it fills into its contract
    forms: dict[str, str] = field(default_factory=dict)  # listing: form of its contract
    standing: dict[str, tuple[int, str]] = field(
        default_factory=dict
    )  # listing: entry and key of its seller's signature
    contracts: dict[str, ContractState] = field(default_factory=dict)  # by trade
    licences: dict[str, LicenceState] = field(default_factory=dict)
    annulled: set[str] = field(default_factory=set)  # trades
    duties: dict[str, Duty] = field(default_factory=dict)  # licence: to delete at its end
    use_cases: dict[str, usecases.Notice] = field(default_factory=dict)
    inquiries: dict[str, tuple[int, bool]] = field(default_factory=dict)  # due, whether answered
    ratings: dict[str, tuple[int, int]] = field(default_factory=dict)  # licence: last entry, first time
    complaints: dict[str, tuple[int, str]] = field(default_factory=dict)  # due, state
    deliveries: dict[str, Delivered] = field(default_factory=dict)  # licence: where it stands
    draws: dict[str, str] = field(default_factory=dict)  # name: commitment
    accounts: dict[str, Account] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    judged: dict[str, int] = field(default_factory=dict)  # what: how many were decided again
    not_judged: int = 0


def replay(
    entries: Iterable[tuple[int, Mapping[str, Any]]], opened: Mapping[str, str] | None = None
) -> Replayed:
    """Fold `entries` (index and parsed body, in log order); `opened` maps a commitment to what it hides."""
    replaying = Replay()
    replaying.openings.update(opened or {})
    for index, body in entries:
        replaying.fold(index, body)
    return replaying.market


class Replay:
    """The market so far, entry by entry, and what deciding them again needs: open holds, and what is known by name."""

    def __init__(self) -> None:
        self.market = Replayed()
        self.openings: dict[str, str] = {}
        self._pendings: dict[str, Pending] = {}
        self._known: dict[str, KnownTransfer] = {}
        self._sequence = 1
        self._now_us = 0
        self._by = ""
        self._party = ""  # whose person that is; none where it is told by a code
        self._signed = False
        self._escrow: dict[str, Line] = {}  # what moved there that no statement of the bank has shown
        self._open_lines: list[Line] = []
        self._closing_fen = 0  # of the last statement
        self._settled: dict[str, list[Transfer]] = {}  # trade: what moved
        self._refunded: dict[str, list[Transfer]] = {}  # trade: what went back
        self._owed: dict[str, list[Transfer]] = {}  # trade: what is to go back
        self._tenders = Fold(self._differ, self._count, self._unjudged, self.openings)
        self.market.tenders = self._tenders.tenders
        self._bought: Counter[tuple[str, str]] = Counter()  # buyer and seller: trades that stand
        self._sold: list[tuple[str, int, int, str | None]] = []  # asset, when, for how much, trade

    def take(self, bundle: FilePath) -> None:
        """Take in what a bundle discloses; judge it with `ledger.audit` first: here it is taken at its word."""
        self.openings.update(openings(bundle))
        for index, body in bodies(bundle):
            self.fold(index, body)

    def fold(self, index: int, body: Mapping[str, Any]) -> None:
        """Take one entry in; one that cannot be read is a difference, and the next is taken in."""
        self.market.size = index + 1
        try:
            self._fold(index, body)
        except (LookupError, TypeError, ValueError) as error:
            self._differ(index, "entry", "readable", repr(error))

    def _fold(self, index: int, body: Mapping[str, Any]) -> None:
        """Its accounts and transfers, and what its kind says."""
        self._now_us, self._by = int(body["time"]), body["by"]
        self._party, self._signed = body.get("party", ""), "signed" in body
        for account in body.get("accounts", ()):
            self.market.accounts[account["id"]] = Account(
                account["id"], account["ledger"], account["code"], account["limit"]
            )
        transfers = [transfer_from_json(t) for t in body.get("transfers", ())]
        act = body["act"]
        kind = body["kind"]
        if "rulebook" in body:
            self._version(index, body["rulebook"])
        if "signed" in body:
            self._signature(index, body)
        if kind == "bid":
            self._bid(index, body)
        elif kind in TENDER_KINDS:
            self._tender(index, body, transfers)
        elif kind in _PATH_KINDS | KINDS:
            if kind in _PATH_KINDS:
                self._walk(index, kind, act)
            self._proceed(index, body)
        elif act["state"] != "refused" and kind in _ACCEPTANCE:
            self._deliver(index, kind, act, transfers)
        elif kind in _DELETION:
            self._delete(index, kind, act)
        elif kind in _USES:
            self._use(index, kind, act)
        elif act["state"] != "refused" and kind in _JUDGES:
            _JUDGES[kind](self, index, act, transfers)
        if act["state"] != "refused" and kind in _ORDERS:
            self._order(index, body["party"], _ORDERS[kind](act), signed="signed" in body)
        if kind == "withdrawn" and act["state"] != "refused":
            self._require_nothing_owed(index, body["party"])
        self._post(index, transfers)

    def _require_nothing_owed(self, index: int, party: str) -> None:
        """Who owes a refund takes no money out."""
        for trade in self._owed:
            if self.market.trades[trade]["seller"] == party:
                self._differ(index, f"payout of {party}", "paid", f"owes the refund of {trade}")

    def _differ(self, index: int, what: str, logged: object, replayed: object) -> None:
        self.market.differences.append(Difference(index, what, str(logged), str(replayed)))

    def _unjudged(self) -> None:
        self.market.not_judged += 1

    def _count(self, what: str) -> None:
        self.market.judged[what] = self.market.judged.get(what, 0) + 1

    def _post(self, index: int, transfers: Sequence[Transfer]) -> None:
        if not transfers:
            return
        decision = decide(
            self.market.accounts, self._pendings, self._known, transfers, self._sequence, self._now_us
        )
        for transfer, outcome in zip(transfers, decision.outcomes, strict=True):
            if not isinstance(outcome, Posted):
                self._differ(index, f"transfer {transfer.id}", "posted", outcome.reason)
        self.market.accounts.update(decision.accounts)
        self._pendings.update(decision.pendings)
        self._known.update(decision.known)
        self._sequence = decision.next_sequence
        self._count("transfers")

    def _walk(self, index: int, kind: str, act: Mapping[str, Any]) -> None:
        path = self.market.assets.get(act["asset"])
        try:
            if path is None:
                raise ExchangeError("asset.unknown", "an asset that was never declared")
            self.market.assets[act["asset"]] = path.follow(kind, act, index)
            if kind in STEP_OF_KIND:
                self._file(index, kind, act)
        except ExchangeError as problem:
            self._differ(index, f"step {kind} of {act['asset']}", "taken", problem.detail)
        self._count("steps")

    def _file(self, index: int, kind: str, act: Mapping[str, Any]) -> None:
        """What is assessed and approved: each level by another person, about what was assessed last, and all of them."""
        file = self.market.files[act["asset"]]
        if kind == "risk_assessed" or act.get("sent_back") is True or act["state"] == "returned":
            self._void(index, act, file)
        if kind == "risk_assessed" and "opening" in act:
            self._assessed(index, act, file)
        elif kind == "risk_assessed":
            file.opening = None
        if kind == "release_authorized" and act["state"] in ("approved", "authorized") and "level" in act:
            self._approved(index, act, file)

    def _void(self, index: int, act: Mapping[str, Any], file: FileState) -> None:
        """What stood before ends with an entry that says something new, and it names each."""
        ended = [approval for approval, _ in file.approvals]
        if act.get("voided", ended) != ended:
            self._differ(index, f"approvals of {act['asset']} that are void", act["voided"], ended)
        file.approvals, file.opening = [], "closed"

    def _assessed(self, index: int, act: Mapping[str, Any], file: FileState) -> None:
        widest = grading.opening(
            act["grade"], grading.Declared(**act["declared"]), about_persons=act["about_persons"]
        )
        above = [self.market.files[parent].opening for parent in file.parents]
        narrowed = narrowest(widest, file.declared, *(one for one in above if one is not None))
        if None in above:
            self.market.not_judged += 1
        elif act["opening"] != narrowed:
            self._differ(index, f"opening of {act['asset']}", act["opening"], narrowed)
        if act["state"] != "refused":
            file.opening, file.assessor = act["opening"], act["assessor"]
            file.digests = act["raw_digest"], act["policy_digest"]
        self._count("openings")

    def _approved(self, index: int, act: Mapping[str, Any], file: FileState) -> None:
        rules = self._rules()
        before = [person for _, person in file.approvals]
        twice = self._by in before and not rules.allows("release.approver_may_approve_again")
        own = self._by == file.assessor and not rules.allows("release.assessor_may_authorize")
        file.approvals.append((act["approval"], self._by))
        whole = len(file.approvals) >= rules.value("model.approvals_at_least")
        logged = (act["level"], act["state"], (act["raw_digest"], act["policy_digest"]))
        again = (str(len(file.approvals)), "authorized" if whole else "approved", file.digests)
        if twice or own or logged != again:
            self._differ(
                index,
                f"approval {act['approval']}",
                logged,
                (f"a further person than {self._by}", *again) if twice or own else again,
            )
        self._count("approvals")

    def _proceed(self, index: int, body: Mapping[str, Any]) -> None:
        """A step of a registration's procedure: by whom and when it was allowed, and what it gave."""
        kind, act = body["kind"], body["act"]
        for listing in act.get("ended", ()):
            self.market.listings[listing]["ended"] = True
        if kind == "asset_registered" and "code" in act:
            self.market.codes[act["asset"]] = act["code"]
        if kind == "registration_applied":
            self.market.applications[act["application"]] = Procedure.begin(act)
        elif kind in KINDS:
            self._require_procedure(index, body)
        if kind in PROCEDURE_KINDS and self.market.assets[act["asset"]].state in ENDS.values():
            self.market.rights.pop(act["asset"], None)

    def _require_procedure(self, index: int, body: Mapping[str, Any]) -> None:
        kind, act = body["kind"], body["act"]
        rules = self._rules()
        if "application" not in act:
            # A registration of before there was a procedure; its rules did not know of one.
            if "registration.notice_working_days" in rules.rules:
                self._differ(index, f"registration of {act['asset']}", "registered", "no application")
            return
        try:
            known = self.market.applications[act["application"]]
            if (known.act, known.asset) != (act["act"], act["asset"]):
                raise ValueError("another act, or of another asset, than was applied for")
            self.market.applications[act["application"]] = known.follow(
                kind, act, by=body["by"], party=body["party"], time_us=self._now_us, rules=rules
            )
            if kind in CONCLUSIONS and act["state"] != "refused":
                self._grant(known, act, rules)
            if kind == "registration_reviewed" and (known.act, act["state"]) == ("initial", "noticed"):
                self._compliant(known.asset, rules)
        except (ExchangeError, ValueError) as problem:
            self._differ(index, f"{kind} of {act['application']}", act["state"], problem)
        self._count("registrations")

    def _compliant(self, asset: str, rules: rulebook.Rulebook) -> None:
        """Raise where what providers found keeps an asset from its notice."""
        problem = objection(self.market.compliance.get(asset, ()), self._now_us, rules)
        if problem is not None:
            raise problem

    def compliance_assessed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        found = Assessed(act["provider"], act["conclusion"], int(act["ends_us"]), index)
        self.market.compliance.setdefault(act["asset"], []).append(found)

    def _grant(self, known: Procedure, act: Mapping[str, Any], rules: rulebook.Rulebook) -> None:
        """What an act gave, never more than was held; raises where it gave more."""
        grants = self.market.rights.setdefault(known.asset, {})
        for said in act.get("rights", ()):
            grants[said["id"]] = Grant.from_json(said)
        if known.act == "renew":
            for grant in [one for one in grants.values() if one.parent is None]:
                grants[grant.id] = replace(grant, ends_us=int(act["ends_us"]))
        if known.act not in ("permit", "transfer"):
            return
        grant = Grant.from_json(act["right"])
        source = held(
            grants.values(), grant.parent if known.act == "permit" else grant.id, known.party, self._now_us
        )
        if known.act == "permit":
            require_permit(
                grants.values(),
                source,
                to=grant.holder,
                exclusive=grant.exclusive,
                ends_us=grant.ends_us,
                now_us=self._now_us,
                rules=rules,
            )
            same = grant.right == source.right
        else:
            require_transfer(source, to=grant.holder, rules=rules)
            same = grant == replace(source, holder=grant.holder)
        if not same:
            raise ValueError(f"another right than {source.right}")
        grants[grant.id] = grant

    def _rules(self) -> rulebook.Rulebook:
        """The rules that were in force when the entry was decided."""
        return rulebook.history(self.market.rulebooks, self._now_us)

    def _version(self, index: int, digest: str) -> None:
        """The version that an entry says it was decided under."""
        if digest != self._rules().digest:
            self._differ(index, "rulebook", digest, self._rules().digest)
        self._count("decisions")

    def market_opened(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.profile, self.market.origin = act["profile"], act["origin"]
        # A log from before rulebooks were logged whole goes by the profile as it ships here.
        said = act["rulebook"].get("document")
        rules = rulebook.load(act["profile"]) if said is None else rulebook.Rulebook.from_document(said)
        if said is not None and rules.digest != act["rulebook"]["digest"]:
            self._differ(index, "rulebook", act["rulebook"]["digest"], rules.digest)
        self.market.rulebooks.append((0, rules))
        self.market.parties[act["administrator"]] = "active"
        self.market.party_accounts[act["administrator"]] = None

    def party_registered(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.parties[act["id"]] = act["state"]
        self.market.party_accounts[act["id"]] = act["account"]
        if act["holders"]:
            self._hold(act["id"], self._now_us, act["holders"])

    def holders_declared(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self._hold(act["party"], int(act["since_us"]), act["holders"])

    def _hold(self, party: str, since_us: int, holders: Sequence[Mapping[str, Any]]) -> None:
        parts = tuple((h["account"], int(h["share_ppm"])) for h in holders)
        self.market.dividends |= {h["account"]: h["party"] for h in holders if h.get("party") is not None}
        self.market.holders.setdefault(party, []).append((since_us, parts))

    def _holders(self, party: str) -> tuple[tuple[str, int], ...]:
        """Who holds a party now: of the declarations whose date has come the one of the latest date, and the last of these."""
        come = [one for one in self.market.holders.get(party, ()) if one[0] <= self._now_us]
        return max(enumerate(come), key=lambda at: (at[1][0], at[0]))[1][1] if come else ()

    def rule_change_proposed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.rule_changes[act["id"]] = {**act, "proposer": self._by}

    def rule_change_decided(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """A signed change: proposed by another, to the version before, to come, and what its document says."""
        change = self.market.rule_changes.pop(act["proposal"])
        if act["state"] != "signed":
            return
        rules = rulebook.Rulebook.from_document(act["document"])
        effective_us, before = int(act["effective_us"]), self.market.rulebooks[-1]
        if change["proposer"] == self._by and not self._rules().allows("parties.proposer_may_sign"):
            self._differ(index, f"signature of {act['proposal']}", self._by, "a second person")
        made = rulebook.change(before[1], change["rules"], change["calendar"])
        if not rules.digest == made.digest == act["digest"] == change["result"]["digest"]:
            self._differ(index, "rulebook", act["digest"], made.digest)
        if not max(before[0], self._now_us) <= effective_us == int(change["effective_us"]):
            self._differ(index, "rulebook's date", effective_us, change["effective_us"])
        self.market.rulebooks.append((effective_us, rules))
        self._count("rule changes")

    def party_state_set(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.parties[act["party"]] = act["state"]

    def document_filed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        ends = act["expires_us"]
        held = self.market.documents.setdefault(act["party"], {})
        held[act["digest"]] = act["kind"], None if ends is None else int(ends), False

    def document_reviewed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        held = self.market.documents.get(act["party"], {})
        if act["digest"] in held:
            held[act["digest"]] = *held[act["digest"]][:2], act["state"] == "accepted"
        if act["admitted"]:
            self.market.parties[act["party"]] = "active"

    def trading_stopped(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.stopped.add(act["party"])
        self._tenders.stopped(index, act.get("envelopes", ()), self._now_us)
        for listing in act["ended"]:
            self.market.listings[listing]["ended"] = True
        party, listings = act["party"], self.market.listings
        self._lapse(index, act, lambda one: party in (one.buyer, listings[one.listing]["seller"]))

    def trading_resumed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.stopped.discard(act["party"])

    def controls_set(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        sign_above, limit = act["sign_above_fen"], act["order_limit_fen"]
        self.market.limits[act["party"]] = (
            None if sign_above is None else int(sign_above),
            None if limit is None else int(limit),
        )

    def _signature(self, index: int, body: Mapping[str, Any]) -> None:
        """A caller's own signature: by a key of its party that stood then, over what the entry says was asked."""
        text = self.openings.get(body["signed"])
        if text is None:
            self.market.not_judged += 1
            return
        act = body["act"]
        party = body.get("party")
        if party is None:
            lot = self.market.lots.get(act["lot"])
            party = None if lot is None else lot.bidders.get(act["code"])
        said = orjson.loads(text)
        holder, public = self.market.signing_keys.get(said["key"], ("", b""))
        asked = orjson.loads(said["body"]) if said["body"] else {}
        meant = all(
            str(asked.get(name, act.get(name))) == str(act.get(name))
            for name in ("price_fen", "amount_fen", "licences")
        )
        if not meant or (party is not None and holder != party) or not signing.stands(text, public):
            self._differ(index, "signature", "by a key of the caller", "not over this entry by such a key")
        self._count("signatures")

    def signing_key_added(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.signing_keys[act["id"]] = act["party"], bytes.fromhex(act["public"])

    def signing_key_revoked(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        del self.market.signing_keys[act["id"]]

    def person_left(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        for name in act["signing_keys"]:
            del self.market.signing_keys[name]

    def _order(self, index: int, party: str, amount_fen: int, *, signed: bool) -> None:
        """A purchase or payout that took effect: its party allowed it itself."""
        why = controls.beyond(amount_fen, *self.market.limits.get(party, (None, None)), signed=signed)
        if party in self.market.stopped or why is not None:
            self._differ(index, f"order of {party}", "done", why or "stopped")
        self._count("orders")

    def operation_agreed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.agreements[act["supplier"], act["operator"]] = (
            int(act["share_ppm"]), int(act["starts_us"]), int(act["ends_us"]),
        )  # fmt: skip

    def _moved(self, index: int, reference: str, amount_fen: int, transfers: Sequence[Transfer]) -> None:
        """Money in or out of the escrow account, as much as its entry says."""
        moved = sum(t.amount * ((t.debit == BANK) - (t.credit == BANK)) for t in transfers)
        if moved != amount_fen:
            self._differ(index, f"movement {reference}", moved, amount_fen)
        self._count("movements")

    def topped_up(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        reference, amount_fen = act["bank_reference"], int(act["amount_fen"])
        self._escrow[reference] = Line(reference, amount_fen, self._now_us)
        self._moved(index, reference, amount_fen, transfers)

    def treasury_payout_proposed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.proposals[act["proposal"]] = (act["party"], self._by, act["amount_fen"])

    def treasury_payout_rejected(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self._second(index, act["proposal"])

    def _second(self, index: int, proposal: str) -> tuple[str, str]:
        """Whose treasury a proposal is of, and how much; decided once, by another person."""
        party, proposer, amount_fen = self.market.proposals.pop(proposal, ("", "", ""))
        if proposer in ("", self._by):
            self._differ(index, f"decision on {proposal}", self._by, "a second person, on what was proposed")
        self._count("proposals")
        return party, amount_fen

    def withdrawn(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        amount_fen = -int(act["amount_fen"])
        party = self._party
        if "proposal" in act:
            owner, proposed_fen = self._second(index, act["proposal"])
            own = (treasury(party), party, act["amount_fen"]) == (act["account"], owner, proposed_fen)
        else:
            own = act["account"] == self.market.party_accounts.get(party) or (
                "dividends_of" in act and self.market.dividends.get(act["account"]) == party
            )
        if not own or {t.debit for t in transfers} != {act["account"]}:
            self._differ(index, f"payout {act['payout']}", act["account"], f"an account of {party}'s")
        self._escrow[act["payout"]] = Line(act["payout"], amount_fen, self._now_us)
        self._moved(index, act["payout"], amount_fen, transfers)

    def payout_returned(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        reference, amount_fen = act["bank_reference"], int(act["amount_fen"])
        if reference is None:
            del self._escrow[act["payout"]]
        else:
            self._escrow[reference] = Line(reference, amount_fen, self._now_us)
        self._moved(index, act["payout"], amount_fen, transfers)

    def book_adjusted(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        reference, change_fen = act["bank_reference"], int(act["amount_fen"])
        known = self._escrow.pop(reference, None)
        bank_fen = sum(line.amount_fen for line in self._open_lines if line.reference == reference)
        self._open_lines = [line for line in self._open_lines if line.reference != reference]
        expected = bank_fen - (0 if known is None else known.amount_fen)
        if change_fen != expected:
            self._differ(index, f"adjustment of {reference}", change_fen, expected)
        self._moved(index, reference, change_fen, transfers)

    def statement_reconciled(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """Compare the bank's statement with the book again."""
        lines = [*self._open_lines, *lines_of(act)]
        escrow = self.market.accounts[BANK]
        found = reconcile(
            self._escrow.values(),
            lines,
            expected_opening_fen=self._closing_fen,
            opening_fen=int(act["opening_fen"]),
            closing_fen=int(act["closing_fen"]),
            book_fen=escrow.debits_posted - escrow.credits_posted,
            ends_us=int(act["ends_us"]),
        )
        again = (
            "agreed" if found.agrees else "alarm",
            str(found.difference_fen),
            [plain(one) for one in found.findings[:FINDINGS_SHOWN]],
            str(len(found.findings)),
        )
        said = (act["state"], act["difference_fen"], act["findings"], act["findings_found"])
        if said != again:
            self._differ(index, f"statement {act['statement']}", said, again)
        for reference in found.matched:
            del self._escrow[reference]
        self._open_lines = [line for line in lines if line.reference not in found.matched]
        self._closing_fen = int(act["closing_fen"])
        self._count("statements")

    def asset_declared(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.assets[act["asset"]] = Path.begin()
        self.market.files[act["asset"]] = FileState(act.get("opening", "open"))
        self.market.operators[act["asset"]] = act["operator"]
        self.market.suppliers[act["asset"]] = act["supplier"]
        self.market.purposes[act["asset"]] = list(act.get("purposes", ()))

    def lineage_declared(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        if act["relation"] == "derived":
            self.market.files[act["asset"]].parents.append(act["parent"])

    def listed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.listings[act["id"]] = {
            **act["offer"],
            "asset": act["asset"],
            "seller": act["seller"],
            "sold": 0,
        }
        if act["mode"] == "metered":
            self._meter(index, act)
        self._stand(index, act["id"], act)
        self._require_registered(index, act["asset"])
        try:
            check_offer(_offer(act["offer"]), self._rules())
        except ExchangeError as problem:
            self._differ(index, f"offer of {act['asset']}", "listed", problem.code)

    def listing_withdrawn(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """A listing that is taken back: open until now, and of a lot that has not opened every deposit at once."""
        if "lot" not in act:
            listing = self.market.listings[act["listing"]]
            if listing.get("ended") or listing["seller"] != self._party:
                self._differ(index, f"withdrawal of {act['listing']}", "withdrawn", "not open, or another's")
            listing["ended"] = True
            self._lapse(index, act, lambda one: one.listing == act["listing"])
            return
        lot = self.market.lots[act["lot"]]
        if lot.state != "open" or self._now_us >= lot.rules.opens_at_us or lot.seller != self._party:
            self._differ(index, f"withdrawal of {act['lot']}", "withdrawn", "opened, or another's")
        freed = {t.pending for t in transfers if t.kind == "void_pending"}
        held = {code: hold for code, hold in lot.holds.items() if code not in lot.gone}
        if freed != set(held.values()) or act["released"] != sorted(held) or len(transfers) != len(held):
            self._differ(index, f"deposits of {act['lot']}", act["released"], sorted(held))
        lot.gone.update(held)
        self._let_go(lot, "cancelled")
        self._count("withdrawals")

    def _lapse(self, index: int, act: Mapping[str, Any], which: Callable[[NegotiationState], bool]) -> None:
        """Negotiations that end with a listing or a party's stop: all that are open, and their offer in time."""
        lapsed = [
            name
            for name, one in self.market.negotiations.items()
            if one.state == "open" and self._now_us < one.on_table.expires_us and which(one)
        ]
        if list(act.get("lapsed", ())) != lapsed:
            self._differ(index, "offers that lapse", act.get("lapsed"), lapsed)
        for name in lapsed:
            self.market.negotiations[name].state = "lapsed"

    def offer_made(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """An offer in the place of the one before it: by the side whose turn it is, within the rules."""
        rules, listing = self._rules(), self.market.listings[act["listing"]]
        known, side = self.market.negotiations.get(act["negotiation"]), Side(act["side"])
        buyer = self._party if known is None else known.buyer
        turn = side is Side.BUYER if known is None else self._turn(known, side, Move.COUNTER, act["seen"])
        if not turn or self._party != (buyer if side is Side.BUYER else listing["seller"]):
            self._differ(index, f"offer of {act['negotiation']}", act["side"], "not this side's turn")
        ceiling = None if rules.allows("price.above_ceiling_allowed") else listing["ceiling_fen"]
        try:
            on_table = negotiation.put(
                side,
                int(act["price_fen"]),
                int(act["licences"]),
                int(act["expires_us"]),
                offered=int(listing["licences"]) - listing["sold"],
                ceiling_fen=None if ceiling is None else int(ceiling),
                now_us=self._now_us,
                open_at_most_us=rules.value("negotiation.open_at_most_days") * DAY_US,
            )
        except PricingError as error:
            self._differ(index, f"offer of {act['negotiation']}", act["price_fen"], error)
            return
        purpose = act.get("purpose", "") if known is None else known.purpose
        paid_for = free(purpose, rules) and on_table.unit_price_fen
        if listing.get("ended") or paid_for:
            self._differ(index, f"offer of {act['negotiation']}", "open", "the listing has ended, or is free")
        self._below(index, listing["asset"], revenue.LICENCE, on_table.unit_price_fen * MICRO_PER_FEN)
        if side is Side.BUYER:
            self._order(index, buyer, on_table.unit_price_fen * on_table.licences, signed=self._signed)
        self.market.negotiations[act["negotiation"]] = NegotiationState(
            act["listing"], buyer, on_table, index, side is Side.BUYER and self._signed, purpose
        )
        self._count("offers")

    def _turn(self, known: NegotiationState, side: Side, move: Move, seen: str) -> bool:
        """Whether a side may do this about the offer on the table, which it has read."""
        why = negotiation.objection(known.on_table, side, move, self._now_us)
        return known.state == "open" and why is None and int(seen) == known.index

    def offer_accepted(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """A sale by negotiation: what was on the table, by the other side, in time, and no more than is left."""
        known, listing = self.market.negotiations[act["negotiation"]], self.market.listings[act["listing"]]
        side, offer = Side(act["by"]), known.on_table
        if not self._turn(known, side, Move.ACCEPT, str(known.index)) or listing.get("ended"):
            self._differ(index, f"acceptance of {act['negotiation']}", "settled", known.state)
        price, licences = offer.unit_price_fen * offer.licences, offer.licences
        listing["sold"] += licences
        voucher = act["voucher"]
        logged = (voucher["price_fen"], voucher["licences"], voucher["buyer"])
        if logged != (str(price), str(licences), known.buyer) or listing["sold"] > int(listing["licences"]):
            self._differ(index, f"sale of {act['listing']}", logged, (price, licences, known.buyer))
        self._below(index, listing["asset"], revenue.LICENCE, offer.unit_price_fen * MICRO_PER_FEN)
        signed = self._signed if side is Side.BUYER else known.signed
        self._order(index, known.buyer, price, signed=signed)
        known.state = "accepted"
        self._judge_split(index, voucher, transfers, None)
        self._draw_up(index, voucher, act["purpose"])

    def offer_closed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """An offer that was rejected, withdrawn, ran out, or lapsed."""
        known = self.market.negotiations[act["negotiation"]]
        state, listing = act["state"], self.market.listings[act["listing"]]
        sold_out = listing["sold"] >= int(listing["licences"])
        if state in ("rejected", "withdrawn"):
            move = Move.REJECT if state == "rejected" else Move.WITHDRAW
            right = self._turn(known, Side(act["by"]), move, str(known.index))
        elif state == "expired":
            right = known.state == "open" and self._now_us >= known.on_table.expires_us
        else:
            right = known.state == "lapsed" or bool(listing.get("ended")) or sold_out
        if not right:
            self._differ(index, f"end of {act['negotiation']}", state, known.state)
        known.state = state

    def _stand(self, index: int, listing: str, act: Mapping[str, Any]) -> None:
        """The standing terms of a listing again: the seller's blanks complete, and hashed to what the entry says."""
        if "contract" not in act:
            return  # of before there were contracts
        offer, said = act["offer"], act["contract"]
        values = {
            **contracts.complete(offer["contract"], offer["terms"]),
            "asset": act["asset"],
            "asset_code": self.market.codes.get(act["asset"], act["asset"]),
            "exclusive_reason": offer["reason"],
            "grant": offer["grant"],
            "listing": listing,
            "seller": act["seller"],
            "term_days": offer["term_days"],
        }
        digest = contracts.standing_terms(offer["contract"], values).digest
        if digest != said["digest"]:
            self._differ(index, f"standing terms of {listing}", said["digest"], digest)
        self.market.terms[listing], self.market.forms[listing] = values, offer["contract"]
        self._count("standing terms")

    def contract_terms_signed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """The seller's own signature of what it offered."""
        listing = act["listing"]
        values = self.market.terms[listing]
        digest = contracts.standing_terms(self.market.forms[listing], values).digest
        statement = contracts.terms_statement(self.market.origin, listing, digest)
        self._signed_by(index, act, values["seller"], digest, statement)
        self.market.standing[listing] = index, act["key"]

    def contract_signed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """A side's own signature of a contract that stands, once."""
        contract, side = self.market.contracts[act["trade"]], act["side"]
        statement = contracts.contract_statement(self.market.origin, side, contract.digest)
        self._signed_by(index, act, contract.values[side], contract.digest, statement)
        if side in contract.signed or contract.ended:
            self._differ(
                index, f"signature of the {side} of {act['trade']}", "taken", "signed or ended before"
            )
        contract.signed[side] = index
        state = "signed" if len(contract.signed) == 2 else "drawn"
        if act["state"] != state:
            self._differ(index, f"contract of {act['trade']}", act["state"], state)

    def _signed_by(
        self, index: int, act: Mapping[str, Any], party: str, digest: str, statement: bytes
    ) -> None:
        holder, public = self.market.signing_keys.get(act["key"], ("", b""))
        if (
            holder != party
            or act["digest"] != digest
            or not contracts.stands(statement, bytes.fromhex(act["signature"]), public)
        ):
            self._differ(
                index, "contract's signature", "by a key of its side", "not over this digest by such a key"
            )
        self._count("contract signatures")

    def _draw_up(self, index: int, voucher: Mapping[str, Any], purpose: str) -> None:
        """A trade's contract again, from its listing's terms and its voucher; and the licence that it is about."""
        self.market.licences[voucher["licence"]] = LicenceState(voucher["trade"])
        if "contract" not in voucher:
            return  # of before there were contracts
        said, listing = voucher["contract"], voucher["listing"]
        purposes = purpose or ",".join(self.market.purposes.get(voucher["asset"], ())) or contracts.ANY
        values = {
            **self.market.terms[listing],
            **contracting.periods(self._rules()),
            **{name: voucher[name] for name in ("buyer", "buyer_name", "licence", "licences", "price_fen")},
            "ends_us": str(self._now_us + int(voucher["term_days"]) * DAY_US),
            "purposes": purposes,
            "seller_name": voucher["seller_name"],
            "starts_us": str(self._now_us),
            "trade": voucher["trade"],
        }
        digest = contracts.draw_up(said["template"], values).digest
        entry, key = self.market.standing.get(listing, (None, ""))
        signed = entry if key in self.market.signing_keys else None
        if said["digest"] != digest or said["template"] != self.market.forms[listing]:
            self._differ(index, f"contract of {voucher['trade']}", said["digest"], digest)
        if said["seller_index"] != (None if signed is None else str(signed)):
            self._differ(index, f"seller's signature of {voucher['trade']}", said["seller_index"], signed)
        self.market.contracts[voucher["trade"]] = ContractState(
            digest, values, {} if signed is None else {"seller": signed}
        )
        self._count("contracts")

    def licence_state_set(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        licence = self.market.licences[act["licence"]]
        try:
            delivery.check_change(licence.state, act["state"], "sealed")
        except ExchangeError as problem:
            self._differ(index, f"licence {act['licence']}", act["state"], problem.detail)
        licence.state = act["state"]
        if licence.state == "revoked":
            self._end_early(act["licence"])

    def links_ended(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        licence = self.market.licences[act["licence"]]
        licence.links_ended += 1
        if act["links_ended"] != str(licence.links_ended):
            self._differ(index, f"links of {act['licence']}", act["links_ended"], licence.links_ended)

    def link_made(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        licence = self.market.licences[act["licence"]]
        use = Use(
            self._now_us,
            licence.calls + 1,
            licence.bytes + 1,
            act.get("purpose") or None,
            act.get("region") or None,
        )
        self._delivered(index, act["licence"], use)

    def product_downloaded(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """Judge a delivery again: within a signed contract, a licence in force, its policy; and count what it used."""
        known = self.market.deliveries.get(act["licence"])
        if known is not None:
            self.market.deliveries[act["licence"]] = known.access(self._now_us, self._rules())
        licence = self.market.licences[act["licence"]]
        if "size_bytes" not in act:
            return  # of before there were contracts
        use = Use(self._now_us, licence.calls + 1, licence.bytes + int(act["size_bytes"]))
        self._delivered(index, act["licence"], use)
        licence.calls, licence.bytes = use.calls, use.bytes
        again = str(use.calls), str(use.bytes), str(licence.links_ended)
        if (act["calls_used"], act["bytes_used"], act["links_ended"]) != again:
            self._differ(index, f"use of {act['licence']}", (act["calls_used"], act["bytes_used"]), again)

    def _delivered(self, index: int, name: str, use: Use) -> None:
        licence = self.market.licences[name]
        contract = self.market.contracts.get(licence.trade)
        if contract is None:
            return
        standing = delivery.Standing(
            licence=licence.state,
            contract="ended" if contract.ended else "signed" if len(contract.signed) == 2 else "drawn",
            buyer=self.market.parties[contract.values["buyer"]],
            policy=contracts.policy_of(contract.values),
        )
        try:
            delivery.require_permitted(standing, use)
        except ExchangeError as problem:
            self._differ(index, f"delivery under {name}", "delivered", problem.code)
        self._count("deliveries")

    def _require_registered(self, index: int, asset: str) -> None:
        path = self.market.assets.get(asset)
        if path is None or path.state != "registered":
            self._differ(index, f"listing of {asset}", "listed", "not registered")
        file = self.market.files.get(asset)
        if (
            file is not None
            and file.opening == "closed"
            and not self._rules().allows("opening.closed_listed")
        ):
            self._differ(index, f"listing of {asset}", "listed", "closed")
        self._count("listings")

    def demand_posted(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        asked = demands.PostDemand(
            "…",
            act["purpose"],
            int(act["low_fen"]),
            int(act["high_fen"]),
            int(act["term_days"]),
            int(act["open_days"]),
        )
        until_us = self._now_us + asked.open_days * DAY_US
        try:
            demands.check_demand(asked, self._rules())
        except ExchangeError as problem:
            self._differ(index, f"terms of {act['id']}", "posted", problem.code)
        if int(act["until_us"]) != until_us:
            self._differ(index, f"end of {act['id']}", act["until_us"], until_us)
        self.market.demands[act["id"]] = act["buyer"], until_us
        self._count("demands")

    def demand_answered(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        stands = self.market.demands.get(act["demand"])
        path = self.market.assets.get(act["asset"])
        if (
            stands is None
            or self._now_us >= stands[1]
            or path is None
            or path.state != "registered"
            or self.market.suppliers.get(act["asset"]) != act["supplier"]
        ):
            self._differ(index, f"answer to {act['demand']}", "answered", stands)

    def demand_withdrawn(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        stands = self.market.demands.pop(act["demand"], None)
        if stands is None or self._now_us >= stands[1]:
            self._differ(index, f"end of {act['demand']}", "withdrawn", stands)

    def _tender(self, index: int, body: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        act, kind = body["act"], body["kind"]
        told = Told(index, kind, act, body.get("party"), self._by, self._now_us, transfers, self._rules())
        self._tenders.take(told)
        if kind == "tender_published":
            self._stand(index, act["listing"], act)
            self._require_registered(index, act["asset"])
        if kind == "tender_settled":
            hold = transfers[0] if transfers and transfers[0].kind == "void_pending" else None
            self._judge_split(index, act["voucher"], transfers, hold)
            tender = self.market.tenders[act["tender"]]
            self._draw_up(index, act["voucher"], tender.purposes.get(tender.winner or "", ""))

    def lot_opened(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        rules, offer, draw = rules_of(act["rules"]), act["offer"], act.get("draw")
        lot = LotState(
            rules,
            act["asset"],
            act["seller"],
            int(act["deposit_fen"]),
            open_standing(rules),
            deal=(offer["grant"], offer["licences"], offer["term_days"]),
            draw=None if draw is None else (draw["name"], draw["commitment"]),
            priority_parties=tuple(act.get("priority", ())),
            again_of=act.get("again_of"),
        )
        if draw is not None and self.market.draws.get(draw["name"]) != draw["commitment"]:
            self._differ(index, f"draw of {act['id']}", draw["commitment"], "never committed to")
        self._terms(index, act, lot)
        self._stand(index, act["listing"], act)
        self.market.lots[act["id"]] = lot
        self._require_registered(index, act["asset"])

    def _terms(self, index: int, act: Mapping[str, Any], lot: LotState) -> None:
        """Hold a lot's terms against the rulebook again, and against its earlier round."""
        rules = lot.rules
        asked = auctions.OpenLot(
            act["asset"],
            replace(_offer(act["offer"]), ceiling_fen=rules.ceiling_fen),
            rules.increment_fen,
            lot.deposit_fen,
            rules.opens_at_us,
            rules.closes_at_us,
            lot.again_of,
        )
        earlier = None
        if lot.again_of is not None:
            rounds = self._rounds(lot)
            failures = len(list(takewhile(lambda one: one.state == "failed", rounds)))
            grant, licences, term = rounds[0].deal
            earlier = auctions.Earlier(
                rounds[0].state,
                rounds[0].over_us,
                rounds[0].rules.start_price_fen,
                grant,
                int(licences),
                int(term),
                failures,
            )
        try:
            auctions.check_lot(asked, int(act["appraisal_fen"]), self._now_us, self._rules(), earlier)
        except ExchangeError as problem:
            self._differ(index, f"terms of {act['id']}", "listed", problem.code)
        self._count("lots")

    def _rounds(self, lot: LotState) -> list[LotState]:
        """The rounds before a lot, the newest first."""
        found = []
        while lot.again_of is not None:
            lot = self.market.lots[lot.again_of]
            found.append(lot)
        return found

    def bidder(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        lot.holds[act["code"]] = act["hold"]
        party = lot.bidders[act["code"]] = self.openings.get(act["bidder"])
        lot.nonces[act["code"]] = act.get("nonce", "")
        lot.purposes[act["code"]] = act.get("purpose", "")
        if act.get("priority", False):
            lot.rules = replace(lot.rules, priority=(*lot.rules.priority, act["code"]))
        if party is not None:
            expected = party in lot.priority_parties
            if act.get("priority", False) is not expected:
                self._differ(index, f"priority of {act['code']}", not expected, expected)
        if not self._rules().allows("auction.defaulter_may_bid_again"):
            for one in self._rounds(lot):
                if (
                    one.state == "defaulted"
                    and one.allotted
                    and one.bidders[one.allotted.code] == party is not None
                ):
                    self._differ(index, f"bidder {act['code']}", "admitted", "in default on an earlier round")
        held = [t for t in transfers if t.kind == "pending" and t.id == act["hold"]]
        if len(held) != 1 or held[0].amount != lot.deposit_fen or held[0].credit != DEPOSITS:
            self._differ(index, f"deposit of {act['code']}", [t.amount for t in held], lot.deposit_fen)
        self._count("deposits")

    def _bid(self, index: int, body: Mapping[str, Any]) -> None:
        act = body["act"]
        lot = self.market.lots.get(act["lot"])
        if lot is None or act["code"] not in lot.holds:
            self._differ(index, f"bid of {act['code']}", act["state"], "no deposit held")
            return
        party = lot.bidders[act["code"]]
        logged = act["reason"]["code"].removeprefix("bid.") if act["state"] == "refused" else "admitted"
        if party is None and logged in ("suspended", "stopped", "above_limit", "unsigned"):
            self.market.not_judged += 1
            return
        if party is None:
            self.market.not_judged += 1
        limits = (None, None) if party is None else self.market.limits.get(party, (None, None))
        beyond = controls.beyond(int(act["price_fen"]), *limits, signed="signed" in body)
        if int(body["time"]) > int(act.get("expires_us", body["time"])):
            replayed = "expired"
        elif party is not None and party in self.market.stopped:
            replayed = "stopped"
        elif party is not None and self.market.parties.get(party) != "active":
            replayed = "suspended"
        elif beyond is not None:
            replayed = beyond
        elif lot.state != "open":
            replayed = "halted" if lot.state == "halted" else "closed"
        else:
            bid = PricedBid(act["code"], body["key"], int(act["price_fen"]), index, int(body["time"]))
            decision = admit(lot.rules, lot.standing, bid)
            if isinstance(decision, Rejected):
                replayed = decision.reason.value
            else:
                replayed = "admitted"
                lot.standing = decision.standing
                lot.book.append(bid)
        if logged != replayed:
            self._differ(index, f"bid of {act['code']}", logged, replayed)
        elif replayed == "admitted" and int(act["closes_us"]) != lot.standing.closes_at_us:
            self._differ(index, f"close of {act['lot']}", act["closes_us"], lot.standing.closes_at_us)
        self._count("bids")

    def lot_closed(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        if self._now_us < lot.standing.closes_at_us or lot.state != "open":
            self._differ(index, f"close of {act['lot']}", self._now_us, lot.standing.closes_at_us)
        if transfers:
            self._differ(index, f"transfers of {act['lot']}", _amounts(transfers), [])
        lot.over_us = lot.standing.closes_at_us
        if lot.standing.at_ceiling:
            if act.get("at_ceiling") != list(lot.standing.at_ceiling):
                self._differ(index, f"draw of {act['lot']}", act.get("at_ceiling"), lot.standing.at_ceiling)
            lot.state = "drawing"
            lot.owed = {code: hold for code, hold in lot.holds.items() if code not in lot.standing.at_ceiling}
        else:
            self._award(index, act, lot, None)

    def draw_committed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        self.market.draws[act["name"]] = act["commitment"]

    def lot_drawn(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """Make the seed again, from the nonce that was committed to and those of the bidders at the ceiling."""
        lot = self.market.lots[act["lot"]]
        nonces = {code: lot.nonces[code] for code in lot.standing.at_ceiling}
        if lot.draw is None or lot.state != "drawing":
            self._differ(index, f"draw of {act['lot']}", "drawn", lot.state)
            return
        try:
            seed = auctions.seed_of(*lot.draw, act["nonce"], nonces)
        except PricingError as error:
            self._differ(index, f"draw of {act['lot']}", act["nonce"], error)
            return
        if (act["seed"], act["nonces"]) != (seed.hex(), nonces):
            self._differ(index, f"draw of {act['lot']}", act["seed"], seed.hex())
        self._award(index, act, lot, seed)
        self._count("draws")

    def _award(self, index: int, act: Mapping[str, Any], lot: LotState, seed: bytes | None) -> None:
        try:
            outcome = award(lot.rules, lot.book, seed=seed)
        except PricingError as error:
            self._differ(index, f"award of {act['lot']}", act["outcome"]["digest"], error)
            return
        if outcome.digest != act["outcome"]["digest"]:
            self._differ(index, f"award of {act['lot']}", act["outcome"]["digest"], outcome.digest)
        lot.allotted = outcome.allocation[0] if outcome.allocation else None
        lot.state = "failed" if lot.allotted is None else "sold"
        lot.owed = {
            code: hold
            for code, hold in lot.holds.items()
            if code not in lot.gone and (lot.allotted is None or code != lot.allotted.code)
        }
        if lot.allotted is not None and "auction.paid_within_days" in self._rules().rules:
            lot.pay_by_us = self._now_us + self._rules().value("auction.paid_within_days") * DAY_US
        self._count("awards")

    def deposit_released(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        owed = lot.owed.pop(act["code"], None)
        lot.gone.add(act["code"])
        freed = [t.pending for t in transfers if t.kind == "void_pending"]
        if freed != [owed]:
            self._differ(index, f"deposit of {act['code']}", freed, owed)

    def lot_settled(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        allotted = lot.allotted
        if allotted is None or lot.state != "sold" or int(act["voucher"]["price_fen"]) != allotted.price_fen:
            self._differ(
                index,
                f"price of {act['lot']}",
                act["voucher"]["price_fen"],
                allotted.price_fen if allotted else None,
            )
        else:
            party = lot.bidders[allotted.code]
            if party is not None and party != act["voucher"]["buyer"]:
                self._differ(index, f"winner of {act['lot']}", act["voucher"]["buyer"], party)
            lot.gone.add(allotted.code)
        hold = transfers[0] if transfers and transfers[0].kind == "void_pending" else None
        self._below(index, lot.asset, revenue.LICENCE, int(act["voucher"]["price_fen"]) * MICRO_PER_FEN)
        self._judge_split(index, act["voucher"], transfers, hold)
        self._draw_up(index, act["voucher"], "" if allotted is None else lot.purposes.get(allotted.code, ""))
        lot.settled = True

    def lot_halted(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        by_us = self._now_us + self._rules().value("auction.resume_within_days") * DAY_US
        if lot.state != "open" or int(act["resume_by_us"]) != by_us:
            self._differ(index, f"halt of {act['lot']}", act["resume_by_us"], by_us)
        lot.state, lot.halted_us, lot.resume_by_us = "halted", self._now_us, by_us
        self._count("halts")

    def lot_resumed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        closes_us = auctions.resumed_close_us(
            lot.standing.closes_at_us, lot.halted_us, self._now_us, lot.rules.soft_close_extension_us
        )
        if lot.state != "halted" or self._now_us > lot.resume_by_us or int(act["closes_us"]) != closes_us:
            self._differ(index, f"resumption of {act['lot']}", act["closes_us"], closes_us)
        lot.state = "open"
        lot.rules = replace(lot.rules, closes_at_us=closes_us)
        lot.standing = replace(lot.standing, closes_at_us=closes_us)

    def lot_cancelled(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        if lot.state != "halted" or (self._by == "clock" and self._now_us <= lot.resume_by_us):
            self._differ(index, f"end of {act['lot']}", "cancelled", lot.state)
        self._let_go(lot, "cancelled")

    def _let_go(self, lot: LotState, state: str) -> None:
        """A lot that comes to nothing now: what is still held goes back."""
        lot.state, lot.over_us = state, self._now_us
        lot.owed = {code: hold for code, hold in lot.holds.items() if code not in lot.gone}

    def lot_annulled(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        lot = self.market.lots[act["lot"]]
        if act["ground"] not in self._rules().words("listing.annulment_grounds") or not act["order"]:
            self._differ(index, f"annulment of {act['lot']}", act["ground"], "no ground")
        if lot.settled != (act["trade"] is not None):
            self._differ(
                index, f"annulment of {act['lot']}", act["trade"], "settled" if lot.settled else None
            )
        self._undo(index, act["trade"], transfers)
        self._let_go(lot, "annulled")

    def sale_annulled(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        self._undo(index, act["trade"], transfers)

    def _deliver(self, index: int, kind: str, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """A step of an acceptance: whether it may have come then, and what an award gave back."""
        licence, trade = act["licence"], act["trade"]
        try:
            known = self.market.deliveries[licence]
            if self.market.trades[trade]["licence"] != licence:
                raise ValueError(f"another trade than that of {licence}")
            if kind == "refund_paid":
                self._refund(index, trade, self._owed.pop(trade, []), transfers)
            else:
                self.market.deliveries[licence] = known.follow(kind, act, self._now_us, self._rules())
            if kind == "delivery_mediated":
                if self._by != known.mediator:
                    raise ValueError(f"decided by {self._by}, not by {known.mediator}")
                self._award_of(index, act, transfers)
                if act["state"] == "refunded":
                    self._end_early(licence)
                    self.market.licences[licence].state = "revoked"
        except (ExchangeError, ValueError) as problem:
            self._differ(index, f"{kind} of {licence}", act["state"], problem)
        self._count("acceptances")

    def _award_of(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        trade, price_fen = act["trade"], int(self.market.trades[act["trade"]]["price_fen"])
        said_fen, decision = int(act["refund_fen"]), DECISIONS[act["state"]]
        if awarded_fen(decision, said_fen, price_fen) != said_fen:
            raise ValueError(f"{said_fen} of {price_fen} fen")
        back = refund(trade, self._settled[trade], said_fen, price_fen, self._rules())
        payable = covered(back, self.market.accounts)
        said = act["refund"], act["owed"]
        again = (
            None if not back else "paid" if payable else "owed",
            None if payable else plain([transfer_to_json(one) for one in back]),
        )
        if not payable:
            self._owed[trade] = back
        if said != again:
            self._differ(index, f"refund of {trade}", said, again)
        self._refund(index, trade, back if payable else [], transfers)

    def _refund(
        self, index: int, trade: str, expected: Sequence[Transfer], transfers: Sequence[Transfer]
    ) -> None:
        """What goes back of a trade, once."""
        if list(transfers) != list(expected) or (transfers and trade in self._refunded):
            self._differ(index, f"refund of {trade}", _amounts(transfers), _amounts(expected))
        if transfers:
            self._refunded[trade] = list(transfers)
            self._count("refunds")

    def _delete(self, index: int, kind: str, act: Mapping[str, Any]) -> None:
        """A step of the duty to delete: whether it may have come then."""
        try:
            duty = self.market.duties[act["licence"]]
            self.market.duties[act["licence"]] = duty.follow(kind, act, self._now_us)
        except (ExchangeError, ValueError) as problem:
            self._differ(index, f"{kind} of {act['licence']}", act["state"], problem)
        self._count("deletions")

    def _end_early(self, licence: str) -> None:
        duty = self.market.duties.get(licence)
        if duty is not None and duty.stands(self._now_us) == "running":
            self.market.duties[licence] = Duty.of(self._now_us, duty.days, self._rules())

    def _use(self, index: int, kind: str, act: Mapping[str, Any]) -> None:
        """A step of a use case: within its notice, or after it."""
        try:
            if kind == "use_case_proposed":
                ends_us = usecases.notice_ends_us(self._now_us, self._rules())
                if int(act["notice_ends_us"]) != ends_us:
                    raise ValueError(f"a notice until {act['notice_ends_us']}, by the rules until {ends_us}")
                self.market.use_cases[act["use_case"]] = usecases.Notice(ends_us)
            else:
                notice = self.market.use_cases[act["use_case"]]
                self.market.use_cases[act["use_case"]] = notice.follow(kind, act, self._now_us)
        except (ExchangeError, ValueError) as problem:
            self._differ(index, f"{kind} of {act['use_case']}", act["state"], problem)
        self._count("use cases")

    def asset_rated(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """By the holder of a voucher that stands, once, and changed in time."""
        licence, voucher = act["licence"], self.market.trades.get(act["trade"])
        before = self.market.ratings.get(licence)
        previous = None if before is None else str(before[0])
        try:
            if voucher is None or (voucher["licence"], voucher["buyer"]) != (licence, self._party):
                raise ValueError(f"{self._party} has no voucher for {licence}")
            if act["trade"] in self.market.annulled or act["previous"] != previous:
                raise ValueError(f"the sale was annulled, or another rating than {previous} is there")
            ratings.Stars(*(int(act[axis]) for axis in ratings.AXES)).check()
            if before is not None:
                ratings.check_change(before[1], self._now_us, self._rules())
        except (ExchangeError, ValueError) as problem:
            self._differ(index, f"rating of {licence}", act["state"], problem)
        self.market.ratings[licence] = index, self._now_us if before is None else before[1]
        self._count("ratings")

    def inquiry_asked(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        due_us = inquiries.due_us(self._now_us, self._rules())
        if int(act["due_us"]) != due_us:
            self._differ(index, f"time for {act['inquiry']}", act["due_us"], due_us)
        self.market.inquiries[act["inquiry"]] = due_us, False

    def inquiry_answered(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """Once, and late where it was late."""
        due_us, answered = self.market.inquiries[act["inquiry"]]
        if answered or act["late"] is not (self._now_us >= due_us):
            self._differ(
                index, f"answer to {act['inquiry']}", act["late"], f"due {due_us}, answered: {answered}"
            )
        self.market.inquiries[act["inquiry"]] = due_us, True
        self._count("inquiries")

    def complaint_filed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        due_us = complaints.due_us(self._now_us, self._rules())
        if int(act["due_us"]) != due_us:
            self._differ(index, f"time for {act['complaint']}", act["due_us"], due_us)
        self.market.complaints[act["complaint"]] = due_us, "open"

    def complaint_escalated(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        due_us, state = self.market.complaints[act["complaint"]]
        if state != "open" or self._now_us < due_us:
            self._differ(index, f"escalation of {act['complaint']}", self._now_us, f"{state}, due {due_us}")

    def complaint_answered(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """Once, and late where it was late."""
        due_us, state = self.market.complaints[act["complaint"]]
        if state != "open" or act["late"] is not (self._now_us >= due_us):
            self._differ(index, f"answer to {act['complaint']}", act["late"], f"{state}, due {due_us}")
        self.market.complaints[act["complaint"]] = due_us, act["state"]
        self._count("complaints")

    def _undo(self, index: int, trade: str | None, transfers: Sequence[Transfer]) -> None:
        """A trade is undone once, by its own transfers the other way, but for what went back before."""
        expected = (
            []
            if trade is None
            else reversal(trade, self._settled.get(trade, ()), self._refunded.get(trade, ()))
        )
        if list(transfers) != expected or trade in self.market.annulled:
            self._differ(index, f"reversal of {trade}", _amounts(transfers), _amounts(expected))
        if trade is not None:
            self.market.annulled.add(trade)
            undone = self.market.trades[trade]
            self._bought[undone["buyer"], undone["seller"]] -= 1
            self._owed.pop(trade, None)
            licence = self.market.trades[trade]["licence"]
            self._end_early(licence)
            if licence in self.market.deliveries:
                known = self.market.deliveries[licence]
                self.market.deliveries[licence] = replace(known, state="void")
            self.market.licences[licence].state = "annulled"
            if trade in self.market.contracts:
                self.market.contracts[trade].ended = True
        self._count("annulments")

    def lot_defaulted(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """Forfeit the deposit again: the time was over, the money was not there, and the costs are what the rules say."""
        lot = self.market.lots[act["lot"]]
        allotted, rules = lot.allotted, self._rules()
        if allotted is None or lot.state != "sold" or lot.settled or self._now_us < lot.pay_by_us:
            self._differ(index, f"default on {act['lot']}", self._now_us, lot.pay_by_us)
            return
        taken = forfeit(lot.deposit_fen, allotted.price_fen, rules)
        due_fen = allotted.price_fen + split(allotted.price_fen, rules, None).buyer_fee_fen
        party = lot.bidders[allotted.code]
        account = None if party is None else self.market.accounts.get(self.market.party_accounts[party] or "")
        if account is None:
            self.market.not_judged += 1
        elif (
            account.credits_posted - account.debits_posted - account.debits_pending + lot.deposit_fen
            >= due_fen
        ):
            self._differ(index, f"default on {act['lot']}", "cannot pay", "can pay")
        moved = [(t.kind, t.pending, t.credit, t.amount) for t in transfers]
        expected: list[tuple[str, str | None, str, int]] = [
            ("post_pending", lot.holds[allotted.code], DEPOSITS, lot.deposit_fen)
        ]
        if taken.costs_fen:
            expected.append(("post", None, FEES, taken.costs_fen))
        if moved != expected or int(act["kept_fen"]) != taken.kept_fen:
            self._differ(index, f"forfeit of {act['lot']}", moved, expected)
        lot.state, lot.over_us, lot.kept_fen = "defaulted", self._now_us, taken.kept_fen
        lot.gone.add(allotted.code)
        self._count("defaults")

    def forfeit_distributed(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """Divide what was kept again: against what the last round brought, after the forfeits of the rounds before."""
        lot = self.market.lots[act["lot"]]
        name, last = act["lot"], lot
        while after := next(((n, one) for n, one in self.market.lots.items() if one.again_of == name), None):
            name, last = after
        again_fen = None
        if last is not lot and last.state == "sold" and last.settled and last.allotted is not None:
            again_fen = last.allotted.price_fen
        elif (
            last.state not in auctions.UNSOLD
            or self._now_us <= last.over_us + self._rules().value("auction.again_within_days") * DAY_US
        ):
            self._differ(index, f"forfeit of {act['lot']}", "divided", f"{name} is {last.state}")
        rounds = self._rounds(lot)
        made_up_fen = sum(one.gap_fen for one in rounds)
        price_fen = 0 if lot.allotted is None else lot.allotted.price_fen
        gap_fen, rest_fen = auctions.gap(lot.kept_fen, price_fen, again_fen, made_up_fen)
        moved = [(t.debit, t.credit, t.amount) for t in transfers]
        expected = [
            (DEPOSITS, account, fen)
            for account, fen in (
                (self.market.party_accounts.get(lot.seller), gap_fen),
                (treasury(lot.seller), rest_fen),
            )
            if fen
        ]
        if moved != expected or any(one.kept_fen for one in rounds):
            self._differ(index, f"forfeit of {act['lot']}", moved, expected)
        lot.kept_fen, lot.gap_fen = 0, gap_fen
        self._count("forfeits")

    def contributions_filed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        for name, known in list(self.market.measured.items()):
            if known["asset"] == act["asset"]:
                del self.market.measured[name]  # the one that waited is replaced
        self.market.measured[act["contributions"]] = {
            **act,
            "accepted": {self.market.suppliers[act["asset"]]},
        }

    def contributions_answered(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """Each department of what was measured answers once; with the last acceptance the shares hold."""
        known = self.market.measured[act["contributions"]]
        if act["department"] not in set(known["departments"]) - known["accepted"]:
            self._differ(index, f"answer to {act['contributions']}", act["department"], known["departments"])
        known["accepted"].add(act["department"])
        whole = known["accepted"] >= set(known["departments"])
        if act["state"] == "rejected":
            del self.market.measured[act["contributions"]]
        elif act["state"] != ("agreed" if whole else "accepted"):
            self._differ(
                index,
                f"answer to {act['contributions']}",
                act["state"],
                "agreed by all" if whole else "accepted",
            )
        elif whole:
            self.market.agreed[known["asset"]] = values_of(
                known["departments"], [int(w) for w in known["worths"]]
            )
        self._count("contributions")

    def sale(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        listing = self.market.listings[act["listing"]]
        licences = int(act["voucher"]["licences"])
        buyer = act["voucher"]["buyer"]
        each = self._each(index, act, int(listing["price_fen"]), buyer, licences)
        price = each * licences
        self._below(index, listing["asset"], revenue.LICENCE, each * MICRO_PER_FEN)
        listing["sold"] += licences
        if listing.get("ended"):
            self._differ(index, f"sale of {act['listing']}", "sold", "ended")
        if int(act["voucher"]["price_fen"]) != price or listing["sold"] > int(listing["licences"]):
            self._differ(index, f"sale of {act['listing']}", act["voucher"]["price_fen"], price)
        self._judge_split(index, act["voucher"], transfers, None)
        self._draw_up(index, act["voucher"], act["purpose"])

    def _meter(self, index: int, act: Mapping[str, Any]) -> None:
        """A unit price, never above its ceiling."""
        said = act["meter"]
        ceiling = said["ceiling_micro"]
        price = int(said["unit_price_micro"])
        try:
            meter = metering.check_meter(
                said["unit"], price, None if ceiling is None else int(ceiling), self._rules()
            )
        except ExchangeError as problem:
            self._differ(index, f"meter of {act['id']}", price, problem.code)
            return
        self.market.listings[act["id"]]["meter"] = meter

    def subscribed(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """Access by use: the price of the whole quota is paid ahead, or held."""
        listing, rules = self.market.listings[act["listing"]], self._rules()
        quota, term_days = int(act["quota"]), int(listing["term_days"])
        meter = Meter(listing["meter"].unit, int(act["unit_price_micro"]))
        each = self._each(index, act, listing["meter"].unit_price_micro, act["voucher"]["buyer"], quota)
        self._below(index, listing["asset"], meter.unit, each)
        most_fen = meter.charge_fen(quota)
        hold_fen = 0 if act["prepaid"] or not most_fen else metering.to_hold_fen(most_fen, term_days, rules)
        voucher = act["voucher"]
        listing["sold"] += 1
        logged = (act["unit_price_micro"], act["most_fen"], act["hold_fen"], voucher["price_fen"])
        again = (each, most_fen, hold_fen, most_fen if act["prepaid"] else 0)
        full = listing.get("ended") or listing["sold"] > int(listing["licences"])
        if logged != tuple(map(str, again)) or full:
            self._differ(index, f"subscription {act['subscription']}", logged, again)
        held = [(t.id, t.amount, t.credit) for t in transfers if t.kind == "pending"]
        if held != ([(act["hold"], hold_fen, DEPOSITS)] if hold_fen else []):
            self._differ(index, f"hold of {act['subscription']}", held, hold_fen)
        self._order(index, voucher["buyer"], most_fen, signed=self._signed)
        self._judge_split(index, voucher, [t for t in transfers if t.kind != "pending"], None)
        self._draw_up(index, voucher, act["purpose"])
        self.market.subscriptions[act["subscription"]] = SubscriptionState(
            voucher["asset"],
            voucher["seller"],
            voucher["buyer"],
            meter,
            quota,
            act["prepaid"],
            act["hold"],
            hold_fen,
            self._now_us + rules.value("metering.statement_every_days") * DAY_US,
            self._now_us + term_days * DAY_US,
            rules,
        )
        self._count("subscriptions")

    def usage_recorded(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """What was used, within the quota."""
        known = self.market.subscriptions[act["subscription"]]
        used = use(known.quota, known.used, int(act["quantity"]))
        halted = known.buyer in self.market.stopped or self.market.parties.get(known.buyer) != "active"
        over = known.state != "open" or self._now_us >= known.ends_us
        if isinstance(used, OverQuota) or over or halted:
            self._differ(index, f"use of {act['subscription']}", act["quantity"], known.state)
            return
        known.used = used
        self._count("usage records")

    def usage_settled(self, index: int, act: Mapping[str, Any], transfers: Sequence[Transfer]) -> None:
        """A statement: what was used since the one before it, rounded once, divided as any price, and the rest held on."""
        known, rules, state = self.market.subscriptions[act["subscription"]], self._rules(), act["state"]
        quantity = known.used - known.settled
        most = self._most_micro(known.asset, known.meter.unit)
        each = metering.charged_micro(known.meter.unit_price_micro, most, rules)
        price_fen = 0 if known.prepaid else Meter(known.meter.unit, each).charge_fen(quantity)
        shares = self._shares(known.asset, known.seller) if price_fen else None
        parts = metering.parts_of(price_fen, rules, known.agreed, shares)
        last = state != "settled"
        expected: list[Transfer] = []
        left_fen = known.hold_fen
        if known.hold is not None and (price_fen or last):
            left_fen = 0 if last else known.hold_fen - price_fen - parts.buyer_fee_fen
            accounts = self.market.party_accounts
            expected = metering.transfers_of(
                f"{act['subscription']}-{known.statements + 1}",
                parts,
                (accounts[known.buyer] or "", accounts[known.seller] or ""),
                (known.hold, known.hold_fen),
                (transfers[0].id if transfers else "", act["hold"] or "", left_fen),
            )
        over = {
            "settled": known.next_us <= self._now_us < known.ends_us,
            "cancelled": self._party == known.buyer,
            "ended": True,
        }[state]
        self._sold.append((known.asset, self._now_us, price_fen, None))
        logged = (act["quantity"], act["unit_price_micro"], act["price_fen"], act["hold_fen"], act["number"])
        again = (quantity, each, price_fen, left_fen, known.statements + 1)
        if logged != tuple(map(str, again)) or not over or known.state != "open":
            self._differ(index, f"statement of {act['subscription']}", logged, again)
        if list(transfers) != expected:
            self._differ(
                index, f"settlement of {act['subscription']}", _amounts(transfers), _amounts(expected)
            )
        known.hold, known.hold_fen = (act["hold"], left_fen) if left_fen else (None, 0)
        known.settled, known.statements = known.used, known.statements + 1
        every_us = rules.value("metering.statement_every_days") * DAY_US
        known.next_us += every_us * max(0, (self._now_us - known.next_us) // every_us + 1)
        known.state = "ended" if last else "open"
        self._count("usage statements")

    def discount_published(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """A discount comes into the register, before it holds."""
        asked = discounts.PublishDiscount(
            act["listing"],
            act["criterion"],
            int(act["off_ppm"]),
            int(act["starts_us"]),
            int(act["ends_us"]),
            int(act["at_least"]),
            tuple(act["words"]),
        )
        listing = self.market.listings[act["listing"]]
        try:
            terms = discounts.check_discount(asked, act["id"], self._rules())
        except ExchangeError as problem:
            self._differ(index, f"discount {act['id']}", "published", problem.code)
            return
        if terms.starts_us < self._now_us or listing["seller"] != self._party or listing.get("ended"):
            self._differ(index, f"discount {act['id']}", "published", "past, or not the seller's to give")
        self.market.discounts.setdefault(act["listing"], []).append(terms)
        self._count("discounts")

    def discount_ended(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        register = self.market.discounts[act["listing"]]
        self.market.discounts[act["listing"]] = [one for one in register if one.name != act["discount"]]

    def _each(self, index: int, act: Mapping[str, Any], full: int, buyer: str, quantity: int) -> int:
        """What a unit costs this buyer: nothing for the public, and else by the register, as anybody like it."""
        rules, purpose = self._rules(), act.get("purpose", "")
        shown = frozenset(
            kind
            for kind, ends, accepted in self.market.documents.get(buyer, {}).values()
            if accepted and (ends is None or ends > self._now_us)
        )
        if free(purpose, rules):
            if shown.isdisjoint(rules.words("price.free_use_documents")):
                self._differ(index, f"free use by {buyer}", purpose, "nothing shown")
            return 0
        seller = self.market.listings[act["listing"]]["seller"]
        register = [
            one for one in self.market.discounts.get(act["listing"], ()) if one.ends_us > self._now_us
        ]
        alike = Alike(quantity, self._bought[buyer, seller], purpose, shown)
        each, applied = best(full, register, alike, self._now_us)
        logged = act.get("discount")
        if logged != (None if applied is None else discounts.said_of(applied)):
            self._differ(index, f"discount for {buyer}", logged, applied)
        return each

    def revenue_allowed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """What an asset may earn, computed again from its costs, the rates, and the excess of the period before."""
        ledger = self.market.revenue.setdefault(act["asset"], [])
        last = ledger[-1] if ledger else None
        excess = 0 if last is None else last.excess_fen
        starts_us, ends_us = int(act["starts_us"]), int(act["ends_us"])
        try:
            allowed = revenue.allow(revenue.asked(act), excess or 0, self._rules())
        except ExchangeError as problem:
            self._differ(index, f"allowed revenue of {act['asset']}", act["allowed_fen"], problem.code)
            return
        said = revenue.stated(len(ledger) + 1, allowed)
        logged = {name: act[name] for name in said}
        joined = last is None or (starts_us == last.ends_us and excess is not None)
        if logged != said or not joined or ends_us <= starts_us:
            self._differ(index, f"allowed revenue of {act['asset']}", logged, said)
        ledger.append(RevenueState(starts_us, ends_us, allowed))
        self._count("revenue periods")

    def revenue_closed(self, index: int, act: Mapping[str, Any], _: Sequence[Transfer]) -> None:
        """What a period earned, added up again, and what goes over into the next."""
        period = self.market.revenue[act["asset"]][-1]
        earned = sum(
            price - self._price_back(trade)
            for asset, when, price, trade in self._sold
            if asset == act["asset"]
            and period.starts_us <= when < period.ends_us
            and (trade is None or trade not in self.market.annulled)
        )
        excess = excess_after(period.allowed.revenue, earned)
        early = self._now_us < period.ends_us or period.excess_fen is not None
        if (act["revenue_fen"], act["excess_fen"]) != (str(earned), str(excess)) or early:
            self._differ(index, f"revenue of {act['asset']}", act["revenue_fen"], earned)
        period.excess_fen = excess

    def _price_back(self, trade: str | None) -> int:
        """How much of a trade's price an award has given back."""
        back = self._refunded.get(trade, ()) if trade is not None else ()
        return sum(one.amount for one in back if one.id == f"{trade}:refund_price")

    def _most_micro(self, asset: str, unit: str) -> int | None:
        """The ceiling of a unit of an asset now, where it has a carry-over ledger."""
        begun = [one for one in self.market.revenue.get(asset, ()) if one.starts_us <= self._now_us]
        return begun[-1].allowed.ceilings_micro.get(unit, 0) if begun else None

    def _below(self, index: int, asset: str, unit: str, price_micro: int) -> None:
        """No price passes a ceiling, however it came about."""
        most = self._most_micro(asset, unit)
        if (
            most is not None
            and price_micro > most
            and not self._rules().allows("price.above_ceiling_allowed")
        ):
            self._differ(index, f"price of {asset}", price_micro, f"at most {most}")

    def _shares(self, asset: str, seller: str) -> Shares | None:
        """The part of who operates an asset, and its holders now."""
        operator = self.market.operators.get(asset)
        agreed = None if operator is None else self.market.agreements.get((seller, operator))
        return None if operator is None or agreed is None else Shares(agreed[0], self._holders(operator))

    def _judge_split(
        self, index: int, voucher: Mapping[str, Any], transfers: Sequence[Transfer], hold: Transfer | None
    ) -> None:
        """Compute the settlement's chain again and compare it transfer by transfer."""
        rules = self._rules()
        self.market.trades[voucher["trade"]] = dict(voucher)
        self._settled[voucher["trade"]] = list(transfers)
        if WINDOW in rules.rules:
            self.market.deliveries[voucher["licence"]] = Delivered(window_ends_us(self._now_us, rules))
        self._sold.append((voucher["asset"], self._now_us, int(voucher["price_fen"]), voucher["trade"]))
        self._bought[voucher["buyer"], voucher["seller"]] += 1
        if WITHIN in rules.rules:
            ends_us = self._now_us + int(voucher["term_days"]) * DAY_US
            days = int(self.market.terms.get(voucher["listing"], {}).get("deletion_days", 0))
            self.market.duties[voucher["licence"]] = Duty.of(ends_us, days, rules)
        self._count("settlements")
        if voucher["rulebook"]["digest"] != rules.digest:
            self._differ(index, "rulebook", voucher["rulebook"]["digest"], rules.digest)
            return
        operator = self.market.operators.get(voucher["asset"])
        agreed = None if operator is None else self.market.agreements.get((voucher["seller"], operator))
        shares = self._shares(voucher["asset"], voucher["seller"])
        if shares is not None and agreed is not None:
            over = not agreed[1] <= self._now_us < agreed[2] and not rules.allows(
                "agreement.expired_may_sell"
            )
            tendered = self._tenders.of_listing(voucher["listing"])
            if voucher["lot"] is None and not tendered and over:
                self._differ(index, f"sale of {voucher['asset']}", "sold", "no agreement in force")
            if sum(part for _, part in shares.holders) != 1_000_000:
                self._differ(index, f"shares of {operator}", "paid", "not summing to 100 %")
                return
        buyer = self.market.party_accounts.get(voucher["buyer"])
        seller = self.market.party_accounts.get(voucher["seller"])
        if buyer is None or seller is None:
            self._differ(index, "accounts", (buyer, seller), "two accounts")
            return
        added = self.market.agreed.get(voucher["asset"], {})
        parts = split(int(voucher["price_fen"]), rules, shares, added)
        accounts = {name: self.market.party_accounts.get(name) or "" for name in added}
        expected = chain(voucher["trade"], parts, buyer, seller, hold, accounts)
        if list(transfers) != expected:
            self._differ(index, f"settlement of {voucher['trade']}", _amounts(transfers), _amounts(expected))


_JUDGES: Mapping[str, Callable[[Replay, int, Mapping[str, Any], Sequence[Transfer]], None]] = {
    "market_opened": Replay.market_opened,
    "rule_change_proposed": Replay.rule_change_proposed,
    "rule_change_decided": Replay.rule_change_decided,
    "party_registered": Replay.party_registered,
    "holders_declared": Replay.holders_declared,
    "party_state_set": Replay.party_state_set,
    "document_filed": Replay.document_filed,
    "document_reviewed": Replay.document_reviewed,
    "controls_set": Replay.controls_set,
    "trading_stopped": Replay.trading_stopped,
    "trading_resumed": Replay.trading_resumed,
    "signing_key_added": Replay.signing_key_added,
    "signing_key_revoked": Replay.signing_key_revoked,
    "person_left": Replay.person_left,
    "operation_agreed": Replay.operation_agreed,
    "topped_up": Replay.topped_up,
    "treasury_payout_proposed": Replay.treasury_payout_proposed,
    "treasury_payout_rejected": Replay.treasury_payout_rejected,
    "withdrawn": Replay.withdrawn,
    "payout_returned": Replay.payout_returned,
    "book_adjusted": Replay.book_adjusted,
    "statement_reconciled": Replay.statement_reconciled,
    "asset_declared": Replay.asset_declared,
    "compliance_assessed": Replay.compliance_assessed,
    "lineage_declared": Replay.lineage_declared,
    "listed": Replay.listed,
    "listing_withdrawn": Replay.listing_withdrawn,
    "offer_made": Replay.offer_made,
    "offer_countered": Replay.offer_made,
    "offer_accepted": Replay.offer_accepted,
    "offer_closed": Replay.offer_closed,
    "demand_posted": Replay.demand_posted,
    "demand_answered": Replay.demand_answered,
    "demand_withdrawn": Replay.demand_withdrawn,
    "discount_published": Replay.discount_published,
    "discount_ended": Replay.discount_ended,
    "revenue_allowed": Replay.revenue_allowed,
    "revenue_closed": Replay.revenue_closed,
    "subscribed": Replay.subscribed,
    "usage_recorded": Replay.usage_recorded,
    "usage_settled": Replay.usage_settled,
    "lot_opened": Replay.lot_opened,
    "bidder": Replay.bidder,
    "lot_closed": Replay.lot_closed,
    "deposit_released": Replay.deposit_released,
    "lot_settled": Replay.lot_settled,
    "draw_committed": Replay.draw_committed,
    "lot_drawn": Replay.lot_drawn,
    "lot_halted": Replay.lot_halted,
    "lot_resumed": Replay.lot_resumed,
    "lot_cancelled": Replay.lot_cancelled,
    "lot_annulled": Replay.lot_annulled,
    "lot_defaulted": Replay.lot_defaulted,
    "forfeit_distributed": Replay.forfeit_distributed,
    "contract_terms_signed": Replay.contract_terms_signed,
    "contract_signed": Replay.contract_signed,
    "licence_state_set": Replay.licence_state_set,
    "links_ended": Replay.links_ended,
    "link_made": Replay.link_made,
    "product_downloaded": Replay.product_downloaded,
    "sale_annulled": Replay.sale_annulled,
    "contributions_filed": Replay.contributions_filed,
    "contributions_answered": Replay.contributions_answered,
    "sale": Replay.sale,
    "asset_rated": Replay.asset_rated,
    "complaint_filed": Replay.complaint_filed,
    "inquiry_asked": Replay.inquiry_asked,
    "inquiry_answered": Replay.inquiry_answered,
    "complaint_escalated": Replay.complaint_escalated,
    "complaint_answered": Replay.complaint_answered,
}
"""What is decided again, or only kept because later decisions rest on it, by kind of entry."""

_DELETION = frozenset({"deletion_due", "deletion_reminded", "deletion_declared"})
_USES = frozenset({"use_case_proposed", "use_case_decided", "use_case_published", "use_case_withdrawn"})
_ACCEPTANCE = frozenset(
    {"delivery_accepted", "delivery_objected", "mediator_named", "delivery_mediated", "refund_paid"}
)

_ORDERS: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    "sale": lambda act: int(act["voucher"]["price_fen"]),
    "withdrawn": lambda act: int(act["amount_fen"]),
}
"""What an order that took effect cost the party that gave it, by kind of entry."""

_PATH_KINDS = frozenset(STEP_OF_KIND) | PROCEDURE_KINDS


def _offer(member: Mapping[str, Any]) -> Offer:
    """An offer's terms as its entry states them."""
    ceiling = member.get("ceiling_fen")
    return Offer(
        member["grant"],
        int(member["licences"]),
        int(member["term_days"]),
        int(member["price_fen"]),
        None if ceiling is None else int(ceiling),
        member["reason"],
    )


def rules_of(member: Mapping[str, Any]) -> AscendingRules:
    """A lot's terms as its opening entry states them."""
    ceiling = member["ceiling_fen"]
    return AscendingRules(
        start_price_fen=int(member["start_price_fen"]),
        increment_fen=int(member["increment_fen"]),
        opens_at_us=int(member["opens_at_us"]),
        closes_at_us=int(member["closes_at_us"]),
        soft_close_window_us=int(member["soft_close_window_us"]),
        soft_close_extension_us=int(member["soft_close_extension_us"]),
        ceiling_fen=None if ceiling is None else int(ceiling),
        priority=tuple(member.get("priority", ())),
        draw_at_ceiling=bool(member.get("draw_at_ceiling", False)),
    )


def _amounts(transfers: Sequence[Transfer]) -> list[str]:
    return [f"{t.id}={t.amount}" for t in transfers]


def from_bundle(path: FilePath) -> Replayed:
    """Replay an audit bundle of the whole log. Judge it with `ledger.audit` first."""
    replaying = Replay()
    replaying.take(path)
    return replaying.market


@dataclass(frozen=True, slots=True)
class Findings:
    """What was decided again of a period's entries, how often, what was not judged, and where log and replay part."""

    entries: int
    judged: dict[str, int]
    not_judged: int
    differences: list[Difference]


def of_period(
    bundles: Sequence[FilePath],
    start: int = 0,
    stop: int | None = None,
    since_us: int = 0,
    until_us: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Findings:
    """Replay a log from its first entry, given in bundles one behind the other, and tell of the entries [start, stop) whose
    times are [since_us, until_us): what came before is folded, since decisions rest on it, and is not told of.

    Malformed where the bundles do not begin with entry 0 or leave some out. Judge each with `ledger.audit` first.
    """
    replaying = Replay()
    market = replaying.market
    entries, judged, not_judged = 0, Counter[str](), 0
    differences: list[Difference] = []
    for bundle in bundles:
        replaying.openings.update(openings(bundle))
    for bundle in bundles:
        first = True
        for index, body in bodies(bundle):
            if first and index > market.size:
                raise Malformed(
                    "replay.gap",
                    f"{bundle.name} begins at entry {index}, {market.size} were replayed before",
                    field="BUNDLE",
                    rule="a replay begins with the market's first entry, and leaves none out",
                    remedy="give the bundles from entry 0 on, in their order",
                )
            first = False
            if index < market.size:
                continue  # told by the bundle before
            before = Counter(market.judged), market.not_judged, len(market.differences)
            replaying.fold(index, body)
            time_us = int(body.get("time", 0))
            if start <= index < (index + 1 if stop is None else stop) and since_us <= time_us < (
                time_us + 1 if until_us is None else until_us
            ):
                entries += 1
                judged += Counter(market.judged) - before[0]
                not_judged += market.not_judged - before[1]
                differences += market.differences[before[2] :]
            if progress is not None:
                progress(index)
    return Findings(entries, dict(judged), not_judged, differences)
