"""The exchange as its users call it: one class that waits and one to be awaited, in the words of the market.

Both offer the same calls, which are written once (`exchange.client.calls`) and done by a carrier.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import httpx

from exchange.client.calls import Calls
from exchange.client.carriers import AsyncLine, Line, Walk
from exchange.client.sandbox import AsyncSandbox, Sandbox
from exchange.client.wire import Steps
from ledger.checkpoint import Checkpoint
from ledger.policy import Policy

P = ParamSpec("P")
T = TypeVar("T")


class One(Generic[P, T]):
    """A call with one answer: returned by `Exchange`, awaited of `AsyncExchange`."""

    def __init__(self, steps: Callable[Concatenate[Calls, P], Steps[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, market: Exchange, owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, market: AsyncExchange, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, market: None, owner: type) -> One[P, T]: ...
    def __get__(self, market: Exchange | AsyncExchange | None, owner: type) -> Any:
        if market is None:
            return self

        @functools.wraps(self._steps)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return market.line.carry(self._steps(market.calls, *args, **kwargs))

        return call


class Many(Generic[P, T]):
    """A call with many answers, asked for page by page: iterated of `Exchange`, with `async for` of `AsyncExchange`."""

    def __init__(self, steps: Callable[Concatenate[Calls, P], Walk[T]]) -> None:
        self._steps = steps
        self.__doc__ = steps.__doc__

    @overload
    def __get__(self, market: Exchange, owner: type) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, market: AsyncExchange, owner: type) -> Callable[P, AsyncIterator[T]]: ...
    @overload
    def __get__(self, market: None, owner: type) -> Many[P, T]: ...
    def __get__(self, market: Exchange | AsyncExchange | None, owner: type) -> Any:
        if market is None:
            return self

        @functools.wraps(self._steps)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return market.line.walk(self._steps(market.calls, *args, **kwargs))

        return call


class Market:
    """What both classes offer; `calls` does it, and holds what is known of the exchange."""

    calls: Calls

    make_key = staticmethod(Calls.make_key)
    fresh_identifier = staticmethod(Calls.fresh_identifier)

    @property
    def url(self) -> str:
        """Where the exchange is."""
        return self.calls.url

    def newest_seen(self) -> Checkpoint | None:
        """The newest checkpoint that this client has verified, without asking."""
        return self.calls.newest_seen()

    def newest_note(self) -> str:
        """The signed note of that checkpoint; empty before the first."""
        return self.calls.newest_note()

    # the market, and who calls

    market = One(Calls.market)
    statistics = One(Calls.statistics)
    me = One(Calls.me)
    enrol = One(Calls.enrol)
    add_key = One(Calls.add_key)
    rotate_key = One(Calls.rotate_key)
    revoke_key = One(Calls.revoke_key)
    keys = One(Calls.keys)
    add_signing_key = One(Calls.add_signing_key)
    signing_keys = One(Calls.signing_keys)
    revoke_signing_key = One(Calls.revoke_signing_key)
    console_link = One(Calls.console_link)
    account_resets = One(Calls.account_resets)
    decide_account_reset = One(Calls.decide_account_reset)
    controls = One(Calls.controls)
    set_controls = One(Calls.set_controls)
    heartbeat = One(Calls.heartbeat)
    stop_trading = One(Calls.stop_trading)
    resume_trading = One(Calls.resume_trading)

    # the rules

    rulebook = One(Calls.rulebook)
    rulebook_versions = One(Calls.rulebook_versions)
    rule_changes = One(Calls.rule_changes)
    rule_change = One(Calls.rule_change)
    propose_rule_change = One(Calls.propose_rule_change)
    decide_rule_change = One(Calls.decide_rule_change)

    # live events

    follow_lot = Many(Calls.follow_lot)
    follow_account = Many(Calls.follow_account)

    # webhooks

    webhooks = One(Calls.webhooks)
    add_webhook = One(Calls.add_webhook)
    rotate_webhook_secret = One(Calls.rotate_webhook_secret)
    replay_webhook = One(Calls.replay_webhook)
    remove_webhook = One(Calls.remove_webhook)

    # parties and money

    register_party = One(Calls.register_party)
    set_party_state = One(Calls.set_party_state)
    erase = One(Calls.erase)
    invite = One(Calls.invite)
    onboarding = One(Calls.onboarding)
    people = One(Calls.people)
    end_membership = One(Calls.end_membership)
    assign_duty = One(Calls.assign_duty)
    agree_operation = One(Calls.agree_operation)
    agreements = One(Calls.agreements)
    documents = One(Calls.documents)
    file_document = One(Calls.file_document)
    review_document = One(Calls.review_document)
    declare_holders = One(Calls.declare_holders)
    holders = One(Calls.holders)
    declare_relation = One(Calls.declare_relation)
    conflicts = One(Calls.conflicts)
    top_up = One(Calls.top_up)
    withdraw = One(Calls.withdraw)
    withdrawals = One(Calls.withdrawals)
    treasury_payouts = One(Calls.treasury_payouts)
    propose_treasury_payout = One(Calls.propose_treasury_payout)
    decide_treasury_payout = One(Calls.decide_treasury_payout)
    return_payout = One(Calls.return_payout)
    suspense = One(Calls.suspense)
    assign_suspense = One(Calls.assign_suspense)
    import_statement = One(Calls.import_statement)
    statements = One(Calls.statements)
    resolve_alarm = One(Calls.resolve_alarm)
    adjust_book = One(Calls.adjust_book)
    move_clock = One(Calls.move_clock)

    # accounts

    accounts = Many(Calls.accounts)
    account = One(Calls.account)
    statement = Many(Calls.statement)
    statement_sheet = One(Calls.statement_sheet)
    trial_balance = One(Calls.trial_balance)
    trial_balance_sheet = One(Calls.trial_balance_sheet)

    # for accountants

    invoices = One(Calls.invoices)
    invoice = One(Calls.invoice)
    invoice_sheet = One(Calls.invoice_sheet)
    journal = Many(Calls.journal)

    # an asset's path

    declare_asset = One(Calls.declare_asset)
    send_list = One(Calls.send_list)
    declare_list = One(Calls.declare_list)
    file_risk_assessment = One(Calls.file_risk_assessment)
    authorize = One(Calls.authorize)
    return_file = One(Calls.return_file)
    authorization = One(Calls.authorization)
    authorization_document = One(Calls.authorization_document)
    upload = One(Calls.upload)
    release = One(Calls.release)
    assign_theme = One(Calls.assign_theme)
    appraise = One(Calls.appraise)
    assets = Many(Calls.assets)
    catalogue = One(Calls.catalogue)
    sample = One(Calls.sample)
    open_data = One(Calls.open_data)
    asset = One(Calls.asset)

    contributions = One(Calls.contributions)
    file_contributions = One(Calls.file_contributions)
    answer_contributions = One(Calls.answer_contributions)

    # the register

    apply = One(Calls.apply)
    applications = One(Calls.applications)
    application = One(Calls.application)
    accept = One(Calls.accept)
    review = One(Calls.review)
    withdraw_application = One(Calls.withdraw_application)
    notices = One(Calls.notices)
    notice = One(Calls.notice)
    comment = One(Calls.comment)
    file_objection = One(Calls.file_objection)
    decide_objection = One(Calls.decide_objection)
    revoke_registration = One(Calls.revoke_registration)
    engage_provider = One(Calls.engage_provider)
    file_compliance = One(Calls.file_compliance)
    compliance = One(Calls.compliance)
    certificates = One(Calls.certificates)
    certificate = One(Calls.certificate)
    certificate_document = One(Calls.certificate_document)

    # offers, lots, bids

    offer_fixed_price = One(Calls.offer_fixed_price)
    listings = One(Calls.listings)
    buy = One(Calls.buy)
    offer_metered = One(Calls.offer_metered)
    subscribe = One(Calls.subscribe)
    subscriptions = One(Calls.subscriptions)
    subscription = One(Calls.subscription)
    record_usage = One(Calls.record_usage)
    end_subscription = One(Calls.end_subscription)
    usage_statements = One(Calls.usage_statements)
    usage_statement = One(Calls.usage_statement)
    usage_sheet = One(Calls.usage_sheet)
    allow_revenue = One(Calls.allow_revenue)
    revenue_periods = One(Calls.revenue_periods)
    discounts = One(Calls.discounts)
    publish_discount = One(Calls.publish_discount)
    end_discount = One(Calls.end_discount)
    questions = One(Calls.questions)
    questions_waiting = One(Calls.questions_waiting)
    ask_question = One(Calls.ask_question)
    answer_question = One(Calls.answer_question)
    offer_negotiated = One(Calls.offer_negotiated)
    withdraw_listing = One(Calls.withdraw_listing)
    make_offer = One(Calls.make_offer)
    negotiations = One(Calls.negotiations)
    negotiation = One(Calls.negotiation)
    counter_offer = One(Calls.counter_offer)
    accept_offer = One(Calls.accept_offer)
    reject_offer = One(Calls.reject_offer)
    withdraw_offer = One(Calls.withdraw_offer)
    open_lot = One(Calls.open_lot)
    halt_lot = One(Calls.halt_lot)
    resume_lot = One(Calls.resume_lot)
    cancel_lot = One(Calls.cancel_lot)
    annul_lot = One(Calls.annul_lot)
    annul_sale = One(Calls.annul_sale)
    commit_draw = One(Calls.commit_draw)
    draws = One(Calls.draws)
    reveal_draw = One(Calls.reveal_draw)
    refunds = One(Calls.refunds)
    why = One(Calls.why)
    watch_lot = One(Calls.watch_lot)
    watched = One(Calls.watched)
    lot_notices = One(Calls.lot_notices)
    calendar = One(Calls.calendar)
    lots = One(Calls.lots)
    lot = One(Calls.lot)
    bids = One(Calls.bids)
    join_lot = One(Calls.join_lot)
    bidder = One(Calls.bidder)
    place_bid = One(Calls.place_bid)
    dry_run_bid = One(Calls.dry_run_bid)
    dry_run_purchase = One(Calls.dry_run_purchase)
    place_bids = One(Calls.place_bids)
    bid_up_to = One(Calls.bid_up_to)

    # sealed tenders

    publish_holder_key = One(Calls.publish_holder_key)
    holder_keys = One(Calls.holder_keys)
    publish_tender = One(Calls.publish_tender)
    tenders = One(Calls.tenders)
    tender = One(Calls.tender)
    halt_tender = One(Calls.halt_tender)
    resume_tender = One(Calls.resume_tender)
    cancel_tender = One(Calls.cancel_tender)
    ask_tender = One(Calls.ask_tender)
    answer_tender = One(Calls.answer_tender)
    join_tender = One(Calls.join_tender)
    tenderer = One(Calls.tenderer)
    bid_sealed = One(Calls.bid_sealed)
    withdraw_envelope = One(Calls.withdraw_envelope)
    hand_in_proposal = One(Calls.hand_in_proposal)
    tender_proposal = One(Calls.tender_proposal)
    sealed_tender = One(Calls.sealed_tender)
    tender_shares = One(Calls.tender_shares)
    hand_shares = One(Calls.hand_shares)
    hand_submissions = One(Calls.hand_submissions)
    why_tender = One(Calls.why_tender)
    tender_signs = One(Calls.tender_signs)
    appoint_assessors = One(Calls.appoint_assessors)
    mark_tender = One(Calls.mark_tender)
    file_protest = One(Calls.file_protest)
    decide_protest = One(Calls.decide_protest)

    # the demand board

    demands = One(Calls.demands)
    demand = One(Calls.demand)
    post_demand = One(Calls.post_demand)
    answer_demand = One(Calls.answer_demand)
    withdraw_demand = One(Calls.withdraw_demand)

    # trades and delivery

    trades = One(Calls.trades)
    licences = Many(Calls.licences)
    link = One(Calls.link)
    declare_lineage = One(Calls.declare_lineage)
    lineage = One(Calls.lineage)
    ask_correction = One(Calls.ask_correction)
    answer_correction = One(Calls.answer_correction)
    mend_correction = One(Calls.mend_correction)
    corrections = One(Calls.corrections)
    acceptances = One(Calls.acceptances)
    accept_delivery = One(Calls.accept_delivery)
    object_to_delivery = One(Calls.object_to_delivery)
    name_mediator = One(Calls.name_mediator)
    mediate = One(Calls.mediate)
    rate = One(Calls.rate)
    reply_to_rating = One(Calls.reply_to_rating)
    ratings = One(Calls.ratings)
    department_ratings = One(Calls.department_ratings)
    declare_deletion = One(Calls.declare_deletion)
    deletions = One(Calls.deletions)
    propose_use_case = One(Calls.propose_use_case)
    decide_use_case = One(Calls.decide_use_case)
    withdraw_use_case = One(Calls.withdraw_use_case)
    use_cases_of = One(Calls.use_cases_of)
    use_cases = One(Calls.use_cases)
    set_inquiry_key = One(Calls.set_inquiry_key)
    inquiry_key = One(Calls.inquiry_key)
    inquire = One(Calls.inquire)
    follow_inquiry = One(Calls.follow_inquiry)
    inquiries = One(Calls.inquiries)
    answer_inquiry = One(Calls.answer_inquiry)
    file_complaint = One(Calls.file_complaint)
    follow_complaint = One(Calls.follow_complaint)
    complaints = One(Calls.complaints)
    route_complaint = One(Calls.route_complaint)
    answer_complaint = One(Calls.answer_complaint)
    download = One(Calls.download)
    end_links = One(Calls.end_links)
    set_licence = One(Calls.set_licence)
    licence_policy = One(Calls.licence_policy)
    accesses = One(Calls.accesses)

    # contracts

    contract_forms = One(Calls.contract_forms)
    listing_contract = One(Calls.listing_contract)
    sign_terms = One(Calls.sign_terms)
    contract = One(Calls.contract)
    sign_contract = One(Calls.sign_contract)
    contract_document = One(Calls.contract_document)

    # the record

    lookup = One(Calls.lookup)
    checkpoint = One(Calls.checkpoint)
    compare = One(Calls.compare)
    entry_bundle = One(Calls.entry_bundle)
    receipt = One(Calls.receipt)
    log_entry = One(Calls.log_entry)
    tlog_proof = One(Calls.tlog_proof)
    witnessed = One(Calls.witnessed)
    complete = One(Calls.complete)
    anchors = One(Calls.anchors)
    anchor_watch = One(Calls.anchor_watch)
    drills = One(Calls.drills)
    record_drill = One(Calls.record_drill)
    audit_bundle = One(Calls.audit_bundle)


class Exchange(Market):
    """One exchange, seen with one key (or none: then only what everybody may see).

    Amounts are integers in fen, times integers in microseconds of the market's clock.

    - Every write carries an identifier, drawn here unless given. Lost connections, timeouts and 502 to 504 are
      tried again under the same identifier until `timeout_s` is over; then `Unknown` carries it.
    - Every answered write is verified before it is returned: the entry's body says what the outcome says,
      under this identifier; its leaf is in the log; the exchange's key signed that log; and that log is the one
      this client has seen before, only longer (`Forked` otherwise). A recorded refusal raises `Refused`, as
      well verified.
    - `vkey` is the exchange's public key. Get it by a way that does not pass through the exchange. Without it
      the first answer of `/v1/market` is believed (trust on first use): whoever stands between you and the
      exchange at that moment could put a key of his own there.
    - `remember` names a file that keeps key and newest checkpoint over the end of the process; one file, one
      client. With it the first use is the first ever, and a rollback between two runs is noticed.
    - `policy` says which witnesses have to have seen the log (`witnessed`, `complete`). It names the log's key
      as well: where it names one log, `vkey` may be left out.

    A context manager; safe for threads.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        vkey: str | None = None,
        *,
        policy: Policy | None = None,
        timeout_s: float = 60.0,
        remember: Path | None = None,
        signing_key: bytes | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """Nothing is sent yet. `signing_key`, 32 bytes that are registered, signs every write. `http` brings a client of your own (proxies, certificates), which stays yours."""
        self.calls = Calls(url, key, vkey, policy, timeout_s, remember, signing_key)
        self.line = Line(http)

    def __enter__(self) -> Exchange:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self.line.close()

    @property
    def vkey(self) -> str:
        """The key that this client verifies with; asks for it where none was given (trust on first use)."""
        return self.line.carry(self.calls.vkey())

    @classmethod
    def sandbox(cls) -> Sandbox[Exchange]:
        """A private market to develop against, for as long as its with block lasts."""
        return Sandbox(cls, cls.close)


class AsyncExchange(Market):
    """The same exchange for programs on an event loop: every call is awaited, and gives, refuses and verifies as that
    of `Exchange` does. Cancelling a write leaves its outcome unknown: look its identifier up.

        async with AsyncExchange("https://exchange.example.cn", key, vkey=vkey) as market:
            done = await market.place_bid("lot-…", 1_250_000)
            async for line in market.statement(account):
                print(line.balance)

    An asynchronous context manager; for one event loop.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        vkey: str | None = None,
        *,
        policy: Policy | None = None,
        timeout_s: float = 60.0,
        remember: Path | None = None,
        signing_key: bytes | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """As `Exchange`. Nothing is sent yet."""
        self.calls = Calls(url, key, vkey, policy, timeout_s, remember, signing_key)
        self.line = AsyncLine(http)

    async def __aenter__(self) -> AsyncExchange:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self.line.close()

    async def vkey(self) -> str:
        """The key that this client verifies with; asks for it where none was given (trust on first use)."""
        return await self.line.carry(self.calls.vkey())

    @classmethod
    def sandbox(cls) -> AsyncSandbox[AsyncExchange]:
        """A private market to develop against, for as long as its `async with` block lasts."""
        return AsyncSandbox(cls, cls.close)
