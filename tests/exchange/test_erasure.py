"""Erasure: the datum goes from opening and row, and receipts, log and audit hold as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from exchange import erasure, oversight, parties
from exchange.acts import Caller, Record, Transaction
from exchange.database import driver
from exchange.erasure import EraseOpening
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound
from exchange.parties.agreements import PARTS
from ledger import log
from ledger.audit import audit
from ledger.chunks import count_behind
from ledger.entries import commitment
from tests.exchange._notes import Note
from tests.exchange.conftest import House
from tests.exchange.floor import Floor, agreement, played

pytestmark = pytest.mark.anyio

GROUND = "PIPL art. 47: consent was withdrawn"


async def erase(floor: Floor, sealed: str, caller: Caller | None = None) -> dict[str, Any]:
    """Order it as the regulator, or as somebody else."""
    act = EraseOpening(sealed, GROUND)
    return await floor.house.act(erasure.erase_opening, act, caller or floor.regulator)


async def sealed(floor: Floor, kind: str, member: str) -> tuple[int, dict[str, Any], str]:
    """The last entry of a kind, what it says, and one of its commitments."""
    index, body = [(i, b) for i, b in await floor.bodies() if b["kind"] == kind][-1]
    return index, body["act"], body["act"][member]


async def judged(house: House, path: Path) -> dict[str, Any]:
    """The audit of an export, which passes."""
    await house.gate.read(oversight.export, path, house.gate.signer)
    verdict = audit(path, [house.gate.signer.vkey])
    assert verdict.ok, verdict.explain("en")
    found: dict[str, Any] = orjson.loads(orjson.dumps(verdict.to_json()))
    return found


async def test_an_erased_name_is_nowhere_and_the_audit_says_not_judged(house: House, tmp_path: Path) -> None:
    floor = await played(house)
    index, said, name = await sealed(floor, "party_registered", "name")
    receipt = await house.gate.receipt(index)
    ((text,),) = await floor.rows("SELECT value FROM opening WHERE commitment = %s", name)
    before = await judged(house, tmp_path / "before.zip")
    assert "erased" not in str(before)
    erased = await erase(floor, name)
    assert erased["commitment"] == name
    assert erased["entry"] == str(index)
    assert await floor.rows("SELECT salt, value FROM opening WHERE commitment = %s", name) == [(None, None)]
    ((stands,),) = await floor.rows("SELECT name FROM party WHERE id = %s", said["id"])
    assert stands.startswith("erased:")
    _, entry = (await floor.bodies())[-1]
    assert entry["kind"] == "opening_erased"
    assert text not in str(entry)
    assert GROUND not in str(entry)
    assert await house.gate.receipt(index) == receipt
    after = await judged(house, tmp_path / "after.zip")
    assert "erased" in str(after)


@pytest.mark.parametrize(
    ("kind", "member", "copy"),
    [
        ("party_registered", "uscc", "SELECT uscc FROM party WHERE id = %s"),
        ("asset_declared", "title", "SELECT title FROM asset WHERE id = %s"),
        ("asset_declared", "summary", "SELECT summary FROM asset WHERE id = %s"),
    ],
)
async def test_the_row_that_repeats_a_sealed_text_forgets_it_too(
    house: House, kind: str, member: str, copy: str
) -> None:
    floor = await Floor.open(house)
    await floor.asset()
    _, said, name = await sealed(floor, kind, member)
    await erase(floor, name)
    ((stands,),) = await floor.rows(copy, said.get("id") or said["asset"])
    assert stands.startswith("erased:")


async def test_a_holders_and_a_persons_name_are_forgotten(house: House) -> None:
    floor = await Floor.open(house)
    people = [
        (b["act"]["id"], b["act"]["name"]) for _, b in await floor.bodies() if b["kind"] == "person_invited"
    ]
    person, name = people[-1]
    await erase(floor, name)
    assert (await floor.rows("SELECT name FROM person WHERE id = %s", person))[0][0].startswith("erased:")
    (holders,) = [b["act"]["holders"] for _, b in await floor.bodies() if b["act"].get("holders")]
    await erase(floor, holders[1]["name"])
    names = [row[0] for row in await floor.rows("SELECT holder FROM shareholding ORDER BY position")]
    assert names[0] == "shareholder"
    assert names[1].startswith("erased:")


async def test_the_parts_of_an_agreement_are_forgotten_and_those_of_the_next_one_stay(house: House) -> None:
    floor = await Floor.open(house)
    for share in (100_000, 200_000):
        await house.act(parties.agree_operation, agreement(floor.operator.party, share), floor.seller)
    first, second = [b["act"]["parts"] for _, b in await floor.bodies() if b["kind"] == "operation_agreed"]
    await erase(floor, first)
    ((kept,),) = await floor.rows("SELECT parts FROM operating_agreement")
    assert set(kept) == set(PARTS)
    await erase(floor, second)
    assert await floor.rows("SELECT parts FROM operating_agreement") == [({},)]
    assert (await house.call(floor.seller, "GET", "/v1/agreements")).json()[0]["parts"] == {}


async def test_a_text_in_a_long_body_is_erased_like_any_other(house: House, tmp_path: Path) -> None:
    floor = await Floor.open(house)
    long = await house.gate.perform(tell_at_length, Note("secret"), caller=floor.seller, key="long")
    body = await house.gate.receipt(long.index)
    assert count_behind(body.body)
    await erase(floor, body.said()["act"]["sealed"])
    assert await floor.rows("SELECT 1 FROM opening WHERE value = 'secret'") == []
    assert await house.gate.receipt(long.index) == body
    await judged(house, tmp_path / "bundle.zip")


async def tell_at_length(tx: Transaction, act: Note) -> Record:
    """Seal a text in a body that takes chunks."""
    return Record("told", {"padding": "长" * 60_000, "sealed": tx.seal(act.text), "state": "told"})


async def test_erasing_twice_an_unknown_commitment_or_by_anybody_else_is_refused_by_name(
    house: House,
) -> None:
    floor = await played(house)
    _, _, name = await sealed(floor, "party_registered", "name")
    await erase(floor, name)
    size = await house.log_size()
    cases: list[tuple[str, Caller, type[ExchangeError], str]] = [
        (name, floor.regulator, Conflict, "commitment.erased"),
        (commitment(bytes(32), "nobody"), floor.regulator, NotFound, "commitment.unknown"),
        (name, house.administrator, Forbidden, "caller.role"),
    ]
    for sought, caller, kind, code in cases:
        with pytest.raises(kind) as refused:
            await erase(floor, sought, caller)
        assert refused.value.code == code
    assert await house.log_size() == size


async def test_the_ground_of_an_erasure_can_be_erased_itself(house: House) -> None:
    floor = await played(house)
    _, _, name = await sealed(floor, "party_registered", "name")
    await erase(floor, name)
    _, _, ground = await sealed(floor, "opening_erased", "ground")
    await erase(floor, ground)
    assert await floor.rows("SELECT value FROM opening WHERE commitment = %s", ground) == [(None,)]


async def test_the_regulator_orders_it_over_http_once(house: House) -> None:
    floor = await played(house)
    _, _, name = await sealed(floor, "party_registered", "name")
    body = {"commitment": name, "ground": GROUND}
    await house.problem(floor.seller, "POST", "/v1/erasures", body, status=403, code="caller.role")
    done = (await house.call(floor.regulator, "POST", "/v1/erasures", body)).json()
    assert done["outcome"]["commitment"] == name
    house.verify(done)
    await house.problem(floor.regulator, "POST", "/v1/erasures", body, status=409, code="commitment.erased")


async def test_a_whole_body_is_read_by_its_index(house: House) -> None:
    floor = await played(house)
    size = await house.log_size()

    async def ask(session: Any) -> list[bytes]:
        connection = await driver(session)
        return [await log.whole_body(connection, index) for index in range(size)]

    assert [orjson.loads(body) for body in await house.gate.read(ask)] == [b for _, b in await floor.bodies()]
