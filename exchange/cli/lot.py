"""Commands of a lot under the statute: why it was lost, what is to come; halt, annulment and the draw for who keeps the market."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import orjson
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
from exchange.errors import Misconfigured

app = typer.Typer(
    help="A lot beside its bids: why it was won or lost, the calendar; halt, annul, draw and refunds for who keeps the market.",
    no_args_is_help=True,
)

LotArgument = Annotated[str, typer.Argument(help="The lot, such as lot-5f0c3a9e7d21b846.", metavar="LOT")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it goes on the record, sealed.")]
NonceFile = Annotated[
    Path,
    typer.Option("--nonces", help="File that keeps the nonces until they are revealed.", dir_okay=False),
]

WHAT = {
    "opens": ("开始竞价", "opens"),
    "closes": ("竞价截止", "closes"),
    "resume_by": ("恢复期限", "to be resumed by"),
    "pay_by": ("付款期限", "to be paid by"),
    "refund_by": ("退还保证金期限", "deposits back by"),
}


@app.command()
def why(
    lot: LotArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Say why you won or lost a lot, from its public book alone."""
    with connected(url, key_file, vkey, remember, lang) as market:
        told = market.why(lot)
    if json:
        line(told.model_dump(mode="json"))
        return
    console.print(escape(told.zh if lang == "zh" else told.en), soft_wrap=True)


@app.command()
def calendar(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what the lots have before them in the next thirty days; `/v1/calendar.ics` is the same to subscribe to."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.calendar()
    table = Table(box=None, pad_edge=False)
    head = (
        ("时间(UTC+8)", "事项", "标的", "资产") if lang == "zh" else ("when (UTC+8)", "what", "lot", "asset")
    )
    for name in head:
        table.add_column(name, no_wrap=name in head[:2], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        table.add_row(moment(one.at_us), WHAT[one.what][lang == "en"], one.lot, escape(one.asset_title))
    if not json:
        console.print(table)


@app.command()
def notices(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what became of the lots that you joined, sell or watch, newest first."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.lot_notices()
    table = Table(box=None, pad_edge=False)
    head = ("时间(UTC+8)", "标的", "事项", "状态", "日志") if lang == "zh" else (
        "when (UTC+8)", "lot", "what", "state", "entry"
    )  # fmt: skip
    for name in head:
        table.add_column(name, no_wrap=name in head[:2], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        table.add_row(moment(one.time_us), one.lot or "-", one.kind, one.state, str(one.index))
    if not json:
        console.print(table)


@app.command()
def watchlist(
    lot: Annotated[
        str | None, typer.Argument(help="A lot to put on the list; none to show it.", metavar="[LOT]")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Take the lot off the list.")] = False,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show the lots that you watch, or put one on the list: what becomes of it reaches your notices and webhooks."""
    with connected(url, key_file, vkey, remember, lang) as market:
        if lot is not None:
            came = market.watch_lot(lot, watch=not off, identifier=identified(identifier, lang))
            zh, en = ("已取消关注", "no more watched") if off else ("已关注", "watched")
            done(came, f"{lot} {zh}", f"{lot} is {en}", lang, json=json)
            return
        for one in market.watched():
            if json:
                line(one.model_dump(mode="json"))
            else:
                console.print(f"{one.id}  {escape(one.asset_title)}  {one.state}  {moment(one.closes_us)}")


@app.command()
def halt(
    lot: LotArgument,
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Halt a lot on a fault: no bid gets in, its clock stands still (administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.halt_lot(lot, reason, identifier=identified(identifier, lang))
    until = moment(int(came.outcome["resume_by_us"]))
    zh = f"{lot} 已中止,须在 {until} 前恢复或终止"
    done(came, zh, f"{lot} is halted; resume it or call it off by {until}", lang, json=json)


@app.command()
def resume(
    lot: LotArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Let a halted lot go on with the time that was left (administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.resume_lot(lot, identifier=identified(identifier, lang))
    closes = moment(int(came.outcome["closes_us"]))
    done(came, f"{lot} 已恢复,{closes} 截止", f"{lot} goes on and closes {closes}", lang, json=json)


@app.command()
def cancel(
    lot: LotArgument,
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Call a halted lot off; every deposit goes back (administrator, regulator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.cancel_lot(lot, reason, identifier=identified(identifier, lang))
    done(came, f"{lot} 已终止,保证金退还", f"{lot} is called off; the deposits go back", lang, json=json)


@app.command()
def annul(
    lot: LotArgument,
    ground: Annotated[
        str,
        typer.Option(
            "--ground",
            help="misdescription, system_fault, collusion, unqualified_buyer or unequal_conditions.",
        ),
    ],
    order: Annotated[str, typer.Option("--order", help="The order that says so, by its number.")],
    reason: Reason,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Annul an auction under an order; what was settled goes back by an entry of its own (regulator)."""
    from exchange.messages.statute import AnnulmentMessage

    said = AnnulmentMessage.model_validate({"ground": ground, "order": order, "reason": reason})
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.annul_lot(lot, said.ground, order, reason, identifier=identified(identifier, lang))
    done(came, f"{lot} 已撤销({order})", f"{lot} is annulled under {order}", lang, json=json)


@app.command()
def refunds(
    late: Annotated[
        bool, typer.Option("--late", help="Only the late ones; exit status 1 where there are any.")
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List deposits on their way back, by code, and until when each has to be there (regulator, administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.refunds() if one.late or not late]
    table = Table(box=None, pad_edge=False)
    head = ("标的", "代号", "保证金(元)", "期限(UTC+8)", "逾期") if lang == "zh" else (
        "lot", "code", "deposit (yuan)", "back by (UTC+8)", "late"
    )  # fmt: skip
    for name in head:
        table.add_column(name, no_wrap=name in head[:2], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        table.add_row(
            one.lot, one.code, yuan(one.deposit_fen), moment(one.refund_by_us), "!" if one.late else ""
        )
    if not json:
        console.print(table)
    if late and found:
        raise typer.Exit(1)


@app.command()
def commit(
    nonces: NonceFile,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Commit to a nonce for the draw of the next lot with a ceiling (regulator). The nonce is written down first."""
    name, nonce = f"draw-{secrets.token_hex(8)}", secrets.token_bytes(32)
    nonces.touch(mode=0o600, exist_ok=True)
    with nonces.open("ab") as file:
        file.write(orjson.dumps({"name": name, "nonce": nonce.hex()}) + b"\n")
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.commit_draw(nonce, name)
    done(
        came,
        f"已承诺 {name},随机数在 {nonces}",
        f"committed to {name}; its nonce is in {nonces}",
        lang,
        json=json,
    )


@app.command()
def reveal(
    lot: LotArgument,
    nonces: NonceFile,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Reveal the nonce of a lot that closed at its ceiling; the winner is drawn (regulator)."""
    kept = {one["name"]: one["nonce"] for one in map(orjson.loads, nonces.read_bytes().splitlines())}
    with connected(url, key_file, vkey, remember, lang) as market:
        name = market.lot(lot).draw
        if name not in kept:
            raise Misconfigured(
                "draw.nonce",
                f"{nonces} holds no nonce of {name}",
                field="--nonces",
                rule="the file that `exchange lot commit` wrote the nonce to",
                remedy="name the file that holds it",
            )
        came = market.reveal_draw(lot, bytes.fromhex(kept[name]), identifier=identified(identifier, lang))
    code = came.outcome["outcome"]["result"]["allocation"][0]["code"]
    done(came, f"{lot} 抽签,{code} 竞得", f"{lot} was drawn; {code} won", lang, json=json)
