"""From an entry back to the act that it records: one inverse for each kind that a room can log.

A body says all that its rows hold. Where a text was erased, an inverse puts something in its place that the room takes
and that tells nothing; what the body says of such a text in the clear (a digest, a figure) it takes from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from exchange import (
    acceptance,
    appraisal,
    auctions,
    authorization,
    complaints,
    contracting,
    contributions,
    controls,
    corrections,
    credentials,
    deletion,
    delisting,
    delivery,
    demands,
    discounts,
    erasure,
    freshness,
    inquiries,
    lineage,
    mediation,
    metering,
    money,
    negotiation,
    parties,
    questions,
    ratings,
    reconciliation,
    registration,
    revenue,
    rulebook,
    sales,
    signin,
    tenders,
    treasury,
    usecases,
    venue,
    webhooks,
)
from exchange.acts import Act, Batched, Plain, Signed
from exchange.desensitization.grade import Declared, Impact
from exchange.desensitization.judge import ColumnMeasure, Failure, Measurement, Risk
from exchange.errors import Conflict
from exchange.listings import Offer
from exchange.parties.agreements import PARTS
from exchange.recall.bundles import Opened
from exchange.registration import applications, compliance, effects, objections
from exchange.registration.procedure import CONCLUSIONS
from pricing.auctions import Criterion

K_ENOUGH = 1 << 30
"""For the k and l of a policy: they were found high enough before the entry, and no row keeps them."""

_HEXADECIMAL = re.compile("[0-9a-f]{64}")
_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry says, with what opens its commitments."""

    index: int
    body: Mapping[str, Any]
    openings: Mapping[str, Opened]

    @property
    def kind(self) -> str:
        """The entry's kind."""
        return str(self.body["kind"])

    @property
    def act(self) -> Mapping[str, Any]:
        """The body's `act`."""
        said: Mapping[str, Any] = self.body["act"]
        return said

    def __getitem__(self, member: str) -> Any:
        return self.act[member]

    def number(self, member: str) -> int:
        """A member that is a number."""
        return int(self.act[member])

    def number_or_none(self, member: str) -> int | None:
        """A member that is a number, or null."""
        return None if self.act[member] is None else int(self.act[member])

    def signed(self) -> Signed | None:
        """The caller's own signature of the request, where there was one."""
        commitment = self.body.get("signed")
        if commitment is None:
            return None
        self._opened(commitment)
        return Signed(commitment, *self.openings[commitment])

    def digest(self, member: str) -> bytes:
        """A member that is bytes."""
        return bytes.fromhex(self.act[member])

    def text(self, commitment: str) -> str:
        """What a commitment hides, or what stands in for it."""
        value = self._opened(commitment)
        return erasure.stand_in(commitment) if value is None else value

    def uscc(self, commitment: str) -> str:
        """A unified social credit code; where it was erased, one of nobody's."""
        value = self._opened(commitment)
        if value is not None:
            return value
        number, body = int(commitment, 16), ""
        for _ in range(17):
            number, digit = divmod(number, len(_USCC))
            body += _USCC[digit]
        return body + parties.uscc_check_character(body)

    def document(self, commitment: str) -> dict[str, Any] | None:
        """A sealed JSON document, None where it was erased."""
        value = self._opened(commitment)
        if value is None:
            return None
        found: dict[str, Any] = orjson.loads(value)
        return found

    def erased(self) -> list[str]:
        """The commitments of this entry whose openings were erased."""
        return [one for one in _strings(self.act) if self.openings.get(one) == (None, None)]

    def _opened(self, commitment: str) -> str | None:
        if commitment not in self.openings:
            raise Conflict(
                "recall.unopened",
                f"the bundles do not open commitment {commitment} of entry {self.index}",
                field=f"entry {self.index}",
                rule="a regulator's bundle says of every commitment what it hides, or that it was erased",
                remedy="take the bundle that holds this entry from another witness",
            )
        return self.openings[commitment][1]


def _strings(value: object) -> list[str]:
    match value:
        case str():
            return [value] if _HEXADECIMAL.fullmatch(value) else []
        case Mapping():
            return [one for member in value.values() for one in _strings(member)]
        case list():
            return [one for member in value for one in _strings(member)]
        case _:
            return []


def _market_opened(told: Told) -> Act:
    return venue.OpenMarket(
        origin=told["origin"],
        vkey=told["vkey"],
        sandbox=told["sandbox"],
        profile=told["profile"],
        rulebook=told["rulebook"],
        uscc=told.uscc(told["uscc"]),
        name=told.text(told["name"]),
        person=told.text(told["person_name"]),
        token_digest=told.digest("token"),
    )


def _party_registered(told: Told) -> Act:
    return parties.RegisterParty(
        told.uscc(told["uscc"]), told.text(told["name"]), tuple(told["roles"]), _holders(told)
    )


def _holders(told: Told) -> tuple[parties.Holder, ...]:
    return tuple(
        parties.Holder(
            told.text(holder["name"]),
            int(holder["share_ppm"]),
            holder["party"],
            holder["state_owned"],
            holder["account"] if holder["continued"] and holder["party"] is None else None,
        )
        for holder in told["holders"]
    )


def _operation_agreed(told: Told) -> Act:
    parts = told.document(told["parts"])
    return parties.AgreeOperation(
        told["operator"],
        told.number("share_ppm"),
        dict.fromkeys(PARTS, erasure.stand_in(told["parts"])) if parts is None else parts,
        told.number("starts_us"),
        told.number("ends_us"),
    )


def _risk_assessed(told: Told) -> Act:
    reason = told.act.get("reason", {})
    biometrics: tuple[str, ...] = ()
    if reason.get("code") == "assessment.biometric":
        # Told as the first column and, of all, the first eight: the room tells these again.
        first = reason["field"]
        rest = reason["detail"].removeprefix(f"biometric data in {first}").removeprefix(", ")
        biometrics = (first, rest) if rest else (first,)
    return authorization.FileRiskAssessment(
        asset=told["asset"],
        raw_digest=told["raw_digest"],
        policy_digest=told["policy_digest"],
        policy_text=_document_text(told, "policy"),
        report_text=_document_text(told, "report"),
        report_digest=told["report_digest"],
        impacts=tuple(
            Impact(one["harmed"], one["degree"], told.text(one["reason"])) for one in told["impacts"]
        ),
        declared=Declared(**told["declared"]),
        exempt_from_k=told["exempt_from_k"],
        k=K_ENOUGH,
        l=K_ENOUGH,
        grade=told["grade"],
        about_persons=told["about_persons"],
        biometrics=biometrics,
    )


def _document_text(told: Told, member: str) -> str:
    return "{}" if told.document(told[member]) is None else told.text(told[member])


def _product_released(told: Told) -> Act:
    measured = told.document(told["measurement"])
    failures: list[dict[str, Any]] = []
    if told["state"] == "refused":
        whole = told.document(told["all_failures"])
        failures = told["failures"] if whole is None else whole["failures"]
        failures += [failures[-1]] * (told.number("failures_found") - len(failures))
    return registration.ReleaseProduct(
        asset=told["asset"],
        authorization=told["authorization"],
        product_digest=told["product_digest"],
        certificate=told.document(told["certificate"]) or {},
        certificate_digest=told["certificate_digest"],
        measurement=_measured(told) if measured is None else Measurement.from_json(measured),
        failures=tuple(Failure(**failure) for failure in failures),
    )


def _measured(told: Told) -> Measurement:
    """A measurement of which only the figures in the clear are left."""
    figures = told["measured"]
    return Measurement(
        engine=figures["engine"],
        file_digest=told["product_digest"],
        file_bytes=int(figures["size_bytes"]),
        rows=int(figures["rows"]),
        columns=(ColumnMeasure("", "", 0, 0, 0),) * int(figures["columns"]),
        findings=(),
        about_persons=figures["about_persons"],
        risk=Risk(
            quasi_identifiers=(),
            rows=int(figures["rows"]),
            classes=0,
            k=int(figures["k"]),
            l=(("", int(figures["l"])),),
            unique_rows=0,
            prosecutor_ppm=int(figures["prosecutor_ppm"]),
            marketer_ppm=int(figures["marketer_ppm"]),
            uniqueness_ppm=0,
            population=None,
            population_uniqueness_ppm=0,
            disclosure=(),
        ),
        grade=figures["grade"],
    )


def _withdrawn(told: Told) -> tuple[Plain[Any], Act]:
    """A payout of a party's money or dividends, or one of treasury money that another person decided."""
    if "proposal" in told.act:
        return treasury.decide_treasury_payout, treasury.DecideTreasuryPayout(
            told["proposal"], "approve", told.signed()
        )
    account = told["account"] if "dividends_of" in told.act else None
    return money.withdraw, money.Withdraw(told.number("amount_fen"), told.signed(), account)


def _asset_appraised(told: Told) -> Act:
    value = told.document(told["report"])
    left = {
        "approaches": [
            {"approach": approach, "value_fen": fen} for approach, fen in told["approaches"].items()
        ],
        "inputs": {"valued_on": told["valued_on"], "version": told["version"]},
        **{name: told[name] for name in ("parameters_digest", "signature", "streams", "value_fen")},
    }
    return appraisal.Appraise(
        asset=told["asset"],
        product_digest=told["product_digest"],
        asked=told["asked"],
        report=orjson.dumps(left).decode() if value is None else told.text(told["report"]),
        report_digest=told["report_digest"],
    )


def _offer(told: Told) -> Offer:
    said = told["offer"]
    numbers = {name: int(said[name]) for name in ("licences", "term_days", "price_fen")}
    ceiling = said["ceiling_fen"]
    return Offer(
        grant=said["grant"],
        reason=said["reason"],
        ceiling_fen=None if ceiling is None else int(ceiling),
        contract=said["contract"],
        terms=said["terms"],
        **numbers,
    )


def _listed(told: Told) -> Decided:
    match told["mode"]:
        case "fixed":
            return sales.offer_fixed_price, sales.OfferFixedPrice(told["asset"], _offer(told))
        case "negotiated":
            return negotiation.offer_negotiated, negotiation.OfferNegotiated(told["asset"], _offer(told))
        case "metered":
            meter = told["meter"]
            ceiling = meter["ceiling_micro"]
            return metering.offer_metered, metering.OfferMetered(
                told["asset"],
                _offer(told),
                meter["unit"],
                int(meter["unit_price_micro"]),
                None if ceiling is None else int(ceiling),
            )
        case mode:
            raise ValueError(f"no mode {mode!r}")


def _on_table(told: Told) -> tuple[int, int, int]:
    return told.number("price_fen"), told.number("licences"), told.number("expires_us")


def _offer_closed(told: Told) -> Decided:
    name = told["negotiation"]
    match told["state"]:
        case "rejected":
            reason = told["reason_given"]
            said = "" if reason is None else told.text(reason)
            return negotiation.reject_offer, negotiation.RejectOffer(name, said)
        case "withdrawn":
            return negotiation.withdraw_offer, negotiation.WithdrawOffer(name)
        case _:
            return negotiation.close_offer, negotiation.CloseOffer(name)


def _tender_published(told: Told) -> Act:
    rule, committee = told["rules"], told["committee"]
    return tenders.PublishTender(
        asset=told["asset"],
        offer=_offer(told),
        rule=tenders.ScoringRule(
            int(rule["price_weight_ppm"]),
            tuple(Criterion(name, int(weight), int(most)) for name, weight, most in rule["criteria"]),
            int(rule["floor_fen"]),
            rule["drop_extremes"],
        ),
        holders=tuple(holder["name"] for holder in committee["holders"]),
        threshold=int(committee["threshold"]),
        deposit_fen=told.number("deposit_fen"),
        deadline_us=told.number("deadline_us"),
        opens_us=told.number("opens_us"),
        terms=told.text(told["terms"]),
        qualification=tuple(told["qualification"]),
        again_of=told["again_of"],
    )


def _lot_opened(told: Told) -> Act:
    rules = told["rules"]
    return auctions.OpenLot(
        told["asset"],
        _offer(told),
        increment_fen=int(rules["increment_fen"]),
        deposit_fen=told.number("deposit_fen"),
        opens_us=int(rules["opens_at_us"]),
        closes_us=int(rules["closes_at_us"]),
        again_of=told.act.get("again_of"),
        priority=tuple(told.act.get("priority", ())),
        qualification=tuple(told.act.get("qualification", ())),
    )


def _key_added(told: Told) -> Decided:
    label = told.text(told["label"])
    if told["token"] is None:
        scopes = None if told["scopes"] is None else tuple(told["scopes"])
        return credentials.add_key, credentials.AddKey(
            told.digest("key"), label, scopes, told.number_or_none("expires_us")
        )
    return credentials.enrol, credentials.Enrol(told.digest("token"), told.digest("key"), label)


def _reason(told: Told) -> str | None:
    """A decision's reason, where it gave one."""
    sealed = told.act.get("reason_given")
    return None if sealed is None else told.text(sealed)


def _counter(told: Told, person: str) -> applications.Counter | None:
    """The paper form behind an entry, where there was one; `person` signed it."""
    said = told["counter"]
    return None if said is None else applications.Counter(told["party"], person, said["scan"])


def _registration_applied(told: Told) -> Act:
    asked = told["asked"]
    ends = asked.get("ends_us")
    return applications.Apply(
        asset=told["asset"],
        act=told["act"],
        rights=tuple(asked.get("rights", ())),
        grant=asked.get("grant"),
        to=asked.get("to"),
        exclusive=asked.get("exclusive", False),
        ends_us=None if ends is None else int(ends),
        title=None if told["title"] is None else told.text(told["title"]),
        summary=None if told["summary"] is None else told.text(told["summary"]),
        reason=_reason(told),
        counter=_counter(told, told["applicant"]),
    )


Decided = tuple[Plain[Any] | Batched, Act]
"""A room's function, and the act that it decides."""

INVERSES: dict[str, Callable[[Told], Decided]] = {
    "market_opened": lambda told: (venue.open_market, _market_opened(told)),
    "rule_change_proposed": lambda told: (
        rulebook.propose_rule_change,
        rulebook.ProposeRuleChange(
            told["rules"], told["calendar"], told.number("effective_us"), told.text(told["reason"])
        ),
    ),
    "rule_change_decided": lambda told: (
        rulebook.decide_rule_change,
        rulebook.DecideRuleChange(
            told["proposal"],
            told["digest"],
            "reject" if told["state"] == "rejected" else "sign",
            told.text(told["reason_given"]),
        ),
    ),
    "log_succeeded": lambda told: (
        venue.succeed_log,
        venue.SucceedLog(told["note"], told["predecessor"]["vkey"]),
    ),
    "clock_moved": lambda told: (venue.move_clock, venue.MoveClock(told.number("by_us"))),
    "drill_held": lambda told: (
        venue.record_drill,
        venue.RecordDrill(
            told["case"],
            told["cause"],
            told["kept"],
            told.number("began_us"),
            told.number("ended_us"),
            told.number("acknowledged"),
            told.number("lost"),
            told.number("ghosts"),
            told.number("outage_ms"),
            told.digest("report"),
        ),
    ),
    "party_registered": lambda told: (parties.register_party, _party_registered(told)),
    "party_state_set": lambda told: (
        parties.set_party_state,
        parties.SetPartyState(told["party"], told["state"], told.text(told["reason"])),
    ),
    "operation_agreed": lambda told: (parties.agree_operation, _operation_agreed(told)),
    "holders_declared": lambda told: (
        parties.declare_holders,
        parties.DeclareHolders(told["party"], told.number("since_us"), _holders(told)),
    ),
    "relation_declared": lambda told: (
        parties.declare_relation,
        parties.DeclareRelation(
            told["subject"], told["object"], told["relation"], told["state"] == "stands", told["evidence"]
        ),
    ),
    "person_invited": lambda told: (
        parties.invite_person,
        parties.InvitePerson(
            told["party"],
            told.text(told["name"]),
            told.digest("token"),
            told["deputy_of"],
            told.number_or_none("until_us"),
        ),
    ),
    "key_added": _key_added,
    # What came without new recovery codes left the other secrets as they were.
    "account_secured": lambda told: (
        (signin.change_factors, signin.ChangeFactors(kinds=told["second_factor"]))
        if told["recovery_codes"] == "0"
        else (
            signin.secure_account,
            signin.SecureAccount(
                None if told["token"] is None else told.digest("token"), kinds=told["second_factor"]
            ),
        )
    ),
    "account_reset_asked": lambda told: (
        signin.ask_reset,
        signin.AskReset(told["person"], told.digest("token")),
    ),
    "account_reset_decided": lambda told: (
        signin.decide_reset,
        signin.DecideReset(told["id"], told["state"] == "granted"),
    ),
    "account_locked": lambda told: (
        signin.lock_account,
        signin.LockAccount(told["person"], told.number("failures"), told.number("until_us")),
    ),
    "document_filed": lambda told: (
        parties.file_document,
        parties.FileDocument(
            told["party"],
            told["kind"],
            told["digest"],
            told.number_or_none("expires_us"),
        ),
    ),
    "document_reviewed": lambda told: (
        parties.review_document,
        parties.ReviewDocument(
            told["party"],
            told["digest"],
            "accept" if told["state"] == "accepted" else "refuse",
            told.text(told["reason"]),
        ),
    ),
    "duty_assigned": lambda told: (parties.assign_duty, parties.AssignDuty(told["person"], told["duty"])),
    "person_left": lambda told: (parties.end_membership, parties.EndMembership(told["person"])),
    "key_revoked": lambda told: (credentials.revoke_key, credentials.RevokeKey(told.digest("key"))),
    "key_rotated": lambda told: (
        credentials.rotate_key,
        credentials.RotateKey(
            told.digest("replaces"), told.digest("key"), told.text(told["label"]), told.number("overlap_us")
        ),
    ),
    "signing_key_added": lambda told: (
        credentials.add_signing_key,
        credentials.AddSigningKey(told.digest("public"), told.text(told["label"])),
    ),
    "signing_key_revoked": lambda told: (
        credentials.revoke_signing_key,
        credentials.RevokeSigningKey(told["id"]),
    ),
    "controls_set": lambda told: (
        controls.set_controls,
        controls.SetControls(
            told.number_or_none("sign_above_fen"),
            told.number_or_none("order_limit_fen"),
            told.number_or_none("heartbeat_us"),
        ),
    ),
    "webhook_added": lambda told: (
        webhooks.add_webhook,
        webhooks.AddWebhook(told.text(told["url"]), tuple(told["kinds"])),
    ),
    "webhook_removed": lambda told: (webhooks.remove_webhook, webhooks.RemoveWebhook(told["id"])),
    "webhook_secret_rotated": lambda told: (
        webhooks.rotate_webhook_secret,
        webhooks.RotateWebhookSecret(told["id"]),
    ),
    "webhook_replayed": lambda told: (
        webhooks.replay_webhook,
        webhooks.ReplayWebhook(told["id"], told.number("sequence")),
    ),
    "webhook_disabled": lambda told: (webhooks.disable_webhook, webhooks.DisableWebhook(told["id"])),
    "trading_stopped": lambda told: (controls.stop_trading, controls.StopTrading(told["party"])),
    "trading_resumed": lambda told: (controls.resume_trading, controls.ResumeTrading()),
    "opening_erased": lambda told: (
        erasure.erase_opening,
        erasure.EraseOpening(told["commitment"], told.text(told["ground"])),
    ),
    "topped_up": lambda told: (
        money.credit_top_up,
        money.CreditTopUp(
            told["party"] if told["party"] is not None else told.text(told["payee"]),
            told.number("amount_fen"),
            told["bank_reference"],
        ),
    ),
    "suspense_assigned": lambda told: (
        money.assign_suspense,
        money.AssignSuspense(told["bank_reference"], told["party"], told.text(told["reason"])),
    ),
    "payout_returned": lambda told: (
        money.return_payout,
        money.ReturnPayout(told["payout"], told["return_reason"], told["bank_reference"]),
    ),
    "statement_reconciled": lambda told: (
        reconciliation.import_statement,
        reconciliation.ImportStatement(
            told["statement"],
            told.number("begins_us"),
            told.number("ends_us"),
            told.number("opening_fen"),
            told.number("closing_fen"),
            reconciliation.lines_of(told.act),
        ),
    ),
    "book_adjusted": lambda told: (
        reconciliation.adjust_book,
        reconciliation.AdjustBook(told["bank_reference"], told.text(told["reason"])),
    ),
    "alarm_resolved": lambda told: (
        reconciliation.resolve_alarm,
        reconciliation.ResolveAlarm(told["statement"], told.text(told["why"])),
    ),
    "withdrawn": _withdrawn,
    "treasury_payout_proposed": lambda told: (
        treasury.propose_treasury_payout,
        treasury.ProposeTreasuryPayout(told.number("amount_fen")),
    ),
    "treasury_payout_rejected": lambda told: (
        treasury.decide_treasury_payout,
        treasury.DecideTreasuryPayout(told["proposal"], "reject", told.signed()),
    ),
    "holds_expired": lambda told: (money.expire_holds, money.ExpireHolds(told["first"])),
    "asset_declared": lambda told: (
        registration.declare_asset,
        registration.DeclareAsset(
            told.text(told["title"]),
            told.text(told["summary"]),
            told["kind"],
            told["operator"],
            None if told["opening_by_default"] else told["opening"],
            "" if told["opening_reason"] is None else told.text(told["opening_reason"]),
            tuple(told["purposes"]),
            told["qualified"],
            told.number("update_days") if "update_days" in told.act else None,
        ),
    ),
    "risk_assessed": lambda told: (authorization.file_risk_assessment, _risk_assessed(told)),
    "release_authorized": lambda told: (
        authorization.authorize,
        authorization.Authorize(
            told["asset"],
            told["assessment"],
            told["decision"],
            "" if told["reason_given"] is None else told.text(told["reason_given"]),
        ),
    ),
    "product_released": lambda told: (registration.release_product, _product_released(told)),
    "theme_assigned": lambda told: (
        registration.assign_theme,
        registration.AssignTheme(told["asset"], told["theme"]),
    ),
    "compliance_engaged": lambda told: (
        compliance.engage_provider,
        compliance.EngageProvider(told["asset"], told["provider"]),
    ),
    "compliance_assessed": lambda told: (
        compliance.file_compliance,
        compliance.FileCompliance(
            told["engagement"],
            told["conclusion"],
            told["report_digest"],
            told.text(told["summary"]),
            told.number("ends_us"),
        ),
    ),
    "registration_applied": lambda told: (applications.apply, _registration_applied(told)),
    "registration_accepted": lambda told: (
        applications.accept,
        applications.Accept(told["application"], told["decision"], _reason(told)),
    ),
    "registration_reviewed": lambda told: (
        applications.review,
        applications.Review(told["application"], told["decision"], _reason(told)),
    ),
    "registration_withdrawn": lambda told: (
        applications.withdraw,
        applications.Withdraw(told["application"], told.text(told["reason_given"])),
    ),
    "notice_commented": lambda told: (
        objections.comment,
        objections.Comment(told["application"], told.text(told["text"])),
    ),
    "objection_filed": lambda told: (
        objections.file_objection,
        objections.FileObjection(
            told["application"], told.text(told["reason_given"]), _counter(told, told["person"])
        ),
    ),
    "objection_decided": lambda told: (
        objections.decide_objection,
        objections.DecideObjection(told["objection"], told["decision"], told.text(told["answer"])),
    ),
    **dict.fromkeys(
        CONCLUSIONS,
        lambda told: (effects.conclude, effects.Conclude(told["application"])),
    ),
    "registration_revoked": lambda told: (
        effects.revoke,
        effects.Revoke(told["asset"], told["ground"], told.text(told["reason_given"])),
    ),
    "registration_expired": lambda told: (effects.expire, effects.Expire(told["code"])),
    "registration_reminded": lambda told: (effects.remind, effects.Remind(told["code"])),
    "asset_appraised": lambda told: (appraisal.appraise, _asset_appraised(told)),
    "listed": _listed,
    "listing_withdrawn": lambda told: (
        delisting.withdraw_listing,
        delisting.WithdrawListing(told["listing"], told.text(told["reason"])),
    ),
    "offer_made": lambda told: (
        negotiation.make_offer,
        negotiation.MakeOffer(told["listing"], *_on_table(told), told["purpose"], told.signed()),
    ),
    "offer_countered": lambda told: (
        negotiation.counter_offer,
        negotiation.CounterOffer(told["negotiation"], told.number("seen"), *_on_table(told), told.signed()),
    ),
    "offer_accepted": lambda told: (
        negotiation.accept_offer,
        negotiation.AcceptOffer(told["negotiation"], told.number("seen"), told.signed()),
    ),
    "offer_closed": _offer_closed,
    "discount_published": lambda told: (
        discounts.publish_discount,
        discounts.PublishDiscount(
            told["listing"],
            told["criterion"],
            told.number("off_ppm"),
            told.number("starts_us"),
            told.number("ends_us"),
            told.number("at_least"),
            tuple(told["words"]),
        ),
    ),
    "discount_ended": lambda told: (
        discounts.end_discount,
        discounts.EndDiscount(told["discount"]),
    ),
    "question_asked": lambda told: (
        questions.ask_question,
        questions.AskQuestion(told["listing"], told.text(told["text"])),
    ),
    "question_answered": lambda told: (
        questions.answer_question,
        questions.AnswerQuestion(told["question"], told.text(told["answer"])),
    ),
    "revenue_allowed": lambda told: (revenue.allow_revenue, revenue.asked(told.act, told.text)),
    "revenue_closed": lambda told: (revenue.close_revenue, revenue.CloseRevenue(told["period"])),
    "subscribed": lambda told: (
        metering.subscribe,
        metering.Subscribe(
            told["listing"],
            told.number("quota"),
            told["prepaid"],
            told["purpose"],
            told.signed(),
            told.act.get("counted_on"),
        ),
    ),
    "usage_recorded": lambda told: (
        metering.record_usage,
        metering.RecordUsage(told["subscription"], told.number("quantity")),
    ),
    "usage_settled": lambda told: (
        (metering.end_subscription, metering.EndSubscription(told["subscription"]))
        if told["state"] == "cancelled"
        else (metering.settle_usage, metering.SettleUsage(told["subscription"]))
    ),
    "contributions_filed": lambda told: (
        contributions.file_contributions,
        contributions.FileContributions(
            told["asset"],
            tuple(told["departments"]),
            tuple(map(int, told["worths"])),
            told.text(told["measure"]),
            told["evidence"],
        ),
    ),
    "contributions_answered": lambda told: (
        contributions.answer_contributions,
        contributions.AnswerContributions(told["contributions"], told["state"] != "rejected"),
    ),
    "sale": lambda told: (
        sales.buy,
        sales.Buy(
            told["listing"],
            told.number("licences"),
            told.signed(),
            told["purpose"],
            told.act.get("counted_on"),
        ),
    ),
    "lot_opened": lambda told: (auctions.open_lot, _lot_opened(told)),
    "bidder": lambda told: (
        auctions.join_lot,
        auctions.JoinLot(told["lot"], told["purpose"], told.act.get("nonce")),
    ),
    "bid": lambda told: (
        auctions.place_bids,
        auctions.PlaceBid(
            told["lot"],
            told.number("price_fen"),
            told.signed(),
            told.number("expires_us") if "expires_us" in told.act else None,
        ),
    ),
    "lot_closed": lambda told: (auctions.close_lot, auctions.CloseLot(told["lot"])),
    "deposit_released": lambda told: (
        auctions.release_deposit,
        auctions.ReleaseDeposit(told["lot"], told["code"]),
    ),
    "lot_settled": lambda told: (auctions.settle_lot, auctions.SettleLot(told["lot"])),
    "draw_committed": lambda told: (
        auctions.commit_draw,
        auctions.CommitDraw(told["name"], told["commitment"]),
    ),
    "lot_drawn": lambda told: (auctions.reveal_draw, auctions.RevealDraw(told["lot"], told["nonce"])),
    "lot_halted": lambda told: (
        auctions.halt_lot,
        auctions.HaltLot(told["lot"], told.text(told["reason"])),
    ),
    "lot_resumed": lambda told: (auctions.resume_lot, auctions.ResumeLot(told["lot"])),
    "lot_cancelled": lambda told: (
        auctions.cancel_lot,
        auctions.CancelLot(told["lot"], told.text(told["reason"])),
    ),
    "lot_annulled": lambda told: (
        auctions.annul_lot,
        auctions.AnnulLot(told["lot"], told["ground"], told["order"], told.text(told["reason"])),
    ),
    "sale_annulled": lambda told: (
        sales.annul_sale,
        sales.AnnulSale(told["trade"], told["ground"], told["order"], told.text(told["reason"])),
    ),
    "lot_defaulted": lambda told: (auctions.declare_default, auctions.DeclareDefault(told["lot"])),
    "forfeit_distributed": lambda told: (
        auctions.distribute_forfeit,
        auctions.DistributeForfeit(told["lot"]),
    ),
    "lot_watched": lambda told: (
        auctions.watch_lot,
        auctions.WatchLot(told["lot"], told["state"] == "watched"),
    ),
    "demand_posted": lambda told: (
        demands.post_demand,
        demands.PostDemand(
            told.text(told["subject"]),
            told["purpose"],
            told.number("low_fen"),
            told.number("high_fen"),
            told.number("term_days"),
            told.number("open_days"),
        ),
    ),
    "demand_answered": lambda told: (
        demands.answer_demand,
        demands.AnswerDemand(told["demand"], told["asset"], told.text(told["words"]), told["listing"]),
    ),
    "demand_withdrawn": lambda told: (demands.withdraw_demand, demands.WithdrawDemand(told["demand"])),
    "holder_key": lambda told: (tenders.publish_holder_key, tenders.PublishHolderKey(told["public"])),
    "tender_published": lambda told: (tenders.publish_tender, _tender_published(told)),
    "tender_cancelled": lambda told: (
        tenders.cancel_tender,
        tenders.CancelTender(told["tender"], told.text(told["reason"])),
    ),
    "tender_halted": lambda told: (
        tenders.halt_tender,
        tenders.HaltTender(told["tender"], told.text(told["reason"])),
    ),
    "tender_resumed": lambda told: (tenders.resume_tender, tenders.ResumeTender(told["tender"])),
    "tender_asked": lambda told: (
        tenders.ask_tender,
        tenders.AskTender(told["tender"], told.text(told["question"])),
    ),
    "tender_answered": lambda told: (
        tenders.answer_tender,
        tenders.AnswerTender(told["tender"], told["question"], told.text(told["answer"])),
    ),
    "tenderer": lambda told: (
        tenders.join_tender,
        tenders.JoinTender(
            told["tender"],
            purpose=told["purpose"],
            **{name: told.text(sealed) for name, sealed in told["facts"].items()},
        ),
    ),
    "tender_envelope": lambda told: (
        tenders.hand_in,
        tenders.HandIn(told["tender"], told["sealed"], told["proposal"]),
    ),
    "tender_withdrawn": lambda told: (tenders.withdraw, tenders.Withdraw(told["tender"])),
    "tender_proposal": lambda told: (
        tenders.hand_in_proposal,
        tenders.HandInProposal(told["tender"], told["digest"]),
    ),
    "tender_closed": lambda told: (tenders.close_tender, tenders.CloseTender(told["tender"])),
    "tender_shares": lambda told: (
        tenders.hand_shares,
        tenders.HandShares(told["tender"], told["submissions"]),
    ),
    "tender_opened": lambda told: (tenders.open_tender, tenders.OpenTender(told["tender"])),
    "tender_screened": lambda told: (
        tenders.screen_tender,
        tenders.ScreenTender(told["tender"], tuple(told["signs"])),
    ),
    "tender_assessors": lambda told: (
        tenders.appoint_assessors,
        tenders.AppointAssessors(told["tender"], tuple(told["assessors"])),
    ),
    "tender_marked": lambda told: (
        tenders.mark_tender,
        tenders.MarkTender(
            told["tender"],
            {code: {name: int(points) for name, points in of.items()} for code, of in told["marks"].items()},
        ),
    ),
    "tender_awarded": lambda told: (tenders.award_tender, tenders.AwardTender(told["tender"])),
    "tender_protested": lambda told: (
        tenders.file_protest,
        tenders.FileProtest(told["tender"], told.text(told["reason"])),
    ),
    "tender_protest_decided": lambda told: (
        tenders.decide_protest,
        tenders.DecideProtest(
            told["tender"],
            told["protest"],
            told["decision"],
            told.text(told["answer"]),
            told["remedy"],
        ),
    ),
    "tender_settled": lambda told: (tenders.settle_tender, tenders.SettleTender(told["tender"])),
    "tender_defaulted": lambda told: (
        tenders.declare_default,
        tenders.DeclareTenderDefault(told["tender"]),
    ),
    "tender_deposit_released": lambda told: (
        tenders.release_deposit,
        tenders.ReleaseTenderDeposit(told["tender"], told["code"]),
    ),
    "contract_terms_signed": lambda told: (
        contracting.sign_terms,
        contracting.SignTerms(told["listing"], told["digest"], told["key"], told.digest("signature")),
    ),
    "contract_signed": lambda told: (
        contracting.sign_contract,
        contracting.SignContract(told["trade"], told["digest"], told["key"], told.digest("signature")),
    ),
    "licence_state_set": lambda told: (
        delivery.set_licence,
        delivery.SetLicence(told["licence"], told["state"], told.text(told["reason"])),
    ),
    "links_ended": lambda told: (delivery.end_links, delivery.EndLinks(told["licence"])),
    "link_made": lambda told: (
        delivery.make_link,
        delivery.MakeLink(told["licence"], told.number("valid_seconds"), told["purpose"], told["region"]),
    ),
    "update_watched": lambda told: (freshness.watch_update, freshness.WatchUpdate(told["asset"])),
    "lineage_declared": lambda told: (
        lineage.declare_lineage,
        lineage.DeclareLineage(told["asset"], told["parent"], told["relation"]),
    ),
    "correction_asked": lambda told: (
        corrections.ask_correction,
        corrections.AskCorrection(told["licence"], told.text(told["text"]), told["column"], told["evidence"]),
    ),
    "correction_answered": lambda told: (
        corrections.answer_correction,
        corrections.AnswerCorrection(
            told["correction"],
            "accept" if told["state"] == "accepted" else "refuse",
            told.text(told["answer"]),
        ),
    ),
    "correction_mended": lambda told: (
        corrections.mend_correction,
        corrections.MendCorrection(told["correction"], told["mended_by"]),
    ),
    "delivery_accepted": lambda told: (
        (acceptance.let_lapse, acceptance.LetLapse(told["licence"]))
        if told["silent"]
        else (acceptance.accept_delivery, acceptance.AcceptDelivery(told["licence"]))
    ),
    "delivery_objected": lambda told: (
        acceptance.object_to_delivery,
        acceptance.ObjectToDelivery(
            told["licence"], told["ground"], told.text(told["text"]), told["evidence"]
        ),
    ),
    "mediator_named": lambda told: (
        mediation.name_mediator,
        mediation.NameMediator(told["licence"], told["mediator"]),
    ),
    "delivery_mediated": lambda told: (
        mediation.mediate,
        mediation.Mediate(
            told["licence"],
            mediation.DECISIONS[told["state"]],
            told["order"],
            told.text(told["reason_given"]),
            told.number("refund_fen") if told["state"] == "reduced" else None,
        ),
    ),
    "deletion_due": lambda told: (deletion.call_for_deletion, deletion.CallForDeletion(told["licence"])),
    "deletion_reminded": lambda told: (
        deletion.call_for_deletion,
        deletion.CallForDeletion(told["licence"]),
    ),
    "deletion_declared": lambda told: (
        deletion.declare_deletion,
        deletion.DeclareDeletion(
            told["licence"], told.text(told["person"]), told["method"], told.text(told["statement"])
        ),
    ),
    "use_case_proposed": lambda told: (
        usecases.propose_use_case,
        usecases.ProposeUseCase(
            told["licence"],
            told.text(told["title"]),
            told.text(told["text"]),
            told.text(told["url"]),
        ),
    ),
    "use_case_decided": lambda told: (
        usecases.decide_use_case,
        usecases.DecideUseCase(
            told["use_case"],
            "consent" if told["state"] == "published" else "refuse",
            told.text(told["reason_given"]),
        ),
    ),
    "use_case_published": lambda told: (
        usecases.publish_use_case,
        usecases.PublishUseCase(told["use_case"]),
    ),
    "use_case_withdrawn": lambda told: (
        usecases.withdraw_use_case,
        usecases.WithdrawUseCase(told["use_case"], told.text(told["reason_given"])),
    ),
    "inquiry_key_set": lambda told: (inquiries.set_inquiry_key, inquiries.SetInquiryKey(told["public"])),
    "inquiry_asked": lambda told: (
        inquiries.inquire,
        inquiries.Inquire(told["asset"], told["public"], told.text(told["question"])),
    ),
    "inquiry_answered": lambda told: (
        inquiries.answer_inquiry,
        inquiries.AnswerInquiry(told["inquiry"], told.text(told["answer"])),
    ),
    "asset_rated": lambda told: (
        ratings.rate,
        ratings.Rate(
            told["licence"],
            ratings.Stars(*(told.number(axis) for axis in ratings.AXES)),
            told.text(told["text"]),
        ),
    ),
    "rating_replied": lambda told: (
        ratings.reply_to_rating,
        ratings.ReplyToRating(told["rating"], told.text(told["reply"])),
    ),
    "complaint_filed": lambda told: (
        complaints.file_complaint,
        complaints.FileComplaint(
            told["topic"],
            told.text(told["text"]),
            told["asset"],
            told["party"],
            "" if told["contact"] is None else told.text(told["contact"]),
        ),
    ),
    "complaint_routed": lambda told: (
        complaints.route_complaint,
        complaints.RouteComplaint(told["complaint"], told["handler"]),
    ),
    "complaint_escalated": lambda told: (
        complaints.escalate_complaint,
        complaints.EscalateComplaint(told["complaint"]),
    ),
    "complaint_answered": lambda told: (
        complaints.answer_complaint,
        complaints.AnswerComplaint(
            told["complaint"],
            "uphold" if told["state"] == "upheld" else "dismiss",
            told.text(told["answer"]),
        ),
    ),
    "refund_paid": lambda told: (mediation.pay_refund, mediation.PayRefund(told["licence"])),
    "product_downloaded": lambda told: (
        delivery.record_download,
        delivery.RecordDownload(
            told["licence"],
            told.number("expires_us"),
            told.number("links_ended"),
            told["bytes_asked"],
            told.number("size_bytes"),
        ),
    ),
}
"""By kind, what an entry records and who decided it. A room that logs a new kind gives it a line here; a test counts."""
