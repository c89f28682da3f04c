"""Commands of a sandbox: a whole private market to develop against, and its clock."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

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
)

if TYPE_CHECKING:
    from exchange.messages.sandbox import SandboxMessage


def sandbox(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the exchange; 0 takes a free one.")
    ] = 0,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object, keys included, and end with standard input."),
    ] = False,
    lang: LangOption = "en",
) -> None:
    """Run a private market with a bank, people with keys and money, and three sample assets, until Ctrl-C; then it is gone.

    Its own database, log, keys and chain, and the same code as in production; only its clock can be moved. From Python:
    `with Exchange.sandbox() as sandbox`.
    """
    from exchange.sandbox.program import opened

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _interrupt())
    progress = Console(stderr=True, highlight=False, quiet=json)
    try:
        with progress.status("…") as status, opened(port, lambda what: status.update(f"{what} …")) as message:
            status.stop()
            if json:
                line(message.model_dump(mode="json"))
                sys.stdin.buffer.read()  # its end is the end of whoever started this
            else:
                _tell(message, lang)
                ended.wait()
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _interrupt() -> None:
    raise KeyboardInterrupt


def _tell(message: SandboxMessage, lang: Lang) -> None:
    zh = lang == "zh"
    rows = (
        ("控制台" if zh else "console", f"{message.url}/{lang}/"),
        ("接口说明" if zh else "API", f"{message.url}/{lang}/api"),
        ("日志公钥" if zh else "log key", message.vkey),
        ("银行" if zh else "bank", message.bank_url),
        ("链" if zh else "chain", message.chain_url),
        ("竞价标的" if zh else "lot", message.lot),
        ("固定价格挂牌" if zh else "listing", message.listing),
        ("数据资产" if zh else "assets", ", ".join(message.assets)),
        ("人员" if zh else "people", ", ".join(message.people)),
    )
    for name, value in rows:
        console.print(f"[bold]{name}[/]  {value}", soft_wrap=True)
    try_it = "在另一个终端:" if zh else "In another terminal:"
    console.print(
        f"{try_it}\n  . {message.folder}/enterprise.env\n  exchange join {message.lot}\n"
        f"  exchange bid {message.lot} 10000",
        soft_wrap=True,
    )
    console.print(
        "serving; Ctrl-C ends it and removes all of it" if not zh else "运行中;Ctrl-C 结束并清除全部"
    )


def clock(
    by: Annotated[
        str | None,
        typer.Argument(
            help="What to move it forward by: 90s, 15m, 2h, 3d; without, it is only told.", metavar="SPAN"
        ),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Tell the market's time, or move a sandbox's clock forward (administrator). A production market has no such clock."""
    with connected(url, key_file, vkey, remember, lang, keyed=by is not None) as market:
        came = None if by is None else market.move_clock(span_us(by), identifier=identified(identifier, lang))
        now_us = market.market().now_us
    if came is not None:
        done(came, f"已拨快 {by}", f"moved by {by}", lang, json=json)
    if json and came is None:
        line({"now_us": str(now_us)})
    elif not json:
        console.print(f"{moment(now_us)} UTC+8")
