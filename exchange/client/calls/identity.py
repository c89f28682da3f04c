"""The market, and who calls: keys, signing keys, limits."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence

from nacl.signing import SigningKey

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps, expect
from exchange.messages.identity import (
    ControlsMessage,
    EnrolmentMessage,
    KeyMessage,
    RotationMessage,
    Scope,
    SigningKeyMessage,
)
from exchange.messages.market import ClockMessage
from exchange.messages.statistics import StatisticsView
from exchange.messages.views import ControlsView, KeyView, MeView, SigningKeyView

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,100}$")


class Identity(Asking):
    """The market, and who calls."""

    def statistics(self) -> Steps[StatisticsView]:
        """What the market came to, for everybody: assets by what they are, sales by month and by form."""
        return self._read("/v1/statistics", StatisticsView)

    def me(self) -> Steps[MeView]:
        """Who the key belongs to, and the party's free and held money."""
        return self._read("/v1/me", MeView)

    @staticmethod
    def make_key() -> tuple[str, str]:
        """A fresh key of 256 bits, (secret, SHA-256 in hex); the exchange only ever sees the second to enrol it."""
        secret = "dx_" + secrets.token_urlsafe(32)
        return secret, hashlib.sha256(secret.encode()).hexdigest()

    def enrol(self, link_or_token: str, *, secret: str | None = None, label: str = "first key") -> Steps[str]:
        """Redeem a one-time link: make a key here, send its digest, return the secret, and call with it from now on.

        Keep the secret. To be safe against a crash in between, make it first (`make_key`), store it, and pass
        it: the same link with the same secret answers again, with another one it is refused.
        """
        found = _TOKEN.search(link_or_token)
        if found is None:
            raise ValueError("link_or_token: no token in it; paste the whole link as it was given")
        token = found[0]
        if secret is None:
            secret, digest = self.make_key()
        else:
            digest = hashlib.sha256(secret.encode()).hexdigest()
        # Whoever enrols has no party yet, so the exchange derives the identifier from the link.
        identifier = f"enrol-{hashlib.sha256(token.encode()).hexdigest()[:40]}"
        message = EnrolmentMessage(token=token, key_digest=digest, label=label)
        yield from self._write("/v1/enrolments", message, identifier, {"key": digest})
        if self.wire.key is None:
            self.wire.key = secret
        return secret

    def add_key(
        self,
        label: str,
        *,
        scopes: Sequence[Scope] | None = None,
        expires_us: int | None = None,
        identifier: str | None = None,
    ) -> Steps[str]:
        """Bring a further key of the calling person; returns its secret, which is made here and kept by you.

        Give each program the `scopes` that it needs (`read`, `trade`, `money`, `register`, `manage`), and an end.
        """
        secret, digest = self.make_key()
        message = KeyMessage(
            key_digest=digest,
            label=label,
            scopes=None if scopes is None else list(scopes),
            expires_us=expires_us,
        )
        yield from self._write("/v1/keys", message, identifier, {"key": digest})
        return secret

    def rotate_key(
        self, digest: str, label: str, *, overlap_us: int, identifier: str | None = None
    ) -> Steps[str]:
        """Put a new key in the place of one of yours; the old one ends `overlap_us` later. Returns the new secret."""
        secret, successor = self.make_key()
        message = RotationMessage(key_digest=successor, label=label, overlap_us=overlap_us)
        about = {"key": successor, "replaces": digest}
        yield from self._write(v1("keys", digest, "rotation"), message, identifier, about)
        return secret

    def revoke_key(self, digest: str, *, identifier: str | None = None) -> Steps[Done]:
        """End a key of the caller's party, by its digest; it stops within a second."""
        return self._write(v1("keys", digest, "revocation"), None, identifier, {"key": digest})

    def keys(self) -> Steps[list[KeyView]]:
        """The keys of your party, newest first: for what, until when, when last used."""
        return self._read_all("/v1/keys", KeyView)

    def add_signing_key(
        self, label: str, *, secret: bytes | None = None, identifier: str | None = None
    ) -> Steps[bytes]:
        """Register a signing key, made here unless given, and sign every write with it from now on.

        Returns its 32 secret bytes: keep them, and pass them as `signing_key` to the next client. What you sign is
        kept with the signature, so that nobody can say later that you bid what you did not.
        """
        key = SigningKey.generate() if secret is None else SigningKey(secret)
        public = bytes(key.verify_key).hex()
        message = SigningKeyMessage(public=public, label=label)
        yield from self._write("/v1/signing-keys", message, identifier, {"public": public})
        self._signing_key = bytes(key)
        return bytes(key)

    def signing_keys(self) -> Steps[list[SigningKeyView]]:
        """The signing keys of your party, newest first."""
        return self._read_all("/v1/signing-keys", SigningKeyView)

    def revoke_signing_key(self, id: str, *, identifier: str | None = None) -> Steps[Done]:
        """End a signing key of your party."""
        return self._write(v1("signing-keys", id, "revocation"), None, identifier, {"id": id})

    def controls(self) -> Steps[ControlsView]:
        """What your party forbids itself, and whether it is stopped."""
        return self._read("/v1/controls", ControlsView)

    def set_controls(
        self,
        *,
        sign_above_fen: int | None = None,
        order_limit_fen: int | None = None,
        heartbeat_us: int | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Set all limits of your party: above which amount it signs its orders, which amount none of them passes, and
        after how long a silence (`heartbeat`) it is stopped. None is no limit.
        """
        message = ControlsMessage(
            sign_above_fen=sign_above_fen, order_limit_fen=order_limit_fen, heartbeat_us=heartbeat_us
        )
        return self._write("/v1/controls", message, identifier)

    def heartbeat(self) -> Steps[None]:
        """Say that you are there."""
        expect((yield from self.wire.ask("POST", "/v1/heartbeat")), 204)

    def stop_trading(self, *, identifier: str | None = None) -> Steps[Done]:
        """The kill switch: your party does nothing more until `resume_trading`. Its admitted bids stand."""
        return self._write("/v1/stop", None, identifier, {"state": "stopped"})

    def resume_trading(self, *, identifier: str | None = None) -> Steps[Done]:
        """Let your party act again."""
        return self._write("/v1/resumption", None, identifier, {"state": "active"})

    def move_clock(self, by_us: int, *, identifier: str | None = None) -> Steps[Done]:
        """Let a sandbox's time pass (administrator); a production market has no such route (NotFound)."""
        message = ClockMessage(by_us=by_us)
        return self._write("/v1/sandbox/clock", message, identifier, {"by_us": str(by_us)})
