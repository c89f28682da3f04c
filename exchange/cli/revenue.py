"""Commands of the carry-over ledger: set what public data may earn, and see its ceilings and what went over."""

from __future__ import annotations

import tomllib
from pathlib import Path
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
    identified,
    instant_us,
    line,
    moment,
    yuan,
)
from exchange.errors import Malformed
from pricing.money import format_unit_price_micro

app = typer.Typer(
    help="What public data may earn: allowed revenue, ceilings, and what goes over into the next period.",
    no_args_is_help=True,
)

AssetArgument = Annotated[str, typer.Argument(help="The asset.", metavar="ASSET")]
BASES = {"trial": ("试行", "trial"), "audited": ("核定", "audited")}


@app.command("allow")
def allow(
    asset: AssetArgument,
    form: Annotated[
        Path,
        typer.Argument(
            help="TOML: from, until, started_on, subsidy_fen, the three rates in ppm, source, [[costs]], [[products]].",
            metavar="FORM.toml",
            exists=True,
            dir_okay=False,
        ),
    ],
    identifier: IdOption = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Set what an asset may earn in its next period, and so its ceilings (regulator)."""
    from pydantic import ValidationError

    from exchange.messages.revenue import RevenueMessage

    try:
        said = tomllib.loads(form.read_text(encoding="utf-8"))
        span = {"starts_us": instant_us(str(said.pop("from"))), "ends_us": instant_us(str(said.pop("until")))}
        message = RevenueMessage.model_validate(
            {**said, **span, "started_on": str(said.get("started_on", ""))}
        )
    except (tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise Malformed(
            "revenue.form",
            f"{form} is no form of an allowed revenue: {error}",
            field="FORM.toml",
            rule="from, until, started_on, profit_rate_ppm, bond_yield_ppm, tax_rate_ppm, source, costs, products",
            remedy="complete it; the README shows one",
        ) from error
    name = identified(identifier, lang)
    with connected(url, key_file, vkey, remember, lang) as market:
        came = market.allow_revenue(asset, message, identifier=name)
    allowed = yuan(int(came.outcome["allowed_fen"]))
    done(came, f"准许收入 {allowed} 元", f"allowed are {allowed} yuan", lang, json=json)


@app.command("show")
def show(
    asset: AssetArgument,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Show an asset's carry-over ledger, the newest period first, with the ceilings that follow."""
    with connected(url, key_file, vkey, remember, lang, keyed=False) as market:
        found = market.revenue_periods(asset)
    zh = lang == "zh"
    head = ("期", "起(UTC+8)", "止(UTC+8)", "准许收入(元)", "已扣减(元)", "实收(元)", "结转扣减(元)", "上限(元)", "依据") if zh else (
        "no", "from (UTC+8)", "until (UTC+8)", "allowed (yuan)", "deducted", "earned", "goes over", "ceilings (yuan)", "basis"
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for column in head:
        table.add_column(column, overflow="fold")
    for one in found:
        if json:
            line(one.model_dump(mode="json"))
        ceilings = ", ".join(
            f"{format_unit_price_micro(each.unit_price_micro)}/{each.unit}" for each in one.ceilings
        )
        table.add_row(
            str(one.number), moment(one.starts_us), moment(one.ends_us), yuan(one.allowed_fen), yuan(one.deducted_fen),
            "-" if one.revenue_fen is None else yuan(one.revenue_fen),
            "-" if one.excess_fen is None else yuan(one.excess_fen), ceilings, BASES[one.basis][not zh],
        )  # fmt: skip
    if not json:
        console.print(table)
