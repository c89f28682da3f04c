"""Commands of money at the bank: statements against the book, alarms, what comes back, and a sandbox's bank to try it with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    identified,
    line,
    moment,
    span_us,
    yuan,
)

if TYPE_CHECKING:
    from exchange.messages.bank import StatementView

app = typer.Typer(
    help="The escrow account: the bank's statements against the book, alarms, money that comes back or is nobody's.",
    no_args_is_help=True,
)

Reference = Annotated[str, typer.Argument(help="The bank's reference of the payment.", metavar="REFERENCE")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes on the record, sealed.")]

WHAT = {
    "missing_here": ("账簿无此笔", "only at the bank"),
    "missing_there": ("银行无此笔", "only in the book"),
    "amount_differs": ("金额不符", "another amount"),
    "opening_differs": ("期初余额不符", "another opening balance"),
}


@app.command()
def reconcile(
    statement: Annotated[
        Path,
        typer.Argument(help="The bank's statement as CSV.", exists=True, dir_okay=False, metavar="STATEMENT"),
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Compare a statement of the bank with the book, line by line (bank, administrator). Exit status 1: it raised an alarm.

    CSV with the columns record,reference,time,amount,note: an opening, bookings, a closing; amounts in yuan, times in
    RFC 3339.
    """
    from exchange.client.statement import read_statement
    from exchange.messages.outcomes import StatementReconciled

    message = read_statement(statement)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.import_statement(message, identifier=identifier)
    told = StatementReconciled.model_validate(came.outcome)
    done(
        came,
        f"对账单 {told.statement}:{len(told.lines)} 笔,相符 {told.matched} 笔,在途 {yuan(told.in_transit_fen)} 元,"
        f"相差 {yuan(told.difference_fen)} 元",
        f"statement {told.statement}: {len(told.lines)} lines, {told.matched} matched, {yuan(told.in_transit_fen)} yuan"
        f" on the way, {yuan(told.difference_fen)} yuan of difference",
        lang,
        json=json,
    )
    if told.state == "alarm":
        if not json:
            _findings(told.findings, lang)
        raise typer.Exit(1)


def _findings(findings: list[Any], lang: Lang) -> None:
    table = Table(box=None, pad_edge=False)
    head = ("", "参考号", "银行(元)", "账簿(元)") if lang == "zh" else ("", "reference", "bank", "book")
    for at, name in enumerate(head):
        table.add_column(name, justify="right" if at > 1 else "left", overflow="fold")
    for one in findings:
        what = WHAT[one.what][lang == "en"]
        table.add_row(f"[red]{what}[/]", escape(one.reference), yuan(one.bank_fen), yuan(one.book_fen))
    console.print(table)


@app.command()
def statements(
    alarms: Annotated[
        bool, typer.Option("--alarms", help="Only alarms that stand; exit status 1 where there are any.")
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the bank's statements and how they agreed with the book (bank, administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.statements("alarm" if alarms else None)
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        else:
            _statement(one, lang)
    if alarms and found:
        raise typer.Exit(1)


def _statement(one: StatementView, lang: Lang) -> None:
    zh = lang == "zh"
    mark = {"agreed": "[green]✓[/]", "alarm": "[bold red]![/]", "resolved": "[yellow]✓[/]"}[one.state]
    said = (
        f"{one.statement} 截至 {moment(one.ends_us)}:{one.lines} 笔,相差 {yuan(one.difference_fen)} 元"
        if zh
        else f"{one.statement} up to {moment(one.ends_us)}: {one.lines} lines, {yuan(one.difference_fen)} yuan of difference"
    )
    console.print(f"{mark} {escape(said)}", soft_wrap=True)
    if one.findings:
        _findings(list(one.findings), lang)
    if one.resolver is not None:
        by = "由 {} 解除:{}" if zh else "resolved by {}: {}"
        console.print(f"  {escape(by.format(one.resolver, one.resolution))}", soft_wrap=True)


@app.command()
def resolve(
    statement: Annotated[
        str, typer.Argument(help="The statement whose alarm is answered for.", metavar="STATEMENT")
    ],
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """End an alarm by name and reason, as another person than who imported the statement or adjusted the book."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.resolve_alarm(statement, reason, identifier=identified(identifier, lang))
    done(came, f"{statement} 的告警已解除", f"the alarm of {statement} is resolved", lang, json=json)


@app.command()
def adjust(
    reference: Reference,
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Bring the book to what the bank's statements say of one reference, by a transfer of its own (administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.adjust_book(reference, reason, identifier=identified(identifier, lang))
    changed = yuan(int(came.outcome["amount_fen"]))
    done(came, f"{reference} 调账 {changed} 元", f"{reference} adjusted by {changed} yuan", lang, json=json)


@app.command()
def suspense(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List money that waits for somebody to say whose it is."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.suspense()
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        else:
            unit = "元" if lang == "zh" else "yuan"
            said = f"{one.bank_reference}  {yuan(one.amount_fen)} {unit}  {one.payee}  {moment(one.time_us)}"
            console.print(escape(said), soft_wrap=True)


@app.command()
def assign(
    reference: Reference,
    party: Annotated[str, typer.Argument(help="The party that it was meant for.", metavar="PARTY")],
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Give money in suspense to the party that it was meant for (administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.assign_suspense(reference, party, reason, identifier=identified(identifier, lang))
    done(came, f"{reference} 已记给 {party}", f"{reference} is {party}'s now", lang, json=json)


@app.command("return")
def return_(
    payout: Annotated[str, typer.Argument(help="The payout that came back.", metavar="PAYOUT")],
    reason: Annotated[
        Literal["account_closed", "account_unknown", "account_blocked", "payee_refused", "other"],
        typer.Option("--reason", help="Why it came back."),
    ],
    reference: Annotated[
        str | None, typer.Option("--reference", help="Under which it came in again; without, it never left.")
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Give a payout that came back to its party again, by an entry of its own (bank)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.return_payout(payout, reason, reference)
    done(came, f"{payout} 已退回", f"{payout} is given back", lang, json=json)


@app.command()
def serve(
    folder: Annotated[
        Path, typer.Option(help="Where the bank keeps its book and its statements.", file_okay=False)
    ] = Path("bank"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8100,
    pay_in: Annotated[
        str, typer.Option(help="How long money is on its way in, by the market's clock.")
    ] = "1s",
    payout: Annotated[str, typer.Option(help="How long until a payout is paid.")] = "1h",
    back: Annotated[str, typer.Option(help="How long until a payout that is refused comes back.")] = "1d",
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Run a bank beside a sandbox, with the key of a person of the role bank; Ctrl-C stops.

    It takes transfers (POST /transfers, as `exchange top-up` orders them), pays withdrawals against their verified receipts
    and writes a statement each day of the market's time (POST /statements ends one now) into its folder as CSV.
    """
    from exchange.sandbox import desk
    from exchange.sandbox.bank import Bank, Delays

    delays = Delays(span_us(pay_in), span_us(payout), span_us(back))
    with connected(url, key_file, vkey, remember, lang) as market:
        desk.serve(
            Bank(market, folder, delays),
            port,
            lambda address: console.print(f"bank on {address} (Ctrl-C stops)", soft_wrap=True),
        )
