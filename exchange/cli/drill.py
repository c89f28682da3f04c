"""The command of the drills: what there is, what to do when it is none, and to hold one or all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from exchange.errors import Malformed

console = Console(highlight=False)


def drill(
    what: Annotated[
        str,
        typer.Argument(
            help="[bold]list[/bold] the cases, print the [bold]plan[/bold]s, or hold one case by its name, or [bold]all[/bold]."
        ),
    ] = "list",
    out: Annotated[Path, typer.Option(help="Folder that takes the reports.", file_okay=False)] = Path(
        "drills"
    ),
    clients: Annotated[int, typer.Option(min=1, max=1000, help="Clients that act at once.")] = 64,
    acts: Annotated[
        int, typer.Option(min=10, help="Acts acknowledged before each fault, and again after it.")
    ] = 3000,
    url: Annotated[
        str | None, typer.Option(help="The exchange on whose record it goes that the drill was held.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(help="File with an administrator's API key for it.", exists=True, dir_okay=False),
    ] = None,
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of list and plans.")] = "en",
) -> None:
    """Break a scratch market on purpose, and prove what was lost and how long it took. The running market is not touched.

    Each case writes a report in both languages with a picture of its timeline. Exit status 1 says that a promise was not
    kept, or that a case could not be played here.
    """
    from exchange.drill.cases import CASES

    if what == "list":
        table = Table("Case" if lang == "en" else "名称", "", "s", box=None, pad_edge=False)
        for case in CASES:
            table.add_row(case.name, f"{case.does[lang]}\n[dim]{case.promise[lang]}[/dim]", str(case.takes_s))
        console.print(table)
        return
    if what == "plan":
        from exchange.drill.plans import PLANS

        console.print("\n".join(plan.text(lang) for plan in PLANS), markup=False, soft_wrap=True)
        return
    if (url is None) != (key_file is None):
        raise Malformed(
            "drill.record",
            "one of the two is missing",
            field="--url" if url is None else "--key-file",
            rule="a drill goes on the record of one exchange, by an administrator's key",
            remedy="give both, or neither",
        )
    chosen = [case for case in CASES if what in ("all", case.name)]
    if not chosen:
        raise Malformed(
            "drill.unknown",
            f"no case {what!r}",
            field="WHAT",
            rule="list, plan, all, or the name of a case",
            remedy=f"one of {', '.join(case.name for case in CASES)}",
        )
    secret = None if key_file is None else key_file.read_text(encoding="ascii").strip()
    kept = [_held(case, out, clients, acts, url, secret) for case in chosen]
    if not all(kept):
        raise typer.Exit(1)


def _held(case: object, out: Path, clients: int, acts: int, url: str | None, secret: str | None) -> bool:
    """Hold one case, write its report, put it on the record; returns whether every promise was kept."""
    from exchange.client import Exchange
    from exchange.drill.cases import Case
    from exchange.drill.report import hold
    from exchange.drill.stage import Missing
    from exchange.messages.drills import DrillMessage

    assert isinstance(case, Case)
    console.print(f"[bold]{case.name}[/bold] {case.does['en']}", soft_wrap=True)
    progress = Console(stderr=True, highlight=False)
    try:
        with progress.status(f"about {case.takes_s} s") as status:

            def say(line: str) -> None:
                status.update(line)
                console.print(f"  [dim]{line}[/dim]", soft_wrap=True)

            report = hold(case, clients=clients, acts=acts, say=say, clock_us=lambda: time.time_ns() // 1000)
    except Missing as missing:
        console.print(f"[yellow]–[/] not played: {missing.detail}; {missing.remedy}", soft_wrap=True)
        return False
    out.mkdir(parents=True, exist_ok=True)
    name = out / f"{case.name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(report.began_us // 1_000_000))}"
    name.with_suffix(".json").write_bytes(report.to_json())
    name.with_suffix(".html").write_text(report.html(), encoding="utf-8")
    judged = report.promises
    said = (
        ""
        if judged is None
        else f"{judged.acknowledged:,} acknowledged, {judged.lost} lost, {judged.ghosts} ghosts, "
    )
    mark = "[green]✓[/]" if report.kept else "[red]✗[/]"
    console.print(f"{mark} {said}longest outage {report.outage_ms:,} ms; {name}.html", soft_wrap=True)
    for complaint in report.complaints:
        console.print(f"  [red]{complaint['en']}[/]", soft_wrap=True)
    if url is not None:
        with Exchange(url, key=secret) as administrator:
            done = administrator.record_drill(
                DrillMessage(
                    case=case.name,
                    cause=case.cause,
                    kept=report.kept,
                    began_us=report.began_us,
                    ended_us=report.ended_us,
                    acknowledged=0 if judged is None else judged.acknowledged,
                    lost=0 if judged is None else judged.lost,
                    ghosts=0 if judged is None else judged.ghosts,
                    outage_ms=report.outage_ms,
                    report=report.digest(),
                )
            )
        console.print(f"  on the record of {url} as entry {done.index}", soft_wrap=True)
    return report.kept
