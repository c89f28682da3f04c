"""What callers send about keys, signatures and what they forbid themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from exchange.messages.shapes import Digest, Message, Whole, Words

Scope = Literal["read", "trade", "money", "register", "manage"]


class EnrolmentMessage(Message):
    """Redeem a one-time link with the SHA-256 of a key made on the caller's machine."""

    token: Annotated[str, Field(min_length=20, max_length=100)]
    key_digest: Digest
    label: Words = "first key"


class KeyMessage(Message):
    """A further key of the caller, by its SHA-256; without `scopes` and `expires_us` it is like the person's first."""

    key_digest: Digest
    label: Words
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=5)] | None = None
    expires_us: Whole | None = None


class RotationMessage(Message):
    """The key that comes in the place of another, by its SHA-256, and how long the old one goes on."""

    key_digest: Digest
    label: Words
    overlap_us: Whole = 86_400_000_000


class SigningKeyMessage(Message):
    """An Ed25519 public key (RFC 8032): 32 bytes as hex."""

    public: Digest
    label: Words


class WebhookMessage(Message):
    """Where to be told what concerns the party; `kinds` of log entries, all without."""

    url: Annotated[str, Field(min_length=10, max_length=500, examples=["https://hooks.example.cn/exchange"])]
    kinds: list[Annotated[str, Field(pattern="^[a-z_]{1,40}$", examples=["lot_closed"])]] = Field(
        default_factory=list, max_length=50
    )


class ReplayMessage(Message):
    """From which entry on everything is told again."""

    sequence: Whole


class ControlsMessage(Message):
    """What the party forbids itself: null is no limit."""

    sign_above_fen: Whole | None = None
    order_limit_fen: Whole | None = None
    heartbeat_us: Whole | None = None
