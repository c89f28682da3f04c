"""Routes of lists of assets: a list arrives piece by piece, and is declared slice by slice, each row once."""

from __future__ import annotations

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request

from exchange import rulebook
from exchange.api.delivery import vault_of
from exchange.api.doorway import CallerDep, Callers, GateDep
from exchange.errors import Conflict, ExchangeError
from exchange.gate import Reply
from exchange.messages.assets import ListView, SliceMessage, SliceView
from exchange.registration.bulk import LIST_BYTES, DeclareRow, Row, RowFailure, declare_rows, read_list

router = APIRouter(prefix="/v1", tags=["assets"])


@router.get("/lists/{sha256}")
async def arrived(sha256: str, request: Request, caller: CallerDep) -> ListView:
    """How much of a list of yours arrived, so that you can go on from there (supplier)."""
    caller.require("supplier")
    vault = vault_of(request)
    offset = await asyncio.to_thread(vault.arrived, caller.party, sha256)
    whole = await asyncio.to_thread(vault.whole, caller.party, sha256) is not None
    return ListView(sha256=sha256, offset=offset, complete=whole)


@router.put("/lists/{sha256}", status_code=201)
async def append(
    sha256: str,
    request: Request,
    caller: CallerDep,
    offset: Annotated[int, Query(ge=0, le=LIST_BYTES, description="where the piece begins, in bytes")] = 0,
) -> ListView:
    """Send a piece of a list as the raw request body, the list named by the SHA-256 of the whole (supplier).

    Each piece begins where the bytes that arrived end (`offset`); what came before a cut stays.
    """
    caller.require("supplier")
    caller.within("register")
    vault = vault_of(request)
    end = await vault.append(caller.party, sha256, offset, request.stream(), limit_bytes=LIST_BYTES)
    whole = await asyncio.to_thread(vault.whole, caller.party, sha256) is not None
    return ListView(sha256=sha256, offset=end, complete=whole)


@router.post("/lists/{sha256}/declarations")
async def declare_slice(
    sha256: str, message: SliceMessage, request: Request, gate: GateDep, caller: CallerDep
) -> SliceView:
    """Declare some rows of a list that arrived whole, each under its own `id`, and say what failed and why (supplier).

    There is no all or nothing. Sent again, whole or in part, no row takes effect twice: `id` names it.
    """
    caller.require("supplier")
    caller.within("register")
    data = await asyncio.to_thread(vault_of(request).whole, caller.party, sha256)
    if data is None:
        raise Conflict(
            "bulk.incomplete",
            "the list has not arrived whole",
            field="sha256",
            rule="a list is declared when all its bytes are here and hash to its name",
            remedy=f"ask GET /v1/lists/{sha256} how many arrived, and send the rest",
        )
    rules = await gate.read(rulebook.at, await gate.now_us())
    rows = await asyncio.to_thread(read_list, data, rules)
    part = rows[message.first - 1 : message.first - 1 + message.count]
    taken = [row for row in part if isinstance(row, Row)]
    failures = [row for row in part if isinstance(row, RowFailure)]
    callers: Callers = request.app.state.callers
    quota = request.state.quota = callers.quotas.spend(caller.party, max(0, len(taken) - 1))
    quota.require()
    acts = [(DeclareRow.of(row, rules, gate.chance), row.key) for row in taken]
    declared = []
    for row, answer in zip(taken, await gate.perform_all(declare_rows, acts, caller=caller), strict=True):
        match answer:
            case Reply():
                asset = orjson.loads(answer.outcome)["asset"]
                told = {"row": row.row, "id": row.id, "asset": asset, "index": answer.index}
                declared.append({**told, "repeated": answer.repeated})
            case ExchangeError():
                failures.append(RowFailure.of(row.row, row.id, answer))
            case _:
                raise answer
    behind = message.first + len(part)
    return SliceView.model_validate(
        {
            "total": len(rows),
            "next": behind if behind <= len(rows) else None,
            "declared": declared,
            "failures": [
                {name: getattr(one, name) for name in RowFailure.__slots__}
                for one in sorted(failures, key=lambda one: one.row)
            ],
        }
    )
