"""Room: a delivery is accepted, objected to, or accepted by silence, within a window that the market's clock ends.

    open ─ accepted by the buyer, or by silence when the window has ended ─> accepted
      └─ objection within the window ─> objected ─ a mediator is named ─> mediation ─ its award ─> accepted, reduced, refunded

The window begins with the settlement and, where the buyer fetches the product within it, anew with that first access. What was
paid is the seller's from the settlement on (delivery versus payment); only an award gives of it back (`exchange.mediation`).
That a window has ended is a fact of the clock: the worker's entry only writes it down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from sqlalchemy import or_, true
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook import Rulebook, in_force
from exchange.tables import Acceptance
from exchange.vault import check_digest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

WINDOW: Final = "acceptance.window_working_days"
TEXT_CHARACTERS: Final = 2000
LAPSES_AT_ONCE: Final = 64

State = Literal["open", "accepted", "objected", "mediation", "reduced", "refunded", "void"]
UNDECIDED: Final[tuple[State, ...]] = ("open", "objected", "mediation")


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where one delivery stands: the same for the room and for a replay of the log."""

    ends_us: int
    state: State = "open"
    accessed: bool = False
    mediator: str | None = None

    def stands(self, now_us: int) -> State:
        """Its state at a moment: silence accepts when the window has ended, whether or not that was written down."""
        return "accepted" if self.state == "open" and now_us >= self.ends_us else self.state

    def access(self, now_us: int, rules: Rulebook) -> Delivered:
        """After the product was fetched: the first time within the window begins it anew."""
        if self.accessed or self.stands(now_us) != "open":
            return self
        return replace(self, accessed=True, ends_us=window_ends_us(now_us, rules))

    def require(self, now_us: int, *states: State) -> None:
        """Conflict where it stands in none of `states` now."""
        stands = self.stands(now_us)
        if stands not in states:
            raise Conflict(
                "acceptance.state",
                f"the delivery is {stands}" + (f" since {self.ends_us}" if stands != self.state else ""),
                field="licence",
                rule="within its window a delivery is accepted or objected to; silence accepts it; an objection ends in one award",
                remedy=_REMEDY[stands],
            )

    def follow(self, kind: str, act: Mapping[str, Any], now_us: int, rules: Rulebook) -> Delivered:
        """After an entry of the log that took effect; Conflict where it may not have come, ValueError where it is none."""
        match kind:
            case "delivery_accepted" if act["silent"]:
                if self.state != "open" or now_us < self.ends_us:
                    raise ValueError(f"silence before {self.ends_us}")
                return replace(self, state="accepted")
            case "delivery_accepted":
                self.require(now_us, *UNDECIDED)
                return replace(self, state="accepted")
            case "delivery_objected":
                self.require(now_us, "open")
                if act["ground"] not in rules.words("acceptance.grounds"):
                    raise ValueError(f"no ground {act['ground']!r}")
                return replace(self, state="objected")
            case "mediator_named":
                self.require(now_us, "objected", "mediation")
                return replace(self, state="mediation", mediator=act["mediator"])
            case "delivery_mediated":
                self.require(now_us, "mediation")
                return replace(self, state=cast(State, act["state"]))
            case _:
                raise ValueError(f"{kind} is no step of an acceptance")


_REMEDY: Final[Mapping[State, str]] = {
    "open": "object to it while its window runs",
    "accepted": "report what is wrong as a correction: the department answers it",
    "objected": "wait until a mediator is named, or accept the delivery",
    "mediation": "wait for the mediator's award, or accept the delivery",
    "reduced": "read the award: it is final",
    "refunded": "read the award: it is final",
    "void": "none: the sale was annulled",
}


def window_ends_us(since_us: int, rules: Rulebook) -> int:
    """When the window that a settlement or a first access opens has ended. Pure."""
    return rules.calendar.deadline(since_us, rules.value(WINDOW)).ends_us


def delivered(row: Acceptance) -> Delivered:
    """A row as the rules judge it."""
    return Delivered(row.ends_us, cast(State, row.state), row.accessed_us is not None, row.mediator)


async def open_window(
    tx: Transaction, *, licence: str, trade: str, asset: str, buyer: str, seller: str, rules: Rulebook
) -> None:
    """Open the window of a sale that is settled in this act; rules from before there were windows open none."""
    if WINDOW in rules.rules:
        await tx.insert(
            Acceptance(
                licence=licence,
                trade=trade,
                asset=asset,
                buyer=buyer,
                seller=seller,
                state="open",
                settled_us=tx.now_us,
                ends_us=window_ends_us(tx.now_us, rules),
                log_index=tx.index,
            )
        )


async def note_access(tx: Transaction, licence: str) -> None:
    """The product goes out in this act: the first time within the window begins it anew."""
    row = await tx.session.get(Acceptance, licence)
    if row is None or row.accessed_us is not None or delivered(row).stands(tx.now_us) != "open":
        return
    row.ends_us = delivered(row).access(tx.now_us, await in_force(tx)).ends_us
    row.accessed_us = tx.now_us


@dataclass(frozen=True, slots=True)
class AcceptDelivery(Act):
    """The buyer accepts what was delivered, also after it objected."""

    scope: ClassVar[Scope] = "trade"
    licence: str


async def accept_delivery(tx: Transaction, act: AcceptDelivery) -> Record:
    """Accept a delivery of one's own; an objection that is undecided ends with it."""
    row = await own(tx, act.licence)
    delivered(row).require(tx.now_us, *UNDECIDED)
    return _accepted(row, tx.now_us, silent=False)


@dataclass(frozen=True, slots=True)
class LetLapse(Act):
    """Write down that a window has ended in silence."""

    licence: str


async def let_lapse(tx: Transaction, act: LetLapse) -> Record:
    """Accept by silence what nobody objected to; Conflict while the window runs."""
    row = await tx.find(Acceptance, act.licence, "licence")
    if row.state != "open" or tx.now_us < row.ends_us:
        raise Conflict(
            "acceptance.running",
            f"the delivery is {row.state}, its window ends at {row.ends_us}",
            field="licence",
            rule="silence accepts when the window has ended",
        )
    return _accepted(row, tx.now_us, silent=True)


def _accepted(row: Acceptance, now_us: int, *, silent: bool) -> Record:
    row.state, row.silent, row.decided_us = "accepted", silent, row.ends_us if silent else now_us
    return Record(
        "delivery_accepted",
        {
            "asset": row.asset,
            "licence": row.licence,
            "silent": silent,
            "state": "accepted",
            "trade": row.trade,
        },
        readers=near(row),
    )


@dataclass(frozen=True, slots=True)
class ObjectToDelivery(Act):
    """The buyer says on which ground it does not accept; `evidence` is the SHA-256 of what shows it."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    ground: str
    text: str
    evidence: str | None = None


async def object_to_delivery(tx: Transaction, act: ObjectToDelivery) -> Record:
    """Object to a delivery of one's own within its window; a mediator is to be named until `due_us`."""
    row = await own(tx, act.licence)
    rules = await in_force(tx)
    delivered(row).require(tx.now_us, "open")
    grounds = rules.words("acceptance.grounds")
    if act.ground not in grounds:
        raise Unprocessable(
            "acceptance.ground",
            act.ground,
            field="ground",
            rule=f"one of {', '.join(grounds)} ({rules.cite('acceptance.ground')})",
            remedy="name the ground of your objection",
        )
    check_text("text", act.text)
    if act.evidence is not None:
        check_digest(act.evidence, field="evidence")
    days = rules.value("acceptance.mediator_named_within_working_days")
    row.state, row.ground, row.text, row.evidence = "objected", act.ground, act.text, act.evidence
    row.objected_us, row.due_us = tx.now_us, rules.calendar.deadline(tx.now_us, days).ends_us
    return Record(
        "delivery_objected",
        plain(
            {
                "asset": row.asset,
                "due_us": row.due_us,
                "evidence": act.evidence,
                "ground": act.ground,
                "licence": row.licence,
                "state": "objected",
                "text": tx.seal(act.text),
                "trade": row.trade,
            }
        ),
        readers=near(row),
    )


async def own(tx: Transaction, licence: str) -> Acceptance:
    """The delivery of a licence, for its buyer alone: anybody else's is exactly as one that does not exist."""
    row = await tx.session.get(Acceptance, licence)
    if row is None or row.buyer != tx.caller.party:
        raise unknown(licence)
    return row


def unknown(licence: str) -> NotFound:
    """What everybody is told who has no part in a delivery."""
    return NotFound(
        "licence.unknown",
        f"no delivery under licence {licence!r} of yours",
        field="licence",
        remedy="check the identifier",
    )


def near(row: Acceptance) -> tuple[str, ...]:
    """Who reads of it: the buyer, the seller, and the mediator's party."""
    return tuple(dict.fromkeys(one for one in (row.buyer, row.seller, row.mediator_party) if one is not None))


def check_text(field: str, text: str) -> None:
    """Refuse a reason that says nothing or too much. Pure."""
    if not text.strip() or len(text) > TEXT_CHARACTERS:
        raise Unprocessable(
            "acceptance.text",
            f"{field} has {len(text)} characters",
            field=field,
            rule=f"1 to {TEXT_CHARACTERS} characters",
            remedy="say what is wrong, or why, in a few sentences",
        )


async def lapsing(session: AsyncSession, now_us: int) -> list[str]:
    """Licences whose window ended in silence, the longest ago first."""
    query = (
        select(Acceptance.licence)
        .where(col(Acceptance.state) == "open", col(Acceptance.ends_us) <= now_us)
        .order_by(col(Acceptance.ends_us), col(Acceptance.licence))
        .limit(LAPSES_AT_ONCE)
    )
    return list((await session.execute(query)).scalars())


async def acceptances_of(
    session: AsyncSession, caller: Caller, now_us: int, *, after: int = -1, limit: int = 100
) -> list[dict[str, Any]]:
    """Deliveries from behind entry `after`, oldest first: the caller's as buyer, seller or mediator; for the venue those that
    were objected to, all for a regulator. Such a one is `overdue` from `due_us` on: no mediator is named, or no award made.
    """
    mine = or_(
        col(Acceptance.buyer) == caller.party,
        col(Acceptance.seller) == caller.party,
        col(Acceptance.mediator_party) == caller.party,
    )
    if "administrator" in caller.roles:
        mine = or_(mine, col(Acceptance.objected_us).is_not(None))
    if "regulator" in caller.roles:
        mine = true()
    query = (
        select(Acceptance)
        .where(mine, col(Acceptance.log_index) > after)
        .order_by(col(Acceptance.log_index))
        .limit(limit)
    )
    return [_shown(row, now_us) for row in await session.scalars(query)]


def _shown(row: Acceptance, now_us: int) -> dict[str, Any]:
    state = delivered(row).stands(now_us)
    shown: dict[str, Any] = plain(
        {
            **row.model_dump(),
            "overdue": state in ("objected", "mediation") and row.due_us is not None and now_us >= row.due_us,
            "silent": True if state != row.state else row.silent,
            "state": state,
        }
    )
    return shown
