"""The accounts with which people sign in to the console: links by which one is opened, or opened anew."""

from __future__ import annotations

import hashlib
import secrets

from exchange.client.answers import Done, Invited
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.signin import ResetDecisionMessage, ResetMessage, ResetView


class SignIn(Asking):
    """The accounts with which people sign in to the console."""

    def console_link(self, person: str, *, identifier: str | None = None) -> Steps[Invited]:
        """Ask for a link with which a person opens an account of the console, or opens it anew.

        For yourself it is good at once, for 72 hours; for somebody else once an administrator, who is neither of you,
        grants it, and then what the person signed in with is void. The token is drawn here.
        """
        token = secrets.token_urlsafe(32)
        message = ResetMessage(person=person, token_digest=hashlib.sha256(token.encode()).hexdigest())
        done = yield from self._write("/v1/account-resets", message, identifier, {"person": person})
        return Invited(person, f"{self.url}/zh/enrol#{token}", token, done)

    def account_resets(self) -> Steps[list[ResetView]]:
        """Links that wait for a second administrator, the oldest first (administrator)."""
        return self._read_all("/v1/account-resets", ResetView)

    def decide_account_reset(self, reset: str, *, grant: bool, identifier: str | None = None) -> Steps[Done]:
        """Grant or decline a link that somebody else asked for (administrator)."""
        message = ResetDecisionMessage(decision="grant" if grant else "decline")
        about = {"id": reset, "state": "granted" if grant else "declined"}
        return self._write(v1("account-resets", reset, "decision"), message, identifier, about)
