"""Signing in and sitting at the console: sessions, the mistakes that lock a door for a while, the register of accesses.

All of it is on the process's clock (`Gate.clock`), never on the market's, which a sandbox moves: a sitting, and a code of
RFC 6238, are of the person's own time. None of it is of the log; a lock is told to the log besides (`LockAccount`).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final, Literal

import psycopg
from nacl.exceptions import CryptoError, InvalidkeyError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import CLOCK, Caller, Chance
from exchange.database import Database, driver
from exchange.errors import NotFound, TooMany, Unauthenticated, Unprocessable
from exchange.signin import passkeys
from exchange.signin.factors import (
    FREE_FAILURES,
    FREE_FAILURES_OF_ADDRESS,
    delay_us,
    matching_step,
    plain_login,
    plain_password,
    recovery_digest,
)
from exchange.signin.passkeys import Answer
from exchange.tables import AccessRecord, Person, WebSession

Hall = Literal["exchange", "regulator"]

IDLE_US: Final = 1_800_000_000
"""A session that nobody used for half an hour is over."""

LONGEST_US: Final = 43_200_000_000
"""And each one after twelve hours."""

FRESH_US: Final = 300_000_000
"""How long a second factor counts as fresh: five minutes."""

SEEN_EVERY_US: Final = 60_000_000
"""How exactly the last use of a session is kept."""

FORGET_US: Final = 86_400_000_000
"""After a day without one, mistakes count from the first again."""

_BUCKETS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Secrets:
    """The keys of this room, derived from one that the database does not hold."""

    factor: bytes
    names: bytes
    forms: bytes

    @classmethod
    def of(cls, key: bytes) -> Secrets:
        """Three keys from one."""
        return cls(
            *(hmac.digest(key, b"sign-in " + use, "sha256") for use in (b"factor", b"names", b"forms"))
        )

    def seal(self, secret: bytes, chance: Chance) -> bytes:
        """A second factor as it is kept."""
        return bytes(SecretBox(self.factor).encrypt(secret, chance(SecretBox.NONCE_SIZE)))

    def open(self, sealed: bytes) -> bytes | None:
        """A second factor as it is used; None where it was sealed under another key."""
        try:
            return bytes(SecretBox(self.factor).decrypt(sealed))
        except (CryptoError, ValueError):
            return None

    def bucket(self, kind: str, value: str) -> int:
        """Where mistakes of a name or an address are counted."""
        return int.from_bytes(hmac.digest(self.names, f"{kind}:{value}".encode(), "sha256")[:8]) % _BUCKETS

    def handle(self, person: str) -> bytes:
        """Under what an authenticator keeps a person's passkeys: it says nothing of the person (WebAuthn §14.6.1)."""
        return hmac.digest(self.names, f"passkeys:{person}".encode(), "sha256")

    def form_token(self, session: bytes) -> str:
        """What a form of this session carries, and no other site can know."""
        return hmac.digest(self.forms, session, "sha256").hex()


# Of no password: whoever names nobody waits as long as whoever misspells a password.
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)


@dataclass(frozen=True, slots=True)
class Session:
    """Who sits at the console, since when and until when."""

    digest: bytes
    person: str
    name: str
    party: str
    party_name: str
    roles: frozenset[str]
    duty: str | None
    hall: Hall
    address: str
    began_us: int
    seen_us: int
    confirmed_us: int
    ends_us: int

    @property
    def caller(self) -> Caller:
        """The same caller that the person's key is, by another channel."""
        return Caller(self.person, self.party, self.roles, None, self.duty, "web")

    def fresh(self, clock_us: int) -> bool:
        """Whether the second factor was shown within five minutes."""
        return self.confirmed_us + FRESH_US > clock_us


@dataclass(frozen=True, slots=True)
class Locked:
    """An account that was locked just now."""

    person: str
    failures: int
    delay_us: int


@dataclass(frozen=True, slots=True)
class Door:
    """Where people come in: the database, its clock and chance, and the keys of this room."""

    database: Database
    secrets: Secrets
    clock: Callable[[], int]
    chance: Chance
    site: str | None = None
    """The origin of which passkeys are; None: of this machine alone, `http://localhost` at the port that serves."""
    _hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Argon2id takes 64 MiB and a core each: more at a time than the machine has would only wait in memory."""

    async def hash_password(self, password: str) -> str:
        """Argon2id (RFC 9106) in a thread, 64 MiB and two passes."""
        async with self._hashing:
            made = await asyncio.to_thread(
                argon2id.str,
                plain_password(password),
                opslimit=argon2id.OPSLIMIT_INTERACTIVE,
                memlimit=argon2id.MEMLIMIT_INTERACTIVE,
            )
        return made.decode()

    async def _fits(self, kept: str, password: str) -> bool:
        def verify() -> bool:
            try:
                return bool(argon2id.verify(kept.encode(), plain_password(password)))
            except InvalidkeyError:
                return False

        async with self._hashing:
            return await asyncio.to_thread(verify)

    def challenge(self, use: passkeys.Use, bound: bytes) -> bytes:
        """A fresh challenge for a passkey, for this use by whom it is bound to."""
        return passkeys.challenge(self.secrets.forms, use, bound, self.clock(), self.chance)

    async def made(self, answer: Answer) -> passkeys.Made:
        """A passkey that was made in answer to a challenge of ours; Unprocessable for anything else."""
        return await asyncio.to_thread(passkeys.made, self.secrets.forms, answer, self.clock())

    async def _presented(self, answer: Answer) -> passkeys.Presented:
        return await asyncio.to_thread(passkeys.presented, self.secrets.forms, answer, self.clock())

    async def sign_in(
        self,
        hall: Hall,
        login: str,
        password: str,
        factor: str | Answer,
        *,
        address: str,
        agent: str,
        now_us: int,
    ) -> tuple[str, Session] | Locked:
        """A new session and the token that stands for it; `now_us` is the market's time, for a deputy's term.

        Unauthenticated where name, password and second factor (a code or a passkey) do not fit together, without saying
        which; TooMany while the name or the address is locked; Unprocessable for a passkey's answer to no challenge that
        stands, whoever is named. `Locked` where this mistake locked an existing account: the caller records it and refuses.
        """
        login, clock_us = plain_login(login), self.clock()
        if isinstance(factor, Answer):
            await self._presented(factor)
        async with self._line() as line:
            name_failures = await self._count(line, "name", login, FREE_FAILURES)
            await self._count(line, "address", address, FREE_FAILURES_OF_ADDRESS)
            row = await (await line.execute(_ACCOUNT, (login, now_us))).fetchone()
            await line.commit()
            kept = row[1] if row is not None and row[1] else _NOBODY
            fits = await self._fits(kept, password)
            shown = (
                await self._show(line, row[0], hall, address, factor) if fits and row is not None else None
            )
            if shown is None or row is None or ("regulator" in row[4]) != (hall == "regulator"):
                person = None if row is None else row[0]
                wait_us = delay_us(name_failures, FREE_FAILURES)
                locked = person is not None and wait_us > 0
                await self._register(line, person, hall, address, "locked" if locked else "refused", "")
                await line.commit()
                if person is not None and locked:
                    return Locked(person, name_failures, wait_us)
                raise refused()
            await line.execute(
                "UPDATE sign_in_failure SET failures = 0, until_us = 0 WHERE bucket = ANY(%s)",
                ([self.secrets.bucket("name", login), self.secrets.bucket("address", address)],),
            )
            token = self.chance(32).hex()
            session = Session(
                digest_of(token), row[0], row[2], row[3], row[5], frozenset(row[4]), row[6], hall, address,
                clock_us, clock_us, clock_us, clock_us + LONGEST_US,
            )  # fmt: skip
            await self._begin(line, session, agent)
            await self._register(
                line, row[0], hall, address, "recovered" if shown == "recovery" else "signed_in", ""
            )
            await line.commit()
        return token, session

    async def begin(self, person: str, hall: Hall, *, address: str, agent: str) -> str:
        """A session of somebody who has just opened an account; gives its token."""
        clock_us, token = self.clock(), self.chance(32).hex()
        async with self._line() as line:
            session = Session(
                digest_of(token), person, "", "", "", frozenset(), None, hall, address,
                clock_us, clock_us, clock_us, clock_us + LONGEST_US,
            )  # fmt: skip
            await self._begin(line, session, agent)
            await self._register(line, person, hall, address, "signed_in", "")
            await line.commit()
        return token

    async def confirm(self, session: Session, factor: str | Answer) -> Session:
        """Show a second factor again; Unprocessable where the code or the passkey is wrong, TooMany after too many such."""
        if isinstance(factor, Answer):
            await self._presented(factor)
        async with self._line() as line:
            await self._count(line, "person", session.person, FREE_FAILURES)
            await line.commit()
            shown = await self._show(line, session.person, session.hall, session.address, factor)
            what = "refused" if shown is None else "confirmed"
            await self._register(line, session.person, session.hall, session.address, what, "")
            if shown is not None:
                clock_us = self.clock()
                await line.execute(
                    "UPDATE web_session SET confirmed_us = %s WHERE digest = %s", (clock_us, session.digest)
                )
                await line.execute(
                    "UPDATE sign_in_failure SET failures = 0, until_us = 0 WHERE bucket = %s",
                    (self.secrets.bucket("person", session.person),),
                )
                session = replace(session, confirmed_us=clock_us)
            await line.commit()
        if shown is None and isinstance(factor, Answer):
            raise passkeys.unlike()
        if shown is None:
            raise Unprocessable(
                "session.code",
                "this code does not fit, or was used",
                field="code",
                rule="a code is good for about a minute, and once (RFC 6238 §5.2)",
                remedy="wait for the next code, or enter a recovery code",
            )
        return session

    async def seen(self, session: Session) -> None:
        """Keep that a session is in use, to a minute."""
        clock_us = self.clock()
        if clock_us - session.seen_us < SEEN_EVERY_US:
            return
        async with self._line() as line:
            await line.execute(
                "UPDATE web_session SET seen_us = %s WHERE digest = %s", (clock_us, session.digest)
            )
            await line.commit()

    async def end(self, session: Session, other: bytes | None = None) -> None:
        """End a session of the same person, this one unless another is named; NotFound for anybody else's."""
        digest = session.digest if other is None else other
        async with self._line() as line:
            cursor = await line.execute(
                "UPDATE web_session SET ended_us = %s WHERE digest = %s AND person = %s AND ended_us IS NULL",
                (self.clock(), digest, session.person),
            )
            if cursor.rowcount:
                await self._register(line, session.person, session.hall, session.address, "ended", "")
            await line.commit()
        if not cursor.rowcount:
            raise NotFound(
                "session.unknown", "no such session of yours", field="session", remedy="reload the page"
            )

    async def register_read(self, session: Session, said: str) -> None:
        """Keep that somebody looked at something."""
        async with self._line() as line:
            await self._register(line, session.person, session.hall, session.address, "read", said[:500])
            await line.commit()

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        line = await self.database.connect(application_name="exchange door")
        try:
            yield line
        finally:
            await line.close()

    async def _count(self, line: psycopg.AsyncConnection[Any], kind: str, value: str, free: int) -> int:
        """Count a mistake before it is one: tries that come at once are each counted. What succeeds sets it back."""
        clock_us, bucket = self.clock(), self.secrets.bucket(kind, value)
        await line.execute(
            "INSERT INTO sign_in_failure (bucket, failures, last_us, until_us) VALUES (%s, 0, %s, 0)"
            " ON CONFLICT (bucket) DO NOTHING",
            (bucket, clock_us),
        )
        cursor = await line.execute(
            "SELECT failures, last_us, until_us FROM sign_in_failure WHERE bucket = %s FOR UPDATE", (bucket,)
        )
        row = await cursor.fetchone()
        assert row is not None
        failures, last_us, until_us = row
        if until_us > clock_us:
            await line.rollback()
            raise locked(until_us - clock_us)
        failures = 1 if last_us + FORGET_US < clock_us else failures + 1
        await line.execute(
            "UPDATE sign_in_failure SET failures = %s, last_us = %s, until_us = %s WHERE bucket = %s",
            (failures, clock_us, clock_us + delay_us(failures, free), bucket),
        )
        return int(failures)

    async def _show(
        self,
        line: psycopg.AsyncConnection[Any],
        person: str,
        hall: Hall,
        address: str,
        factor: str | Answer,
    ) -> Literal["totp", "recovery", "passkey"] | None:
        """Use up what is shown: a code of the authenticator, one for its loss, or a passkey's answer. None where it is none."""
        if isinstance(factor, Answer):
            return "passkey" if await self._answered(line, person, hall, address, factor) else None
        code = factor.strip().replace(" ", "")
        if len(code) == 6 and code.isdecimal() and code.isascii():
            row = await (
                await line.execute("SELECT factor FROM person_account WHERE person = %s", (person,))
            ).fetchone()
            secret = None if row is None else self.secrets.open(bytes(row[0]))
            step = None if secret is None else matching_step(secret, code, self.clock(), 0)
            if step is None:
                return None
            used = await line.execute(
                "UPDATE person_account SET factor_step = %s WHERE person = %s AND factor_step < %s",
                (step, person, step),
            )
            return "totp" if used.rowcount else None
        digest = recovery_digest(code)
        used = await line.execute(
            "UPDATE person_account SET recovery = array_remove(recovery, %s)"
            " WHERE person = %s AND %s = ANY(recovery)",
            (digest, person, digest),
        )
        return "recovery" if used.rowcount else None

    async def _answered(
        self,
        line: psycopg.AsyncConnection[Any],
        person: str,
        hall: Hall,
        address: str,
        answer: Answer,
    ) -> bool:
        """Judge a passkey's answer, and take its challenge. One whose count goes back was copied: it is good for nothing
        from then on, which the register of accesses tells."""
        said = await self._presented(answer)
        row = await (await line.execute(_PASSKEY, (said.id, person))).fetchone()
        if row is None:
            return False
        label, public, kept = row
        try:
            counter = await asyncio.to_thread(passkeys.counted, answer, said.challenge, bytes(public))
        except Unprocessable:
            return False
        taken = await line.execute(
            "UPDATE person_account SET challenge_us = %s WHERE person = %s AND challenge_us < %s",
            (said.challenge_us, person, said.challenge_us),
        )
        if not taken.rowcount:
            return False
        if passkeys.went_back(counter, kept):
            await line.execute("UPDATE passkey SET copied_us = %s WHERE id = %s", (self.clock(), said.id))
            await self._register(line, person, hall, address, "copied", label)
            return False
        await line.execute(
            "UPDATE passkey SET counter = %s, used_us = %s WHERE id = %s", (counter, self.clock(), said.id)
        )
        return True

    async def _begin(self, line: psycopg.AsyncConnection[Any], session: Session, agent: str) -> None:
        await line.execute(
            "INSERT INTO web_session (digest, person, hall, address, agent, began_us, seen_us, confirmed_us, ends_us)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                session.digest, session.person, session.hall, session.address, agent[:200],
                session.began_us, session.seen_us, session.confirmed_us, session.ends_us,
            ),
        )  # fmt: skip

    async def _register(
        self,
        line: psycopg.AsyncConnection[Any],
        person: str | None,
        hall: str,
        address: str,
        what: str,
        said: str,
    ) -> None:
        await line.execute(
            "INSERT INTO access_record (id, time_us, person, hall, address, what, said)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (f"acr-{self.chance(8).hex()}", self.clock(), person, hall, address, what, said),
        )


_PASSKEY = (
    "SELECT label, public, counter FROM passkey"
    " WHERE id = %s AND person = %s AND removed_us IS NULL AND copied_us IS NULL FOR UPDATE"
)

_ACCOUNT = (
    "SELECT a.person, a.password, p.name, p.party, o.roles, o.name, p.duty FROM person_account a"
    " JOIN person p ON p.id = a.person JOIN party o ON o.id = p.party WHERE a.login = %s AND p.state = 'active'"
    " AND (p.until_us IS NULL OR p.until_us > %s) AND o.state <> 'suspended'"
)

_SESSION = (
    "SELECT s.person, p.name, p.party, o.name, o.roles, p.duty, s.hall, s.address, s.began_us, s.seen_us, s.confirmed_us, s.ends_us"
    " FROM web_session s JOIN person p ON p.id = s.person JOIN party o ON o.id = p.party"
    " WHERE s.digest = %(digest)s AND s.hall = %(hall)s AND s.ended_us IS NULL"
    " AND s.ends_us > %(clock_us)s AND s.seen_us > %(idle_us)s AND p.state = 'active'"
    " AND (p.until_us IS NULL OR p.until_us > %(now_us)s) AND o.state <> 'suspended'"
)


def digest_of(token: str) -> bytes:
    """What is kept of a session's token: it has 256 bits of chance."""
    return sha256(token.encode()).digest()


async def find(session: AsyncSession, token: str, hall: Hall, clock_us: int, now_us: int) -> Session | None:
    """The session that a token stands for; None where it ended, by the person, by time, or with membership or a
    suspension of the party."""
    digest = digest_of(token)
    asked = {
        "clock_us": clock_us, "digest": digest, "hall": hall, "idle_us": clock_us - IDLE_US, "now_us": now_us,
    }  # fmt: skip
    row = await (await (await driver(session)).execute(_SESSION, asked)).fetchone()
    if row is None:
        return None
    person, name, party, party_name, roles, *rest = row
    return Session(digest, person, name, party, party_name, frozenset(roles), *rest)


async def sessions(session: AsyncSession, sitting: Session, clock_us: int) -> list[dict[str, Any]]:
    """The person's sessions that last, the newest first."""
    rows = await session.execute(
        select(WebSession)
        .where(
            col(WebSession.person) == sitting.person,
            col(WebSession.ended_us).is_(None),
            col(WebSession.ends_us) > clock_us,
            col(WebSession.seen_us) > clock_us - IDLE_US,
        )
        .order_by(col(WebSession.began_us).desc(), col(WebSession.digest))
    )
    return [
        {
            "address": row.address,
            "agent": row.agent,
            "began_us": str(row.began_us),
            "digest": row.digest.hex(),
            "here": row.digest == sitting.digest,
            "seen_us": str(row.seen_us),
        }
        for row in rows.scalars()
    ]


async def accesses(
    session: AsyncSession,
    *,
    person: str | None = None,
    what: str | None = None,
    before_us: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The register of accesses, the newest first, of one person or of all, of one kind or of all."""
    query = (
        select(AccessRecord, Person.name)
        .outerjoin(Person, col(Person.id) == col(AccessRecord.person))
        .order_by(col(AccessRecord.time_us).desc(), col(AccessRecord.id).desc())
        .limit(limit)
    )
    if person is not None:
        query = query.where(col(AccessRecord.person) == person)
    if what is not None:
        query = query.where(col(AccessRecord.what) == what)
    if before_us is not None:
        query = query.where(col(AccessRecord.time_us) < before_us)
    rows = await session.execute(query)
    return [
        {
            "address": row.address,
            "hall": row.hall,
            "name": name,
            "person": row.person,
            "said": row.said,
            "time_us": str(row.time_us),
            "what": row.what,
        }
        for row, name in rows
    ]


def refused() -> Unauthenticated:
    """The one answer to every sign-in that fails."""
    return Unauthenticated(
        "sign_in.refused",
        "name, password and code do not fit together",
        field="code",
        rule="a person signs in with a password and a second factor",
        remedy="try again with the code that your authenticator shows now; ask an administrator for a new link if you lost one",
    )


def locked(wait_us: int) -> TooMany:
    """Refuse while a name or an address is locked."""
    return TooMany(
        "sign_in.locked",
        "too many mistakes",
        retry_after_s=max(1, -(-wait_us // 1_000_000)),
        rule="after five mistakes in a row a name waits 30 seconds, and twice as long after each further one",
    )


THE_DOOR: Final = CLOCK
"""Who puts a lock on the record: the market's own hand."""
