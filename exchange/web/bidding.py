"""One bidder's own part in a tender: the deposit and the code, the envelope that this page's script seals, and what was found in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

from exchange import catalogue, oversight, parties, proposals, rulebook, tenders
from exchange.errors import Malformed, NotFound
from exchange.messages.tenders import ENVELOPES, FAILURES, STATES
from exchange.vault import Vault
from exchange.web.desk import FORM_LIMIT, DeskPage, Visit, desk_page
from exchange.web.enterprise import BUYERS, purposes_for
from ledger.entries import receipt_to_json

SEALED_CHARACTERS: Final = 20_000
"""Of an envelope as JSON; one for sixteen holders has some 4,500."""


@desk_page("/desk/tenders/{tender}/bid", roles=BUYERS, takes_bytes=tenders.PROPOSAL_BYTES + FORM_LIMIT)
async def own_bid(visit: Visit) -> Response:
    """The way of a bid: join with the deposit, seal here, hand in, and see it opened."""
    found = await visit.read(tenders.tender, _name(visit))
    own: dict[str, Any] | None
    try:
        own = await visit.read(tenders.tenderer, visit.caller, found["id"])
    except NotFound:
        own = None
    try:
        dossier = await visit.read(catalogue.dossier, found["asset"], visit.caller)
        allowed = dossier["asset"]["purposes"] or []
    except NotFound:  # it was withdrawn since
        allowed = []
    takes = found["state"] == "published" and await visit.gate.now_us() < int(found["deadline_us"])
    word = {"zh": 0, "en": 1}[visit.t.language]
    code = None if own is None else own["code"]
    opened = next((row for row in found["opened"] or [] if row["code"] == code), None)
    return await visit.show(
        "desk/tender_bid.html",
        tender=found,
        own=own,
        joined=None if own is None else receipt_to_json(await visit.gate.receipt(int(own["index"]))),
        standing=next((one for one in own["envelopes"] if one["state"] == "standing"), None) if own else None,
        takes=takes,
        may_withdraw=takes or found["state"] == "halted",
        state_word=STATES[found["state"]][word],
        failure=None if found["failure"] is None else FAILURES[found["failure"]][word],
        opened=opened,
        opened_word=None if opened is None else ENVELOPES[opened["reason"] or opened["state"]][word],
        why=None if own is None else await why(visit, found),
        cite=(await visit.read(rulebook.at, await visit.gate.now_us())).behind,
        largest_mib=tenders.PROPOSAL_BYTES >> 20,
        sells=found["seller"] == visit.caller.party,
        facts=tenders.FACTS,
        purposes=await purposes_for(visit, allowed),
        account=await visit.read(parties.account_of, visit.caller),
    )


async def why(visit: Visit, found: Mapping[str, Any]) -> str | None:
    """Why the party's bid won or lost, in the reader's language; None while there is no award."""
    if found["outcome"] is None:
        return None
    told: str = (await visit.read(tenders.explanation, visit.caller, found["id"]))[visit.t.language]
    return told


@own_bid.on("join", fresh=True)
async def join(visit: Visit) -> Response:
    """Have the deposit held, and get a code."""
    facts = {name: visit.text(name, at_most=200) for name in tenders.FACTS}
    act = tenders.JoinTender(_name(visit), **facts, purpose=visit.text("purpose", at_most=40, needed=False))
    return visit.done("tender_joined", await visit.perform(tenders.join_tender, act))


@own_bid.on("hand_in")
async def hand_in(visit: Visit) -> Response:
    """Take the envelope that the page's script sealed, in the place of the one before."""
    proposal = visit.digest("proposal").hex() if visit.form.get("proposal") else None
    act = tenders.HandIn(_name(visit), _sealed(visit), proposal)
    return visit.done("envelope_sealed", await visit.perform(tenders.hand_in, act))


@own_bid.on("file")
async def file(visit: Visit) -> Response:
    """Take the proposal in whose digest was sealed, for those who mark it."""
    name, vault = _name(visit), _vault(visit)
    content = await visit.file("proposal")
    if content:
        await proposals.taken_in(visit.gate, vault, visit.caller, name, _once(content))
    act = await proposals.brought(visit.gate, vault, visit.caller, visit.key(), name)
    reply = await visit.perform(tenders.hand_in_proposal, act)
    await asyncio.to_thread(vault.discard, visit.caller.party, act.proposal)
    return visit.done("proposal_filed", reply)


@own_bid.on("withdraw")
async def withdraw(visit: Visit) -> Response:
    """Take the own envelope back."""
    act = tenders.Withdraw(_name(visit))
    return visit.done("envelope_withdrawn", await visit.perform(tenders.withdraw, act))


def _name(visit: Visit) -> str:
    name: str = visit.request.path_params["tender"]
    return name


def _sealed(visit: Visit) -> dict[str, Any]:
    try:
        sealed = orjson.loads(visit.text("sealed", at_most=SEALED_CHARACTERS))
    except orjson.JSONDecodeError:
        sealed = None
    if not isinstance(sealed, dict):
        raise Malformed(
            "form.field",
            "sealed: no envelope",
            field="sealed",
            rule="an envelope is sealed by this page's script, or by the SDK",
            remedy="enter your price again and seal it",
        )
    return sealed


def _vault(visit: Visit) -> Vault:
    vault: Vault = visit.request.app.state.vault
    return vault


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _show_proposal(visit: Visit) -> Response:
    """A bidder's proposal as a file, for whoever may read it."""
    code = visit.request.path_params["code"]
    digest = await visit.read(tenders.proposal_of, visit.caller, _name(visit), code)
    content = await asyncio.to_thread(proposals.read, _vault(visit), digest)
    return Response(content, media_type="application/octet-stream", headers=proposals.head(code, digest))


proposal = desk_page("/desk/tenders/{tender}/proposals/{code}")(_show_proposal)
regulators_proposal = desk_page(
    "/regulator/tenders/{tender}/proposals/{code}", roles=("regulator",), hall="regulator"
)(_show_proposal)


@desk_page("/desk/receipts/{index}")
async def receipt(visit: Visit) -> Response:
    """The receipt of an entry of the party's as a file: what proves it offline, and for ever."""
    said = visit.request.path_params["index"]
    index = int(said) if re.fullmatch("[0-9]{1,18}", said, re.ASCII) else -1
    await visit.read(oversight.require_entry, visit.caller, index)
    return Response(
        orjson.dumps(receipt_to_json(await visit.gate.receipt(index)), option=orjson.OPT_INDENT_2),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="receipt-{index}.json"'},
    )


PAGES: Final[tuple[DeskPage, ...]] = (own_bid, proposal, regulators_proposal, receipt)
