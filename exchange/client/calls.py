"""What the SDK does, written once: requests built, answers judged, receipts and checkpoints verified; nothing is sent here."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
from nacl.signing import SigningKey
from pydantic import BaseModel, TypeAdapter, ValidationError

from exchange.client.answers import Agent, Done, Invited, Link, LogEntry
from exchange.client.carriers import Found, Walk
from exchange.client.errors import (
    ExchangeProblem,
    NotFound,
    Refused,
    Unknown,
    Unproven,
    Unreachable,
    problem_of,
)
from exchange.client.events import Position, StreamEvent
from exchange.client.history import History, remembered_vkey
from exchange.client.wire import (
    AGAIN,
    NoAnswer,
    Open,
    Patience,
    Piece,
    Rest,
    Steps,
    Wire,
    expect,
    problem_in,
)
from exchange.messages.accounts import (
    AccountDetail,
    AccountPage,
    AccountView,
    BalancesView,
    LineView,
    StatementPage,
    TrialBalanceView,
)
from exchange.messages.assets import (
    AppraisalMessage,
    AssessmentMessage,
    AssetMessage,
    AssetPage,
    AssetView,
    AuthorizationMessage,
    AuthorizationView,
    CertificateView,
    DossierView,
    LicencePage,
    LicenceView,
    LinkMessage,
    ReleaseMessage,
    ThemeMessage,
)
from exchange.messages.drills import DrillMessage
from exchange.messages.identity import (
    ControlsMessage,
    EnrolmentMessage,
    KeyMessage,
    RotationMessage,
    Scope,
    SigningKeyMessage,
)
from exchange.messages.market import (
    AgreementMessage,
    BidBatchMessage,
    BidMessage,
    ClockMessage,
    ErasureMessage,
    HolderMessage,
    InvitationMessage,
    ListingMessage,
    LotMessage,
    OfferMessage,
    PartyMessage,
    PartyStateMessage,
    PurchaseMessage,
    Role,
    TopUpMessage,
    WithdrawalMessage,
)
from exchange.messages.views import (
    BidView,
    ControlsView,
    DrillView,
    DryRunView,
    KeyView,
    ListingView,
    LotView,
    MarketView,
    MeView,
    SigningKeyView,
    TradeView,
)
from exchange.signing import BODY_LIMIT, signed_headers
from ledger.checkpoint import Checkpoint, Verifier
from ledger.entries import Receipt, parse_leaf, receipt_from_json, verify_receipt
from ledger.errors import LedgerError, ProofError
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.policy import Policy
from ledger.proof import TlogProof
from ledger.tiles import entries_path
from pricing.auctions import Reason, proxy_bid

RACED = frozenset({f"bid.{Reason.NOT_HIGHER}", f"bid.{Reason.BELOW_INCREMENT}"})
"""Refusals that only say that somebody else was faster: an agent looks again and goes on."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}$")

M = TypeVar("M")


class Calls:
    """One exchange, seen with one key. Guarantees as `Exchange` states them; each call is steps for a carrier."""

    def __init__(
        self,
        url: str,
        key: str | None,
        vkey: str | None,
        policy: Policy | None,
        timeout_s: float,
        remember: Path | None,
        signing_key: bytes | None,
    ) -> None:
        self.wire = Wire(url, key, timeout_s)
        self._remember = remember
        self._lock = Lock()
        self._history: History | None = None
        self._codes: dict[str, str] = {}
        self._policy = policy
        self._signing_key = signing_key
        if vkey is None and policy is not None and len(policy.logs) == 1:
            vkey = policy.logs[0].verifier.vkey
        known = remembered_vkey(remember)
        if vkey is not None and known is not None and vkey != known:
            raise Unproven(f"{remember} was filled under another key, {known}", field="vkey")
        if vkey is not None or known is not None:
            self._history = self._believe(vkey or known or "")

    @property
    def url(self) -> str:
        """Where the exchange is."""
        return self.wire.url

    def vkey(self) -> Steps[str]:
        """The key that this client verifies with; asks for it where none was given (trust on first use)."""
        return (yield from self._log()).verifier.vkey

    # the market, and who calls

    def market(self) -> Steps[MarketView]:
        """What market this is. Unproven where it names another key than the one this client trusts."""
        view = yield from self._read("/v1/market", MarketView)
        if self._history is not None and view.vkey != self._history.verifier.vkey:
            raise (
                yield from self._history.unproven(f"the exchange now names the key {view.vkey}", field="vkey")
            )
        return view

    def me(self) -> Steps[MeView]:
        """Who the key belongs to, and the party's free and held money."""
        return self._read("/v1/me", MeView)

    @staticmethod
    def make_key() -> tuple[str, str]:
        """A fresh key of 256 bits, (secret, SHA-256 in hex); the exchange only ever sees the second to enrol it."""
        secret = "dx_" + secrets.token_urlsafe(32)
        return secret, hashlib.sha256(secret.encode()).hexdigest()

    def enrol(self, link_or_token: str, *, secret: str | None = None, label: str = "first key") -> Steps[str]:
        """Redeem a one-time link: make a key here, send its digest, return the secret, and call with it from now on.

        Keep the secret. To be safe against a crash in between, make it first (`make_key`), store it, and pass
        it: the same link with the same secret answers again, with another one it is refused.
        """
        found = _TOKEN.search(link_or_token)
        if found is None:
            raise ValueError("link_or_token: no token in it; paste the whole link as it was given")
        token = found[0]
        if secret is None:
            secret, digest = self.make_key()
        else:
            digest = hashlib.sha256(secret.encode()).hexdigest()
        # Whoever enrols has no party yet, so the exchange derives the identifier from the link.
        identifier = f"enrol-{hashlib.sha256(token.encode()).hexdigest()[:40]}"
        message = EnrolmentMessage(token=token, key_digest=digest, label=label)
        yield from self._write("/v1/enrolments", message, identifier, {"key": digest})
        if self.wire.key is None:
            self.wire.key = secret
        return secret

    def add_key(
        self,
        label: str,
        *,
        scopes: Sequence[Scope] | None = None,
        expires_us: int | None = None,
        identifier: str | None = None,
    ) -> Steps[str]:
        """Bring a further key of the calling person; returns its secret, which is made here and kept by you.

        Give each program the `scopes` that it needs (`read`, `trade`, `money`, `register`, `manage`), and an end.
        """
        secret, digest = self.make_key()
        message = KeyMessage(
            key_digest=digest,
            label=label,
            scopes=None if scopes is None else list(scopes),
            expires_us=expires_us,
        )
        yield from self._write("/v1/keys", message, identifier, {"key": digest})
        return secret

    def rotate_key(
        self, digest: str, label: str, *, overlap_us: int, identifier: str | None = None
    ) -> Steps[str]:
        """Put a new key in the place of one of yours; the old one ends `overlap_us` later. Returns the new secret."""
        secret, successor = self.make_key()
        message = RotationMessage(key_digest=successor, label=label, overlap_us=overlap_us)
        about = {"key": successor, "replaces": digest}
        yield from self._write(_v1("keys", digest, "rotation"), message, identifier, about)
        return secret

    def revoke_key(self, digest: str, *, identifier: str | None = None) -> Steps[Done]:
        """End a key of the caller's party, by its digest; it stops within a second."""
        return self._write(_v1("keys", digest, "revocation"), None, identifier, {"key": digest})

    def keys(self) -> Steps[list[KeyView]]:
        """The keys of your party, newest first: for what, until when, when last used."""
        return self._read_all("/v1/keys", KeyView)

    def add_signing_key(
        self, label: str, *, secret: bytes | None = None, identifier: str | None = None
    ) -> Steps[bytes]:
        """Register a signing key, made here unless given, and sign every write with it from now on.

        Returns its 32 secret bytes: keep them, and pass them as `signing_key` to the next client. What you sign is
        kept with the signature, so that nobody can say later that you bid what you did not.
        """
        key = SigningKey.generate() if secret is None else SigningKey(secret)
        public = bytes(key.verify_key).hex()
        message = SigningKeyMessage(public=public, label=label)
        yield from self._write("/v1/signing-keys", message, identifier, {"public": public})
        self._signing_key = bytes(key)
        return bytes(key)

    def signing_keys(self) -> Steps[list[SigningKeyView]]:
        """The signing keys of your party, newest first."""
        return self._read_all("/v1/signing-keys", SigningKeyView)

    def revoke_signing_key(self, id: str, *, identifier: str | None = None) -> Steps[Done]:
        """End a signing key of your party."""
        return self._write(_v1("signing-keys", id, "revocation"), None, identifier, {"id": id})

    def controls(self) -> Steps[ControlsView]:
        """What your party forbids itself, and whether it is stopped."""
        return self._read("/v1/controls", ControlsView)

    def set_controls(
        self,
        *,
        sign_above_fen: int | None = None,
        order_limit_fen: int | None = None,
        heartbeat_us: int | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Set all limits of your party: above which amount it signs its orders, which amount none of them passes, and
        after how long a silence (`heartbeat`) it is stopped. None is no limit.
        """
        message = ControlsMessage(
            sign_above_fen=sign_above_fen, order_limit_fen=order_limit_fen, heartbeat_us=heartbeat_us
        )
        return self._write("/v1/controls", message, identifier)

    def heartbeat(self) -> Steps[None]:
        """Say that you are there."""
        expect((yield from self.wire.ask("POST", "/v1/heartbeat")), 204)

    def stop_trading(self, *, identifier: str | None = None) -> Steps[Done]:
        """The kill switch: your party does nothing more until `resume_trading`. Its admitted bids stand."""
        return self._write("/v1/stop", None, identifier, {"state": "stopped"})

    def resume_trading(self, *, identifier: str | None = None) -> Steps[Done]:
        """Let your party act again."""
        return self._write("/v1/resumption", None, identifier, {"state": "active"})

    # live events

    def follow_lot(self, lot: str, *, after: int | None = None) -> Walk[StreamEvent]:
        """Follow a lot for as long as you iterate: a "snapshot", then each event once, in the order of the log.

        Lost and mute connections are made again by themselves, and what was missed is told; Unreachable where that does
        not succeed within `timeout_s`. `after` goes on from the index of an event that you kept, without a snapshot. A
        later "snapshot" in between says that more was missed than can be told again.
        """
        return self._follow(_v1("lots", lot, "events"), after)

    def follow_account(self, *, after: int | None = None) -> Walk[StreamEvent]:
        """Follow what concerns your party, as `follow_lot` does a lot: each entry whose body it may see."""
        return self._follow("/v1/account/events", after)

    def _follow(self, path: str, after: int | None) -> Walk[StreamEvent]:
        position = Position(after)
        patience = Patience(self.wire.timeout_s)
        while True:
            why = "the stream ended"
            try:
                headers = {**self.wire.authorization(), **position.begin()}
                response: httpx.Response = yield Open(self.wire.url + path, headers, position.silence_s)
                if response.status_code == 200:
                    while (data := (yield Piece())) is not None:
                        patience.renew()
                        yield from map(Found, position.feed(data))
                    why = f"the stream ended: {position.ended or 'cut off'}"
                else:
                    problem = problem_in(response)
                    why = f"answered {problem['detail']!r}"
                    if problem.get("code") == "stream.too_far":
                        position.anew()
                    elif response.status_code not in (*AGAIN, 429):
                        raise problem_of(response.status_code, problem)
            except httpx.TransportError as error:
                why = f"{type(error).__name__} {error}".strip()
            try:
                yield patience.rest(why)
            except NoAnswer as error:
                raise Unreachable(str(error)) from error

    # parties and money

    def register_party(
        self,
        uscc: str,
        name: str,
        roles: Sequence[Role],
        holders: Sequence[HolderMessage] = (),
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Admit an organisation (administrator); `outcome["id"]` is the party."""
        message = PartyMessage(uscc=uscc, name=name, roles=list(roles), holders=list(holders))
        return self._write("/v1/parties", message, identifier)

    def set_party_state(
        self,
        party: str,
        state: Literal["active", "suspended"],
        reason: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Suspend a party, or let it trade again (regulator, administrator)."""
        message = PartyStateMessage(state=state, reason=reason)
        return self._write(
            _v1("parties", party, "state"), message, identifier, {"party": party, "state": state}
        )

    def erase(self, commitment: str, ground: str, *, identifier: str | None = None) -> Steps[Done]:
        """Erase what opens a commitment, for ever (regulator); the log and all receipts go on verifying."""
        message = ErasureMessage(commitment=commitment, ground=ground)
        return self._write("/v1/erasures", message, identifier, {"commitment": commitment})

    def invite(self, party: str, name: str, *, identifier: str | None = None) -> Steps[Invited]:
        """Invite a person to a party. The token is drawn here; the exchange only learns its digest."""
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        message = InvitationMessage(party=party, name=name, token_digest=digest)
        done = yield from self._write("/v1/invitations", message, identifier, {"party": party})
        # Behind '#', where no server's access log sees it.
        return Invited(done.outcome["id"], f"{self.url}/zh/enrol#{token}", token, done)

    def agree_operation(self, operator: str, share_ppm: int, *, identifier: str | None = None) -> Steps[Done]:
        """Let an operator run the calling department's data for a part of each price net of tax, in millionths."""
        message = AgreementMessage(operator=operator, share_ppm=share_ppm)
        about = {"operator": operator, "share_ppm": str(share_ppm)}
        return self._write("/v1/agreements", message, identifier, about)

    def top_up(
        self, party: str, amount_fen: int, bank_reference: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Credit what the bank received for a party (bank)."""
        message = TopUpMessage(party=party, amount_fen=amount_fen, bank_reference=bank_reference)
        about = {"amount_fen": str(amount_fen), "bank_reference": bank_reference}
        return self._write("/v1/top-ups", message, identifier, about)

    def withdraw(self, amount_fen: int, *, identifier: str | None = None) -> Steps[Done]:
        """Order a payout of the party's free money."""
        message = WithdrawalMessage(amount_fen=amount_fen)
        return self._write("/v1/withdrawals", message, identifier, {"amount_fen": str(amount_fen)})

    def move_clock(self, by_us: int, *, identifier: str | None = None) -> Steps[Done]:
        """Let a sandbox's time pass (administrator); a production market answers Forbidden."""
        message = ClockMessage(by_us=by_us)
        return self._write("/v1/sandbox/clock", message, identifier, {"by_us": str(by_us)})

    # accounts

    def accounts(self) -> Walk[AccountView]:
        """The party's account (every account for a regulator), page by page as you read on."""
        params: dict[str, str] = {}
        while True:
            page = yield from self._read("/v1/accounts", AccountPage, params)
            yield from map(Found, page.accounts)
            if page.after is None:
                return
            params["after"] = page.after

    def account(self, account: str, *, at: int | None = None) -> Steps[AccountDetail]:
        """An account's balances and the holds that stand, now or right after the log's entry `at`."""
        return self._read(_v1("accounts", account), AccountDetail, _asked(at=at))

    def statement(
        self,
        account: str,
        *,
        start: int | None = None,
        stop: int | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Walk[LineView]:
        """The transfers on an account in order, page by page as you read on, each with the balances after it.

        A period is of entries, from `start` to before `stop`, or of times, from `since_us` to before `until_us`.
        `receipt(line.index)` proves what a line says. Unproven where a line does not lead from the balances before
        it to those after it.
        """
        params = _asked(start=start, stop=stop, since_us=since_us, until_us=until_us)
        before: BalancesView | None = None
        while True:
            page = yield from self._read(_v1("accounts", account, "statement"), StatementPage, params)
            if before not in (None, page.opening):
                raise Unproven("a page does not open with what the last one closed with", field="opening")
            before = page.opening
            for line in page.lines:
                before = _led(before, line)
                yield Found(line)
            if before != page.closing:
                raise Unproven("a page does not close with its last line's balances", field="closing")
            if page.after is None:
                return
            params["after"] = str(page.after)

    def statement_sheet(
        self,
        account: str,
        path: Path,
        *,
        language: Literal["zh", "en"] = "zh",
        start: int | None = None,
        stop: int | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Steps[None]:
        """The same as CSV for a spreadsheet, all of it, with the opening and the closing balances."""
        period = _asked(start=start, stop=stop, since_us=since_us, until_us=until_us)
        return self._save(_v1("accounts", account, "statement.csv"), {**period, "lang": language}, path)

    def trial_balance(self, *, at: int | None = None) -> Steps[TrialBalanceView]:
        """The sums of all accounts by ledger and code, now or right after the log's entry `at` (regulator)."""
        return self._read("/v1/trial-balance", TrialBalanceView, _asked(at=at))

    def trial_balance_sheet(
        self, path: Path, *, language: Literal["zh", "en"] = "zh", at: int | None = None
    ) -> Steps[None]:
        """The same as CSV for a spreadsheet."""
        return self._save("/v1/trial-balance.csv", {**_asked(at=at), "lang": language}, path)

    # an asset's path

    def declare_asset(
        self,
        title: str,
        kind: str,
        *,
        summary: str = "",
        operator: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Say that the calling department has something; `outcome["asset"]` names it from now on."""
        message = AssetMessage(title=title, summary=summary, kind=kind, operator=operator)
        return self._write("/v1/assets", message, identifier)

    def file_risk_assessment(
        self, asset: str, assessment: AssessmentMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """File what `exchange desensitize scan` found. What may never cross raises Refused."""
        about = {"asset": asset, "raw_digest": assessment.raw_digest}
        return self._write(_v1("assets", asset, "assessments"), assessment, identifier, about)

    def authorize(self, asset: str, assessment: str, *, identifier: str | None = None) -> Steps[Done]:
        """Authorize the newest assessment, as another person than its assessor, who is Refused."""
        message = AuthorizationMessage(assessment=assessment)
        about = {"asset": asset, "assessment": assessment}
        return self._write(_v1("assets", asset, "authorizations"), message, identifier, about)

    def authorization(self, asset: str, authorization: str) -> Steps[AuthorizationView]:
        """An authorization, as `exchange desensitize apply` binds itself to it."""
        return self._read(_v1("assets", asset, "authorizations", authorization), AuthorizationView)

    def authorization_document(self, asset: str, authorization: str) -> Steps[dict[str, Any]]:
        """What `exchange desensitize apply --authorization FILE` takes: the authorization with its proven receipt."""
        path = _v1("assets", asset, "authorizations", authorization, "document")
        document = yield from self._read(path, dict[str, Any])
        yield from self._proven(document.get("receipt"))
        return document

    def upload(self, path: Path) -> Steps[str]:
        """Send a desensitized file to wait for its release; returns its SHA-256 in hex. Sending it again is safe."""
        digest = _digest_of(path)
        target = self.url + _v1("uploads", digest)
        patience = Patience(self.wire.timeout_s)
        while True:
            try:
                response = yield from self.wire.once("PUT", target, self.wire.authorization(), content=path)
                if response.status_code not in AGAIN:
                    expect(response, 200, 201)
                    return digest
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)

    def release(
        self,
        asset: str,
        authorization: str,
        product_digest: str,
        certificate: Mapping[str, Any],
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Release an uploaded file. The exchange measures it again; what fails raises Refused with its reasons."""
        message = ReleaseMessage(
            authorization=authorization, product_digest=product_digest, certificate=dict(certificate)
        )
        about = {"asset": asset, "product_digest": product_digest}
        return self._write(_v1("assets", asset, "releases"), message, identifier, about)

    def assign_theme(self, asset: str, theme: str, *, identifier: str | None = None) -> Steps[Done]:
        """Put the released product under a theme."""
        about = {"asset": asset, "theme": theme}
        return self._write(_v1("assets", asset, "theme"), ThemeMessage(theme=theme), identifier, about)

    def register_asset(self, asset: str, *, identifier: str | None = None) -> Steps[Done]:
        """Register a themed asset; `outcome["code"]` is its public code, under which `certificate` finds it."""
        return self._write(_v1("assets", asset, "registration"), None, identifier, {"asset": asset})

    def appraise(
        self, asset: str, appraisal: AppraisalMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Have the exchange value a registered asset; the report names the reason and source of every figure."""
        return self._write(_v1("assets", asset, "appraisals"), appraisal, identifier, {"asset": asset})

    def assets(
        self,
        text: str | None = None,
        *,
        kind: str | None = None,
        theme: str | None = None,
        state: str | None = None,
        supplier: str | None = None,
    ) -> Walk[AssetView]:
        """Search the catalogue, page by page as you read on."""
        wanted = {"text": text, "kind": kind, "theme": theme, "state": state, "supplier": supplier}
        params = {name: value for name, value in wanted.items() if value is not None}
        while True:
            page = yield from self._read("/v1/assets", AssetPage, params)
            yield from map(Found, page.assets)
            if page.after is None:
                return
            params["after"] = page.after

    def asset(self, asset: str) -> Steps[DossierView]:
        """An asset with what stands behind it, as far as the caller may see."""
        return self._read(_v1("assets", asset), DossierView)

    def certificate(self, code: str) -> Steps[CertificateView]:
        """A registration certificate, each of its evidence hashes held to the log. Unproven where one differs."""
        view = yield from self._read(_v1("certificates", code), CertificateView)
        for step, evidence in view.evidence.items():
            leaf, _ = yield from self._leaf(evidence.index)
            if leaf_hash(leaf).hex() != evidence.leaf_hash:
                raise Unproven(
                    f"the log's entry {evidence.index} is not the one of {code}", field=f"evidence.{step}"
                )
        return view

    # offers, lots, bids

    def offer_fixed_price(
        self, asset: str, offer: OfferMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Offer licences at one price for everybody; `outcome["id"]` is the listing."""
        message = ListingMessage(asset=asset, offer=offer)
        return self._write("/v1/listings", message, identifier, {"asset": asset})

    def listings(self) -> Steps[list[ListingView]]:
        """Everything on offer or once offered, newest first."""
        return self._read_all("/v1/listings", ListingView)

    def buy(self, listing: str, licences: int = 1, *, identifier: str | None = None) -> Steps[Done]:
        """Buy at the fixed price: paid, licensed and confirmed in one entry; `outcome["voucher"]` is the deal."""
        about = {"listing": listing, "licences": str(licences)}
        message = PurchaseMessage(licences=licences)
        return self._write(_v1("listings", listing, "purchases"), message, identifier, about)

    def open_lot(
        self,
        asset: str,
        offer: OfferMessage,
        *,
        increment_fen: int,
        deposit_fen: int,
        opens_us: int,
        closes_us: int,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Offer one grant by ascending auction; `outcome["id"]` is the lot."""
        message = LotMessage(
            asset=asset,
            offer=offer,
            increment_fen=increment_fen,
            deposit_fen=deposit_fen,
            opens_us=opens_us,
            closes_us=closes_us,
        )
        return self._write("/v1/lots", message, identifier, {"asset": asset})

    def lots(self) -> Steps[list[LotView]]:
        """All lots, the ones that close next first."""
        return self._read_all("/v1/lots", LotView)

    def lot(self, lot: str) -> Steps[LotView]:
        """One lot and where it stands."""
        return self._read(_v1("lots", lot), LotView)

    def bids(self, lot: str, after: int = -1) -> Steps[list[BidView]]:
        """The public book of a lot from behind log index `after`, admitted and refused, in log order."""
        book: list[BidView] = []
        while page := (yield from self._read(_v1("lots", lot, "bids"), list[BidView], {"after": str(after)})):
            book += page
            after = page[-1].index
        return book

    def join_lot(self, lot: str, *, identifier: str | None = None) -> Steps[Done]:
        """Have the deposit held and get a code for this lot, `outcome["code"]`; Refused where it is not covered."""
        done = yield from self._write(_v1("lots", lot, "bidders"), None, identifier, {"lot": lot})
        self._codes[lot] = done.outcome["code"]
        return done

    def place_bid(self, lot: str, price_fen: int, client_bid_id: str | None = None) -> Steps[Done]:
        """Bid. Refused where the rules or the standing price do not admit it; either way it is on the record."""
        identifier = client_bid_id or self.fresh_identifier()
        message = BidMessage(client_bid_id=identifier, price_fen=price_fen)
        done = yield from self._write(
            _v1("lots", lot, "bids"), message, identifier, {"lot": lot, "price_fen": str(price_fen)}
        )
        self._codes[lot] = done.outcome["code"]
        return done

    def dry_run_bid(self, lot: str, price_fen: int) -> Steps[DryRunView]:
        """What would come of a bid now, and the whole cost of winning at its price; nothing is recorded."""
        message = BidMessage(client_bid_id=self.fresh_identifier(), price_fen=price_fen)
        return self._rehearse(_v1("lots", lot, "bids:dry-run"), message)

    def dry_run_purchase(self, listing: str, licences: int = 1) -> Steps[DryRunView]:
        """What would come of a purchase now, and the whole cost of it; nothing is recorded."""
        return self._rehearse(
            _v1("listings", listing, "purchases:dry-run"), PurchaseMessage(licences=licences)
        )

    def _rehearse(self, path: str, message: BaseModel) -> Steps[DryRunView]:
        headers = {"Content-Type": "application/json"}
        content = message.model_dump_json().encode()
        try:
            response = yield from self.wire.ask(
                "POST", path, content=content, headers=headers, sign=self._sign
            )
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        return self._as(expect(response, 200), path, DryRunView)

    def place_bids(
        self, lot: str, bids: Sequence[tuple[int, str | None]]
    ) -> Steps[list[Done | ExchangeProblem]]:
        """Bid up to 1,000 times in one request, decided in this order: prices in fen, each with its `client_bid_id` or None.

        What came of each bid, in the same order: a verified `Done`, `Refused` for a refusal on the record, as well
        verified, or the problem of one that left no trace. None is raised, for the others took effect. Unknown carries the
        first identifier: look each of them up, or send the same bids with the same identifiers again.
        """
        named = [(price_fen, identifier or self.fresh_identifier()) for price_fen, identifier in bids]
        message = BidBatchMessage(
            bids=[
                BidMessage(client_bid_id=identifier, price_fen=price_fen) for price_fen, identifier in named
            ]
        )
        content = message.model_dump_json().encode()
        try:
            response = yield from self.wire.ask(
                "POST",
                _v1("lots", lot, "bids:batch"),
                content=content,
                headers={"Content-Type": "application/json"},
            )
            if response.status_code >= 500:
                raise NoAnswer(f"the exchange failed: {problem_in(response)['detail']}")
            items = _object(expect(response, 200)).get("items")
        except NoAnswer as error:
            raise Unknown(named[0][1], str(error)) from error
        if not isinstance(items, list) or len(items) != len(named):
            raise Unproven("the answer has another number of items than the request", field="items")
        came: list[Done | ExchangeProblem] = []
        for item, (price_fen, identifier) in zip(items, named, strict=True):
            about = {"lot": lot, "price_fen": str(price_fen)}
            came.append((yield from self._came_of(item, identifier, about)))
        return came

    def _came_of(self, item: Any, identifier: str, about: Mapping[str, str]) -> Steps[Done | ExchangeProblem]:
        """What came of one act of a batch, its receipt verified where it has one."""
        if not isinstance(item, dict) or item.get("client_bid_id") != identifier:
            raise Unproven(f"the answer is not about {identifier!r}", field="client_bid_id")
        status = item.get("status")
        if "receipt" not in item:
            if status == 201:
                raise Unproven("there is none", field="receipt")
            return problem_of(int(str(status)), item)
        done = yield from self._verified(item, identifier, about, repeated=False)
        if (done.reason is None) != (status == 201):
            raise Unproven(f"answered {status} for {done.outcome.get('state')}", field="status")
        self._codes[about["lot"]] = done.outcome["code"]
        return done if done.reason is None else Refused({"title": item.get("title", ""), **done.reason}, done)

    def bid_up_to(self, lot: str, maximum_fen: int, code: str | None = None) -> Steps[Agent]:
        """Let an agent bid for you, once: the least that is needed to hold the lot, and never above the maximum.

        The agent runs here; the maximum never leaves this process. It ends when it holds the standing bid or
        would have to pass the maximum; call it again when you are outbid. `code` is yours on this lot, which
        the client knows when it joined or bid itself.
        """
        code = code or self._codes.get(lot)
        if code is None:
            raise ValueError("code: join the lot with this client, or give the code that joining gave")
        placed: list[Done] = []
        while True:
            view = yield from self.lot(lot)
            price_fen = (
                proxy_bid(view.rules(), view.standing(), code, maximum_fen) if view.state == "open" else None
            )
            if price_fen is None:
                return Agent(view.standing_code == code, tuple(placed))
            try:
                placed.append((yield from self.place_bid(lot, price_fen)))
            except Refused as refusal:
                placed.append(refusal.done)
                if refusal.code not in RACED:
                    return Agent(False, tuple(placed))

    # trades and delivery

    def trades(self) -> Steps[list[TradeView]]:
        """The party's trades with their vouchers, newest first; all of them for a regulator."""
        return self._read_all("/v1/trades", TradeView)

    def licences(self) -> Walk[LicenceView]:
        """The caller's licences, page by page as you read on."""
        params: dict[str, str] = {}
        while True:
            page = yield from self._read("/v1/licences", LicencePage, params)
            yield from map(Found, page.licences)
            if page.after is None:
                return
            params["after"] = page.after

    def link(self, licence: str, valid_seconds: int = 3600, *, identifier: str | None = None) -> Steps[Link]:
        """Make a link to a licensed product that works without a key until it expires."""
        owned = yield from self._read(_v1("licences", licence), LicenceView)
        product = (yield from self.asset(owned.asset)).product
        if product is None:
            raise Unproven(f"the catalogue names no product of {owned.asset}", field="product")
        answer: dict[str, Any] = {}
        done = yield from self._write(
            _v1("licences", licence, "links"),
            LinkMessage(valid_seconds=valid_seconds),
            identifier,
            {"licence": licence},
            answer,
        )
        if not str(answer.get("link")).startswith("/v1/deliveries/"):
            raise Unproven(f"{answer.get('link')!r} is no link of this exchange", field="link")
        return Link(
            url=self.url + answer["link"],
            licence=licence,
            expires_us=int(done.outcome["expires_us"]),
            product_digest=product.product_digest,
            done=done,
        )

    def download(self, link: Link, path: Path) -> Steps[None]:
        """Fetch a product to `path`, which appears only once its SHA-256 is the product's (Unproven otherwise).

        What arrived before a lost connection, or before a call that was given up, waits in `path`.part and is
        gone on with.
        """
        part = path.with_name(path.name + ".part")
        patience = Patience(self.wire.timeout_s)

        def take(response: httpx.Response) -> AbstractContextManager[Callable[[bytes], object]] | None:
            if response.status_code not in (200, 206):
                return None
            return _filling(part, "ab" if response.status_code == 206 else "wb", patience.renew)

        while True:
            have = part.stat().st_size if part.exists() else 0
            # The range only counts while the file is still the same one.
            headers = {"Range": f"bytes={have}-", "If-Range": f'"{link.product_digest}"'} if have else {}
            headers["Accept-Encoding"] = "identity"
            try:
                response = yield from self.wire.once("GET", link.url, headers, sink=take)
                if response.status_code not in AGAIN:
                    if response.status_code != 416:  # 416: nothing is left to fetch
                        expect(response, 200, 206)
                    break
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)
        found = _digest_of(part)
        if found != link.product_digest:
            part.unlink()
            raise Unproven(f"what arrived hashes to {found}, not to {link.product_digest}", field="product")
        os.replace(part, path)

    # the record

    def lookup(self, identifier: str) -> Steps[Done | None]:
        """What came of one of the party's requests; None where nothing took effect under the identifier so far.

        A refusal on the record is a `Done` with a `reason`. While a request may still be on its way, None can
        turn into an answer: sending it again under the same identifier settles it.
        """
        try:
            answer = yield from self._read(_v1("requests", identifier), dict[str, Any])
            return (yield from self._verified(answer, identifier, {}, repeated=True))
        except NotFound:
            return None
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def checkpoint(self) -> Steps[Checkpoint]:
        """The newest checkpoint, verified and on the one history. Forked where the log is shorter than it was."""
        return (yield from self.compare((yield from self._text("/checkpoint"))))

    def compare(self, note: str) -> Steps[Checkpoint]:
        """Hold a signed checkpoint that somebody else was shown to the history that this client is shown.

        Forked where the exchange shows different logs to different people: the two notes convict it.
        """
        try:
            history = yield from self._log()
            return (yield from history.admit(note))
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def newest_seen(self) -> Checkpoint | None:
        """The newest checkpoint that this client has verified, without asking."""
        return None if self._history is None else self._history.newest

    def newest_note(self) -> str:
        """The signed note of that checkpoint; empty before the first."""
        return "" if self._history is None else self._history.note

    def entry_bundle(self, n: int, width: int) -> Steps[bytes]:
        """The first `width` public leaves of the n-th 256, as c2sp.org/tlog-tiles serves them; not verified here."""
        try:
            response = yield from self.wire.ask("GET", f"/{entries_path(n, width)}")
            return expect(response, 200).content
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def receipt(self, index: int) -> Steps[Receipt]:
        """The receipt of an entry of the party (of any entry for a regulator), verified."""
        try:
            answer = yield from self._read(_v1("receipts", str(index)), dict[str, Any])
            receipt, _ = yield from self._proven(answer)
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        if receipt.index != index:
            raise Unproven(f"asked for entry {index}, got {receipt.index}", field="index")
        return receipt

    def log_entry(self, index: int) -> Steps[LogEntry]:
        """A public leaf, its place in the log proven under the newest checkpoint."""
        leaf, checkpoint = yield from self._leaf(index)
        try:
            return LogEntry(index, parse_leaf(leaf), checkpoint)
        except LedgerError as error:
            raise Unproven(str(error), field="leaf") from error

    def tlog_proof(self, index: int) -> Steps[TlogProof]:
        """An entry's place in the log as a proof that stands alone, verified; `text()` is its `.tlog-proof` file."""
        leaf, _ = yield from self._leaf(index)
        try:
            response = yield from self.wire.ask("GET", _v1("log", str(index), "proof"))
            proof = TlogProof.parse(expect(response, 200).text)
            history = yield from self._log()
            yield from history.admit(proof.checkpoint)
            proof.verify(leaf_hash(leaf), history.verifier)
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        if proof.index != index:
            raise Unproven(f"asked for entry {index}, got {proof.index}", field="index")
        return proof

    def witnessed(self) -> Steps[str]:
        """The newest checkpoint that the policy's quorum cosigned, on the one history: a note for everybody.
        `policy.judge` says who signed it, and when.

        Conflict while there is none; Unproven where what is shown has not the signatures that the policy asks for;
        Forked where it contradicts what this client was shown before, which it then never believes again.
        """
        note = yield from self._text("/v1/log/witnessed")
        yield from self._require_quorum(note)
        return note

    def complete(self, receipt: Receipt) -> Steps[Receipt]:
        """The same receipt under a checkpoint that the policy's quorum cosigned: proven to whoever trusts the policy,
        and not the exchange. `policy.judge(receipt.checkpoint)` says which signatures any receipt has.

        Errors as `witnessed`; Conflict while the witnesses have not come so far: the receipt holds as it is, ask
        again a little later.
        """
        text = yield from self._text(_v1("log", str(receipt.index), "proof"), {"witnessed": "true"})
        try:
            proof = TlogProof.parse(text)
            size = (yield from self._require_quorum(proof.checkpoint)).size
            completed = replace(receipt, size=size, proof=proof.hashes, checkpoint=proof.checkpoint)
            verify_receipt(completed, [(yield from self._log()).verifier])
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        return completed

    def _require_quorum(self, note: str) -> Steps[Checkpoint]:
        if self._policy is None:
            raise ValueError("policy: this client was given none; say which witnesses you trust")
        try:
            self._policy.require(note)
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        return (yield from self.compare(note))

    def _text(self, path: str, params: Mapping[str, str] | None = None) -> Steps[str]:
        try:
            response = yield from self.wire.ask("GET", path, params=params)
            return expect(response, 200).text
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    def anchors(self) -> Steps[list[dict[str, Any]]]:
        """The checkpoints that the exchange says it put on a chain; `ledger.anchor` reads the chain itself."""
        return self._read_all("/v1/anchors", dict[str, Any])

    def anchor_watch(self) -> Steps[dict[str, Any]]:
        """What the exchange last saw of the chain, and what is amiss with it since when; NotFound where it has none."""
        return self._read("/v1/anchors/watch", dict[str, Any])

    def drills(self) -> Steps[list[DrillView]]:
        """The drills that were held, newest first, and how each ended."""
        return self._read_all("/v1/drills", DrillView)

    def record_drill(self, message: DrillMessage, *, identifier: str | None = None) -> Steps[Done]:
        """Put a drill that was held on the record (administrator)."""
        return self._write("/v1/drills", message, identifier)

    def audit_bundle(
        self, path: Path, *, start: int = 0, stop: int | None = None, party: str | None = None
    ) -> Steps[None]:
        """Fetch the record for an audit; `exchange audit verify` judges it, offline.

        A regulator gets all of it, or what one `party` may see; everybody else their own party's. `start` and
        `stop` are indexes and are moved outward to where a batch ended.
        """
        return self._save(_v1("audit", "bundle"), _asked(start=start, stop=stop, party=party), path)

    @staticmethod
    def fresh_identifier() -> str:
        """An identifier for one request: 128 bits of chance."""
        return secrets.token_hex(16)

    # within

    def _save(self, target: str, params: Mapping[str, str], path: Path) -> Steps[None]:
        """Fetch a document to `path`, which appears only once all of it has come."""
        fresh = path.with_name(path.name + ".part")
        patience = Patience(self.wire.timeout_s)
        while True:
            try:
                response = yield from self.wire.once(
                    "GET",
                    self.url + target,
                    {**self.wire.authorization(), "Accept-Encoding": "identity"},
                    params=params,
                    sink=lambda came: _filling(fresh, "wb") if came.status_code == 200 else None,
                )
                if response.status_code not in AGAIN:
                    expect(response, 200)
                    os.replace(fresh, path)
                    return
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)

    def _read_all(self, path: str, form: type[M]) -> Steps[list[M]]:
        """A whole list, page by page, as each links to the next."""
        rows: list[M] = []
        params: Mapping[str, str] | None = None
        while True:
            response = yield from self._got(path, params)
            rows += self._as(response, path, list[form])  # type: ignore[valid-type]  # a type that was handed in
            following = response.links.get("next", {}).get("url")
            if following is None:
                return rows
            params = dict(httpx.URL(following).params)

    def _read(self, path: str, form: type[M], params: Mapping[str, str] | None = None) -> Steps[M]:
        return self._as((yield from self._got(path, params)), path, form)

    def _got(self, path: str, params: Mapping[str, str] | None) -> Steps[httpx.Response]:
        try:
            return expect((yield from self.wire.ask("GET", path, params=params)), 200)
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    @staticmethod
    def _as(response: httpx.Response, path: str, form: type[M]) -> M:
        try:
            return TypeAdapter(form).validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise Unproven(f"{path} answered in another form: {error}", field="answer") from error

    def _write(
        self,
        path: str,
        message: BaseModel | None,
        identifier: str | None,
        about: Mapping[str, str] | None = None,
        answer: dict[str, Any] | None = None,
    ) -> Steps[Done]:
        """Send a write until it is answered, and verify the answer; `about` is what the entry must say.

        The whole answer is left in `answer`, for the members that stand beside the receipt.
        """
        identifier = identifier or self.fresh_identifier()
        headers = {"Idempotency-Key": identifier}
        content = None
        if message is not None:
            headers["Content-Type"] = "application/json"
            content = message.model_dump_json().encode()
        try:
            response = yield from self.wire.ask(
                "POST", path, content=content, headers=headers, sign=self._sign
            )
            if response.status_code >= 500:
                raise NoAnswer(f"the exchange failed: {problem_in(response)['detail']}")
            said = problem_in(response) if response.status_code == 422 else {}
            if response.status_code != 422 or "receipt" not in said:
                expect(response, 201)
                said = _object(response)
            done = yield from self._verified(
                said, identifier, about or {}, repeated=response.headers.get("Idempotency-Replayed") == "true"
            )
        except NoAnswer as error:
            raise Unknown(identifier, str(error)) from error
        if (done.reason is None) != (response.status_code == 201):
            raise Unproven(f"answered {response.status_code} for {done.outcome.get('state')}", field="status")
        if done.reason is not None:
            raise Refused({"title": said.get("title", ""), **done.reason}, done)
        if answer is not None:
            answer.update(said)
        return done

    def _sign(self, path: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        """The headers that sign a write, where it can be signed and there is a key for it."""
        if self._signing_key is None or len(content) > BODY_LIMIT or not content.isascii():
            return {}
        return signed_headers(self._signing_key, "POST", path, headers, content, int(time.time()))

    def _verified(
        self, answer: Mapping[str, Any], identifier: str, about: Mapping[str, str], *, repeated: bool
    ) -> Steps[Done]:
        receipt, checkpoint = yield from self._proven(answer.get("receipt"))
        body = receipt.said()
        outcome = answer.get("outcome")
        if not isinstance(outcome, dict) or body.get("act") != outcome:
            raise Unproven("the entry says something else than the answer", field="outcome")
        if body.get("key") != identifier:
            raise Unproven(
                f"the entry is of the identifier {body.get('key')!r}, not {identifier!r}", field="key"
            )
        for name, value in about.items():
            if outcome.get(name) != value:
                raise Unproven(
                    f"asked with {name} {value!r}, the entry says {outcome.get(name)!r}", field=name
                )
        return Done(identifier, outcome, receipt, checkpoint, repeated)

    def _proven(self, answer: Any) -> Steps[tuple[Receipt, Checkpoint]]:
        if not isinstance(answer, dict):
            raise Unproven("there is none", field="receipt")
        history = yield from self._log()
        try:
            receipt = receipt_from_json(answer)
            verify_receipt(receipt, [history.verifier])
        except LedgerError as error:
            raise (yield from history.unproven(str(error), field=f"receipt.{error.field}")) from error
        return receipt, (yield from history.admit(receipt.checkpoint))

    def _leaf(self, index: int) -> Steps[tuple[bytes, Checkpoint]]:
        answer = yield from self._read(_v1("log", str(index)), dict[str, Any])
        try:
            history = yield from self._log()
            checkpoint = yield from history.admit(str(answer.get("checkpoint")))
            leaf = _unbase64(answer.get("leaf"))
            proof = [_unbase64(sibling) for sibling in answer.get("proof", ())]
            verify_inclusion(index, checkpoint.size, leaf_hash(leaf), proof, checkpoint.root)
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        return leaf, checkpoint

    def _log(self) -> Steps[History]:
        """The history that answers are held to; on first use the key is the one that the exchange names."""
        if self._history is None:
            vkey = (yield from self.market()).vkey
            with self._lock:
                if self._history is None:
                    self._history = self._believe(vkey)
        return self._history

    def _believe(self, vkey: str) -> History:
        try:
            verifier = Verifier.parse(vkey)
        except LedgerError as error:
            raise Unproven(str(error), field="vkey") from error
        return History(verifier, self._consistency, self._remember, self._ended)

    def _ended(self) -> Steps[str | None]:
        """The note with which the log before this one ended, as the exchange shows it."""
        try:
            response = yield from self.wire.ask("GET", "/v1/log/ended")
        except NoAnswer:
            return None
        return response.text if response.status_code == 200 else None

    def _consistency(self, old: int, new: int) -> Steps[list[bytes]]:
        response = yield from self.wire.ask(
            "GET", "/v1/consistency", params={"old": str(old), "new": str(new)}
        )
        if response.status_code not in (200, 400, 404):  # says nothing of the log
            raise NoAnswer(problem_in(response)["detail"])
        proof = _object(expect(response, 200)).get("proof")
        if not isinstance(proof, list):
            raise ProofError(
                "no proof", field="proof", rule="an array of hashes", remedy="do not trust this log"
            )
        return [_unbase64(sibling) for sibling in proof]

    def _rest(
        self,
        patience: Patience,
        why: str,
        headers: httpx.Headers | None = None,
        cause: BaseException | None = None,
    ) -> Rest:
        try:
            return patience.rest(why, headers, cause)
        except NoAnswer as error:
            raise Unreachable(str(error)) from error


def _v1(*parts: str) -> str:
    """A path of the API; what stands in for an identifier cannot reach another route."""
    return "/v1/" + "/".join(quote(part, safe=":") for part in parts)


def _asked(**values: int | str | None) -> dict[str, str]:
    """The parameters of a question; what is None is not asked for."""
    return {name: str(value) for name, value in values.items() if value is not None}


def _led(before: BalancesView, line: LineView) -> BalancesView:
    """The balances after a line; Unproven where it does not lead to them."""
    for name in BalancesView.model_fields:
        if getattr(before, name) + getattr(line.change, name) != getattr(line.balances, name):
            raise Unproven(f"line {line.sequence} does not lead to its balances", field=name)
    return line.balances


def _object(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Unproven(f"answered {response.status_code} with no JSON object", field="answer")
    return said


def _unbase64(text: object) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except ValueError as error:
        raise ProofError(
            f"{text!r}", field="proof", rule="standard base64", remedy="do not trust this log"
        ) from error


@contextmanager
def _filling(
    path: Path, mode: Literal["ab", "wb"], progress: Callable[[], None] = lambda: None
) -> Iterator[Callable[[bytes], object]]:
    """A file to fill piece by piece; `progress` is told of each."""
    with path.open(mode) as file:

        def take(piece: bytes) -> None:
            file.write(piece)
            progress()

        yield take


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
