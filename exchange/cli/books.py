"""`exchange books`: what accountants take along, as their tools read it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    JsonOption,
    KeyOption,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    instant_us,
    line,
    moment,
    notes,
    yuan,
)

if TYPE_CHECKING:
    from exchange.messages.books import InvoiceView

app = typer.Typer(
    help="For your accountants: invoice lines of what was bought and sold, and the journal for plain-text accounting.",
    no_args_is_help=True,
)

SinceOption = Annotated[str | None, typer.Option(help="From this day or moment on (UTC+8).")]
UntilOption = Annotated[str | None, typer.Option(help="To before this day or moment (UTC+8).")]

WORDS = {
    "purchase_price": ("购买价款", "purchase price"),
    "value_added_tax": ("增值税", "value-added tax"),
    "registration_and_settlement": ("登记结算", "registration and settlement"),
}


@app.command()
def invoices(
    trade: Annotated[str | None, typer.Argument(help="One trade alone.", metavar="TRADE")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print them as CSV for a spreadsheet.")] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Tell what each purchase consists of, as 财会〔2023〕11号 has it booked: price, tax, settlement; right, term, voucher."""
    period = _period(since, until)
    with connected(url, key_file, vkey, remember, lang) as market:
        if csv:
            with tempfile.TemporaryDirectory() as folder:
                market.invoice_sheet(Path(folder) / "sheet.csv", language=lang, **period)
                sys.stdout.buffer.write((Path(folder) / "sheet.csv").read_bytes())
                sys.stdout.buffer.flush()
            return
        found = market.invoices(**period) if trade is None else [market.invoice(trade)]
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    zh = lang == "zh"
    for one in found:
        undone = "" if one.annulled is None else (
            f",已依 {one.annulled.order} 撤销并退款" if zh else f", annulled under {one.annulled.order} and paid back"
        )  # fmt: skip
        console.print(
            f"[bold]{one.number}[/] {moment(one.time_us)},日志第 {one.index} 条{undone}"
            if zh
            else f"[bold]{one.number}[/] {moment(one.time_us)}, entry {one.index}{undone}",
            soft_wrap=True,
        )
        console.print(
            f"  {one.seller_name} {one.seller_code} → {one.buyer_name} {one.buyer_code}", soft_wrap=True
        )
        console.print(f"  {_booked(one, zh)}", soft_wrap=True)
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_column()
        table.add_column(justify="right")
        for part in one.lines:
            table.add_row(WORDS[part.component][not zh], yuan(part.amount_fen))
        table.add_row("合计" if zh else "paid", yuan(one.paid_fen))
        if one.refunded_fen:
            table.add_row("已退款" if zh else "refunded", yuan(one.refunded_fen))
        console.print(table)


def _booked(one: InvoiceView, zh: bool) -> str:
    """What it is in the buyer's books."""
    if one.usage is not None:
        quantity, unit, cost = f"{int(one.usage.quantity):,}", one.usage.unit, yuan(one.cost_fen)
        if zh:
            return f"按用量计费 {quantity} {unit},计入当期费用 {cost} 元"
        return f"charged by use, {quantity} {unit}: an expense of the period of {cost} yuan"
    if zh:
        return f"数据使用权({one.grant}) {one.term_days} 天,符合条件时确认为无形资产,成本 {yuan(one.cost_fen)} 元"
    return (
        f"right of use ({one.grant}) for {one.term_days} days: an intangible asset where it qualifies, at a cost of"
        f" {yuan(one.cost_fen)} yuan"
    )


@app.command()
def journal(
    form: Annotated[
        Literal["beancount", "hledger"], typer.Option("--format", help="For which tool.")
    ] = "beancount",
    since: SinceOption = None,
    until: UntilOption = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; printed where it is left out.", dir_okay=False)
    ] = None,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Write what was posted on your accounts as a journal, a transaction for each entry of the log; a regulator gets all.

    Your account is an asset, what the other side was an income or expense by its purpose: rename them to those of your own
    chart of accounts.
    """
    from exchange.client.journal import journal as written

    with connected(url, key_file, vkey, remember, lang) as market:
        me = market.me()
        text = written(
            form,
            market.journal(**_period(since, until)),
            whole="regulator" in me.roles,
            title=f"{me.name} @ {url}",
        )
        if out is None:
            for row in text:
                typer.echo(row)
            return
        partial = out.with_name(f"{out.name}.part")
        with partial.open("w", encoding="utf-8") as file:
            for row in text:
                file.write(f"{row}\n")
        partial.replace(out)
    check = f"bean-check {out}" if form == "beancount" else f"hledger -f {out} check"
    notes.print(
        f"已写入 {out};用 {check} 校验" if lang == "zh" else f"{out} is written; {check} checks it",
        soft_wrap=True,
    )


def _period(since: str | None, until: str | None) -> dict[str, Any]:
    return {
        "since_us": None if since is None else instant_us(since),
        "until_us": None if until is None else instant_us(until),
    }
