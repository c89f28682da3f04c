"""What witnesses signed: their lines over the log's checkpoints, kept beside the log and served with it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ledger import log
from ledger.checkpoint import Signer
from ledger.errors import NoteError
from ledger.policy import Policy

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_SIZES_LIMIT = 100
"""How many sizes are looked through, from the newest on, for one that meets a policy."""


async def keep(connection: AsyncConnection[Any], size: int, witness: str, line: str, time_s: int) -> None:
    """Keep a witness's line over the checkpoint of this size; the first one stays."""
    await connection.execute(
        "INSERT INTO cosignature (size, witness, line, time_s) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (size, witness, line, time_s),
    )


async def last_sizes(connection: AsyncConnection[Any], begun: int = 0) -> Mapping[str, int]:
    """The largest size that each witness (by its verifier key) cosigned. Reads all of them: ask once.

    Here and below, sizes up to `begun` were those of a log that this one took over from.
    """
    cursor = await connection.execute(
        "SELECT witness, max(size) FROM cosignature WHERE size > %s GROUP BY witness", (begun,)
    )
    return dict(await cursor.fetchall())


async def lines_between(connection: AsyncConnection[Any], after: int, upto: int) -> dict[int, str]:
    """For each size in (after, upto] that was cosigned the lines, joined, in the order of their keys."""
    cursor = await connection.execute(
        "SELECT size, string_agg(line, '' ORDER BY witness) FROM cosignature"
        " WHERE size > %s AND size <= %s GROUP BY size",
        (after, upto),
    )
    return dict(await cursor.fetchall())


async def witnessed(
    connection: AsyncConnection[Any], signer: Signer, policy: Policy | None, begun: int = 0
) -> tuple[int, str] | None:
    """Size and note of the newest checkpoint whose cosignatures meet the policy (without one: that has any).

    None where there is none among the newest. The note carries the log's signature and every line that is kept.
    """
    cursor = await connection.execute(
        "SELECT size, string_agg(line, '' ORDER BY witness) FROM cosignature WHERE size IN"
        " (SELECT DISTINCT size FROM cosignature WHERE size > %s ORDER BY size DESC LIMIT %s)"
        " GROUP BY size ORDER BY size DESC",
        (begun, _SIZES_LIMIT),
    )
    for size, lines in await cursor.fetchall():
        async for _, note in log.checkpoints(connection, signer, size - 1, size):
            signed = note + lines
            with suppress(NoteError):  # a row that somebody changed takes its checkpoint out, not the others
                if policy is None or policy.judge(signed)[1].met:
                    return size, signed
    return None
