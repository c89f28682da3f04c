"""Commands of licences: what one has, what it allows, the data behind it, who fetched it, and its end before its time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
)

app = typer.Typer(
    help="Fetch what you licensed, see what a licence allows and who used it, suspend or revoke one.",
    no_args_is_help=True,
)

LicenceArgument = Annotated[str, typer.Argument(help="The licence, as `lic-…`.", metavar="LICENCE")]

STATES = {
    "active": ("有效", "active"),
    "suspended": ("已中止", "suspended"),
    "revoked": ("已终止", "revoked"),
    "annulled": ("已撤销", "annulled"),
}
ACTS = {"link": ("生成链接", "link made"), "download": ("下载", "download")}


@app.command("list")
def licences(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List your licences, until when each lasts, and what was used of it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = list(market.licences())
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    head = ("许可", "交易", "状态", "至(UTC+8)", "调用", "字节") if lang == "zh" else (
        "licence", "trade", "state", "until (UTC+8)", "calls", "bytes"
    )  # fmt: skip
    table = Table(*head, box=None, pad_edge=False)
    for one in found:
        state = STATES[one.state][lang == "en"]
        table.add_row(
            one.id, one.trade, state, moment(one.ends_us), f"{one.calls_used:,}", f"{one.bytes_used:,}"
        )
    console.print(table)


@app.command()
def policy(
    licence: LicenceArgument,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Print a licence as its ODRL 2.2 policy (JSON-LD): what delivery obeys."""
    with connected(url, key_file, vkey, remember, lang) as market:
        line(market.licence_policy(licence))


@app.command()
def fetch(
    licence: LicenceArgument,
    file: Annotated[Path, typer.Argument(help="Where to put it.", metavar="FILE", dir_okay=False)],
    purpose: Annotated[str, typer.Option(help="What it is for, where several purposes were agreed.")] = "",
    region: Annotated[str, typer.Option(help="Where it is used, as an ISO 3166 code such as CN-GD.")] = "",
    identifier: IdOption = None,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch what you licensed to a file, by a link of its own. Cut off, the same command goes on where it was."""
    with connected(url, key_file, vkey, remember, lang) as market:
        link = market.link(licence, purpose=purpose, region=region, identifier=identified(identifier, lang))
        market.download(link, file)
    told = f"已保存到 {file},内容与登记的 SHA-256 一致" if lang == "zh" else (
        f"{file}, its SHA-256 is the registered product's"
    )  # fmt: skip
    console.print(f"[green]✓[/] {escape(told)}", soft_wrap=True)


@app.command()
def accesses(
    licence: LicenceArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List every link and download of a licence (its buyer, its supplier, a regulator); `exchange receipt` proves each."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.accesses(licence).accesses
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
        return
    head = ("日志条目", "时间(UTC+8)", "行为", "字节") if lang == "zh" else (
        "entry", "time (UTC+8)", "what", "bytes"
    )  # fmt: skip
    table = Table(*head, box=None, pad_edge=False)
    for one in found:
        table.add_row(str(one.log_index), moment(one.time_us), ACTS[one.act][lang == "en"], f"{one.bytes:,}")
    console.print(table)


@app.command("set")
def set_state(
    licence: LicenceArgument,
    state: Annotated[Literal["active", "suspended", "revoked"], typer.Argument(help="What it becomes.")],
    reason: Annotated[str, typer.Option(help="Why: it stays sealed, and goes to both sides.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Suspend a licence that you sold, let it work again, or revoke it for good (also a regulator). Bytes under way stop."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.set_licence(licence, state, reason, identifier=identified(identifier, lang))
    zh, en = STATES[state]
    done(came, f"{licence} {zh}", f"{licence} is {en}", lang, json=json)


@app.command("end-links")
def end_links(
    licence: LicenceArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """End every link of a licence that was made until now, where one leaked (its buyer, its supplier, a regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.end_links(licence, identifier=identified(identifier, lang))
    done(came, f"{licence} 此前的链接已终止", f"the links of {licence} are ended", lang, json=json)
