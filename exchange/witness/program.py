"""The witness as a program: looks at its log again and again, and answers over HTTP.

POST /add-checkpoint     c2sp.org/tlog-witness
GET  /checkpoint         the newest checkpoint that it cosigned
GET  /tile/…             hashes and leaves as c2sp.org/tlog-tiles has them, as far as they were judged
GET  /consistency        ?old=&new=, a proof between two sizes that were judged
GET  /status, /alarm     for programs; GET / for people
GET  /bundles[/NAME]     bodies: with the token of `exchange witness init` alone
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import logging
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exchange.witness.keeper import REQUEST_LIMIT, Refusal, Witness
from ledger.errors import LedgerError
from ledger.tiles import encode_entries, parse_entries_path, parse_tile_path

logger = logging.getLogger(__name__)

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


def create_app(witness: Witness) -> Starlette:
    """The routes of one witness."""

    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > REQUEST_LIMIT:
                return PlainTextResponse(f"a request has at most {REQUEST_LIMIT} bytes\n", 400)
        try:
            return PlainTextResponse(await run_in_threadpool(witness.add_checkpoint, body))
        except Refusal as refusal:
            headers = {"Content-Type": refusal.media_type}
            if refusal.status == 503:
                headers["Retry-After"] = "5"
            return Response(refusal.text, refusal.status, headers)

    async def checkpoint(request: Request) -> Response:
        note = witness.note
        if note is None:
            return PlainTextResponse("nothing was cosigned yet\n", 404)
        return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})

    async def tile(request: Request) -> Response:
        path = f"tile/{request.path_params['path']}"
        try:
            if path.startswith("tile/entries/"):
                n, width = parse_entries_path(path)
                data = encode_entries(await run_in_threadpool(witness.entries, n, width))
            else:
                data = await run_in_threadpool(witness.tile, *parse_tile_path(path))
        except LedgerError as error:
            return PlainTextResponse(f"{error.detail}\n", 404)
        return Response(data, headers=_FOREVER, media_type="application/octet-stream")

    async def consistency(request: Request) -> Response:
        try:
            old, new = (int(request.query_params[name]) for name in ("old", "new"))
            proof = await run_in_threadpool(witness.prove, old, new)
        except (KeyError, ValueError) as error:
            return PlainTextResponse(f"two sizes that were judged: ?old=N&new=M ({error})\n", 400)
        return JSONResponse([b64encode(node).decode() for node in proof])

    async def status(request: Request) -> Response:
        return JSONResponse(_status(witness))

    async def alarm(request: Request) -> Response:
        found = witness.alarm
        return JSONResponse(None if found is None else found.to_json())

    async def bundles(request: Request) -> Response:
        if not _has_token(request, witness):
            return _unauthorized()
        return JSONResponse(await run_in_threadpool(_bundles, witness))

    async def bundle(request: Request) -> Response:
        if not _has_token(request, witness):
            return _unauthorized()
        wanted = request.path_params["name"]
        path = next((path for path in witness.bundles() if path.name == wanted), None)
        return PlainTextResponse("no such bundle\n", 404) if path is None else FileResponse(path)

    async def page(request: Request) -> Response:
        return HTMLResponse(_page(witness), headers={"Content-Security-Policy": _POLICY})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/checkpoint", checkpoint),
            Route("/tile/{path:path}", tile),
            Route("/consistency", consistency),
            Route("/status", status),
            Route("/alarm", alarm),
            Route("/bundles", bundles),
            Route("/bundles/{name}", bundle),
        ]
    )


async def serve(
    witness: Witness,
    host: str,
    port: int,
    *,
    every_s: float,
    started: Callable[[uvicorn.Server], None] = lambda server: None,
) -> None:
    """Serve and look until told to stop; a look that fails is tried again at the next turn."""
    config = uvicorn.Config(
        create_app(witness), host=host, port=port, access_log=False, log_level="warning", lifespan="off",
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = uvicorn.Server(config)
    stopping = asyncio.Event()

    async def looking() -> None:
        told = ""
        while not stopping.is_set():
            if witness.alarm is None:
                await run_in_threadpool(witness.look)
            found = witness.alarm
            news = witness.problem if found is None else f"ALARM {found.kind}: {found.en}"
            if news and news != told:
                logger.error("%s", news)
            told = news
            try:
                await asyncio.wait_for(stopping.wait(), every_s)
            except TimeoutError:
                continue

    task = asyncio.create_task(looking(), name="looking")
    started(server)
    try:
        await server.serve()
    finally:
        stopping.set()
        await task


def _status(witness: Witness) -> dict[str, object]:
    last, found = witness.cosigned, witness.alarm
    return {
        "alarm": None if found is None else found.to_json(),
        "cosigned_root": None if last is None else last.root.hex(),
        "cosigned_size": "0" if last is None else str(last.size),
        "judged_size": str(witness.judged),
        "log": witness.log.vkey,
        "looked_s": str(witness.looked_s),
        "name": witness.name,
        "problem": witness.problem or None,
        "vkey": witness.vkey,
    }


def _bundles(witness: Witness) -> list[dict[str, str]]:
    return [
        {
            "name": path.name,
            "start": str(int(path.stem.split("-")[0])),
            "stop": str(int(path.stem.split("-")[1])),
            "size_bytes": str(path.stat().st_size),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in witness.bundles()
    ]


def _has_token(request: Request, witness: Witness) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and witness.opens(token)


def _unauthorized() -> Response:
    return PlainTextResponse(
        "bodies need the token that `exchange witness init` printed\n", 401, {"WWW-Authenticate": "Bearer"}
    )


def _page(witness: Witness) -> str:
    last, found = witness.cosigned, witness.alarm
    looked = datetime.fromtimestamp(witness.looked_s, UTC).isoformat() if witness.looked_s else "—"
    rows = (
        ("日志 log", witness.log.name),
        ("已核验条目 entries judged", str(witness.judged)),
        ("已副署 cosigned", "—" if last is None else f"{last.size} · {last.root.hex()}"),
        ("上次核验 last look", looked),
        ("见证人公钥 verifier key", witness.vkey),
    )
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows
    )
    state = (
        '<p class="well">日志只增不改,本见证人所见一致。<br>The log only grew, and all that was seen agrees.</p>'
        if found is None
        else f'<p class="alarm"><b>警报 ALARM</b><br>{html.escape(found.zh)}<br>{html.escape(found.en)}</p>'
    )
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8"><title>见证人 Witness</title><style>'
        "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
        "th{text-align:left;padding:.3rem 1rem .3rem 0;white-space:nowrap;vertical-align:top}"
        "td{font-family:monospace;overflow-wrap:anywhere}.well{background:#e6f4ea;padding:1rem}"
        ".alarm{background:#fde7e7;padding:1rem;white-space:pre-wrap}</style>"
        f"<h1>见证人 Witness · {html.escape(witness.name)}</h1>{state}<table>{body}</table></html>"
    )
