"""The rules in force as everybody reads them: each in a sentence, with its source and clause; every citation leads here."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from exchange import rulebook
from exchange.web.console import Page, gate_of, render
from exchange.web.words import Words


async def rules(request: Request, t: Words) -> Response:
    """Every rule under the part of the rulebook that it is of, in the order of the sentences; its name is its place here."""
    gate = gate_of(request)
    book = await gate.read(rulebook.at, await gate.now_us())
    said = {name: place for place, name in enumerate(t.texts)}
    parts: dict[str, list[rulebook.Rule]] = {}
    for rule in sorted(
        book.rules.values(), key=lambda one: (said.get(f"rule.{one.name}", len(said)), one.name)
    ):
        parts.setdefault(rule.name.partition(".")[0], []).append(rule)
    return await render(
        request,
        t,
        "rules.html",
        parts=parts,
        version=book.version,
        digest=book.digest,
    )


PAGES: Final[tuple[tuple[str, Page], ...]] = (("/rules", rules),)
