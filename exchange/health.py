"""How the exchange is, layer by layer: data, cloud, network, edge (数、云、网、端), each probe on its own.

A probe that fails, or does not answer in time, says so of itself and of its layer; the others are asked all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import venue
from exchange.database import driver
from exchange.errors import ExchangeError
from exchange.gate import Gate
from exchange.tables import Release, WebhookDelivery
from exchange.vault import Vault
from ledger import cosignatures, log, statements
from ledger.anchors import watch
from ledger.checkpoint import Verifier
from ledger.entries import verify_receipt
from ledger.policy import Policy

Layer = Literal["data", "cloud", "network", "edge"]
State = Literal["good", "warn", "bad", "off"]

LAYERS: Final[tuple[Layer, ...]] = ("data", "cloud", "network", "edge")
PROBE_S: Final = 5.0
"""How long a probe may take; past it, it counts as failed."""

FREE_BYTES: Final = 2 << 30
BEHIND: Final = 1000
"""Entries by which a witness may lag."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a probe says: how it stands, and a figure or a name that shows it."""

    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found by one probe of a layer, and how long it took."""

    layer: Layer
    probe: str
    state: State
    detail: str
    took_ms: float


Probe = Callable[[], Awaitable[Told]]


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at: the market's parts, the worker's jobs by name (`Worker.jobs`), and what the doors serve."""

    gate: Gate
    vault: Vault
    policy: Policy | None
    jobs: Callable[[], Mapping[str, Any]]
    served: Callable[[], Awaitable[Told]]

    def probes(self) -> list[tuple[Layer, str, Probe]]:
        """Every probe with its layer."""
        return [
            ("data", "log", self.newest_entry),
            ("data", "book", self.book),
            ("data", "products", self.products),
            ("cloud", "database", self.database),
            ("cloud", "queue", self.queue),
            ("cloud", "disk", self.disk),
            ("cloud", "jobs", self.rounds),
            ("network", "witnesses", self.witnesses),
            ("network", "chain", self.chain),
            ("network", "webhooks", self.webhooks),
            ("edge", "console", self.served),
        ]

    async def newest_entry(self) -> Told:
        """The newest entry is proven by the signed checkpoint, with the public key alone."""
        size = (await self.gate.head()).edge.size
        verify_receipt(await self.gate.receipt(size - 1), [Verifier.parse(self.gate.signer.vkey)])
        return Told("good", f"#{size - 1}")

    async def book(self) -> Told:
        """In every ledger debits and credits agree."""

        async def ask(session: AsyncSession) -> list[str]:
            found = await statements.trial_balance(await driver(session), None)
            return [
                ledger for ledger, total in found.totals.items() if total.balance or total.held_difference
            ]

        wrong = await self.gate.read(ask)
        return Told("bad", ", ".join(wrong)) if wrong else Told("good", "Σ = 0")

    async def products(self) -> Told:
        """The newest product that was released lies in the vault, with its size."""

        async def ask(session: AsyncSession) -> tuple[str, int] | None:
            query = (
                select(Release)
                .where(col(Release.state) == "accepted")
                .order_by(col(Release.log_index).desc())
            )
            row = (await session.execute(query.limit(1))).scalars().first()
            return None if row is None else (row.product_digest, row.size_bytes)

        newest = await self.gate.read(ask)
        if newest is None:
            return Told("off", "–")
        product = await asyncio.to_thread(self.vault.open, newest[0])
        try:
            return Told("good" if product.size_bytes == newest[1] else "bad", newest[0][:12])
        finally:
            product.close()

    async def database(self) -> Told:
        """The database answers."""
        began_s = time.monotonic()
        await self.gate.now_us()
        return Told("good", f"{1000 * (time.monotonic() - began_s):.1f} ms")

    async def queue(self) -> Told:
        """The gate takes acts."""
        return Told("bad", "full") if self.gate.full else Told("warn" if self.gate.pressed else "good", "–")

    async def disk(self) -> Told:
        """There is room for products and the log."""
        free = await asyncio.to_thread(self.vault.free_bytes)
        return Told("good" if free >= FREE_BYTES else "bad", f"{free / (1 << 30):.1f} GiB")

    async def rounds(self) -> Told:
        """Every job of the worker comes round, and none fails."""
        found = self.jobs()
        if not found:
            return Told("off", "–")
        failing = [name for name, job in found.items() if job.failing or job.late(self.gate.clock())]
        return Told("bad", ", ".join(failing)) if failing else Told("good", str(len(found)))

    async def witnesses(self) -> Told:
        """The quorum has signed up to the end of the log."""
        if self.policy is None:
            return Told("off", "–")

        async def ask(session: AsyncSession) -> tuple[int, int]:
            connection = await driver(session)
            begun = await venue.begun(connection)
            seen = await cosignatures.witnessed(connection, self.gate.signer, self.policy, begun)
            return (await log.read_head(connection)).edge.size, 0 if seen is None else seen[0]

        size, seen = await self.gate.read(ask)
        return Told(
            "good" if seen == size else "warn" if seen and size - seen < BEHIND else "bad", f"{seen} / {size}"
        )

    async def chain(self) -> Told:
        """The chain takes anchors."""

        async def ask(session: AsyncSession) -> Any:
            return await watch(await driver(session))

        seen = await self.gate.read(ask)
        if seen is None:
            return Told("off", "–")
        return Told("bad", seen.trouble.trouble) if seen.trouble else Told("good", str(seen.size))

    async def webhooks(self) -> Told:
        """What parties asked to be told reaches them."""

        async def ask(session: AsyncSession) -> tuple[int, int]:
            query = select(func.count(), func.count(col(WebhookDelivery.failing_since_us)))
            row = (await session.execute(query.select_from(WebhookDelivery))).one()
            return int(row[0]), int(row[1])

        count, failing = await self.gate.read(ask)
        if not count:
            return Told("off", "–")
        return Told("warn" if failing else "good", f"{count - failing} / {count}")


async def look(probes: Sequence[tuple[Layer, str, Probe]]) -> list[Finding]:
    """Ask all probes at once; each answers for itself, in its place."""
    return list(await asyncio.gather(*(_ask(*probe) for probe in probes)))


async def _ask(layer: Layer, name: str, probe: Probe) -> Finding:
    began_s = time.monotonic()
    try:
        told = await asyncio.wait_for(probe(), PROBE_S)
    except TimeoutError:
        told = Told("bad", f"> {PROBE_S:.0f} s")
    except ExchangeError as error:
        told = Told("bad", error.code)
    except Exception as error:  # whatever it is, it is this probe's finding
        told = Told("bad", type(error).__name__)
    return Finding(layer, name, told.state, told.detail, round(1000 * (time.monotonic() - began_s), 1))


def worst(findings: Sequence[Finding]) -> dict[Layer, State]:
    """How each layer stands: as its worst probe does. Pure."""
    order: tuple[State, ...] = ("bad", "warn", "good", "off")
    return {
        layer: min((f.state for f in findings if f.layer == layer), key=order.index, default="off")
        for layer in LAYERS
    }
