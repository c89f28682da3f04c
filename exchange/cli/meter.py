"""Commands of what is charged by use: subscribe, record usage, read statements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    IdOption,
    JsonOption,
    KeyOption,
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
    yuan,
)
from pricing.money import format_unit_price_micro

app = typer.Typer(
    help="What is charged by use: subscribe with a quota, record usage, read statements.",
    no_args_is_help=True,
)

SubscriptionArgument = Annotated[
    str, typer.Argument(help="The subscription, such as sub-5f0c3a9e7d21b846.", metavar="SUBSCRIPTION")
]


@app.command("subscribe")
def subscribe(
    listing: Annotated[str, typer.Argument(help="A metered listing.", metavar="LISTING")],
    quota: Annotated[
        int, typer.Argument(help="At the most so many calls, days, rows, or bytes of megabytes.", min=1)
    ],
    prepaid: Annotated[
        bool,
        typer.Option("--prepaid", help="Pay the quota now; left out, its price is held until it is charged."),
    ] = False,
    purpose: Annotated[str, typer.Option(help="What you want the data for: industry, research, …")] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Subscribe to a metered product (buyer)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.subscribe(listing, quota, prepaid=prepaid, purpose=purpose, identifier=name)
    told, most = came.outcome["subscription"], yuan(int(came.outcome["most_fen"]))
    zh = f"已订购 {told},{'已付' if prepaid else '最多'} {most} 元"
    done(came, zh, f"{told}, {'paid' if prepaid else 'at the most'} {most} yuan", lang, json=json)


@app.command("show")
def show(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List subscriptions that you have, sell or meter, newest first."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.subscriptions()
    head = ("订购", "单价(元)", "已用", "配额", "冻结(元)", "下次结算(UTC+8)", "状态") if lang == "zh" else (
        "subscription", "yuan each", "used", "quota", "held (yuan)", "next statement (UTC+8)", "state"
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for column in head:
        table.add_column(column, overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        each = f"{format_unit_price_micro(one.unit_price_micro)}/{one.unit}"
        due = moment(one.next_us) if one.state == "open" else "-"
        table.add_row(one.id, each, str(one.used), str(one.quota), yuan(one.hold_fen), due, one.state)
    if not json:
        console.print(table)


@app.command("record")
def record(
    subscription: SubscriptionArgument,
    quantity: Annotated[int, typer.Argument(help="What was used since the last record.", min=1)],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Record what your gateway served; nothing is used beyond the quota (supplier, operator)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.record_usage(subscription, quantity, identifier=name)
    left = came.outcome["left"]
    done(came, f"已记录 {quantity},余 {left}", f"{quantity} recorded, {left} left", lang, json=json)


@app.command("end")
def end(
    subscription: SubscriptionArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """End a subscription of yours: what was used is settled, what is held beyond it goes back (buyer)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.end_subscription(subscription, identifier=name)
    paid = yuan(int(came.outcome["price_fen"]))
    done(
        came,
        f"{subscription} 已结束,末次结算 {paid} 元",
        f"{subscription} ended, {paid} yuan settled",
        lang,
        json=json,
    )


@app.command("statement")
def statement(
    subscription: SubscriptionArgument,
    number: Annotated[
        int | None, typer.Argument(help="One statement with its records; none for all.", min=1)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write this statement as a sheet.", dir_okay=False)
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the statements of a subscription, or one of them record by record."""
    if csv is not None and number is None:
        raise typer.BadParameter("a sheet is of one statement", param_hint="NUMBER")
    with connected(url, key_file, vkey, remember, lang) as market:
        if csv is not None and number is not None:
            market.usage_sheet(subscription, number, csv)
            console.print(escape(str(csv)), soft_wrap=True)
            return
        detail = None if number is None else market.usage_statement(subscription, number)
        found = market.usage_statements(subscription) if detail is None else [detail]
    zh = lang == "zh"
    head = (
        ("日志", "时间(UTC+8)", "数量", "金额(元)") if zh else ("entry", "when (UTC+8)", "quantity", "yuan")
    )
    table = Table(box=None, pad_edge=False)
    for column in head:
        table.add_column(column, overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        for used in () if detail is None else detail.records:
            table.add_row(str(used.index), moment(used.time_us), str(used.quantity), "")
        table.add_row(str(one.index), moment(one.until_us), str(one.quantity), yuan(one.price_fen))
    if not json:
        console.print(table)
