"""Live events and webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from pydantic import BaseModel

from exchange.client.answers import Done, Endpoint
from exchange.client.calls.asking import Asking, v1
from exchange.client.carriers import Found, Walk
from exchange.client.errors import Unreachable, problem_of
from exchange.client.events import Position, StreamEvent
from exchange.client.wire import AGAIN, NoAnswer, Open, Patience, Piece, Steps, problem_in
from exchange.messages.identity import ReplayMessage, WebhookMessage
from exchange.messages.views import WebhookView


class Events(Asking):
    """Live events and webhooks."""

    def follow_lot(self, lot: str, *, after: int | None = None) -> Walk[StreamEvent]:
        """Follow a lot for as long as you iterate: a "snapshot", then each event once, in the order of the log.

        Lost and mute connections are made again by themselves, and what was missed is told; Unreachable where that does
        not succeed within `timeout_s`. `after` goes on from the index of an event that you kept, without a snapshot. A
        later "snapshot" in between says that more was missed than can be told again.
        """
        return self._follow(v1("lots", lot, "events"), after)

    def follow_account(self, *, after: int | None = None) -> Walk[StreamEvent]:
        """Follow what concerns your party, as `follow_lot` does a lot: each entry whose body it may see."""
        return self._follow("/v1/account/events", after)

    def _follow(self, path: str, after: int | None) -> Walk[StreamEvent]:
        position = Position(after)
        patience = Patience(self.wire.timeout_s)
        while True:
            why = "the stream ended"
            try:
                headers = {**self.wire.authorization(), **position.begin()}
                response: httpx.Response = yield Open(self.wire.url + path, headers, position.silence_s)
                if response.status_code == 200:
                    while (data := (yield Piece())) is not None:
                        patience.renew()
                        yield from map(Found, position.feed(data))
                    why = f"the stream ended: {position.ended or 'cut off'}"
                else:
                    problem = problem_in(response)
                    why = f"answered {problem['detail']!r}"
                    if problem.get("code") == "stream.too_far":
                        position.anew()
                    elif response.status_code not in (*AGAIN, 429):
                        raise problem_of(response.status_code, problem)
            except httpx.TransportError as error:
                why = f"{type(error).__name__} {error}".strip()
            try:
                yield patience.rest(why)
            except NoAnswer as error:
                raise Unreachable(str(error)) from error

    def webhooks(self) -> Steps[list[WebhookView]]:
        """The endpoints of your party, and how each fares: last success, failures, backlog."""
        return self._read_all("/v1/webhooks", WebhookView)

    def add_webhook(
        self, url: str, kinds: Sequence[str] = (), *, identifier: str | None = None
    ) -> Steps[Endpoint]:
        """Be told at an https address of each entry that your party may see, or of some kinds.

        Keep the `secret`: deliveries are signed with it (Standard Webhooks), and nobody shows it again.
        """
        message = WebhookMessage(url=url, kinds=list(kinds))
        return self._endpoint("/v1/webhooks", message, identifier, {"state": "active"})

    def rotate_webhook_secret(self, webhook: str, *, identifier: str | None = None) -> Steps[Endpoint]:
        """Take a new secret; for a day deliveries are signed with both."""
        path = v1("webhooks", webhook, "rotation")
        return self._endpoint(path, None, identifier, {"id": webhook})

    def _endpoint(
        self, path: str, message: BaseModel | None, identifier: str | None, about: Mapping[str, str]
    ) -> Steps[Endpoint]:
        answer: dict[str, Any] = {}
        done = yield from self._write(path, message, identifier, about, answer)
        return Endpoint(done.outcome["id"], str(answer.get("secret")), done)

    def replay_webhook(self, webhook: str, sequence: int, *, identifier: str | None = None) -> Steps[Done]:
        """Be told again from an entry on; an endpoint that was disabled is active again."""
        message = ReplayMessage(sequence=sequence)
        return self._write(v1("webhooks", webhook, "replay"), message, identifier, {"id": webhook})

    def remove_webhook(self, webhook: str, *, identifier: str | None = None) -> Steps[Done]:
        """Be told nothing there any more."""
        return self._write(v1("webhooks", webhook, "removal"), None, identifier, {"id": webhook})
