"""Commands of a negotiated sale: offer, counter, accept, reject, withdraw, and see what is on the table."""

from __future__ import annotations

from typing import Annotated

import typer
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
    span_us,
    yuan,
)

app = typer.Typer(
    help="Negotiate the price of a listing: offer, counter, accept, reject, withdraw.", no_args_is_help=True
)

NegotiationArgument = Annotated[
    str,
    typer.Argument(help="The negotiation, such as neg-5f0c3a9e7d21b846.", metavar="NEGOTIATION"),
]
YuanArgument = Annotated[str, typer.Argument(help="The price of one licence, in yuan.", metavar="YUAN")]
LicencesOption = Annotated[int, typer.Option("--licences", help="How many licences.", min=1)]
ForOption = Annotated[
    str, typer.Option("--for", help="How long the offer stands, by the market's clock: 90s, 15m, 2h, 3d.")
]
SeenOption = Annotated[
    int | None,
    typer.Option(
        "--seen", help="Entry of the offer that you answer; left out, the one on the table now.", min=0
    ),
]

STATES = {
    "open": ("待答复", "open"),
    "accepted": ("已成交", "accepted"),
    "rejected": ("已拒绝", "rejected"),
    "withdrawn": ("已撤回", "withdrawn"),
    "expired": ("已过期", "expired"),
    "lapsed": ("已失效", "lapsed"),
}
SIDES = {"buyer": ("需方", "buyer"), "seller": ("供方", "seller")}


@app.command("show")
def show(
    negotiation: Annotated[
        str | None,
        typer.Argument(help="One of them with every offer; none for all.", metavar="[NEGOTIATION]"),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List your negotiations with what is on the table, newest first, or one of them with every offer."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.negotiations() if negotiation is None else [market.negotiation(negotiation)]
    en = lang == "en"
    head = ("entry", "negotiation", "by", "yuan each", "licences", "until (UTC+8)", "state") if en else (
        "日志", "议价", "报价方", "单价(元)", "份数", "有效至(UTC+8)", "状态"
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for name in head:
        table.add_column(name, no_wrap=name in head[:2], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        for offer in one.offers if negotiation is not None else one.offers[-1:]:
            state = STATES[one.state][en] if offer.index == one.offer_index else ""
            table.add_row(
                str(offer.index), one.id, SIDES[offer.side][en], yuan(offer.price_fen), str(offer.licences),
                moment(offer.expires_us), state,
            )  # fmt: skip
    if not json:
        console.print(table)


@app.command("offer")
def offer(
    listing: Annotated[str, typer.Argument(help="A listing that is up for negotiation.", metavar="LISTING")],
    price: YuanArgument,
    licences: LicencesOption = 1,
    stands: ForOption = "3d",
    purpose: Annotated[str, typer.Option(help="What you want the data for: industry, research, …")] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Offer a price for licences that are up for negotiation (buyer)."""
    fen, for_us = fen_of(price), span_us(stands)
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        until = market.market().now_us + for_us
        came = market.make_offer(listing, fen, licences, expires_us=until, purpose=purpose, identifier=name)
    told = came.outcome["negotiation"]
    done(
        came,
        f"已报价 {told},有效至 {moment(until)}",
        f"{told} is open until {moment(until)}",
        lang,
        json=json,
    )


@app.command("counter")
def counter(
    negotiation: NegotiationArgument,
    price: YuanArgument,
    licences: Annotated[
        int | None, typer.Option("--licences", help="How many licences; left out, as many as before.", min=1)
    ] = None,
    stands: ForOption = "3d",
    seen: SeenOption = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Answer the other side's offer with another."""
    fen, for_us = fen_of(price), span_us(stands)
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        table = market.negotiation(negotiation)
        until = market.market().now_us + for_us
        came = market.counter_offer(
            negotiation,
            table.offer_index if seen is None else seen,
            fen,
            licences or table.licences,
            expires_us=until,
            identifier=name,
        )
    zh = f"已还价 {yuan(fen)} 元,有效至 {moment(until)}"
    done(came, zh, f"countered with {yuan(fen)} yuan each, until {moment(until)}", lang, json=json)


@app.command("accept")
def accept(
    negotiation: NegotiationArgument,
    price: YuanArgument,
    seen: SeenOption = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Accept the other side's offer at the price that you name: paid, licensed and confirmed at once."""
    fen = fen_of(price)
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        table = market.negotiation(negotiation)
        if table.price_fen != fen:
            raise typer.BadParameter(
                f"on the table are {yuan(table.price_fen)} yuan for each licence", param_hint="YUAN"
            )
        came = market.accept_offer(negotiation, table.offer_index if seen is None else seen, identifier=name)
    voucher = came.outcome["voucher"]
    total = yuan(int(voucher["price_fen"]))
    done(
        came,
        f"已成交,{total} 元,凭证 {voucher['trade']}",
        f"done for {total} yuan, voucher {voucher['trade']}",
        lang,
        json=json,
    )


@app.command("reject")
def reject(
    negotiation: NegotiationArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, if you say so; sealed.")] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Say no to the other side's offer, which ends the negotiation."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.reject_offer(negotiation, reason, identifier=name)
    done(came, f"{negotiation} 已拒绝", f"{negotiation} is rejected", lang, json=json)


@app.command("withdraw")
def withdraw(
    negotiation: NegotiationArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take your own offer off the table, which ends the negotiation."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw_offer(negotiation, identifier=name)
    done(came, f"{negotiation} 已撤回", f"{negotiation} is withdrawn", lang, json=json)
