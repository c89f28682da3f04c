"""The command of a department that has assets by the thousand: send a list, declare it, and keep one report of what failed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exchange.cli.connection import (
    DEFAULT_URL,
    JsonOption,
    KeyOption,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    line,
    notes,
)

if TYPE_CHECKING:
    from exchange.messages.assets import RowFailureView

HEADS = {
    "zh": ("行", "编号", "字段", "规则", "办法", "详情"),
    "en": ("row", "id", "field", "rule", "remedy", "detail"),
}


def declare(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV with the columns id, title, kind and, where wanted, summary, operator, opening, opening_reason, "
            "purposes, qualified, update_days; or JSON Lines of the same members.",
            exists=True,
            dir_okay=False,
        ),
    ],
    report: Annotated[
        Path | None,
        typer.Option(help="Where to put the report: REPORT.csv in the language of --lang, and REPORT.json."),
    ] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Declare up to 20,000 assets from a list. Cut off at any moment, the same command goes on: each id is declared once.

    Exit status 1 where rows failed: the report says which, why, and what to do; correct the list and send it again.
    """
    zh = lang == "zh"
    declared: list[dict[str, Any]] = []
    failures: list[RowFailureView] = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
    )
    with connected(url, key_file, vkey, remember, lang) as market, bar:
        task = bar.add_task("上传" if zh else "sending", total=None)
        name = market.send_list(file)
        bar.update(task, description="申报" if zh else "declaring")
        following: int | None = 1
        while following is not None:
            told = market.declare_list(name, following)
            declared += [row.model_dump(mode="json") for row in told.declared]
            failures += told.failures
            following = told.next
            bar.update(task, total=told.total, completed=len(declared) + len(failures))
    base = report or file
    sheet, document = base.with_suffix(".report.csv"), base.with_suffix(".report.json")
    with sheet.open("w", encoding="utf-8-sig", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(HEADS[lang])
        for one in failures:
            rule, remedy = (one.rule_zh, one.remedy_zh) if zh else (one.rule, one.remedy)
            rows.writerow(map(_cell, (str(one.row), one.id, one.field, rule, remedy, one.detail)))
    failed = [one.model_dump(mode="json") for one in failures]
    document.write_bytes(orjson.dumps({"list": name, "declared": declared, "failures": failed}))
    if json:
        line({"list": name, "declared": len(declared), "failed": len(failures), "report": str(document)})
    else:
        again = sum(row["repeated"] for row in declared)
        console.print(
            f"[green]✓[/] 已申报 {len(declared)} 行(其中 {again} 行此前已申报),未成 {len(failures)} 行;报告 {sheet}"
            if zh
            else f"[green]✓[/] {len(declared)} declared ({again} of them before), {len(failures)} failed; report {sheet}",
            soft_wrap=True,
        )
    if failures:
        raise typer.Exit(1)


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
