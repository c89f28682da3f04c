"""What everybody who signed in has: the own account with its sessions, and the party's keys."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from exchange import credentials
from exchange.credentials import SCOPES, AddKey, RevokeKey, RotateKey
from exchange.signin.sessions import accesses, sessions
from exchange.web.console import render
from exchange.web.desk import DeskPage, Visit, desk_page, sign_in_path
from exchange.web.sign_in import Offered, let_out, secured
from exchange.web.words import Words


async def _show_account(visit: Visit) -> Response:
    """Who sits here, where else, and what the register of accesses has of it."""
    return await visit.show(
        "desk/account.html",
        sessions=await visit.read(sessions, visit.session, visit.door.clock()),
        accesses=await visit.read(lambda s: accesses(s, person=visit.session.person, limit=20)),
    )


async def _end(visit: Visit) -> Response:
    await visit.door.end(visit.session, visit.digest("session"))
    return visit.done("session_ended")


async def _leave(visit: Visit) -> Response:
    await visit.door.end(visit.session)
    response = RedirectResponse(f"/{visit.t.language}{sign_in_path(visit.page.hall)}", 303)
    let_out(response, visit.page.hall)
    return response


async def _show_secure(visit: Visit) -> Response:
    """New secrets for the own account."""
    return await visit.show(
        "desk/secure.html",
        given={"login": visit.given("login")},
        offered=Offered.of(visit.door, visit.gate.signer.name, visit.form),
    )


async def _secure(visit: Visit) -> Response:
    reply, codes = await secured(visit.request, visit.form, visit.caller, None, visit.session.digest)
    t: Words = visit.t
    if reply.repeated:
        return visit.done("secured", reply, to=visit.page.path.rsplit("/", 1)[0])
    return await render(
        visit.request, t, "codes.html", codes=codes, index=reply.index,
        home=f"/{t.language}{visit.page.path.rsplit('/', 1)[0]}",
    )  # fmt: skip


account = desk_page("/desk/account", nav="account")(_show_account)
secure = desk_page("/desk/account/secure")(_show_secure)
regulators_account = desk_page("/regulator/account", nav="account", hall="regulator")(_show_account)
regulators_secure = desk_page("/regulator/account/secure", hall="regulator")(_show_secure)
for page in (account, regulators_account):
    page.on("end")(_end)
    page.on("leave")(_leave)
for page in (secure, regulators_secure):
    page.on("secure", fresh=True)(_secure)


@desk_page("/desk/keys", nav="keys")
async def keys(visit: Visit) -> Response:
    """The keys of the party, and where a further one is made."""
    found = await visit.read(credentials.keys, visit.caller, await visit.gate.now_us(), None, 200)
    own = [key for key in found if key["state"] == "active" and key["person"] == visit.caller.person]
    return await visit.show("desk/keys.html", keys=found, own_keys=own, scopes=SCOPES)


@keys.on("add", fresh=True)
async def add_key(visit: Visit) -> Response:
    """Bring the digest of a key that was made in the browser, in the place of one of the person's own where it names one."""
    if visit.text("replaces", at_most=64, needed=False):
        label = visit.text("label", at_most=80)
        rotate = RotateKey(visit.digest("replaces"), visit.digest("key_digest"), label)
        return visit.done("key_rotated", await visit.perform(credentials.rotate_key, rotate))
    wanted = {str(scope) for scope in visit.form.getlist("scope")}
    scopes = None if not wanted or wanted == set(SCOPES) else tuple(sorted(wanted))
    act = AddKey(visit.digest("key_digest"), visit.text("label", at_most=80), scopes)
    return visit.done("key_added", await visit.perform(credentials.add_key, act))


@keys.on("revoke", fresh=True)
async def revoke_key(visit: Visit) -> Response:
    """End a key of the party."""
    return visit.done(
        "key_revoked", await visit.perform(credentials.revoke_key, RevokeKey(visit.digest("key")))
    )


PAGES: Final[tuple[DeskPage, ...]] = (keys, account, secure, regulators_account, regulators_secure)
