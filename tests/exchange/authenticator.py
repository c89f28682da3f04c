"""An authenticator of our own that makes passkeys and signs with them, as WebAuthn has it, and can be told to do it wrongly."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, ATTESTED = 1, 4, 64


def base64(value: bytes) -> str:
    """As WebAuthn's JSON has bytes."""
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """The bytes of it."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """One passkey; what a careful device would never do is said by its fields."""

    id: bytes = b"passkey-0123456789"
    origin: str = "http://localhost:8000"
    domain: str | None = None
    """Instead of the one that it is asked for."""
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    counts: bool = True
    kind: str | None = None
    """Instead of what is done, in what is signed."""
    elliptic: bool = True
    key: Any = field(default=None)

    def __post_init__(self) -> None:
        number = int.from_bytes(sha256(self.id).digest()[:16])
        self.key = (
            ec.derive_private_key(number, ec.SECP256R1())
            if self.elliptic
            else ed25519.Ed25519PrivateKey.from_private_bytes(sha256(self.id).digest())
        )

    def public(self) -> bytes:
        """The public key as COSE has it (RFC 9053 §7)."""
        if self.elliptic:
            at = self.key.public_key().public_numbers()
            return encode_cbor({1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32), -3: at.y.to_bytes(32)})
        return encode_cbor({1: 1, 3: -8, -1: 6, -2: self.key.public_key().public_bytes_raw()})

    def _told(self, kind: str, asked: Mapping[str, Any]) -> bytes:
        said = {"type": self.kind or kind, "challenge": asked["challenge"], "origin": self.origin}
        return json.dumps(said).encode()

    def _data(self, domain: str, more: bytes = b"") -> bytes:
        flags = self.flags | (ATTESTED if more else 0)
        self.counter += self.counts
        domain = self.domain or domain
        return sha256(domain.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4) + more

    def make(self, asked: Mapping[str, Any]) -> str:
        """What `navigator.credentials.create` gives for these options, as JSON."""
        told = self._told("webauthn.create", asked)
        credential = bytes(16) + len(self.id).to_bytes(2) + self.id + self.public()
        data = self._data(asked["rp"]["id"], credential)
        attested = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        return self._json({"clientDataJSON": base64(told), "attestationObject": base64(attested)})

    def show(self, asked: Mapping[str, Any]) -> str:
        """What `navigator.credentials.get` gives for these options, as JSON."""
        told, data = self._told("webauthn.get", asked), self._data(asked["rpId"])
        said = data + sha256(told).digest()
        signature = self.key.sign(said, ec.ECDSA(hashes.SHA256())) if self.elliptic else self.key.sign(said)
        return self._json(
            {
                "clientDataJSON": base64(told),
                "authenticatorData": base64(data),
                "signature": base64(signature),
            }
        )

    def _json(self, response: dict[str, str]) -> str:
        identifier = base64(self.id)
        return json.dumps({"id": identifier, "rawId": identifier, "type": "public-key", "response": response})
