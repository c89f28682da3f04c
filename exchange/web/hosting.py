"""A tender at the desks of those who run it: its department publishes it, names assessors and calls it off, holders hand their
shares in, assessors mark, and a bidder reads why it won or lost and protests.

Holders keep their private keys: what comes here is the file that `exchange holder open` wrote on their own machine.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import orjson
from starlette.responses import Response

from exchange import catalogue, rulebook, tenders
from exchange.errors import Forbidden, Malformed, NotFound
from exchange.listings import GRANTS, Offer
from exchange.messages.tenders import STATES
from exchange.web.bidding import why
from exchange.web.department import DEPARTMENT
from exchange.web.desk import PLAIN, DeskPage, Visit, desk_page
from exchange.web.enterprise import BUYERS
from exchange.web.openings import acting, course, said_in
from pricing.auctions import Criterion

CRITERIA_OFFERED: Final = 6
"""Rows of the form for criteria; the API takes more."""

SHARES_BYTES: Final = 4 * 1024 * 1024
"""The most that a holder's file of shares takes."""

HELPERS: Final = (
    "supplier", "buyer", "operator", "bank", "registrar", "governing_body", "service_provider", "affiliate",
)  # fmt: skip
"""Whose people may hold a key or assess; the venue's may not."""

EARLIER_SHOWN: Final = 200
"""Of the newest tenders so many are searched for those that may come back."""


# The department


@desk_page("/desk/assets/{asset}/tender", roles=DEPARTMENT)
async def publication(visit: Visit) -> Response:
    """Each term of a tender with the rule that binds it; after a check also what was checked."""
    return await _show_publication(visit, None)


async def _show_publication(visit: Visit, checked: tenders.PublishTender | None) -> Response:
    identifier = visit.request.path_params["asset"]
    dossier = await visit.read(catalogue.dossier, identifier, visit.caller)
    card = dossier["asset"]
    if card["supplier"] != visit.caller.party:
        raise NotFound("asset.unknown", f"no asset {identifier!r}", field="asset")
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    keys = await visit.read(tenders.holder_keys)
    names = await visit.read(tenders.named, [key["party"] for key in keys])
    known = await visit.read(tenders.tenders, None, EARLIER_SHOWN)
    come_back = {one["again_of"] for one in known}
    earlier = [
        one["id"]
        for one in known
        if one["asset"] == identifier and one["state"] in tenders.UNAWARDED and one["id"] not in come_back
    ]
    return await visit.show(
        "desk/tender_publish.html",
        card=card,
        given=defaultdict(
            str, {name: said for name, said in visit.form.multi_items() if isinstance(said, str)}
        ),
        chosen=visit.form.getlist,
        kept=[pair for pair in visit.form.multi_items() if pair[0] not in ("do", "proof", "identifier")],
        checked=checked,
        holders=[(key["party"], names.get(key["party"], key["party"])) for key in keys],
        papers=rules.words("parties.document_kinds"),
        earlier=earlier and [("", "–"), *((name, name) for name in earlier)],
        rows=range(CRITERIA_OFFERED),
        grants=GRANTS,
        value=rules.value,
        cite=rules.behind,
    )


def _published(visit: Visit) -> tenders.PublishTender:
    """What the form tenders."""
    deadline_us = visit.instant("deadline_us")
    return tenders.PublishTender(
        visit.request.path_params["asset"],
        Offer(
            visit.text("grant", at_most=10),
            1,
            visit.whole("term_days", at_most=10**6),
            visit.fen("price"),
            visit.fen("ceiling") if visit.text("ceiling", at_most=25, needed=False) else None,
            visit.text("reason", needed=False),
        ),
        tenders.ScoringRule(
            _ppm(visit, "price_weight_ppm"),
            tuple(
                Criterion(
                    visit.text(f"criterion_{row}", at_most=200),
                    _ppm(visit, f"weight_{row}"),
                    visit.whole(f"most_{row}", at_most=10**6),
                )
                for row in range(CRITERIA_OFFERED)
                if visit.text(f"criterion_{row}", at_most=200, needed=False)
            ),
            visit.fen("floor") if visit.text("floor", at_most=25, needed=False) else 1,
            visit.form.get("drop_extremes") == "yes",
        ),
        tuple(str(one) for one in visit.form.getlist("holders")),
        visit.whole("threshold", at_most=100),
        visit.fen("deposit_fen"),
        deadline_us,
        visit.instant("opens_us") if visit.text("opens_us", at_most=30, needed=False) else deadline_us,
        visit.text("terms"),
        tuple(str(one) for one in visit.form.getlist("qualification")),
        visit.text("again_of", at_most=64, needed=False) or None,
    )


def _ppm(visit: Visit, name: str) -> int:
    """A share in percent with at most four decimals, as millionths."""
    said = visit.text(name, at_most=10)
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?", said, re.ASCII):
        raise Malformed(
            "form.field",
            f"{name}: not as it has to be",
            field=name,
            rule="a share in percent, four decimals at most",
            remedy="write it as 62.5",
        )
    return int(Decimal(said).scaleb(4))


@publication.on("check")
async def check(visit: Visit) -> Response:
    """Let the rules decide what would come of it, and record nothing."""
    act = _published(visit)
    await visit.gate.rehearse(tenders.publish_tender, act, caller=visit.caller)
    return await _show_publication(visit, act)


@publication.on("publish", fresh=True)
async def publish(visit: Visit) -> Response:
    """Tender it."""
    reply = await visit.perform(tenders.publish_tender, _published(visit))
    return visit.done("tender_published", reply, to=f"/desk/tenders/{orjson.loads(reply.outcome)['id']}/host")


@desk_page("/desk/tenders/{tender}/host", roles=DEPARTMENT)
async def host(visit: Visit) -> Response:
    """A tender of the department's own: what it has to do next, who assesses, and the way to call it off."""
    return await _show_host(visit, ())


async def _show_host(visit: Visit, findings: Any) -> Response:
    found = await _tender(visit)
    if found["seller"] != visit.caller.party:
        raise NotFound("tender.unknown", f"no tender {found['id']!r} of yours", field="tender")
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    return await visit.show(
        "desk/tender_host.html",
        **course(visit.t, found),
        names=await visit.read(tenders.named, acting(found)),
        findings=findings,
        waiting=[one for one in found["questions"] if one["answer"] is None],
        cancels=found["state"] == "halted"
        or (found["state"] == "published" and now_us < int(found["deadline_us"])),
        appoints=found["state"] == "opened" and bool(found["rules"]["criteria"]),
        value=rules.value,
        cite=rules.behind,
    )


def _people(visit: Visit) -> tuple[str, ...]:
    """Identifiers of persons, one a line."""
    said = tuple(re.split(r"[\s,，;；]+", visit.text("people")))
    if not all(re.fullmatch(PLAIN, one) for one in said):
        raise Malformed(
            "form.field",
            "people: not as it has to be",
            field="people",
            rule="identifiers of persons, one a line",
            remedy="each finds its own under “Account and sessions”",
        )
    return said


@host.on("screen")
async def screen(visit: Visit) -> Response:
    """Show what the conflict check finds of each person, and record nothing."""
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    people = _people(visit)
    tender = visit.request.path_params["tender"]
    return await _show_host(
        visit, await visit.read(tenders.independence, visit.caller, tender, people, now_us, rules)
    )


@host.on("appoint", fresh=True)
async def appoint(visit: Visit) -> Response:
    """Name the assessors; one who is related is refused on the record, with the way."""
    act = tenders.AppointAssessors(visit.request.path_params["tender"], _people(visit))
    return visit.done("assessors_named", await visit.perform(tenders.appoint_assessors, act))


@host.on("cancel", fresh=True)
async def cancel(visit: Visit) -> Response:
    """Call the tender off before its deadline: every deposit goes back."""
    act = tenders.CancelTender(visit.request.path_params["tender"], visit.text("reason"))
    return visit.done("tender_cancelled", await visit.perform(tenders.cancel_tender, act))


async def _tender(visit: Visit) -> dict[str, Any]:
    found: dict[str, Any] = await visit.read(tenders.tender, visit.request.path_params["tender"])
    return found


# Holders and assessors


async def _show_duties(visit: Visit) -> Response:
    """The tenders whose key the party holds and those whose bids the person marks, and the party's key."""
    rows = await visit.read(tenders.duties, visit.caller)
    keys = {key["party"]: key for key in await visit.read(tenders.holder_keys)}
    return await visit.show(
        "desk/duties.html",
        rows=[
            {
                **row,
                "state_word": said_in(visit.t, STATES, row["state"]),
                "holds": any(one["name"] == visit.caller.party for one in row["committee"]["holders"]),
                "marks": visit.caller.person in row["assessors"],
            }
            for row in rows
        ],
        key=keys.get(visit.caller.party),
        home=visit.page.path.rsplit("/", 1)[0],
    )


async def _publish_key(visit: Visit) -> Response:
    act = tenders.PublishHolderKey(visit.text("public", at_most=64).lower())
    return visit.done("holder_key", await visit.perform(tenders.publish_holder_key, act))


async def _show_shares(visit: Visit) -> Response:
    """The opening of a tender before one of its holders: what to fetch, and where to hand its shares in."""
    found = await _tender(visit)
    holders = [one["name"] for one in found["committee"]["holders"]]
    if visit.caller.party not in holders:
        raise Forbidden(
            "share.no_holder",
            "your party holds no key of this tender",
            field="tender",
            rule="the holders that the publication names open it, and nobody else",
            remedy="none on this tender",
        )
    now_us = await visit.gate.now_us()
    said = course(visit.t, found)
    return await visit.show(
        "desk/tender_shares.html",
        **said,
        names=await visit.read(tenders.named, acting(found)),
        takes=found["state"] == "opening"
        and int(found["opens_us"]) <= now_us < int(found["ends_us"])
        and visit.caller.party in said["awaited"],
        handed=visit.caller.party not in said["awaited"],
        cite=(await visit.read(rulebook.at, now_us)).behind,
        home=visit.page.path.split("/tenders/", 1)[0],
    )


async def _hand_shares(visit: Visit) -> Response:
    tender = visit.request.path_params["tender"]
    document = await visit.document("opened")
    submissions = document.get("submissions")
    if (
        document.get("lot") != tender
        or not isinstance(submissions, dict)
        or not all(isinstance(one, dict) for one in submissions.values())
    ):
        raise Malformed(
            "share.file",
            "not what a holder opened of this tender",
            field="opened",
            rule="the file that `exchange holder open` wrote for this tender",
            remedy="fetch the envelopes again and open them on your machine",
        )
    act = tenders.HandShares(tender, submissions)
    return visit.done("shares_handed", await visit.perform(tenders.hand_shares, act))


duties = desk_page("/desk/duties", nav="duties", roles=HELPERS)(_show_duties)
regulators_duties = desk_page("/regulator/duties", nav="duties", roles=("regulator",), hall="regulator")(
    _show_duties
)
shares = desk_page("/desk/tenders/{tender}/shares", roles=HELPERS, takes_bytes=SHARES_BYTES)(_show_shares)
regulators_shares = desk_page(
    "/regulator/tenders/{tender}/shares", roles=("regulator",), hall="regulator", takes_bytes=SHARES_BYTES
)(_show_shares)
for _page in (duties, regulators_duties):
    _page.on("key", fresh=True)(_publish_key)
for _page in (shares, regulators_shares):
    _page.on("hand")(_hand_shares)


@desk_page("/desk/tenders/{tender}/marks", roles=HELPERS)
async def marks(visit: Visit) -> Response:
    """The marking sheet of an assessor who was named: every valid bid, criterion by criterion, its price beside it."""
    found = await _tender(visit)
    if visit.caller.person not in found["assessors"]:
        raise Forbidden(
            "mark.not_named",
            "you are no assessor of this tender",
            field="tender",
            rule="the assessors whom the supplier named mark its bids, and nobody else",
            remedy="none on this tender",
        )
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    proposals = {one["code"]: one["proposal"] for one in found["envelopes"]}
    return await visit.show(
        "desk/tender_marks.html",
        **course(visit.t, found),
        names=await visit.read(tenders.named, acting(found)),
        bids=[{**row, "proposal": proposals.get(row["code"])} for row in _valid(found)],
        marked=await visit.read(tenders.has_marked, visit.caller, found["id"]),
        cite=rules.behind,
    )


def _valid(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in found["opened"] or [] if row["state"] == "valid"]


@marks.on("mark", fresh=True)
async def mark(visit: Visit) -> Response:
    """Hand the sheet in; refused on the record where a relation was declared since the assessor was named."""
    found = await _tender(visit)
    given = {
        row["code"]: {
            name: visit.whole(f"mark_{row['code']}_{place}", at_most=int(most))
            for place, (name, _, most) in enumerate(found["rules"]["criteria"])
        }
        for row in _valid(found)
    }
    act = tenders.MarkTender(found["id"], given)
    return visit.done("tender_marked", await visit.perform(tenders.mark_tender, act))


# A bidder after the award


@desk_page("/desk/tenders/{tender}/award", roles=BUYERS)
async def award(visit: Visit) -> Response:
    """Why the party won or lost, in words that follow from the marks alone, and the protest while its time runs."""
    found = await _tender(visit)
    place = await visit.read(tenders.tenderer, visit.caller, found["id"])
    now_us = await visit.gate.now_us()
    rules = await visit.read(rulebook.at, now_us)
    waits = any(one["code"] == place["code"] and one["state"] == "filed" for one in found["protests"])
    until = found["protest_until_us"]
    return await visit.show(
        "desk/tender_award.html",
        **course(visit.t, found),
        names=await visit.read(tenders.named, acting(found)),
        code=place["code"],
        why=await why(visit, found),
        waits=waits,
        may_protest=found["state"] == "awarded" and not waits and until is not None and now_us < int(until),
        value=rules.value,
        cite=rules.behind,
    )


@award.on("protest", fresh=True)
async def protest(visit: Visit) -> Response:
    """Put a protest before the regulator; it holds the settlement."""
    act = tenders.FileProtest(visit.request.path_params["tender"], visit.text("reason"))
    return visit.done("protest_filed", await visit.perform(tenders.file_protest, act))


PAGES: Final[tuple[DeskPage, ...]] = (
    publication, host, duties, shares, marks, award,
)  # fmt: skip

SUPERVISED: Final[tuple[DeskPage, ...]] = (regulators_duties, regulators_shares)
"""Of the regulators' hall: a regulator may hold a key."""
