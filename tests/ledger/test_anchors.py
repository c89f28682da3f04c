"""Which checkpoints were put on a chain, as rows: signed, in a block, out of it again, final or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from ledger.anchor import Mined, SignedAnchor
from ledger.anchors import (
    Kept,
    Trouble,
    Watch,
    anchors,
    keep_lost,
    keep_mined,
    keep_offered,
    keep_refused,
    keep_signed,
    keep_trouble,
    keep_watch,
    newest,
    take_back,
    unsettled,
    watch,
)

pytestmark = pytest.mark.anyio

CONTRACT = "0xabc"
CHAIN = 131277322940537


def signed(size: int) -> SignedAnchor:
    return SignedAnchor(
        size, size.to_bytes(32, "big"), CHAIN, f"0x{size:x}", size % 100, 60_000, 10**9, b"raw%d" % size
    )


def mined(one: SignedAnchor, block: int = 4) -> Mined:
    return Mined(one.tx, block, "0xb10c", True, 33_000)


def kept(one: SignedAnchor, state: Any = "pending", offered_us: int = 7, *more: SignedAnchor) -> Kept:
    every = (one, *more)
    return Kept(one.size, one.root, every[-1].tx, state, offered_us, every)


async def test_a_signed_anchor_is_followed_until_it_is_final_or_refused(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    assert await anchors(connection) == []
    assert await newest(connection) is None
    three, nine, large = signed(3), signed(900), signed(2**40)
    for one in (nine, three, large):
        await keep_signed(connection, one, CONTRACT, 7)
    assert await unsettled(connection) == [kept(three), kept(nine), kept(large)]
    await keep_mined(connection, 3, mined(three), final=False)
    assert (await unsettled(connection))[0] == kept(three, "confirmed")
    await keep_mined(connection, 3, mined(three), final=True)
    await keep_refused(connection, 2**40)
    assert await unsettled(connection) == [kept(three, "final"), kept(nine)]  # the newest final is watched
    assert await newest(connection) == (900, 7)
    found = await anchors(connection)
    assert [(a["size"], a["state"]) for a in found] == [
        ("3", "final"),
        ("900", "pending"),
        (str(2**40), "refused"),
    ]
    assert found[0] == {
        "size": "3",
        "root": (3).to_bytes(32, "big").hex(),
        "chain_id": str(CHAIN),
        "contract": CONTRACT,
        "tx": "0x3",
        "block": "4",
        "block_hash": "0xb10c",
        "gas_used": "33000",
        "reorganised": "0",
        "state": "final",
    }
    assert (found[1]["block"], found[1]["gas_used"]) == (None, None)


async def test_what_a_reorganisation_took_back_is_pending_again_and_counted(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    one = signed(3)
    await keep_signed(connection, one, CONTRACT, 7)
    await keep_mined(connection, 3, mined(one), final=False)
    await keep_lost(connection, 3, 9)
    assert await unsettled(connection) == [kept(one, "pending", 9)]
    (row,) = await anchors(connection)
    assert (row["state"], row["block"], row["block_hash"], row["reorganised"]) == ("pending", None, None, "1")


async def test_all_transactions_of_an_anchor_are_kept_in_the_order_of_their_signing(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    one = signed(3)
    dearer = replace(one, tx="0x1", gas_price_wei=2 * 10**9, raw=b"dearer")
    await keep_signed(connection, one, CONTRACT, 7)
    await keep_refused(connection, 3)
    await keep_signed(connection, dearer, CONTRACT, 9)  # which takes a refusal back
    assert await unsettled(connection) == [kept(one, "pending", 9, dearer)]
    await keep_offered(connection, 3, 11)
    assert (await unsettled(connection))[0].offered_us == 11
    await keep_mined(connection, 3, mined(one), final=False)  # the first one was faster
    assert (await unsettled(connection))[0].tx == one.tx


async def test_an_anchor_taken_back_from_a_bundle_has_no_transaction_to_offer(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    await take_back(connection, 3, b"r" * 32, CHAIN, CONTRACT, "0x3", 4)
    assert await unsettled(connection) == [Kept(3, b"r" * 32, "0x3", "confirmed", 0, ())]


async def test_a_trouble_is_remembered_from_when_it_began_until_it_is_over_and_ever_after(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    assert await watch(connection) is None
    assert await keep_watch(connection, CONTRACT, 1, 5, None) is None
    assert await watch(connection) == Watch(CONTRACT, 1, 5, ())
    assert await keep_watch(connection, CONTRACT, 2, None, "unreachable", "time-out") == 2
    assert await keep_watch(connection, CONTRACT, 3, None, "unreachable", "refused") == 2
    away = Trouble("unreachable", "refused", 2, None)
    seen = await watch(connection)
    assert seen == Watch(CONTRACT, 3, 5, (away,))
    assert seen.trouble == away
    assert await keep_watch(connection, CONTRACT, 4, 6, "refused") == 4
    await keep_trouble(connection, 5, "taken_back", "once", 5)
    assert await keep_watch(connection, CONTRACT, 6, 6, "refused") == 4
    seen = await watch(connection)
    assert seen is not None
    assert [(one.trouble, one.began_us, one.ended_us) for one in seen.troubles] == [
        ("refused", 4, None), ("taken_back", 5, 5), ("unreachable", 2, 4),
    ]  # fmt: skip
    assert await keep_watch(connection, CONTRACT, 7, 6, None) is None
    seen = await watch(connection)
    assert seen is not None
    assert (seen.trouble, len(seen.troubles)) == (None, 3)
