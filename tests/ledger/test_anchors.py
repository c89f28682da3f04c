"""Which checkpoints were put on a chain, as rows: signed, then confirmed or refused."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ledger.anchor import AnchorReceipt, SignedAnchor
from ledger.anchors import anchors, keep_confirmed, keep_refused, keep_signed, unconfirmed

pytestmark = pytest.mark.anyio

CONTRACT = "0xabc"


def signed(size: int) -> SignedAnchor:
    return SignedAnchor(size, size.to_bytes(32, "big"), f"0x{size:x}", b"raw%d" % size)


async def test_a_signed_anchor_waits_until_it_is_seen_in_a_block(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    assert await anchors(connection) == []
    for size in (900, 3, 2**40):
        await keep_signed(connection, signed(size), CONTRACT)
    assert await unconfirmed(connection) == [signed(3), signed(900), signed(2**40)]
    await keep_confirmed(
        connection,
        AnchorReceipt(
            chain_id=131277322940537,
            contract=CONTRACT,
            tx="0x3",
            size=3,
            root=(3).to_bytes(32, "big"),
            block=4,
            gas_used=60_000,
        ),
    )
    await keep_refused(connection, signed(900))
    assert await unconfirmed(connection) == [signed(2**40)]
    found = await anchors(connection)
    assert [(a["size"], a["state"]) for a in found] == [
        ("3", "confirmed"),
        ("900", "refused"),
        (str(2**40), "pending"),
    ]
    assert found[0] == {
        "size": "3",
        "root": (3).to_bytes(32, "big").hex(),
        "chain_id": "131277322940537",
        "contract": CONTRACT,
        "tx": "0x3",
        "block": "4",
        "state": "confirmed",
    }
    assert (found[2]["chain_id"], found[2]["block"]) == (None, None)


async def test_a_size_is_signed_for_once(connection: psycopg.AsyncConnection[Any]) -> None:
    await keep_signed(connection, signed(3), CONTRACT)
    with pytest.raises(psycopg.errors.UniqueViolation):
        await keep_signed(connection, signed(3), CONTRACT)
