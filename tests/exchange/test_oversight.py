"""Who may see which entry, and the bundle for the one who may see all."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlmodel import col, select

from exchange import oversight, replay
from exchange.acts import Act, Record, Transaction
from exchange.errors import Forbidden, NotFound
from exchange.tables import Request
from ledger.audit import audit
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, may_see, played

pytestmark = pytest.mark.anyio


async def test_an_entry_is_seen_by_its_author_whom_it_is_about_and_regulators(house: House) -> None:
    await house.registrar()
    floor = await played(house)
    found = await floor.bodies()
    at = {body["kind"]: index for index, body in found}
    one, two = floor.buyers
    everyone = (one, two, floor.seller, floor.bank, floor.holder, house.administrator)
    for kind, seeing in (
        ("sale", [one, floor.seller]),
        ("lot_settled", [one, floor.seller]),  # the third bid, of the first buyer, won
        ("lot_opened", [floor.seller]),
        ("lot_closed", [one, two, floor.seller]),
        ("deposit_released", [two]),
        ("bid", [one, floor.seller]),
        ("bidder", [two]),
        ("topped_up", [floor.bank, floor.holder]),  # the last one
        ("party_registered", [house.administrator, two]),
        ("asset_registered", [floor.seller]),
    ):
        for caller in everyone:
            assert await may_see(floor, caller, at[kind]) == (caller in seeing), (kind, caller)
        assert await may_see(floor, floor.regulator, at[kind])
    for caller in everyone:
        shown = [i for i, _ in found if await may_see(floor, caller, i)]
        assert await seen(house, caller.party, 0, len(found)) == shown
        assert await seen(house, caller.party, 5, 20) == [i for i in shown if 5 <= i < 20]


async def seen(house: House, party: str, start: int, stop: int) -> list[int]:
    """What `visible` streams."""

    async def ask(session: Any) -> list[int]:
        return [index async for index in oversight.visible(session, party, start, stop)]

    return await house.gate.read(ask)


async def test_an_operator_sees_the_path_of_the_asset_that_it_runs(house: House) -> None:
    floor = await Floor.open(house)
    await floor.asset(operator=floor.operator.party)
    found = await floor.bodies()
    for kind in ("asset_declared", "risk_assessed", "asset_registered"):
        index = next(i for i, body in found if body["kind"] == kind)
        assert await may_see(floor, floor.operator, index)
        assert not await may_see(floor, floor.buyers[0], index)


async def test_the_chunks_of_a_long_entry_are_seen_with_it(house: House, tmp_path: Path) -> None:
    floor = await Floor.open(house)
    reader, stranger = floor.buyers
    act = Told("长" * 60_000, (reader.party,))
    long = await house.gate.perform(tell, act, caller=floor.seller, key="long")
    size = await house.log_size()
    assert size - long.index > 2
    for index in range(long.index, size):
        assert await may_see(floor, reader, index)
        assert not await may_see(floor, stranger, index)
    for caller, texts in ((reader, True), (stranger, False)):
        bundle = tmp_path / f"{caller.party}.zip"
        await house.gate.read(partial(oversight.export, party=caller.party), bundle, house.gate.signer)
        verdict = audit(bundle, [house.gate.signer.vkey])
        assert verdict.ok, verdict.explain("en")
        with zipfile.ZipFile(bundle) as members:
            assert ("长".encode() in members.read("segments/00000000/bodies.jsonl")) == texts
    whole = tmp_path / "whole.zip"
    await house.gate.read(oversight.export, whole, house.gate.signer)
    verdict = audit(whole, [house.gate.signer.vkey])
    assert verdict.ok, verdict.explain("en")
    replayed = replay.from_bundle(whole)
    assert (replayed.size, replayed.differences) == (long.index + 1, [])


@dataclass(frozen=True, slots=True)
class Told(Act):
    """Say something to some."""

    text: str
    readers: tuple[str, ...]


async def tell(tx: Transaction, act: Told) -> Record:
    """Put it into the log."""
    return Record("told", {"state": "told", "text": act.text}, readers=act.readers)


async def test_anothers_entry_answers_as_one_that_does_not_exist(house: House) -> None:
    floor = await played(house)
    problems = []
    for index in (0, 10**6):
        with pytest.raises(NotFound) as hidden:
            await house.gate.read(oversight.require_entry, floor.holder, index)
        problems.append({**hidden.value.problem(), "detail": hidden.value.detail.replace(str(index), "N")})
    assert problems[0] == problems[1]


async def test_the_bundle_is_one_moment_and_passes_its_judge(house: House, tmp_path: Path) -> None:
    floor = await played(house)
    told: list[tuple[int, int]] = []
    bundle = tmp_path / "bundle.zip"
    size = await house.gate.read(
        oversight.export, bundle, house.gate.signer, lambda done, total: told.append((done, total))
    )
    assert size == await house.log_size()
    assert told[-1] == (size, size)
    verdict = audit(bundle, [house.gate.signer.vkey])
    assert verdict.ok, verdict.explain("en")
    with zipfile.ZipFile(bundle) as members:
        manifest = orjson.loads(members.read("manifest.json"))
        openings = [orjson.loads(line) for line in members.read("openings.jsonl").splitlines()]
        bodies = members.read("segments/00000000/bodies.jsonl").decode()
    assert (manifest["sandbox"], manifest["size"]) == (True, str(size))
    # Names stand in the openings alone.
    names = [o["value"] for o in openings if o["value"].startswith("party ")]
    assert names
    assert not [name for name in names if f'"{name}"' in bodies]
    assert floor.buyers[0].party in {o["value"] for o in openings}


async def test_the_regulator_sees_every_party_with_its_state(house: House) -> None:
    floor = await Floor.open(house)
    found = await house.gate.read(oversight.parties)
    assert [p["roles"] for p in found][:2] == [["administrator"], ["bank"]]
    assert {p["state"] for p in found} == {"active"}
    assert {floor.seller.party, floor.operator.party} <= {p["id"] for p in found}


async def test_a_timeline_has_every_entry_that_names_a_thing_and_what_a_party_did_behind_a_code(
    house: House,
) -> None:
    floor = await played(house)
    bodies = await floor.bodies()
    lot = next(body["act"]["lot"] for _, body in bodies if body["kind"] == "lot_closed")
    buyer = floor.buyers[0].party

    async def all_of(subject: str, a_page: int) -> list[int]:
        found: list[int] = []
        before: int | None = None
        while page := await house.gate.read(oversight.timeline, floor.regulator, subject, before, a_page):
            found += [int(entry["index"]) for entry in page]
            before = found[-1]
        return found

    naming = [i for i, body in bodies if f'"{lot}"' in orjson.dumps(body).decode()]
    assert await all_of(lot, 3) == await all_of(lot, 500) == naming[::-1]
    asked = await house.gate.read(seen_by_request, buyer)
    theirs = sorted({i for i, body in bodies if f'"{buyer}"' in orjson.dumps(body).decode()} | set(asked))
    assert {"bid", "bidder"} <= {body["kind"] for i, body in bodies if i in theirs}
    assert await all_of(buyer, 4) == theirs[::-1]
    with pytest.raises(Forbidden):
        await house.gate.read(oversight.timeline, house.administrator, lot, None, 5)


async def seen_by_request(session: Any, party: str) -> list[int]:
    """What a party asked for, by the table of its identifiers."""
    return list(await session.scalars(select(col(Request.log_index)).where(col(Request.party) == party)))


async def test_a_search_finds_by_name_part_and_identifier_and_an_entry_opens_what_it_hides(
    house: House,
) -> None:
    floor = await played(house)
    found = await house.gate.read(oversight.search, floor.regulator, "party ")
    assert floor.seller.party in {party["id"] for party in found["parties"]}
    (lot,) = [row[0] for row in (await floor.rows("SELECT id FROM lot"))][:1]
    assert [one["id"] for one in (await house.gate.read(oversight.search, floor.regulator, lot))["lots"]] == [
        lot
    ]
    assert not any((await house.gate.read(oversight.search, floor.regulator, "100%_")).values())
    index = next(i for i, body in await floor.bodies() if body["kind"] == "party_registered")
    entry = await house.gate.read(oversight.entry, floor.regulator, index)
    assert any(value and value.startswith("party ") for value in entry["opened"].values())
    with pytest.raises(NotFound):
        await house.gate.read(oversight.entry, floor.regulator, 10**9)
