"""A file that a department releases, from its arrival to the act for the gate: measured once, judged, kept before it counts.

Both doors bring files the same way: the API by upload, the console by a form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from exchange import registration
from exchange.acts import Caller
from exchange.desensitization.child import measure_in_child
from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.gate import Gate
from exchange.registration.judgement import NOT_MEASURED, judge_release
from exchange.vault import Vault

MEASUREMENTS_AT_ONCE: Final = 2
"""Children that read arriving tables at a time: each may take gibibytes and a core."""


def measuring(state: Any) -> asyncio.Semaphore:
    """The turnstile before the measuring children, one for the application whose `state` this is."""
    if not hasattr(state, "measuring"):
        state.measuring = asyncio.Semaphore(MEASUREMENTS_AT_ONCE)
    turnstile: asyncio.Semaphore = state.measuring
    return turnstile


async def brought(
    gate: Gate,
    vault: Vault,
    turnstile: asyncio.Semaphore,
    caller: Caller,
    key: str,
    *,
    asset: str,
    authorization: str,
    product_digest: str,
    certificate: Mapping[str, Any],
) -> registration.ReleaseProduct:
    """The act of releasing a file that waits, with what was measured of it in a process of its own.

    A file that is not refused is kept before the act, so that an accepted product is never without it; whoever performs the
    act discards the waiting copy afterwards. One that cannot be read is discarded at once, and UnreadableTable or
    TableTooLarge raised. Nothing is measured where no file waits, or where `key` was answered before.
    """
    staged = vault.staged(caller.party, product_digest)
    found = NOT_MEASURED
    if staged is not None and await gate.look_up(caller.party, key) is None:
        authorized = await gate.read(registration.releasable, asset, authorization, caller)
        try:
            async with turnstile:
                measurement = await asyncio.to_thread(measure_in_child, staged, authorized.policy)
        except (UnreadableTable, TableTooLarge):
            await asyncio.to_thread(vault.discard, caller.party, product_digest)
            raise
        found = judge_release(measurement, authorized, product_digest, certificate)
        if not found.failures:
            await asyncio.to_thread(vault.keep, caller.party, product_digest)
    return registration.ReleaseProduct(
        asset,
        authorization,
        product_digest,
        certificate,
        registration.document_digest(certificate),
        found.measurement,
        found.failures,
    )
