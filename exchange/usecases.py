"""Room: what was built on an asset (S52): told by a buyer with a licence, published when its department had its say.

proposed ─ consent, or the notice has ended ─> published
  └─ refusal within the notice ─> declined;     either ─ withdrawn by who told it, or by the regulator ─> withdrawn
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from sqlalchemy import or_, true
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import parties_of, visible_asset
from exchange.delivery import own_licence
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook import Rulebook, in_force
from exchange.tables import Asset, Licence, UseCase

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

TITLE_CHARACTERS: Final = 200
TEXT_CHARACTERS: Final = 2000
PUBLISHED_AT_ONCE: Final = 64
SHOWN: Final = 100

State = Literal["proposed", "published", "declined", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Where a use case stands: the same for the room and for a replay of the log."""

    ends_us: int
    state: State = "proposed"

    def stands(self, now_us: int) -> State:
        """Its state at a moment: published when its notice has ended, whether or not that was written down."""
        return "published" if self.state == "proposed" and now_us >= self.ends_us else self.state

    def follow(self, kind: str, act: Mapping[str, Any], now_us: int) -> Notice:
        """After an entry of the log; Conflict where it may not have come."""
        match kind:
            case "use_case_decided":
                self.require(now_us, "proposed")
            case "use_case_published":
                if self.state != "proposed" or now_us < self.ends_us:
                    raise _not(self, now_us)
            case "use_case_withdrawn":
                self.require(now_us, "proposed", "published")
            case _:
                raise ValueError(f"{kind} is no step of a use case")
        return replace(self, state=cast(State, act["state"]))

    def require(self, now_us: int, *states: State) -> None:
        """Conflict where it stands in none of `states` now."""
        if self.stands(now_us) not in states:
            raise _not(self, now_us)


def _not(notice: Notice, now_us: int) -> Conflict:
    return Conflict(
        "use_case.state",
        f"the use case is {notice.stands(now_us)}, its notice ends at {notice.ends_us}",
        field="use_case",
        rule="a department has its say while the notice runs, once; then the use case is published until it is withdrawn",
        remedy="ask who published it to withdraw it",
    )


def notice_ends_us(since_us: int, rules: Rulebook) -> int:
    """Until when a department may refuse. Pure."""
    return rules.calendar.deadline(since_us, rules.value("use_case.notice_working_days")).ends_us


def _notice(row: UseCase) -> Notice:
    return Notice(row.notice_ends_us, cast(State, row.state))


@dataclass(frozen=True, slots=True)
class ProposeUseCase(Act):
    """A buyer tells what it built on what it licensed."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    title: str
    text: str
    url: str = ""


async def propose_use_case(tx: Transaction, act: ProposeUseCase) -> Record:
    """Put a use case before the department of the asset. Conflict where the licence was taken back."""
    licence = await own_licence(tx.session, act.licence, tx.caller)
    if licence.state != "active":
        raise Conflict(
            "licence.revoked",
            f"the licence is {licence.state}",
            field="licence",
            rule="who tells of a use has, or had, a licence for it",
            remedy="none: the sale was undone",
        )
    for field, text, most in (("title", act.title, TITLE_CHARACTERS), ("text", act.text, TEXT_CHARACTERS)):
        if not text.strip() or len(text) > most:
            raise Unprocessable(
                "use_case.text",
                f"{field} has {len(text)} characters",
                field=field,
                rule=f"1 to {most} characters",
                remedy="say what was built, in a few sentences",
            )
    rules = await in_force(tx)
    asset = await tx.find(Asset, licence.asset, "asset")
    row = UseCase(
        id=tx.identifier("use"),
        asset=asset.id,
        licence=licence.id,
        buyer=licence.buyer,
        supplier=asset.supplier,
        title=act.title,
        text=act.text,
        url=act.url,
        state="proposed",
        notice_ends_us=notice_ends_us(tx.now_us, rules),
        proposed_us=tx.now_us,
        log_index=tx.index,
    )
    await tx.insert(row)
    return Record(
        "use_case_proposed",
        plain(
            {
                "asset": asset.id,
                "licence": licence.id,
                "notice_ends_us": row.notice_ends_us,
                "state": "proposed",
                "text": tx.seal(act.text),
                "title": tx.seal(act.title),
                "url": tx.seal(act.url),
                "use_case": row.id,
            }
        ),
        readers=parties_of(asset),
    )


@dataclass(frozen=True, slots=True)
class DecideUseCase(Act):
    """The department consents to a use case, or refuses it with a reason."""

    scope: ClassVar[Scope] = "register"
    use_case: str
    decision: Literal["consent", "refuse"]
    reason: str = ""


async def decide_use_case(tx: Transaction, act: DecideUseCase) -> Record:
    """Have one's say on a use of one's own data while the notice runs, once."""
    row = await tx.session.get(UseCase, act.use_case)
    if row is None or row.supplier != tx.caller.party:
        raise _unknown(act.use_case)
    if (act.decision == "refuse" and not act.reason.strip()) or len(act.reason) > TEXT_CHARACTERS:
        raise Unprocessable(
            "use_case.reason",
            f"{len(act.reason)} characters",
            field="reason",
            rule=f"a refusal has a reason, of at most {TEXT_CHARACTERS} characters",
            remedy="say why",
        )
    state = "published" if act.decision == "consent" else "declined"
    row.state = _notice(row).follow("use_case_decided", {"state": state}, tx.now_us).state
    row.reason = act.reason
    if state == "published":
        row.published_us = tx.now_us
    return Record(
        "use_case_decided",
        {
            "asset": row.asset,
            "reason_given": tx.seal(act.reason),
            "state": state,
            "use_case": row.id,
        },
        readers=(row.buyer, row.supplier),
    )


@dataclass(frozen=True, slots=True)
class PublishUseCase(Act):
    """Write down that a notice has ended without a refusal."""

    use_case: str


async def publish_use_case(tx: Transaction, act: PublishUseCase) -> Record:
    """Publish what no department refused in time; Conflict while the notice runs."""
    tx.caller.require("clock")
    row = await tx.find(UseCase, act.use_case, "use_case")
    row.state = _notice(row).follow("use_case_published", {"state": "published"}, tx.now_us).state
    row.published_us = row.notice_ends_us
    return Record(
        "use_case_published",
        {"asset": row.asset, "state": "published", "use_case": row.id},
        readers=(row.buyer, row.supplier),
    )


@dataclass(frozen=True, slots=True)
class WithdrawUseCase(Act):
    """Take a use case back."""

    scope: ClassVar[Scope] = "trade"
    use_case: str
    reason: str


async def withdraw_use_case(tx: Transaction, act: WithdrawUseCase) -> Record:
    """Withdraw a use case of one's own, or as the regulator anybody's."""
    row = await tx.session.get(UseCase, act.use_case)
    if row is None or not ("regulator" in tx.caller.roles or row.buyer == tx.caller.party):
        raise _unknown(act.use_case)
    if not act.reason.strip() or len(act.reason) > TEXT_CHARACTERS:
        raise Unprocessable(
            "use_case.reason",
            f"{len(act.reason)} characters",
            field="reason",
            rule=f"1 to {TEXT_CHARACTERS} characters",
            remedy="say why",
        )
    row.state = _notice(row).follow("use_case_withdrawn", {"state": "withdrawn"}, tx.now_us).state
    row.reason = act.reason
    return Record(
        "use_case_withdrawn",
        {
            "asset": row.asset,
            "reason_given": tx.seal(act.reason),
            "state": "withdrawn",
            "use_case": row.id,
        },
        readers=(row.buyer, row.supplier),
    )


def _unknown(name: str) -> NotFound:
    return NotFound(
        "use_case.unknown", f"no use case {name!r} for you", field="use_case", remedy="check the identifier"
    )


async def publishing(session: AsyncSession, now_us: int) -> list[str]:
    """Use cases whose notice ended without a refusal, the oldest first."""
    query = (
        select(UseCase.id)
        .where(col(UseCase.state) == "proposed", col(UseCase.notice_ends_us) <= now_us)
        .order_by(col(UseCase.notice_ends_us), col(UseCase.id))
        .limit(PUBLISHED_AT_ONCE)
    )
    return list((await session.execute(query)).scalars())


async def use_cases_of_asset(
    session: AsyncSession, asset: str, caller: Caller | None, now_us: int
) -> list[dict[str, Any]]:
    """The published use cases of an asset, newest first, at most 100, for everybody; none whose sale was undone since."""
    row = await visible_asset(session, asset, caller)
    query = (
        select(UseCase)
        .join(Licence, col(Licence.id) == col(UseCase.licence))
        .where(col(UseCase.asset) == row.id, col(Licence.state) == "active")
        .order_by(col(UseCase.log_index).desc())
        .limit(SHOWN)
    )
    return [
        {name: shown[name] for name in ("use_case", "asset", "title", "text", "url", "proposed_us")}
        for one in await session.scalars(query)
        if (shown := _shown(one, now_us))["state"] == "published"
    ]


async def use_cases_of(
    session: AsyncSession, caller: Caller, now_us: int, *, after: int = -1, limit: int = 100
) -> list[dict[str, Any]]:
    """Use cases from behind entry `after`, oldest first: the caller's, and those of its data; all for a regulator."""
    mine = (
        true()
        if "regulator" in caller.roles
        else or_(col(UseCase.buyer) == caller.party, col(UseCase.supplier) == caller.party)
    )
    query = (
        select(UseCase)
        .where(mine, col(UseCase.log_index) > after)
        .order_by(col(UseCase.log_index))
        .limit(limit)
    )
    return [_shown(row, now_us) for row in await session.scalars(query)]


def _shown(row: UseCase, now_us: int) -> dict[str, Any]:
    shown: dict[str, Any] = plain(
        {
            **row.model_dump(exclude={"id"}),
            "state": _notice(row).stands(now_us),
            "use_case": row.id,
        }
    )
    return shown
