"""What witnesses signed, in its table: the newest that meets a policy is served, and what was edited is passed over."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from exchange.database import Addresses
from ledger import cosignatures, log
from ledger.checkpoint import Checkpoint, Cosigner, open_note
from ledger.policy import Policy
from tests.ledger.test_log import SIGNER, append

pytestmark = pytest.mark.anyio

ONE, TWO = Cosigner("one.example", b"1" * 32), Cosigner("two.example", b"2" * 32)
BOTH = Policy.k_of_n(SIGNER.vkey, {"one": ONE.vkey, "two": TWO.vkey}, 2)
EITHER = Policy.k_of_n(SIGNER.vkey, {"one": ONE.vkey, "two": TWO.vkey}, 1)


async def cosigned(connection: psycopg.AsyncConnection[Any], *witnesses: Cosigner) -> int:
    """One more batch, whose checkpoint these witnesses sign; gives its size."""
    await append(connection, 3)
    checkpoint: Checkpoint = (await log.read_head(connection)).checkpoint()
    for witness in witnesses:
        line = witness.cosign(checkpoint.body(), 100)
        await cosignatures.keep(connection, checkpoint.size, witness.vkey, line, 100)
    await connection.commit()
    return checkpoint.size


async def served(connection: psycopg.AsyncConnection[Any], policy: Policy | None) -> int | None:
    """The size that is served under a policy; its note holds what the policy asks for."""
    found = await cosignatures.witnessed(connection, SIGNER, policy)
    if found is None:
        return None
    size, note = found
    if policy is not None:
        policy.require(note)
    assert open_note(note, BOTH.verifiers).checkpoint.size == size
    return size


async def test_the_newest_checkpoint_that_meets_the_policy_is_served(
    connection: psycopg.AsyncConnection[Any],
) -> None:
    assert await served(connection, None) is None
    first = await cosigned(connection, ONE)
    assert [await served(connection, policy) for policy in (BOTH, EITHER, None)] == [None, first, first]
    both = await cosigned(connection, TWO, ONE)
    last = await cosigned(connection, TWO)
    await cosigned(connection)
    assert [await served(connection, policy) for policy in (BOTH, EITHER, None)] == [both, last, last]
    assert dict(await cosignatures.last_sizes(connection)) == {ONE.vkey: both, TWO.vkey: last}
    lines = await cosignatures.lines_between(connection, first, last)
    assert {size: text.count("\n") for size, text in lines.items()} == {both: 2, last: 1}


async def test_a_line_that_is_kept_stays_and_one_that_was_edited_takes_its_checkpoint_out(
    connection: psycopg.AsyncConnection[Any], database: Addresses
) -> None:
    first = await cosigned(connection, ONE, TWO)
    second = await cosigned(connection, ONE, TWO)
    await cosignatures.keep(connection, second, ONE.vkey, "another", 200)
    await connection.commit()
    assert await served(connection, BOTH) == second
    assert database.owner_url is not None
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("ALTER TABLE cosignature DISABLE TRIGGER USER")
        owner.execute(
            "UPDATE cosignature SET line = (SELECT line FROM cosignature WHERE size = %s AND witness = %s)"
            " WHERE size = %s AND witness = %s",
            (first, TWO.vkey, second, TWO.vkey),
        )
    assert await served(connection, BOTH) == first
    assert await served(connection, EITHER) == first
