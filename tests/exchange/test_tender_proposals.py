"""The proposal behind a sealed digest: taken in after the opening alone, as it was sealed, and read by those who mark."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exchange import proposals, rulebook, tenders
from exchange.acts import Caller
from exchange.errors import Conflict, Forbidden, NotFound, TooLarge, Unprocessable
from exchange.replay import replay
from exchange.vault import Vault
from tests.exchange.conftest import House
from tests.exchange.floor import Floor
from tests.exchange.tendered import PRICE_ALONE, QUALITY, Hall, scored

FILE = b"%PDF-1.7 how the data is kept safe"
DIGEST = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
async def hall(house: House) -> Hall:
    return await Hall.open(await Floor.open(house, buyers=4))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1 << 20):
        yield data[at : at + (1 << 20)]


async def hand_in(
    hall: Hall, vault: Vault, caller: Caller, tender: str, data: bytes = FILE
) -> dict[str, Any]:
    """As both doors do it."""
    gate = hall.floor.house.gate
    digest, _ = await proposals.taken_in(gate, vault, caller, tender, pieces(data))
    act = await proposals.brought(gate, vault, caller, "a fresh key", tender)
    said = await hall.floor.house.act(tenders.hand_in_proposal, act, caller)
    vault.discard(caller.party, digest)
    return said


@pytest.mark.anyio
async def test_a_proposal_is_taken_in_between_opening_and_award_as_it_was_sealed_and_read_by_those_who_mark(
    house: House, hall: Hall, vault: Vault
) -> None:
    floor = hall.floor
    first, second, third, idle = floor.buyers
    tender = await hall.publish(rule=QUALITY)
    await hall.bid(tender, *((one, 900_000) for one in (first, second, third)), proposal=DIGEST)
    await hall.join(tender, idle)
    with pytest.raises(Conflict, match="is published") as early:
        await hand_in(hall, vault, first, tender)
    assert "between the opening and the award" in (early.value.rule or "")
    await hall.opened(tender)
    with pytest.raises(NotFound, match="no envelope of yours"):
        await hand_in(hall, vault, idle, tender)
    with pytest.raises(Unprocessable, match="sealed was") as changed:
        await hand_in(hall, vault, first, tender, FILE + b"\n")
    assert changed.value.code == "proposal.digest"
    assert rulebook.load("cn-venue").cite("proposal.digest") in (changed.value.rule or "")
    assert "when you sealed" in (changed.value.remedy or "")
    with pytest.raises(TooLarge, match="20971520"):
        await hand_in(hall, vault, first, tender, bytes(tenders.PROPOSAL_BYTES + 1))
    with pytest.raises(NotFound, match="not arrived"):
        await proposals.brought(house.gate, vault, first, "another key", tender)

    said = await hand_in(hall, vault, first, tender)
    code = hall.codes[tender, first.party]
    assert (said["state"], said["code"], said["digest"]) == ("filed", code, DIGEST)
    filed = {one["code"]: one["filed_index"] for one in (await hall.view(tender))["envelopes"]}
    assert [one for one, index in filed.items() if index is not None] == [code]
    with pytest.raises(Conflict, match="it came with entry"):
        await house.act(tenders.hand_in_proposal, tenders.HandInProposal(tender, DIGEST), first)
    with pytest.raises(Unprocessable, match="sealed was"):
        await house.act(tenders.hand_in_proposal, tenders.HandInProposal(tender, "00" * 32), second)

    experts = await house.party("service_provider", people=5)
    for outsider in (second, idle, experts[0]):
        with pytest.raises(Forbidden, match="not for you"):
            await house.gate.read(tenders.proposal_of, outsider, tender, code)
    with pytest.raises(NotFound, match="no proposal"):
        await house.gate.read(tenders.proposal_of, floor.seller, tender, hall.codes[tender, second.party])
    named = tenders.AppointAssessors(tender, tuple(one.person for one in experts))
    await house.act(tenders.appoint_assessors, named, floor.seller)
    for reader in (first, floor.seller, floor.regulator, *experts):
        digest = await house.gate.read(tenders.proposal_of, reader, tender, code)
        assert proposals.read(vault, digest) == FILE

    await scored(hall, tender, experts, {one.party: 50 for one in (first, second, third)})
    with pytest.raises(Conflict, match="is awarded"):
        await hand_in(hall, vault, second, tender)

    bodies, openings = await floor.bodies(), await floor.openings()
    market = replay(bodies, openings)
    assert market.differences == []
    assert market.judged["proposals"] == 1
    # A log that says another file was marked than was sealed does not replay.
    told = [
        (
            at,
            {**body, "act": {**body["act"], "digest": "00" * 32}}
            if body["kind"] == "tender_proposal"
            else body,
        )
        for at, body in bodies
    ]
    (difference,) = replay(told, openings).differences
    assert code in str(difference)


@pytest.mark.anyio
async def test_by_price_alone_there_is_no_proposal_to_hand_in(house: House, hall: Hall, vault: Vault) -> None:
    tender = await hall.publish(rule=PRICE_ALONE)
    await hall.bid(tender, *((one, 900_000) for one in hall.floor.buyers[:3]))
    with pytest.raises(NotFound, match="no envelope of yours with a proposal"):
        await hand_in(hall, vault, hall.floor.buyers[0], tender)
