"""The venue's pages: who comes in, who has which duty, the rules and what they cost, jobs, health, backups, the counter.

Each page is for the administrator's party; which of its forms a person may send its duty decides, in the rooms.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final, cast

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from exchange import accounts, backup, health, oversight, parties, rulebook, settlement, signin, venue
from exchange.errors import Unprocessable
from exchange.parties import DUTIES, ROLES, documents, members
from exchange.registration import applications
from exchange.rulebook.book import Rule
from exchange.signin.sessions import accesses
from exchange.web import vendor
from exchange.web.desk import DeskPage, Visit, desk_page

VENUE: Final = ("administrator",)
RULES: Final = ("administrator", "governing_body", "regulator")
PARTIES_A_PAGE: Final = 100
EXAMPLES_FEN: Final = (100_000, 10_000_00, 1_000_000_00, 50_000_000_00)
"""Prices whose parts the page of fees shows: a thousand yuan to fifty million."""


@desk_page("/desk/onboarding", nav="onboarding", roles=VENUE)
async def onboarding(visit: Visit) -> Response:
    """Organisations, those that wait for a review first, and where a further one is registered."""
    after = visit.request.query_params.get("after", "")
    rows = await visit.read(
        oversight.parties, after if re.fullmatch("org-[0-9a-f]{16}", after) else None, PARTIES_A_PAGE
    )
    rows.sort(key=lambda row: row["state"] != "applicant")
    return await visit.show(
        "desk/onboarding.html",
        parties=rows,
        roles=[role for role in ROLES if role != "administrator"],
        older=rows[-1]["id"] if len(rows) == PARTIES_A_PAGE else None,
    )


@onboarding.on("register")
async def register(visit: Visit) -> Response:
    """Register an organisation by its code."""
    roles = tuple(str(role) for role in visit.form.getlist("roles"))
    if not roles:
        raise Unprocessable(
            "party.roles",
            "no role",
            field="roles",
            rule="one or more roles",
            remedy="tick what the organisation does",
        )
    act = parties.RegisterParty(visit.text("uscc", at_most=40), visit.text("name", at_most=200), roles)
    return visit.done("party_registered", await visit.perform(parties.register_party, act))


@desk_page("/desk/onboarding/{party}", roles=VENUE)
async def party(visit: Visit) -> Response:
    """One organisation: its documents to review, its people to invite."""
    identifier = visit.request.path_params["party"]
    return await visit.show(
        "desk/party.html", **await visit.read(_party, visit, identifier, await visit.gate.now_us())
    )


async def _party(session: AsyncSession, visit: Visit, identifier: str, now_us: int) -> dict[str, Any]:
    found, rules = await oversight.party(session, identifier), await rulebook.at(session, now_us)
    return {
        "party": found,
        "documents": await documents.documents(session, visit.caller, identifier, now_us),
        "people": await members.members_of(session, identifier, now_us),
        "required": rules.words("parties.documents_required"),
        "kinds": [(kind, visit.t.named("paper", kind)) for kind in rules.words("parties.document_kinds")],
    }


@party.on("review", fresh=True)
async def review(visit: Visit) -> Response:
    """Accept or refuse a document that somebody else filed."""
    act = documents.ReviewDocument(
        visit.request.path_params["party"],
        visit.digest("digest").hex(),
        cast(Any, "accept" if visit.text("decision") == "accept" else "refuse"),
        visit.text("reason"),
    )
    return visit.done("document_reviewed", await visit.perform(documents.review_document, act))


@party.on("invite")
async def invite(visit: Visit) -> Response:
    """Invite a person; the link was made in the browser, and only its digest comes here."""
    act = parties.InvitePerson(
        visit.request.path_params["party"], visit.text("name", at_most=200), visit.digest("token_digest")
    )
    return visit.done("person_invited", await visit.perform(parties.invite_person, act))


@party.on("file")
async def file_document(visit: Visit) -> Response:
    """At the counter: put a paper document of the organisation on file, by the digest of its scan."""
    act = documents.FileDocument(
        visit.request.path_params["party"], cast(Any, visit.text("kind")), visit.digest("scan").hex(), None
    )
    return visit.done("document_filed", await visit.perform(documents.file_document, act))


@desk_page("/desk/people", nav="people", roles=VENUE)
async def people(visit: Visit) -> Response:
    """The venue's own people with their duties, and accounts that wait to be reset."""
    return await visit.show(
        "desk/people.html",
        people=await visit.read(members.members, visit.caller, await visit.gate.now_us()),
        resets=await visit.read(signin.resets, visit.caller),
        duties=DUTIES,
    )


@people.on("invite")
async def invite_colleague(visit: Visit) -> Response:
    """Invite a colleague of the venue."""
    act = parties.InvitePerson(
        visit.caller.party, visit.text("name", at_most=200), visit.digest("token_digest")
    )
    return visit.done("person_invited", await visit.perform(parties.invite_person, act))


@people.on("charge", fresh=True)
async def charge(visit: Visit) -> Response:
    """Charge a colleague with a duty."""
    act = parties.AssignDuty(visit.plain("person"), visit.text("duty"))
    return visit.done("duty_assigned", await visit.perform(parties.assign_duty, act))


@people.on("leave", fresh=True)
async def leave(visit: Visit) -> Response:
    """Somebody leaves the venue."""
    act = parties.EndMembership(visit.plain("person"))
    return visit.done("person_left", await visit.perform(parties.end_membership, act))


@people.on("reset", fresh=True)
async def ask_reset(visit: Visit) -> Response:
    """Ask for a fresh link for somebody who lost password or phone; another administrator decides."""
    act = signin.AskReset(visit.plain("person"), visit.digest("token_digest"))
    return visit.done("reset_asked", await visit.perform(signin.ask_reset, act))


@people.on("decide", fresh=True)
async def decide_reset(visit: Visit) -> Response:
    """Grant or decline a fresh link that somebody else asked for."""
    grant = visit.text("decision") == "grant"
    reply = await visit.perform(signin.decide_reset, signin.DecideReset(visit.plain("reset"), grant))
    return visit.done("reset_granted" if grant else "reset_declined", reply)


@desk_page("/desk/rulebook", nav="rulebook", roles=RULES)
async def rules(visit: Visit) -> Response:
    """The rules in force with their sources, what is proposed to change, and how."""
    now_us = await visit.gate.now_us()
    in_force = await visit.read(rulebook.at, now_us)
    proposals = await visit.read(rulebook.proposals, visit.caller)
    newest = await visit.read(rulebook.newest)
    return await visit.show(
        "desk/rulebook.html",
        rules=[in_force[name] for name in sorted(in_force.rules)],
        digest=in_force.digest,
        versions=await visit.read(rulebook.versions),
        proposals=[
            {
                **one,
                "changes": [
                    {
                        "name": name,
                        "old": newest[name] if name in newest.rules else None,
                        "new": Rule.from_json(name, said),
                    }
                    for name, said in one["rules"].items()
                ],
            }
            for one in proposals
        ],
        spelt=lambda value: json.dumps(value, ensure_ascii=False),
    )


@rules.on("propose", fresh=True)
async def propose(visit: Visit) -> Response:
    """Propose another figure for one rule, from a date on."""
    name = visit.text("rule", at_most=100)
    newest = await visit.read(rulebook.newest)
    if name not in newest.rules:
        raise Unprocessable(
            "rulebook.rule",
            name,
            field="rule",
            rule="a rule of the rulebook",
            remedy="choose one from the list",
        )
    old, text = newest[name], visit.text("value")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    said = {
        **old.to_json(),
        "value": str(value) if isinstance(value, int) and not isinstance(value, bool) else value,
    }
    if source := visit.text("source", needed=False):
        said["source"] = source
    act = rulebook.ProposeRuleChange({name: said}, None, visit.instant("effective"), visit.text("reason"))
    return visit.done("rule_proposed", await visit.perform(rulebook.propose_rule_change, act))


@rules.on("decide", fresh=True)
async def decide(visit: Visit) -> Response:
    """Sign a change as a second person, or reject it."""
    sign = visit.text("decision") == "sign"
    act = rulebook.DecideRuleChange(
        visit.plain("proposal"),
        visit.digest("digest").hex(),
        cast(Any, "sign" if sign else "reject"),
        "" if sign else visit.text("reason"),
    )
    return visit.done(
        "rule_signed" if sign else "rule_rejected", await visit.perform(rulebook.decide_rule_change, act)
    )


@desk_page("/desk/fees", nav="fees", roles=VENUE)
async def fees(visit: Visit) -> Response:
    """What a sale costs by the rules in force, each with its source, worked out for some prices."""
    in_force = await visit.read(rulebook.at, await visit.gate.now_us())
    return await visit.show(
        "desk/fees.html",
        rules=[in_force[name] for name in sorted(in_force.rules) if name.startswith("fees.")],
        examples=[settlement.split(price, in_force, None) for price in EXAMPLES_FEN],
    )


@desk_page("/desk/health", nav="health", roles=VENUE)
async def layers(visit: Visit) -> Response:
    """How the four layers are, and the worker's jobs; each probe answers for itself."""
    state = visit.request.app.state

    async def served() -> health.Told:
        wrong = await asyncio.to_thread(vendor.wrong)
        return health.Told("bad", ", ".join(wrong)) if wrong else health.Told("good", str(len(vendor.FILES)))

    watched = health.Watched(visit.gate, state.vault, state.policy, lambda: state.worker.jobs, served)
    findings = await health.look(watched.probes())
    return await visit.show("desk/health.html", findings=findings, layers=health.worst(findings))


@desk_page("/desk/jobs", nav="jobs", roles=VENUE)
async def jobs(visit: Visit) -> Response:
    """What this process does again and again, when each came round, and what failed."""
    found = visit.request.app.state.worker.jobs
    clock_us = visit.gate.clock()
    return await visit.show("desk/jobs.html", jobs=found, clock_us=clock_us)


@desk_page("/desk/backups", nav="backups", roles=VENUE)
async def backups(visit: Visit) -> Response:
    """What the store holds and how far it goes, and the drills that were held."""
    keeper = visit.request.app.state.worker.keeper
    kept: list[backup.Backup] = []
    reached, trouble = None, None
    if keeper is not None:
        try:
            kept, reached = await asyncio.to_thread(keeper.kept)
        except Exception as error:  # the drills are shown all the same
            trouble = getattr(error, "code", type(error).__name__)
    return await visit.show(
        "desk/backups.html",
        configured=keeper is not None,
        backups=kept[::-1][:30],
        reached=reached,
        trouble=trouble,
        drills=await visit.read(venue.drills, None, 50),
        clock_us=visit.gate.clock(),
    )


@desk_page("/desk/audit", nav="audit", roles=VENUE)
async def audit(visit: Visit) -> Response:
    """For who audits: the register of accesses, and whether the book agrees with itself."""
    before = visit.request.query_params.get("before", "")
    at = int(before) if re.fullmatch("[0-9]{1,18}", before) else None
    found = await visit.read(lambda session: accesses(session, before_us=at, limit=50))
    return await visit.show(
        "desk/audit.html",
        balance=await visit.read(accounts.trial_balance, visit.caller, None),
        accesses=found,
        older=found[-1]["time_us"] if len(found) == 50 else None,
    )


@desk_page("/desk/counter", nav="counter", roles=("registrar",))
async def counter(visit: Visit) -> Response:
    """Where a clerk enters a paper form: whose it is, who signed it, and the digest of its scan."""
    return await visit.show("desk/counter.html")


@counter.on("apply", fresh=True)
async def apply(visit: Visit) -> Response:
    """Put a first registration, a renewal or a cancellation that came on paper before the registrar."""
    act = visit.text("act")
    if act not in ("initial", "renew", "cancel"):
        raise Unprocessable(
            "application.act", act, field="act", rule="initial, renew or cancel", remedy="choose one"
        )
    rights = tuple(str(right) for right in visit.form.getlist("rights")) if act == "initial" else ()
    entered = applications.Counter(visit.plain("party"), visit.plain("person"), visit.digest("scan").hex())
    reason = visit.text("reason") if act == "cancel" else None
    application = applications.Apply(visit.plain("asset"), act, rights, reason=reason, counter=entered)
    return visit.done("form_entered", await visit.perform(applications.apply, application))


PAGES: Final[tuple[DeskPage, ...]] = (
    onboarding, people, rules, fees, layers, jobs, backups, audit, counter, party,
)  # fmt: skip
