"""Acts before the registrar: apply, accept, review, withdraw.

Who may take which step, and when, is `procedure`'s to say; here it is read from rows and written to them. Each step is a log
entry that names both registrars, and the clerk where a paper form was entered at the counter. What is said of a public
notice is `objections`, what comes of an application when all is over `effects`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, plain, refusal
from exchange.catalogue import parties_of, visible_asset
from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.parties import require_active
from exchange.registration import SUMMARY_CHARACTERS, TITLE_CHARACTERS, check_text, follow, refuse_strangers
from exchange.registration.compliance import refuse_not_compliant
from exchange.registration.path import Path
from exchange.registration.procedure import ACTS, UNDER_WAY, Procedure, due_us, notice_ends_us
from exchange.registration.rights import RIGHTS, Grant, held, require_permit, require_transfer
from exchange.rulebook import Rulebook
from exchange.tables import (
    Asset,
    Certificate,
    Listing,
    Lot,
    Party,
    Person,
    RegistrationApplication,
    RegistrationObjection,
    RightGrant,
)
from exchange.vault import check_digest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


WORDS_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Counter:
    """A paper form as a clerk enters it: whose it is, who signed it, and the SHA-256 of its scan."""

    party: str
    person: str
    scan: str


@dataclass(frozen=True, slots=True)
class Apply(Act):
    """Ask the registrar for an act of registration; which members an act takes, `_TAKES` says.

    `rights` are those that a first registration claims; `grant` is permitted or moved to the party `to`.
    """

    scope: ClassVar[Scope] = "register"
    asset: str
    act: str
    rights: tuple[str, ...] = ()
    grant: str | None = None
    to: str | None = None
    exclusive: bool = False
    ends_us: int | None = None
    title: str | None = None
    summary: str | None = None
    reason: str | None = None
    counter: Counter | None = None


_TAKES: Final[Mapping[str, frozenset[str]]] = {
    "initial": frozenset({"rights"}),
    "permit": frozenset({"grant", "to", "exclusive", "ends_us"}),
    "transfer": frozenset({"grant", "to"}),
    "change": frozenset({"title", "summary", "reason"}),
    "correct": frozenset({"title", "summary", "reason"}),
    "renew": frozenset(),
    "cancel": frozenset({"reason"}),
}


_ASKED = ("rights", "grant", "to", "exclusive", "ends_us")
"""What an application asks for in the clear."""


@dataclass(frozen=True, slots=True)
class Accept(Act):
    """A registrar takes an application in, or returns it with what is missing."""

    scope: ClassVar[Scope] = "register"
    application: str
    decision: Literal["accept", "return"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Review(Act):
    """A second registrar's formal review: passed into its public notice, returned to be mended, or rejected."""

    scope: ClassVar[Scope] = "register"
    application: str
    decision: Literal["pass", "return", "reject"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Withdraw(Act):
    """The applicant takes the application back."""

    scope: ClassVar[Scope] = "register"
    application: str
    reason: str


async def apply(tx: Transaction, act: Apply) -> Record:
    """Put an act of registration before the registrar; what is missing, or not the applicant's to ask, is refused here."""
    rules = await rulebook.in_force(tx)
    applicant = await applicant_of(tx, act.counter)
    _check_form(act)
    asset = await visible_asset(tx.session, act.asset, applicant)
    identifier = tx.identifier("app")
    asked = {name: plain(getattr(act, name)) for name in _ASKED if name in _TAKES[act.act]}
    body = {
        "act": act.act,
        "applicant": applicant.person,
        "application": identifier,
        "asked": asked,
        "asset": asset.id,
        "counter": None if act.counter is None else {"clerk": tx.caller.person, "scan": act.counter.scan},
        "due_us": str(due_us(tx.now_us, "registration.accept_within_working_days", rules)),
        "party": applicant.party,
        "reason_given": None if act.reason is None else tx.seal(act.reason),
        "state": "applied",
        "summary": None if act.summary is None else tx.seal(act.summary),
        "title": None if act.title is None else tx.seal(act.title),
    }
    procedure = Procedure.begin(body)
    row = RegistrationApplication(
        id=identifier,
        act=act.act,
        asset=asset.id,
        party=applicant.party,
        applicant=applicant.person,
        clerk=procedure.clerk,
        scan=None if act.counter is None else act.counter.scan,
        title=act.title,
        summary=act.summary,
        asked=asked,
        state=procedure.stage,
        reason=act.reason,
        applied_us=tx.now_us,
        due_us=int(str(body["due_us"])),
        steps={"applied": str(tx.index)},
        log_index=tx.index,
    )
    await require_possible(tx, row, asset, rules)
    if act.act == "initial":
        Path.of(asset.state, asset.evidence).require_all()
    await _refuse_a_second(tx, row)
    await tx.insert(row)
    return await told(tx, row, asset, Record("registration_applied", body))


def _check_form(act: Apply) -> None:
    if act.act not in ACTS:
        raise Unprocessable(
            "application.act",
            f"no act of registration {act.act!r}",
            field="act",
            rule=f"one of {', '.join(ACTS)}",
            remedy="choose the act from the list",
        )
    given = {
        name
        for name in (*_ASKED, "title", "summary", "reason")
        if getattr(act, name) not in (None, (), False)
    }
    needed = (
        _TAKES[act.act]
        - {"exclusive"}
        - ({"title", "summary"} if act.act in ("change", "correct") else set())
    )
    if given - _TAKES[act.act] or needed - given:
        wrong = sorted(given - _TAKES[act.act]) or sorted(needed - given)
        raise Unprocessable(
            "application.members",
            f"{', '.join(wrong)} {'has no place in' if given - _TAKES[act.act] else 'is missing from'} the act {act.act}",
            field=wrong[0],
            rule=f"the act {act.act} takes {', '.join(sorted(_TAKES[act.act])) or 'nothing else'}",
            remedy="leave it out" if given - _TAKES[act.act] else "add it",
        )
    if act.act in ("change", "correct") and not {"title", "summary"} & given:
        raise Unprocessable(
            "application.nothing",
            "nothing would change",
            field="title",
            rule="a change or correction says what is to stand there: a title, a summary or both",
            remedy="add what is to change",
        )
    if unknown := sorted(set(act.rights) - set(RIGHTS)) or len(set(act.rights)) != len(act.rights):
        raise Unprocessable(
            "application.rights",
            f"rights {unknown}" if isinstance(unknown, list) else "a right is named twice",
            field="rights",
            rule=f"one or more of {', '.join(RIGHTS)}, each once",
            remedy="name the rights that the department has in the data",
        )
    for field, text, most in (
        ("title", act.title, TITLE_CHARACTERS),
        ("summary", act.summary, SUMMARY_CHARACTERS),
        ("reason", act.reason, WORDS_CHARACTERS),
    ):
        if text is not None:
            check_text(field, text, 1, most)


async def applicant_of(tx: Transaction, counter: Counter | None) -> Caller:
    """Who asks: the caller, or whoever signed the paper form that a registrar's clerk enters."""
    if counter is None:
        require_active(await tx.find(Party, tx.caller.party, "party"))
        return tx.caller
    tx.caller.require("registrar")
    check_digest(counter.scan, field="counter.scan")
    party = await tx.session.get(Party, counter.party)
    person = await tx.session.get(Person, counter.person)
    if party is None or person is None or person.party != party.id:
        raise Unprocessable(
            "counter.person",
            f"{counter.person!r} is nobody of {counter.party!r}",
            field="counter.person",
            rule="a paper form is signed by a person of the party that it is for",
            remedy="have the party invite the person, or correct the form",
        )
    require_active(party)
    return Caller(person.id, party.id, frozenset(party.roles))


async def require_possible(
    tx: Transaction, row: RegistrationApplication, asset: Asset, rules: Rulebook
) -> None:
    """Refuse an act that can have no effect now: not its asker's, not of a registered asset, more than is held, too early.

    Asked when it is applied for, when it passes the review and when it takes effect: meanwhile others act.
    """
    asked = row.asked
    if row.act == "initial":
        refuse_strangers(asset, row.party)
        return
    if asset.state != "registered":
        raise Conflict(
            "application.not_registered",
            f"the asset is {asset.state}",
            field="asset",
            rule="after the first registration come the other acts",
            remedy="register it first",
        )
    grants = await grants_of(tx.session, asset.id)
    if row.act in ("permit", "transfer"):
        grant = held(grants, asked["grant"], row.party, tx.now_us)
        receiver = await tx.session.get(Party, asked["to"])
        if receiver is None or receiver.state != "active":
            raise Unprocessable(
                "right.receiver",
                f"{asked['to']!r} is no active party",
                field="to",
                rule="a right goes to a party of the market",
                remedy="check the identifier",
            )
        if row.act == "permit":
            require_permit(
                grants,
                grant,
                to=receiver.id,
                exclusive=asked["exclusive"],
                ends_us=int(asked["ends_us"]),
                now_us=tx.now_us,
                rules=rules,
            )
        else:
            require_transfer(grant, to=receiver.id, rules=rules)
        return
    if not any(
        one.right == "right_hold" and one.parent is None and one.holder == row.party for one in grants
    ):
        raise Forbidden(
            "application.not_holder",
            "the registration is another party's",
            field="asset",
            rule="a registration is changed, renewed or ended for who holds the data (right_hold)",
            remedy="ask the holder",
        )
    if row.act == "renew":
        certificate = await certificate_of(tx, asset)
        _require_renewable(certificate, tx.now_us, rules)
    if row.act == "cancel":
        await refuse_open_lots(tx, asset.id)


def _require_renewable(certificate: Certificate, now_us: int, rules: Rulebook) -> None:
    days = rules.value("registration.renewal_within_days_before")
    if certificate.ends_us is None or now_us < certificate.ends_us - days * 86_400_000_000:
        raise Conflict(
            "renewal.early",
            f"the certificate stands until {certificate.ends_us}",
            field="asset",
            rule=f"renewed in the last {days} days ({rules.cite('renewal.early')})",
            remedy="apply again then; its holder is reminded",
        )


async def refuse_open_lots(tx: Transaction, asset: str) -> None:
    """Conflict while the asset is up for auction: who bids has to get what the lot promises."""
    lots = await tx.session.execute(
        select(Lot.id)
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .where(col(Listing.asset) == asset, col(Lot.state).in_(("open", "halted")))
    )
    if (lot := lots.scalars().first()) is not None:
        raise Conflict(
            "registration.lot_open",
            f"the lot {lot} is open",
            field="asset",
            rule="what is up for auction keeps its registration until the lot is closed",
            remedy="wait for its close",
        )


async def _refuse_a_second(tx: Transaction, row: RegistrationApplication) -> None:
    """One act of a kind at a time for an asset; permits of its rights run beside one another."""
    if row.act == "permit":
        return
    query = select(RegistrationApplication.id).where(
        col(RegistrationApplication.asset) == row.asset,
        col(RegistrationApplication.act) == row.act,
        col(RegistrationApplication.state).in_(UNDER_WAY),
    )
    if (other := (await tx.session.execute(query)).scalars().first()) is not None:
        raise Conflict(
            "application.under_way",
            f"{other} asks for the same act",
            field="asset",
            rule="an act is applied for once at a time",
            remedy="withdraw that application, or wait for its end",
        )


async def accept(tx: Transaction, act: Accept) -> Record:
    """Take an application in for its formal review, or return it; of its own party no registrar does either, on the record."""
    row, asset, procedure, rules = await case_of(tx, act.application)
    procedure.require("applied")
    body = {
        **body_of(row, decision=act.decision, registrar=tx.caller.party),
        "reason_given": reasoned(tx, act.reason, needed=act.decision == "return"),
    }
    if (problem := procedure.may_handle(tx.caller.party, rules)) is not None:
        return refusal("registration_accepted", body, problem)
    if act.decision == "return":
        row.said, row.due_us = act.reason, None
        body |= {"due_us": None, "state": "returned"}
    else:
        row.due_us = due_us(tx.now_us, "registration.review_within_working_days", rules)
        body |= {"due_us": str(row.due_us), "state": "accepted"}
    return await told(tx, row, asset, Record("registration_accepted", body), "accepted")


async def review(tx: Transaction, act: Review) -> Record:
    """Judge the form: pass it into its public notice, return or reject it. Who accepted it is refused, on the record.

    What cannot have the effect that it asks for any more does not pass.
    """
    row, asset, procedure, rules = await case_of(tx, act.application)
    procedure.require("accepted")
    body = {
        **body_of(row, decision=act.decision, registrar=tx.caller.party),
        "reason_given": reasoned(tx, act.reason, needed=act.decision != "pass"),
    }
    problem = procedure.may_handle(tx.caller.party, rules) or procedure.may_review(tx.caller.person, rules)
    if problem is not None:
        return refusal("registration_reviewed", body, problem)
    row.due_us = None
    if act.decision == "pass":
        await require_possible(tx, row, asset, rules)
        if row.act == "initial":
            await refuse_not_compliant(tx, asset.id, rules)
        ends_us = notice_ends_us(procedure.act, tx.now_us, rules)
        body |= {"ends_us": str(ends_us), "state": "noticed"}
    else:
        row.said = act.reason
        body |= {"ends_us": None, "state": {"return": "returned", "reject": "rejected"}[act.decision]}
    return await told(tx, row, asset, Record("registration_reviewed", body), "reviewed")


async def withdraw(tx: Transaction, act: Withdraw) -> Record:
    """Take an application back; a notice that ran ends with it."""
    rules = await rulebook.in_force(tx)
    row = await tx.session.get(RegistrationApplication, act.application)
    if row is None or row.party != tx.caller.party:
        raise unknown_application(act.application)
    asset = await tx.find(Asset, row.asset, "asset")
    (await procedure_of(tx.session, row)).require(*UNDER_WAY)
    check_text("reason", act.reason, 1, WORDS_CHARACTERS)
    row.said, row.due_us = act.reason, None
    body = {**body_of(row), "reason_given": tx.seal(act.reason), "state": "withdrawn"}
    return await told(tx, row, asset, Record("registration_withdrawn", body), rules=rules)


def unknown_application(application: str) -> NotFound:
    """The same for an application that does not exist and for one that is not the caller's to see."""
    return NotFound(
        "application.unknown",
        f"no application {application!r}",
        field="application",
        remedy="check the identifier",
    )


async def case_of(
    tx: Transaction, application: str
) -> tuple[RegistrationApplication, Asset, Procedure, Rulebook]:
    """An application before a registrar, with what it is about."""
    tx.caller.require("registrar")
    require_active(await tx.find(Party, tx.caller.party, "party"))
    row = await tx.session.get(RegistrationApplication, application)
    if row is None:
        raise unknown_application(application)
    asset = await tx.find(Asset, row.asset, "asset")
    return row, asset, await procedure_of(tx.session, row), await rulebook.in_force(tx)


async def procedure_of(session: AsyncSession, row: RegistrationApplication) -> Procedure:
    """The procedure as a row and its objections keep it."""
    objections = await session.execute(
        select(RegistrationObjection.id).where(
            col(RegistrationObjection.application) == row.id, col(RegistrationObjection.state) == "open"
        )
    )
    begun = Procedure.begin(
        {
            "act": row.act,
            "asset": row.asset,
            "counter": None if row.clerk is None else {"clerk": row.clerk},
            "party": row.party,
        }
    )
    for stage in (*UNDER_WAY, "concluded", "returned", "rejected", "withdrawn"):
        if stage == row.state:
            return replace(
                begun,
                stage=stage,
                registrar=row.registrar,
                acceptor=row.acceptor,
                reviewer=row.reviewer,
                ends_us=row.ends_us,
                open_objections=frozenset(objections.scalars()),
            )
    raise ValueError(f"the application {row.id} is {row.state}")


async def told(
    tx: Transaction,
    row: RegistrationApplication,
    asset: Asset,
    record: Record,
    step: str | None = None,
    *,
    rules: Rulebook | None = None,
    readers: Sequence[str] = (),
) -> Record:
    """Move application and asset along as a replay of this entry would; whom it concerns may see the entry."""
    if record.kind != "registration_applied":
        after = (await procedure_of(tx.session, row)).follow(
            record.kind,
            record.act,
            by=tx.caller.person,
            party=tx.caller.party,
            time_us=tx.now_us,
            rules=rules or await rulebook.in_force(tx),
        )
        row.state, row.registrar, row.acceptor = after.stage, after.registrar, after.acceptor
        row.reviewer, row.ends_us = after.reviewer, after.ends_us
    if step is not None:
        row.steps = {**row.steps, step: str(tx.index)}
    row.log_index = tx.index
    followed = follow(asset, record, tx.index)
    everybody = (*followed.readers, *await readers_of(tx, row, asset), *readers)
    return replace(followed, readers=tuple(dict.fromkeys(everybody)))


async def readers_of(tx: Transaction, row: RegistrationApplication, asset: Asset | None) -> tuple[str, ...]:
    """Whom an application concerns: its party, the asset's, whoever gets a right, and the registrars."""
    asset = asset or await tx.find(Asset, row.asset, "asset")
    registrars: Sequence[str] = () if row.registrar is None else (row.registrar,)
    if row.registrar is None:
        every = await tx.session.execute(
            select(Party.id).where(col(Party.roles).contains(["registrar"])).order_by(col(Party.id))
        )
        registrars = every.scalars().all()
    receiver = row.asked.get("to")
    return (row.party, *parties_of(asset), *registrars, *(() if receiver is None else (receiver,)))


def body_of(row: RegistrationApplication, **more: str | None) -> dict[str, Any]:
    return {"act": row.act, "application": row.id, "asset": row.asset, **more}


def reasoned(tx: Transaction, reason: str | None, *, needed: bool) -> str | None:
    """A decision's reason, sealed; a negative one has to have it."""
    if reason is None and needed:
        raise Unprocessable(
            "application.no_reason",
            "the decision gives no reason",
            field="reason",
            rule="what is returned or rejected says why",
            remedy="say what is missing or wrong",
        )
    if reason is None:
        return None
    check_text("reason", reason, 1, WORDS_CHARACTERS)
    return tx.seal(reason)


async def certificate_of(tx: Transaction, asset: Asset) -> Certificate:
    assert asset.code is not None  # a registered asset has one
    return await tx.find(Certificate, asset.code, "certificate")


async def grant_rows(session: AsyncSession, asset: str) -> Sequence[RightGrant]:
    query = select(RightGrant).where(col(RightGrant.asset) == asset)
    return (await session.execute(query.order_by(col(RightGrant.id)))).scalars().all()


def grant_of(row: RightGrant) -> Grant:
    """A grant as its row keeps it."""
    return Grant(row.id, row.right, row.holder, row.parent, row.exclusive, row.ends_us, row.state == "active")


async def grants_of(session: AsyncSession, asset: str) -> list[Grant]:
    """Every right in an asset that was ever granted."""
    return [grant_of(row) for row in await grant_rows(session, asset)]
