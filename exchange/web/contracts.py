"""Contracts to sign: read clause by clause with their hashes, and signed in the page with a key that stays in the browser."""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from exchange import contracting, contracts, credentials
from exchange.errors import Malformed
from exchange.signing import key_id_of
from exchange.web.desk import DeskPage, Visit, desk_page
from exchange.web.enterprise import ROWS, TRADERS, index_in, title_of
from exchange.web.pictures import mark

WAITING_SHOWN: Final = 200
"""Signing keys of a party that its pages look through."""


@desk_page("/desk/contracts", nav="contracts", roles=TRADERS)
async def agreements(visit: Visit) -> Response:
    """The party's contracts: first those that wait for its signature."""
    rows = await visit.read(contracting.contracts_of, visit.caller, index_in(visit, "before"), ROWS)
    titles = {row["asset"]: await visit.read(title_of, row["asset"], visit.caller) for row in rows}
    others = [row for row in rows if not row["waits"]]
    return await visit.show(
        "desk/contracts.html",
        waiting=[row for row in rows if row["waits"]],
        others=others,
        titles=titles,
        forms={name: contracts.template(name).title[visit.t.language] for name in contracts.TEMPLATES},
        older=others[-1]["index"] if len(others) == ROWS else None,
    )


@desk_page("/desk/contracts/{trade}", roles=TRADERS)
async def agreement(visit: Visit) -> Response:
    """One contract, its clauses in the reader's language with the hash of each, and who has signed."""
    found = await visit.read(contracting.contract, visit.request.path_params["trade"], visit.caller)
    side = contracting.side_of(found["values"]["buyer"], visit.caller)
    keys = await visit.read(credentials.signing_keys, visit.caller, None, WAITING_SHOWN)
    return await visit.show(
        "desk/contract.html",
        found=found,
        mark=mark(visit.request, visit.t.language, found["drawn_index"]),
        asset_title=await visit.read(title_of, found["values"]["asset"], visit.caller),
        title=found["title"][visit.t.language],
        clauses=[
            {"name": one["name"], "text": one[visit.t.language], "hash": contracts.clause_hash(one)}
            for one in found["clauses"]
        ],
        text={
            name: found[name]
            for name in ("clauses", "digest", "policy", "template", "template_digest", "values")
        },
        side=side,
        signed=found[f"{side}_index"] is not None,
        ended_keys=[key["id"] for key in keys if key["state"] == "revoked"],
    )


@agreement.on("sign", fresh=True)
async def sign(visit: Visit) -> Response:
    """Register the browser's key for the party where it is a new one, and sign with it."""
    public, signature = _hex(visit, "public", 32), _hex(visit, "signature", 64)
    key = key_id_of(public)
    known = await visit.read(credentials.signing_keys, visit.caller, None, WAITING_SHOWN)
    if key not in {one["id"] for one in known}:
        label = visit.text("label", at_most=80)
        await visit.perform(
            credentials.add_signing_key, credentials.AddSigningKey(public, label), step="-key"
        )
    act = contracting.SignContract(
        visit.request.path_params["trade"], visit.digest("digest").hex(), key, signature
    )
    return visit.done("contract_signed", await visit.perform(contracting.sign_contract, act))


def _hex(visit: Visit, name: str, size: int) -> bytes:
    said = visit.text(name, at_most=2 * size)
    if not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", said):
        raise Malformed(
            "form.field",
            f"{name}: not as it has to be",
            field=name,
            rule=f"{size} bytes in hexadecimal",
            remedy="open the page anew",
        )
    return bytes.fromhex(said)


PAGES: Final[tuple[DeskPage, ...]] = (agreements, agreement)
