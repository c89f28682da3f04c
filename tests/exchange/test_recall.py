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

from exchange import auctions, credentials, erasure, money, oversight, parties, sales, venue, webhooks
from exchange.acts import CLOCK, Caller, Signed
from exchange.app import open_market, running
from exchange.backup import refuse_behind
from exchange.database import METADATA, Addresses, Database
from exchange.errors import Conflict, Misconfigured
from exchange.gate import Gate
from exchange.keys import Keys
from exchange.recall import INVERSES, bundles_from, recall
from exchange.recall.again import drawn
from exchange.recall.inverses import Told
from exchange.registration.path import STEP_OF_KIND
from exchange.settings import Settings
from exchange.worker import Worker
from ledger.checkpoint import sign
from ledger.errors import LedgerError
from ledger.merkle import Edge
from tests.exchange.conftest import ORIGIN, House, uscc
from tests.exchange.floor import (
    DAY_US,
    INCREMENT_FEN,
    MINUTE_US,
    VALUE_FEN,
    Floor,
    Walk,
    as_owner,
    exclusive,
    licence,
    played,
    walk,
)
from tests.exchange.test_backup import ORIGIN as LOG_ORIGIN
from tests.exchange.test_backup_commands import run
from tests.exchange.test_money import Hold, hold

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


def require_same(one: Addresses, other: Addresses, *, but: tuple[str, ...] = ()) -> None:
    """Every row of every table is the same in both."""
    for table in METADATA.tables.keys() - {"key_use", "heartbeat"}:  # these are not of the log
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
    return floor


@pytest.fixture(autouse=True)
def _rooms_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor walks assets and makes holds by rooms of its own; these have their inverses here."""
    known = dict(INVERSES)

    def walked(told: Told) -> Any:
        short = {"asset", "state"} if told.kind != "asset_appraised" else {"appraisal", "asset", "state"}
        if set(told.act) != short:
            return known[told.kind](told)
        return walk, Walk(told["asset"], told.kind, VALUE_FEN)

    for kind in (*STEP_OF_KIND, "asset_registered", "asset_appraised"):
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
        if body["kind"] == "bidder" and body["act"]["state"] == "refused"
    }
    sealed = sorted(name for (name,) in await floor.rows("SELECT commitment FROM opening"))
    before = await house.log_size()
    await asyncio.gather(
        *(
            house.act(erasure.erase_opening, erasure.EraseOpening(name, "PIPL art. 47"), floor.regulator)
            for name in sealed
            if name not in refused
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
