"""Every route x every role x another party's object: nothing is read, nothing written, and nothing hints that it exists.

The routes come from the contract. Each is asked for a thing of another party and for one that does not exist; unless the
table says that a role may, both answers have to be the same, and neither may change anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from nacl.signing import SigningKey

from exchange import inquiries, tenders
from exchange.acts import CLOCK, Caller
from exchange.desensitization.inquiry import public_of
from exchange.metering import OfferMetered, SettleUsage, offer_metered, settle_usage
from exchange.negotiation import OfferNegotiated, offer_negotiated
from exchange.rulebook import load
from tests.exchange.conftest import Department, House
from tests.exchange.contract import METHODS, document
from tests.exchange.floor import START_FEN, licence, played
from tests.exchange.tendered import Hall

pytestmark = pytest.mark.anyio

OWN = "fees.buyer_commission_ppm"

ROLES = ("administrator", "bank", "buyer", "operator", "regulator", "supplier")

EVERYBODY = frozenset({
    "GET /checkpoint",
    "GET /tile/entries/{path}",
    "GET /tile/{path}",
    "GET /v1/assets/{asset}/inquiry-key",
    "GET /v1/assets/{asset}/ratings",
    "GET /v1/inquiries/{tracking}",  # the same
    "POST /v1/assets/{asset}/inquiries",
    "GET /v1/assets/{asset}/use-cases",
    "GET /v1/departments/{party}/ratings",
    "GET /v1/complaints/{tracking}",  # whoever has the number, which nobody guesses
    "GET /v1/certificates/{code}",
    "GET /v1/certificates/{code}/document",
    "GET /v1/deliveries/{licence}",  # whoever has the link, which is signed
    "GET /v1/listings/{listing}/contract",
    "GET /v1/log/{index}",
    "GET /v1/log/{index}/proof",
    "GET /v1/lots/{lot}",
    "GET /v1/lots/{lot}/bidder",  # answers of the caller alone
    "GET /v1/lots/{lot}/bids",
    "GET /v1/lots/{lot}/events",
    "GET /v1/notices/{application}",
    "GET /v1/lots/{lot}/explanation",  # answers of the caller alone
    "GET /v1/rulebook/versions/{version}",
    "POST /v1/agreements",  # names an operator, who stands in each asset that it runs
    "POST /v1/assets",  # the same
    "POST /v1/relations",  # between others; who may declare one is asked first
    "GET /v1/listings/{listing}/discounts",
    "GET /v1/listings/{listing}/questions",
    "POST /v1/listings/{listing}/offers",
    "POST /v1/listings/{listing}/questions",
    "POST /v1/listings/{listing}/purchases",
    "POST /v1/listings/{listing}/subscriptions",
    "POST /v1/listings/{listing}/purchases:dry-run",
    "POST /v1/lots/{lot}/bidders",
    "POST /v1/notices/{application}/comments",
    "POST /v1/notices/{application}/objections",
    "POST /v1/lots/{lot}/bids",
    "POST /v1/lots/{lot}/bids:batch",
    "POST /v1/lots/{lot}/bids:dry-run",
    "POST /v1/lots/{lot}/watch",
    "GET /v1/demands/{demand}",
    "POST /v1/demands/{demand}/answers",  # with an asset of one's own
    "GET /v1/tenders/{tender}",
    "GET /v1/tenders/{tender}/explanation",  # answers of the caller alone
    "GET /v1/tenders/{tender}/sealed",
    "GET /v1/tenders/{tender}/shares",
    "GET /v1/tenders/{tender}/tenderer",  # answers of the caller alone
    "POST /v1/tenders/{tender}/envelopes",
    "POST /v1/tenders/{tender}/envelopes/withdrawal",
    "GET /v1/tenders/{tender}/proposals/{code}",  # everybody sees whether it is in; read by those who mark it
    "POST /v1/tenders/{tender}/proposal",  # of the caller's own envelope
    "PUT /v1/tenders/{tender}/proposal",  # the same
    "POST /v1/tenders/{tender}/protests",
    "POST /v1/tenders/{tender}/questions",
    "POST /v1/tenders/{tender}/tenderers",
    "POST /v1/tenders/{tender}/assessors",  # of a tender, which everybody sees; its supplier alone
    "POST /v1/tenders/{tender}/cancellation",  # the same
    "POST /v1/tenders/{tender}/marks",  # the same, of those who are named
    "POST /v1/tenders/{tender}/shares",  # the same, of its holders
    "GET /v1/lists/{sha256}",  # each party has a place of its own
    "POST /v1/lists/{sha256}/declarations",  # the same
    "PUT /v1/lists/{sha256}",  # the same
    "PUT /v1/uploads/{sha256}",  # the same
})  # fmt: skip
"""What names a thing that is offered or shown to everybody."""

MAY = {
    "POST /v1/account-resets": {"administrator"},
    "POST /v1/account-resets/{reset}/decision": {"administrator"},
    "GET /v1/accounts/{account}": {"regulator"},
    "GET /v1/accounts/{account}/statement": {"regulator"},
    "GET /v1/accounts/{account}/statement.csv": {"regulator"},
    "GET /v1/applications/{application}": {"regulator"},
    "GET /v1/assets/{asset}": {"regulator"},
    "GET /v1/assets/{asset}/contributions": {"regulator"},
    "GET /v1/assets/{asset}/lineage": {"regulator"},
    "GET /v1/assets/{asset}/sample": {"regulator"},
    "GET /v1/assets/{asset}/revenue-periods": {"regulator"},
    "POST /v1/assets/{asset}/revenue-periods": {"regulator"},
    "GET /v1/assets/{asset}/conflicts/{party}": {"administrator", "regulator"},
    "GET /v1/assets/{asset}/authorizations/{authorization}": {"regulator"},
    "GET /v1/assets/{asset}/authorizations/{authorization}/document": {"regulator"},
    "GET /v1/audit/bundle": {"regulator"},
    "GET /v1/licences/{licence}/accesses": {"regulator"},
    "GET /v1/negotiations/{negotiation}": {"regulator"},
    "GET /v1/licences/{licence}/policy": {"regulator"},
    "GET /v1/trades/{trade}/contract": {"regulator"},
    "GET /v1/trades/{trade}/contract/document": {"regulator"},
    "POST /v1/licences/{licence}/links/end": {"regulator"},
    "POST /v1/licences/{licence}/state": {"regulator"},
    "GET /v1/parties/{party}/documents": {"administrator", "regulator"},
    "GET /v1/parties/{party}/holders": {"administrator", "regulator"},
    "GET /v1/receipts/{index}": {"regulator"},
    "GET /v1/rulebook/proposals/{proposal}": {"administrator", "regulator"},
    "GET /v1/tenders/{tender}/signs": {"regulator"},
    "GET /v1/subscriptions/{subscription}": {"regulator"},
    "GET /v1/subscriptions/{subscription}/statements": {"regulator"},
    "GET /v1/subscriptions/{subscription}/statements/{number}": {"regulator"},
    "GET /v1/subscriptions/{subscription}/statements/{number}/sheet.csv": {"regulator"},
    "GET /v1/trades/{trade}": {"regulator"},
    "GET /v1/trades/{trade}/invoice": {"regulator"},
    "POST /v1/bank/statements/{statement}/resolution": {"administrator", "regulator"},
    "POST /v1/bank/suspense/{reference}/assignment": {"administrator"},
    "POST /v1/erasures": {"regulator"},
    "POST /v1/invitations": {"administrator"},
    "POST /v1/parties/{party}/documents": {"administrator"},
    "POST /v1/parties/{party}/documents/{digest}/review": {"administrator"},
    "POST /v1/parties/{party}/holders": {"administrator"},
    "POST /v1/people/{person}/departure": {"administrator"},
    "POST /v1/lots/{lot}/annulment": {"regulator"},
    "POST /v1/lots/{lot}/cancellation": {"administrator", "regulator"},
    "POST /v1/lots/{lot}/draw": {"regulator"},
    "POST /v1/lots/{lot}/halt": {"administrator", "regulator"},
    "POST /v1/tenders/{tender}/halt": {"administrator", "regulator"},
    "POST /v1/tenders/{tender}/resumption": {"administrator", "regulator"},
    "POST /v1/lots/{lot}/resumption": {"administrator", "regulator"},
    "POST /v1/parties/{party}/state": {"administrator", "regulator"},
    "POST /v1/complaints/{complaint}/routing": {"administrator", "regulator"},
    "POST /v1/complaints/{complaint}/answer": {"regulator"},
    "POST /v1/use-cases/{usecase}/withdrawal": {"regulator"},
    "POST /v1/licences/{licence}/mediator": {"administrator", "regulator"},
    "POST /v1/top-ups": {"bank"},
    "POST /v1/trades/{trade}/annulment": {"regulator"},
    "POST /v1/withdrawals/{payout}/return": {"bank"},
}
"""Whose office it is to see, or to touch, what others own."""

NAMING = {
    "POST /v1/account-resets": "person",
    "GET /v1/audit/bundle": "party",
    "POST /v1/agreements": "operator",
    "POST /v1/assets": "operator",
    "POST /v1/erasures": "commitment",
    "POST /v1/invitations": "party",
    "POST /v1/listings": "asset",
    "POST /v1/lots": "asset",
    "POST /v1/tenders": "asset",
    "POST /v1/top-ups": "party",
}
"""Routes that name another's thing elsewhere than in their path."""

OVER = {
    "acceptance.state",
    "use_case.state",
    "complaint.handler",
    "alarm.none",
    "lot.state",
    "tender.state",
    "draw.not_due",
    "annulment.lot",
}
"""What an officer may be told who is let in, and comes too late."""

LISTS = (
    "/v1/acceptances", "/v1/accounts", "/v1/assets", "/v1/complaints", "/v1/controls", "/v1/corrections",
    "/v1/deletions", "/v1/inquiries", "/v1/invoices", "/v1/journal", "/v1/keys", "/v1/licences", "/v1/lot-notices",
    "/v1/me", "/v1/negotiations", "/v1/people", "/v1/signing-keys", "/v1/subscriptions", "/v1/trades",
    "/v1/treasury-payouts", "/v1/use-cases", "/v1/watches", "/v1/webhooks", "/v1/withdrawals",
)  # fmt: skip


@dataclass
class Theirs:
    """What another party has, by the names of parameters; what does not exist looks the same."""

    names: dict[str, str]
    bodies: dict[str, Any]

    def none(self) -> dict[str, str]:
        """The same names of nothing."""
        swapped = {name: re.sub(r"[0-9a-f]{8}", "0a1b2c3d", value) for name, value in self.names.items()}
        return {**swapped, "index": str(10**9), "key": "never", "account": "acc-0a1b2c3d0a1b2c3d"}


async def theirs(house: House, patients: Department) -> tuple[Theirs, Caller]:
    floor = await played(house)
    owners = await house.party("supplier", people=2)
    buyer = floor.buyers[0]
    asset = await house.walk(owners, patients, steps=2)
    dossier = (await house.call(owners[0], "GET", f"/v1/assets/{asset}")).json()
    trade = (await house.call(buyer, "GET", "/v1/trades")).json()[0]
    waiting = await house.walk(owners, patients, steps=4)
    initial = {"act": "initial", "rights": ["right_use"]}
    applied = await house.done(owners[0], f"/v1/assets/{waiting}/applications", initial)
    public = bytes(SigningKey(bytes(32)).verify_key).hex()
    webhook = {"url": "https://hooks.example.com/in", "kinds": ["bid"]}
    hook = await house.done(buyer, "/v1/webhooks", webhook, key="hook")
    signing = await house.done(buyer, "/v1/signing-keys", {"public": public, "label": "program"}, key="mine")
    paid = await house.done(buyer, "/v1/withdrawals", {"amount_fen": "1"})
    stray = {"party": "nobody here", "amount_fen": "7", "bank_reference": "in-0123456789abcdef"}
    await house.done(floor.bank, "/v1/top-ups", stray)
    statement = {"statement": "st-0123456789abcdef", "begins_us": "0", "ends_us": "1", "opening_fen": "1"}
    await house.done(floor.bank, "/v1/bank/statements", {**statement, "closing_fen": "1", "lines": []})
    invited = {"party": buyer.party, "name": "a colleague", "token_digest": "0f" * 32}
    colleague = await house.done(buyer, "/v1/invitations", invited)
    lost = {"person": colleague["id"], "token_digest": "1f" * 32}
    reset = await house.done(buyer, "/v1/account-resets", lost)
    digest = (await house.call(buyer, "GET", "/v1/keys")).json()[0]["digest"]
    shown = {"kind": "other", "digest": digest}  # by chance that of a key: one name in the paths for both
    await house.done(buyer, f"/v1/parties/{buyer.party}/documents", shown)
    wrong = {"text": "the first row is twice there"}
    correction = await house.done(buyer, f"/v1/licences/{trade['licence']}/corrections", wrong)
    by_use = OfferMetered(await floor.asset(), licence(0, licences=3, term_days=60), "call", 2_800)
    metered = (await house.act(offer_metered, by_use, floor.seller))["id"]
    subscribed = await house.done(buyer, f"/v1/listings/{metered}/subscriptions", {"quota": "9"})
    house.now_us += 30 * 86_400_000_000
    stating = SettleUsage(subscribed["subscription"])
    await house.act(settle_usage, stating, CLOCK)
    terms = {"criterion": "quantity", "off_ppm": "1", "at_least": "1"}
    terms |= {"starts_us": str(house.now_us), "ends_us": str(house.now_us + 86_400_000_000)}
    discount = await house.done(floor.seller, f"/v1/listings/{metered}/discounts", terms)
    inquiry = await house.done(buyer, f"/v1/listings/{metered}/questions", {"text": "how often?"})
    up_for = OfferNegotiated(await floor.asset(), licence(0))
    listing = (await house.act(offer_negotiated, up_for, floor.seller))["id"]
    offered = {"price_fen": "100", "expires_us": str(house.now_us + 86_400_000_000)}
    negotiation = await house.done(buyer, f"/v1/listings/{listing}/offers", offered)
    public = public_of(bytes(32))
    await house.act(inquiries.set_inquiry_key, inquiries.SetInquiryKey(public), floor.seller)
    sealed = inquiries.Inquire(await floor.asset(), public, "c2VhbGVk")
    asked = await house.act(inquiries.inquire, sealed, inquiries.INQUIRER)
    built = {"title": "a map of floods", "text": "warns a district"}
    usecase = await house.done(buyer, f"/v1/licences/{trade['licence']}/use-cases", built)
    said = {"topic": "price", "text": "a fee that no list shows", "party": buyer.party}
    complaint = (await house.call(None, "POST", "/v1/complaints", said)).json()["outcome"]["complaint"]
    hall = await Hall.open(floor)
    tender = await hall.publish()
    question = await house.act(tenders.ask_tender, tenders.AskTender(tender, "why?"), buyer)
    wanted = {"subject": "flights", "high_fen": "1", "term_days": "1", "open_days": "1"}
    demand = await house.done(buyer, "/v1/demands", wanted)
    names = {
        "discount": discount["id"],
        "inquiry": inquiry["id"],
        "number": "1",
        "subscription": subscribed["subscription"],
        "listing": listing,
        "negotiation": negotiation["negotiation"],
        "demand": demand["id"],
        "tender": tender,
        "question": question["id"],
        "protest": "prt-0123456789abcdef",  # there is no award to protest against
        "application": applied["application"],
        "engagement": "cmp-0123456789abcdef",  # none of these roles is a provider
        "objection": "obj-0123456789abcdef",  # none of these roles decides one
        "account": (await house.call(buyer, "GET", "/v1/me")).json()["account"],
        "asset": asset,
        "authorization": dossier["authorizations"][0]["id"],
        "assessment": dossier["assessments"][0]["id"],
        "commitment": signing["label"],
        "complaint": complaint,
        "asked": asked["inquiry"],
        "usecase": usecase["use_case"],
        "correction": correction["id"],
        "digest": digest,
        "id": signing["id"],
        "index": trade["index"],
        "key": "mine",
        "licence": trade["licence"],
        "lot": next(row[0] for row in await floor.rows("SELECT id FROM lot")),
        "operator": floor.operator.party,
        "party": buyer.party,
        "payout": paid["payout"],
        "person": colleague["id"],
        "rating": "rat-0123456789abcdef",  # none of these roles may reply
        "reset": reset["id"],
        "reference": stray["bank_reference"],
        "statement": statement["statement"],
        "trade": trade["trade"],
        "contributions": "con-0123456789abcdef",  # tests/exchange/test_contributions.py has one, of two departments
        "treasury": "trp-0123456789abcdef",  # tests/exchange/test_treasury.py has one, after a default
        "webhook": hook["id"],
    }
    offer = {"grant": "licence", "licences": "1", "term_days": "30", "price_fen": str(START_FEN)}
    (board,) = await house.party("governing_body")
    change = {"rules": {OWN: {**load("cn-venue")[OWN].to_json(), "value": "9000"}}, "reason": "why"}
    change["effective_us"] = str(house.now_us + 86_400_000_000)
    proposed = await house.done(board, "/v1/rulebook/proposals", change)
    names["proposal"] = proposed["id"]
    signature = {"digest": "ab" * 32, "key": signing["id"], "signature": "00" * 64}
    bodies = {
        # The venue's own rules are the governing body's to sign, and none of the roles here.
        "POST /v1/rulebook/proposals/{proposal}/decision": {
            "decision": "sign",
            "digest": proposed["result"]["digest"],
        },
        "POST /v1/account-resets": {"person": "{person}", "token_digest": "2f" * 32},
        "POST /v1/account-resets/{reset}/decision": {"decision": "decline"},
        "POST /v1/applications/{application}/acceptance": {"decision": "accept"},
        "POST /v1/applications/{application}/review": {"decision": "pass"},
        "POST /v1/applications/{application}/withdrawal": {"reason": "why not"},
        "POST /v1/assets/{asset}/applications": initial,
        "POST /v1/assets/{asset}/assessments": patients.filing(),
        "POST /v1/assets/{asset}/compliance-engagements": {"provider": "{party}"},
        "POST /v1/compliance/{engagement}/report": {
            "conclusion": "compliant",
            "report_digest": "ab" * 32,
            "summary": "fine",
            "ends_us": str(house.now_us + 86_400_000_000),
        },
        "POST /v1/assets/{asset}/revocation": {"ground": "order", "reason": "why not"},
        "POST /v1/objections/{objection}/decision": {"decision": "dismiss", "answer": "no"},
        "POST /v1/assets/{asset}/authorizations": {"assessment": "{assessment}"},
        "POST /v1/assets/{asset}/releases": {
            "authorization": "{authorization}",
            "product_digest": "ab" * 32,
            "certificate": {},
        },
        "POST /v1/assets/{asset}/parents": {"parent": "{asset}", "relation": "derived"},
        "POST /v1/assets/{asset}/theme": {"theme": "medical_care"},
        "POST /v1/assets/{asset}/appraisals": house.appraisal(),
        "POST /v1/people/{person}/duty": {"duty": "audit"},
        "POST /v1/keys/{digest}/rotation": {"key_digest": "cd" * 32, "label": "mine now"},
        "POST /v1/licences/{licence}/links": {"valid_seconds": "60"},
        "POST /v1/licences/{licence}/state": {"state": "suspended", "reason": "why not"},
        "POST /v1/listings/{listing}/contract/signature": signature,
        "POST /v1/trades/{trade}/contract/signature": signature,
        "POST /v1/licences/{licence}/corrections": wrong,
        "POST /v1/licences/{licence}/rating": dict.fromkeys(
            ("coverage", "maturity", "effect", "accuracy"), 5
        ),
        "POST /v1/licences/{licence}/deletion": {"person": "Ms Zhang", "method": "purge"},
        "POST /v1/licences/{licence}/use-cases": built,
        "POST /v1/use-cases/{usecase}/decision": {"decision": "consent"},
        "POST /v1/use-cases/{usecase}/withdrawal": {"reason": "misleads"},
        "POST /v1/inquiries/{asked}/answer": {"answer": "c2VhbGVk"},
        "POST /v1/ratings/{rating}/reply": {"text": "thanks"},
        "POST /v1/complaints/{complaint}/routing": {"to": "{party}"},
        "POST /v1/complaints/{complaint}/answer": {"decision": "dismiss", "answer": "as listed"},
        "POST /v1/licences/{licence}/objection": {"ground": "incomplete", "text": "half of it"},
        "POST /v1/licences/{licence}/mediator": {"mediator": "{person}"},
        "POST /v1/licences/{licence}/mediation": {"decision": "accept", "order": "1", "reason": "as told"},
        "POST /v1/corrections/{correction}/answer": {"decision": "accept", "answer": "so it is"},
        "POST /v1/corrections/{correction}/mending": {"asset": "{asset}"},
        "POST /v1/parties/{party}/documents": {"kind": "other", "digest": "34" * 32},
        "POST /v1/parties/{party}/documents/{digest}/review": {"decision": "accept", "reason": "seen"},
        "POST /v1/parties/{party}/holders": {
            "since_us": "0",
            "holders": [{"name": "everybody", "share_ppm": "1000000"}],
        },
        "POST /v1/listings/{listing}/withdrawal": {"reason": "why not"},
        "POST /v1/subscriptions/{subscription}/usage": {"quantity": "1"},
        "POST /v1/listings/{listing}/discounts": terms,
        "POST /v1/questions/{inquiry}/answer": {"answer": "daily"},
        "POST /v1/assets/{asset}/revenue-periods": {
            "starts_us": "0",
            "ends_us": "1",
            "costs": [{"amount_fen": "1", "description": "operation", "source": "contract"}],
            "profit_rate_ppm": "0",
            "bond_yield_ppm": "0",
            "tax_rate_ppm": "0",
            "source": "an order",
            "products": [{"unit": "licence", "expected_units": "1"}],
            "started_on": "1970-01-01",
        },
        "POST /v1/negotiations/{negotiation}/counter-offers": {**offered, "seen": "1"},
        "POST /v1/negotiations/{negotiation}/acceptance": {"seen": "1"},
        "POST /v1/negotiations/{negotiation}/rejection": {},
        "POST /v1/parties/{party}/state": {"state": "suspended", "reason": "why not"},
        "POST /v1/lots/{lot}/annulment": {"ground": "collusion", "order": "12", "reason": "found"},
        "POST /v1/lots/{lot}/cancellation": {"reason": "power"},
        "POST /v1/lots/{lot}/draw": {"nonce": "00" * 32},
        "POST /v1/lots/{lot}/halt": {"reason": "power"},
        "POST /v1/tenders/{tender}/halt": {"reason": "power"},
        "POST /v1/trades/{trade}/annulment": {"ground": "collusion", "order": "12", "reason": "found"},
        "POST /v1/listings": {"asset": "{asset}", "offer": offer},
        "POST /v1/lots": {
            "asset": "{asset}",
            "offer": offer,
            "increment_fen": "100",
            "deposit_fen": str(START_FEN // 10),
            "opens_us": str(house.now_us),
            "closes_us": str(house.now_us + 86_400_000_000),
        },
        "POST /v1/tenders": {
            "asset": "{asset}",
            "offer": offer,
            "rule": {"price_weight_ppm": "1000000"},
            "holders": [holder.party for holder in hall.holders],
            "threshold": "3",
            "deposit_fen": "1",
            "deadline_us": str(house.now_us + 21 * 86_400_000_000),
            "opens_us": str(house.now_us + 21 * 86_400_000_000),
            "terms": "as agreed",
        },
        "POST /v1/tenders/{tender}/questions/{question}/answer": {"answer": "so"},
        "POST /v1/tenders/{tender}/protests/{protest}/decision": {
            "decision": "dismiss",
            "answer": "no",
        },
        "POST /v1/invitations": {"party": "{party}", "name": "a friend", "token_digest": "ef" * 32},
        "POST /v1/top-ups": {"party": "{party}", "amount_fen": "100", "bank_reference": "slip"},
        "POST /v1/bank/statements/{statement}/resolution": {"reason": "asked"},
        "POST /v1/bank/suspense/{reference}/assignment": {"party": "{party}", "reason": "asked"},
        "POST /v1/treasury-payouts/{treasury}/decision": {"decision": "reject"},
        "POST /v1/contributions/{contributions}/answer": {"accept": True},
        "POST /v1/assets/{asset}/contributions": {
            "departments": ["{party}", "{operator}"],
            "worths": ["0", "1", "1", "2"],
            "measure": "by hand",
            "evidence": "ab" * 32,
        },
        "POST /v1/withdrawals/{payout}/return": {"reason": "other"},
        "POST /v1/webhooks/{webhook}/replay": {"sequence": "0"},
        "POST /v1/erasures": {"commitment": "{commitment}", "ground": "an order"},
    }
    return Theirs(names, bodies), buyer


def routes() -> list[str]:
    """Every route that can name a thing of another party."""
    found = []
    for path, item in document()["paths"].items():
        for method in METHODS:
            name = f"{method.upper()} {path}"
            if method in item and name not in EVERYBODY and ("{" in path or name in NAMING):
                found.append(name)
    return found


def fill(text: str, names: dict[str, str]) -> str:
    """Put names in the places of their parameters; KeyError for a thing that this matrix does not know yet."""
    return re.sub(r"{([a-z0-9]+)}", lambda place: names[place[1]], text)


def told(response: Any, names: dict[str, str]) -> tuple[int, str]:
    """An answer without what it was asked for."""
    text = response.text
    for name in sorted(names.values(), key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "N", text)
    return response.status_code, text


async def test_what_another_party_has_looks_like_nothing_to_every_role(
    house: House, patients: Department
) -> None:
    has, _ = await theirs(house, patients)
    none = has.none()
    strangers: dict[str, Caller | None] = {role: (await house.party(role))[0] for role in ROLES}
    strangers["nobody"] = None
    allowed, asked = set(), 0
    for name in routes():
        method, path = name.split(" ")
        for role, caller in strangers.items():
            if role in MAY.get(name, ()):
                allowed.add((name, role))
                continue
            answers = []
            size = await house.log_size()
            for names in (has.names, none):
                body = has.bodies.get(name)
                filled = None if body is None else orjson.loads(fill(orjson.dumps(body).decode(), names))
                where = fill(path, names) + (
                    f"?party={names['party']}" if name == "GET /v1/audit/bundle" else ""
                )
                response = await house.call(caller, method, where, filled, key=f"matrix-{asked}")
                answers.append(told(response, names))
                asked += 1
            thing = path[: path.index("}") + 1] if "{" in path else ""
            if role not in MAY.get(f"GET {thing}", ()):  # who sees it may be told that it is there
                assert answers[0] == answers[1], f"{role}: {name}"
            assert answers[0][0] in (401, 403, 404), f"{role}: {name} {answers[0]}"
            assert await house.log_size() == size, f"{role}: {name}"
    assert allowed == {(name, role) for name, roles in MAY.items() for role in roles}
    assert asked > 250


async def test_whose_office_it_is_may(house: House, patients: Department) -> None:
    has, _ = await theirs(house, patients)
    officers = {role: (await house.party(role))[0] for role in {r for roles in MAY.values() for r in roles}}
    for name, roles in sorted(MAY.items()):
        for role in sorted(roles):
            method, path = name.split(" ")
            body = has.bodies.get(name)
            filled = None if body is None else orjson.loads(fill(orjson.dumps(body).decode(), has.names))
            if filled is not None and "token_digest" in filled:
                filled["token_digest"] = hashlib.sha256(role.encode()).hexdigest()
            where = fill(path, has.names) + (f"?party={has.names['party']}" if "bundle" in name else "")
            response = await house.call(officers[role], method, where, filled)
            # Once is enough, and a lot that ended is past much.
            done = response.status_code in (200, 201) or response.json()["code"] in OVER
            assert done, f"{role}: {name} {response.text[:300]}"


async def test_no_list_of_anybodys_shows_what_another_has(house: House, patients: Department) -> None:
    has, owner = await theirs(house, patients)
    secret = {
        has.names[name]
        for name in (
            "account",
            "asset",
            "digest",
            "id",
            "licence",
            "payout",
            "person",
            "trade",
            "party",
            "webhook",
        )
    }
    for role in ROLES:
        if role == "regulator":
            continue
        (caller,) = await house.party(role)
        for path in LISTS:
            if path == "/v1/withdrawals" and role in ("administrator", "bank"):
                continue  # whose office it is to see all payouts
            if path == "/v1/complaints" and role == "administrator":
                continue  # whose office it is to route them
            response = await house.call(caller, "GET", path)
            shown = {name for name in secret if name in response.text}
            assert not shown, f"{role}: {path}"
    mine = [(await house.call(owner, "GET", path)).text for path in LISTS]
    assert secret - {has.names["asset"]} <= {name for name in secret for text in mine if name in text}


async def test_the_routes_of_everybody_are_routes() -> None:
    there = {
        f"{m.upper()} {path}" for path, item in document()["paths"].items() for m in METHODS if m in item
    }
    assert there >= EVERYBODY | set(MAY) | set(NAMING)
