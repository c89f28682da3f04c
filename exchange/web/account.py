"""What everybody who signed in has: the own account with its sessions, and the party's keys."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from exchange import credentials, signin
from exchange.credentials import SCOPES, AddKey, RevokeKey, RotateKey
from exchange.errors import Malformed, Unprocessable
from exchange.signin.passkeys import Answer, to_make
from exchange.signin.sessions import accesses, sessions
from exchange.web.console import render
from exchange.web.desk import DeskPage, Visit, desk_page, sign_in_path, site_of
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


async def _show_factors(visit: Visit) -> Response:
    """What second factors the person has, and where a passkey is added."""
    return await visit.show(
        "desk/factors.html",
        had=await visit.read(signin.second_factors, visit.session.person),
        site=site_of(visit.request),
    )


async def _begin_passkey(visit: Visit) -> Response:
    """With a name for it and a fresh second factor: ask the browser for a new passkey."""
    label, had = (
        visit.text("label", at_most=80),
        await visit.read(signin.second_factors, visit.session.person),
    )
    site, known = site_of(visit.request), [bytes.fromhex(one["id"]) for one in had["passkeys"]]
    handle = visit.door.secrets.handle(visit.session.person)
    asked = visit.door.challenge("enrol", visit.session.digest)
    return await visit.show(
        "desk/passkey.html", label=label, site=site, options=to_make(site, handle, had["login"], known, asked)
    )


async def _add_passkey(visit: Visit) -> Response:
    text = visit.form.get("passkey")
    if not isinstance(text, str) or not text:
        raise Unprocessable(
            "passkey.none",
            "no passkey was made",
            field="passkey",
            rule="a passkey is made by the browser, which needs scripts",
            remedy="make it anew",
        )
    answer = Answer(text, site_of(visit.request), "enrol", visit.session.digest)
    act = signin.ChangeFactors(adds=await visit.door.made(answer), label=visit.text("label", at_most=80))
    return visit.done("passkey_added", await visit.perform(signin.change_factors, act))


async def _remove_factor(visit: Visit) -> Response:
    """Take a passkey off, or the authenticator where none is named."""
    named = visit.text("passkey", at_most=2046, needed=False)
    act = signin.ChangeFactors(removes=_credential(named))
    return visit.done("factor_removed", await visit.perform(signin.change_factors, act))


def _credential(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Malformed(
            "form.field",
            "not a passkey",
            field="passkey",
            rule="hexadecimal digits",
            remedy="reload the page",
        ) from None


account = desk_page("/desk/account", nav="account")(_show_account)
secure = desk_page("/desk/account/secure")(_show_secure)
factors = desk_page("/desk/account/factors")(_show_factors)
regulators_account = desk_page("/regulator/account", nav="account", hall="regulator")(_show_account)
regulators_secure = desk_page("/regulator/account/secure", hall="regulator")(_show_secure)
regulators_factors = desk_page("/regulator/account/factors", hall="regulator")(_show_factors)
for page in (account, regulators_account):
    page.on("end")(_end)
    page.on("leave")(_leave)
for page in (secure, regulators_secure):
    page.on("secure", fresh=True)(_secure)
for page in (factors, regulators_factors):
    page.on("begin", fresh=True)(_begin_passkey)
    page.on("add", fresh=True)(_add_passkey)
    page.on("remove", fresh=True)(_remove_factor)


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


PAGES: Final[tuple[DeskPage, ...]] = (
    keys, account, secure, factors, regulators_account, regulators_secure, regulators_factors,
)  # fmt: skip
