"""What callers send about accounts of people, and what they see of them."""

from __future__ import annotations

from typing import Literal

from exchange.messages.shapes import Digest, Message, Whole
from exchange.messages.views import View


class ResetMessage(Message):
    """A fresh one-time link for a person, by the SHA-256 of its token."""

    person: str
    token_digest: Digest


class ResetDecisionMessage(Message):
    """Whether a link that somebody else asked for is good."""

    decision: Literal["grant", "decline"]


class ResetView(View):
    """A link that waits for a second administrator."""

    id: str
    person: str
    name: str
    asker: str
    index: Whole
