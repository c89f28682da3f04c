"""Requests that a caller signed: HTTP Message Signatures (RFC 9421) in one profile, for who makes and who checks them.

The profile: one signature by Ed25519 (§3.3.6) over `@method`, `@path`, `@query` where there is one, `content-digest`
(RFC 9530, sha-256 or sha-512) and `idempotency-key` where it is sent; further fields and components may be covered.
`created` and `keyid` are given, `created` is no more than five minutes from the checker's clock, `expires` is kept.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import http_sf
import orjson
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from exchange.errors import Malformed, Unauthenticated
from ledger.entries import canonical

AGE_S = 300
"""How far `created` may be from the checker's clock, either way."""

BODY_LIMIT = 4096
"""Bytes of a signed body; it is kept beside the signature."""

_Inner = tuple[list[tuple[str, Any]], dict[str, Any]]
"""Components with their parameters, and the parameters of the signature (RFC 9651 §3.1.1)."""

_DERIVED = ("@method", "@path", "@query", "@request-target")
_DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Presented:
    """A signature as it came with a request, well formed and about this very request; by whom, `verified` tells."""

    key_id: str
    base: str
    signature: bytes
    body: str

    def verified(self, public: bytes) -> str:
        """What a stranger verifies it by, as canonical JSON: `base`, `body`, `key` and `signature`.

        Unauthenticated where the key did not make the signature.
        """
        try:
            VerifyKey(public).verify(self.base.encode(), self.signature)
        except (BadSignatureError, ValueError) as error:
            raise _unverified("the signature is not one of this key over this request") from error
        return canonical(
            {
                "base": self.base,
                "body": self.body,
                "key": self.key_id,
                "signature": b64encode(self.signature).decode(),
            }
        ).decode()


def key_id_of(public: bytes) -> str:
    """The name of a signing key: `sk-` and the first 32 hex digits of the SHA-256 of its 32 bytes."""
    return f"sk-{hashlib.sha256(public).hexdigest()[:32]}"


def signed_headers(
    secret: bytes, method: str, target: str, headers: Mapping[str, str], body: bytes, created_s: int
) -> dict[str, str]:
    """The headers that sign a request with the 32 bytes of an Ed25519 key; `target` is path and query as they go out."""
    key = SigningKey(secret)
    path, _, query = target.partition("?")
    covered = ["@method", "@path", *(["@query"] if query else []), "content-digest"]
    fields = {name.lower(): value for name, value in headers.items()}
    if "idempotency-key" in fields:
        covered.append("idempotency-key")
    fields["content-digest"] = f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"
    inner: _Inner = (
        [(name, {}) for name in covered],
        {"created": created_s, "keyid": key_id_of(bytes(key.verify_key)), "alg": "ed25519"},
    )
    base = _base(inner, method, path, query, fields)
    signature = key.sign(base.encode()).signature
    return {
        "Content-Digest": fields["content-digest"],
        "Signature-Input": f"request={_in_words(inner)}",
        "Signature": f"request=:{b64encode(signature).decode()}:",
    }


def presented(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, now_s: int
) -> Presented:
    """Read the signature of a request; `headers` by lower-case name, repeated ones joined by ", ".

    Malformed where it is not of the profile, Unauthenticated where it is about another request or time.
    """
    if len(body) > BODY_LIMIT or not body.isascii():
        raise _malformed("a signed body has at most 4096 bytes, in ASCII", "body")
    inputs = _dictionary(headers, "signature-input")
    signatures = _dictionary(headers, "signature")
    if len(inputs) != 1 or set(inputs) != set(signatures):
        raise _malformed("one signature under one label", "signature-input")
    (inner,) = inputs.values()
    (signature, _) = next(iter(signatures.values()))
    if not isinstance(inner, tuple) or not isinstance(inner[0], list) or not isinstance(signature, bytes):
        raise _malformed("an inner list of components, and a byte sequence", "signature-input")
    components, parameters = inner
    if any(not isinstance(name, str) or options for name, options in components):
        raise _malformed("components are strings without parameters", "signature-input")
    names = [name for name, _ in components]
    needed = ["@method", "@path", "content-digest"]
    if query:
        needed.append("@query")
    if "idempotency-key" in headers:
        needed.append("idempotency-key")
    missing = [name for name in needed if name not in names]
    if missing or len(set(names)) != len(names):
        raise _malformed(f"each once, and among them {', '.join(missing or needed)}", "signature-input")
    key_id, created = parameters.get("keyid"), parameters.get("created")
    expires, algorithm = parameters.get("expires"), parameters.get("alg", "ed25519")
    if not isinstance(key_id, str) or not _is_time(created) or algorithm != "ed25519":
        raise _malformed("keyid, created, and no other alg than ed25519", "signature-input")
    if expires is not None and not _is_time(expires):
        raise _malformed("expires is an integer", "signature-input")
    if abs(now_s - created) > AGE_S or (expires is not None and expires < now_s):
        raise _unverified(f"created {created}, here it is {now_s}: sign again, and set the clock")
    _check_digest(headers, body)
    return Presented(key_id, _base(inner, method, path, query, headers), signature, body.decode())


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_digest(headers: Mapping[str, str], body: bytes) -> None:
    found = _dictionary(headers, "content-digest")
    known = {name: value for name, value in found.items() if name in _DIGESTS}
    if not known:
        raise _malformed("a sha-256 or sha-512 digest of the body (RFC 9530)", "content-digest")
    for name, member in known.items():
        if member[0] != _DIGESTS[name](body).digest():
            raise _unverified(f"the {name} digest is not the body's")


def _dictionary(headers: Mapping[str, str], name: str) -> dict[str, Any]:
    def twice(key: str, context: str) -> None:
        raise ValueError(f"{key} twice in a {context}")

    try:
        value = headers[name].encode("ascii")
        found = cast(dict[str, Any], http_sf.parse(value, tltype="dictionary", on_duplicate_key=twice))
    except (LookupError, ValueError) as error:
        raise _malformed("a dictionary (RFC 9651)", name) from error
    return found


def _base(
    inner: _Inner,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
) -> str:
    """The signature base (§2.5): a line a component, and the parameters last."""
    derived = {
        "@method": method,
        "@path": path or "/",
        "@query": f"?{query}",
        "@request-target": path + (f"?{query}" if query else ""),
    }
    lines = []
    for name, _ in inner[0]:
        if name in _DERIVED:
            value = derived[name]
        elif not name.startswith("@") and name in headers:
            value = headers[name].strip()
        else:
            raise _malformed(f"{name} is no component that this request has", "signature-input")
        lines.append(f'"{name}": {value}')
    lines.append(f'"@signature-params": {_in_words(inner)}')
    return "\n".join(lines)


def _in_words(inner: _Inner) -> str:
    return http_sf.ser(cast(Any, [inner]))


def _malformed(rule: str, field: str) -> Malformed:
    return Malformed(
        "signature.form",
        "the signature of this request cannot be read",
        field=field,
        rule=f"RFC 9421: {rule}",
        remedy="sign as the SDK does, or leave the signature out",
    )


def _unverified(detail: str) -> Unauthenticated:
    return Unauthenticated(
        "signature.unverified",
        detail,
        field="signature",
        rule="RFC 9421: a signature is one of the caller's own keys over this very request",
        remedy="sign the request as it is sent, with a signing key of your party",
    )


def stands(text: str, public: bytes) -> bool:
    """Whether what `Presented.verified` gave is a signature by `public` over the body that stands beside it."""
    try:
        said = orjson.loads(text)
        base, body = str(said["base"]), str(said["body"]).encode()
        VerifyKey(public).verify(base.encode(), b64decode(said["signature"], validate=True))
        (line,) = [line for line in base.split("\n") if line.startswith('"content-digest": ')]
        _check_digest({"content-digest": line.partition(": ")[2]}, body)
    except (BadSignatureError, LookupError, TypeError, ValueError, Malformed, Unauthenticated):
        return False
    return True
