"""Routes of contracts: the four forms, a listing's standing terms, a trade's contract and its signatures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import contracting, contracts
from exchange.api.doorway import AfterName, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep, perform
from exchange.messages.contracts import (
    ContractDocument,
    ContractSignatureMessage,
    ContractSigned,
    ContractView,
    FormView,
    TermsSigned,
    TermsView,
)
from exchange.messages.outcomes import Answer
from ledger.entries import receipt_to_json

router = APIRouter(prefix="/v1", tags=["contracts"])


@router.get("/contracts", response_model=list[FormView])
async def contract_forms(
    pages: PagesDep, after: AfterName = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """The four contracts of 2025-07-04 as data: clauses in both languages, and the blanks that a seller fills."""
    behind = 0 if after not in contracts.TEMPLATES else contracts.TEMPLATES.index(after) + 1
    rows = [
        {
            "name": form.name,
            "title": form.title,
            "source": form.source,
            "verified": form.verified,
            "template_digest": form.digest,
            "blanks": [
                {
                    "name": blank.name,
                    "words": blank.words,
                    "rule": blank.rule(),
                    "default": blank.default,
                    "choices": blank.choices,
                }
                for blank in form.blanks_of("seller")
            ],
            "clauses": [{"name": name, **text} for name, text in form.clauses],
        }
        for form in map(contracts.template, contracts.TEMPLATES[behind : behind + limit])
    ]
    pages.link(rows, limit, lambda row: row["name"])
    return rows


@router.get("/listings/{listing}/contract", response_model=TermsView)
async def listing_contract(listing: Named, gate: GateDep) -> dict[str, Any]:
    """What whoever buys here will sign: the standing terms of a listing, whether the seller has signed them, and by which
    entry.
    """
    return await gate.read(contracting.listing_contract, listing)


@router.post("/listings/{listing}/contract/signature", status_code=201, response_model=Answer[TermsSigned])
async def sign_terms(
    listing: Named, body: ContractSignatureMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Sign your standing terms, so that each purchase needs only the buyer's signature (the listing's seller)."""
    act = contracting.SignTerms(listing, body.digest, body.key, bytes.fromhex(body.signature))
    return await perform(gate, contracting.sign_terms, act, caller, key)


@router.get("/trades/{trade}/contract", response_model=ContractView)
async def contract(trade: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """The contract of a trade, for its two sides and the regulator."""
    return await gate.read(contracting.contract, trade, caller)


@router.post("/trades/{trade}/contract/signature", status_code=201, response_model=Answer[ContractSigned])
async def sign_contract(
    trade: Named, body: ContractSignatureMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Sign the contract of your trade with a signing key of your party; delivery begins when both sides have."""
    act = contracting.SignContract(trade, body.digest, body.key, bytes.fromhex(body.signature))
    return await perform(gate, contracting.sign_contract, act, caller, key)


@router.get("/trades/{trade}/contract/document", response_model=ContractDocument)
async def contract_document(trade: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """The contract as a file to keep: whoever has it and the log's key verifies it offline (`exchange contract verify`)."""
    view = await gate.read(contracting.contract, trade, caller)
    receipts = {}
    for name, member in (("drawn", "drawn_index"), ("seller", "seller_index"), ("buyer", "buyer_index")):
        index = view[member]
        receipts[name] = None if index is None else receipt_to_json(await gate.receipt(int(index)))
    return {"contract": view, **receipts}
