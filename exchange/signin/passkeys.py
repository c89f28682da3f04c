"""Passkeys (WebAuthn Level 2), judged purely: a challenge that carries its own terms, what a browser is asked, what it answers.

Nothing is kept of a challenge before it is answered: it says when it was made and is authenticated with a key of ours,
for one use and for whom it was made (a session, or a browser that signs in). An account takes challenges in the order in
which they were made, so that none is taken twice. The cryptography is the library's (`webauthn`), which costs half a
second to import: callers judge in a thread. Whatever it finds wrong with bytes from outside is one refusal.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from exchange.acts import Chance
from exchange.errors import Unprocessable

CHALLENGE_US: Final = 300_000_000
"""How long a challenge may be answered: five minutes."""

PASSKEYS_AT_MOST: Final = 20
"""Of one person."""

ANSWER_LIMIT: Final = 20_000
"""Characters of an answer; one without attestation has about a thousand."""

ALGORITHMS: Final = (-8, -7, -257)
"""EdDSA, ES256 and RS256 (IANA COSE), which all authenticators have between them."""

_NONCE, _TIME = 16, 8

Use = Literal["enrol", "confirm", "sign_in"]


@dataclass(frozen=True, slots=True)
class Site:
    """Where passkeys are at home: a browser lets one answer at this origin alone, and it signs for no other."""

    origin: str
    name: str
    """As authenticators show it."""

    @property
    def domain(self) -> str:
        """The relying party's identifier: the host name, which is never an address of numbers."""
        return urlsplit(self.origin).hostname or ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser handed over for a passkey, at which site, for which use, and to whom the challenge was given."""

    text: str
    site: Site
    use: Use
    bound: bytes


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that was made: what is kept of it, and when its challenge was."""

    id: bytes
    public: bytes
    counter: int
    challenge_us: int


@dataclass(frozen=True, slots=True)
class Presented:
    """What an answer says before its signature is judged: of which passkey it is, and which challenge of ours it answers."""

    id: bytes
    challenge: bytes
    challenge_us: int


def challenge(key: bytes, use: Use, bound: bytes, clock_us: int, chance: Chance) -> bytes:
    """Fresh bytes to be signed, of 128 bits of chance, good for `CHALLENGE_US` for that use by whom it is bound to."""
    head = chance(_NONCE) + clock_us.to_bytes(_TIME)
    return head + _mac(key, use, bound, head)


def challenge_made_us(key: bytes, use: Use, bound: bytes, clock_us: int, said: bytes) -> int:
    """When a challenge of ours was made; Unprocessable for one that is foreign, of another use or too old."""
    head, mac = said[: _NONCE + _TIME], said[_NONCE + _TIME :]
    made_us = int.from_bytes(head[_NONCE:])
    if not hmac.compare_digest(mac, _mac(key, use, bound, head)) or not (
        made_us <= clock_us < made_us + CHALLENGE_US
    ):
        raise Unprocessable(
            "passkey.challenge",
            "this answers no question that stands",
            field="passkey",
            rule="a passkey signs a fresh question of this page, once, within five minutes (WebAuthn §13.4.3)",
            remedy="use the passkey again on the page as it is now",
        )
    return made_us


def _mac(key: bytes, use: Use, bound: bytes, head: bytes) -> bytes:
    return hmac.digest(
        key, b"passkey " + use.encode() + b" " + len(bound).to_bytes(2) + bound + head, "sha256"
    )


def to_make(site: Site, handle: bytes, login: str, known: Sequence[bytes], asked: bytes) -> dict[str, Any]:
    """What a browser is asked for a new passkey (PublicKeyCredentialCreationOptionsJSON).

    It can be found without a name (it is asked for while nobody knows who signs in), needs its holder verified, and
    `known` ones are not made again. Attestation is not asked for: which make it is does not matter here.
    """
    return {
        "rp": {"id": site.domain, "name": site.name},
        "user": {"id": _base64(handle), "name": login, "displayName": login},
        "challenge": _base64(asked),
        "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in ALGORITHMS],
        "excludeCredentials": [{"type": "public-key", "id": _base64(one)} for one in known],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
        "timeout": CHALLENGE_US // 1000,
    }


def to_show(site: Site, known: Sequence[bytes], asked: bytes) -> dict[str, Any]:
    """What a browser is asked for a signature (PublicKeyCredentialRequestOptionsJSON); by any passkey where none is known."""
    return {
        "rpId": site.domain,
        "challenge": _base64(asked),
        "allowCredentials": [{"type": "public-key", "id": _base64(one)} for one in known],
        "userVerification": "required",
        "timeout": CHALLENGE_US // 1000,
    }


def made(key: bytes, answer: Answer, clock_us: int) -> Made:
    """A new passkey, of this site and verified by its holder; Unprocessable for anything else."""
    from webauthn import verify_registration_response
    from webauthn.helpers import parse_client_data_json, parse_registration_credential_json
    from webauthn.helpers.cose import COSEAlgorithmIdentifier

    try:
        credential = parse_registration_credential_json(_bounded(answer.text))
        asked = parse_client_data_json(credential.response.client_data_json).challenge
    except Exception as error:
        raise unlike() from error
    made_us = challenge_made_us(key, answer.use, answer.bound, clock_us, asked)
    try:
        found = verify_registration_response(
            credential=credential,
            expected_challenge=asked,
            expected_rp_id=answer.site.domain,
            expected_origin=answer.site.origin,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(number) for number in ALGORITHMS],
        )
    except Exception as error:
        raise unlike() from error
    return Made(found.credential_id, found.credential_public_key, found.sign_count, made_us)


def presented(key: bytes, answer: Answer, clock_us: int) -> Presented:
    """Which passkey answers which challenge; Unprocessable for what is none, and for a challenge that does not stand."""
    from webauthn.helpers import parse_authentication_credential_json, parse_client_data_json

    try:
        credential = parse_authentication_credential_json(_bounded(answer.text))
        asked = parse_client_data_json(credential.response.client_data_json).challenge
    except Exception as error:
        raise unlike() from error
    return Presented(
        credential.raw_id, asked, challenge_made_us(key, answer.use, answer.bound, clock_us, asked)
    )


def counted(answer: Answer, asked: bytes, public: bytes) -> int:
    """The count that a passkey signed, of this site and verified by its holder; Unprocessable where the signature is not so.

    It is handed over as stated: whether it went back is the caller's to see, now that the signature was found good.
    """
    from webauthn import verify_authentication_response

    try:
        found = verify_authentication_response(
            credential=answer.text,
            expected_challenge=asked,
            expected_rp_id=answer.site.domain,
            expected_origin=answer.site.origin,
            credential_public_key=public,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as error:
        raise unlike() from error
    return found.new_sign_count


def went_back(counter: int, kept: int) -> bool:
    """Whether a count shows that a passkey was copied: it neither grew nor is it one that never counts (WebAuthn §7.2 (21))."""
    return counter <= kept and (counter, kept) != (0, 0)


def _bounded(text: str) -> str:
    if len(text) > ANSWER_LIMIT:
        raise ValueError("too long")
    return text


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def unlike() -> Unprocessable:
    """What a passkey is refused with, whatever is wrong with it."""
    return Unprocessable(
        "passkey.refused",
        "this passkey does not fit",
        field="passkey",
        rule="a passkey of yours, made at this address, with your device unlocked for it (WebAuthn §7)",
        remedy="use another passkey or the code of your authenticator",
    )
