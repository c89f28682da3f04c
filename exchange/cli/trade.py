"""The enterprise's commands, over the SDK: look, join, bid, buy, move money, watch, and prove what was done."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    IdOption,
    JsonOption,
    KeyOption,
    Lang,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    done,
    fen_of,
    identified,
    instant_us,
    line,
    moment,
    notes,
    span_us,
    yuan,
)
from exchange.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from exchange.client import StreamEvent
    from exchange.messages.accounts import LineView
    from exchange.messages.views import DryRunView, LotView

LotArgument = Annotated[str, typer.Argument(help="The lot, such as lot-5f0c3a9e7d21b846.", metavar="LOT")]
YuanArgument = Annotated[
    str, typer.Argument(help="The price or amount in yuan: 12500, 12500.00 or 12,500.00.", metavar="YUAN")
]
PurposeOption = Annotated[
    str,
    typer.Option(
        help="What you want the data for, where it is opened for some purposes alone: industry, research, …"
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Only say what would come of it and what it would cost; nothing is recorded."
    ),
]

CODES = {
    "top_up": ("入金", "money in"),
    "suspense_assigned": ("待查归户", "assigned from suspense"),
    "withdrawal": ("出金", "payout"),
    "payout_return": ("出金退回", "payout returned"),
    "bank_adjustment": ("按对账单调账", "adjusted to the bank"),
    "deposit": ("保证金", "deposit"),
}
"""What a transfer is for, where it is not said by its own word."""


LOT_EVENTS = {
    "lot_halted": ("已中止", "halted"),
    "lot_resumed": ("已恢复", "goes on"),
    "lot_cancelled": ("已终止,保证金退还", "called off; the deposits go back"),
    "lot_annulled": ("已撤销", "annulled"),
    "lot_defaulted": ("竞得人悔拍", "the winner did not pay"),
    "lot_drawn": ("已抽签", "drawn"),
}


def lots(
    every: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what is up for auction, the lots that close next first."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = [lot for lot in market.lots() if every or lot.state == "open"]
    if json:
        for lot in found:
            line(lot.model_dump(mode="json"))
        return
    head = ("标的", "资产", "状态", "当前价(元)", "起拍价(元)", "截止(UTC+8)") if lang == "zh" else (
        "lot", "asset", "state", "standing (yuan)", "start (yuan)", "closes (UTC+8)"
    )  # fmt: skip
    _table(head, (_lot_row(lot) for lot in found), right=(3, 4))


def _lot_row(lot: LotView) -> tuple[str, ...]:
    standing = "-" if lot.standing_price_fen is None else yuan(lot.standing_price_fen)
    return lot.id, lot.asset_title, lot.state, standing, yuan(lot.start_price_fen), moment(lot.closes_us)


def join(
    lot: LotArgument,
    purpose: PurposeOption = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Have the deposit held, and get the code that others see instead of your name. Joining again answers alike."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.join_lot(lot, purpose=purpose, identifier=identifier or f"join-{lot}"[:64])
    code, fen = came.outcome["code"], int(came.outcome["deposit_fen"])
    done(
        came,
        f"已参加 {lot},代号 {code},保证金 {yuan(fen)} 元已冻结",
        f"joined {lot} as {code}; a deposit of {yuan(fen)} yuan is held",
        lang,
        json=json,
    )


def bid(
    lot: LotArgument,
    price: YuanArgument,
    up_to: Annotated[
        bool,
        typer.Option(
            "--up-to",
            help="Bid the least that is needed to hold the lot, and never above YUAN, which stays here.",
        ),
    ] = False,
    dry_run: DryRun = False,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Bid on a lot that you joined. Admitted or refused, it is on the record with a receipt.

    Repeat a bid that got no answer with the same --id: it takes effect once.
    """
    price_fen = fen_of(price)
    if up_to and (dry_run or identifier is not None):
        raise Malformed(
            "bid.up_to",
            "an agent places as many bids as it needs",
            field="--up-to",
            rule="--up-to goes with neither --dry-run nor --id",
            remedy="leave one of them out",
        )
    with connected(url, key_file, vkey, remember, lang) as market:
        if dry_run:
            _rehearsed(market.dry_run_bid(lot, price_fen), lang, json=json)
            return
        if up_to:
            agent = market.bid_up_to(lot, price_fen)
            _agent(agent.standing, [one.identifier for one in agent.bids], lang, json=json)
            return
        came = market.place_bid(lot, price_fen, identified(identifier, lang))
    closes = moment(int(came.outcome["closes_us"]))
    done(
        came,
        f"出价 {yuan(price_fen)} 元已接受,{closes} 截止",
        f"the bid of {yuan(price_fen)} yuan stands; the lot closes at {closes}",
        lang,
        json=json,
    )


def _agent(standing: bool, bids: list[str], lang: Lang, *, json: bool) -> None:
    if json:
        line({"standing": standing, "bids": bids})
    elif lang == "zh":
        console.print(
            f"{'[green]✓[/] 当前最高' if standing else '[yellow]–[/] 已被超过'},出价 {len(bids)} 次"
        )
    else:
        console.print(
            f"{'[green]✓[/] you hold the lot' if standing else '[yellow]–[/] outbid'} after {len(bids)} bids"
        )
    if not standing:
        raise typer.Exit(1)


def order(
    listing: Annotated[str, typer.Argument(help="The listing at a fixed price.", metavar="LISTING")],
    licences: Annotated[int, typer.Option(min=1, help="How many licences.")] = 1,
    purpose: PurposeOption = "",
    discount: Annotated[
        str | None,
        typer.Option("--discount", help="Only with this published discount; the best one applies by itself."),
    ] = None,
    dry_run: DryRun = False,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Buy at the fixed price: paid, licensed and confirmed at once, and final."""
    with connected(url, key_file, vkey, remember, lang) as market:
        if dry_run:
            _rehearsed(market.dry_run_purchase(listing, licences, purpose=purpose), lang, json=json)
            return
        came = market.buy(
            listing, licences, purpose=purpose, discount=discount, identifier=identified(identifier, lang)
        )
    voucher = came.outcome["voucher"]
    price = yuan(int(voucher["price_fen"]))
    done(
        came,
        f"成交 {voucher['trade']},{price} 元,许可 {voucher['licence']}",
        f"bought for {price} yuan: trade {voucher['trade']}, licence {voucher['licence']}",
        lang,
        json=json,
    )


def _rehearsed(told: DryRunView, lang: Lang, *, json: bool) -> None:
    """The whole cost of an order; exit status 1 where it would be refused."""
    cost = told.cost
    if json:
        line(told.model_dump(mode="json"))
    else:
        zh = lang == "zh"
        rows = [
            ("价格" if zh else "price", cost.price_fen),
            ("佣金" if zh else "fee", cost.fee_fen),
            ("价内税" if zh else "tax, within the price", cost.tax_fen),
            ("合计" if zh else "total", cost.total_fen),
            (
                ("保证金" if zh else "deposit")
                + (("(已冻结)" if zh else " (held already)") if cost.deposit_held else ""),
                cost.deposit_fen,
            ),
            ("还须备足" if zh else "to be free on the account", cost.due_fen),
        ]
        if cost.available_fen is not None:
            rows.append(("可用" if zh else "free now", cost.available_fen))
        _table(("", "元" if zh else "yuan"), ((name, yuan(fen)) for name, fen in rows), right=(1,))
        if told.reason is None:
            console.print(f"[green]✓[/] {'会被接受' if zh else 'would be'}: {told.would}")
        else:
            why = f"{told.reason['code']}: {told.reason['detail']}"
            console.print(
                f"[red]✗[/] {'会被拒绝' if zh else 'would be refused'}, {escape(why)}", soft_wrap=True
            )
    if told.reason is not None:
        raise typer.Exit(1)


def top_up(
    amount: YuanArgument,
    after: Annotated[
        str | None, typer.Option(help="How long it is on its way, by the market's clock: 90s, 15m, 2h, 3d.")
    ] = None,
    payee: Annotated[str | None, typer.Option("--for", help="Another party than yours.")] = None,
    bank: Annotated[
        str | None, typer.Option("--bank", envvar="EXCHANGE_BANK_URL", help="The sandbox's bank.")
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """In a sandbox: order money to your account at the sandbox's bank. Elsewhere your own bank sends it, naming your party."""
    from exchange.client import SandboxBank

    if bank is None:
        raise Misconfigured(
            "top_up.bank",
            "there is no sandbox's bank to order it at",
            field="EXCHANGE_BANK_URL",
            rule="money comes from a bank",
            remedy="have your bank send it to the market's escrow account, naming your party; in a sandbox start a bank with"
            " `exchange bank serve`, and name it by --bank",
        )
    with connected(url, key_file, vkey, remember, lang) as market, SandboxBank(bank) as at:
        party = payee or market.me().id
        reference = at.pay_in(party, fen_of(amount), after_us=None if after is None else span_us(after))
    if json:
        line({"bank_reference": reference, "party": party, "amount_fen": str(fen_of(amount))})
    elif lang == "zh":
        console.print(f"[green]✓[/] 已在银行办理,参考号 {reference}")
    else:
        console.print(f"[green]✓[/] ordered at the bank as {reference}")


def withdraw(
    amount: YuanArgument,
    account: Annotated[
        str | None,
        typer.Option("--from", help="The account of your dividends; your money account where left out."),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Order a payout of free money. `withdrawals` tells what became of it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw(fen_of(amount), account=account, identifier=identified(identifier, lang))
    payout = came.outcome["payout"]
    done(
        came,
        f"出金 {amount} 元已下达:{payout}",
        f"{amount} yuan ordered to be paid out: {payout}",
        lang,
        json=json,
    )


def withdrawals(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List payouts, newest first: ordered, paid (the bank's statement shows it), or returned, and why."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.withdrawals()
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    head = ("出金", "时间(UTC+8)", "金额(元)", "状态", "退回原因") if lang == "zh" else (
        "payout", "time (UTC+8)", "yuan", "state", "returned because"
    )  # fmt: skip
    rows = (
        (one.payout, moment(one.time_us), yuan(one.amount_fen), one.state, one.return_reason or "")
        for one in found
    )
    _table(head, rows, right=(2,))


def statement(
    account: Annotated[
        str | None, typer.Option(help="Another account than your party's own; the regulator sees all.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this day or moment on (UTC+8).")] = None,
    until: Annotated[str | None, typer.Option(help="To before this day or moment (UTC+8).")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print it as CSV for a spreadsheet.")] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show each movement of money with the balance after it, and what is held now and why."""
    period: dict[str, Any] = {
        "since_us": None if since is None else instant_us(since),
        "until_us": None if until is None else instant_us(until),
    }
    with connected(url, key_file, vkey, remember, lang) as market:
        name = account or market.me().account
        if name is None:
            raise Misconfigured(
                "statement.account",
                "your party holds no money here",
                field="--account",
                remedy="name an account that your key may see",
            )
        if csv:
            with tempfile.TemporaryDirectory() as folder:
                market.statement_sheet(name, Path(folder) / "sheet.csv", language=lang, **period)
                sys.stdout.buffer.write((Path(folder) / "sheet.csv").read_bytes())
                sys.stdout.buffer.flush()
            return
        lines = market.statement(name, **period)
        if json:
            for one in lines:
                line(one.model_dump(mode="json"))
            return
        head = ("日志条目", "时间(UTC+8)", "用途", "金额(元)", "余额(元)") if lang == "zh" else (
            "entry", "time (UTC+8)", "for", "yuan", "balance"
        )  # fmt: skip
        _table(head, _statement_rows(lines, lang), right=(0, 3, 4))
        now = market.account(name)
    free = f"可用 {yuan(now.available)} 元" if lang == "zh" else f"free now: {yuan(now.available)} yuan"
    console.print(free)
    for hold in now.holds:
        what = CODES.get(hold.code, (hold.code, hold.code))[lang == "en"]
        console.print(
            f"  冻结 {yuan(hold.amount)} 元:{what},日志第 {hold.index} 条"
            if lang == "zh"
            else f"  held: {yuan(hold.amount)} yuan, {what}, entry {hold.index}"
        )


def _statement_rows(lines: Iterable[LineView], lang: Lang) -> Iterator[tuple[str, ...]]:
    for one in lines:
        moved = one.change.credits_posted - one.change.debits_posted
        held = one.change.debits_pending
        what = CODES.get(one.code, (one.code, one.code))[lang == "en"]
        if not moved and held:
            hold = ("冻结", "解冻") if lang == "zh" else ("held", "freed")
            what = f"{what} ({hold[held < 0]} {yuan(abs(held))})"
        yield str(one.index), moment(one.time_us), what, yuan(moved), yuan(one.balance)


def watch(
    lot: LotArgument,
    after: Annotated[
        int | None, typer.Option(min=0, help="Go on behind the event of this log index, without a snapshot.")
    ] = None,
    position: Annotated[
        Path | None,
        typer.Option(
            "--position",
            help="File that keeps how far was told; the next run goes on from there.",
            dir_okay=False,
        ),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Follow a lot live until it is settled: each event once, in order, over lost lines and restarts."""
    if after is None and position is not None and position.exists():
        after = _kept(position)
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        for event in market.follow_lot(lot, after=after):
            if json:
                line({"index": str(event.index), "kind": event.kind, **event.data})
            else:
                console.print(_event(event, lang), soft_wrap=True)
            if position is not None:
                fresh = position.with_name(position.name + ".new")
                fresh.write_text(str(event.index), encoding="ascii")
                os.replace(fresh, position)
            if _over(event):
                return


def _kept(position: Path) -> int:
    text = position.read_text(encoding="utf-8", errors="replace").strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Misconfigured(
            "watch.position",
            f"{position} holds no log index",
            field="--position",
            rule="the file that an earlier run of `exchange watch` kept",
            remedy="name another file, or delete this one to begin with a snapshot",
        )
    return int(text)


def _over(event: StreamEvent) -> bool:
    """Whether nothing more can happen to the lot."""
    said = event.data
    ended = said.get("state") == "failed" or bool(said.get("settled"))
    over = ("lot_settled", "lot_cancelled", "lot_annulled", "lot_defaulted")
    return event.kind in over or (event.kind in ("lot_closed", "snapshot") and ended)


def _event(event: StreamEvent, lang: Lang) -> str:
    said, zh = event.data, lang == "zh"
    where = f"[dim]{event.index:>8}[/]"
    match event.kind:
        case "snapshot":
            fen = said.get("standing_price_fen")
            price = ("无人出价" if zh else "no bid yet") if fen is None else yuan(int(fen))
            closes = moment(int(said["closes_us"]))
            return f"{where} {'当前价' if zh else 'standing'} {price}, {'截止' if zh else 'closes'} {closes}"
        case "bid":
            price = yuan(int(said["price_fen"]))
            if said.get("state") == "refused":
                return f"{where} {said['code']} {price} [red]{escape(str(said.get('reason')))}[/]"
            return f"{where} {said['code']} [bold]{price}[/], {'截止' if zh else 'closes'} {moment(int(said['closes_us']))}"
        case "lot_closed":
            return f"{where} {'已截止' if zh else 'closed'}: {escape(str(said.get('state')))}"
        case "lot_settled":
            return f"{where} {'已结算' if zh else 'settled'}"
        case "lot_halted" | "lot_resumed" | "lot_cancelled" | "lot_annulled" | "lot_defaulted" | "lot_drawn":
            return f"{where} {escape(LOT_EVENTS[event.kind][not zh])}"
        case kind:
            return f"{where} {escape(kind)}"


def lookup(
    identifier: Annotated[str, typer.Argument(help="The identifier that the request had.", metavar="ID")],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Ask what came of a request whose answer was lost. Exit status 1: nothing took effect under the identifier so far."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.lookup(identifier)
    if came is None:
        told = (
            "该标识下未产生任何效果" if lang == "zh" else "nothing took effect under this identifier so far"
        )
        notes.print(f"[yellow]–[/] {told}")
        raise typer.Exit(1)
    state = came.outcome.get("state", "done")
    if came.reason is not None:
        state = f"{state}, {came.reason['code']}: {came.reason['detail']}"
    done(came, f"结果:{state}", f"it came to: {state}", lang, json=json)


def receipt(
    index: Annotated[int, typer.Argument(min=0, help="The log entry, by its index.", metavar="ENTRY")],
    out: Annotated[
        Path | None, typer.Option(help="File that takes it; printed without.", dir_okay=False)
    ] = None,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch the receipt of an entry and verify it. `exchange audit receipt` verifies a kept one without any exchange."""
    from ledger.entries import receipt_to_json

    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.receipt(index)
    if out is None:
        line(receipt_to_json(found))
        return
    import orjson

    out.write_bytes(orjson.dumps(receipt_to_json(found)))
    kind = found.said()["kind"]
    console.print(
        f"[green]✓[/] 已核验:第 {index} 条,{kind};保存在 {out}"
        if lang == "zh"
        else f"[green]✓[/] verified: entry {index}, {kind}; kept in {out}",
        soft_wrap=True,
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, right: tuple[int, ...] = ()) -> None:
    table = Table(box=None, pad_edge=False)
    for at, name in enumerate(head):
        table.add_column(name, justify="right" if at in right else "left", no_wrap=at != 1, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
