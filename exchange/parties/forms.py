"""Forms that texts and digests have, whoever sends them."""

from __future__ import annotations

from exchange.errors import Unprocessable


def check_name(field: str, text: str) -> None:
    """Refuse a text that is empty, longer than 200 characters or holds what does not print."""
    if not text.strip() or len(text) > 200 or not text.isprintable():
        raise Unprocessable(
            "text.form",
            f"{field} has {len(text)} characters",
            field=field,
            rule="1 to 200 printable characters",
            remedy="shorten it, or remove control characters",
        )


def check_digest(field: str, digest: bytes) -> None:
    """Refuse what is no SHA-256."""
    if len(digest) != 32:
        raise Unprocessable(
            "digest.form",
            f"{len(digest)} bytes",
            field=field,
            rule="a SHA-256 digest",
            remedy="send 64 hex digits",
        )
