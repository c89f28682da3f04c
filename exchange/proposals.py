"""A bidder's proposal, from its arrival to the act for the gate: taken in for whom it is due, held to what was sealed, and kept
before it counts. Both doors bring it the same way.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterable, AsyncIterator

from exchange import rulebook, tenders
from exchange.acts import Caller
from exchange.errors import NotFound, TooLarge, Unprocessable
from exchange.gate import Gate
from exchange.tenders import PROPOSAL_BYTES
from exchange.vault import Vault


async def taken_in(
    gate: Gate, vault: Vault, caller: Caller, tender: str, chunks: AsyncIterable[bytes]
) -> tuple[str, int]:
    """Let a proposal wait in the vault; its digest and size. Unprocessable where it is another file than was sealed, Conflict
    where the tender's bids are not being marked, TooLarge past the limit: then nothing of it stays.
    """
    digest = await gate.read(tenders.sealed_proposal, caller, tender)
    now_us = await gate.now_us()
    await gate.read(tenders.require_marked_now, tender, now_us)
    hasher = hashlib.sha256()

    async def limited() -> AsyncIterator[bytes]:
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > PROPOSAL_BYTES:
                raise TooLarge(
                    "proposal.too_large",
                    f"more than {PROPOSAL_BYTES} bytes",
                    field="proposal",
                    rule=f"a proposal has at most {PROPOSAL_BYTES} bytes",
                    remedy="none for this bid, whose digest is sealed: seal a smaller file the next time",
                )
            hasher.update(chunk)
            yield chunk

    try:
        return digest, await vault.receive(caller.party, digest, limited())
    except Unprocessable as refused:
        rules = await gate.read(rulebook.at, now_us)
        raise tenders.other_file(hasher.hexdigest(), digest, rules) from refused


async def brought(gate: Gate, vault: Vault, caller: Caller, key: str, tender: str) -> tenders.HandInProposal:
    """The act of handing in the file that waits, which is kept before it: a proposal on the record is never without its file.

    Whoever performs the act discards the waiting copy afterwards. NotFound where no file waits, unless `key` was answered before.
    """
    digest = await gate.read(tenders.sealed_proposal, caller, tender)
    if await gate.look_up(caller.party, key) is None:
        if vault.staged(caller.party, digest) is None:
            raise NotFound(
                "proposal.absent",
                "the file has not arrived",
                field="proposal",
                rule="the file comes first, then the act",
                remedy="PUT /v1/tenders/{tender}/proposal",
            )
        await asyncio.to_thread(vault.keep, caller.party, digest)
    return tenders.HandInProposal(tender, digest)


def read(vault: Vault, digest: str) -> bytes:
    """A proposal that is kept, checked as it is read."""
    with vault.at_hand(digest) as path:
        return path.read_bytes()


def head(code: str, digest: str) -> dict[str, str]:
    """The header fields of a proposal on its way to who may read it; never shown in a page, whatever is in it."""
    named = base64.b64encode(bytes.fromhex(digest)).decode()
    return {
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'attachment; filename="proposal-{code}"',
        "Repr-Digest": f"sha-256=:{named}:",
        "X-Content-Type-Options": "nosniff",
    }
