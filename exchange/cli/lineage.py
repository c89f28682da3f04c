"""Commands of lineage: what an asset was made of, and which edition came after it."""

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
)

app = typer.Typer(
    help="What an asset was derived from, and which edition came after it.", no_args_is_help=True
)

Asset = Annotated[str, typer.Argument(help="The asset, as `ast-…`.", metavar="ASSET")]

RELATIONS = {"edition": ("上一版次", "edition of"), "derived": ("加工自", "derived from")}


@app.command()
def declare(
    asset: Asset,
    relation: Annotated[
        Literal["edition", "derived"],
        typer.Argument(help="It carries the other on with newer data, or was made of it."),
    ],
    parent: Annotated[str, typer.Argument(help="The registered asset.", metavar="PARENT")],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Say what your asset was made of, before its risk assessment, which inherits the highest grade (supplier)."""
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.declare_lineage(asset, parent, relation, identifier=identified(identifier, lang))
    zh, en = RELATIONS[relation]
    done(came, f"{asset} {zh} {parent}", f"{asset} {en} {parent}", lang, json=json)


@app.command()
def show(
    asset: Asset,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show an asset's parents, what was made of it, and the newest edition in its line."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.lineage(asset)
    if json:
        line(found.model_dump(mode="json"))
        return
    for mark, kin in (("↑", found.parents), ("↓", found.children)):
        for one in kin:
            said = RELATIONS[one.relation][lang == "en"] if mark == "↑" else one.relation
            console.print(
                f"{mark} {said} {one.asset} {escape(one.title)} [dim]{one.grade or ''} {one.code or ''}[/]",
                soft_wrap=True,
            )
    if found.newest != asset:
        console.print(f"{'最新版次' if lang == 'zh' else 'newest edition'} {found.newest}", soft_wrap=True)
