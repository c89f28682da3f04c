"""The regulator's pages: find and follow anything with its proofs, order a halt, take the record away, see who else watches.

They are apart from all others: a sign-in and sessions of their own, and every look goes into the register of accesses.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any, Final, cast

import orjson
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, RedirectResponse, Response

from exchange import auctions, controls, oversight, parties, reconciliation, rulebook, tenders, venue
from exchange.acts import Caller
from exchange.database import driver
from exchange.errors import NotFound, Unprocessable
from exchange.messages.tenders import STATES
from exchange.signin.sessions import accesses
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.openings import acting, course, said_in
from ledger import cosignatures, log
from ledger.anchors import anchors, watch
from ledger.entries import receipt_to_json
from ledger.errors import LedgerError
from ledger.policy import Policy

ENTRIES_A_PAGE: Final = 30
LOOKS_A_PAGE: Final = 100
OPEN: Final = ("open", "halted")


@desk_page("/regulator/search", nav="search", roles=("regulator",), hall="regulator")
async def search(visit: Visit) -> Response:
    """One box for everything: a log index leads to its entry, an identifier to its timeline, a name to what bears it."""
    text = visit.request.query_params.get("text", "").strip()[:200]
    if re.fullmatch("#?[0-9]{1,18}", text):
        return RedirectResponse(f"/{visit.t.language}/regulator/entries/{int(text.lstrip('#'))}", 303)
    found = await visit.read(oversight.search, visit.caller, text) if text else {}
    return await visit.show("regulator/search.html", text=text, found=found)


@desk_page("/regulator/timeline/{subject}", roles=("regulator",), hall="regulator")
async def timeline(visit: Visit) -> Response:
    """Everything that the log has of one thing, the newest first."""
    subject = visit.request.path_params["subject"]
    before = visit.request.query_params.get("before", "")
    at = int(before) if re.fullmatch("[0-9]{1,18}", before) else None
    entries = await visit.read(oversight.timeline, visit.caller, subject, at, ENTRIES_A_PAGE)
    lot = await visit.read(_lot, subject) if subject.startswith("lot-") else None
    party = await visit.read(_party, subject) if subject.startswith("org-") else None
    return await visit.show(
        "regulator/timeline.html",
        subject=subject,
        entries=entries,
        older=entries[-1]["index"] if len(entries) == ENTRIES_A_PAGE else None,
        lot=lot,
        party=party,
        cite=await _cite(visit),
    )


async def _lot(session: AsyncSession, identifier: str) -> dict[str, Any] | None:
    try:
        return await auctions.lot(session, identifier)
    except NotFound:
        return None


async def _party(session: AsyncSession, identifier: str) -> dict[str, Any] | None:
    found = await oversight.search(session, Caller("", "", frozenset({"regulator"})), identifier)
    return next((party for party in found["parties"] if party["id"] == identifier), None)


async def _cite(visit: Visit) -> Any:
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    return rules.behind


@timeline.on("halt", fresh=True)
async def halt(visit: Visit) -> Response:
    """Halt the lot that is shown: no bid gets in from this entry on."""
    act = auctions.HaltLot(visit.request.path_params["subject"], visit.text("reason"))
    return visit.done("lot_halted", await visit.perform(auctions.halt_lot, act))


@timeline.on("resume", fresh=True)
async def resume(visit: Visit) -> Response:
    """Let the lot that is shown go on."""
    act = auctions.ResumeLot(visit.request.path_params["subject"])
    return visit.done("lot_resumed", await visit.perform(auctions.resume_lot, act))


@timeline.on("cancel", fresh=True)
async def cancel(visit: Visit) -> Response:
    """Call the lot that is shown off."""
    act = auctions.CancelLot(visit.request.path_params["subject"], visit.text("reason"))
    return visit.done("lot_cancelled", await visit.perform(auctions.cancel_lot, act))


@timeline.on("state", fresh=True)
async def set_state(visit: Visit) -> Response:
    """Suspend the party that is shown, or let it trade again."""
    state = visit.text("state")
    if state not in ("active", "suspended"):
        raise Unprocessable(
            "party.state", state, field="state", rule="active or suspended", remedy="choose one"
        )
    act = parties.SetPartyState(visit.request.path_params["subject"], cast(Any, state), visit.text("reason"))
    return visit.done("party_state_set", await visit.perform(parties.set_party_state, act))


@desk_page("/regulator/entries/{index}", roles=("regulator",), hall="regulator")
async def entry(visit: Visit) -> Response:
    """One entry whole, what its commitments hide, and the receipt that proves it."""
    asked = visit.request.path_params["index"]
    if not re.fullmatch("[0-9]{1,18}", asked):
        raise NotFound(
            "entry.unknown", f"no entry {asked!r}", field="index", remedy="name an index of the log"
        )
    found = await visit.read(oversight.entry, visit.caller, int(asked))
    receipt = receipt_to_json(await visit.gate.receipt(int(found["index"])))
    return await visit.show(
        "regulator/entry.html",
        entry=found,
        names=sorted(
            {*_identifiers(found["act"]), found["by"], found["party"] or ""} - {"", "clock", "enrolment"}
        ),
        body=orjson.dumps(found["act"], option=orjson.OPT_INDENT_2).decode(),
        receipt=orjson.dumps(receipt, option=orjson.OPT_INDENT_2).decode(),
    )


def _identifiers(value: Any) -> set[str]:
    """The identifiers that a body names, each of which has a timeline."""
    match value:
        case str():
            return (
                {value}
                if re.fullmatch("(ast|lot|lst|org|per|trd|lic|app|cmp|rst|tdr|prt|dmd)-[0-9a-f]{16}", value)
                else set()
            )
        case dict():
            return {name for member in value.values() for name in _identifiers(member)}
        case list():
            return {name for member in value for name in _identifiers(member)}
        case _:
            return set()


@desk_page("/regulator/lots", nav="supervised", roles=("regulator",), hall="regulator")
async def lots(visit: Visit) -> Response:
    """The lots that take bids or are halted, each with the way to its orders."""
    found = [lot for lot in await visit.read(auctions.lots) if lot["state"] in OPEN]
    return await visit.show("regulator/lots.html", lots=found)


@desk_page("/regulator/tenders", nav="tenders", roles=("regulator",), hall="regulator")
async def tenders_page(visit: Visit) -> Response:
    """What is tendered, the newest first, each with the way to its orders."""
    before = visit.request.query_params.get("before", "")
    at = int(before) if re.fullmatch("[0-9]{1,18}", before) else None
    rows = await visit.read(tenders.tenders, at, ENTRIES_A_PAGE)
    return await visit.show(
        "regulator/tenders.html",
        rows=[{**row, "state_word": said_in(visit.t, STATES, row["state"])} for row in rows],
        older=rows[-1]["log_index"] if len(rows) == ENTRIES_A_PAGE else None,
    )


@desk_page("/regulator/tenders/{tender}", roles=("regulator",), hall="regulator")
async def tender_page(visit: Visit) -> Response:
    """One tender: orders before its deadline, signs of rigging after its opening, and the protests that wait for a decision."""
    name = visit.request.path_params["tender"]
    found = await visit.read(tenders.tender, name)
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    protests = await visit.read(tenders.protested, visit.caller, name)
    return await visit.show(
        "regulator/tender.html",
        **course(visit.t, found),
        names=await visit.read(tenders.named, acting(found)),
        signs=(await visit.read(tenders.signs, visit.caller, name))["signs"],
        signs_by=rules.behind("surveillance.rigged_tender_signs"),
        halts=found["state"] == "published" and now_us < int(found["deadline_us"]),
        waiting=[one for one in protests if one["state"] == "filed"],
        decisions=[one for one in DECISIONS if found["rules"]["criteria"] or one != "rescore"],
        decided_by=rules.behind("tender.protest_decided_within_days"),
        value=rules.value,
        cite=rules.behind,
    )


@tender_page.on("halt", fresh=True)
async def halt_tender(visit: Visit) -> Response:
    """Halt it: nobody joins or bids, its clock stands still."""
    act = tenders.HaltTender(visit.request.path_params["tender"], visit.text("reason"))
    return visit.done("tender_halted", await visit.perform(tenders.halt_tender, act))


@tender_page.on("resume", fresh=True)
async def resume_tender(visit: Visit) -> Response:
    """Let it go on, its deadline moved by the time that it stood."""
    act = tenders.ResumeTender(visit.request.path_params["tender"])
    return visit.done("tender_resumed", await visit.perform(tenders.resume_tender, act))


@tender_page.on("cancel", fresh=True)
async def cancel_tender(visit: Visit) -> Response:
    """Call it off before its deadline."""
    act = tenders.CancelTender(visit.request.path_params["tender"], visit.text("reason"))
    return visit.done("tender_cancelled", await visit.perform(tenders.cancel_tender, act))


DECISIONS: Final = ("rescore", "annul", "dismiss")
"""What a protest may come to: upheld with either remedy, or dismissed."""


@tender_page.on("decide", fresh=True)
async def decide_protest(visit: Visit) -> Response:
    """Decide a protest, with an answer for everybody."""
    decision = visit.text("decision", at_most=10)
    upheld = decision in ("rescore", "annul")
    act = tenders.DecideProtest(
        visit.request.path_params["tender"],
        visit.plain("protest"),
        "uphold" if upheld else decision,
        visit.text("answer"),
        decision if upheld else None,
    )
    return visit.done("protest_decided", await visit.perform(tenders.decide_protest, act))


@desk_page("/regulator/alarms", nav="alarms", roles=("regulator",), hall="regulator")
async def alarms(visit: Visit) -> Response:
    """What is amiss now: money, deposits, halts that run out, chains, doors."""
    now_us = await visit.gate.now_us()
    return await visit.show("regulator/alarms.html", **await visit.read(_alarms, visit.caller, now_us))


async def _alarms(session: AsyncSession, caller: Caller, now_us: int) -> dict[str, Any]:
    seen = await watch(await driver(session))
    return {
        "statements": await reconciliation.statements(session, caller, "alarm", None, 50),
        "refunds": [one for one in await auctions.refunds(session, caller, now_us, 200) if one["late"]],
        "halted": [lot for lot in await auctions.lots(session) if lot["state"] == "halted"],
        "silent": await controls.silent(session, now_us),
        "trouble": None if seen is None else seen.trouble,
        "locked": await accesses(session, what="locked", limit=20),
    }


@desk_page("/regulator/record", nav="record", roles=("regulator",), hall="regulator")
async def record(visit: Visit) -> Response:
    """The record to take away, and how a stranger judges it."""
    return await visit.show("regulator/record.html")


@desk_page("/regulator/record/bundle", roles=("regulator",), hall="regulator")
async def bundle(visit: Visit) -> Response:
    """The audit bundle of a period, all of it or what one party may see."""
    query = visit.request.query_params
    start = int(query["start"]) if re.fullmatch("[0-9]{1,18}", query.get("start", "")) else 0
    stop = int(query["stop"]) if re.fullmatch("[0-9]{1,18}", query.get("stop", "")) else None
    party = query.get("party", "").strip() or None
    folder = tempfile.TemporaryDirectory(prefix="bundle-")
    path = Path(folder.name) / "bundle.zip"

    async def export(session: AsyncSession) -> int:
        return await oversight.export(session, path, visit.gate.signer, start=start, stop=stop, party=party)

    try:
        size = await visit.read(export)
        await visit.gate.head()  # its checkpoints leave with the bundle
    except LedgerError as error:
        folder.cleanup()
        raise NotFound(
            "bundle.period", error.detail, field=error.field, rule=error.rule, remedy=error.remedy
        ) from error
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"bundle-{start}-{size}.zip",
        background=BackgroundTask(folder.cleanup),
    )


@desk_page("/regulator/witnesses", nav="witnesses", roles=("regulator",), hall="regulator")
async def witnesses(visit: Visit) -> Response:
    """Who else has seen this log and up to where, and what stands on a chain."""
    policy: Policy | None = visit.request.app.state.policy

    async def ask(session: AsyncSession) -> dict[str, Any]:
        connection = await driver(session)
        begun = await venue.begun(connection)
        sizes = await cosignatures.last_sizes(connection, begun)
        seen = await cosignatures.witnessed(connection, visit.gate.signer, policy, begun)
        head = await log.read_head(connection)
        named = (
            {}
            if policy is None
            else {peer.verifier.name: (peer.verifier.vkey, peer.url) for peer in policy.witnesses.values()}
        )
        chain = await watch(connection)
        return {
            "witnesses": [
                {
                    "name": name,
                    "vkey": named.get(name, (None, None))[0],
                    "url": named.get(name, (None, None))[1],
                    "size": sizes.get(name),
                }
                for name in sorted({*named, *sizes})
            ],
            "quorum": None if policy is None else policy.quorum,
            "seen": None if seen is None else seen[0],
            "note": None if seen is None else seen[1],
            "behind": None if seen is None else head.edge.size - seen[0],
            "anchors": (await anchors(connection))[::-1][:20],
            "trouble": None if chain is None else chain.trouble,
        }

    return await visit.show("regulator/witnesses.html", **await visit.read(ask))


@desk_page("/regulator/accesses", nav="accesses", roles=("regulator",), hall="regulator")
async def looks(visit: Visit) -> Response:
    """The register of accesses: who came in, who was turned away, and what was read here."""
    before = visit.request.query_params.get("before", "")
    at = int(before) if re.fullmatch("[0-9]{1,18}", before) else None
    found = await visit.read(lambda session: accesses(session, before_us=at, limit=LOOKS_A_PAGE))
    older = found[-1]["time_us"] if len(found) == LOOKS_A_PAGE else None
    return await visit.show("regulator/accesses.html", accesses=found, older=older)


PAGES: Final[tuple[DeskPage, ...]] = (
    search, lots, tenders_page, alarms, record, witnesses, looks, timeline, entry, bundle, tender_page,
)  # fmt: skip
