"""Commands of listings: see what is on offer, put an asset up at a fixed price or for negotiation, take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

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
    instant_us,
    line,
    moment,
    span_us,
    yuan,
)
from pricing.money import format_unit_price_micro, parse_unit_price_micro, ppm_in_words

if TYPE_CHECKING:
    from exchange.messages.listings import CriterionName

app = typer.Typer(
    help="What is on offer: list an asset, take it back, discounts, questions answered to all.",
    no_args_is_help=True,
)

ListingArgument = Annotated[
    str, typer.Argument(help="The listing, such as lst-5f0c3a9e7d21b846.", metavar="LISTING")
]
MODES = {
    "fixed": ("一口价", "fixed price"),
    "negotiated": ("议价", "negotiated"),
    "auction": ("竞价", "auction"),
}

CRITERIA = {
    "quantity": ("数量", "quantity"),
    "history": ("历史成交", "purchases before"),
    "purpose": ("用途", "purpose"),
    "qualification": ("资质", "document"),
}


@app.command("show")
def show(
    every: Annotated[bool, typer.Option("--all", help="Ended and withdrawn ones too.")] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what is on offer, newest first."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = [one for one in market.listings() if every or one.state == "open"]
    table = Table(box=None, pad_edge=False)
    head = ("挂牌", "资产", "方式", "价格(元)", "余量", "状态") if lang == "zh" else (
        "listing", "asset", "by", "price (yuan)", "left", "state"
    )  # fmt: skip
    for name in head:
        table.add_column(name, no_wrap=name == head[0], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        price = "-" if one.price_fen is None else yuan(one.price_fen)
        if one.unit_price_micro is not None:
            price = f"{format_unit_price_micro(one.unit_price_micro)}/{one.unit}"
        left = f"{one.remaining}/{one.licences}"
        by = MODES.get(one.mode, (one.mode, one.mode))[lang == "en"]
        table.add_row(one.id, escape(one.asset_title), by, price, left, one.state)
    if not json:
        console.print(table)


@app.command("open")
def open_listing(
    asset: Annotated[str, typer.Argument(help="The asset, registered and appraised.", metavar="ASSET")],
    price: Annotated[
        str | None,
        typer.Option("--price", help="Yuan for one licence; for negotiation your reference, or none."),
    ] = None,
    mode: Annotated[
        Literal["fixed", "negotiated", "metered"],
        typer.Option("--mode", help="At a fixed price, for negotiation, or by use."),
    ] = "fixed",
    per: Annotated[
        Literal["call", "day", "row", "megabyte"] | None,
        typer.Option("--per", help="By use: what --price and --ceiling are for, up to six decimals."),
    ] = None,
    licences: Annotated[int, typer.Option("--licences", help="How many licences.", min=1)] = 1,
    days: Annotated[int, typer.Option("--days", help="For how many days each lasts.", min=1)] = 365,
    ceiling: Annotated[str | None, typer.Option("--ceiling", help="Yuan that no price may pass.")] = None,
    exclusive: Annotated[
        str | None,
        typer.Option("--exclusive", help="An exclusive use, with the reason, which is published."),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Offer licences of an asset, at a fixed price, for negotiation, or by use (supplier)."""
    from exchange.messages.market import MeterMessage, OfferMessage

    if (price is None and mode != "negotiated") or (mode == "metered") != (per is not None):
        raise typer.BadParameter(
            "name --price, and with --mode metered --per what it is", param_hint="--price, --per"
        )
    micro = parse_unit_price_micro if mode == "metered" else fen_of
    each = 0 if price is None else micro(price)
    most = None if ceiling is None else micro(ceiling)
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        if per is not None:
            meter = MeterMessage(unit=per, unit_price_micro=each, ceiling_micro=most)
            came = market.offer_metered(asset, meter, subscriptions=licences, term_days=days, identifier=name)
        else:
            offer = OfferMessage(
                grant="licence" if exclusive is None else "exclusive",
                licences=licences,
                term_days=days,
                price_fen=each,
                ceiling_fen=most,
                reason=exclusive or "",
            )
            list_it = market.offer_fixed_price if mode == "fixed" else market.offer_negotiated
            came = list_it(asset, offer, identifier=name)
    listing = came.outcome["id"]
    done(came, f"已挂牌 {listing}", f"{listing} is on offer", lang, json=json)


@app.command("withdraw")
def withdraw(
    listing: ListingArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes on the record, sealed.")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take a listing back: open offers lapse, licences sold stay; a lot only before it opens (supplier)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw_listing(listing, reason, identifier=name)
    done(came, f"{listing} 已撤牌", f"{listing} is withdrawn", lang, json=json)


@app.command("ask")
def ask(
    listing: ListingArgument,
    text: Annotated[
        str, typer.Argument(help="What you want to know; all read it, none who asked.", metavar="TEXT")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Ask the seller a question, which is answered to all (buyer)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.ask_question(listing, text, identifier=name)
    until = moment(int(came.outcome["due_us"]))
    told = came.outcome["id"]
    done(came, f"已提问 {told},{until} 前答复", f"{told} is to be answered by {until}", lang, json=json)


@app.command("answer")
def answer(
    question: Annotated[str, typer.Argument(help="The question, such as qst-….", metavar="QUESTION")],
    text: Annotated[str, typer.Argument(help="The answer, for everybody.", metavar="TEXT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Answer a question to a listing of yours, to all (supplier)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.answer_question(question, text, identifier=name)
    done(came, f"{question} 已公开答复", f"{question} is answered to all", lang, json=json)


@app.command("questions")
def questions(
    listing: Annotated[
        str | None,
        typer.Argument(help="A listing; none for what waits for your answer.", metavar="[LISTING]"),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what was asked of a listing, with the answers, or what waits for yours."""
    with connected(url, key_file, vkey, remember, lang, keyed=listing is None) as market:
        found = market.questions_waiting() if listing is None else market.questions(listing)
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        zh = lang == "zh"
        late = (" 逾期" if zh else " late") if one.overdue else ""
        waits = f"待答复,期限 {moment(one.due_us)}" if zh else f"to be answered by {moment(one.due_us)}"
        console.print(f"[bold]{escape(one.text)}[/] [dim]{one.id}{late}[/]", soft_wrap=True)
        console.print(f"  {escape(one.answer) if one.answer is not None else waits}", soft_wrap=True)


@app.command("discount")
def discount(
    listing: ListingArgument,
    off: Annotated[str, typer.Option("--off", help="Per cent of the price, such as 12.5.")],
    until: Annotated[str, typer.Option("--until", help="When it ends: a day, or a day and a time.")],
    quantity: Annotated[
        int | None,
        typer.Option("--quantity", help="For so many licences at once, or so large a quota.", min=1),
    ] = None,
    history: Annotated[
        int | None, typer.Option("--history", help="After so many purchases from you.", min=1)
    ] = None,
    purpose: Annotated[list[str] | None, typer.Option("--purpose", help="For this purpose; repeat.")] = None,
    qualification: Annotated[
        list[str] | None, typer.Option("--qualification", help="With a document of this kind; repeat.")
    ] = None,
    starts: Annotated[str, typer.Option("--in", help="After how long it starts: 90s, 15m, 2h, 3d.")] = "1m",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Publish a discount on a listing of yours, by one criterion; whoever meets it has it (supplier)."""
    chosen: list[tuple[CriterionName, int, list[str]]] = []
    if quantity is not None:
        chosen.append(("quantity", quantity, []))
    if history is not None:
        chosen.append(("history", history, []))
    if purpose:
        chosen.append(("purpose", 0, purpose))
    if qualification:
        chosen.append(("qualification", 0, qualification))
    if len(chosen) != 1:
        raise typer.BadParameter(
            "a discount has one criterion", param_hint="--quantity, --history, --purpose, --qualification"
        )
    ((criterion, at_least, words),) = chosen
    ppm, ends_us, wait_us = parse_unit_price_micro(off) // 100, instant_us(until), span_us(starts)
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.publish_discount(
            listing,
            criterion,
            ppm,
            starts_us=market.market().now_us + wait_us,
            ends_us=ends_us,
            at_least=at_least,
            words=words,
            identifier=name,
        )
    told = came.outcome["id"]
    done(came, f"已公布优惠 {told}", f"{told} is published", lang, json=json)


@app.command("discounts")
def discounts(
    listing: ListingArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List a listing's published discounts: who pays less, by which criterion, how much, and how long."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.discounts(listing)
    table = Table(box=None, pad_edge=False)
    head = ("优惠", "条件", "减", "起(UTC+8)", "止(UTC+8)") if lang == "zh" else (
        "discount", "criterion", "off", "from (UTC+8)", "until (UTC+8)"
    )  # fmt: skip
    for name in head:
        table.add_column(name, no_wrap=name == head[0], overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        said = ", ".join(one.words) or f">= {one.at_least}"
        criterion = f"{CRITERIA[one.criterion][lang == 'en']} {said}"
        off = ppm_in_words(one.off_ppm)
        table.add_row(one.id, escape(criterion), off, moment(one.starts_us), moment(one.ends_us))
    if not json:
        console.print(table)


@app.command("end-discount")
def end_discount(
    discount: Annotated[str, typer.Argument(help="The discount, such as dsc-….", metavar="DISCOUNT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """End a discount of yours from now on (supplier)."""
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.end_discount(discount, identifier=name)
    done(came, f"{discount} 已终止", f"{discount} has ended", lang, json=json)
