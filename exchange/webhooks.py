"""Room: where a party wants to be told what concerns it, and how far it was told.

Signatures are those of Standard Webhooks (github.com/standard-webhooks, v1, HMAC-SHA256). No secret is kept: it is
derived from the exchange's own key, so that neither database nor log nor backup holds one.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.tables import Webhook, WebhookDelivery

ENDPOINTS_LIMIT = 10
OVERLAP_US = 86_400_000_000
"""How long the secret before the newest one goes on signing beside it."""


def secret(key: bytes, endpoint: str, version: int) -> bytes:
    """The secret of an endpoint's signatures: 32 bytes."""
    return hmac.digest(key, f"webhook {endpoint} {version}".encode(), "sha256")


def told_secret(key: bytes, endpoint: str, version: int) -> str:
    """The same as its owner is told it, as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secret(key, endpoint, version)).decode()


def signed_headers(secrets: Sequence[bytes], message: str, time_s: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery, signed with each of the secrets. Pure."""
    said = b"%b.%d.%b" % (message.encode(), time_s, body)
    signatures = (base64.b64encode(hmac.digest(one, said, "sha256")).decode() for one in secrets)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(time_s),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }


@dataclass(frozen=True, slots=True)
class AddWebhook(Act):
    """Tell the calling party at `url` of what concerns it from now on: entries of these kinds, of all for none."""

    url: str
    kinds: tuple[str, ...]


async def add_webhook(tx: Transaction, act: AddWebhook) -> Record:
    """Keep an endpoint; the door has looked at its URL. Conflict past `ENDPOINTS_LIMIT`."""
    if len(set(act.kinds)) != len(act.kinds):
        raise Unprocessable(
            "webhook.kinds", "a kind twice", field="kinds", rule="each once", remedy="name it once"
        )
    held = await tx.session.execute(
        select(func.count()).where(col(Webhook.party) == tx.caller.party, col(Webhook.state) != "removed")
    )
    if held.scalar_one() >= ENDPOINTS_LIMIT:
        raise Conflict(
            "webhook.too_many",
            f"your party has {ENDPOINTS_LIMIT} endpoints",
            rule=f"at most {ENDPOINTS_LIMIT} endpoints a party",
            remedy="remove one first",
        )
    name = tx.identifier("whk")
    await tx.insert(
        Webhook(
            id=name,
            party=tx.caller.party,
            url=act.url,
            kinds=list(act.kinds),
            state="active",
            version=0,
            rotated_us=None,
            log_index=tx.index,
        ),
        WebhookDelivery(webhook=name, next_sequence=tx.index + 1, attempts=0, next_try_us=0, delivered=0),
    )
    return Record(
        "webhook_added",
        {
            "id": name,
            "kinds": list(act.kinds),
            "party": tx.caller.party,
            "state": "active",
            "url": tx.seal(act.url),
        },
    )


@dataclass(frozen=True, slots=True)
class RemoveWebhook(Act):
    """Tell nothing there any more."""

    id: str


async def remove_webhook(tx: Transaction, act: RemoveWebhook) -> Record:
    """NotFound for what is none of the party's."""
    endpoint = await _own(tx, act.id)
    endpoint.state = "removed"
    return Record("webhook_removed", {"id": endpoint.id, "state": "removed"})


@dataclass(frozen=True, slots=True)
class RotateWebhookSecret(Act):
    """Sign with a new secret, and for a day with the old one beside it."""

    id: str


async def rotate_webhook_secret(tx: Transaction, act: RotateWebhookSecret) -> Record:
    """NotFound for what is none of the party's."""
    endpoint = await _own(tx, act.id)
    endpoint.version += 1
    endpoint.rotated_us = tx.now_us
    return Record(
        "webhook_secret_rotated",
        {
            "id": endpoint.id,
            "overlap_us": str(OVERLAP_US),
            "state": endpoint.state,
            "version": str(endpoint.version),
        },
    )


@dataclass(frozen=True, slots=True)
class ReplayWebhook(Act):
    """Tell again from an entry on, and try again at once where the endpoint was failing or disabled."""

    id: str
    sequence: int


async def replay_webhook(tx: Transaction, act: ReplayWebhook) -> Record:
    """NotFound for what is none of the party's; Unprocessable for an entry that is not in the log yet."""
    endpoint = await _own(tx, act.id)
    if act.sequence > tx.index:
        raise Unprocessable(
            "webhook.sequence",
            f"entry {act.sequence} is not in the log",
            field="sequence",
            rule="0 to the size of the log",
            remedy="name an entry that is there",
        )
    endpoint.state = "active"
    progress = await tx.find(WebhookDelivery, endpoint.id, "webhook")
    progress.next_sequence, progress.attempts, progress.next_try_us = act.sequence, 0, 0
    progress.failing_since_us = None
    return Record("webhook_replayed", {"id": endpoint.id, "sequence": str(act.sequence), "state": "active"})


@dataclass(frozen=True, slots=True)
class DisableWebhook(Act):
    """The clock gives an endpoint up; its party is told by the entry."""

    id: str


async def disable_webhook(tx: Transaction, act: DisableWebhook) -> Record:
    """Conflict where it is not active (any more)."""
    endpoint = await tx.find(Webhook, act.id, "webhook")
    if endpoint.state != "active":
        raise Conflict("webhook.not_active", "this endpoint is not active", field="id")
    endpoint.state = "disabled"
    return Record(
        "webhook_disabled",
        {"id": endpoint.id, "party": endpoint.party, "state": "disabled"},
        readers=(endpoint.party,),
    )


async def _own(tx: Transaction, name: str) -> Webhook:
    endpoint = await tx.session.get(Webhook, name)
    if endpoint is None or endpoint.party != tx.caller.party or endpoint.state == "removed":
        raise NotFound(
            "webhook.unknown", "no such endpoint", field="id", remedy="GET /v1/webhooks lists yours"
        )
    return endpoint


@dataclass(frozen=True, slots=True)
class Due:
    """An endpoint that may be behind, and where it is to go on."""

    id: str
    party: str
    url: str
    kinds: tuple[str, ...]
    version: int
    rotated_us: int | None
    next_sequence: int
    attempts: int
    failing_since_us: int | None


async def due(session: AsyncSession, size: int, now_us: int) -> list[Due]:
    """The active endpoints that were not told all of the log, and whose next attempt is not later than now."""
    rows = await session.execute(
        select(Webhook, WebhookDelivery)
        .join(WebhookDelivery, col(WebhookDelivery.webhook) == col(Webhook.id))
        .where(
            col(Webhook.state) == "active",
            col(WebhookDelivery.next_sequence) < size,
            col(WebhookDelivery.next_try_us) <= now_us,
        )
        .order_by(col(Webhook.id))
    )
    return [
        Due(
            w.id, w.party, w.url, tuple(w.kinds), w.version, w.rotated_us, d.next_sequence, d.attempts,
            d.failing_since_us,
        )
        for w, d in rows
    ]  # fmt: skip


async def endpoints(session: AsyncSession, caller: Caller, size: int) -> list[dict[str, Any]]:
    """The endpoints of the caller's party and how each fares, the oldest first."""
    rows = await session.execute(
        select(Webhook, WebhookDelivery)
        .join(WebhookDelivery, col(WebhookDelivery.webhook) == col(Webhook.id))
        .where(col(Webhook.party) == caller.party, col(Webhook.state) != "removed")
        .order_by(col(Webhook.log_index))
    )
    return [
        {
            "id": w.id,
            "url": w.url,
            "kinds": w.kinds,
            "state": w.state,
            "backlog": str(max(0, size - d.next_sequence)),
            **{
                name: plain(getattr(d, name))
                for name in (
                    "attempts", "delivered", "failing_since_us", "last_answer", "last_success_us", "next_sequence",
                    "next_try_us",
                )
            },
        }
        for w, d in rows
    ]  # fmt: skip
