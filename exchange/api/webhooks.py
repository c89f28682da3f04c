"""Routes of webhooks: where a party is told what concerns it, and how that fares."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from exchange import webhooks
from exchange.api.doorway import CallerDep, GateDep, KeyDep, Named, perform
from exchange.messages.identity import ReplayMessage, WebhookMessage
from exchange.messages.outcomes import (
    Answer,
    WebhookAnswer,
    WebhookRemoved,
    WebhookReplayed,
    WebhookSecretAnswer,
)
from exchange.messages.views import WebhookView
from exchange.outbound import check_url

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])


@router.get("", response_model=list[WebhookView])
async def list_webhooks(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The endpoints of your party, and how each fares: last success, failures, backlog."""
    return await gate.read(webhooks.endpoints, caller, (await gate.head()).edge.size)


@router.post("", status_code=201, response_model=WebhookAnswer)
async def add_webhook(
    body: WebhookMessage, request: Request, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Be told at an https address of each entry that your party may see, or of some kinds.

    Signed as Standard Webhooks says, at least once, in order; the secret is in this answer and in no other.
    """
    check_url(body.url, loopback=request.app.state.webhook_loopback)
    act = webhooks.AddWebhook(body.url, tuple(body.kinds))
    return _with_secret(request, await perform(gate, webhooks.add_webhook, act, caller, key))


@router.post("/{webhook}/removal", status_code=201, response_model=Answer[WebhookRemoved])
async def remove_webhook(webhook: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Be told nothing there any more."""
    return await perform(gate, webhooks.remove_webhook, webhooks.RemoveWebhook(webhook), caller, key)


@router.post("/{webhook}/rotation", status_code=201, response_model=WebhookSecretAnswer)
async def rotate_webhook_secret(
    webhook: Named, request: Request, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Take a new secret; for a day deliveries carry a signature by the old one too."""
    act = webhooks.RotateWebhookSecret(webhook)
    return _with_secret(request, await perform(gate, webhooks.rotate_webhook_secret, act, caller, key))


@router.post("/{webhook}/replay", status_code=201, response_model=Answer[WebhookReplayed])
async def replay_webhook(
    webhook: Named, body: ReplayMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Be told again from an entry on; an endpoint that was disabled is active again."""
    act = webhooks.ReplayWebhook(webhook, body.sequence)
    return await perform(gate, webhooks.replay_webhook, act, caller, key)


def _with_secret(request: Request, answer: Response) -> Response:
    """The answer with the endpoint's secret in it, for whoever did the act and asks under its identifier."""
    if answer.status_code == 201:
        outcome = orjson.loads(answer.body)["outcome"]
        told = webhooks.told_secret(
            request.app.state.link_key, outcome["id"], int(outcome.get("version", "0"))
        )
        answer.body = bytes(answer.body)[:-1] + b',"secret":' + orjson.dumps(told) + b"}"
        answer.headers["Content-Length"] = str(len(answer.body))
        answer.headers["Cache-Control"] = "no-store"
    return answer
