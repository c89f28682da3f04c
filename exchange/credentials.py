"""What people and programs call with: API keys, access tokens that stand for one, and keys that sign requests.

Every secret is made on its owner's machine; the exchange keeps digests and public keys.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey
from sqlalchemy import tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.database import Database, driver
from exchange.errors import Conflict, Forbidden, NotFound, Unauthenticated, Unavailable, Unprocessable
from exchange.parties import check_digest, check_name
from exchange.signing import key_id_of
from exchange.tables import ApiKey, Invitation, KeyUse, Market, Person, SigningKey

SCOPES: tuple[Scope, ...] = get_args(Scope)

TOKEN_S = 600
"""How long an access token is good for."""

OVERLAP_US = 24 * 3_600_000_000
"""How long a rotated key goes on beside its successor, unless told otherwise."""

OVERLAP_LIMIT_US = 7 * OVERLAP_US

USED_EVERY_US = 300_000_000
"""How exactly the last use of a key is kept: five minutes."""

_TOKEN = "eat_"  # noqa: S105  # a prefix by which secret scanners know it


@dataclass(frozen=True, slots=True)
class Enrol(Act):
    """Bring the first key with a one-time link."""

    token_digest: bytes
    key_digest: bytes
    label: str


async def enrol(tx: Transaction, act: Enrol) -> Record:
    """Turn an invitation into a key; works once, and an old link answers like an unknown one."""
    check_digest("key_digest", act.key_digest)
    invitation = await tx.session.get(Invitation, act.token_digest)
    if invitation is None or invitation.used_us is not None or invitation.expires_us <= tx.now_us:
        raise unknown_link()
    invitation.used_us = tx.now_us
    return await _bring(tx, invitation.person, act.key_digest, act.label, token=act.token_digest)


def unknown_link() -> NotFound:
    """The one answer to every link that does not work."""
    return NotFound(
        "invitation.unknown",
        "this link is unknown, used or older than 72 hours",
        field="token",
        remedy="ask an administrator for a new invitation",
    )


@dataclass(frozen=True, slots=True)
class AddKey(Act):
    """A further key of the calling person; narrowed to `scopes` and until `expires_us`, where given."""

    key_digest: bytes
    label: str
    scopes: tuple[str, ...] | None = None
    expires_us: int | None = None


async def add_key(tx: Transaction, act: AddKey) -> Record:
    """Keep the digest of a new key. It can do no more than the one that brings it."""
    check_digest("key_digest", act.key_digest)
    _check_scopes(act.scopes, tx.caller)
    if act.expires_us is not None and act.expires_us <= tx.now_us:
        raise Unprocessable(
            "key.expires",
            f"{act.expires_us} is over",
            field="expires_us",
            rule="a key ends in the future, by the market's clock",
            remedy="name a later moment, or none",
        )
    return await _bring(
        tx, tx.caller.person, act.key_digest, act.label, scopes=act.scopes, expires_us=act.expires_us
    )


@dataclass(frozen=True, slots=True)
class RotateKey(Act):
    """Put a new key in the place of one of the calling person's; the old one ends `overlap_us` later."""

    key_digest: bytes
    successor_digest: bytes
    label: str
    overlap_us: int = OVERLAP_US


async def rotate_key(tx: Transaction, act: RotateKey) -> Record:
    """The successor may do what its predecessor may, for as long again."""
    check_digest("successor_digest", act.successor_digest)
    if not 0 <= act.overlap_us <= OVERLAP_LIMIT_US:
        raise Unprocessable(
            "key.overlap",
            f"{act.overlap_us} microseconds",
            field="overlap_us",
            rule=f"at most {OVERLAP_LIMIT_US} (seven days)",
            remedy="shorten the overlap; 0 ends the old key at once",
        )
    old = await tx.session.get(ApiKey, act.key_digest)
    if old is None or old.person != tx.caller.person or _ended(old, tx.now_us):
        raise _unknown_key()
    scopes = None if old.scopes is None else tuple(old.scopes)
    _check_scopes(scopes, tx.caller)
    until = None if old.expires_us is None else tx.now_us + (old.expires_us - old.created_us)
    last = tx.now_us + act.overlap_us
    old.expires_us = last if old.expires_us is None else min(last, old.expires_us)
    (await tx.find(Market, 1, "market")).keys_version += 1
    record = await _bring(tx, old.person, act.successor_digest, act.label, scopes=scopes, expires_us=until)
    ends = {
        "ends_us": str(old.expires_us),
        "overlap_us": str(act.overlap_us),
        "replaces": act.key_digest.hex(),
    }
    return Record("key_rotated", {**record.act, **ends}, readers=record.readers)


@dataclass(frozen=True, slots=True)
class RevokeKey(Act):
    """End a key of the caller's party."""

    key_digest: bytes


async def revoke_key(tx: Transaction, act: RevokeKey) -> Record:
    """A revoked key calls nobody any more, nor do its tokens; another party's key looks like an unknown one."""
    key = await tx.session.get(ApiKey, act.key_digest)
    person = None if key is None else await tx.session.get(Person, key.person)
    if key is None or person is None or person.party != tx.caller.party:
        raise _unknown_key()
    key.revoked_us = tx.now_us
    (await tx.find(Market, 1, "market")).keys_version += 1
    return Record("key_revoked", {"key": act.key_digest.hex(), "person": person.id, "state": "revoked"})


@dataclass(frozen=True, slots=True)
class AddSigningKey(Act):
    """A public Ed25519 key (32 bytes) whose signatures on requests stand for the calling person."""

    public: bytes
    label: str


async def add_signing_key(tx: Transaction, act: AddSigningKey) -> Record:
    """Keep a public key. From now on its signatures are checked, and kept with what was signed."""
    try:
        VerifyKey(act.public)
    except (CryptoError, ValueError, TypeError):
        raise Unprocessable(
            "signing_key.form",
            f"{len(act.public)} bytes",
            field="public",
            rule="the 32 bytes of an Ed25519 public key (RFC 8032)",
            remedy="send them as 64 hex digits",
        ) from None
    check_name("label", act.label)
    name = key_id_of(act.public)
    if await tx.session.get(SigningKey, name) is not None:
        raise Conflict("signing_key.known", "this key is in use", field="public", remedy="draw a fresh key")
    await tx.insert(
        SigningKey(
            id=name,
            party=tx.caller.party,
            person=tx.caller.person,
            public=act.public,
            label=act.label,
            created_us=tx.now_us,
        )
    )
    return Record(
        "signing_key_added",
        {
            "id": name,
            "label": tx.seal(act.label),
            "party": tx.caller.party,
            "public": act.public.hex(),
            "state": "active",
        },
    )


@dataclass(frozen=True, slots=True)
class RevokeSigningKey(Act):
    """End a signing key of the caller's party."""

    id: str


async def revoke_signing_key(tx: Transaction, act: RevokeSigningKey) -> Record:
    """From this entry on its signatures stand for nobody."""
    key = await tx.session.get(SigningKey, act.id)
    if key is None or key.party != tx.caller.party or key.revoked_us is not None:
        raise NotFound("signing_key.unknown", "no such signing key", field="id")
    key.revoked_us = tx.now_us
    return Record("signing_key_revoked", {"id": key.id, "state": "revoked"})


@dataclass(frozen=True, slots=True)
class Known:
    """Who calls, by which key, until when that is good (None: without end), and whether its use is still to be noted;
    all as of `now_us` on the market's clock."""

    caller: Caller
    digest: bytes
    expires_us: int | None
    to_note: bool
    now_us: int


# One statement, for callers come in crowds: the market's time, and whose each key is if it is any good then.
_AUTHENTICATE = """
    SELECT now.us, k.person, k.party, k.roles, k.scopes, k.expires_us, k.used_us, k.duty
    FROM (SELECT greatest(h.time_us, %s + m.offset_us) AS us FROM log_head h, market m WHERE h.id = 1 AND m.id = 1) now
    CROSS JOIN unnest(%s::bytea[]) WITH ORDINALITY AS asked(digest, place)
    LEFT JOIN LATERAL (
        SELECT key.person, person.party, party.roles, key.scopes, least(key.expires_us, person.until_us) AS expires_us,
            use.used_us, person.duty
        FROM api_key key JOIN person ON person.id = key.person JOIN party ON party.id = person.party
        LEFT JOIN key_use use ON use.digest = key.digest
        WHERE key.digest = asked.digest AND key.revoked_us IS NULL AND person.state = 'active'
        AND (key.expires_us IS NULL OR key.expires_us > now.us)
        AND (person.until_us IS NULL OR person.until_us > now.us)
    ) k ON true
    ORDER BY asked.place
"""


async def authenticate(
    session: AsyncSession, secrets: Sequence[str], clock_us: int, token_key: bytes
) -> list[Known | Unauthenticated]:
    """Who calls with each of these API keys or access tokens, at `clock_us` of the process's clock, in one look.

    Unauthenticated for one that is unknown, revoked or over, without saying which.
    """
    tokens = [_Token.parse(one, token_key) if one.startswith(_TOKEN) else None for one in secrets]
    digests = [
        key_digest(one) if token is None else token.digest for one, token in zip(secrets, tokens, strict=True)
    ]
    rows = await (await (await driver(session)).execute(_AUTHENTICATE, (clock_us, digests))).fetchall()
    if secrets and not rows:
        raise Unavailable("market.missing", "the database holds no market", remedy="run `exchange init`")
    found: list[Known | Unauthenticated] = []
    for one, token, digest, row in zip(secrets, tokens, digests, rows, strict=True):
        now_us, person, party, roles, narrowed, expires_us, used_us, duty = row
        if token is None:
            good = person is not None and not one.startswith(_TOKEN)
        else:
            good = person is not None and now_us < token.expires_us
        if not good:
            found.append(_unknown_caller())
            continue
        scopes = None if narrowed is None else frozenset(narrowed)
        if token is not None:
            expires_us = token.expires_us if expires_us is None else min(expires_us, token.expires_us)
            scopes = token.scopes if scopes is None else token.scopes & scopes
        to_note = used_us is None or used_us + USED_EVERY_US <= now_us
        caller = Caller(person, party, frozenset(roles), scopes, duty)
        found.append(Known(caller, digest, expires_us, to_note, now_us))
    return found


async def note_uses(database: Database, used: Mapping[bytes, int]) -> None:
    """Keep when keys were last used: of interest to their owners, no part of what the log decides."""
    connection = await database.connect(application_name="exchange keys")
    try:
        await connection.execute(
            "INSERT INTO key_use (digest, used_us) SELECT * FROM unnest(%s::bytea[], %s::bigint[])"
            " ON CONFLICT (digest) DO UPDATE SET used_us = greatest(key_use.used_us, excluded.used_us)",
            (list(used), list(used.values())),
        )
        await connection.commit()
    finally:
        await connection.close()


async def keys(
    session: AsyncSession, caller: Caller, now_us: int, after: bytes | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The keys of the caller's party, newest first, or a page from behind one of them: whose, for what, until when, when
    last used. Never a secret.
    """
    query = (
        select(ApiKey, KeyUse.used_us)
        .join(Person, col(Person.id) == col(ApiKey.person))
        .outerjoin(KeyUse, col(KeyUse.digest) == col(ApiKey.digest))
        .where(col(Person.party) == caller.party)
        .order_by(col(ApiKey.created_us).desc(), col(ApiKey.digest).desc())
        .limit(limit)
    )
    last = None if after is None else await session.get(ApiKey, after)
    owner = None if last is None else await session.get(Person, last.person)
    if last is not None and owner is not None and owner.party == caller.party:
        key = tuple_(col(ApiKey.created_us), col(ApiKey.digest))
        query = query.where(key < tuple_(last.created_us, last.digest))
    rows = await session.execute(query)
    return [
        {
            "created_us": str(key.created_us),
            "digest": key.digest.hex(),
            "expires_us": None if key.expires_us is None else str(key.expires_us),
            "label": key.label,
            "person": key.person,
            "scopes": list(SCOPES) if key.scopes is None else key.scopes,
            "state": "revoked"
            if key.revoked_us is not None
            else "ended"
            if _ended(key, now_us)
            else "active",
            "used_us": None if used_us is None else str(used_us),
        }
        for key, used_us in rows
    ]


async def signing_keys(
    session: AsyncSession, caller: Caller, after: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    """The signing keys of the caller's party, newest first, or a page from behind one of them."""
    query = (
        select(SigningKey)
        .where(col(SigningKey.party) == caller.party)
        .order_by(col(SigningKey.created_us).desc(), col(SigningKey.id).desc())
        .limit(limit)
    )
    last = None if after is None else await session.get(SigningKey, after)
    if last is not None and last.party == caller.party:
        query = query.where(
            tuple_(col(SigningKey.created_us), col(SigningKey.id)) < tuple_(last.created_us, last.id)
        )
    rows = await session.execute(query)
    return [
        {
            "created_us": str(key.created_us),
            "id": key.id,
            "label": key.label,
            "person": key.person,
            "public": key.public.hex(),
            "state": "active" if key.revoked_us is None else "revoked",
        }
        for key in rows.scalars()
    ]


async def signer_of(session: AsyncSession, caller: Caller, key_id: str) -> bytes | None:
    """The public key of the caller's party by that name; None where it has no such one, or ended it."""
    key = await session.get(SigningKey, key_id)
    if key is None or key.party != caller.party or key.revoked_us is not None:
        return None
    return key.public


def issue_token(
    secret: str, known: Known, scopes: Iterable[str] | None, now_us: int, token_key: bytes
) -> tuple[str, frozenset[str], int]:
    """An access token for an API key: it, its scopes and how many seconds it is good for.

    Forbidden for a scope that the key has not, and for a token that asks for a token.
    """
    if secret.startswith(_TOKEN):
        raise Forbidden(
            "token.from_token",
            "a token gives no further token",
            field="client_secret",
            rule="RFC 6749 §4.4: a client authenticates with its own secret",
            remedy="send the API key",
        )
    held = frozenset(SCOPES) if known.caller.scopes is None else known.caller.scopes
    granted = held if scopes is None else frozenset(scopes)
    if not granted or not granted <= held:
        raise Forbidden(
            "token.scope",
            f"this key has the scopes {' '.join(sorted(held))}",
            field="scope",
            rule="RFC 6749 §3.3: a token can do no more than the key it stands for",
            remedy="ask for scopes of the key, or leave scope out",
        )
    expires_us = now_us + TOKEN_S * 1_000_000
    if known.expires_us is not None:
        expires_us = min(expires_us, known.expires_us)
    token = _Token(known.digest, expires_us, granted)
    return token.text(token_key), granted, max(1, (expires_us - now_us) // 1_000_000)


@dataclass(frozen=True, slots=True)
class _Token:
    """What an access token says: for which key, until when, for what. It is kept nowhere: its MAC makes it good."""

    digest: bytes
    expires_us: int
    scopes: frozenset[str]

    def text(self, token_key: bytes) -> str:
        bits = sum(1 << n for n, scope in enumerate(SCOPES) if scope in self.scopes)
        said = self.digest + self.expires_us.to_bytes(8) + bytes([bits])
        return _TOKEN + urlsafe_b64encode(said + _mac(token_key, said)).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, token_key: bytes) -> _Token | None:
        """The token, or None for a text that is none of ours."""
        try:
            raw = urlsafe_b64decode(text.removeprefix(_TOKEN) + "===")
        except ValueError:
            return None
        said, mac = raw[:41], raw[41:]
        if len(said) != 41 or not hmac.compare_digest(mac, _mac(token_key, said)):
            return None
        scopes = frozenset(scope for n, scope in enumerate(SCOPES) if said[40] >> n & 1)
        return cls(said[:32], int.from_bytes(said[32:40]), scopes)


def _mac(token_key: bytes, said: bytes) -> bytes:
    return hmac.digest(token_key, b"access token" + said, "sha256")


def key_digest(secret: str) -> bytes:
    """SHA-256 of a key or one-time token: both carry 256 bits of chance, so a slow hash would protect nothing more."""
    return hashlib.sha256(secret.encode()).digest()


async def _bring(
    tx: Transaction,
    person: str,
    digest: bytes,
    label: str,
    *,
    token: bytes | None = None,
    scopes: tuple[str, ...] | None = None,
    expires_us: int | None = None,
) -> Record:
    """Keep a key. Like the key's, the digest of the link's token is one of 256 bits of chance: it gives nothing away."""
    if await tx.session.get(ApiKey, digest) is not None:
        raise Conflict("key.known", "this key is in use", field="key_digest", remedy="draw a fresh key")
    check_name("label", label)
    narrowed: list[str] | None = None if scopes is None else [scope for scope in SCOPES if scope in scopes]
    await tx.insert(
        ApiKey(
            digest=digest,
            person=person,
            label=label,
            scopes=narrowed,
            created_us=tx.now_us,
            expires_us=expires_us,
        )
    )
    party = (await tx.find(Person, person, "person")).party
    return Record(
        "key_added",
        {
            "expires_us": plain(expires_us),
            "key": digest.hex(),
            "label": tx.seal(label),
            "person": person,
            "scopes": narrowed,
            "state": "active",
            "token": plain(token),
        },
        readers=(party,),
    )


def _check_scopes(scopes: tuple[str, ...] | None, caller: Caller) -> None:
    if scopes is None:
        if caller.scopes is not None:
            raise _beyond(caller.scopes)
        return
    if not scopes or len(set(scopes)) != len(scopes) or not set(scopes) <= set(SCOPES):
        raise Unprocessable(
            "key.scopes",
            ", ".join(scopes) or "none",
            field="scopes",
            rule=f"some of {', '.join(SCOPES)}, each once",
            remedy="name known scopes, or leave them out for all",
        )
    if caller.scopes is not None and not set(scopes) <= caller.scopes:
        raise _beyond(caller.scopes)


def _beyond(held: frozenset[str]) -> Forbidden:
    return Forbidden(
        "key.beyond",
        f"this key is for {', '.join(sorted(held))} alone",
        field="scopes",
        rule="a key brings none that may do more than itself",
        remedy="narrow the new key, or bring it with one that may do more",
    )


def _ended(key: ApiKey, now_us: int) -> bool:
    return key.revoked_us is not None or (key.expires_us is not None and key.expires_us <= now_us)


def _unknown_key() -> NotFound:
    return NotFound("key.unknown", "no such key", field="key_digest")


def _unknown_caller() -> Unauthenticated:
    return Unauthenticated(
        "caller.unknown",
        "this key is unknown",
        field="Authorization",
        rule="Authorization: Bearer KEY",
        remedy="use a key that was enrolled here and not revoked, or a token that is not over",
    )
