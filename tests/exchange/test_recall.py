"""Recall: a market that lost its database comes back from the regulator's bundle, row for row."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exchange import auctions, erasure, money, oversight, parties, sales, venue
from exchange.acts import Batched
from exchange.database import METADATA, Addresses
from exchange.errors import ExchangeError
from exchange.keys import Keys
from exchange.recall import INVERSES, recall
from exchange.settings import Settings
from exchange.worker import Worker
from ledger.audit import audit
from tests.exchange.conftest import ORIGIN, House, uscc
from tests.exchange.floor import DAY_US, INCREMENT_FEN, MINUTE_US, Floor, exclusive, licence
from tests.exchange.test_money import Hold, hold

PROJECT = Path(__file__).resolve().parents[2]
KEYS = Keys(log=b"l" * 32, mac=b"m" * 32, links=b"k" * 32)

pytestmark = pytest.mark.anyio


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


def require_same(one: Addresses, other: Addresses, *, but: tuple[str, ...] = ()) -> None:
    """Every row of every table is the same in both."""
    for table in METADATA.tables:
        if table not in but:
            assert rows(other, table) == rows(one, table), table


async def lived(house: House, patients: Any) -> Floor:
    """A market in which every room has said all that it can say, in plain acts, refusals and crowds."""
    floor = await Floor.open(house, buyers=3, fen=3_000_000)
    first, second, third = floor.buyers
    supplier = await house.party("supplier", people=2)
    agreed = parties.AgreeOperation(floor.operator.party, 300_000)
    await house.act(parties.agree_operation, agreed, supplier[0])
    await house.act(
        parties.agree_operation, parties.AgreeOperation(floor.operator.party, 250_000), supplier[0]
    )
    # an asset on its way, with everything that can be refused on it
    asset = await house.walk(supplier, patients, steps=1, operator=floor.operator.party)
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
    await house.done(supplier[0], f"{path}/registration")
    buyer, bought = await house.sell(supplier, asset)
    for seconds in ("60", str(7 * 86_400)):
        house.now_us += 26 * DAY_US if seconds != "60" else 0  # the second link ends with its licence
        made = await house.call(buyer, "POST", f"/v1/licences/{bought}/links", {"valid_seconds": seconds})
        assert (await house.http.get(made.json()["link"])).status_code == 200
    # keys, people and states
    await house.done(buyer, "/v1/keys", {"key_digest": "ab" * 32, "label": "第二把钥匙"})
    await house.act(parties.revoke_key, parties.RevokeKey(bytes.fromhex("ab" * 32)), buyer)
    invitation = parties.InvitePerson(buyer.party, "never came", parties.key_digest("unused"))
    await house.act(parties.invite_person, invitation, buyer)
    await house.act(money.withdraw, money.Withdraw(12_345), buyer)
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
    await asyncio.gather(
        *(floor.bid(lot, floor.buyers[n % 3], 760_000 + n * INCREMENT_FEN) for n in range(12)),
        house.act(
            parties.set_party_state, parties.SetPartyState(third.party, "suspended", "调查"), floor.regulator
        ),
        *(floor.bid(lot, floor.buyers[(n + 1) % 3], 900_000 + n * INCREMENT_FEN) for n in range(12)),
        house.act(venue.move_clock, venue.MoveClock(MINUTE_US), house.administrator),
    )
    await house.act(
        parties.set_party_state, parties.SetPartyState(third.party, "active", "ended"), floor.regulator
    )
    house.now_us += 2 * DAY_US
    worker = Worker(house.gate, house.gate.database)
    await worker.tick()
    await worker.tick()
    return floor


@pytest.fixture(autouse=True)
def _the_rooms_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor walks assets and makes holds by rooms of its own, which have their inverses here."""
    from exchange.recall import inverses
    from tests.exchange import floor

    known = dict(INVERSES)

    def walked(told: Any) -> Any:
        if "policy" in told.act or "authorization" in told.act or "code" in told.act or "asked" in told.act:
            return known[told.kind](told)
        if told.kind == "theme_assigned" and "theme" in told.act:
            return known[told.kind](told)
        return floor.walk, floor.Walk(told["asset"], told.kind, floor.VALUE_FEN)

    for kind in (
        "risk_assessed", "release_authorized", "product_released", "theme_assigned", "asset_registered",
        "asset_appraised",
    ):  # fmt: skip
        monkeypatch.setitem(inverses.INVERSES, kind, walked)
    monkeypatch.setitem(inverses.INVERSES, "held", lambda told: (hold, Hold("h1", 60, MINUTE_US)))


async def exported(house: House, path: Path, **period: Any) -> Path:
    """The regulator's bundle."""
    await house.gate.read(lambda session: oversight.export(session, path, house.gate.signer, **period))
    return path


async def test_a_lost_market_comes_back_row_for_row(
    house: House, patients: Any, database: Addresses, second_database: Addresses, tmp_path: Path
) -> None:
    await lived(house, patients)
    bundle = await exported(house, tmp_path / "all.zip")
    size = await house.log_size()
    assert await again(second_database, bundle, folder=tmp_path) == size
    require_same(database, second_database)
