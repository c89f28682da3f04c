"""Commands about the accounts with which people sign in to the console."""

from __future__ import annotations

from typing import Annotated

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
)

app = typer.Typer(
    help="Accounts with which people sign in to the console: links by which one is opened, or opened anew.",
    no_args_is_help=True,
)


@app.command()
def link(
    person: Annotated[
        str | None,
        typer.Argument(help="The person, as `per-…`; yourself unless you say so.", metavar="PERSON"),
    ] = None,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Print a link that opens an account of the console; for somebody else it waits for a second administrator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        asked = market.console_link(person or market.me().person, identifier=identified(identifier, lang))
    reset, state = asked.done.outcome["id"], asked.done.outcome["state"]
    if json:
        line({"person": asked.person, "reset": reset, "state": state, "link": asked.link})
        return
    console.print(f"[green]✓[/] {asked.person} {reset}", soft_wrap=True)
    if state == "asked":
        waits = "须另一名管理员批准" if lang == "zh" else "good once another administrator grants it"
        console.print(f"{waits}: exchange console grant {reset}", soft_wrap=True)
    console.print(escape(asked.link), soft_wrap=True)


@app.command()
def waiting(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the links that wait for a second administrator, the oldest first (administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.account_resets()
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        console.print(f"{one.id} {one.person} {escape(one.name)} ← {one.asker}", soft_wrap=True)
    if not found and not json:
        console.print("没有等待批准的链接" if lang == "zh" else "none waits", soft_wrap=True)


Reset = Annotated[str, typer.Argument(help="The link that was asked for, as `rst-…`.", metavar="RESET")]


@app.command()
def grant(
    reset: Reset,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Grant a link that somebody else asked for (administrator): the old account is void, its sessions end."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.decide_account_reset(reset, grant=True, identifier=identified(identifier, lang))
    done(came, f"{reset} 已批准", f"{reset} is granted", lang, json=json)


@app.command()
def decline(
    reset: Reset,
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Decline a link that somebody asked for (administrator)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.decide_account_reset(reset, grant=False, identifier=identified(identifier, lang))
    done(came, f"{reset} 已驳回", f"{reset} is declined", lang, json=json)
