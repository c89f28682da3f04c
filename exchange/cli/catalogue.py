"""Commands of whoever looks for data: search the catalogue, see what an asset holds, fetch what is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from exchange.cli.connection import (
    DEFAULT_URL,
    JsonOption,
    KeyOption,
    Lang,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    line,
    notes,
    yuan,
)

if TYPE_CHECKING:
    from exchange.client.calls.assets import Facets
    from exchange.messages.assets import AssetPage, AssetView

AssetArgument = Annotated[
    str, typer.Argument(help="The asset, such as ast-5f0c3a9e7d21b846.", metavar="ASSET")
]

FACETS = {
    "kind": ("数据类别", "kind"),
    "theme": ("主题", "theme"),
    "base_library": ("基础库", "base library"),
    "opening": ("开放属性", "opening"),
    "price": ("价格方式", "price"),
    "freshness": ("更新情况", "freshness"),
    "grade": ("分级", "grade"),
    "supplier": ("供方", "supplier"),
}


def catalogue(
    text: Annotated[
        str | None,
        typer.Argument(
            help="The text to look for: words in Chinese or English; every one has to be there.",
            metavar="TEXT",
        ),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of public data, such as health.")] = None,
    theme: Annotated[str | None, typer.Option(help="Theme, such as travel.")] = None,
    base_library: Annotated[
        str | None,
        typer.Option(
            help="Base library: population, legal_entities, natural_resources, economic_governance."
        ),
    ] = None,
    opening: Annotated[str | None, typer.Option(help="open, conditional or closed.")] = None,
    price: Annotated[str | None, typer.Option(help="free, fixed, auction, unlisted.")] = None,
    freshness: Annotated[str | None, typer.Option(help="fresh, stale or unpromised.")] = None,
    grade: Annotated[str | None, typer.Option(help="general or important.")] = None,
    supplier: Annotated[str | None, typer.Option(help="Identifier of the department.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of them at most.")] = 20,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Search the catalogue, best first, with counts by facet. Needs no key; with one, your own assets are there too."""
    given = {
        "kind": kind,
        "theme": theme,
        "base_library": base_library,
        "opening": opening,
        "price": price,
        "freshness": freshness,
        "grade": grade,
        "supplier": supplier,
    }
    facets: Facets = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]  # its own members
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        page = market.catalogue(text, limit=limit, **facets)
    if json:
        line(page.model_dump(mode="json"))
        return
    _listed(page.assets, lang)
    _counted(page, lang)


def _listed(assets: list[AssetView], lang: Lang) -> None:
    zh = lang == "zh"
    table = Table(box=None, pad_edge=False)
    for name in ("资产", "名称", "供方", "开放", "价格(元)", "透明度") if zh else (
        "asset", "title", "supplier", "opening", "price (yuan)", "transparency"
    ):  # fmt: skip
        right = name.startswith(("价格", "price", "透明", "trans"))
        table.add_column(
            name, justify="right" if right else "left", no_wrap=name in ("资产", "asset"), overflow="fold"
        )
    for one in assets:
        asked = one.price if one.price_fen is None or one.price == "free" else yuan(one.price_fen)
        table.add_row(
            *map(
                escape,
                (
                    one.id,
                    one.title,
                    one.supplier_name,
                    one.opening or "-",
                    asked,
                    str(one.transparency.score),
                ),
            )
        )
    console.print(table)


def _counted(page: AssetPage, lang: Lang) -> None:
    zh = lang == "zh"
    console.print(
        f"[bold]{page.total}[/] 项,列出 {len(page.assets)} 项"
        if zh
        else f"[bold]{page.total}[/] in all, {len(page.assets)} shown"
    )
    for facet, names in FACETS.items():
        counts = getattr(page.facets, facet)
        if counts:
            shown = "  ".join(f"{escape(one.value)} {one.assets}" for one in counts[:8])
            notes.print(f"[dim]{names[not zh]}[/]  {shown}", soft_wrap=True)


def asset(
    asset: AssetArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show an asset: what it states, its columns, and its first rows where these may be shown."""
    zh = lang == "zh"
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.asset(asset)
        sample = None if found.product is None else market.sample(asset)
    if json:
        line(
            {
                "asset": found.asset.model_dump(mode="json"),
                "sample": None if sample is None else sample.model_dump(mode="json"),
            }
        )
        return
    one = found.asset
    console.print(f"[bold]{escape(one.title)}[/]  {one.code or one.id}", soft_wrap=True)
    if one.summary:
        console.print(escape(one.summary), soft_wrap=True)
    facts = {
        ("供方" if zh else "supplier"): one.supplier_name,
        ("状态" if zh else "state"): one.state,
        ("开放属性" if zh else "opening"): one.opening or "-",
        ("价格" if zh else "price"): one.price
        if one.price_fen is None
        else f"{one.price} {yuan(one.price_fen)}",
        ("更新" if zh else "updates"): one.freshness,
        ("透明度" if zh else "transparency"): f"{one.transparency.score} / 100",
    }
    for name, value in facts.items():
        console.print(f"  [dim]{name}[/]  {escape(value)}", soft_wrap=True)
    if sample is None:
        return
    table = Table(box=None, pad_edge=False)
    for name in (column.name for column in sample.columns):
        table.add_column(escape(name), overflow="fold")
    for row in sample.rows:
        table.add_row(*(escape(cell) if cell is not None else "-" for cell in row))
    console.print(table)
    console.print(f"{sample.row_count} 行" if zh else f"{sample.row_count} rows in all")


def fetch(
    asset: AssetArgument,
    file: Annotated[Path, typer.Argument(help="Where to put it.", metavar="FILE", dir_okay=False)],
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Fetch open data to a file, without an account. Cut off, the same command goes on where it was."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        market.open_data(asset, file)
    console.print(
        f"[green]✓[/] 已保存到 {escape(str(file))},内容与登记的 SHA-256 一致"
        if lang == "zh"
        else f"[green]✓[/] {escape(str(file))}, its SHA-256 is the registered product's",
        soft_wrap=True,
    )
