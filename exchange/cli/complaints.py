"""Commands of complaints: file one without an account, follow it, answer what is yours."""

from __future__ import annotations

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
    identified,
    line,
    moment,
)

app = typer.Typer(
    help="Complain without an account, follow it by its number; route and answer complaints.",
    no_args_is_help=True,
)

STATES = {"open": ("待答复", "open"), "upheld": ("成立", "upheld"), "dismissed": ("不成立", "dismissed")}

Topic = Literal["data", "price", "service", "privacy", "conduct"]
ComplaintArgument = Annotated[str, typer.Argument(help="The complaint, as `cpl-…`.", metavar="COMPLAINT")]


@app.command()
def file(
    topic: Annotated[Topic, typer.Argument(help="What it is about.")],
    text: Annotated[str, typer.Argument(help="What you complain of, in a few sentences.", metavar="TEXT")],
    asset: Annotated[str | None, typer.Option(help="The asset that it is about, as `ast-…`.")] = None,
    party: Annotated[str | None, typer.Option(help="Or the party, as `org-…`.")] = None,
    contact: Annotated[
        str,
        typer.Option(help="How to reach you, if you like: kept apart, and erased on demand."),
    ] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Complain of data, of a party, or of the venue. Needs no key; keep the tracking number that it prints."""
    identifier = identified(identifier, lang)
    with connected(url, None, vkey, remember, lang, keyed=False) as market:
        came = market.file_complaint(
            topic, text, asset=asset, party=party, contact=contact, identifier=identifier
        )
    if json:
        line({"outcome": came.done.outcome, "tracking": came.number})
        return
    due = moment(int(came.done.outcome["due_us"]))
    done(
        came.done,
        f"投诉已受理,{due} 前答复;查询号 {came.number}",
        f"your complaint is filed, to be answered before {due}; tracking number {came.number}",
        lang,
        json=False,
    )


@app.command()
def follow(
    number: Annotated[str, typer.Argument(help="The tracking number, as it was printed.", metavar="NUMBER")],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """See where a complaint stands, and its answer. Needs no key."""
    with connected(url, None, vkey, remember, lang, keyed=False) as market:
        found = market.follow_complaint(number)
    if json:
        line(found.model_dump(mode="json"))
        return
    console.print(_said(found.complaint, found.state, found.due_us, lang, overdue=found.overdue))
    if found.answer is not None:
        console.print(f"  → {escape(found.answer)}", soft_wrap=True)


@app.command()
def route(
    complaint: ComplaintArgument,
    to: Annotated[str, typer.Argument(help="Whose it is to answer, as `org-…`.", metavar="PARTY")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Give a complaint to the party whose it is to answer; its clock goes on (administrator, regulator)."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.route_complaint(complaint, to, identifier=identifier)
    done(came, f"{complaint} 转交 {to}", f"{complaint} is {to}'s to answer", lang, json=json)


@app.command()
def answer(
    complaint: ComplaintArgument,
    decision: Annotated[Literal["uphold", "dismiss"], typer.Argument(help="What you found.")],
    text: Annotated[str, typer.Argument(help="What follows, or why not.", metavar="TEXT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Answer a complaint that is yours, or as the regulator one whose time is over; the answer ends it."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.answer_complaint(complaint, decision, text, identifier=identifier)
    zh, en = STATES[came.outcome["state"]]
    done(came, f"{complaint} {zh}", f"{complaint} is {en}", lang, json=json)


@app.command("list")
def list_(
    overdue: Annotated[
        bool,
        typer.Option("--overdue", help="Only those not answered in time; exit status 1 where there are any."),
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the complaints that are yours to answer, or that you filed; all of them for a regulator and the venue."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.complaints() if one.overdue or not overdue]
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        about = one.asset or one.party or ("本场所" if lang == "zh" else "the venue")
        head = _said(f"{one.complaint} {about} {one.topic}", one.state, one.due_us, lang, overdue=one.overdue)
        console.print(head, soft_wrap=True)
        console.print(
            f"  {escape(one.text)}" + (f" ({escape(one.contact)})" if one.contact else ""), soft_wrap=True
        )
        if one.answer is not None:
            console.print(f"  → {escape(one.answer)}", soft_wrap=True)
    if overdue and found:
        raise typer.Exit(1)


def _said(what: str, state: str, due_us: int, lang: str, *, overdue: bool) -> str:
    late = (" [bold red]逾期[/]" if lang == "zh" else " [bold red]overdue[/]") if overdue else ""
    return f"{what} {STATES[state][lang == 'en']}{late} [dim]→ {moment(due_us)}[/]"
