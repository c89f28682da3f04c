"""Recall: a market that lost its database comes back from the regulator's bundle, row for row."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from exchange import (
    auctions,
    contributions,
    controls,
    credentials,
    discounts,
    erasure,
    freshness,
    mediation,
    metering,
    money,
    negotiation,
    oversight,
    parties,
    questions,
    reconciliation,
    revenue,
    rulebook,
    sales,
    signin,
    tenders,
    treasury,
    venue,
    webhooks,
)
from exchange.acts import CLOCK, Caller, Signed
from exchange.app import open_market, running
from exchange.backup import refuse_behind
from exchange.database import METADATA, Addresses, Database
from exchange.delisting import WithdrawListing, withdraw_listing
from exchange.errors import Conflict, Misconfigured
from exchange.gate import PLAIN_LIMIT, Gate
from exchange.keys import Keys
from exchange.recall import INVERSES, bundles_from, recall
from exchange.recall.again import drawn
from exchange.recall.inverses import Told
from exchange.registration.path import STEP_OF_KIND
from exchange.registration.rights import RIGHTS
from exchange.settings import Settings
from exchange.signin.passkeys import Made
from exchange.worker import Worker
from ledger.checkpoint import sign
from ledger.errors import LedgerError
from ledger.merkle import Edge
from tests.exchange.conftest import LAWFUL, NOTICE, ORIGIN, House, uscc
from tests.exchange.floor import (
    DAY_US,
    INCREMENT_FEN,
    MINUTE_US,
    NONCE,
    VALUE_FEN,
    Floor,
    Walk,
    agreement,
    as_owner,
    exclusive,
    licence,
    played,
    themed,
    walk,
)
from tests.exchange.tendered import PRICE_ALONE, QUALITY, Hall, key_of, scored
from tests.exchange.test_backup import ORIGIN as LOG_ORIGIN
from tests.exchange.test_backup_commands import run
from tests.exchange.test_money import Hold, hold
from tests.exchange.test_treasury import fenced

OWN_RULE = "fees.buyer_commission_ppm"
PROJECT = Path(__file__).resolve().parents[2]
KEYS = Keys(log=b"l" * 32, mac=b"m" * 32, links=b"k" * 32)

pytestmark = pytest.mark.anyio
__all__ = ["run"]  # the fixture is borrowed


def quiet(line: str) -> None:
    """Say nothing."""


async def again(database: Addresses, *bundles: Path, folder: Path) -> int:
    """Recall into a database."""
    settings = Settings(data_dir=folder, origin=ORIGIN, sandbox=True)
    return await recall(database.app_url, KEYS, settings, bundles, quiet)


def rows(database: Addresses, table: str) -> list[str]:
    """A table, row by row, as text."""
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute(f"SELECT to_jsonb(t)::text FROM {table} t".encode()).fetchall()
    return sorted(row[0] for row in found)


def query(database: Addresses, sql: str) -> list[Any]:
    """What a query gives."""
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url) as connection:
        return connection.execute(sql.encode()).fetchall()


def root_at(database: Addresses, size: int) -> str:
    """The root of so many leaves, as SQL has it."""
    ((peaks,),) = query(database, f"SELECT peaks FROM log_chunk WHERE size = {size}")
    return f"'\\x{Edge.from_bytes(size, peaks).root().hex()}'::bytea"


def rewrite(bundle: Path, altered: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    """The same bundle with one member changed, and its manifest made to fit."""
    with ZipFile(bundle) as old, ZipFile(altered, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()}
        changed = change(contents[member])
        assert changed != contents[member]
        contents[member] = changed
        manifest = orjson.loads(contents["manifest.json"])
        manifest["members"][member] = str(len(changed))
        contents["manifest.json"] = orjson.dumps(manifest)
        for name, data in contents.items():
            new.writestr(name, data)


NOT_OF_THE_LOG = {
    *(
        "access_record",
        "heartbeat",
        "key_use",
    ),  # of interest for a while, and no part of what the log decides
    *(
        "passkey",
        "person_account",
        "sign_in_failure",
        "web_session",
    ),  # secrets: a log that made them again would give them away
}


def require_same(one: Addresses, other: Addresses, *, but: tuple[str, ...] = ()) -> None:
    """Every row of every table is the same in both."""
    for table in METADATA.tables.keys() - NOT_OF_THE_LOG:
        if table not in but:
            assert rows(other, table) == rows(one, table), table


def floor_holders(floor: Floor) -> tuple[parties.Holder, ...]:
    """Who holds the floor's operator, without those who have no party."""
    return (parties.Holder("shareholder", 400_000, floor.holder.party),)


async def lived(house: House, patients: Any) -> Floor:
    """A market in which every room has said all that it can say, in plain acts, refusals and crowds."""
    floor = await Floor.open(house, buyers=3, fen=3_000_000)
    first, second, third = floor.buyers
    # the rules change, after one proposal was refused its proposer's own signature and another was rejected
    board = await house.party("governing_body", people=2)
    for fee, signer in (("9000", board[1]), ("8000", board[0])):
        said = {OWN_RULE: {**rulebook.load("cn-venue")[OWN_RULE].to_json(), "value": fee}}
        proposal = rulebook.ProposeRuleChange(said, None, house.now_us + DAY_US, "the board's reason")
        change = await house.act(rulebook.propose_rule_change, proposal, board[0])
        sign = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "sign", "seen")
        await house.act(rulebook.decide_rule_change, sign, signer)
    reject = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "reject", "not now")
    await house.act(rulebook.decide_rule_change, reject, board[1])
    supplier = await house.party("supplier", people=2)
    agreed = agreement(floor.operator.party, 300_000)
    await house.act(parties.agree_operation, agreed, supplier[0])
    await house.act(parties.agree_operation, agreement(floor.operator.party, 250_000), supplier[0])
    shares = (parties.Holder("new", 400_000, first.party), parties.Holder("rest", 600_000, None, True))
    declared = parties.DeclareHolders(floor.operator.party, house.now_us + 3_000 * DAY_US, shares)
    first_said = await house.act(parties.declare_holders, declared, house.administrator)
    kept = (
        parties.Holder("rest", 600_000, None, True, first_said["holders"][1]["account"]),
        *floor_holders(floor),
    )
    await house.act(
        parties.declare_holders,
        parties.DeclareHolders(floor.operator.party, house.now_us, kept),
        house.administrator,
    )
    for stands in (True, False):
        kin = parties.DeclareRelation(second.party, third.party, "controls", stands, "ab" * 32)
        await house.act(parties.declare_relation, kin, floor.regulator)
    # an asset on its way, with everything that can be refused on it
    planned: dict[str, Any] = {
        "opening": "open",
        "opening_reason": "by the plan of the year",
        "purposes": ["research"],
    }
    asset = await house.walk(
        supplier, patients, steps=1, operator=floor.operator.party, update_days="20", **planned
    )
    # a list of assets, one with all that a row can say
    rows = (
        {"id": "r-1", "title": "水位", "kind": "city"},
        {
            "id": "r-2",
            "title": "flow",
            "kind": "city",
            "operator": floor.operator.party,
            "update_days": 30,
            **planned,
        },
    )
    listed = b"\n".join(map(orjson.dumps, rows))
    name = hashlib.sha256(listed).hexdigest()
    await house.call(supplier[0], "PUT", f"/v1/lists/{name}", content=listed)
    declared = (await house.call(supplier[0], "POST", f"/v1/lists/{name}/declarations", {})).json()
    assert len(declared["declared"]) == 2, declared
    path = f"/v1/assets/{asset}"
    core = [{"harmed": "national_security", "degree": "serious", "reason": "it shows where depots lie"}]
    await house.refused(
        supplier[0], f"{path}/assessments", patients.filing(impacts=core), code="assessment.core"
    )
    report = dict(patients.scan.report)
    for columns in (("face",), ("face", "voice")):
        found = [{**report["findings"][0], "column": name, "kind": "biometric"} for name in columns]
        filing = patients.filing(report={**report, "findings": [*report["findings"], *found]})
        await house.refused(supplier[0], f"{path}/assessments", filing, code="assessment.biometric")
    assessed = await house.done(supplier[0], f"{path}/assessments", patients.filing())
    grant = {"assessment": assessed["assessment"]}
    await house.refused(supplier[0], f"{path}/authorizations", grant, code="authorization.four_eyes")
    back = {**grant, "decision": "return", "reason": "the ages are too fine"}
    await house.done(supplier[1], f"{path}/authorizations", back)
    assessed = await house.done(supplier[0], f"{path}/assessments", patients.filing())
    grant = {"assessment": assessed["assessment"]}
    await house.done(supplier[1], f"{path}/authorizations", grant)
    # What was given is void with a new assessment.
    assessed = await house.done(supplier[0], f"{path}/assessments", patients.filing())
    grant = {"assessment": assessed["assessment"]}
    granted = await house.done(supplier[1], f"{path}/authorizations", grant)
    product, certificate = patients.product(granted)
    raw = await house.upload(supplier[0], patients.raw.read_bytes())
    release = {"authorization": granted["authorization"], "certificate": certificate}
    await house.refused(
        supplier[0],
        f"{path}/releases",
        {**release, "product_digest": raw},
        code="release.not_as_declared",
    )
    digest = await house.upload(supplier[0], product)
    await house.done(supplier[0], f"{path}/releases", {**release, "product_digest": digest})
    await house.done(supplier[0], f"{path}/theme", {"theme": "travel"})
    await house.done(supplier[0], f"{path}/theme", {"theme": "medical_care"})
    await house.register(asset, supplier[0])
    await registered(house, supplier, asset)
    buyer, bought = await house.sell(supplier, asset)
    whose, to_delete = await mediated(floor, supplier[0], asset)
    for state in ("suspended", "active"):
        await house.done(
            supplier[0], f"/v1/licences/{bought}/state", {"state": state, "reason": "一处违约 a breach"}
        )
    await house.done(buyer, f"/v1/licences/{bought}/links/end")
    for seconds in ("60", str(7 * 86_400)):
        house.now_us += 26 * DAY_US if seconds != "60" else 0  # the second link ends with its licence
        made = await house.call(buyer, "POST", f"/v1/licences/{bought}/links", {"valid_seconds": seconds})
        assert (await house.http.get(made.json()["link"])).status_code == 200
    await house.act(freshness.watch_update, freshness.WatchUpdate(asset), CLOCK)
    derived = await house.walk(supplier, patients, steps=0)
    await house.done(supplier[0], f"/v1/assets/{derived}/parents", {"parent": asset, "relation": "derived"})
    await house.walk(supplier, patients, steps=1, begun=derived)
    wanted = {"subject": "每小时病人数", "purpose": "research", "low_fen": "1", "high_fen": "9"}
    for _ in range(2):
        want = await house.done(buyer, "/v1/demands", {**wanted, "term_days": "30", "open_days": "90"})
    has = {"asset": asset, "words": "有,脱敏后"}
    await house.done(supplier[0], f"/v1/demands/{want['id']}/answers", has)
    await house.done(buyer, f"/v1/demands/{want['id']}/withdrawal")
    for decision in ("accept", "refuse"):
        complaint = {"text": "第一行重复 twice", "column": None, "evidence": "ab" * 32}
        wrong = await house.done(buyer, f"/v1/licences/{bought}/corrections", complaint)
        reply = {"decision": decision, "answer": "看过 seen"}
        await house.done(supplier[0], f"/v1/corrections/{wrong['id']}/answer", reply)
        if decision == "accept":
            await house.done(supplier[0], f"/v1/corrections/{wrong['id']}/mending", {"asset": asset})
    # keys, people and states
    await house.done(buyer, "/v1/keys", {"key_digest": "ab" * 32, "label": "第二把钥匙"})
    await house.act(credentials.revoke_key, credentials.RevokeKey(bytes.fromhex("ab" * 32)), buyer)
    heir = {"key_digest": "cd" * 32, "label": "继任", "overlap_us": "60000000"}
    narrowed = {"key_digest": "ef" * 32, "label": "程序", "scopes": ["trade"], "expires_us": str(2**53)}
    await house.done(buyer, "/v1/keys", narrowed)
    own = credentials.key_digest(house.keys[buyer.person]).hex()
    await house.done(buyer, f"/v1/keys/{own}/rotation", heir)
    added = await house.done(buyer, "/v1/signing-keys", {"public": "58" + "66" * 31, "label": "签名"})
    await house.done(buyer, f"/v1/signing-keys/{added['id']}/revocation")
    limits = {"sign_above_fen": "900000", "order_limit_fen": "2000000", "heartbeat_us": "5000000"}
    await house.done(buyer, "/v1/controls", limits)
    await house.done(buyer, "/v1/controls", {})
    await house.done(buyer, "/v1/stop")
    await house.done(buyer, "/v1/resumption")
    hook = await house.done(buyer, "/v1/webhooks", {"url": "https://hooks.example.com/in", "kinds": ["bid"]})
    for what, body in (("rotation", None), ("replay", {"sequence": "3"}), ("removal", None)):
        await house.done(buyer, f"/v1/webhooks/{hook['id']}/{what}", body)
    kept = await house.done(buyer, "/v1/webhooks", {"url": "https://hooks.example.com/all"})
    await house.act(webhooks.disable_webhook, webhooks.DisableWebhook(kept["id"]), CLOCK)
    invitation = parties.InvitePerson(buyer.party, "never came", credentials.key_digest("unused"))
    await house.act(parties.invite_person, invitation, buyer)
    for number, decision in enumerate(("accept", "refuse")):
        digest = f"{number:064x}"
        filed = parties.FileDocument(
            buyer.party, "qualification", digest, house.now_us + DAY_US if number else None
        )
        await house.act(parties.file_document, filed, buyer)
        review = parties.ReviewDocument(buyer.party, digest, decision, "seen 看过")
        await house.act(parties.review_document, review, house.administrator)
    deputy = parties.InvitePerson(
        buyer.party, "for a while", credentials.key_digest("link"), buyer.person, house.now_us + DAY_US
    )
    gone = (await house.act(parties.invite_person, deputy, buyer))["id"]
    enrol = credentials.Enrol(credentials.key_digest("link"), credentials.key_digest("deputy"), "key")
    await house.act(credentials.enrol, enrol, Caller("enrolment", "enrolment", frozenset()))
    house.keys[gone] = "deputy"
    as_deputy = Caller(gone, buyer.party, buyer.roles)
    for granted in (True, False):
        lost = signin.AskReset(gone, credentials.key_digest(f"again {granted}"))
        reset = await house.act(signin.ask_reset, lost, buyer)
        decided = signin.DecideReset(reset["id"], granted)
        await house.act(signin.decide_reset, decided, house.administrator)
    secured = signin.SecureAccount(
        credentials.key_digest("again True"), "deputy", "a hash", b"sealed", ("00" * 32,)
    )
    visitor = Caller("enrolment", "enrolment", frozenset(), channel="web")
    await house.act(signin.secure_account, secured, visitor)
    passkey = Made(b"a passkey", b"its public key", 0, house.now_us)
    await house.act(signin.change_factors, signin.ChangeFactors(adds=passkey, label="laptop"), as_deputy)
    await house.act(signin.change_factors, signin.ChangeFactors(removes=b""), as_deputy)
    await house.act(signin.lock_account, signin.LockAccount(gone, 5, house.now_us), CLOCK)
    for duty in ("system", "security", "audit"):
        colleague = parties.InvitePerson(
            house.administrator.party, f"for {duty}", credentials.key_digest(f"link {duty}")
        )
        charged = (await house.act(parties.invite_person, colleague, house.administrator))["id"]
        await house.act(parties.assign_duty, parties.AssignDuty(charged, duty), house.administrator)
    await house.done(
        as_deputy,
        "/v1/signing-keys",
        {"public": bytes(SigningKey(bytes(32)).verify_key).hex(), "label": "hers"},
    )
    await house.done(buyer, f"/v1/people/{gone}/departure")
    paid = [await house.act(money.withdraw, money.Withdraw(12_345), buyer) for _ in range(2)]
    await banked(floor, buyer, [one["payout"] for one in paid])
    await house.act(hold, Hold("h1", 60, MINUTE_US), buyer)
    # the hall: crowds of bids and refusals, in common batches
    listing = await floor.listing(licence(1_000_000, 2))
    await house.act(sales.buy, sales.Buy(listing, 1), first)
    assert (await house.act(sales.buy, sales.Buy(listing, 2), first))["state"] == "refused"
    for _ in range(2):  # more money than there is
        await house.act(money.withdraw, money.Withdraw(1_100_000), second)
    assert (await house.act(sales.buy, sales.Buy(listing, 1), second))["reason"]["code"].startswith(
        "transfer."
    )
    await negotiated(floor)
    await metered(floor)
    await beside_listings(floor)
    poor = (await house.party("buyer"))[0]
    related = await floor.asset(operator=floor.operator.party)
    lot, exclusive_lot = await floor.lot(related), await floor.lot(offer=exclusive(700_000))
    for caller, code in ((floor.holder, "bidder.related"), (poor, "transfer.exceeds_credits")):
        joined = await house.act(auctions.join_lot, auctions.JoinLot(lot), caller)
        assert joined["reason"]["code"] == code
    for caller in floor.buyers:
        await asyncio.gather(
            house.act(auctions.join_lot, auctions.JoinLot(lot), caller),
            *(floor.bid(lot, caller, 700_000 + n * INCREMENT_FEN) for n in range(5)),
        )
    await floor.join(exclusive_lot, first)
    signed = Signed.of('{"base":"","body":"{}","key":"sk-0","signature":""}', house.chance(32))
    await house.act(sales.buy, sales.Buy(listing, 9, signed), first)  # as the door would bring it; refused
    await house.act(
        auctions.place_bids,
        auctions.PlaceBid(exclusive_lot, 700_000, Signed.of("{}", house.chance(32))),
        first,
    )
    await asyncio.gather(
        *(floor.bid(lot, floor.buyers[n % 3], 760_000 + n * INCREMENT_FEN) for n in range(12)),
        house.act(
            parties.set_party_state, parties.SetPartyState(third.party, "suspended", "调查"), floor.regulator
        ),
        *(floor.bid(lot, floor.buyers[(n + 1) % 3], 900_000 + n * INCREMENT_FEN) for n in range(12)),
        house.act(venue.move_clock, venue.MoveClock(MINUTE_US), house.administrator),
        house.act(
            venue.record_drill,
            venue.RecordDrill("power", "power", False, 1, 2, 3, 1, 0, 4, b"r" * 32),
            house.administrator,
        ),
    )
    await house.act(
        parties.set_party_state, parties.SetPartyState(third.party, "active", "ended"), floor.regulator
    )
    house.now_us += 2 * DAY_US
    worker = Worker(house.gate, house.gate.database)
    await worker.tick()
    await worker.tick()
    await ruled(floor)
    await complained(floor, supplier[0].party)
    await tendered(floor)
    house.now_us += 20 * DAY_US
    await worker.after_sale()
    gone_by = {"person": "张三", "method": "purge", "statement": "含一份备份"}
    await house.done(whose, f"/v1/licences/{to_delete}/deletion", gone_by)
    # Years pass: whoever holds a certificate is reminded of its end, one is renewed, the others end.
    certificate = (await house.call(None, "GET", await certificate_path(house, asset))).json()
    house.now_us = int(certificate["ends_us"]) - 10 * DAY_US
    await worker.register()
    await house.register(asset, supplier[0], "renew")
    house.now_us += 100 * DAY_US
    await worker.register()
    await worker.write_tiles()
    return floor


async def mediated(floor: Floor, seller: Caller, asset: str) -> tuple[Caller, str]:
    """All that can become of a delivery: objected to, mediated, refunded late for want of money, accepted aloud."""
    house = floor.house
    (mediator,), (kin,) = [await house.party("service_provider") for _ in range(2)]
    related = parties.DeclareRelation(kin.party, seller.party, "controls", True, "ab" * 32)
    await house.act(parties.declare_relation, related, floor.regulator)
    for decision in ("reduce", "refund"):
        buyer, bought = await house.sell_again(asset)
        path = f"/v1/licences/{bought}"
        told = {"ground": "incomplete", "text": "缺三个月", "evidence": "ab" * 32}
        await house.done(buyer, f"{path}/objection", told)
        refused = {"mediator": kin.person}
        await house.refused(floor.regulator, f"{path}/mediator", refused, code="mediation.related")
        await house.done(floor.regulator, f"{path}/mediator", {"mediator": mediator.person})
        award = {"decision": decision, "order": "调解 1", "reason": "经核实"}
        if decision == "reduce":
            await house.done(mediator, f"{path}/mediation", {**award, "refund_fen": "777"})
            continue
        free_fen, _ = await floor.money(seller)
        await house.act(money.withdraw, money.Withdraw(free_fen), seller)
        assert (await house.done(mediator, f"{path}/mediation", award))["refund"] == "owed"
        await floor.fund(seller, 200_000)
        await house.act(mediation.pay_refund, mediation.PayRefund(bought), CLOCK)
    buyer, bought = await house.sell_again(asset)
    await house.done(buyer, f"/v1/licences/{bought}/acceptance")
    stars = {"coverage": 5, "maturity": 4, "effect": 3, "accuracy": 1}
    await house.done(buyer, f"/v1/licences/{bought}/rating", stars)
    await house.done(buyer, f"/v1/licences/{bought}/rating", {**stars, "text": "改为好评"})
    (rated,) = (await house.call(None, "GET", f"/v1/assets/{asset}/ratings")).json()["ratings"]
    await house.done(seller, f"/v1/ratings/{rated['rating']}/reply", {"text": "谢谢"})
    for say in ("consent", "refuse", None):
        built = {"title": "内涝预警", "text": "提前一小时", "url": "https://example.com/flood"}
        use = (await house.done(buyer, f"/v1/licences/{bought}/use-cases", built))["use_case"]
        if say is not None:
            said = {"decision": say, "reason": "点名了街道"}
            await house.done(seller, f"/v1/use-cases/{use}/decision", said)
        if say == "consent":
            await house.done(buyer, f"/v1/use-cases/{use}/withdrawal", {"reason": "已下线"})
    public = "ab" * 32
    await house.done(seller, "/v1/inquiry-key", {"public": "cd" * 32})
    await house.done(seller, "/v1/inquiry-key", {"public": public})
    for _ in range(2):
        asked = {"public": public, "question": "c2VhbGVk"}
        response = await house.call(None, "POST", f"/v1/assets/{asset}/inquiries", asked)
    inquiry = response.json()["outcome"]["inquiry"]
    await house.done(seller, f"/v1/inquiries/{inquiry}/answer", {"answer": "c2VhbGVk"})
    return buyer, bought


async def complained(floor: Floor, party: str) -> None:
    """The public complains, with and without saying how to be reached; one complaint is answered, one is late."""
    house = floor.house
    for number, decision in enumerate(("uphold", "dismiss")):
        said = {"topic": "conduct", "text": f"无人答复 {number}", "party": party}
        contact = {"contact": "010-12345678"} if number else {}
        response = await house.call(None, "POST", "/v1/complaints", {**said, **contact})
        path = f"/v1/complaints/{response.json()['outcome']['complaint']}"
        await house.done(floor.regulator, f"{path}/routing", {"to": floor.seller.party})
        house.now_us += (30 if number else 0) * DAY_US
        await Worker(house.gate, house.gate.database).tick()
        await house.done(floor.seller, f"{path}/answer", {"decision": decision, "answer": "已处理"})


async def negotiated(floor: Floor) -> None:
    """A negotiation to and fro until it is settled, and each other way in which one ends; a listing and a lot taken back."""
    house, (first, second, _) = floor.house, floor.buyers
    terms = negotiation.OfferNegotiated(await floor.asset(), licence(0, 3))
    listing = (await house.act(negotiation.offer_negotiated, terms, floor.seller))["id"]
    until = house.now_us + MINUTE_US
    signed = Signed.of('{"base":"","body":"{}","key":"sk-0","signature":""}', house.chance(32))

    async def begin(who: Caller, **more: Any) -> str:
        act = negotiation.MakeOffer(listing, 1_000, 1, until, **more)
        name: str = (await house.act(negotiation.make_offer, act, who))["negotiation"]
        return name

    async def seen(name: str) -> int:
        view = await house.gate.read(negotiation.negotiation, floor.regulator, name)
        return int(view["offer_index"])

    one = await begin(first, purpose="industry")
    back = negotiation.CounterOffer(one, await seen(one), 90_000_000, 2, until)
    await house.act(negotiation.counter_offer, back, floor.seller)
    dear = negotiation.AcceptOffer(one, await seen(one))
    assert (await house.act(negotiation.accept_offer, dear, first))["state"] == "refused"
    less = negotiation.CounterOffer(one, await seen(one), 2_000, 1, until, signed)
    await house.act(negotiation.counter_offer, less, first)
    agreed = negotiation.AcceptOffer(one, await seen(one))
    assert (await house.act(negotiation.accept_offer, agreed, floor.seller))["state"] == "settled"
    for reason in ("", "太低 too little"):
        no = negotiation.RejectOffer(await begin(first), reason)
        await house.act(negotiation.reject_offer, no, floor.seller)
    await house.act(negotiation.withdraw_offer, negotiation.WithdrawOffer(await begin(first)), first)
    out = await begin(first)
    house.now_us = until
    await house.act(negotiation.close_offer, negotiation.CloseOffer(out), CLOCK)
    until += MINUTE_US
    lapsing = [await begin(who) for who in (first, second)]
    await house.act(controls.stop_trading, controls.StopTrading(second.party), second)
    await house.act(controls.resume_trading, controls.ResumeTrading(), second)
    await house.act(withdraw_listing, WithdrawListing(listing, "改版"), floor.seller)
    for name in lapsing:
        await house.act(negotiation.close_offer, negotiation.CloseOffer(name), CLOCK)
    lot = await floor.lot(opens_us=house.now_us + MINUTE_US, closes_us=house.now_us + MINUTE_US + DAY_US)
    for who in (first, second):
        await floor.join(lot, who)
    ((listing,),) = await floor.rows("SELECT listing FROM lot WHERE id = %s", lot)
    await house.act(withdraw_listing, WithdrawListing(listing, "印错"), floor.seller)


async def tendered(floor: Floor) -> None:
    """What tenders bring: one that is scored twice and settled, one that is defaulted on, one that is called off."""
    house = floor.house
    buyers = [(await house.party("buyer"))[0] for _ in range(4)]
    for fen, buyer in zip((1_000_000, 1_000_000, 1_200_000, 40_000), buyers, strict=True):
        await floor.fund(buyer, fen)
    hall = await Hall.open(floor)
    await house.act(tenders.publish_holder_key, tenders.PublishHolderKey(key_of(7).public.hex()), buyers[0])
    await house.act(tenders.publish_holder_key, tenders.PublishHolderKey(key_of(8).public.hex()), buyers[0])
    # By a minute the market's clock was moved.
    deadline: dict[str, Any] = {"deadline_us": house.now_us + MINUTE_US + 20 * DAY_US}
    marked, plain, off = [
        await hall.publish(rule=rule, **deadline) for rule in (QUALITY, PRICE_ALONE, PRICE_ALONE)
    ]
    asked = await house.act(tenders.ask_tender, tenders.AskTender(marked, "如何交付?"), buyers[0])
    await house.act(tenders.answer_tender, tenders.AnswerTender(marked, asked["id"], "按月"), floor.seller)
    for one in (marked, off):
        await house.act(tenders.halt_tender, tenders.HaltTender(one, "核查"), floor.regulator)
    await house.act(tenders.resume_tender, tenders.ResumeTender(marked), floor.regulator)
    await house.act(tenders.cancel_tender, tenders.CancelTender(off, "撤回"), floor.seller)
    await hall.join(marked, floor.holder)
    await hall.join(marked, (await house.party("buyer"))[0])
    await hall.bid(marked, *((one, 700_000) for one in buyers[:3]), proposal="ab" * 32)
    await hall.bid(plain, *((one, 800_000) for one in buyers[:3]), (buyers[3], 900_000))
    await hall.hand_in(plain, buyers[1], 1, code=hall.codes[plain, buyers[0].party])
    await house.act(tenders.withdraw, tenders.Withdraw(plain), buyers[2])
    await hall.hand_in(plain, buyers[2], 850_000)
    assert await hall.close(marked) == "opening"
    await hall.hand_in(plain, buyers[2], 990_000)
    forged = await hall.shares(plain, hall.holders[3])
    await house.act(tenders.hand_shares, tenders.HandShares(plain, forged), hall.holders[1])
    for tender in (marked, plain):
        for holder in hall.holders[:3]:
            await hall.hand_shares(tender, holder)
    await hall.tick()
    await hall.tick()
    await house.act(tenders.hand_in_proposal, tenders.HandInProposal(marked, "ab" * 32), buyers[0])
    experts = await house.party("service_provider", people=5)
    some = {one.party: 50 for one in buyers[:3]}
    await scored(hall, marked, experts, some)
    protest = tenders.FileProtest(marked, "不公")
    filed = [await house.act(tenders.file_protest, protest, one) for one in buyers[:2]]
    upheld = tenders.DecideProtest(marked, filed[0]["protest"], "uphold", "属实", "rescore")
    await house.act(tenders.decide_protest, upheld, floor.regulator)
    await scored(hall, marked, experts, {**some, buyers[2].party: 60})
    filed = [await house.act(tenders.file_protest, protest, buyers[0])]
    dismissed = tenders.DecideProtest(marked, filed[0]["protest"], "dismiss", "无据")
    await house.act(tenders.decide_protest, dismissed, floor.regulator)
    house.now_us += 40 * DAY_US
    for _ in range(3):
        await hall.tick()
    states = [(await hall.view(tender))["state"] for tender in (marked, plain, off)]
    assert states == ["settled", "defaulted", "cancelled"]


async def metered(floor: Floor) -> None:
    """Use that is held, and paid ahead: recorded, refused beyond the quota, settled, ended with the term and before it."""
    house, (first, _, _) = floor.house, floor.buyers
    terms = metering.OfferMetered(await floor.asset(), licence(0, 3, 31), "call", 2_800, 5_000)
    listing = (await house.act(metering.offer_metered, terms, floor.seller))["id"]
    assert (await house.act(metering.subscribe, metering.Subscribe(listing, 10**10), first))[
        "state"
    ] == "refused"
    names = []
    for prepaid in (False, True):
        said = metering.Subscribe(listing, 1_000, prepaid, "industry")
        subscribed = await house.act(metering.subscribe, said, first)
        await house.sign_both(subscribed["voucher"]["trade"], floor.seller, first)
        names.append(subscribed["subscription"])
        for quantity in (900, 101):
            use = metering.RecordUsage(names[-1], quantity)
            await house.act(metering.record_usage, use, floor.seller)
    house.now_us += 30 * DAY_US
    await house.act(metering.settle_usage, metering.SettleUsage(names[0]), CLOCK)
    await house.act(metering.end_subscription, metering.EndSubscription(names[1]), first)
    house.now_us += DAY_US
    await house.act(metering.settle_usage, metering.SettleUsage(names[0]), CLOCK)


async def beside_listings(floor: Floor) -> None:
    """A carry-over ledger of two periods, discounts, a free use, questions and answers."""
    house, (first, second, _) = floor.house, floor.buyers
    asset = await floor.asset()
    listing = await floor.listing(licence(1_000, 9), asset)
    now, starts = house.now_us, house.now_us
    for criterion, at_least, words in (("quantity", 2, ()), ("purpose", 0, ("research",))):
        act = discounts.PublishDiscount(listing, criterion, 100_000, now, now + DAY_US, at_least, words)
        name = (await house.act(discounts.publish_discount, act, floor.seller))["id"]
    for counted_on in (name, "dsc-0"):
        said = sales.Buy(listing, 1, None, "research", counted_on)
        await house.act(sales.buy, said, second)
    await house.act(discounts.end_discount, discounts.EndDiscount(name), floor.seller)
    free = sales.Buy(listing, 1, purpose="public_welfare")
    assert (await house.act(sales.buy, free, second))["state"] == "refused"
    for text in ("何时更新?", "which rows?"):
        asking = questions.AskQuestion(listing, text)
        asked = (await house.act(questions.ask_question, asking, first))["id"]
        if text.isascii():
            answer = questions.AnswerQuestion(asked, "all")
            await house.act(questions.answer_question, answer, floor.seller)
    for n in range(2):
        allowing = revenue.AllowRevenue(
            asset,
            starts,
            starts + MINUTE_US,
            (revenue.CostLine(3_000, "运营", "合同 1"),),
            0,
            10_000,
            20_000,
            60_000,
            "发改价格〔2025〕65号",
            (revenue.ProductLine("licence", 1, 3), revenue.ProductLine("call", 0, 1)),
            "2020-01-01",
        )
        period = (await house.act(revenue.allow_revenue, allowing, floor.regulator))["period"]
        if not n:
            starts += MINUTE_US
            house.now_us = starts
            await house.act(revenue.close_revenue, revenue.CloseRevenue(period), CLOCK)
    assert (await house.act(sales.buy, sales.Buy(listing, 1), first))["state"] == "settled"


async def registered(house: House, supplier: list[Caller], asset: str) -> None:
    """All that can come before a registrar, and what becomes of a registration, on `asset` and on some others."""
    department = supplier[0]
    clerk, reviewer = await house.registrar()
    (buyer,) = await house.party("buyer")
    others = [await themed(house, department) for _ in range(3)]
    path = f"/v1/assets/{others[0]}/applications"
    initial = {"act": "initial", "rights": list(RIGHTS)}
    for decision in ("withdraw", "return", "reject"):
        form = {"party": department.party, "person": supplier[1].person, "scan": "5c" * 32}
        counter = {"counter": form} if decision == "return" else {}
        who = clerk if counter else department
        applied = await house.done(who, path, {**initial, **counter})
        at = f"/v1/applications/{applied['application']}"
        if decision == "return":
            await house.done(reviewer, f"{at}/acceptance", {"decision": "return", "reason": "缺来源"})
            continue
        await house.done(clerk, f"{at}/acceptance", {"decision": "accept"})
        if decision == "withdraw":
            await house.done(department, f"{at}/withdrawal", {"reason": "改主题"})
            continue
        rejection = {"decision": "reject", "reason": "缺授权"}
        await house.refused(clerk, f"{at}/review", rejection, code="registration.four_eyes")
        await house.done(reviewer, f"{at}/review", rejection)
    (provider,) = await house.party("service_provider")
    engaging = f"/v1/assets/{others[0]}/compliance-engagements"
    engaged = await house.done(department, engaging, {"provider": provider.party})
    finding = {"conclusion": "conditional", "report_digest": "7e" * 32, "summary": "补充来源说明"}
    finding["ends_us"] = str(house.now_us + 300 * DAY_US)
    await house.done(provider, f"/v1/compliance/{engaged['engagement']}/report", finding)
    # The law's notice for a while: comments and objections come while it runs.
    board = await house.party("governing_body", people=2)
    for days in ("10", "0"):
        said = {NOTICE: {**LAWFUL[NOTICE].to_json(), "value": days}}
        proposal = rulebook.ProposeRuleChange(said, None, house.now_us + DAY_US, "for a while")
        change = await house.act(rulebook.propose_rule_change, proposal, board[0])
        sign = rulebook.DecideRuleChange(change["id"], change["result"]["digest"], "sign", "seen")
        await house.act(rulebook.decide_rule_change, sign, board[1])
        house.now_us += DAY_US
        if days == "0":
            break
        for nth, other in enumerate(others[:2]):
            application = await house.notice(other, department)
            notice = f"/v1/notices/{application}"
            for caller in (None, buyer):
                response = await house.call(caller, "POST", f"{notice}/comments", {"text": "一处错误"})
                assert response.status_code == 201, response.text
            filed = await house.done(buyer, f"{notice}/objections", {"reason": "部分数据属于我方"})
            decision = f"/v1/objections/{filed['objection']}/decision"
            answer = {"decision": ("dismiss", "uphold")[nth], "answer": "经核实"}
            await house.refused(reviewer, decision, answer, code="objection.four_eyes")
            await house.done(clerk, decision, answer)
        house.now_us += 30 * DAY_US
    await Worker(house.gate, house.gate.database).register()
    rights = {
        right["right"]: right["id"]
        for right in (await house.call(None, "GET", await certificate_path(house, asset))).json()["rights"]
    }
    ends = str(house.now_us + 90 * DAY_US)
    permit = {"grant": rights["right_use"], "to": buyer.party, "ends_us": ends, "exclusive": True}
    await house.register(asset, department, "permit", **permit)
    await house.register(asset, department, "transfer", grant=rights["right_operate"], to=buyer.party)
    await house.register(asset, department, "change", title="新名称", reason="更名")
    await house.register(asset, department, "correct", summary="更正的说明", reason="笔误")
    await house.register(others[2], department)
    await house.register(others[2], department, "cancel", reason="不再更新")
    await house.register(others[1], department)
    revocation = {"ground": "order", "reason": "法院裁定"}
    await house.done(clerk, f"/v1/assets/{others[1]}/revocation", revocation)


async def certificate_path(house: House, asset: str) -> str:
    """Where the certificate of a registered asset is."""
    found = (await house.call(None, "GET", f"/v1/assets/{asset}")).json()
    return f"/v1/certificates/{found['asset']['code']}"


async def ruled(floor: Floor) -> None:
    """What the statute brings: lots that are halted, called off, drawn, annulled, defaulted on and up again."""
    house, worker = floor.house, Worker(floor.house.gate, floor.house.gate.database)
    one, two = [(await house.party("buyer"))[0] for _ in range(2)]
    for buyer in (one, two):
        await floor.fund(buyer, 1_600_000)
    asset = await floor.asset()
    at_ceiling = licence(700_000, ceiling_fen=700_000)

    def terms() -> dict[str, Any]:
        now_us = house.now_us + MINUTE_US  # by so much the market's clock was moved
        return {"opens_us": now_us, "closes_us": now_us + DAY_US}

    lots = [
        await floor.lot(priority=(two.party,), **terms()),
        await floor.lot(**terms()),
        await floor.lot(offer=at_ceiling, **terms()),
        await floor.lot(asset, **terms()),
    ]
    await house.act(auctions.watch_lot, auctions.WatchLot(lots[0]), floor.holder)
    await house.act(auctions.watch_lot, auctions.WatchLot(lots[1]), floor.holder)
    await house.act(auctions.watch_lot, auctions.WatchLot(lots[1], watch=False), floor.holder)
    for lot in lots:
        for buyer in (one, two) if lot != lots[3] else (one,):
            await floor.join(lot, buyer)
            await floor.bid(lot, buyer, 700_000)
    for lot in lots[:2]:
        await house.act(auctions.halt_lot, auctions.HaltLot(lot, "断电"), floor.regulator)
    await house.act(auctions.resume_lot, auctions.ResumeLot(lots[0]), floor.regulator)
    await house.act(auctions.cancel_lot, auctions.CancelLot(lots[1], "no more"), floor.regulator)
    listing = await floor.listing(licence(1_000, 1))
    sold = await house.act(sales.buy, sales.Buy(listing, 1), one)
    undone = sales.AnnulSale(sold["voucher"]["trade"], "misdescription", "令一", "列缺失")
    await house.act(sales.annul_sale, undone, floor.regulator)
    free, _ = await floor.money(one)
    await house.act(money.withdraw, money.Withdraw(free), one)
    house.now_us += DAY_US
    await worker.tick()
    for nonce in ("00" * 32, NONCE.hex()):
        await house.act(auctions.reveal_draw, auctions.RevealDraw(lots[2], nonce), floor.regulator)
    await worker.tick()
    order = auctions.AnnulLot(lots[0], "collusion", "令二", "a ring")
    await house.act(auctions.annul_lot, order, floor.regulator)
    house.now_us += 10 * DAY_US
    await worker.tick()
    again = await floor.lot(asset, again_of=lots[3], **terms())
    await floor.fund(two, 1_000_000)
    await floor.join(again, two)
    await floor.bid(again, two, 700_000)
    house.now_us += DAY_US
    await worker.tick()
    await worker.tick()
    # what the forfeit left the treasury goes to its bank, under two persons
    another = replace(floor.seller, person="another")
    for decision in ("reject", "approve"):
        propose = treasury.ProposeTreasuryPayout(1_000)
        proposed = await house.act(treasury.propose_treasury_payout, propose, floor.seller)
        decide = treasury.DecideTreasuryPayout(proposed["proposal"], decision)
        await house.act(treasury.decide_treasury_payout, decide, another)
    # what two departments made is shared by what each adds
    (other,) = await house.party("supplier")
    made = await floor.asset(parents=(await floor.asset(seller=other),))
    both = (floor.seller.party, other.party)
    file = contributions.FileContributions(made, both, (0, 3, 2, 4), "by accuracy", "ab" * 32)
    for accept in (False, True):
        filed = await house.act(contributions.file_contributions, file, floor.seller)
        answer = contributions.AnswerContributions(filed["contributions"], accept)
        await house.act(contributions.answer_contributions, answer, other)
    shared = await floor.listing(licence(1_000), made)
    await floor.fund(two, 10_000)
    await house.act(sales.buy, sales.Buy(shared, 1), two)
    # and a holder takes its dividends
    paid = await floor.rows(
        "SELECT s.account, s.holder_party FROM shareholding s JOIN account a ON a.id = s.account"
        " WHERE a.credits_posted > 0 AND s.holder_party IS NOT NULL ORDER BY 1 LIMIT 1"
    )
    ((account, holder),) = paid
    owner = Caller("person", holder, frozenset({"buyer"}))
    await house.act(money.withdraw, money.Withdraw(1, account=account), owner)


async def banked(floor: Floor, buyer: Caller, payouts: list[str]) -> None:
    """Money that comes back, that is nobody's, and that the bank's statement has otherwise than the book."""
    house, bank = floor.house, floor.bank
    for payout, reference in zip(payouts, ("back", None), strict=True):
        back = money.ReturnPayout(payout, "account_closed", reference)
        await house.act(money.return_payout, back, bank)
        refused = await house.act(money.return_payout, replace(back, reason="other"), bank)
        assert refused["state"] == "refused"
    stray = money.CreditTopUp("nobody here", 70, "stray")
    assert (await house.act(money.credit_top_up, stray, bank))["state"] == "suspense"
    assert (await house.act(money.credit_top_up, replace(stray, party="somebody"), bank))[
        "state"
    ] == "refused"
    letter = "their letter"
    assign = money.AssignSuspense("stray", buyer.party, letter)
    await house.act(money.assign_suspense, assign, house.administrator)
    begins_us, house.now_us = house.now_us, house.now_us + DAY_US
    lines = (reconciliation.Line("stray", 60, begins_us), reconciliation.Line("unheard", 5, begins_us))
    statement = reconciliation.ImportStatement("day-1", begins_us, house.now_us, 0, 65, lines)
    assert (await house.act(reconciliation.import_statement, statement, bank))["state"] == "alarm"
    for reference in ("stray", "unheard"):
        adjust = reconciliation.AdjustBook(reference, letter)
        await house.act(reconciliation.adjust_book, adjust, house.administrator)
    for person, state in ((house.administrator, "refused"), (floor.regulator, "resolved")):
        resolve = reconciliation.ResolveAlarm("day-1", letter)
        assert (await house.act(reconciliation.resolve_alarm, resolve, person))["state"] == state


@pytest.fixture(autouse=True)
def _rooms_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor walks assets and makes holds by rooms of its own; these have their inverses here."""
    known = dict(INVERSES)

    def walked(told: Told) -> Any:
        short = {"asset", "state"} if told.kind != "asset_appraised" else {"appraisal", "asset", "state"}
        if set(told.act) != short:
            return known[told.kind](told)
        return walk, Walk(told["asset"], told.kind, VALUE_FEN)

    for kind in (*STEP_OF_KIND, "asset_appraised"):
        monkeypatch.setitem(INVERSES, kind, walked)
    monkeypatch.setitem(INVERSES, "held", lambda told: (hold, Hold("h1", 60, MINUTE_US)))


async def exported(house: House, path: Path, **period: Any) -> Path:
    """The regulator's bundle."""
    await house.gate.read(lambda session: oversight.export(session, path, house.gate.signer, **period))
    return path


async def kinds(floor: Floor) -> set[str]:
    """What was logged."""
    return {body["kind"] for _, body in await floor.bodies()}


async def ends(floor: Floor) -> list[int]:
    """The sizes at which batches ended."""
    return [row[0] for row in await floor.rows("SELECT size FROM log_chunk ORDER BY size")]


async def test_a_lost_market_comes_back_row_for_row(
    house: House, patients: Any, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await lived(house, patients)
    bodies = await floor.bodies()
    assert {flow[:2] for flow in fenced(bodies)} >= {("dividend", "bank"), ("treasury", "bank")}
    anchored = (await ends(floor))[7]
    as_owner(
        database,
        "INSERT INTO anchor (size, root, chain_id, contract, tx, block, state, signed_us, offered_us, reorganised)"
        f" SELECT {anchored}, {root_at(database, anchored)}, 31337, '0xc0', '0x12', 5, 'confirmed', 0, 0, 0",
    )
    bundle = await exported(house, tmp_path / "all.zip")
    size = await house.log_size()
    assert set(INVERSES) - await kinds(floor) == {
        "opening_erased",
        "log_succeeded",
    }  # which have tests of their own
    assert await again(second_database, bundle, folder=tmp_path) == size
    require_same(database, second_database)
    assert await again(second_database, bundle, folder=tmp_path) == size  # nothing is left to do
    require_same(database, second_database)
    # Its own export is the same file, bit for bit: every checkpoint can be signed again.
    gate = Gate(Database(second_database.app_url), house.gate.signer, KEYS.mac, lambda: house.now_us)
    recalled = tmp_path / "recalled.zip"
    await gate.read(lambda session: oversight.export(session, recalled, gate.signer))
    assert recalled.read_bytes() == bundle.read_bytes()
    # And it goes on: what a caller asked before is answered as it was.
    await gate.start()
    (key, party), *_ = await floor.rows("SELECT key, party FROM request WHERE key LIKE 'close-%%'")
    repeated = await gate.look_up(party, key)
    assert repeated == await house.gate.look_up(party, key)
    await gate.stop()
    await gate.database.close()


async def test_a_restored_backup_is_completed_from_a_chain_of_bundles(
    house: House, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    sizes = await ends(floor)
    marks = [0, sizes[len(sizes) // 3], sizes[len(sizes) // 2], sizes[-1]]
    parts = [
        await exported(house, tmp_path / f"{start:016}-{stop:016}.zip", start=start, stop=stop)
        for start, stop in itertools.pairwise(marks)
    ]
    assert bundles_from(tmp_path, None, tmp_path, say=quiet) == parts
    assert bundles_from(tmp_path, None, tmp_path, after=marks[1], say=quiet) == parts[1:]
    assert await again(second_database, parts[0], folder=tmp_path) == marks[1]
    whole = await exported(house, tmp_path / "all.zip")
    assert await again(second_database, *parts[1:], whole, folder=tmp_path) == marks[-1]
    require_same(database, second_database)


@pytest.mark.parametrize("member", ["bodies.jsonl", "leaves.jsonl"])
async def test_an_altered_bundle_is_refused_at_its_entry_and_nothing_is_written(
    house: House, second_database: Addresses, tmp_path: Path, member: str
) -> None:
    floor = await played(house)
    bundle = await exported(house, tmp_path / "all.zip")
    index = next(i for i, body in await floor.bodies() if body["kind"] == "topped_up")

    def altered(data: bytes) -> bytes:
        lines = data.split(b"\n")
        lines[index] = lines[index].replace(b'"time":"1', b'"time":"2')
        return b"\n".join(lines)

    rewrite(bundle, tmp_path / "altered.zip", f"segments/00000000/{member}", altered)
    with pytest.raises(Conflict) as refused:
        await again(second_database, tmp_path / "altered.zip", folder=tmp_path)
    assert refused.value.field == f"entry {index}"
    assert rows(second_database, "log_head") == rows(second_database, "party") == []


async def test_a_party_or_another_market_cannot_be_taken_for_the_log(
    house: House, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    party = await exported(house, tmp_path / "party.zip", party=floor.seller.party)
    with pytest.raises(Conflict) as refused:
        await again(second_database, party, folder=tmp_path)
    assert refused.value.code == "recall.withheld"
    settings = Settings(data_dir=tmp_path, origin=ORIGIN, sandbox=True)
    whole = await exported(house, tmp_path / "all.zip")
    with pytest.raises(Conflict) as refused:  # the same bundle under another log's key
        await recall(second_database.app_url, replace(KEYS, log=b"o" * 32), settings, [whole], quiet)
    assert refused.value.code == "recall.bundle"
    late = await exported(house, tmp_path / "late.zip", start=(await ends(floor))[3])
    with pytest.raises(Conflict) as refused:
        await again(second_database, late, folder=tmp_path)
    assert refused.value.code == "recall.gap"
    # Other keys for the rows: the book of another market would be sealed with them, the log is the same.
    assert rows(second_database, "log_head") == []


async def test_a_database_of_another_history_is_not_completed(
    house: House, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    at = (await ends(floor))[5]
    first = await exported(house, tmp_path / "first.zip", start=0, stop=at)
    whole = await exported(house, tmp_path / "all.zip")
    await again(second_database, first, folder=tmp_path)
    as_owner(
        second_database,
        "ALTER TABLE log_chunk DISABLE TRIGGER ALL",
        f"UPDATE log_head SET peaks = sha256(peaks) || substr(peaks, 33) WHERE size = {at}",
    )
    with pytest.raises(Conflict) as refused:
        await again(second_database, whole, folder=tmp_path)
    assert refused.value.code == "recall.other_history"
    as_owner(second_database, "UPDATE log_head SET size = size - 1, peaks = substr(peaks, 1, 0)")
    with pytest.raises(LedgerError):
        await again(second_database, whole, folder=tmp_path)


async def test_a_row_that_was_changed_stops_the_recall_at_the_entry_that_rests_on_it(
    house: House, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    opened = next(i for i, body in await floor.bodies() if body["kind"] == "lot_opened")
    stop = next(size for size in await ends(floor) if size > opened)
    await again(
        second_database, await exported(house, tmp_path / "a.zip", start=0, stop=stop), folder=tmp_path
    )
    as_owner(second_database, "UPDATE lot SET increment_fen = increment_fen + 1")
    joined = next(i for i, body in await floor.bodies() if body["kind"] == "bid" and i > opened)
    with pytest.raises(Conflict) as refused:
        await again(second_database, await exported(house, tmp_path / "all.zip"), folder=tmp_path)
    assert refused.value.code == "recall.differs"
    assert int(str(refused.value.field).removeprefix("entry ")) >= joined
    # What came before it stays, and with the row put right the recall goes on.
    as_owner(second_database, "UPDATE lot SET increment_fen = increment_fen - 1")
    assert await again(second_database, tmp_path / "all.zip", folder=tmp_path) == await house.log_size()


async def test_what_was_erased_stays_erased_and_all_the_rest_comes_back(
    house: House, patients: Any, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await lived(house, patients)
    refused = {
        body["act"]["bidder"]
        for _, body in await floor.bodies()
        if body["kind"] in ("bidder", "tenderer") and body["act"]["state"] == "refused"
    }
    sealed = sorted(name for (name,) in await floor.rows("SELECT commitment FROM opening"))
    before = await house.log_size()
    named = [name for name in sealed if name not in refused]
    for start in range(0, len(named), PLAIN_LIMIT):  # more at once, and the gate turns them away
        await asyncio.gather(
            *(
                house.act(erasure.erase_opening, erasure.EraseOpening(name, "PIPL art. 47"), floor.regulator)
                for name in named[start : start + PLAIN_LIMIT]
            )
        )
    listing = await floor.listing(licence(101, 2))  # life goes on among erased names
    await house.act(sales.buy, sales.Buy(listing, 1), floor.buyers[0])
    await Worker(house.gate, house.gate.database).write_tiles()
    # A bundle that ends before the orders knows of them, too: its texts are gone at once.
    period = await exported(house, tmp_path / "period.zip", start=0, stop=before)
    assert await again(second_database, period, folder=tmp_path) == before
    for told in (
        "SELECT count(*) FROM party WHERE uscc NOT LIKE 'erased:%' OR name NOT LIKE 'erased:%'",
        "SELECT count(*) FROM release WHERE certificate || measurement <> '{}' OR failures <> '[]'",
        "SELECT count(*) FROM opening WHERE value IS NOT NULL AND NOT commitment = ANY(%s)",
    ):
        with psycopg.connect(second_database.app_url) as connection:
            left = connection.execute(told.encode(), (list(refused),) if "ANY" in told else None)
            assert left.fetchone() == (0,), told
    erased = await exported(house, tmp_path / "erased.zip")
    assert await again(second_database, erased, folder=tmp_path) == await house.log_size()
    require_same(database, second_database, but=("request",))
    # A request's digest is of the text that was erased; which requests there were is known as before.
    asked = "SELECT party, key, log_index FROM request ORDER BY 1, 2"
    assert query(second_database, asked) == query(database, asked)


async def test_a_refused_bidder_who_was_erased_is_nobody_in_the_recalled_market(
    house: House, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await Floor.open(house, buyers=1)
    lot = await floor.lot(await floor.asset(operator=floor.operator.party))
    await house.act(auctions.join_lot, auctions.JoinLot(lot), floor.holder, "asked")
    before = await house.log_size()
    (index,) = [i for i, body in await floor.bodies() if body["kind"] == "bidder"]
    ((sealed,),) = await floor.rows("SELECT commitment FROM opening WHERE log_index = %s", index)
    await house.act(erasure.erase_opening, erasure.EraseOpening(sealed, "PIPL art. 47"), floor.regulator)
    # The period ends before the order; that the text was erased is known from its opening.
    bundle = await exported(house, tmp_path / "period.zip", start=0, stop=before)
    assert await again(second_database, bundle, folder=tmp_path) == before
    found = query(second_database, f"SELECT party FROM request WHERE log_index = {index}")
    assert found == [(f"erased:{sealed[:16]}",)]
    assert query(second_database, f"SELECT salt, value FROM opening WHERE log_index = {index}") == [
        (None, None)
    ]
    # The order itself comes with the next bundle.
    rest = await exported(house, tmp_path / "rest.zip", start=before)
    assert await again(second_database, rest, folder=tmp_path) == await house.log_size()
    require_same(database, second_database, but=("request",))


async def test_a_commitment_that_the_bundles_do_not_open_is_named(
    house: House, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await played(house)
    bundle = await exported(house, tmp_path / "all.zip")
    index, body = next((i, b) for i, b in await floor.bodies() if b["kind"] == "party_registered")
    name = body["act"]["name"].encode()

    def without(data: bytes) -> bytes:
        return b"".join(line for line in data.splitlines(keepends=True) if name not in line)

    rewrite(bundle, tmp_path / "closed.zip", "openings.jsonl", without)
    with pytest.raises(Conflict) as refused:
        await again(second_database, tmp_path / "closed.zip", folder=tmp_path)
    assert (refused.value.code, refused.value.field) == ("recall.unopened", f"entry {index}")


async def test_a_killed_recall_goes_on_behind_its_last_batch(
    house: House, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    floor = await Floor.open(house)
    await exported(house, tmp_path / f"{0:016}-{await house.log_size():016}.zip")
    folder = tmp_path / "keys"
    folder.mkdir(0o700)
    for name, key in (("log", KEYS.log), ("mac", KEYS.mac), ("links", KEYS.links)):
        (folder / f"{name}.key").write_bytes(key)
        (folder / f"{name}.key").chmod(0o600)
    environment = {
        **os.environ,
        "EXCHANGE_DATA_DIR": str(tmp_path),
        "EXCHANGE_DATABASE_URL": second_database.app_url,
        "EXCHANGE_DATABASE_OWNER_URL": str(second_database.owner_url),
        "EXCHANGE_ORIGIN": ORIGIN.removesuffix("/sandbox"),
        "EXCHANGE_SANDBOX": "1",
    }

    def command(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "exchange", "recall", "--witness", str(tmp_path)],
            env={**environment, **more}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    killed = await asyncio.to_thread(command, EXCHANGE_CRASH_AT="recall.before_commit:9")
    assert killed.returncode == -signal.SIGKILL
    sizes = await ends(floor)
    assert query(second_database, "SELECT size FROM log_head") == [(sizes[7],)]
    done = await asyncio.to_thread(command)
    assert done.returncode == 0, done.stderr
    assert f"recalled and proven: the log has {sizes[-1]} entries" in done.stdout
    require_same(database, second_database)


def test_every_kind_that_a_room_can_log_has_an_inverse() -> None:
    logged: dict[str, str] = {}
    for path in sorted((PROJECT / "exchange").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Name(id="Record" | "refusal"), args=[ast.Constant(value=str(kind)), *_]
                ):
                    logged[kind] = path.name
                case ast.ClassDef(body=members) if any(
                    isinstance(one, ast.FunctionDef) and one.name == "reads" for one in members
                ):
                    for one in members:
                        match one:
                            case ast.Assign(
                                targets=[ast.Name(id="kind")], value=ast.Constant(value=str(kind))
                            ):
                                logged[kind] = path.name
    assert {"bid", "bidder", "market_opened"} <= set(logged)
    assert logged.keys() - INVERSES.keys() == set(), "a kind that cannot be recalled"
    assert INVERSES.keys() - logged.keys() == {"held"}, "an inverse of nothing"


@given(st.lists(st.sampled_from([4, 5, 8, 32]), max_size=12), st.randoms(use_true_random=False))
def test_what_was_drawn_is_found_wherever_it_went(lengths: list[int], chance: random.Random) -> None:
    def body(draws: list[bytes]) -> dict[str, Any]:
        said = [f"x-{draw.hex()}:y" if n % 2 else draw.hex().upper() for n, draw in enumerate(draws)]
        return {"a": said[::2], "b": {"c": said[1::2], "fixed": "0123456789abcdef"}}

    first = [chance.randbytes(n) for n in lengths]
    second = [hashlib.sha256(b"%d" % n).digest()[:length] for n, length in enumerate(lengths)]
    order = list(range(len(lengths)))
    chance.shuffle(order)
    true, trial = ([draws[n] for n in order] for draws in (first, second))
    assert drawn(second, body(trial), body(true)) == first


def test_a_restore_that_ends_behind_its_witness_takes_the_rest_back(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="exchange-recall-") as name:
        root = Path(name)
        root.chmod(0o711)  # the server's account has to pass
        settings = Settings(data_dir=root / "var", origin=LOG_ORIGIN, backup_target=root / "copies")
        monkeypatch.setenv("EXCHANGE_DATA_DIR", str(settings.data_dir))
        monkeypatch.setenv("EXCHANGE_BACKUP_TARGET", str(settings.backup_target))
        witness = root / "witness"
        (witness / "bundles").mkdir(parents=True)

        async def live() -> None:
            async with running(settings, work=False, make_keys=True) as house:
                opened = orjson.loads(
                    (
                        await open_market(
                            house, uscc=uscc(0), name="venue", person="first", token_digest=bytes(32)
                        )
                    ).outcome
                )
                await asyncio.to_thread(run, "backup")
                administrator = Caller(
                    opened["person"], opened["administrator"], frozenset({"administrator"})
                )
                for n in range(1, 4):
                    act = parties.RegisterParty(uscc(n), f"party {n}", ("buyer",))
                    await house.gate.perform(parties.register_party, act, caller=administrator, key=f"k{n}")
                head = await house.gate.head()
                (witness / "checkpoint").write_text(sign(head.checkpoint(), house.gate.signer))
                bundle = witness / "bundles" / f"{0:016}-{head.edge.size:016}.zip"
                await house.gate.read(lambda session: oversight.export(session, bundle, house.gate.signer))

        asyncio.run(live())
        (settings.data_dir / "postgres").rename(root / "lost")
        (witness / "bundles").rename(root / "elsewhere")
        with pytest.raises(Conflict, match="has 1 entries, and 4 were seen outside"):
            run("restore", "--witness", witness)
        assert "kept, behind" in run("restore", "--witness", witness, "--keep-behind")
        with pytest.raises(Misconfigured, match="has 1 entries, and 4 were seen outside"):
            refuse_behind(settings.data_dir)
        # Found later, the bundles complete what was kept ...
        (root / "elsewhere").rename(witness / "bundles")
        assert "recalled and proven: the log has 4 entries" in run("recall", "--witness", witness)
        refuse_behind(settings.data_dir)
        # ... and a restore that has them at hand takes the rest back at once.
        shutil.copytree(settings.keys_dir, root / "again" / "keys")
        monkeypatch.setenv("EXCHANGE_DATA_DIR", str(root / "again"))
        said = run("restore", "--witness", witness)
        assert "taking entries 1 to 3 back from outside" in said
        assert "restored and proven: 4 entries" in said
