"""Commands of whoever chooses a format: run the formats on the same bidders, and look."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from exchange.errors import Malformed

app = typer.Typer(help="Try a format before you list a lot.", no_args_is_help=True)
console = Console(highlight=False)


@app.callback()
def simulate() -> None:
    """Keep `auction` a command of its own, beside those to come."""


@app.command()
def auction(
    bids: Annotated[
        Path | None,
        typer.Argument(
            help="Past bids, a CSV with a column `price` in yuan; without it bidders are drawn.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    supply: Annotated[int, typer.Option(min=1, help="Units to sell.")] = 1,
    reserve: Annotated[str, typer.Option(help="Lowest price of a unit, yuan.")] = "0.01",
    draw: Annotated[
        Literal["uniform", "lognormal"], typer.Option(help="How values are drawn.")
    ] = "lognormal",
    mean: Annotated[str, typer.Option(help="Mean value of a unit, yuan.")] = "10000",
    bidders: Annotated[int, typer.Option(min=1, help="Bidders a lot, each of whom wants one unit.")] = 5,
    lots: Annotated[int, typer.Option(min=1, help="Lots to draw.")] = 500,
    seed: Annotated[str, typer.Option(help="Any text; the same text draws the same bidders.")] = "1",
    picture: Annotated[Path | None, typer.Option(help="Write the picture to this file, an .svg.")] = None,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of table and picture.")] = "en",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of a table.")
    ] = False,
) -> None:
    """Compare what each format earns, who gets the units and what bidders keep, on one file or on drawn bidders.

    Bids of a file are taken as values of one lot. Where a format makes bidders pay their own bid, they shade it as theory has it.
    """
    from pricing.auctions.compare import compare, draw_values, format_name, read_bids
    from pricing.auctions.compare import picture as drawn
    from pricing.money import fen_in_words, parse_fen, ppm_in_words

    if bids is None:
        values = draw_values(draw, parse_fen(mean), bidders, lots, seed.encode())
    else:
        try:
            with bids.open(encoding="utf-8-sig", newline="") as file:
                values = [read_bids(csv.reader(file))]
        except (OSError, UnicodeError, csv.Error) as error:
            raise Malformed(
                "simulate.bids",
                f"{bids} is no CSV file: {error}",
                field="bids",
                rule="UTF-8, a heading with `price`, a line a bid",
                remedy="export the bids as CSV (UTF-8)",
            ) from error
    found = compare(values, supply, parse_fen(reserve))
    if picture is not None:
        picture.write_text(drawn(found, lang), encoding="utf-8")
    if as_json:
        print(
            json.dumps(
                {
                    "bidders": str(found.bidders),
                    "formats": [
                        {
                            "efficiency_ppm": str(line.efficiency_ppm),
                            "name": line.name,
                            "revenue_fen": str(line.revenue_fen),
                            "surplus_fen": str(line.surplus_fen),
                            "unsold_ppm": str(line.unsold_ppm),
                        }
                        for line in found.lines
                    ],
                    "lots": str(found.lots),
                    "supply": str(found.supply),
                }
            )
        )
        return
    headings = {
        "zh": ("方式", "平均收入", "竞买人剩余", "配置效率", "未售出"),
        "en": ("format", "revenue", "bidders keep", "efficiency", "unsold"),
    }
    table = Table(*headings[lang])
    for line in found.lines:
        table.add_row(
            format_name(line.name, lang),
            fen_in_words(line.revenue_fen, lang),
            fen_in_words(line.surplus_fen, lang),
            ppm_in_words(line.efficiency_ppm),
            ppm_in_words(line.unsold_ppm),
        )
    console.print(table)
    if picture is not None:
        console.print(f"[green]✓[/] {picture}", soft_wrap=True)
