"""Room: what a buyer needs to book a purchase of data, from the sale's own entry in the log.

企业数据资源相关会计处理暂行规定 (财会〔2023〕11号): data that are bought and recognised as an intangible asset cost the purchase
price, the taxes on it and what is spent to bring them into use, among it 数据权属鉴证、质量评估、登记结算、安全管理; as inventory
likewise. What is bought here is a right of use for a term, so it is an intangible asset where the conditions of 企业会计准则
第6号 hold; inventory is what an enterprise holds to sell on, which no right of use allows. Input tax that is deductible is no
part of the cost (企业会计准则第6号 应用指南; 增值税暂行条例 第八条). What is charged by use is charged once it was used up: nothing is
left of it that could be an asset, and it is an expense of its period (企业会计准则——基本准则 第三十五条).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import or_
from sqlalchemy import select as sql_select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from exchange import settlement
from exchange.acts import Caller
from exchange.errors import NotFound
from exchange.sheets import moment
from exchange.tables import Acceptance, Annulment, Party, Subscription, Trade, UsageStatement

Component = Literal["purchase_price", "value_added_tax", "registration_and_settlement"]
"""购买价款, 相关税费, 登记结算: what of a purchase is paid through the exchange. What else makes up the cost (权属鉴证, 质量评估,
安全管理, 加工) is billed by who does it."""

Language = Literal["zh", "en"]
Cells = tuple[str | int | None, ...]

RIGHT = "right_use"
CLASS = "intangible_asset"
CLASS_OF_USE = "period_expense"

SHEET_ROWS = 500
"""Sales that a sheet is read by at a time."""

_COLUMNS: dict[Language, tuple[str, ...]] = {
    "en": (
        "voucher", "log entry", "time (UTC)", "seller code", "seller", "buyer code", "buyer", "asset", "asset code", "right",
        "grant", "licences", "term (days)", "recognised as", "component", "billed by", "amount (fen)", "part of the cost",
        "used", "unit", "annulled under",
    ),
    "zh": (
        "凭证号", "日志条目", "时间（UTC）", "销售方代码", "销售方", "购买方代码", "购买方", "数据资产", "登记编码", "权利",
        "授权方式", "许可数", "期限（天）", "确认为", "成本构成", "收取方", "金额（分）", "计入成本",
        "用量", "计量单位", "撤销依据",
    ),
}  # fmt: skip
_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "purchase_price": "purchase price", "value_added_tax": "value-added tax",
        "registration_and_settlement": "registration and settlement", "seller": "seller", "venue": "exchange",
        "right_use": "right of use", "intangible_asset": "intangible asset", "period_expense": "expense of the period",
        "exclusive": "exclusive", "licence": "licence", "True": "yes", "False": "no",
    },
    "zh": {
        "purchase_price": "购买价款", "value_added_tax": "增值税", "registration_and_settlement": "登记结算", "seller": "销售方",
        "venue": "交易所", "right_use": "数据使用权", "intangible_asset": "无形资产", "period_expense": "当期费用", "exclusive": "独占", "licence": "普通许可",
        "True": "是", "False": "否",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A part of what the buyer paid, in fen: to whom, and whether it is part of the cost; what is not is input tax."""

    component: Component
    to: Literal["seller", "venue"]
    amount_fen: int
    in_cost: bool


def lines_of(voucher: Mapping[str, Any]) -> tuple[Line, ...]:
    """What the entry of a sale, or of a statement of use, says that the buyer paid; a part that is nothing is left out. Pure.

    Their sum is the price and the buyer's commission; `tests/exchange/test_invoices.py` holds them to the postings.
    """
    price_fen, split = int(voucher["price_fen"]), voucher["split"]
    tax_fen, fee_fen = int(split["tax_fen"]), int(split["buyer_fee_fen"])
    every = (
        Line("purchase_price", "seller", price_fen - tax_fen, True),
        Line("value_added_tax", "seller", tax_fen, False),
        Line("registration_and_settlement", "venue", fee_fen, True),
    )
    return tuple(line for line in every if line.amount_fen)


def invoice_of(
    voucher: Mapping[str, Any], index: int, time_us: int, annulled: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The invoice lines of a sale, in the words of the API: from its voucher, its place in the log, and what undid it. Pure."""
    lines = lines_of(voucher)
    return {
        "number": voucher["trade"],
        "index": str(index),
        "time_us": str(time_us),
        **{
            name: voucher[name]
            for name in (
                "seller",
                "buyer",
                "asset",
                "asset_code",
                "grant",
                "licence",
                "licences",
                "term_days",
            )
        },
        "right": RIGHT,
        "recognised_as": CLASS,
        "rulebook": voucher["rulebook"]["digest"],
        "lines": [
            {
                "component": line.component,
                "to": line.to,
                "amount_fen": str(line.amount_fen),
                "in_cost": line.in_cost,
            }
            for line in lines
        ],
        "cost_fen": str(sum(line.amount_fen for line in lines if line.in_cost)),
        "paid_fen": str(sum(line.amount_fen for line in lines)),
        "usage": None,
        "annulled": annulled,
    }


def invoice_of_use(
    statement: Mapping[str, Any], voucher: Mapping[str, Any], index: int, time_us: int
) -> dict[str, Any]:
    """The same of a statement of what was used, under the voucher of its subscription. Pure."""
    charged = {name: statement[name] for name in ("price_fen", "split", "rulebook")}
    return {
        **invoice_of({**voucher, **charged}, index, time_us),
        "number": f"{statement['subscription']}-{statement['number']}",
        "recognised_as": CLASS_OF_USE,
        "usage": {
            name: statement[name]
            for name in ("subscription", "quantity", "unit", "unit_price_micro", "from_us", "until_us")
        },
    }


async def invoices(
    session: AsyncSession,
    caller: Caller,
    period_us: tuple[int, int | None] = (0, None),
    after: int | None = None,
    limit: int | None = None,
    trade: str | None = None,
) -> list[dict[str, Any]]:
    """The invoice lines of the sales that the caller's party made in a period, and of the statements of what was used, newest
    first, or a page, older than entry `after`; of all parties for a regulator. Of one trade they are its own alone.
    """
    seller, buyer = aliased(Party), aliased(Party)

    def within(query: Any, row: type[Trade] | type[UsageStatement]) -> Any:
        """Those of the caller in the period, the newest first."""
        since_us, until_us = period_us
        conditions = [col(row.time_us) >= since_us]
        if until_us is not None:
            conditions.append(col(row.time_us) < until_us)
        if after is not None:
            conditions.append(col(row.log_index) < after)
        if "regulator" not in caller.roles:
            conditions.append(or_(col(Trade.buyer) == caller.party, col(Trade.seller) == caller.party))
        return (
            query.join(seller, col(seller.id) == col(Trade.seller))
            .join(buyer, col(buyer.id) == col(Trade.buyer))
            .where(*conditions)
            .order_by(col(row.log_index).desc())
            .limit(limit)
        )

    sales = (
        within(sql_select(Trade, Annulment, Acceptance, seller, buyer), Trade)
        .outerjoin(Annulment, col(Annulment.trade) == col(Trade.id))
        .outerjoin(Acceptance, col(Acceptance.trade) == col(Trade.id))
    )
    if trade is not None:
        sales = sales.where(col(Trade.id) == trade)
    found = [
        {
            **invoice_of(row.voucher, row.log_index, row.time_us, settlement.undone(annulled)),
            **_sides(sold, bought),
            "refunded_fen": str(accepted.refund_fen if accepted and accepted.refund_state == "paid" else 0),
        }
        for row, annulled, accepted, sold, bought in await session.execute(sales)
    ]
    if trade is None:
        used = (
            sql_select(UsageStatement, col(Trade.voucher), seller, buyer)
            .join(Subscription, col(Subscription.id) == col(UsageStatement.subscription))
            .join(Trade, col(Trade.id) == col(Subscription.trade))
            .where(col(UsageStatement.price_fen) > 0)
        )
        found += [
            {
                **invoice_of_use(row.document, voucher, row.log_index, row.time_us),
                **_sides(sold, bought),
                "refunded_fen": "0",
            }
            for row, voucher, sold, bought in await session.execute(within(used, UsageStatement))
        ]
    return sorted(found, key=lambda one: -int(one["index"]))[:limit]


def _sides(seller: Party, buyer: Party) -> dict[str, str]:
    return {
        "seller_code": seller.uscc,
        "seller_name": seller.name,
        "buyer_code": buyer.uscc,
        "buyer_name": buyer.name,
    }


async def invoice(session: AsyncSession, caller: Caller, trade: str) -> dict[str, Any]:
    """The invoice lines of one sale; NotFound alike where there is none and where it is not the caller's to see."""
    found = await invoices(session, caller, trade=trade)
    if not found:
        raise NotFound("trade.unknown", f"no trade {trade!r}", field="trade", remedy="check the identifier")
    return found[0]


async def every(
    read: Callable[..., Awaitable[list[dict[str, Any]]]], caller: Caller, period_us: tuple[int, int | None]
) -> list[dict[str, Any]]:
    """All of a period, read by `read` (see `Gate.read`) some at a time, so that no long sheet holds one moment of the market."""
    rows: list[dict[str, Any]] = []
    while page := await read(
        invoices, caller, period_us, int(rows[-1]["index"]) if rows else None, SHEET_ROWS
    ):
        rows += page
    return rows


def sheet(rows: Iterable[Mapping[str, Any]], lang: Language) -> list[Cells]:
    """The rows of a sheet, a line of an invoice each; what was annulled is there once more, below nothing. Pure."""
    return [_COLUMNS[lang], *(line for row in rows for line in _cells(row, lang))]


def _cells(row: Mapping[str, Any], lang: Language) -> Iterator[Cells]:
    said, used = _WORDS[lang], row["usage"]

    def told(index: str, time_us: str, sign: int, order: str | None) -> Iterator[Cells]:
        for line in row["lines"]:
            yield (
                row["number"], int(index), moment(int(time_us)), row["seller_code"], row["seller_name"], row["buyer_code"],
                row["buyer_name"], row["asset"], row["asset_code"], said[row["right"]], said.get(row["grant"], row["grant"]),
                int(row["licences"]), int(row["term_days"]), said[row["recognised_as"]], said[line["component"]],
                said[line["to"]], sign * int(line["amount_fen"]), said[str(line["in_cost"])],
                None if used is None else int(used["quantity"]), None if used is None else used["unit"], order,
            )  # fmt: skip

    yield from told(row["index"], row["time_us"], 1, None)
    if row["annulled"] is not None:
        yield from told(row["annulled"]["index"], row["annulled"]["time_us"], -1, row["annulled"]["order"])
