"""Pages of who signed in: who sits there, what a form asks, how its answer is shown. One way for all of them.

A page is a coroutine that shows, under `desk_page`, and for each of its forms a coroutine that acts, under `page.on(name)`:

    @desk_page("/desk/keys", nav="keys")
    async def keys(visit: Visit) -> Response:
        return await visit.show("desk/keys.html", keys=await visit.read(credentials.keys, visit.caller, ...))

    @keys.on("revoke", fresh=True)
    async def revoke(visit: Visit) -> Response:
        return visit.done("revoked", await visit.perform(credentials.revoke_key, RevokeKey(visit.digest("key"))))

An act goes through the gate as the person's own, under the identifier that its form carries; a form that is sent twice is
answered once. What the rooms refuse is shown on the same page, at its field.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from exchange.acts import Act, Caller
from exchange.errors import ExchangeError, Forbidden, Malformed, TooLarge, Unprocessable
from exchange.gate import Gate, Reply
from exchange.signin import confirmed_needed, second_factors
from exchange.signin.passkeys import Answer, Site, to_show
from exchange.signin.sessions import Door, Hall, Session, find
from exchange.web.console import Page, gate_of, render
from exchange.web.words import MARKET_ZONE, Words
from pricing.errors import PricingError
from pricing.money import parse_unit_price_micro

FORM_LIMIT: Final = 262_144
"""Bytes of a form; a page that takes files says how many more."""

PARTS_LIMIT: Final = 1000
"""Fields of a form."""

COOKIES: Final[dict[Hall, str]] = {"exchange": "__Host-exchange", "regulator": "__Host-regulator"}

PLAIN: Final = r"[A-Za-z0-9_-]{1,64}"

R = TypeVar("R")
Show = Callable[["Visit"], Awaitable[Response]]


class Recorded(Unprocessable):
    """An act that was refused on the record, at a log index."""

    def __init__(self, reply: Reply) -> None:
        reason = orjson.loads(reply.outcome)["reason"]
        super().__init__(
            reason["code"],
            reason["detail"],
            field=reason.get("field"),
            rule=reason.get("rule"),
            remedy=reason.get("remedy"),
        )
        self.index = reply.index


@dataclass(frozen=True, slots=True)
class _Form:
    handle: Show
    fresh: bool


HEADINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "venue": ("onboarding", "people", "rulebook", "fees", "health", "jobs", "backups", "audit"),
    "data": ("assets", "approvals", "counter", "notices"),
    "market": ("discover", "watch", "selling", "negotiations", "tenders", "duties", "demands"),
    "deals": ("trades", "contracts", "licences", "subscriptions", "dates"),
    "money": ("money", "invoices", "income"),
    "access": ("account", "keys", "webhooks", "controls"),
}
"""The navigation: under which heading (`desk_heading.…`) each page's word stands, and in what order."""


@dataclass(slots=True)
class DeskPage:
    """A page of who signed in: where it is, who sees it, what it shows, which forms it takes."""

    path: str
    show: Show
    nav: str | None
    """Its word in the navigation (`desk.…`); None for a page that another one leads to."""
    roles: frozenset[str] | None
    """Roles of parties whose people see it; None: whoever signed in."""
    hall: Hall
    takes_bytes: int
    """Bytes of a form here, its files with it. A form with files is never a `fresh` one: no page keeps them meanwhile."""
    forms: dict[str, _Form] = field(default_factory=dict)

    def on(self, name: str, *, fresh: bool = False) -> Callable[[Show], Show]:
        """Take the form whose `do` is `name`; `fresh` asks for a second factor that is not older than five minutes."""

        def take(handle: Show) -> Show:
            self.forms[name] = _Form(handle, fresh)
            return handle

        return take

    def opens_to(self, session: Session) -> bool:
        """Whether the person sees it."""
        return self.hall == session.hall and (self.roles is None or bool(self.roles & session.roles))


def desk_page(
    path: str,
    *,
    nav: str | None = None,
    roles: Collection[str] | None = None,
    hall: Hall = "exchange",
    takes_bytes: int = FORM_LIMIT,
) -> Callable[[Show], DeskPage]:
    """Make a page of what a coroutine shows."""
    whose = None if roles is None else frozenset(roles)
    return lambda show: DeskPage(path, show, nav, whose, hall, takes_bytes)


@dataclass(slots=True)
class Visit:
    """One request of who signed in, to one page."""

    request: Request
    t: Words
    page: DeskPage
    session: Session
    pages: Sequence[DeskPage]
    form: FormData = field(default_factory=FormData)
    problem: ExchangeError | None = None

    @property
    def caller(self) -> Caller:
        """As whom the person acts."""
        return self.session.caller

    @property
    def gate(self) -> Gate:
        """The gate that serves this."""
        return gate_of(self.request)

    @property
    def door(self) -> Door:
        """Where people come in."""
        return door_of(self.request)

    @property
    def token(self) -> str:
        """What a form carries against forgery."""
        return self.door.secrets.form_token(self.session.digest)

    @property
    def nav(self) -> list[tuple[str, list[DeskPage]]]:
        """Where the person may go: under the headings that have something for them, the regulator's few pages under none."""
        own = {page.nav: page for page in self.pages if page.nav is not None and page.opens_to(self.session)}
        if self.page.hall == "regulator":
            return [("", list(own.values()))]
        headed = ((name, [own[word] for word in words if word in own]) for name, words in HEADINGS.items())
        return [(name, found) for name, found in headed if found]

    def address(self, page: DeskPage) -> str:
        """Where a page is, in the reader's language."""
        return f"/{self.t.language}{page.path}"

    def identifier(self) -> str:
        """A fresh identifier for one form."""
        return f"web-{self.gate.chance(12).hex()}"

    def given(self, name: str, else_: str = "") -> str:
        """What was entered before it was refused."""
        value = self.form.get(name) if self.problem is not None else None
        return value if isinstance(value, str) else else_

    async def read(self, ask: Callable[..., Awaitable[R]], *args: Any) -> R:
        """Let a room read, as `Gate.read`."""
        return await self.gate.read(ask, *args)

    async def show(self, template: str, **found: Any) -> HTMLResponse:
        """The page, with its frame."""
        done, entry = self.request.query_params.get("done", ""), self.request.query_params.get("entry", "")
        return await render(
            self.request,
            self.t,
            template,
            visit=self,
            said=self.t.texts.get(f"done.{done}") if self.problem is None else None,
            said_entry=entry if re.fullmatch("[0-9]{1,18}", entry) else None,
            **found,
        )

    async def perform(self, decide: Any, act: Act, *, step: str = "") -> Reply:
        """Let the gate decide the form's act, once. Raises what the room raises, and `Recorded` what it refused.

        `step` tells the acts of a form apart that does several.
        """
        reply = await self.gate.perform(decide, act, caller=self.caller, key=self.key(step))
        if reply.refused:
            raise Recorded(reply)
        return reply

    def key(self, step: str = "") -> str:
        """The identifier of the form's act, or of that step of it."""
        return self.plain("identifier") + step

    def done(self, said: str, reply: Reply | None = None, *, to: str | None = None) -> Response:
        """Lead on to where the result is seen (this page, unless another path is named), with a word (`done.…`)."""
        query = {"done": said} if reply is None else {"done": said, "entry": str(reply.index)}
        path = f"/{self.t.language}{to}" if to is not None else self.request.url.path
        return RedirectResponse(f"{path}?{urlencode(query)}", 303)

    # What a form's fields say; each raises Malformed at its field.

    def text(self, name: str, *, at_most: int = 2000, needed: bool = True) -> str:
        """A text, without surrounding space."""
        value = self.form.get(name)
        value = value.strip() if isinstance(value, str) else ""
        if (needed and not value) or len(value) > at_most:
            raise _malformed(name, f"1 to {at_most} characters", "fill it in")
        return value

    def plain(self, name: str) -> str:
        """An identifier."""
        value = self.text(name, at_most=64)
        if not re.fullmatch(PLAIN, value):
            raise _malformed(name, "1 to 64 of A-Z a-z 0-9 _ -", "check the identifier")
        return value

    def digest(self, name: str) -> bytes:
        """A SHA-256 as hex."""
        value = self.text(name, at_most=64).lower()
        if not re.fullmatch("[0-9a-f]{64}", value):
            raise _malformed(name, "a SHA-256: 64 hexadecimal digits", "copy it whole")
        return bytes.fromhex(value)

    def whole(self, name: str, *, at_most: int = 2**63 - 1) -> int:
        """A whole number from 0."""
        value = self.text(name, at_most=25).replace(",", "")
        if not re.fullmatch("[0-9]{1,19}", value, re.ASCII) or int(value) > at_most:
            raise _malformed(name, f"a whole number from 0 to {at_most}", "write digits alone")
        return int(value)

    def fen(self, name: str) -> int:
        """Yuan with at most two decimals, as fen."""
        value = self.text(name, at_most=25).replace(",", "")
        try:
            fen = (
                Decimal(value).scaleb(2)
                if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,2})?", value, re.ASCII)
                else None
            )
        except InvalidOperation:
            fen = None
        if fen is None:
            raise _malformed(name, "an amount in yuan, two decimals at most", "write it as 1234.56")
        return int(fen)

    def millionths(self, name: str) -> int:
        """A number with at most six decimals, as millionths: yuan as micro-yuan, megabytes as bytes."""
        try:
            return parse_unit_price_micro(self.text(name, at_most=30).replace(",", ""))
        except PricingError:
            raise _malformed(name, "a number, six decimals at most", "write it as 0.0028") from None

    async def file(self, name: str) -> bytes:
        """The bytes of a file that was chosen, however often they are asked for; none where there was no choice."""
        value = self.form.get(name)
        if not isinstance(value, UploadFile):
            return b""
        await value.seek(0)
        return await value.read()

    async def document(self, name: str) -> dict[str, Any]:
        """A file that holds a JSON object."""
        try:
            said = orjson.loads(await self.file(name))
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise _malformed(name, "a file with a JSON object", "choose the file that the tool wrote")
        return said

    def instant(self, name: str) -> int:
        """A time of the market's zone (`datetime-local`), as microseconds."""
        try:
            at = datetime.fromisoformat(self.text(name, at_most=30))
        except ValueError:
            raise _malformed(name, "a date and time (ISO 8601)", "choose it in the calendar") from None
        return int((at if at.tzinfo is not None else at.replace(tzinfo=MARKET_ZONE)).timestamp()) * 1_000_000


def _malformed(name: str, rule: str, remedy: str) -> Malformed:
    return Malformed("form.field", f"{name}: not as it has to be", field=name, rule=rule, remedy=remedy)


def door_of(request: Request) -> Door:
    """The door of the application that serves this request."""
    door: Door = request.app.state.door
    return door


def site_of(request: Request) -> Site:
    """Where passkeys are at home: at the address that the operator named, or else on this machine alone.

    Never what a request says of itself: a proxy in between could let a passkey sign for another site.
    """
    door = door_of(request)
    _, port = request.scope.get("server") or ("", None)
    here = f"http://localhost:{port}" if port not in {None, 80} else "http://localhost"
    return Site(door.site or here, gate_of(request).signer.name)


def sign_in_path(hall: Hall) -> str:
    """Where one comes in to a hall."""
    return "/sign-in" if hall == "exchange" else "/regulator/sign-in"


async def sitting(request: Request, hall: Hall) -> Session | None:
    """Who sits there, by the cookie of the hall; None for nobody."""
    token = request.cookies.get(COOKIES[hall], "")
    if not re.fullmatch("[0-9a-f]{64}", token):
        return None
    gate, door = gate_of(request), door_of(request)
    session = await gate.read(find, token, hall, door.clock(), await gate.now_us())
    if session is not None:
        request.app.state.callers.quotas.spend(session.party).require()
        await door.seen(session)
    return session


def require_ours(request: Request) -> None:
    """Forbidden for what another site sent."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    ours = (
        site == "same-origin" if site is not None else urlsplit(origin).netloc == request.headers.get("host")
    )
    if not ours:
        raise Forbidden(
            "form.foreign",
            "this form was sent by another site",
            rule="forms are taken from pages of this site alone (Origin, Sec-Fetch-Site)",
            remedy="open the page here and send it again",
        )


async def fields_of(request: Request, limit: int = FORM_LIMIT) -> FormData:
    """The fields of a form that came from a page of ours, of at most `limit` bytes.

    Forbidden where another site sent it, TooLarge and Malformed for what is none.
    """
    require_ours(request)
    arrived = bytearray()
    async for chunk in request.stream():
        arrived += chunk
        if len(arrived) > limit:
            raise TooLarge(
                "form.size",
                f"over {limit} bytes",
                rule=f"at most {limit} bytes",
                remedy="shorten it",
            )
    body = bytes(arrived)
    said: list[tuple[str, str | UploadFile]]
    try:
        kind = request.headers.get("content-type", "")
        if kind.lower().startswith("multipart/form-data"):
            said = _parts(kind, body)
        else:
            said = [
                *parse_qsl(
                    body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARTS_LIMIT
                )
            ]
    except ValueError:
        raise Malformed(
            "form.form", "not a form", rule="application/x-www-form-urlencoded or multipart/form-data, UTF-8"
        ) from None
    return FormData(said)


def _parts(kind: str, body: bytes) -> list[tuple[str, str | UploadFile]]:
    """The fields of a form with files (RFC 7578), as they came; ValueError for what is none."""
    boundary = re.search(r'boundary="?([^";,\s]{1,70})"?', kind)
    pieces = [] if boundary is None else (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode("ascii"))
    if not 2 <= len(pieces) <= PARTS_LIMIT or not pieces[-1].startswith(b"--"):
        raise ValueError("no parts")
    found: list[tuple[str, str | UploadFile]] = []
    for piece in pieces[1:-1]:
        head, gap, content = piece.partition(b"\r\n\r\n")
        name = re.search(rb'(?im)^content-disposition:[^\r\n]*?;\s*name="([^"\r\n]*)"', head)
        if not gap or name is None:
            raise ValueError("a part without a name")
        is_file = re.search(rb"(?im)^content-disposition:[^\r\n]*;\s*filename\*?=", head) is not None
        found.append(
            (
                name[1].decode(),
                UploadFile(BytesIO(content), size=len(content)) if is_file else content.decode(),
            )
        )
    return found


def routes(pages: Sequence[DeskPage]) -> list[tuple[str, Page]]:
    """What the console mounts for these pages, and the way to the first of them."""
    return [("/desk/", _first(pages, "exchange")), ("/regulator/", _first(pages, "regulator"))] + [
        (page.path, _serve(page, pages)) for page in pages
    ]


def _first(pages: Sequence[DeskPage], hall: Hall) -> Page:
    async def lead(request: Request, t: Words) -> Response:
        """To the first page that is for the person."""
        session = await sitting(request, hall)
        if session is None:
            return RedirectResponse(f"/{t.language}{sign_in_path(hall)}", 303)
        page = next(page for page in pages if page.nav is not None and page.opens_to(session))
        return RedirectResponse(f"/{t.language}{page.path}", 303)

    return lead


def _serve(page: DeskPage, pages: Sequence[DeskPage]) -> Page:
    async def serve(request: Request, t: Words) -> Response:
        session = await sitting(request, page.hall)
        if session is None:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            query = urlencode({"next": target}) if request.method == "GET" else urlencode({"ended": "1"})
            return RedirectResponse(f"/{t.language}{sign_in_path(page.hall)}?{query}", 303)
        if not page.opens_to(session):
            raise Forbidden(
                "page.role",
                "this page is for others",
                rule="each role has its own pages",
                remedy="sign in as a person of a party that has the role",
            )
        visit = Visit(request, t, page, session, pages)
        if request.method == "POST":
            return await _take(visit)
        if page.hall == "regulator":
            looked_at = request.url.path.split("/", 2)[2] + (
                f"?{request.url.query}" if request.url.query else ""
            )
            await visit.door.register_read(session, f"/{looked_at}")
        return await page.show(visit)

    return serve


async def _take(visit: Visit) -> Response:
    """Act on a form, or show the page again with what was refused."""
    visit.form = await fields_of(visit.request, visit.page.takes_bytes)
    if not hmac.compare_digest(str(visit.form.get("proof", "")).encode(), visit.token.encode()):
        raise Forbidden(
            "form.stale",
            "this form belongs to a session that is over",
            rule="a form is good for the session in which it was made",
            remedy="open the page again and send it anew",
        )
    form = visit.page.forms.get(str(visit.form.get("do", "")))
    if form is None:
        raise Malformed("form.unknown", "no such form on this page", field="do", remedy="reload the page")
    if form.fresh and not visit.session.fresh(visit.door.clock()):
        await _confirm(visit)
        if not visit.session.fresh(visit.door.clock()):
            return await _ask_again(visit)
    try:
        return await form.handle(visit)
    except ExchangeError as error:
        visit.problem = error
        response = await visit.page.show(visit)
        response.status_code = error.status
        return response


CONFIRMING: Final = ("confirm_code", "confirm_passkey")


async def _confirm(visit: Visit) -> None:
    """Take the second factor that a form brings, or see what is wrong with it."""
    code, passkey = (visit.form.get(name) for name in CONFIRMING)
    shown: str | Answer | None = None
    if isinstance(passkey, str) and passkey:
        shown = Answer(passkey, site_of(visit.request), "confirm", visit.session.digest)
    elif isinstance(code, str) and code.strip():
        shown = code
    visit.problem = None if code is None else confirmed_needed()
    if shown is not None:
        try:
            visit.session, visit.problem = await visit.door.confirm(visit.session, shown), None
        except ExchangeError as error:
            visit.problem = error


async def _ask_again(visit: Visit) -> Response:
    """Ask for the second factor, and keep what the form says meanwhile."""
    had = await visit.read(second_factors, visit.session.person)
    good = [bytes.fromhex(one["id"]) for one in had["passkeys"] if not one["copied"]]
    asked = visit.door.challenge("confirm", visit.session.digest)
    return await visit.show(
        "desk/confirm.html",
        kept=[pair for pair in visit.form.multi_items() if pair[0] not in CONFIRMING],
        site=site_of(visit.request),
        options=to_show(site_of(visit.request), good, asked) if good else None,
    )
