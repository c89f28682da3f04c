"""The command of the drills: what there is, what to do when it is none, and to hold one or all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from exchange.errors import Malformed

if TYPE_CHECKING:
    from exchange.drill.cases import Case
    from exchange.drill.report import Report
    from exchange.drill.stage import Language

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
    lang: Annotated[
        Literal["zh", "en"], typer.Option(help="Language of what is printed; reports have both.")
    ] = "en",
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
    kept = []
    for case in chosen:
        report = _held(case, clients, acts, lang)
        kept.append(report is not None and report.kept)
        if report is not None:
            _kept(report, out, lang)
            if url is not None:
                _recorded(report, url, secret, lang)
    if not all(kept):
        raise typer.Exit(1)


def _held(case: Case, clients: int, acts: int, lang: Language) -> Report | None:
    """Hold one case and tell how it goes; None where this machine lacks what it takes."""
    from exchange.drill.report import hold
    from exchange.drill.stage import Missing

    console.print(f"[bold]{case.name}[/bold] {case.does[lang]}", soft_wrap=True)
    about = f"约 {case.takes_s} 秒" if lang == "zh" else f"about {case.takes_s} s"
    try:
        with Console(stderr=True, highlight=False).status(about):
            return hold(
                case,
                clients=clients,
                acts=acts,
                say=lambda zh, en: console.print(
                    f"  [dim]{zh if lang == 'zh' else en}[/dim]", soft_wrap=True
                ),
                clock_us=lambda: time.time_ns() // 1000,
            )
    except Missing as missing:
        head = "未演练" if lang == "zh" else "not played"
        console.print(f"[yellow]–[/] {head}: {missing.detail}; {missing.remedy}", soft_wrap=True)
        return None


def _kept(report: Report, out: Path, lang: Language) -> None:
    """Write the report, and tell how the drill ended."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(report.began_us // 1_000_000))
    name = out / f"{report.case.name}-{began}"
    name.with_suffix(".json").write_bytes(report.to_json())
    name.with_suffix(".html").write_text(report.html(), encoding="utf-8")
    judged = report.promises
    done, lost, ghosts = (0, 0, 0) if judged is None else (judged.acknowledged, judged.lost, judged.ghosts)
    said = (
        f"已确认 {done:,} 笔,丢失 {lost},无主条目 {ghosts},最长中断 {report.outage_ms:,} 毫秒"
        if lang == "zh"
        else f"{done:,} acknowledged, {lost} lost, {ghosts} ghosts, longest outage {report.outage_ms:,} ms"
    )
    mark = "[green]✓[/]" if report.kept else "[red]✗[/]"
    console.print(f"{mark} {said}; {name}.html", soft_wrap=True)
    for complaint in report.complaints:
        console.print(f"  [red]{complaint[lang]}[/]", soft_wrap=True)


def _recorded(report: Report, url: str, secret: str | None, lang: Language) -> None:
    """Put the drill on the record of an exchange."""
    from exchange.client import Exchange
    from exchange.messages.drills import DrillMessage

    judged = report.promises
    with Exchange(url, key=secret) as administrator:
        done = administrator.record_drill(
            DrillMessage(
                case=report.case.name,
                cause=report.case.cause,
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
    said = (
        f"已在 {url} 留档,条目 {done.index}"
        if lang == "zh"
        else f"on the record of {url} as entry {done.index}"
    )
    console.print(f"  {said}", soft_wrap=True)
