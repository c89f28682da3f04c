"""Who may see which entry, and the bundle for the one who may see all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import orjson
import pytest

from exchange import oversight
from exchange.acts import Caller
from exchange.errors import NotFound
from ledger.audit import audit
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, played

pytestmark = pytest.mark.anyio


async def may_see(floor: Floor, caller: Caller, index: int) -> bool:
    try:
        await floor.house.gate.read(oversight.require_entry, caller, index)
    except NotFound:
        return False
    return True


async def test_an_entry_is_seen_by_its_author_the_parties_of_its_trade_and_regulators(house: House) -> None:
    floor = await played(house)
    found = await floor.bodies()
    at = {body["kind"]: index for index, body in found}
    one, two = floor.buyers
    for kind, seeing in (
        ("sale", [one, floor.seller]),
        ("lot_settled", [one, floor.seller]),  # the third bid, of the first buyer, won
        ("lot_opened", [floor.seller]),
        ("topped_up", [floor.bank]),
        ("lot_closed", []),
    ):
        for caller in (one, two, floor.seller, floor.bank, floor.holder, house.administrator):
            assert await may_see(floor, caller, at[kind]) == (caller in seeing), (kind, caller)
        assert await may_see(floor, floor.regulator, at[kind])


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
