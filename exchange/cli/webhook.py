"""Commands of webhooks: where a party's own server is told what concerns it, and how that fares."""

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
    identified,
    line,
    moment,
)

app = typer.Typer(
    help="Be called at an https address of your own with what concerns your party (Standard Webhooks).",
    no_args_is_help=True,
)

Webhook = Annotated[
    str, typer.Argument(help="The endpoint, such as whk-5f0c3a9e7d21b846.", metavar="WEBHOOK")
]


@app.command("list")
def list_(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List your endpoints and how each fares: last success, failures in a row, entries still to be looked at.

    Exit status 1 says that one is failing or was disabled.
    """
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.webhooks() if one.state != "removed"]
    if json:
        for one in found:
            line(one.model_dump(mode="json"))
    else:
        table = Table(box=None, pad_edge=False)
        head = ("编号", "地址", "种类", "状态", "上次成功(UTC+8)", "连续失败", "待推送") if lang == "zh" else (
            "webhook", "address", "kinds", "state", "last success (UTC+8)", "failures", "behind"
        )  # fmt: skip
        for name in head:
            table.add_column(name, no_wrap=name == head[0], overflow="fold")
        for one in found:
            success = "-" if one.last_success_us is None else moment(one.last_success_us)
            kinds = ", ".join(one.kinds) or "*"
            cells = (one.id, one.url, kinds, one.state, success, str(one.attempts), str(one.backlog))
            table.add_row(*map(escape, cells))
        console.print(table)
    if any(one.state == "disabled" or one.attempts for one in found):
        raise typer.Exit(1)


@app.command()
def create(
    address: Annotated[
        str, typer.Argument(help="An https address that the whole Internet may reach.", metavar="ADDRESS")
    ],
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind of entry; may be given several times.")
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Register an endpoint. Its secret is printed this once: keep it where your server reads it."""
    with connected(url, key_file, vkey, remember, lang) as market:
        made = market.add_webhook(address, kinds or (), identifier=identified(identifier, lang))
    _secret(made.id, made.secret, lang, json=json)


@app.command()
def rotate(
    webhook: Webhook,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take a new secret; for a day deliveries are signed with both."""
    with connected(url, key_file, vkey, remember, lang) as market:
        made = market.rotate_webhook_secret(webhook, identifier=identified(identifier, lang))
    _secret(made.id, made.secret, lang, json=json)


@app.command()
def replay(
    webhook: Webhook,
    sequence: Annotated[
        int, typer.Option("--from", min=0, help="Index of the first entry to be told again.")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Be told again from an entry on; an endpoint that was disabled is active again."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.replay_webhook(webhook, sequence, identifier=identified(identifier, lang))
    done(came, f"从第 {sequence} 条起重新推送", f"told again from entry {sequence} on", lang, json=json)


@app.command()
def remove(
    webhook: Webhook,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Be told nothing there any more."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.remove_webhook(webhook, identifier=identified(identifier, lang))
    done(came, f"{webhook} 已撤销", f"{webhook} is told nothing more", lang, json=json)


def _secret(webhook: str, secret: str, lang: str, *, json: bool) -> None:
    if json:
        line({"webhook": webhook, "secret": secret})
    else:
        what = "密钥(只显示这一次)" if lang == "zh" else "secret, shown this once"
        console.print(f"[green]✓[/] {webhook}\n  {what}: {secret}", soft_wrap=True)
