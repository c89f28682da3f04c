"""Commands of use cases: what was built on an asset."""

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
    help="Tell what you built on licensed data, and have your say on what was built on yours.",
    no_args_is_help=True,
)

STATES = {
    "proposed": ("征求意见中", "proposed"),
    "published": ("已发布", "published"),
    "declined": ("未同意", "declined"),
    "withdrawn": ("已撤回", "withdrawn"),
}

UseCaseArgument = Annotated[str, typer.Argument(help="The use case, as `use-…`.", metavar="USECASE")]


@app.command()
def propose(
    licence: Annotated[str, typer.Argument(help="Your licence, as `lic-…`.", metavar="LICENCE")],
    title: Annotated[str, typer.Argument(help="What it is called.", metavar="TITLE")],
    text: Annotated[str, typer.Argument(help="What it does with the data.", metavar="TEXT")],
    page: Annotated[str, typer.Option("--page", help="A page that shows it, https://….")] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Tell what you built; it is published when the department consents, or does not refuse in time."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.propose_use_case(licence, title, text, page, identifier=identifier)
    name, until = came.outcome["use_case"], moment(int(came.outcome["notice_ends_us"]))
    done(
        came,
        f"{name} 已提交,{until} 起发布,供方不同意除外",
        f"{name} is published from {until} on unless the department refuses",
        lang,
        json=json,
    )


@app.command()
def decide(
    usecase: UseCaseArgument,
    decision: Annotated[Literal["consent", "refuse"], typer.Argument(help="Your say.")],
    reason: Annotated[str, typer.Option("--reason", help="Of a refusal: why.")] = "",
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Consent to a use of your data, or refuse it while its notice runs (supplier)."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.decide_use_case(usecase, decision, reason, identifier=identifier)
    zh, en = STATES[came.outcome["state"]]
    done(came, f"{usecase} {zh}", f"{usecase} is {en}", lang, json=json)


@app.command()
def withdraw(
    usecase: UseCaseArgument,
    reason: Annotated[str, typer.Argument(help="Why.", metavar="REASON")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Take a use case of yours back; a regulator takes down anybody's."""
    identifier = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.withdraw_use_case(usecase, reason, identifier=identifier)
    done(came, f"{usecase} 已撤回", f"{usecase} is withdrawn", lang, json=json)


@app.command()
def show(
    asset: Annotated[str, typer.Argument(help="An asset, as `ast-…`.", metavar="ASSET")],
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show what was built on an asset. Needs no key."""
    with connected(url, None, vkey, remember, lang, keyed=False) as market:
        found = market.use_cases_of(asset)
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        console.print(f"[bold]{escape(one.title)}[/] {escape(one.url)}", soft_wrap=True)
        console.print(f"  {escape(one.text)}", soft_wrap=True)


@app.command("list")
def list_(
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """List the use cases that you told, and those of your data; all of them for a regulator."""
    with connected(url, key_file, vkey, remember, lang) as market:
        found = market.use_cases()
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
            continue
        state = STATES[one.state][lang == "en"]
        when = f" [dim]→ {moment(one.notice_ends_us)}[/]" if one.state == "proposed" else ""
        console.print(f"{one.use_case} {one.asset} {escape(one.title)} {state}{when}", soft_wrap=True)
        if one.reason:
            console.print(f"  → {escape(one.reason)}", soft_wrap=True)
