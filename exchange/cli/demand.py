"""Commands of the demand board: browse what is wanted, say what you want, answer with what you have."""

from __future__ import annotations

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
    fen_of,
    identified,
    line,
    moment,
    yuan,
)

app = typer.Typer(
    help="The demand board: what buyers want, and which departments have it.", no_args_is_help=True
)

DemandArgument = Annotated[
    str, typer.Argument(help="The want, such as dmd-5f0c3a9e7d21b846.", metavar="DEMAND")
]


@app.command("list")
def list_(
    purpose: Annotated[str | None, typer.Option("--purpose", help="Of this purpose alone.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what buyers want, the newest first."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.demands(purpose=purpose, every=every)
    table = Table(box=None, pad_edge=False)
    head = ("需求", "内容", "用途", "预算(元)", "期限(天)", "截止(UTC+8)", "状态") if lang == "zh" else (
        "demand", "what", "purpose", "budget (yuan)", "term (days)", "until (UTC+8)", "state"
    )  # fmt: skip
    for name in head:
        table.add_column(name, no_wrap=name == head[0], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        table.add_row(
            one.id,
            escape(one.subject or "-"),
            one.purpose or "-",
            f"{yuan(one.low_fen)} – {yuan(one.high_fen)}",
            str(one.term_days),
            moment(one.until_us),
            getattr(one.words, lang),
        )
    if not json:
        console.print(table)


@app.command()
def show(
    demand: DemandArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show a want with its answers."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.demand(demand)
    if json:
        line(found.model_dump(mode="json"))
        return
    console.print(
        f"[bold]{found.id}[/] {escape(found.subject or '-')}  {getattr(found.words, lang)}  "
        f"{yuan(found.low_fen)} – {yuan(found.high_fen)}",
        soft_wrap=True,
    )
    for one in found.answers:
        where = "" if one.listing is None else f" {one.listing}"
        console.print(
            f"  {one.supplier} {one.asset}{where} {escape(one.asset_title)}: {escape(one.words or '-')}",
            soft_wrap=True,
        )


@app.command()
def post(
    subject: Annotated[str, typer.Argument(help="What data you want.")],
    high: Annotated[str, typer.Option("--up-to", help="The most that you would pay, in yuan.")],
    term_days: Annotated[int, typer.Option("--term-days", help="For how many days you want to use it.")],
    low: Annotated[str, typer.Option("--from", help="The least, in yuan.")] = "0",
    purpose: Annotated[str, typer.Option("--purpose", help="What for, such as research.")] = "",
    open_days: Annotated[int, typer.Option("--open-days", help="How many days the want stands.")] = 90,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Put a want on the board, for everybody to see."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.post_demand(
            subject,
            high_fen=fen_of(high),
            low_fen=fen_of(low),
            term_days=term_days,
            open_days=open_days,
            purpose=purpose,
            identifier=identified(identifier, lang),
        )
    name, until = came.outcome["id"], moment(int(came.outcome["until_us"]))
    done(came, f"{name} 已发布,{until} 截止", f"{name} stands until {until}", lang, json=json)


@app.command()
def answer(
    demand: DemandArgument,
    asset: Annotated[str, typer.Argument(help="An asset of yours.", metavar="ASSET")],
    words: Annotated[str, typer.Argument(help="What you have, for everybody to read.")],
    listing: Annotated[str | None, typer.Option("--listing", help="Where it is on offer.")] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Answer a want with an asset of yours."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.answer_demand(
            demand, asset, words, listing=listing, identifier=identified(identifier, lang)
        )
    done(came, f"已响应 {demand}", f"{demand} is answered", lang, json=json)


@app.command()
def withdraw(
    demand: DemandArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take your want off the board."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw_demand(demand, identifier=identified(identifier, lang))
    done(came, f"{demand} 已撤回", f"{demand} is off the board", lang, json=json)
