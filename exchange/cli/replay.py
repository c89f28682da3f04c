"""`exchange replay`: every award, price and split of a period decided again, from log and bodies alone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.audit import progress_bar
from exchange.cli.connection import (
    DEFAULT_URL,
    NO,
    JsonOption,
    KeyOption,
    LangOption,
    RememberOption,
    UrlOption,
    VkeyOption,
    connected,
    console,
    instant_us,
    line,
)


def replay(
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Audit bundles from the first entry on, in their order; fetched with a regulator's key where left out.",
            exists=True,
            dir_okay=False,
            metavar="[BUNDLE]...",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Tell of entries from this day or moment on (UTC+8).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="To before this day or moment (UTC+8).")] = None,
    start: Annotated[int, typer.Option(min=0, help="Tell of entries from this index on.")] = 0,
    stop: Annotated[int | None, typer.Option(min=0, help="To before this index.")] = None,
    json: JsonOption = False,
    url: UrlOption = DEFAULT_URL,
    key_file: KeyOption = None,
    vkey: VkeyOption = None,
    remember: RememberOption = None,
    lang: LangOption = "en",
) -> None:
    """Recompute every award, price and split of a period from the log and its bodies, and print the differences (none).

    Uses the pure rules alone. What came before the period is folded, because decisions rest on it. Bundles are taken at their
    word: `exchange audit verify` judges them. Exit status 1 where anything differs.
    """
    from exchange.replay import of_period

    with tempfile.TemporaryDirectory() as folder:
        given = list(bundles or ())
        if not given:
            given = [Path(folder) / "bundle.zip"]
            with connected(url, key_file, vkey, remember, lang) as market:
                market.audit_bundle(given[0])
        with progress_bar() as bar:
            task = bar.add_task("entries replayed", total=None)
            found = of_period(
                given,
                start,
                stop,
                0 if since is None else instant_us(since),
                None if until is None else instant_us(until),
                lambda index: bar.update(task, completed=index + 1) if index % 256 == 0 else None,
            )
    zh = lang == "zh"
    if json:
        line(
            {
                "entries": str(found.entries),
                "judged": {name: str(count) for name, count in sorted(found.judged.items())},
                "not_judged": str(found.not_judged),
                "differences": [
                    {"index": str(d.index), "what": d.what, "logged": d.logged, "replayed": d.replayed}
                    for d in found.differences
                ],
            }
        )
    else:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(found.judged.items()))
        erased = (
            (f"；{found.not_judged} 项因已删除而未判" if zh else f"; {found.not_judged} not judged: erased")
            if found.not_judged
            else ""
        )
        console.print(
            f"日志 {found.entries} 条，重新作出的决定：{counts or '无'}{erased}"
            if zh
            else f"{found.entries} entries; decided again: {counts or 'nothing'}{erased}",
            soft_wrap=True,
            markup=False,
        )
        for d in found.differences:
            console.print(
                f"  #{d.index} {d.what}: {'日志' if zh else 'logged'} {d.logged}, {'重放' if zh else 'replayed'} {d.replayed}",
                soft_wrap=True,
                markup=False,
            )
        differing = len(found.differences)
        console.print(f"{differing} 处不同" if zh else f"{differing} differences", markup=False)
    if found.differences:
        raise typer.Exit(NO)
