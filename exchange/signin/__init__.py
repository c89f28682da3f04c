"""How a person comes in by the web: an account of password and second factor, opened with a one-time link.

The second factor is an authenticator's code, or one of the person's passkeys; an account is opened with either, and always
has one of them. The log says that an account was secured, reset or locked and what kinds of second factor it has, never with what: hashes, secrets,
passkeys and names to sign in with are in tables of their own that no log makes again. Whoever lost them gets a fresh link,
which two persons have to agree on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction
from exchange.credentials import unknown_link
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.parties import INVITATION_US, check_digest
from exchange.signin.factors import RECOVERY_CODES
from exchange.signin.passkeys import PASSKEYS_AT_MOST, Made
from exchange.tables import AccountReset, Invitation, Party, Passkey, Person, PersonAccount, WebSession


@dataclass(frozen=True, slots=True)
class SecureAccount(Act):
    """Open the account of whom a link was given to, or give the caller's own account new secrets.

    The secrets are not compared: the same request sent again may have been hashed anew. None for all of them, as a recall
    has it, records the fact and keeps nothing.
    """

    token_digest: bytes | None
    login: str | None = field(default=None, compare=False)
    password: str | None = field(default=None, compare=False)
    """The Argon2id hash."""
    factor: bytes | None = field(default=None, compare=False)
    """The sealed secret of the authenticator, empty where there is to be none; None leaves it as it is."""
    recovery: tuple[str, ...] = field(default=(), compare=False)
    session: bytes | None = field(default=None, compare=False)
    """The digest of a session that stays when the account's others end."""
    kinds: str = field(default="totp", compare=False)
    """What kinds of second factor the account has then, where nothing is kept here."""
    adds: Made | None = field(default=None, compare=False)
    """A passkey that `Door.made` found good."""
    label: str = field(default="", compare=False)


async def secure_account(tx: Transaction, act: SecureAccount) -> Record:
    """Keep new secrets; a link works once. Every other session of the person ends. No account is left without a second factor."""
    person = tx.caller.person
    if act.token_digest is not None:
        link = await tx.session.get(Invitation, act.token_digest)
        if link is None or link.used_us is not None or link.expires_us <= tx.now_us:
            raise unknown_link()
        link.used_us = tx.now_us
        person = link.person
    row = await tx.find(Person, person, "person")
    kinds = act.kinds if act.login is None else await _keep(tx, act, person)
    await _end_sessions(tx, person, act.session)
    return _secured(row, kinds, RECOVERY_CODES, act.token_digest)


def _secured(person: Person, kinds: str, recovery_codes: int = 0, token: bytes | None = None) -> Record:
    return Record(
        "account_secured",
        {
            "person": person.id,
            "recovery_codes": str(recovery_codes),
            "second_factor": kinds,
            "state": "active",
            "token": None if token is None else token.hex(),
        },
        readers=(person.party,),
    )


async def _keep(tx: Transaction, act: SecureAccount, person: str) -> str:
    assert act.login is not None
    assert act.password is not None
    taken = await tx.session.scalar(select(PersonAccount.person).where(col(PersonAccount.login) == act.login))
    if taken not in (None, person):
        raise Conflict(
            "account.login_taken",
            f"the name {act.login!r} is taken",
            field="login",
            rule="a sign-in name is one person's",
            remedy="choose another name",
        )
    account = await tx.session.get(PersonAccount, person)
    if account is None:
        account = PersonAccount(
            person=person, login="", password="", factor=b"", factor_step=0, challenge_us=0, recovery=[]
        )
        tx.session.add(account)
    account.login, account.password, account.recovery = act.login, act.password, list(act.recovery)
    if act.factor is not None:
        account.factor, account.factor_step = act.factor, 0
    await tx.session.flush()
    if act.adds is not None:
        await _add(tx, account, act.adds, act.label)
    return _require_factor(account, await good_passkeys(tx.session, person))


async def good_passkeys(session: AsyncSession, person: str) -> list[Passkey]:
    """The passkeys that a person can come in with, the oldest first."""
    return [one for one in await _passkeys(session, person) if one.copied_us is None]


async def _passkeys(session: AsyncSession, person: str) -> list[Passkey]:
    rows = await session.execute(
        select(Passkey)
        .where(col(Passkey.person) == person, col(Passkey.removed_us).is_(None))
        .order_by(col(Passkey.created_us), col(Passkey.id))
    )
    return list(rows.scalars())


@dataclass(frozen=True, slots=True)
class ChangeFactors(Act):
    """Take a passkey more as a second factor of the caller's own account, or take a second factor off.

    As with other secrets nothing of it is compared. `kinds` alone, as a recall has it, records the fact and keeps nothing.
    """

    adds: Made | None = field(default=None, compare=False)
    """What `Door.made` found good."""
    label: str = field(default="", compare=False)
    removes: bytes | None = field(default=None, compare=False)
    """A passkey, or the authenticator where it is empty."""
    kinds: str = field(default="", compare=False)


async def change_factors(tx: Transaction, act: ChangeFactors) -> Record:
    """From now on the account has them; sessions go on. The challenge that made a passkey is taken once, as those of
    signing in are, and the last second factor stays: without it nobody could come in again."""
    person = await tx.find(Person, tx.caller.person, "person")
    if act.kinds:
        return _secured(person, act.kinds)
    account = await tx.find(PersonAccount, person.id, "account")
    if act.adds is not None:
        await _add(tx, account, act.adds, act.label)
    if act.removes is not None:
        await _remove(tx, account, act.removes)
    return _secured(person, _require_factor(account, await good_passkeys(tx.session, person.id)))


def _require_factor(account: PersonAccount, good: list[Passkey]) -> str:
    """What kinds of second factor the account has; Conflict where it would have none."""
    kinds = "+".join([*(["passkey"] if good else []), *(["totp"] if account.factor else [])])
    if not kinds:
        raise Conflict(
            "account.last_factor",
            "this is your last second factor",
            field="passkey",
            rule="an account has a second factor at any time",
            remedy="add a passkey, or set up an authenticator anew, and then remove this one",
        )
    return kinds


async def _add(tx: Transaction, account: PersonAccount, made: Made, label: str) -> None:
    if await tx.session.get(Passkey, made.id) is not None or account.challenge_us >= made.challenge_us:
        raise Conflict(
            "passkey.known",
            "this passkey was taken before",
            field="passkey",
            rule="a passkey is registered once (WebAuthn §7.1 (22))",
            remedy="make a further one on another device, or with another password manager",
        )
    if len(await _passkeys(tx.session, account.person)) >= PASSKEYS_AT_MOST:
        raise Conflict(
            "passkey.too_many",
            f"over {PASSKEYS_AT_MOST} passkeys",
            field="label",
            rule=f"a person has {PASSKEYS_AT_MOST} passkeys at most",
            remedy="remove one that you no longer use",
        )
    account.challenge_us = made.challenge_us
    await tx.insert(
        Passkey(
            id=made.id,
            person=account.person,
            label=label,
            public=made.public,
            counter=made.counter,
            created_us=made.challenge_us,  # of the process's clock, as whatever a person's own time is
        )
    )


async def _remove(tx: Transaction, account: PersonAccount, passkey: bytes) -> None:
    row = await tx.session.get(Passkey, passkey) if passkey else None
    if not passkey:
        account.factor = b""
    elif row is None or row.person != account.person or row.removed_us is not None:
        raise NotFound(
            "passkey.unknown", "no such passkey of yours", field="passkey", remedy="reload the page"
        )
    else:
        row.removed_us = tx.now_us
    await tx.session.flush()


async def second_factors(session: AsyncSession, person: str) -> dict[str, Any]:
    """Whether a person has an authenticator, and the passkeys, the oldest first."""
    account = await session.get(PersonAccount, person)
    return {
        "authenticator": account is not None and bool(account.factor),
        "login": "" if account is None else account.login,
        "passkeys": [
            {
                "copied": row.copied_us is not None,
                "created_us": str(row.created_us),
                "id": row.id.hex(),
                "label": row.label,
                "used_us": None if row.used_us is None else str(row.used_us),
            }
            for row in await _passkeys(session, person)
        ],
    }


async def _end_sessions(tx: Transaction, person: str, but: bytes | None = None) -> None:
    await tx.session.execute(
        update(WebSession)
        .where(
            col(WebSession.person) == person,
            col(WebSession.ended_us).is_(None),
            col(WebSession.digest) != (but or b""),
        )
        .values(ended_us=tx.now_us)
    )


@dataclass(frozen=True, slots=True)
class AskReset(Act):
    """Ask for a fresh link for a person; the caller makes the token, sends its SHA-256, and hands the link over."""

    person: str
    token_digest: bytes


async def ask_reset(tx: Transaction, act: AskReset) -> Record:
    """Keep the wish until another administrator decides it. For oneself it is granted at once: whoever may manage with a
    key may have an account too.

    A colleague may ask, or an administrator.
    """
    check_digest("token_digest", act.token_digest)
    person = await tx.session.get(Person, act.person)
    if person is None or (person.party != tx.caller.party and "administrator" not in tx.caller.roles):
        raise NotFound(
            "person.unknown", f"no person {act.person!r}", field="person", remedy="check the identifier"
        )
    if person.state != "active":
        raise Conflict(
            "person.left", f"{person.id} has left", field="person", remedy="invite the person anew"
        )
    if await tx.session.get(Invitation, act.token_digest) is not None:
        raise Conflict(
            "invitation.token", "this token is in use", field="token_digest", remedy="draw a fresh token"
        )
    granted = person.id == tx.caller.person
    reset = AccountReset(
        id=tx.identifier("rst"),
        person=person.id,
        token_digest=act.token_digest,
        asker=tx.caller.person,
        state="granted" if granted else "asked",
        log_index=tx.index,
    )
    await tx.insert(reset)
    if granted:
        await _grant(tx, reset)
    return Record(
        "account_reset_asked",
        {"id": reset.id, "person": person.id, "state": reset.state, "token": act.token_digest.hex()},
        readers=(person.party,),
    )


@dataclass(frozen=True, slots=True)
class DecideReset(Act):
    """Grant or decline what somebody else asked for."""

    reset: str
    grant: bool


async def decide_reset(tx: Transaction, act: DecideReset) -> Record:
    """A second administrator decides, who is neither the one who asked nor the one whom the link is for.

    Granted, what the person signed in with is void, every session of it ends, and the link is good for 72 hours.
    """
    tx.caller.require("administrator", duties=("security",))
    reset = await tx.find(AccountReset, act.reset, "reset")
    if reset.state != "asked":
        raise Conflict("account.reset_decided", "this was decided", field="reset", remedy="ask anew")
    if tx.caller.person in (reset.asker, reset.person):
        raise Forbidden(
            "account.reset_own",
            "whoever asked for a link does not grant it, nor whoever gets it",
            field="reset",
            rule="four eyes: a lost second factor is reset by two administrators",
            remedy="let another administrator decide",
        )
    reset.state, reset.decider = "granted" if act.grant else "declined", tx.caller.person
    person = await tx.find(Person, reset.person, "person")
    if act.grant:
        if person.state != "active":
            raise Conflict("person.left", f"{person.id} has left", field="person", remedy="decline it")
        await _grant(tx, reset)
    return Record(
        "account_reset_decided",
        {"id": reset.id, "person": reset.person, "state": reset.state},
        readers=(person.party,),
    )


async def _grant(tx: Transaction, reset: AccountReset) -> None:
    await tx.insert(
        Invitation(token_digest=reset.token_digest, person=reset.person, expires_us=tx.now_us + INVITATION_US)
    )
    await tx.session.execute(
        update(PersonAccount)
        .where(col(PersonAccount.person) == reset.person)
        .values(password="", recovery=[])
    )
    await tx.session.execute(
        update(Passkey)
        .where(col(Passkey.person) == reset.person, col(Passkey.removed_us).is_(None))
        .values(removed_us=tx.now_us)
    )
    await _end_sessions(tx, reset.person)


@dataclass(frozen=True, slots=True)
class LockAccount(Act):
    """Put on the record that too many sign-ins to an account failed (the door's own hand)."""

    person: str
    failures: int
    until_us: int


async def lock_account(tx: Transaction, act: LockAccount) -> Record:
    """Nobody comes in under that name until then, whatever the password; keys of programs go on."""
    tx.caller.require("clock")
    person = await tx.find(Person, act.person, "person")
    return Record(
        "account_locked",
        {
            "failures": str(act.failures),
            "person": person.id,
            "state": "locked",
            "until_us": str(act.until_us),
        },
        readers=(person.party,),
    )


@dataclass(frozen=True, slots=True)
class Invited:
    """For whom a link is."""

    person: str
    name: str
    party_name: str
    roles: frozenset[str]


async def link_of(session: AsyncSession, token_digest: bytes, now_us: int) -> Invited:
    """For whom a link is; NotFound for one that does not work, whatever the reason."""
    link = await session.get(Invitation, token_digest)
    if link is None or link.used_us is not None or link.expires_us <= now_us:
        raise unknown_link()
    person = await session.get(Person, link.person)
    party = None if person is None else await session.get(Party, person.party)
    assert person is not None
    assert party is not None
    return Invited(person.id, person.name, party.name, frozenset(party.roles))


async def resets(session: AsyncSession, caller: Caller) -> list[dict[str, Any]]:
    """Fresh links that were asked for and wait for a second administrator, the oldest first."""
    caller.require("administrator")
    rows = await session.execute(
        select(AccountReset, Person.name)
        .join(Person, col(Person.id) == col(AccountReset.person))
        .where(col(AccountReset.state) == "asked")
        .order_by(col(AccountReset.log_index))
    )
    return [
        {
            "asker": reset.asker,
            "id": reset.id,
            "index": str(reset.log_index),
            "name": name,
            "person": reset.person,
        }
        for reset, name in rows
    ]


def confirmed_needed() -> Unprocessable:
    """What an act that moves money or approves is refused with while the second factor is not fresh."""
    return Unprocessable(
        "session.not_fresh",
        "this needs your second factor again",
        field="code",
        rule="money and approvals need a second factor that is not older than five minutes",
        remedy="enter the code that your authenticator shows now, or use a passkey",
    )
