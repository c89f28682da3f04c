"""Coming in: the sign-in of each hall, and where a one-time link leads, to an account of password and second factor, an authenticator or a passkey."""

from __future__ import annotations

import re
from base64 import b32encode
from dataclasses import dataclass
from typing import Any, Final

import segno
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from exchange import signin
from exchange.acts import Caller
from exchange.credentials import key_digest
from exchange.errors import ExchangeError, Malformed, Unauthenticated, Unprocessable
from exchange.gate import Reply
from exchange.signin.factors import (
    RECOVERY_CODES,
    SECRET_BYTES,
    check_login,
    check_password,
    key_address,
    matching_step,
    plain_login,
    recovery_code,
    recovery_digest,
)
from exchange.signin.passkeys import Answer, to_make, to_show
from exchange.signin.sessions import LONGEST_US, THE_DOOR, Door, Hall, Locked, digest_of, locked
from exchange.web.console import Page, gate_of, render
from exchange.web.desk import COOKIES, door_of, fields_of, sign_in_path, site_of, sitting
from exchange.web.words import Words

BROWSER: Final = "__Host-browser"
"""The cookie of a browser in which nobody sits yet: the challenge that its page shows is for it alone."""

NEXT: Final = re.compile(r"/(zh|en)/(desk|regulator)/[A-Za-z0-9_./?=&%-]*")


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")


def let_in(response: Response, hall: Hall, token: str) -> None:
    """Give the browser its session: for this site alone, over TLS alone, out of reach of scripts."""
    response.set_cookie(
        COOKIES[hall],
        token,
        max_age=LONGEST_US // 1_000_000,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def let_out(response: Response, hall: Hall) -> None:
    """Take the browser's session away."""
    response.delete_cookie(COOKIES[hall], path="/", secure=True, httponly=True, samesite="strict")


def _sign_in(hall: Hall) -> Page:
    async def sign_in(request: Request, t: Words) -> Response:
        """Name, password and second factor, all at once: none of them is told apart."""
        if request.method == "GET":
            if await sitting(request, hall) is not None:
                return RedirectResponse(
                    f"/{t.language}/{'desk' if hall == 'exchange' else 'regulator'}/", 303
                )
            return await show(request, t, request.query_params.get("next", ""))
        form = await fields_of(request)
        said = {name: str(form.get(name, "")) for name in ("login", "password", "code", "passkey", "next")}
        try:
            token = await come_in(request, said)
        except ExchangeError as error:
            response = await show(request, t, said["next"], said["login"], error)
            response.status_code = 401 if isinstance(error, Unauthenticated) else error.status
            return response
        led = NEXT.fullmatch(said["next"])
        home = f"/{t.language}/{'desk' if hall == 'exchange' else 'regulator'}/"
        response = RedirectResponse(said["next"] if led else home, 303)
        let_in(response, hall, token)
        return response

    async def come_in(request: Request, said: dict[str, str]) -> str:
        gate, door = gate_of(request), door_of(request)
        now_us = await gate.now_us()
        factor: str | Answer = said["code"][:40]
        if said["passkey"]:
            bound = digest_of(request.cookies.get(BROWSER, ""))
            factor = Answer(said["passkey"], site_of(request), "sign_in", bound)
        answer = await door.sign_in(
            hall, said["login"][:100], said["password"][:1000], factor,
            address=_address(request), agent=_agent(request), now_us=now_us,
        )  # fmt: skip
        if isinstance(answer, Locked):
            act = signin.LockAccount(answer.person, answer.failures, now_us + answer.delay_us)
            key = f"lock-{answer.person}-{gate.chance(8).hex()}"
            await gate.perform(signin.lock_account, act, caller=THE_DOOR, key=key)
            raise locked(answer.delay_us)
        return answer[0]

    async def show(
        request: Request, t: Words, onward: str, login: str = "", problem: ExchangeError | None = None
    ) -> Response:
        kept = request.cookies.get(BROWSER, "")
        browser = kept if re.fullmatch("[0-9a-f]{64}", kept) else door_of(request).chance(32).hex()
        site, asked = site_of(request), door_of(request).challenge("sign_in", digest_of(browser))
        response = await render(
            request,
            t,
            "sign_in.html",
            hall=hall,
            site=site,
            options=to_show(site, (), asked),
            action=f"/{t.language}{sign_in_path(hall)}",
            onward=onward if NEXT.fullmatch(onward) else "",
            login=login,
            problem=problem,
            said="sign_in.ended" if "ended" in request.query_params else None,
        )
        response.set_cookie(BROWSER, browser, path="/", secure=True, httponly=True, samesite="strict")
        return response

    return sign_in


@dataclass(frozen=True, slots=True)
class Offered:
    """A second factor that was drawn and is not kept yet: as a form carries it, and as an authenticator takes it over."""

    sealed: str
    spelt: str
    picture: str

    @classmethod
    def of(cls, door: Door, issuer: str, form: FormData) -> Offered:
        """A fresh one, or the one that the form has offered already."""
        kept = str(form.get("factor", ""))
        secret = (
            door.secrets.open(bytes.fromhex(kept)) if re.fullmatch("([0-9a-f]{2}){1,200}", kept) else None
        )
        if secret is None:
            secret = door.chance(SECRET_BYTES)
            kept = door.secrets.seal(secret, door.chance).hex()
        spelt = b32encode(secret).decode()
        address = key_address(secret, str(form.get("login", "")) or "account", issuer)
        return cls(
            kept,
            " ".join(spelt[at : at + 4] for at in range(0, len(spelt), 4)),
            segno.make(address, error="m").svg_data_uri(scale=4, border=3),
        )


async def secured(
    request: Request, form: FormData, caller: Caller, token: bytes | None, session: bytes | None
) -> tuple[Reply, list[str]]:
    """Judge the secrets that a form brings and keep them; the recovery codes, which are shown this once.

    The second factor is an authenticator, or the passkey that a one-time link was opened with. Who sits here already may
    leave the code out: what second factors there are then stay.
    """
    door, gate = door_of(request), gate_of(request)
    login = plain_login(str(form.get("login", "")))
    password, passkey = str(form.get("password", "")), str(form.get("passkey", ""))
    check_login(login)
    check_password(login, password)
    made, factor = None, None
    if token is not None and passkey:
        made, factor = await door.made(Answer(passkey, site_of(request), "enrol", token)), b""
    elif token is not None or str(form.get("code", "")).strip():
        factor = _authenticator(door, form)
    codes = [recovery_code(door.chance) for _ in range(RECOVERY_CODES)]
    act = signin.SecureAccount(
        token, login, await door.hash_password(password), factor, tuple(recovery_digest(one) for one in codes), session,
        adds=made, label=str(form.get("label", ""))[:80],
    )  # fmt: skip
    key = str(form.get("identifier", "")) if token is None else f"secure-{token.hex()[:40]}"
    return await gate.perform(signin.secure_account, act, caller=caller, key=key), codes


def _authenticator(door: Door, form: FormData) -> bytes:
    """The sealed secret that a form offered, once its authenticator shows the code of now; Malformed, Unprocessable else."""
    sealed, code = str(form.get("factor", "")), str(form.get("code", "")).strip().replace(" ", "")
    secret = (
        door.secrets.open(bytes.fromhex(sealed)) if re.fullmatch("([0-9a-f]{2}){1,200}", sealed) else None
    )
    if secret is None:
        raise Malformed(
            "account.factor",
            "the second factor of this form is none of ours",
            field="code",
            remedy="open the page anew",
        )
    if matching_step(secret, code, door.clock(), 0) is None:
        raise Unprocessable(
            "account.code",
            "this is not the code that the authenticator shows now",
            field="code",
            rule="six digits that change every 30 seconds (RFC 6238)",
            remedy="scan the picture, check that the phone's clock is right, and enter the code that it shows",
        )
    return bytes.fromhex(sealed)


async def enrol(request: Request, t: Words) -> Response:
    """Where a one-time link leads: an account in two steps, the link first."""
    form = await fields_of(request) if request.method == "POST" else FormData()
    token = str(form.get("token", "")).strip()[:200]
    try:
        if not token:
            return await render(request, t, "enrol.html", problem=None, invited=None)
        invited = await gate_of(request).read(
            signin.link_of, key_digest(token), await gate_of(request).now_us()
        )
    except ExchangeError as error:
        response = await render(request, t, "enrol.html", problem=error, invited=None)
        response.status_code = error.status
        return response
    problem = None
    if form.get("do") == "secure":
        visitor = Caller("enrolment", "enrolment", frozenset(), channel="web")
        try:
            reply, codes = await secured(request, form, visitor, key_digest(token), None)
            return await _opened(request, t, invited, reply, codes)
        except ExchangeError as error:
            problem = error
    door, site = door_of(request), site_of(request)
    handle, asked = door.secrets.handle(invited.person), door.challenge("enrol", key_digest(token))
    response = await render(
        request,
        t,
        "enrol.html",
        problem=problem,
        invited=invited,
        token=token,
        site=site,
        options=to_make(site, handle, invited.name, (), asked),
        given={name: str(form.get(name, "")) for name in ("login",)},
        offered=Offered.of(door, gate_of(request).signer.name, form),
    )
    response.status_code = 200 if problem is None else problem.status
    return response


async def _opened(
    request: Request, t: Words, invited: signin.Invited, reply: Reply, codes: list[str]
) -> Response:
    hall: Hall = "regulator" if "regulator" in invited.roles else "exchange"
    if reply.repeated:  # the codes of the first time were shown then
        return RedirectResponse(f"/{t.language}{sign_in_path(hall)}", 303)
    session = await door_of(request).begin(
        invited.person, hall, address=_address(request), agent=_agent(request)
    )
    response: Response = await render(
        request,
        t,
        "codes.html",
        codes=codes,
        index=reply.index,
        home=f"/{t.language}/{'desk' if hall == 'exchange' else 'regulator'}/",
    )
    let_in(response, hall, session)
    return response


PAGES: Final[tuple[tuple[str, Any], ...]] = (
    ("/sign-in", _sign_in("exchange")),
    ("/regulator/sign-in", _sign_in("regulator")),
    ("/enrol", enrol),
)
