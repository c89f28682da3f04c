"""Commands of the certificate of deletion."""

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
    help="Delete at the end of a licence what was licensed, and certify it.", no_args_is_help=True
)

STATES = {"running": ("许可期内", "running"), "due": ("待删除", "due"), "declared": ("已删除", "declared")}


@app.command()
def declare(
    licence: Annotated[str, typer.Argument(help="Your licence, as `lic-…`.", metavar="LICENCE")],
    method: Annotated[
        Literal["clear", "purge", "crypto_erase", "destroy"],
        typer.Argument(help="How it was deleted (NIST SP 800-88)."),
    ],
    person: Annotated[
        str, typer.Option("--person", help="Who deleted it, by name; it stays sealed in the log.")
    ],
    statement: Annotated[
        str, typer.Option("--statement", help="What else there is to say, such as of copies.")
    ] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Declare that the data and every copy are deleted; keep the receipt: it is the certificate."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.declare_deletion(licence, person, method, statement, identifier=identifier)
    done(came, f"{licence} 的数据已声明删除", f"the data of {licence} are declared deleted", lang, json=json)


@app.command("list")
def list_(
    overdue: Annotated[
        bool,
        typer.Option("--overdue", help="Only those not declared in time; exit status 1 where there are any."),
    ] = False,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List what is to be deleted, and what was, as buyer or seller; all of it for a regulator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = [one for one in market.deletions() if one.overdue or not overdue]
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        state = STATES[one.state][lang == "en"]
        late = (" [bold red]逾期[/]" if lang == "zh" else " [bold red]overdue[/]") if one.overdue else ""
        when = "" if one.declared_us is not None else f" [dim]→ {moment(one.due_us)}[/]"
        by = "" if one.person is None else f" {one.method} {escape(one.person)}"
        console.print(f"{one.licence} {one.asset} {state}{by}{late}{when}", soft_wrap=True)
    if overdue and found:
        raise typer.Exit(1)
