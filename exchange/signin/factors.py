"""What a person proves a sign-in with, judged purely: passwords, one-time codes by the clock, recovery codes; and delays.

One-time codes are TOTP (RFC 6238 over RFC 4226: HMAC-SHA-1, 30 seconds, six digits), as every authenticator has them.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from base64 import b32encode
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlencode

from exchange.acts import Chance
from exchange.errors import Unprocessable

STEP_US: Final = 30_000_000
SECRET_BYTES: Final = 20
RECOVERY_CODES: Final = 10
LOGIN: Final = r"[a-z0-9][a-z0-9._@+-]{2,63}"
PASSWORD_AT_LEAST, PASSWORD_AT_MOST = 12, 256

FREE_FAILURES: Final = 4
"""Mistakes of one name that cost no delay."""

FREE_FAILURES_OF_ADDRESS: Final = 19
"""Mistakes from one address that cost no delay: a whole office may sign in through one."""

_FIRST_DELAY_US: Final = 30_000_000
_LONGEST_DELAY_US: Final = 3_600_000_000


def one_time_code(secret: bytes, step: int) -> str:
    """The six digits of a time step (RFC 4226 §5.3)."""
    mac = hmac.digest(secret, step.to_bytes(8), "sha1")
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at : at + 4]) & 0x7FFFFFFF) % 1_000_000:06d}"


def matching_step(secret: bytes, code: str, clock_us: int, after: int) -> int | None:
    """The step that `code` is of: the present one or a neighbour (RFC 6238 §5.2), and later than `after`, so that no code
    works twice. None where it is of none."""
    now = clock_us // STEP_US
    for step in (now, now - 1, now + 1):
        if step > after and hmac.compare_digest(one_time_code(secret, step).encode(), code.encode()):
            return step
    return None


def key_address(secret: bytes, login: str, issuer: str) -> str:
    """The address by which an authenticator takes a secret over (Key URI Format, as its QR code says it)."""
    said = urlencode({"secret": b32encode(secret).decode(), "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer)}:{quote(login)}?{said}"


def recovery_code(chance: Chance) -> str:
    """A code for the day on which the second factor is lost: 80 bits, in groups that can be copied by hand."""
    text = b32encode(chance(10)).decode()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def recovery_digest(code: str) -> str:
    """What is kept of a recovery code; spaces, hyphens and case do not count. It has 80 bits of chance, so no slow hash."""
    return sha256(re.sub(r"[\s-]", "", code).upper().encode()).hexdigest()


def delay_us(failures: int, free: int) -> int:
    """How long nobody is let in after the `failures`-th mistake in a row: nothing for the first `free`, then 30 seconds,
    doubled with each further one, an hour at most."""
    if failures <= free:
        return 0
    return min(_FIRST_DELAY_US << min(failures - free - 1, 16), _LONGEST_DELAY_US)


def plain_login(login: str) -> str:
    """A name as it is compared: without surrounding space, in small letters."""
    return unicodedata.normalize("NFKC", login).strip().lower()


def plain_password(password: str) -> bytes:
    """A password as it is hashed: NFC, so that two keyboards write the same one (NIST SP 800-63B §5.1.1.2)."""
    return unicodedata.normalize("NFC", password).encode()


def check_login(login: str) -> None:
    """Unprocessable for a name that is no such name."""
    if not re.fullmatch(LOGIN, login):
        raise Unprocessable(
            "account.login",
            f"{login!r} cannot be a sign-in name",
            field="login",
            rule="3 to 64 of a-z 0-9 . _ @ + -, a letter or digit first",
            remedy="choose another name, your e-mail address for instance",
        )


def check_password(login: str, password: str) -> None:
    """Unprocessable for a password that is too easily guessed (NIST SP 800-63B §5.1.1: length counts, not classes)."""
    plain = plain_password(password).decode()
    if (
        PASSWORD_AT_LEAST <= len(plain) <= PASSWORD_AT_MOST
        and len(set(plain)) >= 6
        and login not in plain.lower()
    ):
        return
    raise Unprocessable(
        "account.password",
        "this password is too easily guessed",
        field="password",
        rule=f"{PASSWORD_AT_LEAST} to {PASSWORD_AT_MOST} characters, six different ones, without the sign-in name"
        " (NIST SP 800-63B §5.1.1)",
        remedy="take a sentence of four or more words, or let a password manager make one",
    )
