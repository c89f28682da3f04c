"""A product that comes from its page piece by piece: a cut line costs the piece that was on its way, and nothing before it.

The protocol is that of `/v1/lists`: ask how much arrived, send the next piece from there. A file whose last piece came is
staged as one that was sent whole, and waits for its release.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from exchange.errors import ExchangeError, Forbidden, Malformed, TooLarge, Unauthenticated
from exchange.signin.sessions import Session
from exchange.vault import FILE_LIMIT_BYTES, Vault, check_digest
from exchange.web.desk import door_of, require_ours, sitting
from exchange.web.words import Words

PIECE_BYTES: Final = 1 << 20
"""Of a piece at most: what a cut line may cost."""


async def pieces(request: Request, t: Words) -> Response:
    """How much of a file arrived (GET), or a further piece of it (POST); what is refused is said in the reader's words."""
    try:
        return JSONResponse(await (_take(request) if request.method == "POST" else _arrived(request)))
    except ExchangeError as error:
        says = t.texts.get(f"refusal.{error.code}", error.detail)
        return JSONResponse({"code": error.code, "says": says}, error.status)


async def _arrived(request: Request) -> dict[str, Any]:
    session, vault, digest = await _who(request), _vault(request), _digest(request)
    whole = await asyncio.to_thread(vault.staged, session.party, digest) is not None
    offset = await asyncio.to_thread(vault.arrived, session.party, digest)
    return {"offset": offset, "complete": whole}


async def _take(request: Request) -> dict[str, Any]:
    require_ours(request)
    session, vault, digest = await _who(request), _vault(request), _digest(request)
    proof = door_of(request).secrets.form_token(session.digest)
    if not hmac.compare_digest(request.headers.get("x-proof", "").encode(), proof.encode()):
        raise Forbidden(
            "form.stale",
            "this page belongs to a session that is over",
            rule="a form is good for the session in which it was made",
            remedy="open the page again and choose the file anew: what arrived is kept",
        )
    offset, size = _whole(request, "offset"), _whole(request, "size")
    end = await vault.append(session.party, digest, offset, _piece(request), limit_bytes=FILE_LIMIT_BYTES)
    if end >= size:
        await vault.gather(session.party, digest)
    return {"offset": end, "complete": end >= size}


async def _piece(request: Request) -> AsyncIterator[bytes]:
    taken = 0
    async for chunk in request.stream():
        taken += len(chunk)
        if taken > PIECE_BYTES:
            raise TooLarge(
                "upload.piece", f"over {PIECE_BYTES} bytes", rule=f"a piece has {PIECE_BYTES} bytes at most"
            )
        yield chunk


async def _who(request: Request) -> Session:
    session = await sitting(request, "exchange")
    if session is None:
        raise Unauthenticated(
            "session.over",
            "the session is over",
            rule="files are taken from people who signed in",
            remedy="sign in in another tab, and go on here",
        )
    if "supplier" not in session.roles:
        raise Forbidden("page.role", "this is for departments", rule="each role has its own pages")
    return session


def _vault(request: Request) -> Vault:
    vault: Vault = request.app.state.vault
    return vault


def _digest(request: Request) -> str:
    return check_digest(request.query_params.get("sha256", ""), field="sha256")


def _whole(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not re.fullmatch("[0-9]{1,12}", text, re.ASCII) or int(text) > FILE_LIMIT_BYTES:
        raise Malformed(
            "upload.size",
            f"{name}: no number of bytes of a file",
            field=name,
            rule=f"0 to {FILE_LIMIT_BYTES} bytes",
            remedy="split the table, for example by month",
        )
    return int(text)


PAGES: Final = (("/desk/pieces", pieces),)
