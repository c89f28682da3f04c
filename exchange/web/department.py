"""A department's pages: where its assets stand and who is next, and the files that wait for a second pair of eyes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import orjson
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import RedirectResponse, Response

from exchange import authorization, catalogue, registration, releases, rulebook
from exchange.catalogue import CURSOR, Place, Search
from exchange.desensitization.grade import SOURCE, Declared, Degree, Harmed, Impact
from exchange.desensitization.report import article, technique_words
from exchange.errors import Malformed, NotFound, Unprocessable
from exchange.parties.members import members_of
from exchange.registration import DOCUMENT_LIMIT_BYTES, applications
from exchange.registration.opening import OPENINGS
from exchange.registration.path import STATES
from exchange.registration.rights import RIGHTS
from exchange.rulebook import Rulebook
from exchange.signin.sessions import accesses
from exchange.taxonomy import KINDS, THEMES
from exchange.vault import FILE_LIMIT_BYTES, Vault, check_digest
from exchange.web.desk import FORM_LIMIT, PLAIN, DeskPage, Recorded, Visit, desk_page
from exchange.web.pieces import PIECE_BYTES

DEPARTMENT: Final = ("supplier",)
APPROVERS: Final = ("supplier", "governing_body")
ASSETS_A_PAGE: Final = 20
PRODUCT_BYTES: Final = 32 * 1024 * 1024
"""A form with a product in it; a larger product comes in pieces, by the page's script or the API."""
LOOKS_KEPT: Final = 200
"""So many of a person's last looks are searched for the one at a file before."""

STAGES: Final = ("risk_assessment", "authorization", "desensitization", "aggregation", "application", "code")
"""What stands between a declaration and a public code, in the order of the path."""


def taken(state: str) -> int:
    """How many stages of the path an asset in this state has behind it."""
    return min(STATES.index(state), len(STAGES))


@desk_page("/desk/assets", nav="assets", roles=DEPARTMENT)
async def assets(visit: Visit) -> Response:
    """The department's assets, each with where it stands on the path and who takes which step next."""
    query = visit.request.query_params
    text, state, after = query.get("text", "").strip()[:200], query.get("state", ""), query.get("after", "")
    search = Search(
        text=text or None,
        state=state if state in STATES else None,
        supplier=visit.caller.party,
        after=Place.parse(after) if re.fullmatch(CURSOR, after) else None,
        limit=ASSETS_A_PAGE,
    )
    found = await visit.read(catalogue.search_assets, search, visit.caller)
    return await visit.show(
        "desk/assets.html",
        assets=found["assets"],
        total=found["total"],
        states=found["facets"]["state"],
        text=text,
        state=search.state,
        next=found["assets"][-1]["place"] if len(found["assets"]) == ASSETS_A_PAGE else None,
        first=search.after is None,
        kinds=KINDS,
        stages=STAGES,
        taken=taken,
    )


@desk_page("/desk/register", roles=DEPARTMENT, takes_bytes=DOCUMENT_LIMIT_BYTES + FORM_LIMIT)
async def register(visit: Visit) -> Response:
    """One form to bring an asset: what it is, and its risk assessment, most of which the scan's report says already."""
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    return await visit.show("desk/register.html", **_assessing(rules), kinds=KINDS)


def _assessing(rules: Rulebook) -> dict[str, Any]:
    return {
        "harmed": get_args(Harmed),
        "degrees": get_args(Degree),
        "openings": OPENINGS,
        "usual": rules.word("model.opening_default"),
        "purposes": rules.words("opening.purposes"),
        "cite": rules.behind,
        "harm_source": SOURCE,
    }


@register.on("register")
async def bring(visit: Visit) -> Response:
    """Declare the asset and file its assessment. Nothing is declared where the report could not be filed."""
    paper = await _assessment(visit, "new")
    days = visit.text("update_days", at_most=4, needed=False)
    act = registration.DeclareAsset(
        visit.text("title", at_most=registration.TITLE_CHARACTERS),
        visit.text("summary", at_most=registration.SUMMARY_CHARACTERS, needed=False),
        visit.text("kind", at_most=64),
        visit.text("operator", at_most=64, needed=False) or None,
        visit.text("opening", at_most=20),
        visit.text("opening_reason", at_most=1000, needed=False),
        tuple(str(one) for one in visit.form.getlist("purposes")),
        visit.form.get("qualified") == "yes",
        visit.whole("update_days", at_most=3660) or None if days else None,
    )
    declared = orjson.loads((await visit.perform(registration.declare_asset, act)).outcome)["asset"]
    there = f"/desk/assets/{declared}"
    try:
        reply = await visit.perform(
            authorization.file_risk_assessment, replace(paper, asset=declared), step="-assess"
        )
    except Recorded as refused:
        # The asset stands; its own page takes the next assessment, and the entry says why this one was refused.
        return RedirectResponse(
            f"/{visit.t.language}{there}?done=assessment_refused&entry={refused.index}", 303
        )
    return visit.done("assessed", reply, to=there)


async def _assessment(visit: Visit, asset: str) -> authorization.FileRiskAssessment:
    """What the form and the report that was chosen say; digests, policy and exemption are the report's own."""
    report = await visit.document("report")
    policy, table = report.get("policy"), report.get("raw")
    if not isinstance(policy, dict) or not isinstance(table, dict):
        raise Malformed(
            "assessment.report",
            "no report of a scan",
            field="report",
            rule="report.json of `exchange desensitize scan`",
            remedy="choose the file that the scan wrote",
        )
    harmed, degree = visit.text("harmed", at_most=40), visit.text("degree", at_most=40)
    if harmed not in get_args(Harmed) or degree not in get_args(Degree):
        raise Malformed("assessment.impacts", f"{harmed}, {degree}", field="harmed", rule=SOURCE)
    answers = {name: _ANSWERS.get(visit.text(name, at_most=10)) for name in DECLARED}
    return await asyncio.to_thread(
        authorization.assessment,
        asset=asset,
        raw_digest=str(table.get("digest")),
        policy_digest=str(report.get("policy_digest")),
        policy=policy,
        report=report,
        impacts=[Impact(harmed, degree, visit.text("harm_reason", at_most=1000))],  # type: ignore[arg-type]  # just held to them
        declared=Declared(**answers),
        exempt_from_k=policy.get("exempt_from_k") is True,
    )


DECLARED: Final = ("state_secret", "trade_secret", "privacy_consented")
_ANSWERS: Final = {"yes": True, "no": False}


@desk_page("/desk/assets/{asset}", roles=DEPARTMENT, takes_bytes=PRODUCT_BYTES)
async def asset(visit: Visit) -> Response:
    """One asset of the department: its path with the entries that prove it, its papers, and the step that is next."""
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    return await visit.show(
        "desk/asset.html",
        **await own(visit),
        **_assessing(rules),
        themes=THEMES,
        rights=RIGHTS,
        largest_mib=PRODUCT_BYTES >> 20,
        whole_mib=FILE_LIMIT_BYTES >> 20,
        piece_bytes=PIECE_BYTES,
    )


@asset.on("assess")
async def assess(visit: Visit) -> Response:
    """File a new assessment; what was approved before is void."""
    paper = await _assessment(visit, visit.request.path_params["asset"])
    return visit.done("assessed", await visit.perform(authorization.file_risk_assessment, paper))


@asset.on("release")
async def release(visit: Visit) -> Response:
    """Take the product and its certificate in, put it under its theme and apply for its registration.

    The certificate names the authorization and the product. A product that came before, in pieces or by `/v1/uploads`, is not sent again.
    """
    vault: Vault = visit.request.app.state.vault
    certificate, product = await visit.document("certificate"), await visit.file("product")
    authorized = certificate.get("authorization")
    if not isinstance(authorized, dict) or not re.fullmatch(PLAIN, str(authorized.get("id"))):
        raise Malformed(
            "release.certificate",
            "no certificate of a desensitization",
            field="certificate",
            rule="certificate.json of `exchange desensitize apply`",
            remedy="choose the file that the tool wrote beside the product",
        )
    digest = check_digest(str(certificate.get("product_digest")), field="certificate")
    rights = _rights(visit)
    if product:
        await vault.receive(visit.caller.party, digest, _once(product))
    identifier = visit.request.path_params["asset"]
    act = await releases.brought(
        visit.gate,
        vault,
        releases.measuring(visit.request.app.state),
        visit.caller,
        visit.key(),
        asset=identifier,
        authorization=str(authorized["id"]),
        product_digest=digest,
        certificate=certificate,
    )
    try:
        await visit.perform(registration.release_product, act)
    except Recorded:  # decided too; where nothing was, what was sent waits for the next try
        await asyncio.to_thread(vault.discard, visit.caller.party, digest)
        raise
    await asyncio.to_thread(vault.discard, visit.caller.party, digest)
    theme = registration.AssignTheme(identifier, visit.text("theme", at_most=64))
    await visit.perform(registration.assign_theme, theme, step="-theme")
    applied = applications.Apply(identifier, "initial", rights)
    return visit.done("applied", await visit.perform(applications.apply, applied, step="-apply"))


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _rights(visit: Visit) -> tuple[str, ...]:
    return tuple(str(one) for one in visit.form.getlist("rights"))


@asset.on("theme")
async def assign_theme(visit: Visit) -> Response:
    """Put the released product under a theme."""
    act = registration.AssignTheme(visit.request.path_params["asset"], visit.text("theme", at_most=64))
    return visit.done("theme_assigned", await visit.perform(registration.assign_theme, act))


@asset.on("apply")
async def apply(visit: Visit) -> Response:
    """Apply for the first registration."""
    act = applications.Apply(visit.request.path_params["asset"], "initial", _rights(visit))
    return visit.done("applied", await visit.perform(applications.apply, act))


async def own(visit: Visit) -> dict[str, Any]:
    """The dossier of the asset in the address, for its department alone; NotFound alike for another's and for none."""
    identifier = visit.request.path_params["asset"]
    found = await visit.read(catalogue.dossier, identifier, visit.caller)
    card = found.pop("asset")
    if card["supplier"] != visit.caller.party:
        raise NotFound("asset.unknown", f"no asset {identifier!r}", field="asset")
    return {
        "card": card,
        **found,
        "names": await _names(visit, card["supplier"]),
        "kinds": KINDS,
        "stages": STAGES,
        "taken": taken,
    }


@desk_page("/desk/assets/{asset}/report", roles=APPROVERS)
async def report(visit: Visit) -> Response:
    """What the department's tool found and does, with its pictures: of the newest assessment."""
    found = await visit.read(catalogue.dossier, visit.request.path_params["asset"], visit.caller)
    if not found["assessments"]:
        raise NotFound("assessment.unknown", "no assessment was filed yet", field="asset")
    try:
        drawn = article(found["assessments"][-1]["report"], visit.t.language)
    except (
        ValueError
    ):  # filed by another version of the tool: its figures stand on the asset's page all the same
        drawn = None
    # Whatever the report says, `article` lets no markup of it through.
    return await visit.show(
        "desk/report.html",
        card=found["asset"],
        paper=found["assessments"][-1],
        drawn=None if drawn is None else Markup(drawn),  # noqa: S704
    )


async def _names(visit: Visit, party: str) -> dict[str, str]:
    """What the people of a party are called, by identifier."""
    people = await visit.read(members_of, party, await visit.gate.now_us())
    return {one["person"]: one["name"] for one in people}


@desk_page("/desk/approvals", nav="approvals", roles=APPROVERS)
async def approvals(visit: Visit) -> Response:
    """Files that wait for an approval: the reader's turn first, then what waits for others."""
    files = await visit.read(_waiting, visit, None)
    files.sort(key=lambda one: one.stand != "you")
    return await visit.show("desk/approvals.html", files=files)


async def _waiting(session: AsyncSession, visit: Visit, asset: str | None) -> list[authorization.Waiting]:
    rules = await rulebook.at(session, await visit.gate.now_us())
    return await authorization.waiting(session, visit.caller, rules, asset=asset)


@desk_page("/desk/approvals/{asset}", roles=APPROVERS)
async def approval(visit: Visit) -> Response:
    """One file as its approver reads it: the newest assessment, what changed since the last look, who approved so far."""
    identifier = visit.request.path_params["asset"]
    found = await visit.read(catalogue.dossier, identifier, visit.caller)
    card, papers = found["asset"], found["assessments"]
    if not papers:
        raise NotFound("assessment.unknown", "no assessment was filed yet", field="asset")
    newest = papers[-1]
    look = await visit.read(_last_look, visit.session.person, identifier, newest["id"])
    before = None if look is None else next((one for one in papers if one["id"] == look[0]), None)
    waits = await visit.read(_waiting, visit, identifier)
    if visit.request.method == "GET":
        await visit.door.register_read(visit.session, f"{_looked_at(identifier)}{newest['id']}")
    rules = await visit.read(rulebook.at, await visit.gate.now_us())
    return await visit.show(
        "desk/approval.html",
        card=card,
        newest=newest,
        facts=facts(newest),
        waits=waits[0] if waits else None,
        look_us=None if look is None else look[1],
        changes=None if before is None else list(changes(before, newest, visit.t.language)),
        decisions=found["approvals"][::-1],
        names=await _names(visit, card["supplier"]),
        columns=_columns(newest["policy"], visit.t.language),
        cite=rules.behind,
    )


def _looked_at(asset: str) -> str:
    return f"desk/approvals/{asset}@"


async def _last_look(session: AsyncSession, person: str, asset: str, newest: str) -> tuple[str, str] | None:
    """Which other assessment than the newest one the person looked at last, and when; None for a first look."""
    for one in await accesses(session, person=person, what="read", limit=LOOKS_KEPT):
        where, _, seen = one["said"].partition("@")
        if f"{where}@" == _looked_at(asset) and seen != newest:
            return seen, one["time_us"]
    return None


@approval.on("decide", fresh=True)
async def decide(visit: Visit) -> Response:
    """Approve the assessment that was shown at the next level, or return the file with a reason.

    The form names the assessment, which is bound to the digests of table, policy and report: where a newer one was filed
    meanwhile, nothing is approved.
    """
    decision = visit.text("decision")
    if decision not in ("approve", "return"):
        raise Unprocessable(
            "authorization.decision",
            decision,
            field="decision",
            rule="approve or return",
            remedy="choose one",
        )
    said: Literal["approve", "return"] = "approve" if decision == "approve" else "return"
    reason = visit.text("reason", at_most=authorization.REASON_CHARACTERS, needed=False)
    act = authorization.Authorize(
        visit.request.path_params["asset"],
        visit.plain("assessment"),
        said,
        reason if said == "return" else "",
    )
    reply = await visit.perform(authorization.authorize, act)
    return visit.done(f"file_{orjson.loads(reply.outcome)['state']}", reply)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that two assessments say differently; `what` is a word of `compared`, or a column's name with `column`."""

    what: str
    old: str
    new: str
    column: str | None = None


def facts(paper: Mapping[str, Any]) -> dict[str, str]:
    """The figures of an assessment that its approver decides on, as text; what its report does not say is left out."""
    report = paper["report"]
    before, after = report.get("before") or {}, report.get("after") or {}
    said = {
        "rows": (report.get("raw") or {}).get("rows"),
        "k_before": before.get("k"),
        "k_after": after.get("k"),
        "risk_before_ppm": before.get("prosecutor_ppm"),
        "risk_after_ppm": after.get("prosecutor_ppm"),
        "suppressed": report.get("suppressed_rows"),
    }
    return {name: str(value) for name, value in said.items() if re.fullmatch("[0-9]{1,18}", str(value))}


COMPARED: Final = ("grade", "opening", "exempt_from_k", "raw_digest", "policy_digest", "report_digest")
"""Members of an assessment that a later one may say differently."""


def changes(
    old: Mapping[str, Any], new: Mapping[str, Any], language: Literal["zh", "en"]
) -> Iterator[Change]:
    """What an assessment says otherwise than an earlier one: its own members, its figures, and what is done to each column."""
    if old["id"] == new["id"]:
        return
    for name in COMPARED:
        if old[name] != new[name]:
            yield Change(name, str(old[name]), str(new[name]))
    was, now = facts(old), facts(new)
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield Change(name, was.get(name, "–"), now.get(name, "–"))
    left, right = _columns(old["policy"], language), _columns(new["policy"], language)
    for name in dict.fromkeys((*left, *right)):
        if left.get(name) != right.get(name):
            yield Change("column", left.get(name, "–"), right.get(name, "–"), name)


def _columns(policy: Mapping[str, Any], language: Literal["zh", "en"]) -> dict[str, str]:
    """What a policy does to each column, in words."""
    return {one["name"]: technique_words(one["technique"], language) for one in policy["columns"]}


PAGES: Final[tuple[DeskPage, ...]] = (
    assets, approvals, register, report, asset, approval,
)  # fmt: skip
