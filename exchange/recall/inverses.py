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
    appraisal,
    auctions,
    authorization,
    controls,
    credentials,
    delivery,
    erasure,
    money,
    parties,
    registration,
    sales,
    venue,
    webhooks,
)
from exchange.acts import Act, Batched, Plain, Signed
from exchange.desensitization.grade import Declared, Impact
from exchange.desensitization.judge import ColumnMeasure, Failure, Measurement, Risk
from exchange.errors import Conflict
from exchange.listings import Offer
from exchange.recall.bundles import Opened

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
        rulebook_version=told["rulebook"]["version"],
        rulebook_digest=told["rulebook"]["digest"],
        uscc=told.uscc(told["uscc"]),
        name=told.text(told["name"]),
        person=told.text(told["person_name"]),
        token_digest=told.digest("token"),
    )


def _party_registered(told: Told) -> Act:
    holders = tuple(
        parties.Holder(told.text(holder["name"]), int(holder["share_ppm"]), holder["party"])
        for holder in told["holders"]
    )
    return parties.RegisterParty(
        told.uscc(told["uscc"]), told.text(told["name"]), tuple(told["roles"]), holders
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
        ),
        grade=figures["grade"],
    )


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
        **numbers,
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
    )


def _key_added(told: Told) -> Decided:
    label = told.text(told["label"])
    if told["token"] is None:
        scopes = None if told["scopes"] is None else tuple(told["scopes"])
        return credentials.add_key, credentials.AddKey(
            told.digest("key"), label, scopes, told.number_or_none("expires_us")
        )
    return credentials.enrol, credentials.Enrol(told.digest("token"), told.digest("key"), label)


Decided = tuple[Plain[Any] | Batched, Act]
"""A room's function, and the act that it decides."""

INVERSES: dict[str, Callable[[Told], Decided]] = {
    "market_opened": lambda told: (venue.open_market, _market_opened(told)),
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
    "operation_agreed": lambda told: (
        parties.agree_operation,
        parties.AgreeOperation(told["operator"], told.number("share_ppm")),
    ),
    "person_invited": lambda told: (
        parties.invite_person,
        parties.InvitePerson(told["party"], told.text(told["name"]), told.digest("token")),
    ),
    "key_added": _key_added,
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
        money.CreditTopUp(told["party"], told.number("amount_fen"), told["bank_reference"]),
    ),
    "withdrawn": lambda told: (money.withdraw, money.Withdraw(told.number("amount_fen"), told.signed())),
    "holds_expired": lambda told: (money.expire_holds, money.ExpireHolds(told["first"])),
    "asset_declared": lambda told: (
        registration.declare_asset,
        registration.DeclareAsset(
            told.text(told["title"]), told.text(told["summary"]), told["kind"], told["operator"]
        ),
    ),
    "risk_assessed": lambda told: (authorization.file_risk_assessment, _risk_assessed(told)),
    "release_authorized": lambda told: (
        authorization.authorize,
        authorization.Authorize(told["asset"], told["assessment"]),
    ),
    "product_released": lambda told: (registration.release_product, _product_released(told)),
    "theme_assigned": lambda told: (
        registration.assign_theme,
        registration.AssignTheme(told["asset"], told["theme"]),
    ),
    "asset_registered": lambda told: (registration.register, registration.Register(told["asset"])),
    "asset_appraised": lambda told: (appraisal.appraise, _asset_appraised(told)),
    "listed": lambda told: (
        sales.offer_fixed_price,
        sales.OfferFixedPrice(told["asset"], _offer(told)),
    ),
    "sale": lambda told: (sales.buy, sales.Buy(told["listing"], told.number("licences"), told.signed())),
    "lot_opened": lambda told: (auctions.open_lot, _lot_opened(told)),
    "bidder": lambda told: (auctions.join_lot, auctions.JoinLot(told["lot"])),
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
    "link_made": lambda told: (
        delivery.make_link,
        delivery.MakeLink(told["licence"], told.number("valid_seconds")),
    ),
    "product_downloaded": lambda told: (
        delivery.record_download,
        delivery.RecordDownload(told["licence"], told.number("expires_us"), told["bytes_asked"]),
    ),
}
"""By kind, what an entry records and who decided it. A room that logs a new kind gives it a line here; a test counts."""
