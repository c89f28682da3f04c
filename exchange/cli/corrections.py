"""Commands of corrections: what a buyer finds wrong in the data, and what the department answers."""

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
    identified,
    line,
    moment,
)

app = typer.Typer(
    help="Say what is wrong in data that you licensed, and answer what buyers found in yours.",
    no_args_is_help=True,
)

STATES = {
    "open": ("待答复", "open"),
    "accepted": ("已接受", "accepted"),
    "declined": ("未采纳", "declined"),
    "mended": ("已更正", "mended"),
}


@app.command()
def ask(
    licence: Annotated[str, typer.Argument(help="Your licence, as `lic-…`.", metavar="LICENCE")],
    text: Annotated[str, typer.Argument(help="What is wrong, in a few sentences.", metavar="TEXT")],
    column: Annotated[str | None, typer.Option(help="The column that it is about.")] = None,
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
    """Ask the department to correct what you licensed; it answers within the working days of the rulebook."""
    digest = None
    if evidence is not None:
        with evidence.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.ask_correction(
            licence, text, column=column, evidence=digest, identifier=identified(identifier, lang)
        )
    name, due = came.outcome["id"], moment(int(came.outcome["due_us"]))
    done(
        came,
        f"{name} 已提交,{due} 前答复",
        f"{name} is before the department, to be answered before {due}",
        lang,
        json=json,
    )


@app.command()
def answer(
    correction: Annotated[str, typer.Argument(help="The correction, as `cor-…`.", metavar="CORRECTION")],
    decision: Annotated[Literal["accept", "refuse"], typer.Argument(help="What you found.")],
    text: Annotated[str, typer.Argument(help="What will be mended, or why not.", metavar="TEXT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Answer what a buyer found in your data (supplier)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.answer_correction(correction, decision, text, identifier=identified(identifier, lang))
    zh, en = STATES[came.outcome["state"]]
    done(came, f"{correction} {zh}", f"{correction} {en}", lang, json=json)


@app.command()
def mend(
    correction: Annotated[str, typer.Argument(help="The correction, as `cor-…`.", metavar="CORRECTION")],
    asset: Annotated[
        str, typer.Argument(help="The registered asset of yours that has it right.", metavar="ASSET")
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Tell the buyer which of your assets has right what it found wrong (supplier)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.mend_correction(correction, asset, identifier=identified(identifier, lang))
    done(came, f"{correction} 已在 {asset} 中更正", f"{correction} is made in {asset}", lang, json=json)


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
    """List the corrections that you asked for, and those of your data; all of them for a regulator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.corrections() if one.overdue or not overdue]
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        state = STATES[one.state][lang == "en"]
        late = (" [bold red]逾期[/]" if lang == "zh" else " [bold red]overdue[/]") if one.overdue else ""
        where = f" {one.column}" if one.column else ""
        console.print(
            f"{one.id} {one.asset}{escape(where)} {state}{late} [dim]→ {moment(one.due_us)}[/]",
            soft_wrap=True,
        )
        console.print(f"  {escape(one.text)}", soft_wrap=True)
        if one.answer is not None:
            made = "" if one.mended_by is None else f" ({one.mended_by})"
            console.print(f"  → {escape(one.answer)}{made}", soft_wrap=True)
    if overdue and found:
        raise typer.Exit(1)
