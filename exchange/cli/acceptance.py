"""Commands of acceptance: accept a delivery or object to it, name a mediator, decide."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

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
    help="Accept what was delivered, object to it in time, and have it mediated.", no_args_is_help=True
)

STATES = {
    "open": ("验收期内", "open"),
    "accepted": ("已验收", "accepted"),
    "objected": ("有异议,待指定调解员", "objected to"),
    "mediation": ("调解中", "in mediation"),
    "reduced": ("已减价", "price reduced"),
    "refunded": ("已全额退款", "refunded"),
    "void": ("交易已撤销", "void"),
}
REFUNDS = {"paid": ("已退", "paid"), "owed": ("待退", "owed")}

Ground = Literal["not_as_described", "incomplete", "inaccurate", "not_delivered", "terms"]
LicenceArgument = Annotated[str, typer.Argument(help="The licence, as `lic-…`.", metavar="LICENCE")]


@app.command()
def accept(
    licence: LicenceArgument,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Accept what was delivered to you; an objection of yours that is undecided ends with it."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.accept_delivery(licence, identifier=identifier)
    done(came, f"{licence} 已验收", f"{licence} is accepted", lang, json=json)


@app.command("object")
def object_(
    licence: LicenceArgument,
    ground: Annotated[Ground, typer.Argument(help="On what ground.")],
    text: Annotated[str, typer.Argument(help="What is wrong, in a few sentences.", metavar="TEXT")],
    evidence: Annotated[
        Path | None,
        typer.Option(help="The file that shows it: only its SHA-256 is sent.", exists=True, dir_okay=False),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Object to what was delivered to you before its window ends; silence accepts it."""
    digest = None
    if evidence is not None:
        with evidence.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.object_to_delivery(licence, ground, text, evidence=digest, identifier=identifier)
    due = moment(int(came.outcome["due_us"]))
    done(
        came,
        f"已对 {licence} 提出异议,{due} 前指定调解员",
        f"{licence} is objected to; a mediator is named before {due}",
        lang,
        json=json,
    )


@app.command()
def mediator(
    licence: LicenceArgument,
    person: Annotated[
        str, typer.Argument(help="A person of a service provider, as `per-…`.", metavar="PERSON")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Name who mediates, related to neither side, or another in the place of one (administrator, regulator)."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.name_mediator(licence, person, identifier=identifier)
    due = moment(int(came.outcome["due_us"]))
    done(
        came,
        f"{person} 调解 {licence},{due} 前作出决定",
        f"{person} mediates {licence}, and decides before {due}",
        lang,
        json=json,
    )


@app.command()
def decide(
    licence: LicenceArgument,
    decision: Annotated[Literal["accept", "reduce", "refund"], typer.Argument(help="What becomes of it.")],
    order: Annotated[str, typer.Option("--order", help="The award, by its number.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays sealed in the log.")],
    refund: Annotated[
        str | None, typer.Option("--refund", help="Of a reduction: the yuan that go back of the price.")
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Decide as the mediator: the award is final, moves the money, and a refund of all of it ends the licence."""
    fen = None if refund is None else fen_of(refund)
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.mediate(licence, decision, order, reason, refund_fen=fen, identifier=identifier)
    state, paid = came.outcome["state"], came.outcome["refund"]
    back = int(came.outcome["refund_fen"])
    zh, en = STATES[state]
    if paid is not None:
        zh += f",{REFUNDS[paid][0]} {yuan(back)} 元"
        en += f", {yuan(back)} yuan {REFUNDS[paid][1]}"
    done(came, f"{licence} {zh}", f"{licence} is {en}", lang, json=json)


@app.command("list")
def list_(
    overdue: Annotated[
        bool,
        typer.Option("--overdue", help="Only those not mediated in time; exit status 1 where there are any."),
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List where your deliveries stand, as buyer, seller or mediator; what was objected to for the venue, all for a regulator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.acceptances() if one.overdue or not overdue]
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        state = STATES[one.state][lang == "en"]
        until = one.ends_us if one.state == "open" else one.due_us
        when = "" if until is None or one.decided_us is not None else f" [dim]→ {moment(until)}[/]"
        late = (" [bold red]逾期[/]" if lang == "zh" else " [bold red]overdue[/]") if one.overdue else ""
        back = ""
        if one.refund_state is not None and one.refund_fen is not None:
            back = f" {yuan(one.refund_fen)} {REFUNDS[one.refund_state][lang == 'en']}"
        console.print(f"{one.licence} {one.asset} {state}{back}{late}{when}", soft_wrap=True)
        if one.text is not None:
            console.print(f"  {one.ground}: {escape(one.text)}", soft_wrap=True)
        if one.reason is not None:
            console.print(f"  → {escape(one.order_reference or '')}: {escape(one.reason)}", soft_wrap=True)
    if overdue and found:
        raise typer.Exit(1)
