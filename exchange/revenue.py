"""Room: what public data may earn, period by period: the allowed revenue, the ceilings that follow, and the excess that goes over.

The carry-over ledger of 发改价格〔2025〕65号: revenue above the allowed is deducted from the next period. The sums are
`pricing.regulated`'s, so anybody recomputes them from the entries; what was earned is read off the trades and statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import case, func
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import visible_asset
from exchange.errors import Conflict, Unprocessable
from exchange.rulebook import Rulebook
from exchange.rulebook.days import day_of
from exchange.tables import Acceptance, Annulment, Asset, Listing, Lot, RevenuePeriod, Trade, UsageStatement
from pricing.errors import PricingError
from pricing.metering import Unit
from pricing.money import MICRO_PER_FEN
from pricing.regulated import (
    AllowedRevenue,
    Cost,
    Product,
    Terms,
    allowed_revenue,
    basis,
    ceilings,
    excess_after,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

LICENCE = "licence"
UNITS = (LICENCE, *(unit.value for unit in Unit))
"""What a ceiling is for: a licence whole, or a unit of what is charged by use."""

PRODUCTS_LIMIT = len(UNITS)
COSTS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class CostLine:
    """One operating cost of the period, with what it was for and where the figure comes from."""

    amount_fen: int
    description: str
    source: str


@dataclass(frozen=True, slots=True)
class ProductLine:
    """How an asset is sold: its unit, its part of the allowed revenue by weight, and how many units are expected."""

    unit: str
    weight: int
    expected_units: int


@dataclass(frozen=True, slots=True)
class AllowRevenue(Act):
    """The regulator sets what an asset may earn from one moment until another, and so its ceilings.

    `started_on` is the day on which its operation started (YYYY-MM-DD), `source` the document that sets the rates.
    """

    scope: ClassVar[Scope] = "manage"
    asset: str
    starts_us: int
    ends_us: int
    costs: tuple[CostLine, ...]
    subsidy_fen: int
    profit_rate_ppm: int
    bond_yield_ppm: int
    tax_rate_ppm: int
    source: str
    products: tuple[ProductLine, ...]
    started_on: str


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an act allows: the sum, the ceiling of each unit in micro-yuan, and what they rest on."""

    revenue: AllowedRevenue
    ceilings_micro: dict[str, int]
    basis: str


def allow(act: AllowRevenue, excess_fen: int, rules: Rulebook) -> Allowed:
    """The allowed revenue and the ceilings, with the excess of earlier periods deducted. Pure.

    Unprocessable names what the rules or the arithmetic refuse: a profit rate above the bond's yield and the margin by
    clause.
    """
    margin = rules.value("price.profit_over_bond_yield_at_most_ppm")
    if act.profit_rate_ppm > act.bond_yield_ppm + margin:
        raise Unprocessable(
            "revenue.profit_rate",
            f"{act.profit_rate_ppm} ppm is above {act.bond_yield_ppm} + {margin}",
            field="profit_rate_ppm",
            rule=f"at most the ten-year bond's yield and a margin ({rules.cite('revenue.profit_rate')})",
            remedy="lower the profit rate",
        )
    units = [one.unit for one in act.products]
    if not units or set(units) - set(UNITS) or not act.costs or len(act.costs) > COSTS_LIMIT:
        raise Unprocessable(
            "revenue.products",
            ", ".join(units) or "no product",
            field="products",
            rule=f"1 to {COSTS_LIMIT} costs, and products of these units: {', '.join(UNITS)}",
            remedy="state what was spent, and how the asset is sold",
        )
    try:
        terms = Terms(act.profit_rate_ppm, act.bond_yield_ppm, margin, act.tax_rate_ppm, act.source)
        costs = [Cost(one.amount_fen, one.description, one.source) for one in act.costs]
        revenue = allowed_revenue(costs, act.subsidy_fen, terms, excess_fen=excess_fen)
        products = [Product(one.unit, one.weight, one.expected_units) for one in act.products]
        micro = {one.name: one.unit_price_micro for one in ceilings(revenue.allowed_fen, products)}
        started = date.fromisoformat(act.started_on)
        rests = basis(started, day_of(act.starts_us), rules.value("price.trial_at_least_months"))
    except PricingError as refused:
        raise Unprocessable(
            "revenue.terms", str(refused), field=refused.field, rule=refused.rule, remedy=refused.remedy
        ) from refused
    except ValueError as wrong:
        raise Unprocessable(
            "revenue.started_on",
            act.started_on,
            field="started_on",
            rule="a day, as YYYY-MM-DD",
            remedy="name the day on which the operation started",
        ) from wrong
    return Allowed(revenue, micro, rests.value)


def asked(said: Mapping[str, Any], text: Callable[[str], str] = str) -> AllowRevenue:
    """The act that an entry states; `text` opens what it seals, which no sum depends on."""
    return AllowRevenue(
        said["asset"],
        int(said["starts_us"]),
        int(said["ends_us"]),
        tuple(
            CostLine(int(one["amount_fen"]), text(one["description"]), text(one["source"]))
            for one in said["costs"]
        ),
        int(said["subsidy_fen"]),
        int(said["profit_rate_ppm"]),
        int(said["bond_yield_ppm"]),
        int(said["tax_rate_ppm"]),
        said["source"],
        tuple(
            ProductLine(one["unit"], int(one["weight"]), int(one["expected_units"]))
            for one in said["products"]
        ),
        said["started_on"],
    )


def stated(number: int, allowed: Allowed) -> dict[str, Any]:
    """What an act allowed, as its entry and its row state it. Pure."""
    revenue = allowed.revenue
    said: dict[str, Any] = plain(
        {
            "allowed_fen": revenue.allowed_fen,
            "basis": allowed.basis,
            "carried_on_fen": revenue.carried_on_fen,
            "ceilings": [
                {"unit": unit, "unit_price_micro": micro} for unit, micro in allowed.ceilings_micro.items()
            ],
            "deducted_fen": revenue.deducted_fen,
            "net_cost_fen": revenue.net_cost_fen,
            "number": number,
            "profit_fen": revenue.profit_fen,
            "tax_fen": revenue.tax_fen,
        }
    )
    return said


async def allow_revenue(tx: Transaction, act: AllowRevenue) -> Record:
    """Open the next period of an asset's carry-over ledger (regulator).

    It starts where the one before it ended, and once that is closed: its excess is known then. Conflict while a lot stands
    whose price might pass the new ceiling. Until an asset has a period, only the ceilings of its listings bound its price.
    """
    tx.caller.require("regulator")
    asset = await tx.find(Asset, act.asset, "asset")
    rules = await rulebook.in_force(tx)
    last = await newest(tx.session, asset.id)
    if last is not None and last.state != "closed":
        raise Conflict(
            "revenue.open",
            f"period {last.number} is open until {last.ends_us}",
            field="asset",
            rule="a period's excess is deducted from the next, so it is closed first",
            remedy="wait until it is over: the clock closes it",
        )
    if act.ends_us <= act.starts_us or (last is not None and act.starts_us != last.ends_us):
        raise Unprocessable(
            "revenue.period",
            f"from {act.starts_us} to {act.ends_us}",
            field="starts_us",
            rule="a period ends after it starts, and the next starts where it ended",
            remedy="let it start there" if last is None else f"let it start at {last.ends_us}",
        )
    allowed = allow(act, 0 if last is None or last.excess_fen is None else last.excess_fen, rules)
    await _require_no_dearer_lot(tx, asset, allowed)
    number = 1 if last is None else last.number + 1
    said = stated(number, allowed)
    row = RevenuePeriod(
        id=tx.identifier("rev"),
        asset=asset.id,
        number=number,
        starts_us=act.starts_us,
        ends_us=act.ends_us,
        allowed_fen=allowed.revenue.allowed_fen,
        carried_on_fen=allowed.revenue.carried_on_fen,
        document=said,
        state="open",
        log_index=tx.index,
    )
    await tx.insert(row)
    costs = [
        {
            "amount_fen": str(one.amount_fen),
            "description": tx.seal(one.description),
            "source": tx.seal(one.source),
        }
        for one in act.costs
    ]
    return Record(
        "revenue_allowed",
        {**plain(act), **said, "costs": costs, "period": row.id, "state": "open"},
        readers=[one for one in (asset.supplier, asset.operator) if one is not None],
    )


async def _require_no_dearer_lot(tx: Transaction, asset: Asset, allowed: Allowed) -> None:
    """Conflict where a lot of this asset that is not settled yet may be won above the new ceiling."""
    most_fen = allowed.ceilings_micro.get(LICENCE, 0) // MICRO_PER_FEN
    standing = (
        select(Lot.id)
        .join(Listing, col(Listing.id) == col(Lot.listing))
        .where(
            col(Listing.asset) == asset.id,
            col(Lot.settled).is_(False),
            func.coalesce(col(Lot.ceiling_fen), most_fen + 1) > most_fen,
        )
    )
    lot = (await tx.session.execute(standing.limit(1))).scalar()
    if lot is not None:
        raise Conflict(
            "revenue.lot_stands",
            f"lot {lot} may be won above {most_fen} fen",
            field="asset",
            rule="no price passes a ceiling, also no auction's clearing price",
            remedy="wait until it is settled, or have it halted and called off",
        )


@dataclass(frozen=True, slots=True)
class CloseRevenue(Act):
    """The clock's hand: a period is over, and what it earned is known."""

    period: str


async def close_revenue(tx: Transaction, act: CloseRevenue) -> Record:
    """Close a period that is over: what was earned in it, and what the next one deducts; Conflict before its end."""
    tx.caller.require("clock")
    row = await tx.find(RevenuePeriod, act.period, "period")
    if row.state != "open" or tx.now_us < row.ends_us:
        raise Conflict("revenue.not_over", f"period {row.number} is {row.state}", field="period")
    earned = await earned_fen(tx.session, row)
    revenue = AllowedRevenue(row.allowed_fen, 0, 0, 0, row.carried_on_fen)
    row.revenue_fen, row.excess_fen, row.state = earned, excess_after(revenue, earned), "closed"
    asset = await tx.find(Asset, row.asset, "asset")
    return Record(
        "revenue_closed",
        plain(
            {
                "allowed_fen": row.allowed_fen,
                "asset": row.asset,
                "excess_fen": row.excess_fen,
                "number": row.number,
                "period": row.id,
                "revenue_fen": earned,
                "state": "closed",
            }
        ),
        readers=[one for one in (asset.supplier, asset.operator) if one is not None],
    )


async def earned_fen(session: AsyncSession, period: RevenuePeriod) -> int:
    """The prices of an asset's trades and statements in a period, tax contained; what was annulled or given back by now is
    not earned.
    """
    kept = col(Trade.price_fen) - case(
        (col(Acceptance.refund_state) == "paid", func.coalesce(col(Acceptance.refund_fen), 0)), else_=0
    )
    traded = (
        select(func.coalesce(func.sum(kept), 0))
        .outerjoin(Annulment, col(Annulment.trade) == col(Trade.id))
        .outerjoin(Acceptance, col(Acceptance.trade) == col(Trade.id))
        .where(
            col(Annulment.log_index).is_(None),
            col(Trade.asset) == period.asset,
            col(Trade.time_us) >= period.starts_us,
            col(Trade.time_us) < period.ends_us,
        )
    )
    used = select(func.coalesce(func.sum(col(UsageStatement.price_fen)), 0)).where(
        col(UsageStatement.asset) == period.asset,
        col(UsageStatement.time_us) >= period.starts_us,
        col(UsageStatement.time_us) < period.ends_us,
    )
    return sum([int((await session.execute(query)).scalar_one()) for query in (traded, used)])


async def newest(session: AsyncSession, asset: str) -> RevenuePeriod | None:
    """The last period of an asset's ledger; None where it has none."""
    query = select(RevenuePeriod).where(col(RevenuePeriod.asset) == asset)
    rows = await session.execute(query.order_by(col(RevenuePeriod.number).desc()).limit(1))
    return rows.scalar_one_or_none()


async def ceiling_micro(session: AsyncSession, asset: str, unit: str, now_us: int) -> int | None:
    """The most that a unit of an asset may cost now, in micro-yuan; None where it has no ledger.

    A ceiling stands until the next period's; a unit for which none was set may cost nothing (0).
    """
    query = select(RevenuePeriod.document).where(
        col(RevenuePeriod.asset) == asset, col(RevenuePeriod.starts_us) <= now_us
    )
    rows = await session.execute(query.order_by(col(RevenuePeriod.number).desc()).limit(1))
    document = rows.scalar_one_or_none()
    if document is None:
        return None
    named = {one["unit"]: int(one["unit_price_micro"]) for one in document["ceilings"]}
    return named.get(unit, 0)


def require_below(
    price_micro: int, most_micro: int | None, rules: Rulebook, field: str = "price_fen"
) -> None:
    """Refuse a price above the ceiling of an asset's ledger by clause. Pure."""
    if most_micro is None or price_micro <= most_micro or rules.allows("price.above_ceiling_allowed"):
        return
    raise Unprocessable(
        "price.ceiling",
        f"{price_micro} micro-yuan is above the ceiling of {most_micro} that the allowed revenue leaves",
        field=field,
        rule=f"no price passes the ceiling ({rules.cite('price.ceiling')})",
        remedy="ask or offer no more than the ceiling: GET /v1/assets/{asset}/revenue-periods",
    )


async def due(session: AsyncSession, now_us: int) -> list[str]:
    """The periods that are over and not closed."""
    rows = await session.execute(
        select(RevenuePeriod.id)
        .where(col(RevenuePeriod.state) == "open", col(RevenuePeriod.ends_us) <= now_us)
        .order_by(col(RevenuePeriod.id))
    )
    return list(rows.scalars())


async def periods(session: AsyncSession, asset: str, caller: Caller | None) -> Sequence[dict[str, Any]]:
    """The carry-over ledger of an asset, the newest period first, as everybody who sees the asset may read it."""
    row = await visible_asset(session, asset, caller)
    found = await session.execute(
        select(RevenuePeriod)
        .where(col(RevenuePeriod.asset) == row.id)
        .order_by(col(RevenuePeriod.number).desc())
    )
    return [
        {
            **one.document,
            **plain(
                {
                    "id": one.id,
                    "starts_us": one.starts_us,
                    "ends_us": one.ends_us,
                    "revenue_fen": one.revenue_fen,
                    "excess_fen": one.excess_fen,
                    "state": one.state,
                    "index": one.log_index,
                }
            ),
        }
        for one in found.scalars()
    ]
